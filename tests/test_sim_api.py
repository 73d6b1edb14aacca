#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The simulator's REST API answers as Tavus is documented to."""

from typing import Any

import pytest
from tavus_sim import SimReply, SimRequest, Simulator

START_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z
PERSONA = {"persona_id": "pcb7a34da5fe"}
BAD_KEY = (401, {"message": "Invalid access token"})
BAD_ID = (400, {"error": "Invalid conversation_id"})


def no_key(which: str) -> tuple[int, dict[str, str]]:
    text = (
        "Invalid access token: the header x-api-key is missing or empty; this "
        f"simulator takes {which} key, and needs it"
    )
    return 401, {"message": text}


def make(**options: Any) -> Simulator:
    return Simulator(clock=lambda: START_S, **options)


def call(
    sim: Simulator,
    method: str,
    url: str,
    body: Any = None,
    api_key: str = "any",
) -> SimReply:
    return sim.handle(SimRequest.of(method, f"/v2{url}", body, api_key))


def answer(*args: Any, **options: Any) -> tuple[int, Any]:
    reply = call(*args, **options)
    return reply.status, reply.json() if reply.body else None


def create(sim: Simulator, **body: Any) -> str:
    reply = call(sim, "POST", "/conversations", {**PERSONA, **body})
    assert reply.status == 200, reply.body
    return reply.json()["conversation_id"]


def test_create_answers_with_an_active_conversation():
    sim = make(base_url="http://sim.test")
    body = {
        **PERSONA,
        "conversation_name": "Lesson",
        "callback_url": "http://hook.test/x",
    }

    status, conversation = answer(sim, "POST", "/conversations", body)

    conversation_id = conversation["conversation_id"]
    assert conversation_id[0] == "c"
    assert len(conversation_id) == 13
    assert int(conversation_id[1:], 16) >= 0
    assert (status, conversation) == (
        200,
        {
            "conversation_id": conversation_id,
            "conversation_name": "Lesson",
            "conversation_url": f"http://sim.test/room/{conversation_id}",
            "callback_url": "http://hook.test/x",
            "status": "active",
            "replica_id": "r90bbd427f71",
            "persona_id": "pcb7a34da5fe",
            "created_at": "2027-01-15T08:00:00.000000Z",
        },
    )


def test_the_server_names_a_conversation_without_a_name():
    sim = make()
    conversation = call(sim, "POST", "/conversations", PERSONA).json()
    assert conversation["conversation_name"]


@pytest.mark.parametrize(
    ("vocabulary", "names"),
    [
        ("old", {"replica_id", "persona_id"}),
        ("new", {"face_id", "pal_id"}),
    ],
)
@pytest.mark.parametrize(
    "request_body",
    [
        {"persona_id": "pipecat0", "replica_id": "r9d30b0e55ac"},
        {"pal_id": "pipecat0", "face_id": "r9d30b0e55ac"},
    ],
)
def test_either_vocabulary_in_one_vocabulary_out(
    vocabulary: Any, names: set[str], request_body: dict[str, str]
):
    sim = make(vocabulary=vocabulary)
    conversation = call(sim, "POST", "/conversations", request_body).json()
    ids = {"replica_id", "persona_id", "face_id", "pal_id"}
    assert names == ids & set(conversation)
    assert {conversation[name] for name in names} == {
        "pipecat0",
        "r9d30b0e55ac",
    }


def test_a_face_alone_gets_the_default_persona():
    sim = make()
    body = {"face_id": "rf4703150052"}
    conversation = call(sim, "POST", "/conversations", body).json()
    assert conversation["persona_id"] == "pcb7a34da5fe"
    assert conversation["replica_id"] == "rf4703150052"


def test_a_replica_in_the_request_overrides_the_personas_own():
    sim = make()
    body = {**PERSONA, "replica_id": "rf4703150052"}
    conversation = call(sim, "POST", "/conversations", body).json()
    assert conversation["replica_id"] == "rf4703150052"


FAILED = {
    "error": "There was an error creating the conversation, please reach out "
    "to support at support@tavus.io!"
}


