#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Daily: Tavus does the talking, and users open a URL. Nothing to do here."""

from . import Transport


class DailyTransport(Transport):
    """Rooms at Daily, which Tavus makes."""
