#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""LiveKit: the graph talks, and Tavus lends the face, in the users' room.

Protocol: livekit/agents, ``voice/avatar/_datastream_io.py``; what Tavus is
told: livekit-plugins-tavus, ``avatar.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any

from livekit import rtc

from ..config import TavusConfig
from ..errors import (
    TavusAvatarError,
    TavusCancelledError,
    TavusError,
    TavusNetworkError,
    TavusTimeoutError,
)
from ..redaction import mask_log
from ..tavus_client import Conversation
from . import News, Problem, Show, Stage, Tell, Transport, Trouble
from .livekit_bridge import Bridge
from .livekit_room import (
    AVATAR_IDENTITY,
    avatar_in,
    avatar_token,
    our_token,
    refusal,
)
from .livekit_speaker import Speaker
from .voice import Voice

_WATCH_EVERY_S = 0.5
_GONE_S = 3.0
# Leaving a room whose server does not answer.
_LEAVE_S = 2.0
# Those who are leaving, also when nobody waits for them any more.
FAREWELLS: set[asyncio.Task[None]] = set()
_AVATAR_EVENTS = (
    "participant_connected",
    "participant_active",
    "track_published",
    "track_unpublished",
)


class LiveKitTransport(Transport):
    """A participant of one LiveKit room for each conversation.

    Args:
        config: The validated properties.
        show: Awaited with the avatar's audio and video (``media_bridge``).
        log: Where trouble is reported.
    """

    def __init__(
        self, config: TavusConfig, show: Show, log: logging.Logger
    ) -> None:
        super().__init__(log)
        # The SDK's own log quotes tokens that a server refuses.
        mask_log("livekit")
        self.config = config
        self.show = show
        self.voice = self._voice = Voice(log)

    def stage(self, tell: Tell) -> Stage:
        return LiveKitStage(self, self._voice, tell)

    def is_avatar(self, user_id: str) -> bool:
        return user_id == AVATAR_IDENTITY


