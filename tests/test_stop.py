#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A stop ends everything within its time; what it cannot, the next does."""

import asyncio
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.keeping import Kept, new_simulator
from support.virtual_time import run
from tavus_sim import Simulator
from ten_packages.extension.tavus_python import journal as journal_module
from ten_packages.extension.tavus_python.config import StartOptions
from ten_packages.extension.tavus_python.errors import TavusStoppingError
from ten_packages.extension.tavus_python.events import Created, Ended
from ten_packages.extension.tavus_python.journal_file import JournalFile


def _now() -> float:
    return asyncio.get_running_loop().time()


def test_a_stop_ends_all_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), conversation_scope="user")
        for number in range(200):
            kept.keeper.user_joined(f"u{number}")
        await kept.heard(Created, 200)
        began = _now()
        await kept.keeper.close()
        assert _now() - began < 0.2
        assert kept.simulator.active == []
        assert {event.reason for event in kept.of(Ended)} == {"stop"}
        assert len(kept.ended) == 200
        assert list(tmp_path.iterdir()) == []

    run(main())


@pytest.mark.parametrize("stop_timeout_ms", [100, 150, 250, 1900])
def test_a_short_time_to_stop_is_enough_to_end(
    tmp_path: Path, stop_timeout_ms: int
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), stop_timeout_ms=stop_timeout_ms)
        await kept.keeper.start(StartOptions())
        began = _now()
        await kept.keeper.close()
        assert _now() - began <= stop_timeout_ms / 1000
        assert kept.simulator.active == []
        assert [event.reason for event in kept.ended] == ["stop"]

    run(main())


@pytest.mark.parametrize("kind", ["hang_before", "hang_after", "drop_before"])
def test_a_stop_keeps_its_time_and_the_next_start_ends_the_rest(
    tmp_path: Path, kind: str
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator, stop_timeout_ms=1500)
        await kept.keeper.start(StartOptions())
        simulator.add_fault("end", kind)
        began = _now()
        await kept.keeper.close()
        assert _now() - began <= 1.5
        simulator.clear_faults()
        following = Kept(tmp_path, simulator)
        following.keeper.open()
        await asyncio.sleep(5)
        assert simulator.active == []
        await following.keeper.close()
        assert list(tmp_path.iterdir()) == []

    run(main())


def test_a_stop_during_create_ends_what_comes_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(latency_ms=300))
        kept.keeper.user_joined("u1")
        await asyncio.sleep(0.1)
        await kept.keeper.close()
        assert kept.simulator.ledger()["created"] == 1
        assert kept.simulator.active == []
        assert list(tmp_path.iterdir()) == []

    run(main())


