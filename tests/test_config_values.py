#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What good properties become: typed values, warnings, the log, requests."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ten_packages.extension.tavus_python.config import (
    ConfigError,
    StartOptions,
    TavusConfig,
)

KEY = "0123456789abcdef0123456789abcdef"
GOOD = {"tavus_api_key": KEY, "persona_id": "p1234"}
DEFAULT_TIMERS = {
    "max_call_duration": 3600,
    "participant_left_timeout": 30,
    "participant_absent_timeout": 120,
}
PERSONA = {
    "persona_name": "Ann",
    "system_prompt": "Be kind.",
    "default_replica_id": "r1",
}
MADE = {"tavus_api_key": KEY, "auto_create_persona": True, "persona": PERSONA}


def loaded(**properties: Any) -> TavusConfig:
    return TavusConfig.load({**GOOD, **properties})


def body_with(**properties: Any) -> dict[str, Any]:
    return loaded(**properties).conversation_body("ten-1")


GOOD_VALUES: list[tuple[str, Any, Any]] = [
    ("max_call_duration", " 600 ", 600),
    ("max_call_duration", "+600", 600),
    ("participant_left_timeout", 0, 0),
    ("participant_left_timeout", "0", 0),
    ("max_participants", "2", 2),
    ("status_poll_s", "0.5", 0.5),
    ("status_poll_s", 0, 0.0),
    ("stop_timeout_ms", 1900, 1900),
    *[
        ("test_mode", said, True)
        for said in (True, 1, "1", "TRUE", "yes", "on")
    ],
    *[("auto_start", said, False) for said in (False, 0, "0", "no", " Off ")],
    ("persona_id", " p-1_A\n", "p-1_A"),
    ("channel", " room ", "room"),
    ("channel", 42, "42"),
    ("channel", 42.0, "42"),
    ("persona_id", 42, "42"),
    ("conversation_name", 42, "42"),
    ("document_ids", [7, "b"], ["7", "b"]),
    ("livekit_url", "https://livekit.example/", "wss://livekit.example"),
    ("livekit_url", "WS://127.0.0.1:7880", "ws://127.0.0.1:7880"),
    ("avatar_join_timeout_s", "45", 45.0),
    ("media_bridge", "yes", True),
    ("custom_greeting", " Hi! ", " Hi! "),
    ("conversation_name", "T\u00fcr 7", "T\u00fcr 7"),
    *[("language", said, "english") for said in ("en", "en-US", "English")],
    ("language", "EN_us", "english"),
    ("language", "zh-Hans-CN", "chinese"),
    ("language", "nb-NO", "norwegian"),
    ("language", "fil", "tagalog"),
    ("language", "Multilingual", "multilingual"),
    ("languages", "en, French,en-GB", ["en", "fr"]),
    ("languages", ["de-AT"], ["de"]),
    ("document_ids", "a, b,,", ["a", "b"]),
    ("document_ids", '["a", "b"]', ["a", "b"]),
    ("document_tags", ["a", " "], ["a"]),
    ("document_retrieval_strategy", "Speed", "speed"),
    ("transport", "Daily", "daily"),
    ("conversation_scope", "USER", "user"),
    ("params", '{"chat": true}', {"chat": True}),
    ("base_url", "https://tavusapi.com", "https://tavusapi.com/v2"),
    ("base_url", "https://tavusapi.com/", "https://tavusapi.com/v2"),
    ("base_url", " HTTPS://h:1/api/v2/ ", "https://h:1/api/v2"),
    ("base_url", "http://[::1]:8900", "http://[::1]:8900/v2"),
    ("callback_url", "http://h/x?t=1", "http://h/x?t=1"),
    ("journal_dir", "/tmp/j", "/tmp/j"),
]


@pytest.mark.parametrize(("name", "value", "expected"), GOOD_VALUES)
def test_a_good_value_is_read(name: str, value: Any, expected: Any) -> None:
    found = getattr(loaded(**{name: value}), name)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("blank", ["", "  ", None, [], {}])
