#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Every answer of the simulator fits Tavus's own OpenAPI document.

Its known errors, none of which is waved through silently:

* ``NEWER_THAN_THE_DOCUMENT``: the paths and words of the 2026 renaming are
  not in it; a PAL is checked as the persona, a face as the replica it is.
* ``UNDOCUMENTED_STATUSES``: statuses the real service is known to send.
* ``MESSAGE_FOR_ERROR``: 400s it documents with an ``error`` that live
  clients saw with a ``message``.
* ``FLAT_PERSONA``: it wraps one persona in ``data``; real ones are flat.
* 304 has a body in it; HTTP forbids one, so no client ever sees it.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS30Validator
from tavus_sim import SimReply, SimRequest, Simulator

DOCUMENT = (
    Path(__file__).resolve().parents[2] / "shared/reference/tavus-openapi.yml"
)
NEWER_THAN_THE_DOCUMENT = {
    "/v2/pals": "/v2/personas",
    "/v2/faces": "/v2/replicas",
}
NEW_WORDS = {
    "pal_id": "persona_id",
    "pal_name": "persona_name",
    "pal_type": "persona_type",
    "default_face_id": "default_replica_id",
    "face_id": "replica_id",
    "face_name": "replica_name",
    "face_type": "replica_type",
}
# tavus-api.md 1.1: 402 spent credits; 401 on PATCH as on everything else.
UNDOCUMENTED_STATUSES = {
    ("post", "/v2/conversations", 402),
    ("patch", "/v2/personas/{persona_id}", 401),
}
# tavus-api.md 1.1: both vocabularies, unknown ids, no slot.
MESSAGE_FOR_ERROR = {("post", "/v2/conversations", 400)}
FLAT_PERSONA = ("get", "/v2/personas/{persona_id}", 200)


@pytest.fixture(name="document", scope="module")
def document_fixture() -> dict[str, Any]:
    if not DOCUMENT.is_file():
        pytest.skip(f"Tavus's OpenAPI document is not here: {DOCUMENT}")
    return yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))


class Checked:
    """A simulator each of whose answers is held against the document."""

    def __init__(self, document: dict[str, Any], **options: Any) -> None:
        self.sim = Simulator(**options)
        self.seen: set[tuple[str, str, int]] = set()
        self._document = document

    def call(
        self,
        method: str,
        template: str,
        body: Any = None,
        *,
        key: str = "any",
        query: str = "",
        **ids: str,
    ) -> SimReply:
        url = template.format(**ids) + query
        reply = self.sim.handle(SimRequest.of(method, url, body, key))
        for new, old in NEWER_THAN_THE_DOCUMENT.items():
            template = template.replace(new, old)
        case = (method.lower(), template, reply.status)
        if case not in UNDOCUMENTED_STATUSES:
            self._check(case, reply)
        self.seen.add(case)
        return reply

    def _check(self, case: tuple[str, str, int], reply: SimReply) -> None:
        method, template, status = case
        responses = self._document["paths"][template][method]["responses"]
        content = responses[str(status)].get("content")
        if content is None:
            assert reply.body == b"", case
            return
        schema = content["application/json"]["schema"]
        value = _in_old_words(reply.json())
        if case in MESSAGE_FOR_ERROR and "message" in value:
            value = {"error": value["message"]}
        if case == FLAT_PERSONA and "data" not in value:
            schema = schema["properties"]["data"]["items"]
        assert reply.headers["content-type"] == "application/json"
        problems = OAS30Validator(_closed(schema)).iter_errors(value)
        assert [problem.message for problem in problems] == [], case


