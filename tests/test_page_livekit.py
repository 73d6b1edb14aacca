#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The page in a room of LiveKit: a face that is seen, heard, interrupted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import expect
from support.example import needs_page, needs_setup
from support.livekit_page import (
    LiveKitExample,
    LiveKitTab,
    speaking,
)
from support.speech import save, silence, speech

pytestmark = [
    needs_setup,
    needs_page,
    pytest.mark.asyncio(loop_scope="session"),
]
# Of silence nothing is left by the codec; of a voice more within 0.1 s.
QUIET = 1e-4


@pytest_asyncio.fixture(name="example", scope="module", loop_scope="session")
async def _example(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[LiveKitExample]:
    async with LiveKitExample(tmp_path_factory.mktemp("example")) as started:
        await started.ready()
        yield started


@pytest.fixture(name="sentence", scope="module")
def _sentence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sentence, and time for an answer."""
    path = tmp_path_factory.mktemp("voice") / "sentence.wav"
    return save(path, silence(1), speech(4), silence(15))


async def live(tab: LiveKitTab) -> None:
    await tab.open()
    await tab.part("start").click()
    await tab.sees("live")


async def all_ended(example: LiveKitExample) -> dict[str, Any]:
    """Waits until nothing runs at Tavus; its books."""

    async def ask() -> dict[str, Any]:
        while True:
            ledger = await example.ledger()
            if ledger["created"] and not ledger["active"]:
                return ledger
            await asyncio.sleep(0.1)

    return await asyncio.wait_for(ask(), 20)


async def test_what_is_said_comes_back_out_of_the_face(
    example: LiveKitExample, sentence: Path
) -> None:
    async with speaking(await example.ready(), sentence) as tab:
        await live(tab)
        seen = await tab.until_received("now.frames > 5")
        await tab.until_received(
            "now.frames > known.frames + 10", frames=seen["frames"]
        )
        before = await tab.received()
        await tab.hears("s of speech")
        await tab.hears("The face speaks")
        await tab.until_received(
            f"now.energy > known.energy + {100 * QUIET}",
            energy=before["energy"],
        )
        await tab.hears("The face has finished")
        await tab.part("leave").click()
        await tab.sees("ended")
        await expect(tab.part("card-ended")).to_contain_text("You ended it")
    ledger = await all_ended(example)
    assert ledger["conversations"][-1]["ended_by"] == "client"


async def test_interrupt_silences_the_face(
    example: LiveKitExample, tmp_path: Path
) -> None:
    # Long, so that a slow machine is not too late to interrupt it.
    wav = save(tmp_path / "long.wav", silence(1), speech(12), silence(15))
    async with speaking(await example.ready(), wav) as tab:
        await live(tab)
        await tab.hears("The face speaks")
        before = await tab.received()
        speaks = await tab.until_received(
            f"now.energy > known.energy + {QUIET}", energy=before["energy"]
        )
        await tab.part("interrupt").click()
        await tab.hears("The face was interrupted")
        # What is on the way is played; of 12 s most is not.
        quiet_after_ms = await tab.page.evaluate(
            """async (quiet) => {
                const began = performance.now();
                for (;;) {
                    const before = await received();
                    await new Promise((go) => setTimeout(go, 500));
                    const now = await received();
                    if (now.energy - before.energy < quiet)
                        return performance.now() - began - 500;
                }
            }""",
            QUIET,
        )
        assert speaks["energy"] > before["energy"]
        assert quiet_after_ms < 3000
        await expect(tab.part("log")).not_to_contain_text("has finished")
    await all_ended(example)


async def test_who_speaks_interrupts_the_face(
    example: LiveKitExample, tmp_path: Path
) -> None:
    wav = save(
        tmp_path / "two.wav",
        *(silence(1), speech(5), silence(2), speech(2), silence(15)),
    )
    async with speaking(await example.ready(), wav) as tab:
        await live(tab)
        await tab.hears("The face was interrupted")
        await tab.hears("The face has finished")
    await all_ended(example)


async def test_a_closed_tab_ends_its_room(
    example: LiveKitExample, sentence: Path
) -> None:
    async with speaking(await example.ready(), sentence) as tab:
        await live(tab)
        await tab.page.close(run_before_unload=False)
        ledger = await all_ended(example)
    assert ledger["conversations"][-1]["ended_by"] == "client"


async def test_without_a_microphone_one_can_write(
    example: LiveKitExample,
) -> None:
    async with speaking(await example.ready(), None) as tab:
        await live(tab)
        card = tab.part("card-error")
        await expect(card).to_have_attribute("data-kind", "microphone_denied")
        await tab.part("write").click()
        await expect(tab.part("text")).to_be_focused()
        before = await tab.received()
        await tab.page.keyboard.type("Good morning")
        await tab.page.keyboard.press("Enter")
        await tab.hears("Good morning")
        # The agent has no voice of its own: it hums, and the face moves.
        await tab.hears("♪ Good morning")
        await tab.until_received(
            f"now.energy > known.energy + {QUIET}", energy=before["energy"]
        )
        await tab.part("leave").click()
        await tab.sees("ended")
        await expect(tab.part("back")).to_have_text("Back")


async def test_everything_is_readable_and_within_reach(
    example: LiveKitExample, sentence: Path
) -> None:
    async with speaking(await example.ready(), sentence) as tab:
        await live(tab)
        assert await tab.violations() == []
        await tab.part("interrupt").focus()
        await tab.page.keyboard.press("Enter")
        await tab.part("leave").focus()
        await tab.page.keyboard.press("Enter")
        await tab.sees("ended")
