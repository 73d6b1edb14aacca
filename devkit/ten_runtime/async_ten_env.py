#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""AsyncTenEnv: the runtime as an async extension sees it."""

# The modules of this package share their underscored names.
# pylint: disable=protected-access
from __future__ import annotations

import asyncio
import ctypes
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from .error import TenError, TenErrorCode
from .frames import AudioFrame, Data, VideoFrame
from .log import LogMethods
from .msg import Body, Cmd, CmdResult, Msg
from .node import Node
from .routing import return_result, send
from .send_options import SendOptions
from .ten_env import warn_lost
from .values import check_float, check_int, check_text

if TYPE_CHECKING:
    from .hosts import LoopHost

_RESULTS = 10
CmdResultTuple = tuple[CmdResult | None, TenError | None]


class AsyncSender(LogMethods):
    """The sends that an extension's env and a tester's env share."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._host: LoopHost | None = None

    def _log_owner(self) -> tuple[str, TenError | None]:
        return self._node.name, self._node.closed_error("log")

    def _loop_host(self) -> LoopHost:
        assert self._host is not None
        return self._host

    async def send_cmd(self, cmd: Cmd) -> CmdResultTuple:
        """Send a command and wait for its one result."""
        closed = self._node.closed_error("send_cmd")
        if closed is not None:
            return None, closed
        host = self._loop_host()
        answer: asyncio.Future[Body | None] = host.loop.create_future()

        def settle(body: Body | None) -> None:
            if not answer.done():
                answer.set_result(body)

        error = send(
            self._node, cmd, lambda body, _: host.post(settle, body), each=False
        )
        if error is not None:
            return self._cmd_failed(error)
        body = await answer
        assert body is not None and body.completed
        return CmdResult._wrap(body), None

    def _cmd_failed(self, error: TenError) -> CmdResultTuple:
        return None, error

    async def send_cmd_ex(
        self, cmd: Cmd
    ) -> AsyncGenerator[CmdResultTuple, None]:
        """Send a command and yield its results until the last."""
        closed = self._node.closed_error("send_cmd")
        if closed is not None:
            yield None, closed
            return
        host = self._loop_host()
        # As natively, so with its defect: of more than ten results at once
        # the later ones wait as tasks, and whoever comes meanwhile is first.
        # What comes after the last one is lost.
        bodies: asyncio.Queue[Body] = asyncio.Queue(_RESULTS)

        error = send(
            self._node,
            cmd,
            lambda body, _: host.run(bodies.put, body),
            each=True,
        )
        if error is not None:
            yield self._cmd_failed(error)
            return
        completed = False
        while not completed:
            body = await bodies.get()
            completed = body.completed
            yield CmdResult._wrap(body), None

    async def send_data(
        self, data: Data, options: SendOptions | None = None
    ) -> TenError | None:
        return await self._send("send_data", send, data, options)

    async def send_audio_frame(
        self, audio_frame: AudioFrame, options: SendOptions | None = None
    ) -> TenError | None:
        return await self._send("send_audio_frame", send, audio_frame, options)

    async def send_video_frame(
        self, video_frame: VideoFrame, options: SendOptions | None = None
    ) -> TenError | None:
        return await self._send("send_video_frame", send, video_frame, options)

    async def return_result(
        self, result: CmdResult, options: SendOptions | None = None
    ) -> TenError | None:
        return await self._send("return_result", return_result, result, options)

    async def _send(
        self,
        name: str,
        call: Callable[[Node, Any], TenError | None],
        msg: Msg,
        options: SendOptions | None,
    ) -> TenError | None:
        closed = self._node.closed_error(name)
        if closed is not None:
            return closed
        error = call(self._node, msg)
        if options is not None and options.wait_for_result:
            await asyncio.sleep(0)
            return error
        if error is not None:
            warn_lost(self._node, error)
        return None


class AsyncTenEnv(AsyncSender):
    """What an async extension works with; getters return (value, error).

    Every getter and setter lets other tasks run, as natively, where it is
    a trip to another thread.
    """

    async def init_property_from_json(self, json_str: str) -> TenError | None:
        await asyncio.sleep(0)
        return self._node.properties.init_from_json(json_str)

    async def is_property_exist(
        self, path: str
    ) -> tuple[bool, TenError | None]:
        closed = self._node.closed_error("is_property_exist")
        if closed is not None:
            return False, closed
        await asyncio.sleep(0)
        return self._node.properties.exists(path), None

    async def get_property_to_json(
        self, path: str | None = None
    ) -> tuple[str, TenError | None]:
        closed = self._node.closed_error("get_property_to_json")
        if closed is not None:
            return "", closed
        await asyncio.sleep(0)
        return self._node.properties.to_json(path)

    async def _get(
        self, path: str, kind: str, default: Any
    ) -> tuple[Any, TenError | None]:
        check_text(path)
        closed = self._node.closed_error("get_property")
        if closed is not None:
            return default, closed
        await asyncio.sleep(0)
        value, error = self._node.properties.read(path, kind)
        return (value, None) if error is None else (default, error)

    async def get_property_int(self, path: str) -> tuple[int, TenError | None]:
        """As natively: cut to 32 bits, and no error for a wrong type."""
        value, error = await self._get(path, "int64", 0)
        if _is_wrong_type(error):
            return 0, None
        return ctypes.c_int32(value).value, error

    async def get_property_string(
        self, path: str
    ) -> tuple[str, TenError | None]:
        """As natively: (None, None) for a wrong type."""
        value, error = await self._get(path, "string", "")
        return (None, None) if _is_wrong_type(error) else (value, error)  # type: ignore[return-value]

    async def get_property_bool(
        self, path: str
    ) -> tuple[bool, TenError | None]:
        return await self._get(path, "bool", False)

    async def get_property_float(
        self, path: str
    ) -> tuple[float, TenError | None]:
        return await self._get(path, "float64", 0.0)

    async def _set(self, path: str, value: Any) -> TenError | None:
        closed = self._node.closed_error("set_property")
        if closed is not None:
            return closed
        await asyncio.sleep(0)
        return self._node.properties.write(path, value)

    async def set_property_from_json(
        self, path: str, json_str: str
    ) -> TenError | None:
        check_text(path)
        check_text(json_str)
        closed = self._node.closed_error("set_property_from_json")
        if closed is not None:
            return closed
        await asyncio.sleep(0)
        return self._node.properties.write_json(path, json_str)

    async def set_property_int(self, path: str, value: int) -> TenError | None:
        """As natively: ValueError above 32 bits."""
        return await self._set(path, check_int(value, 32))

    async def set_property_string(
        self, path: str, value: str
    ) -> TenError | None:
        return await self._set(path, check_text(value))

    async def set_property_bool(
        self, path: str, value: bool
    ) -> TenError | None:
        return await self._set(path, bool(value))

    async def set_property_float(
        self, path: str, value: float
    ) -> TenError | None:
        return await self._set(path, check_float(value))


def _is_wrong_type(error: TenError | None) -> bool:
    return error is not None and error.error_code() in (
        TenErrorCode.ErrorCodeGeneric,
        TenErrorCode.ErrorCodeInvalidArgument,
    )
