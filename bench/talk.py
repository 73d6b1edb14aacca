#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""An agent talks for minutes: is it heard as it was said, and told as heard?

A keeper speaks 200 utterances in an agent's rhythm: a third begin while the
one before is still heard, a tenth are interrupted. First through
livekit-agents' own avatar runner in a room of a real LiveKit server, where a
user listens; then through a simulated Agora session, which keeps what it was
sent. Each utterance is a tone of another pitch than the one before. Exits 1
unless there was one conversation each, every utterance was told as over once,
with its own id and length, and its pitch and length were right where it was
heard. It takes about ten minutes for each; --utterances 12 is a short one.

    .venv/bin/python bench/talk.py [--utterances 200] [--only livekit]
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checkout
import numpy as np
from talk_ear import Part, parts_of

sys.path.append(str(checkout.ROOT / "tests"))
# pylint: disable=wrong-import-position
from support.agora import AgoraRun
from support.avatars import SMALL
from support.livekit import LiveKitServer, Peer
from support.sounds import tone
from support.staging import Staged
from tavus_sim import ThreadedSim
from ten_packages.extension.tavus_python.events import (
    Created,
    Failed,
    Reported,
)
from ten_packages.extension.tavus_python.transports.voice import Pcm, Voice

AVATAR = "tavus-avatar-agent"
RATE_HZ, EAR_HZ = 24_000, 16_000
FRAME_S = 0.05
PITCHES_HZ = [400 + 80 * number for number in range(12)]
# A TTS makes its audio so much faster than it is spoken.
TTS_SPEED = 4
# By so much may be heard more or less than was told; more where it was cut,
# since the avatar has handed on some of it by then.
HEARD_S, CUT_S = 0.15, 0.4
WAIT_S = 60.0


@dataclass
class Said:
    """One utterance of the plan."""

    name: str
    length_s: float
    pitch_hz: int
    overlaps: bool
    cut: bool
    began_at: float = 0.0


def plan(count: int, seed: int) -> list[Said]:
    """What the agent says."""
    rng = random.Random(seed)
    said: list[Said] = []
    for number in range(count):
        pitch_hz = PITCHES_HZ[number * 5 % len(PITCHES_HZ)]
        length_s = round(rng.uniform(1.0, 3.6), 2)
        # Whoever is cut has nobody after it who overlaps.
        cut = number % 10 == 7
        said.append(
            Said(f"u{number}", length_s, pitch_hz, number % 3 == 1, cut)
        )
    return said


class Talk:
    """Says what is planned, and keeps what is told of it.

    Args:
        said: What there is to say.
        ends: The event that tells an end, and where it tells the length.
    """

    def __init__(self, said: list[Said], ends: tuple[str, str]) -> None:
        self.said = said
        self.flushes: list[float] = []
        self._type, self._length = ends

    async def run(self, voice: Voice, run: Any, heard_there: bool) -> None:
        """Says all of it, in its rhythm.

        Args:
            voice: What it is said with.
            run: Has the events, and waits for them.
            heard_there: Whether an end is told when it was heard, and not
                when it was sent.
        """
        rng = random.Random(1)
        for one in self.said:
            one.began_at = time.monotonic()
            await self._say(voice, one)
            if one.overlaps:
                continue
            if heard_there or one.cut:
                await run.until(lambda name=one.name: self._ends(run, name))
            else:
                left_s = one.began_at + one.length_s - time.monotonic()
                await asyncio.sleep(max(0.0, left_s))
            await asyncio.sleep(rng.uniform(0.2, 0.6))
        for one in self.said:
            await run.until(lambda name=one.name: self._ends(run, name))

    async def _say(self, voice: Voice, one: Said) -> None:
        audio = tone(one.pitch_hz, one.length_s, RATE_HZ).tobytes()
        step = round(FRAME_S * RATE_HZ) * 2
        due = time.monotonic()
        voice.start(one.name)
        for at in range(0, len(audio), step):
            if one.cut and at > len(audio) // 2:
                self.flushes.append(time.monotonic())
                voice.flush()
                break
            voice.push(Pcm(audio[at : at + step], RATE_HZ))
            due += FRAME_S / (1 if one.cut else TTS_SPEED)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        voice.end(one.name)

    def _ends(self, run: Any, name: str) -> list[dict[str, Any]]:
        return [
            event.event["properties"]
            for event in run.events
            if isinstance(event, Reported)
            and event.event["event_type"] == self._type
            and event.event["properties"]["utterance_id"].split("#")[0] == name
        ]

    def problems(self, run: Any, heard: list[Part]) -> list[str]:
        """What was not as it should be.

        Args:
            run: Has the events.
            heard: What was heard, in this order.
        """
        bad: list[str] = []
        created = [e for e in run.events if isinstance(e, Created)]
        if len(created) != 1:
            bad.append(f"{len(created)} conversations")
        bad += [str(e.error) for e in run.events if isinstance(e, Failed)]
        heard = list(heard)
        for one in self.said:
            ends = self._ends(run, one.name)
            if len(ends) != 1:
                bad.append(f"{one.name} has {len(ends)} ends: {ends}")
                continue
            (end,) = ends
            told_s = end[self._length]
            if "assumed" in end:
                bad.append(f"the end of {one.name} is assumed")
            if end["interrupted"]:
                if not any(at > one.began_at for at in self.flushes):
                    bad.append(f"nobody has interrupted {one.name}")
                if told_s > one.length_s:
                    bad.append(f"{one.name} is told as {told_s} s")
            elif one.cut or abs(told_s - one.length_s) > 0.002:
                bad.append(f"{one.name} of {one.length_s} s is told as {end}")
            bad += _at_the_ear(one, end, told_s, heard)
        bad += [f"nobody said {part}" for part in heard]
        return bad