def props(**properties: Any) -> dict[str, Any]:
    return {**PERSONA, "properties": properties}


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (
            {"persona_id": "p", "pal_id": "p"},
            {"message": "Cannot have both persona_id and pal_id"},
        ),
        (
            {**PERSONA, "replica_id": "r", "face_id": "r"},
            {"message": "Cannot have both replica_id and face_id"},
        ),
        ({"persona_id": "p1"}, {"message": "Invalid persona_id"}),
        ({"persona_id": ""}, {"message": "Invalid persona_id"}),
        (
            {**PERSONA, "replica_id": "r1"},
            {"message": "Invalid replica_id"},
        ),
        ({"persona_id": "pipecat0"}, FAILED),
        ({}, FAILED),
        (b"{", {"error": "The request body must be valid JSON"}),
        (b"[1]", {"error": "The request body must be a JSON object"}),
        (
            {**PERSONA, "max_participants": 1},
            {"error": "max_participants must be at least 2"},
        ),
        (
            {**PERSONA, "require_auth": "true"},
            {"error": "require_auth must be a boolean"},
        ),
        (
            {**PERSONA, "properties": []},
            {"error": "properties must be an object"},
        ),
        (
            props(max_call_duration="60"),
            {"error": "properties.max_call_duration must be an integer"},
        ),
        (
            props(max_call_duration=True),
            {"error": "properties.max_call_duration must be an integer"},
        ),
        (
            props(participant_left_timeout=-1),
            {
                "error": "properties.participant_left_timeout must not be "
                "negative"
            },
        ),
        (
            props(language="en"),
            {"error": "properties.language: unknown language 'en'"},
        ),
        (
            props(languages=["en", "English"]),
            {"error": "properties.languages: unknown language code 'English'"},
        ),
        (
            {**PERSONA, "document_retrieval_strategy": "best"},
            {
                "error": "document_retrieval_strategy must be one of speed, "
                "quality, balanced"
            },
        ),
        (
            {**PERSONA, "policy": "us"},
            {"error": "policy must be one of eu"},
        ),
        (
            props(recording_storage={"provider": "ftp"}),
            {
                "error": "properties.recording_storage.provider must be one "
                "of s3, gcs, azure_blob"
            },
        ),
        (
            props(recording_storage={"provider": "s3", "bucket_name": "b"}),
            {"error": "properties.recording_storage.bucket_region is required"},
        ),
        (
            props(livekit_ws_url="wss://lk.test"),
            {
                "error": "livekit_ws_url and livekit_room_token must be "
                "given together"
            },
        ),
    ],
)
def test_create_refuses_and_creates_nothing(body: Any, refusal: Any):
    sim = make()
    assert answer(sim, "POST", "/conversations", body) == (400, refusal)
    assert sim.ledger()["created"] == 0


@pytest.mark.parametrize(
    "properties",
    [
        {"language": "english"},
        {"language": "English"},
        {"language": "multilingual"},
        {"languages": ["de", "en"]},
        {"language": None},
        {"a_field_of_next_year": 1},
        {
            "recording_storage": {
                "provider": "s3",
                "bucket_name": "b",
                "bucket_region": "eu-north-1",
                "assume_role_arn": "arn",
            }
        },
    ],
)
def test_create_accepts_properties(properties: dict[str, Any]):
    sim = make()
    conversation_id = create(sim, properties=properties)
    assert sim.conversation(conversation_id).request["properties"] == (
        properties
    )


def test_strict_lists_what_no_document_knows():
    sim = make(strict=True)
    create(sim, max_call_duration=60, properties={"idle_timeout": 1})
    assert sim.ledger()["undocumented"] == [
        "max_call_duration",
        "properties.idle_timeout",
    ]


def test_test_mode_has_ended_and_takes_no_slot():
    sim = make(max_concurrent=1)
    body = {**PERSONA, "test_mode": True}
    conversation = call(sim, "POST", "/conversations", body).json()
    assert conversation["status"] == "ended"
    assert sim.ledger()["conversations"][0]["ended_by"] == "test_mode"
    create(sim)


def test_test_mode_costs_no_credits():
    sim = make()
    sim.set_credits_spent(True)
    create(sim, test_mode=True)


@pytest.mark.parametrize(
    "body", [{"require_auth": True}, {"properties": {"require_auth": True}}]
)
def test_require_auth_returns_a_meeting_token(body: dict[str, Any]):
    sim = make()
    reply = call(sim, "POST", "/conversations", {**PERSONA, **body}).json()
    assert len(reply["meeting_token"].split(".")) == 3
    again = call(sim, "GET", f"/conversations/{reply['conversation_id']}")
    assert "meeting_token" not in again.json()


def test_no_slot_until_one_is_freed():
    sim = make(max_concurrent=1)
    first = create(sim)
    assert answer(sim, "POST", "/conversations", PERSONA) == (
        400,
        {"message": "User has reached maximum concurrent conversations"},
    )
    call(sim, "POST", f"/conversations/{first}/end")
    create(sim)
    assert sim.ledger()["created"] == 2


def test_spent_credits_are_402():
    sim = make()
    sim.set_credits_spent(True)
    assert answer(sim, "POST", "/conversations", PERSONA) == (
        402,
        {"message": "The user is out of conversational credits"},
    )


def test_end_has_no_body_and_frees_the_conversation():
    sim = make()
    conversation_id = create(sim)
    reply = call(sim, "POST", f"/conversations/{conversation_id}/end")
    assert (reply.status, reply.body) == (200, b"")
    assert sim.active == []
    got = call(sim, "GET", f"/conversations/{conversation_id}").json()
    assert got["status"] == "ended"


