#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Time in the simulator: the timers end conversations, and events tell."""

from typing import Any

import pytest
from tavus_sim import Refusal, SimRequest, Simulator

START_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z
HOOK = "http://hook.test/secret"
LEFT = "participant_left_timeout reached"
ABSENT = "participant_absent_timeout reached"
TOO_LONG = "max_call_duration reached"
CLIENT = "end_conversation_endpoint_hit"


@pytest.fixture(name="sim")
def sim_fixture() -> Simulator:
    return Simulator(clock=lambda: START_S)


@pytest.fixture(name="webhooks")
def webhooks_fixture(sim: Simulator) -> list[dict[str, Any]]:
    received: list[dict[str, Any]] = []

    def on_event(url: str, payload: dict[str, Any]) -> None:
        assert url == HOOK
        received.append(payload)

    sim.on_event = on_event
    return received


def create(sim: Simulator, **properties: Any) -> str:
    body = {
        "persona_id": "pcb7a34da5fe",
        "callback_url": HOOK,
        "custom_greeting": "Hello",
        "properties": properties,
    }
    request = SimRequest.of("POST", "/v2/conversations", body)
    return sim.handle(request).json()["conversation_id"]


def end(sim: Simulator, conversation_id: str) -> None:
    url = f"/v2/conversations/{conversation_id}/end"
    assert sim.handle(SimRequest.of("POST", url)).status == 200


def entry(sim: Simulator) -> dict[str, Any]:
    (only,) = sim.ledger()["conversations"]
    return only


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["event_type"] for event in events]


def test_nobody_comes(sim: Simulator):
    create(sim)
    assert sim.next_deadline() == START_S + 300
    sim.advance(299.9)
    assert len(sim.active) == 1
    sim.advance(0.1)
    assert sim.active == []
    assert (entry(sim)["ended_by"], entry(sim)["duration_s"]) == (ABSENT, 300)


def test_the_last_one_leaves_and_by_default_that_is_the_end(sim: Simulator):
    conversation_id = create(sim)
    sim.join(conversation_id)
    sim.join(conversation_id)
    sim.leave(conversation_id)
    assert len(sim.active) == 1
    sim.leave(conversation_id)
    assert entry(sim)["ended_by"] == LEFT


def test_who_comes_back_in_time_goes_on(sim: Simulator):
    conversation_id = create(sim, participant_left_timeout=30)
    sim.join(conversation_id)
    sim.leave(conversation_id)
    sim.advance(29)
    sim.join(conversation_id)
    sim.advance(500)
    assert sim.active == [conversation_id]
    sim.leave(conversation_id)
    sim.advance(30)
    assert (entry(sim)["ended_by"], entry(sim)["duration_s"]) == (LEFT, 559)


def test_a_call_ends_at_its_limit_even_with_people_in_it(sim: Simulator):
    conversation_id = create(sim, max_call_duration=60)
    sim.join(conversation_id)
    sim.advance(1000)
    assert (entry(sim)["ended_by"], entry(sim)["duration_s"]) == (
        TOO_LONG,
        60,
    )


def test_no_limit_is_above_an_hour(sim: Simulator):
    conversation_id = create(sim, max_call_duration=100_000)
    sim.join(conversation_id)
    sim.advance(3600)
    assert entry(sim)["ended_by"] == TOO_LONG


def test_an_expired_conversation_frees_its_slot():
    sim = Simulator(clock=lambda: START_S, max_concurrent=1)
    create(sim, participant_absent_timeout=10)
    sim.advance(10)
    create(sim)
    assert sim.ledger()["created"] == 2


def test_nothing_is_due_when_all_have_ended(sim: Simulator):
    end(sim, create(sim))
    assert sim.next_deadline() is None


def test_a_deadline_moves_as_people_come_and_go(sim: Simulator):
    changes: list[float | None] = []
    sim.on_change = lambda: changes.append(sim.next_deadline())
    conversation_id = create(sim, participant_left_timeout=30)
    sim.join(conversation_id)
    sim.advance(1)
    sim.leave(conversation_id)
    end(sim, conversation_id)
    assert changes == [
        START_S + 300,  # nobody there yet
        START_S + 0.2,  # the replica is on its way
        START_S + 3600,  # a call
        START_S + 31,  # nobody there any more
        None,
    ]


