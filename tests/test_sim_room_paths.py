#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the simulator serves to the page of a room, without a browser."""

import re
from typing import Any

import pytest
from tavus_sim import SimReply, SimRequest, Simulator
from tavus_sim.interactions import normalized_inference_id

START_S = 1_800_000_000.0


@pytest.fixture(name="sim")
def sim_fixture() -> Simulator:
    return Simulator(clock=lambda: START_S, replica_join_ms=0)


def call(sim: Simulator, method: str, url: str, body: Any = None) -> SimReply:
    return sim.handle(SimRequest.of(method, url, body, api_key=""))


def create(sim: Simulator, **body: Any) -> dict[str, Any]:
    wish = {"persona_id": "pcb7a34da5fe", "conversation_name": "L", **body}
    request = SimRequest.of("POST", "/v2/conversations", wish)
    return sim.handle(request).json()


def path_of(conversation: dict[str, Any], more: str = "") -> str:
    return f"/sim/conversations/{conversation['conversation_id']}{more}"


def message_to(
    conversation: dict[str, Any], event_type: str, **properties: Any
) -> dict[str, Any]:
    return {
        "message_type": "conversation",
        "event_type": f"conversation.{event_type}",
        "conversation_id": conversation["conversation_id"],
        "properties": properties,
    }


def test_a_room_says_that_it_is_a_simulation(sim: Simulator):
    conversation = create(sim, conversation_name="<b>&")
    reply = call(sim, "GET", f"/room/{conversation['conversation_id']}")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "Simulation" in reply.body.decode()


def test_every_room_is_the_same_page(sim: Simulator):
    pages = {
        call(sim, "GET", f"/room/{create(sim, **wish)['conversation_id']}").body
        for wish in ({}, {"conversation_name": "<b>", "custom_greeting": "<i>"})
    }
    assert len(pages) == 1


def test_a_room_runs_no_code_but_its_own_and_may_be_framed(sim: Simulator):
    conversation = create(sim)
    reply = call(sim, "GET", f"/room/{conversation['conversation_id']}")
    policy = reply.headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors *" in policy
    # A URL with a token in it stays here.
    assert reply.headers["referrer-policy"] == "no-referrer"


def test_every_file_that_a_room_names_is_served(sim: Simulator):
    room = f"/room/{create(sim)['conversation_id']}"
    text = call(sim, "GET", room).body.decode()
    urls = re.findall(r'(?:src|href)="(/[^"]+)"', text)
    assert len(urls) == 3
    while urls:
        url = urls.pop()
        reply = call(sim, "GET", url)
        assert reply.status == 200, url
        assert reply.headers["x-content-type-options"] == "nosniff"
        if url.endswith(".js"):
            code = reply.body.decode()
            assert reply.headers["content-type"].startswith("text/javascript")
            names = re.findall(
                r'^(?:import|} from).* from "\./(.+)"', code, re.M
            )
            urls += [f"/sim/static/{name}" for name in names]


@pytest.mark.parametrize(
    "name", ["nothing.js", "", "..", "../room.py", "%2e%2e", "room.py"]
)
def test_nothing_else_is_served(sim: Simulator, name: str):
    assert call(sim, "GET", f"/sim/static/{name}").status == 404


def test_a_private_room_opens_only_with_its_token(sim: Simulator):
    conversation = create(sim, require_auth=True)
    room = f"/room/{conversation['conversation_id']}"
    token = conversation["meeting_token"]
    hello = message_to(conversation, "interrupt")
    assert call(sim, "GET", f"{room}?t={token}").status == 200
    call(sim, "POST", path_of(conversation, "/join"))
    view = call(sim, "GET", path_of(conversation, f"/room?t={token}"))
    assert view.status == 200
    assert token not in view.body.decode()
    more = path_of(conversation, "/interactions")
    assert call(sim, "POST", f"{more}?t={token}", hello).status == 200
    for query in ("", "?t=wrong", "?t="):
        assert call(sim, "GET", room + query).status == 403
        view = call(sim, "GET", path_of(conversation, f"/room{query}"))
        assert view.status == 403
        assert view.json() == {
            "error": "You are not allowed to join this meeting."
        }
        assert call(sim, "POST", more + query, hello).status == 403


def test_a_token_too_many_does_no_harm(sim: Simulator):
    conversation = create(sim)
    room = f"/room/{conversation['conversation_id']}?t=old"
    assert call(sim, "GET", room).status == 200


def test_the_room_of_an_ended_conversation_is_gone(sim: Simulator):
    conversation = create(sim)
    conversation_id = conversation["conversation_id"]
    call(sim, "POST", path_of(conversation, "/join"))
    sim.shutdown(conversation_id, "daily_room_has_been_deleted")
    assert call(sim, "GET", f"/room/{conversation_id}").status == 410
    view = call(sim, "GET", path_of(conversation, "/room")).json()
    assert view["status"] == "ended"
    assert view["shutdown_reason"] == "daily_room_has_been_deleted"
    late = message_to(conversation, "interrupt")
    reply = call(sim, "POST", path_of(conversation, "/interactions"), late)
    assert reply.status == 409


