#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""App messages between page and graph: only what Tavus documents passes."""

import base64
import json
from typing import Any

import pytest

from ten_packages.extension.tavus_http_python.app_messages import (
    FROM_GRAPH,
    FROM_PAGE,
)
from ten_packages.extension.tavus_http_python.interactions import (
    MAX_APP_MESSAGE_BYTES,
    Interactions,
    parse_from_graph,
    parse_from_page,
)
from ten_packages.extension.tavus_http_python.json_body import (
    InvalidMessageError,
)

ID = "c123"
SILENCE = base64.b64encode(bytes(960)).decode()


def body(**message: Any) -> bytes:
    return json.dumps(
        {"event_type": "conversation.utterance", **message}
    ).encode()


def said(event_type: str, **properties: Any) -> bytes:
    return body(event_type=event_type, properties=properties)


def refused_page(text: bytes) -> str:
    with pytest.raises(InvalidMessageError) as refused:
        parse_from_page(text, ID)
    assert "secret" not in str(refused.value)
    return str(refused.value)


def refused_graph(**content: Any) -> str:
    with pytest.raises(InvalidMessageError) as refused:
        parse_from_graph(content)
    assert "secret" not in str(refused.value)
    return str(refused.value)


# From the page.


@pytest.mark.parametrize(
    ("event_type", "properties"),
    [
        (
            "utterance",
            {"role": "user", "speech": "hi", "user_audio_analysis": "calm"},
        ),
        ("utterance", {"role": "pal", "speech": "", "interrupted": True}),
        (
            "utterance.streaming",
            {
                "role": "replica",
                "speech": "h",
                "content_index": 0,
                "final": False,
            },
        ),
        ("started_speaking", {"role": "user"}),
        (
            "stopped_speaking",
            {"role": "replica", "interrupted": False, "duration": None},
        ),
        ("replica.started_speaking", {}),
        ("replica.stopped_speaking", {"duration": 4.512, "interrupted": False}),
        ("user.started_speaking", {}),
        ("user.stopped_speaking", {}),
        ("tool_call", {"name": "f", "arguments": "{}", "tool_call_id": "t1"}),
        (
            "perception_tool_call",
            {"name": "f", "arguments": {"a": 1}, "modality": "vision"},
        ),
        (
            "perception_tool_call",
            {
                "name": "f",
                "arguments": "{}",
                "modality": "audio",
                "frames": [{"uri": "x"}],
            },
        ),
        ("perception_analysis", {"analysis": "smiles"}),
        ("joined", {}),
        ("left", {}),
    ],
)
def test_what_tavus_says_in_a_room_is_taken(
    event_type: str, properties: dict[str, Any]
) -> None:
    message = {
        "message_type": "conversation",
        "event_type": f"conversation.{event_type}",
        "timestamp": 1746000000.123,
        "seq": 42,
        "conversation_id": ID,
        "inference_id": "83294d9f-8306-491b-a284-791f56c8383f",
        "turn_idx": 3,
        "properties": properties,
    }
    assert parse_from_page(json.dumps(message).encode(), ID) == message


def test_a_whole_number_may_be_written_with_a_point() -> None:
    text = b'{"event_type": "system.shutdown", "seq": 5.0}'
    assert repr(parse_from_page(text, ID)["seq"]) == "5"


@pytest.mark.parametrize(
    "event_type", [name for name in FROM_PAGE if name.startswith("system.")]
)
def test_what_tavus_broadcasts_of_the_call_is_taken(event_type: str) -> None:
    message = {"message_type": "system", "event_type": event_type}
    assert parse_from_page(json.dumps(message).encode(), ID) == {
        **message,
        "conversation_id": ID,
        "properties": {},
    }


def test_what_tavus_adds_one_day_is_kept() -> None:
    text = body(
        properties={"role": "user", "speech": "hi", "mood": ["new"]}, lane=1
    )
    message = parse_from_page(text, ID)
    assert message["lane"] == 1
    assert message["properties"]["mood"] == ["new"]


def test_the_conversation_is_the_one_of_the_path() -> None:
    hi = {"role": "user", "speech": "hi"}
    for given in (ID, "", None):
        text = body(properties=hi, conversation_id=given)
        assert parse_from_page(text, ID)["conversation_id"] == ID
    assert parse_from_page(body(properties=hi), ID)["conversation_id"] == ID
    problem = refused_page(body(properties=hi, conversation_id="c-secret"))
    assert problem == "conversation_id: differs from the one in the path"


