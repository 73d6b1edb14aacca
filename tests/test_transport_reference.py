#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Transport livekit with livekit-agents' own avatar runner, in a real room.

The runner lives in the simulator's worker. It speaks in real time, tells no
end of what it is given while it speaks, and is nobody's double.
"""

import asyncio
import contextlib
import io
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.avatars import SMALL, WatchedSimulator
from support.livekit import LiveKitServer, Peer
from support.sounds import Pcm, bursts, frequency_hz, tone
from support.staging import Staged
from tavus_sim import SimRequest, ThreadedSim

pytest_plugins = ["support.livekit_fixtures"]

AVATAR = "tavus-avatar-agent"
RATE_HZ = 24_000
READY_S = 60.0
STARTED = "livekit.playback_started"
FINISHED = "livekit.playback_finished"


@contextlib.asynccontextmanager
async def talk(
    server: LiveKitServer, folder: Path, worker: ThreadedSim, **more: Any
) -> AsyncIterator[tuple[Staged, Peer]]:
    """A conversation whose avatar is there, and the user who hears it.

    Without a user the runner shows no face: it waits for one who listens.
    """
    async with (
        Staged(server, folder, worker=worker, **more) as staged,
        Peer(server, staged.room) as user,
    ):
        staged.keeper.user_joined("u1")
        await staged.heard("livekit.avatar_joined")
        yield staged, user


@pytest.fixture(name="worker", scope="module")
def worker_fixture() -> Iterator[ThreadedSim]:
    with ThreadedSim(WatchedSimulator(), avatars=SMALL) as sim:
        sim.wait_for_worker(READY_S)
        yield sim


def sent(staged: Staged) -> Pcm:
    """What the avatar of the only conversation was sent, the last minute."""
    (conversation_id,) = staged.simulator.active
    path = f"/sim/conversations/{conversation_id}/heard.wav"
    reply = staged.simulator.handle(SimRequest.of("GET", path))
    with wave.open(io.BytesIO(reply.body)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def say(staged: Staged, request_id: str, *parts: Pcm) -> None:
    """A whole request, as fast as a TTS may make it."""
    staged.voice.start(request_id)
    for part in parts:
        staged.speak(part)
    staged.voice.end(request_id)


def ends(staged: Staged) -> list[tuple[Any, ...]]:
    """Id, length and whether it was cut, of what is finished."""
    return [
        (
            one["utterance_id"],
            one["playback_position_s"],
            one["interrupted"],
            *(["assumed"] if "assumed" in one else []),
        )
        for one in staged.said(FINISHED)
    ]


def only_one(staged: Staged) -> None:
    assert staged.failed == []
    assert staged.ended == []
    assert len(staged.simulator.active) == 1


async def test_requests_that_overlap_are_each_told_as_finished(
    livekit_server: LiveKitServer, worker: ThreadedSim, tmp_path: Path
) -> None:
    async with talk(livekit_server, tmp_path, worker) as (staged, user):
        lengths_s = [1.5, 0.6, 1.0]
        tones = [
            tone(400 + 300 * number, length_s, RATE_HZ)
            for number, length_s in enumerate(lengths_s)
        ]
        for number, spoken in enumerate(tones):
            say(staged, f"r{number}", spoken)
        await staged.heard(FINISHED, 3)
        assert ends(staged) == [
            (f"r{number}", length_s, False)
            for number, length_s in enumerate(lengths_s)
        ]
        assert np.array_equal(sent(staged), np.concatenate(tones))
        only_one(staged)
        # One after the other at the user's ear, and hardly a gap.
        await user.until(lambda: _heard_s(user) > 2.9)
        for hertz, part in zip(
            (400, 700, 1000), _pitches(user, (400, 700, 1000)), strict=True
        ):
            assert part, f"no {hertz} Hz"
        assert staged.said(STARTED) == [
            {"utterance_id": f"r{number}"} for number in range(3)
        ]


async def test_a_request_with_a_long_pause_is_two_utterances_of_it(
    livekit_server: LiveKitServer, worker: ThreadedSim, tmp_path: Path
) -> None:
    async with talk(livekit_server, tmp_path, worker) as (staged, _):
        staged.voice.start("r1")
        staged.speak(tone(440, 3.0, RATE_HZ))
        await asyncio.sleep(1.3)  # the TTS thinks
        staged.speak(tone(880, 0.5, RATE_HZ))
        staged.voice.end("r1")
        await staged.heard(FINISHED, 2)
        assert ends(staged) == [("r1", 3.0, False), ("r1#2", 0.5, False)]
        assert staged.said(FINISHED)[1]["request_id"] == "r1"
        only_one(staged)


async def test_a_flush_in_an_overlap_ends_all_and_the_next_is_told(
    livekit_server: LiveKitServer, worker: ThreadedSim, tmp_path: Path
) -> None:
    assert isinstance(worker.simulator, WatchedSimulator)
    async with talk(livekit_server, tmp_path, worker) as (staged, _):
        for again in range(3):
            base, before = len(staged.said(FINISHED)), sent(staged).size
            staged.voice.start(f"a{again}")
            staged.speak(tone(440, 3.0, RATE_HZ))
            if again:  # else it is cut while it is still being sent
                staged.voice.end(f"a{again}")
                say(staged, f"b{again}", tone(600, 1.0, RATE_HZ))
            # Not until it tells that it plays: after a flush the runner may
            # leave that out.
            await worker.simulator.until(
                lambda size=before: sent(staged).size > size + RATE_HZ
            )
            staged.voice.flush()
            staged.voice.end(f"a{again}")
            say(staged, f"c{again}", tone(880, 0.5, RATE_HZ))
            await staged.heard(FINISHED, base + (3 if again else 2))
            # Each once; where the runner tells no end of what it has cleared,
            # it is assumed.
            told = [(name, cut) for name, _, cut, *_ in ends(staged)[base:]]
            cut = [f"a{again}", f"b{again}"][: 2 if again else 1]
            assert sorted(told) == [
                *((name, True) for name in cut),
                (f"c{again}", False),
            ]
        only_one(staged)


async def test_reports_as_they_may_come_move_no_end(
    livekit_server: LiveKitServer, worker: ThreadedSim, tmp_path: Path
) -> None:
    worker.simulator.add_fault("avatar", "avatar_odd_reports", count=1)
    async with talk(livekit_server, tmp_path, worker) as (staged, _):
        for number, length_s in enumerate((1.2, 1.2, 0.8)):
            say(staged, f"r{number}", tone(440, length_s, RATE_HZ))
        await staged.heard(FINISHED, 3)
        say(staged, "cut", tone(600, 5.0, RATE_HZ))
        await staged.until(
            lambda: {"utterance_id": "cut"} in staged.said(STARTED)
        )
        staged.voice.flush()
        await staged.heard(FINISHED, 4)
        say(staged, "next", tone(880, 1.2, RATE_HZ))
        await staged.heard(FINISHED, 5)
        *first, cut, last = ends(staged)
        assert first == [
            ("r0", 1.2, False),
            ("r1", 1.2, False),
            ("r2", 0.8, False),
        ]
        assert cut[0] == "cut" and 0 <= cut[1] < 5.0 and cut[2] is True
        assert last == ("next", 1.2, False)
        assert not [one for one in staged.logged if "Traceback" in one]
        only_one(staged)


async def test_five_minutes_sent_at_once_arrive_as_a_whole(
    livekit_server: LiveKitServer, worker: ThreadedSim, tmp_path: Path
) -> None:
    length_s = 300.0
    async with talk(livekit_server, tmp_path, worker) as (staged, _):
        spoken = tone(440, length_s, RATE_HZ)
        say(staged, "long", spoken)
        (conversation_id,) = staged.simulator.active

        def came_s() -> float:
            path = f"/sim/conversations/{conversation_id}"
            seen = staged.simulator.handle(SimRequest.of("GET", path)).json()
            return seen["avatar"]["heard_ms"] / 1000

        simulator = staged.simulator
        assert isinstance(simulator, WatchedSimulator)
        await simulator.until(lambda: came_s() >= length_s, 60)
        assert came_s() == length_s
        assert np.array_equal(sent(staged), spoken[-60 * RATE_HZ :])
        staged.voice.flush()
        await staged.heard(FINISHED)
        assert ends(staged)[0][1] < 60  # of what it says that it has played
        only_one(staged)


def _heard_s(user: Peer) -> float:
    heard = user.heard.get(AVATAR)
    return sum(b.size for b in bursts(heard.pcm)) / 16_000 if heard else 0.0


def _pitches(user: Peer, wanted: tuple[int, ...]) -> list[bool]:
    """Whether the pitches are heard, in this order."""
    pcm = np.concatenate(bursts(user.heard[AVATAR].pcm))
    step = 1600
    seen = [
        frequency_hz(pcm[at : at + step]) for at in range(0, pcm.size, step)
    ]
    found, at = [], 0
    for hertz in wanted:
        while at < len(seen) and abs(seen[at] - hertz) > 20:
            at += 1
        found.append(at < len(seen))
    return found