def test_a_blank_value_is_the_default(blank: Any) -> None:
    names = set(TavusConfig.model_fields) - set(GOOD)
    assert loaded(**dict.fromkeys(names, blank)) == loaded()


LIVEKIT = {
    "transport": "livekit",
    "livekit_url": "wss://livekit.example",
    "livekit_api_key": "livekit-key-0123456789",
    "livekit_api_secret": "livekit-secret-0123456789",
    "channel": "room",
}


def test_the_livekit_room_is_the_channel_unless_it_has_a_name() -> None:
    assert loaded(**LIVEKIT).room == "room"
    assert loaded(**LIVEKIT, livekit_room="other").room == "other"


def test_the_livekit_secrets_are_hidden() -> None:
    config = loaded(**LIVEKIT, conversational_context=f"{LIVEKIT}")
    for text in (config.to_str(), repr(config)):
        assert LIVEKIT["livekit_api_key"] not in text
        assert LIVEKIT["livekit_api_secret"] not in text
    with pytest.raises(ConfigError) as refused:
        loaded(**LIVEKIT, language=LIVEKIT["livekit_api_secret"])
    assert LIVEKIT["livekit_api_secret"] not in str(refused.value)


def test_a_livekit_room_without_a_persona_gets_an_echo_one() -> None:
    config = TavusConfig.load(
        {"tavus_api_key": KEY, "face_id": "r1", **LIVEKIT}
    )
    assert config.makes_persona
    body = config.persona_body()
    assert body.pop("persona_name").startswith("ten livekit [ten-")
    assert body == {
        "default_replica_id": "r1",
        "pipeline_mode": "echo",
        "layers": {"transport": {"transport_type": "livekit"}},
    }
    assert not loaded(**LIVEKIT).makes_persona  # it has one


def test_a_persona_made_for_a_livekit_room_is_an_echo_one() -> None:
    persona = {"persona_name": "Ann", "default_replica_id": "r1"}
    layers = {"perception": {"perception_model": "off"}}
    config = TavusConfig.load(
        {**MADE, "persona": {**persona, "layers": layers}, **LIVEKIT}
    )
    body = config.persona_body()
    assert body["pipeline_mode"] == "echo"
    assert body["layers"] == {
        **layers,
        "transport": {"transport_type": "livekit"},
    }


def test_the_key_is_stripped_and_hidden() -> None:
    config = loaded(tavus_api_key=f" {KEY}\n")
    assert config.tavus_api_key.get_secret_value() == KEY
    assert KEY not in repr(config) + str(config) + repr(config.model_dump())


def test_the_newer_ids_become_the_older() -> None:
    config = TavusConfig.load(
        {"tavus_api_key": KEY, "pal_id": "p1", "face_id": "r1"}
    )
    assert (config.persona_id, config.replica_id) == ("p1", "r1")
    assert (config.pal_id, config.face_id) == ("", "")


def test_both_spellings_of_one_id_are_one() -> None:
    config = loaded(pal_id="p1234", replica_id="r1", face_id="r1")
    assert (config.persona_id, config.replica_id) == ("p1234", "r1")


def test_a_face_alone_is_enough() -> None:
    body = TavusConfig.load(
        {"tavus_api_key": KEY, "face_id": "r1"}
    ).conversation_body("n")
    assert body["replica_id"] == "r1"
    assert "persona_id" not in body


