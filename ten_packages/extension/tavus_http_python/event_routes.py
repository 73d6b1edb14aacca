#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The routes of events: the stream to browsers, the webhooks from Tavus."""

# No "from __future__ import annotations" here: FastAPI reads the annotations
# of handlers when they are defined.

from typing import Annotated

from fastapi import FastAPI, Header, Query, Request
from starlette.responses import Response

from .answers import CHANNEL, Accepted, Refusal, Reply, success
from .bodies import read_body
from .conversation_routes import UserId
from .descriptions import failures, security, webhook_body
from .event_stream import EventStream
from .json_body import InvalidMessageError
from .parts import Parts, caller_of, no_route
from .webhooks import UnknownConversationError

_WEBHOOK_BYTES = 1024 * 1024
# One event of the stream, as HTML's parser takes it apart.
_EVENT = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9]+$"},
        "event": {"type": "string"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
        },
    },
}

Channel = Annotated[str, Query(pattern=CHANNEL)]
LastEventId = Annotated[str, Header(alias="last-event-id")]


def add_event_routes(app: FastAPI, parts: Parts) -> None:
    """Adds them.

    Args:
        app: Where to.
        parts: What they work with.
    """
    token = parts.callers.token_needed

    @app.get(
        "/api/tavus/events",
        response_class=Response,
        responses={
            200: {
                "description": "Server-sent events, without end.",
                "content": {"text/event-stream": {"schema": _EVENT}},
            },
            **failures("validation", token_needed=token),
        },
        openapi_extra=security(token),
    )
    async def events(
        request: Request,
        user_id: UserId = "",
        channel: Channel = "",
        last_event_id: LastEventId = "",
    ) -> Response:
        """The events of a user, who is there as long as it is open."""
        caller = caller_of(request)
        cookie: dict[str, str] = {}
        listener = caller.user_id(user_id)
        if not listener:
            cookie = caller.introduce()
            listener = caller.user_id()
        return EventStream(
            parts.streams, listener, channel, last_event_id, cookie
        )

    @app.post(
        "/api/tavus/webhook/{secret}",
        response_model=Reply[Accepted],
        responses=failures(
            *("validation", "not_found", "too_large", "slow"),
            *("graph", "timeout"),
        ),
        openapi_extra=webhook_body(),
    )
    async def webhook(request: Request, secret: str) -> Response:
        """Takes what Tavus posts to ``callback_url``."""
        if not parts.webhooks.matches(secret):
            client = caller_of(request).client
            await parts.count("guess", client, "too many wrong addresses")
            raise no_route(request.method, request.url.path)
        body = await read_body(request, _WEBHOOK_BYTES)
        try:
            event = parts.webhooks.accept(body)
        except UnknownConversationError as error:
            raise Refusal("not_found", str(error)) from error
        except InvalidMessageError as error:
            raise Refusal("validation", str(error)) from error
        if event is not None:
            try:
                await parts.hand_on(
                    event.conversation_id,
                    event.event_type,
                    event.event,
                    "webhook",
                )
            except Refusal:
                parts.webhooks.forget(event)
                raise
        return success({"accepted": event is not None})
