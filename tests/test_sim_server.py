#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The simulator on sockets: faults, webhooks, timers and threads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tavus_sim import SimRequest, SimServer, Simulator, ThreadedSim

KEY = {"x-api-key": "any"}
PERSONA = {"persona_id": "pcb7a34da5fe"}
LONG_S = 20.0  # longer than anything here takes


@pytest.fixture(name="server")
async def server_fixture() -> AsyncIterator[SimServer]:
    async with SimServer(Simulator(replica_join_ms=0)) as running:
        yield running


@pytest.fixture(name="http")
async def http_fixture() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=LONG_S)
    async with aiohttp.ClientSession(headers=KEY, timeout=timeout) as session:
        yield session


async def create(
    http: aiohttp.ClientSession, server: SimServer, **body: Any
) -> tuple[int, bytes]:
    url = f"{server.base_url}/conversations"
    async with http.post(url, json={**PERSONA, **body}) as response:
        return response.status, await response.read()


async def ledger(
    http: aiohttp.ClientSession, server: SimServer
) -> dict[str, Any]:
    url = f"{server.simulator.base_url}/sim/ledger"
    async with http.get(url) as response:
        return await response.json()


def test_it_serves_on_the_port_it_was_given_by_the_system():
    with ThreadedSim() as sim:
        assert sim.base_url.startswith("http://127.0.0.1:")
        assert sim.base_url.endswith("/v2")
        assert not sim.base_url.endswith(":0/v2")


async def test_create_and_end_over_a_socket(
    server: SimServer, http: aiohttp.ClientSession
):
    url = f"{server.base_url}/conversations"
    async with http.post(url, json=PERSONA) as response:
        conversation = await response.json()
    room = f"{server.simulator.base_url}/room/"
    assert conversation["conversation_url"].startswith(room)
    end = f"{url}/{conversation['conversation_id']}/end"
    async with http.post(end) as response:
        assert (response.status, await response.read()) == (200, b"")
        assert response.headers["content-length"] == "0"
    assert server.simulator.active == []


@pytest.mark.parametrize(
    ("kind", "created"), [("drop_before", 0), ("drop_after", 1)]
)
async def test_drop_resets_the_connection_without_a_byte(
    server: SimServer, kind: str, created: int
):
    server.simulator.add_fault("create", kind)
    host, port = server.simulator.base_url[7:].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = b'{"persona_id": "pcb7a34da5fe"}'
    writer.write(
        b"POST /v2/conversations HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(body), body)
    )
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), LONG_S)
    writer.close()
    assert server.simulator.ledger()["created"] == created


@pytest.mark.parametrize(
    ("kind", "created"), [("error_before", 0), ("error_after", 1)]
)
async def test_errors_come_before_or_after_the_act(
    server: SimServer,
    http: aiohttp.ClientSession,
    kind: str,
    created: int,
):
    server.simulator.add_fault("create", kind, status=503)
    assert await create(http, server) == (
        503,
        b'{"error": "Service Unavailable"}',
    )
    assert server.simulator.ledger()["created"] == created


@pytest.mark.parametrize(
    ("kind", "created"), [("hang_before", 0), ("hang_after", 1)]
)
async def test_a_hang_lasts_until_the_client_gives_up(
    server: SimServer,
    http: aiohttp.ClientSession,
    kind: str,
    created: int,
):
    server.simulator.add_fault("create", kind)
    pending = asyncio.create_task(create(http, server))
    while (await ledger(http, server))["requests"]["create"] == 0:
        pass
    await ledger(http, server)  # a round trip later, it would be answered
    assert not pending.done()
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    assert server.simulator.ledger()["created"] == created


@pytest.mark.parametrize("kind", ["hang_after", "slow"])
async def test_closing_waits_for_no_answer(
    http: aiohttp.ClientSession, kind: str
):
    simulator = Simulator()
    simulator.add_fault("create", kind, delay_ms=600_000)
    server = SimServer(simulator)
    await server.start()
    acted = asyncio.Event()
    simulator.on_change = acted.set
    pending = asyncio.create_task(create(http, server))
    await asyncio.wait_for(acted.wait(), LONG_S)
    await asyncio.wait_for(server.close(), LONG_S)
    with pytest.raises(aiohttp.ClientError):
        await pending
    assert simulator.ledger()["created"] == 1


async def test_latency_delays_the_answer(http: aiohttp.ClientSession):
    async with SimServer(Simulator(latency_ms=50)) as server:
        loop = asyncio.get_running_loop()
        before_s = loop.time()
        status, _ = await create(http, server)
        assert status == 200
        assert loop.time() - before_s >= 0.05