def test_events_of_a_whole_call_in_order(
    sim: Simulator, webhooks: list[dict[str, Any]]
):
    conversation_id = create(sim)
    sim.join(conversation_id)
    assert webhooks == []
    sim.advance(0.2)
    sim.advance(9.8)
    end(sim, conversation_id)

    replica = {"replica_id": "r90bbd427f71"}
    envelope = {"conversation_id": conversation_id, "webhook_url": HOOK}
    assert webhooks == [
        {
            **envelope,
            "event_type": "system.replica_joined",
            "message_type": "system",
            "timestamp": "2027-01-15T08:00:00.200000Z",
            "properties": replica,
        },
        {
            **envelope,
            "event_type": "system.pal_joined",
            "message_type": "system",
            "timestamp": "2027-01-15T08:00:00.200000Z",
            "properties": {"face_id": "r90bbd427f71"},
        },
        {
            **envelope,
            "event_type": "system.shutdown",
            "message_type": "system",
            "timestamp": "2027-01-15T08:00:10.000000Z",
            "properties": {**replica, "shutdown_reason": CLIENT},
        },
        {
            **envelope,
            "event_type": "application.transcription_ready",
            "message_type": "application",
            "timestamp": "2027-01-15T08:00:10.000000Z",
            "properties": {
                "transcript": [
                    {
                        "role": "assistant",
                        "content": "Hello",
                        "timestamp": START_S,
                        "seconds_from_start": 0.0,
                        "duration": 0.0,
                    }
                ]
            },
        },
    ]


def test_verbose_shows_the_events_and_plain_does_not(sim: Simulator):
    conversation_id = create(sim)
    url = f"/v2/conversations/{conversation_id}"

    def get(query: str) -> dict[str, Any]:
        return sim.handle(SimRequest.of("GET", url + query)).json()

    assert get("?verbose=true")["events"] is None
    sim.shutdown(conversation_id, "daily_room_has_been_deleted")
    assert "events" not in get("")
    (event,) = get("?verbose=true")["events"]
    assert event == {
        "event_type": "system.shutdown",
        "message_type": "system",
        "timestamp": "2027-01-15T08:00:00.000000Z",
        "properties": {
            "replica_id": "r90bbd427f71",
            "shutdown_reason": "daily_room_has_been_deleted",
        },
    }


def test_a_call_nobody_joined_has_no_transcript(
    sim: Simulator, webhooks: list[dict[str, Any]]
):
    create(sim)
    sim.advance(300)
    assert types(webhooks) == ["system.shutdown"]


def test_a_replica_that_would_come_too_late_does_not_come(
    sim: Simulator, webhooks: list[dict[str, Any]]
):
    conversation_id = create(sim)
    sim.join(conversation_id)
    end(sim, conversation_id)
    sim.advance(10)
    assert types(webhooks) == [
        "system.shutdown",
        "application.transcription_ready",
    ]


def test_events_carry_the_time_they_were_due(
    sim: Simulator, webhooks: list[dict[str, Any]]
):
    create(sim, participant_absent_timeout=20)
    create(sim, participant_absent_timeout=10)
    sim.advance(100)
    assert [event["timestamp"][17:23] for event in webhooks] == [
        "10.000",
        "20.000",
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("lose", ["system.pal_joined"]),
        ("duplicate", ["system.replica_joined"] * 2 + ["system.pal_joined"]),
        ("reorder", ["system.pal_joined", "system.replica_joined"]),
    ],
)
def test_webhooks_get_lost_doubled_and_disordered(
    sim: Simulator,
    webhooks: list[dict[str, Any]],
    kind: str,
    expected: list[str],
):
    conversation_id = create(sim)
    sim.add_fault("*", "drop_after", count=1)  # does not touch webhooks
    sim.add_fault("webhook", kind, count=1)
    sim.join(conversation_id)
    sim.advance(1)
    assert types(webhooks) == expected
    events = sim.conversation(conversation_id).events
    assert types(events) == ["system.replica_joined", "system.pal_joined"]


def test_a_room_has_room_for_so_many(sim: Simulator):
    body = {"persona_id": "pcb7a34da5fe", "max_participants": 2}
    request = SimRequest.of("POST", "/v2/conversations", body)
    conversation_id = sim.handle(request).json()["conversation_id"]
    sim.join(conversation_id)
    with pytest.raises(Refusal, match="full"):
        sim.join(conversation_id)


def test_nobody_can_leave_an_empty_room(sim: Simulator):
    conversation_id = create(sim)
    with pytest.raises(Refusal, match="Nobody"):
        sim.leave(conversation_id)


@pytest.mark.parametrize("verb", ["join", "leave", "shutdown"])
def test_nothing_happens_to_an_ended_conversation(sim: Simulator, verb: str):
    conversation_id = create(sim)
    end(sim, conversation_id)
    with pytest.raises(Refusal, match="has ended"):
        getattr(sim, verb)(conversation_id)
