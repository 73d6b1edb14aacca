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
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any

import pytest
from support.example import READY_S, TENAPP, Example, account, needs_setup
from support.http_node import Browser, Events, free_port
from support.watched import WatchedSimulator
from tavus_sim import ThreadedSim

pytestmark = needs_setup


async def call(browser: Browser, user_id: str) -> tuple[Events, dict[str, Any]]:
    """Opens a tab and starts there; the tab, and the answer's data."""
    tab = await browser.listen(user_id)
    status, answer = await browser.create(user_id=user_id)
    assert status == 200, answer
    return tab, answer["data"]


async def call_each(browser: Browser, count: int) -> None:
    """Opens so many tabs; each has its conversation."""
    for n in range(count):
        await call(browser, f"u{n}")


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
            tab, made = await call(browser, "me")
            room = made["conversation_url"]
            async with browser.session.get(room) as page:
                assert page.status == 200
            sim = room.split("/room/")[0]
            tab.close()
            ledger = await ledger_when(browser, f"{sim}/sim/ledger", 0, 10)
            assert ledger["created"] == ledger["ended"] == 1
            (entry,) = ledger["conversations"]
            assert entry["conversation_id"] == made["conversation_id"]
            assert entry["ended_by"] == "client"

        # A terminal sends Ctrl-C to the whole foreground group.
        os.killpg(example.process.pid, signal.SIGINT)
        text = await example.ended()
        assert example.process.returncode == 130
        assert "tavus: the app is closed." in text
        assert not any(process.is_running() for process in example.below)
        for address in (url, sim):
            port = int(address.rsplit(":", 1)[1])
            with socket.socket() as sock:
                assert sock.connect_ex(("127.0.0.1", port)) != 0


async def test_it_says_which_runtime_it_runs_on(tmp_path: Path) -> None:
    async with Example(tmp_path) as example:
        await example.ready()
        text = "\n".join(example.output)
    native = "TEN_DIST" in os.environ
    assert ("it runs on the native TEN runtime of TEN_DIST" in text) == native
    assert ("it runs on the stand-in for TEN's runtime" in text) != native


async def test_an_open_tab_alone_starts_nothing(tmp_path: Path) -> None:
    simulator = WatchedSimulator()
    with ThreadedSim(simulator) as sim:
        async with (
            Example(tmp_path, **account(sim)) as example,
            Browser(await example.ready()) as browser,
        ):
            await browser.listen("me")
            # Its join went to the graph before this start did.
            await call(browser, "another")
    assert simulator.ledger()["created"] == 1


async def test_the_simulated_tavus_reports_to_the_app(tmp_path: Path) -> None:
    async with (
        Example(tmp_path) as example,
        Browser(await example.ready()) as browser,
    ):
        tab, made = await call(browser, "me")
        room = made["conversation_url"].replace("/room/", "/sim/conversations/")
        async with browser.session.post(f"{room}/join") as reply:
            assert reply.status == 204
        seen = []
        while "system.replica_joined" not in seen:
            event = await tab.next()
            assert event is not None
            if event[0] == "tavus_event":
                seen.append(event[1]["event_type"])
                assert event[1]["source"] == "webhook"


async def test_the_app_is_known_by_its_public_url(tmp_path: Path) -> None:
    secret = "a-secret-for-webhooks-0123456789"
    with ThreadedSim() as sim:
        async with (
            Example(
                tmp_path,
                **account(sim),
                TAVUS_PUBLIC_URL="https://talk.example.com/",
                TAVUS_WEBHOOK_SECRET=secret,
            ) as example,
            Browser(await example.ready()) as browser,
        ):
            for host, expected in (("talk", 200), ("other", 403)):
                status, _ = await browser.ask(
                    "GET",
                    "/api/tavus/config",
                    headers={"host": f"{host}.example.com"},
                )
                assert status == expected
            _, made = await call(browser, "me")
            asked = sim.simulator.conversation(made["conversation_id"]).request
            assert asked["callback_url"] == (
                f"https://talk.example.com/api/tavus/webhook/{secret}"
            )


async def test_no_secret_is_printed(tmp_path: Path) -> None:
    secret = "a-secret-for-webhooks-0123456789"
    token = "a-token-for-people-0123456789"
    async with (
        Example(
            tmp_path, TAVUS_WEBHOOK_SECRET=secret, TAVUS_HTTP_TOKEN=token
        ) as example,
        Browser(await example.ready()) as browser,
    ):
        path = f"/api/tavus/webhook/{secret}"
        status, _ = await browser.ask("POST", path, json={})
        assert status == 422
        status, _ = await browser.ask("POST", f"{path}x", json={})
        assert status == 404
        status, _ = await browser.create()
        assert status == 401
        example.process.terminate()
        text = await example.ended()
    assert secret not in text and token not in text


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
        status, answer = await browser.create(user_id="u1")
        assert (status, answer["data"]["kind"]) == (502, "network")
        with sim:
            tab, _ = await call(browser, "u1")
            assert len(simulator.active) == 1
            tab.close()
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
            assert "tavus: the app is closed." in text
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
        str(TENAPP / "bin" / "start"),
        *("--property", str(file)),
        stderr=PIPE,
        env={
            **os.environ,
            "TAVUS_API_KEY": "tvk-0123456789abcdef",
            "TAVUS_BASE_URL": "http://127.0.0.1:1/v2",
            "TAVUS_REPLICA_ID": "r9d30b0e55ac",
            "TAVUS_JOURNAL_DIR": str(tmp_path),
        },
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
