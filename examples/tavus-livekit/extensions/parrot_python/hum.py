#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Hums what is typed: an agent without a key has no voice of its own."""

from __future__ import annotations

import math
import sys
from array import array

from .ear import RATE_HZ

_NOTES_HZ = (196, 220, 247, 294, 330)
_VOLUME = 9000
_WORDS = 40
_NOTE_S = (0.15, 0.5)
_LETTER_S = 0.05
_FADE = RATE_HZ // 50
_PAUSE = RATE_HZ // 16


def hum(text: str) -> bytes:
    """A note for each word; 16-bit mono at ``RATE_HZ``.

    Args:
        text: What is hummed; of a long text the beginning.
    """
    pcm = array("h")
    for word in text.split()[:_WORDS]:
        shortest_s, longest_s = _NOTE_S
        seconds = min(max(len(word) * _LETTER_S, shortest_s), longest_s)
        pcm += _note(_NOTES_HZ[sum(map(ord, word)) % 5], seconds)
        pcm += array("h", bytes(2 * _PAUSE))
    if sys.byteorder == "big":
        pcm.byteswap()
    return pcm.tobytes()


def _note(hz: int, seconds: float) -> array[int]:
    # One period, repeated: the loop that all extensions share must not wait
    # for a sine of each sample.
    period = RATE_HZ // hz
    wave = array(
        "h",
        (
            round(_VOLUME * math.sin(2 * math.pi * n / period))
            for n in range(period)
        ),
    )
    note = wave * max(round(seconds * RATE_HZ / period), 1)
    for n in range(min(_FADE, len(note) // 2)):
        note[n] = note[n] * n // _FADE
        note[-1 - n] = note[-1 - n] * n // _FADE
    return note
