#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Ends an app that cannot start: registers the addon."""

from . import addon

__all__ = ["addon"]
