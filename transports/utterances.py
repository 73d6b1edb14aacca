#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What is spoken, piece by piece, and what each utterance is called."""

from __future__ import annotations

from dataclasses import dataclass

# Of so many requests it is known how many utterances they had.
_REQUESTS_KEPT = 256


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
        utterance_id: Its own: the ``request_id`` of its ``tts_audio_start``
            (``r#2``, ``r#3`` for what is spoken later of the same request),
            or else a number.
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

    @property
    def names(self) -> dict[str, str]:
        """What events call it."""
        names = {"utterance_id": self.utterance_id}
        if self.request_id not in (None, self.utterance_id):
            names["request_id"] = self.request_id or ""
        return names


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


class UtteranceIds:
    """Gives each utterance an id that no other has."""

    def __init__(self) -> None:
        self._count = 0
        self._parts: dict[str, int] = {}

    def next(self, request_id: str | None) -> str:
        """The id of the next utterance, of a request or of none."""
        if request_id:
            name = request_id
        else:
            self._count += 1
            name = f"utterance-{self._count}"
        part = self._parts.pop(name, 0) + 1
        self._parts[name] = part
        if len(self._parts) > _REQUESTS_KEPT:
            del self._parts[next(iter(self._parts))]
        return name if part == 1 else f"{name}#{part}"


class WholeSamples:
    """Puts pieces together that end within a sample."""

    def __init__(self) -> None:
        self._rest = b""
        self._format = (0, 0)

    def of(self, pcm: Pcm) -> Pcm:
        """The whole samples there are with it; the rest is kept."""
        if pcm.planar or self._format != (pcm.rate_hz, pcm.channels):
            self._format = (pcm.rate_hz, pcm.channels)
            self._rest = b""
        if not (self._rest or len(pcm.data) % (2 * pcm.channels)):
            return pcm
        data = self._rest + pcm.data
        whole = len(data) - len(data) % (2 * pcm.channels)
        self._rest = data[whole:]
        return Pcm(data[:whole], pcm.rate_hz, pcm.channels, pcm.planar)
