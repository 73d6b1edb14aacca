#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What happens in a room, as TEN messages; it alone names those going out."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from livekit import rtc
from ten_ai_base.const import LOG_CATEGORY_KEY_POINT, LOG_CATEGORY_VENDOR
from ten_ai_base.message import (
    ModuleError,
    ModuleErrorCode,
    ModuleErrorVendorInfo,
)
from ten_runtime import (
    AsyncTenEnv,
    AudioFrame,
    AudioFrameDataFmt,
    Cmd,
    Data,
    PixelFmt,
    StatusCode,
    VideoFrame,
)

from .drops import Drops
from .errors import RoomError
from .events import TrackReason, TrackState
from .participants import Sender, sender

_BYTES_PER_SAMPLE = 2
_MESSAGES_MAX = 1000  # on their way at once
_NOT_CONNECTED = 7  # TenErrorCode, of a command that goes to nobody
_MODULE = "rtc"
_VENDOR = "livekit"


class TenRoom:
    """``RoomEvents`` that go into a TEN graph.

    Args:
        ten_env: Of the extension.
        room: Gives the room's name and our identity.
        drops: Told of what is dropped.
    """

    def __init__(
        self,
        ten_env: AsyncTenEnv,
        room: Callable[[], tuple[str, str]],
        drops: Drops,
    ) -> None:
        self._ten_env = ten_env
        self._room = room
        self._drops = drops
        self._sending: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def stopping(self) -> None:
        """The graph stops: nobody may be there to take what comes."""
        self._is_stopping = True

    def connected(self) -> None:
        self._log(f"vendor_status: in the room {self._room()[0]}")
        self._command("on_connected")

    def connection_lost(self) -> None:
        self._command("on_connection_lost")
        self.problem(
            RoomError(
                "network", "the connection to the room is lost; reconnecting"
            )
        )

    def disconnected(self, reason: int) -> None:
        name = rtc.DisconnectReason.Name(rtc.DisconnectReason.ValueType(reason))
        self._log(f"vendor_status: out of the room, {name}")
        self._command("on_disconnected", reason_type=reason, reason=name)

    def joined(self, identity: str) -> None:
        self._command("on_user_joined", remote_user_id=identity)

    def left(self, identity: str) -> None:
        self._command("on_user_left", remote_user_id=identity)

    def track_changed(
        self,
        media: str,
        identity: str,
        state: TrackState,
        reason: TrackReason,
    ) -> None:
        self._command(
            f"on_user_{media}_track_state_changed",
            remote_user_id=identity,
            state=int(state),
            reason=int(reason),
        )

    async def audio(self, source: Sender, frame: rtc.AudioFrame) -> None:
        message = AudioFrame.create("pcm_frame")
        message.set_sample_rate(frame.sample_rate)
        message.set_bytes_per_sample(_BYTES_PER_SAMPLE)
        message.set_number_of_channels(frame.num_channels)
        message.set_samples_per_channel(frame.samples_per_channel)
        message.set_data_fmt(AudioFrameDataFmt.INTERLEAVE)
        self._fill(message, source, frame.data.cast("B"))
        await self._ten_env.send_audio_frame(message)

    async def video(self, source: Sender, frame: rtc.VideoFrame) -> None:
        message = VideoFrame.create("video_frame")
        message.set_width(frame.width)
        message.set_height(frame.height)
        message.set_pixel_fmt(PixelFmt.I420)
        self._fill(message, source, frame.data)
        await self._ten_env.send_video_frame(message)

    def data(self, identity: str, topic: str, content: bytes) -> None:
        message = Data.create("data")
        message.set_property_from_json(
            None,
            to_json(
                {
                    "channel": self._room()[0],
                    "remote_user_id": identity,
                    "stream_id": sender(identity).stream_id if identity else 0,
                    "topic": topic,
                }
            ),
        )
        message.set_property_buf("data", content)
        self._send(self._send_data(message))

    def problem(self, error: RoomError) -> None:
        self._error(ModuleErrorCode.NON_FATAL_ERROR, error)
        self._ten_env.log_warn(self._words(error), LOG_CATEGORY_VENDOR)

    def failed(self, error: RoomError) -> None:
        self._command("on_connection_failure", reason=error.kind)
        self._error(ModuleErrorCode.FATAL_ERROR, error)
        self._ten_env.log_error(self._words(error), LOG_CATEGORY_VENDOR)

    async def stop(self, timeout_s: float) -> None:
        """Waits for what is on its way, but not for long."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=timeout_s)
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _fill(
        self,
        message: AudioFrame | VideoFrame,
        source: Sender,
        content: memoryview,
    ) -> None:
        message.set_timestamp(int(time.time() * 1000))
        message.alloc_buf(len(content))
        buffer = message.lock_buf()
        buffer[:] = content
        message.unlock_buf(buffer)
        message.set_property_int("stream_id", source.stream_id)
        message.set_property_string("remote_user_id", source.identity)
        message.set_property_from_json("metadata", source.metadata)

    def _command(self, name: str, **properties: Any) -> None:
        channel, user_id = self._room()
        cmd = Cmd.create(name)
        cmd.set_property_from_json(
            None,
            to_json({"channel": channel, "user_id": user_id} | properties),
        )
        self._send(self._send_command(name, cmd))

    async def _send_command(self, name: str, cmd: Cmd) -> None:
        result, problem = await self._ten_env.send_cmd(cmd)
        if problem is not None and problem.error_code() == _NOT_CONNECTED:
            return
        if self._is_stopping:  # as is whoever would take it
            return
        if problem is None and result is not None:
            if result.get_status_code() == StatusCode.OK:
                return
            problem, _ = result.get_property_to_json(None)
        self._ten_env.log_warn(clean(f"{name} was not taken: {problem}"))

    async def _send_data(self, data: Data) -> None:
        await self._ten_env.send_data(data)

    def _error(self, code: ModuleErrorCode, error: RoomError) -> None:
        channel, user_id = self._room()
        content = ModuleError(
            id=uuid.uuid4().hex,
            module=_MODULE,
            code=int(code.value),
            message=str(error),
            vendor_info=ModuleErrorVendorInfo(
                vendor=_VENDOR, code=error.kind, message=error.vendor
            ),
            metadata={
                "kind": error.kind,
                "channel": channel,
                "user_id": user_id,
            },
        )
        data = Data.create("error")
        data.set_property_from_json(
            None, to_json(content.model_dump(mode="json"))
        )
        self._send(self._send_data(data))

    def _send(self, sending: Coroutine[Any, Any, None]) -> None:
        # Tasks begin in the order they are made, so messages keep theirs.
        if len(self._sending) >= _MESSAGES_MAX:
            sending.close()
            self._drops.add("messages: the graph does not take them")
            return
        task = asyncio.ensure_future(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _words(self, error: RoomError) -> str:
        vendor = f" ({error.vendor})" if error.vendor else ""
        return clean(f"vendor_error: {error.kind}, {error}{vendor}")

    def _log(self, text: str) -> None:
        self._ten_env.log_info(clean(text), LOG_CATEGORY_KEY_POINT)


def to_json(content: Mapping[str, Any]) -> str:
    """JSON that TEN's setters take."""
    return clean(json.dumps(content, ensure_ascii=False))


def clean(text: str) -> str:
    """Without what makes TEN's setters and log calls raise."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
