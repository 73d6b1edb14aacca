#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the graph sends into a room: audio, video, data, text."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from livekit import rtc
from livekit.rtc.participant import PublishDataError, PublishTrackError

from .audio_out import AudioOut
from .config import LiveKitConfig
from .drops import Drops
from .errors import RoomError, redact
from .video_out import VideoOut, encoding

_PUBLISH_MAX_S = 10.0
_SEND_MAX_S = 10.0
# LiveKit's limit for reliable packets (docs.livekit.io, data packets).
_PACKET_MAX_BYTES = 15 * 1024
_IN_FLIGHT_MAX = 256


class Outgoing:
    """Lives as long as the extension, through one room after another.

    Args:
        config: What is published.
        drops: Told of what is dropped.
    """

    def __init__(self, config: LiveKitConfig, drops: Drops) -> None:
        self._config = config
        self._drops = drops
        self._room: rtc.Room | None = None
        self._in_flight = 0
        self._pump: asyncio.Task[None] | None = None
        self.audio: AudioOut | None = None
        self.video: VideoOut | None = None
        if config.publish_audio:
            self.audio = AudioOut(
                config.publish_audio_sample_rate,
                config.publish_audio_queue_ms,
                drops,
            )
            self._pump = asyncio.ensure_future(self.audio.run())
        if config.publish_video:
            self.video = VideoOut(
                config.publish_video_width, config.publish_video_height, drops
            )

    @property
    def data_topic(self) -> str:
        """The topic of data that names none."""
        return self._config.data_topic

    async def enter(self, room: rtc.Room) -> list[RoomError]:
        """Publishes in a room.

        Returns:
            What the token forbids to publish.

        Raises:
            RoomError: If something allowed could not be published.
        """
        self._room = room
        # The server says nothing to those who may not.
        if not room.local_participant.permissions.can_publish:
            return [
                RoomError(
                    "auth", f"{media} is not published: the token forbids it"
                )
                for media, wanted in (
                    ("audio", self.audio),
                    ("video", self.video),
                )
                if wanted is not None
            ]
        if self.audio is not None:
            track = rtc.LocalAudioTrack.create_audio_track(
                "audio", self.audio.source
            )
            options = rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_MICROPHONE
            )
            await self._publish(room, "audio", track, options)
            self.audio.open()
        if self.video is not None:
            config = self._config
            track = rtc.LocalVideoTrack.create_video_track(
                "video", self.video.source
            )
            options = rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_CAMERA,
                simulcast=False,
                video_encoding=encoding(
                    config.publish_video_width,
                    config.publish_video_height,
                    config.publish_video_frame_rate,
                ),
            )
            await self._publish(room, "video", track, options)
            self.video.open()
        return []

    def leave(self) -> None:
        """The room is left: audio waits for the next one, the rest is lost."""
        self._room = None
        if self.audio is not None:
            self.audio.shut()
        if self.video is not None:
            self.video.shut()

    def flush(self) -> None:
        """Drops all audio that is not yet on the wire."""
        if self.audio is not None:
            self.audio.flush()

    async def send(self, content: bytes, topic: str, to: str) -> None:
        """Sends a data packet, to all or, with an identity, to one."""
        room = self._may_send()
        if room is None:
            return
        if len(content) > _PACKET_MAX_BYTES:
            self._drops.add("data packets out: over 15 KiB (send them as text)")
            return
        await self._sent(
            room.local_participant.publish_data(
                content,
                topic=topic,
                destination_identities=[to] if to else [],
            )
        )

    async def send_text(self, text: str, topic: str, to: str) -> None:
        """Sends a text stream, to all or, with an identity, to one."""
        room = self._may_send()
        if room is not None:
            await self._sent(
                room.local_participant.send_text(
                    text,
                    topic=topic,
                    destination_identities=[to] if to else None,
                )
            )

    async def close(self) -> None:
        """Frees everything; call it after the room is left."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        if self.audio is not None:
            await self.audio.close()
        if self.video is not None:
            await self.video.close()

    async def _publish(
        self,
        room: rtc.Room,
        media: str,
        track: rtc.LocalTrack,
        options: rtc.TrackPublishOptions,
    ) -> None:
        try:
            await asyncio.wait_for(
                room.local_participant.publish_track(track, options),
                _PUBLISH_MAX_S,
            )
        except (PublishTrackError, asyncio.TimeoutError) as problem:
            words = getattr(problem, "message", "no answer in time")
            raise RoomError(
                "network",
                f"{media} could not be published",
                redact(words, *self._config.secrets),
            ) from None

    def _may_send(self) -> rtc.Room | None:
        if not self._config.publish_data:
            self._drops.add("data out: publish_data is false")
        elif self._room is None or not self._room.isconnected():
            self._drops.add("data out: not in the room")
        elif self._in_flight >= _IN_FLIGHT_MAX:
            self._drops.add("data out: the room does not take it fast enough")
        else:
            return self._room
        return None

    async def _sent(self, sending: Coroutine[Any, Any, object]) -> None:
        self._in_flight += 1
        try:
            await asyncio.wait_for(sending, _SEND_MAX_S)
        except asyncio.TimeoutError:
            self._drops.add("data out: no answer in time")
        except (PublishDataError, rtc.StreamError) as problem:
            self._drops.add(f"data out: {problem or 'refused'}")
        finally:
            self._in_flight -= 1
