#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The routes of conversations: create, list, get, end, interaction."""

# No "from __future__ import annotations" here: FastAPI reads the annotations
# of handlers when they are defined.

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Path, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import Response

from .answers import (
    CONVERSATION_ID,
    NO_BROWSER,
    USER_ID,
    Accepted,
    Created,
    CreateRequest,
    Ended,
    Listed,
    Refusal,
    Reply,
    Seen,
    success,
)
from .bodies import check_is_json, read_body
from .descriptions import create_body, failures, interaction_body, security
from .direct import Create, End
from .event_stream import disconnected
from .graph import GraphError
from .json_body import InvalidMessageError, check_parts, shown_name
from .parts import Parts, caller_of

_CREATE_BYTES = 256 * 1024
# Frames of what the user's camera shows are in some (perception).
_INTERACTION_BYTES = 1024 * 1024
# Strings, commas and opening brackets: a wish is one flat object.
_WISH_PARTS = 100
_PROBLEMS_SHOWN = 5
_FROM_TAVUS = (
    "auth",
    "credits",
    "concurrency",
    "rate_limited",
    "server",
    "network",
    "protocol",
    "timeout",
    "config",
    "graph",
    "stopping",
)

T = TypeVar("T", bound=BaseModel)


class _IdConvertor(StringConvertor):
    # ".../create" is a route of its own, whatever the method.
    regex = "(?!create(?:/|$))[^/]+"


register_url_convertor("conversation", _IdConvertor())
_ONE = "/api/tavus/conversation/{conversation_id:conversation}"

UserId = Annotated[str, Query(pattern=USER_ID, json_schema_extra=NO_BROWSER)]
ConversationId = Annotated[str, Path(pattern=CONVERSATION_ID)]


