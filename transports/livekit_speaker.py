#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Speaks through a LiveKit avatar: byte streams out, remote calls both ways.

Protocol: livekit/agents, ``voice/avatar/_datastream_io.py``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from livekit import rtc

from ..vendor_json import read_json
from .livekit_room import AVATAR_IDENTITY
from .playback import Finished, Given, Playback
from .resampling import Resampler
from .voice import Cut, End, Speech, Utterance, Voice

RATE_HZ = 24_000
_TOPIC = "lk.audio_stream"
_CLEAR, _STARTED, _FINISHED = (
    "lk.clear_buffer",
    "lk.playback_started",
    "lk.playback_finished",
)
# How long the avatar may take to answer a flush, and then to be silent.
_ANSWER_S = 2.0
_SILENT_S = 2.0
# One write, or one answer, that takes so long will not come any more.
_STALLED_S = 10.0
_TROUBLE = (rtc.StreamError, rtc.RpcError, RuntimeError, asyncio.TimeoutError)

Say = Callable[[str, Mapping[str, Any], Mapping[str, float]], None]


@dataclass(eq=False)
class _Stream:
    """An utterance on its way; without a writer nothing has left yet."""

    utterance: Utterance
    resampler: Resampler
    writer: rtc.ByteStreamWriter | None = None
    given: Given | None = None


