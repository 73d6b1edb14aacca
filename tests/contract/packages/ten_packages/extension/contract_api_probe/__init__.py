#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The probe with a manifest full of types; importing it registers it."""

from . import addon

__all__ = ["addon"]
