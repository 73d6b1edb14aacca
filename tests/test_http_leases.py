#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The cap on active conversations, in one process and across several."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from support.redis_server import RedisServer

from ten_packages.extension.tavus_http_python.leases import Lease, Leases
from ten_packages.extension.tavus_http_python.redis_store import (
    LimiterUnavailable,
    connect,
)

KEY = "tavus_http:leases"
WAIT_S = 20.0


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


async def place(leases: Leases) -> Lease:
    lease = await leases.reserve()
    assert lease is not None
    return lease


async def free(leases: Leases, most: int = 50) -> int:
    """How many places there are still; takes none."""
    taken = []
    while len(taken) < most:
        lease = await leases.reserve()
        if lease is None:
            break
        taken.append(lease)
    for lease in taken:
        lease.give_back()
    return len(taken)


@asynccontextmanager
async def started(leases: Leases) -> AsyncIterator[Leases]:
    await leases.start()
    try:
        yield leases
    finally:
        await leases.stop()


async def leases_in(redis: Redis) -> int:
    return await redis.zcard(KEY)


async def until_there_are(redis: Redis, count: int) -> None:
    """Waits until Redis holds so many leases."""

    async def ask() -> None:
        while await leases_in(redis) != count:
            pass

    await asyncio.wait_for(ask(), WAIT_S)


async def pass_in_redis(redis: Redis, seconds: int) -> None:
    """Makes every lease so much older."""
    for lease in await redis.zrange(KEY, 0, -1):
        await redis.zincrby(KEY, -1000 * seconds, lease)


async def test_at_the_cap_there_is_no_place() -> None:
    leases = Leases(2)
    await place(leases)
    await place(leases)
    assert await leases.reserve() is None


async def test_a_place_is_free_again_when_the_conversation_ends() -> None:
    leases = Leases(1)
    (await place(leases)).bind("c1")
    assert await leases.reserve() is None
    leases.ended("c1")
    assert await free(leases) == 1


async def test_a_place_is_free_again_when_the_start_fails() -> None:
    leases = Leases(1)
    (await place(leases)).give_back()
    assert await free(leases) == 1


async def test_a_lease_is_settled_once() -> None:
    leases = Leases(5)
    lease = await place(leases)
    lease.bind("c1")
    lease.give_back()
    lease.bind("c2")
    assert leases.active == 1
    assert await free(leases) == 4


async def test_a_start_that_joins_what_runs_takes_no_place() -> None:
    leases = Leases(3)
    (await place(leases)).bind("c1")
    (await place(leases)).bind("c1")
    assert await free(leases) == 2
    leases.ended("c1")
    assert await free(leases) == 3


async def test_the_news_of_a_conversation_before_its_answer_counts_once() -> (
    None
):
    leases = Leases(3)
    lease = await place(leases)
    leases.count("c1")
    assert await free(leases) == 2
    lease.bind("c1")
    assert await free(leases) == 2


async def test_what_starts_by_itself_counts_though_there_is_no_place() -> None:
    leases = Leases(1)
    leases.count("c1")
    leases.count("c1")
    leases.count("c2")
    assert (leases.active, await leases.reserve()) == (2, None)
    leases.ended("c1")
    assert await leases.reserve() is None
    leases.ended("c2")
    assert await free(leases) == 1


async def test_what_starts_by_itself_while_another_starts_counts_too() -> None:
    leases = Leases(5)
    lease = await place(leases)
    leases.count("not of the lease")
    lease.bind("of the lease")
    assert (leases.active, await free(leases)) == (2, 3)


async def test_what_started_by_itself_stays_when_the_other_start_fails() -> (
    None
):
    leases = Leases(5)
    lease = await place(leases)
    leases.count("not of the lease")
    lease.give_back()
    assert (leases.active, await free(leases)) == (1, 4)


async def test_a_conversation_may_end_before_its_create_is_answered() -> None:
    leases = Leases(5)
    lease = await place(leases)
    leases.count("c1")
    leases.ended("c1")
    lease.give_back()
    assert (leases.active, await free(leases)) == (0, 5)


async def test_the_end_of_what_was_never_counted_means_nothing() -> None:
    leases = Leases(2)
    (await place(leases)).bind("c1")
    leases.ended("c2")
    assert await free(leases) == 1


async def test_without_a_cap_there_is_always_a_place() -> None:
    assert await free(Leases(0), most=1000) == 1000


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "bind", "give_back", "count", "ended"]),
        st.integers(0, 3),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(STEPS)
async def test_whatever_happens_each_conversation_has_its_place(
    steps: list[tuple[str, int]],
) -> None:
    leases = Leases(50)
    waiting: list[Lease] = []
    running: set[str] = set()
    for step, number in steps:
        name = f"c{number}"
        if step == "reserve":
            waiting.append(await place(leases))
        elif step == "count":
            leases.count(name)
            running.add(name)
        elif step == "ended":
            leases.ended(name)
            running.discard(name)
        elif waiting and step == "bind":
            waiting.pop().bind(name)
            running.add(name)
        elif waiting:
            waiting.pop().give_back()
        places = 50 - await free(leases)
        # One that was news before its answer may share the asker's place.
        assert max(len(running), len(waiting)) <= places
        assert places <= len(running) + len(waiting)
    for lease in waiting:
        lease.give_back()
    assert await free(leases) == 50 - len(running)