def test_an_unknown_room_is_refused(sim: Simulator):
    assert call(sim, "GET", "/room/c0").status == 400
    assert call(sim, "POST", "/room/c0").status == 404
    assert call(sim, "GET", "/sim/conversations/c0").status == 400
    assert call(sim, "GET", "/sim/conversations/c0/room").status == 400


def test_what_a_room_knows(sim: Simulator):
    conversation = create(
        sim,
        replica_id="r9d30b0e55ac",
        custom_greeting="Hi",
        conversational_context="It rains.",
        audio_only=True,
        properties={"language": "German", "apply_greenscreen": True},
    )
    room = path_of(conversation, "/room")
    before = call(sim, "GET", room).json()
    assert before == {
        "conversation_id": conversation["conversation_id"],
        "conversation_name": "L",
        "status": "active",
        "shutdown_reason": None,
        "participants": 0,
        "replica_id": "r9d30b0e55ac",
        "replica_name": "Simulated Luna",
        "replica_joined": False,
        "pipeline_mode": "full",
        "custom_greeting": "Hi",
        "conversational_context": "It rains.",
        "language": "de",
        "audio_only": True,
        "apply_greenscreen": True,
    }
    call(sim, "POST", path_of(conversation, "/join"))
    after = call(sim, "GET", room).json()
    assert after == {**before, "participants": 1, "replica_joined": True}


@pytest.mark.parametrize(
    ("properties", "language"),
    [
        ({}, "en"),
        ({"language": "multilingual"}, "en"),
        ({"languages": ["fr", "de"]}, "fr"),
    ],
)
def test_the_language_of_a_room(
    sim: Simulator, properties: dict[str, Any], language: str
):
    room = path_of(create(sim, properties=properties), "/room")
    assert call(sim, "GET", room).json()["language"] == language


def test_a_conversation_whose_persona_is_gone_still_has_a_room(sim: Simulator):
    wish = {"persona_name": "P", "system_prompt": "x"}
    request = SimRequest.of("POST", "/v2/personas", wish)
    persona_id = sim.handle(request).json()["persona_id"]
    conversation = create(sim, persona_id=persona_id, replica_id="r9d30b0e55ac")
    sim.handle(SimRequest.of("DELETE", f"/v2/personas/{persona_id}"))
    view = call(sim, "GET", path_of(conversation, "/room"))
    assert view.json()["pipeline_mode"] == "full"


def test_a_test_sees_all_of_a_conversation(sim: Simulator):
    conversation = create(sim, custom_greeting="Hi")
    call(sim, "POST", path_of(conversation, "/join"))
    good = message_to(conversation, "echo", text="Hello", inference_id="mine")
    bad = message_to(conversation, "dance")
    url = path_of(conversation, "/interactions")
    assert call(sim, "POST", url, good).json() == {
        "problem": None,
        "inference_id": "918b81db-5e91-d031-548b-963c93845e5b",
    }
    problem = "unknown event_type 'conversation.dance'"
    assert call(sim, "POST", url, bad).json() == {
        "problem": problem,
        "inference_id": None,
    }
    whole = call(sim, "GET", path_of(conversation)).json()
    assert whole["request"]["custom_greeting"] == "Hi"
    assert whole["replica_joined"] is True
    assert [event["event_type"] for event in whole["events"]] == [
        "system.replica_joined",
        "system.pal_joined",
    ]
    received_at = "2027-01-15T08:00:00.000000Z"
    assert whole["interactions"] == [
        {"received_at": received_at, "problem": None, "message": good},
        {"received_at": received_at, "problem": problem, "message": bad},
    ]
    assert whole["interactions_count"] == 2


def test_the_last_200_messages_are_kept(sim: Simulator):
    conversation = create(sim)
    call(sim, "POST", path_of(conversation, "/join"))
    for number in range(201):
        message = message_to(conversation, "respond", text=str(number))
        call(sim, "POST", path_of(conversation, "/interactions"), message)
    whole = call(sim, "GET", path_of(conversation)).json()
    said = [
        entry["message"]["properties"]["text"]
        for entry in whole["interactions"]
    ]
    assert said == [str(number) for number in range(1, 201)]
    assert whole["interactions_count"] == 201


def test_before_the_replica_is_there_nobody_listens():
    sim = Simulator(clock=lambda: START_S, replica_join_ms=1000)
    conversation = create(sim)
    call(sim, "POST", path_of(conversation, "/join"))
    url = path_of(conversation, "/interactions")
    message = message_to(conversation, "respond", text="Anybody?")
    reply = call(sim, "POST", url, message)
    assert reply.json()["problem"] == "the replica has not joined yet"


