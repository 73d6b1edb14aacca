#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What happens to conversations, as the rest of the graph hears it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import TavusError
from .tavus_client import Conversation


@dataclass(frozen=True)
class Created:
    """A conversation runs. ``user_id`` is "" when it is the channel's."""

    conversation: Conversation
    user_id: str
    channel: str
    create_ms: float


@dataclass(frozen=True)
class Ended:
    """A conversation is over, and Tavus has confirmed it.

    ``replaced`` says that another is made in its place.
    """

    conversation_id: str
    reason: str
    duration_ms: int
    user_id: str
    channel: str
    replaced: bool = False


@dataclass(frozen=True)
class Reported:
    """One event of a conversation (docs.tavus.io, webhooks and events).

    ``source`` is "poll" or "webhook" when Tavus says so, "page" when a page
    says that it heard it in the room, and the transport's name when we saw
    it there.
    """

    conversation_id: str
    event: Mapping[str, Any]
    user_id: str
    channel: str
    source: str


@dataclass(frozen=True)
class Measured:
    """Numbers of a conversation, in ms."""

    conversation_id: str
    metrics: Mapping[str, float]
    user_id: str
    channel: str


@dataclass(frozen=True)
class Failed:
    """A conversation could not be started, or (with an id) has failed.

    ``retrying`` says that it is being tried again.
    """

    error: TavusError
    user_id: str
    channel: str
    conversation_id: str = ""
    retrying: bool = False


Event = Created | Ended | Reported | Measured | Failed
