#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The app: all routes behind the guard, one envelope for every failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from .answers import Refusal
from .conversation_routes import add_conversation_routes, invalid
from .descriptions import add_description
from .direct import ShortWay
from .docs_page import add_docs
from .event_routes import add_event_routes
from .guard import Guard
from .livekit_routes import add_livekit_routes
from .page_routes import VERSION, add_page_routes
from .parts import Parts, no_route


def make_app(parts: Parts) -> ASGIApp:
    """The ASGI app.

    Args:
        parts: What the routes work with.
    """
    app = FastAPI(
        title="Tavus conversations over HTTP",
        version=VERSION,
        docs_url=None,
        openapi_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    create, end = add_conversation_routes(app, parts)
    add_livekit_routes(app, parts)
    add_event_routes(app, parts)
    add_page_routes(app, parts)
    add_docs(app)
    add_description(app)

    def refused(refusal: Refusal) -> Response:
        parts.metrics.failed(refusal.kind)
        # What Tavus says may quote the webhook's address.
        refusal.detail = parts.config.without_secrets(refusal.detail)
        return refusal.answer()

    _answer_failures(app, refused)
    return Guard(
        ShortWay(app, create, end, refused),
        parts.config,
        parts.callers,
        parts.limiter,
        complain=parts.complain,
        on_failed=parts.metrics.failed,
    )


def _answer_failures(
    app: FastAPI, answer: Callable[[Refusal], Response]
) -> None:
    async def refused(_: Request, refusal: Any) -> Response:
        return answer(refusal)

    async def not_valid(_: Request, error: Any) -> Response:
        return answer(invalid(error.errors()))

    async def no_such_route(request: Request, error: Any) -> Response:
        method, path = request.method, request.url.path
        if error.status_code != 405:
            return answer(no_route(method, path))
        allowed = ", ".join(_methods(app, request))
        refusal = Refusal("method", f"{method} {path}: it takes {allowed}")
        refusal.headers["allow"] = allowed
        return answer(refusal)

    async def client_left(_: Request, __: Any) -> Response:
        return answer(Refusal("cancelled", "the client is gone"))

    async def failed(_: Request, __: Any) -> Response:
        # The guard hears of it, too, and writes to the log.
        return answer(Refusal("internal", "internal error, see the log"))

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, not_valid)
    app.add_exception_handler(HTTPException, no_such_route)
    app.add_exception_handler(ClientDisconnect, client_left)
    app.add_exception_handler(Exception, failed)


def _methods(app: FastAPI, request: Request) -> list[str]:
    """What the path of a request can be asked with, over all routes."""
    fitting = [
        route
        for route in app.routes
        if isinstance(route, Route)
        and route.matches(request.scope)[0] is not Match.NONE
    ]
    # ".../create" is also of the form ".../{conversation_id}".
    exact = [route for route in fitting if "{" not in route.path]
    return sorted(
        {m for route in exact or fitting for m in route.methods or ()}
    )
