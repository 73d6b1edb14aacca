#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Webhooks: the secret, ours or not, new or not, and what is malformed."""

import hmac
import json
from typing import Any

import pytest

from ten_packages.extension.tavus_http_python import webhooks as module
from ten_packages.extension.tavus_http_python.json_body import (
    InvalidMessageError,
)
from ten_packages.extension.tavus_http_python.webhooks import (
    UnknownConversationError,
    WebhookEvent,
    Webhooks,
)

SECRET = "s3cret-0123456789abcdef"
OURS = ("c1", "c2")


def hooks(secret: str = SECRET) -> Webhooks:
    return Webhooks(secret, OURS.__contains__)


def sent(**more: Any) -> dict[str, Any]:
    return {
        "properties": {"shutdown_reason": "max_call_duration reached"},
        "conversation_id": "c1",
        "webhook_url": f"https://example.com/api/tavus/webhook/{SECRET}",
        "event_type": "system.shutdown",
        "message_type": "system",
        "timestamp": "2025-07-11T06:45:47.472000Z",
        **more,
    }


def deliver(to: Webhooks, **more: Any) -> WebhookEvent | None:
    return to.accept(json.dumps(sent(**more)).encode())


@pytest.mark.parametrize(
    "guess",
    ["", SECRET[:-1], SECRET + "x", SECRET.upper(), "é" * 23, "\ud800"],
)
def test_a_guess_does_not_match(guess: str) -> None:
    assert not hooks().matches(guess)
    assert hooks().matches(SECRET)


def test_without_a_secret_nothing_matches() -> None:
    assert not hooks("").matches("")
    assert not hooks("").matches(SECRET)


def test_guesses_are_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, secret: bytes) -> bool:
        compared.append((given, secret))
        return hmac.compare_digest(given, secret)

    class Watched:
        compare_digest = staticmethod(compare)

    monkeypatch.setattr(module, "hmac", Watched)
    assert not hooks().matches("x")
    assert compared == [(b"x", SECRET.encode())]


def test_a_webhook_becomes_an_event_without_the_address() -> None:
    accepted = deliver(hooks())
    assert accepted is not None
    assert accepted.conversation_id == "c1"
    assert accepted.event_type == "system.shutdown"
    event = sent()
    del event["webhook_url"]
    assert accepted.event == event


def test_what_tavus_invents_one_day_is_taken() -> None:
    to = hooks()
    assert deliver(to, event_type="application.brand_new", extra=[1])
    assert deliver(to, event_type="application.bare", properties=None)


@pytest.mark.parametrize(
    "odd",
    [
        {"event_type": "conversation.perception-analysis"},
        {"event_type": "conversation.objective.completed"},
        {"event_type": "Application.V2_ready"},
        {"event_type": "system.wake_phrase_detected", "properties": None},
        {"message_type": "canvas"},
        {"message_type": 7},
        {"timestamp": 1752216347.472},
        {"timestamp": []},
        {"timestamp": None},
        {"seq": "7"},
        {"properties": {"n": None}},
        {"properties": []},
        {"properties": "x"},
    ],
)
def test_odd_webhooks_are_taken_as_they_are(odd: dict[str, Any]) -> None:
    accepted = deliver(hooks(), **odd)
    assert accepted is not None
    wanted = {**sent(), **odd}
    del wanted["webhook_url"]
    assert accepted.event == {
        **wanted,
        "properties": wanted["properties"] or {},
    }


def test_what_is_no_number_of_json_is_taken_as_null() -> None:
    accepted = deliver(
        hooks(), properties={"a": float("nan"), "b": [float("-inf")]}
    )
    assert accepted is not None
    assert accepted.event["properties"] == {"a": None, "b": [None]}


def test_of_a_conversation_with_an_odd_id_webhooks_are_taken() -> None:
    to = Webhooks(SECRET, {"c1.a/b c"}.__contains__)
    assert deliver(to, conversation_id="c1.a/b c")