WARNINGS: list[tuple[dict[str, Any], list[str]]] = [
    ({"ten": {"log": {}}, "channel": "c"}, []),
    (
        {"custom_greting": "Hi"},
        [
            "custom_greting: unknown property, ignored; did you mean "
            "custom_greeting?"
        ],
    ),
    (
        {"api_key": KEY},
        ["api_key: unknown property, ignored; did you mean tavus_api_key?"],
    ),
    (
        {"zzz": 1},
        ["zzz: unknown property, ignored; see docs/properties.md"],
    ),
    (
        {"base_url": "http://tavus.example/v2"},
        [
            "base_url: 'http://tavus.example/v2' sends the API key "
            "unencrypted; write https://"
        ],
    ),
    ({"base_url": "http://127.0.0.1:8900"}, []),
    ({"base_url": "http://localhost:8900"}, []),
    (
        {"persona": PERSONA},
        ["persona: is unused; set auto_create_persona to have it made"],
    ),
    (
        {
            "recording_storage": {"provider": "s3", "bukket_name": "x"}
            | {"bucket_name": "b", "bucket_region": "r", "assume_role_arn": "a"}
        },
        [
            "recording_storage.bukket_name: unknown here, sent as it is; did "
            "you mean bucket_name?",
            "recording_storage: is unused; set enable_recording",
        ],
    ),
    (
        {"document_retrieval_strategy": "speed"},
        [
            "document_retrieval_strategy: is unused; set document_ids or "
            "document_tags"
        ],
    ),
]
RECORDING = (
    "enable_recording: is set without recording_storage, so that a recording "
    "has nowhere to go; set recording_storage"
)
PLACEHOLDER = (
    "looks like a placeholder, which Tavus will refuse; write the real one"
)
REACH = "write an address that the internet can reach"
ENDPOINT = (
    "is an address of the API, which is added by itself; write only what comes "
    "before it, such as https://tavusapi.com/v2"
)
PAGES = "has Tavus's web pages, not its API; write https://tavusapi.com/v2"
ROOM = {
    "transport": "livekit",
    "channel": "c",
    "livekit_url": "wss://lk.tavus-for-ten.net",
    "livekit_api_key": "APIabc",
    "livekit_api_secret": "0123456789",
}
# What has the right form and cannot work: the properties, and the warning.
IMPLAUSIBLE: list[tuple[dict[str, Any], str]] = [
    *(
        (
            {"base_url": f"https://tavusapi.com{path}"},
            f"base_url: '{path.rstrip('/')}' {ENDPOINT}",
        )
        for path in ("/v2/conversations", "/v2/personas/", "/v2/faces/r1")
    ),
    (
        {"base_url": "http://127.0.0.1:8900/v2/conversations"},
        f"base_url: '/v2/conversations' {ENDPOINT}",
    ),
    *(
        ({"base_url": f"https://{host}"}, f"base_url: {host} {PAGES}")
        for host in ("platform.tavus.io", "docs.tavus.io", "tavus.daily.co")
    ),
    (
        {"base_url": "https://tavusapi.com/v1"},
        "base_url: '/v1' is not where tavusapi.com has the API; write "
        "https://tavusapi.com/v2",
    ),
    *(
        (
            {"callback_url": f"http://{host}/hook/a-secret"},
            f"callback_url: Tavus cannot reach http://{host}, so webhooks do "
            f"not come; {REACH}",
        )
        for host in (
            *("localhost:8080", "127.0.0.1:8080", "[::1]:8080", "0.0.0.0"),
            *("10.0.0.7", "192.168.1.2", "169.254.1.1", "[fd00::1]", "web"),
            *("printer.local", "app.internal", "talk.example.com"),
        )
    ),
    *(
        ({"tavus_api_key": key}, f"tavus_api_key: {PLACEHOLDER}")
        for key in (
            *("your-api-key", "YOUR_TAVUS_API_KEY", "<your-key>"),
            *("...", "xxxxxxxx", "****", "TAVUS_API_KEY", "$TAVUS_API_KEY"),
            *("changeme", "simulated-key-not-a-secret", "null"),
        )
    ),
    ({"persona_id": "your_persona_id"}, f"persona_id: {PLACEHOLDER}"),
    ({"replica_id": "xxxx"}, f"replica_id: {PLACEHOLDER}"),
    ({"enable_recording": True}, RECORDING),
    (
        {**ROOM, "livekit_url": "ws://localhost:7880"},
        "livekit_url: Tavus cannot reach ws://localhost:7880, so the face does "
        f"not come; {REACH}",
    ),
    (
        {**ROOM, "livekit_avatar_url": "ws://livekit:7880"},
        "livekit_avatar_url: Tavus cannot reach ws://livekit:7880, so the face "
        f"does not come; {REACH}",
    ),
    (
        {
            **MADE,
            "persona_id": "",
            "persona": {
                **PERSONA,
                "layers": {"llm": {"base_url": "http://localhost:11434/v1"}},
            },
        },
        "persona.layers.llm.base_url: Tavus cannot reach "
        f"http://localhost:11434, so the persona cannot think; {REACH}",
    ),
]
PLAUSIBLE: list[dict[str, Any]] = [
    {"base_url": "https://tavusapi.com/v2/"},
    {"base_url": "https://tavusapi.com"},
    {"base_url": "https://gateway.my-company.net/tavus/v2"},
    {"callback_url": "https://hooks.tavus-for-ten.net/x"},
    {"callback_url": "https://8.8.8.8/x"},
    # A Tavus beside us reaches what we reach, and takes any key.
    {
        "base_url": "http://127.0.0.1:8900/v2",
        "callback_url": "http://localhost:8080/x",
        "tavus_api_key": "simulated-key-not-a-secret",
    },
    {
        **ROOM,
        "base_url": "http://127.0.0.1:8900/v2",
        "livekit_url": "ws://127.0.0.1:7880",
    },
    {
        **ROOM,
        "livekit_url": "ws://livekit:7880",
        "livekit_avatar_url": "wss://lk.tavus-for-ten.net",
    },
    {
        "enable_recording": True,
        "params": {"properties": {"recording_s3_bucket_name": "b"}},
    },
    {"tavus_api_key": "a0b1c2your3d4e5f6"},
]
AGORA = {
    "transport": "agora",
    "channel": "c",
    "agora_app_id": "0123456789abcdef0123456789abcdef",
}