async def test_a_truncated_body_ends_early(
    server: SimServer, http: aiohttp.ClientSession
):
    server.simulator.add_fault("create", "truncated")
    with pytest.raises(aiohttp.ClientPayloadError):
        await create(http, server)
    assert server.simulator.ledger()["created"] == 1


async def test_even_an_empty_body_can_be_truncated(
    server: SimServer, http: aiohttp.ClientSession
):
    await create(http, server)
    (conversation_id,) = server.simulator.active
    server.simulator.add_fault("end", "truncated")
    url = f"{server.base_url}/conversations/{conversation_id}/end"
    with pytest.raises(aiohttp.ClientPayloadError):
        async with http.post(url) as response:
            await response.read()
    assert server.simulator.active == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("not_json", b"<html><body>502 Bad Gateway</body></html>"),
        ("empty", b""),
    ],
)
async def test_wrong_bodies_come_after_the_act(
    server: SimServer, http: aiohttp.ClientSession, kind: str, body: bytes
):
    server.simulator.add_fault("create", kind)
    assert await create(http, server) == (200, body)
    assert server.simulator.ledger()["created"] == 1


async def test_no_body_goes_with_a_304(
    server: SimServer, http: aiohttp.ClientSession
):
    url = f"{server.base_url}/personas"
    wish = {"persona_name": "Coach", "system_prompt": "x"}
    async with http.post(url, json=wish) as response:
        persona_id = (await response.json())["persona_id"]
    patch = [{"op": "replace", "path": "/persona_name", "value": "Coach"}]
    for _ in range(2):  # the connection stays usable
        async with http.patch(f"{url}/{persona_id}", json=patch) as response:
            assert (response.status, await response.read()) == (304, b"")


Receiver = Callable[[web.Request], Awaitable[web.Response]]


async def receiver(handler: Receiver) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.router.add_post("/hook", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    return runner, f"http://127.0.0.1:{port}/hook"


async def test_webhooks_arrive_in_order(
    server: SimServer, http: aiohttp.ClientSession
):
    received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hook(request: web.Request) -> web.Response:
        payload = await request.json()
        received.put_nowait(payload)
        return web.Response()

    runner, url = await receiver(hook)
    await create(http, server, callback_url=url)
    (conversation_id,) = server.simulator.active
    server.simulator.join(conversation_id)
    server.simulator.shutdown(conversation_id)

    types = []
    for _ in range(4):
        payload = await asyncio.wait_for(received.get(), LONG_S)
        assert payload["conversation_id"] == conversation_id
        types.append(payload["event_type"])
    assert types == [
        "system.replica_joined",
        "system.pal_joined",
        "system.shutdown",
        "application.transcription_ready",
    ]
    await runner.cleanup()


async def test_a_failing_webhook_is_logged_without_its_url(
    server: SimServer,
    http: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
):
    async def hook(_: web.Request) -> web.Response:
        return web.Response(status=500)

    runner, url = await receiver(hook)
    await create(http, server, callback_url=f"{url}?token=s3cret")
    await create(http, server, callback_url="not a url: s3cret")
    for conversation_id in server.simulator.active:
        server.simulator.shutdown(conversation_id)
    await server.drain()
    await runner.cleanup()
    assert sorted(caplog.messages) == [
        "system.shutdown: webhook failed: InvalidUrlClientError",
        "system.shutdown: webhook got 500",
    ]


async def test_timers_fire_without_a_request():
    fired = asyncio.Event()
    simulator = Simulator()
    async with SimServer(simulator):
        simulator.on_event = lambda url, payload: fired.set()
        body = {
            **PERSONA,
            "callback_url": "http://hook.test",
            "properties": {"participant_absent_timeout": 1},
        }
        request = SimRequest.of("POST", "/v2/conversations", body)
        conversation_id = simulator.handle(request).json()["conversation_id"]
        simulator.advance(0.9)
        await asyncio.wait_for(fired.wait(), LONG_S)
    ended = simulator.conversation(conversation_id)
    assert ended.ended_by == "participant_absent_timeout reached"


async def test_a_second_server_on_the_same_port_fails_cleanly(
    server: SimServer,
):
    port = int(server.base_url.split(":")[2].removesuffix("/v2"))
    with pytest.raises(OSError, match="address already in use"):
        await SimServer(Simulator(), port=port).start()
    with pytest.raises(OSError, match="address already in use"):
        ThreadedSim(port=port).__enter__()


def test_threads_may_share_a_simulator():
    with ThreadedSim(Simulator(max_concurrent=100)) as sim:

        def work() -> None:
            for _ in range(50):
                request = SimRequest.of("POST", "/v2/conversations", PERSONA)
                reply = sim.simulator.handle(request)
                sim.simulator.shutdown(reply.json()["conversation_id"])

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ledger = sim.simulator.ledger()
    assert (ledger["created"], ledger["active"]) == (200, 0)
