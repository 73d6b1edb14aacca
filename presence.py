#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Who is there, in which channel; a count where ids are missing."""

from __future__ import annotations


class Presence:
    """The users of one conversation. Copes with doubled and nameless events.

    TEN requires ``remote_user_id`` and ``channel`` neither on
    ``on_user_joined`` nor on ``on_user_left``. Where the two do not match, a
    leave still counts: better a call that ends early than one that never
    ends. Only who leaves another channel than all they are in is still there.
    """

    def __init__(self) -> None:
        # The channels of each user; "" for one that was not named.
        self._channels: dict[str, set[str]] = {}
        self._nameless = 0

    @property
    def anybody(self) -> bool:
        """Whether at least one user is there."""
        return bool(self._channels) or self._nameless > 0

    def join(self, user_id: str, channel: str = "") -> None:
        """A user is there.

        Args:
            user_id: Who; "" where the event did not say.
            channel: Where; "" likewise.
        """
        if user_id:
            self._channels.setdefault(user_id, set()).add(channel)
        else:
            self._nameless += 1

    def leave(self, user_id: str, channel: str = "") -> bool:
        """A user has left.

        Args:
            user_id: Who; "" where the event did not say.
            channel: Which channel; "" for every one.

        Returns:
            Whether anybody was there to leave.
        """
        if user_id in self._channels:
            return self._leave_channel(user_id, channel)
        if self._nameless:
            self._nameless -= 1
        elif self._channels and not user_id:
            self._channels.popitem()
        else:
            return False
        return True

    def _leave_channel(self, user_id: str, channel: str) -> bool:
        channels = self._channels[user_id]
        left = {channel, ""} & channels if channel else channels
        if not left:
            return False
        self._channels[user_id] = channels - left
        if not self._channels[user_id]:
            del self._channels[user_id]
        return True
