#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Drives the extension through TEN's own tester, on either runtime."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from ten_runtime import (
    AsyncExtensionTester,
    AsyncTenEnvTester,
    AudioFrame,
    Cmd,
    Data,
    StatusCode,
    TenError,
    TenErrorCode,
    VideoFrame,
)

ADDON = "tavus_python"
ANSWER_S = 20.0


class Scene:
    """What a test script can do and see while the extension runs."""

    def __init__(self, ten_env: AsyncTenEnvTester) -> None:
        self._ten_env = ten_env
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.frames: list[AudioFrame | VideoFrame] = []
        self._news = asyncio.Event()

    async def command(
        self, name: str, **properties: Any
    ) -> tuple[StatusCode, dict[str, Any]]:
        """Sends a command; returns the status and the answer's content."""
        cmd = Cmd.create(name)
        if properties:
            cmd.set_property_from_json(None, json.dumps(properties))
        result, problem = await asyncio.wait_for(
            self._ten_env.send_cmd(cmd), ANSWER_S
        )
        assert problem is None and result is not None, problem
        text, _ = result.get_property_to_json(None)
        return result.get_status_code(), json.loads(text or "{}")

    async def say(self, name: str, text: str) -> None:
        """Sends a data message; its properties are JSON text."""
        data = Data.create(name)
        data.set_property_from_json(None, text)
        problem = await self._ten_env.send_data(data)
        assert problem is None, problem

    async def message(self, name: str, count: int = 1) -> dict[str, Any]:
        """Waits for the n-th data message of a name; returns its content."""
        while len(self.messages(name)) < count:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), ANSWER_S)
        return self.messages(name)[count - 1]

    def messages(self, name: str) -> list[dict[str, Any]]:
        """The content of the messages of a name so far."""
        return [content for heard, content in self.heard if heard == name]

    async def speak(self, pcm: bytes, rate_hz: int, **metadata: Any) -> None:
        """Sends 16-bit mono PCM as ``pcm_frame``s of 10 ms."""
        step = rate_hz // 50
        for start in range(0, len(pcm), step):
            part = pcm[start : start + step]
            frame = AudioFrame.create("pcm_frame")
            frame.set_sample_rate(rate_hz)
            frame.set_number_of_channels(1)
            frame.set_bytes_per_sample(2)
            frame.set_samples_per_channel(len(part) // 2)
            frame.alloc_buf(len(part))
            view = frame.lock_buf()
            view[:] = part
            frame.unlock_buf(view)
            if metadata:
                frame.set_property_from_json("metadata", json.dumps(metadata))
            await self.send(frame)

    async def send(self, frame: AudioFrame) -> None:
        """Sends an audio frame as it is."""
        problem = await self._ten_env.send_audio_frame(frame)
        assert problem is None, problem

    async def shown(self, name: str, count: int = 1) -> Any:
        """Waits for the n-th audio or video frame of a name."""
        while True:
            frames = [one for one in self.frames if one.get_name() == name]
            if len(frames) >= count:
                return frames[count - 1]
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), ANSWER_S)

    def see(self, frame: AudioFrame | VideoFrame) -> None:
        self.frames.append(frame)
        self._news.set()

    def hear(self, data: Data) -> None:
        text, problem = data.get_property_to_json(None)
        assert problem is None, problem
        self.heard.append((data.get_name(), json.loads(text)))
        self._news.set()


Script = Callable[[Scene], Awaitable[None]]


class _Tester(AsyncExtensionTester):
    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script
        self._scene: Scene | None = None
        self._task: asyncio.Task[None] | None = None
        self._early: list[Data] = []
        self.problem: BaseException | None = None

    async def on_start(self, ten_env: AsyncTenEnvTester) -> None:
        self._scene = Scene(ten_env)
        for data in self._early:
            self._scene.hear(data)
        self._task = asyncio.create_task(self._play(ten_env, self._scene))

    async def _play(self, ten_env: AsyncTenEnvTester, scene: Scene) -> None:
        try:
            await self._script(scene)
        except BaseException as problem:  # pylint: disable=broad-except
            self.problem = problem
            ten_env.stop_test(
                TenError.create(TenErrorCode.ErrorCodeGeneric, repr(problem))
            )
        else:
            ten_env.stop_test()

    async def on_data(self, ten_env: AsyncTenEnvTester, data: Data) -> None:
        if self._scene is None:
            self._early.append(data)
        else:
            self._scene.hear(data)

    async def on_audio_frame(
        self, ten_env: AsyncTenEnvTester, audio_frame: AudioFrame
    ) -> None:
        if self._scene is not None:
            self._scene.see(audio_frame)

    async def on_video_frame(
        self, ten_env: AsyncTenEnvTester, video_frame: VideoFrame
    ) -> None:
        if self._scene is not None:
            self._scene.see(video_frame)


def play(script: Script, properties: dict[str, Any]) -> Scene:
    """Runs a script beside the extension, and the extension to its end.

    Raises:
        What the script raised.
    """
    tester = _Tester(script)
    tester.set_test_mode_single(ADDON, json.dumps(properties))
    tester.set_timeout(60_000_000)
    problem = tester.run()
    if tester.problem is not None:
        raise tester.problem
    assert problem is None, problem.error_message()
    assert tester._scene is not None
    return tester._scene
