#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Agora sessions of the simulator: start, stop, limits, ledger, time."""

import uuid
from typing import Any

import pytest
from support.agora_sim import AGORA_TOKEN, START, start, view
from tavus_sim import SimReply, SimRequest, Simulator

START_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z
AGORA = "/v2/conversations/agora/session"
PERSONA = {"persona_id": "pcb7a34da5fe"}
MISSING = object()


@pytest.fixture(name="sim")
def sim_fixture() -> Simulator:
    return Simulator(clock=lambda: START_S)


def ask(
    sim: Simulator, method: str, url: str, body: Any = None, key: str = "any"
) -> SimReply:
    return sim.handle(SimRequest.of(method, url, body, key))


def stop(sim: Simulator, session: dict[str, Any], **changes: Any) -> SimReply:
    names = ("session_id", "session_token")
    body = {**{name: session[name] for name in names}, **changes}
    body = {name: body[name] for name in body if body[name] is not MISSING}
    return ask(sim, "DELETE", f"{AGORA}/stop", body)


def entry(sim: Simulator) -> dict[str, Any]:
    (only,) = sim.ledger()["conversations"]
    return only


def changed(name: str, value: Any) -> dict[str, Any]:
    """A start request with one field changed, or taken out."""
    body = {**START, "agora_settings": dict(START["agora_settings"])}
    place, _, inner = name.rpartition(".")
    fields = body[place] if place else body
    fields[inner] = value
    if value is MISSING:
        del fields[inner]
    return body


@pytest.mark.parametrize("method", ["start", "stop"])
@pytest.mark.parametrize(
    ("key", "status", "code"),
    [("", 403, "MISSING_API_KEY"), ("wrong", 401, "INVALID_API_KEY")],
)
def test_both_need_the_key(method: str, key: str, status: int, code: str):
    sim = Simulator(api_key="right")
    verb = "POST" if method == "start" else "DELETE"
    reply = ask(sim, verb, f"{AGORA}/{method}", {}, key)
    assert reply.status == status
    assert reply.json()["code"] == code
    assert set(reply.json()) == {"error", "message", "code"}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        *(
            (name, MISSING, f"Missing required field: {name}")
            for name in (
                "avatar_id",
                "quality",
                "version",
                "video_encoding",
                "agora_settings",
                "agora_settings.app_id",
                "agora_settings.token",
                "agora_settings.channel",
                "agora_settings.uid",
                "agora_settings.enable_string_uid",
            )
        ),
        ("quality", "ultra", "quality must be one of low, medium, high"),
        ("version", "v2", "version must be v1"),
        (
            "video_encoding",
            "h264",
            "video_encoding must be one of H264, VP8, AV1",
        ),
        ("avatar_id", "r0", "avatar_id is no face and no persona of the "),
        ("avatar_id", ["r0"], "avatar_id must be a non-empty string"),
        ("activity_idle_timeout", -1, "activity_idle_timeout must be"),
        ("activity_idle_timeout", "120", "activity_idle_timeout must be"),
        ("activity_idle_timeout", True, "activity_idle_timeout must be"),
        (
            "activity_idle_timeout",
            float("nan"),
            "activity_idle_timeout must be",
        ),
        ("area", "", "area must be a non-empty string"),
        ("agora_settings", [], "agora_settings must be an object"),
        ("agora_settings.token", "", "agora_settings.token must be"),
        ("agora_settings.uid", 333, "agora_settings.uid must be"),
        ("agora_settings.uid", "0", "agora_settings.uid must be"),
        ("agora_settings.uid", "4294967296", "agora_settings.uid must be"),
        ("agora_settings.uid", "avatar", "agora_settings.uid must be"),
        (
            "agora_settings.enable_string_uid",
            0,
            "agora_settings.enable_string_uid must be a boolean",
        ),
        ("face_id", "r9d30b0e55ac", "Unknown field: 'face_id'"),
        ("agora_settings.key", "k", "Unknown field: agora_settings.'key'"),
    ],
)
def test_a_bad_start_names_the_field(
    sim: Simulator, field: str, value: Any, message: str
):
    reply = ask(sim, "POST", f"{AGORA}/start", changed(field, value))
    assert reply.status == 400
    assert reply.json()["message"].startswith(message)
    assert reply.json()["code"] == "VALIDATION_ERROR"
    assert AGORA_TOKEN not in reply.body.decode()
    assert sim.ledger()["created"] == 0


