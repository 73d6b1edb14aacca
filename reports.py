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
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .events import Reported
from .tavus_models import moment_of, seq_of, text_of

POLL, WEBHOOK, PAGE = "poll", "webhook", "page"
SHUTDOWN = "system.shutdown"
# Perception is reported minutes after the end.
_ENDED_REMEMBERED = 1000
_EVENTS_REMEMBERED = 256
_TWINS = {
    "system.pal_joined": "system.replica_joined",
    "system.pal_present": "system.replica_present",
    # In Tavus's own sample.
    "conversation.perception-analysis": "conversation.perception_analysis",
}
# The member that goes by two names: the documented one, and the other.
_MEMBERS = {
    SHUTDOWN: ("shutdown_reason", "reason"),
    "conversation.utterance": ("speech", "text"),
    "conversation.utterance.streaming": ("speech", "text"),
}
# What is not what an event says.
_ENVELOPE = (
    *("conversation_id", "webhook_url"),
    *("event_type", "message_type", "seq", "timestamp"),
)
_ONCE = "system.replica_joined"
_LEGACY = re.compile(r"conversation\.(replica|pal|user)\.(\w+_speaking)")
_SPEAKING = re.compile(r"conversation\.(started|stopped)_speaking")


@dataclass
class _Voice:
    speaks: bool | None = None
    seq: int = -1
    at_ms: int = -1


@dataclass(frozen=True)
class _Identity:
    """What an event and its repetition have in common.

    Attributes:
        key: Type, time and content, as far as they count.
        seq: Its number; one that comes without is the same all the same.
    """

    key: object
    seq: int | None = None


class _Memory:
    """The last events of one kind of witness, and who speaks by them."""

    def __init__(self) -> None:
        self._seen: dict[object, None] = {}
        self._voices = {"user": _Voice(), "replica": _Voice()}

    def __contains__(self, identity: _Identity) -> bool:
        if identity.seq is None:
            return identity.key in self._seen
        return identity in self._seen or _Identity(identity.key) in self._seen

    def add(self, identity: _Identity) -> None:
        for one in (identity.key, identity):
            self._seen[one] = None
        while len(self._seen) > 2 * _EVENTS_REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def turns(self, event: Mapping[str, Any], speaks: bool) -> bool:
        """Whether somebody starts who was silent, or stops who spoke."""
        role = _properties_of(event).get("role")
        seq, at_ms = seq_of(event), moment_of(event)
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
    _listed: Counter[object] = field(default_factory=Counter, repr=False)

    def unlisted(
        self, events: Sequence[Mapping[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """Those that Tavus's last list had not, wherever they stand in it."""
        listed: Counter[object] = Counter()
        fresh = []
        for event in events:
            mark = (_key(event), seq_of(event))
            listed[mark] += 1
            if listed[mark] > self._listed[mark]:
                fresh.append(event)
        self._listed = listed
        return fresh

    def is_news(self, event: Mapping[str, Any], source: str) -> bool:
        """Whether this has not been said; what a page says never stands in
        for what Tavus says.

        Args:
            event: In the vocabulary of ``canonical``.
            source: Who says so.
        """
        witness = self._from_pages if source == PAGE else self._from_tavus
        identity = _identity(event)
        if identity is not None:
            if identity in self._from_tavus or identity in witness:
                return False
            witness.add(identity)
        change = _SPEAKING.fullmatch(_type_of(event))
        return change is None or witness.turns(event, change[1] == "started")


class Reports:
    """Tells the graph what is said of conversations that are ours.

    Args:
        tell: Called with each event; must not block.
    """

    def __init__(self, tell: Callable[[Reported], None]) -> None:
        self._tell = tell
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

    def report(
        self, conversation_id: str, event: Mapping[str, Any], source: str
    ) -> bool:
        """Tells the graph, if it is news of a conversation of ours.

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
            self._tell(
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
    "replica" or "user", never "pal". An utterance has ``speech``, and a
    shutdown ``shutdown_reason``, also where Tavus calls them ``text`` and
    ``reason``.
    """
    told = dict(event)
    properties = _properties_of(event)
    event_type, role = _type_of(event), properties.get("role")
    legacy = _LEGACY.fullmatch(event_type)
    if legacy:
        role = legacy[1]
        told["event_type"] = f"conversation.{legacy[2]}"
    elif event_type in _TWINS:
        told["event_type"] = _TWINS[event_type]
    more: dict[str, Any] = {}
    if role == "pal":
        role = "replica"
    if role != properties.get("role"):
        more["role"] = role
    name, other = _MEMBERS.get(event_type, ("", ""))
    if name and text_of(properties, other) and not properties.get(name):
        more[name] = properties[other]
    if more:
        told["properties"] = {**properties, **more}
    return told


def _identity(event: Mapping[str, Any]) -> _Identity | None:
    """What an event and its repetition have in common; None: cannot say."""
    event_type, at, seq = _type_of(event), moment_of(event), seq_of(event)
    if event_type == _ONCE:
        return _Identity(event_type)
    if event_type == SHUTDOWN and at is not None:
        # Its reason is worded in several ways.
        return _Identity((event_type, at))
    if event_type.startswith("conversation.") and at is None and seq is None:
        return None
    return _Identity(_key(event), seq)


def _key(event: Mapping[str, Any]) -> object:
    return _type_of(event), moment_of(event), _digest(event)


def _digest(event: Mapping[str, Any]) -> bytes:
    """Of what it says: objectives have it beside ``properties``, too."""
    content = {
        name: value
        for name, value in event.items()
        if name not in _ENVELOPE and value not in (None, {})
    }
    try:
        text = json.dumps(content, sort_keys=True)
    except RecursionError:
        text = ""  # nested for mischief: one such is enough
    return hashlib.sha256(text.encode()).digest()


def _type_of(event: Mapping[str, Any]) -> str:
    event_type = event.get("event_type")
    return event_type if isinstance(event_type, str) else ""


def _properties_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = event.get("properties")
    return properties if isinstance(properties, dict) else {}
