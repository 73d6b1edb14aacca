#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A disk that is full, read-only, slow or broken: what is open gets there."""

import asyncio
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.disk import Disk
from support.keeping import Kept, new_simulator
from support.virtual_time import run
from ten_packages.extension.tavus_python import journal_file, journal_store
from ten_packages.extension.tavus_python.config import StartOptions
from ten_packages.extension.tavus_python.events import Created, Failed
from ten_packages.extension.tavus_python.journal import Entry, Journal

BASE = "https://tavusapi.com/v2"
ACCOUNT = "0123456789abcdef"
LOG = logging.Logger("journal")
# How long after the disk is back all is on it.
SOON_S = 3.0
BROKEN = ("full", "read_only")


@pytest.fixture(name="disk")
def _disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    yield Disk(tmp_path, monkeypatch)


def entry(name: str) -> Entry:
    return Entry(name, BASE, ACCOUNT)


async def left_in(folder: Path) -> set[tuple[str, str]]:
    """What whoever comes next finds."""
    following = Journal(folder, LOG)
    found = await following.orphans(BASE, ACCOUNT)
    await following.close()
    return {(one.name, one.conversation_id) for one in found.ours}


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    # Threads and other processes set no event.
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def found_in(folder: Path) -> set[tuple[str, str]]:
    """The same, as soon as there is something."""
    deadline = time.monotonic() + 20
    while not (found := await left_in(folder)):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    return found


def die(kept: Kept) -> None:
    """As SIGKILL: nothing is written, nothing is sent, locks are free."""
    kept.client.reachable = False
    for file in {
        *kept.journal._store._homes.values(),
        kept.journal._store._own,
    }:
        if file is not None:
            journal_file._all_open.discard(file)
            os.close(file.fd)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


@pytest.mark.parametrize("trouble", BROKEN)
def test_what_is_not_on_disk_is_known_not_to_be_and_gets_there_later(
    tmp_path: Path, disk: Disk, trouble: str
) -> None:
    async def main() -> None:
        journal = Journal(tmp_path, LOG)
        disk.trouble = trouble
        assert await journal.want(entry("ten-1"), entry("ten-2")) == []
        journal.got("ten-1", "c1")
        journal.over("ten-2")
        await asyncio.sleep(10)
        assert await left_in(tmp_path) == set()
        disk.trouble = ""
        await asyncio.sleep(SOON_S)
        assert await journal.want(entry("ten-3")) == [entry("ten-3")]
        await journal.close()
        assert await left_in(tmp_path) == {("ten-1", "c1"), ("ten-3", "")}

    run(main())


@pytest.mark.parametrize("trouble", BROKEN)
def test_a_disk_that_breaks_later_loses_no_id_and_no_end(
    tmp_path: Path, disk: Disk, trouble: str
) -> None:
    async def main() -> None:
        journal = Journal(tmp_path, LOG)
        for name in ("ten-1", "ten-2", "ten-3"):
            assert await journal.want(entry(name))
        disk.trouble = trouble
        journal.got("ten-1", "c1")
        journal.over("ten-2")
        await asyncio.sleep(10)
        disk.trouble = ""
        await asyncio.sleep(SOON_S)
        await journal.close()
        assert await left_in(tmp_path) == {("ten-1", "c1"), ("ten-3", "")}

    run(main())


