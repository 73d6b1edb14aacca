#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A simulated room in a frame, as a page on another port has it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import ConsoleMessage, Frame, Page
from support.watched import WatchedSimulator
from tavus_sim import SimRequest, SimServer

_PAGE = Path(__file__).with_name("room_parent.html")
PERSONA = "pcb7a34da5fe"


@asynccontextmanager
async def parent_page() -> AsyncIterator[str]:
    """The URL of the page in room_parent.html."""

    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(_PAGE)

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


class FramedRoom:
    """One conversation and the page that shows its room.

    Args:
        page: an empty page.
        parent_url: of ``parent_page``.
        server: the simulator.
        wish: the body of the create request.
    """

    def __init__(
        self, page: Page, parent_url: str, server: SimServer, **wish: Any
    ) -> None:
        self.page = page
        self._parent_url = parent_url
        self.simulator = server.simulator
        body = {
            "persona_id": PERSONA,
            "custom_greeting": "Hello.",
            "properties": {"participant_left_timeout": 60},
            **wish,
        }
        request = SimRequest.of("POST", "/v2/conversations", body)
        self.created: dict[str, Any] = self.simulator.handle(request).json()
        self.id: str = self.created["conversation_id"]
        self.url: str = self.created["conversation_url"]
        self.warnings: list[str] = []
        page.on("console", self._warned)

    async def enter(self, query: str = "", *, greets: bool = True) -> None:
        """Show the room in the page's frame.

        Args:
            query: of the room's URL.
            greets: whether the page says hello when the frame has loaded.
        """
        await self.page.goto(self._parent_url)
        await self.page.evaluate(
            "([url, greets]) => enter(url, greets)", [self.url + query, greets]
        )

    @property
    def frame(self) -> Frame:
        """The room itself."""
        return self.page.frames[1]

    async def heard(self, type_: str) -> dict[str, Any]:
        """Wait for the first message of a type from the room."""
        found = await self.page.wait_for_function(
            "type => heard.find((one) => one.type === type)", arg=type_
        )
        return await found.json_value()

    async def app_message(self, event_type: str, count: int = 1) -> Any:
        """Wait for the n-th app message of a type from the room."""
        found = await self.page.wait_for_function(
            "([type, count]) => appMessages(type)[count - 1]",
            arg=[event_type, count],
        )
        return await found.json_value()

    async def app_messages(self) -> list[dict[str, Any]]:
        """The app messages so far, oldest first."""
        return await self.page.evaluate("appMessages()")

    async def tell(self, type_: str, **content: Any) -> None:
        """Post a message into the room."""
        await self.page.evaluate(
            "([type, content]) => tell(type, content)", [type_, content]
        )

    async def send(self, event_type: str, **properties: Any) -> None:
        """Send an app message into the room, as a client of Daily does."""
        message: dict[str, Any] = {
            "message_type": "conversation",
            "event_type": f"conversation.{event_type}",
            "conversation_id": self.id,
        }
        if properties:
            message["properties"] = properties
        await self.tell("app-message", message=message)

    def everything(self) -> dict[str, Any]:
        """What the simulator knows of the conversation."""
        path = f"/sim/conversations/{self.id}"
        return self.simulator.handle(SimRequest.of("GET", path)).json()

    async def is_empty(self) -> None:
        """Wait until the simulator has seen everybody go."""
        assert isinstance(self.simulator, WatchedSimulator)
        conversation = self.simulator.conversation(self.id)
        await self.simulator.until(lambda: conversation.participants == 0)

    def _warned(self, message: ConsoleMessage) -> None:
        if message.type in ("warning", "error"):
            self.warnings.append(message.text)