@pytest.mark.parametrize("body", [b"{", b"[]"])
def test_a_body_that_is_no_object_is_a_validation_error(
    sim: Simulator, body: bytes
):
    reply = ask(sim, "POST", f"{AGORA}/start", body)
    assert (reply.status, reply.json()["code"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "changes",
    [
        {"avatar_id": "pcb7a34da5fe"},
        {"area": "EU"},
        {"activity_idle_timeout": 0},
        {"activity_idle_timeout": 0.5},
        changed("activity_idle_timeout", MISSING),
        changed("agora_settings.uid", "4294967295"),
        {
            "agora_settings": {
                **START["agora_settings"],
                "uid": "avatar",
                "enable_string_uid": True,
            }
        },
    ],
)
def test_what_the_protocol_allows_is_accepted(
    sim: Simulator, changes: dict[str, Any]
):
    start(sim, **changes)
    assert sim.ledger()["active"] == 1


def test_start_answers_where_to_connect_and_as_whom(sim: Simulator):
    sim.base_url = "http://127.0.0.1:8900"
    session = start(sim)
    assert set(session) == {
        "session_id",
        "websocket_address",
        "session_token",
    }
    address = "ws://127.0.0.1:8900/v2/conversations/agora/ws"
    assert session["websocket_address"] == address
    assert str(uuid.UUID(session["session_id"])) == session["session_id"]


def test_equal_seeds_have_equal_ids_and_no_token_twice():
    one, other = (start(Simulator(seed=7)) for _ in range(2))
    assert one["session_id"] == other["session_id"]
    assert one["session_token"] != other["session_token"]
    assert len(one["session_token"]) > 32


def test_stop_ends_it_once(sim: Simulator):
    session = start(sim)
    reply = stop(sim, session)
    assert (reply.status, reply.json()["status"]) == (200, "success")
    assert entry(sim)["ended_by"] == "client"
    again = stop(sim, session)
    assert (again.status, again.json()["code"]) == (404, "SESSION_NOT_FOUND")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"session_id": MISSING}, 400, "VALIDATION_ERROR"),
        ({"session_token": MISSING}, 400, "VALIDATION_ERROR"),
        ({"session_token": 1}, 400, "VALIDATION_ERROR"),
        ({"reason": "bye"}, 400, "VALIDATION_ERROR"),
        ({"session_id": "nobody"}, 404, "SESSION_NOT_FOUND"),
        ({"session_token": "a guess"}, 401, "INVALID_SESSION_TOKEN"),
    ],
)
def test_a_bad_stop_stops_nothing(
    sim: Simulator, changes: dict[str, Any], status: int, code: str
):
    reply = stop(sim, start(sim), **changes)
    assert (reply.status, reply.json()["code"]) == (status, code)
    assert sim.ledger()["active"] == 1


def test_the_wrong_verb_is_405(sim: Simulator):
    reply = ask(sim, "POST", f"{AGORA}/stop", {})
    assert (reply.status, reply.headers["allow"]) == (405, "DELETE")


def test_sessions_and_conversations_share_the_slots():
    sim = Simulator(max_concurrent=2)
    session = start(sim)
    assert ask(sim, "POST", "/v2/conversations", PERSONA).status == 200
    full = {"message": "User has reached maximum concurrent conversations"}
    for url, body in (
        (f"{AGORA}/start", START),
        ("/v2/conversations", PERSONA),
    ):
        reply = ask(sim, "POST", url, body)
        assert (reply.status, reply.json()) == (400, full)
    stop(sim, session)
    assert ask(sim, "POST", "/v2/conversations", PERSONA).status == 200


def test_without_credits_nothing_starts(sim: Simulator):
    sim.set_credits_spent(True)
    reply = ask(sim, "POST", f"{AGORA}/start", START)
    spent = {"message": "The user is out of conversational credits"}
    assert (reply.status, reply.json()) == (402, spent)


def test_the_ledger_has_sessions_beside_conversations(sim: Simulator):
    ask(sim, "POST", "/v2/conversations", PERSONA)
    session = start(sim)
    sim.advance(2.5)
    stop(sim, session)
    ledger = sim.ledger()
    counts = (ledger["created"], ledger["active"], ledger["ended"])
    assert counts == (2, 1, 1)
    assert ledger["requests"]["agora_start"] == 1
    assert ledger["requests"]["agora_stop"] == 1
    assert ledger["conversations"][1] == {
        "kind": "agora",
        "session_id": session["session_id"],
        "avatar_id": "r9d30b0e55ac",
        "channel": "a-channel",
        "status": "ended",
        "created_at": "2027-01-15T08:00:00.000000Z",
        "ended_at": "2027-01-15T08:00:02.500000Z",
        "ended_by": "client",
        "duration_s": 2.5,
        "connected": False,
        "utterances": 0,
        "heard_s": 0.0,
        "violations_count": 0,
        "violations": [],
    }


def test_an_active_session_counts_as_active(sim: Simulator):
    session = start(sim)
    assert sim.active == [session["session_id"]]
    stop(sim, session)
    assert sim.active == []


def test_no_token_is_ever_shown(sim: Simulator):
    session = start(sim)
    shown = f"{sim.ledger()} {view(sim, session)} {sim.sessions.all}"
    assert session["session_token"] not in shown
    assert AGORA_TOKEN not in shown
    assert view(sim, session)["start"]["quality"] == "high"


@pytest.mark.parametrize("path", ["", "/heard.wav"])
def test_an_unknown_session_is_404(sim: Simulator, path: str):
    assert ask(sim, "GET", f"/sim/agora/nobody{path}").status == 404


def test_nothing_for_as_long_as_its_idle_timeout_ends_it(sim: Simulator):
    start(sim, activity_idle_timeout=30)
    sim.advance(29.9)
    assert entry(sim)["status"] == "active"
    sim.advance(1000)
    assert entry(sim)["ended_by"] == "activity_idle_timeout reached"
    assert entry(sim)["duration_s"] == 30
    assert sim.next_deadline() is None


def test_the_idle_timeout_is_120_seconds_unless_said(sim: Simulator):
    body = changed("activity_idle_timeout", MISSING)
    assert ask(sim, "POST", f"{AGORA}/start", body).status == 200
    sim.advance(1000)
    assert entry(sim)["duration_s"] == 120


def test_without_an_idle_timeout_it_lasts_an_hour(sim: Simulator):
    start(sim, activity_idle_timeout=0)
    sim.advance(10_000)
    assert entry(sim)["ended_by"] == "max_call_duration reached"
    assert entry(sim)["duration_s"] == 3600
