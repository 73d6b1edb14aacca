#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The simulator's personas and replicas, alias PALs and faces."""

from typing import Any

import pytest
from tavus_sim import SimReply, SimRequest, Simulator
from tavus_sim.json_patch import PatchError, apply_patch

OWN = {"persona_name": "Coach", "system_prompt": "Be kind."}


@pytest.fixture(name="sim")
def sim_fixture() -> Simulator:
    return Simulator(clock=lambda: 1_800_000_000.0)


def call(sim: Simulator, method: str, url: str, body: Any = None) -> SimReply:
    return sim.handle(SimRequest.of(method, f"/v2{url}", body))


def create(sim: Simulator, **body: Any) -> str:
    reply = call(sim, "POST", "/personas", {**OWN, **body})
    assert reply.status == 200, reply.body
    return reply.json()["persona_id"]


def test_create_persona_answers_its_id_name_and_time(sim: Simulator):
    persona = call(sim, "POST", "/personas", OWN).json()
    assert persona["persona_id"][0] == "p"
    assert persona == {
        "persona_id": persona["persona_id"],
        "persona_name": "Coach",
        "created_at": "2027-01-15T08:00:00.000000Z",
    }


def test_one_persona_under_both_names(sim: Simulator):
    body = {
        "pal_name": "Echo",
        "default_face_id": "r9d30b0e55ac",
        "pipeline_mode": "echo",
        "layers": {
            "transport": {"transport_type": "livekit"},
            "conversational_flow": {"face_interruptibility": "low"},
        },
    }
    pal_id = call(sim, "POST", "/pals", body).json()["pal_id"]

    pal = call(sim, "GET", f"/pals/{pal_id}").json()
    persona = call(sim, "GET", f"/personas/{pal_id}").json()

    assert {key: pal[key] for key in body} == body
    assert persona["persona_name"] == "Echo"
    assert persona["default_replica_id"] == "r9d30b0e55ac"
    flow = persona["layers"]["conversational_flow"]
    assert flow == {"replica_interruptibility": "low"}


def test_a_conversation_uses_the_personas_default_replica(sim: Simulator):
    persona_id = create(sim, default_replica_id="r4067604db72")
    body = {"persona_id": persona_id}
    conversation = call(sim, "POST", "/conversations", body).json()
    assert conversation["replica_id"] == "r4067604db72"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({**OWN, "default_replica_id": "r1"}, "Invalid replica_uuid"),
        ({"persona_name": "No prompt"}, "system_prompt is required"),
        (
            {**OWN, "pipeline_mode": "custom"},
            "pipeline_mode must be one of full, echo, speech-to-speech",
        ),
        ({**OWN, "layers": []}, "layers must be an object"),
    ],
)
def test_create_persona_refuses(
    sim: Simulator, body: dict[str, Any], error: str
):
    reply = call(sim, "POST", "/personas", body)
    assert (reply.status, reply.json()) == (400, {"error": error})


def test_create_persona_refuses_one_thing_under_two_names(sim: Simulator):
    body = {**OWN, "pal_name": "Coach"}
    reply = call(sim, "POST", "/pals", body)
    assert reply.status == 400
    assert reply.json()["message"] == (
        "Cannot have both persona_name and pal_name"
    )


def test_personas_are_listed_newest_first_and_by_type(sim: Simulator):
    mine = create(sim)
    listing = call(sim, "GET", "/personas?persona_type=user").json()
    assert [entry["persona_id"] for entry in listing["data"]] == [mine]
    assert listing["total_count"] == 1
    everything = call(sim, "GET", "/pals").json()
    assert everything["data"][0]["pal_id"] == mine
    stock = call(sim, "GET", "/pals?pal_type=system").json()
    ids = {entry["pal_id"] for entry in stock["data"]}
    assert {"pipecat0", "pipecat-stream", "pb87e71797da"} <= ids


def test_get_persona_is_flat_or_wrapped():
    url = "/personas/pipecat0"
    flat = call(Simulator(), "GET", url).json()
    wrapped = call(Simulator(wrap_persona=True), "GET", url).json()
    assert wrapped == {"data": [flat]}


def replace(path: str, value: Any) -> list[dict[str, Any]]:
    return [{"op": "replace", "path": path, "value": value}]


def test_patch_changes_a_persona(sim: Simulator):
    url = f"/personas/{create(sim)}"
    reply = call(sim, "PATCH", url, replace("/system_prompt", "Be brief."))
    assert (reply.status, reply.body) == (200, b"")
    assert call(sim, "GET", url).json()["system_prompt"] == "Be brief."


def test_patch_of_a_pal_uses_the_new_names(sim: Simulator):
    url = f"/pals/{create(sim, default_replica_id='r9d30b0e55ac')}"
    patch = replace("/default_face_id", "rf4703150052")
    assert call(sim, "PATCH", url, patch).status == 200
    assert call(sim, "GET", url).json()["default_face_id"] == "rf4703150052"


def test_patch_that_changes_nothing_is_304(sim: Simulator):
    url = f"/personas/{create(sim)}"
    reply = call(sim, "PATCH", url, replace("/persona_name", "Coach"))
    assert reply.status == 304
    assert reply.json() == {"message": "No changes were made to the persona"}


@pytest.mark.parametrize(
    "patch",
    [
        {"system_prompt": "x"},
        ["x"],
        replace("/nowhere", 1),
        replace("/persona_id", "p0"),
        replace("", None),
    ],
)
def test_patch_that_cannot_be_is_422(sim: Simulator, patch: Any):
    reply = call(sim, "PATCH", f"/personas/{create(sim)}", patch)
    assert reply.status == 422
    assert reply.json() == {"message": "Invalid JSON patch format"}


