#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Records of Tavus are read leniently, ids strictly."""

import json
from dataclasses import fields
from typing import Any

import pytest
from ten_packages.extension.tavus_python import tavus_models as models
from ten_packages.extension.tavus_python.tavus_models import Conversation
from ten_packages.extension.tavus_python.vendor_json import read_json

ROOM = "https://tavus.daily.co/c1"


def test_only_the_id_is_needed():
    assert models.conversation({"conversation_id": "c1"}) == Conversation("c1")


def test_wrong_types_are_as_good_as_nothing():
    data: dict[str, Any] = {one.name: 7 for one in fields(Conversation)}
    data["conversation_id"] = "c1"
    assert models.conversation(data) == Conversation("c1")


def test_what_no_document_knows_is_left_alone():
    data = {"conversation_id": "c1", "stream_declared_sample_rate": 24000}
    assert models.conversation(data) == Conversation("c1")


def test_a_string_that_cannot_be_printed_is_mended():
    data = {"conversation_id": "c1", "conversation_name": "ü\ud800"}
    assert models.conversation(data).conversation_name == "ü?"


@pytest.mark.parametrize(
    ("url", "join_url"),
    [
        ("", ""),
        (ROOM, f"{ROOM}?t=a.b%2F"),
        (f"{ROOM}?lang=de", f"{ROOM}?lang=de&t=a.b%2F"),
        (f"{ROOM}#top", f"{ROOM}?t=a.b%2F#top"),
        ("http://[", "http://[?t=a.b%2F"),
    ],
)
def test_the_join_url_carries_the_token(url, join_url):
    one = Conversation("c1", conversation_url=url, meeting_token="a.b/")
    assert one.join_url == join_url


def test_the_join_url_of_a_public_room_is_its_url():
    assert Conversation("c1", conversation_url=ROOM).join_url == ROOM


def shutdown(**properties: object) -> dict[str, object]:
    return {"event_type": "system.shutdown", "properties": properties}


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (None, ""),
        ("nonsense", ""),
        ([], ""),
        ([7, {"event_type": "system.pal_joined"}], ""),
        ([{"event_type": "system.shutdown"}], ""),
        ([{"event_type": "system.shutdown", "properties": None}], ""),
        ([shutdown(shutdown_reason="left")], "left"),
        ([shutdown(reason="left")], "left"),
        ([shutdown(reason="first"), shutdown(reason="last")], "last"),
    ],
)
def test_why_it_ended(events, reason):
    data = {"conversation_id": "c1", "events": events}
    assert models.conversation(data).shutdown_reason == reason


def at(second: object, **more: object) -> dict[str, object]:
    return {"event_type": "x", "timestamp": second, **more}


@pytest.mark.parametrize("backwards", [False, True])
def test_events_are_oldest_first_however_tavus_lists_them(backwards):
    events = [
        at(1746000000.5),
        at("2025-04-30T08:00:01Z", seq=1),
        at("2025-04-30T10:00:01+02:00", seq=2),
        at(1746000002),
        shutdown(shutdown_reason="left"),  # who knows when
    ]
    listed = [*reversed(events)] if backwards else events
    read = models.conversation({"conversation_id": "c1", "events": listed})
    assert read.events == tuple(events)


@pytest.mark.parametrize("backwards", [False, True])
def test_of_two_ends_the_later_one_is_why(backwards):
    events = [
        {**shutdown(reason=reason), "timestamp": f"2026-11-2{day}T00:00:00Z"}
        for day, reason in enumerate(("first", "last"))
    ]
    listed = [*reversed(events)] if backwards else events
    read = models.conversation({"conversation_id": "c1", "events": listed})
    assert read.shutdown_reason == "last"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"[NaN, Infinity, -Infinity, 1e999, -1e999]", [None] * 5),
        (b"[1.0, -0.0, 1.5, 1e3]", [1, 0, 1.5, 1000]),
        (b"1e300", 1e300),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        ('"ü"'.encode(), "ü"),
        (b"[" * 60 + b"]" * 60, None),
    ],
)
def test_what_is_no_number_of_json_is_read_as_null(text, value):
    read = read_json(text)
    if value is not None:
        assert repr(read) == repr(value)
    # What was read can be written.
    assert json.loads(json.dumps(read, allow_nan=False)) == read


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "is not JSON"),
        (b"secret", "is not JSON"),
        (b'{"secret', "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 200_000, "is not JSON"),
        (b"[" * 200_000 + b"]" * 200_000, "is not JSON"),
        (b"[" * 70 + b"]" * 70, "is nested too deep"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "is nested too deep"),
        (b"9" * 5000, "is not JSON"),
    ],
)
def test_what_cannot_be_read_is_refused_without_its_text(text, problem):
    with pytest.raises(ValueError, match=f"^{problem}$"):
        read_json(text)


def test_newer_words_are_read():
    face = models.replica({"face_id": "r1", "face_name": "Ada"})
    assert (face.replica_id, face.replica_name) == ("r1", "Ada")
    pal = models.persona(
        {"pal_id": "p1", "pal_name": "Ada", "default_face_id": "r1"}
    )
    assert (pal.persona_id, pal.persona_name) == ("p1", "Ada")
    assert pal.default_replica_id == "r1"


def test_keys_of_other_vendors_in_a_persona_are_not_shown():
    layers = {"llm": {"api_key": "sk-somebody"}}
    one = models.persona({"persona_id": "p1", "layers": layers})
    assert one.raw["layers"] == layers
    assert "sk-somebody" not in repr(one)
