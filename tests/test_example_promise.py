#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the READMEs promise of the examples, as one tries it in a terminal.

From a browser: tests/test_page_call.py, tests/test_page_livekit.py. Of rooms
that a killed app leaves: tests/test_livekit_app_start.py.
"""

import asyncio
import contextlib
import json
import re
import shutil
import signal
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest
from support.example import AgoraExample, Example, account, needs_setup
from support.places import ROOT
from support.watched import WatchedSimulator
from tavus_sim import ThreadedSim

pytestmark = needs_setup

README = (ROOT / "examples" / "tavus" / "README.md").read_text()
WAIT_S = 20.0
TEN = 10


async def shell(command: str) -> Process:
    return await asyncio.create_subprocess_exec(
        "bash", "-c", f"exec {command}", stdout=PIPE
    )


async def printed_by(command: str) -> str:
    process = await shell(command)
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
    assert process.returncode == 0
    return output.decode()


def commands(url: str, sim: str) -> list[str]:
    """The README's curl commands, at these addresses."""
    found: list[str] = []
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL):
        text = block.replace("\\\n", " ")
        found += [one for one in text.splitlines() if one.startswith("curl ")]
    at = {"http://127.0.0.1:8080": url, "http://127.0.0.1:8900": sim}
    for old, new in at.items():
        found = [one.replace(old, new) for one in found]
    return [one.replace("curl ", "curl -sS ", 1) for one in found]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_the_readmes_curl_starts_and_ends_a_call(tmp_path: Path) -> None:
    simulator = WatchedSimulator()
    with ThreadedSim(simulator) as sim:
        async with Example(tmp_path, **account(sim)) as example:
            url = await example.ready()
            ledger, listen, create, *others = commands(
                url, sim.base_url.removesuffix("/v2")
            )
            (end,) = [one for one in others if "DELETE" in one]
            stream = await shell(listen)
            assert stream.stdout is not None
            seen = ""
            while "event: ready" not in seen:
                line = await asyncio.wait_for(stream.stdout.readline(), WAIT_S)
                seen += line.decode()
            made = json.loads(await printed_by(create))["data"]
            assert simulator.active == [made["conversation_id"]]
            end = end.replace("c0123456789ab", made["conversation_id"])
            assert json.loads(await printed_by(end))["code"] == "0"
            entries = json.loads(await printed_by(ledger))
            assert (entries["created"], entries["active"]) == (1, 0)
            stream.terminate()
            output, _ = await asyncio.wait_for(stream.communicate(), WAIT_S)
            assert "event: tavus_conversation_ended" in output.decode()


@pytest.mark.timeout(180)
async def test_what_ten_killed_agora_apps_left_is_ended_by_the_next(
    tmp_path: Path,
) -> None:
    simulator = WatchedSimulator()

    def spoken_to() -> int:
        entries = simulator.ledger()["conversations"]
        return sum(one["utterances"] > 0 for one in entries)

    def app(number: int) -> AgoraExample:
        return AgoraExample(
            tmp_path,
            **account(sim),
            AGORA_APP_ID="0" * 32,
            TAVUS_EXAMPLE_OUT=str(tmp_path / str(number)),
        )

    with ThreadedSim(simulator) as sim:
        async with contextlib.AsyncExitStack() as stack:
            apps: list[AgoraExample] = []
            for number in range(TEN):
                apps.append(await stack.enter_async_context(app(number)))
                # Before that nobody may have what stops a session: the answer
                # of its start; it then ends when nobody talks to it.
                await simulator.until(lambda: spoken_to() == len(apps), WAIT_S)
                # Else it would end its session soon.
                apps[-1].kill_app(signal.SIGSTOP)
            left = simulator.active
            for one in apps:
                one.kill_app(signal.SIGKILL)
                await one.ended()
                assert one.process.returncode == 1
        assert len(left) == TEN and simulator.active == left
        async with app(TEN):
            await simulator.until(
                lambda: (
                    simulator.ledger()["created"] == TEN + 1
                    and simulator.active == []
                ),
                WAIT_S,
            )
    ledger = simulator.ledger()
    assert {one["ended_by"] for one in ledger["conversations"]} == {"client"}