@pytest.mark.parametrize(("properties", "expected"), WARNINGS)
def test_what_is_probably_not_meant_is_warned_of(
    properties: dict[str, Any], expected: list[str]
) -> None:
    assert loaded(**properties).warnings == expected


@pytest.mark.parametrize(("properties", "expected"), IMPLAUSIBLE)
def test_what_cannot_work_is_warned_of(
    properties: dict[str, Any], expected: str
) -> None:
    warnings = loaded(**properties).warnings
    assert warnings == [expected]
    assert "a-secret" not in str(warnings)


@pytest.mark.parametrize("properties", PLAUSIBLE)
def test_what_can_work_is_not_warned_of(properties: dict[str, Any]) -> None:
    assert loaded(**properties).warnings == []


@pytest.mark.parametrize(
    "unused",
    [{"enable_recording": True}, {"callback_url": "http://localhost/x"}],
)
def test_what_is_unused_is_warned_of_once(unused: dict[str, Any]) -> None:
    (warning,) = loaded(**AGORA, **unused).warnings
    assert "is unused with transport 'agora'" in warning


def test_the_log_line_shows_what_is_set_and_no_secret() -> None:
    config = TavusConfig.load(
        {
            **MADE,
            "callback_url": "https://user:pass@hooks.example/x?t=tok#f",
            "conversational_context": f"The key is {KEY}. " + "a" * 300,
            "params": {
                "chat": True,
                "headers": {"Authorization": ["Bearer abc"], "n": 1},
                "max_tokens": 7,
                "nothing": None,
                "link": "https://u:p@h/x?token=abc&a=1",
            },
            "persona": {
                **PERSONA,
                "layers": {"llm": {"api_key": "sk-123", "model": "m"}},
            },
        }
    )
    log = json.loads(config.to_str())
    assert log["tavus_api_key"] == "0123***"
    assert log["callback_url"] == "https://hooks.example/***"
    assert log["conversational_context"] == (
        "The key is ***. " + "a" * 184 + "… (316 characters)"
    )
    assert log["params"] == {
        "chat": True,
        "headers": {"Authorization": ["***"], "n": 1},
        "max_tokens": "***",
        "nothing": None,
        "link": "https://***@h/x?token=***&a=1",
    }
    assert log["persona"]["layers"] == {"llm": {"api_key": "***", "model": "m"}}
    assert log["max_call_duration"] == 3600
    assert "persona_id" not in log
    assert config.to_str() in repr(config)


