#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Being in a simulated room, for as long as a connection lasts."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from support.watched import WatchedSimulator
from tavus_sim import SimRequest, SimServer

LONG_S = 20.0
PERSONA = {"persona_id": "pcb7a34da5fe"}


@pytest.fixture(name="sim")
def sim_fixture() -> WatchedSimulator:
    return WatchedSimulator(replica_join_ms=0)


@pytest.fixture(name="http")
async def http_fixture(
    sim: WatchedSimulator,
) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=LONG_S)
    async with (
        SimServer(sim),
        aiohttp.ClientSession(sim.base_url, timeout=timeout) as session,
    ):
        yield session


def create(sim: WatchedSimulator, **wish: Any) -> dict[str, Any]:
    body = {**PERSONA, "properties": {"participant_left_timeout": 60}, **wish}
    request = SimRequest.of("POST", "/v2/conversations", body)
    return sim.handle(request).json()


def presence(conversation: dict[str, Any], query: str = "") -> str:
    room = conversation["conversation_id"]
    return f"/sim/conversations/{room}/presence{query}"


async def next_view(stream: aiohttp.ClientResponse) -> dict[str, Any]:
    """What the stream tells next."""
    while True:
        line = await stream.content.readline()
        assert line, "the stream has ended"
        if line.startswith(b"data: "):
            return json.loads(line.removeprefix(b"data: "))


async def test_one_is_there_as_long_as_the_stream_lasts(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    created = create(sim)
    conversation = sim.conversation(created["conversation_id"])
    async with http.get(presence(created)) as stream:
        assert stream.content_type == "text/event-stream"
        view = await next_view(stream)
        assert (view["participants"], view["status"]) == (1, "active")
        assert view["replica_joined"] is True
        assert view["replica_was_there"] is False
        assert conversation.participants == 1
    await sim.until(lambda: conversation.participants == 0)
    assert conversation.status == "active"

    async with http.get(presence(created)) as stream:
        assert (await next_view(stream))["replica_was_there"] is True


async def test_a_shutdown_ends_the_stream(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    created = create(sim)
    async with http.get(presence(created)) as stream:
        await next_view(stream)
        sim.shutdown(created["conversation_id"], "max_call_duration reached")
        view = await next_view(stream)
        assert view["status"] == "ended"
        assert view["shutdown_reason"] == "max_call_duration reached"
        assert (await stream.read()).strip() == b""


async def test_a_deleted_room_is_seen_to_end(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    created = create(sim)
    delete = f"/v2/conversations/{created['conversation_id']}"
    async with http.get(presence(created)) as stream:
        await next_view(stream)
        assert sim.handle(SimRequest.of("DELETE", delete)).status == 204
        view = await next_view(stream)
        assert view["shutdown_reason"] == "daily_room_has_been_deleted"


async def test_who_may_not_come_in_is_not_counted(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    private = create(sim, require_auth=True)
    full = create(sim, max_participants=2)
    sim.join(full["conversation_id"])
    for url, status in (
        (presence(private), 403),
        (presence(private, "?t=wrong"), 403),
        (presence(full), 409),
        (presence({"conversation_id": "c0"}), 400),
    ):
        async with http.get(url) as reply:
            assert reply.status == status
    counts = [one["participants"] for one in sim.ledger()["conversations"]]
    assert counts == [0, 1]
    token = private["meeting_token"]
    async with http.get(presence(private, f"?t={token}")) as stream:
        assert (await next_view(stream))["participants"] == 1


async def test_a_server_that_stops_ends_the_stream(sim: WatchedSimulator):
    created = create(sim)
    async with aiohttp.ClientSession() as http:
        server = SimServer(sim)
        await server.start()
        async with http.get(sim.base_url + presence(created)) as stream:
            await next_view(stream)
            await asyncio.wait_for(server.close(), LONG_S)
            assert await stream.content.read() == b"\n"
    assert sim.conversation(created["conversation_id"]).participants == 0
