#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Takes an avatar's audio and video out of a LiveKit room (media_bridge)."""

from __future__ import annotations

import asyncio
import logging
import time

from livekit import rtc

from . import Picture, Show, Sound

RATE_HZ = 24_000
# What is waiting to be shown, at most; the oldest is dropped for the newest.
_SOUNDS = 25
_PICTURES = 3


class Bridge:
    """Shows the tracks that are given to it.

    Args:
        show: Awaited with each sound and picture; must not raise.
        log: Where trouble is reported.
    """

    def __init__(self, show: Show, log: logging.Logger) -> None:
        self._show = show
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    def carry(self, track: rtc.Track) -> None:
        """Shows a track until it ends, or ``close``."""
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            work = self._sounds(track)
        else:
            work = self._pictures(track)
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Shows nothing more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._log.error("media bridge failed: %r", error)

    async def _sounds(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(
            track,
            capacity=_SOUNDS,
            sample_rate=RATE_HZ,
            num_channels=1,
            frame_size_ms=10,
        )
        try:
            async for event in stream:
                frame = event.frame
                await self._show(
                    Sound(
                        frame.data.cast("B"),
                        frame.sample_rate,
                        frame.num_channels,
                        _now_ms(),
                    )
                )
                # After a stall, sounds and pictures take turns.
                await asyncio.sleep(0)
        finally:
            await stream.aclose()

    async def _pictures(self, track: rtc.Track) -> None:
        stream = rtc.VideoStream(
            track, capacity=_PICTURES, format=rtc.VideoBufferType.I420
        )
        try:
            async for event in stream:
                frame = event.frame
                await self._show(
                    Picture(frame.data, frame.width, frame.height, _now_ms())
                )
                await asyncio.sleep(0)
        finally:
            await stream.aclose()


def _now_ms() -> int:
    return int(time.monotonic() * 1000)
