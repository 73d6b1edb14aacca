#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""LiveKit's rooms over HTTP, on a real LiveKit server."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
from aiohttp import web
from livekit import rtc
from support.http_node import WAIT_S, Browser
from support.http_serving import CREATED, conversation, serving
from support.livekit import LiveKitServer, Peer
from support.room_graphs import (
    HASTE,
    START,
    ScriptedRoomGraphs,
    serving_rooms,
    start,
)
from test_http_schemathesis import TOKEN, check

from ten_packages.extension.tavus_http_python.config import (
    ConfigError,
    HttpConfig,
)
from ten_packages.extension.tavus_http_python.graph import GraphError
from ten_packages.extension.tavus_http_python.livekit_config import (
    LiveKitConfig,
)
from ten_packages.extension.tavus_http_python.livekit_control import (
    LiveKitControl,
)
from ten_packages.extension.tavus_http_python.livekit_rooms import (
    Patience,
    Unavailable,
)
from ten_packages.extension.tavus_http_python.room_graphs import (
    RoomGraphError,
    load_template,
)

pytest_plugins = ["support.livekit_fixtures"]

LONG = Patience(leave_grace_s=60, join_s=60, poll_s=0.1)
ME = {"user_id": "me"}
ROOMS = "/api/tavus/livekit"


def stop_of(made: dict[str, str]) -> str:
    return f"/api/tavus/livekit/{made['room_name']}/stop"


@contextlib.asynccontextmanager
async def in_room(made: dict[str, str]) -> AsyncIterator[rtc.Room]:
    """Joins with what start has answered, as the page does."""
    room = rtc.Room()
    await asyncio.wait_for(
        room.connect(made["livekit_url"], made["user_token"]), WAIT_S
    )
    try:
        yield room
    finally:
        await asyncio.wait_for(room.disconnect(), WAIT_S)


