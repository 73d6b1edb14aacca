#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Background work that nobody waits for, and that must not die unseen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_FIRST_PAUSE_S = 1.0
_LAST_PAUSE_S = 30.0


def supervised(
    what: str, work: Callable[[], Awaitable[None]], log: logging.Logger
) -> asyncio.Task[None]:
    """Starts some work, and starts it again whenever it fails.

    Args:
        what: Its name in the log.
        work: What to do; it is done when this returns.
        log: Where failures are reported.

    Returns:
        The task that does it, to be kept, and cancelled if need be.
    """
    return asyncio.create_task(_supervise(what, work, log), name=what)


async def _supervise(
    what: str, work: Callable[[], Awaitable[None]], log: logging.Logger
) -> None:
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            await work()
            return
        # pylint: disable-next=broad-exception-caught
        except Exception as error:
            log.error(
                "%s failed and starts again in %g s: %r",
                what,
                pause_s,
                error,
                exc_info=error,
            )
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LAST_PAUSE_S)
