#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A user and a voice from a file: registers the addon."""

from . import addon

__all__ = ["addon"]
