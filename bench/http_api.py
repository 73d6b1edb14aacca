#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the HTTP API costs beside a bare aiohttp handler.

wrk creates and ends conversations through the HTTP API of a TEN app, and in
turns through a handler that makes the same two calls of Tavus and nothing
else. Then 500 event streams are opened at each. Prints throughput, latency
and memory; exits 1 if the API has less than 0.6 of the bare handler's
throughput, if a request failed, or if it left a conversation running.

    .venv/bin/python bench/http_api.py [--rounds 5] [--seconds 5]
                                       [--streams 500]

Needs wrk (Debian: apt-get install wrk).
"""

import argparse
import json
import shutil
import statistics
import sys
import urllib.request

import checkout
from http_bare import NAME as BARE_NAME
from http_contenders import (
    API,
    BARE,
    MESSAGES,
    Contender,
    server,
    simulator,
)

LEAST = 0.6
WARM_UP_S = 2
RESULTS: list[tuple[str, bool]] = []


def measure_pairs(args: argparse.Namespace) -> None:
    """Both create and end, in turns; prints throughput and latency."""
    with simulator() as base_url:
        with (
            server(BARE, "http_bare.py", base_url) as bare,
            server(MESSAGES, "http_messages.py", base_url) as messages,
            server(API, "http_app.py", base_url) as api,
        ):
            all_of_them = (bare, messages, api)
            for number in range(1 + args.rounds):
                seconds = args.seconds if number else WARM_UP_S
                turns = all_of_them if number % 2 else all_of_them[::-1]
                for one in turns:
                    one.take_turn(seconds, args.connections, f"u{number}")
                    if not number:
                        one.rounds.clear()
        ledger = _ledger(base_url)
    _report_pairs(all_of_them, args)
    ours = [
        one
        for one in ledger["conversations"]
        if not one["conversation_name"].startswith(BARE_NAME)
    ]
    left = sum(one["status"] == "active" for one in ours)
    RESULTS.append((f"{left} of {len(ours)} conversations left", left == 0))


def _report_pairs(
    contenders: tuple[Contender, ...], args: argparse.Namespace
) -> None:
    what = f"create+end, {args.connections} connections, {args.rounds} rounds"
    print(f"{f'{what} of {args.seconds} s':<52}", end="")
    print(f"{'pairs/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'CPU ms':>8}")
    for one in contenders:
        print(f"{one.name:<52}{one.median('pairs_per_s'):>9.0f}", end="")
        for name in ("p50_ms", "p99_ms", "cpu_ms"):
            print(f"{one.median(name):>8.2f}", end="")
        print()
        failed = sum(turn.failed for turn in one.rounds)
        RESULTS.append((f"{one.name}: {failed} failed", failed == 0))
    bare, messages, api = contenders
    print(f"{MESSAGES}: {_ratio(messages, bare):.2f} of the bare handler's")
    ratio = _ratio(api, bare)
    text = f"throughput {ratio:.2f} of the bare handler's, at least {LEAST}"
    RESULTS.append((text, ratio >= LEAST))


def _ratio(one: Contender, other: Contender) -> float:
    return statistics.median(
        a.pairs_per_s / b.pairs_per_s
        for a, b in zip(one.rounds, other.rounds, strict=True)
    )


def measure_streams(count: int) -> None:
    """Opens event streams at each; prints the memory that each takes."""
    kib = {}
    with simulator() as base_url:
        for name, script in ((BARE, "http_bare.py"), (API, "http_app.py")):
            with server(name, script, base_url) as one:
                kib[name] = one.stream_kib(count)
    print(f"{f'{count} event streams':<52}{'KiB/stream':>12}")
    for name, value in kib.items():
        print(f"{name:<52}{value:>12.1f}")


def _ledger(base_url: str) -> dict[str, list[dict[str, str]]]:
    url = base_url.removesuffix("/v2") + "/sim/ledger"
    with urllib.request.urlopen(url, timeout=60) as reply:
        return json.load(reply)


def main() -> int:
    """Measures and reports; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--streams", type=int, default=500)
    args = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("bench: wrk is missing; on Debian: apt-get install wrk")
    print(f"on {checkout.runtime_name()}", flush=True)
    measure_pairs(args)
    measure_streams(args.streams)
    for what, good in RESULTS:
        print(f"{what}: {'ok' if good else 'NOT GOOD ENOUGH'}")
    return 0 if all(good for _, good in RESULTS) else 1


if __name__ == "__main__":
    sys.exit(main())
