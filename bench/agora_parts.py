#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The processes of bench/agora.py: a receiver, and two who send to it.

Every frame of 10 ms begins with the moment at which it was pushed, by the
clock that all processes of a machine share; what the receiver has of it when
it comes is the time that it took.
"""

import argparse
import asyncio
import base64
import json
import logging
import resource
import struct
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import aiohttp
import uvloop

# Of .venv-bench.
import websockets  # pyright: ignore[reportMissingImports] # pylint: disable=import-error
from aiohttp import web

# Before the package, which it puts on the path.
from checkout import ROOT  # noqa: F401  # pylint: disable=unused-import
from ten_packages.extension.tavus_python.tavus_models import Session
from ten_packages.extension.tavus_python.transports.agora_socket import (
    AgoraSocket,
)
from ten_packages.extension.tavus_python.transports.voice import Pcm, Voice

OURS, PEER = "tavus_python", "a loop over websockets"
RATE_HZ = 24_000
FRAME_S = 0.01
FRAME_BYTES = round(RATE_HZ * FRAME_S) * 2
# Base64 of one frame has no padding, so frames can be cut out of it.
_CODED_FRAME = FRAME_BYTES // 3 * 4
_CODED_STAMP = 12
_AUDIO = '"audio": "'
_WARM_UP_S = 1.0
Push = Callable[[bytes], None]


class Receiver:
    """Takes sessions' sockets and notes how old each frame is."""

    def __init__(self) -> None:
        self._ages_ms: list[float] = []
        self._messages = 0

    async def serve(self) -> None:
        """Serves until its standard input closes; says its port first."""
        app = web.Application()
        app.router.add_get("/ws", self._socket)
        app.router.add_post("/report", self._report)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            now = time.monotonic()
            text = message.data
            start = text.find(_AUDIO, 0, 64) + len(_AUDIO)
            if start < len(_AUDIO):
                continue
            self._messages += 1
            end = text.index('"', start)
            for at in range(start, end, _CODED_FRAME):
                stamp = base64.b64decode(text[at : at + _CODED_STAMP])
                self._ages_ms.append((now - _moment(stamp)) * 1000)
        return ws

    async def _report(self, _: web.Request) -> web.Response:
        ages, self._ages_ms = sorted(self._ages_ms), []
        messages, self._messages = self._messages, 0
        count = len(ages)
        return web.json_response(
            {
                "frames": count,
                "messages": messages,
                "p50_ms": ages[count // 2] if ages else 0,
                "p99_ms": ages[count * 99 // 100] if ages else 0,
            }
        )


def _moment(data: bytes) -> float:
    return struct.unpack_from("<d", data)[0]


def _frame() -> bytes:
    return struct.pack("<d", time.monotonic()).ljust(FRAME_BYTES, b"\0")


class Ours:
    """A session of the transport."""

    def __init__(self, url: str) -> None:
        self._voice = Voice(logging.Logger("voice"))
        self._voice.open()
        self._socket = AgoraSocket(
            Session("bench", websocket_address=url, session_token="t"),
            dict,
            self._voice,
            lambda *_: None,
            logging.Logger("socket"),
            connect_timeout_s=10.0,
        )
        self.task = asyncio.create_task(self._socket.run())

    def push(self, data: bytes) -> None:
        self._voice.push(Pcm(data, RATE_HZ))


class Peer:
    """What one would write: a queue, and a loop that sends what is in it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.task = asyncio.create_task(self._run())

    def push(self, data: bytes) -> None:
        self._queue.put_nowait(data)

    async def _run(self) -> None:
        headers = {"Authorization": "Bearer t"}
        async with websockets.connect(
            self._url, additional_headers=headers, compression=None
        ) as ws:
            await ws.send(json.dumps({"command": "init"}))
            while True:
                data = await self._queue.get()
                await ws.send(
                    json.dumps(
                        {
                            "command": "voice",
                            "audio": base64.b64encode(data).decode(),
                            "sampleRate": RATE_HZ,
                            "encoding": "PCM16",
                            "event_id": str(uuid.uuid4()),
                        }
                    )
                )


async def send(kind: type[Ours | Peer], port: int, count: int, secs: float):
    """Streams in real time; prints what the process needed for it."""
    url = f"ws://127.0.0.1:{port}/ws"
    streams = [kind(url) for _ in range(count)]
    await _stream(streams, _WARM_UP_S)
    await _ask(port)
    before = _cpu_s()
    await _stream(streams, secs)
    cpu_s = _cpu_s() - before
    await asyncio.sleep(0.2)  # for the last frames to arrive
    report = await _ask(port)
    report["cpu_percent"] = cpu_s / secs / count * 100
    report["rss_mib"] = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    print(json.dumps(report), flush=True)
    for one in streams:
        one.task.cancel()
    await asyncio.gather(*(s.task for s in streams), return_exceptions=True)


async def _stream(streams: list[Any], secs: float) -> None:
    """Each gets a frame every 10 ms, and not all at the same moment."""
    ticks = round(secs / FRAME_S)
    began = time.monotonic()
    parts = min(len(streams), 10)
    share = len(streams) / parts
    for tick in range(ticks):
        for part in range(parts):
            first, last = round(part * share), round((part + 1) * share)
            for one in streams[first:last]:
                one.push(_frame())
            due = began + (tick + (part + 1) / parts) * FRAME_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _ask(port: int) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/report") as reply,
    ):
        return await reply.json()


def main() -> None:
    """One of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("receiver", "ours", "peer"))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    args = parser.parse_args()
    uvloop.install()
    if args.part == "receiver":
        asyncio.run(Receiver().serve())
    else:
        kind = Ours if args.part == "ours" else Peer
        asyncio.run(send(kind, args.port, args.streams, args.seconds))


if __name__ == "__main__":
    main()
