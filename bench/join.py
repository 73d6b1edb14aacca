#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""How soon a user who joins has a conversation, and 1,000 users at once.

A TEN app with the extension and a probe in one graph, and a simulator in
another process. The probe measures from sending ``on_user_joined`` until
``tavus_conversation_created`` is here, and in turns with that a bare aiohttp
POST from the same event loop to the same server. Exits 1 if the extension
adds more than 0.5 ms (median), if one of the 1,000 is not served, or if a
conversation is left running.

    .venv/bin/python bench/join.py [--pairs 500] [--users 1000]
"""

import argparse
import asyncio
import functools
import gc
import json
import statistics
import sys
import time
import urllib.request

import aiohttp
import psutil
from join_app import KEY, PING, Bare, BenchApp, Probe
from simulated import simulator

LIMIT_MS = 0.5
WARM_UP_PAIRS = 100
RESULTS: list[tuple[str, bool]] = []


async def measure_pairs(base_url: str, pairs: int, probe: Probe) -> None:
    """One user after the other, in turns with bare POSTs; prints medians."""
    joins: list[float] = []
    posts: list[float] = []
    commands: list[float] = []
    echoes: list[float] = []
    async with aiohttp.ClientSession(headers={"x-api-key": KEY}) as session:
        bare = Bare(session, base_url)
        for number in range(WARM_UP_PAIRS + pairs):
            if number == WARM_UP_PAIRS:
                gc.collect()
                for values in (joins, posts, commands, echoes):
                    values.clear()
            user = f"user-{number}"
            # Each goes first half of the time.
            for turn in (number, number + 1):
                if turn % 2:
                    joins.append(await probe.join(user))
                    await probe.leave(user)
                else:
                    conversation_id, post_ms = await bare.create()
                    posts.append(post_ms)
                    await bare.end(conversation_id)
            began = await probe.command(PING, user)
            commands.append((time.perf_counter() - began) * 1000)
            echoes.append(await probe.ping_data(user))
    differences = [a - b for a, b in zip(joins, posts, strict=True)]
    for name, values in (
        ("on_user_joined to tavus_conversation_created", joins),
        ("bare aiohttp POST", posts),
        ("difference of the two, pair by pair", differences),
        ("of it a command and its result alone", commands),
        ("of it data there and back alone (two hops)", echoes),
    ):
        print(f"{name:<46}{statistics.median(values):8.3f} ms (median)")
    added_ms = statistics.median(differences)
    RESULTS.append(
        (f"added {added_ms:.3f} ms, at most {LIMIT_MS}", added_ms <= LIMIT_MS)
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
        await asyncio.gather(*(bare.end(one) for one, _ in made))
    print(f"{users} users join at once, {active} conversations run:")
    _print_latencies("on_user_joined to created", joins)
    _print_latencies("bare aiohttp POST", [post_ms for _, post_ms in made])
    print(f"  all joined in {joined_s:.2f} s, all gone in {left_s:.2f} s")
    mib = [f"{rss / 2**20:.1f}" for rss in (before, served, after)]
    print(f"  memory (RSS): {mib[0]} MiB, all joined {mib[1]}, gone {mib[2]}")
    RESULTS.append((f"{active} of {users} served", active == users))


def _print_latencies(name: str, values_ms: list[float]) -> None:
    cuts = statistics.quantiles(values_ms, n=100)
    print(f"  {name:<28} p50 {cuts[49]:7.1f} ms, p99 {cuts[98]:7.1f} ms")


def _active(base_url: str) -> int:
    url = base_url.removesuffix("/v2") + "/sim/ledger"
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.load(reply)["active"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--users", type=int, default=1000)
    args = parser.parse_args()
    for measure, count in (
        (measure_pairs, args.pairs),
        (measure_crowd, args.users),
    ):
        with simulator(KEY) as base_url:
            BenchApp.play(
                functools.partial(measure, base_url, count), base_url=base_url
            )
            left = _active(base_url)
        RESULTS.append((f"{left} conversations left", left == 0))
    for what, good in RESULTS:
        print(f"{what}: {'ok' if good else 'NOT GOOD ENOUGH'}")
    return 0 if all(good for _, good in RESULTS) else 1


if __name__ == "__main__":
    sys.exit(main())
