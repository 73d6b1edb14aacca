#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""One conversation: its state, its limits, and how it looks from outside."""

from dataclasses import dataclass, field
from typing import Any, Literal

from .interactions import Interactions
from .livekit import LiveKitRoom
from .messages import iso
from .reports import AvatarRecord

Vocabulary = Literal["old", "new"]

ABSENT = "participant_absent_timeout reached"
LEFT = "participant_left_timeout reached"
TOO_LONG = "max_call_duration reached"
REPLICA_JOINS = "replica joins"
_REPLICA_JOINED = "system.replica_joined"

# tavus-api.md 1.2: the defaults of `properties`, in seconds, and the longest
# call any plan has; a longer wish is cut silently.
DEFAULTS_S = {
    "participant_absent_timeout": 300,
    "participant_left_timeout": 0,
    "max_call_duration": 3600,
}
LONGEST_CALL_S = 3600


@dataclass
class Conversation:
    """One conversation; times are epoch seconds of the simulator's clock."""

    conversation_id: str
    name: str
    url: str | None
    replica_id: str
    persona_id: str
    request: dict[str, Any]
    created_at: float
    private: bool = False
    meeting_token: str | None = None
    status: Literal["active", "ended", "error"] = "active"
    updated_at: float = 0.0
    ended_at: float | None = None
    ended_by: str | None = None
    deleted: bool = False
    participants: int = 0
    joined_at: float | None = None
    left_at: float | None = None
    replica_due_at: float | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    interactions: Interactions = field(default_factory=Interactions)
    livekit: LiveKitRoom | None = None
    # Of a conversation in a LiveKit room, when there is a worker for it.
    avatar: AvatarRecord | None = None

    @property
    def replica_joined(self) -> bool:
        """Whether the replica has come in."""
        return any(e.get("event_type") == _REPLICA_JOINED for e in self.events)

    @property
    def shutdown_reason(self) -> str | None:
        """What Tavus said when it ended."""
        for event in self.events:
            match event:
                case {
                    "event_type": "system.shutdown",
                    "properties": {"shutdown_reason": str(reason)},
                }:
                    return reason
        return None

    def limit_s(self, name: str) -> float:
        """One of the timeouts in ``DEFAULTS_S``, as the request set it."""
        wish = (self.request.get("properties") or {}).get(name)
        limit = DEFAULTS_S[name] if wish is None else wish
        if name == "max_call_duration":
            return min(limit, LONGEST_CALL_S)
        return limit

    def next_timer(self) -> tuple[float, str] | None:
        """When something happens by itself, and what."""
        if self.status != "active":
            return None
        longest_s = self.limit_s("max_call_duration")
        timers = [(self.created_at + longest_s, TOO_LONG)]
        if self.joined_at is None:
            absent_s = self.limit_s("participant_absent_timeout")
            timers.append((self.created_at + absent_s, ABSENT))
        if self.left_at is not None:
            left_s = self.limit_s("participant_left_timeout")
            timers.append((self.left_at + left_s, LEFT))
        if self.replica_due_at is not None:
            timers.append((self.replica_due_at, REPLICA_JOINS))
        return min(timers, key=lambda timer: timer[0])

    def view(self, vocabulary: Vocabulary) -> dict[str, Any]:
        """What list and get answer."""
        new = vocabulary == "new"
        url = {} if self.url is None else {"conversation_url": self.url}
        return {
            "conversation_id": self.conversation_id,
            "conversation_name": self.name,
            **url,
            "callback_url": self.request.get("callback_url") or "",
            "status": self.status,
            "face_id" if new else "replica_id": self.replica_id,
            "pal_id" if new else "persona_id": self.persona_id,
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
        }

    def entry(self, now: float) -> dict[str, Any]:
        """The line of the ledger; ``participants`` stays as it was at the
        end."""
        until = now if self.ended_at is None else self.ended_at
        entry = {
            "conversation_id": self.conversation_id,
            "conversation_name": self.name,
            "status": self.status,
            "created_at": iso(self.created_at),
            "ended_at": None if self.ended_at is None else iso(self.ended_at),
            "ended_by": self.ended_by,
            "participants": self.participants,
            "duration_s": round(until - self.created_at, 3),
        }
        if self.livekit:
            entry["livekit"] = {
                "url": self.livekit.url,
                "room": self.livekit.room,
                "identity": self.livekit.identity,
                "on_behalf_of": self.livekit.on_behalf_of,
            }
        if self.avatar:
            entry["avatar"] = self.avatar.summary()
        return entry
