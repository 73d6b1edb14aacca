#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Every bad property is refused with a line that says what to do."""

import string
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ten_packages.extension.tavus_python.config import (
    ConfigError,
    StartOptions,
    TavusConfig,
)

KEY = "0123456789abcdef0123456789abcdef"
GOOD = {"tavus_api_key": KEY, "persona_id": "p1234"}
MADE = {
    "tavus_api_key": KEY,
    "auto_create_persona": True,
    "persona": {
        "persona_name": "Ann",
        "system_prompt": "Be kind.",
        "default_replica_id": "r1",
    },
}
S3 = {
    "provider": "s3",
    "bucket_name": "b",
    "bucket_region": "eu-north-1",
    "assume_role_arn": "arn:aws:iam::1:role/x",
}


def made_with(**persona: Any) -> dict[str, Any]:
    return {**MADE, "persona": {**MADE["persona"], **persona}}


BAD_VALUES: list[tuple[str, Any, str]] = [
    # Whole numbers
    (
        "max_call_duration",
        0,
        "0 is not a whole number from 1 to 86400; write seconds",
    ),
    (
        "max_call_duration",
        -5,
        "-5 is not a whole number from 1 to 86400; write seconds",
    ),
    (
        "max_call_duration",
        True,
        "true is not a whole number from 1 to 86400; write seconds",
    ),
    (
        "max_call_duration",
        3600.0,
        "3600.0 is not a whole number from 1 to 86400; write seconds",
    ),
    (
        "max_call_duration",
        "1h",
        "'1h' is not a whole number from 1 to 86400; write seconds",
    ),
    (
        "max_call_duration",
        "36e2",
        "'36e2' is not a whole number from 1 to 86400; write seconds",
    ),
    (
        "max_call_duration",
        "1_000",
        "'1_000' is not a whole number from 1 to 86400; write seconds",
    ),
    (
        "max_call_duration",
        "9" * 50,
        "'9999999999999999999999999999999999999…' is not a whole number from "
        "1 to 86400; write seconds",
    ),
    (
        "max_call_duration",
        2**63,
        "9223372036854775808 is not a whole number from 1 to 86400; write "
        "seconds",
    ),
    (
        "max_call_duration",
        10**30,
        "is a huge number; write one of at most 64 bits",
    ),
    (
        "max_call_duration",
        [60],
        "a list is not a whole number from 1 to 86400; write seconds",
    ),
    (
        "max_call_duration",
        {"s": 1},
        "an object is not a whole number from 1 to 86400; write seconds",
    ),
    (
        "max_call_duration",
        float("nan"),
        "nan is not a number JSON has; write a finite one",
    ),
    (
        "participant_left_timeout",
        -1,
        "-1 is not a whole number from 0 to 86400; write seconds",
    ),
    (
        "participant_absent_timeout",
        "0",
        "'0' is not a whole number from 1 to 86400; write seconds",
    ),
    (
        "max_participants",
        1,
        "1 is not a whole number from 2 to 1000; write how many may be there, "
        "face included",
    ),
    (
        "leave_grace_ms",
        "5s",
        "'5s' is not a whole number from 0 to 3600000; write milliseconds",
    ),
    (
        "stop_timeout_ms",
        99,
        "99 is not a whole number from 100 to 1900; TEN kills the process "
        "2000 ms after stop",
    ),
    (
        "stop_timeout_ms",
        2000,
        "2000 is not a whole number from 100 to 1900; TEN kills the process "
        "2000 ms after stop",
    ),
    # Numbers
    (
        "status_poll_s",
        -1,
        "-1 is not a number from 0 to 3600; write seconds, or 0 for never",
    ),
    (
        "status_poll_s",
        "often",
        "'often' is not a number from 0 to 3600; write seconds, or 0 for never",
    ),
    (
        "status_poll_s",
        "nan",
        "'nan' is not a number from 0 to 3600; write seconds, or 0 for never",
    ),
    (
        "status_poll_s",
        float("inf"),
        "inf is not a number JSON has; write a finite one",
    ),
    (
        "request_timeout_s",
        0,
        "0 is not a number from 0.1 to 300; write seconds",
    ),
    (
        "request_timeout_s",
        False,
        "false is not a number from 0.1 to 300; write seconds",
    ),
    (
        "connect_timeout_s",
        "1e9",
        "'1e9' is not a number from 0.1 to 300; write seconds",
    ),
    # Booleans
    (
        "test_mode",
        "maybe",
        "'maybe' is neither true nor false; write true or false",
    ),
    ("test_mode", 2, "2 is neither true nor false; write true or false"),
    ("audio_only", 1.0, "1.0 is neither true nor false; write true or false"),
    (
        "require_auth",
        [True],
        "a list is neither true nor false; write true or false",
    ),
    (
        "enable_recording",
        "tru",
        "'tru' is neither true nor false; write true or false",
    ),
    (
        "auto_start",
        {"on": 1},
        "an object is neither true nor false; write true or false",
    ),
    # Texts and ids
    (
        "custom_greeting",
        5,
        "5 is not text; write one text in quotes",
    ),
    (
        "conversational_context",
        ["a"],
        "a list is not text; write one text in quotes",
    ),
    ("channel", 1.5, "1.5 is not text; write one text in quotes"),
    (
        "custom_greeting",
        "Hello ${env:USER}",
        "the placeholder ${env:USER} was not resolved; TEN resolves it only "
        "where it is the whole value, so write it alone or write the value "
        "itself",
    ),
    (
        "custom_greeting",
        "broken \ud800",
        "holds a broken character; retype the text",
    ),
    ("persona_id", True, "true is not text; write one text in quotes"),
    (
        "persona_id",
        "p 1",
        "'p 1' is not an id; copy the id from Tavus (letters, digits, '-' "
        "and '_')",
    ),
    (
        "persona_id",
        "../replicas",
        "'../replicas' is not an id; copy the id from Tavus (letters, digits, "
        "'-' and '_')",
    ),
    (
        "replica_id",
        "r" * 129,
        "'rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr…' is not an id; copy the id "
        "from Tavus (letters, digits, '-' and '_')",
    ),
    (
        "replica_id",
        "${env:TAVUS_REPLICA_ID|}",
        "the placeholder ${env:TAVUS_REPLICA_ID} was not resolved; TEN "
        "resolves it only where it is the whole value, so write it alone or "
        "write the value itself",
    ),
    (
        "pal_id",
        "p9",
        "'p9' is not the persona_id 'p1234', and both name the same thing; "
        "set only one of them",
    ),
    (
        "conversation_name",
        "two\nlines",
        "'two\\nlines' is not one printable line of at most 64 characters; "
        "shorten it",
    ),
    (
        "conversation_name",
        "n" * 65,
        "'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn…' is not one printable line "
        "of at most 64 characters; shorten it",
    ),
    # Languages
    (
        "language",
        "klingon",
        "'klingon' is not a language Tavus lists; write a name or code, such "
        "as 'english' or 'en'",
    ),
    (
        "language",
        "Englsh",
        "'Englsh' is not a language Tavus lists (did you mean 'english'?); "
        "write a name or code, such as 'english' or 'en'",
    ),
    ("language", 1, "1 is not text; write one text in quotes"),
    (
        "languages",
        "en, xx",
        "'xx' is not a language Tavus lists; write a name or code, such as "
        "'english' or 'en'",
    ),
    (
        "languages",
        ["multilingual"],
        "'multilingual' is not a language Tavus lists; write a name or code, "
        "such as 'english' or 'en'",
    ),
    # Choices
    (
        "transport",
        "webrtc",
        "'webrtc' is no transport; write 'daily', 'livekit' or 'agora'",
    ),
    (
        "livekit_url",
        "livekit.example",
        "'livekit.example' is not a ws(s) URL; write wss://host/path",
    ),
    (
        "livekit_avatar_url",
        "wss://key:secret@host/?a=b",
        "carries a user name, query or fragment; write only wss://host",
    ),
    ("livekit_api_secret", 5, "is not text; write the key in quotes"),
    (
        "avatar_join_timeout_s",
        0,
        "0 is not a number from 1 to 600; write seconds",
    ),
    (
        "conversation_scope",
        "room",
        "'room' is no choice here; write 'channel' or 'user'",
    ),
    (
        "document_retrieval_strategy",
        3,
        "3 is no choice here; write 'speed' or 'quality' or 'balanced'",
    ),
    # URLs and folders
    (
        "base_url",
        "tavusapi.com/v2",
        "'tavusapi.com/v2' is not an http(s) URL; write https://host/path",
    ),
    (
        "base_url",
        "ftp://tavusapi.com?token=secret",
        "'ftp://tavusapi.com' is not an http(s) URL; write https://host/path",
    ),
    (
        "base_url",
        "https://",
        "'https://' is not an http(s) URL; write https://host/path",
    ),
    (
        "base_url",
        "https://[::1/v2",
        "is not a URL; write https://host/path",
    ),
    (
        "base_url",
        "https://host:port/v2",
        "is not a URL; write https://host/path",
    ),
    (
        "base_url",
        "https://ho st/v2",
        "holds blanks or backslashes; write a plain URL",
    ),
    (
        "base_url",
        "https://me:pw@host/v2",
        "carries a user name; write only https://host/path, and the key in "
        "tavus_api_key",
    ),
    (
        "base_url",
        "https://host/v2?a=1",
        "carries a query or fragment; write only https://host/path",
    ),
    (
        "base_url",
        "https://host/v2#top",
        "carries a query or fragment; write only https://host/path",
    ),
    (
        "base_url",
        ["https://host"],
        "a list is not text; write one text in quotes",
    ),
    (
        "callback_url",
        "ws://host/hook",
        "'ws://host/hook' is not an http(s) URL; write https://host/path",
    ),
    (
        "journal_dir",
        "~no-such-user-here/journal",
        "'~no-such-user-here/journal' is no folder here; write an absolute "
        "path",
    ),
    (
        "journal_dir",
        "a\0b",
        "'a\\x00b' is no folder here; write an absolute path",
    ),
    # Lists
    (
        "memory_stores",
        5,
        '5 is not a list; write ["a", "b"] or \'a, b\'',
    ),
    (
        "document_tags",
        {"a": 1},
        'an object is not a list; write ["a", "b"] or \'a, b\'',
    ),
    (
        "document_ids",
        '["a"',
        "is not valid JSON at line 1, column 5; correct it there",
    ),
    # Objects
    ("params", 5, '5 is not an object; write {"a": 1}'),
    ("params", "[1]", "'[1]' is not an object; write {\"a\": 1}"),
    (
        "params",
        "{'a': 1}",
        "is not valid JSON at line 1, column 2; correct it there",
    ),
    (
        "params",
        "[" * 100_000,
        "is JSON with too large a number or too deep a nesting; simplify it",
    ),
    (
        "recording_storage",
        "s3",
        "is not valid JSON at line 1, column 1; correct it there",
    ),
    ("persona", True, 'true is not an object; write {"a": 1}'),
]

