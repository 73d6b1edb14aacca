#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What an avatar was sent and what it played of it, utterance by utterance."""

import io
import wave
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

AUDIO_KEPT_S = 60
UTTERANCES_KEPT = 200
_SAMPLE_BYTES = 2


@dataclass
class Utterance:
    """One byte stream of audio.

    Args:
        number: counts from 1.
        sent_ms: how much audio came, in milliseconds.
        complete: whether the stream was closed.
        played_ms: how much the avatar says it has played, when it says so.
        interrupted: whether it was cut.
    """

    number: int
    sent_ms: float = 0.0
    complete: bool = False
    played_ms: float | None = None
    interrupted: bool = False

    @property
    def over(self) -> bool:
        """Whether the avatar is done with it."""
        return self.played_ms is not None


class Heard:
    """The last ``AUDIO_KEPT_S`` of audio, ``UTTERANCES_KEPT`` utterances."""

    def __init__(self) -> None:
        self.utterances: deque[Utterance] = deque(maxlen=UTTERANCES_KEPT)
        self.count = 0
        self.clears = 0
        self.total_ms = 0.0
        self._format = (24_000, 1)
        self._pcm: deque[bytes] = deque()
        self._kept_bytes = 0

    def audio(self, pcm: bytes, rate_hz: int, channels: int) -> None:
        """Audio has come.

        Args:
            pcm: 16-bit little-endian samples, interleaved.
            rate_hz: the sample rate.
            channels: how many.
        """
        if (rate_hz, channels) != self._format:
            self._format = (rate_hz, channels)
            self._pcm.clear()
            self._kept_bytes = 0
        bytes_per_s = rate_hz * channels * _SAMPLE_BYTES
        self._pcm.append(pcm)
        self._kept_bytes += len(pcm)
        while self._kept_bytes > AUDIO_KEPT_S * bytes_per_s:
            self._kept_bytes -= len(self._pcm.popleft())
        duration_ms = 1000 * len(pcm) / bytes_per_s
        self.total_ms += duration_ms
        last = self.utterances[-1] if self.utterances else None
        if last is None or last.complete or last.over:
            self.count += 1
            last = Utterance(self.count)
            self.utterances.append(last)
        last.sent_ms += duration_ms

    def segment_end(self) -> None:
        """The stream was closed."""
        if self.utterances and not self.utterances[-1].over:
            self.utterances[-1].complete = True

    def cleared(self) -> None:
        """The avatar was told to be silent."""
        self.clears += 1

    def playback_finished(self, position_s: float, interrupted: bool) -> None:
        """The avatar is done with an utterance.

        Args:
            position_s: how much of it was played, in seconds.
            interrupted: whether it was cut; then all that waits is dropped.
        """
        for utterance in [u for u in self.utterances if not u.over]:
            utterance.played_ms = position_s * 1000
            utterance.interrupted = interrupted
            if not interrupted:
                return
            position_s = 0.0

    def wav(self) -> bytes:
        """The audio as a WAV file; utterances follow each other directly."""
        rate_hz, channels = self._format
        file = io.BytesIO()
        with wave.Wave_write(file) as out:
            out.setnchannels(channels)
            out.setsampwidth(_SAMPLE_BYTES)
            out.setframerate(rate_hz)
            out.writeframes(b"".join(self._pcm))
        return file.getvalue()

    def summary(self) -> dict[str, Any]:
        """What the ledger says."""
        return {
            "utterances": self.count,
            "clears": self.clears,
            "heard_ms": round(self.total_ms, 3),
        }

    def view(self) -> list[dict[str, Any]]:
        """The utterances, oldest first."""
        return [asdict(utterance) for utterance in self.utterances]
