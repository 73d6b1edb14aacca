#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""How many LiveKit rooms one TEN app holds, and what each costs.

The app of examples/tavus-livekit, with a graph for each room (livekit_rtc,
ten-vad, the parrot, tavus_python), beside a real LiveKit server and simulated
avatars on this machine. In every room a user whose microphone is always open
speaks for 2 s and pauses for 4 s, over and over, and the face says it again.
Prints, for more and more rooms, the CPU of the app alone, of that its busiest
thread (the loop that all extensions share), its memory, how long a user waits
for the answer (ten-vad takes 0.7 s of silence for the end of a sentence), and
how busy the machine was: server, avatars and users run on it too, and where
it is full, it is not the app that was measured.
Exits 1 if a sentence of a user got no answer.

    .venv/bin/python bench/rooms.py [--rooms 1 2 4 6] [--seconds 30]
"""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import checkout
import numpy as np
import psutil

sys.path.append(str(checkout.ROOT / "tests"))
# pylint: disable=wrong-import-position
from livekit import rtc  # pylint: disable=no-name-in-module
from support.http_node import Browser
from support.livekit_page import LiveKitExample
from support.speech import RATE_HZ, silence, speech

START = "/api/tavus/livekit/start"
WAIT_S = 60.0
ANSWER_S = 5.0
SPEECH_S, PAUSE_S = 2.0, 4.0
ROUND_S = SPEECH_S + PAUSE_S
FRAME_MS = 100
LOUD = 500
# Nobody looks at it; what others do must leave the machine to the app.
PICTURE = "64x64@5"
MIB = 1 << 20


@dataclass
class User:
    """Somebody in a room who speaks, and waits for an answer."""

    pcm: Any
    room: rtc.Room = field(default_factory=rtc.Room)
    source: rtc.AudioSource = field(
        default_factory=lambda: rtc.AudioSource(RATE_HZ, 1, queue_size_ms=400)
    )
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    is_loud: asyncio.Event = field(default_factory=asyncio.Event)
    answers_ms: list[float] = field(default_factory=list)
    missed: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def join(self, made: dict[str, Any]) -> None:
        """Enters, and returns when the face is heard."""
        self.room.on("track_subscribed", self._subscribed)
        self.room.on(
            "track_published",
            lambda published, _: published.set_subscribed(_is_audio(published)),
        )
        await self.room.connect(
            made["livekit_url"],
            made["user_token"],
            rtc.RoomOptions(auto_subscribe=False),
        )
        for one in self.room.remote_participants.values():
            for published in one.track_publications.values():
                published.set_subscribed(_is_audio(published))
        await self.room.local_participant.publish_track(
            rtc.LocalAudioTrack.create_audio_track("microphone", self.source),
            rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False
            ),
        )
        self.tasks.append(asyncio.create_task(self._speak()))
        await asyncio.wait_for(self.heard.wait(), WAIT_S)

    async def leave(self) -> None:
        """Leaves; nothing more is counted."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.room.disconnect()
        await self.source.aclose()

    async def _speak(self) -> None:
        """What the microphone hears is always there, also silence."""
        step = RATE_HZ * FRAME_MS // 1000
        frames = [
            rtc.AudioFrame(part.tobytes(), RATE_HZ, 1, part.size)
            for part in np.split(self.pcm, self.pcm.size // step)
        ]
        spoken = round(SPEECH_S * 1000 / FRAME_MS)
        while True:
            for number, frame in enumerate(frames):
                if number == spoken:
                    queued_s = self.source.queued_duration
                    self.tasks.append(
                        asyncio.create_task(
                            self._await_answer(time.monotonic() + queued_s)
                        )
                    )
                await self.source.capture_frame(frame)

    async def _await_answer(self, since: float) -> None:
        if not self.heard.is_set():
            return
        await asyncio.sleep(max(0.0, since - time.monotonic()))
        self.is_loud.clear()
        try:
            await asyncio.wait_for(self.is_loud.wait(), ANSWER_S)
        except asyncio.TimeoutError:
            self.missed += 1
        else:
            self.answers_ms.append((time.monotonic() - since) * 1000)

    def _subscribed(self, track: rtc.Track, *_: object) -> None:
        self.tasks.append(asyncio.create_task(self._listen(track)))

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(
            track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=FRAME_MS
        )
        async for event in stream:
            self.heard.set()
            if np.abs(np.frombuffer(event.frame.data, np.int16)).max() > LOUD:
                self.is_loud.set()
        await stream.aclose()


def _is_audio(published: rtc.RemoteTrackPublication) -> bool:
    return published.kind == rtc.TrackKind.KIND_AUDIO


async def measure(app: psutil.Process, users: list[User], secs: float) -> None:
    """Prints the row of these users."""
    for user in users:
        user.answers_ms, user.missed = [], 0
    before, began = _cpu_s(app), time.monotonic()
    psutil.cpu_percent()
    await asyncio.sleep(secs)
    after, took_s = _cpu_s(app), time.monotonic() - began
    machine = psutil.cpu_percent()
    spent = {one: after[one] - before.get(one, 0.0) for one in after}
    cpu = sum(spent.values()) / took_s * 100
    answers_ms = sorted(ms for user in users for ms in user.answers_ms)
    p50 = answers_ms[len(answers_ms) // 2]
    p95 = answers_ms[len(answers_ms) * 95 // 100]
    missed = sum(user.missed for user in users)
    print(
        f"{len(users):>5}{cpu:>9.0f} %{cpu / len(users):>9.1f} %"
        f"{max(spent.values()) / took_s * 100:>9.0f} %"
        f"{app.memory_info().rss / MIB:>9.0f} MiB{p50:>10.0f} ms"
        f"{p95:>8.0f} ms{missed:>8}{machine:>9.0f} %",
        flush=True,
    )


def _cpu_s(app: psutil.Process) -> dict[int, float]:
    """What each thread of the app has used so far."""
    return {one.id: one.user_time + one.system_time for one in app.threads()}


async def fill(rooms: list[int], secs: float) -> int:
    """More and more rooms in one app; how many answers were missed."""
    pcm = np.concatenate([speech(SPEECH_S), silence(PAUSE_S)])
    missed = 0
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        example = await stack.enter_async_context(
            LiveKitExample(Path(folder), TAVUS_SIM_AVATAR_VIDEO=PICTURE)
        )
        browser = await stack.enter_async_context(
            Browser(await example.ready())
        )
        users: list[User] = []
        print(
            f"{'rooms':>5}{'app CPU':>11}{'a room':>11}{'its loop':>11}"
            f"{'app RSS':>13}{'answer p50':>13}{'p95':>11}{'missed':>8}"
            f"{'machine':>11}"
        )
        for count in rooms:
            while len(users) < count:
                # Joining takes its time, so they do not speak in step.
                user = User(pcm)
                stack.push_async_callback(user.leave)
                _, reply = await browser.ask(
                    "POST", START, json={"user_id": f"u{len(users)}"}
                )
                await user.join(reply["data"])
                users.append(user)
            await asyncio.sleep(ROUND_S)
            await measure(example.app, users, secs)
            missed += sum(user.missed for user in users)
    return missed


def main() -> int:
    """Measures and reports; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rooms", type=int, nargs="+", default=[1, 2, 4, 6])
    parser.add_argument("--seconds", type=float, default=30.0)
    args = parser.parse_args()
    missed = asyncio.run(fill(args.rooms, args.seconds))
    print(f"{missed} sentences without an answer: ", end="")
    print("NOT GOOD ENOUGH" if missed else "ok", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    status = main()
    # Threads of the SDK may abort an interpreter that is ending.
    os._exit(status)
