#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""examples/tavus-agora/bin/start as a person runs it."""

import os
import subprocess
from pathlib import Path

from support.example import needs_setup
from support.places import ROOT

START = ROOT / "examples" / "tavus-agora" / "bin" / "start"
WAIT_S = 110


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, on a free port, with its files in a folder."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TAVUS_", "AGORA_"))
    }
    return subprocess.run(
        [str(START), *arguments],
        env={
            **environment,
            "TAVUS_SIM_PORT": "0",
            "TAVUS_EXAMPLE_OUT": str(folder),
            "TAVUS_JOURNAL_DIR": str(folder / "journal"),
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
    assert "no-such.wav: there is no such file" in done.stderr
