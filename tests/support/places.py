#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Where things are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
