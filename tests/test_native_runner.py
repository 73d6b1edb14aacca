#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""bin/native and tests/bin/native, without a native runtime."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from support.places import ROOT

KNOWN = ROOT / "tests" / "native_known.txt"


def run(script: str, dist: Path | None) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("TEN_")}
    if dist is not None:
        env["TEN_DIST"] = str(dist)
    return subprocess.run(
        [ROOT / script, "true"],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("script", ["bin/native", "tests/bin/native"])
def test_without_a_native_runtime_it_says_how_to_name_one(script: str) -> None:
    done = run(script, None)
    assert done.returncode == 1
    assert "TEN_DIST: names the folder of the native TEN runtime" in done.stderr


def test_a_folder_without_a_runtime_is_refused(tmp_path: Path) -> None:
    done = run("bin/native", tmp_path)
    assert done.returncode == 1
    missing = "ten_packages/system/ten_runtime_python/lib"
    assert f"TEN_DIST: there is no folder {tmp_path}/{missing}" in done.stderr


def test_what_is_left_out_there_exists_and_has_a_reason() -> None:
    lines = [
        line
        for line in KNOWN.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    for number, line in enumerate(lines):
        if line.startswith(" "):
            continue
        reason = lines[number + 1 : number + 2]
        assert reason and reason[0].startswith(" "), f"no reason for {line}"
        match = re.fullmatch(r"(tests/[\w/]+\.py)::(test_\w+)(\[.*\])?", line)
        assert match is not None, line
        assert f"def {match[2]}(" in (ROOT / match[1]).read_text()
