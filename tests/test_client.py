#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""TavusClient against the simulator, over real sockets."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tavus_sim import SimServer, Simulator
from ten_packages.extension.tavus_python.errors import (
    TavusAuthError,
    TavusConcurrencyError,
    TavusCreditsError,
    TavusError,
    TavusNetworkError,
    TavusNotFoundError,
    TavusProtocolError,
    TavusRateLimitError,
    TavusServerError,
    TavusTimeoutError,
    TavusValidationError,
)
from ten_packages.extension.tavus_python.tavus_client import TavusClient

KEY = "tavus-key-that-nobody-may-see"
BODY = {"persona_id": "pipecat0", "replica_id": "r9d30b0e55ac"}
# What can happen to a POST after which nobody knows whether it was obeyed.
UNCLEAR = [
    ("drop_before", TavusNetworkError),
    ("drop_after", TavusNetworkError),
    ("error_before", TavusServerError),
    ("error_after", TavusServerError),
    ("truncated", TavusNetworkError),
    ("not_json", TavusProtocolError),
    ("empty", TavusProtocolError),
]


@contextlib.asynccontextmanager
async def talking_to(sim: Simulator, **options: Any):
    """A client of that simulator, which is up meanwhile."""
    options = {"backoff_s": 0.001, **options}
    async with (
        SimServer(sim) as server,
        TavusClient(KEY, server.base_url, **options) as client,
    ):
        yield client


@pytest.fixture(name="sim")
def _sim() -> Simulator:
    return Simulator(api_key=KEY)


@pytest.fixture(name="client")
async def _client(sim: Simulator) -> AsyncIterator[TavusClient]:
    async with talking_to(sim) as client:
        yield client


def asked(sim: Simulator, endpoint: str) -> int:
    return sim.ledger()["requests"].get(endpoint, 0)


async def test_a_conversation_from_create_to_end(client, sim):
    made = await client.create_conversation(
        {**BODY, "conversation_name": "one"}
    )
    assert sim.active == [made.conversation_id]
    assert made.status == "active"
    assert made.conversation_name == "one"
    assert made.conversation_url.endswith(made.conversation_id)

    assert await client.end_conversation(made.conversation_id) is True
    seen = await client.get_conversation(made.conversation_id, verbose=True)
    assert seen.status == "ended"
    assert seen.shutdown_reason == "end_conversation_endpoint_hit"


@pytest.mark.parametrize("vocabulary", ["old", "new"])
async def test_both_vocabularies_are_read(vocabulary):
    sim = Simulator(vocabulary=vocabulary)
    async with talking_to(sim) as client:
        made = await client.create_conversation(BODY)
        seen = await client.get_conversation(made.conversation_id)
        assert seen.persona_id == BODY["persona_id"]
        assert seen.replica_id == BODY["replica_id"]


async def test_a_private_room_is_joined_with_its_token(client):
    made = await client.create_conversation({**BODY, "require_auth": True})
    assert made.meeting_token
    assert made.join_url == f"{made.conversation_url}?t={made.meeting_token}"
    assert made.meeting_token not in repr(made)


async def test_what_is_sent_on_the_wire(client, sim):
    made = await client.create_conversation({**BODY, "custom_greeting": "Grüß"})
    await client.end_conversation(made.conversation_id)
    create, end = sim.recent_requests
    assert create.headers["x-api-key"] == KEY
    assert create.headers["user-agent"].startswith("tavus-ten/")
    assert create.headers["content-type"] == "application/json"
    assert json.loads(create.body)["custom_greeting"] == "Grüß"
    # Some servers refuse an empty body that claims to be JSON.
    assert end.body == b""
    assert end.headers.get("content-type") != "application/json"


# Ending


@pytest.mark.parametrize("status", [200, 400, 404])
async def test_ending_twice_says_whether_it_was_over(status):
    sim = Simulator(end_ended_status=status)
    async with talking_to(sim) as client:
        made = await client.create_conversation(BODY)
        assert await client.end_conversation(made.conversation_id) is True
        # A 200 cannot be told from having ended it.
        again = await client.end_conversation(made.conversation_id)
        assert again is (status == 200)