@pytest.mark.parametrize(
    "event_type",
    [
        "conversation.echo",
        "conversation.interrupt",
        "application.transcription_ready",
        "system.secret",
        "conversation",
        "",
    ],
)
def test_a_page_may_not_say_anything_else(event_type: str) -> None:
    problem = refused_page(said(event_type))
    assert problem == "event_type: not one that a room's page hands on"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "the body is not valid JSON"),
        (b"secret", "the body is not valid JSON"),
        (b'{"secret', "the body is not valid JSON"),
        (b"\xff\xfe\x00", "the body is not valid JSON"),
        ('{"event_type":"x"}'.encode("utf-16"), "the body is not valid JSON"),
        ("\ufeff{}".encode(), "the body is not valid JSON"),
        (b'{"a":' + b"1" * 5000 + b"}", "the body is not valid JSON"),
        (b"[]", "the body must be a JSON object"),
        (b'"secret"', "the body must be a JSON object"),
        (b"null", "the body must be a JSON object"),
        (b'{"a": NaN}', "NaN and Infinity are not JSON"),
        (b'{"a": -Infinity}', "NaN and Infinity are not JSON"),
        (b'{"a": 1e999}', "a number is too large"),
        (b"[" * 100_000, "the body is nested too deep"),
        (b'{"a":' * 100_000, "the body is nested too deep"),
        (
            b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
            "the body is nested too deep",
        ),
    ],
)
def test_what_is_no_json_object_is_refused(text: bytes, problem: str) -> None:
    assert refused_page(text) == problem


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"event_type": 7}, "event_type: Input should be a valid string"),
        ({"event_type": None}, "event_type: Input should be a valid string"),
        ({"message_type": "secret"}, "message_type: Input should be"),
        ({"seq": "1"}, "seq: Input should be a valid integer"),
        ({"seq": -1}, "seq: Input should be greater than or equal to 0"),
        ({"seq": 2**63}, "seq: Input should be less than"),
        ({"seq": True}, "seq: Input should be a valid integer"),
        ({"seq": 1.5}, "seq: Input should be a valid integer"),
        ({"seq": 1e300}, "seq: Input should be a valid integer"),
        ({"timestamp": "x" * 300}, "timestamp: "),
        ({"timestamp": []}, "timestamp: "),
        ({"inference_id": 7}, "inference_id: Input should be a valid string"),
        ({"turn_idx": "secret"}, "turn_idx: Input should be a valid integer"),
        ({"properties": "secret"}, "properties: Input should be"),
        ({"conversation_id": 7}, "conversation_id: Input should be"),
    ],
)
def test_a_wrong_envelope_is_refused(
    wrong: dict[str, Any], problem: str
) -> None:
    right = {"properties": {"role": "user", "speech": "secret"}}
    assert refused_page(body(**{**right, **wrong})).startswith(problem)


@pytest.mark.parametrize(
    ("event_type", "properties", "problem"),
    [
        ("utterance", {}, "properties.role: Field required"),
        ("utterance", {"role": "user"}, "properties.speech: Field required"),
        (
            "utterance",
            {"role": "secret", "speech": "hi"},
            "properties.role: Input should be 'replica', 'pal' or 'user'",
        ),
        (
            "utterance",
            {"role": "user", "speech": ["secret"]},
            "properties.speech: Input should be a valid string",
        ),
        ("started_speaking", {}, "properties.role: Field required"),
        (
            "stopped_speaking",
            {"role": "user", "duration": "secret"},
            "properties.duration: Input should be a valid number",
        ),
        (
            "tool_call",
            {"name": "f", "arguments": {"secret": 1}},
            "properties.arguments: Input should be a valid string",
        ),
        ("tool_call", {"name": "", "arguments": ""}, "properties.name: "),
        (
            "perception_tool_call",
            {"name": "f", "arguments": 7, "modality": "vision"},
            "properties.arguments: Input should be a valid string",
        ),
        (
            "perception_tool_call",
            {"name": "f", "arguments": "", "modality": "secret"},
            "properties.modality: Input should be 'vision' or 'audio'",
        ),
        ("perception_analysis", {}, "properties.analysis: Field required"),
    ],
)
def test_wrong_properties_are_refused(
    event_type: str, properties: dict[str, Any], problem: str
) -> None:
    text = said(f"conversation.{event_type}", **properties)
    assert refused_page(text).startswith(problem)


