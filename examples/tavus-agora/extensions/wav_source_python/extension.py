#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A user who joins, a voice that speaks a WAV file, and one interruption."""

from __future__ import annotations

import asyncio
import json
import wave
from typing import Any

from ten_runtime import (
    AsyncExtension,
    AsyncTenEnv,
    AudioFrame,
    Cmd,
    CmdResult,
    Data,
    StatusCode,
)

_USER = "user-of-the-file"
_FRAME_S = 0.01
# Until a conversation is there, or an utterance is spoken.
_WAIT_S = 60.0
_CUT_AFTER_S = 1.0
# TEN's server kills an app 2 s after it was told to stop.
_STOP_S = 1.2
# Why an utterance ends: its end, or an interruption (ten_ai_base).
_WHOLE, _CUT = 1, 2
# The code of an error that does not pass by itself (ten_ai_base).
_FATAL = -1000


class _SceneError(Exception):
    """The scene cannot go on; the text says why."""


class WavSourceExtension(AsyncExtension):
    """Speaks the file twice: whole, and until it is interrupted."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._happened: asyncio.Queue[str | _SceneError] = asyncio.Queue(1000)
        self._task: asyncio.Task[None] | None = None
        self._frames: list[bytes] = []
        self._rate_hz = 0

    async def on_start(self, ten_env: AsyncTenEnv) -> None:
        self._task = asyncio.create_task(self._play(ten_env))

    async def on_stop(self, _ten_env: AsyncTenEnv) -> None:
        if self._task is not None:
            self._task.cancel()
            # It waits for the end of the session, which it does not hear of
            # where the avatar's node is gone before.
            await asyncio.wait({self._task}, timeout=_STOP_S)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

    async def on_data(self, _ten_env: AsyncTenEnv, data: Data) -> None:
        event_type, problem = data.get_property_string("event_type")
        what = data.get_name() if problem is not None else event_type
        if what == "error":
            code, _ = data.get_property_int("code")
            message, _ = data.get_property_string("message")
            if code == _FATAL and not self._happened.full():
                self._happened.put_nowait(_SceneError(message))
        elif not self._happened.full():
            self._happened.put_nowait(what)

    async def _play(self, ten_env: AsyncTenEnv) -> None:
        try:
            file, _ = await ten_env.get_property_string("file")
            channel, _ = await ten_env.get_property_string("channel")
            await asyncio.to_thread(self._read, file)
            await self._scene(ten_env, channel)
        # pylint: disable-next=broad-exception-caught
        except Exception as problem:
            # The app has nothing else to do, and ends. Nothing is open by now
            # but what may be in the making, which is in the journal.
            ten_env.log_error(f"{self.name}: {problem!r}")
            reason = str(problem) or repr(problem)
            await _tell(
                ten_env,
                "error",
                {
                    "code": _FATAL,
                    "message": f"{self.name}: {reason}",
                    "metadata": {"kind": "config"},
                },
            )

    def _read(self, file: str) -> None:
        with wave.open(file) as wav:
            if (wav.getnchannels(), wav.getsampwidth()) != (1, 2):
                raise _SceneError(f"{file} is not 16-bit mono PCM")
            self._rate_hz = wav.getframerate()
            size = round(self._rate_hz * _FRAME_S)
            while frame := wav.readframes(size):
                self._frames.append(frame)

    async def _scene(self, ten_env: AsyncTenEnv, channel: str) -> None:
        user = {"remote_user_id": _USER, "channel": channel}
        await _command(ten_env, "on_user_joined", user)
        created = False
        try:
            await self._until("tavus_conversation_created")
            created = True
            await self._speak(ten_env)
        finally:
            # The avatar costs as long as the user is there.
            await _command(ten_env, "on_user_left", user)
            if created:
                await self._until_over(ten_env)
        ten_env.log_info("the user has left, and the session is over")

    async def _until_over(self, ten_env: AsyncTenEnv) -> None:
        """Waits for the end, for as long as the avatar node tries."""
        while True:
            try:
                return await self._until("tavus_conversation_ended")
            except _SceneError as problem:
                ten_env.log_error(f"{self.name}: not over yet: {problem!r}")

    async def _speak(self, ten_env: AsyncTenEnv) -> None:
        ten_env.log_info("speaking the whole file")
        await _tell(ten_env, "tts_audio_start", {"request_id": "whole"})
        for frame in self._frames:  # as fast as a TTS makes it
            await self._send(ten_env, frame)
        end = {"request_id": "whole", "reason": _WHOLE}
        await _tell(ten_env, "tts_audio_end", end)
        await self._until("agora.spoken")

        ten_env.log_info("speaking it again, and interrupting")
        await _tell(ten_env, "tts_audio_start", {"request_id": "cut"})
        before = round(_CUT_AFTER_S / _FRAME_S)
        for frame in self._frames[:before]:
            await self._send(ten_env, frame)
            await asyncio.sleep(_FRAME_S)
        await _command(ten_env, "flush", {})
        for frame in self._frames[before:]:  # on its way: must not be heard
            await self._send(ten_env, frame)
        end = {"request_id": "cut", "reason": _CUT}
        await _tell(ten_env, "tts_audio_end", end)
        await self._until("agora.spoken")

    async def _until(self, what: str) -> None:
        async def wait() -> None:
            while (happened := await self._happened.get()) != what:
                if isinstance(happened, _SceneError):
                    raise happened

        try:
            await asyncio.wait_for(wait(), _WAIT_S)
        except asyncio.TimeoutError:
            raise _SceneError(f"no {what} within {_WAIT_S:g} s") from None

    async def _send(self, ten_env: AsyncTenEnv, pcm: bytes) -> None:
        frame = AudioFrame.create("pcm_frame")
        frame.set_sample_rate(self._rate_hz)
        frame.set_bytes_per_sample(2)
        frame.set_number_of_channels(1)
        frame.set_samples_per_channel(len(pcm) // 2)
        frame.alloc_buf(len(pcm))
        buffer = frame.lock_buf()
        buffer[:] = pcm
        frame.unlock_buf(buffer)
        await ten_env.send_audio_frame(frame)


async def _command(
    ten_env: AsyncTenEnv, name: str, content: dict[str, Any]
) -> None:
    cmd = Cmd.create(name)
    cmd.set_property_from_json(None, json.dumps(content))
    result, problem = await asyncio.wait_for(ten_env.send_cmd(cmd), _WAIT_S)
    if problem is not None:
        raise RuntimeError(f"{name}: {problem}")
    if result is not None and result.get_status_code() != StatusCode.OK:
        raise RuntimeError(f"{name}: {result.get_property_to_json(None)[0]}")


async def _tell(
    ten_env: AsyncTenEnv, name: str, content: dict[str, Any]
) -> None:
    data = Data.create(name)
    data.set_property_from_json(None, json.dumps(content))
    await ten_env.send_data(data)
