#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The routes: HTTP in, graph commands out, one envelope for every answer."""

# No "from __future__ import annotations" here: FastAPI reads the annotations
# of handlers when they are defined.

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from .answers import (
    CHANNEL,
    IDENTIFIER,
    USER_ID,
    About,
    Created,
    CreateRequest,
    Ended,
    Health,
    Refusal,
    Reply,
)
from .event_stream import EventStream, disconnected
from .graph import Graph, GraphError
from .starting import Starter
from .streams import Streams

_BODY_BYTES = 256 * 1024

UserId = Annotated[str, Query(pattern=USER_ID)]
Channel = Annotated[str, Query(pattern=CHANNEL)]
ConversationId = Annotated[str, Path(pattern=IDENTIFIER, min_length=1)]


def make_app(
    graph: Graph,
    streams: Streams,
    starter: Starter,
    *,
    timeout_s: float,
    complain: Callable[[str], None],
) -> FastAPI:
    """The ASGI app.

    Args:
        graph: Ends conversations.
        streams: Where event streams are opened.
        starter: Starts conversations.
        timeout_s: How long an end may take.
        complain: Takes a line for the log, should a handler fail.
    """
    app = FastAPI(title="tavus_http_python", docs_url=None, redoc_url=None)

    @app.get("/")
    async def about() -> Reply[About]:
        return Reply(
            data=About(
                name="tavus_http_python",
                routes=[
                    "POST /api/tavus/conversation/create",
                    "DELETE /api/tavus/conversation/{conversation_id}",
                    "GET /api/tavus/events?user_id=U",
                    "GET /health",
                    "GET /openapi.json",
                ],
                page="comes in a later version",
            )
        )

    @app.get("/health")
    async def health() -> Reply[Health]:
        return Reply(data=Health())

    @app.post(
        "/api/tavus/conversation/create",
        dependencies=[Depends(_own_page)],
        openapi_extra={
            "requestBody": {
                "content": {
                    "application/json": {
                        "schema": CreateRequest.model_json_schema()
                    }
                }
            }
        },
    )
    async def create(request: Request) -> Reply[Created]:
        options = (await _read(request)).model_dump(exclude_defaults=True)
        # Without an id each call gets a conversation of its own.
        user_id = options.pop("user_id", "") or secrets.token_urlsafe(16)
        gone = asyncio.create_task(disconnected(request.receive))
        try:
            made = await starter.start(
                {**options, "remote_user_id": user_id}, gone
            )
        except GraphError as error:
            # Here it is the persona or the replica that was not found.
            known = error.kind != "not_found"
            raise Refusal(
                error.kind if known else "validation", error.detail
            ) from error
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        url = str(made.get("conversation_url", ""))
        return Reply(
            data=Created(
                conversation_id=made["conversation_id"],
                conversation_url=url,
                join_url=str(made.get("join_url", url)),
                user_id=user_id,
            )
        )

    @app.delete(
        "/api/tavus/conversation/{conversation_id}",
        dependencies=[Depends(_own_page)],
    )
    async def end(conversation_id: ConversationId) -> Reply[Ended]:
        try:
            await asyncio.wait_for(graph.end(conversation_id), timeout_s)
        except asyncio.TimeoutError as error:
            raise Refusal(
                "timeout",
                f"its end was not confirmed within {timeout_s:g} s; it is "
                "still being tried",
            ) from error
        except GraphError as error:
            raise Refusal(error.kind, error.detail) from error
        return Reply(data=Ended(conversation_id=conversation_id))

    @app.get(
        "/api/tavus/events",
        dependencies=[Depends(_own_page)],
        response_class=Response,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def events(user_id: UserId, channel: Channel = "") -> Response:
        return EventStream(streams, user_id, channel)

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return _answer(refusal)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return _answer(_invalid(error.errors()))

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        what = f"{request.method} {request.url.path}"
        if error.status_code == 405:
            refusal = Refusal("method", f"{what}: another method is needed")
        else:
            refusal = Refusal("not_found", f"{what}: see GET / for what is")
        return _answer(refusal, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def left(_: Request, __: ClientDisconnect) -> Response:
        return _answer(Refusal("cancelled", "the client is gone"))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        complain(f"{request.method} {request.url.path}: {error!r}")
        return _answer(Refusal("internal", "internal error, see the log"))

    return app


async def _own_page(request: Request) -> None:
    """Refuses what another site's page makes a browser ask.

    Browsers say where a page is from (fetch.spec.whatwg.org); what is no
    browser does not, and is none that a page could abuse.
    """
    origin = request.headers.get("origin")
    host = request.headers.get("host")
    same = origin is None or origin.partition("://")[2] == host
    if not same or request.headers.get("sec-fetch-site") == "cross-site":
        raise Refusal(
            "forbidden", "this page is of another site; serve it from here"
        )


async def _read(request: Request) -> CreateRequest:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _BODY_BYTES:
            raise Refusal(
                "too_large", f"the body is longer than {_BODY_BYTES} bytes"
            )
    try:
        return CreateRequest.model_validate_json(body.strip() or b"{}")
    except ValidationError as error:
        raise _invalid(error.errors()) from error


def _invalid(problems: Sequence[Any]) -> Refusal:
    """One line that names each field and its problem, but no value."""
    lines = []
    for problem in problems:
        name = ".".join(str(part) for part in problem["loc"]) or "body"
        text = problem["msg"]
        if problem["type"] == "extra_forbidden":
            known = ", ".join(CreateRequest.model_fields)
            text = f"unknown field; known are {known}"
        lines.append(f"{name}: {text}")
    return Refusal("validation", "; ".join(lines))


def _answer(refusal: Refusal, headers: Any = None) -> Response:
    return JSONResponse(
        refusal.body.model_dump(), refusal.status, headers=headers
    )