@pytest.mark.parametrize("status", [400, 404])
async def test_ending_what_does_not_exist_says_so(status):
    sim = Simulator(unknown_id_status=status)
    async with talking_to(sim) as client:
        with pytest.raises(TavusNotFoundError):
            await client.end_conversation("c0000000000")


@pytest.mark.parametrize("word", ["completed", "expired", "error", "ENDED"])
async def test_what_is_not_active_is_over_when_it_has_been_ended(word):
    sim = Simulator(ended_word=word)
    async with talking_to(sim) as client:
        made = await client.create_conversation(BODY)
        sim.shutdown(made.conversation_id)
        assert await client.end_conversation(made.conversation_id) is False


async def test_of_what_has_no_status_nobody_knows_whether_it_runs(client, sim):
    made = await client.create_conversation(BODY)
    sim.add_fault("end", "status", status=400, body={"error": "not now"})
    known = {"conversation_id": made.conversation_id}
    sim.add_fault("get", "status", status=200, body=known)
    with pytest.raises(TavusNotFoundError, match="not say whether it runs"):
        await client.end_conversation(made.conversation_id)


@pytest.mark.parametrize("status", [400, 404, 409])
async def test_a_refused_end_of_a_running_one_is_an_error(client, sim, status):
    made = await client.create_conversation(BODY)
    sim.add_fault("end", "status", status=status, body={"error": "not now"})
    with pytest.raises(TavusError) as caught:
        await client.end_conversation(made.conversation_id)
    assert caught.value.retryable
    assert caught.value.status == status
    assert sim.active == [made.conversation_id]


@pytest.mark.parametrize(
    "kind",
    ["drop_before", "drop_after", "error_before", "error_after", "truncated"],
)
async def test_ending_is_repeated_until_it_is_certain(client, sim, kind):
    made = await client.create_conversation(BODY)
    sim.add_fault("end", kind, count=2)
    await client.end_conversation(made.conversation_id)
    assert sim.active == []


async def test_a_2xx_to_end_needs_no_body(client, sim):
    made = await client.create_conversation(BODY)
    sim.add_fault("end", "empty", count=1)
    assert await client.end_conversation(made.conversation_id) is True
    assert asked(sim, "end") == 1


async def test_a_page_that_answers_to_end_is_not_believed(client, sim):
    made = await client.create_conversation(BODY)
    sim.add_fault("end", "page_before", count=1)
    with pytest.raises(TavusProtocolError) as caught:
        await client.end_conversation(made.conversation_id)
    assert caught.value.retryable
    assert sim.active == [made.conversation_id]
    sim.add_fault("end", "not_json", count=1)
    assert await client.end_conversation(made.conversation_id) is False
    assert sim.active == []


# Repeating


@pytest.mark.parametrize(("kind", "error"), UNCLEAR)
async def test_an_unclear_create_is_never_repeated(client, sim, kind, error):
    sim.add_fault("create", kind)
    with pytest.raises(error) as caught:
        await client.create_conversation(BODY)
    assert caught.value.sent
    assert asked(sim, "create") == 1


async def test_a_create_that_was_refused_for_its_rate_is_repeated(client, sim):
    sim.add_fault("create", "status", status=429, count=2)
    await client.create_conversation(BODY)
    assert asked(sim, "create") == 3
    assert len(sim.active) == 1


async def test_a_create_that_is_refused_too_often_gives_up(client, sim):
    sim.add_fault("create", "status", status=429)
    with pytest.raises(TavusRateLimitError) as caught:
        await client.create_conversation(BODY)
    assert not caught.value.sent
    assert asked(sim, "create") == 3


@pytest.mark.parametrize(("kind", "_error"), UNCLEAR)
async def test_reading_is_repeated(client, sim, kind, _error):
    made = await client.create_conversation(BODY)
    sim.add_fault("get", kind, count=2)
    seen = await client.get_conversation(made.conversation_id)
    assert seen.conversation_id == made.conversation_id


async def test_reading_gives_up_after_the_attempts(client, sim):
    sim.add_fault("get", "error_before", status=503)
    with pytest.raises(TavusServerError) as caught:
        await client.get_conversation("c1")
    assert caught.value.status == 503
    assert asked(sim, "get") == 3


