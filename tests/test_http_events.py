#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Event streams: who is told what, and what the graph hears of it."""

import asyncio
import socket
from typing import Any

import pytest
from support.http_node import Browser, Refused, TenRun

from ten_packages.extension.tavus_http_python import (
    event_stream,
    listeners,
    presence,
)

CREATED = "tavus_conversation_created"
ENDED = "tavus_conversation_ended"

pytestmark = pytest.mark.usefixtures("ten_app")


def call(user_id: str, conversation_id: str = "c1") -> dict[str, str]:
    """What tavus_python says of a conversation that runs."""
    url = f"https://x/{conversation_id}"
    return {
        "conversation_id": conversation_id,
        "conversation_url": url,
        "join_url": f"{url}?t=secret",
        "transport": "daily",
        "remote_user_id": user_id,
        "channel": "",
    }


async def test_opening_joins_and_closing_leaves() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        events = await browser.listen("u1", channel="room 1")
        who = {"remote_user_id": "u1", "channel": "room 1"}
        assert await run.commands.get("on_user_joined") == who
        events.close()
        assert await run.commands.get("on_user_left") == who


async def test_two_tabs_of_a_user_join_once_and_leave_with_the_last() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        first = await browser.listen("u1", channel="a")
        second = await browser.listen("u1", channel="b")
        other = await browser.listen("u2")
        first.close()
        second.close()
        other.close()
        await run.commands.get("on_user_left", 2)
        said = [
            (name, who["remote_user_id"], who["channel"])
            for name, who in run.commands.messages
        ]
        assert said[:2] == [
            ("on_user_joined", "u1", "a"),
            ("on_user_joined", "u2", ""),
        ]
        assert sorted(said[2:]) == [
            ("on_user_left", "u1", "a"),
            ("on_user_left", "u2", ""),
        ]


async def test_joins_and_leaves_reach_the_graph_in_order() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        for _ in range(10):
            events = await browser.listen("u1")
            await run.commands.get("on_user_joined")
            events.close()
        # A new tab that is there before the old one is gone joins nothing.
        joined, left = "on_user_joined", "on_user_left"
        said = run.commands
        await said.until(
            lambda: len(said.named(left)) == len(said.named(joined))
        )
        assert [name for name, _ in said.messages] == [joined, left] * len(
            said.named(left)
        )


async def test_messages_of_the_graph_become_events() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        events = await browser.listen("u1")
        await run.commands.get("on_user_joined")
        reported = {**call("u1"), "event": '{"a": "ü\\n"}', "event_type": "x"}
        await run.send("tavus_event", **reported)
        await run.send("metrics", **call("u1"))
        await run.send("tavus_of_tomorrow", remote_user_id="", new=1)
        assert await events.next() == ("tavus_event", reported)
        assert await events.next() == (
            "tavus_of_tomorrow",
            {"remote_user_id": "", "new": 1},
        )


async def test_a_message_for_one_user_is_for_no_other() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        mine = await browser.listen("u1")
        theirs = await browser.listen("u2")
        await run.commands.get("on_user_joined", 2)
        await run.send(CREATED, **call("u1"))
        await run.send(CREATED, **call("", "c2"))
        first = await mine.next()
        assert first is not None and first[1]["conversation_id"] == "c1"
        assert await mine.next() == (CREATED, call("", "c2"))
        assert await theirs.next() == (CREATED, call("", "c2"))


async def test_errors_that_concern_users_become_tavus_error() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        mine = await browser.listen("u1")
        theirs = await browser.listen("u2")
        await run.commands.get("on_user_joined", 2)
        error = {"id": "1", "module": "avatar", "code": -1000}
        metadata = {
            "kind": "credits",
            "remote_user_id": "u1",
            "retrying": True,
        }
        disk = {"kind": "journal", "remote_user_id": ""}
        await run.send("error", **error, message="full", metadata=disk)
        await run.send("error", **error, message="none", metadata=metadata)
        await run.send("error", **error, message="all", metadata="odd")
        assert await mine.next() == (
            "tavus_error",
            {
                "kind": "credits",
                "detail": "none",
                "retrying": True,
                "remote_user_id": "u1",
            },
        )
        for events in (mine, theirs):
            assert await events.next() == (
                "tavus_error",
                {
                    "kind": "unknown",
                    "detail": "all",
                    "retrying": False,
                    "remote_user_id": "",
                },
            )


async def test_who_comes_back_hears_of_the_running_conversation() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        first = await browser.listen("u1")
        await run.commands.get("on_user_joined")
        await run.send(CREATED, **call("u1"))
        assert await first.next() == (CREATED, call("u1"))
        first.close()
        await run.commands.get("on_user_left")
        again = await browser.listen("u1")
        assert await again.next() == (CREATED, call("u1"))
        other = await browser.listen("u2")
        await run.send("tavus_event", event_type="x")
        assert await other.next() == ("tavus_event", {"event_type": "x"})


