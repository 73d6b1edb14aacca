#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A pytest plugin: a LiveKit server for all tests, or one for a test alone.

For test files that say ``pytest_plugins = ["support.livekit_fixtures"]``.
"""

from collections.abc import Iterator

import pytest
from support.livekit import LiveKitServer, servers


@pytest.fixture(scope="session")
def livekit_server() -> Iterator[LiveKitServer]:
    """The server that most tests share; each takes a room of its own."""
    yield from servers()


@pytest.fixture
def own_livekit_server() -> Iterator[LiveKitServer]:
    """A server that the test may stop and start."""
    yield from servers()