@pytest.mark.parametrize("endpoint", ["create", "end", "get"])
async def test_a_server_that_says_nothing_is_a_timeout(sim, endpoint):
    async with talking_to(sim, timeout_s=0.05, attempts=1) as client:
        sim.add_fault(endpoint, "hang_after")
        calls = {
            "create": lambda: client.create_conversation(BODY),
            "end": lambda: client.end_conversation("c1"),
            "get": lambda: client.get_conversation("c1"),
        }
        with pytest.raises(TavusTimeoutError) as caught:
            await calls[endpoint]()
        assert caught.value.sent
        assert caught.value.status == 0


# Refusals


async def test_a_wrong_key_is_told_and_not_shown():
    async with talking_to(Simulator(api_key="another")) as client:
        with pytest.raises(TavusAuthError) as caught:
            await client.create_conversation(BODY)
    assert str(caught.value).startswith("Invalid access token (HTTP 401) - ")
    assert KEY not in repr(caught.value) + str(caught.value)


async def test_no_minutes_left(client, sim):
    sim.set_credits_spent(True)
    with pytest.raises(TavusCreditsError) as caught:
        await client.create_conversation(BODY)
    assert not caught.value.retryable
    assert asked(sim, "create") == 1


async def test_no_slot_left():
    sim = Simulator(max_concurrent=1)
    async with talking_to(sim) as client:
        await client.create_conversation(BODY)
        with pytest.raises(TavusConcurrencyError) as caught:
            await client.create_conversation(BODY)
    assert caught.value.status == 400
    assert not caught.value.sent
    assert asked(sim, "create") == 2


async def test_both_vocabularies_in_one_request_are_refused(client):
    with pytest.raises(TavusValidationError, match="both persona_id and pal"):
        await client.create_conversation({**BODY, "pal_id": "pipecat0"})


@pytest.mark.parametrize("status", [400, 404])
async def test_an_unknown_conversation_is_not_found(status):
    sim = Simulator(unknown_id_status=status)
    async with talking_to(sim) as client:
        with pytest.raises(TavusNotFoundError):
            await client.get_conversation("c0000000000")
        assert await client.delete_conversation("c0000000000") is False


# Lists, personas, replicas


async def test_all_pages_are_listed_though_the_server_shortens_them():
    sim = Simulator(max_page_size=2)
    async with talking_to(sim) as client:
        made = [await client.create_conversation(BODY) for _ in range(5)]
        await client.end_conversation(made[0].conversation_id)
        active = [c async for c in client.list_conversations(status="active")]
        every = [c async for c in client.list_conversations(page_size=2)]
    assert {c.conversation_id for c in active} == set(sim.active)
    assert len(active) == 4
    assert {c.conversation_id for c in every} == {
        c.conversation_id for c in made
    }


async def test_deleting_a_conversation(client, sim):
    made = await client.create_conversation(BODY)
    assert await client.delete_conversation(made.conversation_id, hard=True)
    assert sim.recent_requests[-1].query == {"hard": "true"}
    assert not await client.delete_conversation(made.conversation_id)


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_persona_from_create_to_delete(wrapped):
    sim = Simulator(wrap_persona=wrapped)
    async with talking_to(sim) as client:
        made = await client.create_persona(
            {"persona_name": "Ada", "system_prompt": "Be Ada."}
        )
        mine = client.list_personas(persona_type="user")
        assert [p.persona_name async for p in mine] == ["Ada"]
        patch = [{"op": "replace", "path": "/persona_name", "value": "Eve"}]
        assert await client.patch_persona(made.persona_id, patch) is True
        assert await client.patch_persona(made.persona_id, patch) is False
        seen = await client.get_persona(made.persona_id)
        assert seen.persona_name == "Eve"
        assert await client.delete_persona(made.persona_id) is True
        assert await client.delete_persona(made.persona_id) is False


async def test_a_bad_patch_is_refused(client):
    made = await client.create_persona({"system_prompt": "Be Ada."})
    with pytest.raises(TavusValidationError) as caught:
        await client.patch_persona(made.persona_id, [{"op": "nonsense"}])
    assert caught.value.status == 422


async def test_replicas_are_listed_and_read(client):
    stock = [r async for r in client.list_replicas(replica_type="system")]
    assert "r9d30b0e55ac" in {replica.replica_id for replica in stock}
    seen = await client.get_replica("r9d30b0e55ac")
    assert seen.status == "completed"
    assert seen.replica_name
