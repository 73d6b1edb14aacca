#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Makes the probe addons known, and removes what a test has put in them."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "packages"))

# By name, as the runtime does: this folder is in no checker's search path.
for _addon in ("contract_probe", "contract_api_probe"):
    importlib.import_module(f"ten_packages.extension.{_addon}")


@pytest.fixture(autouse=True)
def _clean_probe(ten_app: object) -> Iterator[None]:
    assert ten_app is not None
    yield
    importlib.import_module(
        "ten_packages.extension.contract_probe.addon"
    ).MAKERS.clear()
