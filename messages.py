#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The messages that this extension sends: their names and their content.

The only place that names them; ``manifest.json`` declares them and README.md
explains them.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

from ten_ai_base.message import (
    ModuleError,
    ModuleErrorCode,
    ModuleErrorVendorInfo,
    ModuleMetrics,
    ModuleType,
)

from .errors import TavusError
from .events import Created, Ended, Event, Failed, Reported

VENDOR = "tavus"
# With these, nothing will work until a person changes something.
_FATAL = ("auth", "config", "credits", "not_found", "validation")

Message = tuple[str, dict[str, Any]]


def messages(
    event: Event, transport: str, playground: bool
) -> Iterator[Message]:
    """The data messages that tell the graph of an event.

    Args:
        event: What happened.
        transport: How the user sees the face, for ``created``.
        playground: Whether TEN's stock playground is to open the URL.

    Yields:
        Name and properties of each message.
    """
    whose = {"remote_user_id": event.user_id, "channel": event.channel}
    if isinstance(event, Created):
        made = event.conversation
        yield (
            "tavus_conversation_created",
            {
                "conversation_id": made.conversation_id,
                "conversation_url": made.conversation_url,
                "join_url": made.join_url,
                "transport": transport,
                **whose,
            },
        )
        yield _metrics({"create_ms": event.create_ms}, whose)
        if playground:
            yield _browse(made.join_url)
    elif isinstance(event, Ended):
        yield (
            "tavus_conversation_ended",
            {
                "conversation_id": event.conversation_id,
                "reason": event.reason,
                "duration_ms": event.duration_ms,
                **whose,
            },
        )
    elif isinstance(event, Reported):
        yield (
            "tavus_event",
            {
                "conversation_id": event.conversation_id,
                "event_type": str(event.event.get("event_type", "")),
                "event": json.dumps(event.event),
                **whose,
            },
        )
    elif isinstance(event, Failed):
        yield error(event.error, whose)


def error(problem: TavusError, metadata: dict[str, Any]) -> Message:
    """The ``error`` message of a failure."""
    fatal = problem.kind in _FATAL
    code = (
        ModuleErrorCode.FATAL_ERROR
        if fatal
        else ModuleErrorCode.NON_FATAL_ERROR
    )
    content = ModuleError(
        id=uuid.uuid4().hex,
        module=ModuleType.AVATAR,
        code=int(code.value),
        message=str(problem),
        vendor_info=ModuleErrorVendorInfo(
            vendor=VENDOR,
            code=str(problem.status or ""),
            message=problem.message,
        ),
        metadata={**metadata, "kind": problem.kind},
    )
    return "error", content.model_dump(mode="json")


def _metrics(metrics: dict[str, Any], metadata: dict[str, Any]) -> Message:
    content = ModuleMetrics(
        id=uuid.uuid4().hex,
        module=ModuleType.AVATAR,
        vendor=VENDOR,
        metrics=metrics,
        metadata=metadata,
    )
    return "metrics", content.model_dump(mode="json")


def _browse(url: str) -> Message:
    """What makes the stock playground open a URL (its rtc manager)."""
    action = {
        "type": "action",
        "data": {"action": "browse_website", "data": {"url": url}},
    }
    return (
        "message",
        {
            "data_type": "raw",
            "role": "assistant",
            "text": json.dumps(action),
            "text_ts": int(time.time() * 1000),
            "is_final": True,
            "stream_id": 0,
        },
    )
