#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Event streams that break off and come back."""

import asyncio
import re
from typing import Any

import pytest
from support.http_node import Browser, Events
from support.http_serving import (
    CREATED,
    ENDED,
    ScriptedGraph,
    conversation,
    ended,
    serving,
)

from ten_packages.extension.tavus_http_python import listeners, streams
from ten_packages.extension.tavus_http_python.service import HttpService


def report(service: HttpService, number: int, user_id: str = "u1") -> None:
    service.publish(
        "tavus_event", {"event_type": f"e{number}", "remote_user_id": user_id}
    )


async def numbers(events: Events, count: int) -> list[str]:
    """The types of the next events."""
    said = []
    for _ in range(count):
        event = await events.next()
        assert event is not None and event[0] == "tavus_event"
        said.append(event[1]["event_type"])
    return said


async def listen_again(
    browser: Browser, events: Events, graph: ScriptedGraph
) -> Events:
    """Breaks the stream off, and opens it where it was."""
    gone = len(graph.heard.named("left")) + 1
    events.close()
    await graph.heard.get("left", gone)
    return await browser.listen("u1", {"Last-Event-ID": events.last_id})


async def test_ready_comes_first_and_says_who_and_what_runs() -> None:
    async with serving() as (service, browser):
        service.publish(CREATED, conversation("u1", "c1"))
        service.publish(CREATED, conversation("", "c2"))
        service.publish(CREATED, conversation("u2", "c3"))
        events = await browser.listen("u1")
        assert events.ready == {
            "user_id": "u1",
            "resumed": False,
            "conversation_ids": ["c1", "c2"],
        }
        for conversation_id, owner in (("c1", "u1"), ("c2", "")):
            assert await events.next() == (
                CREATED,
                conversation(owner, conversation_id),
            )


async def test_every_event_has_an_id_of_this_process() -> None:
    async with serving() as (service, browser):
        events = await browser.listen("u1")
        ids = [events.last_id]
        for number in range(3):
            report(service, number)
            await events.next()
            ids.append(events.last_id)
        assert len(set(ids)) == 4
        epochs = {id_.partition("-")[0] for id_ in ids}
        assert len(epochs) == 1
        assert all(re.fullmatch(r"[0-9a-f]{8}-\d+", id_) for id_ in ids)


async def test_who_comes_back_hears_what_was_missed_and_nothing_twice() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        events = await browser.listen("u1")
        await events.next()
        report(service, 1)
        assert await numbers(events, 1) == ["e1"]
        gone = events.last_id
        events.close()
        await graph.heard.get("left")
        report(service, 2)
        report(service, 3, user_id="u2")
        report(service, 4, user_id="")
        again = await browser.listen("u1", {"Last-Event-ID": gone})
        assert again.ready["resumed"] is True
        assert again.ready["conversation_ids"] == ["c1"]
        assert again.last_id == gone
        report(service, 5)
        assert await numbers(again, 3) == ["e2", "e4", "e5"]


async def test_ready_alone_is_enough_to_come_back() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        events = await browser.listen("u1")
        again = await listen_again(browser, events, graph)
        assert again.ready["resumed"] is True
        report(service, 1)
        assert await numbers(again, 1) == ["e1"]


async def test_a_greeting_broken_off_is_given_again() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        service.publish(CREATED, conversation("u1", "c1"))
        service.publish(CREATED, conversation("u1", "c2"))
        events = await browser.listen("u1")
        # Of what runs it has heard nothing, or not all.
        for heard in range(2):
            again = await listen_again(browser, events, graph)
            assert again.ready["resumed"] is False
            events = again
            for _ in range(heard + 1):
                await events.next()
        again = await listen_again(browser, events, graph)
        assert again.ready["resumed"] is True


async def test_breaking_off_while_catching_up_loses_nothing() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        events = await browser.listen("u1")
        gone = events.last_id
        events.close()
        await graph.heard.get("left")
        for number in range(3):
            report(service, number)
        events = await browser.listen("u1", {"Last-Event-ID": gone})
        for number in range(3):
            events = await listen_again(browser, events, graph)
            assert events.ready["resumed"] is True
            assert await numbers(events, 1) == [f"e{number}"]


@pytest.mark.parametrize(
    "heard",
    [
        "",
        "x",
        "-",
        "1",
        "00000000-5",
        *("{epoch}-0", "{epoch}-1", "{epoch}-99", "{epoch}--1", "{epoch}-²"),
        "{epoch}-" + "9" * 5000,
    ],
)
async def test_an_id_of_nothing_is_no_place_to_go_on_from(heard: str) -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        events = await browser.listen("u1")
        await events.next()
        epoch = events.last_id.partition("-")[0]
        again = await browser.listen(
            "u1", {"Last-Event-ID": heard.format(epoch=epoch)}
        )
        assert again.ready["resumed"] is False
        assert await again.next() == (CREATED, conversation("u1"))


