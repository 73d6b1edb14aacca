#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Both extensions in one graph, with a simulated Tavus behind them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.http_node import UNLIMITED, Browser, TenRun
from support.watched import WatchedSimulator
from tavus_sim import Simulator, ThreadedSim

CREATED = "tavus_conversation_created"
ENDED = "tavus_conversation_ended"
KEY = "tvk-0123456789abcdef"
REPLICA = "r9d30b0e55ac"
SECRET = "a-secret-of-some-length"

pytestmark = pytest.mark.usefixtures("ten_app")


def graph_of(properties: dict[str, Any]) -> dict[str, Any]:
    """The graph of the example app; the test hears all data as well."""
    messages = [CREATED, ENDED, "tavus_event", "error"]
    return {
        "nodes": [
            {
                "type": "extension",
                "name": "test",
                "addon": "ten:test_extension",
            },
            {
                "type": "extension",
                "name": "http",
                "addon": "tavus_http_python",
                "property": {
                    **UNLIMITED,
                    "port": "PORT",
                    "webhook_secret": SECRET,
                },
            },
            {
                "type": "extension",
                "name": "tavus",
                "addon": "tavus_python",
                "property": properties,
            },
        ],
        "connections": [
            {
                "extension": "test",
                "cmd": [
                    {
                        "name": "are_you_there",
                        "dest": [{"extension": "http"}],
                    }
                ],
            },
            {
                "extension": "http",
                "cmd": [
                    {
                        "names": [
                            "start_conversation",
                            "end_conversation",
                            "on_user_joined",
                            "on_user_left",
                        ],
                        "dest": [{"extension": "tavus"}],
                    }
                ],
                "data": [
                    {"name": "tavus_event", "dest": [{"extension": "tavus"}]}
                ],
            },
            {
                "extension": "tavus",
                "data": [
                    {
                        "names": messages,
                        "dest": [{"extension": "http"}, {"extension": "test"}],
                    }
                ],
            },
        ],
    }


@asynccontextmanager
async def running(
    journal_dir: Path, simulator: Simulator, **properties: Any
) -> AsyncIterator[tuple[TenRun, Browser]]:
    settings = {
        "tavus_api_key": KEY,
        "replica_id": REPLICA,
        "journal_dir": str(journal_dir),
        "conversation_scope": "user",
        "leave_grace_ms": 0,
        "status_poll_s": 0,
        **properties,
    }
    with ThreadedSim(simulator) as sim:
        graph = graph_of({"base_url": sim.base_url, **settings})
        async with TenRun(graph=graph) as run, Browser(run.url) as browser:
            yield run, browser
        assert simulator.active == []


async def test_a_tab_gets_a_conversation_and_closing_it_ends_it(
    tmp_path: Path,
) -> None:
    simulator = Simulator()
    async with running(tmp_path, simulator) as (run, browser):
        events = await browser.listen("u1", channel="room")
        event = await events.next()
        assert event is not None
        name, call = event
        assert name == CREATED
        assert simulator.active == [call["conversation_id"]]
        assert call["conversation_url"].endswith(call["conversation_id"])
        assert (call["remote_user_id"], call["channel"]) == ("u1", "room")
        events.close()
        ended = await run.data.get(ENDED)
        assert ended["conversation_id"] == call["conversation_id"]
        assert ended["reason"] == "user_left"
        assert simulator.active == []


async def test_a_reload_within_the_grace_finds_the_same_conversation(
    tmp_path: Path,
) -> None:
    simulator = Simulator()
    async with running(tmp_path, simulator, leave_grace_ms=60_000) as (
        _,
        browser,
    ):
        first = await browser.listen("u1")
        before = await first.next()
        first.close()
        again = await browser.listen("u1")
        assert await again.next() == before
        assert simulator.ledger()["created"] == 1


async def test_two_users_get_a_conversation_each_and_no_others_url(
    tmp_path: Path,
) -> None:
    simulator = Simulator()
    async with running(tmp_path, simulator) as (run, browser):
        tabs = [await browser.listen(user) for user in ("u1", "u2")]
        seen = [await tab.next() for tab in tabs]
        assert [event and event[1]["remote_user_id"] for event in seen] == [
            "u1",
            "u2",
        ]
        assert len(simulator.active) == 2
        tabs[0].close()
        assert (await run.data.get(ENDED))["remote_user_id"] == "u1"
        tabs[1].close()
        assert (await run.data.get(ENDED, 2))["remote_user_id"] == "u2"


async def test_create_and_delete(tmp_path: Path) -> None:
    simulator = Simulator()
    async with running(tmp_path, simulator) as (_, browser):
        status, reply = await browser.create(
            user_id="u1", custom_greeting="Good morning", language="German"
        )
        made = reply["data"]
        assert (status, reply["code"]) == (200, "0")
        assert simulator.active == [made["conversation_id"]]
        asked = simulator.conversation(made["conversation_id"]).request
        assert asked["custom_greeting"] == "Good morning"
        assert asked["properties"]["language"] == "german"
        assert made["join_url"] == made["conversation_url"]
        events = await browser.listen(made["user_id"])
        event = await events.next()
        assert event is not None
        assert event[1]["conversation_id"] == made["conversation_id"]
        status, _ = await browser.end(made["conversation_id"])
        assert (status, simulator.active) == (200, [])
        event = await events.next()
        assert event is not None
        assert (event[0], event[1]["reason"]) == (ENDED, "end_conversation")
        status, reply = await browser.end(made["conversation_id"])
        assert (status, reply["code"]) == (404, "1002")


