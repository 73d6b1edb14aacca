#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""How soon a user who joins has a conversation, and 1,000 users at once.

A TEN app with the extension and a probe in one graph, and a simulator in
another process. The probe measures from sending ``on_user_joined`` until
``tavus_conversation_created`` is here. In turns with that it measures a
minimal extension that answers, posts, and tells, and a bare aiohttp POST, all
from the same event loop to the same server. Exits 1 if the extension takes
0.1 ms longer than the minimal one (median), if one of the 1,000 is not
served, or if a conversation is left running.

    .venv/bin/python bench/join.py [--rounds 500] [--users 1000]

On the native runtime, where PYTHONPATH names it: see docs/development.md.
"""

import argparse
import asyncio
import functools
import gc
import json
import random
import statistics
import subprocess
import sys
import time
import urllib.request

import aiohttp
import checkout
import psutil
from join_app import KEY, PING, Bare, BenchApp, Probe
from simulated import simulator

OURS = "on_user_joined to tavus_conversation_created"
MINIMAL = "a minimal extension"
BARE = "a bare aiohttp POST"
COMMAND = "a command and its result alone"
ECHO = "data there and back alone (two hops)"
OVER_MINIMAL_MS = 0.1
WARM_UP_ROUNDS = 100


async def measure_rounds(base_url: str, rounds: int, probe: Probe) -> None:
    """One user after the other, each way in turns; prints medians."""
    taken: dict[str, list[float]] = {}
    async with aiohttp.ClientSession(headers={"x-api-key": KEY}) as session:
        bare = Bare(session, base_url)

        async def join(user: str) -> float:
            took_ms = await probe.join(user)
            await probe.leave(user)
            return took_ms

        async def post(_: str) -> float:
            made, took_ms = await bare.create()
            await bare.end(made["conversation_id"])
            return took_ms

        async def command(user: str) -> float:
            began = await probe.command(PING, user)
            return (time.perf_counter() - began) * 1000

        ways = [(OURS, join), (MINIMAL, probe.only_post), (BARE, post)]
        ways += [(COMMAND, command), (ECHO, probe.ping_data)]
        order = random.Random(0)
        for number in range(WARM_UP_ROUNDS + rounds):
            if number == WARM_UP_ROUNDS:
                gc.collect()
                taken.clear()
            order.shuffle(ways)
            for name, way in ways:
                took_ms = await way(f"user-{number}")
                taken.setdefault(name, []).append(took_ms)
    for name in (OURS, MINIMAL, BARE, COMMAND, ECHO):
        values = taken[name]
        print(f"{name:<46}{statistics.median(values):8.3f} ms (median)")
    for other in (BARE, MINIMAL):
        added_ms = _added_ms(taken, other)
        print(f"{f'ours over {other}, round by round':<46}{added_ms:8.3f} ms")
    _verdict(
        f"{added_ms:.3f} ms over {MINIMAL}, at most {OVER_MINIMAL_MS}",
        added_ms <= OVER_MINIMAL_MS,
    )


def _added_ms(taken: dict[str, list[float]], other: str) -> float:
    return statistics.median(
        a - b for a, b in zip(taken[OURS], taken[other], strict=True)
    )


async def measure_crowd(base_url: str, users: int, probe: Probe) -> None:
    """All users join at once, then all leave at once; prints the times."""
    process = psutil.Process()
    names = [f"user-{number}" for number in range(users)]
    before = process.memory_info().rss
    began = time.perf_counter()
    joins = await asyncio.gather(*(probe.join(name) for name in names))
    joined_s = time.perf_counter() - began
    served = process.memory_info().rss
    active = _active(base_url)
    began = time.perf_counter()
    await asyncio.gather(*(probe.leave(name) for name in names))
    left_s = time.perf_counter() - began
    after = process.memory_info().rss
    async with aiohttp.ClientSession(headers={"x-api-key": KEY}) as session:
        bare = Bare(session, base_url)
        made = await asyncio.gather(*(bare.create() for _ in names))
        await asyncio.gather(
            *(bare.end(one["conversation_id"]) for one, _ in made)
        )
    print(f"{users} users join at once, {active} conversations run:")
    _print_latencies("on_user_joined to created", joins)
    _print_latencies("bare aiohttp POST", [post_ms for _, post_ms in made])
    print(f"  all joined in {joined_s:.2f} s, all gone in {left_s:.2f} s")
    mib = [f"{rss / 2**20:.1f}" for rss in (before, served, after)]
    print(f"  memory (RSS): {mib[0]} MiB, all joined {mib[1]}, gone {mib[2]}")
    _verdict(f"{active} of {users} served", active == users)


def _print_latencies(name: str, values_ms: list[float]) -> None:
    cuts = statistics.quantiles(values_ms, n=100)
    print(f"  {name:<28} p50 {cuts[49]:7.1f} ms, p99 {cuts[98]:7.1f} ms")


def _active(base_url: str) -> int:
    url = base_url.removesuffix("/v2") + "/sim/ledger"
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.load(reply)["active"]


def _verdict(what: str, good: bool) -> None:
    print(f"{what}: {'ok' if good else 'NOT GOOD ENOUGH'}", flush=True)
    if not good:
        _failed.append(what)


_failed: list[str] = []
_MEASURES = {"rounds": measure_rounds, "users": measure_crowd}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--users", type=int, default=1000)
    # For itself: a process can run one TEN app only.
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--base-url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure, count = _MEASURES[args.measure], getattr(args, args.measure)
        BenchApp.play(
            functools.partial(measure, args.base_url, count), args.base_url
        )
        return 1 if _failed else 0
    print(f"on {checkout.runtime_name()}", flush=True)
    for name in _MEASURES:
        with simulator(KEY) as base_url:
            again = [sys.executable, *sys.argv, f"--measure={name}"]
            done = subprocess.run(
                [*again, f"--base-url={base_url}"], check=False
            )
            if done.returncode:
                _failed.append(name)
            left = _active(base_url)
        _verdict(f"{left} conversations left", left == 0)
    return 1 if _failed else 0


if __name__ == "__main__":
    sys.exit(main())
