#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The HTTP side without TEN: failures of the graph, the socket and stopping."""

import asyncio
import socket
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI
from support.http_serving import ScriptedGraph, make_service, serving
from ten_runtime import Cmd, Data

from ten_packages.extension.tavus_http_python import presence
from ten_packages.extension.tavus_http_python.extension import (
    TavusHttpExtension,
)
from ten_packages.extension.tavus_http_python.server import (
    CannotListenError,
    HttpServer,
    listen,
)


async def test_a_join_url_is_the_url_where_none_is_given() -> None:
    async with serving() as (_, browser):
        _, reply = await browser.create()
        assert reply["data"]["join_url"] == "https://x/c1"


async def test_a_bug_is_a_500_without_a_trace() -> None:
    graph, log = ScriptedGraph(), []
    graph.broken = True
    async with serving(graph, log) as (_, browser):
        status, reply = await browser.create()
        assert (status, reply) == (
            500,
            {
                "code": "3004",
                "data": {
                    "kind": "internal",
                    "detail": "internal error, see the log",
                },
                "msg": "internal error, see the log",
            },
        )
    assert log == ["POST /api/tavus/conversation/create: RuntimeError('a bug')"]


async def test_a_bug_keeps_no_leave_from_being_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(presence, "_FIRST_RETRY_S", 0.01)
    graph, log = ScriptedGraph(), list[str]()
    async with serving(graph, log) as (_, browser):
        events = await browser.listen("u1")
        await graph.heard.get("joined")
        graph.broken = True
        events.close()
        await graph.heard.get("left", 2)
        graph.broken = False
        await graph.heard.get("left", len(graph.heard.named("left")) + 1)
    assert log == ["on_user_left: RuntimeError('a bug')"]


async def test_a_bug_is_told_to_its_tab_without_its_text() -> None:
    graph = ScriptedGraph()
    graph.broken = True
    async with serving(graph, []) as (_, browser):
        events = await browser.listen("u1")
        event = await events.next()
        assert event is not None
        assert event[0] == "tavus_error"
        assert event[1]["kind"] == "internal"
        assert event[1]["detail"] == "internal error, see the log"


async def test_stop_ends_the_streams_and_says_who_left() -> None:
    graph = ScriptedGraph()
    loop = asyncio.get_running_loop()
    async with serving(graph, []) as (service, browser):
        tabs = [await browser.listen(f"u{n}") for n in range(20)]
        began = loop.time()
        await service.stop()
        assert loop.time() - began < 0.6  # about 0.1 s on an idle machine
        assert [await tab.next() for tab in tabs] == [None] * 20
        assert {who["user_id"] for who in graph.heard.named("left")} == {
            f"u{n}" for n in range(20)
        }


async def test_stop_does_not_wait_for_a_silent_graph() -> None:
    graph = ScriptedGraph()
    graph.silent = True
    loop = asyncio.get_running_loop()
    async with serving(graph, []) as (service, browser):
        events = await browser.listen("u1")
        asking = asyncio.create_task(browser.create())
        gone = asyncio.create_task(browser.create())
        await graph.heard.get("start", 2)
        gone.cancel()
        began = loop.time()
        await service.stop()
        assert loop.time() - began < 1.0  # about 0.4 s on an idle machine
        with pytest.raises(aiohttp.ClientError):
            await asking
        assert await events.next() is None
        left_over = [
            task
            for task in asyncio.all_tasks()
            if "tavus_http_python" in repr(task.get_coro())
        ]
        assert left_over == []


async def test_a_client_that_goes_within_its_body_harms_nobody() -> None:
    log: list[str] = []
    async with serving(ScriptedGraph(), log) as (service, browser):
        port = int(service.url.rsplit(":", 1)[1])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /api/tavus/conversation/create HTTP/1.1\r\n"
            b"Host: localhost\r\nContent-Length: 9\r\n\r\n{"
        )
        await writer.drain()
        await browser.ask("GET", "/health")
        writer.close()
        await writer.wait_closed()
        assert (await browser.ask("GET", "/health"))[0] == 200
    assert log == []


async def test_a_service_may_stop_before_it_started() -> None:
    service = await make_service(ScriptedGraph())
    await service.stop()
    with pytest.raises(OSError):
        await asyncio.open_connection(
            "127.0.0.1", int(service.url.rsplit(":", 1)[1])
        )


async def test_a_server_that_fails_says_so_and_exits_nothing() -> None:
    log: list[str] = []
    sock = await listen("127.0.0.1", 0)
    server = HttpServer(FastAPI(), sock, log.append)
    sock.close()
    server.start()
    await server.stop()
    assert len(log) == 1
    assert log[0].startswith("the HTTP server failed: OSError(")


@pytest.mark.skipif(
    not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only"
)
async def test_a_connection_that_confirms_nothing_dies_after_20_s() -> None:
    server = await listen("127.0.0.1", 0)
    with server, socket.create_connection(server.getsockname()):
        server.setblocking(True)
        accepted, _ = server.accept()
        with accepted:
            assert (
                accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                == 20_000
            )


@pytest.mark.parametrize("host", ["256.256.256.256", "a" * 64, "192.0.2.1"])
async def test_a_host_that_is_not_ours_is_explained(host: str) -> None:
    with pytest.raises(CannotListenError) as caught:
        await listen(host, 8080)
    assert str(caught.value).startswith(f"cannot listen on {host} port 8080: ")
    assert "TAVUS_HTTP_HOST" in str(caught.value)


async def test_the_url_of_an_ipv6_address_has_brackets() -> None:
    try:
        service = await make_service(ScriptedGraph(), [], {"host": "::1"})
    except CannotListenError:
        pytest.skip("this machine has no IPv6")
    assert service.url.startswith("http://[::1]:")
    await service.stop()


class BrokenEnv:
    """A runtime that fails wherever it is asked."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def get_property_to_json(self, _path: str | None) -> Any:
        raise RuntimeError("the runtime is gone")

    async def return_result(self, _result: object) -> None:
        raise RuntimeError("the runtime is gone")

    def log_error(self, text: str) -> None:
        self.log.append(text)


async def test_no_callback_lets_an_exception_out() -> None:
    env: Any = BrokenEnv()
    extension = TavusHttpExtension("http")
    await extension.on_init(env)
    await extension.on_start(env)
    await extension.on_data(env, Data.create("tavus_event"))
    await extension.on_cmd(env, Cmd.create("hello"))
    await extension.on_stop(env)
    assert env.log == [
        "on_init: RuntimeError('the runtime is gone')",
        "on_cmd: RuntimeError('the runtime is gone')",
    ]


async def test_properties_that_cannot_be_read_are_reported() -> None:
    class ClosedEnv(BrokenEnv):
        async def get_property_to_json(self, _path: str | None) -> Any:
            return "", "the TEN is closed"

        async def send_data(self, data: Data) -> None:
            self.log.append(data.get_name())

    env: Any = ClosedEnv()
    extension = TavusHttpExtension("http")
    await extension.on_init(env)
    await extension.on_start(env)
    assert env.log == [
        "tavus_http: properties cannot be read; the TEN is closed",
        "error",
    ]
