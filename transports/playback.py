#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What an avatar was given to speak, and what it says it has spoken.

Protocol: livekit/agents, ``voice/avatar``. An avatar that is given an
utterance while it speaks another tells the end of one of them only, and its
reports do not say which utterance they are about. So it is given one at a
time, and a report counts when it can be about that one.

Time is ``time.monotonic``, in seconds; nothing here does anything by itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .utterances import Utterance

# An avatar may lag behind what it is given.
_MARGIN_S = 10.0
# And so much when it has told an end that was another one's: its own may have
# been told with it.
_LAG_S = 2.0
# An end is told when the avatar has handed on the last of the audio, and may
# not have played it yet.
_QUEUED_S = 0.2
# An end that is told at this position, or nearly, is at the end.
_NEAR, _NEAR_S = 0.05, 0.1


@dataclass(eq=False)
class Given:
    """An utterance that an avatar was given, or is being given.

    Attributes:
        audio_s: How much of it.
        closed_at: When it was said that this is all.
        torn: Whether it broke off on its way.
        cut_at: When it was flushed.
        doubted: Whether an end was told that cannot be its.
    """

    utterance: Utterance
    given_at: float
    audio_s: float = 0.0
    closed_at: float | None = None
    started: bool = False
    torn: bool = False
    cut_at: float | None = None
    doubted: bool = False
    _until: float = 0.0

    def add(self, audio_s: float, now: float) -> None:
        """It is given some more."""
        self.audio_s += audio_s
        self._until = max(self._until, now) + audio_s

    @property
    def over_at(self) -> float:
        """When all of it is spoken, at the earliest."""
        return max(self.given_at + self.audio_s, self._until)

    def may_end(
        self, position_s: float | None, interrupted: bool, now: float
    ) -> bool:
        """Whether an end that the avatar tells now can be this one's."""
        if interrupted or self.closed_at is None:
            return False  # we have not interrupted it
        if now >= self.over_at:
            return True
        if position_s is None:
            return now >= self.over_at - _QUEUED_S
        near = abs(position_s - self.audio_s) <= self._near_s
        return near and (self.started or now >= self.over_at - _QUEUED_S)

    def heard_s(self, position_s: float | None, default_s: float) -> float:
        """How much of it was heard: never more than there is.

        Args:
            position_s: What the avatar says; not believed beyond the audio.
            default_s: Where it says nothing that can be believed.
        """
        if position_s is None or position_s > self.audio_s + self._near_s:
            position_s = default_s
        return min(self.audio_s, max(0.0, position_s))

    @property
    def _near_s(self) -> float:
        return self.audio_s * _NEAR + _NEAR_S


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

    @property
    def busy(self) -> bool:
        """Whether something is under way that is still wanted."""
        return self._wanted is not None

    def open(self, utterance: Utterance, now: float) -> Given:
        """The avatar begins to be given an utterance."""
        given = Given(utterance, now)
        self._given.append(given)
        return given

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
        self, position_s: float | None, interrupted: bool, now: float
    ) -> list[Finished]:
        """The avatar says that it has finished; what is over with that.

        Args:
            position_s: What it says of the position; None for nonsense.
            interrupted: Whether it says that it was cut.
            now: The time.
        """
        head = self._wanted
        is_heads = head and head.may_end(position_s, interrupted, now)
        cut = self._given and self._given[0] is not head
        if cut and (interrupted or not is_heads):
            return self._cut_off(position_s, interrupted, now)
        if head is None:
            return []
        if not is_heads:
            head.doubted = True
            return []
        over = self.assume_cut(now)
        self._given.popleft()
        self._finished_at = now
        heard_s = head.heard_s(position_s, head.audio_s)
        interrupted = interrupted or head.torn
        return [*over, Finished(head.utterance, heard_s, interrupted)]

    def assume_cut(self, at: float) -> list[Finished]:
        """The avatar has said nothing of what was cut at a time, or before."""
        over: list[Finished] = []
        while self._given:
            cut_at = self._given[0].cut_at
            if cut_at is None or cut_at > at:
                break
            over.append(_assumed(self._given.popleft(), cut_at))
        return over

    def assume_end(self, now: float) -> list[Finished]:
        """What must be over, where its own end may never be told: another
        one's was, or it broke off."""
        head = self._wanted
        if head is None or head.closed_at is None:
            return []
        if not (head.doubted or head.torn):
            return []
        if now <= self._by(head, head.closed_at) + _LAG_S:
            return []
        self._given.remove(head)
        self._finished_at = now
        return [Finished(head.utterance, head.audio_s, head.torn, assumed=True)]

    def left(self, now: float) -> list[Finished]:
        """The avatar is gone, and what it was given with it."""
        over = [_assumed(given, given.cut_at or now) for given in self._given]
        self._given.clear()
        return over

    def overdue(self, now: float) -> Utterance | None:
        """An utterance that should be over for long, if there is one."""
        head = self._given[0] if self._given else None
        if head is None or head.closed_at is None or head.cut_at is not None:
            return None
        by = self._by(head, head.closed_at) + _MARGIN_S
        return head.utterance if now > by else None

    @property
    def _wanted(self) -> Given | None:
        """The first that is not cut."""
        for given in self._given:
            if given.cut_at is None:
                return given
        return None

    def _by(self, head: Given, closed_at: float) -> float:
        """When it should be over."""
        begun_at = max(head.given_at, self._finished_at)
        return max(begun_at + head.audio_s, head.over_at, closed_at)

    def _cut_off(
        self, position_s: float | None, interrupted: bool, now: float
    ) -> list[Finished]:
        """What was cut, all of it; the position is the first one's."""
        over: list[Finished] = []
        while self._given and (cut_at := self._given[0].cut_at) is not None:
            given = self._given.popleft()
            # It may have come to its end while the flush was on its way.
            ended = not over and given.may_end(position_s, interrupted, now)
            heard_s = given.heard_s(
                0.0 if over else position_s,
                given.audio_s if ended else cut_at - given.given_at,
            )
            interrupt_ms = round((now - cut_at) * 1000, 1)
            over.append(
                Finished(
                    given.utterance,
                    heard_s,
                    given.torn or not ended,
                    interrupt_ms,
                )
            )
        return over


def _assumed(given: Given, at: float) -> Finished:
    """It was over at that time, and the avatar did not say so."""
    heard_s = given.heard_s(None, at - given.given_at)
    return Finished(given.utterance, heard_s, True, assumed=True)
