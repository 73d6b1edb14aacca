#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What a TTS sends to be spoken, and what to say of what cannot be."""

from __future__ import annotations

import time
from collections.abc import Callable

from ten_runtime import AudioFrame

from .errors import TavusAudioError
from .frames import AUDIO, BadFrameError, pcm_of, turn_of
from .transports.voice import Voice

# After so much silence, what comes is another utterance.
_SILENCE_S = 1.0
# Of tts_audio_end: it was flushed, or has failed; then there is no audio.
_NO_AUDIO = ("2", "3")
_SHOWN_CHARACTERS = 100


class TtsInput:
    """Puts a TTS's messages into the voice, and says what is wrong with them.

    Each kind of fault is an error once in each utterance.

    Args:
        voice: Who speaks.
        clock: The time, in seconds.
    """

    def __init__(
        self, voice: Voice, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._voice = voice
        self._clock = clock
        self._told: set[str] = set()
        self._turn = ""
        self._last_at = 0.0
        # Frames since the last boundary, good or bad.
        self._frames = 0
        self._flushed = False

    def frame(self, frame: AudioFrame) -> TavusAudioError | None:
        """An audio frame; the error to tell of it, if any."""
        now = self._clock()
        turn = turn_of(frame)
        if turn != self._turn or now >= self._last_at + _SILENCE_S:
            self._told.clear()
        self._turn, self._last_at = turn, now
        try:
            pcm = pcm_of(frame)
        except BadFrameError as bad:
            if bad.kind != "name":
                self._frames += 1
            return self._once(bad.kind, f"{AUDIO} is dropped: {bad}")
        self._frames += 1
        self._voice.push(pcm, turn)
        return None

    def start(self, request_id: str) -> None:
        """``tts_audio_start``."""
        self._begin()
        self._voice.start(request_id)

    def end(
        self, request_id: str, reason: str, duration_ms: str
    ) -> TavusAudioError | None:
        """``tts_audio_end``; the error to tell of it, if any.

        Args:
            request_id: Of which request.
            reason: Why, as a digit; "" when it does not say.
            duration_ms: How much audio there was; "" when it does not say.
        """
        silent = not (self._frames or self._flushed or duration_ms == "0")
        missing = None
        if silent and reason not in _NO_AUDIO:
            missing = self._once(
                "missing",
                "the TTS says that it has spoken "
                f"{request_id[:_SHOWN_CHARACTERS]!r}, but no {AUDIO} came; "
                f"connect {AUDIO} of the TTS to this extension",
            )
        self._begin()
        self._voice.end(request_id)
        return missing

    def flush(self) -> None:
        """Stop speaking."""
        self._flushed = True
        self._voice.flush()

    def _begin(self) -> None:
        self._told.clear()
        self._frames = 0
        self._flushed = False

    def _once(self, kind: str, text: str) -> TavusAudioError | None:
        if kind in self._told:
            return None
        self._told.add(kind)
        return TavusAudioError(text)
