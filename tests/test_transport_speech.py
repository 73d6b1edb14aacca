#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Whatever a graph says and an avatar tells, in any order, on a virtual clock.

The speech queue, the speaker and the playback tracker, with a model of
livekit-agents' runner.
"""

import asyncio
import logging
import os
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st
from support.runner_model import BYTES_PER_S, ModelRoom
from support.virtual_time import run
from ten_packages.extension.tavus_python.transports.livekit_speaker import (
    Speaker,
)
from ten_packages.extension.tavus_python.transports.voice import Pcm, Voice

RATE_HZ = 24_000
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "2000"))
# All that is said, in this order; no two places of it are alike.
NOISE = (
    np.random.default_rng(1)
    .integers(-32768, 32767, 60 * RATE_HZ, np.int16)
    .tobytes()
)
QUIET = logging.Logger("quiet")
QUIET.addHandler(logging.NullHandler())
ODD_REPORTS = (
    '{"playback_position": NaN, "interrupted": false}',
    '{"playback_position": 1e999, "interrupted": true}',
    '{"playback_position": -3, "interrupted": "false"}',
    '{"playback_position": 0.4, "interrupted": false}',
    '{"playback_position": 0, "interrupted": true}',
    '{"playback_position": 77, "interrupted": false}',
    "nonsense",
)
# A request, and how much of it comes at once, in slices of any size.
SAY = st.tuples(
    st.just("say"),
    st.integers(1, 60_000),
    st.sampled_from([37, 333, 480, 9_601]),
)
MORE = st.tuples(st.just("more"), st.integers(1, 30_000), st.just(480))
WAIT = st.tuples(
    st.just("wait"), st.sampled_from([1, 20, 300, 900, 1500]), st.just(0)
)
RARER = st.one_of(
    *(
        st.tuples(st.just(name), st.just(0), st.just(0))
        for name in ("end", "flush", "leave", "come", "started")
    ),
    st.tuples(
        st.just("report"), st.integers(0, len(ODD_REPORTS) - 1), st.just(0)
    ),
    st.tuples(st.just("break"), st.integers(1, 3), st.just(0)),
)
STEPS = st.one_of(SAY, SAY, MORE, WAIT, WAIT, WAIT, RARER, RARER, RARER)
Steps = list[tuple[str, int, int]]


@dataclass
class Request:
    """What was said of a request, as a part of ``NOISE``."""

    start: int
    end: int
    said_at: float
    last_at: float = 0.0


@dataclass
class Talk:
    """A graph that says something, and what is told of it."""

    room: ModelRoom = field(default_factory=ModelRoom)
    events: list[tuple[float, str, dict[str, Any]]] = field(
        default_factory=list
    )
    requests: list[Request] = field(default_factory=list)
    # When something happened after which audio may be missing.
    harms: list[float] = field(default_factory=list)
    odd: bool = False
    at: int = 0
    going: bool = False
    speaking: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time
        self.voice = Voice(QUIET, self.now)
        self.voice.open()
        self.losses: list[Exception] = []
        self.voice.losses.listeners.add(self.losses.append)
        self.room.on_broken = lambda: self.harms.append(self.now())
        room: Any = self.room
        self.speaker = Speaker(room, self.voice, self.tell, QUIET, self.now)
        self.speaker.listen()
        self.watching = asyncio.create_task(self.watch())

    def tell(self, what: str, properties: Any, _metrics: Any) -> None:
        self.events.append((self.now(), what, dict(properties)))

    async def watch(self) -> None:
        """As the stage does: twice a second."""
        while True:
            await asyncio.sleep(0.5)
            stuck = self.speaker.stuck(self.now())
            assert not (self.room.avatar and stuck), stuck

    def come(self) -> None:
        if self.room.avatar is None:
            self.room.enter()
            self.speaking = asyncio.create_task(self.speaker.speak())

    def leave(self) -> None:
        if self.room.avatar is not None:
            self.harms.append(self.now())
            self.room.leave()
            self.speaker.left()
            assert self.speaking is not None
            self.speaking.cancel()

    def say(self, size: int, slice_size: int) -> None:
        self.end()
        self.voice.start(f"r{len(self.requests)}")
        self.requests.append(Request(self.at, self.at, self.now()))
        self.going = True
        self.push(size, slice_size)

    def push(self, size: int, slice_size: int) -> None:
        if not self.going:
            return
        end = min(self.at + size, len(NOISE))
        for at in range(self.at, end, slice_size):
            part = NOISE[at : min(at + slice_size, end)]
            self.voice.push(Pcm(part, RATE_HZ))
        self.at = self.requests[-1].end = end
        self.requests[-1].last_at = self.now()

    def end(self) -> None:
        if self.going:
            self.going = False
            self.voice.end(f"r{len(self.requests) - 1}")
            self.at += self.at % 2  # samples of the next begin anew

    def flush(self) -> None:
        self.harms.append(self.now())
        self.voice.flush()

    async def step(self, what: str, value: int, slice_size: int) -> None:
        match what:
            case "say":
                self.say(value, slice_size)
            case "more":
                self.push(value, slice_size)
            case "end":
                self.end()
            case "wait":
                await asyncio.sleep(value / 1000)
            case "flush":
                self.flush()
            case "leave":
                self.leave()
            case "come":
                self.come()
            case "break":
                self.room.broken += value
            case "report" if self.room.avatar:
                self.odd = True
                self.room.call("lk.playback_finished", ODD_REPORTS[value])
            case "started" if self.room.avatar:
                self.odd = True
                self.room.call("lk.playback_started", "")

    def finished(self, number: int | None = None) -> list[Any]:
        """When and how the parts of a request, or all, were finished."""
        name = r"r\d+" if number is None else f"r{number}"
        return [
            (at, properties)
            for at, what, properties in self.events
            if what == "playback_finished"
            and re.fullmatch(rf"{name}(#\d+)?", properties["utterance_id"])
        ]


async def _talk(steps: Steps) -> Talk:
    talk = Talk()
    talk.come()
    for step in steps:
        await talk.step(*step)
    # At last all is well, everything is over, and one more thing is said.
    talk.end()
    talk.room.broken = 0
    talk.come()
    talk.say(24_000, 480)
    talk.end()
    # Never longer than what was said, and what is assumed where it is not told.
    await asyncio.sleep(talk.at / BYTES_PER_S + 4 * len(steps) + 20)
    assert not talk.watching.done() or talk.watching.result()
    return talk


def _check(talk: Talk) -> None:
    ids = [one["utterance_id"] for _, one in talk.finished()]
    assert len(set(ids)) == len(ids), "an utterance is finished twice"
    last = len(talk.requests) - 1
    for _, what, properties in talk.events:
        if what == "playback_started":
            assert properties["utterance_id"] in ids, "it is never finished"
    runs = _runs(talk)
    for number, request in enumerate(talk.requests):
        over = talk.finished(number)
        said = (request.end - request.start) // 2 * 2
        parts = [properties["utterance_id"] for _, properties in over]
        names = [f"r{number}"] + [f"r{number}#{n + 2}" for n in range(999)]
        assert sorted(parts, key=names.index) == names[: len(parts)]
        heard = [
            (start, end)
            for start, end in runs
            if request.start <= start and end <= request.end
        ]
        if not said or not over:
            assert not said or _harmed(talk, request, None)
            continue
        position_s = sum(one["playback_position_s"] for _, one in over)
        assert 0 <= position_s <= said / BYTES_PER_S + 0.001 * len(over)
        if _harmed(talk, request, max(over[-1][0], request.last_at)):
            continue
        # Nothing came in between: it is whole, to the last sample.
        assert sum(end - start for start, end in heard) == said
        assert not any(one["interrupted"] for _, one in over)
        if not talk.odd:
            assert not any("assumed" in one for _, one in over)
            missing_s = said / BYTES_PER_S - position_s
            assert abs(missing_s) <= 0.001 * len(over)
    assert talk.finished(last), "it is mute"
    assert not talk.finished(last)[-1][1]["interrupted"]


def _harmed(talk: Talk, request: Request, until: float | None) -> bool:
    return any(
        request.said_at <= harm and (until is None or harm <= until)
        for harm in talk.harms
    )


def _runs(talk: Talk) -> list[tuple[int, int]]:
    """Which parts of the noise came, each as it was, one after the other."""
    runs: list[tuple[int, int]] = []
    for stream in talk.room.streams:
        if not stream:
            continue
        start = NOISE.find(bytes(stream[:32]), runs[-1][1] if runs else 0)
        assert start >= 0, "it is not what was said, or not in order"
        assert NOISE[start : start + len(stream)] == stream, "it is torn"
        runs.append((start, start + len(stream)))
    return runs


@pytest.mark.timeout(600)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@example([("say", 9_000, 480), ("wait", 1, 0), ("break", 3, 0), ("end", 0, 0)])
@example([("say", 2, 37), ("wait", 1, 0), ("break", 3, 0), ("more", 9, 480)])
@given(steps=st.lists(STEPS, min_size=5, max_size=25))
def test_every_utterance_is_finished_once_and_arrives_as_it_was_said(
    steps: Steps,
) -> None:
    note(repr(steps))
    _check(run(_talk(steps)))
