#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The example as a person runs it: a process, ports, signals."""

import asyncio
import json
import os
import signal
import socket
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.http_node import Browser, Events, free_port
from support.watched import WatchedSimulator
from tavus_sim import ThreadedSim

ROOT = Path(__file__).resolve().parent.parent
START = ROOT / "examples" / "tavus" / "bin" / "start"
TENAPP = ROOT / "examples" / "tavus" / "tenapp"
READY_S = 40.0
CREATED = "tavus_conversation_created"

pytestmark = pytest.mark.skipif(
    not (ROOT / ".venv" / "bin" / "python").exists(),
    reason="the example needs the network once: run bin/setup first",
)


class Example:
    """examples/tavus/bin/start as a process; a context manager.

    Args:
        folder: Where it is called from, and has its journal.
        env: The environment beside the usual; ports are free ones.
    """

    def __init__(self, folder: Path, **env: str) -> None:
        usual = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("TAVUS_")
        }
        self._folder = folder
        self._env = {
            **usual,
            "TAVUS_HTTP_PORT": "0",
            "TAVUS_SIM_PORT": "0",
            "TAVUS_JOURNAL_DIR": str(folder / "journal"),
            **env,
        }
        self.output: list[str] = []
        self.below: list[psutil.Process] = []
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The process of bin/start."""
        assert self._process is not None
        return self._process

    async def __aenter__(self) -> "Example":
        self._process = await asyncio.create_subprocess_exec(
            str(START),
            env=self._env,
            cwd=self._folder,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.terminate()
            await self.ended()

    async def ready(self) -> str:
        """Waits until it can be used; the URL that it prints."""
        line = await asyncio.wait_for(self._line("tavus: ready: "), READY_S)
        self.below = psutil.Process(self.process.pid).children(recursive=True)
        return line.split()[-1]

    async def ended(self) -> str:
        """Waits for its end; all that it printed."""
        await asyncio.wait_for(self._line(None), READY_S)
        await asyncio.wait_for(self.process.wait(), READY_S)
        return "\n".join(self.output)

    @property
    def app(self) -> psutil.Process:
        """The TEN app."""
        (app,) = [p for p in self.below if "main.py" in p.cmdline()]
        return app

    def kill_app(self, number: signal.Signals) -> None:
        """Sends the app, and nobody else, a signal."""
        self.app.send_signal(number)

    async def _line(self, start: str | None) -> str:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            text = line.decode().rstrip()
            self.output.append(text)
            if start is not None and text.startswith(start):
                return text
        assert start is None, "\n".join(self.output)
        return ""


def account(sim: ThreadedSim) -> dict[str, str]:
    """The environment of one who has a Tavus account."""
    return {
        "TAVUS_API_KEY": "tvk-0123456789abcdef",
        "TAVUS_BASE_URL": sim.base_url,
        "TAVUS_REPLICA_ID": "r9d30b0e55ac",
    }


async def call_each(browser: Browser, count: int) -> list[Events]:
    """Opens so many tabs; each has its conversation."""
    tabs = [await browser.listen(f"u{n}") for n in range(count)]
    for tab in tabs:
        event = await tab.next()
        assert event is not None and event[0] == CREATED
    return tabs


async def ledger_when(
    browser: Browser, url: str, active: int, within_s: float
) -> dict[str, Any]:
    """Asks the example's own simulator until so many are active."""

    async def ask() -> dict[str, Any]:
        while True:
            async with browser.session.get(url) as reply:
                ledger = await reply.json()
            if ledger["active"] == active:
                return ledger

    return await asyncio.wait_for(ask(), within_s)


async def test_from_nothing_to_a_call_and_back(tmp_path: Path) -> None:
    async with Example(tmp_path) as example:
        url = await example.ready()
        text = "\n".join(example.output)
        assert "TAVUS_API_KEY is not set: a simulated Tavus is used" in text
        async with Browser(url) as browser:
            events = await browser.listen("me")
            event = await events.next()
            assert event is not None
            name, call = event
            assert name == CREATED
            room = call["conversation_url"]
            async with browser.session.get(room) as page:
                assert page.status == 200
            sim = room.split("/room/")[0]
            events.close()
            ledger = await ledger_when(browser, f"{sim}/sim/ledger", 0, 10)
            assert ledger["created"] == ledger["ended"] == 1
            (entry,) = ledger["conversations"]
            assert entry["conversation_id"] == call["conversation_id"]

        # A terminal sends Ctrl-C to the whole foreground group.
        os.killpg(example.process.pid, signal.SIGINT)
        text = await example.ended()
        assert example.process.returncode == 130
        assert "The app is closed." in text
        assert not any(process.is_running() for process in example.below)
        for address in (url, sim):
            port = int(address.rsplit(":", 1)[1])
            with socket.socket() as sock:
                assert sock.connect_ex(("127.0.0.1", port)) != 0


async def test_after_a_kill_the_next_start_ends_what_was_left(
    tmp_path: Path,
) -> None:
    simulator = WatchedSimulator()
    with ThreadedSim(simulator) as sim:
        async with Example(tmp_path, **account(sim)) as example:
            async with Browser(await example.ready()) as browser:
                await call_each(browser, 20)
                assert len(simulator.active) == 20
                example.kill_app(signal.SIGKILL)
                text = await example.ended()
            assert example.process.returncode == 1
            assert "the app has ended by itself (status 137)" in text
        assert len(simulator.active) == 20
        async with Example(tmp_path, **account(sim)) as example:
            await example.ready()
            await simulator.until(lambda: simulator.active == [], 5)
        ledger = simulator.ledger()
        assert (ledger["created"], ledger["ended"]) == (20, 20)


