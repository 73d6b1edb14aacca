#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Which users are told of as being there, through losses of the room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable


class Presence:
    """Tells each user's coming and going once.

    While the room is lost, and for a grace after, nobody is told as gone:
    a client that lost the same server needs a moment to come back, too.

    Args:
        joined: Told the identity of who has come.
        left: Told the identity of who has gone.
        grace_s: How long after the room is back.
    """

    def __init__(
        self,
        joined: Callable[[str], None],
        left: Callable[[str], None],
        grace_s: float,
    ) -> None:
        self._joined = joined
        self._left = left
        self._grace_s = grace_s
        self._told: dict[str, None] = {}
        self._here: set[str] = set()
        self._is_lost = False
        self._grace: asyncio.TimerHandle | None = None

    def arrived(self, identity: str) -> None:
        """A user is in the room."""
        self._here.add(identity)
        if identity not in self._told:
            self._told[identity] = None
            self._joined(identity)

    def departed(self, identity: str, on_purpose: bool) -> None:
        """A user is in the room no more.

        Args:
            identity: Whose.
            on_purpose: Whether it surely does not come back by itself.
        """
        self._here.discard(identity)
        doubtful = self._is_lost or self._grace is not None
        if on_purpose or not doubtful:
            self._tell_left(identity)

    def lost(self) -> None:
        """The room is lost: who is there is not known."""
        self._is_lost = True
        self._end_grace()

    def back(self, here: Iterable[str]) -> None:
        """The room is entered, or back; these users are in it."""
        self._is_lost = False
        self._end_grace()
        self._here = set(here)
        for identity in sorted(self._here):
            self.arrived(identity)
        if not self._here.issuperset(self._told):
            self._grace = asyncio.get_running_loop().call_later(
                self._grace_s, self._settle
            )

    def forget(self) -> None:
        """The room is left: all users are gone."""
        self._is_lost = False
        self._here.clear()
        self._settle()

    def _settle(self) -> None:
        self._end_grace()
        for identity in [i for i in self._told if i not in self._here]:
            self._tell_left(identity)

    def _tell_left(self, identity: str) -> None:
        if identity in self._told:
            del self._told[identity]
            self._left(identity)

    def _end_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