def test_half_a_surrogate_pair_breaks_no_answer() -> None:
    for text in (
        said("conversation.utterance", role="\ud800", speech=""),
        said("conversation.utterance", **{"\ud800": 1}),
        body(event_type="\ud800"),
    ):
        refused_page(text).encode()


def test_two_tabs_hand_a_message_on_once() -> None:
    interactions = Interactions()
    first, second = (
        body(properties={"role": "user", "speech": "hi"}, seq=n) for n in (1, 2)
    )
    answers = [
        interactions.accept(text, conversation_id) is not None
        for text, conversation_id in [
            (first, ID),
            (first, ID),
            (second, ID),
            (first, "c124"),
            (second, ID),
        ]
    ]
    assert answers == [True, False, True, True, False]


def test_without_number_and_time_every_message_is_new() -> None:
    interactions = Interactions()
    text = body(properties={"role": "user", "speech": "yes"}, seq=None)
    assert interactions.accept(text, ID) is not None
    assert interactions.accept(text, ID) is not None


# From the graph.


@pytest.mark.parametrize(
    ("short", "properties"),
    [
        ("echo", {"modality": "text", "text": "hello"}),
        (
            "echo",
            {
                "modality": "audio",
                "audio": SILENCE,
                "sample_rate": 24000,
                "inference_id": "i1",
                "done": False,
            },
        ),
        ("respond", {"text": "hello"}),
        ("interrupt", {}),
        ("overwrite_llm_context", {"context": ""}),
        ("append_llm_context", {"context": "x", "job_status": "completed"}),
        ("sensitivity", {"participant_pause_sensitivity": "superlow"}),
        ("sensitivity", {"participant_interrupt_sensitivity": "auto"}),
        (
            "tool_result",
            {
                "tool_call_id": "t1",
                "name": "f",
                "status": "success",
                "output": "7",
            },
        ),
    ],
)
@pytest.mark.parametrize("prefix", ["", "conversation."])
@pytest.mark.parametrize("as_text", [False, True])
def test_what_tavus_takes_goes_into_the_room(
    short: str, properties: dict[str, Any], prefix: str, as_text: bool
) -> None:
    message = parse_from_graph(
        {
            "event_type": prefix + short,
            "conversation_id": ID,
            "remote_user_id": "web-1",
            "properties": json.dumps(properties) if as_text else properties,
        }
    )
    assert (message.conversation_id, message.remote_user_id) == (ID, "web-1")
    assert message.for_page(ID) == {
        "message_type": "conversation",
        "event_type": f"conversation.{short}",
        "conversation_id": ID,
        "properties": properties,
    }


def test_text_and_success_are_what_is_meant_when_nothing_is_said() -> None:
    echo = parse_from_graph({"event_type": "echo", "properties": {"text": "a"}})
    assert echo.properties == {"modality": "text", "text": "a"}
    result = parse_from_graph(
        {
            "event_type": "tool_result",
            "properties": {"tool_call_id": "t", "name": "f", "output": ""},
        }
    )
    assert result.properties["status"] == "success"


@pytest.mark.parametrize(
    ("output", "text"),
    [({"a": [1]}, '{"a": [1]}'), ([], "[]"), (7, "7"), (None, "null")],
)
def test_the_result_of_a_tool_becomes_text(output: Any, text: str) -> None:
    message = parse_from_graph(
        {
            "event_type": "tool_result",
            "properties": {
                "tool_call_id": "t",
                "name": "f",
                "output": output,
            },
        }
    )
    assert message.properties["output"] == text


@pytest.mark.parametrize("properties", [None, {}, "", "{}"])
def test_an_interrupt_needs_no_properties(properties: Any) -> None:
    content = {"event_type": "interrupt", "properties": properties}
    assert parse_from_graph(content).properties == {}
    assert parse_from_graph({"event_type": "interrupt"}).properties == {}


