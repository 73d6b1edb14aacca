#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A LiveKit room as a node of a TEN graph, in the place of agora_rtc.

An exception that leaves a TEN callback kills the worker process and every
extension in it, so each callback is guarded, here and once.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from ten_ai_base.const import LOG_CATEGORY_KEY_POINT
from ten_runtime import (
    AsyncExtension,
    AsyncTenEnv,
    AudioFrame,
    Cmd,
    CmdResult,
    Data,
    StatusCode,
    VideoFrame,
)

from .commands import token_for
from .config import LiveKitConfig
from .drops import Drops
from .errors import ConfigError, RoomError, mask_sdk_log
from .outgoing import Outgoing
from .room import RoomKeeper
from .ten_room import TenRoom, clean, to_json

_BYTES_PER_SAMPLE = 2
# With the second that leaving may take, in the two that TEN gives.
_SEND_MAX_S = 0.2


def _guarded(callback: Callable[..., Awaitable[None]]) -> Any:
    """Keeps what goes wrong in a callback from killing the worker."""

    @functools.wraps(callback)
    async def guard(
        self: LiveKitRtcExtension, ten_env: AsyncTenEnv, *args: Any
    ) -> None:
        try:
            await callback(self, ten_env, *args)
        # pylint: disable-next=broad-exception-caught
        except (Exception, asyncio.CancelledError) as problem:
            ten_env.log_error(clean(f"{callback.__name__}: {problem!r}"))

    return guard


class LiveKitRtcExtension(AsyncExtension):
    """Audio, video, data and users of a LiveKit room; see README.md."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._keeper: RoomKeeper | None = None
        self._outgoing: Outgoing | None = None
        self._graph: TenRoom | None = None
        self._drops: Drops | None = None

    @_guarded
    async def on_init(self, ten_env: AsyncTenEnv) -> None:
        # Messages come as soon as this is done, before on_start.
        mask_sdk_log()
        self._drops = drops = Drops(lambda text: ten_env.log_warn(clean(text)))
        self._graph = TenRoom(ten_env, self._who, drops)
        text, problem = await ten_env.get_property_to_json(None)
        try:
            if problem is not None:
                raise ConfigError(f"properties cannot be read; {problem}")
            config = LiveKitConfig.load(json.loads(text or "{}"))
        except ConfigError as error:
            self._graph.failed(RoomError("config", str(error)))
            return
        ten_env.log_info(
            clean(f"config: {config.to_str()}"), LOG_CATEGORY_KEY_POINT
        )
        self._outgoing = Outgoing(config, drops)
        self._keeper = RoomKeeper(config, self._graph, self._outgoing, drops)

    @_guarded
    async def on_start(self, _ten_env: AsyncTenEnv) -> None:
        if self._keeper is not None and self._keeper.config.auto_join:
            await self._keeper.start()

    @_guarded
    async def on_stop(self, ten_env: AsyncTenEnv) -> None:
        if self._graph is not None:
            self._graph.stopping()
        if self._keeper is not None:
            await self._keeper.close()
        if self._outgoing is not None:
            await self._outgoing.close()
        if self._graph is not None:
            await self._graph.stop(_SEND_MAX_S)
        if self._drops is not None and str(self._drops):
            ten_env.log_info(clean(f"dropped in all: {self._drops}"))

    @_guarded
    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        # Without an answer the sender would wait for three minutes.
        status, answer = StatusCode.OK, {}
        try:
            text, _ = cmd.get_property_to_json(None)
            answer = await self._obey(cmd.get_name(), json.loads(text or "{}"))
        except (RoomError, ConfigError) as error:
            status = StatusCode.ERROR
            kind = getattr(error, "kind", "validation")
            answer = {"detail": str(error), "kind": kind}
        # pylint: disable-next=broad-exception-caught
        except (Exception, asyncio.CancelledError) as problem:
            ten_env.log_error(clean(f"on_cmd {cmd.get_name()}: {problem!r}"))
            status = StatusCode.ERROR
            answer = {"detail": "a mistake; see the log", "kind": "internal"}
        result = CmdResult.create(status, cmd)
        if answer:
            result.set_property_from_json(None, to_json(answer))
        await ten_env.return_result(result)

    @_guarded
    async def on_audio_frame(
        self, _ten_env: AsyncTenEnv, audio_frame: AudioFrame
    ) -> None:
        # Nothing is awaited before it is queued, so frames keep their order.
        if self._outgoing is None or self._outgoing.audio is None:
            return
        if audio_frame.get_bytes_per_sample() != _BYTES_PER_SAMPLE:
            assert self._drops is not None
            self._drops.add("audio frames: not 16-bit PCM")
            return
        self._outgoing.audio.push(
            audio_frame.get_buf(),
            audio_frame.get_sample_rate(),
            audio_frame.get_number_of_channels(),
        )

    @_guarded
    async def on_video_frame(
        self, _ten_env: AsyncTenEnv, video_frame: VideoFrame
    ) -> None:
        if self._outgoing is not None and self._outgoing.video is not None:
            self._outgoing.video.push(
                video_frame.get_buf(),
                video_frame.get_width(),
                video_frame.get_height(),
                int(video_frame.get_pixel_fmt()),
            )

    @_guarded
    async def on_data(self, _ten_env: AsyncTenEnv, data: Data) -> None:
        if self._outgoing is None or data.get_name() != "data":
            return
        text, _ = data.get_property_to_json(None)
        properties = json.loads(text or "{}")
        topic = str(properties.get("topic") or self._outgoing.data_topic)
        to = str(properties.get("remote_user_id") or "")
        if isinstance(properties.get("text"), str):
            await self._outgoing.send_text(properties["text"], topic, to)
            return
        content, problem = data.get_property_buf("data")
        if problem is None:
            await self._outgoing.send(bytes(content), topic, to)

    def _who(self) -> tuple[str, str]:
        if self._keeper is None:
            return "", ""
        return self._keeper.room, self._keeper.identity

    async def _obey(
        self, name: str, properties: dict[str, Any]
    ) -> dict[str, Any]:
        keeper, outgoing = self._keeper, self._outgoing
        if keeper is None or outgoing is None:
            raise RoomError("config", "the properties cannot be used")
        if name == "flush":
            outgoing.flush()
            return {}
        if name == "join":
            room = properties.get("room") or properties.get("channel") or ""
            await keeper.join(str(room), str(properties.get("token") or ""))
            return {"channel": keeper.room, "user_id": keeper.identity}
        if name == "leave":
            await keeper.leave()
            return {}
        if name == "token":
            return token_for(keeper.config, keeper.room, properties)
        raise ConfigError(
            f"livekit_rtc takes flush, join, leave and token, not {name}"
        )
