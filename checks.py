#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The checks that concern several properties at once, and the warnings."""

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import coerce
from .bodies import session_idle_s
from .plausibility import implausible
from .sections import PersonaSpec, RecordingStorage, Section

if TYPE_CHECKING:
    from .config import TavusConfig

# The names of a problem's properties, and its line: a property that has a
# problem of its own is in no second one.
Conflict = tuple[set[str], str]

# TEN's own, and not a property of ours.
_RESERVED = "ten"
# What `params` must leave to the property of the same name.
_NOT_IN_PARAMS = (
    "persona_id",
    "pal_id",
    "replica_id",
    "face_id",
    "conversation_name",
)
_SPELLINGS = (("persona_id", "pal_id"), ("replica_id", "face_id"))


def spelling_conflicts(section: Section) -> Iterator[Conflict]:
    """Both of Tavus's spellings of one id, with different values."""
    for old, new in _SPELLINGS:
        first, second = getattr(section, old), getattr(section, new)
        if first and second and first != second:
            yield (
                {old, new},
                f"{new}: {coerce.shown(second)} is not the {old} "
                f"{coerce.shown(first)}, and both name the same thing; set "
                "only one of them",
            )


def one_spelling(section: Section) -> dict[str, str]:
    """The ids of a section under the old names, which requests carry."""
    found: dict[str, str] = {}
    for old, new in _SPELLINGS:
        found[old] = getattr(section, old) or getattr(section, new)
        found[new] = ""
    return found


def conflicts(config: "TavusConfig") -> Iterator[Conflict]:
    """Properties that are missing, or that contradict each other."""
    if not config.tavus_api_key.get_secret_value():
        yield (
            {"tavus_api_key"},
            "tavus_api_key: is not set; set the environment variable "
            "TAVUS_API_KEY, or this property",
        )
    yield from spelling_conflicts(config)
    if config.transport == "livekit":
        yield from _livekit_conflicts(config)
    if config.transport == "agora":
        yield from _agora_conflicts(config)
    if config.auto_create_persona:
        yield from _persona_conflicts(config)
    elif not any(one_spelling(config).values()):
        yield (
            {"auto_create_persona", *_NOT_IN_PARAMS[:4]},
            "persona_id: is not set, nor is replica_id; set persona_id (or "
            "pal_id), replica_id (or face_id), or auto_create_persona",
        )
    if config.language and config.languages:
        yield (
            {"language", "languages"},
            "languages: is set together with language; set only one of them",
        )
    if config.recording_storage.model_fields_set:
        yield from _storage_conflicts(config.recording_storage)
    yield from _params_conflicts(config.params)


def _persona_conflicts(config: "TavusConfig") -> Iterator[Conflict]:
    for name in ("persona_id", "pal_id"):
        if getattr(config, name):
            yield (
                {"auto_create_persona", name},
                f"{name}: is set together with auto_create_persona; unset "
                f"{name} to have a persona made, or auto_create_persona to "
                "use that one",
            )
    persona = config.persona
    if not (persona.persona_name or persona.pal_name):
        yield (
            {"persona"},
            "persona.persona_name: is not set, but auto_create_persona is; "
            "name the persona",
        )
    echo = persona.pipeline_mode == "echo" or config.transport == "livekit"
    if not persona.system_prompt and not echo:
        yield (
            {"persona"},
            "persona.system_prompt: is not set; write one, or set "
            "persona.pipeline_mode to 'echo'",
        )
    faces = {persona.default_replica_id, persona.default_face_id} - {""}
    if len(faces) > 1:
        yield (
            {"persona"},
            "persona.default_face_id: differs from default_replica_id, and "
            "both name the same thing; set only one of them",
        )
    if not faces and not config.replica_id and not config.face_id:
        yield (
            {"persona", "replica_id", "face_id"},
            "persona.default_replica_id: is not set, nor is replica_id; set "
            "one of them, since a persona needs a face",
        )


_LIVEKIT_NEEDS = (
    ("livekit_url", "LIVEKIT_URL"),
    ("livekit_api_key", "LIVEKIT_API_KEY"),
    ("livekit_api_secret", "LIVEKIT_API_SECRET"),
)


def _livekit_conflicts(config: "TavusConfig") -> Iterator[Conflict]:
    for name, environment in _LIVEKIT_NEEDS:
        value = getattr(config, name)
        if not (value if isinstance(value, str) else value.get_secret_value()):
            yield (
                {"transport", name},
                f"{name}: is not set, but transport 'livekit' needs it; set "
                f"the environment variable {environment}, or this property",
            )
    if not config.room:
        yield (
            {"transport", "livekit_room", "channel"},
            "livekit_room: is not set, nor is channel; name the room that "
            "users are in",
        )
    if config.conversation_scope != "channel":
        yield (
            {"transport", "conversation_scope"},
            "conversation_scope: 'user' does not go with transport 'livekit', "
            "where all are in one room; write 'channel'",
        )
    if config.audio_only:
        yield (
            {"transport", "audio_only"},
            "audio_only: does not go with transport 'livekit', which is there "
            "for the face; unset it",
        )


