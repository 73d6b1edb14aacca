#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What TavusClient costs beside bare aiohttp and the official clients.

Every client creates and ends conversations on one local server in a process
of its own. They take turns within each round, so whatever else the machine
does hits all of them alike. Prints medians; exits 1 if a pair of create and
end through TavusClient costs more than 1.15 times the bare one.

    python3 -m venv .venv-bench
    .venv-bench/bin/pip install -r bench/requirements.txt
    .venv-bench/bin/python bench/client.py [--rounds N]

``livekit-plugins-tavus`` never ends a conversation: its create is compared.
"""

import argparse
import asyncio
import contextlib
import gc
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".ten" / "app"))
sys.path.append(str(ROOT / "devkit"))

KEY = "bench-key"
LIMIT = 1.15
WARM_UP_ROUNDS = 200
CREATED = {
    "conversation_id": "ca4301628cb9",
    "conversation_name": "bench",
    "conversation_url": "https://tavus.daily.co/ca4301628cb9",
    "status": "active",
    "callback_url": "",
    "created_at": "2026-04-29T12:00:00Z",
}
BODY = {
    "persona_id": "p88964a7",
    "replica_id": "r9d30b0e55ac",
    "conversation_name": "bench",
    "properties": {"max_call_duration": 3600, "language": "english"},
}


@dataclass
class Contender:
    """A client under measurement; without ``end`` only its create counts."""

    name: str
    create: Callable[[], Awaitable[str]]
    end: Callable[[str], Awaitable[object]] | None
    create_us: list[float] = field(default_factory=list)
    end_us: list[float] = field(default_factory=list)

    async def take_turn(self) -> None:
        began = time.perf_counter()
        conversation_id = await self.create()
        created = time.perf_counter()
        self.create_us.append((created - began) * 1e6)
        if self.end:
            await self.end(conversation_id)
            self.end_us.append((time.perf_counter() - created) * 1e6)

    def pair_us(self) -> float:
        pairs = zip(self.create_us, self.end_us, strict=True)
        return statistics.median(create + end for create, end in pairs)


@contextlib.asynccontextmanager
async def bare_aiohttp(base_url: str) -> AsyncIterator[Contender]:
    url = f"{base_url}/conversations"
    async with aiohttp.ClientSession(headers={"x-api-key": KEY}) as session:

        async def create() -> str:
            async with session.post(url, json=BODY) as response:
                return (await response.json())["conversation_id"]

        async def end(conversation_id: str) -> None:
            async with session.post(f"{url}/{conversation_id}/end") as response:
                await response.read()

        yield Contender("bare aiohttp", create, end)


@contextlib.asynccontextmanager
async def ours(base_url: str) -> AsyncIterator[Contender]:
    module = importlib.import_module(
        "ten_packages.extension.tavus_python.tavus_client"
    )
    async with module.TavusClient(KEY, base_url) as client:

        async def create() -> str:
            return (await client.create_conversation(BODY)).conversation_id

        yield Contender("TavusClient (ours)", create, client.end_conversation)


@contextlib.asynccontextmanager
async def tavus_cli(base_url: str) -> AsyncIterator[Contender]:
    http = importlib.import_module("tavus_mcp.sdk.client.http")
    env = importlib.import_module("tavus_mcp.sdk.env")
    auth = importlib.import_module("tavus_mcp.sdk.auth.session")
    config = env.TavusConfig(
        public_api_base_url=base_url,
        portal_api_base_url=base_url,
        dev_portal_url=base_url,
        pal_maker_url=base_url,
    )
    session = auth.TavusSession(api_key=KEY, source="bench")
    async with http.TavusClient(config, session) as client:

        async def create() -> str:
            made = await client.conversations.create(BODY)
            return made["conversation_id"]

        yield Contender("tavus-cli", create, client.conversations.end)


@contextlib.asynccontextmanager
async def livekit(base_url: str) -> AsyncIterator[Contender]:
    api = importlib.import_module("livekit.plugins.tavus.api")
    async with aiohttp.ClientSession() as session:
        client = api.TavusAPI(KEY, base_url, session=session)

        async def create() -> str:
            return await client.create_conversation(
                face_id=BODY["replica_id"],
                pal_id=BODY["persona_id"],
                properties=BODY["properties"],
                extra_payload={"conversation_name": "bench"},
            )

        yield Contender("livekit-plugins-tavus", create, None)


@contextlib.contextmanager
def local_server():
    """The base URL of the server, which runs in another process."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


async def serve() -> None:
    """Answers as Tavus does, at once, until it is terminated."""
    created = json.dumps(CREATED).encode()

    async def create(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=created, content_type="application/json")

    async def end(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/v2/conversations", create)
    app.router.add_post("/v2/conversations/{id}/end", end)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v2", flush=True)
    await asyncio.Event().wait()


async def measure(base_url: str, rounds: int) -> list[Contender]:
    """Runs the rounds, with every client that is installed."""
    async with contextlib.AsyncExitStack() as stack:
        contenders = []
        for make in (bare_aiohttp, ours, tavus_cli, livekit):
            try:
                contender = await stack.enter_async_context(make(base_url))
            except ModuleNotFoundError as error:
                if make is ours:
                    raise
                print(f"left out: {make.__name__} ({error}); see --help")
            else:
                contenders.append(contender)
        for number in range(WARM_UP_ROUNDS + rounds):
            if number == WARM_UP_ROUNDS:
                gc.collect()
                for one in contenders:
                    one.create_us.clear()
                    one.end_us.clear()
            # Another one goes first each time.
            first = number % len(contenders)
            for one in contenders[first:] + contenders[:first]:
                await one.take_turn()
    return contenders


def report(contenders: list[Contender]) -> bool:
    """Prints the table; whether ours is within the limit."""
    bare, our = contenders[:2]
    bare_create_us = statistics.median(bare.create_us)
    print(f"{'median, microseconds':<24}{'create':>8}{'x':>6}", end="")
    print(f"{'create+end':>12}{'x':>6}")
    for one in contenders:
        create_us = statistics.median(one.create_us)
        line = f"{one.name:<24}{create_us:>8.0f}"
        line += f"{create_us / bare_create_us:>6.2f}"
        if one.end:
            pair_us = one.pair_us()
            line += f"{pair_us:>12.0f}{pair_us / bare.pair_us():>6.2f}"
        print(line)
    ratio = our.pair_us() / bare.pair_us()
    verdict = "ok" if ratio <= LIMIT else "TOO SLOW"
    print(f"create+end: {ratio:.3f} x bare aiohttp, at most {LIMIT}: {verdict}")
    return ratio <= LIMIT


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve())
    with local_server() as base_url:
        contenders = asyncio.run(measure(base_url, args.rounds))
    return 0 if report(contenders) else 1


if __name__ == "__main__":
    sys.exit(main())