@pytest.mark.parametrize("status", [200, 400, 404, 409])
def test_end_of_an_ended_conversation_answers_as_configured(status: int):
    sim = make(end_ended_status=status)
    conversation_id = create(sim)
    call(sim, "POST", f"/conversations/{conversation_id}/end")
    reply = call(sim, "POST", f"/conversations/{conversation_id}/end")
    assert reply.status == status


def test_delete_ends_and_forgets_but_the_ledger_remembers():
    sim = make()
    conversation_id = create(sim)
    url = f"/conversations/{conversation_id}"
    reply = call(sim, "DELETE", f"{url}?hard=true")
    assert (reply.status, reply.body) == (204, b"")
    assert answer(sim, "GET", url) == BAD_ID
    assert answer(sim, "GET", "/conversations")[1]["total_count"] == 0
    (entry,) = sim.ledger()["conversations"]
    assert (entry["status"], entry["ended_by"]) == ("ended", "delete")


def test_delete_of_an_ended_conversation_keeps_who_ended_it():
    sim = make()
    conversation_id = create(sim)
    call(sim, "POST", f"/conversations/{conversation_id}/end")
    call(sim, "DELETE", f"/conversations/{conversation_id}")
    assert sim.ledger()["conversations"][0]["ended_by"] == "client"


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/conversations/c0"),
        ("POST", "/conversations/c0/end"),
        ("DELETE", "/conversations/c0"),
    ],
)
def test_an_unknown_id_is_400_unless_configured(method: str, url: str):
    assert answer(make(), method, url) == BAD_ID
    assert call(make(unknown_id_status=404), method, url).status == 404


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", "/conversations"),
        ("GET", "/conversations"),
        ("GET", "/conversations/c0"),
        ("POST", "/conversations/c0/end"),
        ("DELETE", "/conversations/c0"),
        ("GET", "/personas"),
        ("GET", "/faces/r9d30b0e55ac"),
    ],
)
def test_a_bad_key_is_401_everywhere(method: str, url: str):
    sim = make(api_key="right")
    assert answer(sim, method, url, api_key="wrong") == BAD_KEY
    assert answer(sim, method, url, api_key="") == no_key("one")


def test_no_key_is_401_and_names_the_header_where_any_key_will_do():
    assert answer(make(), "GET", "/conversations", api_key="") == no_key("any")


def test_the_right_key_is_accepted():
    sim = make(api_key="right")
    reply = call(sim, "GET", "/conversations", api_key="right")
    assert reply.status == 200


def test_a_wrong_verb_is_405_and_names_the_right_ones():
    reply = call(make(), "POST", "/conversations/c0")
    assert reply.status == 405
    assert reply.headers["allow"] == "GET, DELETE"


@pytest.mark.parametrize(
    "path", ["/v2/nope", "/v2/conversations/", "/v2//conversations", "/", "/x"]
)
def test_a_wrong_path_is_404(path: str):
    assert make().handle(SimRequest.of("GET", path)).status == 404


def test_list_is_newest_first_and_paged():
    sim = make()
    ids = [create(sim) for _ in range(12)]
    ids.reverse()

    def page(query: str) -> list[str]:
        listing = call(sim, "GET", f"/conversations{query}").json()
        assert listing["total_count"] == 12
        return [entry["conversation_id"] for entry in listing["data"]]

    assert page("") == ids[:10]
    assert page("?page=2") == ids[10:]
    assert page("?limit=5&page=2") == ids[5:10]
    assert page("?limit=5&page=4") == []
    assert page("?page=0") == ids[:10]  # as tavus-cli asks


def test_list_cuts_long_pages():
    sim = make(max_page_size=3)
    for _ in range(4):
        create(sim)
    listing = call(sim, "GET", "/conversations?limit=50").json()
    assert (len(listing["data"]), listing["total_count"]) == (3, 4)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=-1", "page=-1", "page=1e9"]
)
def test_list_refuses_bad_paging(query: str):
    assert call(make(), "GET", f"/conversations?{query}").status == 400


def test_list_by_status():
    sim = make()
    active, ended = create(sim), create(sim)
    call(sim, "POST", f"/conversations/{ended}/end")
    for status, expected in (
        ("active", [active]),
        ("ended", [ended]),
        ("error", []),
    ):
        listing = call(sim, "GET", f"/conversations?status={status}").json()
        found = [entry["conversation_id"] for entry in listing["data"]]
        assert found == expected


def test_the_same_seed_makes_the_same_ids():
    assert create(make(seed=7)) == create(make(seed=7))
    assert create(make(seed=7)) != create(make(seed=8))


def test_a_request_never_shows_its_key():
    assert "s3cret" not in repr(SimRequest.of("GET", "/", api_key="s3cret"))