async def test_what_has_ended_is_not_replayed() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        events = await browser.listen("u1")
        await run.commands.get("on_user_joined")
        await run.send(CREATED, **call("u1", "c1"))
        await run.send(ENDED, **call("u1", "c1"))
        await run.send(CREATED, **call("u1", "c2"))
        # Late news of an older one does not touch the one that runs.
        await run.send(ENDED, **call("u1", "c1"))
        for name in (CREATED, ENDED, CREATED, ENDED):
            event = await events.next()
            assert event is not None and event[0] == name
        second = await browser.listen("u1")
        assert await second.next() == (CREATED, call("u1", "c2"))
        await run.send(ENDED, **call("u1", "c2"))
        assert await second.next() == (ENDED, call("u1", "c2"))
        third = await browser.listen("u1")
        await run.send("tavus_event", event_type="x")
        assert await third.next() == ("tavus_event", {"event_type": "x"})


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"user_id": ""}, "query.user_id: String should match"),
        ({"user_id": "x" * 129}, "query.user_id: String should match"),
        ({"user_id": "a\nb"}, "query.user_id: String should match"),
        ({"user_id": "ü"}, "query.user_id: String should match"),
        (
            {"user_id": "u1", "channel": "c" * 65},
            "query.channel: String should match",
        ),
    ],
)
async def test_an_odd_user_is_refused(
    query: dict[str, str], problem: str
) -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        status, reply = await browser.ask(
            "GET", "/api/tavus/events", params=query
        )
        assert (status, reply["code"]) == (422, "1001")
        assert reply["msg"].startswith(problem)
        assert run.commands.messages == []


async def test_a_silent_stream_shows_that_it_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_stream, "_HEARTBEAT_S", 0.01)
    async with TenRun() as run, Browser(run.url) as browser:
        events = await browser.listen("u1")
        lines = [await events.response.content.readline() for _ in range(5)]
        assert lines == [b"\n", *[b": still here\n", b"\n"] * 2]


async def test_a_listener_that_never_reads_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "_QUEUE_LENGTH", 4)
    loop = asyncio.get_running_loop()
    async with TenRun() as run, Browser(run.url) as browser:
        reader = await browser.listen("u2")
        await run.commands.get("on_user_joined")
        with socket.socket() as lazy:
            lazy.setblocking(False)
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(lazy, ("127.0.0.1", run.port))
            await loop.sock_sendall(
                lazy,
                b"GET /api/tavus/events?user_id=u1 HTTP/1.1\r\n"
                b"Host: localhost\r\n\r\n",
            )
            await run.commands.get("on_user_joined", 2)
            sent = 0
            while not run.commands.named("on_user_left"):
                assert sent < 200
                await run.send("tavus_event", event_type="x" * 200_000)
                await reader.next()
                sent += 1
        left = run.commands.named("on_user_left")
        assert [who["remote_user_id"] for who in left] == ["u1"]
        await run.send("tavus_event", event_type="y")
        assert await reader.next() == ("tavus_event", {"event_type": "y"})


async def test_who_joins_an_unwilling_graph_is_told() -> None:
    async def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refused({"detail": "Path timeout."})

    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["on_user_joined"] = refuse
        events = await browser.listen("u1")
        assert await events.next() == (
            "tavus_error",
            {
                "kind": "graph",
                "detail": "Path timeout.",
                "remote_user_id": "u1",
            },
        )


async def test_who_joins_a_silent_graph_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(_: dict[str, Any]) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(presence, "_TELL_TIMEOUT_S", 0.05)
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["on_user_joined"] = never
        events = await browser.listen("u1")
        assert await events.next() == (
            "tavus_error",
            {
                "kind": "timeout",
                "detail": "the graph does not answer",
                "remote_user_id": "u1",
            },
        )


@pytest.mark.parametrize("event", ["on_user_joined", "on_user_left"])
async def test_what_nobody_takes_is_repeated_until_somebody_does(
    monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    tries = 0

    async def refuse_twice(_: dict[str, Any]) -> dict[str, Any]:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise Refused({"detail": "not now"})
        return {}

    monkeypatch.setattr(presence, "_FIRST_RETRY_S", 0.01)
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers[event] = refuse_twice
        events = await browser.listen("u1")
        if event == "on_user_left":
            await run.commands.get("on_user_joined")
            events.close()
        await run.commands.get(event, 3)
        # Told: the next one is news again.
        if event == "on_user_joined":
            events.close()
            await run.commands.get("on_user_left")
        else:
            await browser.listen("u1")
            await run.commands.get("on_user_joined", 2)
        assert tries == 3


async def test_a_leave_whose_join_nobody_took_is_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refused({"detail": "not now"})

    monkeypatch.setattr(presence, "_FIRST_RETRY_S", 0.01)
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["on_user_joined"] = refuse
        events = await browser.listen("u1")
        await run.commands.get("on_user_joined", 2)
        events.close()
        other = await browser.listen("u2")
        await run.commands.until(
            lambda: any(
                who["remote_user_id"] == "u2"
                for who in run.commands.named("on_user_joined")
            )
        )
        other.close()
    assert run.commands.named("on_user_left") == []


async def test_in_a_graph_without_tavus_everything_says_so() -> None:
    graph = {
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
                "property": {"port": "PORT"},
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
            }
        ],
    }
    async with TenRun(graph=graph) as run, Browser(run.url) as browser:
        status, reply = await browser.create()
        assert (status, reply["data"]["kind"]) == (503, "graph")
        assert reply["msg"].startswith("start_conversation could not be sent: ")
        assert reply["msg"].endswith(
            "connect it to the tavus_python node in the graph"
        )
        events = await browser.listen("u1")
        event = await events.next()
        assert event is not None and event[0] == "tavus_error"
        assert event[1]["detail"].startswith("on_user_joined could not be")
