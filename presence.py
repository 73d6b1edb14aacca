#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Who is there: a set of user ids, and a count where ids are missing."""

from __future__ import annotations


class Presence:
    """The users of one channel. Copes with doubled and nameless events.

    TEN requires ``remote_user_id`` neither on ``on_user_joined`` nor on
    ``on_user_left``. Where the two do not match, a leave still counts:
    better a call that ends early than one that never ends.
    """

    def __init__(self) -> None:
        self._named: set[str] = set()
        self._nameless = 0

    @property
    def anybody(self) -> bool:
        """Whether at least one user is there."""
        return bool(self._named) or self._nameless > 0

    def join(self, user_id: str) -> None:
        """A user is there; "" where the event did not say who."""
        if user_id:
            self._named.add(user_id)
        else:
            self._nameless += 1

    def leave(self, user_id: str) -> bool:
        """A user is gone.

        Returns:
            Whether anybody was there to go.
        """
        if user_id in self._named:
            self._named.remove(user_id)
        elif self._nameless:
            self._nameless -= 1
        elif self._named and not user_id:
            self._named.pop()
        else:
            return False
        return True
