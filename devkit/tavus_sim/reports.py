#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What an avatar in a LiveKit room does, written into the book.

The avatar is another process's (``avatars.py``); here are its reports, which
are plain objects, and what follows from them. ``avatar.py`` lists them.
"""

import base64
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .faults import Fault, FaultBox
from .heard import Heard
from .interactions import livekit_problem_of
from .messages import iso

if TYPE_CHECKING:
    from .book import ConversationBook
    from .conversation import Conversation

_NOTES_KEPT = 50
COULD_NOT_JOIN = "bot_could_not_join_meeting_it_was_probably_ended"
BROKEN = "internal error occurred at step avatar"


@dataclass
class AvatarRecord:
    """What is known about the avatar of one conversation.

    Args:
        state: ``absent`` (by a fault, for ever), ``joining``, ``joined``,
            ``visible`` (its video is published) or ``left``.
        fault: what it does wrong.
        notes: what a person who looks for a reason should read.
    """

    state: str = "joining"
    fault: Fault | None = None
    heard: Heard = field(default_factory=Heard)
    notes: deque[dict[str, str]] = field(
        default_factory=lambda: deque(maxlen=_NOTES_KEPT)
    )

    def note(self, text: str, now: float) -> None:
        """Keep a line for the ledger."""
        self.notes.append({"at": iso(now), "note": text})

    def summary(self) -> dict[str, Any]:
        """What the ledger says."""
        return {
            "state": self.state,
            **self.heard.summary(),
            "notes": list(self.notes),
        }


class AvatarReports:
    """Sends for avatars, and takes the reports of all of them.

    Args:
        book: where the consequences go.
        faults: what goes wrong.
        now: epoch seconds.
    """

    def __init__(
        self,
        book: "ConversationBook",
        faults: FaultBox,
        now: Callable[[], float],
    ) -> None:
        self._send: Callable[[Conversation], None] | None = None
        self._book = book
        self._faults = faults
        self._now = now
        book.on_avatar = self._wanted

    def serve(self, send: "Callable[[Conversation], None] | None") -> None:
        """From now on real avatars come, or none.

        Args:
            send: called when an avatar is wanted, and when it is not any
                more: the conversation's status says which.
        """
        self._send = send

    def _wanted(self, conversation: "Conversation") -> None:
        if self._send and conversation.status == "active":
            conversation.avatar = avatar = AvatarRecord()
            avatar.fault = fault = self._faults.take("avatar")
            if fault:
                avatar.note(f"fault: {fault.kind}", self._now())
                if fault.kind == "avatar_absent":
                    avatar.state = "absent"
        avatar = conversation.avatar
        if self._send and avatar and avatar.state != "absent":
            self._send(conversation)

    def take(
        self,
        conversation: "Conversation",
        report: dict[str, Any],
    ) -> None:
        """Let one report have its consequences.

        Args:
            conversation: whose avatar reports.
            report: what it says.
        """
        avatar = conversation.avatar
        if avatar is None:
            return
        now = self._now()
        match report:
            case {"event": "joined"}:
                avatar.state = "joined"
                if conversation.status == "active":
                    self._book.replica_joins(conversation, now)
            case {"event": "visible"}:
                avatar.state = "visible"
            case {"event": "users", "count": count}:
                self._users(conversation, count, now)
            case {"event": "app_message", "message": message}:
                conversation.interactions.keep(
                    message, iso(now), livekit_problem_of(message)
                )
            case {"event": "left", "reason": reason}:
                avatar.state = "left"
                avatar.note(f"left the room: {reason}", now)
                # It sees nobody any more: Tavus's timers do the rest.
                self._users(conversation, 0, now)
            case {"event": "died"}:
                # For all that Tavus knows the conversation goes on.
                avatar.state = "left"
            case {"event": "failed", "detail": detail}:
                self._failed(conversation, avatar, detail, now)
            case _:
                _listen(avatar, report)

    def _failed(
        self,
        conversation: "Conversation",
        avatar: AvatarRecord,
        detail: str,
        now: float,
    ) -> None:
        in_time = avatar.state != "joining"
        avatar.state = "left"
        avatar.note(detail, now)
        if conversation.status == "active":
            self._book.end(
                conversation,
                now,
                reason=BROKEN if in_time else COULD_NOT_JOIN,
                status="error",
            )

    def _users(
        self, conversation: "Conversation", count: int, now: float
    ) -> None:
        while (
            conversation.status == "active"
            and conversation.participants != count
        ):
            if conversation.participants < count:
                self._book.join(conversation, now)
            else:
                self._book.leave(conversation, now)


def _listen(avatar: AvatarRecord, report: dict[str, Any]) -> None:
    match report:
        case {
            "event": "audio",
            "pcm": pcm,
            "sample_rate": rate_hz,
            "channels": channels,
        }:
            avatar.heard.audio(base64.b64decode(pcm), rate_hz, channels)
        case {"event": "segment_end"}:
            avatar.heard.segment_end()
        case {"event": "cleared"}:
            avatar.heard.cleared()
        case {
            "event": "playback_finished",
            "position_s": position_s,
            "interrupted": interrupted,
        }:
            avatar.heard.playback_finished(position_s, interrupted)
