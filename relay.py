#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Passes events on in order, for those who cannot wait until that is done."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from .background import supervised
from .events import Event

# More than can be waiting unless the graph has stopped to listen.
_WAITING = 1000


class Relay:
    """One queue, and a task only while there is something in it.

    Args:
        emit: Awaited with each event; must not raise.
        log: Where it is reported if it does.
    """

    def __init__(
        self,
        emit: Callable[[Event], Awaitable[None]],
        log: logging.Logger,
    ) -> None:
        self._emit = emit
        self._log = log
        self._waiting: deque[Event] = deque(maxlen=_WAITING)
        self._task: asyncio.Task[None] | None = None

    def tell(self, event: Event) -> None:
        """Passes an event on, soon."""
        self._waiting.append(event)
        if self._task is None or self._task.done():
            self._task = supervised("relay", self._pass_on, self._log)

    async def passed_on(self) -> None:
        """Waits until all that was told so far is passed on."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def close(self, timeout_s: float) -> None:
        """Waits until all is passed on, or the time is over."""
        task = self._task
        if task is not None:
            await asyncio.wait([task], timeout=timeout_s)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _pass_on(self) -> None:
        while self._waiting:
            await self._emit(self._waiting.popleft())
