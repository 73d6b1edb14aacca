#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What runs, what lately ran, and whose it is."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# So many are known after their end.
_REMEMBERED = 1000


@dataclass
class Conversation:
    """One conversation, as far as the graph has told of it."""

    conversation_id: str
    conversation_url: str
    join_url: str
    user_id: str
    channel: str
    transport: str
    reason: str = ""
    duration_ms: int = 0
    since_s: float = field(default_factory=time.monotonic)

    @property
    def running(self) -> dict[str, Any]:
        """As the API lists it; for its owner only."""
        return {
            "conversation_id": self.conversation_id,
            "conversation_url": self.conversation_url,
            "join_url": self.join_url,
            "user_id": self.user_id,
            "channel": self.channel,
            "transport": self.transport,
            "age_ms": round((time.monotonic() - self.since_s) * 1000),
        }

    @property
    def event(self) -> dict[str, Any]:
        """As ``tavus_conversation_created`` tells of it."""
        event = self.running
        event["remote_user_id"] = event.pop("user_id")
        del event["age_ms"]  # the graph's own message has none
        return event


class Conversations:
    """Fed by what the graph answers and by what it tells.

    Either may come first, and either may be missing: a graph need not send
    its data here, and what starts by itself answers nobody.

    Args:
        on_running: Called with the id of each one that is new here.
        on_over: Called with the id and the reason of each that has ended.
    """

    def __init__(
        self,
        on_running: Callable[[str], None],
        on_over: Callable[[str, str], None],
    ) -> None:
        self._on_running = on_running
        self._on_over = on_over
        self._running: dict[str, Conversation] = {}
        self._ended: OrderedDict[str, Conversation] = OrderedDict()

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Conversation]:
        """Those that run, the oldest first."""
        return iter(list(self._running.values()))

    def running(self, conversation_id: str) -> Conversation | None:
        """The conversation, if it runs."""
        return self._running.get(conversation_id)

    def ended(self, conversation_id: str) -> Conversation | None:
        """The conversation, if it has ended not long ago."""
        return self._ended.get(conversation_id)

    def knows(self, conversation_id: str) -> bool:
        """Whether it runs, or ended not long ago."""
        return (
            conversation_id in self._running or conversation_id in self._ended
        )

    def of(self, user_id: str) -> list[Conversation]:
        """What runs and is that user's, or everybody's; the oldest first."""
        return [
            conversation
            for conversation in self._running.values()
            if conversation.user_id in ("", user_id)
        ]

    def answered(
        self, made: Mapping[str, Any], user_id: str, channel: str
    ) -> bool:
        """A start was answered with this conversation.

        Args:
            made: The answer.
            user_id: Who had asked.
            channel: Where.

        Returns:
            Whether it runs; it may have ended before its answer came.
        """
        conversation_id = made["conversation_id"]
        if conversation_id in self._ended:
            return False
        known = self._running.get(conversation_id)
        if known is None:
            url = str(made.get("conversation_url", ""))
            self._running[conversation_id] = Conversation(
                conversation_id,
                url,
                str(made.get("join_url", url)),
                user_id,
                channel,
                "",
            )
            self._on_running(conversation_id)
        elif known.user_id != user_id:
            known.user_id = ""  # it was given to two: it is the channel's
        return True

    def created(self, content: Mapping[str, Any]) -> None:
        """The graph tells that a conversation runs.

        Args:
            content: Of ``tavus_conversation_created``.
        """
        conversation_id = str(content.get("conversation_id", ""))
        if not conversation_id or conversation_id in self._ended:
            return
        known = self._running.get(conversation_id)
        url = str(content.get("conversation_url", ""))
        self._running[conversation_id] = Conversation(
            conversation_id,
            url,
            str(content.get("join_url", url)),
            str(content.get("remote_user_id", "")),
            str(content.get("channel", "")),
            str(content.get("transport", "")),
            since_s=known.since_s if known else time.monotonic(),
        )
        if known is None:
            self._on_running(conversation_id)

    def end(
        self,
        conversation_id: str,
        reason: str,
        duration_ms: int = 0,
        user_id: str = "",
    ) -> None:
        """A conversation is over.

        Args:
            conversation_id: Which.
            reason: Why.
            duration_ms: How long it ran; 0 where that is not known yet.
            user_id: Whose it was, where it was not known.
        """
        news = conversation_id not in self._ended
        conversation = (
            self._running.pop(conversation_id, None)
            or self._ended.get(conversation_id)
            # Its answer may be on the way.
            or Conversation(conversation_id, "", "", user_id, "", "")
        )
        conversation.reason = reason
        conversation.duration_ms = duration_ms or conversation.duration_ms
        conversation.join_url = ""  # its token opens nothing any more
        self._ended[conversation_id] = conversation
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        if news:
            self._on_over(conversation_id, reason)
