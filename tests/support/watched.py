#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A simulator whose ledger can be waited for."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tavus_sim import SimReply, SimRequest, Simulator


class WatchedSimulator(Simulator):
    """Wakes those who wait when a request or a message has been handled.

    Args:
        tell: Called then, too, by the thread that handled it.
        options: Of the simulator.
    """

    def __init__(
        self, tell: Callable[[], None] = lambda: None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._handled = threading.Condition()
        self._tell = tell

    def handle(self, request: SimRequest) -> SimReply:
        reply = super().handle(request)
        self._wake()
        return reply

    @contextmanager
    def turn(self) -> Iterator[float]:
        try:
            with super().turn() as now:
                yield now
        finally:
            self._wake()

    async def until(
        self, is_so: Callable[[], bool], timeout_s: float = 10.0
    ) -> None:
        """Waits until that is so.

        Raises:
            AssertionError: It was not in time.
        """

        def wait() -> bool:
            with self._handled:
                return self._handled.wait_for(is_so, timeout_s)

        assert await asyncio.to_thread(wait), self.ledger()

    def _wake(self) -> None:
        with self._handled:
            self._handled.notify_all()
        self._tell()