# What newer clients and observed replies have and the document has not, by
# a property that tells which kind of object it is.
ALSO_ANSWERED = {
    "conversation_id": {"replica_id", "persona_id"},
    "event_type": {"message_type"},
    "persona_id": {"persona_type", "pipeline_mode", "updated_at"},
    "llm": {"transport"},
    "replica_id": {"updated_at", "error_message"},
}


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, refusing what it does not name: the document requires
    nothing and forbids nothing, so that as it stands almost all fits."""
    if "items" in schema:
        return {**schema, "items": _closed(schema["items"])}
    if "properties" not in schema:
        return schema
    closed = {name: _closed(p) for name, p in schema["properties"].items()}
    kind = next((name for name in ALSO_ANSWERED if name in closed), "")
    extra = {name: {} for name in ALSO_ANSWERED.get(kind, ())}
    return {
        **schema,
        "properties": {**extra, **closed},
        "additionalProperties": False,
    }


def _in_old_words(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_old_words(item) for item in value]
    if isinstance(value, dict):
        return {
            NEW_WORDS.get(key, key): _in_old_words(item)
            for key, item in value.items()
        }
    return value


ALL = "/v2/conversations"
ONE = "/v2/conversations/{conversation_id}"
END = "/v2/conversations/{conversation_id}/end"
PERSONA = {"persona_id": "pcb7a34da5fe"}
COACH = {
    "persona_name": "Coach",
    "system_prompt": "Be kind.",
    "default_replica_id": "r9d30b0e55ac",
    "document_ids": ["d1"],
    "document_tags": ["t"],
    "layers": {"llm": {"model": "m"}, "tts": {"tts_engine": "cartesia"}},
}


def conversations(api: Checked) -> None:
    body = {
        **PERSONA,
        "callback_url": "http://hook.test",
        "custom_greeting": "Hello",
        "require_auth": True,
    }
    created = api.call("POST", ALL, body).json()
    one = {"conversation_id": created["conversation_id"]}
    api.sim.join(one["conversation_id"])
    api.sim.advance(1)
    api.call("GET", ALL)
    api.call("GET", ONE, **one)
    api.call("POST", END, **one)
    api.call("POST", END, **one)
    api.call("GET", ONE, query="?verbose=true", **one)
    api.call("DELETE", ONE, **one)
    for method, template in (("GET", ONE), ("POST", END), ("DELETE", ONE)):
        api.call(method, template, **one)
        api.call(method, template, key="", **one)
    api.call("GET", ALL, key="")
    api.call("POST", ALL, PERSONA, key="")
    fresh = api.call("POST", ALL, PERSONA).json()
    api.call(
        "GET",
        ONE,
        query="?verbose=true",
        conversation_id=fresh["conversation_id"],
    )
    api.call("POST", ALL, {**PERSONA, "test_mode": True})
    api.call("POST", ALL, {**PERSONA, "pal_id": "p"})
    api.call("POST", ALL, {})
    api.call("POST", ALL, {**PERSONA, "properties": {"language": "en"}})
    api.call("POST", ALL, PERSONA)  # no slot
    api.sim.set_credits_spent(True)
    api.call("POST", ALL, PERSONA)


def personas(api: Checked, family: str, name: str) -> None:
    everyone, somebody = f"/v2/{family}", f"/v2/{family}/{{persona_id}}"
    created = api.call("POST", everyone, COACH).json()
    one = {"persona_id": created[name]}
    api.call("GET", everyone)
    api.call("GET", somebody, **one)
    api.call("PATCH", somebody, [], **one)
    path = "/system_prompt"
    patch = [{"op": "replace", "path": path, "value": "Be brief."}]
    api.call("PATCH", somebody, patch, **one)
    api.call("PATCH", somebody, {}, **one)
    api.call("DELETE", somebody, **one)
    for method in ("GET", "PATCH", "DELETE"):
        api.call(method, somebody, [], **one)
        api.call(method, somebody, [], key="", **one)
    api.call("POST", everyone, {**COACH, "default_replica_id": "r1"})
    api.call("POST", everyone, COACH, key="")
    api.call("GET", everyone, key="")


def replicas(api: Checked, family: str) -> None:
    everyone, somebody = f"/v2/{family}", f"/v2/{family}/{{replica_id}}"
    api.call("GET", everyone)
    api.call("GET", everyone, key="")
    api.call("GET", somebody, replica_id="r9d30b0e55ac")
    api.call("GET", somebody, replica_id="r1")
    api.call("GET", somebody, replica_id="r1", key="")


@pytest.mark.parametrize("vocabulary", ["old", "new"])
def test_conversations(document: dict[str, Any], vocabulary: str):
    api = Checked(document, vocabulary=vocabulary, max_concurrent=1)
    conversations(api)
    assert undone(document, api, "/v2/conversations") == set()


@pytest.mark.parametrize("wrap_persona", [False, True])
@pytest.mark.parametrize(
    ("family", "name"), [("personas", "persona_id"), ("pals", "pal_id")]
)
def test_personas(
    document: dict[str, Any], family: str, name: str, wrap_persona: bool
):
    api = Checked(document, wrap_persona=wrap_persona)
    personas(api, family, name)
    assert undone(document, api, "/v2/personas") == set()


@pytest.mark.parametrize("family", ["replicas", "faces"])
def test_replicas(document: dict[str, Any], family: str):
    api = Checked(document)
    replicas(api, family)
    # The simulator trains, renames and deletes no replica.
    assert undone(document, api, "/v2/replicas") == {
        ("post", "/v2/replicas", 200),
        ("post", "/v2/replicas", 400),
        ("post", "/v2/replicas", 401),
        ("delete", "/v2/replicas/{replica_id}", 200),
        ("delete", "/v2/replicas/{replica_id}", 400),
        ("delete", "/v2/replicas/{replica_id}", 401),
        ("patch", "/v2/replicas/{replica_id}/name", 200),
        ("patch", "/v2/replicas/{replica_id}/name", 400),
        ("patch", "/v2/replicas/{replica_id}/name", 401),
    }


def undone(
    document: dict[str, Any], api: Checked, start: str
) -> set[tuple[str, str, int]]:
    """The documented answers that the simulator has not been made to give."""
    documented = {
        (method, path, int(status))
        for path, operations in document["paths"].items()
        if path == start or path.startswith(f"{start}/")
        for method, operation in operations.items()
        if method != "parameters"
        for status in operation["responses"]
    }
    return documented - api.seen
