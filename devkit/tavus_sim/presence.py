#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Being in a room: a person is a participant for as long as a stream lasts.

A page cannot be trusted to say that it goes, for it may crash; its connection
always ends. So ``GET /sim/conversations/{id}/presence`` joins, tells as
server-sent events what the room is, and leaves when the connection is gone.
"""

import asyncio
import json

from aiohttp import web

from .messages import SimReply, SimRequest
from .room import view_of
from .simulator import Simulator

_LOOK_S = 0.1
_HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
}


def presence_of(request: SimRequest) -> str | None:
    """The room somebody wants to be in, if that is what a request wants."""
    match request.method, request.path.split("/"):
        case "GET", ["", "sim", "conversations", room, "presence"]:
            return room
    return None


async def attend(
    simulator: Simulator,
    web_request: web.Request,
    request: SimRequest,
    conversation_id: str,
    closing: asyncio.Event,
) -> web.StreamResponse | SimReply:
    """Let somebody be in a room.

    Args:
        simulator: whose room.
        web_request: where the stream goes.
        request: the same as the simulator knows requests, for its token.
        conversation_id: which room.
        closing: set when the server stops.

    Returns:
        The stream, when it is over, or why there was none.
    """
    here = f"/sim/conversations/{conversation_id}"
    seen = simulator.handle(
        SimRequest("GET", f"{here}/room", query=request.query)
    )
    if seen.status != 200:
        return seen
    joined = simulator.handle(SimRequest("POST", f"{here}/join"))
    if joined.status != 204:
        return joined
    try:
        stream = web.StreamResponse(headers=_HEADERS)
        await stream.prepare(web_request)
        await _tell(
            simulator,
            stream,
            conversation_id,
            {"replica_was_there": seen.json()["replica_joined"]},
            closing,
        )
        return stream
    finally:
        # An ended conversation answers 409, and nobody minds.
        simulator.handle(SimRequest("POST", f"{here}/leave"))


async def _tell(
    simulator: Simulator,
    stream: web.StreamResponse,
    conversation_id: str,
    more: dict[str, bool],
    closing: asyncio.Event,
) -> None:
    """Tell what the room is, whenever that changes, until it is over."""
    # Kept, so that a conversation that is deleted is still seen to end.
    conversation = simulator.conversation(conversation_id)
    await stream.write(b"retry: 500\n\n")
    told: dict[str, object] = {}
    while told.get("status", "active") == "active":
        view = {**view_of(conversation, simulator.catalog), **more}
        if view != told:
            told = view
            await stream.write(b"data: %s\n\n" % json.dumps(view).encode())
        try:
            await asyncio.wait_for(closing.wait(), _LOOK_S)
            return
        except asyncio.TimeoutError:
            pass
