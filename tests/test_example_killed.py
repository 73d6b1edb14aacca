#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A bin/start that is killed outright: what it has started ends too."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest
from support.example import Example, account, needs_setup
from support.http_node import Browser
from support.livekit_page import LiveKitExample
from support.watched import WatchedSimulator
from tavus_sim import ThreadedSim

pytestmark = needs_setup

# The app has 3 s, what it needs 5 s each.
ENDED_S = 30.0


async def all_ended(example: Example) -> None:
    _, alive = await asyncio.to_thread(
        psutil.wait_procs, example.below, ENDED_S
    )
    assert alive == []


async def test_its_calls_end_and_then_the_app(tmp_path: Path) -> None:
    simulator = WatchedSimulator()
    with ThreadedSim(simulator) as sim:
        async with (
            Example(tmp_path, **account(sim)) as example,
            Browser(await example.ready()) as browser,
        ):
            for n in range(3):
                status, answer = await browser.create(user_id=f"u{n}")
                assert status == 200, answer
            assert len(simulator.active) == 3
            example.process.kill()
            await simulator.until(lambda: simulator.active == [], ENDED_S)
            await all_ended(example)
    assert {one["ended_by"] for one in simulator.ledger()["conversations"]} == {
        "client"
    }


@pytest.mark.parametrize("kind", [Example, LiveKitExample])
async def test_the_simulator_and_the_servers_end_too(
    tmp_path: Path, kind: type[Example]
) -> None:
    async with kind(tmp_path) as example:
        await example.ready()
        assert len(example.below) > 2
        example.process.kill()
        await all_ended(example)


async def test_the_whole_group_can_be_killed(tmp_path: Path) -> None:
    async with Example(tmp_path) as example:
        await example.ready()
        os.killpg(example.process.pid, signal.SIGKILL)
        await all_ended(example)


async def test_an_app_that_hangs_ends_too(tmp_path: Path) -> None:
    async with Example(tmp_path) as example:
        await example.ready()
        example.app.suspend()
        example.process.kill()
        await all_ended(example)
