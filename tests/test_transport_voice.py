#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Utterances and flushes, as a graph may send them, in any order."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ten_packages.extension.tavus_python.transports.playback import Playback
from ten_packages.extension.tavus_python.transports.voice import (
    Cut,
    End,
    Pcm,
    Speech,
    Utterance,
    Voice,
)

RATE_HZ = 16_000
FRAME = bytes(320)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said(clock: Clock) -> Voice:
    voice = Voice(logging.getLogger("voice"), clock)
    voice.open()
    return voice


def frame(mark: int = 0) -> Pcm:
    return Pcm(bytes([mark, 0]) * 160, RATE_HZ)


def taken(voice: Voice) -> list[str]:
    """What comes out: marks of frames, "." for an end, "!" for a cut."""
    out: list[str] = []
    while (item := voice.take()) is not None:
        if isinstance(item, Speech):
            out += [str(mark) for mark in item.pcm.data[::320]]
        else:
            out.append("!" if isinstance(item, Cut) else ".")
    return out


def test_frames_between_start_and_end_are_one_utterance(said: Voice) -> None:
    said.start("a")
    said.push(frame(1))
    said.push(frame(2))
    said.end("a")
    said.push(frame(3))
    assert taken(said) == ["1", "2", ".", "3"]


def test_a_start_ends_what_came_before(said: Voice) -> None:
    said.start("a")
    said.push(frame(1))
    said.start("b")
    said.push(frame(2))
    said.end("a")  # late, and no longer about what is said now
    said.push(frame(3))
    assert taken(said) == ["1", ".", "2", "3"]


def test_another_turn_ends_what_came_before(said: Voice) -> None:
    said.push(frame(1), "turn-1")
    said.push(frame(2), "turn-2")
    assert taken(said) == ["1", ".", "2"]


def test_silence_ends_an_utterance_and_not_its_request(
    said: Voice, clock: Clock
) -> None:
    said.start("a")
    said.push(frame(1))
    assert taken(said) == ["1"]
    clock.now += 1.0
    assert taken(said) == ["."]
    said.push(frame(2))
    item = said.take()
    assert isinstance(item, Speech)
    assert item.utterance.utterance_id == "a#2"
    assert item.utterance.names == {"utterance_id": "a#2", "request_id": "a"}


def test_after_a_flush_late_frames_wait_for_the_end_of_their_request(
    said: Voice, clock: Clock
) -> None:
    said.start("a")
    said.push(frame(1))
    said.flush()
    said.push(frame(2))
    said.start("a")
    clock.now += 5
    said.push(frame(3))
    said.end("b")
    said.push(frame(4))
    said.end("a")
    said.push(frame(5))
    assert taken(said) == ["!", "5"]


def test_after_a_flush_another_request_is_heard_at_once(said: Voice) -> None:
    said.start("a")
    said.flush()
    said.push(frame(1))
    said.start("b")
    said.push(frame(2))
    assert taken(said) == ["!", "2"]


def test_after_a_flush_another_turn_is_heard_at_once(said: Voice) -> None:
    said.push(frame(1), "turn-1")
    said.flush()
    said.push(frame(2), "turn-1")
    said.push(frame(3), "turn-2")
    assert taken(said) == ["!", "3"]


def test_where_nothing_tells_them_apart_a_pause_does(
    said: Voice, clock: Clock
) -> None:
    said.push(frame(1))
    said.flush()
    for _ in range(10):
        clock.now += 0.2
        said.push(frame(2))
    clock.now += 0.5
    said.push(frame(3))
    assert taken(said) == ["!", "3"]


def test_a_flush_of_silence_drops_nothing(said: Voice) -> None:
    said.start("a")
    said.push(frame(1))
    said.end("a")
    assert taken(said) == ["1", "."]
    said.flush()
    said.push(frame(2))
    assert taken(said) == ["!", "2"]


def test_what_nobody_wants_is_forgotten(said: Voice) -> None:
    said.push(frame(1))
    said.shut()
    said.push(frame(2))
    said.open()
    said.push(frame(3))
    assert taken(said) == ["3"]


def test_a_long_burst_is_taken_in_pieces(said: Voice) -> None:
    for _ in range(100):
        said.push(frame(1))
    pieces = list(iter(said.take, None))
    assert [len(p.pcm.data) for p in pieces if isinstance(p, Speech)] == [
        320,
        8000,
        8000,
        8000,
        7680,
    ]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("slice_bytes", [1, 3, 161, 321, 479])
def test_slices_that_are_no_whole_samples_are_put_together(
    said: Voice, channels: int, slice_bytes: int
) -> None:
    audio = bytes(range(256)) * 10
    for at in range(0, len(audio), slice_bytes):
        said.push(Pcm(audio[at : at + slice_bytes], RATE_HZ, channels))
    items = list(iter(said.take, None))
    heard = b"".join(i.pcm.data for i in items if isinstance(i, Speech))
    assert heard == audio
    assert all(
        len(item.pcm.data) % (2 * channels) == 0
        for item in items
        if isinstance(item, Speech)
    )


