#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Redis, where several processes share their limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_TIMEOUT_S = 1.0
# One step of a call: redis-py can miss a cancel that comes just when a step of
# its own times out, so the two must not end together.
_STEP_TIMEOUT_S = 0.7
_CONNECTIONS = 16
# When to ask again: somebody has to see to Redis first.
RETRY_S = 5

T = TypeVar("T")


class LimiterUnavailable(Exception):
    """Redis did not answer; the text is fit for a client to see."""


def connect(url: str) -> Redis | None:
    """A client for the URL; it connects when it is first used.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py reads
            it; "" for none.

    Returns:
        The client, which its maker closes with ``aclose``; None for "".

    Raises:
        ValueError: The URL cannot be read.
    """
    if not url:
        return None
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=_STEP_TIMEOUT_S,
        socket_connect_timeout=_STEP_TIMEOUT_S,
        socket_timeout=_STEP_TIMEOUT_S,
        # Once more at once: a connection may be from before a restart.
        retry=Retry(NoBackoff(), 1),
    )
    return Redis.from_pool(pool)


async def answer(call: Awaitable[T], timeout_s: float = _TIMEOUT_S) -> T:
    """What Redis answers to one call.

    Args:
        call: A command that was not awaited yet.
        timeout_s: How long it may take, connecting included.

    Raises:
        LimiterUnavailable: There is no answer, or a refusal.
    """
    try:
        return await asyncio.wait_for(call, timeout_s)
    except (RedisError, OSError, asyncio.TimeoutError) as error:
        raise LimiterUnavailable(
            "the limits that several servers share cannot be reached "
            f"(Redis: {type(error).__name__})"
        ) from error