def test_patch_to_an_unknown_replica_is_400(sim: Simulator):
    url = f"/personas/{create(sim, default_replica_id='r9d30b0e55ac')}"
    reply = call(sim, "PATCH", url, replace("/default_replica_id", "r1"))
    assert reply.status == 400
    assert reply.json() == {"error": "Invalid replica_uuid"}


def test_delete_persona(sim: Simulator):
    url = f"/personas/{create(sim)}"
    assert call(sim, "DELETE", url).status == 204
    reply = call(sim, "GET", url)
    assert (reply.status, reply.json()) == (
        400,
        {"error": "Invalid persona_id"},
    )


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_stock_persona_cannot_be_changed(sim: Simulator, method: str):
    reply = call(sim, method, "/pals/pipecat0", [])
    assert (reply.status, reply.json()) == (400, {"error": "Invalid pal_id"})


def test_replicas_are_listed_under_both_names(sim: Simulator):
    replicas = call(sim, "GET", "/replicas").json()
    faces = call(sim, "GET", "/faces").json()
    assert replicas["total_count"] == faces["total_count"] == 4
    assert {r["replica_id"] for r in replicas["data"]} == {
        f["face_id"] for f in faces["data"]
    }


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("face_type=system", 4),
        ("face_type=user", 0),
        ("model_name=phoenix-3", 1),
        ("replica_ids=r9d30b0e55ac,r90bbd427f71", 2),
        ("limit=1", 4),
    ],
)
def test_replicas_are_filtered(sim: Simulator, query: str, count: int):
    listing = call(sim, "GET", f"/faces?{query}").json()
    assert listing["total_count"] == count


def test_get_replica_is_flat(sim: Simulator):
    replica = call(sim, "GET", "/replicas/r9d30b0e55ac").json()
    assert replica["replica_id"] == "r9d30b0e55ac"
    assert replica["status"] == "completed"


@pytest.mark.parametrize(
    ("family", "name"), [("replicas", "replica_id"), ("faces", "face_id")]
)
def test_an_unknown_replica_is_400(sim: Simulator, family: str, name: str):
    reply = call(sim, "GET", f"/{family}/r1")
    assert (reply.status, reply.json()) == (400, {"error": f"Invalid {name}"})


# The examples of RFC 6902, appendix A, and the corners of RFC 6901.
@pytest.mark.parametrize(
    ("document", "operation", "result"),
    [
        (
            {"foo": "bar"},
            {"op": "add", "path": "/baz", "value": "qux"},
            {"foo": "bar", "baz": "qux"},
        ),
        (
            {"foo": ["bar", "baz"]},
            {"op": "add", "path": "/foo/1", "value": "qux"},
            {"foo": ["bar", "qux", "baz"]},
        ),
        ({"baz": 1, "foo": 2}, {"op": "remove", "path": "/baz"}, {"foo": 2}),
        (
            {"foo": [1, 2, 3]},
            {"op": "remove", "path": "/foo/1"},
            {"foo": [1, 3]},
        ),
        (
            {"baz": "qux"},
            {"op": "replace", "path": "/baz", "value": "boo"},
            {"baz": "boo"},
        ),
        ([1, 2], {"op": "replace", "path": "/1", "value": 3}, [1, 3]),
        (
            {"foo": {"waldo": "fred"}, "qux": {}},
            {"op": "move", "from": "/foo/waldo", "path": "/qux/thud"},
            {"foo": {}, "qux": {"thud": "fred"}},
        ),
        (
            {"foo": [1, 2, 3]},
            {"op": "move", "from": "/foo/0", "path": "/foo/2"},
            {"foo": [2, 3, 1]},
        ),
        (
            {"a": {"b": 1}},
            {"op": "copy", "from": "/a", "path": "/c"},
            {"a": {"b": 1}, "c": {"b": 1}},
        ),
        ({"a": [1]}, {"op": "test", "path": "/a", "value": [1.0]}, {"a": [1]}),
        (
            {"a": {"b": [1]}},
            {"op": "test", "path": "/a", "value": {"b": [1]}},
            {"a": {"b": [1]}},
        ),
        ([1], {"op": "add", "path": "/-", "value": 2}, [1, 2]),
        ({"a/b": 1}, {"op": "remove", "path": "/a~1b"}, {}),
        ({"m~n": 1}, {"op": "remove", "path": "/m~0n"}, {}),
        ({"": 1}, {"op": "remove", "path": "/"}, {}),
        ({"a": 1}, {"op": "replace", "path": "", "value": 2}, 2),
    ],
)
def test_json_patch_applies(document: Any, operation: Any, result: Any):
    assert apply_patch(document, [operation]) == result


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/a/b/c", "value": 1},
        {"op": "add", "path": "/list/3", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "value": 1},
        {"op": "remove", "path": "/b"},
        {"op": "remove", "path": "/list/-"},
        {"op": "replace", "path": "/b", "value": 1},
        {"op": "test", "path": "/one", "value": True},
        {"op": "test", "path": "/list", "value": [1]},
        {"op": "move", "from": "/a", "path": "/a/b"},
        {"op": "copy", "path": "/c"},
        {"op": "merge", "path": "/a", "value": 1},
    ],
)
def test_json_patch_refuses(operation: dict[str, Any]):
    document = {"a": {}, "one": 1, "list": [1, 2]}
    with pytest.raises(PatchError):
        apply_patch(document, [operation])


def test_json_patch_leaves_the_original_alone():
    document = {"a": {"b": 1}}
    apply_patch(document, replace("/a/b", 2))
    assert document == {"a": {"b": 1}}
