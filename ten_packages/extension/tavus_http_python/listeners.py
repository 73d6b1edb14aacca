#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""One stream of events, and one user's streams with what they were told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

# A browser that is so many messages or bytes behind is not reading any more.
_QUEUE_LENGTH = 256
_QUEUE_BYTES = 4 * 1024 * 1024
# What a user who comes back can still be told.
_HISTORY_LENGTH = 256
_HISTORY_BYTES = 1024 * 1024


class Stream:
    """The events for one listener, until it is ended.

    Args:
        user_id: Who listens.
        on_stuck: Called when the listener does not read any more.
    """

    def __init__(self, user_id: str, on_stuck: Callable[[], None]) -> None:
        self.user_id = user_id
        self._on_stuck = on_stuck
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._news = asyncio.Event()

    def put(self, chunk: bytes) -> None:
        """Queues bytes for the listener; one who never reads is dropped."""
        if len(self._chunks) >= _QUEUE_LENGTH or self._size > _QUEUE_BYTES:
            self._on_stuck()
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._news.set()

    def end(self) -> None:
        """Lets ``get`` return None, whatever is queued."""
        self._ended = True
        self._news.set()

    async def get(self) -> bytes | None:
        """The next bytes to write; None when there will be no more."""
        while not (self._ended or self._chunks):
            self._news.clear()
            await self._news.wait()
        if self._ended:
            return None
        chunk = self._chunks.popleft()
        self._size -= len(chunk)
        return chunk


class Listener:
    """The streams of one user, and what they were told.

    Args:
        channel: Where the user is.
        now: The number of the last event before.
    """

    def __init__(self, channel: str, now: int) -> None:
        self.channel = channel
        self.streams: list[Stream] = []
        # Whoever has heard this event has missed nothing before the history.
        self._since = now
        self._history: deque[tuple[int, bytes]] = deque()
        self._size = 0
        self.left_at = 0.0

    def tell(self, number: int, chunk: bytes) -> None:
        """Hands an event to all streams, and to those that come back."""
        for stream in self.streams:
            stream.put(chunk)
        self._history.append((number, chunk))
        self._size += len(chunk)
        while (
            len(self._history) > _HISTORY_LENGTH or self._size > _HISTORY_BYTES
        ):
            self._since, oldest = self._history.popleft()
            self._size -= len(oldest)

    def missed(self, heard: int) -> list[bytes] | None:
        """What came after that event; None where that is not known."""
        if heard < self._since:
            return None
        return [chunk for number, chunk in self._history if number > heard]
