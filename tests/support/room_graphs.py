#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The HTTP side with rooms of LiveKit, whose graphs do as the test says."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from support.http_node import UNLIMITED, Browser, Inbox
from support.http_serving import ScriptedGraph
from support.livekit import LiveKitServer

from ten_packages.extension.tavus_http_python.config import HttpConfig
from ten_packages.extension.tavus_http_python.livekit_rooms import Patience
from ten_packages.extension.tavus_http_python.page import load_page
from ten_packages.extension.tavus_http_python.room_graphs import RoomTemplate
from ten_packages.extension.tavus_http_python.server import listen
from ten_packages.extension.tavus_http_python.service import HttpService

START = "/api/tavus/livekit/start"
TEMPLATE = {
    "nodes": [
        {"type": "extension", "addon": "a", **node}
        for node in (
            {"name": "rtc", "property": {"room": ""}},
            {"name": "tavus", "property": {"channel": "", "api_key": "k"}},
            {"name": "vad"},
        )
    ],
    "connections": [],
}
HASTE = Patience(leave_grace_s=0.5, join_s=1.0, poll_s=0.1, start_s=1.0)


class ScriptedRoomGraphs:
    """Notes what is started and stopped; may fail, or take its time."""

    def __init__(self) -> None:
        self.heard = Inbox()
        self.running: set[str] = set()
        self.refusal: Exception | None = None
        self.stop_refusals: list[Exception] = []
        self.may_start = asyncio.Event()
        self.may_start.set()

    async def start(self, graph: str) -> str:
        self.heard.add(("start", json.loads(graph)))
        await self.may_start.wait()
        if self.refusal:
            raise self.refusal
        graph_id = f"g{len(self.heard.messages)}"
        self.running.add(graph_id)
        return graph_id

    async def stop(self, graph_id: str) -> None:
        if self.stop_refusals:
            self.heard.add(("refused", {"graph_id": graph_id}))
            raise self.stop_refusals.pop(0)
        self.running.remove(graph_id)
        self.heard.add(("stop", {"graph_id": graph_id}))

    async def stopped(self, count: int = 1) -> None:
        """Waits until so many have been stopped."""
        await self.heard.get("stop", count)


@contextlib.asynccontextmanager
async def serving_rooms(
    server: LiveKitServer,
    graphs: ScriptedRoomGraphs,
    log: list[str] | None = None,
    patience: Patience = HASTE,
    **properties: Any,
) -> AsyncIterator[tuple[HttpService, Browser]]:
    """A running service with rooms on that server, and a client of it."""
    lines = [] if log is None else log
    config = HttpConfig.load(
        {
            **UNLIMITED,
            "port": 0,
            "livekit_url": server.url,
            "livekit_api_key": server.api_key,
            "livekit_api_secret": server.api_secret,
            "livekit_graph": "graphs/room.json",
            **properties,
        }
    )
    service = HttpService(
        ScriptedGraph(),
        await listen(config.host, config.port),
        config,
        await load_page(config.page_dir),
        graphs,
        RoomTemplate(TEMPLATE),
        patience=patience,
        warn=lines.append,
        complain=lines.append,
    )
    await service.start()
    async with Browser(service.url) as browser:
        try:
            yield service, browser
        finally:
            await service.stop()


async def start(browser: Browser, **body: Any) -> dict[str, Any]:
    """Starts a room; the data of the answer."""
    status, reply = await browser.ask("POST", START, json=body)
    assert status == 200, reply
    return reply["data"]
