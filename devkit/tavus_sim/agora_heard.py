#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the avatar of an Agora session was sent, utterance by utterance."""

import io
import wave
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

AUDIO_KEPT_S = 60
UTTERANCES_KEPT = 200
_STRETCHES_KEPT = 1000
_SAMPLE_BYTES = 2

EndedBy = Literal["voice_end", "voice_interrupt", "disconnect"]


@dataclass
class Utterance:
    """The audio up to a ``voice_end`` or a ``voice_interrupt``.

    Args:
        number: counts from 1.
        ended_by: what ended it; ``None`` as long as it is open.
        duration_s: how much audio came, in seconds.
        messages: in how many ``voice`` commands.
        sample_rates_hz: the rates it came in, as they appeared.
    """

    number: int
    ended_by: EndedBy | None = None
    duration_s: float = 0.0
    messages: int = 0
    sample_rates_hz: list[int] = field(default_factory=list)

    def view(self) -> dict[str, Any]:
        """What ``/sim/agora/{session_id}`` shows."""
        return {
            "number": self.number,
            "ended_by": self.ended_by,
            "interrupted": self.ended_by == "voice_interrupt",
            "duration_s": round(self.duration_s, 6),
            "messages": self.messages,
            "sample_rates_hz": self.sample_rates_hz,
        }


@dataclass
class Stretch:
    """Audio of one utterance that came at one sample rate."""

    utterance: int
    rate_hz: int
    pcm: bytearray = field(default_factory=bytearray, repr=False)

    @property
    def duration_s(self) -> float:
        """How long it is, in seconds."""
        return len(self.pcm) / _SAMPLE_BYTES / self.rate_hz


class AgoraHeard:
    """The last ``AUDIO_KEPT_S`` of audio and ``UTTERANCES_KEPT`` utterances."""

    def __init__(self) -> None:
        self.utterances: deque[Utterance] = deque(maxlen=UTTERANCES_KEPT)
        self.count = 0
        self.duration_s = 0.0
        self.stretches: deque[Stretch] = deque()
        self._kept_s = 0.0
        self._open: Utterance | None = None

    def voice(self, pcm: bytes, rate_hz: int) -> None:
        """Audio has come.

        Args:
            pcm: whole 16-bit little-endian mono samples.
            rate_hz: the sample rate.
        """
        utterance = self._open
        if utterance is None:
            self.count += 1
            self._open = utterance = Utterance(self.count)
            self.utterances.append(utterance)
        duration_s = len(pcm) / _SAMPLE_BYTES / rate_hz
        utterance.duration_s += duration_s
        utterance.messages += 1
        if rate_hz not in utterance.sample_rates_hz:
            utterance.sample_rates_hz.append(rate_hz)
        self.duration_s += duration_s
        last = self.stretches[-1] if self.stretches else None
        if last is None or (last.utterance, last.rate_hz) != (
            utterance.number,
            rate_hz,
        ):
            last = Stretch(utterance.number, rate_hz)
            self.stretches.append(last)
        last.pcm += pcm
        self._kept_s += duration_s
        self._trim()

    def end(self, by: EndedBy) -> None:
        """The utterance that is open, if one is, is over."""
        if self._open:
            self._open.ended_by = by
            self._open = None

    def forget_audio(self) -> None:
        """Keep what is known about it, and no samples."""
        self.stretches.clear()
        self._kept_s = 0.0

    def wav(self) -> bytes:
        """The audio as a WAV file; utterances follow each other directly.

        A WAV file has one rate, so it begins where the rate last changed.
        """
        rate_hz = self.stretches[-1].rate_hz if self.stretches else 24_000
        parts: list[bytearray] = []
        for stretch in reversed(self.stretches):
            if stretch.rate_hz != rate_hz:
                break
            parts.append(stretch.pcm)
        file = io.BytesIO()
        with wave.Wave_write(file) as out:
            out.setnchannels(1)
            out.setsampwidth(_SAMPLE_BYTES)
            out.setframerate(rate_hz)
            out.writeframes(b"".join(reversed(parts)))
        return file.getvalue()

    def _trim(self) -> None:
        while self._kept_s > AUDIO_KEPT_S:
            oldest = self.stretches[0]
            excess_samples = round(
                (self._kept_s - AUDIO_KEPT_S) * oldest.rate_hz
            )
            if len(oldest.pcm) > excess_samples * _SAMPLE_BYTES:
                del oldest.pcm[: excess_samples * _SAMPLE_BYTES]
                self._kept_s = AUDIO_KEPT_S
            else:
                self._drop_oldest()
        while len(self.stretches) > _STRETCHES_KEPT:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._kept_s -= self.stretches.popleft().duration_s
