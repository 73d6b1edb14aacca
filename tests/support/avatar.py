#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""An avatar as Tavus sends it into a LiveKit room, which can misbehave.

Written from the protocol (tavus-api.md, 3.2) and from what livekit-agents'
own runner does, not from our side of it: like the runner it notes that it is
given audio, and tells an end only while it has such a note. So of what it is
given while it speaks, it tells no end (``AvatarRunner._audio_playing``). The
simulator's avatar is made of livekit-agents' classes, and obeys.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

import jwt
import numpy as np
from livekit import rtc

from .livekit_peer import WAIT_S
from .sounds import Pcm

RATE_HZ = 24_000
WIDTH, HEIGHT, PICTURES_HZ = 320, 180, 10


@dataclass(eq=False)
class Line:
    """What came in one byte stream."""

    attributes: dict[str, str]
    name: str
    since: float
    audio: bytearray = field(default_factory=bytearray)
    complete: bool = False
    cleared: bool = False
    position_s: float = 0.0

    @property
    def rate_hz(self) -> int:
        return int(self.attributes["sample_rate"])

    @property
    def pcm(self) -> Pcm:
        return np.frombuffer(bytes(self.audio), np.int16)

    @property
    def duration_s(self) -> float:
        channels = int(self.attributes["num_channels"])
        return len(self.audio) / (2 * channels * self.rate_hz)

    @property
    def unplayed_s(self) -> float:
        left_s = self.duration_s - self.position_s
        return left_s if left_s > 0.001 else 0.0