def test_a_repetition_is_known_whatever_came_between() -> None:
    to = hooks()
    first = {"timestamp": "2025-07-11T06:45:47.472000Z"}
    second = {"timestamp": "2025-07-11T06:45:48.472000Z"}
    order = [second, first, second, first, first]
    answers = [deliver(to, **event) is not None for event in order]
    assert answers == [True, True, False, False, False]


def test_repetitions_are_known_by_conversation_type_time_and_content() -> None:
    to = hooks()
    changes: list[dict[str, Any]] = [
        {},
        {"conversation_id": "c2"},
        {"event_type": "system.replica_joined"},
        {"timestamp": "2025-07-11T06:45:47.473000Z"},
        {"properties": {"shutdown_reason": "x"}},
        {"objective_name": "book"},
        {"seq": 1},
        {"seq": 2},
    ]
    for taken in (True, False):
        for change in changes:
            assert (deliver(to, **change) is not None) is taken, change
    # Where it was sent, and in which envelope, is not what it says.
    assert not deliver(to, webhook_url="https://other.example")
    assert not deliver(to, message_type=None)


@pytest.mark.parametrize("more", [{}, {"seq": 5}])
def test_two_tool_calls_of_one_moment_are_two(more: dict[str, Any]) -> None:
    to = hooks()
    call = {"event_type": "conversation.tool_call", **more}
    names = ("book", "cancel", "book", "cancel")
    taken = [
        deliver(to, **call, properties={"name": name}) is not None
        for name in names
    ]
    assert taken == [True, True, False, False]


def test_of_a_room_what_has_neither_number_nor_time_is_new() -> None:
    to = hooks()
    said = {"event_type": "conversation.utterance", "timestamp": None}
    assert deliver(to, **said)
    assert deliver(to, **said)


def test_without_a_time_they_are_known_by_what_they_say() -> None:
    to = hooks()
    assert deliver(to, timestamp=None, properties={"a": 1, "b": 2})
    assert not deliver(to, timestamp=None, properties={"b": 2, "a": 1})
    assert deliver(to, timestamp=None, properties={"a": 2})


def test_the_memory_is_bounded() -> None:
    to = hooks()
    for number in range(1001):
        assert deliver(to, timestamp=number)
    assert not deliver(to, timestamp=1)
    assert deliver(to, timestamp=0)


def test_of_other_conversations_nothing_is_taken_nor_remembered() -> None:
    known: set[str] = set()
    to = Webhooks(SECRET, known.__contains__)
    with pytest.raises(UnknownConversationError) as refused:
        deliver(to)
    assert refused.value.kind == "not_found"
    known.add("c1")
    assert deliver(to)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"conversation_id": None}, "conversation_id: Input should be"),
        ({"conversation_id": 7}, "conversation_id: Input should be"),
        ({"conversation_id": ""}, "conversation_id: String should have"),
        ({"conversation_id": "c" * 257}, "conversation_id: String should"),
        ({"event_type": ""}, "event_type: String should match"),
        ({"event_type": "a" * 201}, "event_type: String should match"),
        ({"event_type": "a\n"}, "event_type: String should match"),
        ({"event_type": "a b"}, "event_type: String should match"),
        ({"event_type": None}, "event_type: Input should be"),
    ],
)
def test_a_wrong_envelope_is_refused(
    wrong: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidMessageError) as refused:
        deliver(hooks(), **wrong)
    assert str(refused.value).startswith(problem)
    assert SECRET not in str(refused.value)
    assert refused.value.kind == "validation"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"a": NaN}', b"[" * 100_000],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(
        InvalidMessageError, match=r"the body|event_type: Field"
    ):
        hooks().accept(body)


def test_a_report_of_a_face_in_training_is_not_of_a_conversation() -> None:
    with pytest.raises(InvalidMessageError, match="event_type: Field"):
        hooks().accept(b'{"replica_id": "r1", "status": "ready"}')
