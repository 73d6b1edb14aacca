#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The page in a browser: what it says when something is lost, and a way on."""

import re

import pytest
from playwright.async_api import Browser, expect
from support.app import App
from support.example import needs_page, needs_setup
from support.visit import visit

pytest_plugins = ["support.app_fixtures"]
pytestmark = [
    needs_setup,
    needs_page,
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_an_end_that_tavus_does_not_confirm_is_told_of_within_seconds(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        conversation_id = await tab.calls()
        await app.tavus.cut()
        await tab.part("leave").click()
        await tab.reads("reason", "Tavus is out of reach")
        card = tab.part("card-error")
        await expect(card).to_have_attribute(
            "data-kind", "not_ended", timeout=15_000
        )
        await tab.reads("card-error", "The server goes on trying")
        # Another start is refused at once, and says why.
        await tab.part("retry").click()
        await expect(card).to_have_attribute("data-kind", "network")
        await app.tavus.mend()
        await app.ended(conversation_id)
        await tab.part("retry").click()
        await tab.sees("live")


async def test_the_page_tells_when_a_late_end_is_confirmed(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        conversation_id = await tab.calls()
        await app.tavus.cut()
        await tab.part("leave").click()
        # Nobody has to wait for as long as the page would.
        await expect(tab.part("leave")).to_have_text(re.compile("wait$"))
        await tab.part("leave").click()
        await tab.sees("failed")
        await app.tavus.mend()
        await tab.sees("ended")
        assert (await app.ended(conversation_id))["ended_by"] == "client"


async def test_a_start_that_takes_long_can_be_cancelled_and_says_that_it_does(
    app: App, browser: Browser
) -> None:
    app.simulator.add_fault("create", "slow", delay_ms=10_000, count=1)
    before = app.simulator.ledger()["created"]
    async with visit(browser, app.url) as tab:
        await tab.open()
        await tab.page.clock.install()
        await tab.page.reload()
        await tab.part("start").click()
        await tab.sees("creating")
        await tab.page.clock.run_for(9_000)
        await tab.reads("reason", "It takes longer than usual")
        await tab.part("leave").click()
        await tab.page.clock.run_for(9_000)
        await expect(tab.part("card-error")).to_have_attribute(
            "data-kind", re.compile("given_up|cancelled")
        )
    await app.simulator.until(
        lambda: (
            app.simulator.ledger()["created"] == before
            or app.simulator.ledger()["active"] == 0
        )
    )


async def test_without_a_network_the_page_says_so_and_goes_on_after_it(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        await tab.calls()
        await tab.page.context.set_offline(True)
        await tab.reads("status", "You are offline")
        await tab.page.context.set_offline(False)
        await expect(tab.part("status")).to_have_text("Live")


async def test_an_end_without_a_network_is_known_as_soon_as_there_is_one(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        conversation_id = await tab.calls()
        await tab.page.context.set_offline(True)
        await tab.part("leave").click()
        await expect(tab.part("card-error")).to_have_attribute(
            "data-kind", "not_asked"
        )
        await tab.page.context.set_offline(False)
        await tab.sees("ended")
        await app.ended(conversation_id)


async def test_a_room_that_breaks_off_says_what_is_lost(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        conversation_id = await tab.calls()
        room = tab.page.frame_locator("iframe").locator("body")
        await room.evaluate(
            """() => parent.postMessage(
                {tavus_room: 1, type: "error", kind: "network", detail: ""},
                "*")"""
        )
        await expect(tab.part("card-error")).to_have_attribute(
            "data-kind", "room_network"
        )
        await app.ended(conversation_id)


async def test_a_reload_keeps_the_words_and_the_time_of_a_call(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        conversation_id = await tab.calls()
        await tab.says("Remember this")
        await tab.hears("Remember this")
        await expect(tab.page.get_by_role("timer")).to_have_text(
            re.compile(r"0:0[3-9]|0:[1-5]\d")
        )
        seconds = await tab.seconds()
        await tab.page.reload()
        await tab.sees("live")
        await tab.hears("Remember this")
        assert await tab.seconds() >= seconds
        # Another tab has not heard it, but the bill is the same.
        second = await tab.page.context.new_page()
        await second.goto(app.url)
        timer = second.get_by_role("timer")
        await expect(timer).to_have_text(re.compile(r"0:0[3-9]|0:[1-5]\d"))
        await tab.part("leave").click()
        await tab.sees("ended")
        await app.ended(conversation_id)


async def test_the_camera_says_what_a_press_does(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        await tab.calls()
        camera = tab.part("camera")
        await expect(camera).to_have_text("Start camera")
        await camera.click()
        await expect(camera).to_have_text("Stop camera")


async def test_a_greeting_that_is_too_long_is_not_cut_in_silence(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        await tab.open()
        await tab.page.get_by_text("Options").click()
        field = tab.page.get_by_label("Greeting")
        await field.fill("x" * 4001)
        await expect(tab.part("count").first).to_have_text(
            "4,001 of 4,000 characters: 1 too many"
        )
        await tab.page.get_by_text("Options").click()
        await tab.part("start").click()
        await expect(field).to_be_visible()
        await tab.sees("idle")
        await field.fill("y" * 4000)
        conversation_id = await tab.starts()
        request = app.simulator.conversation(conversation_id).request
        assert request["custom_greeting"] == "y" * 4000


async def test_arabic_is_read_from_the_right(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        await tab.open()
        await tab.page.get_by_text("Options").click()
        greeting = tab.page.get_by_label("Greeting")
        await greeting.fill("مرحبا")
        direction = "(one) => getComputedStyle(one).direction"
        assert await greeting.evaluate(direction) == "rtl"
        await tab.starts()
        await tab.hears("مرحبا")
        line = tab.part("log").locator(".speech p").first
        assert await line.evaluate(direction) == "rtl"
        english = tab.part("log").locator(".event p").first
        assert await english.evaluate(direction) == "ltr"
