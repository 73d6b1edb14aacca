#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""One stay in a LiveKit room, from connecting to having left."""

from __future__ import annotations

import asyncio

from livekit import rtc

from .config import LiveKitConfig
from .drops import Drops
from .errors import RoomError, connect_error
from .events import RoomEvents
from .incoming import Incoming
from .outgoing import Outgoing
from .participants import counts
from .presence import Presence

# The SDK itself ends an attempt long before: after four times the timeout,
# and some seconds.
_CONNECT_MAX_S = 300.0
_TEXT_MAX_BYTES = 1_000_000
# Those that are being ended: the loop alone does not keep a task alive.
_ENDINGS: set[asyncio.Task[None]] = set()


class Visit:
    """A room, its events, and what is heard and published in it.

    Args:
        config: What is wanted.
        events: Told what happens.
        presence: Told who is there.
        outgoing: What is published.
        drops: Told of what is dropped.
    """

    def __init__(
        self,
        config: LiveKitConfig,
        events: RoomEvents,
        presence: Presence,
        outgoing: Outgoing,
        drops: Drops,
    ) -> None:
        self._config = config
        self._events = events
        self._presence = presence
        self._outgoing = outgoing
        self._room = room = rtc.Room()
        self._incoming = Incoming(room, config, events, drops)
        self._connecting: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._is_in = False
        self.lost: asyncio.Future[int] = (
            asyncio.get_running_loop().create_future()
        )
        room.on("participant_connected", self._came)
        room.on("participant_disconnected", self._went)
        room.on("reconnecting", self._reconnecting)
        room.on("reconnected", self._reconnected)
        room.on("disconnected", self._disconnected)

    async def enter(self, url: str, token: str) -> None:
        """Enters the room, publishes, and tells who is there.

        Raises:
            RoomError: If it cannot be entered, or nothing published.
        """
        options = rtc.RoomOptions(
            auto_subscribe=False,
            connect_timeout=self._config.connect_timeout_s,
            data_stream=rtc.DataStreamOptions(
                max_payload_byte_length=_TEXT_MAX_BYTES
            ),
        )
        # Never cancelled: the SDK would enter all the same, and nobody leave.
        self._connecting = asyncio.ensure_future(
            self._room.connect(url, token, options)
        )
        done, _ = await asyncio.wait({self._connecting}, timeout=_CONNECT_MAX_S)
        if not done:
            raise RoomError("timeout", "the SDK does not connect")
        problem = self._connecting.exception()
        if isinstance(problem, rtc.ConnectError):
            raise connect_error(problem.message, *self._config.secrets, token)
        if problem is not None:
            raise problem
        forbidden = await self._outgoing.enter(self._room)
        self._is_in = True
        self._events.connected()
        self._meet_all()
        for error in forbidden:
            self._events.problem(error)

    async def leave(self, timeout_s: float) -> None:
        """Leaves the room.

        Args:
            timeout_s: How long to wait for it; it goes on, if that is not
                enough, and ``left`` waits on.
        """
        self._outgoing.leave()
        await self._incoming.stop()
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end())
            _ENDINGS.add(self._ending)
            self._ending.add_done_callback(_ENDINGS.discard)
        await self.left(timeout_s)

    async def left(self, timeout_s: float) -> None:
        """Waits until the room is left, so that it can be entered anew."""
        if self._ending is not None:
            await asyncio.wait({self._ending}, timeout=timeout_s)

    async def _end(self) -> None:
        if self._connecting is not None:
            await asyncio.wait({self._connecting})
            self._connecting.exception()
        await self._room.disconnect()

    def _meet_all(self) -> None:
        users = [
            participant
            for participant in self._room.remote_participants.values()
            if counts(participant, self._config.count_agents)
        ]
        self._presence.back(user.identity for user in users)
        for user in users:
            for publication in user.track_publications.values():
                self._incoming.subscribe(publication, user)

    def _came(self, participant: rtc.RemoteParticipant) -> None:
        if self._is_in and counts(participant, self._config.count_agents):
            self._presence.arrived(participant.identity)

    def _went(self, participant: rtc.RemoteParticipant) -> None:
        if self._is_in:
            # Without a reason the SDK starts anew, or a line is broken.
            on_purpose = participant.disconnect_reason is not None
            self._presence.departed(participant.identity, on_purpose)

    def _reconnecting(self) -> None:
        if self._is_in:
            self._presence.lost()
            self._events.connection_lost()

    def _reconnected(self) -> None:
        # Our tracks are published anew by the SDK.
        if self._is_in:
            self._events.connected()
            self._meet_all()

    def _disconnected(self, reason: int) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
