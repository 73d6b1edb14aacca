#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""One file of the journal: its lock, its lines, and what they mean.

Everything here blocks and is for the journal's threads.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
import uuid
import weakref
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .redaction import Secret
from .tavus_models import id_of

try:
    import fcntl
except ImportError:  # Windows: no journal, said once
    fcntl = None

SUFFIX = ".journal"
# What is set aside because not all of it could be read.
UNREADABLE = ".unreadable"
# Ours are compacted long before.
_LONGEST_BYTES = 32 << 20
_OF_SESSIONS = ("session", "idle_s", "token")
# How each of our lines begins; it ends with "}".
_OURS = (b'{"name": ', b'{"over": ')
_NO_FSYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
# Windows has neither; what they do is not needed there.
_OPEN_FLAGS = (
    os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
)


@dataclass(frozen=True)
class Entry:
    """One conversation that may be running at Tavus.

    Attributes:
        name: The unique ``conversation_name`` sent with the request.
        base_url: The API it was asked of.
        account: A fingerprint of the key, never the key.
        conversation_id: Tavus's id, empty until (unless) it arrived.
        session: Whether it is a session at Agora's endpoints, which cannot be
            looked for by its name.
        idle_s: A session ends by itself when nobody talks to it for so long;
            0 for never.
        token: What stops a session, and nothing else.
    """

    name: str
    base_url: str
    account: str
    conversation_id: str = ""
    session: bool = False
    idle_s: float = 0.0
    token: str = field(default="", repr=False)


