#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Any PCM as mono at one rate, resampled once and without gaps."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from .voice import Pcm

Samples = NDArray[np.int16]
_NONE = np.zeros(0, np.int16)


class Resampler:
    """One utterance's audio at one rate.

    Args:
        rate_hz: The rate to make of it.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._from_hz = rate_hz
        self._stream: soxr.ResampleStream | None = None

    def feed(self, pcm: Pcm) -> bytes:
        """The next audio. Some of it comes out only with what follows."""
        before = b""
        if pcm.rate_hz != self._from_hz:
            before = self.finish()
            self._from_hz = pcm.rate_hz
            if pcm.rate_hz != self._rate_hz:
                self._stream = soxr.ResampleStream(
                    pcm.rate_hz, self._rate_hz, 1, dtype="int16"
                )
        if self._stream is None:
            return before + (
                pcm.data if pcm.channels == 1 else _mono(pcm).tobytes()
            )
        return before + self._stream.resample_chunk(_mono(pcm)).tobytes()

    def finish(self) -> bytes:
        """What has not come out yet."""
        stream, self._stream = self._stream, None
        self._from_hz = self._rate_hz
        if stream is None:
            return b""
        return stream.resample_chunk(_NONE, last=True).tobytes()


def _mono(pcm: Pcm) -> Samples:
    samples = np.frombuffer(pcm.data, np.int16)
    if pcm.channels == 1:
        return samples
    if pcm.planar:
        channels = samples.reshape(pcm.channels, -1)
    else:
        channels = samples.reshape(-1, pcm.channels).T
    return channels.mean(axis=0).round().astype(np.int16)
