#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What Tavus's REST API answers with, read leniently.

Only an id is required of a record: whatever else is missing or of another
type than documented is left at its default. Both vocabularies are read
(persona and PAL, replica and face); one account's replies mix them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from .errors import TavusProtocolError
from .redaction import Secret
from .vendor_json import read_json

_LAST_S = 1e12
_LONGEST_ID = 512
_NO_ID = "none"


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply, whatever its status."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as Tavus describes it.

    Attributes:
        status: ``active`` or ``ended``; examples also know ``error``; empty
            where Tavus does not say.
        meeting_token: Opens a private room (``require_auth``): a secret.
        events: What happened, oldest first; read with ``verbose`` only.
    """

    conversation_id: str
    conversation_url: str = ""
    conversation_name: str = ""
    status: str = ""
    meeting_token: str = field(default="", repr=False)
    created_at: str = ""
    persona_id: str = ""
    replica_id: str = ""
    events: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def is_active(self) -> bool:
        """Whether it runs, for all that is known."""
        return self.status.casefold() in ("", "active")

    @property
    def join_url(self) -> str:
        """The URL that opens the room, with the token of a private one."""
        if not (self.conversation_url and self.meeting_token):
            return self.conversation_url
        address, hash_, fragment = self.conversation_url.partition("#")
        separator = "&" if "?" in address else "?"
        token = quote(self.meeting_token, safe="")
        return f"{address}{separator}t={token}{hash_}{fragment}"

    @property
    def shutdown_reason(self) -> str:
        """Why it ended, from ``events``; empty when they do not say."""
        for event in reversed(self.events):
            properties = event.get("properties")
            if event.get("event_type") == "system.shutdown" and isinstance(
                properties, dict
            ):
                # The webhook pages say shutdown_reason, the OpenAPI reason.
                return text_of(properties, "shutdown_reason", "reason")
        return ""


@dataclass(frozen=True, slots=True)
class Session(Conversation):
    """An avatar in an Agora channel; ``conversation_id`` is its session's.

    Attributes:
        websocket_address: Where it is told what to say.
        session_token: Opens that, and stops the session: a secret.
        started_with: The request, which the socket wants to hear again.
    """

    websocket_address: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    started_with: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Persona:
    """A persona (newer: PAL). ``raw`` can hold keys of other vendors."""

    persona_id: str
    persona_name: str = ""
    default_replica_id: str = ""
    created_at: str = ""
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica (newer: face); ``status`` is started, completed or error."""

    replica_id: str
    replica_name: str = ""
    status: str = ""
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


