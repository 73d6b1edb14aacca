#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What a create request may contain, as Tavus's documents say.

Tavus does not publish how it words validation errors, so the words here are
the simulator's own; the status (400) and the ``error`` key are documented.
"""

from typing import Any

from .messages import Refusal

# docs.tavus.io, "Language support": 42 languages, full name and code.
_LANGUAGES = (
    "english en, french fr, german de, spanish es, portuguese pt, "
    "chinese zh, japanese ja, hindi hi, italian it, korean ko, dutch nl, "
    "polish pl, russian ru, swedish sv, turkish tr, tagalog tl, "
    "bulgarian bg, romanian ro, arabic ar, czech cs, greek el, finnish fi, "
    "croatian hr, malay ms, slovak sk, danish da, tamil ta, ukrainian uk, "
    "hungarian hu, norwegian no, vietnamese vi, bengali bn, thai th, "
    "hebrew he, georgian ka, indonesian id, telugu te, gujarati gu, "
    "kannada kn, malayalam ml, marathi mr, punjabi pa"
)
_PAIRS = [pair.split() for pair in _LANGUAGES.split(", ")]
LANGUAGES = {name: code for name, code in _PAIRS}

TOP_LEVEL: dict[str, type] = {
    "persona_id": str,
    "pal_id": str,
    "replica_id": str,
    "face_id": str,
    "conversation_name": str,
    "callback_url": str,
    "conversational_context": str,
    "custom_greeting": str,
    "enable_dynamic_greeting": bool,
    "audio_only": bool,
    "memory_stores": list,
    "document_ids": list,
    "document_tags": list,
    "document_retrieval_strategy": str,
    "test_mode": bool,
    "require_auth": bool,
    "max_participants": int,
    "policy": str,
    "meeting_url": str,
    "chat": bool,
    "properties": dict,
}
PROPERTIES: dict[str, type] = {
    "max_call_duration": int,
    "participant_left_timeout": int,
    "participant_absent_timeout": int,
    "enable_recording": bool,
    "enable_closed_captions": bool,
    "apply_greenscreen": bool,
    "require_auth": bool,
    "language": str,
    "languages": list,
    "recording_storage": dict,
    "recording_s3_bucket_name": str,
    "recording_s3_bucket_region": str,
    "aws_assume_role_arn": str,
    "livekit_ws_url": str,
    "livekit_room_token": str,
}
_STORAGE_FIELDS = {
    "s3": ("bucket_name", "bucket_region", "assume_role_arn"),
    "gcs": (
        "bucket_name",
        "project_id",
        "workload_identity_provider",
        "service_account_email",
    ),
    "azure_blob": ("storage_account", "container", "tenant_id", "client_id"),
}
_WORDS = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    list: "an array",
    dict: "an object",
}


def check_create(body: dict[str, Any]) -> list[str]:
    """Check the body of ``POST /v2/conversations``.

    Args:
        body: the decoded body.

    Returns:
        The names Tavus's documents do not know; they are accepted.

    Raises:
        Refusal: 400 when a value is wrong.
    """
    _check_types(body, TOP_LEVEL, "")
    properties = body.get("properties") or {}
    _check_types(properties, PROPERTIES, "properties.")
    participants = body.get("max_participants")
    _check(
        participants is None or participants >= 2,
        "max_participants must be at least 2",
    )
    _one_of(
        body,
        "document_retrieval_strategy",
        ("speed", "quality", "balanced"),
    )
    _one_of(body, "policy", ("eu",))
    for name in PROPERTIES:
        if PROPERTIES[name] is int:
            _check(
                (properties.get(name) or 0) >= 0,
                f"properties.{name} must not be negative",
            )
    _check_languages(properties)
    _check_storage(properties.get("recording_storage"))
    return [
        *(name for name in body if name not in TOP_LEVEL),
        *(f"properties.{n}" for n in properties if n not in PROPERTIES),
    ]


def _check_languages(properties: dict[str, Any]) -> None:
    language = properties.get("language")
    if language is not None:
        known = language.lower() in (*LANGUAGES, "multilingual")
        _check(known, f"properties.language: unknown language {language!r}")
    for code in properties.get("languages") or []:
        known = code in LANGUAGES.values()
        _check(known, f"properties.languages: unknown language code {code!r}")


def _check_storage(storage: dict[str, Any] | None) -> None:
    if storage is None:
        return
    needed = _STORAGE_FIELDS.get(str(storage.get("provider")))
    if needed is None:
        raise Refusal(
            400,
            error="properties.recording_storage.provider must be one of "
            + ", ".join(_STORAGE_FIELDS),
        )
    for name in needed:
        given = isinstance(storage.get(name), str) and storage[name]
        _check(bool(given), f"properties.recording_storage.{name} is required")


def _check_types(
    values: dict[str, Any], types: dict[str, type], prefix: str
) -> None:
    for name, kind in types.items():
        value = values.get(name)
        # In Python a bool is an int; in JSON it is not.
        good = isinstance(value, kind) and (
            kind is bool or not isinstance(value, bool)
        )
        _check(value is None or good, f"{prefix}{name} must be {_WORDS[kind]}")


def _one_of(
    values: dict[str, Any], name: str, choices: tuple[str, ...]
) -> None:
    value = values.get(name)
    _check(
        value is None or value in choices,
        f"{name} must be one of {', '.join(choices)}",
    )


def _check(good: bool, problem: str) -> None:
    if not good:
        raise Refusal(400, error=problem)