def test_the_smallest_body_has_only_the_ids_the_name_and_the_timers() -> None:
    assert body_with() == {
        "persona_id": "p1234",
        "conversation_name": "ten-1",
        "properties": DEFAULT_TIMERS,
    }


def test_the_fullest_body_has_every_field_in_its_place() -> None:
    storage = {
        "provider": "gcs",
        "bucket_name": "b",
        "project_id": "p",
        "workload_identity_provider": "w",
        "service_account_email": "e@x.example",
    }
    top = {
        "replica_id": "r1",
        "conversational_context": "c",
        "custom_greeting": "g",
        "audio_only": True,
        "require_auth": True,
        "max_participants": 3,
        "callback_url": "https://h/x",
        "memory_stores": ["m"],
        "document_ids": ["d"],
        "document_tags": ["t"],
        "document_retrieval_strategy": "quality",
        "test_mode": True,
    }
    inner = {
        "max_call_duration": 60,
        "participant_left_timeout": 0,
        "participant_absent_timeout": 61,
        "enable_recording": True,
        "enable_closed_captions": True,
        "apply_greenscreen": True,
        "languages": ["en", "fr"],
        "recording_storage": storage,
    }
    assert body_with(**top, **inner) == {
        "persona_id": "p1234",
        "conversation_name": "ten-1",
        **top,
        "properties": inner,
    }


def test_the_language_goes_out_as_its_full_name() -> None:
    assert body_with(language="fr-CA")["properties"]["language"] == "french"


def test_params_go_over_the_body_object_by_object() -> None:
    params = {
        "enable_dynamic_greeting": True,
        "custom_greeting": "",
        "properties": {"max_call_duration": 5, "new": {"a": 1}},
    }
    body = body_with(custom_greeting="Hi", params=params)
    assert body == {
        "persona_id": "p1234",
        "conversation_name": "ten-1",
        "custom_greeting": "",
        "enable_dynamic_greeting": True,
        "properties": {
            **DEFAULT_TIMERS,
            "max_call_duration": 5,
            "new": {"a": 1},
        },
    }


def test_a_body_is_the_callers_own() -> None:
    config = loaded(params={"a": {"b": [1]}}, document_ids=["d"])
    body = config.conversation_body("n")
    expected = copy.deepcopy(body)
    body["a"]["b"].append(2)
    body["document_ids"].append("e")
    assert config.conversation_body("n") == expected


def test_a_start_overrides_what_is_configured() -> None:
    config = loaded(custom_greeting="Hi", languages="en,fr")
    options = StartOptions.load(
        {
            "custom_greeting": "Hello",
            "conversational_context": "c",
            "language": "de",
            "face_id": "r9",
            "remote_user_id": 7,
            "unknown": [1],
        }
    )
    assert options.remote_user_id == "7"
    assert config.conversation_body("n", options) == {
        "persona_id": "p1234",
        "replica_id": "r9",
        "conversation_name": "n",
        "conversational_context": "c",
        "custom_greeting": "Hello",
        "properties": {**DEFAULT_TIMERS, "language": "german"},
    }


def ids(body: dict[str, Any]) -> tuple[str | None, str | None]:
    return body.get("persona_id"), body.get("replica_id")


@pytest.mark.parametrize(
    ("configured", "options", "made_id", "expected"),
    [
        ({"persona_id": "p1", "replica_id": "r1"}, {}, "", ("p1", "r1")),
        (
            {"persona_id": "p1", "replica_id": "r1"},
            {"pal_id": "p2"},
            "",
            ("p2", None),
        ),
        (
            {"persona_id": "p1", "replica_id": "r1"},
            {"persona_id": "p1"},
            "",
            ("p1", "r1"),
        ),
        (
            {"persona_id": "p1", "replica_id": "r1"},
            {"persona_id": "p2", "replica_id": "r2"},
            "",
            ("p2", "r2"),
        ),
        ({"replica_id": "r1"}, {"persona_id": "p2"}, "", ("p2", "r1")),
        ({**MADE, "replica_id": "r1"}, {}, "p7", ("p7", "r1")),
        ({**MADE, "replica_id": "r1"}, {"pal_id": "p2"}, "p7", ("p2", None)),
        ({**MADE, "replica_id": "r1"}, {"pal_id": "p2"}, "", ("p2", None)),
    ],
)
def test_a_persona_takes_along_the_replica_configured_for_it(
    configured: dict[str, Any],
    options: dict[str, Any],
    made_id: str,
    expected: tuple[str | None, str | None],
) -> None:
    config = TavusConfig.load({"tavus_api_key": KEY, **configured})
    body = config.conversation_body(
        "n", StartOptions.load(options), persona_id=made_id
    )
    assert ids(body) == expected


