#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""App messages: all that Tavus says passes, and only what it takes is said."""

import base64
import json
from typing import Any

import pytest

from ten_packages.extension.tavus_http_python.app_messages import FROM_GRAPH
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
        # What was seen, or is documented, beside the above.
        ("perception-analysis", {"analysis": {"mood": "calm"}}),
        ("objective.completed", {"objective_name": "book"}),
        ("tool_result", {"tool_call_id": "t1", "output": {"a": 1}}),
        ("utterance", {"role": "user", "text": "hi"}),
        ("utterance", {"role": "narrator", "speech": None}),
        ("stopped_speaking", {"role": "user", "duration": "long"}),
        *[
            ("tool_call", {"name": "f", "arguments": arguments})
            for arguments in ({"a": 1}, ["a"], None, 7)
        ],
        ("tool_call", {"name": "f", "tool_call_id": None}),
        ("perception_tool_call", {"name": "f", "arguments": 7}),
        ("perception_tool_call", {"frames": None}),
        ("V2.New-Event_3", {"anything": [1, "a", None]}),
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
    "event_type",
    [
        "system.replica_joined",
        "system.pal_present",
        "system.shutdown",
        "system.wake_phrase_detected",
        "system.sleep_phrase_detected",
        "application.transcription_ready",
    ],
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
    "odd",
    [
        {"message_type": "application"},
        {"message_type": None},
        {"seq": None},
        {"seq": "1"},
        {"seq": -1},
        {"seq": 2**63},
        {"seq": 1.5},
        {"timestamp": []},
        {"timestamp": "x" * 300},
        {"timestamp": None},
        {"inference_id": None},
        {"inference_id": 7},
        {"properties": "hi"},
        {"properties": [1]},
        {"turn_idx": None},
        {"turn_idx": "two"},
        {"conversation_id": None},
    ],
)
def test_what_nobody_acts_on_may_be_anything(odd: dict[str, Any]) -> None:
    message = parse_from_page(body(**odd), ID)
    assert message == {
        "event_type": "conversation.utterance",
        "properties": {},
        **odd,
        "conversation_id": ID,
    }


def test_a_frame_of_the_camera_is_taken_whole() -> None:
    frame = {"data": "A" * 200_000, "mime_type": "image/jpeg"}
    seen = {"modality": "vision", "name": "f", "frames": [frame] * 4}
    text = said("conversation.perception_tool_call", **seen)
    assert parse_from_page(text, ID)["properties"] == seen


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "the body is not valid JSON"),
        (b"secret", "the body is not valid JSON"),
        (b'{"secret', "the body is not valid JSON"),
        (b"\xff\xfe\x00", "the body is not valid JSON"),
        ('{"event_type":"x"}'.encode("utf-16"), "the body is not valid JSON"),
        ("\ufeff{}".encode(), "the body is not valid JSON"),
        (b"[]", "the body must be a JSON object"),
        (b'"secret"', "the body must be a JSON object"),
        (b"null", "the body must be a JSON object"),
        (b"[" * 100_000, "the body has too many members"),
        (b'{"a":' * 100_000, "the body has too many members"),
        (b"[" * 4000, "the body is nested too deep"),
        (b'{"a":' * 2000, "the body is nested too deep"),
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
        ({"event_type": ""}, "event_type: String should match"),
        ({"event_type": "a b"}, "event_type: String should match"),
        ({"event_type": "a\n"}, "event_type: String should match"),
        ({"event_type": "x" * 201}, "event_type: String should match"),
        ({"conversation_id": 7}, "conversation_id: Input should be"),
    ],
)
def test_a_wrong_envelope_is_refused(
    wrong: dict[str, Any], problem: str
) -> None:
    right = {"properties": {"role": "user", "speech": "secret"}}
    assert refused_page(body(**{**right, **wrong})).startswith(problem)


@pytest.mark.parametrize("constant", [b"NaN", b"-Infinity", b"1e999"])
def test_what_is_no_number_of_json_is_handed_on_as_null(
    constant: bytes,
) -> None:
    text = b'{"event_type": "a", "properties": {"n": ' + constant + b"}}"
    assert parse_from_page(text, ID)["properties"] == {"n": None}


def test_half_a_surrogate_pair_breaks_no_answer() -> None:
    refused_page(body(event_type="\ud800")).encode()
    refused_graph(event_type="interrupt", properties={"\ud800": 1}).encode()


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


@pytest.mark.parametrize("seq", [None, 7])
def test_two_calls_of_one_moment_are_handed_on_both(seq: Any) -> None:
    interactions = Interactions()
    texts = [
        body(
            event_type="conversation.tool_call",
            timestamp=1746000000.5,
            seq=seq,
            properties={"name": name},
        )
        for name in ("book", "cancel", "book")
    ]
    taken = [interactions.accept(text, ID) is not None for text in texts]
    assert taken == [True, True, False]


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
        (
            "tool_result",
            {"tool_call_id": "t1", "status": "error", "output": "no"},
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
            {"loud": "secret"},
            'properties: unknown field "loud"',
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
        problem = refused_graph(**{"event_type": "interrupt", name: [7]})
        assert problem.startswith(f"{name}: Input should be a valid string")


def test_a_user_may_be_a_number() -> None:
    message = parse_from_graph(
        {"event_type": "interrupt", "remote_user_id": 4711}
    )
    assert message.remote_user_id == "4711"


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
    assert len(FROM_GRAPH) == 7
