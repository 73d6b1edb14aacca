#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A checkout that one made ready, and another one uses who may not write it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.example import AgoraExample, Example, account, needs_setup
from support.http_node import Browser
from support.livekit_page import LiveKitExample
from support.places import ROOT
from tavus_sim import ThreadedSim

NOBODY = 65534
# Who may read all, since Python may be in a home, and write nothing of others.
AS_NOBODY = (
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)
READ_ONLY = (
    "unshare",
    "--mount",
    "sh",
    "-c",
    f'mount -o bind,ro "{ROOT}" "{ROOT}" && exec "$@"',
    "sh",
)


def can(*command: str) -> bool:
    return (
        shutil.which(command[0]) is not None
        and subprocess.run(command, capture_output=True, check=False).returncode
        == 0
    )


pytestmark = [
    needs_setup,
    pytest.mark.skipif(
        not can(*AS_NOBODY, "test", "-r", str(ROOT / "README.md"))
        or not can(*READ_ONLY, "true"),
        reason="only root can be somebody else, and mount folders read-only",
    ),
]


@pytest.fixture(name="home")
def home_of_nobody() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)


def example(
    kind: type[Example], home: Path, via: tuple[str, ...], **env: str
) -> Example:
    made = kind(
        home, HOME=str(home), XDG_STATE_HOME="", TAVUS_JOURNAL_DIR="", **env
    )
    made.via = via
    return made


@pytest.mark.parametrize("via", [AS_NOBODY, READ_ONLY])
async def test_a_call_works_and_its_journal_is_at_home(
    home: Path, via: tuple[str, ...]
) -> None:
    with ThreadedSim() as sim:
        async with (
            example(Example, home, via, **account(sim)) as app,
            Browser(await app.ready()) as browser,
        ):
            status, answer = await browser.create(user_id="me")
            assert status == 200, answer
            made = answer["data"]["conversation_id"]
            journals = home / ".local" / "state" / "tavus_python"
            texts = [file.read_text() for file in journals.glob("*.journal")]
            assert any("ten-example" in text for text in texts)
            app.process.terminate()
            text = await app.ended()
        assert "cannot be used" not in text and "Permission" not in text
        assert sim.simulator.active == []
        assert sim.simulator.conversation(made).ended_by == "client"


async def test_the_rooms_of_another_owner_start_too(home: Path) -> None:
    livekit = {
        "LIVEKIT_URL": "ws://127.0.0.1:1",
        "LIVEKIT_API_KEY": "devkey",
        "LIVEKIT_API_SECRET": "secret-of-a-server-on-loopback-only",
    }
    with ThreadedSim() as sim:
        env = {**account(sim), **livekit}
        async with example(LiveKitExample, home, AS_NOBODY, **env) as app:
            await app.ready()


async def test_what_the_avatar_heard_goes_to_a_folder_of_ones_own(
    home: Path,
) -> None:
    env = {"TMPDIR": str(home), "TAVUS_EXAMPLE_OUT": ""}
    async with example(AgoraExample, home, READ_ONLY, **env) as app:
        text = await app.ended()
    assert app.process.returncode == 0, text
    assert f"what it heard is in {home}/" in text


def test_a_set_up_that_is_missing_is_asked_of_the_owner(home: Path) -> None:
    copy = home / "checkout"
    (copy / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "bin" / "setup", copy / "bin")
    needed = copy / "ten_packages" / "extension" / "one" / "requirements.txt"
    needed.parent.mkdir(parents=True)
    needed.touch()
    for name in ("constraints.txt", "requirements.txt"):
        shutil.copy(ROOT / name, copy)
    copy.chmod(0o555)
    done = subprocess.run(
        [*AS_NOBODY, str(copy / "bin" / "setup")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "setup: its owner has to run bin/setup first."
    )
