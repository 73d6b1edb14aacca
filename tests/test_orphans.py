#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What dead workers left is ended, or it is said why not, and by whom."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from support.direct import BASE_URL, KEY
from support.disk import Disk
from support.keeping import Kept, new_simulator
from support.virtual_time import run
from tavus_sim import SimRequest, Simulator
from ten_packages.extension.tavus_python.keeper import fingerprint

NAME = "ten-0123456789abcdef"
DEEP = b"[" * 200_000


def left(
    folder: Path, name: str = NAME, file: str = "1-a.journal", **record: Any
) -> Path:
    """A dead worker's file with one entry."""
    path = folder / file
    record = {
        "name": name,
        "base_url": BASE_URL,
        "account": fingerprint(KEY),
        "conversation_id": "",
        **record,
    }
    path.write_bytes(b"\n" + json.dumps(record).encode())
    return path


def made(simulator: Simulator, name: str = NAME) -> str:
    """A conversation that somebody made, and its id."""
    body = {"replica_id": "r9d30b0e55ac", "conversation_name": name}
    request = SimRequest.of("POST", "/v2/conversations", body)
    return str(simulator.handle(request).json()["conversation_id"])


async def swept(
    folder: Path,
    simulator: Simulator,
    caplog: pytest.LogCaptureFixture,
    for_s: float = 100,
    **properties: Any,
) -> list[str]:
    """Lets a worker live for a while; what it warned of."""
    kept = Kept(folder, simulator, **properties)
    kept.log.addHandler(caplog.handler)
    kept.keeper.open()
    await asyncio.sleep(for_s)
    await kept.keeper.close()
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING
    ]


def _bytes(content: bytes) -> Any:
    return lambda path: path.write_bytes(content)


def _sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 40)


def _to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


