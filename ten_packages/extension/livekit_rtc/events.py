#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What a room tells the extension."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from livekit import rtc

from .errors import RoomError
from .participants import Sender


class TrackState(IntEnum):
    """Of a remote track; the numbers are Agora's."""

    STOPPED = 0
    PLAYING = 2


class TrackReason(IntEnum):
    """Why a remote track's state has changed; the numbers are Agora's."""

    STARTED = 0
    MUTED = 5
    UNMUTED = 6
    GONE = 7


class RoomEvents(Protocol):
    """Takes what happens in a room; nothing here raises."""

    def connected(self) -> None:
        """The room is entered, or back after connection_lost."""

    def connection_lost(self) -> None:
        """The connection is broken; the SDK tries to mend it."""

    def disconnected(self, reason: int) -> None:
        """The room is left for now, or for good; LiveKit's reason."""

    def joined(self, identity: str) -> None:
        """A user is there."""

    def left(self, identity: str) -> None:
        """A user is gone."""

    def track_changed(
        self,
        media: str,
        identity: str,
        state: TrackState,
        reason: TrackReason,
    ) -> None:
        """A user's "audio" or "video" starts, stops, is muted or not."""

    async def audio(self, source: Sender, frame: rtc.AudioFrame) -> None:
        """10 ms of a user's audio."""

    async def video(self, source: Sender, frame: rtc.VideoFrame) -> None:
        """A picture of a user, as I420."""

    def data(self, identity: str, topic: str, content: bytes) -> None:
        """A data packet, or a whole text stream; "" is the server."""

    def problem(self, error: RoomError) -> None:
        """Something is wrong, and is tried again or done without."""

    def failed(self, error: RoomError) -> None:
        """The room is given up."""
