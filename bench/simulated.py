#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The simulated Tavus of a benchmark, in a process of its own."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

import checkout


@contextlib.contextmanager
def simulator(api_key: str, before: Sequence[str] = ()) -> Iterator[str]:
    """Runs it, at 0 ms.

    Args:
        api_key: The one that it takes.
        before: Goes before the command, such as ``taskset``.

    Yields:
        Its base URL.
    """
    with subprocess.Popen(
        [
            *(*before, sys.executable, "-m", "tavus_sim"),
            *("--port", "0", "--api-key", api_key),
        ],
        cwd=checkout.ROOT / "devkit",
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split(" on ")[1].split()[0]
        finally:
            process.terminate()
