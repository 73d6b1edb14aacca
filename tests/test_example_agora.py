#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""examples/tavus-agora/bin/start as a person runs it."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.example import AgoraExample, account, needs_setup
from support.places import ROOT
from support.speech import save, speech
from support.watched import WatchedSimulator
from tavus_sim import ThreadedSim

WAIT_S = 110
TEN = 10
AGORA_TENAPP = ROOT / "examples" / "tavus-agora" / "tenapp"


def on_account_of(folder: Path, sim: ThreadedSim) -> AgoraExample:
    """The command, on somebody's account."""
    return AgoraExample(folder, **account(sim), AGORA_APP_ID="0" * 32)


def run(
    folder: Path, *arguments: str, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """The command, on a free port, with its files in a folder."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TAVUS_", "AGORA_"))
    }
    return subprocess.run(
        [str(AgoraExample.start), *arguments],
        cwd=cwd,
        env={
            **environment,
            "TAVUS_SIM_PORT": "0",
            "TAVUS_EXAMPLE_OUT": str(folder),
            "TAVUS_JOURNAL_DIR": str(folder / "journal"),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


@needs_setup
def test_the_avatar_hears_what_was_spoken(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "the avatar heard spoken.wav sample for sample (93600 samples at "
        "24000 Hz): ok" in done.stdout
    )
    assert "by voice_interrupt: ok" in done.stdout
    assert "ledger: created 1, active 0, ended by client: ok" in done.stdout
    assert "violations of the protocol: 0: ok" in done.stdout
    heard = (tmp_path / "heard.wav").stat().st_size
    assert heard > (tmp_path / "spoken.wav").stat().st_size


@needs_setup
def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = run(tmp_path, "no-such.wav")
    assert done.returncode == 1
    assert "no-such.wav cannot be read: No such file" in done.stderr


@needs_setup
@pytest.mark.timeout(120)
async def test_what_a_killed_app_left_is_ended_by_the_next(
    tmp_path: Path,
) -> None:
    simulator = WatchedSimulator()

    def utterances() -> int:
        return sum(
            one["utterances"] for one in simulator.ledger()["conversations"]
        )

    with ThreadedSim(simulator) as sim:
        async with on_account_of(tmp_path, sim) as example:
            await simulator.until(lambda: utterances() > 0, 60)
            example.kill_app(signal.SIGKILL)
            await example.ended()
        (left,) = simulator.active
        async with on_account_of(tmp_path, sim) as example:
            await simulator.until(
                lambda: (
                    simulator.ledger()["created"] == 2
                    and left not in simulator.active
                ),
                60,
            )
        ledger = simulator.ledger()
    assert (ledger["created"], ledger["active"]) == (2, 0)
    assert {one["ended_by"] for one in ledger["conversations"]} == {"client"}


class TenChannels(AgoraExample):
    """The example's app by itself, as TEN's server starts it, ten times over.

    Args:
        folder: For its files.
        sim: Whose account it uses.
    """

    start = AGORA_TENAPP / "bin" / "start"

    def __init__(self, folder: Path, sim: ThreadedSim) -> None:
        usual = (AGORA_TENAPP / "property.json").read_text(encoding="utf-8")
        properties = json.loads(usual)
        graphs = properties["ten"]["predefined_graphs"]
        one = json.dumps(next(g for g in graphs if g["auto_start"]))
        properties["ten"]["predefined_graphs"] = [
            {
                **json.loads(one.replace("ten_agora_example", f"channel_{n}")),
                "name": f"graph_{n}",
            }
            for n in range(TEN)
        ]
        file = folder / "ten_channels.json"
        file.write_text(json.dumps(properties), encoding="utf-8")
        wav = folder / "spoken.wav"
        save(wav, speech(1.5))
        super().__init__(
            folder,
            "--property",
            str(file),
            **account(sim),
            AGORA_APP_ID="0" * 32,
            TAVUS_EXAMPLE_WAV=str(wav),
        )


@needs_setup
@pytest.mark.timeout(180)
async def test_ten_that_a_killed_app_left_are_ended_by_the_next(
    tmp_path: Path,
) -> None:
    simulator = WatchedSimulator()

    def speaking() -> int:  # so the app knows their ids
        sessions = simulator.ledger()["conversations"]
        return sum(
            one["status"] == "active" and one["utterances"] > 0
            for one in sessions
        )

    with ThreadedSim(simulator) as sim:
        async with TenChannels(tmp_path, sim) as example:
            await simulator.until(lambda: speaking() == TEN, 60)
            left = set(simulator.active)
            example.process.kill()
            await example.ended()
        assert set(simulator.active) == left
        async with TenChannels(tmp_path, sim) as example:
            await simulator.until(
                lambda: (
                    simulator.ledger()["created"] == 2 * TEN
                    and not left & set(simulator.active)
                ),
                60,
            )
            example.process.terminate()
            text = await example.ended()
        assert "tavus: the app is closed." in text
        ledger = simulator.ledger()
    assert (ledger["created"], ledger["active"]) == (2 * TEN, 0)


@needs_setup
def test_a_file_of_ones_own_is_found_from_where_one_is(tmp_path: Path) -> None:
    save(tmp_path / "mine.wav", speech(1.5))
    # Nor does a proxy of the environment matter: all is on this machine.
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    done = run(tmp_path, "mine.wav", cwd=tmp_path, **nowhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the avatar heard mine.wav sample for sample" in done.stdout
