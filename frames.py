#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""TEN's audio and video frames: from a TTS, and of an avatar."""

from __future__ import annotations

import json
from functools import lru_cache

from ten_runtime import AudioFrame, AudioFrameDataFmt, PixelFmt, VideoFrame

from .transports import Picture, Sound
from .transports.voice import Pcm

AUDIO, VIDEO = "pcm_frame", "video_frame"
_NAME_MAX = 100


class BadFrameError(ValueError):
    """A frame that cannot be spoken; its text says why.

    Args:
        kind: What is wrong with it, in a word.
        text: Why, with the frame's own values.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def pcm_of(frame: AudioFrame) -> Pcm:
    """The audio of a frame, which may end within a sample.

    Raises:
        BadFrameError: It is no 16-bit PCM.
    """
    if frame.get_name() != AUDIO:
        raise BadFrameError(
            "name",
            f"an audio frame {frame.get_name()[:_NAME_MAX]!r} is not spoken; "
            f"what is to be spoken has the name {AUDIO}",
        )
    rate_hz = frame.get_sample_rate()
    channels = frame.get_number_of_channels()
    # Where a frame does not say it, the kind is TEN's usual one.
    sample_bytes = frame.get_bytes_per_sample()
    if sample_bytes not in (0, 2):
        raise BadFrameError(
            "bytes_per_sample",
            f"samples of {sample_bytes} bytes cannot be spoken; "
            "send 16-bit PCM",
        )
    if not (4000 <= rate_hz <= 384_000 and 1 <= channels <= 8):
        raise BadFrameError(
            "rate",
            f"{rate_hz} Hz with {channels} channels is no audio; set "
            "sample_rate and number_of_channels",
        )
    data = bytes(frame.get_buf())
    planar = frame.get_data_fmt() == AudioFrameDataFmt.NON_INTERLEAVE
    planar = planar and channels > 1
    # Planes that end within a sample cannot be put together with the next.
    off = len(data) - 2 * channels * frame.get_samples_per_channel()
    said = frame.get_samples_per_channel() > 0
    if (said and abs(off) >= 2 * channels) or (
        planar and len(data) % (2 * channels)
    ):
        raise BadFrameError(
            "size",
            f"{len(data)} bytes are not {frame.get_samples_per_channel()} "
            f"samples of 16 bits in {channels} channels; send 16-bit PCM, and "
            "set samples_per_channel to what there is",
        )
    return Pcm(data, rate_hz, channels, planar)


def turn_of(frame: AudioFrame) -> str:
    """What tells the turn of a frame from others; "" when it does not say."""
    text, problem = frame.get_property_to_json("metadata")
    return _turn(text) if problem is None and text else ""


@lru_cache(maxsize=16)
def _turn(metadata: str) -> str:
    try:
        content = json.loads(metadata)
        # TEN's TTS extensions send an object, some others its text.
        if isinstance(content, str):
            content = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    turn = content.get("turn_id") if isinstance(content, dict) else None
    # Where no turn is known, ten_ai_base says -1.
    return "" if turn is None or turn == -1 else str(turn)


def audio_frame_of(sound: Sound) -> AudioFrame:
    """A frame with a sound; its audio is copied once."""
    frame = AudioFrame.create(AUDIO)
    size = sound.data.nbytes
    frame.set_sample_rate(sound.rate_hz)
    frame.set_number_of_channels(sound.channels)
    frame.set_bytes_per_sample(2)
    frame.set_samples_per_channel(size // (2 * sound.channels))
    frame.set_data_fmt(AudioFrameDataFmt.INTERLEAVE)
    frame.set_timestamp(sound.timestamp_ms)
    _fill(frame, sound.data)
    return frame


def video_frame_of(picture: Picture) -> VideoFrame:
    """A frame with a picture; it is copied once."""
    frame = VideoFrame.create(VIDEO)
    frame.set_width(picture.width)
    frame.set_height(picture.height)
    frame.set_pixel_fmt(PixelFmt.I420)
    frame.set_timestamp(picture.timestamp_ms)
    _fill(frame, picture.data)
    return frame


def _fill(frame: AudioFrame | VideoFrame, data: memoryview) -> None:
    frame.alloc_buf(data.nbytes)
    view = frame.lock_buf()
    view[:] = data
    frame.unlock_buf(view)
