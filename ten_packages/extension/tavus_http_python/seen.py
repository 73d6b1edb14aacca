#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Remembers for a while what has been said, to know it when it comes again."""

from __future__ import annotations

import hashlib
import json


class Seen:
    """A memory of the last so many things.

    Args:
        most: How many are remembered; the oldest is forgotten.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._seen: dict[bytes, None] = {}

    def is_new(self, *what: object) -> bool:
        """Whether this has not been asked before; from now on it has.

        Args:
            what: Values that JSON has.
        """
        digest = _digest(what)
        if digest in self._seen:
            return False
        self._seen[digest] = None
        if len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]
        return True

    def forget(self, *what: object) -> None:
        """It has not been taken after all; it may come again."""
        self._seen.pop(_digest(what), None)


def _digest(what: tuple[object, ...]) -> bytes:
    text = json.dumps(what, sort_keys=True)
    return hashlib.sha256(text.encode()).digest()
