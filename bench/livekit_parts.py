#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The processes of bench/livekit_avatar.py: an avatar, who speaks or looks.

An utterance begins with the moment at which it was pushed, by the clock that
all processes of a machine share; what the avatar has of it when it comes is
the time that it took. The avatar's pictures show, as black and white blocks,
the moment at which they were made.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import statistics
import struct
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

import checkout  # noqa: F401  # pylint: disable=unused-import
import numpy as np
import uvloop
from livekit import api, rtc  # pylint: disable=no-name-in-module
from ten_packages.extension.tavus_python.config import (
    TavusConfig,
)
from ten_packages.extension.tavus_python.tavus_client import (
    Conversation,
)
from ten_packages.extension.tavus_python.transports import (
    Media,
    Picture,
    transport_of,
)
from ten_packages.extension.tavus_python.transports.voice import (
    Pcm,
    Voice,
)

AVATAR = "tavus-avatar-agent"
REPORT, FORGET = "bench.report", "bench.forget"
RATE_HZ = 24_000
FRAME_S = 0.01
FRAME_BYTES = round(RATE_HZ * FRAME_S) * 2
UTTERANCE_S = 0.5
# A TTS makes its audio so much faster than it is spoken.
TTS_SPEED = 10
WIDTH, HEIGHT, FPS = 1280, 720, 25
BLOCKS, BLOCK = 16, 64
WAIT_S = 30.0


def token(
    identity: str, room: str, kind: Literal["standard", "agent"] = "standard"
) -> str:
    """For the server of bin/livekit-server."""
    grants = api.VideoGrants(room_join=True, room=room)
    made = api.AccessToken("devkey", "secret-of-a-server-on-loopback-only")
    made = made.with_identity(identity).with_grants(grants).with_kind(kind)
    return made.to_jwt()


# The avatar.


class Avatar:
    """Takes utterances, notes when they come, and shows a picture."""

    def __init__(self, size: tuple[int, int], fps: int) -> None:
        self._room = rtc.Room()
        self._size, self._fps = size, fps
        self._first_ms: list[float] = []
        self._cleared_at: list[float] = []
        self._bytes = 0
        self._spoken = 0
        self._cleared = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._agent = ""

    async def run(self, url: str, room: str) -> None:
        """Is there until it is terminated."""
        await self._room.connect(url, token(AVATAR, room, "agent"))
        me = self._room.local_participant
        self._room.register_byte_stream_handler("lk.audio_stream", self._stream)
        me.register_rpc_method("lk.clear_buffer", self._clear)
        me.register_rpc_method(REPORT, self._report)
        me.register_rpc_method(FORGET, self._forget)
        width, height = self._size
        source = rtc.VideoSource(width, height)
        track = rtc.LocalVideoTrack.create_video_track("face", source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False
        )
        await me.publish_track(track, options)
        await self._show(source)

    async def _show(self, source: rtc.VideoSource) -> None:
        width, height = self._size
        picture = np.full(width * height * 3 // 2, 128, np.uint8)
        luma = picture[: width * height].reshape(height, width)
        due = time.monotonic()
        while True:
            if width >= BLOCKS * BLOCK:
                code = int(time.monotonic() * 1000) % (1 << BLOCKS)
                for bit in range(BLOCKS):
                    shade = 235 if code >> bit & 1 else 16
                    luma[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = shade
            source.capture_frame(
                rtc.VideoFrame(
                    width, height, rtc.VideoBufferType.I420, picture.data
                )
            )
            due += 1 / self._fps
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _stream(self, reader: rtc.ByteStreamReader, identity: str) -> None:
        self._agent = identity
        task = asyncio.create_task(self._read(reader))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, reader: rtc.ByteStreamReader) -> None:
        began_at, size = time.monotonic(), 0
        cleared = self._cleared
        async for chunk in reader:
            if not size:
                (pushed_at,) = struct.unpack_from("<d", chunk)
                began_at = time.monotonic()
                self._first_ms.append((began_at - pushed_at) * 1000)
            size += len(chunk)
            self._bytes += len(chunk)
        # It says that it has spoken when it could have.
        duration_s = size / (2 * RATE_HZ)
        left_s = began_at + duration_s - time.monotonic()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(cleared.wait(), max(0.0, left_s))
        self._spoken += 1
        position_s = min(duration_s, time.monotonic() - began_at)
        await self._finished(position_s, cleared.is_set())

    def _clear(self, _: rtc.RpcInvocationData) -> str:
        self._cleared_at.append(time.monotonic())
        self._cleared.set()
        self._cleared = asyncio.Event()
        return "ok"

    async def _finished(self, position_s: float, interrupted: bool) -> None:
        payload = {"playback_position": position_s, "interrupted": interrupted}
        with contextlib.suppress(rtc.RpcError):
            await self._room.local_participant.perform_rpc(
                destination_identity=self._agent,
                method="lk.playback_finished",
                payload=json.dumps(payload),
            )

    def _report(self, _: rtc.RpcInvocationData) -> str:
        said = {
            "first_ms": self._first_ms,
            "cleared_at": self._cleared_at,
            "bytes": self._bytes,
            "spoken": self._spoken,
        }
        return json.dumps(said)

    def _forget(self, _: rtc.RpcInvocationData) -> str:
        self._first_ms, self._cleared_at = [], []
        self._bytes = self._spoken = 0
        return "ok"


async def be_avatar(
    url: str, room: str, size: tuple[int, int], fps: int
) -> None:
    """Is one until it is terminated."""
    await Avatar(size, fps).run(url, room)


# Those who speak.


class Ours:
    """The transport of tavus_python, without Tavus."""

    def __init__(self, room: rtc.Room, voice: Voice) -> None:
        self.room = room
        self._voice = voice
        self._count = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str, room: str) -> AsyncIterator["Ours"]:
        config = _config(url, room)
        transport = transport_of(config, _ignore, logging.Logger("bench"))
        there = asyncio.Event()
        stage = transport.stage(lambda _: there.set())
        await stage.open()
        print("open", flush=True)  # an avatar that is there before is not ours
        assert transport.voice is not None
        transport.voice.open()
        stage.began(Conversation("bench"))
        await asyncio.wait_for(there.wait(), WAIT_S)
        # pylint: disable-next=protected-access
        mine = stage._room  # type: ignore[attr-defined]
        try:
            yield cls(mine, transport.voice)
        finally:
            stage.close()
            await transport.close(5.0)

    def begin(self) -> None:
        self._count += 1
        self._voice.start(f"request-{self._count}")

    async def push(self, data: bytes) -> None:
        self._voice.push(Pcm(data, RATE_HZ))

    def end(self) -> None:
        self._voice.end("")

    def flush(self) -> None:
        self._voice.flush()


