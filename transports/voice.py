#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the graph says for an avatar to speak, cut into utterances.

Messages come in at any time and in any number; who speaks them takes them
out in order. Time is ``time.monotonic``, in seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..waiting import changed_or_due
from .losses import Losses
from .utterances import (
    Cut,
    End,
    Pcm,
    Speech,
    Utterance,
    UtteranceIds,
    WholeSamples,
)

__all__ = ["Cut", "End", "Pcm", "Speech", "Utterance", "Voice"]

# How much is held while nobody takes it.
_HELD_S = 60.0
# And while somebody does, who may take it no faster than it is spoken.
_MOST_S = 600.0
# Who has taken nothing for so long, and does not wait for more, takes nothing.
_STALLED_S = 10.0
# Taken at once, so that a burst costs few writes and a cut waits for none.
_TAKEN_S = 0.25
# Less than that waits a moment for what follows: a write costs more than so
# little audio is worth. Not the first frame of an utterance, which goes alone
# and is there while the rest of a burst is under way.
_LEAST_S = 0.02
# Without a tts_audio_end, an utterance ends after so much silence.
_SILENCE_S = 1.0
# What comes so long after the last late frame of an utterance that was cut is
# the next one, where nothing else tells them apart.
_LATE_S = 0.5


@dataclass
class _Late:
    """How to know what still comes of an utterance that was cut."""

    turn: str
    request_id: str | None
    last_at: float


