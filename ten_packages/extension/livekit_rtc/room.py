#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Keeps the extension in its room: enters it, and enters it again."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from livekit import rtc

from . import tokens
from .config import LiveKitConfig
from .drops import Drops
from .errors import RoomError, redact
from .events import RoomEvents
from .outgoing import Outgoing
from .presence import Presence
from .visit import Visit

_FIRST_PAUSE_S = 0.5
_LAST_PAUSE_S = 10.0
_LONG_VISIT_S = 30.0
# TEN kills the process two seconds after it asked to stop.
_LEAVE_MAX_S = 1.0
_LEFT_MAX_S = 60.0

_Reason = rtc.DisconnectReason
_FINAL: dict[int, str] = {
    _Reason.DUPLICATE_IDENTITY: "another participant has joined with the same "
    "identity; give each its own (property identity)",
    _Reason.PARTICIPANT_REMOVED: "this participant was removed by the server's "
    "API",
    _Reason.ROOM_DELETED: "the room was deleted by the server's API",
}


class RoomKeeper:
    """One room, through losses of it.

    Args:
        config: Which room, and as whom.
        events: Told what happens.
        outgoing: What is published.
        drops: Told of what is dropped.
    """

    def __init__(
        self,
        config: LiveKitConfig,
        events: RoomEvents,
        outgoing: Outgoing,
        drops: Drops,
    ) -> None:
        self.config = config
        self._events = events
        self._outgoing = outgoing
        self._drops = drops
        self._presence = Presence(
            events.joined, events.left, config.rejoin_grace_ms / 1000
        )
        self._changing = asyncio.Lock()
        self._is_closed = False
        self._visit: Visit | None = None
        self._staying: asyncio.Task[None] | None = None
        self._entered: asyncio.Future[RoomError | None] | None = None

    @property
    def room(self) -> str:
        """The room's name; of a given token if nothing else says it."""
        return self.config.room or tokens.room_of(self.config.token)[0]

    @property
    def identity(self) -> str:
        """Who we are in the room."""
        config = self.config
        token = tokens.room_of(config.token)[1] if config.token else ""
        return token or config.identity

    async def start(self, room: str = "", token: str = "") -> None:
        """Begins to enter the room, if it does not stay in one.

        Args:
            room: Instead of the configured one, from now on.
            token: Instead of the configured one, from now on.

        Raises:
            RoomError: If it stays in another room, or is closed.
        """
        async with self._changing:
            if self._is_closed:
                raise RoomError("room", "the graph stops")
            if self._staying is None or self._staying.done():
                self.config = replace(
                    self.config,
                    room=room or self.config.room,
                    token=token or self.config.token,
                )
                self._entered = asyncio.get_running_loop().create_future()
                self._staying = asyncio.ensure_future(self._stay(self._entered))
            elif room and room != self.room:
                raise RoomError(
                    "room", f"already in {self.room}; leave it first"
                )

    async def join(self, room: str = "", token: str = "") -> None:
        """Enters the room like start, and waits until it is there.

        Raises:
            RoomError: When it is given up, or left meanwhile.
        """
        await self.start(room, token)
        assert self._entered is not None
        problem = await asyncio.shield(self._entered)
        if problem is not None:
            raise problem

    async def leave(self) -> None:
        """Leaves the room; all users count as gone. Takes 1 s at most."""
        async with self._changing:
            staying, self._staying = self._staying, None
            if staying is None or staying.done():
                return  # never there, or given up
            staying.cancel()
            await asyncio.gather(staying, return_exceptions=True)
            assert self._entered is not None
            if not self._entered.done():
                self._entered.set_result(RoomError("room", "the room was left"))
            self._presence.forget()
            if self._visit is not None:
                await self._visit.leave(_LEAVE_MAX_S)
            self._events.disconnected(_Reason.CLIENT_INITIATED)

    async def close(self) -> None:
        """Leaves the room for good."""
        self._is_closed = True
        await self.leave()

    async def _stay(self, entered: asyncio.Future[RoomError | None]) -> None:
        try:
            error = await self._stay_in(entered)
        except RoomError as problem:
            error = problem
        # pylint: disable-next=broad-exception-caught
        except Exception as problem:
            words = redact(repr(problem), *self.config.secrets)
            error = RoomError("internal", words)
        self._presence.forget()
        if self._visit is not None:
            await self._visit.leave(_LEAVE_MAX_S)
        self._events.failed(error)
        if not entered.done():
            entered.set_result(error)

    async def _stay_in(
        self, entered: asyncio.Future[RoomError | None]
    ) -> RoomError:
        """Stays through all losses but final ones, which are returned."""
        loop = asyncio.get_running_loop()
        pause_s = _FIRST_PAUSE_S
        while True:
            visit = await self._enter()
            begun = loop.time()
            if not entered.done():
                entered.set_result(None)
            reason = await visit.lost
            self._presence.lost()
            await visit.leave(_LEAVE_MAX_S)
            self._events.disconnected(reason)
            if reason in _FINAL:
                return RoomError("room", _FINAL[reason])
            if loop.time() - begun > _LONG_VISIT_S:
                pause_s = _FIRST_PAUSE_S
            await _pause(pause_s)
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    async def _enter(self) -> Visit:
        """Tries until it is in the room.

        Raises:
            RoomError: When that is hopeless, or takes too long.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self.config.reconnect_timeout_s
        pause_s = _FIRST_PAUSE_S
        while True:
            if self._visit is not None:
                # With one identity, a late one would throw out the next.
                await self._visit.left(_LEFT_MAX_S)
            visit = self._visit = Visit(
                self.config,
                self._events,
                self._presence,
                self._outgoing,
                self._drops,
            )
            try:
                await visit.enter(self.config.url, self._token())
                return visit
            except RoomError as error:
                await visit.leave(_LEAVE_MAX_S)
                if not error.may_pass or loop.time() + pause_s > end:
                    raise
                if pause_s == _FIRST_PAUSE_S:
                    self._events.problem(error)
            await _pause(pause_s)
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    def _token(self) -> str:
        config = self.config
        if config.token:
            return config.token
        return tokens.mint(
            config.api_key,
            config.api_secret,
            identity=config.identity,
            name=config.name,
            room=config.room,
            ttl_s=config.token_ttl_s,
            kind="agent",
            can_publish=config.publish_audio or config.publish_video,
            can_subscribe=config.subscribe_audio or config.subscribe_video,
            can_publish_data=config.publish_data,
        )


async def _pause(about_s: float) -> None:
    # Not all at once, when a server is back.
    await asyncio.sleep(about_s * random.uniform(0.8, 1.2))
