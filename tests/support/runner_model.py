#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A room on a virtual clock, and in it livekit-agents' runner as a model.

What the runner does with streams, flushes and ends is that of its
``AvatarRunner`` and ``DataStreamAudioReceiver``, weaknesses included;
``test_transport_reference.py`` has the runner itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from livekit import rtc

AVATAR = "tavus-avatar-agent"
BYTES_PER_S = 48_000
# It hands on so much at once.
_PIECE_S = 0.1
# How long anything is on its way.
_WIRE_S = 0.003
# Of a stream of which nothing comes any more (STREAM_IDLE_TIMEOUT).
_IDLE_S = 10.0
_END = "end"


class ModelRoom:
    """As much of ``rtc.Room`` as a speaker uses."""

    def __init__(self) -> None:
        self.remote_participants: dict[str, Any] = {}
        self.local_participant = self
        self.handlers: dict[str, Callable[[rtc.RpcInvocationData], str]] = {}
        self.avatar: ModelAvatar | None = None
        self.streams: list[bytearray] = []
        # So many of the next writes, or calls, fail.
        self.broken = 0
        self.on_broken: Callable[[], None] = lambda: None

    def register_rpc_method(self, name: str, handler: Any) -> None:
        self.handlers[name] = handler

    async def stream_bytes(self, **_: Any) -> ModelStream:
        await self._pass()
        stream = ModelStream(self)
        self.streams.append(stream.audio)
        return stream

    async def perform_rpc(self, *, method: str, **_: Any) -> str:
        await self._pass()
        if self.avatar is None:
            raise rtc.RpcError(1401, "recipient not found")
        assert method == "lk.clear_buffer"
        self.avatar.clear()
        return "ok"

    def enter(self) -> None:
        """An avatar comes."""
        agent = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        self.remote_participants[AVATAR] = SimpleNamespace(
            identity=AVATAR, kind=agent
        )
        self.avatar = ModelAvatar(self)

    def leave(self) -> None:
        """It is gone, with all that it had."""
        assert self.avatar is not None
        self.avatar.task.cancel()
        self.avatar = None
        del self.remote_participants[AVATAR]

    def call(self, method: str, payload: str) -> None:
        """The avatar calls."""
        answer = self.handlers[method](
            rtc.RpcInvocationData("id", AVATAR, payload, 10.0)
        )
        assert answer == "ok"

    async def passing(self) -> None:
        await self._pass()

    async def _pass(self) -> None:
        await asyncio.sleep(_WIRE_S)
        if self.broken:
            self.broken -= 1
            self.on_broken()
            raise rtc.StreamError("broken")


class ModelStream:
    """A byte stream to the avatar that was there when it was opened."""

    def __init__(self, room: ModelRoom) -> None:
        self.audio = bytearray()
        self._room = room
        self._avatar = room.avatar
        if self._avatar is not None:
            self._avatar.open_stream = self

    async def write(self, data: bytes) -> None:
        await self._room.passing()
        if self._avatar is not None and self._avatar is self._room.avatar:
            self.audio += data
            self._avatar.hear(self, data)

    async def aclose(self) -> None:
        await self._room.passing()
        if self._avatar is not None:
            self._avatar.end_of(self)


class ModelAvatar:
    """Reads at once, speaks in real time, and tells what the runner tells."""

    def __init__(self, room: ModelRoom) -> None:
        self.open_stream: ModelStream | None = None
        self._room = room
        self._waiting: asyncio.Queue[float | str] = asyncio.Queue()
        self._has_audio = False
        self._position_s = 0.0
        self._heard_at = 0.0
        self.task = asyncio.create_task(self._speak())

    def hear(self, stream: ModelStream, data: bytes) -> None:
        if stream is not self.open_stream:
            return
        self._has_audio = True
        self._heard_at = asyncio.get_running_loop().time()
        left_s = len(data) / BYTES_PER_S
        while left_s > 1e-9:
            self._waiting.put_nowait(min(_PIECE_S, left_s))
            left_s -= _PIECE_S

    def end_of(self, stream: ModelStream) -> None:
        if stream is self.open_stream:
            self.open_stream = None
            self._waiting.put_nowait(_END)

    def clear(self) -> None:
        while not self._waiting.empty():
            self._waiting.get_nowait()
        if self.open_stream is not None:
            # The end of what is cut is queued, and told of what comes next.
            self.open_stream = None
            self._waiting.put_nowait(_END)
        if self._has_audio:
            self._has_audio = False
            self._tell_end(interrupted=True)

    async def _speak(self) -> None:
        while True:
            item = await self._next()
            if not isinstance(item, float):
                if self._has_audio:
                    self._has_audio = False
                    self._tell_end(interrupted=False)
                continue
            if self._position_s == 0.0:
                self._soon("lk.playback_started", "")
            await asyncio.sleep(item)
            self._position_s += item

    async def _next(self) -> float | str:
        while True:
            try:
                return await asyncio.wait_for(self._waiting.get(), 1.0)
            except asyncio.TimeoutError:
                now = asyncio.get_running_loop().time()
                stream = self.open_stream
                if stream and now > self._heard_at + _IDLE_S:
                    self.end_of(stream)  # its end is taken for lost

    def _tell_end(self, interrupted: bool) -> None:
        report = {
            "playback_position": self._position_s,
            "interrupted": interrupted,
        }
        self._position_s = 0.0
        self._soon("lk.playback_finished", json.dumps(report))

    def _soon(self, method: str, payload: str) -> None:
        def call() -> None:
            if self._room.avatar is self:
                self._room.call(method, payload)

        asyncio.get_running_loop().call_later(_WIRE_S, call)
