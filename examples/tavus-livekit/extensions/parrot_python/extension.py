#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""An agent that repeats what the user says, and can be interrupted."""

from __future__ import annotations

import asyncio
import functools
import json
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ten_runtime import (
    AsyncExtension,
    AsyncTenEnv,
    AudioFrame,
    Cmd,
    CmdResult,
    Data,
    StatusCode,
)

from .ear import BYTES_PER_S, RATE_HZ, Ear
from .hum import hum
from .page import happened, ready, utterance, wish_of

_ANYTHING = (Exception, asyncio.CancelledError)
_FRAME_BYTES = BYTES_PER_S // 25
_ANSWER_S = 5.0
_SHORTEST_S = 0.2
_WAITING = 16
# Why an utterance ends: its end, or an interruption (ten_ai_base).
_WHOLE, _CUT = 1, 2

Callback = TypeVar("Callback", bound=Callable[..., Any])


def _guarded(callback: Callback) -> Callback:
    """Keeps what goes wrong in a callback from killing the worker."""

    @functools.wraps(callback)
    async def guard(self: Any, ten_env: AsyncTenEnv, *args: Any) -> None:
        try:
            await callback(self, ten_env, *args)
        except _ANYTHING as problem:  # pylint: disable=broad-except
            ten_env.log_error(f"{callback.__name__}: {problem!r}")

    return cast(Callback, guard)


class ParrotExtension(AsyncExtension):
    """Hears sentences, and gives them to the face to say."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._ear = Ear()
        self._turn = 0
        # In this order, by one task: what is said and its words for the
        # page, and None to be silent.
        self._wishes: asyncio.Queue[tuple[bytes, str] | None] = asyncio.Queue(
            _WAITING
        )
        # What the face will say when it begins, by the utterance's name.
        self._lines: dict[str, str] = {}
        self._speaking: asyncio.Task[None] | None = None
        # What happened before the page was there to hear it.
        self._missed: deque[dict[str, Any]] = deque(maxlen=_WAITING)
        self._users = 0

    @_guarded
    async def on_init(self, ten_env: AsyncTenEnv) -> None:
        self._speaking = asyncio.create_task(self._speak(ten_env))

    @_guarded
    async def on_stop(self, _ten_env: AsyncTenEnv) -> None:
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.gather(self._speaking, return_exceptions=True)

    @_guarded
    async def on_audio_frame(
        self, _ten_env: AsyncTenEnv, frame: AudioFrame
    ) -> None:
        self._ear.hear(frame.get_buf())

    @_guarded
    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        name = cmd.get_name()
        told: list[dict[str, Any]] = []
        if name == "start_of_sentence":
            self._ear.begin()
            self._be_silent()
        elif name == "end_of_sentence":
            silence_ms, _ = cmd.get_property_int("silence_ms")
            told = self._repeat(self._ear.end(silence_ms))
        elif name == "on_user_joined":
            self._users += 1
            told = [ready(), *self._missed]
            self._missed.clear()
        elif name == "on_user_left":
            self._users = max(0, self._users - 1)
        await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))
        for message in told:
            await _tell(ten_env, message)

    @_guarded
    async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
        name = data.get_name()
        if name == "data":
            packet, _ = data.get_property_buf("data")
            wish, typed = wish_of(packet)
            if wish:
                self._be_silent()
            if typed:
                for message in self._wish(hum(typed), typed, f"♪ {typed}"):
                    await _tell(ten_env, message)
            return
        text, _ = data.get_property_to_json(None)
        message = happened(name, json.loads(text or "{}"))
        if message is None:
            return
        told = [message, *self._begun(message)]
        if not self._users:
            self._missed.extend(told)
            return
        for message in told:
            await _tell(ten_env, message)

    def _begun(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """What the face says, once it says it: without one, nobody does."""
        if message["event_type"] != "livekit.playback_started":
            return []
        name = str(message["properties"].get("utterance_id", ""))
        line = self._lines.pop(name, "")
        return [utterance("replica", line)] if line else []

    def _repeat(self, said: bytes) -> list[dict[str, Any]]:
        seconds = len(said) / BYTES_PER_S
        if seconds < _SHORTEST_S:
            return []
        return self._wish(
            said, f"({seconds:.1f} s of speech)", "(says the same)"
        )

    def _wish(self, pcm: bytes, heard: str, line: str) -> list[dict[str, Any]]:
        """Has the face say something; what the page is told at once."""
        if self._wishes.full():
            return []
        self._wishes.put_nowait((pcm, line))
        return [utterance("user", heard)]

    def _be_silent(self) -> None:
        self._turn += 1
        if not self._wishes.full():
            self._wishes.put_nowait(None)

    async def _speak(self, ten_env: AsyncTenEnv) -> None:
        """Does what is wished, one after the other."""
        number = 0
        while True:
            wish = await self._wishes.get()
            try:
                if wish is None:
                    await asyncio.wait_for(
                        ten_env.send_cmd(Cmd.create("flush")), _ANSWER_S
                    )
                else:
                    number += 1
                    said, line = wish
                    self._remember(f"parrot-{number}", line)
                    await self._say(ten_env, f"parrot-{number}", said)
            except Exception as problem:  # pylint: disable=broad-except
                ten_env.log_error(f"speaking: {problem!r}")

    def _remember(self, request_id: str, line: str) -> None:
        self._lines[request_id] = line
        if len(self._lines) > _WAITING:
            del self._lines[next(iter(self._lines))]

    async def _say(
        self, ten_env: AsyncTenEnv, request_id: str, said: bytes
    ) -> None:
        turn = self._turn
        await _send(ten_env, "tts_audio_start", {"request_id": request_id})
        at = 0
        while at < len(said) and turn == self._turn:
            part = said[at : at + _FRAME_BYTES]
            at += len(part)
            await ten_env.send_audio_frame(_frame(part))
        await _send(
            ten_env,
            "tts_audio_end",
            {
                "request_id": request_id,
                "reason": _WHOLE if turn == self._turn else _CUT,
                "request_total_audio_duration_ms": at * 1000 // BYTES_PER_S,
            },
        )


def _frame(pcm: bytes) -> AudioFrame:
    frame = AudioFrame.create("pcm_frame")
    frame.set_sample_rate(RATE_HZ)
    frame.set_bytes_per_sample(2)
    frame.set_number_of_channels(1)
    frame.set_samples_per_channel(len(pcm) // 2)
    frame.alloc_buf(len(pcm))
    buffer = frame.lock_buf()
    buffer[:] = pcm
    frame.unlock_buf(buffer)
    return frame


async def _send(
    ten_env: AsyncTenEnv, name: str, content: dict[str, Any]
) -> None:
    data = Data.create(name)
    data.set_property_from_json(None, json.dumps(content))
    await ten_env.send_data(data)


async def _tell(ten_env: AsyncTenEnv, message: dict[str, Any]) -> None:
    """Sends a message to the page."""
    data = Data.create("data")
    data.set_property_buf("data", json.dumps(message).encode())
    await ten_env.send_data(data)
