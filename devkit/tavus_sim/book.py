#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The book of conversations: it opens, times and closes them, and tells.

Nothing here waits: a timer is a time, and whoever holds the clock asks what
is due. So an hour of conversation takes no time on a test's own clock.
"""

import base64
import heapq
import json
import random
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import quote

from .conversation import REPLICA_JOINS, Conversation
from .livekit import LiveKitRoom, without_token
from .messages import iso

ENDED_BY_CLIENT = "end_conversation_endpoint_hit"
ROOM_DELETED = "daily_room_has_been_deleted"


class ConversationBook:
    """Every conversation ever created.

    Args:
        rng: makes the ids and tokens.
        replica_join_s: how long after the first participant the replica
            joins, in seconds.
        on_event: gets ``(conversation, webhook payload)`` of each event.
        id_suffix: what each id ends with.
    """

    def __init__(
        self,
        rng: random.Random,
        replica_join_s: float,
        on_event: Callable[[Conversation, dict[str, Any]], None],
        id_suffix: str = "",
    ) -> None:
        self._id_suffix = id_suffix
        self.all: dict[str, Conversation] = {}
        self.active: dict[str, Conversation] = {}
        self._rng = rng
        self._replica_join_s = replica_join_s
        self._on_event = on_event
        # Called when a conversation in a LiveKit room begins and ends.
        self.on_avatar: Callable[[Conversation], None] = lambda _: None
        # Entries go stale when a conversation's state changes; they are
        # recognised when they come up, and cost nothing until then.
        self._timers: list[tuple[float, int, Conversation]] = []
        self._serial = 0

    def create(
        self,
        request: dict[str, Any],
        *,
        replica_id: str,
        persona_id: str,
        base_url: str,
        now: float,
        livekit: LiveKitRoom | None = None,
        has_url: bool = True,
    ) -> Conversation:
        """Open a conversation; with ``test_mode`` one that has ended."""
        random_part = f"{self._rng.getrandbits(48):012x}"
        conversation_id = f"c{random_part}{self._id_suffix}"
        name = request.get("conversation_name")
        properties = request.get("properties") or {}
        conversation = Conversation(
            conversation_id=conversation_id,
            name=name or f"Conversation {conversation_id}",
            url=f"{base_url}/room/{quote(conversation_id)}"
            if has_url
            else None,
            replica_id=replica_id,
            persona_id=persona_id,
            request=without_token(request),
            created_at=now,
            updated_at=now,
            livekit=livekit,
            private=bool(
                request.get("require_auth") or properties.get("require_auth")
            ),
        )
        if conversation.private:
            lifetime_s = conversation.limit_s("participant_absent_timeout")
            conversation.meeting_token = self._token(
                conversation_id, now, now + lifetime_s
            )
        self.all[conversation_id] = conversation
        if request.get("test_mode"):
            conversation.status = "ended"
            conversation.ended_at = now
            conversation.ended_by = "test_mode"
        else:
            self.active[conversation_id] = conversation
            self._arm(conversation)
            if livekit:
                self.on_avatar(conversation)
        return conversation

    def join(self, conversation: Conversation, now: float) -> None:
        """A participant enters."""
        conversation.participants += 1
        conversation.left_at = None
        conversation.updated_at = now
        if conversation.joined_at is None:
            conversation.joined_at = now
            # A real avatar says itself when it has joined.
            if conversation.avatar is None:
                conversation.replica_due_at = now + self._replica_join_s
        self._arm(conversation)

    def leave(self, conversation: Conversation, now: float) -> None:
        """A participant goes."""
        conversation.participants -= 1
        conversation.updated_at = now
        if not conversation.participants:
            conversation.left_at = now
        self._arm(conversation)

    def end(
        self,
        conversation: Conversation,
        now: float,
        *,
        reason: str,
        ended_by: str | None = None,
        status: Literal["ended", "error"] = "ended",
    ) -> None:
        """Shut an active conversation down.

        Args:
            conversation: an active one.
            now: when.
            reason: the event's ``shutdown_reason``.
            ended_by: what the ledger says; by default the reason.
            status: what it has from now on.
        """
        del self.active[conversation.conversation_id]
        conversation.status = status
        conversation.ended_at = now
        conversation.ended_by = ended_by or reason
        if conversation.livekit:
            self.on_avatar(conversation)
        ids = {
            "replica_id": conversation.replica_id,
            "shutdown_reason": reason,
        }
        self._emit(conversation, "system.shutdown", ids, now)
        if conversation.joined_at is not None:
            transcript = {"transcript": _transcript(conversation)}
            self._emit(
                conversation,
                "application.transcription_ready",
                transcript,
                now,
            )

    def next_deadline(self) -> float | None:
        """When something happens by itself next, if anything does."""
        while self._timers:
            when, _, conversation = self._timers[0]
            timer = conversation.next_timer()
            if timer and timer[0] == when:
                return when
            heapq.heappop(self._timers)
        return None

    def expire(self, now: float) -> None:
        """Let everything happen that is due, each at its own time."""
        while (due := self.next_deadline()) is not None and due <= now:
            _, _, conversation = heapq.heappop(self._timers)
            timer = conversation.next_timer()
            if timer is None:
                continue
            when, what = timer
            if what == REPLICA_JOINS:
                self.replica_joins(conversation, when)
            else:
                self.end(conversation, when, reason=what)

    def replica_joins(self, conversation: Conversation, now: float) -> None:
        """The replica has come in."""
        conversation.replica_due_at = None
        # Tavus sends the event under both its old and its new name.
        face = {"replica_id": conversation.replica_id}
        self._emit(conversation, "system.replica_joined", face, now)
        face = {"face_id": conversation.replica_id}
        self._emit(conversation, "system.pal_joined", face, now)
        self._arm(conversation)

    def _arm(self, conversation: Conversation) -> None:
        timer = conversation.next_timer()
        if timer:
            self._serial += 1
            heapq.heappush(self._timers, (timer[0], self._serial, conversation))

    def _emit(
        self,
        conversation: Conversation,
        event_type: str,
        properties: dict[str, Any],
        now: float,
    ) -> None:
        event = {
            "event_type": event_type,
            "message_type": event_type.partition(".")[0],
            "timestamp": iso(now),
            "properties": properties,
        }
        self.report(conversation, event, now)

    def report(
        self, conversation: Conversation, event: dict[str, Any], now: float
    ) -> None:
        """Say something of a conversation, whatever it is: by webhook, and
        to whoever asks."""
        conversation.updated_at = now
        conversation.events.append(event)
        callback_url = conversation.request.get("callback_url")
        if callback_url:
            payload = {
                **event,
                "conversation_id": conversation.conversation_id,
                "webhook_url": callback_url,
            }
            self._on_event(conversation, payload)

    def _token(self, room: str, issued_at: float, expires_at: float) -> str:
        """A token of a JWT's shape; its signature is noise."""
        parts = (
            json.dumps({"alg": "HS256", "typ": "JWT"}).encode(),
            json.dumps(
                {"r": room, "iat": int(issued_at), "exp": int(expires_at)}
            ).encode(),
            self._rng.randbytes(32),
        )
        coded = (base64.urlsafe_b64encode(part) for part in parts)
        return b".".join(part.rstrip(b"=") for part in coded).decode()


def _transcript(conversation: Conversation) -> list[dict[str, Any]]:
    """What was said: nothing but the greeting, for nobody is really there."""
    context = conversation.request.get("conversational_context")
    greeting = conversation.request.get("custom_greeting")
    lines = (("system", context), ("assistant", greeting))
    said_at = conversation.joined_at or conversation.created_at
    return [
        {
            "role": role,
            "content": text,
            "timestamp": said_at,
            "seconds_from_start": said_at - conversation.created_at,
            "duration": 0.0,
        }
        for role, text in lines
        if text
    ]
