#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The routes around the API: the page, what it may know, health, metrics."""

# No "from __future__ import annotations" here: FastAPI reads the annotations
# of handlers when they are defined.

import json
import pathlib

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .answers import (
    CONTEXT_LENGTH,
    GREETING_LENGTH,
    Health,
    PageConfig,
    Reply,
    success,
)
from .descriptions import failures, security
from .parts import Parts, caller_of, no_route

_MANIFEST = pathlib.Path(__file__).with_name("manifest.json")
VERSION: str = json.loads(_MANIFEST.read_text(encoding="utf-8"))["version"]


def add_page_routes(app: FastAPI, parts: Parts) -> None:
    """Adds them; the page is whatever no other route is.

    Args:
        app: Where to.
        parts: What they work with.
    """
    token = parts.callers.token_needed
    known = {
        "version": VERSION,
        "token_needed": token,
        "mode": "conversation" if parts.rooms is None else "livekit",
        "simulated": parts.config.simulated,
        "limits": {
            "custom_greeting": GREETING_LENGTH,
            "conversational_context": CONTEXT_LENGTH,
        },
    }

    @app.get(
        "/api/tavus/config",
        response_model=Reply[PageConfig],
        responses=failures(),
    )
    async def config(request: Request) -> Response:
        """What a page may know; a browser gets its cookie here."""
        return success(known, caller_of(request).introduce())

    @app.get("/health", response_model=Reply[Health], responses=failures())
    async def health() -> Response:
        """Answers when the HTTP side is up."""
        return success({"status": "ok"})

    @app.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {
                "description": "Prometheus's text format.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            },
            **failures(token_needed=token),
        },
        openapi_extra=security(token),
    )
    async def metrics() -> Response:
        """Counts of conversations, errors and streams."""
        body, media_type = parts.metrics.render()
        return Response(body, media_type=media_type)

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        found = None
        if scope["method"] in ("GET", "HEAD"):
            found = parts.page.answer(
                scope["path"],
                request.headers.get("accept-encoding", ""),
                request.headers.get("if-none-match", ""),
            )
        if found is None:
            raise no_route(scope["method"], scope["path"])
        await found(scope, receive, send)

    app.router.default = page