def id_of(value: object) -> str:
    """An id as text, of whatever characters; "" where it cannot be one.

    Nothing ends at an address of "." or ".."; a bare number is read as text.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ID:
        return ""
    if value in (".", "..") or text_of({"": value}, "") != value:
        return ""
    return value


def text_of(data: Mapping[str, Any], *names: str) -> str:
    """The first of these members that is a non-empty string, else ``""``."""
    for name in names:
        value = data.get(name)
        if value and isinstance(value, str):
            if value.isascii():
                return value
            # A lone surrogate, which JSON allows, breaks whoever prints it.
            return value.encode("utf-8", "replace").decode()
    return ""


def moment_of(event: Mapping[str, Any]) -> int | str | None:
    """When an event was, in ms since 1970; as it is written where that cannot
    be read; None where it does not say."""
    at = event.get("timestamp")
    if isinstance(at, str):
        try:
            moment = datetime.fromisoformat(at.replace("Z", "+00:00"))
        except ValueError:
            return at
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        at = moment.timestamp()
    # JSON has infinite numbers, too, and integers of any length.
    if isinstance(at, (int, float)) and abs(at) < _LAST_S:
        return round(at * 1000)
    return None


def seq_of(event: Mapping[str, Any]) -> int | None:
    """Its number among the events of a room, if it has one."""
    seq = event.get("seq")
    return seq if type(seq) is int else None


def _place(event: Mapping[str, Any]) -> tuple[float, int]:
    """Where it stands in time: how Tavus orders its list is not documented."""
    at, seq = moment_of(event), seq_of(event)
    return (
        at if isinstance(at, int) else _LAST_S * 1000,
        0 if seq is None else seq,
    )


def conversation(data: dict[str, Any]) -> Conversation:
    """Reads a conversation. Raises TavusProtocolError without an id."""
    events = data.get("events")
    if not isinstance(events, list):
        events = []
    return Conversation(
        conversation_id=_id_of(data, "conversation_id"),
        conversation_url=text_of(data, "conversation_url"),
        conversation_name=text_of(data, "conversation_name"),
        status=text_of(data, "status"),
        meeting_token=Secret(text_of(data, "meeting_token")),
        created_at=text_of(data, "created_at"),
        persona_id=text_of(data, "persona_id", "pal_id"),
        replica_id=text_of(data, "replica_id", "face_id"),
        events=tuple(
            sorted(
                (event for event in events if isinstance(event, dict)),
                key=_place,
            )
        ),
    )


def listed_conversation(data: dict[str, Any]) -> Conversation:
    """Reads a conversation of a list; its id is "" where it has none.

    It is there all the same.
    """
    if not id_of(data.get("conversation_id")):
        data = {**data, "conversation_id": _NO_ID}
        return replace(conversation(data), conversation_id="")
    return conversation(data)


def session(data: dict[str, Any]) -> Session:
    """Reads a session. Raises TavusProtocolError without an id.

    Whatever else it has: what has an id can be ended.
    """
    return Session(
        conversation_id=_id_of(data, "session_id"),
        websocket_address=text_of(data, "websocket_address"),
        session_token=Secret(text_of(data, "session_token")),
    )


def persona(data: dict[str, Any]) -> Persona:
    """Reads a persona. Raises TavusProtocolError without an id."""
    return Persona(
        persona_id=_id_of(data, "persona_id", "pal_id"),
        persona_name=text_of(data, "persona_name", "pal_name"),
        default_replica_id=text_of(
            data, "default_replica_id", "default_face_id"
        ),
        created_at=text_of(data, "created_at"),
        raw=data,
    )


def replica(data: dict[str, Any]) -> Replica:
    """Reads a replica. Raises TavusProtocolError without an id."""
    return Replica(
        replica_id=_id_of(data, "replica_id", "face_id"),
        replica_name=text_of(data, "replica_name", "face_name"),
        status=text_of(data, "status"),
        raw=data,
    )


def record_of(reply: Reply) -> dict[str, Any]:
    """The one object in a reply.

    Tavus's OpenAPI wraps a persona as ``{"data": [{…}]}``; the live API
    answers flat. Both are read.

    Raises:
        TavusProtocolError: The reply holds no JSON object.
    """
    data = _json_of(reply)
    if isinstance(data, dict) and isinstance(data.get("data"), list):
        data = data["data"][0] if data["data"] else None
    if not isinstance(data, dict):
        raise _unreadable(reply, "the answer is not a JSON object")
    return data


def page_of(reply: Reply) -> tuple[list[dict[str, Any]], int | None]:
    """The rows of a page, and how many all pages have together.

    Raises:
        TavusProtocolError: The reply holds no list.
    """
    data = _json_of(reply)
    total = None
    if isinstance(data, dict):
        total = data.get("total_count")
        data = data.get("data")
    if not isinstance(data, list):
        raise _unreadable(reply, "the answer holds no list")
    rows = [row for row in data if isinstance(row, dict)]
    return rows, total if isinstance(total, int) else None


def _json_of(reply: Reply) -> Any:
    if not reply.body.strip():
        raise _unreadable(reply, "the answer is empty")
    try:
        return read_json(reply.body)
    except ValueError as error:
        problem = f"the answer {error}"
    raise _unreadable(reply, problem)


def _id_of(data: dict[str, Any], *names: str) -> str:
    for name in names:
        value = id_of(data.get(name))
        if value:
            return value
    raise TavusProtocolError(f"the answer has no valid {names[0]}", status=200)


def _unreadable(reply: Reply, message: str) -> TavusProtocolError:
    return TavusProtocolError(message, status=reply.status)
