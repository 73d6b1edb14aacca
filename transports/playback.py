#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What an avatar was given to speak, and what it says it has spoken.

Protocol: livekit/agents, ``voice/avatar``. Time is ``time.monotonic``, in
seconds; nothing here does anything by itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .voice import Utterance

# An avatar may lag behind what it is given.
_MARGIN_S = 10.0
# A natural end is no earlier than this part of the audio.
_PLAYED = 0.8


@dataclass(eq=False)
class Given:
    """An utterance that an avatar was given, or is being given."""

    utterance: Utterance
    given_at: float
    audio_s: float = 0.0
    closed_at: float | None = None
    started: bool = False
    cut_at: float | None = None


@dataclass(frozen=True)
class Finished:
    """An utterance is over.

    Attributes:
        position_s: How much of it was heard.
        interrupt_ms: From the flush to the silence; None without a flush, or
            when the avatar has not confirmed it.
        assumed: The avatar did not say so.
    """

    utterance: Utterance
    position_s: float
    interrupted: bool
    interrupt_ms: float | None = None
    assumed: bool = False


class Playback:
    """The utterances that an avatar has not finished yet."""

    def __init__(self) -> None:
        self._given: deque[Given] = deque()
        self._finished_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._given)

    def open(self, utterance: Utterance, now: float) -> Given:
        """The avatar begins to be given an utterance."""
        given = Given(utterance, now)
        self._given.append(given)
        return given

    def forget(self, given: Given) -> None:
        """It did not reach the avatar as a whole: nothing is expected."""
        if given in self._given:
            self._given.remove(given)

    def started(self) -> Utterance | None:
        """The avatar says that it speaks; which of them that is."""
        for given in self._given:
            if not given.started and given.cut_at is None:
                given.started = True
                return given.utterance
        return None

    def cut(self, at: float) -> None:
        """Everything given so far is not wanted any more."""
        for given in self._given:
            given.cut_at = given.cut_at or at

    def finished(
        self, position_s: float, interrupted: bool, now: float
    ) -> list[Finished]:
        """The avatar says that it has finished; what is over with that."""
        over = self._cut_off(now, position_s)
        if over and interrupted:
            return over
        head = self._given[0] if self._given else None
        if head is None or head.closed_at is None:
            return over
        if over and now < head.given_at + head.audio_s * _PLAYED:
            return over  # it finished what was cut, and not what came after
        self._given.popleft()
        self._finished_at = now
        return [*over, Finished(head.utterance, position_s, interrupted)]

    def assume_cut(self, at: float, now: float) -> list[Finished]:
        """The avatar has said nothing of what was cut at a time, or before."""
        over: list[Finished] = []
        while self._given and (self._given[0].cut_at or now) <= at:
            given = self._given.popleft()
            position_s = min(given.audio_s, now - given.given_at)
            over.append(
                Finished(given.utterance, position_s, True, assumed=True)
            )
        return over

    def overdue(self, now: float) -> Utterance | None:
        """An utterance that should be over for long, if there is one."""
        head = self._given[0] if self._given else None
        if head is None or head.closed_at is None or head.cut_at is not None:
            return None
        begun_at = max(head.given_at, self._finished_at)
        by = max(begun_at + head.audio_s, head.closed_at) + _MARGIN_S
        return head.utterance if now > by else None

    def _cut_off(self, now: float, position_s: float) -> list[Finished]:
        """What was cut, all of it; the position is the first one's."""
        over: list[Finished] = []
        while self._given and (cut_at := self._given[0].cut_at) is not None:
            given = self._given.popleft()
            interrupt_ms = round((now - cut_at) * 1000, 1)
            over.append(
                Finished(
                    given.utterance,
                    0.0 if over else position_s,
                    True,
                    interrupt_ms,
                )
            )
        return over
