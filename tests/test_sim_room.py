#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The simulator's room in Chromium, in the frame of another page."""

import base64
import math
import os
import struct
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from support.browser import DEVICES, chromium
from support.places import ROOT
from support.rooms import FramedRoom, parent_page
from support.watched import WatchedSimulator
from tavus_sim import SimServer, Simulator

pytestmark = pytest.mark.asyncio(loop_scope="module")

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
LONG = "This is a long story about a face that was drawn and never slept. "
SPEAKING = [
    "conversation.started_speaking",
    "conversation.replica.started_speaking",
]
SILENT = [
    "conversation.stopped_speaking",
    "conversation.replica.stopped_speaking",
]


@pytest_asyncio.fixture(loop_scope="module", scope="module", name="browser")
async def browser_fixture() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module", scope="module", name="parent_url")
async def parent_fixture() -> AsyncIterator[str]:
    async with parent_page() as url:
        yield url


@pytest_asyncio.fixture(loop_scope="module", scope="module", name="server")
async def server_fixture() -> AsyncIterator[SimServer]:
    async with SimServer(WatchedSimulator(replica_join_ms=50)) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module", name="page")
async def page_fixture(browser: Browser) -> AsyncIterator[Page]:
    page = await browser.new_page()
    yield page
    await page.close()


@pytest_asyncio.fixture(loop_scope="module", name="make")
async def make_fixture(page: Page, parent_url: str, server: SimServer):
    def make(**wish: Any) -> FramedRoom:
        return FramedRoom(page, parent_url, server, **wish)

    return make


@pytest_asyncio.fixture(loop_scope="module", name="room")
async def room_fixture(make) -> FramedRoom:
    """A room one is in, whose face is there and has nothing to say."""
    room = make(custom_greeting="")
    await room.enter()
    await room.heard("face-joined")
    return room


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["event_type"] for message in messages]


async def test_the_face_joins_and_greets(make):
    room = make(custom_greeting="Hello <b>you</b> & welcome.")
    await room.enter()
    await room.app_message("conversation.utterance")

    types = await room.page.evaluate("heard.map((one) => one.type)")
    shown = [name for name in types if name != "app-message"]
    assert shown == ["joined", "microphone", "camera", "face-joined"]
    assert room.everything()["participants"] == 1
    messages = await room.app_messages()
    streamed = "conversation.utterance.streaming"
    assert [kind for kind in kinds(messages) if kind != streamed] == [
        "system.replica_joined",
        "system.pal_joined",
        *SPEAKING,
        *SILENT,
        "conversation.utterance",
    ]
    assert [m["seq"] for m in messages] == list(range(1, len(messages) + 1))
    assert {m["conversation_id"] for m in messages} == {room.id}
    times = [m["timestamp"] for m in messages]
    assert times == sorted(times)
    assert messages[-1]["properties"] == {
        "role": "replica",
        "speech": "Hello <b>you</b> & welcome.",
    }
    assert len({m["inference_id"] for m in messages[2:]}) == 1
    caption = room.frame.locator("#caption")
    await expect(caption).to_have_text("Hello <b>you</b> & welcome.")
    assert room.warnings == []


async def test_it_says_that_it_is_a_simulation(room: FramedRoom):
    await expect(room.frame.get_by_text("Simulation")).to_be_visible()
    assert await room.frame.title() == (f"Conversation {room.id} (simulated)")


async def test_a_reload_finds_the_face_and_no_second_greeting(make):
    room = make()
    await room.enter()
    await room.app_message("conversation.utterance")
    await room.enter()
    await room.app_message("system.replica_present")
    await room.send("echo", text="Still here.")
    said = await room.app_message("conversation.utterance")
    assert said["properties"]["speech"] == "Still here."
    assert room.everything()["participants"] == 1


