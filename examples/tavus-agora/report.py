#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What bin/start speaks, and what the simulated avatar heard of it."""

import argparse
import array
import json
import math
import sys
import time
import urllib.request
import wave
from pathlib import Path
from typing import Any

_RATE_HZ = 24_000
_NOTE_S = 0.3
_NOTES_HZ = (262, 294, 330, 349, 392, 440, 494, 523, 494, 440, 392, 330, 262)
_LOUD = 9000
_WAIT_S = 90.0
_LOOK_S = 0.2
# It is interrupted after a second, and the simulator keeps a minute of audio.
_SHORTEST_S, _LONGEST_S = 1.5, 50.0


def write_melody(file: Path) -> None:
    """A melody, each note fading out, as 24 kHz 16-bit mono."""
    count = round(_RATE_HZ * _NOTE_S)
    samples = array.array(
        "h",
        (
            round(
                _LOUD
                * (1 - at / count)
                * math.sin(2 * math.pi * note_hz * at / _RATE_HZ)
            )
            for note_hz in _NOTES_HZ
            for at in range(count)
        ),
    )
    with wave.Wave_write(str(file)) as wav:
        wav.setparams((1, 2, _RATE_HZ, 0, "NONE", ""))
        wav.writeframes(samples.tobytes())


def problem_of(file: Path) -> str:
    """Why the file cannot be spoken; "" when it can."""
    try:
        with wave.Wave_read(str(file)) as wav:
            shape = (wav.getnchannels(), wav.getsampwidth())
            seconds = wav.getnframes() / wav.getframerate()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (wave.Error, EOFError, ZeroDivisionError) as error:
        return f"is no WAV file that can be used ({error or 'it is too short'})"
    if shape != (1, 2):
        return f"has {shape[0]} channel(s) of {8 * shape[1]} bits"
    if not _SHORTEST_S <= seconds <= _LONGEST_S:
        return f"is {seconds:.1f} s long"
    return ""


def compare(sim_url: str, spoken: Path, heard: Path) -> int:
    """Waits for the end, writes what was heard, and says what it is.

    Returns:
        The exit status: 0 when the avatar heard what was spoken.
    """
    ledger = _until_over(sim_url)
    (session,) = ledger["conversations"]
    path = f"/sim/agora/{session['session_id']}"
    heard.write_bytes(_get(f"{sim_url}{path}/heard.wav"))
    whole, cut = json.loads(_get(f"{sim_url}{path}"))["utterances"]
    audio, rate_hz = _read(spoken)
    got, got_hz = _read(heard)
    first, second = got[: len(audio)], got[len(audio) :]
    seconds = len(audio) / 2 / rate_hz
    results = [
        (
            f"the avatar heard {spoken.name} sample for sample "
            f"({len(first) // 2} samples at {got_hz} Hz)",
            first == audio and got_hz == rate_hz,
        ),
        (
            f"the second time it was cut after {cut['duration_s']:.2f} s of "
            f"{seconds:.2f} s, by voice_interrupt",
            whole["ended_by"] == "voice_end"
            and cut["interrupted"]
            and len(second) < len(audio)
            and audio.startswith(second),
        ),
        (
            f"ledger: created {ledger['created']}, active {ledger['active']}, "
            f"ended by {session['ended_by']}",
            not ledger["active"] and session["ended_by"] == "client",
        ),
        (
            f"violations of the protocol: {session['violations_count']}",
            not session["violations_count"],
        ),
    ]
    for text, good in results:
        print(f"tavus: {text}: {'ok' if good else 'NOT SO'}")
    print(f"tavus: what it heard is in {heard}", flush=True)
    return 0 if all(good for _, good in results) else 1


def _until_over(sim_url: str) -> dict[str, Any]:
    give_up_at = time.monotonic() + _WAIT_S
    while time.monotonic() < give_up_at:
        ledger = json.loads(_get(f"{sim_url}/sim/ledger"))
        if ledger["created"] and not ledger["active"]:
            return ledger
        time.sleep(_LOOK_S)
    sys.exit("tavus: the session did not end in time; see the log above")


def _get(url: str) -> bytes:
    # It is on this machine, where no proxy of the environment leads.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as reply:
        return reply.read()


def _read(file: Path) -> tuple[bytes, int]:
    with wave.Wave_read(str(file)) as wav:
        return wav.readframes(wav.getnframes()), wav.getframerate()


def main() -> int:
    """One of the two; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    melody = commands.add_parser("melody")
    melody.add_argument("file", type=Path)
    checking = commands.add_parser("check")
    checking.add_argument("file", type=Path)
    comparing = commands.add_parser("compare")
    comparing.add_argument("sim_url")
    comparing.add_argument("spoken", type=Path)
    comparing.add_argument("heard", type=Path)
    args = parser.parse_args()
    if args.command == "melody":
        write_melody(args.file)
        return 0
    if args.command == "check":
        problem = problem_of(args.file)
        if problem:
            sys.exit(
                f"tavus: {args.file} {problem}; it must be a WAV file, 16-bit "
                f"mono, {_SHORTEST_S:g} to {_LONGEST_S:g} s long"
            )
        return 0
    return compare(args.sim_url, args.spoken, args.heard)


if __name__ == "__main__":
    sys.exit(main())