@pytest.mark.parametrize(
    ("name", "value"), [("_HISTORY_LENGTH", 3), ("_HISTORY_BYTES", 300)]
)
async def test_who_missed_too_much_begins_anew(
    monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    monkeypatch.setattr(listeners, name, value)
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        events = await browser.listen("u1")
        first = events.last_id
        report(service, 0)
        await events.next()
        second = events.last_id
        events.close()
        await graph.heard.get("left")
        for number in range(1, 4):
            report(service, number)
        again = await browser.listen("u1", {"Last-Event-ID": second})
        assert again.ready["resumed"] is True
        assert await numbers(again, 3) == ["e1", "e2", "e3"]
        late = await browser.listen("u1", {"Last-Event-ID": first})
        assert late.ready["resumed"] is False


async def test_after_a_minute_nobody_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        events = await browser.listen("u1")
        report(service, 1)
        monkeypatch.setattr(streams, "_HISTORY_S", -1.0)
        again = await listen_again(browser, events, graph)
        assert again.ready["resumed"] is False


async def test_of_too_many_who_left_the_first_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "_ABSENT_USERS", 1)
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        events = await browser.listen("u1")
        report(service, 1)
        events.close()
        await graph.heard.get("left")
        other = await browser.listen("u2")
        other.close()
        await graph.heard.get("left", 2)
        again = await browser.listen("u1", {"Last-Event-ID": events.last_id})
        assert again.ready["resumed"] is False


async def test_each_tab_goes_on_from_its_own_place() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        tabs = [await browser.listen("u1") for _ in range(2)]
        gone = tabs[0].last_id
        tabs[0].close()
        report(service, 1)
        assert await numbers(tabs[1], 1) == ["e1"]
        again = await browser.listen("u1", {"Last-Event-ID": gone})
        assert await numbers(again, 1) == ["e1"]
        assert graph.heard.named("left") == []


async def test_a_user_has_only_so_many_streams() -> None:
    graph = ScriptedGraph()
    async with serving(graph, max_streams_per_user=2) as (_, browser):
        tabs = [await browser.listen("u1") for _ in range(2)]
        async with browser.session.get(
            "/api/tavus/events", params={"user_id": "u1"}
        ) as response:
            reply = await response.json()
            assert response.status == 429
            assert response.headers["Retry-After"] == "1"
        assert (reply["code"], reply["data"]["kind"]) == ("1008", "too_many")
        await browser.listen("u2")
        for tab in tabs:
            tab.close()
        await graph.heard.get("left")
        await browser.listen("u1")


async def test_one_who_does_not_read_is_dropped_by_size_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "_QUEUE_BYTES", 1000)
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        await browser.listen("u1")
        for _ in range(3):
            service.publish("tavus_event", {"event": "x" * 2000})
        await graph.heard.get("left")


async def test_what_the_page_reported_is_not_told_to_pages() -> None:
    async with serving() as (service, browser):
        events = await browser.listen("u1")
        content: dict[str, Any] = {"remote_user_id": "u1", "event_type": "x"}
        service.publish("tavus_event", {**content, "source": "page"})
        service.publish("tavus_event", {**content, "source": "poll"})
        assert await events.next() == (
            "tavus_event",
            {**content, "source": "poll"},
        )


async def test_streams_are_counted() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (_, browser):

        async def count() -> str:
            async with browser.session.get("/metrics") as response:
                text = await response.text()
            [line] = re.findall(r"^tavus_event_streams (\S+)$", text, re.M)
            return line

        tabs = [await browser.listen(f"u{number}") for number in range(3)]
        assert await count() == "3.0"
        for tab in tabs:
            tab.close()
        await graph.heard.get("left", 3)
        assert await count() == "0.0"


async def test_an_end_is_told_with_its_reason() -> None:
    async with serving() as (service, browser):
        service.publish(CREATED, conversation("u1"))
        events = await browser.listen("u1")
        await events.next()
        service.publish(ENDED, ended("u1"))
        assert await events.next() == (ENDED, ended("u1"))


async def test_a_tab_that_closes_at_once_leaves_nothing_open() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        port = int(service.url.rsplit(":", 1)[1])
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"GET /api/tavus/events?user_id=u1 HTTP/1.1\r\n"
                b"Host: localhost\r\n\r\n"
            )
            writer.close()
            await writer.wait_closed()
        await browser.ask("GET", "/health")
        heard = graph.heard
        await heard.until(
            lambda: len(heard.named("left")) == len(heard.named("joined"))
        )