async def test_echo_is_said_as_it_is(room: FramedRoom):
    await room.send("echo", text="One two three.")
    said = await room.app_message("conversation.utterance")
    assert said["properties"] == {"role": "replica", "speech": "One two three."}
    stop = await room.app_message("conversation.stopped_speaking")
    assert stop["properties"]["interrupted"] is False
    assert stop["properties"]["duration"] > 0
    (record,) = room.everything()["interactions"]
    assert record["problem"] is None
    assert record["message"]["properties"] == {"text": "One two three."}


async def test_echoed_text_may_come_in_pieces(room: FramedRoom):
    pieces = (("One ", False), ("two.", True))
    for text, done in pieces:
        await room.send("echo", text=text, done=done, inference_id="mine")
    said = await room.app_message("conversation.utterance")
    assert said["properties"]["speech"] == "One two."
    # The MD5 of "mine", as Tavus makes a UUID of what is none.
    assert said["inference_id"] == "918b81db-5e91-d031-548b-963c93845e5b"


async def test_interrupt_stops_the_face_and_what_it_was_about_to_say(
    room: FramedRoom,
):
    await room.send("echo", text=LONG * 20)
    await room.send("echo", text="Never said.")
    await room.app_message("conversation.started_speaking")
    await room.send("interrupt")
    said = await room.app_message("conversation.utterance")
    assert said["properties"] == {
        "role": "replica",
        "speech": LONG * 20,
        "interrupted": True,
    }
    stop = await room.app_message("conversation.replica.stopped_speaking")
    assert stop["properties"]["interrupted"] is True
    await room.send("echo", text="Next.")
    said = await room.app_message("conversation.utterance", 2)
    assert said["properties"]["speech"] == "Next."


def pcm(seconds: float, rate_hz: int) -> str:
    """A tone, as base64 of 16-bit PCM."""
    count = int(seconds * rate_hz)
    tone = (
        int(12000 * math.sin(2 * math.pi * 220 * i / rate_hz))
        for i in range(count)
    )
    return base64.b64encode(struct.pack(f"<{count}h", *tone)).decode()


async def test_echoed_audio_is_played_to_its_end(room: FramedRoom):
    tone = {"modality": "audio", "audio": pcm(0.1, 24000)}
    more = {**tone, "sample_rate": 24000, "inference_id": "tone"}
    for done in (False, False, True):
        await room.send("echo", **more, done=done)
    stop = await room.app_message("conversation.stopped_speaking")
    assert stop["properties"]["interrupted"] is False
    assert stop["properties"]["duration"] >= 0.3
    # Nobody knows what it said, so there is no utterance.
    assert kinds((await room.app_messages())[2:]) == [*SPEAKING, *SILENT]


async def test_audio_that_was_cut_is_not_taken_up_again(room: FramedRoom):
    piece = {"modality": "audio", "inference_id": "tone", "done": False}
    await room.send("echo", **piece, audio=pcm(2.0, 8000), sample_rate=8000)
    await room.app_message("conversation.started_speaking")
    await room.send("interrupt")
    await room.app_message("conversation.stopped_speaking")
    await room.send("echo", **piece, audio=pcm(0.1, 8000), sample_rate=8000)
    await room.send("echo", text="Next.")
    await room.app_message("conversation.utterance")
    starts = kinds(await room.app_messages()).count(SPEAKING[0])
    assert starts == 2


async def test_respond_is_answered_with_what_the_face_knows(make):
    room = make(custom_greeting="", conversational_context="It rains")
    await room.enter()
    await room.heard("face-joined")
    await room.send("append_llm_context", context="in Rome.")
    await room.send("respond", text="Hi there!")
    user = await room.app_message("conversation.utterance")
    assert user["properties"] == {"role": "user", "speech": "Hi there!"}
    answer = await room.app_message("conversation.utterance", 2)
    assert answer["properties"]["speech"] == (
        "You said: “Hi there”. I keep in mind: “It rains in Rome”."
    )
    assert answer["turn_idx"] == user["turn_idx"]
    assert answer["inference_id"] == user["inference_id"]

    await room.send("overwrite_llm_context", context="Sun")
    await room.send("respond", text="And now?")
    answer = await room.app_message("conversation.utterance", 4)
    assert answer["properties"]["speech"] == (
        "You said: “And now?”. I keep in mind: “Sun”."
    )
    assert answer["turn_idx"] == user["turn_idx"] + 1


