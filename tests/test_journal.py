#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What is open at Tavus survives the death of its process, and only that."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ten_packages.extension.tavus_python import journal_file, journal_store
from ten_packages.extension.tavus_python.journal import Entry, Journal

BASE = "https://tavusapi.com/v2"
ACCOUNT = "0123456789abcdef"
LOG = logging.Logger("journal")

# Writes an entry, says so, and waits to be killed.
WORKER = """
import asyncio, logging, sys
from pathlib import Path
from ten_packages.extension.tavus_python.journal import Entry, Journal

async def main():
    journal = Journal(Path(sys.argv[1]), logging.Logger("worker"))
    entry = Entry("ten-1", sys.argv[2], sys.argv[3])
    await journal.want(entry)
    journal.got("ten-1", "c1")
    await journal.want(Entry("ten-2", sys.argv[2], sys.argv[3]))
    await journal.want(Entry("ten-3", sys.argv[2], sys.argv[3]))
    journal.over("ten-3")
    await journal.want(Entry("ten-4", sys.argv[2], "another account"))
    await asyncio.sleep(0.2)  # ids are noted a moment later
    print("written", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def entry(name: str, account: str = ACCOUNT) -> Entry:
    return Entry(name, BASE, account)


def worker(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), BASE, ACCOUNT],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


async def test_a_killed_process_leaves_what_it_had_open(
    tmp_path: Path,
) -> None:
    kill(worker(tmp_path))
    journal = Journal(tmp_path, LOG)
    left = (await journal.orphans(BASE, ACCOUNT)).ours
    assert left == [
        Entry("ten-1", BASE, ACCOUNT, "c1"),
        Entry("ten-2", BASE, ACCOUNT, ""),
    ]
    assert (await journal.orphans(BASE, ACCOUNT)).ours == []
    await journal.close()


async def test_a_living_process_is_left_alone(tmp_path: Path) -> None:
    process = worker(tmp_path)
    journal = Journal(tmp_path, LOG)
    assert (await journal.orphans(BASE, ACCOUNT)).ours == []
    kill(process)
    assert len((await journal.orphans(BASE, ACCOUNT)).ours) == 2
    await journal.close()


async def test_two_who_start_at_once_share_nothing(tmp_path: Path) -> None:
    kill(worker(tmp_path))
    both = [Journal(tmp_path, LOG), Journal(tmp_path, LOG)]
    taken = await asyncio.gather(*(one.orphans(BASE, ACCOUNT) for one in both))
    assert sorted(len(found.ours) for found in taken) == [0, 2]
    for one in both:
        await one.close()


async def test_who_dies_while_ending_leaves_the_rest_to_the_next(
    tmp_path: Path,
) -> None:
    kill(worker(tmp_path))
    first = Journal(tmp_path, LOG)
    await first.orphans(BASE, ACCOUNT)
    first.over("ten-1")
    await first.close()
    second = Journal(tmp_path, LOG)
    left = (await second.orphans(BASE, ACCOUNT)).ours
    assert [one.name for one in left] == ["ten-2"]
    second.over("ten-2")
    await second.close()
    third = Journal(tmp_path, LOG)
    left = (await third.orphans(BASE, "another account")).ours
    assert [one.name for one in left] == ["ten-4"]
    third.over("ten-4")
    await third.close()
    assert list(tmp_path.iterdir()) == []


async def test_nothing_open_leaves_no_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path, LOG)
    await journal.want(entry("ten-1"))
    assert len(list(tmp_path.iterdir())) == 1
    journal.over("ten-1")
    await journal.close()
    await journal.close()
    assert list(tmp_path.iterdir()) == []


async def test_the_key_is_not_in_the_file_and_the_file_is_ours_alone(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "state", LOG)
    await journal.want(entry("ten-1"))
    (path,) = (tmp_path / "state").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert set(json.loads(path.read_text())) == {
        "name",
        "base_url",
        "account",
        "conversation_id",
    }
    await journal.close()


async def test_torn_and_foreign_lines_spoil_nothing(tmp_path: Path) -> None:
    good = json.dumps(entry("ten-1").__dict__)
    (tmp_path / "1-x.journal").write_text(
        f'{{"name": "ten-0", "ba\n{good}\n[1]\n"x"\n{{"over": []}}\n\xff\n'
        '{"name": "n", "base_url": 1, "account": 2}\n'
        '{"name": "ten-5"',
        encoding="latin-1",
    )
    (tmp_path / "unrelated.txt").write_text("not ours")
    journal = Journal(tmp_path, LOG)
    assert (await journal.orphans(BASE, ACCOUNT)).ours == [entry("ten-1")]
    journal.over("ten-1")
    await journal.close()
    assert {path.name for path in tmp_path.iterdir()} == {
        "unrelated.txt",
        "1-x.unreadable",
    }


async def test_a_long_life_does_not_grow_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_store, "_COMPACT_BYTES", 2000)
    journal = Journal(tmp_path, LOG)
    await journal.want(entry("ten-stays"))
    journal.got("ten-stays", "c-stays")
    for number in range(100):
        await journal.want(entry(f"ten-{number}"))
        journal.over(f"ten-{number}")
    journal._write_notes()
    await journal.want(entry("ten-last"))
    (path,) = tmp_path.glob("*.journal")
    assert path.stat().st_size < 3000
    text = path.read_text()
    assert "c-stays" in text and "ten-last" in text
    await journal.close()
    following = Journal(tmp_path, LOG)
    left = (await following.orphans(BASE, ACCOUNT)).ours
    assert {one.name for one in left} == {"ten-stays", "ten-last"}
    await following.close()


async def test_a_deleted_file_is_written_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path, LOG)
    await journal.want(entry("ten-1"))
    (path,) = tmp_path.iterdir()
    path.unlink()
    await journal.want(entry("ten-2"))
    await journal.close()
    following = Journal(tmp_path, LOG)
    left = (await following.orphans(BASE, ACCOUNT)).ours
    assert {one.name for one in left} == {"ten-1", "ten-2"}
    await following.close()


async def test_late_news_after_the_close_is_ignored(tmp_path: Path) -> None:
    journal = Journal(tmp_path, LOG)
    await journal.want(entry("ten-1"))
    await journal.close()
    journal.over("ten-1")
    journal.got("ten-1", "c1")
    await journal.want(entry("ten-2"))
    assert (await journal.orphans(BASE, ACCOUNT)).ours == []
    following = Journal(tmp_path, LOG)
    left = (await following.orphans(BASE, ACCOUNT)).ours
    assert left == [entry("ten-1")]
    await following.close()


async def test_news_of_what_is_not_open_changes_nothing(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path, LOG)
    journal.over("ten-0")
    journal.got("ten-0", "c0")
    await journal.want(entry("ten-1"))
    journal.got("ten-1", "c1")
    await asyncio.sleep(0.2)  # ids are noted a moment later
    await journal.close()
    following = Journal(tmp_path, LOG)
    left = (await following.orphans(BASE, ACCOUNT)).ours
    assert left == [replace(entry("ten-1"), conversation_id="c1")]
    await following.close()


async def test_where_there_are_no_locks_it_warns_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(journal_file, "fcntl", None)
    (tmp_path / "1-x.journal").write_text(json.dumps(entry("t").__dict__))
    log = logging.Logger("journal")
    log.addHandler(caplog.handler)
    journal = Journal(tmp_path, log)
    await journal.want(entry("ten-1"))
    await journal.want(entry("ten-2"))
    journal.over("ten-1")
    assert (await journal.orphans(BASE, ACCOUNT)).ours == []
    await journal.close()
    assert len(caplog.records) == 1
    assert "no flock" in caplog.records[0].getMessage()


async def test_a_file_system_without_locks_costs_no_file_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(journal_file.fcntl, "flock", refuse)
    journal = Journal(tmp_path, LOG)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(5):
        await journal.want(entry(f"ten-{number}"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list(tmp_path.iterdir()) == []
    await journal.close()


async def test_a_file_that_cannot_be_removed_keeps_no_other_from_being_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "2-empty.journal").touch()
    kill(worker(tmp_path))

    def refuse(_: Path) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "unlink", refuse)
    journal = Journal(tmp_path, LOG)
    left = (await journal.orphans(BASE, ACCOUNT)).ours
    assert [one.name for one in left] == ["ten-1", "ten-2"]
    await journal.close()
