#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What it costs to speak through an avatar in a LiveKit room.

The transport of tavus_python and livekit-agents' own DataStreamAudioOutput
speak, in turns, to the same avatar on the same real LiveKit server. Prints
how long the first audio of an utterance takes, how long until the avatar is
told of an interruption, and the CPU of a stream in real time. Then the media
bridge hands on 720p25, beside a bare rtc.VideoStream. Exits 1 if a latency is
above 1.1 times the peer's, or the CPU above 1.0 times.

    .venv-bench/bin/python bench/livekit_avatar.py [--rounds 5] [--count 20]
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PARTS = HERE / "livekit_parts.py"
SERVER = HERE.parent / "bin" / "livekit-server"
MOST = {"first_ms": 1.1, "interrupt_ms": 1.1, "cpu_percent": 1.0}
NAMES = {
    "ours": "tavus_python",
    "peer": "livekit-agents DataStreamAudioOutput",
    "bridge": "media_bridge",
    "bare": "bare rtc.VideoStream",
}
Rounds = dict[str, list[dict[str, float]]]


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """The URL of a LiveKit server of our own."""
    subprocess.run([SERVER, "--get"], check=True, stdout=subprocess.DEVNULL)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    environment = {**os.environ, "LIVEKIT_PORT": f"{port}"}
    with subprocess.Popen([SERVER], env=environment) as process:
        try:
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
            yield f"ws://127.0.0.1:{port}"
        finally:
            process.terminate()


def _command(*arguments: str) -> list[str]:
    return [sys.executable, f"{PARTS}", *arguments]


def _measure(face: str, part: str, *arguments: str) -> dict[str, float]:
    """Starts one part and, when it is in the room, the avatar."""
    with subprocess.Popen(
        _command(part, *arguments), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        if process.stdout.readline() != "open\n":
            raise RuntimeError(f"{part} did not enter the room")
        with subprocess.Popen(_command(face, *arguments[:2])) as avatar:
            try:
                said = process.stdout.read()
            finally:
                avatar.kill()
    if process.returncode or not said:
        raise RuntimeError(f"{part} failed, see above")
    return json.loads(said)


def _in_turns(
    url: str, face: str, parts: tuple[str, str], rounds: int, *more: str
) -> Rounds:
    measured: Rounds = {part: [] for part in parts}
    for number in range(rounds):
        for part in parts if number % 2 else parts[::-1]:
            room = f"{part}-{number}"
            measured[part].append(_measure(face, part, url, room, *more))
    return measured


def _print(title: str, measured: Rounds) -> None:
    names = list(next(iter(measured.values()))[0])
    print(f"{title:<40}" + "".join(f"{name:>16}" for name in names))
    for part, ones in measured.items():
        values = (
            statistics.median(one[name] for one in ones) for name in names
        )
        row = "".join(f"{value:>16.2f}" for value in values)
        print(f"{NAMES[part]:<40}{row}", flush=True)


def _ratios(measured: Rounds) -> dict[str, float]:
    ours, peers = measured["ours"], measured["peer"]
    return {
        name: statistics.median(one[name] for one in ours)
        / statistics.median(one[name] for one in peers)
        for name in MOST
    }


def main() -> int:
    """Measures and reports; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=20)
    args = parser.parse_args()
    more: Any = ("--count", f"{args.count}")
    with _server() as url:
        voices = _in_turns(url, "avatar", ("ours", "peer"), args.rounds, *more)
        _print(f"voice, {args.rounds} rounds of {args.count}", voices)
        faces = _in_turns(url, "face", ("bridge", "bare"), args.rounds)
        _print(f"720p25, {args.rounds} rounds", faces)
    good = True
    for name, ratio in _ratios(voices).items():
        fine = ratio <= MOST[name]
        good = good and fine
        verdict = "ok" if fine else "NOT GOOD ENOUGH"
        print(
            f"{name} {ratio:.2f} of the peer's, at most {MOST[name]}: {verdict}"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