class Avatar:
    """A participant that speaks what it is sent.

    Args:
        url: As Tavus was told.
        token: As Tavus was told.
        video: Whether it shows itself when it joins.
        finishes: Whether it says when it has finished.
        speed: How much faster than in real time it speaks.
        publishes_audio: Whether what it speaks is heard in the room.
        answer: To a flush.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        video: bool = True,
        finishes: bool = True,
        speed: float = 20.0,
        publishes_audio: bool = False,
        answer: str = "ok",
    ) -> None:
        self.claims: dict[str, Any] = jwt.decode(
            token, options={"verify_signature": False}
        )
        self.room = rtc.Room()
        self.lines: list[Line] = []
        self.clears = 0
        self.answers: list[str] = []
        self.finishes = finishes
        self.joined = asyncio.Event()
        self._url, self._token = url, token
        self._video, self._speed = video, speed
        self._publishes_audio = publishes_audio
        self._answer = answer
        self._agent = self.claims["attributes"]["lk.publish_on_behalf"]
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._coming: asyncio.Task[None] | None = None
        self._playing: asyncio.Task[None] | None = None
        self._queue: asyncio.Queue[Line] = asyncio.Queue()
        self._audio: rtc.AudioSource | None = None
        self._has_audio = False

    def come(self) -> None:
        """Enters the room, soon; shows itself unless told otherwise."""
        self._coming = self._keep(self._come())

    async def _come(self) -> None:
        room = self.room
        room.register_byte_stream_handler("lk.audio_stream", self._hear)
        await room.connect(self._url, self._token)
        room.local_participant.register_rpc_method(
            "lk.clear_buffer", self._clear
        )
        self._keep(self._perform())
        if self._publishes_audio:
            self._audio = rtc.AudioSource(RATE_HZ, 1)
            await room.local_participant.publish_track(
                rtc.LocalAudioTrack.create_audio_track("voice", self._audio),
                rtc.TrackPublishOptions(
                    source=rtc.TrackSource.SOURCE_MICROPHONE
                ),
            )
        self.joined.set()
        if self._video:
            await self.show()

    async def show(self) -> None:
        """Publishes its picture."""
        source = rtc.VideoSource(WIDTH, HEIGHT)
        await self.room.local_participant.publish_track(
            rtc.LocalVideoTrack.create_video_track("face", source),
            rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False
            ),
        )
        self._keep(self._film(source))

    async def leave(self) -> None:
        """Leaves the room, whatever it is doing."""
        if self._coming is not None:  # the SDK minds a cancellation
            await asyncio.wait([self._coming], timeout=WAIT_S)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(self.room.disconnect(), WAIT_S)
        if self._audio is not None:
            await self._audio.aclose()

    async def until(self, come: Any, timeout_s: float = WAIT_S) -> None:
        """Waits, from news to news, until ``come()``."""

        async def wait() -> None:
            while not come():
                self._news.clear()
                await self._news.wait()

        await asyncio.wait_for(wait(), timeout_s)

    async def until_heard(self, count: int = 1) -> Line:
        """Waits for so many complete lines; the last one."""
        await self.until(lambda: len(self.complete) >= count)
        return self.complete[count - 1]

    @property
    def complete(self) -> list[Line]:
        """The lines that came to their end without being cleared."""
        return [n for n in self.lines if n.complete and not n.cleared]

    async def call(self, method: str, payload: str = "") -> str:
        """Calls our side; returns the answer."""
        answer = await self.room.local_participant.perform_rpc(
            destination_identity=self._agent, method=method, payload=payload
        )
        self.answers.append(answer)
        self._news.set()
        return answer

    def _keep(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _hear(self, reader: rtc.ByteStreamReader, sender: str) -> None:
        assert sender == self._agent
        info = reader.info
        line = Line(dict(info.attributes or {}), info.name, time.monotonic())
        self.lines.append(line)
        self._queue.put_nowait(line)
        self._keep(self._read(reader, line))
        self._news.set()

    async def _read(self, reader: rtc.ByteStreamReader, line: Line) -> None:
        with contextlib.suppress(rtc.StreamError):
            async for data in reader:
                if not line.cleared:
                    line.audio += data
                    self._has_audio = True
                self._news.set()
            line.complete = True
            self._news.set()

    async def _perform(self) -> None:
        while True:
            line = await self._queue.get()
            if line.cleared:
                continue
            self._playing = self._keep(self._play(line))
            await asyncio.gather(self._playing, return_exceptions=True)

    async def _play(self, line: Line) -> None:
        try:
            await self.until(lambda: line.audio or line.complete, 60)
            await self.call("lk.playback_started")
            # wait_for of Python 3.11 swallows a cancellation now and then.
            while not line.cleared and (line.unplayed_s or not line.complete):
                await self.until(lambda: line.unplayed_s or line.complete, 60)
                await self._utter(line, min(0.1, line.unplayed_s))
            if self._audio is not None:
                await self._audio.wait_for_playout()
        except asyncio.CancelledError:
            if not line.cleared:
                raise
        tells, self._has_audio = self._has_audio, False
        if self.finishes and tells:
            payload = {
                "playback_position": round(line.position_s, 3),
                "interrupted": line.cleared,
            }
            await self.call("lk.playback_finished", json.dumps(payload))

    async def _utter(self, line: Line, step_s: float) -> None:
        if self._audio is None:
            await asyncio.sleep(step_s / self._speed)
        else:
            start = round(line.position_s * RATE_HZ) * 2
            part = bytes(
                line.audio[start : start + round(step_s * RATE_HZ) * 2]
            )
            await self._audio.capture_frame(
                rtc.AudioFrame(part, RATE_HZ, 1, len(part) // 2)
            )
        line.position_s += step_s

    def _clear(self, call: rtc.RpcInvocationData) -> str:
        if call.caller_identity != self._agent:
            return "reject"
        self.clears += 1
        for line in self.lines:
            line.cleared = line.cleared or not line.complete
        while not self._queue.empty():
            self._queue.get_nowait().cleared = True
        if self._playing is not None and not self._playing.done():
            for line in self.lines:
                line.cleared = True
            self._playing.cancel()
        self._news.set()
        return self._answer

    async def _film(self, source: rtc.VideoSource) -> None:
        picture = np.full(WIDTH * HEIGHT * 3 // 2, 128, np.uint8)
        try:
            for count in range(1_000_000):
                picture[: WIDTH * HEIGHT] = 40 + count * 8 % 160
                source.capture_frame(
                    rtc.VideoFrame(
                        WIDTH,
                        HEIGHT,
                        rtc.VideoBufferType.I420,
                        picture.tobytes(),
                    )
                )
                await asyncio.sleep(1 / PICTURES_HZ)
        finally:
            await source.aclose()
