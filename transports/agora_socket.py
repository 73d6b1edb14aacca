#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Tells an avatar in an Agora channel what to say, over a WebSocket.

Protocol: AgoraIO-Solutions/convoai_to_video, websocket-receive-audio.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from ..http_session import open_session
from ..tavus_client import Session
from .agora_connection import (
    TROUBLE,
    LostError,
    SessionOverError,
    close,
    connect,
    said_by,
)
from .resampling import Resampler
from .voice import End, Speech, Utterance, Voice

RATE_HZ = 24_000
# Other rates than these are resampled to the one above.
_RATES_HZ = (16_000, 24_000, 44_100, 48_000)
_HEARTBEAT_S = 10.0
_LOOK_S = 1.0
# What is not sent after so long has nobody who reads it.
_STALLED_S = 10.0
# Pauses before connecting anew; a connection that lasts begins anew.
_AGAIN_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_LASTS_S = 30.0
_TORN = "the avatar's socket broke in the middle of them"

if TYPE_CHECKING:
    from .agora_connection import Socket

Say = Callable[[str, Mapping[str, Any], Mapping[str, float]], None]


@dataclass(eq=False)
class _Saying:
    """An utterance on its way."""

    utterance: Utterance
    rate_hz: int
    resampler: Resampler
    sent_bytes: int = 0