def made(**persona: Any) -> dict[str, Any]:
    return TavusConfig.load(
        {**MADE, "persona": {**PERSONA, **persona}}
    ).persona_body()


def test_a_persona_body_is_the_persona_with_its_hash_in_the_name() -> None:
    content = (
        b'{"default_replica_id": "r1", "layers": {"llm": {"model": "m"}}, '
        b'"new_field": false, "persona_name": "Ann", '
        b'"system_prompt": "Be kind."}'
    )
    digest = hashlib.sha256(content).hexdigest()[:12]
    assert made(layers={"llm": {"model": "m"}}, new_field=False) == {
        "persona_name": f"Ann [ten-{digest}]",
        "system_prompt": "Be kind.",
        "default_replica_id": "r1",
        "layers": {"llm": {"model": "m"}},
        "new_field": False,
    }


def test_the_same_persona_has_the_same_name_in_either_vocabulary() -> None:
    new = {
        "default_face_id": "r1",
        "system_prompt": "Be kind.",
        "pal_name": "Ann",
    }
    config = TavusConfig.load({**MADE, "persona": json.dumps(new)})
    assert config.persona_body() == made()


@pytest.mark.parametrize(
    "change",
    [
        {"persona_name": "Bob"},
        {"system_prompt": "Be kinder."},
        {"layers": {"llm": {"api_key": "a"}}},
        {"pipeline_mode": "full"},
    ],
)
def test_a_changed_persona_has_another_name(change: dict[str, Any]) -> None:
    assert made(**change)["persona_name"] != made()["persona_name"]


def test_an_echo_persona_needs_no_prompt() -> None:
    body = made(pipeline_mode="echo", system_prompt="")
    assert body["pipeline_mode"] == "echo"
    assert "system_prompt" not in body


def test_a_misspelt_field_of_the_persona_is_warned_of_and_sent() -> None:
    config = TavusConfig.load(
        {**MADE, "persona": {**PERSONA, "sytem_prompt": "x", "zzz": 1}}
    )
    assert config.warnings == [
        "persona.sytem_prompt: unknown here, sent as it is; did you mean "
        "system_prompt?",
        "persona.zzz: unknown here, sent as it is; correct it if that is not "
        "meant",
    ]
    assert config.persona_body()["zzz"] == 1


def test_the_journal_is_in_the_users_state_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert loaded().journal_path() == Path("/state/tavus_python")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert loaded().journal_path() == Path("/home/me/.local/state/tavus_python")
    assert loaded(journal_dir="~/j").journal_path() == Path("/home/me/j")


def test_a_user_without_a_home_has_the_journal_in_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr("tempfile.tempdir", "/tmp/here")
    assert loaded().journal_path() == Path("/tmp/here/tavus_python")


def test_no_section_shows_a_secret() -> None:
    llm = {"model": "m", "api_key": "sk-of-another-vendor"}
    config = TavusConfig.load(
        {
            **MADE,
            "persona": {**MADE["persona"], "layers": {"llm": llm}},
            "callback_url": "https://talk.example/hook/of-ours",
        }
    )
    shown = repr(config) + repr(config.persona) + f"{config.persona}"
    assert "sk-of-another" not in shown and "of-ours" not in shown
    assert "persona_name" in repr(config.persona)
    assert set(config.secrets) == {KEY, config.callback_url}
