#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Hears where sentences begin and end; all audio goes on as it came."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ten_runtime import (
    AsyncExtension,
    AsyncTenEnv,
    AudioFrame,
    Cmd,
    CmdResult,
    StatusCode,
)
from ten_vad import TenVad

from .detector import HOP_SAMPLES, RATE_HZ, SentenceDetector

_ANYTHING = (Exception, asyncio.CancelledError)
_ANSWER_S = 5.0

Callback = TypeVar("Callback", bound=Callable[..., Any])


def _guarded(callback: Callback) -> Callback:
    """Keeps what goes wrong in a callback from killing the worker."""

    @functools.wraps(callback)
    async def guard(self: Any, ten_env: AsyncTenEnv, *args: Any) -> None:
        try:
            await callback(self, ten_env, *args)
        except _ANYTHING as problem:  # pylint: disable=broad-except
            ten_env.log_error(f"{callback.__name__}: {problem!r}")

    return cast(Callback, guard)


class TenVadExtension(AsyncExtension):
    """Sends ``start_of_sentence`` and ``end_of_sentence``."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._detector: SentenceDetector | None = None
        self._silence_ms = 0
        self._complained = False

    @_guarded
    async def on_init(self, ten_env: AsyncTenEnv) -> None:
        text, _ = await ten_env.get_property_to_json(None)
        properties = json.loads(text or "{}")
        self._silence_ms = int(properties.get("silence_duration_ms", 700))
        # It loads a library, for which others' audio does not wait.
        vad = await asyncio.to_thread(TenVad, HOP_SAMPLES)
        self._detector = SentenceDetector(
            lambda hop: vad.process(hop)[0],
            threshold=float(properties.get("vad_threshold", 0.5)),
            prefix_ms=int(properties.get("prefix_padding_ms", 120)),
            silence_ms=self._silence_ms,
        )

    @_guarded
    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        await ten_env.return_result(CmdResult.create(StatusCode.ERROR, cmd))

    @_guarded
    async def on_audio_frame(
        self, ten_env: AsyncTenEnv, frame: AudioFrame
    ) -> None:
        edges = self._edges(ten_env, frame)
        await ten_env.send_audio_frame(frame)
        for edge in edges:
            cmd = Cmd.create(f"{edge}_of_sentence")
            if edge == "end":
                cmd.set_property_int("silence_ms", self._silence_ms)
            await asyncio.wait_for(ten_env.send_cmd(cmd), _ANSWER_S)

    def _edges(self, ten_env: AsyncTenEnv, frame: AudioFrame) -> list[str]:
        form = frame.get_sample_rate(), frame.get_number_of_channels()
        if form == (RATE_HZ, 1):
            # No await before this, so that frames keep their order.
            detector = self._detector
            return list(detector.feed(frame.get_buf())) if detector else []
        if not self._complained:
            self._complained = True
            ten_env.log_error(
                f"pcm_frame is {form[0]} Hz with {form[1]} channels; "
                f"{RATE_HZ} Hz mono is needed"
            )
        return []
