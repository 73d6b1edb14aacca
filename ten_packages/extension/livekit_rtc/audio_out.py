#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The graph's audio, on its way into the room."""

from __future__ import annotations

import asyncio
from collections import deque

import numpy as np
from livekit import rtc

from .drops import Drops

_BYTES_PER_SAMPLE = 2
# The SDK's own queue. What is in it is out of our hands but for a flush; less
# than this and a busy loop is heard.
_SDK_QUEUE_MS = 200
_CHUNK_MS = 50
_SDK_FULL_S = (_SDK_QUEUE_MS - _CHUNK_MS) / 1000
# After so long without audio the resampler's tail (15 ms) is sent, too.
_TAIL_AFTER_S = 0.1


class AudioOut:
    """A bounded queue in front of the SDK's paced source.

    Text-to-speech is faster than real time; so much of it may wait. What is
    pushed before the room is entered waits as well.

    Args:
        sample_rate: In Hz, of the source; other audio is resampled.
        queue_ms: How much may wait; more drops the oldest.
        drops: Told of what is dropped.
    """

    def __init__(self, sample_rate: int, queue_ms: int, drops: Drops) -> None:
        self.source = rtc.AudioSource(
            sample_rate, 1, queue_size_ms=_SDK_QUEUE_MS
        )
        self._rate = sample_rate
        self._bytes_per_ms = sample_rate * _BYTES_PER_SAMPLE // 1000
        self._max_bytes = queue_ms * self._bytes_per_ms
        self._drops = drops
        self._queue: deque[bytearray] = deque()
        self._queued_bytes = 0
        self._news = asyncio.Event()
        self._is_heard = asyncio.Event()
        self._has_room = asyncio.Event()
        self._resampler: rtc.AudioResampler | None = None
        self._resampler_rate = 0

    def open(self) -> None:
        """The track is published: what waits is played."""
        self._is_heard.set()

    def shut(self) -> None:
        """The track is gone: what comes waits for the next one."""
        self._is_heard.clear()

    def push(self, pcm: bytearray, sample_rate: int, channels: int) -> None:
        """Queues 16-bit interleaved PCM; no copy of it is made if it fits.

        Args:
            pcm: The samples, which the caller does not touch any more.
            sample_rate: Theirs, in Hz.
            channels: How many; several are mixed into one.
        """
        if channels < 1 or sample_rate < 1:
            self._drops.add("audio frames: no rate, or no channels")
            return
        if len(pcm) % (_BYTES_PER_SAMPLE * channels):
            self._drops.add("audio frames: not 16-bit PCM of whole samples")
            return
        if channels > 1:
            samples = np.frombuffer(pcm, np.int16).reshape(-1, channels)
            pcm = bytearray(samples.mean(axis=1).astype(np.int16).tobytes())
        if sample_rate == self._rate:
            self._finish_resampling()
            self._put(pcm)
            return
        if self._resampler is None or self._resampler_rate != sample_rate:
            self._finish_resampling()
            self._resampler = rtc.AudioResampler(sample_rate, self._rate)
            self._resampler_rate = sample_rate
        for frame in self._resampler.push(pcm):
            self._put(bytearray(frame.data.cast("B")))

    def flush(self) -> None:
        """Drops all that was pushed and is not yet on the wire."""
        self._resampler = None
        self._queue.clear()
        self._queued_bytes = 0
        self.source.clear_queue()
        self._has_room.set()

    async def run(self) -> None:
        """Feeds the source, until cancelled."""
        while True:
            await self._is_heard.wait()
            if not self._queue:
                await self._wait()
                continue
            await self._room_in_sdk()
            chunk = self._take()
            if not chunk:
                continue
            frame = rtc.AudioFrame(
                chunk, self._rate, 1, len(chunk) // _BYTES_PER_SAMPLE
            )
            try:
                await self.source.capture_frame(frame)
            # The SDK raises nothing more special.
            # pylint: disable-next=broad-exception-caught
            except Exception as problem:
                self._drops.add(f"audio frames out: {problem}")

    async def close(self) -> None:
        """Frees the source; call it after the room is left."""
        await self.source.aclose()

    async def _wait(self) -> None:
        self._news.clear()
        if self._resampler is None:
            await self._news.wait()
            return
        try:
            await asyncio.wait_for(self._news.wait(), _TAIL_AFTER_S)
        except asyncio.TimeoutError:
            self._finish_resampling()

    def _put(self, pcm: bytearray) -> None:
        if not pcm:
            return
        self._queue.append(pcm)
        self._queued_bytes += len(pcm)
        while self._queued_bytes > self._max_bytes and len(self._queue) > 1:
            oldest = self._queue.popleft()
            self._queued_bytes -= len(oldest)
            self._drops.add(
                "ms of audio out: publish_audio_queue_ms is full",
                len(oldest) // self._bytes_per_ms,
            )
        self._news.set()

    async def _room_in_sdk(self) -> None:
        # capture_frame would wait, too, but while it does the SDK hands it
        # every event of every room, which costs more than all else.
        wait_s = self.source.queued_duration - _SDK_FULL_S
        if wait_s > 0:
            self._has_room.clear()
            timer = asyncio.get_running_loop().call_later(
                wait_s, self._has_room.set
            )
            await self._has_room.wait()
            timer.cancel()

    def _take(self) -> bytearray:
        if not self._queue:
            return bytearray()  # flushed meanwhile
        chunk = self._queue.popleft()
        most = _CHUNK_MS * self._bytes_per_ms
        while self._queue and len(chunk) + len(self._queue[0]) <= most:
            chunk += self._queue.popleft()
        self._queued_bytes -= len(chunk)
        return chunk

    def _finish_resampling(self) -> None:
        if self._resampler is not None:
            resampler, self._resampler = self._resampler, None
            for frame in resampler.flush():
                self._put(bytearray(frame.data.cast("B")))
