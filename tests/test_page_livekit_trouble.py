#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The page in a room of LiveKit: what it says when something is lost."""

import re
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
    room_graph,
    speaking,
)
from support.speech import save, silence, speech
from support.visit import STATE_MS

pytestmark = [
    needs_setup,
    needs_page,
    pytest.mark.asyncio(loop_scope="session"),
]
SLOW = pytest.mark.timeout(150)


@pytest_asyncio.fixture(name="example", scope="module", loop_scope="session")
async def _example(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[LiveKitExample]:
    async with LiveKitExample(tmp_path_factory.mktemp("example")) as started:
        await started.ready()
        yield started


@pytest.fixture(name="sentence", scope="module")
def _sentence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sentence, now and then."""
    path = tmp_path_factory.mktemp("voice") / "sentence.wav"
    return save(path, silence(1), speech(2), silence(4))


async def live(tab: LiveKitTab) -> None:
    await tab.open()
    await tab.part("start").click()
    await tab.sees("live")


async def created(example: LiveKitExample) -> int:
    return (await example.ledger())["created"]


async def test_when_tavus_ends_the_call_the_page_says_why(
    example: LiveKitExample, sentence: Path
) -> None:
    async with speaking(await example.ready(), sentence) as tab:
        await live(tab)
        await example.shut_down("max_call_duration reached")
        await tab.sees("ended")
        await tab.reads("card-ended", "It reached the longest time")
        await expect(tab.part("card-ended")).to_contain_text(
            re.compile(r"It took .*second")
        )


async def test_a_simulation_never_speaks_of_a_bill(
    example: LiveKitExample, sentence: Path
) -> None:
    async with speaking(await example.ready(), sentence) as tab:
        await tab.open()
        await tab.reads("simulated", "This is a simulation")
        await expect(tab.page.locator("body")).not_to_contain_text("billed")
        await tab.part("start").click()
        await tab.sees("live")
        await expect(tab.page.locator("body")).not_to_contain_text("billed")
        await tab.part("leave").click()
        await tab.sees("ended")


async def test_a_reload_goes_on_with_the_call_its_words_and_its_time(
    example: LiveKitExample, sentence: Path
) -> None:
    async with speaking(await example.ready(), sentence) as tab:
        await live(tab)
        before = await created(example)
        await tab.hears("(says the same)")
        seconds = await tab.seconds()
        await tab.page.reload()
        await tab.sees("live")
        await tab.hears("Asking for a conversation")
        await tab.hears("(says the same)")
        await tab.hears("Welcome back")
        assert await tab.seconds() >= seconds
        assert await created(example) == before
        await tab.part("leave").click()
        await tab.sees("ended")


async def test_a_second_tab_shows_the_call_and_can_take_it_over(
    example: LiveKitExample, sentence: Path
) -> None:
    async with speaking(await example.ready(), sentence) as tab:
        await live(tab)
        before = await created(example)
        second = LiveKitTab(await tab.page.context.new_page(), tab.url)
        await second.open()
        await second.sees("elsewhere")
        await second.reads("card-elsewhere", "in another tab")
        await tab.sees("live")
        await second.part("take").click()
        await second.sees("live")
        await tab.sees("elsewhere")
        assert await created(example) == before
        await second.part("leave").click()
        await second.sees("ended")
        # The first one does not go on showing what is over.
        await tab.sees("ended")
        await tab.reads("card-ended", "It has ended in the other tab")


async def test_a_tab_that_was_open_before_starts_no_second_call(
    example: LiveKitExample, sentence: Path
) -> None:
    async with speaking(await example.ready(), sentence) as tab:
        second = LiveKitTab(await tab.page.context.new_page(), tab.url)
        await second.open()
        await second.sees("idle")
        await live(tab)
        before = await created(example)
        await second.part("start").click()
        await second.sees("elsewhere")
        assert await created(example) == before
        await second.part("end").click()
        await second.sees("ended")
        await tab.sees("ended")


@SLOW
async def test_tavus_that_falls_silent_is_told_of_within_seconds(
    sentence: Path, tmp_path: Path
) -> None:
    async with (
        LiveKitExample(tmp_path) as own,
        speaking(await own.ready(), sentence) as tab,
    ):
        await live(tab)
        await tab.hears("(says the same)")
        own.silence_tavus()
        await tab.sees("away")
        await tab.reads("status", "The face is gone")
        # The server of the room takes its time to give a participant up.
        await expect(tab.part("reason")).to_contain_text(
            "No answer in time. The server tries again", timeout=60_000
        )
        # Nobody is there to repeat what is said now.
        lines = tab.part("log").get_by_text("(says the same)")
        known = await lines.count()
        spoken = tab.part("log").get_by_text("s of speech")
        await expect(spoken.nth(await spoken.count() + 1)).to_be_visible(
            timeout=STATE_MS
        )
        assert await lines.count() == known
        await tab.part("leave").click()
        await tab.sees("ended")


@SLOW
async def test_a_face_that_does_not_come_is_replaced_while_the_page_waits(
    sentence: Path, tmp_path: Path
) -> None:
    graph = room_graph(tmp_path, hurry)
    async with LiveKitExample(
        tmp_path, TAVUS_HTTP_LIVEKIT_GRAPH=str(graph)
    ) as own:
        url = await own.ready()
        await own.break_tavus("avatar_absent", count=1)
        async with speaking(url, sentence) as tab:
            await tab.open()
            await tab.part("start").click()
            await tab.reads("reason", "The server tries again")
            await tab.sees("live")
            assert await created(own) == 2
            await tab.part("leave").click()
            await tab.sees("ended")


def hurry(nodes: dict[str, dict[str, Any]]) -> None:
    nodes["tavus"]["avatar_join_timeout_s"] = 8


@SLOW
async def test_a_face_that_does_not_come_is_told_of(
    sentence: Path, tmp_path: Path
) -> None:
    graph = room_graph(tmp_path, hurry)
    async with LiveKitExample(
        tmp_path, TAVUS_HTTP_LIVEKIT_GRAPH=str(graph)
    ) as own:
        url = await own.ready()
        await own.break_tavus("avatar_absent")
        async with speaking(url, sentence) as tab:
            await tab.open()
            await tab.part("start").click()
            await tab.sees("failed")
            card = tab.part("card-error")
            await expect(card).to_have_attribute("data-kind", "avatar")
            assert await created(own) == 2
            # What helps the server's owner is shown to who asks for it.
            words = card.get_by_text("support")
            await expect(words).to_be_hidden()
            await card.get_by_text("For whoever runs this server").click()
            await expect(words).to_be_visible()


@SLOW
async def test_a_livekit_server_that_is_away_is_told_of(
    sentence: Path, tmp_path: Path
) -> None:
    async with LiveKitExample(
        tmp_path,
        LIVEKIT_URL="ws://127.0.0.1:9",
        LIVEKIT_API_KEY="k",
        LIVEKIT_API_SECRET="s" * 32,
    ) as own:
        url = await own.ready()
        async with speaking(url, sentence) as tab:
            await tab.open()
            await tab.part("start").click()
            await tab.sees("failed")
            await expect(tab.part("card-error")).to_have_attribute(
                "data-kind", "room_network"
            )
            tab.complaints.clear()  # the browser tells of it, too
        assert (await own.ledger())["created"] == 0
