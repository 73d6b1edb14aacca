#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A TEN graph with livekit_rtc in it, whose other side is the test."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from ten_runtime import (
    AsyncExtensionTester,
    AsyncTenEnvTester,
    AudioFrame,
    AudioFrameDataFmt,
    Cmd,
    CmdResult,
    Data,
    PixelFmt,
    StatusCode,
    VideoFrame,
)

from .http_node import Inbox
from .livekit import LiveKitServer
from .sounds import Pcm

WAIT_S = 45.0  # the SDK needs 30 s to give up a room
RATE_HZ = 16_000


class _Tester(AsyncExtensionTester):
    """Hands everything over to the loop of the test."""

    def __init__(self, run: RtcRun) -> None:
        super().__init__()
        self._run = run

    async def on_start(self, ten_env: AsyncTenEnvTester) -> None:
        # Answered (with ERROR: it takes no such command) after its on_init.
        await ten_env.send_cmd(Cmd.create("are_you_there"))
        self._run.tester_started(ten_env, asyncio.get_running_loop())

    async def on_cmd(self, ten_env: AsyncTenEnvTester, cmd: Cmd) -> None:
        content = json.loads(cmd.get_property_to_json(None)[0] or "{}")
        await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))
        self._tell(self._run.commands.add, (cmd.get_name(), content))

    async def on_data(self, _ten_env: AsyncTenEnvTester, data: Data) -> None:
        content = json.loads(data.get_property_to_json(None)[0] or "{}")
        buffer, problem = data.get_property_buf("data")
        if problem is None:
            content["data"] = bytes(buffer)
        self._tell(self._run.data.add, (data.get_name(), content))

    async def on_audio_frame(
        self, _ten_env: AsyncTenEnvTester, audio_frame: AudioFrame
    ) -> None:
        self._tell(self._run.take_audio, audio_frame)

    async def on_video_frame(
        self, _ten_env: AsyncTenEnvTester, video_frame: VideoFrame
    ) -> None:
        self._tell(self._run.take_video, video_frame)

    def _tell(self, take: Any, what: Any) -> None:
        self._run.loop.call_soon_threadsafe(take, what)


