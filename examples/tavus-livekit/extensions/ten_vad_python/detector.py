#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Decides from probabilities of speech where sentences begin and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
HOP_SAMPLES = 256
HOP_MS = 16
_HOP_BYTES = HOP_SAMPLES * 2

Edge = Literal["start", "end"]
Probability = Callable[[NDArray[np.int16]], float]


class SentenceDetector:
    """Takes audio in pieces of any size, and says when somebody speaks.

    Args:
        probability: Of speech, in one hop.
        threshold: From which probability on a hop counts as speech.
        prefix_ms: So much speech begins a sentence.
        silence_ms: So much silence ends it.
    """

    def __init__(
        self,
        probability: Probability,
        *,
        threshold: float,
        prefix_ms: int,
        silence_ms: int,
    ) -> None:
        self._probability = probability
        self._threshold = threshold
        self._hops_to_start = max(1, prefix_ms // HOP_MS)
        self._hops_to_end = max(1, silence_ms // HOP_MS)
        self._rest = bytearray()
        self._speaking = False
        self._against = 0  # hops in a row that say otherwise

    def feed(self, pcm: bytes | bytearray) -> Iterator[Edge]:
        """Takes audio; gives the edges in it.

        Args:
            pcm: 16-bit mono, ``RATE_HZ``.
        """
        rest = self._rest
        rest += pcm
        while len(rest) >= _HOP_BYTES:
            hop = np.frombuffer(bytes(rest[:_HOP_BYTES]), np.int16)
            del rest[:_HOP_BYTES]
            edge = self._take(self._probability(hop) >= self._threshold)
            if edge is not None:
                yield edge

    def _take(self, is_speech: bool) -> Edge | None:
        if is_speech == self._speaking:
            self._against = 0
            return None
        self._against += 1
        needed = self._hops_to_end if self._speaking else self._hops_to_start
        if self._against < needed:
            return None
        self._against = 0
        self._speaking = not self._speaking
        return "start" if self._speaking else "end"
