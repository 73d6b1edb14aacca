#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""How often one client may ask."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis
from support.redis_server import RedisServer

from ten_packages.extension.tavus_http_python import limiting
from ten_packages.extension.tavus_http_python.limiting import (
    Limiter,
    LimiterUnavailable,
)
from ten_packages.extension.tavus_http_python.redis_store import connect


class Clock:
    """Time that passes when the test says so; starts within a minute."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_010.0

    def time(self) -> float:
        return self.now_s

    monotonic = time


@pytest.fixture(name="clock")
def _clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limiting, "time", clock)
    return clock


@pytest.fixture(name="redis_server")
def _redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(name="redis")
async def _redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    client = connect(redis_server.url)
    assert client is not None
    async with client:
        yield client


async def allowed(limiter: Limiter, kind: str, client: str, count: int) -> int:
    answers = [await limiter.allow(kind, client) for _ in range(count)]
    return answers.count(None)


@pytest.mark.usefixtures("clock")
async def test_a_client_past_its_limit_waits_and_the_others_do_not() -> None:
    limiter = Limiter("3/minute", "off")
    assert await allowed(limiter, "create", "10.0.0.1", 5) == 3
    assert await allowed(limiter, "create", "10.0.0.2", 5) == 3


@pytest.mark.usefixtures("clock")
async def test_kinds_are_counted_apart() -> None:
    limiter = Limiter("1/minute", "2/minute")
    assert await allowed(limiter, "create", "a", 3) == 1
    assert await allowed(limiter, "request", "a", 3) == 2
    assert await allowed(limiter, "guess", "a", 30) == 10


@pytest.mark.usefixtures("clock")
async def test_off_means_no_limit() -> None:
    limiter = Limiter("off", "off")
    assert await allowed(limiter, "create", "a", 1000) == 1000
    assert await allowed(limiter, "request", "a", 1000) == 1000


@pytest.mark.parametrize("text", ["", "ten a minute", "10", "10/fortnight"])
def test_a_limit_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Limiter(text, "off")


@pytest.mark.parametrize("asked_after_s", [0.0, 17.5, 49.9, 61.0, 95.0, 400.0])
async def test_who_waits_as_told_is_let_in_and_who_does_not_is_not(
    clock: Clock, asked_after_s: float
) -> None:
    limiter = Limiter("4/minute", "off")
    assert await allowed(limiter, "create", "a", 4) == 4
    clock.now_s += asked_after_s
    # Uses up what is free again, whatever that is.
    await allowed(limiter, "create", "a", 4)
    wait_s = await limiter.allow("create", "a")
    assert wait_s is not None
    assert 0 < wait_s <= 60
    clock.now_s += wait_s - 0.01
    assert await limiter.allow("create", "a") is not None
    clock.now_s += 0.02
    assert await limiter.allow("create", "a") is None


async def test_no_minute_lets_in_twice_the_limit(clock: Clock) -> None:
    limiter = Limiter("10/minute", "off")
    clock.now_s += 49.9 - clock.now_s % 60 + 10  # just before a full minute
    first = await allowed(limiter, "create", "a", 20)
    clock.now_s += 0.2
    then = await allowed(limiter, "create", "a", 20)
    assert 10 <= first + then <= 11  # counts are weighed, then rounded


@pytest.mark.usefixtures("clock")
async def test_a_flood_of_addresses_is_forgotten_again() -> None:
    limiter = Limiter("1/minute", "off")
    for number in range(20_000):
        await limiter.allow("create", f"2001:db8:{number:x}::/64")
        # The one who keeps on asking stays known through it.
        if number % 5000 == 0:
            await limiter.allow("create", "10.0.0.1")
    assert await limiter.allow("create", "10.0.0.1") is not None
    assert limiter.remembered <= 10_000


async def test_two_processes_count_together_in_redis(redis: Redis) -> None:
    ours = Limiter("5/minute", "5/minute", redis)
    theirs = Limiter("5/minute", "5/minute", redis)
    answers = await asyncio.gather(
        *(limiter.allow("create", "a") for limiter in [ours, theirs] * 20)
    )
    assert answers.count(None) == 5
    assert all(0 < wait_s <= 60 for wait_s in answers if wait_s is not None)


async def test_without_redis_no_create_is_let_in(
    redis_server: RedisServer, redis: Redis
) -> None:
    limiter = Limiter("5/minute", "5/minute", redis)
    redis_server.stop()
    for _ in range(2):
        with pytest.raises(LimiterUnavailable, match="several servers share"):
            await limiter.allow("create", "a")


async def test_without_redis_the_rest_is_counted_here(
    redis_server: RedisServer, redis: Redis
) -> None:
    limiter = Limiter("5/minute", "3/minute", redis)
    redis_server.stop()
    assert await allowed(limiter, "request", "a", 9) == 3
    assert await allowed(limiter, "guess", "a", 30) == 10


async def test_a_redis_that_hangs_costs_a_second_once(
    redis_server: RedisServer, redis: Redis
) -> None:
    limiter = Limiter("5/minute", "1000/minute", redis)
    await limiter.allow("request", "a")
    redis_server.freeze()
    began = time.monotonic()
    assert await allowed(limiter, "request", "a", 100) == 100
    assert time.monotonic() - began < 3
    redis_server.thaw()


async def test_a_redis_that_comes_back_is_used_again(
    redis_server: RedisServer, redis: Redis, clock: Clock
) -> None:
    limiter = Limiter("2/minute", "off", redis)
    assert await limiter.allow("create", "a") is None
    redis_server.stop()
    with pytest.raises(LimiterUnavailable):
        await limiter.allow("create", "a")
    redis_server.start()
    clock.now_s += 2.1
    assert await allowed(limiter, "create", "a", 3) == 2


async def test_what_is_told_of_redis_holds_no_password() -> None:
    redis = connect("redis://user:correct-horse@127.0.0.1:1/0")
    assert redis is not None
    async with redis:
        with pytest.raises(LimiterUnavailable) as problem:
            await Limiter("1/minute", "off", redis).allow("create", "a")
    assert "correct-horse" not in f"{problem.value}{problem.value!r}"
    assert "127.0.0.1" not in str(problem.value)
