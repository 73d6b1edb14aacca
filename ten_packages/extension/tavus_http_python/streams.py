#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Who listens to events: one stream per browser tab, one presence per user."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .answers import Refusal
from .conversations import Conversations
from .graph import Graph
from .listeners import Listener, Stream
from .presence import Presence

# So long, and so many, users are known who have gone.
_HISTORY_S = 60.0
_ABSENT_USERS = 10_000
# Kinds of errors that no user can do anything about, or has to know of.
_FOR_OPERATORS = ("journal",)
_STOP_TIMEOUT_S = 0.1

CREATED = "tavus_conversation_created"
ENDED = "tavus_conversation_ended"
EVENT = "tavus_event"


class Streams:
    """All open streams; tells the graph who is there.

    A user with several streams has joined once, and leaves with the last.

    Args:
        graph: Hears of joins and leaves.
        conversations: What runs, for those who come anew.
        warn: Takes a line for the log.
        most_per_user: How many streams one user may open.
        on_count: Hears how many streams are open.
    """

    def __init__(
        self,
        graph: Graph,
        conversations: Conversations,
        warn: Callable[[str], None],
        *,
        most_per_user: int,
        on_count: Callable[[int], None],
    ) -> None:
        self._presence = Presence(graph, self._fail)
        self._conversations = conversations
        self._warn = warn
        self._most_per_user = most_per_user
        self._on_count = on_count
        self._count = 0
        self._epoch = secrets.token_hex(4)
        # Of the last event. The first is 2: who has heard "0" is unknown.
        self._number = 1
        self._users: dict[str, Listener] = {}
        self._absent: OrderedDict[str, Listener] = OrderedDict()

    def open(
        self,
        user_id: str,
        channel: str,
        heard: str,
        on_stuck: Callable[[], None],
    ) -> Stream:
        """Adds a listener.

        Args:
            user_id: The ``remote_user_id`` of the join.
            channel: The channel of the join.
            heard: The id of the last event that was heard, or "".
            on_stuck: Called when the listener does not read any more.

        Returns:
            Its stream: ``ready`` is queued, and after it what was missed,
            or what runs.

        Raises:
            Refusal: The user has too many streams.
        """
        user = self._users.get(user_id)
        if user is None:
            user = self._user(user_id, channel)
            self._users[user_id] = user
            self._presence.joined(user_id, channel)
        elif len(user.streams) >= self._most_per_user:
            raise Refusal(
                "too_many",
                f"{self._most_per_user} event streams of one user are open; "
                "close a tab",
                retry_after_s=1,
            )
        stream = Stream(user_id, on_stuck)
        stream.put(self._greeting(user_id, user, heard))
        user.streams.append(stream)
        self._counted(1)
        return stream

    def close(self, stream: Stream) -> None:
        """Removes a listener; never blocks, never raises."""
        user = self._users[stream.user_id]
        user.streams.remove(stream)
        self._counted(-1)
        if not user.streams:
            del self._users[stream.user_id]
            user.left_at = asyncio.get_running_loop().time()
            self._absent[stream.user_id] = user
            if len(self._absent) > _ABSENT_USERS:
                self._absent.popitem(last=False)
            self._presence.left(stream.user_id, user.channel)

    def publish(self, name: str, content: Mapping[str, Any]) -> None:
        """Hands a data message of the graph to those it concerns.

        Args:
            name: ``tavus_*`` goes out under its name, ``error`` as
                ``tavus_error``; others do not go out, nor does what is for
                operators only.
            content: Its properties. With a ``remote_user_id`` it is for that
                user alone: join URLs may hold tokens.
        """
        if name == "error":
            name, content = "tavus_error", _trouble(content)
            if content["kind"] in _FOR_OPERATORS:
                return
        elif not name.startswith("tavus_"):
            return
        user_id = str(content.get("remote_user_id", ""))
        if user_id:
            user = self._users.get(user_id) or self._absent.get(user_id)
            self._hand_out(name, content, [user] if user else [])
        else:
            everybody = [*self._users.values(), *self._absent.values()]
            self._hand_out(name, content, everybody)

    def interaction(self, owner: str, message: Mapping[str, Any]) -> bool:
        """Hands an app message to one user, whose page says it in the room.

        Args:
            owner: Whose conversation it is; of everybody's, the user who has
                been here longest says it.
            message: The app message.

        Returns:
            Whether that user is there.
        """
        user_id = owner or next(iter(self._users), "")
        user = self._users.get(user_id)
        if user is not None:
            self._hand_out("tavus_interaction", message, [user])
        return user is not None

    def end_all(self) -> None:
        """Ends every stream; their closing tells the graph."""
        for user in self._users.values():
            for stream in user.streams:
                stream.end()

    async def stop(self) -> None:
        """Lets the last leaves reach the graph, for a moment."""
        await self._presence.stop(_STOP_TIMEOUT_S)

    def _user(self, user_id: str, channel: str) -> Listener:
        """Who comes back within a minute is known."""
        too_long_ago = asyncio.get_running_loop().time() - _HISTORY_S
        while self._absent:
            oldest = next(iter(self._absent.values()))
            if oldest.left_at >= too_long_ago:
                break
            self._absent.popitem(last=False)
        user = self._absent.pop(user_id, None)
        if user is None:
            return Listener(channel, self._number)
        user.channel = channel
        return user

    def _greeting(self, user_id: str, user: Listener, heard: str) -> bytes:
        """``ready`` and what follows it, as one piece."""
        running = self._conversations.of(user_id)
        ready = {
            "user_id": user_id,
            "resumed": False,
            "conversation_ids": [each.conversation_id for each in running],
        }
        missed = user.missed(self._number_of(heard))
        if missed is not None:
            ready["resumed"] = True
            return _chunk(heard, "ready", ready) + b"".join(missed)
        events = [("ready", ready)]
        events += [(CREATED, each.event) for each in running]
        # Until all is told it has heard nothing that can be resumed from.
        ids = [self._id(0)] * (len(events) - 1) + [self._id(self._number)]
        return b"".join(
            _chunk(id_, name, content)
            for id_, (name, content) in zip(ids, events, strict=True)
        )

    def _id(self, number: int) -> str:
        return f"{self._epoch}-{number}"

    def _number_of(self, heard: str) -> int:
        """The number in an event's id; 0 where it is none of this process."""
        epoch, _, number = heard.partition("-")
        known = epoch == self._epoch and number.isascii() and number.isdigit()
        known = known and len(number) < 16
        return int(number) if known and int(number) <= self._number else 0

    def _hand_out(
        self, name: str, content: Mapping[str, Any], users: Sequence[Listener]
    ) -> None:
        # Counted also where nobody hears it: who comes back has missed it.
        self._number += 1
        if not users:
            return
        chunk = _chunk(self._id(self._number), name, content)
        for user in users:
            user.tell(self._number, chunk)

    def _counted(self, more: int) -> None:
        self._count += more
        self._on_count(self._count)

    def _fail(self, user_id: str, kind: str, detail: str) -> None:
        self._warn(detail)
        if kind == "internal":
            detail = "internal error, see the log"
        self.publish(
            "tavus_error",
            {"kind": kind, "detail": detail, "remote_user_id": user_id},
        )


def _trouble(error: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a ten_ai_base ``ModuleError`` that is for browsers."""
    metadata = error.get("metadata")
    if not isinstance(metadata, Mapping):
        metadata = {}
    return {
        "kind": str(metadata.get("kind", "unknown")),
        "detail": str(error.get("message", "")),
        "retrying": metadata.get("retrying") is True,
        "remote_user_id": str(metadata.get("remote_user_id", "")),
    }


def _chunk(id_: str, name: str, content: Mapping[str, Any]) -> bytes:
    data = json.dumps(content, ensure_ascii=False)
    text = f"id: {id_}\nevent: {name}\ndata: {data}\n\n"
    return text.encode("utf-8", "replace")
