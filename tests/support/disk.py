#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A disk that fills up, breaks and comes back, for one folder.

It stands between Python and the kernel: what is under test calls ``os`` as
ever. A full one still makes empty files, as real ones do.
"""

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest


class Disk:
    """The disk under one folder.

    Args:
        folder: Whose files it holds.
        patch: Undoes it.

    Attributes:
        trouble: "" (none), "full", "read_only" or "sync" (it loses what was
            written, and says so to those who ask).
        left: How many bytes a full one still takes.
        slow_s: How long each write takes.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder = str(folder)
        self.trouble = ""
        self.left = 0
        self.slow_s = 0.0
        self._write, self._open, self._fsync = os.write, os.open, os.fsync
        patch.setattr(os, "write", self._may_write)
        patch.setattr(os, "open", self._may_open)
        patch.setattr(os, "fsync", self._may_sync)

    def _here(self, where: Any) -> bool:
        if isinstance(where, int):
            try:
                where = Path(f"/proc/self/fd/{where}").readlink()
            except OSError:
                return False
        return str(where).startswith(self._folder)

    def _may_write(self, fd: int, data: bytes) -> int:
        if not self._here(fd):
            return self._write(fd, data)
        if self.slow_s:
            time.sleep(self.slow_s)
        if self.trouble == "read_only":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if self.trouble == "full":
            data, self.left = data[: self.left], 0
            if not data:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(fd, data)

    def _may_open(
        self, path: Any, flags: int, *args: Any, **options: Any
    ) -> int:
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if self.trouble == "read_only" and writes and self._here(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return self._open(path, flags, *args, **options)

    def _may_sync(self, fd: int) -> None:
        if self.trouble == "sync" and self._here(fd):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fsync(fd)
