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


def pcm_of(frame: AudioFrame) -> Pcm:
    """The audio of a frame.

    Raises:
        ValueError: It is no 16-bit PCM.
    """
    rate_hz = frame.get_sample_rate()
    channels = frame.get_number_of_channels()
    # Where a frame does not say it, the kind is TEN's usual one.
    if frame.get_bytes_per_sample() not in (0, 2):
        raise ValueError("only samples of 2 bytes can be spoken")
    if not (4000 <= rate_hz <= 384_000 and 1 <= channels <= 8):
        raise ValueError(f"{rate_hz} Hz and {channels} channels are no audio")
    data = bytes(frame.get_buf())
    planar = frame.get_data_fmt() == AudioFrameDataFmt.NON_INTERLEAVE
    whole = len(data) - len(data) % (2 * channels)
    return Pcm(data[:whole], rate_hz, channels, planar and channels > 1)


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
