#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What runs at Tavus by its own list, read once for all who look."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field

from .tavus_client import Conversation, TavusClient

_RANDOM_PART = re.compile(r"[0-9a-f]{16}$")
# Who comes later waits: a page that hangs holds up few, and many who look
# ask for little.
_AT_ONCE = 3


class Listings:
    """Reads the list of active conversations.

    Who asks before a reading begins shares it; each is answered as soon as
    possible, and it goes on for those who are not.

    Args:
        client: Whom to ask.
    """

    def __init__(self, client: TavusClient) -> None:
        self._client = client
        self._running: set[asyncio.Task[None]] = set()
        self._waiting: asyncio.Task[None] | None = None
        self._next: list[_Seeker] = []

    async def find(
        self,
        name: str,
        conversation_id: str = "",
        *,
        first: bool = False,
        glance: bool = False,
    ) -> list[Conversation]:
        """The active conversations of that name, asked after this call.

        Args:
            name: As it was sent. Its random part is enough, in any case:
                Tavus may write the rest of it otherwise.
            conversation_id: This one too, whatever its name.
            first: Those of the first page that has any are enough. The list
                has the newest first.
            glance: Those of the very first page are: that it has none says
                nothing.

        Returns:
            What was found. One whose id cannot be read, so that it can be
            neither used nor ended, has the id "".

        Raises:
            TavusError: Tavus could not be asked.
        """
        seeker = _Seeker(known_by(name), conversation_id, first, glance)
        self._next.append(seeker)
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._read_next())
        return await seeker.answer

    async def close(self) -> None:
        """Reads no more."""
        tasks = [*self._running, *([self._waiting] if self._waiting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_next(self) -> None:
        while len(self._running) >= _AT_ONCE:
            await asyncio.wait(
                self._running, return_when=asyncio.FIRST_COMPLETED
            )
        seekers, self._next = self._next, []
        reading, self._waiting = self._waiting, None
        if reading is not None:
            self._running.add(reading)
            reading.add_done_callback(self._running.discard)
        try:
            await self._read(seekers)
        # Whoever looks is told, whatever it is.
        # pylint: disable-next=broad-exception-caught
        except Exception as error:
            for seeker in seekers:
                if not seeker.answer.done():
                    seeker.answer.set_exception(error)
        finally:
            for seeker in seekers:
                seeker.answer.cancel()

    async def _read(self, seekers: list[_Seeker]) -> None:
        by_name: dict[str, list[_Seeker]] = {}
        by_id: dict[str, list[_Seeker]] = {}
        for seeker in seekers:
            by_name.setdefault(seeker.known_by, []).append(seeker)
            if seeker.conversation_id:
                by_id.setdefault(seeker.conversation_id, []).append(seeker)
        async for page in self._client.conversation_pages("active"):
            for one in page:
                if one.status.casefold() == "ended":
                    continue  # it does not heed the query
                for seeker in (
                    *by_name.get(known_by(one.conversation_name), ()),
                    *by_id.get(one.conversation_id, ()),
                ):
                    seeker.found[one.conversation_id] = one
            for seeker in seekers:
                if seeker.glance or (seeker.first and seeker.found):
                    seeker.give()
            if all(seeker.answer.done() for seeker in seekers):
                return
        for seeker in seekers:
            seeker.give()


@dataclass
class _Seeker:
    """Somebody who looks, and what was found so far."""

    known_by: str
    conversation_id: str
    first: bool
    glance: bool
    found: dict[str, Conversation] = field(default_factory=dict)
    answer: asyncio.Future[list[Conversation]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def give(self) -> None:
        if not self.answer.done():
            self.answer.set_result([*self.found.values()])


def known_by(name: str) -> str:
    """The random part of a name, or all of a name that is not ours."""
    name = name.casefold().strip()
    random_part = _RANDOM_PART.search(name)
    return random_part[0] if random_part else name