async def test_each_create_is_another_conversation(tmp_path: Path) -> None:
    simulator = Simulator()
    async with running(tmp_path, simulator) as (_, browser):
        replies = await asyncio.gather(*(browser.create() for _ in range(20)))
        ids = {reply["data"]["conversation_id"] for _, reply in replies}
        assert ids == set(simulator.active)
        assert len(ids) == 20


async def test_a_private_call_keeps_its_token_in_the_join_url(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, Simulator(), require_auth=True) as (
        _,
        browser,
    ):
        _, reply = await browser.create()
        made = reply["data"]
        assert made["join_url"].startswith(made["conversation_url"] + "?t=")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [(401, 502, "2001"), (402, 503, "2002"), (400, 422, "1001")],
)
async def test_what_tavus_refuses_is_told_to_the_client(
    tmp_path: Path, fault: int, status: int, code: str
) -> None:
    simulator = Simulator()
    async with running(tmp_path, simulator) as (_, browser):
        body = {"error": "no such thing as a lunch"}
        simulator.add_fault("create", "status", status=fault, body=body)
        said, reply = await browser.create()
        assert (said, reply["code"]) == (status, code)
        assert reply["data"]["detail"].startswith("no such thing as a lunch")
        assert KEY not in str(reply)


async def test_a_failed_join_is_told_to_its_tab(tmp_path: Path) -> None:
    simulator = Simulator()
    async with running(tmp_path, simulator) as (_, browser):
        simulator.set_credits_spent(True)
        events = await browser.listen("u1")
        event = await events.next()
        assert event is not None
        assert (event[0], event[1]["kind"]) == ("tavus_error", "credits")


async def test_a_client_that_goes_during_create_leaves_nothing(
    tmp_path: Path,
) -> None:
    simulator = WatchedSimulator(latency_ms=200)
    async with running(tmp_path, simulator) as (run, browser):
        asking = asyncio.create_task(browser.create())
        await simulator.until(lambda: simulator.active != [])
        asking.cancel()
        created = await run.data.get(CREATED)
        ended = await run.data.get(ENDED)
        assert ended["conversation_id"] == created["conversation_id"]
        assert ended["reason"] == "cancelled"
        assert simulator.active == []


async def test_stop_ends_what_all_tabs_have(tmp_path: Path) -> None:
    simulator = Simulator()
    async with running(tmp_path, simulator) as (run, browser):
        tabs = [await browser.listen(f"u{n}") for n in range(10)]
        for tab in tabs:
            await tab.next()
        assert len(simulator.active) == 10
        await run.stop()
        assert simulator.active == []


@pytest.mark.parametrize("newest_first", [False, True])
async def test_what_tavus_says_reaches_the_page_once_however_odd(
    tmp_path: Path, newest_first: bool
) -> None:
    simulator = Simulator(newest_events_first=newest_first)
    said: list[dict[str, Any]] = [
        {"event_type": "conversation.perception-analysis", "seq": 1},
        {"event_type": "conversation.objective.completed", "name": "book"},
        {"event_type": "system.wake_phrase_detected", "properties": None},
        *[
            {
                "event_type": "conversation.tool_call",
                "timestamp": 1746000000.5,
                **number,
                "properties": {"name": name, "arguments": arguments},
            }
            for number in ({"seq": 2}, {"seq": 3})
            for name, arguments in (
                ("book", {"n": float("nan")}),
                ("end", None),
            )
        ],
    ]

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    async with running(
        tmp_path,
        simulator,
        callback_url=f"http://127.0.0.1:PORT/api/tavus/webhook/{SECRET}",
        status_poll_s=0.1,
    ) as (_, browser):
        _, reply = await browser.create(user_id="u1")
        ours = reply["data"]["conversation_id"]
        tab = await browser.listen("u1")
        assert (await tab.next() or ("",))[0] == CREATED
        for event in said:
            simulator.report(ours, event)
        simulator.shutdown(ours, "left")
        heard = []
        while (news := await tab.next()) and news[0] != ENDED:
            assert news[0] == "tavus_event"
            heard.append(json.loads(news[1]["event"], parse_constant=refuse))
        types = [event["event_type"] for event in heard]
        assert sorted(types) == [
            "conversation.objective.completed",
            "conversation.perception_analysis",
            *["conversation.tool_call"] * 4,
            "system.shutdown",
            "system.wake_phrase_detected",
        ]
        calls = [
            (event["seq"], event["properties"])
            for event in heard
            if event["event_type"] == "conversation.tool_call"
        ]
        for seq in (2, 3):
            assert (seq, {"name": "book", "arguments": {"n": None}}) in calls
            assert (seq, {"name": "end", "arguments": None}) in calls
