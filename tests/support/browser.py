#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

# A browser that asks nobody, tells nobody, and runs as root in a container.
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# A microphone that beeps and a camera that shows a clock, both allowed.
DEVICES = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
MISSING = "Chromium is missing; on Debian: apt-get install chromium"


def chromium_path() -> Path | None:
    """Where Chromium is; ``CHROMIUM`` in the environment names another."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    return Path(found) if found else None


@asynccontextmanager
async def chromium(
    arguments: tuple[str, ...] = DEVICES,
) -> AsyncIterator[Browser]:
    """A running Chromium.

    The test is skipped when there is none; where ``CI`` is ``true`` it fails.

    Args:
        arguments: more of them; by default those that allow a simulated
            microphone and camera.
    """
    path = chromium_path()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=[*ARGUMENTS, *arguments]
        )
        try:
            yield browser
        finally:
            await browser.close()
