#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A person at the page: what can be pressed, and what can be seen."""

import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    expect,
)
from support.places import ROOT

STATE_MS = 20_000
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
# Chromium says the first of every answer that is not 2xx, expected ones too;
# livekit-client the others of its connections, when a tab goes and while they
# come up.
_NO_MATTER = re.compile(
    "Failed to load resource|error reading from signal stream"
    "|detected connection state mismatch"
    "|could not createOffer with closed peer connection"
    "|AudioContext was not allowed to start"
)


class Tab:
    """One tab of a browser, with the page open in it.

    Args:
        page: The tab.
        url: Where the app is.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        bad = message.type in ("error", "warning")
        # The simulator's room has tests of its own.
        ours = message.location["url"].startswith((self.url, "data:"))
        if bad and ours and not _NO_MATTER.search(message.text):
            self.complaints.append(message.text)

    def part(self, name: str) -> Locator:
        """What has a ``data-testid``."""
        return self.page.get_by_test_id(name)

    async def open(self) -> "Tab":
        """Goes to the page."""
        await self.page.goto(self.url)
        return self

    async def sees(self, state: str) -> None:
        """Waits until the page is in a state."""
        main = self.page.get_by_role("main")
        await expect(main).to_have_attribute(
            "data-state", state, timeout=STATE_MS
        )

    async def starts(self) -> str:
        """Presses Start; the id of the conversation it gets."""
        async with self.page.expect_response(
            "**/api/tavus/conversation/create", timeout=STATE_MS
        ) as answer:
            await self.part("start").click()
        content = await (await answer.value).json()
        assert content["code"] == "0", content
        return content["data"]["conversation_id"]

    async def calls(self) -> str:
        """Opens the page, starts, and waits for the face."""
        await self.open()
        conversation_id = await self.starts()
        await self.sees("live")
        return conversation_id

    async def hears(self, text: str) -> None:
        """Waits until a line of the log has that text."""
        await expect(self.part("log")).to_contain_text(text, timeout=STATE_MS)

    async def reads(self, part: str, text: str | re.Pattern[str]) -> None:
        """Waits until a part of the page has that text."""
        await expect(self.part(part)).to_contain_text(text, timeout=STATE_MS)

    async def seconds(self) -> int:
        """What the clock of the call shows."""
        shown = await self.page.get_by_role("timer").inner_text()
        minutes, seconds = shown.split(":")
        return int(minutes) * 60 + int(seconds)

    async def says(self, text: str) -> None:
        """Types into the room of the simulator."""
        room = self.page.frame_locator("iframe")
        await room.get_by_role("textbox").fill(text)
        await room.get_by_role("textbox").press("Enter")

    async def shifts(self) -> float:
        """The layout shift so far; 0 is none."""
        return await self.page.evaluate(
            """() => new Promise((resolve) => {
                let sum = 0;
                new PerformanceObserver((list) => {
                    for (const entry of list.getEntries()) sum += entry.value;
                }).observe({ type: "layout-shift", buffered: true });
                requestAnimationFrame(() =>
                    requestAnimationFrame(() => resolve(sum)));
            })"""
        )

    async def violations(self) -> list[str]:
        """What axe-core finds, one line each."""
        await self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: dict[str, Any] = await self.page.evaluate(
            "() => axe.run(document, {iframes: false})"
        )
        return [
            f"{one['id']}: {json.dumps([n['html'] for n in one['nodes']])}"
            for one in found["violations"]
        ]


T = TypeVar("T", bound=Tab)


@contextlib.asynccontextmanager
async def visit(
    browser: Browser, url: str, *, kind: type[T] = Tab, **options: Any
) -> AsyncIterator[T]:
    """A new person, with a new browser, who leaves at the end.

    Args:
        browser: The program.
        url: Where the app is.
        kind: What they can see and press.
        options: Of the browser's context.
    """
    context: BrowserContext = await browser.new_context(**options)
    tab = kind(await context.new_page(), url)
    try:
        yield tab
    finally:
        await context.close()
    assert not tab.complaints, tab.complaints
