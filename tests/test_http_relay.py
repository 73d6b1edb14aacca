#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the graph and the pages say to each other through the HTTP side."""

import io
import json
from typing import Any

import pytest
from support.http_node import Browser, TenRun
from support.http_serving import (
    CREATED,
    ENDED,
    ScriptedGraph,
    conversation,
    ended,
    serving,
)

from ten_packages.extension.tavus_http_python.answers import Refusal
from ten_packages.extension.tavus_http_python.graph import GraphError

INTERACTION = "/api/tavus/conversation/c1/interaction?user_id=u1"
SAID = {
    "message_type": "conversation",
    "event_type": "conversation.utterance",
    "seq": 7,
    "properties": {"role": "user", "speech": "Hello"},
}


def echo(conversation_id: str) -> dict[str, Any]:
    return {
        "message_type": "conversation",
        "event_type": "conversation.echo",
        "conversation_id": conversation_id,
        "properties": {"modality": "text", "text": "Hi"},
    }


def refusal_of(service: Any, **content: Any) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        service.interact(content)
    return caught.value.kind, caught.value.detail


async def test_what_a_page_hears_reaches_the_graph_once() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        for accepted in (True, False):
            status, reply = await browser.ask("POST", INTERACTION, json=SAID)
            assert (status, reply["data"]) == (200, {"accepted": accepted})
        [heard] = graph.heard.named("event")
        assert json.loads(heard.pop("event")) == {
            **SAID,
            "conversation_id": "c1",
        }
        assert heard == {
            "conversation_id": "c1",
            "event_type": "conversation.utterance",
            "source": "page",
        }


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**SAID, "event_type": None},
        {**SAID, "event_type": "with blanks"},
        {**SAID, "conversation_id": "c2"},
        {**SAID, "conversation_id": 7},
    ],
)
async def test_what_is_no_event_of_this_conversation_is_refused(
    body: Any,
) -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        status, reply = await browser.ask("POST", INTERACTION, json=body)
        assert (status, reply["code"]) == (422, "1001")
        assert graph.heard.messages == []


async def test_a_frame_of_the_camera_reaches_the_graph() -> None:
    frame = {"data": "A" * 150_000, "mime_type": "image/jpeg"}
    seen = {
        "event_type": "conversation.perception_tool_call",
        "timestamp": 1746000000.5,
        "properties": {
            "modality": "vision",
            "name": "waves",
            "arguments": {"hand": "left"},
            "frames": [frame] * 6,
        },
    }
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        status, reply = await browser.ask("POST", INTERACTION, json=seen)
        assert (status, reply["data"]) == (200, {"accepted": True})
        [heard] = graph.heard.named("event")
        assert json.loads(heard["event"]) == {**seen, "conversation_id": "c1"}
        too_much = io.BytesIO(json.dumps([frame] * 8).encode())
        status, reply = await browser.ask("POST", INTERACTION, data=too_much)
        assert (status, reply["code"]) == (413, "1004")


async def test_a_page_may_tell_of_a_call_that_has_just_ended() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        service.publish(ENDED, ended("u1"))
        status, _ = await browser.ask("POST", INTERACTION, json=SAID)
        assert status == 200


async def test_a_graph_that_takes_no_events_is_told_of() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        graph.refusal = GraphError("graph", "it is closed")
        status, reply = await browser.ask("POST", INTERACTION, json=SAID)
        assert (status, reply["data"]["kind"]) == (503, "graph")
        # The page says it again, and now it counts.
        graph.refusal = None
        status, reply = await browser.ask("POST", INTERACTION, json=SAID)
        assert (status, reply["data"]) == (200, {"accepted": True})


async def test_a_webhook_that_nobody_took_may_come_again() -> None:
    graph = ScriptedGraph()
    secret = "a-secret-of-the-webhook"
    async with serving(graph, webhook_secret=secret) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        told = {
            "conversation_id": "c1",
            "event_type": "system.shutdown",
            "timestamp": "2026-11-22T12:00:00Z",
            "properties": {"shutdown_reason": "x"},
        }
        path = f"/api/tavus/webhook/{secret}"
        graph.refusal = GraphError("graph", "it is closed")
        assert (await browser.ask("POST", path, json=told))[0] == 503
        graph.refusal = None
        for accepted in (True, False):
            status, reply = await browser.ask("POST", path, json=told)
            assert (status, reply["data"]) == (200, {"accepted": accepted})
        # Refused once, taken once.
        assert len(graph.heard.named("event")) == 2


