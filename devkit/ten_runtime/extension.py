#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Extension and AsyncExtension: what users derive from."""

from __future__ import annotations

from typing import TypeVar

from .async_ten_env import AsyncTenEnv
from .frames import AudioFrame, Data, VideoFrame
from .msg import Cmd
from .ten_env import TenEnv

T = TypeVar("T")


def _named(extension: T, name: object) -> T:
    if not isinstance(name, str):
        raise TypeError("Invalid argument.")
    return extension


class AsyncExtension:
    """An extension of coroutines; a stage ends when its coroutine returns."""

    name: str

    def __new__(cls, name: str):
        # As natively, it refuses what else a subclass may want to be given.
        return _named(super().__new__(cls), name)

    def __init__(self, name: str) -> None:
        self.name = name

    async def on_configure(self, _ten_env: AsyncTenEnv) -> None:
        """First; no properties yet."""

    async def on_init(self, _ten_env: AsyncTenEnv) -> None:
        """Messages wait until this is done."""

    async def on_start(self, _ten_env: AsyncTenEnv) -> None:
        """Messages may come while this runs."""

    async def on_stop(self, _ten_env: AsyncTenEnv) -> None:
        """End what was started."""

    async def on_deinit(self, _ten_env: AsyncTenEnv) -> None:
        """Last; afterwards every call of the env fails."""

    async def on_cmd(self, _ten_env: AsyncTenEnv, _cmd: Cmd) -> None:
        """A command; without a result its sender waits for minutes."""

    async def on_data(self, _ten_env: AsyncTenEnv, _data: Data) -> None:
        """A data message."""

    async def on_video_frame(
        self, _ten_env: AsyncTenEnv, _video_frame: VideoFrame
    ) -> None:
        """A video frame."""

    async def on_audio_frame(
        self, _ten_env: AsyncTenEnv, _audio_frame: AudioFrame
    ) -> None:
        """An audio frame."""


class Extension:
    """An extension of plain methods, each saying itself when it is done."""

    def __new__(cls, name: str):
        return _named(super().__new__(cls), name)

    def __init__(self, name: str) -> None:
        pass

    def on_configure(self, ten_env: TenEnv) -> None:
        ten_env.on_configure_done()

    def on_init(self, ten_env: TenEnv) -> None:
        ten_env.on_init_done()

    def on_start(self, ten_env: TenEnv) -> None:
        ten_env.on_start_done()

    def on_stop(self, ten_env: TenEnv) -> None:
        ten_env.on_stop_done()

    def on_deinit(self, ten_env: TenEnv) -> None:
        ten_env.on_deinit_done()

    def on_cmd(self, _ten_env: TenEnv, _cmd: Cmd) -> None:
        """A command."""

    def on_data(self, _ten_env: TenEnv, _data: Data) -> None:
        """A data message."""

    def on_video_frame(
        self, _ten_env: TenEnv, _video_frame: VideoFrame
    ) -> None:
        """A video frame."""

    def on_audio_frame(
        self, _ten_env: TenEnv, _audio_frame: AudioFrame
    ) -> None:
        """An audio frame."""