def test_a_message_of_more_than_64_kib_is_refused(sim: Simulator):
    conversation = create(sim)
    message = message_to(conversation, "respond", text="x" * 65536)
    reply = call(sim, "POST", path_of(conversation, "/interactions"), message)
    assert reply.status == 413
    assert call(sim, "GET", path_of(conversation)).json()["interactions"] == []


@pytest.mark.parametrize(
    ("event_type", "properties"),
    [
        ("echo", {"text": "Hi"}),
        ("echo", {"modality": "text", "text": "", "done": True}),
        ("echo", {"modality": "audio", "audio": "AAAA/w=="}),
        (
            "echo",
            {"modality": "audio", "audio": "", "sample_rate": 24000},
        ),
        ("respond", {"text": "Hi"}),
        ("interrupt", {}),
        ("overwrite_llm_context", {"context": ""}),
        ("append_llm_context", {"context": "x", "job_status": "completed"}),
        ("sensitivity", {"participant_pause_sensitivity": "superlow"}),
        ("sensitivity", {"participant_interrupt_sensitivity": "auto"}),
        (
            "tool_result",
            {
                "tool_call_id": "c",
                "name": "n",
                "status": "success",
                "output": "",
            },
        ),
        ("tool_result", {"tool_call_id": "c", "output": {"a": 1}}),
    ],
)
def test_what_tavus_can_use(
    sim: Simulator, event_type: str, properties: dict[str, Any]
):
    assert _problem(sim, event_type, properties) is None


@pytest.mark.parametrize(
    ("event_type", "properties", "problem"),
    [
        ("echo", {}, "properties.text must be a text"),
        ("echo", {"modality": "video"}, "modality must be text or audio"),
        ("echo", {"text": "x", "done": 1}, "done must be true or false"),
        (
            "echo",
            {"text": "x", "inference_id": 7},
            "properties.inference_id must be a text",
        ),
        (
            "echo",
            {"modality": "audio", "text": "x"},
            "properties.audio must be a text",
        ),
        ("echo", {"modality": "audio", "audio": "?"}, "audio must be base64"),
        (
            "echo",
            {"modality": "audio", "audio": "AA=="},
            "audio must be 16-bit PCM",
        ),
        (
            "echo",
            {"modality": "audio", "audio": "", "sample_rate": 24000.0},
            "sample_rate must be a whole number, 8000 to 48000",
        ),
        ("respond", {"text": ""}, "properties.text must be a text"),
        (
            "append_llm_context",
            {"context": None},
            "properties.context must be a text",
        ),
        (
            "sensitivity",
            {},
            "properties must be one of participant_interrupt_sensitivity or "
            "participant_pause_sensitivity",
        ),
        (
            "sensitivity",
            {"participant_pause_sensitivity": ["low"]},
            "must be one of superlow, verylow, low, medium, high, auto",
        ),
        (
            "tool_result",
            {"tool_call_id": "c", "name": "n", "status": "success"},
            "properties.output must be a text or an object",
        ),
        (
            "tool_result",
            {"tool_call_id": "c", "status": "done", "output": ""},
            "properties.status must be success or error",
        ),
        ("set_emotion", {}, "unknown event_type 'conversation.set_emotion'"),
        ("interrupt", [], "properties must be an object"),
    ],
)
def test_what_tavus_cannot_use(
    sim: Simulator, event_type: str, properties: Any, problem: str
):
    assert _problem(sim, event_type, properties) == problem


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"message_type": "system"}, 'message_type must be "conversation"'),
        (
            {"conversation_id": "c0"},
            "conversation_id is not that of this room",
        ),
        ({"event_type": None}, "unknown event_type None"),
    ],
)
def test_an_envelope_must_fit(
    sim: Simulator, change: dict[str, Any], problem: str
):
    assert _problem(sim, "interrupt", {}, **change) == problem


@pytest.mark.parametrize("message", [[], "interrupt", None, 7])
def test_a_message_is_an_object(sim: Simulator, message: Any):
    conversation = create(sim)
    body = b"null" if message is None else message
    reply = call(sim, "POST", path_of(conversation, "/interactions"), body)
    assert reply.json()["problem"] == "an app message is an object"


def test_a_uuid_stays_what_it_is():
    same = "550e8400-e29b-41d4-a716-446655440000"
    assert normalized_inference_id(same) == same


def _problem(
    sim: Simulator, kind: str, properties: Any, **change: Any
) -> str | None:
    conversation = create(sim)
    call(sim, "POST", path_of(conversation, "/join"))
    message = message_to(conversation, kind)
    message.update({"properties": properties, **change})
    url = path_of(conversation, "/interactions")
    return call(sim, "POST", url, message).json()["problem"]