async def test_after_a_kill_an_unreachable_tavus_is_waited_for(
    tmp_path: Path,
) -> None:
    simulator = WatchedSimulator()
    port = free_port()
    with ThreadedSim(simulator, port=port) as sim:
        async with (
            Example(tmp_path, **account(sim)) as example,
            Browser(await example.ready()) as browser,
        ):
            await call_each(browser, 20)
            example.kill_app(signal.SIGKILL)
            await example.ended()
    async with Example(tmp_path, **account(sim)) as example:
        await example.ready()
        assert len(simulator.active) == 20
        with ThreadedSim(simulator, port=port):
            await simulator.until(lambda: simulator.active == [], 5)


async def test_a_start_that_cannot_reach_tavus_works_when_it_can(
    tmp_path: Path,
) -> None:
    simulator = WatchedSimulator()
    port = free_port()
    sim = ThreadedSim(simulator, port=port)
    simulator.base_url = f"http://127.0.0.1:{port}"
    async with (
        Example(tmp_path, **account(sim)) as example,
        Browser(await example.ready()) as browser,
    ):
        events = await browser.listen("u1")
        event = await events.next()
        assert event is not None
        assert (event[0], event[1]["kind"]) == ("tavus_error", "network")
        with sim:
            # It is tried again while the user waits.
            while event is not None and event[0] != CREATED:
                event = await events.next()
            assert len(simulator.active) == 1
            events.close()
            await simulator.until(lambda: simulator.active == [])


@pytest.mark.parametrize("whom", ["app", "start"])
async def test_sigterm_ends_every_call_within_two_seconds(
    tmp_path: Path, whom: str
) -> None:
    loop = asyncio.get_running_loop()
    simulator = WatchedSimulator()
    with ThreadedSim(simulator) as sim:
        async with Example(tmp_path, **account(sim)) as example:
            async with Browser(await example.ready()) as browser:
                await call_each(browser, 20)
                assert len(simulator.active) == 20
                began = loop.time()
                if whom == "app":
                    example.kill_app(signal.SIGTERM)
                else:
                    example.process.terminate()
                text = await example.ended()
                assert loop.time() - began < 2
            assert simulator.active == []
            assert "The app is closed." in text
            code = {"app": 1, "start": 143}[whom]
            assert example.process.returncode == code
            assert not any(p.is_running() for p in example.below)


@pytest.mark.parametrize("name", ["TAVUS_HTTP_PORT", "TAVUS_SIM_PORT"])
async def test_a_port_in_use_is_named(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = str(sock.getsockname()[1])
        async with Example(tmp_path, **{name: port}) as example:
            text = await example.ended()
    assert example.process.returncode == 1
    assert f"tavus: port {port} is in use; choose another: {name}=" in text


@pytest.mark.parametrize("port", ["http", "-1", "65536"])
async def test_what_is_no_port_is_named(tmp_path: Path, port: str) -> None:
    async with Example(tmp_path, TAVUS_HTTP_PORT=port) as example:
        text = await example.ended()
    assert example.process.returncode == 1
    assert f"tavus: TAVUS_HTTP_PORT: '{port}' is no port; write" in text


async def test_an_account_without_a_face_gets_a_stock_one(
    tmp_path: Path,
) -> None:
    with ThreadedSim() as sim:
        env = account(sim)
        del env["TAVUS_REPLICA_ID"]
        async with Example(tmp_path, **env) as example:
            browser = Browser(await example.ready())
            async with browser:
                await call_each(browser, 1)
                (made,) = sim.simulator.active
                asked = sim.simulator.conversation(made).request
                assert asked["replica_id"] == "r4067604db72"
        text = "\n".join(example.output)
        assert "TAVUS_PERSONA_ID" in text
        assert env["TAVUS_API_KEY"] not in text
        assert sim.simulator.active == []


async def test_the_app_takes_the_properties_of_tens_server(
    tmp_path: Path,
) -> None:
    port = free_port()
    properties = json.loads((TENAPP / "property.json").read_text())
    graph = properties["ten"]["predefined_graphs"][0]["graph"]
    graph["nodes"][1]["property"]["port"] = port
    file = tmp_path / "property-room-1.json"
    file.write_text(json.dumps(properties))
    process = await asyncio.create_subprocess_exec(
        str(TENAPP / "bin" / "start"), "--property", str(file), stderr=PIPE
    )
    assert process.stderr is not None
    log = ""
    while "listening on" not in log:
        line = await asyncio.wait_for(process.stderr.readline(), READY_S)
        assert line, log
        log += line.decode()
    assert f"listening on http://127.0.0.1:{port}\n" in log
    process.terminate()
    await asyncio.wait_for(process.communicate(), READY_S)
    assert process.returncode == 0


async def test_a_property_file_that_is_not_there_is_named(
    tmp_path: Path,
) -> None:
    process = await asyncio.create_subprocess_exec(
        str(TENAPP / "bin" / "start"),
        "--property",
        str(tmp_path / "none.json"),
        stdout=PIPE,
        stderr=STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), READY_S)
    assert process.returncode == 2
    assert "--property: there is no file" in output.decode()
