#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A face that speaks: livekit-agents asks it for pictures and sound."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, VideoGenerator

from .picture import MOUTHS, picture
from .worker import AvatarVideo

_BLINK_EVERY_S = 4.0
_BLINK_S = 0.2
_LOUD = 0.25  # of full scale: the mouth is wide open
_QUIET = 0.004

Frame = rtc.AudioFrame | AudioSegmentEnd


class SpeakingFace(VideoGenerator):
    """Pictures all the time; while it speaks, each with its piece of sound.

    Args:
        video: what the pictures are.
        on_audio: hears each piece when it comes, which may be long before it
            is played.
        on_cleared: called when what waits is dropped.
    """

    def __init__(
        self,
        video: AvatarVideo,
        on_audio: Callable[[Frame], None],
        on_cleared: Callable[[], None],
    ) -> None:
        self._video = video
        self._on_audio = on_audio
        self._on_cleared = on_cleared
        # As long as an utterance: it may come faster than it is played.
        self._waiting: asyncio.Queue[Frame] = asyncio.Queue()
        self._pictures = 0

    async def push_audio(self, frame: Frame) -> None:
        self._on_audio(frame)
        self._waiting.put_nowait(frame)

    def clear_buffer(self) -> None:
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._on_cleared()

    # A generator's function, as the base class has it.
    # pylint: disable-next=invalid-overridden-method
    async def __aiter__(
        self,
    ) -> AsyncGenerator[
        rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd, None
    ]:
        loop = asyncio.get_running_loop()
        interval_s = 1 / self._video.fps
        next_s = loop.time()
        while True:
            next_s = max(next_s + interval_s, loop.time())
            heard = await self._next(next_s - loop.time())
            if isinstance(heard, AudioSegmentEnd):
                yield heard
                continue
            yield self._picture(heard)
            if heard:
                yield heard

    async def _next(self, timeout_s: float) -> Frame | None:
        if not self._waiting.empty():
            return self._waiting.get_nowait()
        try:
            return await asyncio.wait_for(self._waiting.get(), timeout_s)
        except asyncio.TimeoutError:
            return None

    def _picture(self, heard: rtc.AudioFrame | None) -> rtc.VideoFrame:
        fps = self._video.fps
        self._pictures += 1
        blink = self._pictures % int(_BLINK_EVERY_S * fps) < _BLINK_S * fps
        return _frame(self._video, mouth_of(heard) if heard else 0, blink)


def mouth_of(frame: rtc.AudioFrame) -> int:
    """How far the mouth is open for a piece of sound."""
    samples = np.frombuffer(frame.data, np.int16).astype(np.float32) / 32768
    level = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    if level <= _QUIET:
        return 0
    # By loudness as it is heard, which is logarithmic.
    share = np.log(level / _QUIET) / np.log(_LOUD / _QUIET)
    return 1 + min(MOUTHS - 2, int(share * (MOUTHS - 1)))


def draw_all(video: AvatarVideo) -> None:
    """Draw every look, so that no avatar waits for one."""
    for mouth in range(MOUTHS):
        for blink in (False, True):
            _frame(video, mouth, blink)


@lru_cache(maxsize=2 * MOUTHS)
def _frame(video: AvatarVideo, mouth: int, blink: bool) -> rtc.VideoFrame:
    pixels = picture(video.width, video.height, mouth, blink)
    rgba = rtc.VideoFrame(
        video.width,
        video.height,
        rtc.VideoBufferType.RGBA,
        bytearray(pixels.tobytes()),
    )
    # Converted here once, and not by the SDK for each picture.
    return rgba.convert(rtc.VideoBufferType.I420)