LIVEKIT = {
    "tavus_api_key": KEY,
    "replica_id": "r1",
    "transport": "livekit",
    "livekit_url": "wss://livekit.example",
    "livekit_api_key": "livekit-key-0123456789",
    "livekit_api_secret": "livekit-secret-0123456789",
    "channel": "room",
}

BAD_PLACES: list[tuple[dict[str, Any], str]] = [
    (
        {**LIVEKIT, "livekit_url": ""},
        "livekit_url: is not set, but transport 'livekit' needs it; set the "
        "environment variable LIVEKIT_URL, or this property",
    ),
    (
        {**LIVEKIT, "livekit_api_key": " "},
        "livekit_api_key: is not set, but transport 'livekit' needs it; set "
        "the environment variable LIVEKIT_API_KEY, or this property",
    ),
    (
        {**LIVEKIT, "livekit_api_secret": ""},
        "livekit_api_secret: is not set, but transport 'livekit' needs it; "
        "set the environment variable LIVEKIT_API_SECRET, or this property",
    ),
    (
        {**LIVEKIT, "channel": ""},
        "livekit_room: is not set, nor is channel; name the room that users "
        "are in",
    ),
    (
        {**LIVEKIT, "conversation_scope": "user"},
        "conversation_scope: 'user' does not go with transport 'livekit', "
        "where all are in one room; write 'channel'",
    ),
    (
        {**LIVEKIT, "audio_only": True},
        "audio_only: does not go with transport 'livekit', which is there for "
        "the face; unset it",
    ),
    (
        {**LIVEKIT, "replica_id": ""},
        "persona_id: is not set, nor is replica_id; set persona_id (or "
        "pal_id), replica_id (or face_id), or auto_create_persona",
    ),
    (
        {"persona_id": "p1"},
        "tavus_api_key: is not set; set the environment variable "
        "TAVUS_API_KEY, or this property",
    ),
    (
        {"tavus_api_key": KEY},
        "persona_id: is not set, nor is replica_id; set persona_id (or "
        "pal_id), replica_id (or face_id), or auto_create_persona",
    ),
    (
        {**GOOD, "replica_id": "r1", "face_id": "r2"},
        "face_id: 'r2' is not the replica_id 'r1', and both name the same "
        "thing; set only one of them",
    ),
    (
        {**GOOD, "language": "en", "languages": ["en"]},
        "languages: is set together with language; set only one of them",
    ),
    (
        {**GOOD, "document_ids": ["a", 5.5]},
        "document_ids[1]: 5.5 is not text; quote it",
    ),
    (
        {**GOOD, "params": {"pal_id": "p2"}},
        "params.pal_id: has a property of its own; set the property pal_id "
        "instead",
    ),
    (
        {**GOOD, "params": '{"conversation_name": "x"}'},
        "params.conversation_name: has a property of its own; set the "
        "property conversation_name instead",
    ),
    (
        {**GOOD, "params": {"properties": [1]}},
        'params.properties: a list is not an object; write {"a": 1}',
    ),
    (
        {**GOOD, "params": {"a": [{"b c": "${env:X}"}]}},
        "params.a[0].'b c': the placeholder ${env:X} was not resolved; TEN "
        "resolves it only where it is the whole value, so write it alone or "
        "write the value itself",
    ),
    (
        {**GOOD, "params": '{"a": NaN}'},
        "params.a: nan is not a number JSON has; write a finite one",
    ),
    (
        {**GOOD, "params": {"a": b"bytes"}},
        "params.a: a bytes is not JSON; write a JSON value",
    ),
    (
        {**GOOD, "params": {1: 2}},
        "params: 1 is no name; use text for names",
    ),
    (
        {**GOOD, "recording_storage": {"bucket_name": "b"}},
        "recording_storage.provider: is not set; write 's3', 'gcs' or "
        "'azure_blob'",
    ),
    (
        {**GOOD, "recording_storage": {**S3, "bucket_region": ""}},
        "recording_storage.bucket_region: is not set; provider 's3' needs it",
    ),
    (
        {**GOOD, "recording_storage": {"provider": "dropbox"}},
        "recording_storage.provider: 'dropbox' is no choice here; write 's3' "
        "or 'gcs' or 'azure_blob'",
    ),
    (
        {**MADE, "persona_id": "p1"},
        "persona_id: is set together with auto_create_persona; unset "
        "persona_id to have a persona made, or auto_create_persona to use "
        "that one",
    ),
    (
        made_with(persona_name=""),
        "persona.persona_name: is not set, but auto_create_persona is; name "
        "the persona",
    ),
    (
        made_with(system_prompt=""),
        "persona.system_prompt: is not set; write one, or set "
        "persona.pipeline_mode to 'echo'",
    ),
    (
        made_with(pipeline_mode="custom"),
        "persona.pipeline_mode: 'custom' is no choice here; write 'full' or "
        "'echo' or 'speech-to-speech'",
    ),
    (
        made_with(default_replica_id=""),
        "persona.default_replica_id: is not set, nor is replica_id; set one "
        "of them, since a persona needs a face",
    ),
    (
        made_with(default_face_id="r2"),
        "persona.default_face_id: differs from default_replica_id, and both "
        "name the same thing; set only one of them",
    ),
    (
        made_with(layers="no"),
        "persona.layers: is not valid JSON at line 1, column 1; correct it "
        "there",
    ),
]