def test_a_stop_during_a_slow_create_leaves_its_name(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator(latency_ms=10_000)
        kept = Kept(tmp_path, simulator)
        starting = asyncio.create_task(kept.keeper.start(StartOptions()))
        await asyncio.sleep(0.1)
        await kept.keeper.close()
        with pytest.raises(TavusStoppingError):
            await starting
        assert len(simulator.active) == 1
        following = Kept(tmp_path, simulator)
        following.keeper.open()
        await asyncio.sleep(90)
        assert simulator.active == []
        await following.keeper.close()
        assert list(tmp_path.iterdir()) == []

    run(main())


def test_a_stop_answers_every_command(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", "hang_before")
        kept = Kept(tmp_path, simulator, conversation_scope="user")
        commands: list[asyncio.Task[Any]] = [
            asyncio.create_task(
                kept.keeper.start(
                    StartOptions.load({"remote_user_id": f"u{number}"})
                )
            )
            for number in range(3)
        ]
        await asyncio.sleep(1)
        commands.append(asyncio.create_task(kept.keeper.end(user_id="u1")))
        await asyncio.sleep(1)
        await kept.keeper.close()
        answers = await asyncio.gather(*commands, return_exceptions=True)
        assert {type(answer) for answer in answers} == {TavusStoppingError}

    run(main())


def test_after_a_stop_nothing_starts(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        await kept.keeper.close()
        await kept.keeper.close()
        kept.keeper.open()
        kept.keeper.user_joined("u1")
        kept.keeper.user_left("u1")
        with pytest.raises(TavusStoppingError):
            await kept.keeper.start(StartOptions())
        with pytest.raises(TavusStoppingError):
            await kept.keeper.end()
        await asyncio.sleep(60)
        assert kept.simulator.ledger()["created"] == 0

    run(main())


def test_the_next_start_waits_until_tavus_can_be_reached(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator, conversation_scope="user")
        for number in range(20):
            kept.keeper.user_joined(f"u{number}")
        await kept.heard(Created, 20)
        kept.client.reachable = False
        await kept.keeper.close()
        following = Kept(tmp_path, simulator)
        following.client.reachable = False
        following.keeper.open()
        await asyncio.sleep(300)
        assert len(simulator.active) == 20
        following.client.reachable = True
        await asyncio.sleep(5)
        assert simulator.active == []
        await following.keeper.close()

    run(main())


def test_a_living_worker_ends_what_a_dead_one_left(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        living = Kept(tmp_path, simulator)
        living.keeper.open()
        dying = Kept(tmp_path, simulator)
        await dying.keeper.start(StartOptions())
        dying.client.reachable = False
        await dying.keeper.close()
        await asyncio.sleep(31)
        assert simulator.active == []
        await living.keeper.close()

    run(main())


def test_what_another_living_worker_runs_is_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        first = Kept(tmp_path, simulator)
        second = Kept(tmp_path, simulator)
        await first.keeper.start(StartOptions())
        second.keeper.open()
        await asyncio.sleep(120)
        assert len(simulator.active) == 1
        await second.keeper.close()
        await first.keeper.close()
        assert simulator.active == []

    run(main())


def test_what_another_account_left_is_left_to_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        dying = Kept(tmp_path, simulator)
        await dying.keeper.start(StartOptions())
        dying.client.reachable = False
        await dying.keeper.close()
        other = Kept(
            tmp_path, new_simulator(), tavus_api_key="tvk-another-account-1"
        )
        other.log.addHandler(caplog.handler)
        other.keeper.open()
        await asyncio.sleep(120)
        assert len(simulator.active) == 1
        await other.keeper.close()
        (warning,) = caplog.records
        assert "1 that this key cannot see (start a worker with the key" in (
            warning.getMessage()
        )
        same = Kept(tmp_path, simulator)
        same.keeper.open()
        await asyncio.sleep(5)
        assert simulator.active == []
        await same.keeper.close()

    run(main())


def test_a_list_that_moves_while_it_is_read_loses_nobody(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator(max_page_size=10)
        dying = Kept(tmp_path, simulator, conversation_scope="user")
        for number in range(60):
            dying.keeper.user_joined(f"u{number}")
            # Of every second one the id never arrives.
            if number % 2:
                simulator.add_fault("create", "drop_after", count=1)
                simulator.add_fault("list", "drop_before")
            await asyncio.sleep(0.1)
        dying.client.reachable = False
        await dying.keeper.close()
        simulator.clear_faults()
        following = Kept(tmp_path, simulator)
        following.keeper.open()
        await asyncio.sleep(90)
        assert simulator.active == []
        await following.keeper.close()
        assert list(tmp_path.iterdir()) == []

    run(main())


def test_a_disk_that_hangs_holds_up_neither_start_nor_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(*_: object) -> None:
        released.wait()

    async def main() -> None:
        kept = Kept(tmp_path, Simulator())
        monkeypatch.setattr(journal_module, "_DISK_S", 0.05)
        monkeypatch.setattr(JournalFile, "write", hang)
        kept.keeper.open()
        await kept.keeper.start(StartOptions())
        began = time.monotonic()
        await kept.keeper.close()
        assert time.monotonic() - began < kept.config.stop_timeout_ms / 1000
        assert kept.simulator.active == []

    try:
        asyncio.run(main())
    finally:
        released.set()


def test_a_folder_that_cannot_be_written_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        (tmp_path / "file").touch()
        kept = Kept(tmp_path / "file" / "state", new_simulator())
        kept.log.addHandler(caplog.handler)
        for _ in range(3):
            await kept.keeper.start(StartOptions())
            await kept.keeper.end()
        await kept.keeper.close()
        assert kept.simulator.active == []
        warnings = [
            record.getMessage()
            for record in caplog.records
            if record.levelno == logging.WARNING
        ]
        assert len(warnings) == 1
        assert "set journal_dir to a folder that can be written" in warnings[0]

    run(main())


def test_a_stop_while_intents_are_written_ahead_leaves_no_file(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        kept.keeper.open()
        await asyncio.sleep(0)
        await kept.keeper.close()
        assert list(tmp_path.iterdir()) == []

    run(main())
