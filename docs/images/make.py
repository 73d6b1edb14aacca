#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Makes the pictures of the page in this folder, with Chromium.

Run it as ``bin/screenshots``. Every state of a call, as a phone and a desktop
show it, light and dark.
"""

import asyncio
import io
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.append(str(Path(__file__).resolve().parents[2] / "devkit"))
# pylint: disable=wrong-import-position
from PIL import Image
from playwright.async_api import Browser, expect
from support.app import App, running
from support.browser import chromium
from support.livekit_page import LiveKitExample, speaking
from support.places import ROOT
from support.speech import save, silence, speech
from support.visit import STATE_MS, Tab, visit

HERE = ROOT / "docs" / "images"
SIZES = {
    "desktop": {"width": 1280, "height": 800},
    "phone": {"width": 390, "height": 844},
}
SCHEMES = ("light", "dark")
# Long enough to see, and to take a picture of.
CREATE_MS = 1500
REPLICA_JOIN_MS = 3000
# As few as do not show; PNG pays for every shade of a gradient.
COLOURS = 128
LIMIT_BYTES = 120_000
LIMIT_ALL_BYTES = 1_500_000


async def take(app: App, browser: Browser, size: str, scheme: str) -> None:
    """Takes the pictures of one visit."""

    async def picture(state: str) -> None:
        await save_picture(tab, f"{state}-{size}-{scheme}")

    async with visit(
        browser, app.url, viewport=SIZES[size], color_scheme=scheme
    ) as tab:
        await tab.open()
        await tab.sees("idle")
        await picture("start")
        app.simulator.add_fault("create", "slow", delay_ms=CREATE_MS, count=1)
        await tab.part("start").click()
        await tab.sees("creating")
        await picture("creating")
        await tab.sees("waiting")
        await picture("waiting")
        await tab.sees("live")
        await talk(tab)
        await picture("live")
        await tab.part("leave").click()
        await tab.sees("ended")
        await picture("ended")
        app.simulator.add_fault("create", "status", status=402, count=1)
        await tab.part("start").click()
        await tab.sees("failed")
        await picture("error")


async def save_picture(tab: Tab, name: str) -> None:
    """Saves what the tab shows, as small as it does not show."""
    png = await tab.page.screenshot(animations="disabled")
    shot = Image.open(io.BytesIO(png)).convert("RGB")
    small = shot.quantize(COLOURS, Image.Quantize.MEDIANCUT, kmeans=2)
    small.save(HERE / f"{name}.png", optimize=True)


async def take_livekit(folder: Path) -> None:
    """Takes the picture of a room of LiveKit, with a face that speaks."""
    wav = save(folder / "voice.wav", silence(1), speech(3), silence(12))
    async with (
        LiveKitExample(folder, TAVUS_SIM_AVATAR_VIDEO="640x360@20") as example,
        speaking(
            await example.ready(),
            wav,
            viewport=SIZES["desktop"],
            color_scheme="light",
        ) as tab,
    ):
        await tab.open()
        await tab.part("start").click()
        await tab.sees("live")
        await tab.hears("The face speaks")
        await tab.until_received("now.frames > 40")
        await save_picture(tab, "livekit-desktop-light")


async def talk(tab: Tab) -> None:
    """Says something, and waits until the face has begun to answer."""
    lines = tab.part("log").locator("[data-who=Face]")
    greeting = tab.part("log").locator("[data-who=Face][data-open=false]")
    await expect(greeting).to_be_visible(timeout=STATE_MS)
    await tab.says("What is the weather like in Kyoto?")
    await expect(lines.nth(1)).to_contain_text("weather")
    room = tab.page.frame_locator("iframe")
    await room.get_by_role("textbox").blur()


async def make() -> None:
    """Makes all of them."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running(
                Path(folder),
                replica_join_ms=REPLICA_JOIN_MS,
                TAVUS_HTTP_CREATE_LIMIT="off",
            ) as app,
            chromium() as browser,
        ):
            for size in SIZES:
                for scheme in SCHEMES:
                    await take(app, browser, size, scheme)
        await take_livekit(Path(folder))


def main() -> int:
    """Makes the pictures; 1 when they are too big for a README."""
    asyncio.run(make())
    sizes = {file: file.stat().st_size for file in HERE.glob("*.png")}
    for file, size in sorted(sizes.items()):
        print(f"{file.name:<28}{size:>9,} bytes")
    total = sum(sizes.values())
    print(f"{'all':<28}{total:>9,} bytes")
    fit = max(sizes.values()) <= LIMIT_BYTES and total <= LIMIT_ALL_BYTES
    return 0 if fit else 1


if __name__ == "__main__":
    sys.exit(main())
