#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Something that a voice detector takes for speech, without a voice."""

import wave
from pathlib import Path

import numpy as np
from support.sounds import Pcm

RATE_HZ = 16_000
# Of an open vowel: where the formant is, how far and how often it wanders in
# a second, and how wide it is; all in Hz.
_FORMANTS = ((600, 250, 3.1, 80), (1300, 500, 2.3, 110), (2500, 300, 1.7, 160))


def speech(duration_s: float) -> Pcm:
    """A voice that says nothing: four syllables a second."""
    size = round(duration_s * RATE_HZ)
    times = np.arange(size) / RATE_HZ
    pitch_hz = 120 + 20 * np.sin(5.7 * times) + 10 * np.sin(14.5 * times)
    phase = np.cumsum(pitch_hz) / RATE_HZ % 1
    noise = np.random.default_rng(1).standard_normal(size)
    source = (phase < 0.1) - 0.1 + 0.02 * noise
    voice = sum(_resonance(source, times, *formant) for formant in _FORMANTS)
    voice *= (0.5 - 0.5 * np.cos(2 * np.pi * 4 * times)) ** 0.6
    return (voice / np.abs(voice).max() * 16_000).astype(np.int16)


def silence(duration_s: float) -> Pcm:
    """Nothing."""
    return np.zeros(round(duration_s * RATE_HZ), np.int16)


def save(path: Path, *parts: Pcm) -> Path:
    """Writes a WAV file with these parts, one after the other."""
    # pylint: disable=no-member  # it takes this for a file to read
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.concatenate(parts).tobytes())
    return path


def _resonance(
    source: np.ndarray,
    times: np.ndarray,
    at_hz: float,
    by_hz: float,
    rate_hz: float,
    width_hz: float,
) -> np.ndarray:
    """A resonator of second order whose frequency wanders."""
    radius = np.exp(-np.pi * width_hz / RATE_HZ)
    centre_hz = at_hz + by_hz * np.sin(2 * np.pi * rate_hz * times)
    first = 2 * radius * np.cos(2 * np.pi * centre_hz / RATE_HZ)
    found, last, before = np.empty_like(times), 0.0, 0.0
    for n, value in enumerate(source):
        now = value + first[n] * last - radius**2 * before
        found[n] = now * (1 - radius)
        last, before = now, last
    return found
