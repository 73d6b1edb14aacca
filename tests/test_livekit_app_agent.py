#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The example's own extensions: the detector, and the parrot's parts."""

import json
import os
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.places import ROOT
from support.speech import RATE_HZ, silence, speech

sys.path.append(str(ROOT / "examples" / "tavus-livekit" / "extensions"))
# pylint: disable=wrong-import-position
from parrot_python.ear import BYTES_PER_S, Ear
from parrot_python.hum import hum
from parrot_python.page import happened, wish_of
from ten_vad_python.detector import HOP_MS, SentenceDetector

FRAME_BYTES = BYTES_PER_S // 100
HOP_BYTES = BYTES_PER_S * HOP_MS // 1000


def loud(hop: NDArray[np.int16]) -> float:
    return float(np.abs(hop).max() > 100)


def detector(**more: Any) -> SentenceDetector:
    settings = {"threshold": 0.5, "prefix_ms": 32, "silence_ms": 48, **more}
    return SentenceDetector(loud, **settings)


def hops(pattern: str) -> bytes:
    """Audio of one hop per letter: "x" is speech, "." is none."""
    return b"".join(
        np.full(HOP_BYTES // 2, 1000 * (one == "x"), np.int16).tobytes()
        for one in pattern
    )


def ten_vad() -> Any:
    from ten_vad import TenVad

    try:
        return TenVad(HOP_BYTES // 2)
    except OSError as problem:
        missing = f"{problem}; on Debian: apt-get install libc++1"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.mark.parametrize(
    ("pattern", "edges"),
    [
        ("......", []),
        ("..x..x..", []),
        ("..xxx", ["start"]),
        ("xxx..x..x", ["start"]),
        ("xxx...", ["start", "end"]),
        ("xxx...xx....", ["start", "end", "start", "end"]),
    ],
)
@pytest.mark.parametrize("size", [1, 320, 512, 5000])
def test_where_sentences_begin_and_end(
    pattern: str, edges: list[str], size: int
) -> None:
    listening, pcm = detector(), hops(pattern)
    found = [
        edge
        for at in range(0, len(pcm), size)
        for edge in listening.feed(pcm[at : at + size])
    ]
    assert found == edges


def test_ten_vad_hears_a_sentence() -> None:
    vad = ten_vad()
    listening = SentenceDetector(
        lambda hop: vad.process(hop)[0],
        threshold=0.5,
        prefix_ms=120,
        silence_ms=700,
    )
    pcm = np.concatenate([silence(1), speech(2), silence(2)]).tobytes()
    found = [
        (edge, at / BYTES_PER_S)
        for at in range(0, len(pcm), FRAME_BYTES)
        for edge in listening.feed(pcm[at : at + FRAME_BYTES])
    ]
    assert [edge for edge, _ in found] == ["start", "end"]
    (_, start_s), (_, end_s) = found
    assert 1.0 < start_s < 1.5
    assert 3.4 < end_s < 4.2


def test_the_ear_keeps_what_was_said_before_it_was_noticed() -> None:
    ear = Ear()
    said = np.arange(2 * RATE_HZ, dtype=np.int16)
    for at in range(0, said.size, 160):
        if at == 10_000 // 160 * 160:
            ear.begin()
        ear.hear(said[at : at + 160].tobytes())
    heard = np.frombuffer(ear.end(0), np.int16)
    assert heard[0] == 10_000 // 160 * 160 - RATE_HZ // 2
    assert heard[-1] == said[-1]
    assert all(after - before == 1 for before, after in pairwise(heard[:99]))
    assert ear.end(0) == b""


def test_the_ear_leaves_out_the_silence_that_ended_it() -> None:
    ear = Ear()
    ear.begin()
    ear.hear(bytes(2 * BYTES_PER_S))
    assert len(ear.end(700)) == 2 * BYTES_PER_S - 550 * BYTES_PER_S // 1000


def test_the_ear_takes_no_more_than_it_can_hold() -> None:
    ear = Ear()
    for _ in range(100):
        ear.hear(bytes(BYTES_PER_S))
    ear.begin()
    for _ in range(100):
        ear.hear(bytes(BYTES_PER_S))
    assert len(ear.end(0)) <= 31 * BYTES_PER_S


@pytest.mark.parametrize(
    ("packet", "wish"),
    [
        (b'{"type": "interrupt"}', ("interrupt", "")),
        (b'{"type": "text", "text": " Hello "}', ("text", "Hello")),
        (b'{"type": "text", "text": " "}', ("", "")),
        (b'{"type": "text", "text": 1}', ("", "")),
        (b'{"type": "x"}', ("", "")),
        (b'"interrupt"', ("", "")),
        (b"[", ("", "")),
        (b"\xff", ("", "")),
        (b"", ("", "")),
    ],
)
def test_what_the_page_may_ask_for(
    packet: bytes, wish: tuple[str, str]
) -> None:
    assert wish_of(packet) == wish


def test_what_is_typed_is_hummed_word_by_word() -> None:
    one, two = hum("Hello"), hum("Hello there")
    assert two.startswith(one)
    loudest = np.abs(np.frombuffer(two, np.int16)).max()
    assert 5000 < loudest < 20_000
    assert hum(" ") == b""
    # However long it is, the face does not sing for minutes.
    assert len(hum("word " * 1000)) < 30 * BYTES_PER_S


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("metrics", {}, None),
        (
            "tavus_event",
            {"event_type": "x", "event": json.dumps({"properties": {"a": 1}})},
            {"event_type": "x", "properties": {"a": 1}},
        ),
        (
            "tavus_event",
            {"event_type": "x", "event": "no JSON"},
            {"event_type": "x", "properties": {}},
        ),
        (
            "error",
            {"code": -1000, "message": "no", "metadata": {"kind": "auth"}},
            {
                "event_type": "error",
                "properties": {
                    "kind": "auth",
                    "detail": "no",
                    "fatal": True,
                    "retrying": False,
                },
            },
        ),
        (
            "error",
            {
                "code": 1000,
                "metadata": {"kind": "avatar", "retrying": True},
            },
            {
                "event_type": "error",
                "properties": {
                    "kind": "avatar",
                    "detail": "",
                    "fatal": False,
                    "retrying": True,
                },
            },
        ),
        (
            "tavus_conversation_ended",
            {"conversation_id": "c1", "reason": "r", "channel": "x"},
            {
                "event_type": "tavus_conversation_ended",
                "properties": {"conversation_id": "c1", "reason": "r"},
            },
        ),
    ],
)
def test_what_the_page_is_told(
    name: str, content: dict[str, Any], told: dict[str, Any] | None
) -> None:
    assert happened(name, content) == told
