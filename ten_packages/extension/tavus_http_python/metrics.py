#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What Prometheus is told of this server's conversations."""

from __future__ import annotations

import re

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

# Ours, then how Tavus's begin (docs.tavus.io, "system.shutdown": spellings
# vary past that). A label's values are kept for ever, so all else is "other".
_REASONS = (
    "user_left",
    "end_conversation",
    "stop",
    "test_mode",
    "not_found",
    "tavus",
    "error",
    "cancelled",
    "internal",
    "max_call_duration",
    "participant_left_timeout",
    "participant_absent_timeout",
    "bot_could_not_join",
    "daily_room_has_been_deleted",
    "exception_encountered",
)
_KIND = re.compile(r"[a-z_]{1,32}")
# A create is one request to Tavus, which takes a second or more.
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 21, 34, 60)


class Metrics:
    """Counts for one server, in a registry of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry(auto_describe=False)
        self._registry = registry
        self._created = Counter(
            "tavus_conversations_created_total",
            "Conversations that have run here.",
            registry=registry,
        )
        self._active = Gauge(
            "tavus_conversations_active",
            "Conversations that run now.",
            registry=registry,
        )
        self._ended = Counter(
            "tavus_conversations_ended_total",
            "Conversations that are over, by reason.",
            ["reason"],
            registry=registry,
        )
        self._errors = Counter(
            "tavus_errors_total",
            "Requests that failed, by kind of error.",
            ["kind"],
            registry=registry,
        )
        self._seconds = Histogram(
            "tavus_create_seconds",
            "How long a create that succeeded took, in seconds.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._streams = Gauge(
            "tavus_event_streams",
            "Event streams that are open.",
            registry=registry,
        )

    def created(self) -> None:
        """A conversation runs that did not before."""
        self._created.inc()

    def answered(self, latency_s: float) -> None:
        """A request for a conversation was answered with one, new or not.

        Args:
            latency_s: From the request to the answer, in seconds.
        """
        self._seconds.observe(latency_s)

    def ended(self, reason: str) -> None:
        """A conversation is over.

        Args:
            reason: Of ``tavus_conversation_ended``; an unknown one counts
                as "other".
        """
        known = (name for name in _REASONS if reason.startswith(name))
        self._ended.labels(next(known, "other")).inc()

    def failed(self, kind: str) -> None:
        """A request failed.

        Args:
            kind: Of the answer.
        """
        self._errors.labels(kind if _KIND.fullmatch(kind) else "unknown").inc()

    def active(self, count: int) -> None:
        """So many conversations run."""
        self._active.set(count)

    def streams(self, count: int) -> None:
        """So many event streams are open."""
        self._streams.set(count)

    def render(self) -> tuple[bytes, str]:
        """Returns the Prometheus text and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4
