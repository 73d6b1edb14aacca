#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Reads the body of a request: so much, so fast, and JSON."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from .answers import Refusal

_READ_TIMEOUT_S = 10.0


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The body.

    Args:
        request: Its body is not read yet.
        most_bytes: How long it may be.

    Raises:
        Refusal: It is too long, or comes too slowly.
        ClientDisconnect: The client has gone.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > most_bytes:
        raise _too_large(most_bytes)
    try:
        return await asyncio.wait_for(
            _read(request, most_bytes), _READ_TIMEOUT_S
        )
    except asyncio.TimeoutError as error:
        raise Refusal(
            "slow", f"the body did not come within {_READ_TIMEOUT_S:g} s"
        ) from error


def check_is_json(request: Request) -> None:
    """Refuses a body of another kind.

    A page of another site can make a browser send forms and text without
    asking, but not JSON.

    Raises:
        Refusal: It is said to be something else, or nothing is said.
    """
    given = request.headers.get("content-type", "")
    media_type = given.partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    if not is_json:
        raise Refusal(
            "validation",
            "content-type: the body must be sent as application/json",
        )


async def _read(request: Request, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > most_bytes:
            raise _too_large(most_bytes)
    return b"".join(parts)


def _too_large(most_bytes: int) -> Refusal:
    return Refusal("too_large", f"the body is longer than {most_bytes} bytes")
