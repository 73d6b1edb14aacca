#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""One worker of bench/leaks.py: a process in which users come and go.

Started by leaks.py with its ``Work`` as JSON in the only argument. It prints
a line when it begins, stops when all users are gone or on SIGTERM, and prints
how many were served.
"""

import asyncio
import contextlib
import json
import logging
import random
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import checkout  # noqa: F401 pylint: disable=unused-import

KEY = "bench-key-0123456789"
REPLICA = "r9d30b0e55ac"
TIMEOUT_S = 1.0
# How long a user waits for the conversation, and how long it then lasts.
PATIENCE_S = 15.0
LONGEST_TALK_S = 1.0
# One in so many users stays until the worker stops.
STAYS = 10
STOP_S = 1.5
# Tavus's own timers must not tidy up what is counted here.
DAY_S = 86_400
# What a request of the plain clients raises; the last two for a body that
# is not the documented object.
FAILURES = (
    aiohttp.ClientError,
    asyncio.TimeoutError,
    ValueError,
    KeyError,
    TypeError,
)


@dataclass(frozen=True)
class Work:
    """What a worker is told.

    Attributes:
        client: A name in ``CLIENTS``.
        base_url: Of the simulator.
        journal_dir: For ours; the folder that the next worker shares.
        sessions: How many users come.
        ramp_s: In how many seconds they come.
        seed: Of how long each talks.
        nobody_leaves: All users stay until the worker stops or dies.
        key: The API key.
        disk_full: No file may grow, as on a full disk, until leaks.py lets
            them.
    """

    client: str
    base_url: str
    journal_dir: str
    sessions: int
    ramp_s: float
    seed: int
    nobody_leaves: bool = False
    key: str = KEY
    disk_full: bool = False

    def talk_s(self, number: int) -> float:
        """How long this user stays after being served."""
        if self.nobody_leaves or number % STAYS == 0:
            return DAY_S
        return random.Random(f"{self.seed} {number}").uniform(0, LONGEST_TALK_S)


async def ours(work: Work, stop: asyncio.Event) -> int:
    """The keeper that the extension runs, with its journal."""
    # pylint: disable=import-outside-toplevel
    from ten_packages.extension.tavus_python.config import (
        StartOptions,
        TavusConfig,
    )
    from ten_packages.extension.tavus_python.errors import TavusError
    from ten_packages.extension.tavus_python.events import Created, Event
    from ten_packages.extension.tavus_python.journal import Journal
    from ten_packages.extension.tavus_python.keeper import ConversationKeeper
    from ten_packages.extension.tavus_python.tavus_client import TavusClient

    config = TavusConfig.load(
        {
            "tavus_api_key": work.key,
            "base_url": work.base_url,
            "replica_id": REPLICA,
            "conversation_scope": "user",
            "journal_dir": work.journal_dir,
            "leave_grace_ms": 0,
            "request_timeout_s": TIMEOUT_S,
            "connect_timeout_s": TIMEOUT_S,
            "stop_timeout_ms": round(STOP_S * 1000),
            "participant_absent_timeout": DAY_S,
        }
    )
    log = logging.Logger("ours")
    log.addHandler(logging.NullHandler())
    served: dict[str, asyncio.Event] = {}

    async def hear(event: Event) -> None:
        if isinstance(event, Created):
            served[event.user_id].set()

    keeper = ConversationKeeper(
        config,
        TavusClient(
            work.key,
            config.base_url,
            timeout_s=config.request_timeout_s,
            connect_timeout_s=config.connect_timeout_s,
        ),
        Journal(config.journal_path(), log),
        hear,
        log,
    )

    async def visit(number: int) -> None:
        user = f"user-{number}"
        served[user] = asyncio.Event()
        # The join alone would do. The command, which gets in first, gives
        # the request a greeting by which the ledger can tell whose it is.
        options = StartOptions(custom_greeting=user, remote_user_id=user)
        asking = asyncio.create_task(keeper.start(options))
        keeper.user_joined(user, "bench")
        try:
            await asyncio.wait_for(served[user].wait(), PATIENCE_S)
            await asyncio.sleep(work.talk_s(number))
        finally:
            keeper.user_left(user)
            # A start that failed is tried again behind, for the join.
            asking.cancel()
            with contextlib.suppress(TavusError, asyncio.CancelledError):
                await asking

    print("up", flush=True)
    keeper.open()
    visits = await _come_and_go(work, visit, stop)
    await keeper.close()
    await _cancel(visits)
    return sum(event.is_set() for event in served.values())


class Plain:
    """What a careful person writes with aiohttp: errors raise, all has a
    timeout, and whatever happens meanwhile, the end is asked for.

    Args:
        work: Where and how many.
        attempts: How often a request is tried, unless its answer is of 200
            and no JSON. (livekit-plugins-tavus 1.8.9 does so, four times.)
    """

    def __init__(self, work: Work, attempts: int) -> None:
        self._work = work
        self._attempts = attempts
        self._url = f"{work.base_url}/conversations"

    async def run(self, stop: asyncio.Event) -> int:
        """Serves everybody; returns how many got a conversation."""
        served: set[int] = set()
        async with aiohttp.ClientSession(
            headers={"x-api-key": self._work.key},
            raise_for_status=True,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        ) as http:

            async def visit(number: int) -> None:
                made = await self._post(http, self._url, _body(number))
                conversation_id = made["conversation_id"]
                served.add(number)
                try:
                    await asyncio.sleep(self._work.talk_s(number))
                finally:
                    await self._post(http, f"{self._url}/{conversation_id}/end")

            print("up", flush=True)
            visits = await _come_and_go(self._work, visit, stop)
            await _cancel(visits)
        return len(served)

    async def _post(
        self, http: aiohttp.ClientSession, url: str, body: Any = None
    ) -> Any:
        attempt = 1
        while True:
            try:
                async with http.post(url, json=body) as reply:
                    return await reply.json() if body else await reply.read()
            except (aiohttp.ClientError, asyncio.TimeoutError):
                if attempt == self._attempts:
                    raise
            await asyncio.sleep(0.25)
            attempt += 1


def _body(number: int) -> dict[str, Any]:
    return {
        "replica_id": REPLICA,
        "conversation_name": "bench",
        "custom_greeting": f"user-{number}",
        "properties": {"participant_absent_timeout": DAY_S},
    }


async def naive(work: Work, stop: asyncio.Event) -> int:
    """Creates and ends, once each."""
    return await Plain(work, attempts=1).run(stop)


async def retrying(work: Work, stop: asyncio.Event) -> int:
    """Repeats each request that fails, up to three times."""
    return await Plain(work, attempts=4).run(stop)


CLIENTS = {"ours": ours, "naive": naive, "retrying": retrying}


async def _come_and_go(
    work: Work,
    visit: Callable[[int], Awaitable[None]],
    stop: asyncio.Event,
) -> set[asyncio.Task[None]]:
    """Lets users come until ``stop``, or until all have left who leave.

    Returns:
        The visits that last on.
    """

    async def come(number: int) -> None:
        await asyncio.sleep(work.ramp_s * number / work.sessions)
        # A user who gets nothing sees an error and goes.
        with contextlib.suppress(*FAILURES):
            await visit(number)

    visits = {
        number: asyncio.create_task(come(number))
        for number in range(work.sessions)
    }
    leaving = [t for n, t in visits.items() if work.talk_s(n) < DAY_S]

    async def stop_after_the_last() -> None:
        if leaving:
            await asyncio.wait(leaving)
            stop.set()

    watching = asyncio.create_task(stop_after_the_last())
    await stop.wait()
    watching.cancel()
    return {task for task in visits.values() if not task.done()}


async def _cancel(visits: set[asyncio.Task[None]]) -> None:
    for task in visits:
        task.cancel()
    if visits:
        await asyncio.wait(visits, timeout=STOP_S)


async def main() -> None:
    work = Work(**json.loads(sys.argv[1]))
    if work.disk_full:
        unlimited = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, unlimited))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    served = await CLIENTS[work.client](work, stop)
    print(json.dumps({"served": served}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
