#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Tones to send, and what was heard of them: 16-bit mono PCM as arrays."""

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
LOUD = 2000  # a tenth of what a tone here has at its peak: no noise, an edge


def tone(
    frequency_hz: float, duration_s: float, sample_rate: int = 16_000
) -> Pcm:
    """A sine, as loud as speech."""
    times = np.arange(round(duration_s * sample_rate)) / sample_rate
    wave = 20_000 * np.sin(2 * np.pi * frequency_hz * times)
    return wave.astype(np.int16)


def loud_part(pcm: Pcm) -> Pcm:
    """From the first loud sample to the last."""
    (loud,) = np.nonzero(np.abs(pcm.astype(np.int32)) > LOUD)
    return pcm[loud[0] : loud[-1] + 1] if loud.size else pcm[:0]


def bursts(pcm: Pcm, sample_rate: int = 16_000) -> list[Pcm]:
    """The loud parts, where at least 0.1 s of quiet lies between them."""
    (loud,) = np.nonzero(np.abs(pcm.astype(np.int32)) > LOUD)
    if not loud.size:
        return []
    (gaps,) = np.nonzero(np.diff(loud) > sample_rate // 10)
    starts = [loud[0], *loud[gaps + 1]]
    ends = [*loud[gaps], loud[-1]]
    return [
        pcm[start : end + 1] for start, end in zip(starts, ends, strict=True)
    ]


def loud_s(pcm: Pcm, sample_rate: int = 16_000) -> float:
    """How long it is from the first loud sample to the last, in seconds."""
    return loud_part(pcm).size / sample_rate


def frequency_hz(pcm: Pcm, sample_rate: int = 16_000) -> float:
    """The strongest frequency of the loud part; 0 when all is silence."""
    part = loud_part(pcm)
    if part.size < sample_rate // 20:
        return 0.0
    spectrum = np.abs(np.fft.rfft(part * np.hanning(part.size)))
    return float(np.argmax(spectrum) * sample_rate / part.size)


def which_of(
    frequencies_hz: list[int], pcm: Pcm, sample_rate: int = 16_000
) -> int:
    """The strongest of some frequencies, however torn the sound is."""
    size = sample_rate // 10
    parts = pcm[: pcm.size // size * size].reshape(-1, size) * np.hanning(size)
    times = np.arange(size) / sample_rate
    waves = np.exp(-2j * np.pi * np.outer(times, frequencies_hz))
    strengths = np.abs(parts @ waves).sum(axis=0)
    return frequencies_hz[int(np.argmax(strengths))]
