#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Every property of the extension: its checks, and the requests it makes.

``docs/properties.md`` explains each property; ``property.json`` ships them.
Facts about request bodies: Tavus's OpenAPI and docs.tavus.io.
"""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr

from . import bodies, checks, coerce
from .languages import language_code, language_name
from .redaction import mask, redact, redact_value
from .sections import (
    ConfigError,
    Flag,
    Identifier,
    JsonObject,
    Line,
    PersonaSpec,
    RecordingStorage,
    Section,
    Text,
    Texts,
    Word,
)

__all__ = ["ConfigError", "EndOptions", "StartOptions", "TavusConfig"]

_DAY_S = 86_400
_SECONDS = "write seconds"
_MILLISECONDS = "write milliseconds"
_TRANSPORT_KEYS = (
    "livekit_api_key",
    "livekit_api_secret",
    "agora_app_certificate",
    "agora_token",
)


def _language(value: Any) -> str:
    return language_name(coerce.text(value))


def _base_url(value: Any) -> str:
    parts = coerce.split_url(value)
    if "@" in parts.netloc:
        raise ValueError(
            "carries a user name; write only https://host/path, and the key "
            "in tavus_api_key"
        )
    if parts.query or parts.fragment:
        raise ValueError(
            "carries a query or fragment; write only https://host/path"
        )
    path = parts.path.rstrip("/") or "/v2"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _callback_url(value: Any) -> str:
    return coerce.split_url(value).geturl()


def _transport(value: Any) -> str:
    value = coerce.word(value).lower()
    if value not in ("daily", "livekit", "agora"):
        raise ValueError(
            f"{coerce.shown(value)} is no transport; write 'daily', 'livekit' "
            "or 'agora'"
        )
    return value


def _livekit_url(value: Any) -> str:
    parts = coerce.split_url(value, ("ws", "wss", "http", "https"))
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "carries a user name, query or fragment; write only wss://host"
        )
    # LiveKit's clients take both; Tavus is told a WebSocket's address.
    scheme = parts.scheme.lower().replace("http", "ws")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _video_encoding(value: Any) -> str:
    value = coerce.word(value).upper()
    if value not in ("H264", "VP8", "AV1"):
        raise ValueError(
            f"{coerce.shown(value)} is no choice here; write 'H264' or 'VP8' "
            "or 'AV1'"
        )
    return value


def _agora_app_id(value: Any) -> str:
    value = coerce.word(value)
    if not re.fullmatch(r"[0-9A-Za-z]{32}", value):
        raise ValueError(
            "is no app id, which has 32 letters and digits; copy it from the "
            "Agora console"
        )
    return value


def _directory(value: Any) -> str:
    value = coerce.text(value).strip()
    try:
        path = Path(value).expanduser().absolute()
    except RuntimeError:
        path = None
    if path is None or "\0" in value:
        raise ValueError(
            f"{coerce.shown(value)} is no folder here; write an absolute path"
        )
    return str(path)


def _key_parts(properties: Mapping[str, Any]) -> tuple[str, ...]:
    """What no problem may show, should the key be in a wrong property."""
    names = ("tavus_api_key", *_TRANSPORT_KEYS)
    keys = [properties.get(name) for name in names]
    # A problem shows at most 40 characters of a value: half a key, perhaps.
    return tuple(
        part
        for key in keys
        # Who writes the name for the value is told by that name.
        if isinstance(key, str) and key.strip().lower() not in names
        for part in (key.strip(), key.strip()[:16])
    )


class StartOptions(Section):
    """What one ``start_conversation`` asks for instead of the configured."""

    custom_greeting: Text = ""
    conversational_context: Text = ""
    language: Annotated[str, BeforeValidator(_language)] = ""
    persona_id: Identifier = ""
    pal_id: Identifier = ""
    replica_id: Identifier = ""
    face_id: Identifier = ""
    remote_user_id: Word = ""
    channel: Word = ""

    @property
    def is_usual(self) -> bool:
        """Whether the conversation is to be as configured."""
        return not (
            self.custom_greeting
            or self.conversational_context
            or self.language
            or self.persona_id
            or self.replica_id
        )

    @classmethod
    def load(cls, properties: Mapping[str, Any]) -> "StartOptions":
        """The options in a command's properties; unknown ones are ignored.

        ``pal_id`` and ``face_id`` end up as ``persona_id``, ``replica_id``.

        Raises:
            ConfigError: with every problem.
        """
        options, problems, _ = cls.read(properties)
        problems += [text for _, text in checks.spelling_conflicts(options)]
        if problems:
            raise ConfigError(problems)
        spelling = checks.one_spelling(options)
        return options.model_copy(update=spelling) if spelling else options


class EndOptions(Section):
    """What one ``end_conversation`` names; all that runs if nothing."""

    conversation_id: Word = ""
    remote_user_id: Word = ""
    if_unused: Flag = False

    @classmethod
    def load(cls, properties: Mapping[str, Any]) -> "EndOptions":
        """The options in a command's properties; unknown ones are ignored.

        Raises:
            ConfigError: with every problem.
        """
        options, problems, _ = cls.read(properties)
        if problems:
            raise ConfigError(problems)
        return options


class TavusConfig(Section):
    """The extension's properties. Made by ``load``, which checks them all."""

    tavus_api_key: Annotated[SecretStr, BeforeValidator(coerce.api_key)] = (
        SecretStr("")
    )
    base_url: Annotated[str, BeforeValidator(_base_url)] = (
        "https://tavusapi.com/v2"
    )

    persona_id: Identifier = ""
    pal_id: Identifier = ""
    replica_id: Identifier = ""
    face_id: Identifier = ""
    auto_create_persona: Flag = False
    persona: PersonaSpec = PersonaSpec()

    conversation_name: Line = "ten"
    conversational_context: Text = ""
    custom_greeting: Text = ""
    language: Annotated[str, BeforeValidator(_language)] = ""
    languages: Annotated[list[str], coerce.each(language_code)] = Field(
        default_factory=list
    )
    max_call_duration: Annotated[int, coerce.whole(1, _DAY_S, _SECONDS)] = 3600
    participant_left_timeout: Annotated[
        int, coerce.whole(0, _DAY_S, _SECONDS)
    ] = 30
    participant_absent_timeout: Annotated[
        int, coerce.whole(1, _DAY_S, _SECONDS)
    ] = 120
    enable_recording: Flag = False
    recording_storage: RecordingStorage = RecordingStorage()
    enable_closed_captions: Flag = False
    apply_greenscreen: Flag = False
    audio_only: Flag = False
    require_auth: Flag = False
    max_participants: Annotated[
        int | None,
        coerce.whole(2, 1000, "write how many may be there, face included"),
    ] = None
    callback_url: Annotated[str, BeforeValidator(_callback_url)] = ""
    memory_stores: Texts = Field(default_factory=list)
    document_ids: Texts = Field(default_factory=list)
    document_tags: Texts = Field(default_factory=list)
    document_retrieval_strategy: Annotated[
        Literal["", "speed", "quality", "balanced"],
        coerce.choice("speed", "quality", "balanced"),
    ] = ""
    test_mode: Flag = False
    params: JsonObject = Field(default_factory=dict)

    transport: Annotated[
        Literal["daily", "livekit", "agora"], BeforeValidator(_transport)
    ] = "daily"
    livekit_url: Annotated[str, BeforeValidator(_livekit_url)] = ""
    livekit_api_key: Annotated[SecretStr, BeforeValidator(coerce.api_key)] = (
        SecretStr("")
    )
    livekit_api_secret: Annotated[
        SecretStr, BeforeValidator(coerce.api_key)
    ] = SecretStr("")
    livekit_room: Word = ""
    livekit_avatar_url: Annotated[str, BeforeValidator(_livekit_url)] = ""
    avatar_join_timeout_s: Annotated[float, coerce.number(1, 600, _SECONDS)] = (
        30
    )
    media_bridge: Flag = False
    agora_app_id: Annotated[str, BeforeValidator(_agora_app_id)] = ""
    agora_app_certificate: Annotated[
        SecretStr, BeforeValidator(coerce.api_key)
    ] = SecretStr("")
    agora_token: Annotated[SecretStr, BeforeValidator(coerce.api_key)] = (
        SecretStr("")
    )
    agora_avatar_uid: Word = "999999"
    enable_string_uid: Flag = False
    quality: Annotated[
        Literal["low", "medium", "high"],
        coerce.choice("low", "medium", "high"),
    ] = "high"
    video_encoding: Annotated[
        Literal["H264", "VP8", "AV1"], BeforeValidator(_video_encoding)
    ] = "H264"
    activity_idle_timeout: Annotated[
        int, coerce.whole(0, _DAY_S, "write seconds, or 0 for never")
    ] = 120
    area: Word = ""
    conversation_scope: Annotated[
        Literal["channel", "user"], coerce.choice("channel", "user")
    ] = "channel"
    auto_start: Flag = True
    leave_grace_ms: Annotated[
        int, coerce.whole(0, 3_600_000, _MILLISECONDS)
    ] = 5000
    status_poll_s: Annotated[
        float, coerce.number(0, 3600, "write seconds, or 0 for never")
    ] = 15
    stop_timeout_ms: Annotated[
        int,
        coerce.whole(100, 1900, "TEN kills the process 2000 ms after stop"),
    ] = 1500
    request_timeout_s: Annotated[float, coerce.number(0.1, 300, _SECONDS)] = 30
    connect_timeout_s: Annotated[float, coerce.number(0.1, 300, _SECONDS)] = 10
    journal_dir: Annotated[str, BeforeValidator(_directory)] = ""
    playground_action: Flag = False
    channel: Word = ""

    _warnings: list[str] = PrivateAttr(default_factory=list)

    @classmethod
    def load(cls, properties: Mapping[str, Any]) -> "TavusConfig":
        """The configuration in a node's properties.

        Args:
            properties: the values by name, as JSON gives them; numbers,
                booleans, lists and objects also as text; ``""`` is not set.

        Raises:
            ConfigError: with every problem.
        """
        config, problems, failed = cls.read(properties)
        problems += [
            text
            for names, text in checks.conflicts(config)
            if failed.isdisjoint(names)
        ]
        secrets = _key_parts(properties)
        if problems:
            # A name that is wrong may be why another property is not set.
            problems += checks.unknown(config, properties)
            raise ConfigError([redact(text, *secrets) for text in problems])
        config = config.model_copy(update=checks.one_spelling(config))
        config.warnings.extend(
            redact(text, *secrets)
            for text in checks.warnings(config, properties)
        )
        return config

    @property
    def warnings(self) -> list[str]:
        """What is allowed but probably not meant, one line each."""
        return self._warnings

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log line shows."""
        names = ("tavus_api_key", *_TRANSPORT_KEYS)
        keys = [getattr(self, name).get_secret_value() for name in names]
        return tuple(filter(None, (*keys, self.callback_url)))

    def __repr__(self) -> str:
        return f"TavusConfig({self.to_str()})"

    __str__ = __repr__

    def to_str(self) -> str:
        """What is set, as one line of JSON for the log, without secrets."""
        names = ("tavus_api_key", *_TRANSPORT_KEYS)
        keys = {name: getattr(self, name).get_secret_value() for name in names}
        values = self.model_dump(exclude=set(names))
        for name in ("persona", "recording_storage"):
            values[name] = getattr(self, name).model_dump(exclude_unset=True)
        if self.callback_url:
            parts = urlsplit(self.callback_url)
            host = parts.netloc.rsplit("@")[-1]
            # Its path may be the secret that tells Tavus from others.
            values["callback_url"] = f"{parts.scheme}://{host}/***"
        secrets = [key for key in keys.values() if key]
        log = {name: mask(key) for name, key in keys.items() if key} | {
            name: redact_value(value, *secrets, name=name)
            for name, value in values.items()
            if not coerce.is_blank(value)
        }
        return json.dumps(log, ensure_ascii=False)

    def conversation_body(
        self,
        name: str,
        options: StartOptions | None = None,
        persona_id: str = "",
    ) -> dict[str, Any]:
        """The body of ``POST /v2/conversations``; see ``bodies``."""
        return bodies.conversation_body(
            self, name, options or StartOptions(), persona_id
        )

    @property
    def makes_persona(self) -> bool:
        """Whether a persona is found or made, and not one that is named."""
        return self.auto_create_persona or (
            self.transport == "livekit" and not self.persona_id
        )

    @property
    def room(self) -> str:
        """The LiveKit room's name."""
        return self.livekit_room or self.channel

    def session_body(
        self, options: StartOptions, persona_id: str = ""
    ) -> dict[str, Any]:
        """The body that starts a session in Agora; see ``bodies``."""
        return bodies.session_body(self, options, persona_id)

    def persona_body(self) -> dict[str, Any]:
        """The body of ``POST /v2/personas``; see ``bodies``."""
        return bodies.persona_body(self)

    def journal_path(self) -> Path:
        """The folder of the journal (which may not exist yet)."""
        if self.journal_dir:
            return Path(self.journal_dir)
        state = os.environ.get("XDG_STATE_HOME", "")
        # The XDG specification says to ignore a relative one.
        if Path(state).is_absolute():
            return Path(state) / "tavus_python"
        try:
            return Path.home() / ".local" / "state" / "tavus_python"
        except RuntimeError:  # a container's user without a home
            return Path(tempfile.gettempdir()) / "tavus_python"
