#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""An event loop whose clock jumps to the next timer when nothing else is due.

Hours pass in no time, in the same order every time. Work handed to threads
(the journal's disk) is waited for in real time, without moving the clock.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_STUCK_S = 20.0


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """For code that talks to no sockets outside the loop."""

    def __init__(self) -> None:
        super().__init__(_JumpingSelector(self))
        self.now_s = 0.0
        self.in_threads = 0

    def time(self) -> float:
        return self.now_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        future = super().run_in_executor(executor, func, *args)
        self.in_threads += 1
        future.add_done_callback(self._back)
        return future

    def _back(self, _: object) -> None:
        self.in_threads -= 1


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self._loop.in_threads or timeout is None:
            ready = super().select(_STUCK_S)
            if not ready:
                raise RuntimeError("nothing can ever happen again in this loop")
            return ready
        self._loop.now_s += timeout
        return []


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end in a new virtual-time loop."""
    loop = VirtualTimeLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        finish(loop)


def finish(loop: VirtualTimeLoop) -> None:
    """Ends a loop and every task left in it."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    asyncio.set_event_loop(None)
    loop.close()
