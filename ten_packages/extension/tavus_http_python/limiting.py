#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""How often one client may ask, counted here or in Redis."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

import limits
from limits.aio.storage import MemoryStorage, RedisStorage
from redis.asyncio import Redis

from .redis_store import LimiterUnavailable, answer

__all__ = ["Limiter", "LimiterUnavailable"]

# Secrets are long; what a person mistypes is less.
_GUESSES = "10/minute"
# So many clients are remembered; past that the one longest quiet is not.
_CLIENTS = 10_000
# So long Redis is not asked again after it did not answer.
_AWAY_S = 2.0


class Limiter:
    """Counts per client in sliding windows.

    Args:
        create: How many conversations may be asked for, such as
            "10/minute" (``limits`` notation); "off" for any number.
        request: How many requests of any kind, likewise.
        store: Redis, when processes share the counts of creates and all
            else; the maker closes it.

    Raises:
        ValueError: A limit cannot be read.
    """

    def __init__(
        self, create: str, request: str, store: Redis | None = None
    ) -> None:
        self._limits = {
            kind: limits.parse(text)
            for kind, text in (
                ("create", create),
                ("request", request),
                ("guess", _GUESSES),
            )
            if text != "off"
        }
        self._here = _Memory()
        self._shared: RedisStorage | None = None
        if store is not None:
            pool: Any = store.connection_pool  # limits' hints leave it out
            self._shared = RedisStorage(
                "async+redis://",
                implementation="redispy",
                key_prefix="tavus_http",
                connection_pool=pool,
            )
        self._away_until = 0.0

    @property
    def remembered(self) -> int:
        """How many clients are counted here: never very many."""
        return len(self._here)

    async def allow(self, kind: str, client: str) -> float | None:
        """Counts one request.

        Args:
            kind: "create", "request", or "guess": a wrong secret.
            client: The address; IPv6 ones are best given as networks.

        Returns:
            None to go on, else after how many seconds to try again.

        Raises:
            LimiterUnavailable: A create cannot be counted, because Redis
                does not answer. Other kinds are then counted here.
        """
        limit = self._limits.get(kind)
        if limit is None:
            return None
        if self._shared is not None:
            try:
                return await self._ask_redis(limit, kind, client)
            except LimiterUnavailable:
                if kind == "create":
                    raise
        return await _count(self._here, limit, kind, client)

    async def _ask_redis(
        self, limit: limits.RateLimitItem, kind: str, client: str
    ) -> float | None:
        assert self._shared is not None
        if time.monotonic() < self._away_until:
            raise LimiterUnavailable(
                "the limits that several servers share could not be reached "
                "a moment ago"
            )
        try:
            return await answer(_count(self._shared, limit, kind, client))
        except LimiterUnavailable:
            self._away_until = time.monotonic() + _AWAY_S
            raise


async def _count(
    windows: MemoryStorage | RedisStorage,
    limit: limits.RateLimitItem,
    kind: str,
    client: str,
) -> float | None:
    key, period_s = limit.key_for(kind, client), limit.get_expiry()
    if await windows.acquire_sliding_window_entry(key, limit.amount, period_s):
        return None
    window = await windows.get_sliding_window(key, period_s)
    return _wait_s(limit, *window)


def _wait_s(
    limit: limits.RateLimitItem,
    before: int,
    before_ttl_s: float,
    count: int,
    ttl_s: float,
) -> float:
    """How long until one more is allowed.

    The strategy's own ``reset_time`` can be too early, which makes a client
    that obeys it fail again.
    """
    period_s = limit.get_expiry()
    room = limit.amount - count
    if room <= 0:
        return max(0.0, ttl_s - period_s)
    # The count before weighs before * (what is left of its life / period).
    return max(0.0, before_ttl_s - room * period_s / max(before, 1))


class _Memory(MemoryStorage):
    """The windows of the clients seen last.

    ``limits``' own walks through all it holds at each hit, and forgets only
    what has expired: a flood of addresses would fill it and slow it down.
    """

    def __init__(self) -> None:
        super().__init__()
        # By key: the number of the period, its count, and the one before.
        self._windows: OrderedDict[str, tuple[int, int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    async def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        now = time.time()
        period, before, count = self._at(key, expiry, now)
        left = 1 - now / expiry % 1
        fits = int(before * left) + count + amount <= limit
        self._windows[key] = (period, before, count + amount * fits)
        self._windows.move_to_end(key)
        if len(self._windows) > _CLIENTS:
            self._windows.popitem(last=False)
        return fits

    async def get_sliding_window(
        self, key: str, expiry: int
    ) -> tuple[int, float, int, float]:
        now = time.time()
        _, before, count = self._at(key, expiry, now)
        left_s = (1 - now / expiry % 1) * expiry
        return before, left_s, count, left_s + expiry

    def _at(self, key: str, expiry: int, now: float) -> tuple[int, int, int]:
        period = int(now / expiry)
        then, before, count = self._windows.get(key, (period, 0, 0))
        if then == period - 1:
            return period, count, 0
        return (period, before, count) if then == period else (period, 0, 0)
