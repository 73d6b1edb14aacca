#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Counts what had to be dropped, and says so now and then."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

_SAID_EVERY_S = 10.0


class Drops:
    """What was dropped, by what and why.

    Args:
        warn: Told at the first drop of a kind, and then at most every 10 s.
    """

    def __init__(self, warn: Callable[[str], object]) -> None:
        self._warn = warn
        self._counts: Counter[str] = Counter()
        self._said: dict[str, float] = {}

    def add(self, what: str, count: int = 1) -> None:
        """Counts one kind, such as "ms of audio: the queue is full"."""
        self._counts[what] += count
        now = time.monotonic()
        if now - self._said.get(what, -_SAID_EVERY_S) >= _SAID_EVERY_S:
            self._said[what] = now
            self._warn(f"dropped {self._counts[what]} {what}")

    def __str__(self) -> str:
        return "; ".join(f"{n} {what}" for what, n in self._counts.items())