async def test_two_servers_share_the_cap(redis: Redis) -> None:
    async with (
        started(Leases(3, redis)) as ours,
        started(Leases(3, redis)) as theirs,
    ):
        (await place(ours)).bind("c1")
        (await place(theirs)).bind("c2")
        (await place(ours)).bind("c3")
        assert await theirs.reserve() is None
        ours.ended("c1")
        await until_there_are(redis, 2)
        assert await theirs.reserve() is not None


async def test_what_starts_by_itself_is_known_to_the_others(
    redis: Redis,
) -> None:
    async with (
        started(Leases(1, redis)) as ours,
        started(Leases(1, redis)) as theirs,
    ):
        ours.count("c1")
        await until_there_are(redis, 1)
        assert await theirs.reserve() is None


async def test_a_server_that_stops_frees_its_places(redis: Redis) -> None:
    async with started(Leases(2, redis)) as leases:
        await place(leases)
        await place(leases)
        assert await leases_in(redis) == 2
    assert await leases_in(redis) == 0


async def test_leases_are_renewed_as_long_as_they_are_held(
    redis: Redis,
) -> None:
    async with started(Leases(5, redis)) as leases:
        (await place(leases)).bind("c1")
        await pass_in_redis(redis, 25)
        leases.count("c2")  # any change renews all
        await until_there_are(redis, 2)
        await pass_in_redis(redis, 25)
        assert await free(leases) == 3


async def test_leases_are_renewed_in_time_without_any_change(
    redis: Redis,
) -> None:
    async with started(Leases(5, redis, renew_s=0.01)) as leases:
        await place(leases)
        lease = (await redis.zrange(KEY, 0, -1))[0]
        first = await redis.zscore(KEY, lease)
        assert first is not None

        async def renewed() -> None:
            while (await redis.zscore(KEY, lease) or first) == first:
                pass

        await asyncio.wait_for(renewed(), WAIT_S)


async def test_a_redis_that_lost_its_data_is_told_again(
    redis_server: RedisServer, redis: Redis
) -> None:
    async with started(Leases(5, redis, renew_s=0.01)) as leases:
        (await place(leases)).bind("c1")
        (await place(leases)).bind("c2")
        redis_server.stop()
        redis_server.start()
        await until_there_are(redis, 2)
        assert await free(leases) == 3


async def test_without_redis_there_is_no_place_and_the_log_says_so_once(
    redis_server: RedisServer, redis: Redis
) -> None:
    said: list[str] = []
    heard = asyncio.Event()

    def warn(text: str) -> None:
        said.append(text)
        heard.set()

    leases = Leases(5, redis, warn=warn)
    async with started(leases):
        redis_server.stop()
        for _ in range(2):
            with pytest.raises(LimiterUnavailable):
                await leases.reserve()
        await asyncio.wait_for(heard.wait(), WAIT_S)
        assert said == [
            "the limits that several servers share cannot be reached (Redis: "
            "ConnectionError); new conversations are refused"
        ]
    assert said[1:] == ["the leases are left to Redis, which drops them soon"]


async def test_a_place_that_redis_gave_too_late_is_given_back(
    redis_server: RedisServer, redis: Redis
) -> None:
    async with started(Leases(1, redis)) as leases:
        await redis.exists(KEY)
        redis_server.freeze()
        with pytest.raises(LimiterUnavailable):
            await leases.reserve()
        redis_server.thaw()
        await until_there_are(redis, 0)
        assert await leases.reserve() is not None


async def test_who_goes_while_it_waits_for_redis_leaves_nothing(
    redis: Redis,
) -> None:
    async with started(Leases(1, redis)) as leases:
        await redis.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
        asking = asyncio.create_task(leases.reserve())
        while not (await redis.info("clients"))["blocked_clients"]:
            pass
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await redis.execute_command("CLIENT", "UNPAUSE")
        await until_there_are(redis, 0)
        assert await leases.reserve() is not None


@asynccontextmanager
async def holder(url: str, cap: int, count: int) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "support.lease_holder",
        url,
        str(cap),
        str(count),
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert await line_of(process) == "ready"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_of(process: Process) -> str:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), WAIT_S)
    return line.decode().strip()


def go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")


async def test_a_storm_on_two_processes_stays_under_the_cap(
    redis_server: RedisServer, redis: Redis
) -> None:
    url = redis_server.url
    async with holder(url, 10, 200) as one, holder(url, 10, 200) as other:
        go(one)
        go(other)
        got = [int(await line_of(process)) for process in (one, other)]
        assert sum(got) == 10
        assert await leases_in(redis) == 10
        # One goes as a server does, which frees what it held at once.
        await one.communicate(b"\n")
        assert await leases_in(redis) == got[1]


async def test_the_places_of_a_killed_process_are_free_soon(
    redis_server: RedisServer, redis: Redis
) -> None:
    async with started(Leases(10, redis)) as leases:
        (await place(leases)).bind("c1")
        async with holder(redis_server.url, 10, 200) as killed:
            go(killed)
            assert await line_of(killed) == "9"
            killed.kill()
            await killed.wait()
        assert await leases.reserve() is None
        await pass_in_redis(redis, 25)
        leases.count("c2")  # renews ours, and nobody renews the others
        await until_there_are(redis, 11)
        await pass_in_redis(redis, 6)
        assert await free(leases) == 8
