#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""TenEnv: the runtime as apps, addons and sync extensions see it."""

# The modules of this package share their underscored names.
# pylint: disable=protected-access
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from .error import TenError, TenErrorCode, runtime_error
from .frames import AudioFrame, Data, VideoFrame
from .log import LOG, LogLevel, LogMethods
from .msg import Body, Cmd, CmdResult, Msg
from .node import Node, Stage
from .routing import return_result, send
from .values import check_float, check_int, check_text

if TYPE_CHECKING:
    from .hosts import ThreadHost

ResultHandler = Callable[["TenEnv", CmdResult | None, TenError | None], None]
ErrorHandler = Callable[["TenEnv", TenError | None], None]


def warn_lost(node: Node, error: TenError) -> None:
    """Log the error of a send that nobody waits for."""
    LOG.log(LogLevel.WARN, error.error_message(), owner=node.name)


def _not_here(why: str) -> NoReturn:
    raise NotImplementedError(why)


class TenEnv(LogMethods):
    """What a sync extension works with; getters return (value, error)."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._host: ThreadHost | None = None

    def _log_owner(self) -> tuple[str, TenError | None]:
        return self._node.name, self._node.closed_error("log")

    def on_configure_done(self) -> None:
        self._node.stage_done(Stage.CONFIGURE)

    def on_init_done(self) -> None:
        self._node.stage_done(Stage.INIT)

    def on_start_done(self) -> None:
        self._node.stage_done(Stage.START)

    def on_stop_done(self) -> None:
        self._node.stage_done(Stage.STOP)

    def on_deinit_done(self) -> None:
        self._node.stage_done(Stage.DEINIT)

    def on_create_instance_done(self, instance: Any, context: object) -> None:
        _not_here(f"{instance} of {context}: only in on_create_instance.")

    # -- messages -------------------------------------------------------

    def send_cmd(
        self, cmd: Cmd, result_handler: ResultHandler | None = None
    ) -> TenError | None:
        return self._send_cmd(cmd, result_handler, each=False)

    def send_cmd_ex(
        self, cmd: Cmd, result_handler: ResultHandler | None = None
    ) -> TenError | None:
        return self._send_cmd(cmd, result_handler, each=True)

    def _send_cmd(
        self, cmd: Cmd, handler: ResultHandler | None, each: bool
    ) -> TenError | None:
        def on_result(body: Body | None, error: TenError | None) -> None:
            if handler is not None and self._host is not None:
                result = None if body is None else CmdResult._wrap(body)
                self._host.post(handler, self, result, error)

        closed = self._node.closed_error("send_cmd")
        if closed is not None:
            return closed
        error = send(self._node, cmd, on_result, each)
        if error is not None:
            on_result(None, error)
        return None

    def send_data(
        self, data: Data, error_handler: ErrorHandler | None = None
    ) -> TenError | None:
        return self._send("send_data", send, data, error_handler)

    def send_audio_frame(
        self,
        audio_frame: AudioFrame,
        error_handler: ErrorHandler | None = None,
    ) -> TenError | None:
        return self._send("send_audio_frame", send, audio_frame, error_handler)

    def send_video_frame(
        self,
        video_frame: VideoFrame,
        error_handler: ErrorHandler | None = None,
    ) -> TenError | None:
        return self._send("send_video_frame", send, video_frame, error_handler)

    def return_result(
        self, result: CmdResult, error_handler: ErrorHandler | None = None
    ) -> TenError | None:
        return self._send("return_result", return_result, result, error_handler)

    def _send(
        self,
        name: str,
        call: Callable[[Node, Any], TenError | None],
        msg: Msg,
        handler: ErrorHandler | None,
    ) -> TenError | None:
        closed = self._node.closed_error(name)
        if closed is not None:
            return closed
        error = call(self._node, msg)
        if handler is not None and self._host is not None:
            self._host.post(handler, self, error)
        elif error is not None:
            warn_lost(self._node, error)
        return None

    # -- properties -----------------------------------------------------

    def init_property_from_json(self, json_str: str) -> TenError | None:
        return self._node.properties.init_from_json(json_str)

    def is_property_exist(self, path: str) -> tuple[bool, TenError | None]:
        closed = self._node.closed_error("is_property_exist")
        if closed is not None:
            return False, closed
        return self._node.properties.exists(path), None

    def get_property_to_json(
        self, path: str | None = None
    ) -> tuple[str, TenError | None]:
        closed = self._node.closed_error("get_property_to_json")
        if closed is not None:
            return "", closed
        return self._node.properties.to_json(path)

    def _get(self, path: str, kind: str, default: Any) -> tuple[Any, Any]:
        error = self._node.closed_error("get_property")
        if error is None:
            value, error = self._node.properties.read(path, kind)
            if error is None:
                return value, None
        return default, error

    def get_property_int(self, path: str) -> tuple[int, TenError | None]:
        return self._get(path, "int64", 0)

    def get_property_bool(self, path: str) -> tuple[bool, TenError | None]:
        return self._get(path, "bool", False)

    def get_property_float(self, path: str) -> tuple[float, TenError | None]:
        return self._get(path, "float64", 0.0)

    def get_property_string(self, path: str) -> tuple[str, TenError | None]:
        value, error = self._get(path, "string", "")
        code = TenErrorCode.ErrorCodeInvalidArgument
        if error is not None and error.error_code() == code:
            error = runtime_error(0, "")  # as natively
        return value, error

    def _set(self, path: str, value: Any) -> TenError | None:
        closed = self._node.closed_error("set_property")
        return closed or self._node.properties.write(path, value)

    def set_property_from_json(
        self, path: str, json_str: str
    ) -> TenError | None:
        check_text(path)
        closed = self._node.closed_error("set_property_from_json")
        return closed or self._node.properties.write_json(path, json_str)

    def set_property_int(self, path: str, value: int) -> TenError | None:
        return self._set(path, check_int(value))

    def set_property_string(self, path: str, value: str) -> TenError | None:
        return self._set(path, check_text(value))

    def set_property_bool(self, path: str, value: bool) -> TenError | None:
        return self._set(path, bool(value))

    def set_property_float(self, path: str, value: float) -> TenError | None:
        return self._set(path, check_float(value))