def add_conversation_routes(app: FastAPI, parts: Parts) -> tuple[Create, End]:
    """Adds them.

    Args:
        app: Where to.
        parts: What they work with.

    Returns:
        The handlers of create and of end, for ``ShortWay``.
    """
    timeout_s = parts.config.request_timeout_s
    conversations = parts.conversations
    token = parts.callers.token_needed

    @app.post(
        "/api/tavus/conversation/create",
        response_model=Reply[Created],
        responses=failures(
            *("validation", "not_found", "too_large", "slow", "cancelled"),
            *("full", "limiter", *_FROM_TAVUS),
            token_needed=token,
        ),
        openapi_extra={**create_body(), **security(token)},
    )
    async def create(request: Request) -> Response:
        """Starts a conversation, or gives the one that runs."""
        began = time.monotonic()
        caller = caller_of(request)
        await parts.count(
            "create", caller.client, "too many conversations; wait a moment"
        )
        wish = await read_wish(request, CreateRequest)
        options = wish.options
        cookie: dict[str, str] = {}
        user_id = caller.user_id(options.pop("user_id", ""))
        if not user_id:
            cookie = caller.introduce()
            user_id = caller.user_id()
        gone = asyncio.create_task(disconnected(request.receive))
        try:
            made = await parts.starter.start(
                {**options, "remote_user_id": user_id}, gone
            )
        except GraphError as error:
            kind = error.kind
            # It is the persona or the replica; where the request names none,
            # the configured one.
            if kind == "not_found" and not wish.names_somebody:
                kind = "config"
            raise Refusal(kind, error.detail) from error
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        parts.metrics.answered(time.monotonic() - began)
        url = str(made.get("conversation_url", ""))
        return success(
            {
                "conversation_id": made["conversation_id"],
                "conversation_url": url,
                "join_url": str(made.get("join_url", url)),
                "user_id": user_id,
            },
            cookie,
        )

    @app.get(
        "/api/tavus/conversation",
        response_model=Reply[Listed],
        responses=failures("validation", token_needed=token),
        openapi_extra=security(token),
    )
    async def running(request: Request, user_id: UserId = "") -> Response:
        """The caller's conversations that run."""
        caller = caller_of(request)
        caller.user_id(user_id)  # a name that cannot be, is refused
        return success(
            {
                "conversations": [
                    conversation.running
                    for conversation in conversations
                    if caller.may_touch(conversation.user_id, user_id)
                ]
            }
        )

    @app.get(
        _ONE,
        response_model=Reply[Seen],
        responses=failures("validation", "not_found", token_needed=token),
        openapi_extra=security(token),
    )
    async def get(
        request: Request,
        conversation_id: ConversationId,
        user_id: UserId = "",
    ) -> Response:
        """One conversation of the caller's, also when it has just ended."""
        found = parts.own(request, conversation_id, user_id)
        seen: dict[str, Any] = {**found.running, "status": "active"}
        if conversations.running(conversation_id) is None:
            seen["status"] = "ended"
            seen["reason"] = found.reason
            seen["duration_ms"] = found.duration_ms
        return success(seen)

    @app.delete(
        _ONE,
        response_model=Reply[Ended],
        responses=failures(
            "validation", "not_found", *_FROM_TAVUS, token_needed=token
        ),
        openapi_extra=security(token),
    )
    async def end(
        request: Request,
        conversation_id: ConversationId,
        user_id: UserId = "",
    ) -> Response:
        """Ends a conversation; answers when it is really over."""
        found = parts.own(request, conversation_id, user_id)
        if conversations.running(conversation_id) is None:
            raise Refusal(
                "not_found",
                f"conversation {conversation_id} has ended already: "
                f"{found.reason}",
            )
        try:
            await asyncio.wait_for(parts.graph.end(conversation_id), timeout_s)
        except asyncio.TimeoutError as error:
            raise Refusal(
                "timeout",
                f"its end was not confirmed within {timeout_s:g} s; it is "
                "still being tried",
            ) from error
        except GraphError as error:
            raise Refusal(error.kind, error.detail) from error
        conversations.end(conversation_id, "end_conversation")
        return success({"conversation_id": conversation_id})

    @app.post(
        f"{_ONE}/interaction",
        response_model=Reply[Accepted],
        responses=failures(
            *("validation", "not_found", "too_large", "slow"),
            *("graph", "timeout"),
            token_needed=token,
        ),
        openapi_extra={**interaction_body(), **security(token)},
    )
    async def interact(
        request: Request,
        conversation_id: ConversationId,
        user_id: UserId = "",
    ) -> Response:
        """Takes an app message that the page has heard in the room."""
        parts.own(request, conversation_id, user_id)
        body = await read_body(request, _INTERACTION_BYTES)
        check_is_json(request)
        try:
            message = parts.interactions.accept(body, conversation_id)
        except InvalidMessageError as error:
            raise Refusal("validation", str(error)) from error
        if message is not None:
            try:
                await parts.hand_on(
                    conversation_id, message["event_type"], message, "page"
                )
            except Refusal:
                parts.interactions.forget(message)
                raise
        return success({"accepted": message is not None})

    return create, end


async def read_wish(request: Request, model: type[T]) -> T:
    """The body as that model; an empty one is its defaults.

    Raises:
        Refusal: It is too long, too slow, no JSON, or does not fit.
    """
    body = (await read_body(request, _CREATE_BYTES)).strip()
    if not body:
        return model()
    check_is_json(request)
    try:
        check_parts(body, _WISH_PARTS)
        return model.model_validate_json(body)
    except InvalidMessageError as error:
        raise Refusal(error.kind, str(error)) from None
    except ValidationError as error:
        raise invalid(error.errors(), model) from error


def invalid(
    problems: Sequence[Any], model: type[BaseModel] = CreateRequest
) -> Refusal:
    """One line that names the first fields and their problems, no value."""
    lines = []
    for problem in problems[:_PROBLEMS_SHOWN]:
        name = ".".join(str(part) for part in problem["loc"]) or "body"
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields)
            field = shown_name(problem["loc"][-1])
            name, text = "body", f"unknown field {field}; known are {known}"
        lines.append(f"{name}: {text}")
    if len(problems) > _PROBLEMS_SHOWN:
        lines.append(f"and {len(problems) - _PROBLEMS_SHOWN} more")
    return Refusal("validation", "; ".join(lines))