def _agora_conflicts(config: "TavusConfig") -> Iterator[Conflict]:
    if not config.agora_app_id:
        yield (
            {"transport", "agora_app_id"},
            "agora_app_id: is not set, but transport 'agora' needs it; set "
            "the environment variable AGORA_APP_ID, or this property",
        )
    if not config.channel:
        yield (
            {"transport", "channel"},
            "channel: is not set; name the Agora channel that users are in",
        )
    uid = config.agora_avatar_uid
    if not config.enable_string_uid and not (
        uid.isdecimal() and 0 < int(uid) < 2**32
    ):
        yield (
            {"agora_avatar_uid", "enable_string_uid"},
            f"agora_avatar_uid: {coerce.shown(uid)} is no number from 1 to "
            "4294967295; write one, or set enable_string_uid",
        )
    if config.conversation_scope != "channel":
        yield (
            {"transport", "conversation_scope"},
            "conversation_scope: 'user' does not go with transport 'agora', "
            "where all are in one channel; write 'channel'",
        )


def _storage_conflicts(storage: RecordingStorage) -> Iterator[Conflict]:
    for name in storage.missing():
        wanted = (
            f"provider {storage.provider!r} needs it"
            if storage.provider
            else "write 's3', 'gcs' or 'azure_blob'"
        )
        yield (
            {"recording_storage"},
            f"recording_storage.{name}: is not set; {wanted}",
        )


def _params_conflicts(params: Mapping[str, Any]) -> Iterator[Conflict]:
    for name in _NOT_IN_PARAMS:
        if name in params:
            yield (
                {"params"},
                f"params.{name}: has a property of its own; set the property "
                f"{name} instead",
            )
    inner = params.get("properties", {})
    if not isinstance(inner, dict):
        yield (
            {"params"},
            f"params.properties: {coerce.shown(inner)} is not an object; "
            'write {"a": 1}',
        )


def unknown(
    config: "TavusConfig", properties: Mapping[str, Any]
) -> Iterator[str]:
    """The properties that there are not, one line each."""
    known = list(type(config).model_fields)
    for name in properties:
        if name not in known and name != _RESERVED:
            near = _nearest(name, known, "see docs/properties.md")
            yield f"{_line(name)}: unknown property, ignored; {near}"


def warnings(
    config: "TavusConfig", properties: Mapping[str, Any]
) -> Iterator[str]:
    """What is allowed but probably not meant, one line each.

    Args:
        config: what was read, free of conflicts.
        properties: what it was read from.
    """
    yield from unknown(config, properties)
    for prefix in ("persona", "recording_storage"):
        section: PersonaSpec | RecordingStorage = getattr(config, prefix)
        names = list(type(section).model_fields)
        for name in section.model_extra or {}:
            near = _nearest(name, names, "correct it if that is not meant")
            yield f"{prefix}.{_line(name)}: unknown here, sent as it is; {near}"
    if config.transport == "agora":
        yield from _agora_warnings(config)
    if config.transport != "livekit" and config.media_bridge:
        yield "media_bridge: is unused; set transport to 'livekit'"
    parts = urlsplit(config.base_url)
    if parts.scheme == "http" and not coerce.is_loopback(parts.hostname or ""):
        yield (
            f"base_url: {coerce.shown(config.base_url)} sends the API key "
            "unencrypted; write https://"
        )
    yield from implausible(config)
    if config.persona.model_fields_set and not config.auto_create_persona:
        yield "persona: is unused; set auto_create_persona to have it made"
    if (
        config.recording_storage.model_fields_set
        and not config.enable_recording
    ):
        yield "recording_storage: is unused; set enable_recording"


def _nearest(name: Any, known: list[str], otherwise: str) -> str:
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean {near[0]}?" if near else otherwise


def _line(name: Any) -> str:
    """A name as one short line."""
    return coerce.shown(name).strip("'\"")


# What only a conversation has, and a session does not.
_NOT_IN_SESSIONS = (
    "custom_greeting",
    "conversational_context",
    "language",
    "languages",
    "enable_recording",
    "callback_url",
    "require_auth",
    "test_mode",
)


def _agora_warnings(config: "TavusConfig") -> Iterator[str]:
    for name in _NOT_IN_SESSIONS:
        if getattr(config, name):
            yield f"{name}: is unused with transport 'agora'; unset it"
    if not session_idle_s(config):
        yield (
            "activity_idle_timeout: 0 lets a session run for ever whose start "
            "was not answered; write seconds"
        )
    certificate = config.agora_app_certificate.get_secret_value()
    if config.agora_token.get_secret_value() and certificate:
        yield (
            "agora_app_certificate: is unused, since agora_token is set; unset "
            "one of them"
        )
