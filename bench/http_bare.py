#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The bare aiohttp handler that bench/http_api.py measures beside the API.

It makes the same two calls and gives the same answers, with no limits, no
journal, no graph and no one who ends what is forgotten. Its event streams
are aiohttp's StreamResponse with a heartbeat.
"""

import argparse
import asyncio
import json
import secrets

import aiohttp
import uvloop
from aiohttp import web

KEY = "bench-key-0123456789"
REPLICA = "r9d30b0e55ac"
NAME = "bare"
HEARTBEAT_S = 15.0
# Tavus's own timers must not tidy up what is counted.
ABSENT_S = 86_400
LIMITS = {
    "max_call_duration": 3600,
    "participant_left_timeout": 30,
    "participant_absent_timeout": ABSENT_S,
}


class Handlers:
    """Creates, ends, and streams.

    Args:
        session: Has the key among its headers.
        base_url: Of Tavus.
    """

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._url = f"{base_url}/conversations"

    async def create(self, request: web.Request) -> web.Response:
        """The route of create."""
        wanted = await request.json()
        body = {
            "replica_id": REPLICA,
            "conversation_name": f"{NAME}-{secrets.token_hex(8)}",
            "properties": LIMITS,
        }
        async with self._session.post(self._url, json=body) as reply:
            made = await reply.json()
        return _answer(
            {
                "conversation_id": made["conversation_id"],
                "conversation_url": made["conversation_url"],
                "join_url": made["conversation_url"],
                "user_id": wanted["user_id"],
            }
        )

    async def end(self, request: web.Request) -> web.Response:
        """The route of end."""
        conversation_id = request.match_info["id"]
        url = f"{self._url}/{conversation_id}/end"
        async with self._session.post(url) as reply:
            await reply.read()
            reply.raise_for_status()
        return _answer({"conversation_id": conversation_id})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The route of the event stream."""
        stream = web.StreamResponse(
            headers={"Content-Type": "text/event-stream"}
        )
        await stream.prepare(request)
        chunk = b"retry: 1000\n\n"
        news: asyncio.Queue[bytes] = asyncio.Queue()
        while True:
            await stream.write(chunk)
            try:
                chunk = await asyncio.wait_for(news.get(), HEARTBEAT_S)
            except asyncio.TimeoutError:
                chunk = b": still here\n\n"


async def health(_: web.Request) -> web.Response:
    """The route that says that it is up."""
    return _answer({"status": "ok"})


def _answer(data: dict[str, str]) -> web.Response:
    return web.Response(
        text=json.dumps({"code": "0", "data": data, "msg": "ok"}),
        content_type="application/json",
    )


async def serve(base_url: str, port: int) -> None:
    """Answers until the process is terminated."""
    async with aiohttp.ClientSession(headers={"x-api-key": KEY}) as session:
        handlers = Handlers(session, base_url)
        app = web.Application()
        app.router.add_get("/health", health)
        app.router.add_get("/api/tavus/events", handlers.events)
        app.router.add_post("/api/tavus/conversation/create", handlers.create)
        app.router.add_delete("/api/tavus/conversation/{id}", handlers.end)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url")
    parser.add_argument("port", type=int)
    args = parser.parse_args()
    # As the TEN app has it.
    uvloop.install()
    asyncio.run(serve(args.base_url, args.port))