async def test_what_the_graph_says_goes_to_the_tabs_of_the_owner() -> None:
    async with serving() as (service, browser):
        service.publish(CREATED, conversation("u1"))
        theirs = await browser.listen("u2")
        tabs = [await browser.listen("u1") for _ in range(2)]
        service.interact({"event_type": "echo", "properties": {"text": "Hi"}})
        for tab in tabs:
            assert (await tab.next() or ("",))[0] == CREATED
            assert await tab.next() == ("tavus_interaction", echo("c1"))
        service.publish("tavus_event", {"event_type": "x"})
        assert await theirs.next() == ("tavus_event", {"event_type": "x"})


async def test_in_a_shared_call_who_came_first_says_it() -> None:
    async with serving() as (service, browser):
        first = await browser.listen("u1")
        second = await browser.listen("u2")
        service.publish(CREATED, conversation(""))
        service.interact(
            {
                "event_type": "conversation.echo",
                "properties": '{"text": "Hi"}',
                "conversation_id": "c1",
            }
        )
        service.publish("tavus_event", {"event_type": "x"})
        for tab, names in (
            (first, [CREATED, "tavus_interaction", "tavus_event"]),
            (second, [CREATED, "tavus_event"]),
        ):
            assert [(await tab.next() or ("",))[0] for _ in names] == names


async def test_the_graph_names_a_user_or_a_conversation() -> None:
    async with serving() as (service, browser):
        tabs = {name: await browser.listen(name) for name in ("u1", "u2")}
        service.publish(CREATED, conversation("u1", "c1"))
        service.publish(CREATED, conversation("u2", "c2"))
        service.publish(CREATED, conversation("u2", "c3"))
        words = {"event_type": "echo", "properties": {"text": "Hi"}}
        assert refusal_of(service, **words) == (
            "validation",
            "tavus_interaction: several conversations run; name "
            "conversation_id or remote_user_id",
        )
        service.interact({**words, "conversation_id": "c2"})
        service.interact({**words, "remote_user_id": "u1"})
        service.interact({**words, "remote_user_id": "u2"})
        for name, meant in (("u1", ["c1"]), ("u2", ["c2", "c3"])):
            for _ in meant:
                assert (await tabs[name].next() or ("",))[0] == CREATED
            for conversation_id in meant:
                assert await tabs[name].next() == (
                    "tavus_interaction",
                    echo(conversation_id),
                )


@pytest.mark.parametrize(
    "whose",
    [
        {"conversation_id": "c9"},
        {"remote_user_id": "u9"},
        {"conversation_id": "c1", "remote_user_id": "u9"},
    ],
)
async def test_words_for_nobody_are_refused(whose: dict[str, str]) -> None:
    async with serving() as (service, browser):
        service.publish(CREATED, conversation("u1"))
        await browser.listen("u1")
        content = {"event_type": "echo", "properties": {"text": "Hi"}, **whose}
        assert refusal_of(service, **content) == (
            "not_found",
            "tavus_interaction: no such conversation runs",
        )


async def test_words_that_no_page_hears_are_refused() -> None:
    async with serving() as (service, browser):
        service.publish(CREATED, conversation("u1"))
        service.publish(CREATED, conversation("", "c2"))
        content = {"event_type": "interrupt"}
        for name in ("c1", "c2"):
            assert refusal_of(service, **content, conversation_id=name) == (
                "not_found",
                f"tavus_interaction: no page of {name} listens",
            )
        await browser.listen("u2")
        service.interact({**content, "conversation_id": "c2"})


@pytest.mark.usefixtures("ten_app")
async def test_both_ways_through_ten() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        events = await browser.listen("u1")
        await run.send(CREATED, **conversation("u1"))
        assert await events.next() == (CREATED, conversation("u1"))
        await run.send(
            "tavus_interaction", event_type="echo", properties={"text": "Hi"}
        )
        assert await events.next() == ("tavus_interaction", echo("c1"))
        status, _ = await browser.ask("POST", INTERACTION, json=SAID)
        assert status == 200
        heard = await run.data.get("tavus_event")
        assert (heard["conversation_id"], heard["source"]) == ("c1", "page")


@pytest.mark.usefixtures("ten_app")
async def test_a_graph_that_says_nonsense_hears_an_error() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        await run.send("tavus_interaction", event_type="dance")
        problem = await run.data.get("error")
        assert problem["message"].startswith("tavus_interaction: event_type: ")
        assert problem["metadata"] == {"kind": "validation"}
        assert problem["code"] == 1000
        await run.send("tavus_interaction", event_type="interrupt")
        problem = await run.data.get("error", 2)
        assert problem["metadata"] == {"kind": "not_found"}
        assert (await browser.ask("GET", "/health"))[0] == 200
