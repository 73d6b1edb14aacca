#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""One Agora session: its state, its commands and how it looks from outside."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from .agora_heard import AgoraHeard
from .agora_rules import BadField, check_same, check_start, samples
from .conversation import LONGEST_CALL_S, TOO_LONG
from .faults import Fault
from .messages import iso

HEARTBEAT_LIMIT_S = 25
IDLE = "activity_idle_timeout reached"
EXPIRED = "session expired"
NO_HEARTBEAT = f"no heartbeat for {HEARTBEAT_LIMIT_S} s"
STALL_OVER = "stall over"
_VIOLATIONS_KEPT = 100


class Wire(Protocol):
    """The WebSocket of a session; may be called from any thread."""

    def close(self, code: int, reason: str) -> None:
        """Close it, and take nothing more from it."""

    def drop(self) -> None:
        """Cut it without a word."""

    def stall(self) -> None:
        """Read nothing until told to."""

    def resume(self) -> None:
        """Read on."""


@dataclass
class Connection:
    """One WebSocket and what came over it."""

    wire: Wire
    fault: Fault | None = None
    ready: bool = False  # init has come
    voice_messages: int = 0


@dataclass
class Session:
    """One session; times are epoch seconds of the simulator's clock."""

    session_id: str
    token: str = field(repr=False)
    start: dict[str, Any] = field(repr=False)  # holds Agora's token
    created_at: float
    active_at: float
    status: Literal["active", "ended"] = "active"
    ended_at: float | None = None
    ended_by: str | None = None
    connection: Connection | None = None
    connections: int = 0
    inits: int = 0
    heartbeat_due_at: float | None = None
    stalled_until: float | None = None
    expires_at: float | None = None
    armed_at: float | None = None
    commands: Counter[str] = field(default_factory=Counter)
    violations: deque[dict[str, str]] = field(
        default_factory=lambda: deque(maxlen=_VIOLATIONS_KEPT)
    )
    violations_count: int = 0
    heard: AgoraHeard = field(default_factory=AgoraHeard)

    def next_timer(self) -> tuple[float, str] | None:
        """When something happens by itself, and what."""
        if self.status == "ended":
            return None
        timers = [(self.created_at + LONGEST_CALL_S, TOO_LONG)]
        idle_s = self.start["activity_idle_timeout"]
        if idle_s:
            timers.append((self.active_at + idle_s, IDLE))
        for when, what in (
            (self.heartbeat_due_at, NO_HEARTBEAT),
            (self.stalled_until, STALL_OVER),
            (self.expires_at, EXPIRED),
        ):
            if when is not None:
                timers.append((when, what))
        return min(timers, key=lambda timer: timer[0])

    def obey(
        self, connection: Connection, command: dict[str, Any], now: float
    ) -> dict[str, Any] | None:
        """Do what a command says.

        Args:
            connection: over which it came.
            command: what ``read_command`` returned.
            now: when.

        Returns:
            The answer, for a command that has one.

        Raises:
            BadField: when the protocol does not allow it here.
        """
        name = command["command"]
        if connection.ready == (name == "init"):
            first = "init has come already" if connection.ready else "no init"
            raise BadField(f"{name}: {first}")
        match name:
            case "init":
                self._init(command)
                connection.ready = True
                self.heartbeat_due_at = now + HEARTBEAT_LIMIT_S
            case "voice":
                pcm = samples(command["audio"])
                self.heard.voice(pcm, command["sampleRate"])
                connection.voice_messages += 1
            case "voice_end" | "voice_interrupt":
                self.heard.end(name)
            case "heartbeat":
                self.heartbeat_due_at = now + HEARTBEAT_LIMIT_S
                return {**command, "command": "heartbeat_ack"}
        return None

    def _init(self, command: dict[str, Any]) -> None:
        own = ("command", "session_id")
        try:
            if command["session_id"] != self.session_id:
                raise BadField("session_id is not the session's")
            fields = {k: v for k, v in command.items() if k not in own}
            fields = check_start(fields)
            before = self.start
            if self.inits:
                # The only way there is to renew a token before it expires.
                settings = dict(before["agora_settings"])
                settings["token"] = fields["agora_settings"]["token"]
                before = {**before, "agora_settings": settings}
            check_same(before, fields)
        except BadField as exc:
            raise BadField(f"init: {exc}") from None
        self.start = fields
        self.inits += 1

    def violation(self, problem: str, now: float) -> None:
        """Write down what the client should not have done."""
        self.violations_count += 1
        self.violations.append({"at": iso(now), "problem": problem})

    def entry(self, now: float) -> dict[str, Any]:
        """The line of the ledger; no token is in it."""
        until = now if self.ended_at is None else self.ended_at
        return {
            "kind": "agora",
            "session_id": self.session_id,
            "avatar_id": self.start["avatar_id"],
            "channel": self.start["agora_settings"]["channel"],
            "status": self.status,
            "created_at": iso(self.created_at),
            "ended_at": None if self.ended_at is None else iso(self.ended_at),
            "ended_by": self.ended_by,
            "duration_s": round(until - self.created_at, 3),
            "connected": self.connection is not None,
            "utterances": self.heard.count,
            "heard_s": round(self.heard.duration_s, 6),
            "violations_count": self.violations_count,
            "violations": list(self.violations),
        }

    def view(self, now: float) -> dict[str, Any]:
        """All there is to know about it but for the tokens."""
        settings = dict(self.start["agora_settings"])
        del settings["token"]
        return {
            **self.entry(now),
            "start": {**self.start, "agora_settings": settings},
            "connections": self.connections,
            "commands": dict(self.commands),
            "utterances": [one.view() for one in self.heard.utterances],
        }
