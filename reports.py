#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What is said of conversations, each thing once and in one vocabulary.

Tavus says the same in several ways: by webhook and when it is asked, under an
old name and a new one, and now and then twice. A page that is in the room
says what it heard there, and may make it up.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .events import Reported

POLL, WEBHOOK, PAGE = "poll", "webhook", "page"
SHUTDOWN = "system.shutdown"
# Perception is reported minutes after the end.
_ENDED_REMEMBERED = 1000
_EVENTS_REMEMBERED = 256
_LAST_S = 1e12
_NEW_NAMES = {
    "system.pal_joined": "system.replica_joined",
    "system.pal_present": "system.replica_present",
}
_ONCE = "system.replica_joined"
_LEGACY = re.compile(r"conversation\.(replica|pal|user)\.(\w+_speaking)")
_SPEAKING = re.compile(r"conversation\.(started|stopped)_speaking")


@dataclass
class _Voice:
    speaks: bool | None = None
    seq: int = -1
    at_ms: int = -1


class _Memory:
    """The last events of one kind of witness."""

    def __init__(self) -> None:
        self._seen: dict[object, None] = {}

    def __contains__(self, identity: object) -> bool:
        return identity in self._seen

    def add(self, identity: object) -> None:
        self._seen[identity] = None
        if len(self._seen) > _EVENTS_REMEMBERED:
            del self._seen[next(iter(self._seen))]


@dataclass
class Story:
    """What has been said of one conversation.

    Attributes:
        user_id: Whose it is; "" when it is the channel's.
        channel: The channel's name.
        ask: Called when somebody says that it is over; None when it is.
    """

    user_id: str
    channel: str
    ask: Callable[[], None] | None = None
    _from_tavus: _Memory = field(default_factory=_Memory, repr=False)
    _from_pages: _Memory = field(default_factory=_Memory, repr=False)
    _voices: dict[str, _Voice] = field(
        default_factory=lambda: {"user": _Voice(), "replica": _Voice()},
        repr=False,
    )

    def is_news(self, event: Mapping[str, Any], source: str) -> bool:
        """Whether this has not been said; what a page says never stands in
        for what Tavus says.

        Args:
            event: In the vocabulary of ``canonical``.
            source: Who says so.
        """
        identity = _identity(event)
        if identity is not None:
            if identity in self._from_tavus:
                return False
            if source != PAGE:
                self._from_tavus.add(identity)
            elif identity in self._from_pages:
                return False
            else:
                self._from_pages.add(identity)
        change = _SPEAKING.fullmatch(_type_of(event))
        return change is None or self._turns(event, change[1] == "started")

    def _turns(self, event: Mapping[str, Any], speaks: bool) -> bool:
        """Whether somebody starts who was silent, or stops who spoke."""
        role = _properties_of(event).get("role")
        seq, at_ms = _seq_of(event), _moment_of(event)
        voice = self._voices["user" if role == "user" else "replica"]
        if seq is not None:
            # A room that is opened anew may count from the start again.
            later = isinstance(at_ms, int) and at_ms > voice.at_ms
            if seq < voice.seq and not later:
                return False
            voice.seq = seq
        if isinstance(at_ms, int):
            voice.at_ms = max(at_ms, voice.at_ms)
        if voice.speaks is speaks:
            return False
        voice.speaks = speaks
        return True


class Reports:
    """Tells the graph what is said of conversations that are ours.

    Args:
        emit: Awaited with each event.
    """

    def __init__(self, emit: Callable[[Reported], Awaitable[None]]) -> None:
        self._emit = emit
        self._running: dict[str, Story] = {}
        self._ended: dict[str, Story] = {}

    def opened(
        self,
        conversation_id: str,
        user_id: str,
        channel: str,
        ask: Callable[[], None],
    ) -> Story:
        """A conversation is ours from now on; ``ask`` must not block."""
        story = Story(user_id, channel, ask)
        self._running[conversation_id] = story
        return story

    def closed(self, conversation_id: str) -> None:
        """It is over; Tavus still has things to say of it."""
        story = self._running.pop(conversation_id, None)
        if story is None:
            return
        story.ask = None
        self._ended[conversation_id] = story
        if len(self._ended) > _ENDED_REMEMBERED:
            del self._ended[next(iter(self._ended))]

    async def report(
        self, conversation_id: str, event: Mapping[str, Any], source: str
    ) -> bool:
        """Tells the graph, if it is news of a conversation of ours.

        Nothing is awaited before it is emitted, so the order stays.

        Args:
            conversation_id: Which it is about.
            event: As Tavus words it.
            source: "poll", "webhook" or "page".

        Returns:
            Whether the conversation runs here, or lately did.
        """
        story = self._running.get(conversation_id) or self._ended.get(
            conversation_id
        )
        if story is None:
            return False
        event = canonical(event)
        if story.is_news(event, source):
            if _type_of(event) == SHUTDOWN and source != POLL and story.ask:
                story.ask()
            await self._emit(
                Reported(
                    conversation_id, event, story.user_id, story.channel, source
                )
            )
        return True


def canonical(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event under the name that the graph knows it by.

    Of twins the first that comes is told: ``system.pal_joined`` is told as
    ``system.replica_joined``, ``conversation.user.started_speaking`` as
    ``conversation.started_speaking`` with ``properties.role``; the role is
    "replica" or "user", never "pal".
    """
    told = dict(event)
    properties = _properties_of(event)
    event_type, role = _type_of(event), properties.get("role")
    legacy = _LEGACY.fullmatch(event_type)
    if legacy:
        role = legacy[1]
        told["event_type"] = f"conversation.{legacy[2]}"
    elif event_type in _NEW_NAMES:
        told["event_type"] = _NEW_NAMES[event_type]
    if role == "pal":
        role = "replica"
    if role != properties.get("role"):
        told["properties"] = {**properties, "role": role}
    return told


def _identity(event: Mapping[str, Any]) -> object:
    """What an event and its repetition have in common; None: cannot say."""
    event_type, at = _type_of(event), _moment_of(event)
    if event_type == _ONCE:
        return event_type
    if event_type.startswith("conversation."):
        seq = _seq_of(event)
        if seq is not None:
            return event_type, seq, at
        if at is None:
            return None
        return event_type, at, _digest(event)
    return event_type, _digest(event) if at is None else at


def _digest(event: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(event.get("properties"), sort_keys=True)
    except RecursionError:
        text = ""  # nested for mischief: one such is enough
    return hashlib.sha256(text.encode()).digest()


def _moment_of(event: Mapping[str, Any]) -> int | str | None:
    """In ms since 1970; as it is written where that cannot be read."""
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


def _seq_of(event: Mapping[str, Any]) -> int | None:
    seq = event.get("seq")
    return seq if type(seq) is int else None


def _type_of(event: Mapping[str, Any]) -> str:
    event_type = event.get("event_type")
    return event_type if isinstance(event_type, str) else ""


def _properties_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = event.get("properties")
    return properties if isinstance(properties, dict) else {}
