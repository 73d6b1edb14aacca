#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The page in a browser: for every eye, ear and hand, and light to carry."""

from typing import Any

import pytest
from playwright.async_api import Browser, expect
from support.app import App
from support.example import needs_page, needs_setup
from support.figures import measure
from support.visit import visit

pytest_plugins = ["support.app_fixtures"]
pytestmark = [
    needs_setup,
    needs_page,
    pytest.mark.asyncio(loop_scope="session"),
]

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
NARROW = {"width": 300, "height": 568}
LANDSCAPE = {"width": 844, "height": 390}
LIMIT_BYTES = 250_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_axe_finds_nothing_in_any_state(
    app: App, browser: Browser, scheme: str, size: dict[str, int]
) -> None:
    found: dict[str, list[str]] = {}
    options: dict[str, Any] = {"color_scheme": scheme, "viewport": size}
    options["reduced_motion"] = "reduce"  # colours do not change under axe
    app.simulator.add_fault("create", "slow", delay_ms=1500, count=1)
    async with visit(browser, app.url, **options) as tab:
        await tab.open()
        await tab.sees("idle")
        found["idle"] = await tab.violations()
        await tab.page.get_by_text("Options").click()
        found["options"] = await tab.violations()
        await tab.part("start").click()
        await tab.sees("creating")
        found["creating"] = await tab.violations()
        await tab.sees("live")
        await tab.says("Hello")
        await tab.hears("Hello")
        found["live"] = await tab.violations()
        await tab.part("leave").click()
        await tab.sees("ended")
        found["ended"] = await tab.violations()
        app.simulator.add_fault("create", "status", status=402, count=1)
        await tab.part("start").click()
        await tab.sees("failed")
        found["failed"] = await tab.violations()
    assert {state: what for state, what in found.items() if what} == {}


@pytest.mark.parametrize("size", [NARROW, PHONE, LANDSCAPE, DESKTOP], ids=str)
async def test_nothing_is_wider_than_the_screen_or_too_small_to_touch(
    app: App, browser: Browser, size: dict[str, int]
) -> None:
    async with visit(browser, app.url, viewport=size) as tab:
        await tab.open()
        await tab.sees("idle")
        for state in ("idle", "live"):
            if state == "live":
                await tab.starts()
                await tab.sees("live")
            wide = await tab.page.evaluate(
                "document.documentElement.scrollWidth"
            )
            assert wide <= size["width"], state
            for button in await tab.page.get_by_role("button").all():
                box = await button.bounding_box()
                assert box is not None
                assert min(box["width"], box["height"]) >= 44, state
                # No word is cut off.
                assert await button.evaluate(
                    "(one) => one.scrollWidth <= one.clientWidth"
                ), await button.inner_text()


@pytest.mark.parametrize("size", [PHONE, LANDSCAPE, DESKTOP], ids=str)
async def test_who_is_in_a_call_can_leave_it_without_scrolling(
    app: App, browser: Browser, size: dict[str, int]
) -> None:
    async with visit(browser, app.url, viewport=size) as tab:
        await tab.open()
        box = await tab.part("start").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= size["height"]
        await tab.starts()
        await tab.sees("live")
        box = await tab.part("leave").bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= size["width"]
        assert box["y"] + box["height"] <= size["height"]


async def test_the_room_of_the_simulator_fits_into_a_narrow_phone(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url, viewport=NARROW) as tab:
        await tab.calls()
        room = tab.page.frame_locator("iframe")
        frame = await tab.page.locator("iframe").bounding_box()
        assert frame is not None
        for part in ("#send", "#say", "#caption"):
            await expect(room.locator(part)).to_be_visible()
            box = await room.locator(part).bounding_box()
            assert box is not None
            assert box["x"] >= frame["x"], part
            right = frame["x"] + frame["width"]
            assert box["x"] + box["width"] <= right, part
        assert await room.locator("#caption").evaluate(
            "(one) => one.scrollHeight <= one.clientHeight"
        )


async def test_the_page_is_light_and_keeps_still(
    app: App, browser: Browser
) -> None:
    figures = await measure(browser, app.url)
    assert figures.wire_bytes < LIMIT_BYTES, figures.loads
    assert figures.layout_shift == 0
    # Nothing comes from anywhere else, and no room's code before a room.
    assert all(load.path.startswith("/") for load in figures.loads)
    assert not any("daily" in load.path.lower() for load in figures.loads)
