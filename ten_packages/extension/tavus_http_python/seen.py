#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Remembers for a while what has been said, to know it when it comes again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# What is not what an event says.
_ENVELOPE = (
    "conversation_id",
    "event_type",
    "message_type",
    "seq",
    "timestamp",
)


class Seen:
    """A memory of the last so many events.

    An event is known again by its conversation, type, number, time and
    content (docs/lifecycle.md).

    Args:
        most: How many are remembered; the oldest is forgotten.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._seen: dict[bytes, None] = {}

    def is_new(self, event: Mapping[str, Any]) -> bool:
        """Whether this has not been asked before; from now on it has."""
        identity = _identity(event)
        if identity is None:
            return True
        if identity in self._seen:
            return False
        self._seen[identity] = None
        if len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]
        return True

    def forget(self, event: Mapping[str, Any]) -> None:
        """It has not been taken after all; it may come again."""
        identity = _identity(event)
        if identity is not None:
            self._seen.pop(identity, None)


def _identity(event: Mapping[str, Any]) -> bytes | None:
    """What it and its repetition have in common; None: cannot say."""
    event_type = str(event.get("event_type"))
    moment = event.get("seq"), event.get("timestamp")
    if moment == (None, None) and event_type.startswith("conversation."):
        return None
    content = {
        name: value
        for name, value in event.items()
        if name not in _ENVELOPE and value not in (None, {})
    }
    what = (event.get("conversation_id"), event_type, *moment, content)
    text = json.dumps(what, sort_keys=True)
    return hashlib.sha256(text.encode()).digest()