async def test_a_person_without_a_microphone_types(room: FramedRoom):
    await room.frame.get_by_label("Say something").fill("Good day")
    await room.page.keyboard.press("Enter")
    answer = await room.app_message("conversation.utterance", 2)
    assert answer["properties"]["speech"] == "You said: “Good day”."
    seen = kinds(await room.app_messages())
    assert seen[2:8] == [
        "conversation.started_speaking",
        "conversation.user.started_speaking",
        "conversation.stopped_speaking",
        "conversation.user.stopped_speaking",
        "conversation.utterance.streaming",
        "conversation.utterance",
    ]


async def test_a_face_in_echo_mode_answers_nothing(make):
    room = make(
        persona_id="pipecat0",
        replica_id="r9d30b0e55ac",
        custom_greeting=None,
    )
    await room.enter()
    await room.heard("face-joined")
    await room.send("respond", text="Hi!")
    await room.send("echo", text="Hello.")
    said = await room.app_message("conversation.utterance", 2)
    assert said["properties"]["speech"] == "Hello."


async def test_a_tool_is_called_and_its_result_is_said(room: FramedRoom):
    await room.send("respond", text='tool get_weather {"city": "Rome"}')
    call = await room.app_message("conversation.tool_call")
    assert call["properties"]["name"] == "get_weather"
    assert call["properties"]["arguments"] == '{"city": "Rome"}'
    # All that Tavus needs (docs.tavus.io, conversation-tool-result).
    result = {
        "tool_call_id": call["properties"]["tool_call_id"],
        "output": "It is sunny.",
    }
    await room.send("tool_result", **{**result, "tool_call_id": "another"})
    await room.send("tool_result", **result)
    said = await room.app_message("conversation.utterance", 2)
    assert said["properties"]["speech"] == "It is sunny."
    assert said["turn_idx"] == call["turn_idx"]
    assert room.warnings == ["room: a result for no tool call of this room"]


async def test_look_is_a_call_of_perception(room: FramedRoom):
    await room.send("respond", text="Look at me")
    call = await room.app_message("conversation.perception_tool_call")
    [frame] = call["properties"].pop("frames")
    assert frame["mime_type"] == "image/jpeg"
    assert base64.b64decode(frame["data"]).startswith(b"\xff\xd8")
    # As a camera's would be, and more than a data channel carries.
    assert 64 * 1024 < len(frame["data"]) < 512 * 1024
    assert call["properties"] == {
        "modality": "vision",
        "name": "describe_scene",
        "arguments": {"camera_on": False},
    }


async def test_what_tavus_could_not_use_is_warned_of_and_recorded(
    room: FramedRoom,
):
    await room.send("respond")
    await room.send("dance")
    await room.send("echo", text="Hello.")
    await room.app_message("conversation.utterance")
    problems = [
        "properties.text must be a text",
        "unknown event_type 'conversation.dance'",
        None,
    ]
    records = room.everything()["interactions"]
    assert [record["problem"] for record in records] == problems
    assert room.warnings == [
        f"room: an app message is no use: {problem}" for problem in problems[:2]
    ]


async def test_microphone_and_camera_go_on_and_off(room: FramedRoom):
    async def last(kind: str, on: bool) -> None:
        await room.page.wait_for_function(
            "([kind, on]) => heard.findLast((one) => one.type === kind).on"
            " === on",
            arg=[kind, on],
        )

    me = room.frame.get_by_label("You, as your camera sees you")
    meter = room.frame.get_by_label("Your voice")
    await room.tell("set-microphone", on=True)
    await room.tell("set-camera", on=True)
    await last("microphone", True)
    await last("camera", True)
    await expect(me).to_be_visible()
    await room.tell("set-microphone", on=False)
    await room.tell("set-camera", on=False)
    await last("microphone", False)
    await last("camera", False)
    await expect(me).to_be_hidden()
    await expect(meter).to_be_hidden()


