#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What it costs to speak to avatars in Agora channels.

Frames of 10 ms are pushed in real time, and how old they are when a server
has them is measured, beside a minimal sender over the library websockets, in
turns. Exits 1 if ours needs more than 1.2 times its CPU, or if of 100 streams
in one process 1 % of the frames are older than 20 ms.

    .venv-bench/bin/python bench/agora.py [--rounds 5] [--seconds 4]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from agora_parts import OURS, PEER

PARTS = Path(__file__).with_name("agora_parts.py")
MOST_CPU = 1.2
MOST_P99_MS = 20.0
MANY = 100
NAMES = {"ours": OURS, "peer": PEER}


def _pinned(core: int, command: list[str]) -> list[str]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return command
    return ["taskset", "--cpu-list", f"{cores[core]}", *command]


def _measure(part: str, port: str, streams: int, seconds: float) -> dict:
    command = [sys.executable, f"{PARTS}", part, "--port", port]
    command += ["--streams", f"{streams}", "--seconds", f"{seconds}"]
    done = subprocess.run(
        _pinned(0, command), check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def main() -> int:
    """Measures and reports; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    args = parser.parse_args()
    results: list[tuple[str, bool]] = []
    with subprocess.Popen(
        _pinned(1, [sys.executable, f"{PARTS}", "receiver"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as receiver:
        assert receiver.stdin and receiver.stdout
        port = receiver.stdout.readline().strip()
        for streams in (1, MANY):
            rounds: dict[str, list[dict]] = {"ours": [], "peer": []}
            for number in range(args.rounds):
                parts = list(rounds)
                for part in parts if number % 2 else parts[::-1]:
                    one = _measure(part, port, streams, args.seconds)
                    rounds[part].append(one)
            results += _report(streams, rounds, args)
        receiver.stdin.close()
    for what, good in results:
        print(f"{what}: {'ok' if good else 'NOT GOOD ENOUGH'}")
    return 0 if all(good for _, good in results) else 1


def _report(
    streams: int, rounds: dict[str, list[dict]], args: argparse.Namespace
) -> list[tuple[str, bool]]:
    title = f"{streams} streams, {args.rounds} rounds of {args.seconds:g} s"
    print(f"{title:<36}{'p50 ms':>8}{'p99 ms':>8}{'CPU %':>8}", end="")
    print(f"{'messages/s':>12}{'MiB':>7}")
    medians = {
        part: {
            name: statistics.median(one[name] for one in ones)
            for name in ones[0]
        }
        for part, ones in rounds.items()
    }
    for part, one in medians.items():
        print(
            f"{NAMES[part]:<36}{one['p50_ms']:>8.2f}{one['p99_ms']:>8.2f}"
            f"{one['cpu_percent']:>8.2f}"
            f"{one['messages'] / args.seconds:>12.0f}"
            f"{one['rss_mib']:>7.0f}"
        )
    ratio = statistics.median(
        ours["cpu_percent"] / peer["cpu_percent"]
        for ours, peer in zip(rounds["ours"], rounds["peer"], strict=True)
    )
    wanted = round(streams * args.seconds * 100)
    least = min(one["frames"] for one in rounds["ours"])
    results = [
        (
            f"{streams}: CPU {ratio:.2f} of the peer's, at most {MOST_CPU}",
            ratio <= MOST_CPU,
        ),
        (f"{streams}: {least} of {wanted} frames came", least >= wanted),
    ]
    if streams == MANY:
        p99_ms = medians["ours"]["p99_ms"]
        text = f"{streams}: p99 {p99_ms:.1f} ms, under {MOST_P99_MS:g}"
        results.append((text, p99_ms < MOST_P99_MS))
    return results


if __name__ == "__main__":
    sys.exit(main())