class Speaker:
    """Gives the avatar what the graph says, and hears what becomes of it.

    Args:
        room: The room, connected before ``listen``.
        voice: What the graph says.
        say: Called with what the graph should know.
        log: Where trouble is reported.
    """

    def __init__(
        self, room: rtc.Room, voice: Voice, say: Say, log: logging.Logger
    ) -> None:
        self._room = room
        self._voice = voice
        self._say = say
        self._log = log
        self._playback = Playback()
        self._stream: _Stream | None = None
        self._busy_since: float | None = None
        self._closed = False
        self._complained: Utterance | None = None

    def listen(self) -> None:
        """Takes calls from the avatar, as soon as we are in the room."""
        participant = self._room.local_participant
        participant.register_rpc_method(_STARTED, self._playback_started)
        participant.register_rpc_method(_FINISHED, self._playback_finished)

    async def speak(self) -> None:
        """Speaks until ``close``; the avatar is there, and shows itself.

        When it has been away, this is cancelled and begun anew.
        """
        self._forget_stream()
        # Beside its cancellation, which asyncio.wait_for can swallow.
        while not self._closed:
            item = await self._voice.next()
            self._busy_since = time.monotonic()
            try:
                if isinstance(item, Speech):
                    await self._give(item)
                elif isinstance(item, End):
                    await self._end(item.utterance)
                else:
                    await self._stop(item)
            except _TROUBLE as error:
                await self._give_up(item, error)
            finally:
                self._busy_since = None

    def close(self) -> None:
        """Takes nothing more; cancel ``speak``, too."""
        self._closed = True

    def stuck(self, now: float) -> str:
        """What will not happen any more; "" when all is well."""
        if self._busy_since and now - self._busy_since > _STALLED_S:
            return f"the avatar has taken no audio for {_STALLED_S:g} s"
        overdue = self._playback.overdue(now)
        if overdue is not None:
            return f"the avatar never finishes {overdue.utterance_id!r}"
        return ""

    # Out.

    async def _give(self, speech: Speech) -> None:
        stream = self._stream
        if stream is None or stream.utterance is not speech.utterance:
            if stream is not None:
                await self._end(stream.utterance)
            stream = _Stream(speech.utterance, Resampler(RATE_HZ))
            self._stream = stream
        await self._write(stream, stream.resampler.feed(speech.pcm))

    async def _write(self, stream: _Stream, audio: bytes) -> None:
        if not audio:
            return
        if stream.writer is None:
            stream.writer = await self._room.local_participant.stream_bytes(
                name=f"AUDIO_{stream.utterance.utterance_id}",
                topic=_TOPIC,
                destination_identities=[AVATAR_IDENTITY],
                attributes={"sample_rate": str(RATE_HZ), "num_channels": "1"},
            )
            stream.given = self._playback.open(
                stream.utterance, time.monotonic()
            )
        await stream.writer.write(audio)
        if stream.given is not None:
            stream.given.audio_s += len(audio) / (2 * RATE_HZ)

    async def _end(self, utterance: Utterance) -> None:
        stream = self._stream
        if stream is None or stream.utterance is not utterance:
            return
        await self._write(stream, stream.resampler.finish())
        self._stream = None
        if stream.writer is not None and stream.given is not None:
            await stream.writer.aclose()
            stream.given.closed_at = time.monotonic()

    async def _stop(self, cut: Cut) -> None:
        stream, self._stream = self._stream, None
        if not self._playback:
            return  # there is nothing to be heard
        self._playback.cut(cut.at)
        # The avatar takes this for the stream it reads: it goes out before
        # that is closed, and nothing new before it is answered.
        try:
            answer = await asyncio.wait_for(
                self._room.local_participant.perform_rpc(
                    destination_identity=AVATAR_IDENTITY,
                    method=_CLEAR,
                    payload="",
                    response_timeout=_ANSWER_S,
                ),
                _ANSWER_S,
            )
        finally:
            if stream is not None and stream.writer is not None:
                await stream.writer.aclose()
        if answer != "ok":
            self._log.warning("the avatar answers a flush with %r", answer)
        asyncio.get_running_loop().call_later(
            _SILENT_S, self._assume_silent, cut.at
        )

    async def _give_up(
        self, item: Speech | End | Cut, error: BaseException
    ) -> None:
        """What could not be done is left; what comes next is tried."""
        if isinstance(item, Cut):
            self._log.warning("the avatar cannot be stopped: %r", error)
            self._assume_silent(item.at)
            return
        if self._complained is not item.utterance:
            self._complained = item.utterance
            self._log.warning("audio is lost on its way: %r", error)
        self._forget_stream()

    def _forget_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None and stream.given is not None:
            self._playback.forget(stream.given)

    # In.

    def _playback_started(self, call: rtc.RpcInvocationData) -> str:
        if call.caller_identity != AVATAR_IDENTITY:
            return "reject"
        utterance = self._playback.started()
        if utterance is not None:
            first_ms = (time.monotonic() - utterance.first_at) * 1000
            self._say(
                "playback_started",
                {"utterance_id": utterance.utterance_id},
                {"first_audio_ms": round(first_ms, 1)},
            )
        return "ok"

    def _playback_finished(self, call: rtc.RpcInvocationData) -> str:
        if call.caller_identity != AVATAR_IDENTITY:
            return "reject"
        position_s, interrupted = _read(call.payload)
        over = self._playback.finished(
            position_s, interrupted, time.monotonic()
        )
        self._say_finished(over)
        return "ok"

    def _assume_silent(self, at: float) -> None:
        self._say_finished(self._playback.assume_cut(at, time.monotonic()))

    def _say_finished(self, over: list[Finished]) -> None:
        for one in over:
            properties: dict[str, Any] = {
                "utterance_id": one.utterance.utterance_id,
                "playback_position_s": round(one.position_s, 3),
                "interrupted": one.interrupted,
            }
            if one.assumed:
                properties["assumed"] = True
            metrics: dict[str, float] = {}
            if one.interrupt_ms is not None:
                metrics["interrupt_ms"] = one.interrupt_ms
            self._say("playback_finished", properties, metrics)


def _read(payload: str) -> tuple[float, bool]:
    """Position in seconds, and whether it was interrupted."""
    try:
        content = read_json(payload)
        return float(content["playback_position"]), bool(content["interrupted"])
    except (ValueError, TypeError, KeyError):
        return 0.0, False  # that it has finished is what matters
