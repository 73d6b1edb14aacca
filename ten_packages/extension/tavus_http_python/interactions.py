#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Messages between the room's page and the graph.

What a page hears passes as it is: the graph knows that a page says so. What
the graph wants said must be what Tavus documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
)

from .answers import CONVERSATION_ID, USER_ID
from .app_messages import FROM_GRAPH, Asked, Envelope
from .json_body import InvalidMessageError, problem_of, read_object
from .seen import Seen

# Of one app message (docs.daily.co, sendAppMessage).
MAX_APP_MESSAGE_BYTES = 4096
# A conversation's id is far shorter; where it is not known yet, so much is
# kept free for it.
_ROOM_FOR_ID = "c" * 32


class _Heard(Envelope):
    conversation_id: str | None = None


def parse_from_page(body: bytes, conversation_id: str) -> dict[str, Any]:
    """Reads one app message that a page heard in its room.

    Args:
        body: As the page sends it; its size is the caller's to limit.
        conversation_id: Of which conversation the page says that it is.

    Returns:
        The message, with ``conversation_id`` and ``properties`` always set.

    Raises:
        InvalidMessageError: It is none, or of another conversation.
    """
    message = read_object(body)
    try:
        heard = _Heard.model_validate(message)
    except ValidationError as error:
        raise problem_of(error) from None
    if heard.conversation_id not in (None, "", conversation_id):
        raise InvalidMessageError(
            "conversation_id: differs from the one in the path"
        )
    return {
        **message,
        "conversation_id": conversation_id,
        "properties": message.get("properties") or {},
    }


class Interactions:
    """Takes what pages hand on; two tabs of one user hear the same."""

    def __init__(self) -> None:
        self._seen = Seen()

    def accept(
        self, body: bytes, conversation_id: str
    ) -> dict[str, Any] | None:
        """As ``parse_from_page``; None when it has been handed on before.

        A message with neither number nor time cannot be told from another
        with the same words, and counts as new.

        Raises:
            InvalidMessageError: As ``parse_from_page``.
        """
        message = parse_from_page(body, conversation_id)
        return message if self._seen.is_new(message) else None

    def forget(self, message: Mapping[str, Any]) -> None:
        """Nobody took it; when it comes again, it is new."""
        self._seen.forget(message)


def _digits(value: object) -> object:
    """RTC extensions' user ids may be numbers."""
    return str(value) if type(value) is int else value


class _Sent(BaseModel):
    """The content of a ``tavus_interaction`` data message."""

    model_config = ConfigDict(
        extra="ignore", strict=True, hide_input_in_errors=True
    )

    event_type: str
    conversation_id: Annotated[
        str, StringConstraints(pattern=rf"^$|{CONVERSATION_ID}")
    ] = ""
    remote_user_id: Annotated[
        str,
        StringConstraints(pattern=rf"^$|{USER_ID}"),
        BeforeValidator(_digits),
    ] = ""
    properties: dict[str, Any] | str | None = None


@dataclass(frozen=True)
class AppMessage:
    """What the graph wants said to Tavus in a room.

    Attributes:
        event_type: With its prefix, as ``conversation.echo``.
        properties: As Tavus documents them for this type.
        conversation_id: In which conversation; "" where the graph only
            named the user, or nobody.
        remote_user_id: Whose conversation; "" where it was not said.
    """

    event_type: str
    properties: Mapping[str, Any]
    conversation_id: str = ""
    remote_user_id: str = ""

    def for_page(self, conversation_id: str) -> dict[str, Any]:
        """The app message as the page sends it into the room."""
        return {
            "message_type": "conversation",
            "event_type": self.event_type,
            "conversation_id": conversation_id,
            "properties": dict(self.properties),
        }


def parse_from_graph(content: Mapping[str, Any]) -> AppMessage:
    """Reads a ``tavus_interaction``.

    Args:
        content: ``event_type`` (``conversation.echo``, or short ``echo``),
            ``properties`` (an object, or one as JSON text), and whose it is:
            ``conversation_id``, ``remote_user_id``, both or none.

    Raises:
        InvalidMessageError: Tavus would not take it, or Daily not carry it.
    """
    try:
        sent = _Sent.model_validate(content)
    except ValidationError as error:
        raise problem_of(error) from None
    event_type = sent.event_type
    if not event_type.startswith("conversation."):
        event_type = f"conversation.{event_type}"
    model = FROM_GRAPH.get(event_type)
    if model is None:
        known = ", ".join(name.partition(".")[2] for name in FROM_GRAPH)
        raise InvalidMessageError(f"event_type: must be one of {known}")
    given = sent.properties or {}
    if isinstance(given, str):
        given = read_object(given.encode("utf-8", "replace"), "properties")
    message = AppMessage(
        event_type,
        _check(model, given).model_dump(exclude_none=True),
        sent.conversation_id,
        sent.remote_user_id,
    )
    size = _size_of(message.for_page(sent.conversation_id or _ROOM_FOR_ID))
    if size > MAX_APP_MESSAGE_BYTES:
        raise InvalidMessageError(
            f"the app message has {size} bytes, and Daily carries "
            f"{MAX_APP_MESSAGE_BYTES}: split it"
        )
    return message


def _check(model: type[Asked], properties: Mapping[str, Any]) -> BaseModel:
    try:
        return model.model_validate(properties)
    except ValidationError as error:
        raise problem_of(error, "properties") from None


def _size_of(message: Mapping[str, Any]) -> int:
    """In bytes, as a browser's JSON.stringify writes it."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode())  # pydantic has refused half surrogate pairs
