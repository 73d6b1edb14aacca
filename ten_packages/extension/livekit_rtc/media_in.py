#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The audio and video of users, on their way into the graph."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from livekit import rtc
from livekit.rtc._ffi_client import FfiClient

FRAME_MS = 10
# The graph takes frames at once; these fill only when the loop is stuck, and
# then the oldest are dropped.
_AUDIO_FRAMES_MAX = 100
_VIDEO_FRAMES_MAX = 2


async def read_audio(
    track: rtc.Track,
    sample_rate: int,
    channels: int,
    take: Callable[[rtc.AudioFrame], Awaitable[None]],
) -> None:
    """Hands on a track's audio, 10 ms at a time, until it ends.

    Args:
        track: Of a remote participant.
        sample_rate: Wanted, in Hz.
        channels: Wanted.
        take: Takes each frame.
    """
    stream = rtc.AudioStream(
        track,
        sample_rate=sample_rate,
        num_channels=channels,
        frame_size_ms=FRAME_MS,
        capacity=_AUDIO_FRAMES_MAX,
    )
    _narrow(stream, "audio_stream_event")
    try:
        async for event in stream:
            await take(event.frame)
    finally:
        await stream.aclose()


async def read_video(
    track: rtc.Track, take: Callable[[rtc.VideoFrame], Awaitable[None]]
) -> None:
    """Hands on a track's pictures as I420, until cancelled.

    Args:
        track: Of a remote participant.
        take: Takes each picture.
    """
    stream = rtc.VideoStream(
        track, format=rtc.VideoBufferType.I420, capacity=_VIDEO_FRAMES_MAX
    )
    _narrow(stream, "video_stream_event")
    try:
        async for event in stream:
            await take(event.frame)
    finally:
        await stream.aclose()


def _narrow(stream: rtc.AudioStream | rtc.VideoStream, event: str) -> None:
    """Shows a stream its own frames alone.

    The SDK (1.1.21) wakes each stream for every frame of all streams of the
    process, which is most of the CPU of ten rooms. There is no public way to
    tell it otherwise; where this one is gone, the SDK does as it always did.
    """
    # pylint: disable=protected-access
    try:
        own, handle = stream._ffi_queue, stream._ffi_handle.handle
        queues = FfiClient.instance.queue
        with queues._lock:
            queues._subscribers[:] = [
                (
                    queue,
                    loop,
                    (lambda e: getattr(e, event).stream_handle == handle)
                    if queue is own
                    else wants,
                )
                for queue, loop, wants in queues._subscribers
            ]
    except (AttributeError, TypeError, ValueError):
        return
