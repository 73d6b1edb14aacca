#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The HTTP side without TEN, before a graph that does as the test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from support.http_node import UNLIMITED, Browser, Inbox

from ten_packages.extension.tavus_http_python.config import HttpConfig
from ten_packages.extension.tavus_http_python.graph import GraphError
from ten_packages.extension.tavus_http_python.page import load_page
from ten_packages.extension.tavus_http_python.server import listen
from ten_packages.extension.tavus_http_python.service import HttpService

CREATE = "/api/tavus/conversation/create"
CREATED = "tavus_conversation_created"
ENDED = "tavus_conversation_ended"


class ScriptedGraph:
    """A graph that notes what it hears, and may fail or never answer.

    Every start without a ``face_id`` makes another conversation: c1, c2 and
    so on; with one, that is the id.
    """

    def __init__(self) -> None:
        self.heard = Inbox()
        self.silent = False
        self.broken = False
        self.refusal: GraphError | None = None
        self.released = asyncio.Event()
        self._made = 0

    async def _answer(self, name: str, **content: Any) -> None:
        self.heard.add((name, content))
        if self.broken:
            raise RuntimeError("a bug")
        if self.refusal:
            raise self.refusal
        if self.silent:
            await self.released.wait()

    async def start(self, options: Mapping[str, str]) -> dict[str, Any]:
        await self._answer("start", **options)
        self._made += 1
        made = options.get("face_id") or f"c{self._made}"
        return {
            "conversation_id": made,
            "conversation_url": f"https://x/{made}",
        }

    async def end(self, conversation_id: str) -> None:
        await self._answer("end", conversation_id=conversation_id)

    async def give_back(self, conversation_id: str) -> bool:
        await self._answer("give_back", conversation_id=conversation_id)
        return True

    async def joined(self, user_id: str, channel: str) -> None:
        await self._answer("joined", user_id=user_id, channel=channel)

    async def left(self, user_id: str, channel: str) -> None:
        await self._answer("left", user_id=user_id, channel=channel)

    async def event(self, content: Mapping[str, str]) -> None:
        await self._answer("event", **content)


async def make_service(
    graph: ScriptedGraph,
    log: list[str] | None = None,
    properties: Mapping[str, Any] | None = None,
) -> HttpService:
    """A service that has not started; without limits, where none are set."""
    lines = [] if log is None else log
    config = HttpConfig.load({**UNLIMITED, "port": 0, **(properties or {})})
    return HttpService(
        graph,
        await listen(config.host, config.port),
        config,
        await load_page(config.page_dir),
        warn=lines.append,
        complain=lines.append,
    )


@contextlib.asynccontextmanager
async def serving(
    graph: ScriptedGraph | None = None,
    log: list[str] | None = None,
    **properties: Any,
) -> AsyncIterator[tuple[HttpService, Browser]]:
    """A running service, and a client of it."""
    service = await make_service(graph or ScriptedGraph(), log, properties)
    await service.start()
    async with Browser(service.url) as browser:
        try:
            yield service, browser
        finally:
            await service.stop()


def conversation(
    user_id: str, conversation_id: str = "c1", **more: Any
) -> dict[str, Any]:
    """What tavus_python says of a conversation that runs."""
    url = f"https://x/{conversation_id}"
    return {
        "conversation_id": conversation_id,
        "conversation_url": url,
        "join_url": f"{url}?t=secret",
        "transport": "daily",
        "remote_user_id": user_id,
        "channel": "",
        **more,
    }


def ended(
    user_id: str, conversation_id: str = "c1", reason: str = "user_left"
) -> dict[str, Any]:
    """What tavus_python says of a conversation that is over."""
    return {
        "conversation_id": conversation_id,
        "reason": reason,
        "duration_ms": 1500,
        "remote_user_id": user_id,
        "channel": "",
    }
