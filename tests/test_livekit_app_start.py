#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""examples/tavus-livekit as a process: its rooms end with it, whatever ends."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest
from livekit import rtc
from support.example import account, needs_setup
from support.http_node import WAIT_S, Browser
from support.livekit import LiveKitServer
from support.livekit_page import EXAMPLE, LiveKitExample
from support.room_graphs import START, start
from support.watched import WatchedSimulator
from tavus_sim import ThreadedSim

pytest_plugins = ["support.livekit_fixtures"]

ROOMS = 10


def at(server: LiveKitServer) -> dict[str, str]:
    """The environment of one who has a LiveKit server."""
    return {
        "LIVEKIT_URL": server.url,
        "LIVEKIT_API_KEY": server.api_key,
        "LIVEKIT_API_SECRET": server.api_secret,
    }


async def join(made: dict[str, Any]) -> rtc.Room:
    room = rtc.Room()
    await asyncio.wait_for(
        room.connect(made["livekit_url"], made["user_token"]), WAIT_S
    )
    return room


@needs_setup
@pytest.mark.timeout(120)
async def test_rooms_end_with_the_worker(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    simulator = WatchedSimulator()
    with ThreadedSim(simulator) as sim:
        async with (
            LiveKitExample(
                tmp_path, **account(sim), **at(livekit_server)
            ) as example,
            Browser(await example.ready()) as browser,
        ):
            made = await asyncio.gather(
                *(start(browser, user_id=f"u{n}") for n in range(3))
            )
            rooms = await asyncio.gather(*map(join, made))
            await simulator.until(lambda: len(simulator.active) == 3, 30)
            example.kill_app(signal.SIGTERM)
            text = await example.ended()
            assert "tavus: the app is closed." in text
            assert simulator.ledger()["active"] == 0
            for room in rooms:
                await asyncio.wait_for(room.disconnect(), WAIT_S)
    secrets = [livekit_server.api_secret, *(m["user_token"] for m in made)]
    assert not any(secret in text for secret in secrets)


@needs_setup
@pytest.mark.timeout(120)
async def test_what_a_killed_worker_left_is_ended_by_the_next(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    simulator = WatchedSimulator()
    with ThreadedSim(simulator) as sim:
        settings = {**account(sim), **at(livekit_server)}
        async with (
            LiveKitExample(tmp_path, **settings) as example,
            Browser(await example.ready()) as browser,
        ):
            rooms = [
                await join(await start(browser, user_id=f"u{number}"))
                for number in range(ROOMS)
            ]
            await simulator.until(lambda: len(simulator.active) == ROOMS, 60)
            example.kill_app(signal.SIGKILL)
            await example.ended()
            for room in rooms:
                await asyncio.wait_for(room.disconnect(), WAIT_S)
        assert simulator.ledger()["active"] == ROOMS
        async with LiveKitExample(tmp_path, **settings) as example:
            await example.ready()
            await simulator.until(lambda: not simulator.active, 30)
    assert simulator.ledger()["created"] == ROOMS


@needs_setup
@pytest.mark.timeout(120)
async def test_ctrl_c_ends_all_that_was_started(tmp_path: Path) -> None:
    async with LiveKitExample(tmp_path) as example:
        url = await example.ready()
        output = "\n".join(example.output)
        assert "TAVUS_API_KEY is not set: a simulated Tavus is used" in output
        (line,) = [one for one in example.output if "LiveKit server" in one]
        os.killpg(example.process.pid, signal.SIGINT)
        await example.ended()
        assert example.process.returncode == 130
        # What was killed with its parent ends by itself.
        _, alive = await asyncio.to_thread(
            psutil.wait_procs, example.below, WAIT_S
        )
        assert alive == []
        livekit = line.split("ws://127.0.0.1:")[1].split()[0]
        for port in (int(livekit), int(url.rsplit(":", 1)[1])):
            with socket.socket() as sock:
                assert sock.connect_ex(("127.0.0.1", port)) != 0


@needs_setup
@pytest.mark.timeout(120)
async def test_a_proxy_of_the_environment_does_not_matter_to_the_example(
    tmp_path: Path,
) -> None:
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    async with (
        LiveKitExample(tmp_path, **nowhere) as example,
        Browser(await example.ready()) as browser,
    ):
        room = rtc.Room()
        face = asyncio.Event()

        @room.on("track_subscribed")
        def _(track: rtc.Track, *_: object) -> None:
            if track.kind == rtc.TrackKind.KIND_VIDEO:
                face.set()

        made = await start(browser, user_id="u1")
        await asyncio.wait_for(
            room.connect(made["livekit_url"], made["user_token"]), WAIT_S
        )
        await asyncio.wait_for(face.wait(), 60)
        await asyncio.wait_for(room.disconnect(), WAIT_S)


@needs_setup
async def test_half_a_livekit_account_is_refused(tmp_path: Path) -> None:
    async with LiveKitExample(
        tmp_path, LIVEKIT_URL="wss://lk.example.com"
    ) as example:
        text = await example.ended()
    assert "LIVEKIT_API_KEY and LIVEKIT_API_SECRET are needed" in text


@needs_setup
@pytest.mark.timeout(120)
async def test_an_addon_that_is_not_installed_is_named_and_leaves_nothing(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    file = tmp_path / "room.json"
    node = {
        "type": "extension",
        "name": "rtc",
        "addon": "no_such_addon",
        "extension_group": "default",
        "property": {"room": ""},
    }
    file.write_text(json.dumps({"nodes": [node], "connections": []}))
    # Installed as long as bin/start looks, which would not start without.
    addon = EXAMPLE / "tenapp" / "ten_packages" / "extension" / node["addon"]
    addon.mkdir()
    with contextlib.ExitStack() as installed, ThreadedSim() as sim:
        installed.callback(shutil.rmtree, addon, ignore_errors=True)
        async with (
            LiveKitExample(
                tmp_path,
                **account(sim),
                **at(livekit_server),
                TAVUS_HTTP_LIVEKIT_GRAPH=str(file),
                TAVUS_HTTP_MAX_ACTIVE="1",
            ) as example,
            Browser(await example.ready()) as browser,
        ):
            addon.rmdir()
            for _ in range(2):  # the place is free again
                status, reply = await browser.ask("POST", START)
                assert (status, reply["data"]["kind"]) == (503, "graph")
                assert "not installed: no_such_addon" in reply["msg"]