class Voice:
    """A queue of utterances. Nothing is held before ``open``.

    Args:
        log: Where losses are reported.
        clock: The time, in seconds.

    Attributes:
        losses: What of it was lost.
    """

    def __init__(
        self, log: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.losses = Losses(log)
        self._clock = clock
        self._news = asyncio.Event()
        self._ids = UtteranceIds()
        self._wanted = False
        self._items: deque[Speech | End] = deque()
        self._held_s = 0.0
        self._request: str | None = None
        self._current: Utterance | None = None
        self._last_at = 0.0
        self._samples = WholeSamples()
        self._cut: Cut | None = None
        self._late: _Late | None = None
        self._dropped: list[Utterance] = []
        self._awaited = False
        self._taken_at = float("-inf")

    def open(self) -> None:
        """Somebody will take it, sooner or later."""
        self._wanted = True

    def shut(self) -> None:
        """Nobody wants it any more: everything is forgotten."""
        self._wanted = False
        self._drop()
        self._cut = None
        self._late = None
        self.losses.tell()
        self.losses.forget()

    # What the graph says.

    def start(self, request_id: str) -> None:
        """``tts_audio_start``: what comes next is an utterance of its own."""
        late = self._late
        if late and request_id and late.request_id == request_id:
            return  # it overtook the flush that cut it
        self._late = None
        self._end_current()
        self._request = request_id

    def push(self, pcm: Pcm, turn: str = "") -> None:
        """A ``pcm_frame``.

        Args:
            pcm: Its audio; what is no whole sample goes before the next.
            turn: What tells its turn from others; "" when it does not say.
        """
        now = self._clock()
        if not self._wanted or not pcm.data or self._is_late(turn, now):
            return
        current = self._current
        if current and turn and current.turn and turn != current.turn:
            self._end_current()
            self._request = None
        elif now >= self._last_at + _SILENCE_S:
            self._fall_silent()
        self._last_at = now
        pcm = self._samples.of(pcm)
        if not pcm.data:
            return
        if self._current is None:
            name = self._ids.next(self._request)
            self._current = Utterance(name, turn, now, self._request)
        self._items.append(Speech(self._current, pcm))
        self._held_s += pcm.duration_s
        most_s = _MOST_S if self._is_taken(now) else _HELD_S
        if self._held_s > most_s:
            self._lose_oldest(most_s)
        self._news.set()

    def end(self, request_id: str) -> None:
        """``tts_audio_end``: nothing more comes of that request."""
        late = self._late
        if late and _may_be(request_id, late.request_id):
            self._late = None
        if _may_be(request_id, self._request):
            self._request = None
            self._end_current()

    def flush(self) -> None:
        """Stop speaking now; what still comes of it is dropped."""
        now = self._clock()
        current, request = self._current, self._request
        if current is not None:
            self._late = _Late(current.turn, current.request_id, now)
        elif request is not None:
            self._late = _Late("", request, now)
        elif self._late is not None:
            self._late.last_at = now
        self._drop()
        self._cut = Cut(now)
        self._news.set()

    # Who speaks it.

    async def next(
        self, may_begin: Callable[[], bool] = lambda: True
    ) -> Speech | End | Cut:
        """Waits for what is to be done next.

        Args:
            may_begin: Whether another utterance may begin; ``wake`` when
                that changes.
        """
        while True:
            if self._is_little():
                due = [self._last_at + _LEAST_S]
            else:
                item = self.take(may_begin())
                if item is not None:
                    return item
                ends = self._current is not None and not self._items
                due = [self._last_at + _SILENCE_S] if ends else []
            self._news.clear()
            self._awaited = True
            try:
                await changed_or_due(self._news, due)
            finally:
                self._awaited = False

    def wake(self) -> None:
        """Another utterance may begin."""
        self._news.set()

    def take(self, may_begin: bool = True) -> Speech | End | Cut | None:
        """What is to be done next, if there is anything."""
        now = self._clock()
        if self._cut is not None:
            cut, self._cut = self._cut, None
            self._taken_at = now
            self.losses.tell()
            return cut
        silent = self._current and now >= self._last_at + _SILENCE_S
        if silent and not self._items:
            self._fall_silent()
        if not self._items:
            return None
        item = self._items[0]
        if not (item.utterance.begun or may_begin):
            return None
        self._items.popleft()
        self._taken_at = now
        if isinstance(item, End):
            self.losses.tell()
            return item
        return self._joined(item)

    def renew(self, utterance: Utterance) -> None:
        """It broke off: what still comes of it is another utterance."""
        if self._current is utterance:
            self._current = None
        mine = [one for one in self._items if one.utterance is utterance]
        if not any(isinstance(one, Speech) for one in mine):
            for one in mine:
                self._items.remove(one)
            return
        name = self._ids.next(utterance.request_id)
        other = Utterance(
            name, utterance.turn, self._clock(), utterance.request_id
        )
        self._items = deque(
            _of(one, other) if one.utterance is utterance else one
            for one in self._items
        )
        if not any(isinstance(one, End) for one in mine):
            self._current = other

    def dropped(self) -> list[Utterance]:
        """Those of which nothing was taken, nor will be; each once."""
        dropped, self._dropped = self._dropped, []
        return dropped

    # How.

    def _is_little(self) -> bool:
        """Whether all there is, is too little, and more is to come."""
        return bool(
            self._held_s < _LEAST_S
            and self._items
            and self._cut is None
            and self._current
            and self._current.begun
            and self._items[0].utterance is self._current
            and self._clock() < self._last_at + _LEAST_S
        )

    def _joined(self, first: Speech) -> Speech:
        """A frame, and those that follow it seamlessly."""
        parts, pcm = [first.pcm.data], first.pcm
        most_s = _TAKEN_S if first.utterance.begun else 0.0
        first.utterance.begun = True
        taken_s = pcm.duration_s
        while self._items and not pcm.planar and taken_s < most_s:
            item = self._items[0]
            if (
                not isinstance(item, Speech)
                or item.utterance is not first.utterance
                or item.pcm.rate_hz != pcm.rate_hz
                or item.pcm.channels != pcm.channels
                or item.pcm.planar
            ):
                break
            self._items.popleft()
            parts.append(item.pcm.data)
            taken_s += item.pcm.duration_s
        self._held_s = max(0.0, self._held_s - taken_s)
        if len(parts) == 1:
            return first
        joined = Pcm(b"".join(parts), pcm.rate_hz, pcm.channels)
        return Speech(first.utterance, joined)

    def _drop(self) -> None:
        waiting = [item.utterance for item in self._items]
        if self._current is not None:
            waiting.append(self._current)
        self._dropped += [
            one for one in dict.fromkeys(waiting) if not one.begun
        ]
        self._items.clear()
        self._held_s = 0.0
        self._samples = WholeSamples()
        self._current = None
        self._request = None

    def _end_current(self, goes_on: bool = False) -> None:
        if not goes_on:
            self._samples = WholeSamples()
        if self._current is not None:
            self._items.append(End(self._current))
            self._current = None
            self._news.set()

    def _fall_silent(self) -> None:
        """The utterance is over; its request may go on, as another one."""
        self._end_current(goes_on=self._request is not None)

    def _is_late(self, turn: str, now: float) -> bool:
        """Whether a frame belongs to what was cut."""
        late = self._late
        if late is None:
            return False
        another = bool(turn and late.turn and turn != late.turn)
        # A request says itself when it is over.
        quiet = late.request_id is None and now - late.last_at >= _LATE_S
        if another or quiet:
            self._late = None
            return False
        late.last_at = now
        return True

    def _is_taken(self, now: float) -> bool:
        return self._awaited or now - self._taken_at < _STALLED_S

    def _lose_oldest(self, most_s: float) -> None:
        ends: list[Speech | End] = []
        lost_s = 0.0
        while self._held_s - lost_s > most_s and len(self._items) > 1:
            item = self._items.popleft()
            if isinstance(item, Speech):
                lost_s += item.pcm.duration_s
            else:
                ends.append(item)  # whoever has begun it needs its end
        self._items.extendleft(reversed(ends))
        self._held_s -= lost_s
        self.losses.add(
            lost_s, f"of more than {most_s:g} s that wait the oldest is lost"
        )


def _of(item: Speech | End, utterance: Utterance) -> Speech | End:
    if isinstance(item, End):
        return End(utterance)
    return Speech(utterance, item.pcm)


def _may_be(request_id: str, known: str | None) -> bool:
    """Whether the request that is named can be the one that is known."""
    return not (request_id and known) or request_id == known
