#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The graph's pictures, on their way into the room."""

from __future__ import annotations

from livekit import rtc

from .drops import Drops

# By TEN's PixelFmt; LiveKit has no BGR24, no NV21.
_FORMATS = {
    1: rtc.VideoBufferType.RGB24,
    2: rtc.VideoBufferType.RGBA,
    4: rtc.VideoBufferType.BGRA,
    5: rtc.VideoBufferType.I422,
    6: rtc.VideoBufferType.I420,
    8: rtc.VideoBufferType.NV12,
}
_BITS_PER_PIXEL = 0.07  # of a talking head, H.264 and VP8


class VideoOut:
    """Hands pictures to the SDK's source; there is no queue.

    Args:
        width: In pixels, what is announced; each picture has its own size.
        height: Likewise.
        drops: Told of what is dropped.
    """

    def __init__(self, width: int, height: int, drops: Drops) -> None:
        self.source = rtc.VideoSource(width, height)
        self._drops = drops
        self._is_seen = False

    def open(self) -> None:
        """The track is published."""
        self._is_seen = True

    def shut(self) -> None:
        """The track is gone: what comes is dropped."""
        self._is_seen = False

    def push(
        self, pixels: bytearray, width: int, height: int, pixel_fmt: int
    ) -> None:
        """Shows a picture.

        Args:
            pixels: Its bytes, which the caller does not touch any more.
            width: In pixels.
            height: In pixels.
            pixel_fmt: TEN's number for how they are coded.
        """
        kind = _FORMATS.get(pixel_fmt)
        if kind is None:
            self._drops.add("video frames out: a pixel format LiveKit has not")
        elif min(width, height) < 2 or len(pixels) < _size(kind, width, height):
            self._drops.add("video frames out: smaller than their size says")
        elif not self._is_seen:
            self._drops.add("video frames out: not in the room")
        else:
            self.source.capture_frame(
                rtc.VideoFrame(width, height, kind, pixels)
            )

    async def close(self) -> None:
        """Frees the source; call it after the room is left."""
        await self.source.aclose()


def encoding(width: int, height: int, frame_rate: int) -> rtc.VideoEncoding:
    """At most so many bits and pictures per second."""
    bits = int(width * height * frame_rate * _BITS_PER_PIXEL)
    return rtc.VideoEncoding(max_bitrate=bits, max_framerate=frame_rate)


def _size(kind: rtc.VideoBufferType.ValueType, width: int, height: int) -> int:
    half = (width + 1) // 2
    if kind == rtc.VideoBufferType.I422:
        return width * height + 2 * half * height
    if kind in (rtc.VideoBufferType.I420, rtc.VideoBufferType.NV12):
        return width * height + 2 * half * ((height + 1) // 2)
    return width * height * (3 if kind == rtc.VideoBufferType.RGB24 else 4)