async def test_a_room_has_a_graph_of_its_own(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(livekit_server, graphs) as (_, browser):
        one, two = await start(browser, **ME), await start(browser, **ME)
        assert one["room_name"] != two["room_name"]
        assert one["user_id"] == "me"
        for number, made in enumerate((one, two)):
            graph = graphs.heard.named("start")[number]
            rtc_node, tavus, vad = graph["nodes"]
            assert rtc_node["property"] == {"room": made["room_name"]}
            assert tavus["property"] == {
                "channel": made["room_name"],
                "api_key": "k",
            }
            assert "property" not in vad
        assert len(graphs.running) == 2
    assert graphs.running == set()


async def test_the_key_opens_that_room_and_no_more(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(livekit_server, graphs, patience=LONG) as (
        _,
        browser,
    ):
        made = await start(browser, **ME)
        claims = jwt.decode(
            made["user_token"],
            livekit_server.api_secret,
            algorithms=["HS256"],
            issuer=livekit_server.api_key,
        )
        assert claims["video"] == {
            "roomJoin": True,
            "room": made["room_name"],
            "canPublish": True,
            "canPublishSources": ["microphone"],
            "canSubscribe": True,
            "canPublishData": True,
        }
        assert (claims["sub"], claims["kind"]) == ("me", "standard")
        assert claims["nbf"] <= time.time() - 30
        assert claims["exp"] <= time.time() + 600
        shown = await start(browser, camera=True, **ME)
        sources = jwt.decode(
            shown["user_token"], options={"verify_signature": False}
        )["video"]["canPublishSources"]
        assert sources == ["microphone", "camera"]
        async with in_room(made) as room:
            assert room.name == made["room_name"]
            assert room.local_participant.identity == "me"


async def test_its_owner_ends_it_and_hears_how(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(livekit_server, graphs, patience=LONG) as (
        _,
        browser,
    ):
        made = await start(browser, **ME)
        async with in_room(made) as room:
            gone: asyncio.Future[int] = asyncio.Future()
            room.on("disconnected", gone.set_result)
            status, reply = await browser.ask("POST", stop_of(made), params=ME)
            assert status == 200
            assert reply["data"]["reason"] == "end_conversation"
            assert graphs.running == set()
            # Whoever is still there is told that it is over.
            reason = await asyncio.wait_for(gone, WAIT_S)
            assert reason == rtc.DisconnectReason.ROOM_DELETED
        # Asked again, as a page does that was told by its room.
        assert (await browser.ask("POST", stop_of(made), params=ME))[1][
            "data"
        ] == reply["data"]


async def test_nobody_else_ends_it(livekit_server: LiveKitServer) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(livekit_server, graphs, patience=LONG) as (
        service,
        browser,
    ):
        made = await start(browser)
        assert made["user_id"].startswith("web-")
        async with Browser(service.url) as another:
            for params in ({}, {"user_id": "you"}):
                status, reply = await another.ask(
                    "POST", stop_of(made), params=params
                )
                assert (status, reply["data"]["kind"]) == (404, "not_found")
        assert len(graphs.running) == 1


async def test_a_browser_ends_its_own_by_its_cookie(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(livekit_server, graphs, patience=LONG) as (
        service,
        _,
    ):
        # Cookies of an address need to be asked for.
        url = service.url.replace("127.0.0.1", "localhost")
        async with Browser(url) as browser:
            made = await start(browser)
            assert (await browser.ask("POST", stop_of(made)))[0] == 200


async def test_a_browser_has_one_room_however_often_it_asks(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(livekit_server, graphs, patience=LONG) as (
        service,
        _,
    ):
        url = service.url.replace("127.0.0.1", "localhost")
        async with Browser(url) as browser, Browser(url) as another:
            await browser.ask("GET", "/api/tavus/config")  # its cookie
            graphs.may_start.clear()
            asking = [
                asyncio.create_task(start(browser)),
                asyncio.create_task(start(browser)),
            ]
            await graphs.heard.get("start")
            graphs.may_start.set()
            one, two = await asyncio.gather(*asking)
            three = await start(browser)
            assert one["room_name"] == two["room_name"] == three["room_name"]
            assert (await start(another))["room_name"] != one["room_name"]
            assert len(graphs.running) == 2
            # One that is ending is not given to anybody.
            await browser.ask("POST", stop_of(one))
            assert (await start(browser))["room_name"] != one["room_name"]


async def test_a_browser_finds_its_room_again_with_a_key_and_its_age(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(livekit_server, graphs, patience=LONG) as (
        service,
        stranger,
    ):
        url = service.url.replace("127.0.0.1", "localhost")
        async with Browser(url) as browser:
            made = await start(browser)
            _, reply = await browser.ask("GET", ROOMS)
            (found,) = reply["data"]["rooms"]
            assert found["room_name"] == made["room_name"]
            assert 0 <= made["age_ms"] <= found["age_ms"] < WAIT_S * 1000
            async with in_room(found):
                pass
            _, reply = await stranger.ask("GET", ROOMS)
            assert reply["data"]["rooms"] == []
            await browser.ask("POST", stop_of(made))
            _, reply = await browser.ask("GET", ROOMS)
            assert reply["data"]["rooms"] == []


async def test_a_room_that_nobody_joins_ends(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(livekit_server, graphs) as (_, browser):
        made = await start(browser, **ME)
        # The graph's own participants are no users.
        async with Peer(
            livekit_server, made["room_name"], "ten-rtc", kind="agent"
        ):
            await graphs.stopped()
        _, reply = await browser.ask("POST", stop_of(made), params=ME)
        assert reply["data"]["reason"] == "participant_absent_timeout"
        assert reply["data"]["duration_ms"] >= HASTE.join_s * 1000


async def test_a_room_ends_when_its_users_have_left(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(
        livekit_server, graphs, patience=Patience(0.5, 60, 0.1)
    ) as (_, browser):
        made = await start(browser, **ME)
        async with (
            Peer(livekit_server, made["room_name"], "avatar", kind="agent"),
            in_room(made),
        ):
            # Longer than the grace: who is there keeps it.
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(graphs.stopped(), 1.0)
        await graphs.stopped()
        _, reply = await browser.ask("POST", stop_of(made), params=ME)
        assert reply["data"]["reason"] == "user_left"


async def test_who_comes_back_in_time_keeps_the_room(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(
        livekit_server, graphs, patience=Patience(3.0, 60, 0.1)
    ) as (_, browser):
        made = await start(browser, **ME)
        async with in_room(made):
            pass
        async with in_room(made):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(graphs.stopped(), 3.5)


async def test_a_server_that_cannot_be_asked_ends_no_call(
    own_livekit_server: LiveKitServer,
) -> None:
    graphs, log = ScriptedRoomGraphs(), list[str]()
    async with serving_rooms(
        own_livekit_server, graphs, log, Patience(0.3, 0.5, 0.1)
    ) as (_, browser):
        made = await start(browser, **ME)
        own_livekit_server.stop()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(graphs.stopped(), 1.5)
        own_livekit_server.start()
        await graphs.stopped()
    assert len(log) == 1
    assert made["room_name"] in log[0]


async def test_a_server_that_can_never_be_asked_keeps_no_room_for_ever(
    own_livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    patience = Patience(0.3, 60.0, 0.1, unknown_s=0.3)
    async with serving_rooms(own_livekit_server, graphs, None, patience) as (
        _,
        browser,
    ):
        made = await start(browser, **ME)
        own_livekit_server.stop()
        await graphs.stopped()
        _, reply = await browser.ask("POST", stop_of(made), params=ME)
        assert reply["data"]["reason"] == "unknown"


async def test_what_is_not_livekit_says_nothing_of_users() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>busy</html>")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    control = LiveKitControl(
        LiveKitConfig(url=url, api_url=url, api_key="k", api_secret="s" * 32)
    )
    try:
        with pytest.raises(Unavailable, match="not an answer of LiveKit"):
            await control.users("room")
    finally:
        await control.close()
        await runner.cleanup()


async def test_a_graph_that_does_not_start_leaves_nothing(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(livekit_server, graphs, max_active=1) as (
        _,
        browser,
    ):
        graphs.refusal = GraphError("graph", "no addon named x")
        for _ in range(2):  # the place is free again
            status, reply = await browser.ask("POST", START, json=ME)
            assert (status, reply["data"]["kind"]) == (503, "graph")
            assert "no addon named x" in reply["data"]["detail"]
        graphs.refusal = None
        await start(browser, **ME)


async def test_a_graph_that_starts_too_late_is_stopped(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(
        livekit_server, graphs, patience=Patience(9, 9, 0.1, start_s=0.1)
    ) as (_, browser):
        graphs.may_start.clear()
        status, reply = await browser.ask("POST", START, json=ME)
        assert (status, reply["data"]["kind"]) == (504, "timeout")
        graphs.may_start.set()
        await graphs.stopped()


async def test_a_graph_that_starts_while_the_worker_stops_is_stopped(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    graphs.may_start.clear()
    async with serving_rooms(livekit_server, graphs, patience=LONG) as (
        service,
        browser,
    ):
        asking = asyncio.create_task(browser.ask("POST", START, json=ME))
        await graphs.heard.get("start")
        stopping = asyncio.create_task(service.stop())
        graphs.may_start.set()
        await stopping
        await asyncio.gather(asking, return_exceptions=True)
        await graphs.heard.get("stop")
        assert graphs.running == set()


async def test_a_room_is_over_when_its_graph_has_stopped(
    livekit_server: LiveKitServer,
) -> None:
    graphs, log = ScriptedRoomGraphs(), list[str]()
    async with serving_rooms(
        livekit_server, graphs, log, patience=LONG, max_active=1
    ) as (_, browser):
        room = (await start(browser, **ME))["room_name"]
        graphs.stop_refusals = [GraphError("graph", "busy"), RuntimeError("x")]
        ending = asyncio.create_task(
            browser.ask("POST", f"/api/tavus/livekit/{room}/stop", params=ME)
        )
        await graphs.heard.get("refused")
        # Its conversation may still run: its place is not free.
        status, reply = await browser.ask("POST", START, json=ME)
        assert (status, reply["data"]["kind"]) == (503, "full")
        assert (await ending)[0] == 200
        assert graphs.running == set()
        assert (await browser.ask("POST", START, json=ME))[0] == 200
    assert log == [f"the graph of {room} runs on: busy"]


async def test_rooms_and_conversations_share_the_cap(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(
        livekit_server, graphs, patience=LONG, max_active=2
    ) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        made = await start(browser, **ME)
        status, reply = await browser.ask("POST", START, json=ME)
        assert (status, reply["data"]["kind"]) == (503, "full")
        assert (await browser.create(user_id="u2"))[0] == 503
        async with browser.session.get("/metrics") as metrics:
            assert "tavus_conversations_active 2.0" in await metrics.text()
        await browser.ask("POST", stop_of(made), params=ME)
        await start(browser, **ME)


async def test_starts_are_counted(livekit_server: LiveKitServer) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(livekit_server, graphs, create_limit="1/hour") as (
        _,
        browser,
    ):
        await start(browser, **ME)
        assert (await browser.ask("POST", START, json=ME))[0] == 429


async def test_the_worker_ends_ten_rooms_in_time(
    livekit_server: LiveKitServer,
) -> None:
    graphs = ScriptedRoomGraphs()
    async with serving_rooms(livekit_server, graphs, patience=LONG) as (
        service,
        browser,
    ):
        await asyncio.gather(*(start(browser, **ME) for _ in range(10)))
        assert len(graphs.running) == 10
        began = time.monotonic()
        await service.stop()
        assert time.monotonic() - began < 1.5
        assert graphs.running == set()


async def test_without_a_graph_there_are_no_rooms() -> None:
    async with serving() as (_, browser):
        status, reply = await browser.ask("POST", START)
        assert (status, reply["data"]["kind"]) == (404, "not_found")
        assert "livekit_graph" in reply["data"]["detail"]
        assert (await browser.ask("POST", "/api/tavus/livekit/x/stop"))[
            0
        ] == 404
        async with browser.session.get("/") as page:
            policy = page.headers["Content-Security-Policy"]
        assert "connect-src 'self';" in policy


async def test_the_page_may_connect_to_the_server(
    livekit_server: LiveKitServer,
) -> None:
    async with serving_rooms(livekit_server, ScriptedRoomGraphs()) as (
        _,
        browser,
    ):
        _, reply = await browser.ask("GET", "/api/tavus/config")
        assert reply["data"]["mode"] == "livekit"
        async with browser.session.get("/") as page:
            policy = page.headers["Content-Security-Policy"]
        host = livekit_server.url.removeprefix("ws://")
        assert f"connect-src 'self' ws://{host} http://{host};" in policy


@pytest.mark.parametrize(
    ("url", "origins"),
    [
        ("wss://lk.example.com", ("wss://lk.example.com",)),
        ("https://lk.example.com:7443/x", ("wss://lk.example.com:7443",)),
        ("wss://p-1.livekit.cloud", ("wss://*.livekit.cloud",)),
    ],
)
def test_origins_of_servers(url: str, origins: tuple[str, ...]) -> None:
    config = HttpConfig.load(
        {
            "livekit_graph": "x.json",
            "livekit_url": url,
            "livekit_api_key": "k",
            "livekit_api_secret": "s",
        }
    )
    assert config.livekit is not None
    assert config.livekit.origins[0] == origins[0]
    assert config.livekit.origins[1] == origins[0].replace("ws", "http", 1)
    assert "'s'" not in repr(config)


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ({}, "needs livekit_url, livekit_api_key, livekit_api_secret too"),
        ({"livekit_url": "lk.example.com"}, "is no URL such as wss://"),
        ({"livekit_url": "wss://a;b"}, "is no URL such as wss://"),
        ({"livekit_leave_grace_s": -1}, "is no number from 0 to 3600"),
    ],
)
def test_what_rooms_need_is_explained(
    properties: dict[str, object], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem.replace("(", r"\(")):
        HttpConfig.load({"livekit_graph": "x.json", **properties})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "is no graph of a room"),
        ('{"nodes": [{"name": "x"}]}', "is no graph of a room"),
    ],
)
async def test_a_file_that_is_no_graph_is_explained(
    tmp_path: Path, text: str | None, problem: str
) -> None:
    file = tmp_path / "room.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(RoomGraphError, match=problem):
        await load_template(str(file))


@pytest.mark.timeout(300)
async def test_the_rooms_are_as_the_api_says(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    log: list[str] = []
    async with serving_rooms(
        livekit_server, ScriptedRoomGraphs(), log, auth_token=TOKEN
    ) as (service, _):
        await check(
            service.url,
            tmp_path,
            *("--include-path-regex", "livekit", "--max-examples", "15"),
        )
    assert log == []
