#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Puts this checkout on the import path; to be imported before its packages."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_APP = ROOT / ".ten" / "app"

if not (_APP / "ten_packages" / "extension" / "tavus_python").exists():
    sys.exit("bench: this checkout is not set up; run bin/setup")

# All is on this machine. Python's urllib and LiveKit's SDK would look for it
# behind the proxy all the same.
for _name in ("HTTP_PROXY", "http_proxy"):
    os.environ.pop(_name, None)

# As in tests/conftest.py: the app first, so that the package has the name
# the runtime gives it; the devkit last, so that a native runtime wins.
sys.path.insert(0, str(_APP))
sys.path.append(str(ROOT))
sys.path.append(str(ROOT / "devkit"))


def runtime_name() -> str:
    """Which TEN runtime is on the path."""
    import ten_runtime  # pylint: disable=import-outside-toplevel

    standin = getattr(ten_runtime, "IS_STANDIN", False)
    return "the stand-in runtime" if standin else "the native runtime"
