#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""How the API describes itself, where FastAPI cannot see it."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from .answers import ANSWERS, CreateRequest, Reply, RoomRequest, Trouble
from .app_messages import Envelope
from .webhooks import WebhookEnvelope

_ALWAYS = ("forbidden", "too_many", "internal")
_BEARER = "bearer"
_RETRY_AFTER = {
    "Retry-After": {
        "description": "After how many seconds to try again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_FAILURE = {
    "application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}
}
_WHEN = {
    401: "No token, or a wrong one.",
    403: "A page of another site asked, or for another host's name.",
    404: "There is none, or it is somebody else's.",
    408: "The body came too slowly.",
    409: "It was ended before it had begun.",
    413: "The body is too long.",
    422: "A value cannot be used.",
    429: "Too many requests of one client.",
    500: "A mistake of the server.",
    502: "Trouble between the server and Tavus.",
    503: "It cannot be done now.",
    504: "The graph or Tavus did not answer in time.",
}


def failures(*kinds: str, token_needed: bool = False) -> dict[int | str, Any]:
    """``responses`` of a route: what it can answer when it fails.

    Args:
        kinds: What can go wrong, besides what always can.
        token_needed: Whether it can be refused for want of a token.
    """
    found: dict[int | str, Any] = {}
    more = ("unauthorized",) if token_needed else ()
    for kind in (*_ALWAYS, *more, *kinds):
        code, status = ANSWERS[kind]
        entry = found.setdefault(
            status,
            {"content": _FAILURE, "description": _WHEN[status]},
        )
        entry["description"] += f" `{kind}` ({code})."
        if status in (429, 503):
            entry["headers"] = _RETRY_AFTER
    return found


def security(token_needed: bool) -> dict[str, Any]:
    """``openapi_extra`` of a route: whether it wants the token."""
    return {"security": [{_BEARER: []}]} if token_needed else {}


def add_description(app: FastAPI) -> None:
    """Adds ``/openapi.json``.

    Args:
        app: Has all its routes.
    """
    making = asyncio.Lock()

    async def answer(_: Request) -> Response:
        # Made when somebody asks, and beside the loop that audio shares.
        async with making:
            schema = await asyncio.to_thread(_describe, app)
        return JSONResponse(schema)

    app.add_route("/openapi.json", answer, include_in_schema=False)


def _describe(app: FastAPI) -> dict[str, Any]:
    schema = app.openapi()  # which keeps it
    components = schema["components"]
    components["schemas"]["Failure"] = Reply[Trouble].model_json_schema(
        ref_template="#/components/schemas/{model}"
    )
    components["schemas"]["Trouble"] = Trouble.model_json_schema()
    components["schemas"]["Failure"].pop("$defs", None)
    components["securitySchemes"] = {
        _BEARER: {"type": "http", "scheme": "bearer"}
    }
    return schema


def create_body() -> dict[str, Any]:
    """The request body of create."""
    return _json_body(CreateRequest.model_json_schema(), required=False)


def room_body() -> dict[str, Any]:
    """The request body of livekit/start."""
    return _json_body(RoomRequest.model_json_schema(), required=False)


def interaction_body() -> dict[str, Any]:
    """The request body of an interaction: one app message."""
    return _json_body(Envelope.model_json_schema(), required=True)


def webhook_body() -> dict[str, Any]:
    """The request body of a webhook."""
    return _json_body(WebhookEnvelope.model_json_schema(), required=True)


def _json_body(schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": required,
            "content": {"application/json": {"schema": schema}},
        }
    }