class RtcRun:
    """A running livekit_rtc; a context manager.

    ``commands``, ``data``, ``heard`` (16-bit PCM by identity) and
    ``pictures`` are what came out of it; commands are answered with OK.

    Args:
        server: Whose room; None leaves that to the properties.
        room: The room's name.
        properties: Of the extension, beyond that.
    """

    def __init__(
        self, server: LiveKitServer | None, room: str, **properties: Any
    ) -> None:
        self.commands = Inbox(WAIT_S)
        self.data = Inbox(WAIT_S)
        self.frames = Inbox(WAIT_S)
        self.heard: defaultdict[str, bytearray] = defaultdict(bytearray)
        self.audio_frames: list[dict[str, Any]] = []
        self.pictures: list[dict[str, Any]] = []
        self.loop = asyncio.get_running_loop()
        self._started: asyncio.Future[
            tuple[AsyncTenEnvTester, asyncio.AbstractEventLoop]
        ] = self.loop.create_future()
        self._tester = _Tester(self)
        # Its own: the loop's has too few threads for ten of them at once.
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._run: asyncio.Future[Any] | None = None
        where: dict[str, Any] = {}
        if server is not None:
            where = {
                "url": server.url,
                "api_key": server.api_key,
                "api_secret": server.api_secret,
            }
        self._tester.set_test_mode_single(
            "livekit_rtc", json.dumps({**where, "room": room, **properties})
        )

    async def __aenter__(self) -> RtcRun:
        self._run = self.loop.run_in_executor(self._thread, self._tester.run)
        await asyncio.wait_for(asyncio.shield(self._started), WAIT_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> float:
        """Stops the graph; how many seconds it took."""
        if self._run is None:
            return 0.0
        run, self._run = self._run, None
        ten_env, loop = self._started.result()
        begun = self.loop.time()
        loop.call_soon_threadsafe(ten_env.stop_test)
        error = await asyncio.wait_for(run, WAIT_S)
        self._thread.shutdown()
        assert error is None, error
        return self.loop.time() - begun

    async def in_room(self) -> None:
        """Waits until it has entered the room."""
        await self.commands.get("on_connected")

    def users(self, name: str) -> list[str]:
        """Whom commands of that name have told of."""
        return [c["remote_user_id"] for c in self.commands.named(name)]

    def pcm(self, identity: str) -> Pcm:
        """What has come of somebody's audio."""
        return np.frombuffer(bytes(self.heard[identity]), np.int16)

    async def command(
        self, name: str, /, **properties: Any
    ) -> tuple[StatusCode, dict[str, Any]]:
        """Sends a command to livekit_rtc."""

        async def send() -> tuple[StatusCode, dict[str, Any]]:
            cmd = Cmd.create(name)
            cmd.set_property_from_json(None, json.dumps(properties))
            result, error = await ten_env.send_cmd(cmd)
            assert result is not None, error
            text, _ = result.get_property_to_json(None)
            return result.get_status_code(), json.loads(text or "{}")

        ten_env, _ = self._started.result()
        return await self._in_tester(send())

    async def send_data(self, content: bytes = b"", **properties: Any) -> None:
        """Sends the data message ``data``."""

        async def send() -> None:
            data = Data.create("data")
            data.set_property_from_json(None, json.dumps(properties))
            if content:
                data.set_property_buf("data", content)
            await ten_env.send_data(data)

        ten_env, _ = self._started.result()
        await self._in_tester(send())

    async def say(
        self, pcm: Pcm, sample_rate: int = RATE_HZ, channels: int = 1
    ) -> None:
        """Sends PCM in frames of 10 ms, as fast as it goes."""

        async def send() -> None:
            step = sample_rate // 100 * channels
            for start in range(0, pcm.size, step):
                part = pcm[start : start + step].tobytes()
                frame = AudioFrame.create("pcm_frame")
                frame.set_sample_rate(sample_rate)
                frame.set_number_of_channels(channels)
                frame.set_bytes_per_sample(2)
                frame.set_samples_per_channel(len(part) // 2 // channels)
                frame.set_data_fmt(AudioFrameDataFmt.INTERLEAVE)
                _fill(frame, part)
                await ten_env.send_audio_frame(frame)

        ten_env, _ = self._started.result()
        await self._in_tester(send())

    async def show(
        self, pixels: bytes, width: int, height: int, pixel_fmt: PixelFmt
    ) -> None:
        """Sends one picture."""

        async def send() -> None:
            frame = VideoFrame.create("video_frame")
            frame.set_width(width)
            frame.set_height(height)
            frame.set_pixel_fmt(pixel_fmt)
            _fill(frame, pixels)
            await ten_env.send_video_frame(frame)

        ten_env, _ = self._started.result()
        await self._in_tester(send())

    # Called by the tester.

    def tester_started(
        self, ten_env: AsyncTenEnvTester, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.loop.call_soon_threadsafe(
            self._started.set_result, (ten_env, loop)
        )

    def take_audio(self, frame: AudioFrame) -> None:
        properties = json.loads(frame.get_property_to_json(None)[0])
        pcm = frame.get_buf()
        self.heard[properties["remote_user_id"]] += pcm
        self.audio_frames.append(
            {
                **properties,
                "sample_rate": frame.get_sample_rate(),
                "channels": frame.get_number_of_channels(),
                "samples": frame.get_samples_per_channel(),
                "bytes": len(pcm),
                "timestamp": frame.get_timestamp(),
            }
        )
        # Looking at all of it each time is much work.
        if len(self.audio_frames) % 10 == 0:
            self.frames.add(("audio", {}))

    def take_video(self, frame: VideoFrame) -> None:
        self.pictures.append(
            {
                **json.loads(frame.get_property_to_json(None)[0]),
                "width": frame.get_width(),
                "height": frame.get_height(),
                "pixel_fmt": frame.get_pixel_fmt(),
                "pixels": frame.get_buf(),
            }
        )
        self.frames.add(("video", {}))

    async def _in_tester(self, work: Coroutine[Any, Any, Any]) -> Any:
        _, loop = self._started.result()
        return await asyncio.wait_for(
            asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop)),
            WAIT_S,
        )


def _fill(frame: AudioFrame | VideoFrame, content: bytes) -> None:
    frame.alloc_buf(len(content))
    buffer = frame.lock_buf()
    buffer[:] = content
    frame.unlock_buf(buffer)
