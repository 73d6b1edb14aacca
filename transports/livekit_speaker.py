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
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from livekit import rtc

from ..vendor_json import read_json
from .livekit_room import AVATAR_IDENTITY, avatar_in
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
# No utterance is longer; what is, is no position.
_LONGEST_S = 86_400.0
_SHOWN_CHARACTERS = 100
# The SDK asserts where its native part refuses.
_TROUBLE = (
    rtc.StreamError,
    rtc.RpcError,
    RuntimeError,
    AssertionError,
    asyncio.TimeoutError,
)

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

    It is given one utterance at a time (see ``playback``); the next one waits
    in the voice.

    Args:
        room: The room, connected before ``listen``.
        voice: What the graph says.
        say: Called with what the graph should know.
        log: Where trouble is reported.
        clock: The time, in seconds.
    """

    def __init__(
        self,
        room: rtc.Room,
        voice: Voice,
        say: Say,
        log: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._room = room
        self._voice = voice
        self._say = say
        self._log = log
        self._clock = clock
        self._playback = Playback()
        self._stream: _Stream | None = None
        self._busy_since: float | None = None
        # Counts the times that the avatar came; who speaks knows its own.
        self._times = 0

    def listen(self) -> None:
        """Takes calls from the avatar, as soon as we are in the room."""
        participant = self._room.local_participant
        participant.register_rpc_method(_STARTED, self._playback_started)
        participant.register_rpc_method(_FINISHED, self._playback_finished)

    async def speak(self) -> None:
        """Speaks until ``left``; the avatar is there, and shows itself."""
        self._times += 1
        times = self._times
        # Beside its cancellation, which asyncio.wait_for can swallow.
        while times == self._times:
            item = await self._voice.next(self._may_begin)
            self._busy_since = self._clock()
            try:
                if isinstance(item, Speech):
                    await self._give(item)
                elif isinstance(item, End):
                    await self._end(item.utterance)
                else:
                    await self._stop(item)
            except _TROUBLE as error:
                if times == self._times:
                    await self._give_up(item, error)
            finally:
                self._busy_since = None

    def left(self) -> None:
        """The avatar is gone, and what was under way is over; cancel
        ``speak``, too."""
        self._times += 1
        self._busy_since = None
        stream, self._stream = self._stream, None
        over = self._playback.left(self._clock())
        if stream is not None:
            if stream.given is None:
                over.append(Finished(stream.utterance, 0.0, True, assumed=True))
            # What still comes is for who is there next.
            self._voice.renew(stream.utterance)
        self._say_finished(over)

    def close(self) -> None:
        """Nothing is spoken any more; cancel ``speak``, too."""
        self.left()
        self._say_dropped()

    def stuck(self, now: float) -> str:
        """What will not happen any more; "" when all is well."""
        if self._busy_since and now - self._busy_since > _STALLED_S:
            return f"the avatar has taken no audio for {_STALLED_S:g} s"
        self._say_finished(self._playback.assume_end(now))
        overdue = self._playback.overdue(now)
        if overdue is not None:
            return f"the avatar never finishes {_short(overdue.utterance_id)}"
        return ""

    # Out.

    def _may_begin(self) -> bool:
        return not self._playback.busy

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
                # Not of the request's id, which may be of any length.
                name=f"AUDIO_{uuid.uuid4().hex}",
                topic=_TOPIC,
                destination_identities=[AVATAR_IDENTITY],
                attributes={"sample_rate": str(RATE_HZ), "num_channels": "1"},
            )
            stream.given = self._playback.open(stream.utterance, self._clock())
        if stream.given is not None:
            stream.given.add(len(audio) / (2 * RATE_HZ), self._clock())
        await stream.writer.write(audio)

    async def _end(self, utterance: Utterance) -> None:
        stream = self._stream
        if stream is None or stream.utterance is not utterance:
            if not utterance.begun:  # all of it was lost before
                self._say_finished([Finished(utterance, 0.0, True)])
            return
        await self._write(stream, stream.resampler.finish())
        self._stream = None
        if stream.writer is None or stream.given is None:
            # It was too short to make a sample of.
            self._say_finished([Finished(utterance, 0.0, False)])
            return
        stream.given.closed_at = self._clock()
        try:
            await stream.writer.aclose()
        except _TROUBLE:
            stream.given.torn = True
            raise

    async def _stop(self, cut: Cut) -> None:
        stream, self._stream = self._stream, None
        if stream is not None and stream.given is None:
            self._say_finished([Finished(stream.utterance, 0.0, True)])
        self._say_dropped()
        if not self._playback:
            return  # there is nothing to be heard
        self._playback.cut(cut.at)
        # Closed first, as livekit-agents' agent does: the avatar's runner
        # would else put the end of this stream behind the silence, and take
        # it for the next one's.
        if stream is not None and stream.writer is not None:
            with contextlib.suppress(*_TROUBLE):
                await asyncio.wait_for(stream.writer.aclose(), _ANSWER_S)
        answer = await asyncio.wait_for(
            self._room.local_participant.perform_rpc(
                destination_identity=AVATAR_IDENTITY,
                method=_CLEAR,
                payload="",
                response_timeout=_ANSWER_S,
            ),
            _ANSWER_S,
        )
        if answer != "ok":
            self._log.warning(
                "the avatar answers a flush with %s", _short(answer)
            )
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
        if isinstance(item, Speech):
            why = f"they did not get to the avatar ({type(error).__name__})"
            self._voice.losses.add(item.pcm.duration_s, why)
        self._log.debug("the avatar cannot be given audio: %r", error)
        stream = self._stream
        if stream is None or (
            stream.given is None and isinstance(item, Speech)
        ):
            return  # the rest of it may do better
        self._stream = None
        if stream.given is None:
            self._say_finished([Finished(stream.utterance, 0.0, True)])
            return
        self._voice.renew(stream.utterance)
        stream.given.torn = True
        stream.given.closed_at = self._clock()
        if stream.writer is not None:
            with contextlib.suppress(*_TROUBLE):
                await asyncio.wait_for(stream.writer.aclose(), _ANSWER_S)

    # In.

    def _playback_started(self, call: rtc.RpcInvocationData) -> str:
        if not self._is_avatar(call):
            return "reject"
        utterance = self._playback.started()
        if utterance is not None:
            first_ms = (self._clock() - utterance.first_at) * 1000
            self._say(
                "playback_started",
                utterance.names,
                {"first_audio_ms": round(first_ms, 1)},
            )
        return "ok"

    def _playback_finished(self, call: rtc.RpcInvocationData) -> str:
        if not self._is_avatar(call):
            return "reject"
        position_s, interrupted = _read(call.payload)
        self._say_finished(
            self._playback.finished(position_s, interrupted, self._clock())
        )
        return "ok"

    def _is_avatar(self, call: rtc.RpcInvocationData) -> bool:
        avatar = avatar_in(self._room)
        return avatar is not None and avatar.identity == call.caller_identity

    def _assume_silent(self, at: float) -> None:
        self._say_finished(self._playback.assume_cut(at))

    def _say_dropped(self) -> None:
        self._say_finished(
            Finished(one, 0.0, True) for one in self._voice.dropped()
        )

    def _say_finished(self, over: Iterable[Finished]) -> None:
        for one in over:
            properties: dict[str, Any] = {
                **one.utterance.names,
                "playback_position_s": round(one.position_s, 3),
                "interrupted": one.interrupted,
            }
            if one.assumed:
                properties["assumed"] = True
            metrics: dict[str, float] = {}
            if one.interrupt_ms is not None:
                metrics["interrupt_ms"] = one.interrupt_ms
            self._say("playback_finished", properties, metrics)
        self._voice.wake()


def _read(payload: str) -> tuple[float | None, bool]:
    """Position in seconds, None for nonsense; whether it was interrupted."""
    try:
        content = read_json(payload)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return None, False  # that it has finished is what matters
    return (
        _seconds(content.get("playback_position")),
        content.get("interrupted") in (True, "true"),
    )


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= _LONGEST_S else None


def _short(text: str) -> str:
    """A text of somebody else's for a line of the log."""
    cut = "…" if len(text) > _SHOWN_CHARACTERS else ""
    return repr(text[:_SHOWN_CHARACTERS]) + cut
