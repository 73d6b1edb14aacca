#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""examples/tavus/bin/start as a person runs it: a process, ports, signals."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path

import psutil
import pytest
from support.places import ROOT
from tavus_sim import ThreadedSim
from typing_extensions import Self

START = ROOT / "examples" / "tavus" / "bin" / "start"
TENAPP = ROOT / "examples" / "tavus" / "tenapp"
READY_S = 40.0

needs_setup = pytest.mark.skipif(
    not (ROOT / ".venv" / "bin" / "python").exists(),
    reason="the example needs the network once: run bin/setup first",
)
needs_page = pytest.mark.skipif(
    not (ROOT / "web" / "dist" / "index.html").exists()
    and os.environ.get("CI") != "true",
    reason="the page needs Node once: run bin/setup with it",
)


class Example:
    """examples/tavus/bin/start as a process; a context manager.

    ``start`` is the script, which is ready within ``ready_s``; ``via`` is a
    command that runs it. Other examples are subclasses.

    Args:
        folder: Where it is called from, and has its journal.
        arguments: Of bin/start.
        env: The environment beside the usual; ports are free ones.
    """

    start = START
    ready_s = READY_S
    via: tuple[str, ...] = ()

    def __init__(self, folder: Path, *arguments: str, **env: str) -> None:
        usual = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TAVUS_", "LIVEKIT_", "AGORA_"))
        }
        self._folder = folder
        self._arguments = arguments
        self._env = {
            **usual,
            "TAVUS_HTTP_PORT": "0",
            "TAVUS_SIM_PORT": "0",
            "TAVUS_JOURNAL_DIR": str(folder / "journal"),
            "TAVUS_HTTP_CREATE_LIMIT": "off",
            "TAVUS_HTTP_MAX_ACTIVE": "0",
            "TAVUS_LEAVE_GRACE_MS": "1000",
            **env,
        }
        self.output: list[str] = []
        self.below: list[psutil.Process] = []
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready = asyncio.get_running_loop().create_future()

    @property
    def process(self) -> Process:
        """The process of bin/start."""
        assert self._process is not None
        return self._process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self.via,
            str(self.start),
            *self._arguments,
            env=self._env,
            cwd=self._folder,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        await self.ended()

    async def ready(self) -> str:
        """Waits until it can be used; the URL that it prints."""
        line = await asyncio.wait_for(asyncio.shield(self._ready), self.ready_s)
        self.below = psutil.Process(self.process.pid).children(recursive=True)
        return line.split()[-1]

    async def ended(self) -> str:
        """Waits for its end; all that it printed."""
        assert self._reading is not None
        await asyncio.wait_for(self._reading, self.ready_s)
        await asyncio.wait_for(self.process.wait(), self.ready_s)
        return "\n".join(self.output)

    def process_of(self, argument: str) -> psutil.Process:
        """The one process that it has started with that argument."""
        found: list[psutil.Process] = []
        for process in psutil.Process(self.process.pid).children(
            recursive=True
        ):
            # The script's own short-lived ones end while they are looked at.
            with contextlib.suppress(psutil.Error):
                if argument in process.cmdline():
                    found.append(process)
        (one,) = found
        return one

    @property
    def app(self) -> psutil.Process:
        """The TEN app."""
        return self.process_of("main.py")

    def kill_app(self, number: signal.Signals) -> None:
        """Sends the app, and nobody else, a signal."""
        self.app.send_signal(number)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            text = line.decode().rstrip()
            self.output.append(text)
            if text.startswith("tavus: ready: ") and not self._ready.done():
                self._ready.set_result(text)
        if not self._ready.done():
            self._ready.set_exception(AssertionError("\n".join(self.output)))
            self._ready.exception()  # not everybody waits for it


class AgoraExample(Example):
    """examples/tavus-agora/bin/start, with its WAV files in the folder."""

    start = ROOT / "examples" / "tavus-agora" / "bin" / "start"

    def __init__(self, folder: Path, *arguments: str, **env: str) -> None:
        env = {"TAVUS_EXAMPLE_OUT": str(folder), **env}
        super().__init__(folder, *arguments, **env)


def account(sim: ThreadedSim) -> dict[str, str]:
    """The environment of one who has a Tavus account."""
    return {
        "TAVUS_API_KEY": "tvk-0123456789abcdef",
        "TAVUS_BASE_URL": sim.base_url,
        "TAVUS_REPLICA_ID": "r9d30b0e55ac",
    }
