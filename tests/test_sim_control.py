#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The simulator's own paths: ledger, faults, conversations, clock."""

import base64
import json
from typing import Any

import pytest
from tavus_sim import SimReply, SimRequest, Simulator

START_S = 1_800_000_000.0


@pytest.fixture(name="sim")
def sim_fixture() -> Simulator:
    return Simulator(clock=lambda: START_S)


def call(sim: Simulator, method: str, url: str, body: Any = None) -> SimReply:
    # Without a key: the control paths ask for none.
    return sim.handle(SimRequest.of(method, url, body, api_key=""))


def create(sim: Simulator, **body: Any) -> dict[str, Any]:
    wish = {"persona_id": "pcb7a34da5fe", "conversation_name": "L", **body}
    request = SimRequest.of("POST", "/v2/conversations", wish)
    return sim.handle(request).json()


def test_tavus_says_what_it_is_told_to_by_webhook_and_when_asked():
    sim = Simulator(clock=lambda: START_S, newest_events_first=True)
    posted: list[dict[str, Any]] = []
    sim.on_event = lambda _, payload: posted.append(payload)
    made = create(sim, callback_url="http://127.0.0.1:1/hook")
    ours = made["conversation_id"]
    path = f"/sim/conversations/{ours}/report"
    first = {"event_type": None, "properties": {"n": float("inf")}}
    second = {"event_type": "a-B", "timestamp": 5, "seq": 7}
    for event in (first, second):
        assert call(sim, "POST", path, event).status == 204
    there = sim.handle(
        SimRequest.of("GET", f"/v2/conversations/{ours}?verbose=true")
    ).json()["events"]
    assert there == [
        second,
        {**first, "timestamp": "2027-01-15T08:00:00.000000Z"},
    ]
    hook = {
        "conversation_id": ours,
        "webhook_url": "http://127.0.0.1:1/hook",
    }
    assert posted == [{**event, **hook} for event in reversed(there)]
    assert call(sim, "POST", path, [1]).status == 400


def test_the_ledger_has_every_conversation_and_request(sim: Simulator):
    first = create(sim)["conversation_id"]
    second = create(sim)["conversation_id"]
    sim.advance(2.5)
    end = f"/v2/conversations/{first}/end"
    sim.handle(SimRequest.of("POST", end))
    sim.handle(SimRequest.of("GET", "/v2/nowhere"))

    assert call(sim, "GET", "/sim/ledger").json() == {
        "created": 2,
        "active": 1,
        "ended": 1,
        "conversations": [
            {
                "conversation_id": first,
                "conversation_name": "L",
                "status": "ended",
                "created_at": "2027-01-15T08:00:00.000000Z",
                "ended_at": "2027-01-15T08:00:02.500000Z",
                "ended_by": "client",
                "participants": 0,
                "duration_s": 2.5,
            },
            {
                "conversation_id": second,
                "conversation_name": "L",
                "status": "active",
                "created_at": "2027-01-15T08:00:00.000000Z",
                "ended_at": None,
                "ended_by": None,
                "participants": 0,
                "duration_s": 2.5,
            },
        ],
        "refused": [],
        "requests": {
            "create": 2,
            "end": 1,
            "get": 0,
            "list": 0,
            "delete": 0,
            "persona": 0,
            "replica": 0,
            "other": 1,
        },
    }


