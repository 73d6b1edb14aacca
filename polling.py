#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""When Tavus is asked how a conversation is."""

from __future__ import annotations

NEVER = float("inf")
# However many hints come, no more than one question in this time.
_APART_S = 1.0
# Tavus may say that it is over before it knows so itself.
_LOOKS = 3
_AFTER_FAILURE_S = 5.0


class Polling:
    """Every so often, and soon after a hint that it is over.

    All times are the loop's, in seconds.

    Args:
        now: When it began to run.
        every_s: How often; 0 asks only after hints.
    """

    def __init__(self, now: float, every_s: float) -> None:
        self._every_s = every_s or NEVER
        self._earliest = now
        self._looks = 0
        self._asking = False
        self.due_at = now + self._every_s

    def hint(self, now: float) -> bool:
        """Somebody says that it is over.

        Returns:
            Whether whoever waits for ``due_at`` has to look at it again.
        """
        before = self.due_at
        self._looks = _LOOKS
        self._sooner(max(now, self._earliest))
        return self.due_at < before and not self._asking

    def begin(self, now: float) -> None:
        """Tavus is being asked."""
        self._asking = True
        self._earliest = now + _APART_S
        self.due_at = now + self._every_s

    def failed(self, now: float) -> None:
        """Tavus gave no answer."""
        self._asking = False
        if self._looks:
            self._sooner(now + _AFTER_FAILURE_S)

    def answered(self) -> None:
        """Tavus says that it runs."""
        self._asking = False
        if self._looks:
            self._looks -= 1
        if self._looks:
            self._sooner(self._earliest)

    def _sooner(self, at: float) -> None:
        self.due_at = min(self.due_at, at)