def _at_the_ear(
    one: Said, end: dict[str, Any], told_s: float, heard: list[Part]
) -> list[str]:
    """Compares with what was heard next, which is taken off."""
    most_s = CUT_S if end["interrupted"] else HEARD_S
    part = heard[0] if heard else None
    if part is None or part.pitch_hz != one.pitch_hz:
        return [] if told_s <= most_s else [f"{one.name} is heard as {part}"]
    heard.pop(0)
    if abs(part.length_s - told_s) > most_s:
        return [f"{one.name} is told as {told_s} s and heard as {part}"]
    return []


async def in_livekit(said: list[Said], folder: Path) -> list[str]:
    """Talks in a LiveKit room."""
    talk = Talk(said, ("livekit.playback_finished", "playback_position_s"))
    with LiveKitServer() as server, ThreadedSim(avatars=SMALL) as sim:
        sim.wait_for_worker(WAIT_S)
        async with (
            Staged(server, folder, worker=sim) as staged,
            Peer(server, staged.room) as user,
        ):
            staged.keeper.user_joined("user")
            await staged.heard("livekit.avatar_joined")
            await talk.run(staged.voice, staged, heard_there=True)
            await asyncio.sleep(1.0)  # until the last of it is heard
            heard = parts_of(user.heard[AVATAR].pcm, EAR_HZ, PITCHES_HZ)
            _print_gaps(said, heard)
            return talk.problems(staged, heard)


async def in_agora(said: list[Said], folder: Path) -> list[str]:
    """Talks in an Agora session."""
    talk = Talk(said, ("agora.spoken", "duration_s"))
    async with AgoraRun(folder) as run:
        session_id = await run.joined()
        session = run.simulator.sessions.all[session_id]
        pcm: dict[int, bytes] = {}

        async def listen() -> None:
            while True:  # it keeps the last minute
                for stretch in session.heard.stretches:
                    before = pcm.get(stretch.utterance, b"")
                    if len(stretch.pcm) > len(before):  # and not cut down
                        pcm[stretch.utterance] = bytes(stretch.pcm)
                await asyncio.sleep(1.0)

        listening = asyncio.create_task(listen())
        await talk.run(run.voice, run, heard_there=False)
        await asyncio.sleep(2.0)
        listening.cancel()
        bad = [str(one) for one in session.violations]
        heard = [
            part
            for number in sorted(pcm)
            for part in parts_of(
                np.frombuffer(pcm[number], np.int16), RATE_HZ, PITCHES_HZ
            )
        ]
        return bad + talk.problems(run, heard)


def _print_gaps(said: list[Said], heard: list[Part]) -> None:
    if len(heard) != len(said):
        return
    gaps = [
        part.after_s
        for one, part in zip(said, heard[1:], strict=False)
        if one.overlaps
    ]
    if gaps:
        print(f"gaps between overlapping ones: at most {max(gaps):.2f} s")


def main() -> int:
    """Talks, and reports; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("livekit", "agora"))
    args = parser.parse_args()
    good = True
    for name, talking in (("livekit", in_livekit), ("agora", in_agora)):
        if args.only not in (None, name):
            continue
        said = plan(args.utterances, args.seed)
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            problems = asyncio.run(talking(said, Path(folder)))
        took_s = time.monotonic() - began
        print(
            f"{name}: {len(said)} utterances in {took_s:.0f} s, "
            f"{sum(one.overlaps for one in said)} overlapped, "
            f"{sum(one.cut for one in said)} interrupted: "
            f"{len(problems)} problems"
        )
        for problem in problems:
            print(f"  {problem}")
        good = good and not problems
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
