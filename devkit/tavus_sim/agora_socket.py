#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The WebSocket of an Agora session: the protocol itself is the session's."""

import asyncio
import json
import socket
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from .agora_api import SOCKET_PATH, wrong_token
from .agora_session import Session
from .messages import SimReply, SimRequest

if TYPE_CHECKING:
    from .simulator import Simulator

_GOING_AWAY = 1001
_REASON_BYTES = 123  # RFC 6455, 5.5
_CLOSE_TIMEOUT_S = 1.0
# Less than a second of audio: the rest is the sender's to hold.
_SLOW_BYTES = 16 * 1024


def is_agora_socket(request: SimRequest) -> bool:
    """Whether a request is for the WebSocket of a session."""
    return request.method == "GET" and request.path == SOCKET_PATH


async def attend_agora(
    simulator: "Simulator",
    web_request: web.Request,
    request: SimRequest,
    closing: asyncio.Event,
) -> web.StreamResponse | SimReply:
    """Serve the WebSocket of a session.

    Args:
        simulator: whose session.
        web_request: what becomes the WebSocket.
        request: the same as the simulator knows requests, for its token.
        closing: set when the server stops.

    Returns:
        The WebSocket, when it is over, or why there was none.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return wrong_token().reply
    with simulator.turn():
        admitted = simulator.sessions.admit(token.strip())
    if admitted is None:
        return wrong_token().reply
    session, fault = admitted
    web_socket = web.WebSocketResponse(timeout=_CLOSE_TIMEOUT_S)
    await web_socket.prepare(web_request)
    wire = SocketWire(
        web_request, slow=fault is not None and fault.kind == "slow_reader"
    )
    with simulator.turn() as now:
        simulator.sessions.connect(session, wire, fault, now)
    reader = asyncio.create_task(_read(simulator, session, web_socket, wire))
    ends = [
        reader,
        asyncio.create_task(wire.told.wait()),
        asyncio.create_task(closing.wait()),
    ]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in ends:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        with simulator.turn():
            simulator.sessions.disconnect(session, wire)
    if not reader.cancelled():
        reader.result()
    await wire.farewell(web_socket)
    return web_socket


async def _read(
    simulator: "Simulator",
    session: Session,
    web_socket: web.WebSocketResponse,
    wire: "SocketWire",
) -> None:
    """Hand what comes to the session until there is an end of it."""
    while not wire.over:
        await wire.readable.wait()
        message = await web_socket.receive()
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return
        text = message.data if message.type is WSMsgType.TEXT else None
        with simulator.turn() as now:
            answer = simulator.sessions.take(session, wire, text, now)
        if answer:
            try:
                await web_socket.send_str(json.dumps(answer))
            except ConnectionError:
                return


class SocketWire:
    """A WebSocket as its session sees it: a ``Wire``.

    Args:
        request: the request that became it.
        slow: whether it will stall, and the sender is to feel that soon.
    """

    def __init__(self, request: web.Request, *, slow: bool) -> None:
        assert request.transport
        self.over = False
        self.told = asyncio.Event()  # the session is done with it
        self.readable = asyncio.Event()
        self.readable.set()
        self._transport = request.transport
        self._loop = asyncio.get_running_loop()
        # Close code and reason, or None for not a word.
        self._words: tuple[int, str] | None = (_GOING_AWAY, "server stops")
        if slow:
            sock = request.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_BYTES)

    def close(self, code: int, reason: str) -> None:
        """Close it, and take nothing more from it."""
        self._leave((code, reason))

    def drop(self) -> None:
        """Cut it without a word."""
        self._leave(None)

    def stall(self) -> None:
        """Read nothing until told to; called by the reader itself."""
        self.readable.clear()
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._loop.call_soon_threadsafe(self._read_on)

    async def farewell(self, web_socket: web.WebSocketResponse) -> None:
        """Close the WebSocket as the session, or the server, wants it."""
        if self._words is None:
            self._transport.abort()
            return
        self._read_on()  # or the answer to the closing is never read
        code, reason = self._words
        message = reason.encode()[:_REASON_BYTES]
        await web_socket.close(code=code, message=message)

    def _leave(self, words: tuple[int, str] | None) -> None:
        self.over = True
        self._words = words
        self._loop.call_soon_threadsafe(self.told.set)

    def _read_on(self) -> None:
        self.readable.set()
        if not self._transport.is_closing():
            self._transport.resume_reading()
