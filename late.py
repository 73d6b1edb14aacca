#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Names under which a conversation may still appear, minutes later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .errors import TavusError
from .journal import Entry
from .tavus_client import Conversation

# A request can lie in a gateway for minutes.
LATE_S = 600.0


class LateNames:
    """Looks for them now and then, for ``LATE_S`` each.

    Args:
        find: The active conversations of an entry's name.
        found: Called with the entry and with what nobody wants of it.
        over: Called with an entry whose time has passed.
    """

    def __init__(
        self,
        find: Callable[[Entry], Awaitable[list[Conversation]]],
        found: Callable[[Entry, list[Conversation]], None],
        over: Callable[[Entry], None],
    ) -> None:
        self._find = find
        self._found = found
        self._over = over
        self._until: dict[Entry, float] = {}

    def expect(self, entry: Entry) -> None:
        """A conversation of that name would be one too many.

        Args:
            entry: With the id of the one that is wanted, if one is.
        """
        now = asyncio.get_running_loop().time()
        self._until[entry] = now + LATE_S

    async def look(self) -> None:
        """Looks for all of them; they share one reading of the list."""
        now = asyncio.get_running_loop().time()
        looking = dict(self._until)
        await asyncio.gather(
            *(self._look_for(entry, now > looking[entry]) for entry in looking)
        )

    async def _look_for(self, entry: Entry, last: bool) -> None:
        try:
            found = await self._find(entry)
        except TavusError:
            return  # nor is it the last time then
        unwanted = [
            one
            for one in found
            if not entry.conversation_id
            or one.conversation_id != entry.conversation_id
        ]
        if unwanted:
            self._found(entry, unwanted)
        if last or (unwanted and not entry.conversation_id):
            self._until.pop(entry, None)
        if last and not unwanted:
            self._over(entry)
