#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Keeps what the user says, from a little before it was noticed."""

from __future__ import annotations

RATE_HZ = 16_000
BYTES_PER_S = RATE_HZ * 2
# Detectors notice a sentence when it has begun.
_BEFORE_S = 0.5
_LONGEST_S = 30
# Of the silence that ended a sentence, this much is left.
_AFTER_MS = 150


class Ear:
    """Takes audio all the time; 16-bit mono at ``RATE_HZ``."""

    def __init__(self) -> None:
        self._heard = bytearray()
        self._listening = False

    def hear(self, pcm: bytes | bytearray) -> None:
        """Takes the next piece; sentences longer than 30 s are cut."""
        longest_s = _LONGEST_S if self._listening else _BEFORE_S
        room = int(longest_s * BYTES_PER_S)
        if not self._listening:
            self._heard += pcm
            del self._heard[: max(0, len(self._heard) - room)]
        elif len(self._heard) < room:
            self._heard += pcm

    def begin(self) -> None:
        """A sentence has begun."""
        self._listening = True

    def end(self, silence_ms: int) -> bytes:
        """The sentence is over.

        Args:
            silence_ms: How long it has been over already.

        Returns:
            What was said; nothing where no sentence had begun.
        """
        if not self._listening:
            return b""
        self._listening = False
        silence = max(0, silence_ms - _AFTER_MS) * BYTES_PER_S // 1000
        said = bytes(self._heard[: max(0, len(self._heard) - silence)])
        self._heard.clear()
        return said
