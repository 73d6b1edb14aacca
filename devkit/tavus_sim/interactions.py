#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""App messages that a room receives: what Tavus takes, and a record of them.

docs.tavus.io, "Interactions protocols" (openapi.yaml, components echo,
respond, sensitivity, …). Tavus says nothing to a message it cannot use; here
the record says what was wrong with it.
"""

import base64
import binascii
import hashlib
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from .messages import Refusal

KEPT = 200
LONGEST_MESSAGE = 64 * 1024
_SENSITIVITIES = ("superlow", "verylow", "low", "medium", "high", "auto")
_SENSITIVITY_NAMES = {
    "participant_pause_sensitivity",
    "participant_interrupt_sensitivity",
}


@dataclass
class Interactions:
    """What came into one room, the last ``KEPT`` messages of it."""

    count: int = 0
    kept: deque[dict[str, Any]] = field(
        default_factory=lambda: deque(maxlen=KEPT)
    )

    def add(
        self,
        conversation_id: str,
        message: Any,
        received_at: str,
        *,
        replica_joined: bool,
    ) -> dict[str, Any]:
        """Check a message and keep it.

        Args:
            conversation_id: the room's.
            message: as it came, decoded.
            received_at: the time, for the record.
            replica_joined: whether anybody is there to take it.

        Returns:
            ``problem``, what is wrong with it or ``None``, and
            ``inference_id`` as Tavus would write it, or ``None``.
        """
        problem = problem_of(message, conversation_id)
        if not problem and not replica_joined:
            problem = "the replica has not joined yet"
        self.keep(message, received_at, problem)
        properties = {} if problem else message.get("properties") or {}
        wish = properties.get("inference_id")
        return {
            "problem": problem,
            "inference_id": wish and normalized_inference_id(wish),
        }

    def keep(self, message: Any, received_at: str, problem: str | None) -> None:
        """Keep a message that has been checked."""
        self.count += 1
        self.kept.append(
            {"received_at": received_at, "problem": problem, "message": message}
        )


def problem_of(message: Any, conversation_id: str) -> str | None:
    """Why Tavus could not use a message; ``None`` when it could."""
    try:
        _check_message(message, conversation_id)
    except _Problem as problem:
        return str(problem)
    return None


def livekit_problem_of(message: Any) -> str | None:
    """The same for a LiveKit room, where only emotions are taken
    (livekit-plugins-tavus 1.8.9, ``avatar.py``)."""
    match message:
        case {
            "message_type": "conversation",
            "event_type": "conversation.set_emotion",
            "properties": {"emotion": str()},
        }:
            return None
    return "in a LiveKit room only conversation.set_emotion is taken"


def normalized_inference_id(wish: str) -> str:
    """A UUID as it is; of anything else the UUID that its MD5 makes."""
    try:
        return str(uuid.UUID(wish))
    except ValueError:
        digest = hashlib.md5(wish.encode(), usedforsecurity=False)
        return str(uuid.UUID(bytes=digest.digest()))


def check_size(body: bytes) -> None:
    """Refuse what is too long for any app message.

    Raises:
        Refusal: 413.
    """
    if len(body) > LONGEST_MESSAGE:
        raise Refusal(413, error="An app message has at most 64 KiB")


class _Problem(Exception):
    pass


def _check_message(message: Any, conversation_id: str) -> None:
    if not isinstance(message, dict):
        raise _Problem("an app message is an object")
    if message.get("message_type") != "conversation":
        raise _Problem('message_type must be "conversation"')
    if message.get("conversation_id") != conversation_id:
        raise _Problem("conversation_id is not that of this room")
    properties = message.get("properties")
    if properties is None:
        properties = {}
    if not isinstance(properties, dict):
        raise _Problem("properties must be an object")
    match message.get("event_type"):
        case "conversation.echo":
            _check_echo(properties)
        case "conversation.respond":
            _text(properties, "text")
        case "conversation.interrupt":
            pass
        case (
            "conversation.overwrite_llm_context"
            | "conversation.append_llm_context"
        ):
            _text(properties, "context", may_be_empty=True)
        case "conversation.sensitivity":
            _check_sensitivity(properties)
        case "conversation.tool_result":
            # docs.tavus.io, conversation-tool-result: only the id is needed.
            _text(properties, "tool_call_id")
            if properties.get("status", "success") not in ("success", "error"):
                raise _Problem("properties.status must be success or error")
            if not isinstance(properties.get("output"), (str, dict)):
                raise _Problem("properties.output must be a text or an object")
        case other:
            raise _Problem(f"unknown event_type {other!r}")


def _check_echo(properties: dict[str, Any]) -> None:
    modality = properties.get("modality", "text")
    if modality not in ("text", "audio"):
        raise _Problem("modality must be text or audio")
    if not isinstance(properties.get("done", True), bool):
        raise _Problem("done must be true or false")
    if properties.get("inference_id") is not None:
        _text(properties, "inference_id")
    if modality == "text":
        _text(properties, "text", may_be_empty=True)
        return
    _text(properties, "audio", may_be_empty=True)
    rate_hz = properties.get("sample_rate", 16000)
    if type(rate_hz) is not int or not 8000 <= rate_hz <= 48000:
        raise _Problem("sample_rate must be a whole number, 8000 to 48000")
    try:
        pcm = base64.b64decode(properties["audio"], validate=True)
    except (binascii.Error, ValueError):
        raise _Problem("audio must be base64") from None
    if len(pcm) % 2:
        raise _Problem("audio must be 16-bit PCM")


def _check_sensitivity(properties: dict[str, Any]) -> None:
    if len(properties) != 1 or not set(properties) <= _SENSITIVITY_NAMES:
        names = " or ".join(sorted(_SENSITIVITY_NAMES))
        raise _Problem(f"properties must be one of {names}")
    if next(iter(properties.values())) not in _SENSITIVITIES:
        raise _Problem(f"must be one of {', '.join(_SENSITIVITIES)}")


def _text(
    properties: dict[str, Any], name: str, *, may_be_empty: bool = False
) -> None:
    value = properties.get(name)
    if not isinstance(value, str) or not (value or may_be_empty):
        raise _Problem(f"properties.{name} must be a text")
