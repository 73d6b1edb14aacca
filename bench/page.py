#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the page costs who opens it: bytes, time to see and to talk, shifts.

Chromium visits the example app (in front of a simulated Tavus) as somebody
who was never there, calls and ends the call: on this machine as it is, and as
Lighthouse's phone (slow 4G, a processor a quarter as fast). Medians of the
visits. Exits 1 where a limit is missed.

    .venv/bin/python bench/page.py [--visits 5]
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

import checkout

sys.path.append(str(checkout.ROOT / "tests"))
# pylint: disable=wrong-import-position
from support.app import running
from support.browser import chromium
from support.figures import Figures, measure

LIMIT_BYTES = 250_000
# What Lighthouse calls good (web.dev/articles/vitals).
LIMIT_FIRST_PAINT_MS = 1800
LIMIT_LARGEST_PAINT_MS = 2500
PHONE = {"width": 390, "height": 844}


async def measure_visits(visits: int) -> dict[str, list[Figures]]:
    """So many visits, as they are and slow, in turns."""
    found: dict[str, list[Figures]] = {"this machine": [], "slow phone": []}
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder)) as app, chromium() as browser:
            for _ in range(visits):
                for name, figures in found.items():
                    figures.append(
                        await measure(
                            browser,
                            app.url,
                            slow=name == "slow phone",
                            viewport=PHONE,
                        )
                    )
    return found


def print_table(found: dict[str, list[Figures]]) -> list[tuple[str, bool]]:
    """Prints what was found; what was asked, and whether it is so."""
    checks = []
    for load in found["this machine"][0].loads:
        print(f"{load.path:<46}{load.wire_bytes:>9,} bytes")
    for name, visits in found.items():
        size = max(one.wire_bytes for one in visits)
        first_ms = statistics.median(one.first_paint_ms for one in visits)
        largest_ms = statistics.median(one.largest_paint_ms for one in visits)
        start_ms = statistics.median(one.start_ms for one in visits)
        shift = max(one.layout_shift for one in visits)
        print(
            f"{name:<14}{size:>9,} bytes, first paint {first_ms:.0f} ms, "
            f"largest {largest_ms:.0f} ms, Start to face {start_ms:.0f} ms, "
            f"layout shift {shift:.3f}"
        )
        checks += [
            (f"{name}: under {LIMIT_BYTES:,} bytes", size < LIMIT_BYTES),
            (
                f"{name}: first paint within {LIMIT_FIRST_PAINT_MS} ms",
                first_ms <= LIMIT_FIRST_PAINT_MS,
            ),
            (
                f"{name}: largest paint within {LIMIT_LARGEST_PAINT_MS} ms",
                largest_ms <= LIMIT_LARGEST_PAINT_MS,
            ),
            (f"{name}: nothing shifts", shift == 0),
        ]
    return checks


def main() -> int:
    """Measure, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--visits", type=int, default=5)
    args = parser.parse_args()
    checks = print_table(asyncio.run(measure_visits(args.visits)))
    for what, good in checks:
        print(f"{what}: {'ok' if good else 'NOT GOOD ENOUGH'}")
    return 0 if all(good for _, good in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
