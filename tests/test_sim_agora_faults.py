#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Faults of simulated Agora sessions: of start, of stop, of the WebSocket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from support.agora_sim import START, event, speaker, start, view, voice
from support.watched import WatchedSimulator
from tavus_sim import SimReply, SimRequest, SimServer, Simulator, ThreadedSim

LONG_S = 20.0
START_S = 1_800_000_000.0
AGORA = "/v2/conversations/agora/session"
SOCKET = "agora_socket"


@pytest.fixture(name="sim")
def sim_fixture() -> WatchedSimulator:
    return WatchedSimulator(clock=lambda: START_S)


@pytest.fixture(name="http")
async def http_fixture(
    sim: WatchedSimulator,
) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=LONG_S)
    async with (
        SimServer(sim),
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        yield session


def try_start(sim: Simulator) -> SimReply:
    return sim.handle(SimRequest.of("POST", f"{AGORA}/start", START))


@pytest.mark.parametrize(
    ("kind", "created"), [("drop_before", 0), ("drop_after", 1)]
)
def test_start_can_be_dropped_before_and_after(
    sim: WatchedSimulator, kind: str, created: int
):
    sim.add_fault("agora_start", kind)
    assert try_start(sim).fault == "drop"
    assert sim.ledger()["created"] == created


def test_a_stop_with_a_bad_answer_still_stops(sim: WatchedSimulator):
    session = start(sim)
    sim.add_fault("agora_stop", "error_after")
    names = ("session_id", "session_token")
    body = {name: session[name] for name in names}
    reply = sim.handle(SimRequest.of("DELETE", f"{AGORA}/stop", body))
    assert (reply.status, sim.active) == (500, [])


def test_agora_may_refuse_its_token(sim: WatchedSimulator):
    sim.add_fault("agora_start", "refuse_token", count=1)
    reply = try_start(sim)
    assert reply.status == 400
    assert reply.json() == {
        "error": "Invalid request",
        "message": "agora_settings.token is refused by Agora",
        "code": "VALIDATION_ERROR",
    }
    assert sim.active == []
    assert try_start(sim).status == 200


def test_a_star_strikes_start_and_stop(sim: WatchedSimulator):
    sim.add_fault("*", "status", status=599)
    assert try_start(sim).status == 599
    stop = SimRequest.of("DELETE", f"{AGORA}/stop", {})
    assert sim.handle(stop).status == 599


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": "create", "kind": "refuse_token"},
        {"endpoint": "agora_stop", "kind": "refuse_token"},
        {"endpoint": SOCKET, "kind": "drop_before"},
        {"endpoint": "create", "kind": "drop"},
        {"endpoint": SOCKET, "kind": "drop", "after_messages": -1},
        {"endpoint": SOCKET, "kind": "drop", "after_messages": 1.5},
    ],
)
def test_a_fault_that_means_nothing_is_refused(
    sim: WatchedSimulator, options: dict[str, Any]
):
    with pytest.raises(ValueError, match="must be"):
        sim.add_fault(**options)


async def test_the_socket_may_refuse_a_good_token_once(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    sim.add_fault(SOCKET, "refuse_token", count=1)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with speaker(http, session):
            pass
    assert refused.value.status == 401
    async with speaker(http, session):
        pass
    assert view(sim, session)["connections"] == 1


async def test_a_star_leaves_the_socket_alone(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    sim.add_fault("*", "status")
    async with speaker(http, session):
        pass


async def test_a_connection_drops_after_so_many_messages(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    sim.add_fault(SOCKET, "drop", after_messages=3, count=1)
    async with speaker(http, session) as one:
        await one.send(voice(), event("voice_end"), voice(), voice(), voice())
        message = await one.socket.receive()
        assert message.type in (
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.ERROR,
        )
        assert one.socket.close_code == 1006
    utterances = view(sim, session)["utterances"]
    assert [u["messages"] for u in utterances] == [1, 2]
    assert [u["ended_by"] for u in utterances] == ["voice_end", "disconnect"]
    assert view(sim, session)["status"] == "active"
    async with speaker(http, session) as again:
        await again.send(*[voice()] * 5)
        await again.heartbeat()


async def test_without_a_number_it_drops_at_init(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    sim.add_fault(SOCKET, "drop")
    async with speaker(http, session, init=False) as one:
        await one.init()
        await one.socket.receive()
        assert one.socket.close_code == 1006
    assert view(sim, session)["commands"] == {"init": 1}


async def test_a_slow_reader_holds_the_sender_up_and_misses_nothing(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim, activity_idle_timeout=0)
    sim.add_fault(SOCKET, "slow_reader", after_messages=1, delay_ms=60_000)
    second = voice(b"\1\0" * 24_000)
    sent = 0

    async def fill() -> None:
        nonlocal sent
        for _ in range(500):
            await one.send(second)
            sent += 1

    async with speaker(http, session, init=False) as one:
        await one.init(activity_idle_timeout=0)
        await one.heartbeat()
        filling = asyncio.create_task(fill())
        # Far less than 500 messages of 64 KB fit between the two.
        done, _ = await asyncio.wait([filling], timeout=1.0)
        assert not done
        assert sent < 200
        assert view(sim, session)["commands"]["voice"] == 1
        sim.advance(60)
        await filling
        await one.heartbeat()
    seen = view(sim, session)
    assert seen["commands"]["voice"] == 500
    # Heartbeats that could not be seen are nobody's fault.
    assert seen["violations"] == []


async def test_a_session_that_ends_while_it_stalls_says_so(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    sim.add_fault(SOCKET, "slow_reader", delay_ms=3_000_000)
    async with speaker(http, session, init=False) as one:
        await one.init()
        await sim.until(lambda: "init" in view(sim, session)["commands"])
        sim.advance(120)
        assert await one.farewell() == (4000, "activity_idle_timeout reached")


async def test_a_session_expires_from_their_side(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    sim.add_fault(SOCKET, "expire", after_messages=1, delay_ms=5000)
    async with speaker(http, session) as one:
        await one.send(voice())
        await one.heartbeat()
        sim.advance(4.9)
        assert view(sim, session)["status"] == "active"
        sim.advance(0.1)
        assert await one.farewell() == (4000, "session expired")
    (entry,) = sim.ledger()["conversations"]
    assert entry["ended_by"] == "session expired"
    body = {name: session[name] for name in ("session_id", "session_token")}
    reply = sim.handle(SimRequest.of("DELETE", f"{AGORA}/stop", body))
    assert reply.json()["code"] == "SESSION_NOT_FOUND"


async def test_in_a_thread_of_its_own_it_is_steered_over_http():
    timeout = aiohttp.ClientTimeout(total=LONG_S)
    with ThreadedSim() as sim:
        simulator = sim.simulator
        async with aiohttp.ClientSession(
            simulator.base_url, timeout=timeout
        ) as http:
            fault = {"endpoint": SOCKET, "kind": "expire", "delay_ms": 60_000}
            async with http.post("/sim/faults", json=fault) as response:
                assert response.status == 201
            session = start(simulator)
            async with speaker(http, session) as one:
                clock = {"advance_s": 60}
                async with http.post("/sim/clock", json=clock) as response:
                    assert response.status == 200
                assert await one.farewell() == (4000, "session expired")
    assert simulator.active == []
