#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""How many conversations may be asked for, and may run."""

import asyncio

import pytest
from support.http_node import free_port
from support.http_serving import (
    CREATED,
    ENDED,
    ScriptedGraph,
    conversation,
    ended,
    serving,
)

from ten_packages.extension.tavus_http_python import starting
from ten_packages.extension.tavus_http_python.graph import GraphError


async def test_past_the_cap_nothing_is_started() -> None:
    graph = ScriptedGraph()
    async with serving(graph, max_active=2) as (_, browser):
        replies = await asyncio.gather(*(browser.create() for _ in range(5)))
        statuses = sorted(status for status, _ in replies)
        assert statuses == [200, 200, 503, 503, 503]
        assert len(graph.heard.named("start")) == 2
        async with browser.session.post(
            "/api/tavus/conversation/create"
        ) as response:
            reply = await response.json()
            assert response.headers["Retry-After"] == "10"
        assert (reply["code"], reply["data"]["kind"]) == ("1009", "full")


async def test_an_end_makes_room_whoever_ended_it() -> None:
    async with serving(max_active=1) as (service, browser):
        await browser.create(user_id="u1")
        assert (await browser.create())[0] == 503
        await browser.end("c1")
        assert (await browser.create())[0] == 200
        assert (await browser.create())[0] == 503
        service.publish(ENDED, ended("u9", "c2", "max_call_duration"))
        assert (await browser.create())[0] == 200


async def test_an_end_told_twice_makes_room_once() -> None:
    async with serving(max_active=2) as (service, browser):
        await browser.create(user_id="u1")
        await browser.create(user_id="u2")
        await browser.end("c1")
        service.publish(ENDED, ended("u1", "c1"))
        service.publish(ENDED, ended("u1", "c1"))
        assert (await browser.create())[0] == 200
        assert (await browser.create())[0] == 503


async def test_a_start_that_fails_makes_room() -> None:
    graph = ScriptedGraph()
    async with serving(graph, max_active=1) as (_, browser):
        for refusal in (GraphError("credits", "none"), None):
            graph.refusal = refusal
            status, reply = await browser.create()
            assert reply["data"].get("kind") != "full"
        assert status == 200


async def test_a_bug_in_a_start_makes_room() -> None:
    graph = ScriptedGraph()
    async with serving(graph, max_active=1) as (_, browser):
        graph.broken = True
        assert (await browser.create())[0] == 500
        graph.broken = False
        assert (await browser.create())[0] == 200


async def test_a_start_that_nobody_waits_for_keeps_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starting, "_BACK_S", 0.0)
    graph = ScriptedGraph()
    graph.silent = True
    async with serving(graph, max_active=1) as (_, browser):
        asking = asyncio.create_task(browser.create())
        await graph.heard.get("start")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert (await browser.create())[0] == 503
        graph.silent = False
        graph.released.set()
        await graph.heard.get("give_back")
        await browser.ask("GET", "/health")
        assert (await browser.create())[0] == 200


async def test_a_start_that_gives_what_runs_takes_no_second_place() -> None:
    async with serving(max_active=2) as (_, browser):
        for _ in range(3):
            status, _ = await browser.create(user_id="u1", face_id="c1")
            assert status == 200
        assert (await browser.create(face_id="c2"))[0] == 200
        assert (await browser.create(face_id="c3"))[0] == 503


async def test_its_event_and_its_answer_count_once() -> None:
    graph = ScriptedGraph()
    async with serving(graph, max_active=2) as (service, browser):
        graph.silent = True
        asking = asyncio.create_task(browser.create(user_id="u1"))
        await graph.heard.get("start")
        service.publish(CREATED, conversation("u1", "c1"))
        graph.silent = False
        graph.released.set()
        assert (await asking)[0] == 200
        assert (await browser.create())[0] == 200
        assert (await browser.create())[0] == 503


async def test_one_that_ended_before_its_answer_takes_no_place() -> None:
    graph = ScriptedGraph()
    async with serving(graph, max_active=1) as (service, browser):
        graph.silent = True
        asking = asyncio.create_task(browser.create(user_id="u1"))
        await graph.heard.get("start")
        service.publish(CREATED, conversation("u1", "c1"))
        service.publish(ENDED, ended("u1", "c1", "test_mode"))
        graph.silent = False
        graph.released.set()
        assert (await asking)[0] == 200
        _, reply = await browser.ask(
            "GET", "/api/tavus/conversation/c1?user_id=u1"
        )
        assert reply["data"]["status"] == "ended"
        assert (await browser.create())[0] == 200


async def test_what_starts_by_itself_counts_too() -> None:
    async with serving(max_active=1) as (service, browser):
        service.publish(CREATED, conversation("u1", "c7"))
        service.publish(CREATED, conversation("u2", "c8"))
        assert (await browser.create())[0] == 503
        service.publish(ENDED, ended("u1", "c7"))
        assert (await browser.create())[0] == 503
        service.publish(ENDED, ended("u2", "c8"))
        assert (await browser.create())[0] == 200


async def test_zero_is_no_cap() -> None:
    async with serving(max_active=0) as (_, browser):
        replies = await asyncio.gather(*(browser.create() for _ in range(30)))
        assert {status for status, _ in replies} == {200}


async def test_one_client_may_start_so_many() -> None:
    graph = ScriptedGraph()
    async with serving(
        graph, create_limit="2/hour", trusted_proxies="127.0.0.1"
    ) as (_, browser):

        async def create(client: str, **body: str) -> int:
            status, _ = await browser.ask(
                "POST",
                "/api/tavus/conversation/create",
                json=body,
                headers={"X-Forwarded-For": client},
            )
            return status

        # Counted before it is read: one that cannot be used counts, too.
        assert await create("1.1.1.1", greting="x") == 422
        said = [await create("1.1.1.1") for _ in range(2)]
        assert said == [200, 429]
        assert await create("2001:db8::1") == 200
        assert await create("2001:db8::ffff") == 200
        assert await create("2001:db8::2") == 429
        assert await create("2001:db8:0:1::1") == 200
        assert len(graph.heard.named("start")) == 4


async def test_without_its_redis_nothing_is_started() -> None:
    graph, log = ScriptedGraph(), list[str]()
    url = f"redis://:a-password@127.0.0.1:{free_port()}/0"
    for limits in ({"max_active": 5}, {"create_limit": "10/minute"}):
        async with serving(graph, log, redis_url=url, **limits) as (
            _,
            browser,
        ):
            async with browser.session.post(
                "/api/tavus/conversation/create"
            ) as response:
                reply = await response.json()
                assert response.status == 503
                assert int(response.headers["Retry-After"]) > 0
            assert (reply["code"], reply["data"]["kind"]) == (
                "3006",
                "limiter",
            )
            assert (await browser.ask("GET", "/health"))[0] == 200
            assert "a-password" not in str(reply) + str(log)
    assert graph.heard.messages == []


async def test_a_client_that_left_while_places_were_counted_starts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = ScriptedGraph()
    async with serving(graph, max_active=1) as (service, browser):
        # pylint: disable=protected-access
        leases = service._leases
        reserve = leases.reserve
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def slowly() -> object:
            asked.set()
            await go_on.wait()
            return await reserve()

        monkeypatch.setattr(leases, "reserve", slowly)
        asking = asyncio.create_task(browser.create())
        await asked.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await browser.ask("GET", "/health")
        go_on.set()
        monkeypatch.undo()
        assert (await browser.create())[0] == 200
        assert len(graph.heard.named("start")) == 1
