#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What bench/http_api.py measures: servers in processes of their own."""

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import simulated

HERE = Path(__file__).resolve().parent
KEY = "bench-key-0123456789"
API, BARE = "tavus_http_python", "bare aiohttp"
MESSAGES = "HTTP and messages of a graph alone"
# Opened and closed before memory is looked at: the first streams grow pools
# that the others share.
WARM_UP_STREAMS = 50
UP_WITHIN_S = 20.0
# What is under test has one core to itself; the simulator and wrk share
# another.
TESTED, REST = 0, 1


@dataclass
class Round:
    """What wrk and the system said of one round."""

    pairs_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    failed: int


@dataclass
class Contender:
    """A server under test.

    Args:
        name: For the report.
        process: The server.
        port: Where it listens.
        rounds: What was measured.
    """

    name: str
    process: subprocess.Popen[bytes]
    port: int
    rounds: list[Round] = field(default_factory=list)

    def take_turn(self, seconds: int, connections: int, label: str) -> None:
        """Runs wrk for a while."""
        before = _cpu_s(self.process)
        wrk = [
            *("wrk", "--threads", "1", "--connections", f"{connections}"),
            *("--duration", f"{seconds}s", "--timeout", "10s"),
            *("--script", f"{HERE / 'http_pairs.lua'}"),
            *(f"http://127.0.0.1:{self.port}", label),
        ]
        output = subprocess.run(
            _pinned(REST, wrk), check=True, capture_output=True, text=True
        ).stdout
        said = json.loads(output[output.index("{") :])
        pairs = said["requests"] / 2
        if not pairs:
            raise RuntimeError(f"{self.name} answered nothing:\n{output}")
        self.rounds.append(
            Round(
                pairs_per_s=pairs / (said["duration_us"] / 1e6),
                p50_ms=said["p50_us"] / 1000,
                p99_ms=said["p99_us"] / 1000,
                cpu_ms=(_cpu_s(self.process) - before) / pairs * 1000,
                failed=said["failed"],
            )
        )

    def stream_kib(self, count: int) -> float:
        """Opens event streams; how much memory each takes, in KiB."""
        process = psutil.Process(self.process.pid)
        with self._streams("warm", WARM_UP_STREAMS):
            pass
        self._settle()
        before = process.memory_info().rss
        with self._streams("listener", count):
            self._settle()
            after = process.memory_info().rss
        self._settle()
        return (after - before) / count / 1024

    @contextlib.contextmanager
    def _streams(self, prefix: str, count: int) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            opened = []
            for number in range(count):
                address = ("127.0.0.1", self.port)
                one = socket.create_connection(address, timeout=10)
                opened.append(stack.enter_context(one))
                path = f"/api/tavus/events?user_id={prefix}-{number}"
                one.sendall(
                    f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}"
                    "\r\nAccept: text/event-stream\r\n\r\n".encode()
                )
            for one in opened:
                said = b""
                while b"retry:" not in said:
                    more = one.recv(4096)
                    said += more
                    if not more or not said.startswith(b"HTTP/1.1 200"):
                        raise RuntimeError(f"{self.name}: no stream: {said!r}")
            yield

    def _settle(self) -> None:
        """Lets the server finish what the streams set off."""
        for _ in range(5):
            time.sleep(0.2)
            _answers(self.port)

    def median(self, name: str) -> float:
        return statistics.median(getattr(one, name) for one in self.rounds)


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def _pinned(which: int, command: list[str]) -> list[str]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return command
    return ["taskset", "--cpu-list", f"{cores[which]}", *command]


def _answers(port: int) -> bool:
    url = f"http://127.0.0.1:{port}/health"
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return reply.status == 200
    except OSError:
        return False


def simulator() -> contextlib.AbstractContextManager[str]:
    """The base URL of a simulator that shares its core with wrk."""
    return simulated.simulator(KEY, _pinned(REST, []))


@contextlib.contextmanager
def server(name: str, script: str, base_url: str) -> Iterator[Contender]:
    """A server under test in a process of its own."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with (
        tempfile.TemporaryDirectory(prefix="bench-http-") as folder,
        (Path(folder) / "log").open("wb") as log,
    ):
        command = [sys.executable, f"{HERE / script}", base_url, f"{port}"]
        if name == API:
            command.append(f"{folder}/journal")
        process = subprocess.Popen(
            _pinned(TESTED, command), stdout=log, stderr=log
        )
        try:
            give_up_at = time.monotonic() + UP_WITHIN_S
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > give_up_at:
                    log_text = Path(log.name).read_text(encoding="utf-8")
                    raise RuntimeError(f"{name} did not start:\n{log_text}")
                time.sleep(0.05)
            yield Contender(name, process, port)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