@pytest.mark.parametrize(
    ("event_type", "properties", "problem"),
    [
        ("echo", {}, "properties: modality text needs text"),
        ("echo", {"text": ""}, "properties.text: String should have at least"),
        (
            "echo",
            {"text": "secret", "sample_rate": 16000},
            "properties: modality text takes no audio",
        ),
        (
            "echo",
            {"modality": "audio", "audio": SILENCE},
            "properties: modality audio needs audio and sample_rate",
        ),
        (
            "echo",
            {"modality": "audio", "sample_rate": 16000},
            "properties: modality audio needs audio and sample_rate",
        ),
        (
            "echo",
            {
                "modality": "audio",
                "audio": SILENCE,
                "sample_rate": 16000,
                "text": "secret",
            },
            "properties: modality audio takes no text",
        ),
        (
            "echo",
            {"modality": "audio", "audio": "secret!", "sample_rate": 16000},
            "properties: audio must be base64 of 16 bit PCM",
        ),
        (
            "echo",
            {"modality": "audio", "audio": "QUJD", "sample_rate": 16000},
            "properties: audio must be base64 of 16 bit PCM",
        ),
        (
            "echo",
            {"modality": "audio", "audio": SILENCE, "sample_rate": 1},
            "properties.sample_rate: Input should be greater than",
        ),
        ("echo", {"modality": "secret"}, "properties.modality: Input should"),
        ("echo", {"text": "a", "done": "yes"}, "properties.done: Input"),
        (
            "interrupt",
            {"secret": 1},
            "properties: has a member that is not known",
        ),
        ("respond", {}, "properties.text: Field required"),
        ("respond", {"text": 7}, "properties.text: Input should be"),
        ("overwrite_llm_context", {}, "properties.context: Field required"),
        ("append_llm_context", {"context": ""}, "properties.context: String"),
        (
            "sensitivity",
            {},
            "properties: exactly one of "
            "participant_pause_sensitivity and "
            "participant_interrupt_sensitivity",
        ),
        (
            "sensitivity",
            {
                "participant_pause_sensitivity": "low",
                "participant_interrupt_sensitivity": "low",
            },
            "properties: exactly one of ",
        ),
        (
            "sensitivity",
            {"participant_pause_sensitivity": "secret"},
            "properties.participant_pause_sensitivity: Input should be",
        ),
        ("tool_result", {"name": "f"}, "properties.tool_call_id: Field"),
        (
            "tool_result",
            {"name": "f", "tool_call_id": "t", "output": float("nan")},
            "properties.output: ",
        ),
        ("respond", "secret", "properties is not valid JSON"),
        ("respond", "[]", "properties must be a JSON object"),
        ("respond", [], "properties: Input should be"),
        ("set_emotion", {}, "event_type: must be one of echo, respond, "),
        ("secret", {}, "event_type: must be one of echo, respond, "),
        ("", {}, "event_type: must be one of echo, respond, "),
        (7, {}, "event_type: Input should be a valid string"),
    ],
)
def test_what_tavus_would_not_take_is_refused(
    event_type: Any, properties: Any, problem: str
) -> None:
    told = refused_graph(event_type=event_type, properties=properties)
    assert told.startswith(problem)


def test_a_message_for_nobody_that_can_be_is_refused() -> None:
    for name in ("conversation_id", "remote_user_id"):
        problem = refused_graph(**{"event_type": "interrupt", name: "a secret"})
        assert problem.startswith(f"{name}: String should match")
        assert refused_graph(**{"event_type": "interrupt", name: 7}).startswith(
            f"{name}: Input should be a valid string"
        )


@pytest.mark.parametrize(("letter", "size"), [("a", 1), ("é", 2), ("\n", 2)])
def test_what_daily_does_not_carry_is_to_be_split(
    letter: str, size: int
) -> None:
    def content(text: str) -> dict[str, Any]:
        return {
            "event_type": "respond",
            "conversation_id": ID,
            "properties": {"text": text},
        }

    empty = parse_from_graph(content("a")).for_page(ID)
    envelope = len(json.dumps(empty, separators=(",", ":"))) - 1
    most = (MAX_APP_MESSAGE_BYTES - envelope) // size
    assert parse_from_graph(content(letter * most))
    problem = refused_graph(**content(letter * (most + 1)))
    assert "and Daily carries 4096: split it" in problem


def test_what_daily_carries_leaves_room_for_the_id() -> None:
    content = {"event_type": "respond", "properties": {"text": "a" * 3950}}
    message = parse_from_graph(content).for_page("c" * 32)
    text = json.dumps(message, separators=(",", ":"))
    assert len(text) <= MAX_APP_MESSAGE_BYTES
    content["properties"] = {"text": "a" * 3960}
    refused_graph(**content)


def test_half_a_surrogate_pair_is_refused() -> None:
    for event_type, properties in (
        ("respond", {"text": "\ud800"}),
        ("respond", '{"text": "\\ud800"}'),
        ("respond", {"\ud800": ""}),
    ):
        refused_graph(event_type=event_type, properties=properties).encode()


def test_all_that_is_documented_is_known() -> None:
    assert len(FROM_PAGE) == 18
    assert len(FROM_GRAPH) == 7
