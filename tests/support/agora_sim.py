#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What is sent to a simulated Agora session, and a client that sends it."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from tavus_sim import SimRequest, Simulator

AGORA_TOKEN = "007agora-token-that-nobody-may-see"
START: dict[str, Any] = {
    "avatar_id": "r9d30b0e55ac",
    "quality": "high",
    "version": "v1",
    "video_encoding": "H264",
    "activity_idle_timeout": 120,
    "agora_settings": {
        "app_id": "an-app",
        "token": AGORA_TOKEN,
        "channel": "a-channel",
        "uid": "333",
        "enable_string_uid": False,
    },
}
NOW_MS = 1_800_000_000_000
Fields = dict[str, Any]


def start(sim: Simulator, **changes: Any) -> Fields:
    """Starts a session: its id, its address and its token."""
    request = SimRequest.of(
        "POST",
        "/v2/conversations/agora/session/start",
        {**START, **changes},
    )
    reply = sim.handle(request)
    assert reply.status == 200, reply.json()
    return reply.json()


def view(sim: Simulator, session: Fields) -> Fields:
    """All there is to know about a session."""
    path = f"/sim/agora/{session['session_id']}"
    return sim.handle(SimRequest.of("GET", path)).json()


def voice(pcm: bytes = b"\0\0" * 240, rate_hz: int = 24_000) -> Fields:
    """The command that says this."""
    return {
        "command": "voice",
        "audio": base64.b64encode(pcm).decode(),
        "sampleRate": rate_hz,
        "encoding": "PCM16",
        "event_id": "e",
    }


def event(command: str) -> Fields:
    """A command that has nothing but its id."""
    return {"command": command, "event_id": "e"}


class Speaker:
    """One WebSocket of a session.

    Args:
        socket: it.
        session: what starting the session answered.
    """

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse[Any], session: Fields
    ) -> None:
        self.socket = socket
        self._session_id = session["session_id"]
        self._beats = 0

    async def send(self, *messages: Any) -> None:
        """Sends commands; what is a string already as it is."""
        for message in messages:
            text = message if isinstance(message, str) else json.dumps(message)
            await self.socket.send_str(text)

    async def init(self, **changes: Any) -> None:
        """Sends ``init`` as the session was started, but for the changes."""
        fields = {"session_id": self._session_id, **START, **changes}
        await self.send({"command": "init", **fields})

    async def heartbeat(self) -> None:
        """Waits until all that was sent so far has been dealt with."""
        self._beats += 1
        beat = {
            "command": "heartbeat",
            "event_id": f"beat {self._beats}",
            "timestamp": NOW_MS,
        }
        await self.send(beat)
        assert await self.socket.receive_json() == {
            **beat,
            "command": "heartbeat_ack",
        }

    async def farewell(self) -> tuple[int | None, str]:
        """Waits until it is closed: the code and the reason."""
        message = await self.socket.receive()
        assert message.type in (
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.CLOSED,
        ), message
        return self.socket.close_code, message.extra or ""


@asynccontextmanager
async def speaker(
    http: aiohttp.ClientSession, session: Fields, *, init: bool = True
) -> AsyncIterator[Speaker]:
    """A WebSocket that is connected and, if you like, has said ``init``."""
    headers = {"Authorization": f"Bearer {session['session_token']}"}
    async with http.ws_connect(
        session["websocket_address"], headers=headers
    ) as socket:
        one = Speaker(socket, session)
        if init:
            await one.init()
            await one.heartbeat()
        yield one
