#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The page in a browser: calls, and every way in which one can end."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from support.app import App
from support.example import Example, needs_page, needs_setup
from support.visit import visit
from support.wire import Wire

pytest_plugins = ["support.app_fixtures"]
pytestmark = [
    needs_setup,
    needs_page,
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_one_command_and_one_press(
    tmp_path: Path, browser: Browser
) -> None:
    async with (
        Example(tmp_path) as example,
        visit(browser, await example.ready()) as tab,
    ):
        conversation_id = await tab.calls()
        await tab.hears("Face")
        room = await tab.page.locator("iframe").get_attribute("src")
        assert room is not None and room.endswith(f"/room/{conversation_id}")
        await tab.part("leave").click()
        await tab.sees("ended")
        sim = room.split("/room/")[0]
        answer = await tab.page.request.get(f"{sim}/sim/ledger")
        (entry,) = (await answer.json())["conversations"]
        assert entry["conversation_id"] == conversation_id
        assert (entry["status"], entry["ended_by"]) == ("ended", "client")


async def test_a_call_from_start_to_end(app: App, browser: Browser) -> None:
    async with visit(browser, app.url) as tab:
        await tab.open()
        await tab.sees("idle")
        await expect(tab.part("start")).to_have_text("Start conversation")
        conversation_id = await tab.starts()
        await tab.sees("live")
        await expect(tab.part("status")).not_to_be_empty()
        await expect(tab.part("log")).to_contain_text("Face")
        await tab.says("What a nice day")
        await tab.hears("What a nice day")
        await tab.part("leave").click()
        await tab.sees("ended")
        await expect(tab.part("card-ended")).to_be_visible()
        entry = await app.ended(conversation_id)
        assert entry["ended_by"] == "client"
        # And once more, from the same page.
        assert await tab.starts() != conversation_id
        await tab.sees("live")


async def test_the_options_reach_tavus(app: App, browser: Browser) -> None:
    async with visit(browser, app.url) as tab:
        await tab.open()
        await tab.page.get_by_text("Options").click()
        await tab.page.get_by_label("Language").select_option("french")
        await tab.page.get_by_label(re.compile("greeting", re.I)).fill("Salut")
        await tab.page.get_by_label(re.compile("know", re.I)).fill("Tea only")
        conversation_id = await tab.starts()
        request = app.simulator.conversation(conversation_id).request
        assert request["custom_greeting"] == "Salut"
        assert request["conversational_context"] == "Tea only"
        assert request["properties"]["language"] == "french"
        await tab.hears("Salut")


async def test_a_closed_tab_ends_its_call(app: App, browser: Browser) -> None:
    async with visit(browser, app.url) as tab:
        conversation_id = await tab.calls()
        await tab.page.close()
        entry = await app.ended(conversation_id)
        assert entry["ended_by"] == "client"


async def test_a_tab_that_closes_while_it_starts_leaves_nothing(
    app: App, browser: Browser
) -> None:
    before = app.simulator.ledger()["created"]
    app.simulator.add_fault("create", "slow", delay_ms=1500, count=1)
    async with visit(browser, app.url) as tab:
        await tab.open()
        await tab.part("start").click()
        await app.simulator.until(
            lambda: app.simulator.ledger()["created"] > before
        )
        newest = app.simulator.ledger()["conversations"][-1]
        await tab.sees("creating")
        await tab.page.close()
        entry = await app.ended(newest["conversation_id"])
        assert entry["ended_by"] == "client"


async def test_what_comes_after_cancel_is_ended(
    app: App, browser: Browser
) -> None:
    before = app.simulator.ledger()["created"]
    app.simulator.add_fault("create", "slow", delay_ms=1500, count=1)
    async with visit(browser, app.url) as tab:
        await tab.open()
        await tab.part("start").click()
        await app.simulator.until(
            lambda: app.simulator.ledger()["created"] > before
        )
        newest = app.simulator.ledger()["conversations"][-1]
        await tab.part("leave").click()
        entry = await app.ended(newest["conversation_id"])
        assert entry["ended_by"] == "client"
        await tab.sees("ended")


async def test_a_reload_keeps_the_call(app: App, browser: Browser) -> None:
    async with visit(browser, app.url) as tab:
        conversation_id = await tab.calls()
        await tab.page.reload()
        await tab.sees("live")
        frame = tab.page.locator("iframe")
        room = app.simulator.conversation(conversation_id).url
        assert room
        await expect(frame).to_have_attribute("src", re.compile(room))
        assert conversation_id in app.simulator.active
        await tab.part("leave").click()
        await tab.sees("ended")
        await app.ended(conversation_id)


async def test_two_people_have_a_call_each(app: App, browser: Browser) -> None:
    async with visit(browser, app.url) as one, visit(browser, app.url) as two:
        first, second = await one.calls(), await two.calls()
        assert first != second
        await one.part("leave").click()
        await one.sees("ended")
        await app.ended(first)
        # The other talks on.
        assert second in app.simulator.active
        await two.says("Still here")
        await two.hears("Still here")
        await two.sees("live")
        # Nobody ends, or sees, what is not his.
        path = f"{app.url}/api/tavus/conversation/{second}"
        for ask in (one.page.request.get, one.page.request.delete):
            assert (await ask(path)).status == 404
        assert second in app.simulator.active


async def test_a_second_tab_joins_the_call_of_the_first(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        conversation_id = await tab.calls()
        second = await tab.page.context.new_page()
        await second.goto(app.url)
        await expect(second.get_by_role("main")).to_have_attribute(
            "data-state", "live"
        )
        await tab.page.close()
        assert conversation_id in app.simulator.active
        await second.get_by_test_id("leave").click()
        await app.ended(conversation_id)


async def test_a_lost_event_stream_is_opened_again(
    app: App, browser: Browser
) -> None:
    port = int(app.url.rsplit(":", 1)[1])
    async with Wire(port) as wire, visit(browser, wire.url) as tab:
        conversation_id = await tab.calls()
        async with tab.page.expect_request("**/api/tavus/events*") as request:
            await wire.drop()
        asked = await request.value
        assert "last-event-id" in await asked.all_headers()
        # What happens now still reaches the page.
        app.simulator.shutdown(conversation_id, "max_call_duration reached")
        await tab.sees("ended")


async def test_a_stream_that_stays_away_ends_the_call(
    app: App, browser: Browser
) -> None:
    port = int(app.url.rsplit(":", 1)[1])
    async with Wire(port) as wire, visit(browser, wire.url) as tab:
        conversation_id = await tab.calls()
        await wire.cut()
        entry = await app.ended(conversation_id)
        assert entry["ended_by"] == "client"
        await wire.mend()
        await tab.sees("ended")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("max_call_duration reached", "longest|time limit|duration|as long"),
        ("participant_absent_timeout reached", "nobody|no one|joined"),
        ("internal error occurred at step x", "internal error"),
    ],
)
async def test_when_tavus_ends_the_call_the_page_says_why(
    app: App, browser: Browser, reason: str, words: str
) -> None:
    async with visit(browser, app.url) as tab:
        conversation_id = await tab.calls()
        app.simulator.shutdown(conversation_id, reason)
        await tab.sees("ended")
        await expect(tab.part("card-ended")).to_contain_text(
            re.compile(words, re.IGNORECASE)
        )


async def test_a_call_that_tavus_ends_at_once_is_ended(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        await tab.open()
        conversation_id = await tab.starts()
        app.simulator.shutdown(conversation_id)
        await tab.sees("ended")


async def test_microphone_and_camera_are_switched(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        await tab.calls()
        for name in ("mic", "camera"):
            button = tab.part(name)
            before = await button.get_attribute("data-off")
            told = await button.aria_snapshot()
            await button.click()
            await expect(button).not_to_have_attribute("data-off", before or "")
            assert await button.aria_snapshot() != told


async def test_everything_works_from_the_keyboard(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        await tab.open()
        await tab.sees("idle")
        keyboard = tab.page.keyboard
        for _ in range(10):
            await keyboard.press("Tab")
            if (
                await tab.page.evaluate("document.activeElement.dataset.testid")
                == "start"
            ):
                break
        await keyboard.press("Enter")
        await tab.sees("live")
        await tab.part("leave").focus()
        await keyboard.press("Enter")
        await tab.sees("ended")
        # The reader of a screen hears how it ended.
        inside = await tab.part("card-ended").evaluate(
            "(card) => card.contains(document.activeElement)"
        )
        assert inside
