#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The data messages of this extension: their names and their content.

The only place that names them; ``manifest.json`` declares them and README.md
explains them.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from ten_ai_base.message import (
    ModuleError,
    ModuleErrorCode,
    ModuleErrorVendorInfo,
    ModuleMetrics,
    ModuleType,
)

from . import coerce
from .errors import TavusError
from .events import Created, Ended, Event, Failed, Measured, Reported
from .reports import PAGE, WEBHOOK
from .tavus_models import text_of
from .vendor_json import read_json

VENDOR = "tavus"
# Goes both ways: what a webhook or a page says, and what is worth telling.
EVENT = "tavus_event"
# What TEN's TTS extensions say of their audio (ten_ai_base).
TTS_START, TTS_END = "tts_audio_start", "tts_audio_end"
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
        if playground and made.join_url:
            yield _browse(made.join_url)
    elif isinstance(event, Ended):
        yield (
            "tavus_conversation_ended",
            {
                "conversation_id": event.conversation_id,
                "reason": event.reason,
                "duration_ms": event.duration_ms,
                "replaced": event.replaced,
                **whose,
            },
        )
    elif isinstance(event, Reported):
        yield (
            EVENT,
            {
                "conversation_id": event.conversation_id,
                "event_type": text_of(event.event, "event_type"),
                "event": json.dumps(event.event),
                "source": event.source,
                **whose,
            },
        )
    elif isinstance(event, Measured):
        yield _metrics(
            dict(event.metrics),
            {"conversation_id": event.conversation_id, **whose},
        )
    elif isinstance(event, Failed):
        which: dict[str, Any] = {}
        if event.conversation_id:
            which["conversation_id"] = event.conversation_id
        which["retrying"] = event.retrying
        yield error(event.error, {**which, **whose})


def spoken(content: Mapping[str, Any]) -> tuple[str, dict[str, Any], str]:
    """What somebody else says with a ``tavus_event``.

    Args:
        content: Its ``conversation_id``, ``event`` (an object, or one as
            JSON text) and ``source``; whoever is not the webhook is taken for a
            page.

    Returns:
        Id, event and source.

    Raises:
        ValueError: There is no event in it; the text is without its content.
    """
    event = content.get("event")
    try:
        event = read_json(event) if isinstance(event, str) else event
    except ValueError:
        event = None
    if not isinstance(event, dict) or not text_of(event, "event_type"):
        raise ValueError("event must be a JSON object with an event_type")
    source = WEBHOOK if content.get("source") == WEBHOOK else PAGE
    return text_in(content, "conversation_id"), event, source


def text_in(content: Mapping[str, Any], name: str) -> str:
    """A member that is an id or a name; "" where it is none."""
    try:
        return coerce.word(content.get(name))
    except ValueError:
        return ""


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
