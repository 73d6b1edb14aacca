#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What runs at Tavus by its own list, read once for all who look."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from .tavus_client import Conversation, TavusClient

_RANDOM_PART = re.compile(r"[0-9a-f]{16}$")


class Listings:
    """Reads the list of active conversations.

    Callers share it, so that a thousand of them cost two.

    Args:
        client: Whom to ask.
        moving: Whether conversations are being ended, which moves the rest
            across the pages of the list.
    """

    def __init__(self, client: TavusClient, moving: Callable[[], bool]) -> None:
        self._client = client
        self._moving = moving
        self._running: asyncio.Task[_Listing] | None = None
        self._next: asyncio.Task[_Listing] | None = None

    async def find(
        self, name: str, conversation_id: str = ""
    ) -> list[Conversation]:
        """The active conversations of that name, asked after this call.

        Args:
            name: As it was sent. Its random part is enough, in any case:
                Tavus may write the rest of it otherwise.
            conversation_id: This one too, whatever its name.

        Returns:
            What was found. One whose id cannot be read, so that it can be
            neither used nor ended, has the id "".

        Raises:
            TavusError: Tavus could not be asked.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._read_after(self._running))
            # Read here too: every caller may have been cancelled meanwhile.
            self._next.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )
        listing = await asyncio.shield(self._next)
        return listing.find(name, conversation_id)

    async def close(self) -> None:
        """Reads no more."""
        tasks = [task for task in (self._running, self._next) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_after(
        self, running: asyncio.Task[_Listing] | None
    ) -> _Listing:
        if running is not None:
            await asyncio.wait([running])
        self._running, self._next = self._next, None
        listing = _Listing()
        for _ in range(2 if self._moving() else 1):
            async for one in self._client.list_conversations(status="active"):
                listing.add(one)
        return listing


class _Listing:
    """One reading of the list, by name and by id."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[str, Conversation]] = {}
        self._by_id: dict[str, Conversation] = {}

    def add(self, one: Conversation) -> None:
        if one.status.casefold() == "ended":  # it does not heed the query
            return
        of_name = self._by_name.setdefault(_known_by(one.conversation_name), {})
        of_name[one.conversation_id] = one
        if one.conversation_id:
            self._by_id[one.conversation_id] = one

    def find(self, name: str, conversation_id: str) -> list[Conversation]:
        found = dict(self._by_name.get(_known_by(name), {}))
        if conversation_id in self._by_id:
            found[conversation_id] = self._by_id[conversation_id]
        return [*found.values()]


def _known_by(name: str) -> str:
    """The random part of a name, or all of a name that is not ours."""
    name = name.casefold().strip()
    random_part = _RANDOM_PART.search(name)
    return random_part[0] if random_part else name
