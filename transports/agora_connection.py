#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Connects to the WebSocket of an Agora session, and closes it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from ..coerce import is_loopback
from ..errors import TavusError, TavusProtocolError
from ..redaction import Secret, redact
from ..tavus_client import Session

_GOODBYE_S = 0.2
# What the server says is short.
_HEARD_BYTES = 64 * 1024
_SOCKET = re.compile(r"wss?://[^\s/?#@]+(?:[/?#]|$)", re.IGNORECASE)
_REFUSALS = (400, 401, 403, 404, 410)
# What a connection that breaks raises.
TROUBLE = (aiohttp.ClientError, asyncio.TimeoutError, OSError)

if TYPE_CHECKING:
    Socket = aiohttp.ClientWebSocketResponse[bool]


class SessionOverError(Exception):
    """The session is of no use any more; its text says why."""


class LostError(Exception):
    """The connection is gone, but another may do."""


async def connect(
    http: aiohttp.ClientSession,
    session: Session,
    *,
    timeout_s: float,
    heartbeat_s: float,
    plain: bool,
) -> Socket:
    """Opens the socket of a session.

    Args:
        http: What is connected with.
        session: As Tavus has started it.
        timeout_s: For the whole of it.
        heartbeat_s: How often a ping asks whether anybody is there.
        plain: Whether tokens may go unencrypted to other machines.

    Raises:
        SessionOverError: The session cannot be spoken to.
        LostError: It may go well later.
        TavusError: No session could be spoken to.
    """
    address = session.websocket_address
    if not _SOCKET.match(address):
        raise SessionOverError("the session has no websocket_address")
    if not (plain or _is_safe(address)):
        raise TavusProtocolError(
            "the session's websocket_address is not encrypted (ws://)",
            retryable=False,
        )
    bearer = Secret(f"Bearer {session.session_token}")
    try:
        ws: Socket = await asyncio.wait_for(
            http.ws_connect(
                address,
                headers={"Authorization": bearer},
                max_msg_size=_HEARD_BYTES,
                heartbeat=heartbeat_s,
            ),
            timeout_s,
        )
        return ws
    except aiohttp.WSServerHandshakeError as refusal:
        if refusal.status in _REFUSALS:
            raise SessionOverError(
                f"the avatar's socket refuses us (HTTP {refusal.status})"
            ) from None
        raise LostError(f"HTTP {refusal.status}") from None
    except TavusError as refusal:  # of a proxy, or a redirect
        if not refusal.retryable:
            raise
        raise LostError(refusal.message) from None
    except (*TROUBLE, ValueError) as error:
        raise LostError(said_by(error, session)) from None


def said_by(error: BaseException, session: Session) -> str:
    """What an error says, without the session's secrets."""
    text = f"{type(error).__name__} {error}".strip()
    return redact(text, session.session_token, session.websocket_address)


def _is_safe(address: str) -> bool:
    is_tls = address.lower().startswith("wss:")
    return is_tls or is_loopback(URL(address).host or "")


async def close(ws: Socket) -> None:
    """Closes the socket, whether or not anybody reads from it."""
    connection = None if ws.closed else ws.get_extra_info("socket")
    with contextlib.ExitStack() as stack:
        if connection is not None:
            with contextlib.suppress(OSError):  # it has just gone
                # Of our own, because uvloop's has no shutdown().
                own = socket.socket(fileno=os.dup(connection.fileno()))
                # Else one that nobody reads stays until its last byte is read.
                stack.callback(_shut, own)
        with contextlib.suppress(*TROUBLE, RuntimeError):
            await asyncio.wait_for(ws.close(), _GOODBYE_S)


def _shut(own: socket.socket) -> None:
    with own, contextlib.suppress(OSError):
        own.shutdown(socket.SHUT_RDWR)
