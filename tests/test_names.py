#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""No file of ours stands in for a library that somebody imports.

Python looks for modules in the folder of a script first, so a namesake there
is found in the library's place: bench/client.py once left
livekit-plugins-tavus out because of a bench/livekit.py.
"""

import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Where scripts are, and what is put on the path.
FOLDERS = [
    ROOT,
    *(ROOT / name for name in ("bench", "devkit", "docs/images", "examples")),
    ROOT / "tests",
    *sorted((ROOT / "examples").glob("tavus*")),
    *sorted((ROOT / "examples").glob("tavus*/tenapp")),
    *sorted((ROOT / "examples").glob("tavus*/extensions")),
]
# On purpose, where no native runtime is.
STAND_INS = {"ten_runtime", "ten_ai_base", "ten_packages"}


@pytest.mark.parametrize(
    "folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT))
)
def test_nothing_that_can_be_imported_has_the_name_of_a_library(
    folder: Path,
) -> None:
    ours = {file.stem for file in folder.glob("*.py")} | {
        file.parent.name for file in folder.glob("*/*.py")
    }
    assert ours, "nothing is there: has it been moved?"
    libraries = set(sys.stdlib_module_names) | set(packages_distributions())
    assert not (ours - STAND_INS) & libraries