BAD_FILES: dict[str, Any] = {
    "nested": _bytes(DEEP),
    "nested in an entry": _bytes(b'{"name": ' + DEEP),
    "binary": _bytes(os.urandom(4096)),
    "not UTF-8": _bytes(b'{"name": "\xff"}'),
    "half a character": _bytes(
        b'{"name": "\\ud800", "base_url": "x", "account": "y"}'
    ),
    "a huge line": _bytes(b"x" * (8 << 20)),
    "a huge number": _bytes(
        b'{"name": "a", "base_url": "b", "account": "c", "idle_s": 1'
        + b"0" * 400
        + b"}"
    ),
    "endless": _sparse,
    "a pipe": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
    "a link to a device": _to_a_device,
    "a link to nothing": lambda path: path.symlink_to("/nowhere"),
    "empty": _bytes(b""),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_one_bad_file_keeps_no_other_from_being_swept(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        BAD_FILES[kind](tmp_path / "0-bad.journal")
        left(tmp_path, conversation_id=made(simulator))
        BAD_FILES[kind](tmp_path / "2-bad.journal")
        warnings = await swept(tmp_path, simulator, caplog, for_s=5)
        assert simulator.active == []
        silent = kind in ("empty", "nested in an entry")  # torn
        assert bool(warnings) is not silent
        assert not (tmp_path / "1-a.journal").exists()

    run(main())


def test_a_bad_file_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        (tmp_path / "0-bad.journal").mkdir()
        (tmp_path / "1-bad.journal").write_bytes(DEEP)
        warnings = await swept(tmp_path, new_simulator(), caplog, for_s=600)
        assert len(warnings) == 2
        assert "1 lines of" in warnings[0]
        assert "0-bad.journal (Is a directory)" in warnings[1]
        assert {path.name for path in tmp_path.iterdir()} == {
            "0-bad.journal",
            "1-bad.unreadable",
        }

    run(main())


@pytest.mark.parametrize(
    "odd", [None, "", "None", "c404", 17, True, [], {"id": 1}, "..", "\ud800"]
)
def test_an_entry_whose_id_leads_nowhere_is_looked_for_by_its_name(
    tmp_path: Path, odd: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        made(simulator)
        left(tmp_path, conversation_id=odd)
        await swept(tmp_path, simulator, caplog, for_s=5)
        assert simulator.active == []
        assert list(tmp_path.iterdir()) == []

    run(main())


@pytest.mark.parametrize(
    "sent_as", [NAME.upper(), NAME.replace("-", ""), NAME[-16:], f" {NAME} "]
)
def test_a_name_is_known_by_its_random_part(
    tmp_path: Path, sent_as: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        made(simulator, sent_as)
        other = made(simulator, "ten-fedcba9876543210")
        left(tmp_path)
        await swept(tmp_path, simulator, caplog, for_s=5)
        assert simulator.active == [other]

    run(main())


@pytest.mark.parametrize("known", ["id", "name"])
def test_a_rotated_key_ends_what_the_old_one_left(
    tmp_path: Path, known: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        conversation_id = made(simulator)
        left(
            tmp_path,
            account="of-the-old-key",
            conversation_id=conversation_id if known == "id" else "",
        )
        warnings = await swept(tmp_path, simulator, caplog, for_s=5)
        assert simulator.active == []
        assert warnings == []
        assert list(tmp_path.iterdir()) == []

    run(main())


def test_what_is_over_is_crossed_off_by_a_rotated_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        conversation_id = made(simulator)
        left(tmp_path, account="old", conversation_id=conversation_id)
        simulator.shutdown(conversation_id)
        assert await swept(tmp_path, simulator, caplog, for_s=5) == []
        assert list(tmp_path.iterdir()) == []

    run(main())


def test_what_this_key_cannot_see_is_counted_once_and_asked_for_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        for number in range(3):
            left(
                tmp_path,
                name=f"ten-{number}",
                file=f"{number}.journal",
                account="of-somebody-else",
                conversation_id=f"c{number}",
            )
        (warning,) = await swept(tmp_path, simulator, caplog, for_s=600)
        assert "3 that this key cannot see (start a worker with" in warning
        assert len(list(tmp_path.iterdir())) == 3
        assert simulator.ledger()["requests"]["get"] == 3

    run(main())


def test_a_key_that_is_asked_in_vain_is_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        left(tmp_path, account="old", conversation_id=made(simulator))
        simulator.add_fault("list", "hang_before", count=1)
        assert await swept(tmp_path, simulator, caplog) == []
        assert simulator.active == []

    run(main())


@pytest.mark.parametrize("status", [403, 500])
def test_a_key_that_is_never_told_is_told_of(
    tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        left(tmp_path, account="old", conversation_id="c1")
        simulator.add_fault("get", "status", status=status)
        (warning,) = await swept(tmp_path, simulator, caplog, for_s=600)
        assert "1 that this key cannot see" in warning

    run(main())


def test_many_servers_are_not_all_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        for number in range(20):
            left(
                tmp_path,
                file=f"{number}.journal",
                name=f"ten-{number}",
                base_url=f"http://127.0.0.1:{40_000 + number}/v2",
            )
        (warning,) = await swept(tmp_path, new_simulator(), caplog)
        assert warning.count("http://") == 3
        assert "17 at other servers" in warning

    run(main())


def test_others_can_have_what_this_key_cannot_see(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        theirs = new_simulator()
        stranger = Kept(
            tmp_path, new_simulator(), tavus_api_key="tvk-of-somebody-else"
        )
        left(tmp_path, conversation_id=made(theirs))
        stranger.keeper.open()
        await asyncio.sleep(5)
        await swept(tmp_path, theirs, caplog, for_s=35)
        assert theirs.active == []
        await stranger.keeper.close()

    run(main())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://tavusapi.com/v2", "https://TavusAPI.com/v2"),
        ("https://tavusapi.com/v2", "HTTPS://tavusapi.com:443/v2/"),
        ("https://tavusapi.com/v2", "https://tavusapi.com"),
        ("https://tavusapi.com/v2", "https://tavusapi.com./v2"),
        ("http://127.0.0.1:80/v2", "http://127.0.0.1//v2"),
    ],
)
def test_the_same_server_may_be_spelled_otherwise(
    tmp_path: Path, one: str, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        left(tmp_path, base_url=one, conversation_id=made(simulator))
        warnings = await swept(
            tmp_path, simulator, caplog, for_s=5, base_url=other
        )
        assert simulator.active == []
        assert warnings == []

    run(main())


def test_what_is_on_another_server_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        for number, server in enumerate(["a", "b", "a"]):
            left(
                tmp_path,
                file=f"{number}.journal",
                name=f"ten-{number}",
                base_url=f"https://{server}.example.com/v2",
            )
        (warning,) = await swept(tmp_path, new_simulator(), caplog)
        assert (
            "2 at https://a.example.com/v2 (start a worker with that base_url)"
            "; 1 at https://b.example.com/v2 (start"
        ) in warning
        assert len(list(tmp_path.iterdir())) == 3

    run(main())


def test_files_on_a_disk_that_is_read_only_now_are_read_and_ended(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        left(tmp_path, conversation_id=made(simulator))
        Disk(tmp_path, monkeypatch).trouble = "read_only"
        await swept(tmp_path, simulator, caplog)
        assert simulator.active == []
        assert simulator.ledger()["requests"]["end"] == 1
        assert len(list(tmp_path.iterdir())) == 1

    run(main())


# Sweeps as a user who may not read, and prints what it was told.
SWEEPER = """
import asyncio, logging, os, sys
from pathlib import Path
from ten_packages.extension.tavus_python.journal import Journal

async def main():
    if os.getuid() == 0:  # whom no mode bits keep out
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    journal = Journal(Path(sys.argv[1]), logging.Logger("worker"))
    found = await journal.orphans("https://x", "account")
    print(*found.unusable, sep="\\n")
    await journal.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("of_folder", "of_file", "told"),
    [
        (0o755, 0o000, r".*/1-a\.journal \(Permission denied\)"),
        (0o311, 0o644, r".*/state \(Permission denied\)"),
    ],
)
def test_files_of_another_user_and_unlistable_folders_are_told(
    of_folder: int, of_file: int, told: str
) -> None:
    # pytest's own folder is closed to others.
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "state"
        folder.mkdir()
        left(folder).chmod(of_file)
        folder.chmod(of_folder)
        said = subprocess.run(
            [sys.executable, "-c", SWEEPER, str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        folder.chmod(0o755)
    assert re.fullmatch(f"{told}\n", said)


def test_what_cannot_be_read_is_in_the_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        (tmp_path / "0.journal").mkdir()
        left(tmp_path, base_url="https://a.example.com", name="ten-1")
        left(tmp_path, account="old", name="ten-2", file="2.journal")
        (warning,) = await swept(tmp_path, new_simulator(), caplog)
        assert "1 at https://a.example.com" in warning
        assert "1 that this key cannot see" in warning
        assert "those in 1 that cannot be read: " in warning
        assert "or delete their files when Tavus's list shows" in warning

    run(main())


def test_a_sweep_that_fails_is_told_and_started_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        left(tmp_path, conversation_id=made(simulator))
        kept = Kept(tmp_path, simulator)
        kept.log.addHandler(caplog.handler)
        orphans = kept.journal.orphans
        failures = iter([RuntimeError("a mistake")] * 3)

        async def mistaken(*args: str) -> Any:
            for failure in failures:
                raise failure
            return await orphans(*args)

        monkeypatch.setattr(kept.journal, "orphans", mistaken)
        kept.keeper.open()
        await asyncio.sleep(10)
        assert simulator.active == []
        told = [record.getMessage() for record in caplog.records]
        assert told[:2] == [
            "sweep failed and starts again in 1 s: RuntimeError('a mistake')",
            "sweep failed and starts again in 2 s: RuntimeError('a mistake')",
        ]
        await kept.keeper.close()

    run(main())


def test_nothing_ends_the_reaper(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        left(tmp_path, conversation_id=made(simulator))
        kept = Kept(tmp_path, simulator)
        kept.log.addHandler(caplog.handler)
        end = kept.client.end_conversation
        failures = iter([KeyError("a mistake")] * 2)

        async def mistaken(conversation_id: str) -> bool:
            for failure in failures:
                raise failure
            return await end(conversation_id)

        monkeypatch.setattr(kept.client, "end_conversation", mistaken)
        kept.keeper.open()
        await asyncio.sleep(70)
        assert simulator.active == []
        assert caplog.text.count("KeyError: 'a mistake'") == 2
        await kept.keeper.close()

    run(main())
