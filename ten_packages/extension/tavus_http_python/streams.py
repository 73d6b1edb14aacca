#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Who listens to events: one stream per browser tab, one presence per user."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .graph import Graph, GraphError

# A browser that is so many messages behind is not reading any more.
_QUEUE_LENGTH = 256
# Joins and leaves are answered at once; without an answer something is wrong.
_TELL_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 0.1

CREATED = "tavus_conversation_created"
ENDED = "tavus_conversation_ended"


class Stream:
    """The events for one listener, until ``ended`` is set.

    Args:
        user_id: Who listens.
    """

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.ended = asyncio.Event()
        self.stuck = False
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE_LENGTH)

    def put(self, chunk: bytes) -> None:
        """Queues bytes for the listener; one who never reads is dropped."""
        try:
            self._chunks.put_nowait(chunk)
        except asyncio.QueueFull:
            self.stuck = True
            self.ended.set()

    async def get(self) -> bytes:
        """The next bytes to write."""
        return await self._chunks.get()


@dataclass
class _User:
    channel: str
    streams: list[Stream] = field(default_factory=list)


class Streams:
    """All open streams; tells the graph who is there.

    A user with several streams has joined once, and leaves with the last.

    Args:
        graph: Hears of joins and leaves.
        warn: Takes a line for the log.
    """

    def __init__(self, graph: Graph, warn: Callable[[str], None]) -> None:
        self._graph = graph
        self._warn = warn
        self._users: dict[str, _User] = {}
        # By user; "" is a conversation for everybody.
        self._running: dict[str, Mapping[str, Any]] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def open(self, user_id: str, channel: str) -> Stream:
        """Adds a listener: hears first of the conversation that runs.

        Args:
            user_id: The ``remote_user_id`` of the join.
            channel: The channel of the join.
        """
        stream = Stream(user_id)
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _User(channel)
            self._tell(user_id, self._graph.joined(user_id, channel))
        user.streams.append(stream)
        for key in ("", user_id):
            if key in self._running:
                stream.put(_chunk(CREATED, self._running[key]))
        return stream

    def close(self, stream: Stream) -> None:
        """Removes a listener; never blocks, never raises."""
        user = self._users[stream.user_id]
        user.streams.remove(stream)
        if not user.streams:
            del self._users[stream.user_id]
            self._tell(
                stream.user_id,
                self._graph.left(stream.user_id, user.channel),
            )

    def publish(self, name: str, content: Mapping[str, Any]) -> None:
        """Hands a data message of the graph to those it concerns.

        Args:
            name: ``tavus_*`` goes out under its name, ``error`` as
                ``tavus_error``; others do not go out.
            content: Its properties. With a ``remote_user_id`` it is for that
                user alone: join URLs may hold tokens.
        """
        if name == "error":
            name, content = "tavus_error", _trouble(content)
        elif not name.startswith("tavus_"):
            return
        user_id = str(content.get("remote_user_id", ""))
        if name == CREATED:
            self._running[user_id] = content
        elif name == ENDED and self._is_running(
            user_id, content.get("conversation_id")
        ):
            del self._running[user_id]
        chunk = _chunk(name, content)
        for stream in self._listeners(user_id):
            stream.put(chunk)

    def anybody_with(self, user_id: str, conversation_id: str) -> bool:
        """Whether somebody listens who is in that conversation.

        Args:
            user_id: Who asked for the conversation.
            conversation_id: The conversation.
        """
        shared = self._is_running("", conversation_id)
        return bool(self._users) if shared else user_id in self._users

    def end_all(self) -> None:
        """Ends every stream; their closing tells the graph."""
        for stream in self._listeners(""):
            stream.ended.set()

    async def stop(self) -> None:
        """Lets the last leaves reach the graph, for a moment."""
        if self._telling:
            await asyncio.wait(self._telling, timeout=_STOP_TIMEOUT_S)
        telling = list(self._telling)
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)

    def _is_running(self, user_id: str, conversation_id: object) -> bool:
        running = self._running.get(user_id, {})
        return running.get("conversation_id") == conversation_id

    def _listeners(self, user_id: str) -> Iterator[Stream]:
        if not user_id:
            for user in self._users.values():
                yield from user.streams
        elif user_id in self._users:
            yield from self._users[user_id].streams

    def _tell(self, user_id: str, call: Coroutine[Any, Any, None]) -> None:
        # Tasks start in the order in which they are made, so a leave never
        # overtakes the join before it.
        task = asyncio.create_task(self._told(user_id, call))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _told(
        self, user_id: str, call: Coroutine[Any, Any, None]
    ) -> None:
        try:
            await asyncio.wait_for(call, _TELL_TIMEOUT_S)
        except asyncio.TimeoutError:
            self._fail(user_id, "timeout", "the graph does not answer")
        except GraphError as error:
            self._fail(user_id, error.kind, error.detail)

    def _fail(self, user_id: str, kind: str, detail: str) -> None:
        self._warn(detail)
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
        "remote_user_id": str(metadata.get("remote_user_id", "")),
    }


def _chunk(name: str, content: Mapping[str, Any]) -> bytes:
    data = json.dumps(content, ensure_ascii=False)
    return f"event: {name}\ndata: {data}\n\n".encode("utf-8", "replace")