class JournalFile:
    """One journal file, open and locked by this process.

    Attributes:
        entries: What stands in it, as far as that is known.
        unreadable: How many of its lines mean nothing to us.
        read_only: It can be read and locked, and not written.
        sync_failed: The disk has lost something of it.
    """

    def __init__(self, path: Path, fd: int, *, read_only: bool = False) -> None:
        self.path = path
        self.fd = fd
        self.read_only = read_only
        self.size = 0
        self.unreadable = 0
        self.sync_pending = False
        self.sync_failed = False
        self.entries: dict[str, Entry] = {}
        _all_open.add(self)

    @classmethod
    def create(cls, directory: Path) -> JournalFile:
        """A new file, locked before it has its name.

        Raises:
            OSError: The folder or its file system cannot be used.
        """
        if fcntl is None:
            raise OSError("this system has no flock")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / f"{os.getpid()}-{uuid.uuid4().hex[:12]}{SUFFIX}"
        fresh = path.with_suffix(".new")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fresh.rename(path)
        except OSError:  # a file system without locks
            os.close(fd)
            fresh.unlink(missing_ok=True)
            raise
        return cls(path, fd)

    @classmethod
    def take_over(cls, path: Path) -> JournalFile | None:
        """The file of a dead process with its entries.

        Returns:
            None if its process lives, or it is gone.

        Raises:
            OSError: It cannot be opened, or is no such file.
        """
        if fcntl is None:
            return None
        try:
            fd, read_only = _opened(path)
        except FileNotFoundError:
            return None
        try:
            # Whatever else has the name, a pipe would block for ever.
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError("it is no file")
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(fd)
            if status.st_nlink == 0:  # its sweeper was faster
                raise BlockingIOError
            if status.st_size > _LONGEST_BYTES:
                raise OSError("it is too long to be a journal")
            data = _content(fd)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        file = cls(path, fd, read_only=read_only)
        file.size = len(data)
        for line in data.splitlines():
            file._replay(line)
        return file

    def write(self, entry: Entry) -> None:
        """Notes an entry, or what is new of it.

        Raises:
            OSError: It is not on disk.
        """
        record = asdict(entry)
        for name in _OF_SESSIONS:
            if not record[name]:
                del record[name]
        self._append(record)
        self.entries[entry.name] = entry

    def forget(self, name: str) -> bool:
        """Notes that it is over.

        Returns:
            Whether that needed room on the disk.

        Raises:
            OSError: It still stands there.
        """
        if name not in self.entries:
            return False
        if self.read_only:
            del self.entries[name]
            return False
        needs_room = len(self.entries) > 1 or self.unreadable > 0
        if needs_room:
            self._append({"over": name})
        else:
            os.ftruncate(self.fd, 0)
            self.size = 0
        del self.entries[name]
        return needs_room

    @property
    def unlinked(self) -> bool:
        """Whether somebody has deleted the file under us."""
        return os.fstat(self.fd).st_nlink == 0

    def sync(self) -> None:
        """Puts it on the disk; where that fails, ``sync_failed`` says so."""
        self.sync_pending = False
        try:
            os.fsync(self.fd)
        except OSError as error:
            # It may be closed meanwhile, or on a file system without fsync.
            if error.errno not in (*_NO_FSYNC, errno.EBADF):
                self.sync_failed = True

    def close(self) -> None:
        """Drops the lock, and the file too when nothing is open in it."""
        with contextlib.suppress(OSError):  # then an empty file stays
            if self.entries or self.read_only:
                pass
            elif self.unreadable:
                self.path.rename(self.path.with_suffix(UNREADABLE))
            else:
                self.path.unlink()
        if fcntl is not None:
            # Closing alone would keep it locked while a sync is under way.
            with contextlib.suppress(OSError):
                fcntl.flock(self.fd, fcntl.LOCK_UN)
        _all_open.discard(self)
        os.close(self.fd)

    def _append(self, record: dict[str, Any]) -> None:
        # The line break comes first: a torn line cannot spoil the next one.
        line = b"\n" + json.dumps(record).encode()
        written = os.write(self.fd, line)
        if written < len(line):  # the last of the room there was
            with contextlib.suppress(OSError):
                os.ftruncate(self.fd, self.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += written

    def _replay(self, line: bytes) -> None:
        if not line.strip(b" \t\0"):
            return
        try:
            record = json.loads(line)
            if "over" in record:
                self.entries.pop(record["over"], None)
                return
            entry = _entry_of(record)
        except (
            ValueError,
            TypeError,
            KeyError,
            OverflowError,
            RecursionError,
        ):
            # Torn by the death of its writer, nothing had been sent.
            torn = line.startswith(_OURS) and not line.endswith(b"}")
            self.unreadable += not torn
            return
        self.entries[entry.name] = entry


def _entry_of(record: dict[str, Any]) -> Entry:
    """Raises ValueError, TypeError or KeyError where it is none."""
    for name in ("name", "base_url", "account"):
        if not isinstance(record[name], str) or not id_of(record[name]):
            raise ValueError(name)
    idle_s = float(record.get("idle_s", 0))
    return Entry(
        name=record["name"],
        base_url=record["base_url"],
        account=record["account"],
        # Without one that can be used it is looked for by its name.
        conversation_id=id_of(record.get("conversation_id")),
        session=bool(record.get("session")),
        idle_s=idle_s if math.isfinite(idle_s) and idle_s > 0 else 0.0,
        token=Secret(record.get("token", "")),
    )


def _opened(path: Path) -> tuple[int, bool]:
    """The file's descriptor, and whether it can only be read."""
    try:
        return os.open(path, os.O_RDWR | _OPEN_FLAGS), False
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    return os.open(path, os.O_RDONLY | _OPEN_FLAGS), True


def _content(fd: int) -> bytes:
    with open(fd, "rb", closefd=False) as stream:
        return stream.read(_LONGEST_BYTES)


_all_open: weakref.WeakSet[JournalFile] = weakref.WeakSet()


def _let_go_in_child() -> None:
    # A lock is held until the last who inherited it has closed the file: a
    # forked child would hold that of its dead parent.
    for file in list(_all_open):
        with contextlib.suppress(OSError):
            os.close(file.fd)
    _all_open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