BAD_KEYS: list[tuple[Any, str]] = [
    (f"{KEY} {KEY}", "holds blanks, quotes"),
    (f'"{KEY}"', "holds blanks, quotes"),
    (f"{KEY}'", "holds blanks, quotes"),
    (f"{KEY}\u00e9", "holds blanks, quotes"),
    (f"{KEY}\r\nx-evil: 1", "holds blanks, quotes"),
    (KEY * 20, "holds blanks, quotes"),
    (int("1" * 18), "is not text; write the key in quotes"),
    ([KEY], "is not text; write the key in quotes"),
    ({"key": KEY}, "is not text; write the key in quotes"),
]


def problems_of(properties: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        TavusConfig.load(properties)
    return caught.value.problems


@pytest.mark.parametrize(("name", "value", "message"), BAD_VALUES)
def test_a_bad_value_is_named_with_the_fix(
    name: str, value: Any, message: str
) -> None:
    assert problems_of({**GOOD, name: value}) == [f"{name}: {message}"]


@pytest.mark.parametrize(("properties", "message"), BAD_PLACES)
def test_a_bad_place_or_combination_is_named_with_the_fix(
    properties: dict[str, Any], message: str
) -> None:
    assert problems_of(properties) == [message]


@pytest.mark.parametrize(("key", "message"), BAD_KEYS)
def test_a_bad_key_is_refused_and_never_shown(key: Any, message: str) -> None:
    (problem,) = problems_of({**GOOD, "tavus_api_key": key})
    assert problem.startswith(f"tavus_api_key: {message}")
    assert KEY not in problem


def test_deep_nesting_is_refused() -> None:
    nested: Any = {}
    for _ in range(5000):
        nested = {"a": nested}
    assert problems_of({**GOOD, "params": nested}) == [
        "params: is nested deeper than 32 levels; flatten it"
    ]


def test_something_else_than_an_object_is_refused() -> None:
    assert problems_of([1]) == [
        'properties: a list is not an object; write {"tavus_api_key": "…"}'
    ]


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        TavusConfig.load({"max_call_duration": "x", "audio_only": "y"})
    assert str(caught.value) == (
        "tavus: 4 problems: "
        "max_call_duration: 'x' is not a whole number from 1 to 86400; write "
        "seconds | "
        "audio_only: 'y' is neither true nor false; write true or false | "
        "tavus_api_key: is not set; set the environment variable "
        "TAVUS_API_KEY, or this property | "
        "persona_id: is not set, nor is replica_id; set persona_id (or "
        "pal_id), replica_id (or face_id), or auto_create_persona"
    )


def test_a_name_and_a_value_that_are_wrong_are_told_together() -> None:
    assert problems_of(
        {"tavus_api_ky": "k", "replica_id": "r1", "max_call_duration": "soon"}
    ) == [
        "max_call_duration: 'soon' is not a whole number from 1 to 86400; "
        "write seconds",
        "tavus_api_key: is not set; set the environment variable "
        "TAVUS_API_KEY, or this property",
        "tavus_api_ky: unknown property, ignored; did you mean tavus_api_key?",
    ]


def test_one_problem_is_one_problem() -> None:
    with pytest.raises(ConfigError) as caught:
        TavusConfig.load({**GOOD, "channel": 1.5})
    assert str(caught.value).startswith("tavus: 1 problem: channel: ")


def test_a_property_with_a_problem_is_in_no_second_one() -> None:
    assert problems_of({**MADE, "persona": 5}) == [
        'persona: 5 is not an object; write {"a": 1}'
    ]


@pytest.mark.parametrize(
    "name",
    list(TavusConfig.model_fields)[1:],
)
@pytest.mark.parametrize("key", [KEY, KEY * 2])
def test_a_key_in_the_wrong_property_is_not_shown(name: str, key: str) -> None:
    try:
        told = TavusConfig.load(
            {**GOOD, "tavus_api_key": key, name: f"{key}/ {key}"}
        ).to_str()
    except ConfigError as error:
        told = str(error)
    assert KEY[:16] not in told


def test_a_bad_option_of_a_start_is_named_with_the_fix() -> None:
    with pytest.raises(ConfigError) as caught:
        StartOptions.load(
            {
                "language": "xx",
                "persona_id": "p1",
                "pal_id": "p2",
                "channel": True,
            }
        )
    assert caught.value.problems == [
        "language: 'xx' is not a language Tavus lists; write a name or code, "
        "such as 'english' or 'en'",
        "channel: true is not text; write one text in quotes",
        "pal_id: 'p2' is not the persona_id 'p1', and both name the same "
        "thing; set only one of them",
    ]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["", "true", "0", "en", "[", "{}", "${env:X}", "http://"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(string.ascii_letters), inner, max_size=3)
        | st.fixed_dictionaries(
            {},
            optional={
                "provider": inner,
                "persona_name": inner,
                "layers": inner,
                "properties": inner,
            },
        )
    ),
    max_leaves=8,
)
PROPERTIES = st.dictionaries(
    st.sampled_from(list(TavusConfig.model_fields)) | st.text(), JSON
)


@given(PROPERTIES | JSON)
@example({**GOOD, "params": {"x": 10**5000}})
@example({**MADE, "persona": {**MADE["persona"], "model_config": {}}})
def test_any_json_loads_or_is_a_config_error(properties: Any) -> None:
    try:
        config = TavusConfig.load(properties)
    except ConfigError as error:
        assert error.problems
        assert all(": " in text and "; " in text for text in error.problems)
    else:
        assert config.conversation_body("n")["conversation_name"] == "n"


@given(PROPERTIES)
def test_any_json_added_to_good_properties_keeps_the_key_unseen(
    properties: dict[str, Any],
) -> None:
    properties = {**properties, **GOOD}
    try:
        config = TavusConfig.load(properties)
    except ConfigError as error:
        assert KEY not in str(error)
    else:
        assert KEY not in config.to_str() + repr(config)
        assert "\n" not in config.to_str()


@given(JSON)
def test_any_options_load_or_are_a_config_error(value: Any) -> None:
    for name in list(StartOptions.model_fields):
        try:
            StartOptions.load({name: value})
        except ConfigError as error:
            assert error.problems