class Peer:
    """livekit-agents' own output for avatars."""

    def __init__(self, room: rtc.Room, output: Any) -> None:
        self.room = room
        self._output = output

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str, room: str) -> AsyncIterator["Peer"]:
        from livekit.agents.voice.avatar import DataStreamAudioOutput

        mine = rtc.Room()
        await mine.connect(url, token("agent", room, "agent"))
        print("open", flush=True)
        output = DataStreamAudioOutput(
            mine,
            destination_identity=AVATAR,
            sample_rate=RATE_HZ,
            wait_remote_track=rtc.TrackKind.KIND_VIDEO,
        )
        try:
            yield cls(mine, output)
        finally:
            await mine.disconnect()

    def begin(self) -> None:
        """It begins by itself."""

    async def push(self, data: bytes) -> None:
        frame = rtc.AudioFrame(data, RATE_HZ, 1, len(data) // 2)
        await self._output.capture_frame(frame)

    def end(self) -> None:
        self._output.flush()

    def flush(self) -> None:
        self._output.flush()
        self._output.clear_buffer()


def _config(url: str, room: str, bridge: bool = False) -> TavusConfig:
    return TavusConfig.load(
        {
            "transport": "livekit",
            "tavus_api_key": "bench-key-0123456789",
            "replica_id": "r9d30b0e55ac",
            "livekit_url": url,
            "livekit_api_key": "devkey",
            "livekit_api_secret": "secret-of-a-server-on-loopback-only",
            "livekit_room": room,
            "media_bridge": bridge,
        }
    )


async def _ignore(_: Media) -> None:
    """Nobody looks."""


def _frames(seconds: float) -> list[bytes]:
    silence = bytes(FRAME_BYTES)
    first = struct.pack("<d", time.monotonic()).ljust(FRAME_BYTES, b"\0")
    return [first, *[silence] * (round(seconds / FRAME_S) - 1)]


async def speak(kind: Any, url: str, room: str, count: int, secs: float):
    """First audio, interruptions, and what a stream costs; prints it."""
    async with kind.open(url, room) as one:
        await _utterance(one)  # the first one waits for the avatar
        first_ms = [await _utterance(one) for _ in range(count)]
        interrupt_ms = [await _interrupt(one) for _ in range(count)]
        before = _cpu_s()
        await _real_time(one, secs)
        cpu_s = _cpu_s() - before
        one.end()
    print(
        json.dumps(
            {
                "first_ms": statistics.median(first_ms),
                "interrupt_ms": statistics.median(interrupt_ms),
                "cpu_percent": cpu_s / secs * 100,
            }
        ),
        flush=True,
    )


async def _utterance(one: Any) -> float:
    """Says one; how long its first audio took, in ms."""
    one.begin()
    for frame in _frames(UTTERANCE_S):
        await one.push(frame)
        await asyncio.sleep(FRAME_S / TTS_SPEED)
    one.end()
    size = round(UTTERANCE_S * RATE_HZ) * 2
    # All of it, and spoken: the next one must find the way free.
    said = await _ask(
        one.room, lambda said: said["bytes"] >= size and said["spoken"]
    )
    return said["first_ms"][0]


async def _interrupt(one: Any) -> float:
    await _real_time(one, 0.1)
    at = time.monotonic()
    one.flush()
    said = await _ask(one.room, lambda said: said["cleared_at"])
    # The avatar forgets it, and a new utterance may begin.
    await asyncio.sleep(0.05)
    return (said["cleared_at"][0] - at) * 1000


async def _real_time(one: Any, seconds: float) -> None:
    one.begin()
    due = time.monotonic()
    for frame in _frames(seconds):
        await one.push(frame)
        due += FRAME_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def _ask(room: rtc.Room, enough: Any) -> dict[str, Any]:
    """Asks the avatar until it has something to say."""
    give_up_at = time.monotonic() + WAIT_S
    while time.monotonic() < give_up_at:
        said = json.loads(
            await room.local_participant.perform_rpc(
                destination_identity=AVATAR, method=REPORT, payload=""
            )
        )
        if enough(said):
            await room.local_participant.perform_rpc(
                destination_identity=AVATAR, method=FORGET, payload=""
            )
            return said
        await asyncio.sleep(0.01)
    raise TimeoutError("the avatar heard nothing")


# Those who look.


async def look(kind: str, url: str, room: str, secs: float) -> None:
    """How old pictures are when they come, and what that costs; prints it."""
    ages_ms: list[float] = []
    if kind == "bridge":

        async def show(media: Media) -> None:
            if isinstance(media, Picture):
                ages_ms.append(_age_ms(media.data))

        transport = transport_of(
            _config(url, room, bridge=True), show, logging.Logger("bench")
        )
        stage = transport.stage(lambda _: None)
        await stage.open()
        print("open", flush=True)
        stage.began(Conversation("bench"))
        cpu_percent = await _looking(ages_ms, secs)
        stage.close()
        await transport.close(5.0)
    else:
        mine = rtc.Room()
        subscribed = asyncio.get_running_loop().create_future()
        mine.on("track_subscribed", lambda t, *_: subscribed.set_result(t))
        await mine.connect(url, token("bare", room))
        print("open", flush=True)
        track = await asyncio.wait_for(subscribed, WAIT_S)
        stream = rtc.VideoStream(track, format=rtc.VideoBufferType.I420)

        async def read() -> None:
            async for event in stream:
                ages_ms.append(_age_ms(event.frame.data))

        reading = asyncio.create_task(read())
        cpu_percent = await _looking(ages_ms, secs)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await stream.aclose()
        await mine.disconnect()
    ages_ms.sort()
    print(
        json.dumps(
            {
                "pictures_per_s": len(ages_ms) / secs,
                "p50_ms": ages_ms[len(ages_ms) // 2],
                "p99_ms": ages_ms[len(ages_ms) * 99 // 100],
                "cpu_percent": cpu_percent,
            }
        ),
        flush=True,
    )


async def _looking(ages_ms: list[float], secs: float) -> float:
    give_up_at = time.monotonic() + WAIT_S
    while len(ages_ms) < FPS:  # the first second is for the encoder to start
        if time.monotonic() > give_up_at:
            raise TimeoutError("there is no picture")
        await asyncio.sleep(0.05)
    ages_ms.clear()
    before = _cpu_s()
    await asyncio.sleep(secs)
    return (_cpu_s() - before) / secs * 100


def _age_ms(data: Any) -> float:
    luma = np.frombuffer(data, np.uint8, WIDTH * BLOCK).reshape(BLOCK, WIDTH)
    middle = luma[BLOCK // 2, BLOCK // 2 : BLOCKS * BLOCK : BLOCK] > 128
    code = int((middle * (1 << np.arange(BLOCKS))).sum())
    return (time.monotonic() * 1000 - code) % (1 << BLOCKS)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """One of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ("avatar", "face", "ours", "peer", "bridge", "bare")
    parser.add_argument("part", choices=parts)
    parser.add_argument("url")
    parser.add_argument("room")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0)
    args = parser.parse_args()
    uvloop.install()
    if args.part in ("avatar", "face"):
        small = args.part == "avatar"
        size, fps = ((64, 64), 5) if small else ((WIDTH, HEIGHT), FPS)
        asyncio.run(be_avatar(args.url, args.room, size, fps))
    elif args.part in ("bridge", "bare"):
        asyncio.run(look(args.part, args.url, args.room, args.seconds))
    else:
        kind = Ours if args.part == "ours" else Peer
        asyncio.run(speak(kind, args.url, args.room, args.count, args.seconds))


if __name__ == "__main__":
    main()
    # Threads of the SDK may abort an interpreter that is ending.
    os._exit(0)
