#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The routes of LiveKit's rooms: start one, list mine, stop it."""

# No "from __future__ import annotations" here: FastAPI reads the annotations
# of handlers when they are defined.

import asyncio
import time
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from starlette.responses import Response

from .answers import (
    IDENTIFIER,
    Refusal,
    Reply,
    RoomEnded,
    RoomRequest,
    RoomsListed,
    RoomStarted,
    success,
)
from .conversation_routes import UserId, read_wish
from .descriptions import failures, room_body, security
from .livekit_config import LiveKitConfig
from .livekit_rooms import Room, Rooms
from .parts import Parts, caller_of

RoomName = Annotated[
    str, Path(pattern=IDENTIFIER, min_length=1, max_length=128)
]


def add_livekit_routes(app: FastAPI, parts: Parts) -> None:
    """Adds them; where no rooms are configured, they say so.

    Args:
        app: Where to.
        parts: What they work with.
    """
    timeout_s = parts.config.request_timeout_s
    token = parts.callers.token_needed

    @app.post(
        "/api/tavus/livekit/start",
        response_model=Reply[RoomStarted],
        responses=failures(
            *("validation", "not_found", "too_large", "slow"),
            *("full", "limiter", "graph", "stopping", "timeout"),
            token_needed=token,
        ),
        openapi_extra={**room_body(), **security(token)},
    )
    async def start(request: Request) -> Response:
        """Makes a room with a graph of its own, and a key to it.

        A browser that has a room gets that one: two would be billed twice.
        """
        began = time.monotonic()
        livekit, rooms = _configured(parts)
        caller = caller_of(request)
        await parts.count(
            "create", caller.client, "too many rooms; wait a moment"
        )
        wish = await read_wish(request, RoomRequest)
        cookie: dict[str, str] = {}
        user_id = caller.user_id(wish.user_id)
        if not user_id:
            cookie = caller.introduce()
            user_id = caller.user_id()
        room = await rooms.start(user_id, one=not wish.user_id)
        parts.metrics.answered(time.monotonic() - began)
        return success(
            _started(livekit, rooms, room, camera=wish.camera), cookie
        )

    @app.get(
        "/api/tavus/livekit",
        response_model=Reply[RoomsListed],
        responses=failures("validation", "not_found", token_needed=token),
        openapi_extra=security(token),
    )
    async def mine(request: Request, user_id: UserId = "") -> Response:
        """The caller's rooms that run, each with a new key to it."""
        livekit, rooms = _configured(parts)
        caller = caller_of(request)
        caller.user_id(user_id)  # a name that cannot be, is refused
        return success(
            {
                "rooms": [
                    _started(livekit, rooms, room)
                    for room in rooms
                    if caller.may_touch(room.user_id, user_id)
                ]
            }
        )

    @app.post(
        "/api/tavus/livekit/{room_name}/stop",
        response_model=Reply[RoomEnded],
        responses=failures(
            "validation", "not_found", "timeout", token_needed=token
        ),
        openapi_extra=security(token),
    )
    async def stop(
        request: Request, room_name: RoomName, user_id: UserId = ""
    ) -> Response:
        """Ends a room; one that has ended lately says how."""
        _, rooms = _configured(parts)
        room = rooms.get(room_name)
        mine = caller_of(request).may_touch(
            room.user_id if room else "", user_id
        )
        if room is None or not mine:
            raise Refusal("not_found", f"no room {room_name} of yours is known")
        try:
            await asyncio.wait_for(
                rooms.end(room_name, "end_conversation"), timeout_s
            )
        except asyncio.TimeoutError as error:
            raise Refusal(
                "timeout",
                f"its graph did not stop within {timeout_s:g} s; it is still "
                "being tried",
            ) from error
        return success(
            {
                "room_name": room_name,
                "reason": room.reason,
                "duration_ms": room.duration_ms,
            }
        )


def _started(
    livekit: LiveKitConfig, rooms: Rooms, room: Room, *, camera: bool = False
) -> dict[str, Any]:
    return {
        "room_name": room.name,
        "user_token": rooms.key(room, camera=camera),
        "livekit_url": livekit.url,
        "user_id": room.user_id,
        "age_ms": room.age_ms,
    }


def _configured(parts: Parts) -> tuple[LiveKitConfig, Rooms]:
    livekit, rooms = parts.config.livekit, parts.rooms
    if livekit is None or rooms is None:
        raise Refusal(
            "not_found",
            "this server has no LiveKit rooms; its livekit_graph is not set",
        )
    return livekit, rooms
