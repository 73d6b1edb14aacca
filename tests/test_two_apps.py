#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Two whole apps, one Tavus account, one Redis: one cap for both."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from support.example import Example, account, needs_setup
from support.http_node import Browser
from support.redis_server import RedisServer
from support.watched import WatchedSimulator
from tavus_sim import ThreadedSim

CAP = 3
USERS = 12

pytestmark = needs_setup


@asynccontextmanager
async def two_apps(
    folder: Path, redis: RedisServer
) -> AsyncIterator[tuple[WatchedSimulator, list[Example], list[Browser]]]:
    """Two processes of the example, and a client of each."""
    async with AsyncExitStack() as stack:
        sim = stack.enter_context(ThreadedSim(WatchedSimulator()))
        assert isinstance(sim.simulator, WatchedSimulator)
        examples = [
            await stack.enter_async_context(
                Example(
                    folder,
                    **{
                        **account(sim),
                        "TAVUS_JOURNAL_DIR": str(folder / name),
                        "TAVUS_HTTP_MAX_ACTIVE": str(CAP),
                        "TAVUS_HTTP_REDIS_URL": redis.url,
                    },
                )
            )
            for name in ("one", "other")
        ]
        clients = [
            await stack.enter_async_context(Browser(await example.ready()))
            for example in examples
        ]
        yield sim.simulator, examples, clients


async def test_the_cap_holds_across_two_apps(tmp_path: Path) -> None:
    with RedisServer() as redis:
        async with two_apps(tmp_path, redis) as (simulator, _, clients):
            answers = await asyncio.gather(
                *(
                    clients[number % 2].create(user_id=f"user-{number}")
                    for number in range(USERS)
                )
            )
            kinds = Counter(
                reply["data"].get("kind", "made") for _, reply in answers
            )
            assert kinds == {"made": CAP, "full": USERS - CAP}
            assert simulator.ledger()["created"] == CAP
            # An end in one app makes room for the other.
            number, made = next(
                (number, reply["data"])
                for number, (status, reply) in enumerate(answers)
                if status == 200
            )
            path = f"/api/tavus/conversation/{made['conversation_id']}"
            status, _ = await clients[number % 2].ask(
                "DELETE", path, params={"user_id": made["user_id"]}
            )
            assert status == 200
            status, _ = await clients[1 - number % 2].create(user_id="next")
            assert status == 200
            status, _ = await clients[number % 2].create(user_id="one-more")
            assert status == 503
            assert len(simulator.active) == CAP


async def test_an_app_that_stops_leaves_its_places_to_the_other(
    tmp_path: Path,
) -> None:
    with RedisServer() as redis:
        async with two_apps(tmp_path, redis) as (simulator, examples, clients):
            for user in range(CAP):
                status, _ = await clients[0].create(user_id=f"user-{user}")
                assert status == 200
            status, reply = await clients[1].create(user_id="late")
            assert (status, reply["data"]["kind"]) == (503, "full")
            examples[0].process.terminate()
            await examples[0].ended()
            assert simulator.active == []
            status, _ = await clients[1].create(user_id="late")
            assert status == 200
