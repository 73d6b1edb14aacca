#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Participants of LiveKit rooms, as tests need them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from livekit import rtc

from .sounds import Pcm, tone

if TYPE_CHECKING:
    from .livekit import LiveKitServer

WAIT_S = 30.0
RATE_HZ = 16_000


@dataclass
class Heard:
    """What was heard of a participant: 16-bit mono at ``RATE_HZ``."""

    buffer: bytearray = field(default_factory=bytearray)

    @property
    def pcm(self) -> Pcm:
        return np.frombuffer(bytes(self.buffer), np.int16)


@dataclass
class Seen:
    """What was seen of a participant; ``last`` is I420."""

    frames: int = 0
    last: rtc.VideoFrame | None = None


@dataclass
class Packet:
    """A data packet, or a whole text stream."""

    sender: str
    topic: str
    content: bytes


class Peer:
    """A participant of a room, as a test needs it; a context manager.

    Args:
        server: Whose room.
        room: The room's name.
        identity: Who it is.
        token: Of ``LiveKitServer.token``, beyond identity and room.
    """

    def __init__(
        self,
        server: LiveKitServer,
        room: str,
        identity: str = "alice",
        **token: Any,
    ) -> None:
        self.identity = identity
        self.room = rtc.Room()
        self.heard: dict[str, Heard] = {}
        self.seen: dict[str, Seen] = {}
        self.packets: list[Packet] = []
        self.texts: list[Packet] = []
        self._url = server.url
        self._token = server.token(identity, room, **token)
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._microphone: rtc.AudioSource | None = None

    async def __aenter__(self) -> Peer:
        await self.join()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    def use_token(self, token: str) -> None:
        """Joins with that one, whoever made it."""
        self._token = token

    async def join(self) -> None:
        """Enters the room, and from now on hears and sees all others."""
        room = self.room
        room.on("track_subscribed", self._subscribed)
        room.on("data_received", self._received)
        for event in (
            "participant_connected",
            "participant_disconnected",
            "participant_attributes_changed",
            "track_published",
            "track_unpublished",
            "track_unsubscribed",
            "reconnected",
            "disconnected",
        ):
            room.on(event, self._tell)
        connecting = asyncio.ensure_future(room.connect(self._url, self._token))
        # Not wait_for: cancelled, the SDK panics and ends the process.
        await asyncio.wait({connecting}, timeout=WAIT_S)
        assert connecting.done(), "the LiveKit server lets nobody in"
        connecting.result()

    async def leave(self) -> None:
        """Leaves the room; nothing more is heard and seen."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.wait_for(self.room.disconnect(), WAIT_S)
        if self._microphone is not None:
            await self._microphone.aclose()

    @property
    def others(self) -> set[str]:
        """The identities of all others in the room."""
        return set(self.room.remote_participants)

    async def until(
        self, come: Callable[[], bool], timeout_s: float = WAIT_S
    ) -> None:
        """Waits, from news to news, until that is so."""

        async def wait() -> None:
            while not come():
                self._news.clear()
                await self._news.wait()

        await asyncio.wait_for(wait(), timeout_s)

    async def until_with(self, identity: str) -> None:
        """Waits until that participant is in the room."""
        await self.until(lambda: identity in self.others)

    def read_texts(self, topic: str) -> None:
        """Collects text streams of a topic in ``texts``."""
        self.room.register_text_stream_handler(topic, self._text)

    async def open_microphone(
        self, sample_rate: int = RATE_HZ
    ) -> rtc.AudioSource:
        """Publishes a microphone; returns when somebody listens to it."""
        source = rtc.AudioSource(sample_rate, 1, queue_size_ms=200)
        self._microphone = source
        publication = await self.room.local_participant.publish_track(
            rtc.LocalAudioTrack.create_audio_track("microphone", source),
            rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False
            ),
        )
        await asyncio.wait_for(publication.wait_for_subscription(), WAIT_S)
        return source

    async def say(self, pcm: Pcm) -> None:
        """Speaks that into its microphone; returns when it is spoken."""
        source = self._microphone or await self.open_microphone()
        step = source.sample_rate // 10
        for start in range(0, pcm.size, step):
            part = pcm[start : start + step]
            # Waiting in capture_frame would cost every event of every room.
            await asyncio.sleep(source.queued_duration - 0.1)
            await source.capture_frame(
                rtc.AudioFrame(part.tobytes(), source.sample_rate, 1, part.size)
            )
        await source.wait_for_playout()

    async def say_tone(
        self, frequency_hz: float, duration_s: float = 1.0
    ) -> None:
        """Speaks a tone; returns when it is spoken."""
        source = self._microphone or await self.open_microphone()
        await self.say(tone(frequency_hz, duration_s, source.sample_rate))

    async def show_picture(
        self, width: int = 320, height: int = 180, rate_hz: int = 10
    ) -> None:
        """Publishes a moving picture, until it leaves."""
        source = rtc.VideoSource(width, height)
        await self.room.local_participant.publish_track(
            rtc.LocalVideoTrack.create_video_track("camera", source),
            rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False
            ),
        )
        self._keep(self._film(source, width, height, rate_hz))

    async def _film(
        self, source: rtc.VideoSource, width: int, height: int, rate_hz: int
    ) -> None:
        picture = np.full(width * height * 3 // 2, 128, np.uint8)
        luma = picture[: width * height].reshape(height, width)
        try:
            for count in range(1_000_000):
                luma[:] = 40
                left = count * 16 % (width - width // 4)
                luma[:, left : left + width // 4] = 200
                source.capture_frame(
                    rtc.VideoFrame(
                        width,
                        height,
                        rtc.VideoBufferType.I420,
                        picture.tobytes(),
                    )
                )
                await asyncio.sleep(1 / rate_hz)
        finally:
            await source.aclose()

    def _tell(self) -> None:
        self._news.set()

    def _keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _subscribed(
        self,
        track: rtc.Track,
        _publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._keep(self._listen(track, participant.identity))
        else:
            self._keep(self._watch(track, participant.identity))

    async def _listen(self, track: rtc.Track, identity: str) -> None:
        heard = self.heard.setdefault(identity, Heard())
        # The SDK shows every frame of a process to every stream in it.
        stream = rtc.AudioStream(
            track,
            sample_rate=RATE_HZ,
            num_channels=1,
            frame_size_ms=100,
            capacity=1000,
        )
        try:
            async for event in stream:
                heard.buffer += event.frame.data
                self._tell()
        finally:
            await stream.aclose()

    async def _watch(self, track: rtc.Track, identity: str) -> None:
        seen = self.seen.setdefault(identity, Seen())
        stream = rtc.VideoStream(
            track, format=rtc.VideoBufferType.I420, capacity=10
        )
        try:
            async for event in stream:
                seen.frames += 1
                seen.last = event.frame
                self._tell()
        finally:
            await stream.aclose()

    def _received(self, packet: rtc.DataPacket) -> None:
        sender = packet.participant.identity if packet.participant else ""
        self.packets.append(Packet(sender, packet.topic or "", packet.data))
        self._tell()

    def _text(self, reader: rtc.TextStreamReader, sender: str) -> None:
        async def read() -> None:
            text = await reader.read_all()
            self.texts.append(Packet(sender, reader.info.topic, text.encode()))
            self._tell()

        self._keep(read())
