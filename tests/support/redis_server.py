#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A Redis of the test's own: no port, no persistence, gone with the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest


class RedisServer:
    """Starts Debian's ``redis-server`` on a socket file."""

    def __init__(self) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            if os.environ.get("CI") == "true":
                pytest.fail("redis-server is missing: apt-get install it")
            pytest.skip("redis-server is missing (Debian: redis-server)")
        self._binary = binary
        # Not pytest's folder: a socket's path has at most 107 characters.
        self._folder = tempfile.mkdtemp(prefix="redis-")
        self.url = f"unix://{self._folder}/redis.sock"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Starts it with no data; returns when it takes connections."""
        arguments = ["--port", "0", "--unixsocket", "redis.sock", "--save", ""]
        self._process = subprocess.Popen(
            [self._binary, *arguments],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "eady to accept connections" in line:
                return
        raise RuntimeError(f"redis-server: see {Path(self._folder)}")

    def freeze(self) -> None:
        """It takes connections still, but does not answer."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It answers again, first what was asked meanwhile."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ends it; its data is lost."""
        process, self._process = self._process, None
        if process is not None:
            with process:
                process.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