def test_faults_can_be_set_seen_and_cleared(sim: Simulator):
    wish = {"endpoint": "create", "kind": "status", "status": 402, "count": 2}
    reply = call(sim, "POST", "/sim/faults", wish)
    assert reply.status == 201
    fault = {
        **wish,
        "body": None,
        "retry_after_s": None,
        "delay_ms": 0.0,
        "probability": None,
        "after_messages": 0,
    }
    assert reply.json() == fault
    assert call(sim, "GET", "/sim/faults").json() == {"faults": [fault]}
    assert call(sim, "DELETE", "/sim/faults").status == 204
    assert call(sim, "GET", "/sim/faults").json() == {"faults": []}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "endpoint is missing"),
        ({"endpoint": "end"}, "kind is missing"),
        (
            {"endpoint": "end", "kind": "slow", "counts": 1},
            "unknown field 'counts'; known: endpoint, kind, status, body, "
            "retry_after_s, delay_ms, count, probability, after_messages",
        ),
        (
            {"endpoint": "stop", "kind": "slow"},
            "endpoint must be one of agora_start, agora_stop, agora_socket, "
            "create, end, get, list, delete, persona, replica, webhook, "
            "avatar, *, not 'stop'",
        ),
        (
            {"endpoint": "webhook", "kind": "slow"},
            "kind must be one of lose, duplicate, reorder, not 'slow'",
        ),
        (
            {"endpoint": "end", "kind": "slow", "count": 0},
            "count must be a whole number from 1 to 1000000, not 0",
        ),
        (
            {"endpoint": "end", "kind": "slow", "count": 1.5},
            "count must be a whole number from 1 to 1000000, not 1.5",
        ),
        (
            {"endpoint": "end", "kind": "slow", "probability": 2},
            "probability must be a number from 0 to 1, not 2",
        ),
        (
            {"endpoint": "end", "kind": "status", "status": "500"},
            "status must be a whole number from 200 to 599, not '500'",
        ),
        (
            {"endpoint": "end", "kind": "slow", "delay_ms": -1},
            "delay_ms must be a number from 0 to 3600000, not -1",
        ),
        (
            {"endpoint": "end", "kind": "status", "retry_after_s": True},
            "retry_after_s must be a number from 0 to 86400, not True",
        ),
    ],
)
def test_a_bad_fault_is_refused_with_the_reason(
    sim: Simulator, body: dict[str, Any], error: str
):
    reply = call(sim, "POST", "/sim/faults", body)
    assert (reply.status, reply.json()) == (400, {"error": error})
    assert sim.faults() == []


def test_join_and_leave(sim: Simulator):
    conversation_id = create(sim)["conversation_id"]
    url = f"/sim/conversations/{conversation_id}"
    assert call(sim, "POST", f"{url}/join").status == 204
    assert sim.ledger()["conversations"][0]["participants"] == 1
    assert call(sim, "POST", f"{url}/leave").status == 204
    assert sim.active == []
    assert call(sim, "POST", f"{url}/join").status == 409


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (None, "internal error occurred at step x"),
        ({"reason": "daily_room_has_been_deleted"},) * 2,
    ],
)
def test_shutdown(sim: Simulator, body: Any, reason: Any):
    conversation_id = create(sim)["conversation_id"]
    url = f"/sim/conversations/{conversation_id}/shutdown"
    assert call(sim, "POST", url, body).status == 204
    expected = reason if isinstance(reason, str) else reason["reason"]
    assert sim.ledger()["conversations"][0]["ended_by"] == expected


def test_credits(sim: Simulator):
    assert call(sim, "POST", "/sim/credits", {"spent": True}).status == 204
    assert create(sim) == {
        "message": "The user is out of conversational credits"
    }
    call(sim, "POST", "/sim/credits", {"spent": False})
    assert create(sim)["status"] == "active"


def test_clock(sim: Simulator):
    create(sim)
    reply = call(sim, "POST", "/sim/clock", {"advance_s": 300})
    assert reply.json() == {"now": START_S + 300}
    assert sim.active == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("credits", {}),
        ("credits", {"spent": "yes"}),
        ("credits", {"spent": True, "more": 1}),
        ("credits", b"["),
        ("clock", {"advance_s": -1}),
        ("clock", {"advance_s": "1"}),
        ("clock", {"advance_s": True}),
        ("clock", b'{"advance_s": NaN}'),
        ("conversations/ID/shutdown", {"reason": ""}),
        ("conversations/ID/shutdown", {"why": "x"}),
        ("conversations/ID/dance", None),
        ("conversations/c0/join", None),
    ],
)
def test_bad_control_input_is_refused(sim: Simulator, path: str, body: Any):
    conversation_id = create(sim)["conversation_id"]
    url = f"/sim/{path}".replace("ID", conversation_id)
    reply = call(sim, "POST", url, body)
    assert reply.status == 400
    assert reply.json()["error"]
    assert sim.active == [conversation_id]


def test_an_unknown_control_path_is_404(sim: Simulator):
    assert call(sim, "GET", "/sim/nothing").status == 404


def test_a_meeting_token_names_its_room_and_its_end(sim: Simulator):
    conversation = create(
        sim,
        require_auth=True,
        properties={"participant_absent_timeout": 60},
    )
    claims = conversation["meeting_token"].split(".")[1]
    padded = claims + "=" * (-len(claims) % 4)
    assert json.loads(base64.urlsafe_b64decode(padded)) == {
        "r": conversation["conversation_id"],
        "iat": int(START_S),
        "exp": int(START_S) + 60,
    }
