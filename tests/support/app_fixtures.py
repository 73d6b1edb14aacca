#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A pytest plugin: one app and one browser for all tests of the page.

For test files that say ``pytest_plugins = ["support.app_fixtures"]``.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser
from support.app import App, running
from support.browser import chromium


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _app(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[App]:
    async with running(tmp_path_factory.mktemp("app")) as app:
        yield app


@pytest_asyncio.fixture(loop_scope="session")
async def app(_app: App) -> App:
    """The app that most tests share, with nothing broken."""
    _app.simulator.clear_faults()
    await _app.tavus.mend()
    return _app


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, whose microphone and camera are tones and pictures."""
    async with chromium() as chrome:
        yield chrome
