#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Passes events on to the graph, so that nobody has to wait for the graph."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from .background import supervised
from .events import Event, Measured, Reported

# More than can be waiting unless the graph has stopped to listen.
_WAITING = 1000
# What may be dropped then: there is no end to these.
_COUNTLESS = (Measured, Reported)


class Relay:
    """A queue for each user, and a task only while there is something in it.

    A graph that does not listen keeps nobody from ending a conversation.

    Args:
        emit: Awaited with each event, in order for each user; must not
            raise.
        log: Where it is reported if it does, and what is dropped.
    """

    def __init__(
        self,
        emit: Callable[[Event], Awaitable[None]],
        log: logging.Logger,
    ) -> None:
        self._emit = emit
        self._log = log
        self._waiting: dict[str, deque[Event]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._full = False

    def tell(self, event: Event) -> None:
        """Passes an event on, soon; never blocks."""
        user_id = event.user_id
        waiting = self._waiting.get(user_id)
        if waiting is None:
            waiting = self._waiting[user_id] = deque()

            async def pass_on() -> None:
                await self._pass_on(user_id)

            task = supervised("relay", pass_on, self._log)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if len(waiting) < _WAITING or not isinstance(event, _COUNTLESS):
            waiting.append(event)
        elif not self._full:
            self._full = True
            self._log.error(
                "the graph takes no messages; what is reported of "
                "conversations is dropped until it does"
            )

    async def close(self, timeout_s: float) -> None:
        """Waits until all is passed on, or the time is over."""
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_on(self, user_id: str) -> None:
        waiting = self._waiting[user_id]
        while waiting:
            await self._emit(waiting.popleft())
            self._full = False
        del self._waiting[user_id]
