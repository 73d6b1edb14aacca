#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the page hears of the graph, and what it may say to it.

The page's messages have the form of Tavus's interactions, so that it shows
them as those of any other room.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

_FATAL = -1000  # of ten_ai_base's ModuleErrorCode
_MOST_TEXT = 2000


def utterance(role: str, text: str) -> dict[str, Any]:
    """Somebody has said something; ``role`` is "user" or "replica"."""
    return _message("conversation.utterance", role=role, speech=text)


def ready() -> dict[str, Any]:
    """What the page may ask of us; it offers nothing else."""
    return _message("agent_ready", takes=["interrupt", "text"])


def happened(name: str, content: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a data message of tavus_python says to the page; None: nothing.

    Args:
        name: Of the message.
        content: Its properties.
    """
    if name == "tavus_event":
        event = _parsed(content.get("event", ""))
        properties = event.get("properties")
        return _message(
            str(content.get("event_type", "")),
            **(properties if isinstance(properties, dict) else {}),
        )
    if name == "error":
        metadata = content.get("metadata")
        kind = metadata.get("kind") if isinstance(metadata, dict) else None
        return _message(
            "error",
            kind=kind or "unknown",
            detail=str(content.get("message", "")),
            fatal=content.get("code") == _FATAL,
            retrying=isinstance(metadata, dict)
            and metadata.get("retrying") is True,
        )
    if name in ("tavus_conversation_created", "tavus_conversation_ended"):
        told = ("conversation_id", "reason", "duration_ms", "replaced")
        return _message(name, **{k: content[k] for k in told if k in content})
    return None


def wish_of(
    packet: bytes | bytearray,
) -> tuple[Literal["interrupt", "text", ""], str]:
    """What a packet of the page asks for, and the text it brings."""
    said = _parsed(packet)
    if said.get("type") == "interrupt":
        return "interrupt", ""
    text = said.get("text")
    if said.get("type") == "text" and isinstance(text, str) and text.strip():
        return "text", text.strip()[:_MOST_TEXT]
    return "", ""


def _message(event_type: str, **properties: Any) -> dict[str, Any]:
    return {"event_type": event_type, "properties": properties}


def _parsed(text: str | bytes | bytearray) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:  # also where it is no UTF-8
        return {}
    return value if isinstance(value, dict) else {}
