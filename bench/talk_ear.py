#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Which tones are heard, in which order, and how long each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HOP_S, _WINDOW_S = 0.02, 0.04
_LOUD = 2000
_OFF_HZ = 35
_LEAST_S = 0.06


@dataclass
class Part:
    """A tone.

    Attributes:
        pitch_hz: Which.
        length_s: How long it was heard.
        after_s: The silence before it.
    """

    pitch_hz: int
    length_s: float
    after_s: float


def parts_of(
    pcm: NDArray[np.int16], rate_hz: int, pitches_hz: Sequence[int]
) -> list[Part]:
    """The tones in a recording; holes in a tone are not its end."""
    hop, size = round(_HOP_S * rate_hz), round(_WINDOW_S * rate_hz)
    shape = np.hanning(size)
    runs: list[Part] = []
    silence_s = 0.0
    for start in range(0, pcm.size - size, hop):
        window = pcm[start : start + size].astype(np.float32)
        pitch_hz = _pitch(window * shape, rate_hz, pitches_hz)
        if np.abs(window).max() < _LOUD or pitch_hz is None:
            silence_s += _HOP_S
            continue
        if runs and runs[-1].pitch_hz == pitch_hz:
            runs[-1].length_s += _HOP_S
        else:
            runs.append(Part(pitch_hz, _HOP_S, silence_s))
        silence_s = 0.0
    heard: list[Part] = []
    for run in runs:
        if run.length_s < _LEAST_S:
            continue  # where two of them meet, there is another for a moment
        if heard and heard[-1].pitch_hz == run.pitch_hz:
            heard[-1].length_s += run.length_s
        else:
            heard.append(run)
    for part in heard:
        part.length_s = round(part.length_s, 2)
    return heard


def _pitch(
    window: NDArray[np.floating[Any]], rate_hz: int, pitches_hz: Sequence[int]
) -> int | None:
    size = 4096
    strongest = int(np.argmax(np.abs(np.fft.rfft(window, size))))
    hertz = strongest * rate_hz / size
    nearest = min(pitches_hz, key=lambda pitch: abs(pitch - hertz))
    return nearest if abs(nearest - hertz) <= _OFF_HZ else None