class AgoraSocket:
    """The connection of one session, and the next ones when it breaks.

    Args:
        session: As Tavus has started it.
        hello: What it was started with, with a token that is good now; for
            connections after the first.
        voice: What the graph says.
        say: Called with what the graph should know.
        log: Where trouble is reported.
        connect_timeout_s: For connecting, and being taken.
        plain: Whether tokens may go unencrypted to other machines, as they
            have done in the request that started the session.
    """

    def __init__(
        self,
        session: Session,
        hello: Callable[[], dict[str, Any]],
        voice: Voice,
        say: Say,
        log: logging.Logger,
        *,
        connect_timeout_s: float,
        plain: bool = False,
    ) -> None:
        self._session = session
        self._hello = hello
        self._voice = voice
        self._say = say
        self._log = log
        self._connect_timeout_s = connect_timeout_s
        self._plain = plain
        self._greeted = False
        self._saying: _Saying | None = None
        # Of this the avatar has lost a part: the rest would be nonsense.
        self._torn: Utterance | None = None
        self._cut_due = False
        self._busy_since: float | None = None
        self._since: float | None = None

    def close(self) -> None:
        """Says what is over with the session; cancel ``run``, too."""
        self._tear()
        self._say_dropped()
        if self._torn is not None:
            self._voice.renew(self._torn)  # for the next session

    async def run(self) -> None:
        """Speaks until it is cancelled.

        Raises:
            SessionOverError: The session cannot be spoken to any more.
            TavusError: Nor could the next one be.
        """
        failures = 0
        # A connection lasts; making one has a time-out below.
        timeout = aiohttp.ClientTimeout(total=None)
        async with open_session(timeout=timeout) as http:
            while True:
                self._since, why = None, ""
                try:
                    await self._converse(http)
                except LostError as lost:
                    why = str(lost)
                # Pings see to it that only a server which reads lasts.
                since = self._since
                if since and time.monotonic() - since > _LASTS_S:
                    failures = 0
                if failures >= len(_AGAIN_S):
                    raise SessionOverError(
                        f"the avatar's socket is lost for good: {why}"
                    )
                level = logging.DEBUG if failures else logging.WARNING
                self._log.log(level, "the avatar's socket is lost: %s", why)
                await asyncio.sleep(_AGAIN_S[failures])
                failures += 1

    async def _converse(self, http: aiohttp.ClientSession) -> None:
        """One connection, until it is lost."""
        ws = await connect(
            http,
            self._session,
            timeout_s=self._connect_timeout_s,
            heartbeat_s=_HEARTBEAT_S,
            plain=self._plain,
        )
        self._since = time.monotonic()
        parts: list[asyncio.Task[None]] = []
        try:
            await asyncio.wait_for(
                self._send(ws, self._init()), self._connect_timeout_s
            )
            self._say("connected", {}, {})
            parts = [
                asyncio.create_task(part)
                for part in (self._hear(ws), self._beat(ws), self._speak(ws))
            ]
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                if part.done():
                    part.result()
        except TROUBLE as error:
            raise LostError(said_by(error, self._session)) from None
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            self._tear()
            await close(ws)

    # In.

    async def _hear(self, ws: Socket) -> None:
        async for _ in ws:
            pass  # it has nothing to say but that our heartbeats arrive
        code = ws.close_code
        raise LostError(f"it was closed ({code})")

    # Out.

    async def _beat(self, ws: Socket) -> None:
        beat_at = time.monotonic() + _HEARTBEAT_S
        while True:
            await asyncio.sleep(_LOOK_S)
            now = time.monotonic()
            if self._busy_since and now - self._busy_since > _STALLED_S:
                raise LostError(f"nobody has read it for {_STALLED_S:g} s")
            if now >= beat_at and self._busy_since is None:
                beat_at = now + _HEARTBEAT_S
                stamp = {"timestamp": int(time.time() * 1000)}
                beat = self._send(ws, _command("heartbeat", **stamp))
                await asyncio.wait_for(beat, _STALLED_S)

    async def _speak(self, ws: Socket) -> None:
        if self._cut_due:
            await self._interrupt(ws)
        while True:
            item = await self._voice.next()
            if isinstance(item, Speech):
                await self._give(ws, item)
            elif isinstance(item, End):
                await self._end(ws, item.utterance)
            else:
                self._drop()
                self._say_dropped()
                self._cut_due = True
                await self._interrupt(ws)

    async def _give(self, ws: Socket, speech: Speech) -> None:
        if speech.utterance is self._torn:
            self._voice.losses.add(speech.pcm.duration_s, _TORN)
            return
        saying = self._saying
        if saying is None or saying.utterance is not speech.utterance:
            rate_hz = speech.pcm.rate_hz
            rate_hz = rate_hz if rate_hz in _RATES_HZ else RATE_HZ
            saying = _Saying(speech.utterance, rate_hz, Resampler(rate_hz))
            self._saying = saying
        await self._voice_out(ws, saying, saying.resampler.feed(speech.pcm))

    async def _voice_out(
        self,
        ws: Socket,
        saying: _Saying,
        audio: bytes,
    ) -> None:
        if not audio:
            return
        first = not saying.sent_bytes
        saying.sent_bytes += len(audio)
        await self._send(ws, _voice(audio, saying.rate_hz))
        if first:
            first_ms = (time.monotonic() - saying.utterance.first_at) * 1000
            self._say(
                "speaking",
                saying.utterance.names,
                {"first_audio_ms": round(first_ms, 1)},
            )

    async def _end(self, ws: Socket, utterance: Utterance) -> None:
        saying = self._saying
        if saying is None or saying.utterance is not utterance:
            if not utterance.begun:  # all of it was lost before
                self._say_spoken(utterance, 0.0, interrupted=True)
            return
        await self._voice_out(ws, saying, saying.resampler.finish())
        if saying.sent_bytes:
            await self._send(ws, _command("voice_end"))
        self._drop(interrupted=False)

    async def _interrupt(self, ws: Socket) -> None:
        await self._send(ws, _command("voice_interrupt"))
        self._cut_due = False

    async def _send(self, ws: Socket, text: str) -> None:
        # Whether it takes too long is looked at elsewhere: a time-out of its
        # own would cost more than the sending.
        self._busy_since = time.monotonic()
        try:
            await ws.send_str(text)
        finally:
            self._busy_since = None

    # How.

    def _init(self) -> str:
        session = self._session
        body = self._hello() if self._greeted else session.started_with
        self._greeted = True
        names = {"command": "init", "session_id": session.conversation_id}
        return json.dumps({**names, **body})

    def _drop(self, interrupted: bool = True) -> None:
        """Nothing more comes of what is being said."""
        saying, self._saying = self._saying, None
        if saying is not None:
            sent_s = saying.sent_bytes / (2 * saying.rate_hz)
            self._say_spoken(saying.utterance, sent_s, interrupted)

    def _say_dropped(self) -> None:
        for utterance in self._voice.dropped():
            self._say_spoken(utterance, 0.0, interrupted=True)

    def _say_spoken(
        self, utterance: Utterance, duration_s: float, interrupted: bool
    ) -> None:
        self._say(
            "spoken",
            {
                **utterance.names,
                "duration_s": round(duration_s, 3),
                "interrupted": interrupted,
            },
            {},
        )

    def _tear(self) -> None:
        """The connection is gone in the middle of what is being said."""
        if self._saying is not None:
            self._torn = self._saying.utterance
            self._drop()


def _command(command: str, **more: Any) -> str:
    return json.dumps(
        {"command": command, "event_id": str(uuid.uuid4()), **more}
    )


def _voice(audio: bytes, rate_hz: int) -> str:
    # Not json.dumps, which would look at every character of the audio.
    coded = base64.b64encode(audio).decode("ascii")
    return (
        f'{{"command": "voice", "audio": "{coded}", "sampleRate": {rate_hz}, '
        f'"encoding": "PCM16", "event_id": "{uuid.uuid4()}"}}'
    )