class LiveKitStage(Stage):
    """One conversation's participant, and the avatar it speaks through."""

    def __init__(
        self, transport: LiveKitTransport, voice: Voice, tell: Tell
    ) -> None:
        self._transport = transport
        self._config = transport.config
        self._log = transport.log
        self._tell = tell
        self._room = rtc.Room()
        self._joining: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()
        self._conversation_id = ""
        # Avatars of earlier conversations that are still there.
        self._strangers: set[str] = set()
        self._began_at = 0.0
        self._video_by: float | None = None
        self._gone_at: float | None = None
        self._watching: asyncio.TimerHandle | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._voice = voice
        self._speaker = Speaker(self._room, voice, self._say, self._log)
        self._bridge = (
            Bridge(transport.show, self._log)
            if self._config.media_bridge
            else None
        )

    async def open(self) -> Mapping[str, Any]:
        await self._transport.settled()
        if self._closed.is_set():
            raise TavusCancelledError("it was ended before it had begun")
        config, room = self._config, self._room
        for name in _AVATAR_EVENTS:
            room.on(name, self._look)
        room.on("participant_disconnected", self._participant_left)
        room.on("disconnected", self._lost)
        if self._bridge is not None:
            room.on("track_subscribed", self._subscribed)
        self._joining = asyncio.create_task(
            room.connect(
                config.livekit_url,
                our_token(config),
                rtc.RoomOptions(
                    auto_subscribe=False,
                    connect_timeout=config.connect_timeout_s,
                ),
            )
        )
        await self._joined(self._joining)
        avatar = room.remote_participants.get(AVATAR_IDENTITY)
        if avatar is not None:
            self._strangers.add(avatar.sid)
        self._speaker.listen()
        return {
            "properties": {
                "livekit_ws_url": config.livekit_avatar_url
                or config.livekit_url,
                "livekit_room_token": avatar_token(config),
            }
        }

    def began(self, conversation: Conversation) -> None:
        if self._closed.is_set():
            return
        self._conversation_id = conversation.conversation_id
        self._voice.losses.listeners.add(self._lost_audio)
        if not self._room.isconnected():
            self._lost(rtc.DisconnectReason.UNKNOWN_REASON)
            return
        self._began_at = time.monotonic()
        self._video_by = self._began_at + self._config.avatar_join_timeout_s
        self._look()
        self._watch()

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._speaker.close()
        self._voice.losses.listeners.discard(self._lost_audio)
        self._closed.set()
        if self._watching is not None:
            self._watching.cancel()
        if self._speaking is not None:
            self._speaking.cancel()
        self._transport.leave(self._leave())

    async def _joined(self, joining: asyncio.Task[None]) -> None:
        """Waits until we are in the room; see ``_disconnect``, too."""
        closing = asyncio.create_task(self._closed.wait())
        try:
            await asyncio.wait(
                (joining, closing),
                timeout=self._config.connect_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            closing.cancel()
        if self._closed.is_set():
            raise TavusCancelledError("it was ended before it had begun")
        if not joining.done():
            raise TavusTimeoutError(
                "cannot enter the LiveKit room in time",
                sent=False,
                hint="check livekit_url, and that the LiveKit server runs",
            )
        if (error := joining.exception()) is not None:
            raise refusal(self._config, str(error)) from None

    async def _leave(self) -> None:
        try:
            if self._speaking is not None:
                await asyncio.wait([self._speaking], timeout=_LEAVE_S)
            if self._bridge is not None:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._bridge.close(), _LEAVE_S)
        finally:
            if self._joining is not None:
                farewell = asyncio.create_task(self._disconnect(self._joining))
                FAREWELLS.add(farewell)
                farewell.add_done_callback(FAREWELLS.discard)
                await asyncio.shield(farewell)

    async def _disconnect(self, joining: asyncio.Task[None]) -> None:
        # Never cancelled: where nobody takes a room that it has entered, the
        # SDK panics, and ends the process.
        await asyncio.wait([joining])
        if joining.cancelled() or joining.exception() is not None:
            return
        try:
            await asyncio.wait_for(self._room.disconnect(), _LEAVE_S)
        except asyncio.TimeoutError:
            self._log.warning("the LiveKit server does not see us off")

    # The avatar.

    @property
    def _avatar(self) -> rtc.RemoteParticipant | None:
        avatar = avatar_in(self._room)
        if avatar is None or avatar.sid in self._strangers:
            return None
        return avatar

    def _look(self) -> None:
        """Whether the avatar is there, and shows itself."""
        avatar = self._avatar
        if not self._conversation_id or self._closed.is_set() or not avatar:
            return
        self._gone_at = None
        tracks = avatar.track_publications.values()
        if self._bridge is not None:
            for publication in tracks:
                publication.set_subscribed(True)
        if not any(t.kind == rtc.TrackKind.KIND_VIDEO for t in tracks):
            if self._video_by is None:  # it had shown itself before
                limit_s = self._config.avatar_join_timeout_s
                self._video_by = time.monotonic() + limit_s
            return
        self._video_by = None
        before = self._speaking
        if before is None or before.done():
            self._speaking = asyncio.create_task(self._speaker.speak())
            self._speaking.add_done_callback(self._spoken)
        if before is None:
            join_ms = round((time.monotonic() - self._began_at) * 1000, 1)
            self._say(
                "avatar_joined",
                {"identity": AVATAR_IDENTITY},
                {"avatar_join_ms": join_ms},
            )

    def _subscribed(
        self,
        track: rtc.Track,
        _publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        avatar = self._avatar
        if self._closed.is_set():
            return
        if self._bridge is not None and avatar is participant:
            self._bridge.carry(track)

    # Trouble.

    def _watch(self) -> None:
        now = time.monotonic()
        limit_s = self._config.avatar_join_timeout_s
        if self._video_by is not None and now > self._video_by:
            if self._avatar is None:
                what, reason = "has not joined", "avatar_absent"
            else:
                what, reason = "shows no video", "avatar_no_video"
            self._fail(reason, f"the avatar {what} within {limit_s:g} s")
        elif stuck := self._speaker.stuck(now):
            self._fail("avatar_stuck", stuck)
        elif self._gone_at is not None and now > self._gone_at + _GONE_S:
            self._fail("avatar_gone", "the avatar has left the room", gone=True)
        else:
            connected = rtc.ConnectionState.CONN_CONNECTED
            if self._gone_at and self._room.connection_state != connected:
                self._gone_at = now  # nobody can be seen
            self._watching = asyncio.get_running_loop().call_later(
                _WATCH_EVERY_S, self._watch
            )

    def _participant_left(self, participant: rtc.RemoteParticipant) -> None:
        # Who connects anew, we or it, seems to leave and is back at once.
        if (
            participant.identity == AVATAR_IDENTITY
            and participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
            and participant.sid not in self._strangers
        ):
            self._gone_at = time.monotonic()
            self._speaker.left()
            if self._speaking is not None:
                self._speaking.cancel()

    def _lost(self, reason: rtc.DisconnectReason.ValueType) -> None:
        name = rtc.DisconnectReason.Name(reason)
        error = TavusNetworkError(
            f"the connection to the LiveKit room is lost ({name})",
            sent=False,
            retryable=False,
            hint="check the LiveKit server; a new join starts anew",
        )
        self._trouble("room_lost", error, again=False)

    def _spoken(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._look()  # it may be back by now
        elif error := task.exception():
            self._log.error("cannot speak", exc_info=error)
            self._fail("internal", f"internal error: {error!r}")

    def _lost_audio(self, error: TavusError) -> None:
        if not self._closed.is_set():
            self._tell(Problem(error))

    def _fail(self, reason: str, message: str, gone: bool = False) -> None:
        self._trouble(reason, TavusAvatarError(message), gone=gone)

    def _trouble(self, reason: str, error: TavusError, **how: bool) -> None:
        if self._conversation_id and not self._closed.is_set():
            self._tell(Trouble(reason, error, **how))

    def _say(
        self,
        what: str,
        properties: Mapping[str, Any],
        metrics: Mapping[str, float],
    ) -> None:
        if not self._closed.is_set():
            self._tell(News(f"livekit.{what}", properties, metrics))
