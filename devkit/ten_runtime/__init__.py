#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A stand-in for the TEN runtime, for development and tests.

It has the names and the behaviour, defects included, of the native runtime
(core 0.11.71) as far as this project depends on them. What it does not do
raises NotImplementedError.
"""

from typing import Any

from .addon import Addon, register_addon_as_extension
from .app import App
from .async_ten_env import AsyncTenEnv
from .error import TenError, TenErrorCode
from .extension import AsyncExtension, Extension
from .frames import (
    AudioFrame,
    AudioFrameDataFmt,
    Data,
    PixelFmt,
    VideoFrame,
)
from .graph_cmds import StartGraphCmd, StopGraphCmd
from .loc import Loc
from .log import DefaultLogOption, LogLevel, LogOption
from .msg import Cmd, CmdResult, StatusCode
from .send_options import SendOptions
from .ten_env import TenEnv
from .tester import AsyncExtensionTester, AsyncTenEnvTester

IS_STANDIN = True  # the native package has no such name

__all__ = [
    "IS_STANDIN",
    "Addon",
    "App",
    "AsyncExtension",
    "AsyncExtensionTester",
    "AsyncTenEnv",
    "AsyncTenEnvTester",
    "AudioFrame",
    "AudioFrameDataFmt",
    "Cmd",
    "CmdResult",
    "Data",
    "DefaultLogOption",
    "Extension",
    "Loc",
    "LogLevel",
    "LogOption",
    "PixelFmt",
    "SendOptions",
    "StartGraphCmd",
    "StatusCode",
    "StopGraphCmd",
    "TenEnv",
    "TenError",
    "TenErrorCode",
    "VideoFrame",
    "register_addon_as_extension",
]

_NATIVE_ONLY = frozenset(
    {
        "ExtensionTester",
        "TenEnvTester",
        "TriggerLifeCycleCmd",
        "Value",
        "ValueType",
    }
)


def __getattr__(name: str) -> Any:
    if name in _NATIVE_ONLY:
        raise NotImplementedError(f"The stand-in runtime has no {name}.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
