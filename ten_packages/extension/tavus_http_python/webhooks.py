#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Webhooks from Tavus: is it one, is it of ours, is it new.

Tavus signs nothing (docs.tavus.io/sections/webhooks-and-callbacks): an
unguessable address is all there is, so what a webhook says is a hint, and
whoever acts on it asks Tavus first.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import StringConstraints, ValidationError

from .app_messages import Envelope
from .json_body import InvalidMessageError, problem_of, read_object
from .seen import Seen

# A transcript is in one of them, and who knows the secret floods nobody.
_PARTS = 50_000


class UnknownConversationError(InvalidMessageError):
    """A webhook about a conversation that nobody here started."""

    kind = "not_found"


class WebhookEnvelope(Envelope):
    """What is acted on of a webhook."""

    conversation_id: Annotated[
        str, StringConstraints(min_length=1, max_length=256)
    ]


@dataclass(frozen=True)
class WebhookEvent:
    """One event, heard for the first time."""

    conversation_id: str
    event_type: str
    event: Mapping[str, Any]


class Webhooks:
    """Takes the webhooks of one address.

    Args:
        secret: The last part of the address; "" takes none at all.
        is_known: Whether a conversation is one of ours, or lately was.
    """

    def __init__(self, secret: str, is_known: Callable[[str], bool]) -> None:
        self._secret = secret.encode()
        self._is_known = is_known
        self._seen = Seen()

    def matches(self, secret: str) -> bool:
        """Whether this is the secret; takes the same time either way."""
        given = secret.encode("utf-8", "replace")
        return hmac.compare_digest(given, self._secret) and bool(self._secret)

    def accept(self, body: bytes) -> WebhookEvent | None:
        """Reads a webhook; its size is the caller's to limit.

        Returns:
            What it says; None when it has been said before.

        Raises:
            InvalidMessageError: It is none.
            UnknownConversationError: Of a conversation that is not ours.
        """
        message = read_object(body, most_parts=_PARTS)
        try:
            envelope = WebhookEnvelope.model_validate(message)
        except ValidationError as error:
            raise problem_of(error) from None
        if not self._is_known(envelope.conversation_id):
            raise UnknownConversationError("no such conversation runs here")
        # The address holds the secret, and the graph has no use for it.
        message.pop("webhook_url", None)
        event = {**message, "properties": message.get("properties") or {}}
        if not self._seen.is_new(event):
            return None
        return WebhookEvent(
            envelope.conversation_id, envelope.event_type, event
        )

    def forget(self, event: WebhookEvent) -> None:
        """Nobody took it; when it comes again, it is new."""
        self._seen.forget(event.event)
