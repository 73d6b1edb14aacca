#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Agora sessions in memory: opened, driven by commands, timed and closed.

As in ``book.py`` nothing here waits: a timer is a time, and whoever holds the
clock asks what is due.
"""

import heapq
import random
import secrets
import uuid
from collections import deque
from typing import Any

from .agora_rules import BadField, read_command
from .agora_session import (
    HEARTBEAT_LIMIT_S,
    NO_HEARTBEAT,
    STALL_OVER,
    Connection,
    Session,
    Wire,
)
from .faults import Fault, FaultBox

# How a WebSocket is closed; RFC 6455 has 1000 and 1008.
BY_CLIENT = 1000
NOT_THE_PROTOCOL = 1008
BY_TAVUS = 4000
REPLACED = 4001

_ENDED_WITH_AUDIO = 100


class SessionBook:
    """Every session ever started.

    Args:
        rng: makes the ids; tokens are nobody's to guess.
        faults: what goes wrong with the WebSockets.
    """

    def __init__(self, rng: random.Random, faults: FaultBox) -> None:
        self.all: dict[str, Session] = {}
        self.active: dict[str, Session] = {}
        self._rng = rng
        self._faults = faults
        self._with_audio: deque[Session] = deque()
        # An entry may be early, since what a client does puts its timers off:
        # when it comes up it is put back. So a command costs no search.
        self._timers: list[tuple[float, int, Session]] = []
        self._serial = 0

    def start(self, fields: dict[str, Any], now: float) -> Session:
        """Open a session.

        Args:
            fields: what ``check_start`` returned.
            now: when.
        """
        number = self._rng.getrandbits(128)
        session = Session(
            session_id=str(uuid.UUID(int=number, version=4)),
            token=secrets.token_urlsafe(32),
            start=fields,
            created_at=now,
            active_at=now,
        )
        self.all[session.session_id] = session
        self.active[session.session_id] = session
        self._arm(session)
        return session

    def admit(self, token: str) -> tuple[Session, Fault | None] | None:
        """Who is at the door of the WebSocket.

        Args:
            token: what it shows.

        Returns:
            Its session, and what is to go wrong with this connection; or
            ``None`` when it is not to come in.
        """
        for session in self.active.values():
            if session.token == token:
                fault = self._faults.take("agora_socket")
                refused = fault and fault.kind == "refuse_token"
                return None if refused else (session, fault)
        return None

    def connect(
        self, session: Session, wire: Wire, fault: Fault | None, now: float
    ) -> None:
        """A WebSocket is there; an earlier one of the session is closed."""
        if session.status == "ended":
            wire.close(BY_TAVUS, "the session is over")
            return
        self._close(session, REPLACED, "replaced by a newer connection")
        session.connection = Connection(wire, fault)
        session.connections += 1
        session.active_at = now

    def disconnect(self, session: Session, wire: Wire) -> None:
        """A WebSocket is gone."""
        if session.connection and session.connection.wire is wire:
            self._detach(session)

    def take(
        self, session: Session, wire: Wire, text: str | None, now: float
    ) -> dict[str, Any] | None:
        """A message has come.

        Args:
            session: whose.
            wire: over which WebSocket.
            text: the message; ``None`` for one that is not text.
            now: when.

        Returns:
            The answer, for a command that has one.
        """
        connection = session.connection
        if connection is None or connection.wire is not wire:
            return None
        try:
            if text is None:
                raise BadField("The message is binary")
            command = read_command(text)
            answer = session.obey(connection, command, now)
        except BadField as exc:
            session.violation(str(exc), now)
            if not connection.ready:
                self._close(session, NOT_THE_PROTOCOL, str(exc))
            return None
        session.commands[command["command"]] += 1
        session.active_at = now
        self._strike(session, connection, now)
        self._arm(session)
        return answer

    def end(
        self, session: Session, now: float, ended_by: str, code: int = BY_TAVUS
    ) -> None:
        """Close an active session.

        Args:
            session: an active one.
            now: when.
            ended_by: what the ledger and the WebSocket say.
            code: how the WebSocket is closed.
        """
        del self.active[session.session_id]
        session.status = "ended"
        session.ended_at = now
        session.ended_by = ended_by
        self._close(session, code, ended_by)
        self._with_audio.append(session)
        if len(self._with_audio) > _ENDED_WITH_AUDIO:
            self._with_audio.popleft().heard.forget_audio()

    def next_deadline(self) -> float | None:
        """When to look for something that happens by itself next."""
        return self._timers[0][0] if self._timers else None

    def expire(self, now: float) -> None:
        """Let everything happen that is due, each at its own time."""
        while self._timers and self._timers[0][0] <= now:
            when, _, session = heapq.heappop(self._timers)
            if session.armed_at != when:
                continue  # it has an earlier entry, or had
            session.armed_at = None
            timer = session.next_timer()
            if timer and timer[0] <= now:
                self._happen(session, *timer)
            self._arm(session)

    def _happen(self, session: Session, when: float, what: str) -> None:
        if what == NO_HEARTBEAT:
            session.heartbeat_due_at = None  # said once, until the next one
            session.violation(NO_HEARTBEAT, when)
        elif what == STALL_OVER:
            session.stalled_until = None
            session.heartbeat_due_at = when + HEARTBEAT_LIMIT_S
            if session.connection:
                session.connection.wire.resume()
        else:
            self.end(session, when, what)

    def _strike(
        self, session: Session, connection: Connection, now: float
    ) -> None:
        """Let the fault of a connection happen, once it is its time."""
        fault = connection.fault
        if fault is None or connection.voice_messages < fault.after_messages:
            return
        connection.fault = None
        delay_s = fault.delay_ms / 1000
        match fault.kind:
            case "drop":
                connection.wire.drop()
                self._detach(session)
            case "slow_reader":
                connection.wire.stall()
                session.stalled_until = now + delay_s
                # Those that come meanwhile are not seen.
                session.heartbeat_due_at = None
            case "expire":
                session.expires_at = now + delay_s

    def _close(self, session: Session, code: int, reason: str) -> None:
        if session.connection:
            session.connection.wire.close(code, reason)
            self._detach(session)

    def _detach(self, session: Session) -> None:
        session.connection = None
        session.heartbeat_due_at = session.stalled_until = None
        session.heard.end("disconnect")

    def _arm(self, session: Session) -> None:
        timer = session.next_timer()
        if timer is None:
            return
        when, armed_at = timer[0], session.armed_at
        if armed_at is None or when < armed_at:
            self._serial += 1
            heapq.heappush(self._timers, (when, self._serial, session))
            session.armed_at = when
