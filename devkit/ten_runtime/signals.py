#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""SIGINT and SIGTERM: the first closes the app, the second ends it at once."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

_TRAPPED = (signal.SIGINT, signal.SIGTERM)


class SignalTrap:
    """Tells of signals from a thread of its own.

    A handler in Python runs between two steps of the main thread, which may
    be waiting and take no step: so the bytes that the interpreter writes to
    the wakeup descriptor are what counts.

    Args:
        on_first: called for the first signal.
    """

    def __init__(self, on_first: Callable[[], None]) -> None:
        self._on_first = on_first
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(
            self._writer.fileno(), warn_on_full_buffer=False
        )
        self._old = [(n, signal.signal(n, _ignore)) for n in _TRAPPED]
        self._thread = threading.Thread(
            target=self._watch, name="signals", daemon=True
        )
        self._thread.start()

    @staticmethod
    def possible() -> bool:
        """Only the main thread may trap, and not if the user forbids it."""
        return (
            threading.current_thread() is threading.main_thread()
            and os.environ.get("TEN_DISABLE_SIGNAL_TRAP") != "true"
        )

    def _watch(self) -> None:
        seen = 0
        while number := self._reader.recv(1):
            if number[0] not in _TRAPPED:
                continue
            os.write(2, b"Received SIGINT/SIGTERM (%d)\n" % number[0])
            seen += 1
            if seen > 1:
                os._exit(1)
            self._on_first()

    def close(self) -> None:
        """Put back the handlers that were there."""
        for number, handler in self._old:
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        self._writer.close()
        self._thread.join()
        self._reader.close()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """The signal is told of by the wakeup descriptor."""
