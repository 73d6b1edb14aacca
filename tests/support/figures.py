#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What a first visit of the page costs, as Chromium measures it."""

from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser
from support.visit import visit

# Lighthouse's "mobile": slow 4G, and a phone a quarter as fast.
_SLOW_NETWORK = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_600_000 / 8,
    "uploadThroughput": 750_000 / 8,
}
_SLOW_CPU = 4
_OBSERVE = """
window.figures = {};
new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
        window.figures[entry.name] = entry.startTime;
}).observe({ type: "paint", buffered: true });
new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
        window.figures["largest-contentful-paint"] = entry.startTime;
}).observe({ type: "largest-contentful-paint", buffered: true });
"""


@dataclass(frozen=True)
class Load:
    """One request of a page.

    Args:
        path: What was asked for.
        wire_bytes: Its answer as it came, headers included.
    """

    path: str
    wire_bytes: int


@dataclass(frozen=True)
class Figures:
    """One visit, from the first byte to the end of a call.

    Args:
        loads: What was fetched until Start could be pressed.
        first_paint_ms: First contentful paint, after navigation.
        largest_paint_ms: Largest contentful paint until Start was pressed.
        start_ms: From pressing Start until the face was there.
        layout_shift: Of the whole visit, 0 is none.
    """

    loads: list[Load]
    first_paint_ms: float
    largest_paint_ms: float
    start_ms: float
    layout_shift: float

    @property
    def wire_bytes(self) -> int:
        """All of the first load."""
        return sum(load.wire_bytes for load in self.loads)


async def measure(
    browser: Browser, url: str, *, slow: bool = False, **options: Any
) -> Figures:
    """Visits as somebody who was never there, calls, and ends the call.

    Args:
        browser: Chromium.
        url: Where the page is.
        slow: As a phone far away would, by Lighthouse's measure.
        options: Of the browser's context.
    """
    async with visit(browser, url, **options) as tab:
        paths: dict[str, str] = {}
        loads: list[Load] = []
        network = await tab.page.context.new_cdp_session(tab.page)

        def asked(event: dict[str, Any]) -> None:
            address = event["request"]["url"]
            paths[event["requestId"]] = address.removeprefix(url)

        def loaded(event: dict[str, Any]) -> None:
            path = paths[event["requestId"]]
            loads.append(Load(path, int(event["encodedDataLength"])))

        network.on("Network.requestWillBeSent", asked)
        network.on("Network.loadingFinished", loaded)
        await network.send("Network.enable")
        if slow:
            await network.send(
                "Network.emulateNetworkConditions", _SLOW_NETWORK
            )
            await network.send(
                "Emulation.setCPUThrottlingRate", {"rate": _SLOW_CPU}
            )
        await tab.page.add_init_script(_OBSERVE)
        await tab.page.goto(url, wait_until="networkidle")
        await tab.sees("idle")
        first = list(loads)
        paints = await tab.page.evaluate("() => window.figures")
        began = await tab.page.evaluate("() => performance.now()")
        await tab.starts()
        await tab.sees("live")
        start_ms = await tab.page.evaluate("() => performance.now()") - began
        await tab.part("leave").click()
        await tab.sees("ended")
        return Figures(
            first,
            paints["first-contentful-paint"],
            paints["largest-contentful-paint"],
            start_ms,
            await tab.shifts(),
        )