def test_half_a_line_is_none(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        journal = Journal(tmp_path, LOG)
        assert await journal.want(entry("ten-1"))
        (path,) = tmp_path.iterdir()
        size = path.stat().st_size
        disk.trouble, disk.left = "full", 20
        assert await journal.want(entry("ten-2")) == []
        assert path.stat().st_size == size
        disk.trouble = ""
        await asyncio.sleep(SOON_S)
        await journal.close()
        assert await left_in(tmp_path) == {("ten-1", ""), ("ten-2", "")}

    run(main())


@pytest.mark.parametrize("trouble", BROKEN)
def test_each_outage_is_told_once_in_the_log_and_to_the_graph(
    tmp_path: Path,
    disk: Disk,
    trouble: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        kept.log.addHandler(caplog.handler)
        for outage in (1, 2):
            disk.trouble = trouble
            for _ in range(20):  # more than the intents written ahead
                await kept.keeper.start(StartOptions())
                await kept.keeper.end()
            await kept.heard(Failed, outage)
            await asyncio.sleep(60)
            warnings = [
                record.getMessage()
                for record in caplog.records
                if record.levelno >= logging.WARNING
            ]
            assert len(warnings) == len(kept.of(Failed)) == outage
            assert "set journal_dir to a folder that can be" in warnings[-1]
            assert kept.of(Failed)[-1].error.kind == "journal"
            disk.trouble = ""
            kept.keeper.user_joined("u1")
            await kept.heard(Created, 21 * outage)
            await asyncio.sleep(10)
            assert "can be written again" in caplog.text
            kept.keeper.user_left("u1")
            await asyncio.sleep(10)
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("trouble", BROKEN)
@pytest.mark.parametrize("before", [0, 40])
def test_what_was_created_while_the_disk_was_full_is_ended_by_the_next(
    tmp_path: Path, disk: Disk, trouble: str, before: int
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        disk.trouble = "" if before else trouble
        dying = Kept(tmp_path, simulator, conversation_scope="user")
        dying.keeper.open()
        for number in range(before):
            dying.keeper.user_joined(f"early-{number}")
        if before:
            await dying.heard(Created, before)
        disk.trouble = trouble
        for number in range(40):
            dying.keeper.user_joined(f"u{number}")
        await dying.heard(Created, before + 40)
        await asyncio.sleep(30)
        disk.trouble = ""
        await asyncio.sleep(SOON_S)
        assert len(simulator.active) == before + 40
        die(dying)
        following = Kept(tmp_path, simulator)
        following.keeper.open()
        await asyncio.sleep(5)
        assert simulator.active == []
        await following.keeper.close()

    run(main())


def test_intents_ahead_that_are_not_on_disk_do_not_count(
    tmp_path: Path, disk: Disk
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        disk.trouble = "full"
        dying = Kept(tmp_path, simulator, conversation_scope="user")
        dying.keeper.open()
        await asyncio.sleep(1)
        disk.trouble = ""
        # Nobody has tried again yet, but each of these is written first.
        for number in range(3):
            dying.keeper.user_joined(f"u{number}")
        await dying.heard(Created, 3)
        die(dying)
        following = Kept(tmp_path, simulator)
        following.keeper.open()
        await asyncio.sleep(5)
        assert simulator.active == []
        await following.keeper.close()

    run(main())


def test_a_disk_that_is_full_keeps_the_long_file(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(journal_store, "_COMPACT_BYTES", 300)
        journal = Journal(tmp_path, LOG)
        for number in range(10):
            await journal.want(entry(f"ten-{number}"))
        disk.trouble, disk.left = "full", 50
        assert await journal.want(entry("ten-10")) == []
        disk.trouble = ""
        await asyncio.sleep(SOON_S)
        await journal.close()
        assert len(list(tmp_path.iterdir())) == 1
        assert len(await left_in(tmp_path)) == 11

    run(main())


def test_what_the_disk_has_lost_is_written_to_another_file(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(journal_store, "_SYNC_AFTER_S", 0.0)
        journal = Journal(tmp_path, LOG)
        await journal.want(entry("ten-1"))
        (lost,) = tmp_path.iterdir()
        own = journal._store._own
        assert own is not None
        disk.trouble = "sync"
        journal.got("ten-1", "c1")
        await until(lambda: own.sync_failed)
        disk.trouble = ""
        await until(lambda: not lost.exists())
        await journal.close()
        assert await left_in(tmp_path) == {("ten-1", "c1")}

    asyncio.run(main())


def test_a_deleted_file_is_noticed_by_the_next_sweep(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal(tmp_path, LOG)
        await journal.want(entry("ten-1"))
        (path,) = tmp_path.iterdir()
        path.unlink()
        await journal.orphans(BASE, ACCOUNT)
        await journal.close()
        assert await left_in(tmp_path) == {("ten-1", "")}

    asyncio.run(main())


def test_a_disk_that_is_slow_at_the_stop_is_let_go_all_the_same(
    tmp_path: Path, disk: Disk
) -> None:
    async def main() -> None:
        journal = Journal(tmp_path, LOG)
        await journal.want(entry("ten-1"))
        disk.slow_s = 0.4
        journal.got("ten-1", "c1")
        began = time.monotonic()
        await journal.close(0.05)
        assert time.monotonic() - began < 0.3
        disk.slow_s = 0
        assert await found_in(tmp_path) == {("ten-1", "c1")}

    asyncio.run(main())


def test_one_waits_once_for_a_disk_that_hangs(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(
            "ten_packages.extension.tavus_python.journal._DISK_S", 0.1
        )
        journal = Journal(tmp_path, LOG)
        disk.slow_s = 0.4
        began = time.monotonic()
        for number in range(5):
            assert await journal.want(entry(f"ten-{number}")) == []
        assert time.monotonic() - began < 0.35
        disk.slow_s = 0
        await asyncio.sleep(0.5)
        assert await journal.want(entry("ten-5"))
        await journal.close()
        assert len(await left_in(tmp_path)) == 6

    asyncio.run(main())


# A worker with a child of its own, which outlives it.
PARENT = """
import asyncio, logging, os, subprocess, sys, time
from pathlib import Path
from ten_packages.extension.tavus_python.journal import Entry, Journal

async def main():
    journal = Journal(Path(sys.argv[1]), logging.Logger("worker"))
    await journal.want(Entry("ten-1", sys.argv[2], sys.argv[3]))
    if sys.argv[4] == "fork":
        child = os.fork()
        if not child:
            os.close(1)
            time.sleep(600)
    else:
        child = subprocess.Popen(
            ["sleep", "600"], close_fds=False, stdout=subprocess.DEVNULL
        ).pid
    print(child, flush=True)
    time.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["fork", "exec"])
async def test_a_child_does_not_hold_the_lock_of_its_dead_parent(
    tmp_path: Path, how: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), BASE, ACCOUNT, how],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        assert await left_in(tmp_path) == set()
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives
        # The child lets go when it gets to run.
        assert await found_in(tmp_path) == {("ten-1", "")}
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


# A worker whose files may not grow, as if its disk were full, until it is
# told that they may.
CRAMPED = """
import asyncio, logging, resource, sys
from pathlib import Path
from ten_packages.extension.tavus_python.journal import Entry, Journal

async def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    journal = Journal(Path(sys.argv[1]), logging.Logger("worker"))
    for name in ("ten-1", "ten-2"):
        written = await journal.want(Entry(name, sys.argv[2], sys.argv[3]))
        print(len(written), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_kernel_that_refuses_to_write_is_asked_again(
    tmp_path: Path,
) -> None:
    unlimited = resource.RLIM_INFINITY
    process = subprocess.Popen(
        [sys.executable, "-c", CRAMPED, str(tmp_path), BASE, ACCOUNT],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "0\n"
        assert process.stdout.readline() == "0\n"
        (path,) = tmp_path.iterdir()
        resource.prlimit(
            process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited)
        )
        await until(lambda: path.read_bytes().count(b'"name"') == 2)
    finally:
        process.kill()
        process.communicate()
    assert await left_in(tmp_path) == {("ten-1", ""), ("ten-2", "")}


@pytest.mark.parametrize("trouble", BROKEN)
def test_a_disk_that_fails_at_the_stop_is_told_to_nobody_who_is_gone(
    tmp_path: Path, disk: Disk, trouble: str
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        kept.keeper.open()
        await kept.keeper.start(StartOptions())
        await asyncio.sleep(1)
        disk.trouble = trouble
        await kept.keeper.close()
        told = len(kept.events)
        await asyncio.sleep(1)
        assert len(kept.events) == told
        assert kept.simulator.active == []

    run(main())