async def test_a_microphone_that_is_denied_is_no_end(
    parent_url: str, server: SimServer
):
    async with chromium(arguments=()) as browser:
        room = FramedRoom(await browser.new_page(), parent_url, server)
        await room.enter()
        await room.heard("face-joined")
        await room.tell("set-microphone", on=True)
        error = await room.heard("error")
        assert error["kind"] == "microphone_denied"
        assert error["detail"] in (
            "The microphone was not allowed.",
            "No microphone was found.",
        )
        await room.send("echo", text="I am still here.")
        await room.app_message("conversation.utterance")


async def test_the_face_notices_speech_and_cannot_understand_it(
    parent_url: str, server: SimServer, tmp_path: Path
):
    sound = tmp_path / "speech.wav"
    with wave.Wave_write(str(sound)) as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes(base64.b64decode(pcm(1.5, 48000)))
        file.writeframes(bytes(48000 * 2 * 10))
    microphone = f"--use-file-for-fake-audio-capture={sound}"
    async with chromium((*DEVICES, microphone)) as browser:
        page = await browser.new_page()
        room = FramedRoom(page, parent_url, server, custom_greeting="")
        await room.enter()
        await room.heard("face-joined")
        await room.tell("set-microphone", on=True)
        said = await room.app_message("conversation.utterance")
        assert "understands no speech" in said["properties"]["speech"]
        speaking = [
            (message["event_type"], (message.get("properties") or {}))
            for message in await room.app_messages()
            if message["event_type"].endswith("_speaking")
        ]
    assert [kind for kind, _ in speaking] == [
        "conversation.started_speaking",
        "conversation.user.started_speaking",
        "conversation.stopped_speaking",
        "conversation.user.stopped_speaking",
        *SPEAKING,
        *SILENT,
    ]
    assert speaking[0][1] == {"role": "user"}
    assert speaking[2][1]["role"] == "user"
    assert speaking[2][1]["duration"] > 0.2


# Engines a browser may have; none is in a container's Chromium.
ENGINE = """
window.SpeechSynthesisUtterance = function (text) { this.text = text; };
Object.defineProperty(window, "speechSynthesis", { value: {
  getVoices: () => [{ lang: "en-US", localService: true }],
  cancel() {},
  speak(speech) { ACT },
}});
"""


@pytest.mark.parametrize(
    "act",
    [
        "",  # stuck before it has begun
        "speech.onerror({error: 'not-allowed'});",
        "speech.onstart();",  # stuck in the middle
        "speech.onstart(); speech.onboundary({charIndex: 3}); speech.onend();",
    ],
)
async def test_whatever_the_voice_does_a_speech_ends(make, act: str):
    room = make(custom_greeting="Hi.")
    await room.page.add_init_script(ENGINE.replace("ACT", act))
    await room.enter()
    said = await room.app_message("conversation.utterance")
    assert said["properties"] == {"role": "replica", "speech": "Hi."}
    assert kinds(await room.app_messages()).count(SILENT[0]) == 1


async def test_nothing_is_told_before_the_parent_says_hello(make):
    room = make(custom_greeting="")
    await room.enter(greets=False)
    await expect(room.frame.locator("body")).to_have_attribute(
        "data-state", "live"
    )
    await room.tell("leave")  # from nobody it knows
    assert await room.page.evaluate("heard") == []
    await room.tell("hello")
    await room.heard("face-joined")
    types = await room.page.evaluate("heard.map((one) => one.type)")
    assert types[0] == "joined"
    assert "left" not in types