def test_half_a_sample_is_not_the_next_utterances(said: Voice) -> None:
    said.push(Pcm(b"\1\0\2", RATE_HZ))
    said.end("")
    said.push(Pcm(b"\3\0", RATE_HZ))
    items = [i for i in iter(said.take, None) if isinstance(i, Speech)]
    assert [item.pcm.data for item in items] == [b"\1\0", b"\3\0"]


def test_half_a_sample_waits_through_a_pause_of_its_request(
    said: Voice, clock: Clock
) -> None:
    said.start("a")
    said.push(Pcm(b"\1\0\2", RATE_HZ))
    clock.now += 2
    said.push(Pcm(b"\3\4\5", RATE_HZ))
    items = [i for i in iter(said.take, None) if isinstance(i, Speech)]
    assert [item.pcm.data for item in items] == [b"\1\0", b"\2\3\4\5"]


STEPS = st.one_of(
    st.tuples(st.just("start"), st.sampled_from(["a", "b", ""])),
    st.tuples(st.just("end"), st.sampled_from(["a", "b", ""])),
    st.tuples(st.just("push"), st.sampled_from(["", "t1", "t2"])),
    st.tuples(st.just("flush"), st.just("")),
    st.tuples(st.just("wait"), st.sampled_from(["0.1", "0.6", "1.1"])),
    st.tuples(st.just("take"), st.just("")),
)


@given(st.lists(STEPS, max_size=60))
def test_in_any_order_utterances_are_whole_and_a_cut_cuts(
    steps: list[tuple[str, str]],
) -> None:
    clock = Clock()
    voice = Voice(logging.getLogger("voice"), clock)
    voice.open()
    ended: set[int] = set()
    speaking: Utterance | None = None
    out: list[int] = []
    numbers: Iterator[int] = iter(range(1, 256))
    cut_at = 0
    pushed = 0

    def check(item: Speech | End | Cut) -> None:
        nonlocal speaking
        if isinstance(item, Cut):
            speaking = None
            return
        assert id(item.utterance) not in ended
        if isinstance(item, End):
            ended.add(id(item.utterance))
            utterances.append(item.utterance)
            speaking = None
            return
        assert speaking in (None, item.utterance)
        speaking = item.utterance
        utterances.append(item.utterance)
        out.extend(item.pcm.data[::320])
        # Nothing from before a flush comes out after it.
        assert item.pcm.data[0] > cut_at

    utterances: list[Utterance] = []  # kept, so that ids stay theirs
    for name, value in steps:
        if name == "start":
            voice.start(value)
        elif name == "end":
            voice.end(value)
        elif name == "push":
            pushed = next(numbers)
            voice.push(frame(pushed), value)
        elif name == "flush":
            voice.flush()
            cut_at = pushed
        elif name == "wait":
            clock.now += float(value)
        elif (item := voice.take()) is not None:
            check(item)
    clock.now += 2
    while (item := voice.take()) is not None:
        check(item)
    assert out == sorted(out)
    assert speaking is None
    # And it is never mute for good.
    voice.start("new")
    voice.push(frame(255))
    last = voice.take()
    assert isinstance(last, Speech) and last.pcm.data[0] == 255


def given_to(playback: Playback, *names: str) -> None:
    for name in names:
        given = playback.open(Utterance(name, "", 0.0, name), 10.0)
        given.audio_s, given.closed_at = 2.0, 10.0


def test_each_finish_is_of_the_oldest() -> None:
    playback = Playback()
    given_to(playback, "a", "b")
    for name in ("a", "b"):
        (over,) = playback.finished(2.0, False, 12.0)
        assert over.utterance.utterance_id == name
        assert over.interrupt_ms is None
    assert playback.finished(2.0, False, 15.0) == []


def test_an_interruption_is_of_all_that_was_cut() -> None:
    playback = Playback()
    given_to(playback, "a", "b")
    playback.cut(10.5)
    given_to(playback, "c")
    over = playback.finished(0.5, True, 10.6)
    assert [one.utterance.utterance_id for one in over] == ["a", "b"]
    assert [one.position_s for one in over] == [0.5, 0.0]
    assert over[0].interrupt_ms == 100.0
    (last,) = playback.finished(2.0, False, 13.0)
    assert last.utterance.utterance_id == "c"


def test_a_natural_end_that_crossed_a_flush_is_not_the_next_ones() -> None:
    playback = Playback()
    given_to(playback, "a")
    playback.cut(10.5)
    given_to(playback, "b")
    (over,) = playback.finished(2.0, False, 10.6)
    assert over.utterance.utterance_id == "a"
    assert playback


def test_a_cut_that_is_never_confirmed_does_not_take_the_next_ones_end() -> (
    None
):
    playback = Playback()
    given_to(playback, "a")
    playback.cut(10.0)
    given_to(playback, "b")
    over = playback.finished(2.0, False, 11.9)
    assert [one.utterance.utterance_id for one in over] == ["a", "b"]


def test_an_utterance_is_overdue_long_after_its_audio() -> None:
    playback = Playback()
    given_to(playback, "a", "b")
    assert playback.overdue(22.0) is None
    overdue = playback.overdue(22.1)
    assert overdue is not None and overdue.utterance_id == "a"
    playback.finished(2.0, False, 22.1)
    assert playback.overdue(34.0) is None
    assert playback.overdue(34.2) is not None
