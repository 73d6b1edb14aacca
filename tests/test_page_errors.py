#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The page in a browser: a card for every kind of error, and a way on."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Route, expect
from support.app import App, running
from support.browser import chromium
from support.example import needs_page, needs_setup
from support.http_node import free_port
from support.places import ROOT
from support.visit import STATE_MS, Tab, visit
from support.wire import Wire

pytest_plugins = ["support.app_fixtures"]
pytestmark = [
    needs_setup,
    needs_page,
    pytest.mark.asyncio(loop_scope="session"),
]

ADVICE = (ROOT / "web" / "src" / "errors.ts").read_text(encoding="utf-8")
TITLES = dict(re.findall(r'^  (\w+): \{\n    title: "(.+)",$', ADVICE, re.M))
TOKEN = "a-token-for-people-0123456789"


async def sees_card(tab: Tab, kind: str) -> None:
    """Waits for the card of a kind; its heading has the focus."""
    card = tab.part("card-error")
    await expect(card).to_have_attribute("data-kind", kind, timeout=STATE_MS)
    heading = card.get_by_role("heading")
    await expect(heading).to_have_text(TITLES.get(kind, TITLES["unknown"]))
    inside = "(card) => card.contains(document.activeElement)"
    assert await card.evaluate(inside)
    await tab.sees("failed")


async def fails_to_start(tab: Tab, kind: str) -> None:
    """Opens the page, presses Start, and gets a card."""
    await tab.open()
    await tab.part("start").click()
    await sees_card(tab, kind)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("auth", {"kind": "status", "status": 401}),
        ("credits", {"kind": "status", "status": 402}),
        (
            "concurrency",
            {
                "kind": "status",
                "status": 400,
                "body": {
                    "message": "User has reached maximum concurrent "
                    "conversations"
                },
            },
        ),
        (
            "rate_limited",
            {"kind": "status", "status": 429, "retry_after_s": 30},
        ),
        ("server", {"kind": "error_before", "status": 503}),
        ("protocol", {"kind": "page_before"}),
        ("timeout", {"kind": "hang_before"}),
        (
            "validation",
            {
                "kind": "status",
                "status": 422,
                "body": {"message": "persona_id is not valid"},
            },
        ),
    ],
)
async def test_what_tavus_refuses_is_explained_and_can_be_tried_again(
    app: App, browser: Browser, kind: str, fault: dict[str, Any]
) -> None:
    app.simulator.add_fault("create", **fault)
    async with visit(browser, app.url) as tab:
        await fails_to_start(tab, kind)
        app.simulator.clear_faults()
        await tab.part("card-error").get_by_role("button").first.click()
        await tab.sees("live")


async def test_tavus_out_of_reach_is_explained(
    app: App, browser: Browser
) -> None:
    async with visit(browser, app.url) as tab:
        await app.tavus.cut()
        await fails_to_start(tab, "network")
        await app.tavus.mend()


async def test_the_server_out_of_reach_is_explained(
    app: App, browser: Browser
) -> None:
    port = int(app.url.rsplit(":", 1)[1])
    async with Wire(port) as wire, visit(browser, wire.url) as tab:
        await tab.open()
        await tab.sees("idle")
        await wire.cut()
        await tab.part("start").click()
        await sees_card(tab, "offline")
        await wire.mend()
        await tab.part("card-error").get_by_role("button").first.click()
        await tab.sees("live")


async def test_an_app_that_is_not_set_up_is_explained(
    tmp_path: Path, browser: Browser
) -> None:
    async with (
        running(tmp_path, stays=True, TAVUS_REPLICA_ID="not an id") as app,
        visit(browser, app.url) as tab,
    ):
        await fails_to_start(tab, "config")


async def test_too_many_starts_are_explained(
    tmp_path: Path, browser: Browser
) -> None:
    async with (
        running(tmp_path, TAVUS_HTTP_CREATE_LIMIT="1/minute") as app,
        visit(browser, app.url) as tab,
    ):
        await tab.calls()
        await tab.part("leave").click()
        await tab.sees("ended")
        await tab.part("start").click()
        await sees_card(tab, "too_many")
        await expect(tab.part("card-error")).to_contain_text(
            re.compile(r"in \d+ seconds?")
        )


async def test_a_full_app_is_explained(
    tmp_path: Path, browser: Browser
) -> None:
    async with (
        running(tmp_path, TAVUS_HTTP_MAX_ACTIVE="1") as app,
        visit(browser, app.url) as one,
        visit(browser, app.url) as two,
    ):
        await one.calls()
        await fails_to_start(two, "full")
        await one.part("leave").click()
        await one.sees("ended")
        await two.part("card-error").get_by_role("button").first.click()
        await two.sees("live")


async def test_a_counter_that_is_away_is_explained(
    tmp_path: Path, browser: Browser
) -> None:
    redis = f"redis://127.0.0.1:{free_port()}/0"
    async with (
        running(
            tmp_path,
            TAVUS_HTTP_REDIS_URL=redis,
            TAVUS_HTTP_CREATE_LIMIT="10/minute",
        ) as app,
        visit(browser, app.url) as tab,
    ):
        await fails_to_start(tab, "limiter")


async def test_the_page_asks_for_the_token(
    tmp_path: Path, browser: Browser
) -> None:
    async with (
        running(tmp_path, TAVUS_HTTP_TOKEN=TOKEN) as app,
        visit(browser, app.url) as tab,
    ):
        await tab.open()
        field = tab.page.get_by_label(re.compile("token", re.IGNORECASE))
        await field.fill("a-wrong-token-0123456789")
        await tab.part("start").click()
        await sees_card(tab, "unauthorized")
        # Another can be entered right there.
        await field.fill(TOKEN)
        await tab.part("retry").click()
        await tab.sees("live")
        # It is known for as long as the tab lives, and to nobody else.
        await tab.page.reload()
        await tab.sees("live")
        assert TOKEN not in tab.page.url
        assert TOKEN not in app.log


async def test_a_call_goes_on_without_a_microphone(app: App) -> None:
    async with (
        chromium(("--use-fake-ui-for-media-stream=deny",)) as deaf,
        visit(deaf, app.url) as tab,
    ):
        await tab.calls()
        await tab.part("mic").click()
        await expect(
            tab.page.get_by_text(TITLES["microphone_denied"])
        ).to_be_visible()
        await tab.sees("live")
        # The way out is not behind the card that tells of it.
        await tab.says("I can type")
        await tab.hears("I can type")
        await tab.part("write").click()
        await expect(tab.part("text")).to_be_focused()
        await tab.page.keyboard.type("Here as well")
        await tab.page.keyboard.press("Enter")
        await tab.hears("Here as well")


async def test_every_kind_of_error_has_a_card(
    app: App, browser: Browser
) -> None:
    answer: dict[str, Any] = {}

    async def refuse(route: Route) -> None:
        await route.fulfill(
            status=503, content_type="application/json", body=json.dumps(answer)
        )

    assert len(TITLES) > 20
    async with visit(browser, app.url) as tab:
        await tab.open()
        await tab.page.route("**/api/tavus/conversation/create", refuse)
        for kind in (*TITLES, "of_a_later_version"):
            answer = {
                "code": "1",
                "data": {"kind": kind, "detail": f"about {kind}"},
                "msg": "",
            }
            await tab.page.reload()
            await tab.part("start").click()
            await sees_card(tab, kind)
            card = tab.part("card-error")
            await expect(card).to_contain_text(f"about {kind}")
            await expect(card.get_by_role("button").first).to_be_enabled()
