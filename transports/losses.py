#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""How much audio was lost, and why; told when it is known how much it is."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..errors import TavusAudioError


class Losses:
    """Adds up what is lost, until somebody can be told.

    Args:
        log: Where it is said at once that something is being lost.

    Attributes:
        listeners: Each is told of a loss; it must not block or raise.
    """

    def __init__(self, log: logging.Logger) -> None:
        self.listeners: set[Callable[[TavusAudioError], None]] = set()
        self._log = log
        self._lost_s: dict[str, float] = {}

    def add(self, duration_s: float, why: str) -> None:
        """Some audio does not reach the avatar.

        Args:
            duration_s: How much.
            why: Why, in words that follow "of audio were lost: ".
        """
        if why not in self._lost_s:
            self._log.warning("audio is being lost: %s", why)
        self._lost_s[why] = self._lost_s.get(why, 0.0) + duration_s

    def tell(self) -> None:
        """That was all of it, for now."""
        if not self.listeners:
            return  # until there is somebody to tell
        losses, self._lost_s = self._lost_s, {}
        for why, lost_s in losses.items():
            error = TavusAudioError(f"{lost_s:.3f} s of audio were lost: {why}")
            for listener in self.listeners:
                listener(error)

    def forget(self) -> None:
        """Nobody wants to know."""
        self._lost_s.clear()
