#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What goes over the WebSocket of an Agora session, word for word."""

import asyncio
import base64
import json
import logging
import os
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ten_packages.extension.tavus_python.tavus_models import Session
from ten_packages.extension.tavus_python.transports.agora_socket import (
    AgoraSocket,
)
from ten_packages.extension.tavus_python.transports.voice import Pcm, Voice

START = {
    "avatar_id": "r9d30b0e55ac",
    "quality": "high",
    "version": "v1",
    "video_encoding": "H264",
    "activity_idle_timeout": 120,
    "agora_settings": {
        "app_id": "a" * 32,
        "token": "the-first",
        "channel": "room1",
        "uid": "4242",
        "enable_string_uid": False,
    },
}
RENEWED = {
    **START,
    "agora_settings": {**START["agora_settings"], "token": "the-next"},
}
FRAME_SAMPLES = 240
WAIT_S = 20.0


class Recorder:
    """A server that writes down what it is told; a context manager."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.authorizations: list[str] = []
        self.sockets: list[web.WebSocketResponse] = []
        self._news = asyncio.Event()

    async def __aenter__(self) -> "Recorder":
        app = web.Application()
        app.router.add_get("/ws", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.voice = Voice(logging.Logger("voice"))
        self.voice.open()
        self.said: list[tuple[str, Mapping[str, Any]]] = []
        port = self._runner.addresses[0][1]
        self._task = asyncio.create_task(
            AgoraSocket(
                Session(
                    conversation_id="s-1",
                    websocket_address=f"ws://127.0.0.1:{port}/ws",
                    session_token="session-token",
                    started_with=START,
                ),
                lambda: RENEWED,
                self.voice,
                lambda what, about, _: self.said.append((what, about)),
                logging.Logger("socket"),
                connect_timeout_s=5.0,
            ).run()
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.authorizations.append(request.headers["Authorization"])
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.sockets.append(ws)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                self.messages.append(json.loads(message.data))
                self._news.set()
        return ws

    async def until(self, count: int) -> list[dict[str, Any]]:
        """Waits until so many messages have come."""

        async def wait() -> None:
            while len(self.messages) < count:
                self._news.clear()
                await self._news.wait()

        await asyncio.wait_for(wait(), WAIT_S)
        return self.messages

    def of(self, command: str) -> list[dict[str, Any]]:
        """The messages with that command."""
        return [one for one in self.messages if one["command"] == command]


def without_id(message: dict[str, Any]) -> dict[str, Any]:
    """A message without its ``event_id``, which has to be a UUID."""
    content = dict(message)
    uuid.UUID(content.pop("event_id"))
    return content


async def test_every_command_is_as_the_protocol_has_it() -> None:
    audio = bytes(range(256)) * 2
    async with Recorder() as recorder:
        recorder.voice.start("r1")
        recorder.voice.push(Pcm(audio, 16_000))
        recorder.voice.end("r1")
        init, voice, end = await recorder.until(3)
        recorder.voice.flush()
        interrupt = (await recorder.until(4))[3]
        assert recorder.authorizations == ["Bearer session-token"]
        assert init == {"command": "init", "session_id": "s-1", **START}
        assert without_id(voice) == {
            "command": "voice",
            "audio": base64.b64encode(audio).decode(),
            "sampleRate": 16_000,
            "encoding": "PCM16",
        }
        assert without_id(end) == {"command": "voice_end"}
        assert without_id(interrupt) == {"command": "voice_interrupt"}


async def test_the_heartbeat_is_as_the_protocol_has_it(monkeypatch) -> None:
    from ten_packages.extension.tavus_python.transports import agora_socket

    monkeypatch.setattr(agora_socket, "_HEARTBEAT_S", 0.02)
    monkeypatch.setattr(agora_socket, "_LOOK_S", 0.01)
    async with Recorder() as recorder:
        heartbeat = without_id((await recorder.until(2))[1])
        assert type(heartbeat.pop("timestamp")) is int
        assert heartbeat == {"command": "heartbeat"}


async def test_after_a_break_the_token_is_new() -> None:
    async with Recorder() as recorder:
        await recorder.until(1)
        await recorder.sockets[0].close()
        _, init = await recorder.until(2)
        assert init == {"command": "init", "session_id": "s-1", **RENEWED}


async def test_a_flush_during_a_break_is_told_first() -> None:
    async with Recorder() as recorder:
        await recorder.until(1)
        await recorder.sockets[0].close()
        recorder.voice.flush()
        recorder.voice.push(Pcm(bytes(480), 24_000))
        messages = await recorder.until(4)
        assert [one["command"] for one in messages[1:4]] == [
            "init",
            "voice_interrupt",
            "voice",
        ]


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 30)),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("flush"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 20)),
    ),
    min_size=1,
    max_size=40,
)


class Told:
    """What was asked of a voice, utterance by utterance."""

    def __init__(self) -> None:
        # By number: frames pushed, whether it was ended, the flush that cut.
        self.frames: list[int] = []
        self.ended: list[bool] = []
        self.cut_by: list[int | None] = []
        self.flushes = 0
        self._open = False

    def say(self, voice: Voice, frames: int) -> None:
        if not self._open:
            self._open = True
            self.frames.append(0)
            self.ended.append(False)
            self.cut_by.append(None)
            voice.start(f"r{len(self.frames)}")
        number = len(self.frames)
        data = np.full(FRAME_SAMPLES, number, np.int16).tobytes()
        for _ in range(frames):
            voice.push(Pcm(data, 24_000))
        self.frames[-1] += frames

    def end(self, voice: Voice) -> None:
        if self._open:
            voice.end(f"r{len(self.frames)}")
            self.ended[-1], self._open = True, False

    def flush(self, voice: Voice) -> None:
        self.flushes += 1
        voice.flush()
        for index, cut in enumerate(self.cut_by):
            if cut is None:
                self.cut_by[index] = self.flushes
        if self._open:  # as a TTS says that it was interrupted
            self.end(voice)


@settings(
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(operations=OPERATIONS)
def test_no_order_of_frames_ends_and_flushes_mixes_utterances(
    operations: list[tuple[str, int]],
) -> None:
    asyncio.run(_check(operations))


async def _check(operations: list[tuple[str, int]]) -> None:
    told = Told()
    async with Recorder() as recorder:
        voice = recorder.voice
        for what, count in operations:
            if what == "say":
                told.say(voice, count)
            elif what == "end":
                told.end(voice)
            elif what == "flush":
                told.flush(voice)
            else:
                for _ in range(count):
                    await asyncio.sleep(0)
        # One more, so that its end tells that all before has come.
        told.end(voice)
        told.say(voice, 1)
        told.end(voice)
        last = len(told.frames)

        def is_over() -> bool:
            *_, voice, end = [{}, {}, *recorder.messages]
            return end.get("command") == "voice_end" and last in _numbers(voice)

        while not is_over():
            await recorder.until(len(recorder.messages) + 1)
        _check_messages(told, recorder.messages[1:])


def _numbers(message: dict[str, Any]) -> set[int]:
    """The utterances that a voice message has audio of."""
    audio = base64.b64decode(message.get("audio", ""))
    return set(np.frombuffer(audio, np.int16).tolist())


def _check_messages(told: Told, messages: list[dict[str, Any]]) -> None:
    heard: dict[int, int] = {}
    ends: list[int] = []
    current = 0
    interrupts = 0
    for message in messages:
        if message["command"] == "voice_interrupt":
            interrupts += 1
            current = 0
            continue
        if message["command"] == "voice_end":
            assert current, "an end of nothing"
            ends.append(current)
            current = 0
            continue
        (number,) = _numbers(message)
        samples = len(base64.b64decode(message["audio"])) // 2
        # In order, and none goes on after another has begun.
        assert number >= max(heard, default=0)
        assert current in (0, number)
        assert current or number not in heard, "it goes on after its end"
        current = number
        heard[current] = heard.get(current, 0) + samples // FRAME_SAMPLES
    assert interrupts <= told.flushes
    assert bool(interrupts) == bool(told.flushes)
    for index, frames in enumerate(told.frames):
        number = index + 1
        if told.cut_by[index] is None:
            assert heard.get(number) == frames, "a part of it is missing"
            assert number in ends
        else:
            assert heard.get(number, 0) <= frames