async def test_only_the_parent_is_obeyed(room: FramedRoom):
    await room.frame.evaluate(
        "window.postMessage({tavus_room: 1, type: 'leave'}, '*')"
    )
    await room.send("echo", text="Still here.")
    await room.app_message("conversation.utterance")
    assert room.everything()["participants"] == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(
    browser: Browser, server: SimServer, parent_url: str, scheme: Any
):
    if not AXE.exists():
        missing = f"{AXE.name} is missing; bin/setup brings it"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    # Axe has to get past the room's own policy.
    context = await browser.new_context(
        bypass_csp=True, color_scheme=scheme, reduced_motion="reduce"
    )
    page = await context.new_page()
    room = FramedRoom(page, parent_url, server)
    await page.goto(room.url)
    body = page.locator("body")
    await page.evaluate(AXE.read_text())
    for state in ("live", "closed"):
        await expect(body).to_have_attribute("data-state", state)
        found = await page.evaluate(
            "axe.run().then((result) => result.violations)"
        )
        assert found == []
        if state == "live":
            room.simulator.shutdown(room.id)
    await context.close()


async def test_leave_leaves_and_says_so(room: FramedRoom):
    await room.send("echo", text=LONG * 20)
    await room.app_message("conversation.started_speaking")
    await room.tell("leave")
    assert (await room.heard("left"))["reason"] == "left"
    await room.is_empty()
    await expect(room.frame.get_by_role("heading", level=2)).to_have_text(
        "You have left"
    )


async def test_closing_the_page_leaves(
    browser: Browser, parent_url: str, server: SimServer
):
    page = await browser.new_page()
    room = FramedRoom(page, parent_url, server)
    await room.enter()
    await room.heard("face-joined")
    await page.close()
    await room.is_empty()


async def test_tavus_ends_the_call(room: FramedRoom):
    room.simulator.shutdown(room.id, "max_call_duration reached")
    assert (await room.heard("left"))["reason"] == "max_call_duration reached"
    shutdown = await room.app_message("system.shutdown")
    assert shutdown["properties"]["shutdown_reason"] == (
        "max_call_duration reached"
    )
    await expect(room.frame.locator("body")).to_contain_text(
        "This conversation has ended: max call duration reached."
    )


async def test_a_private_room_needs_its_token(make):
    room = make(require_auth=True)
    await room.enter("?t=wrong")
    assert (await room.heard("error"))["kind"] == "not_allowed"
    assert room.everything()["participants"] == 0
    await room.enter(f"?t={room.created['meeting_token']}")
    await room.heard("face-joined")
    await room.send("echo", text="Hello.")
    await room.app_message("conversation.utterance", 2)


async def test_an_ended_room_says_so(make):
    room = make()
    room.simulator.shutdown(room.id)
    await room.enter()
    assert (await room.heard("error"))["kind"] == "ended"


async def test_a_full_room_says_so(make):
    room = make(max_participants=2)
    room.simulator.join(room.id)
    await room.enter()
    assert (await room.heard("error"))["kind"] == "full"


async def test_a_simulator_that_is_gone_is_a_lost_connection(
    page: Page, parent_url: str
):
    async with SimServer(Simulator(replica_join_ms=0)) as server:
        room = FramedRoom(page, parent_url, server)
        await room.enter()
        await room.heard("face-joined")
    assert (await room.heard("error"))["kind"] == "network"


async def test_a_room_also_works_in_a_window_of_its_own(make):
    room = make(custom_greeting="")
    await room.page.goto(room.url)
    body = room.page.locator("body")
    await expect(body).to_have_attribute("data-state", "live")
    microphone = room.page.get_by_role("button", name="Microphone")
    await microphone.click()
    await expect(microphone).to_have_attribute("aria-pressed", "true")
    await expect(room.page.get_by_label("Your voice")).to_be_visible()
    await room.page.get_by_role("button", name="Leave").click()
    await expect(body).to_have_attribute("data-state", "closed")
    assert room.warnings == []
