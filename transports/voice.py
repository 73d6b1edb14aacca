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
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..waiting import changed_or_due

# How much is held while nobody takes it.
_HELD_S = 60.0
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


@dataclass(frozen=True, slots=True)
class Pcm:
    """16-bit PCM, channels interleaved or (``planar``) one after the other."""

    data: bytes
    rate_hz: int
    channels: int = 1
    planar: bool = False

    @property
    def duration_s(self) -> float:
        return len(self.data) / (2 * self.rate_hz * self.channels)


@dataclass(eq=False)
class Utterance:
    """What is spoken in one go.

    Attributes:
        utterance_id: The ``request_id`` of its ``tts_audio_start``, or else
            a number.
        turn: What its frames say of their turn; "" when nothing.
        first_at: When its first frame came.
        request_id: As ``tts_audio_start`` said; None without one.
        begun: Whether some of it has been taken.
    """

    utterance_id: str
    turn: str
    first_at: float
    request_id: str | None
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Speech:
    """Some of an utterance's audio."""

    utterance: Utterance
    pcm: Pcm


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more comes of an utterance."""

    utterance: Utterance


@dataclass(frozen=True, slots=True)
class Cut:
    """Stop speaking: whatever was taken before this is not wanted any more.

    Attributes:
        at: When that was said.
    """

    at: float


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
    """

    def __init__(
        self, log: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock = clock
        self._news = asyncio.Event()
        self._numbers = itertools.count(1)
        self._wanted = False
        self._items: deque[Speech | End] = deque()
        self._held_s = 0.0
        self._losing = False
        self._request: str | None = None
        self._current: Utterance | None = None
        self._last_at = 0.0
        self._cut: Cut | None = None
        self._late: _Late | None = None

    def open(self) -> None:
        """Somebody will take it, sooner or later."""
        self._wanted = True

    def shut(self) -> None:
        """Nobody wants it any more: everything is forgotten."""
        self._wanted = False
        self._drop()
        self._cut = None
        self._late = None

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
            pcm: Its audio.
            turn: What tells its turn from others; "" when it does not say.
        """
        now = self._clock()
        if not self._wanted or not pcm.data or self._is_late(turn, now):
            return
        current = self._current
        if current and turn and current.turn and turn != current.turn:
            self._end_current()
            self._request = None
            current = None
        if current is None:
            name = self._request or f"utterance-{next(self._numbers)}"
            current = Utterance(name, turn, now, self._request)
            self._current = current
        self._last_at = now
        self._items.append(Speech(current, pcm))
        self._held_s += pcm.duration_s
        if self._held_s > _HELD_S:
            self._lose()
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

    async def next(self) -> Speech | End | Cut:
        """Waits for what is to be done next."""
        while True:
            if self._is_little():
                due = [self._last_at + _LEAST_S]
            else:
                item = self.take()
                if item is not None:
                    return item
                due = [self._last_at + _SILENCE_S] if self._current else []
            self._news.clear()
            await changed_or_due(self._news, due)

    def take(self) -> Speech | End | Cut | None:
        """What is to be done next, if there is anything."""
        if self._cut is not None:
            cut, self._cut = self._cut, None
            return cut
        if self._items:
            item = self._items.popleft()
            return self._joined(item) if isinstance(item, Speech) else item
        current = self._current
        if current and self._clock() >= self._last_at + _SILENCE_S:
            # Its request may go on; that is then another utterance.
            self._current = None
            return End(current)
        return None

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
        self._losing = False
        if len(parts) == 1:
            return first
        joined = Pcm(b"".join(parts), pcm.rate_hz, pcm.channels)
        return Speech(first.utterance, joined)

    def _drop(self) -> None:
        self._items.clear()
        self._held_s = 0.0
        self._losing = False
        self._current = None
        self._request = None

    def _end_current(self) -> None:
        if self._current is not None:
            self._items.append(End(self._current))
            self._current = None
            self._news.set()

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

    def _lose(self) -> None:
        if not self._losing:
            self._losing = True
            self._log.warning(
                "nobody takes the voice: of more than %g s the oldest is lost",
                _HELD_S,
            )
        while self._held_s > _HELD_S and len(self._items) > 1:
            item = self._items.popleft()
            if isinstance(item, Speech):
                self._held_s -= item.pcm.duration_s


def _may_be(request_id: str, known: str | None) -> bool:
    """Whether the request that is named can be the one that is known."""
    return not (request_id and known) or request_id == known
