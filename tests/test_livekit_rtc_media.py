#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""livekit_rtc in a real room: audio and video, both ways."""

import asyncio

import numpy as np
import pytest
from support.livekit import LiveKitServer, Peer
from support.rtc_node import RATE_HZ, RtcRun
from support.sounds import LOUD, Pcm, bursts, frequency_hz, loud_s, tone
from ten_runtime import PixelFmt, StatusCode

pytest_plugins = ["support.livekit_fixtures"]
pytestmark = pytest.mark.usefixtures("ten_app")


# A network loses and delays packets, on a busy machine even this one: a tone
# of several comes through whole, unless we ourselves lose some of each.
TONES = 6
TONE_S, PAUSE_S = 0.5, 0.4


def some_tones(pitch: float) -> Pcm:
    pause = np.zeros(int(PAUSE_S * RATE_HZ), np.int16)
    return np.concatenate([tone(pitch, TONE_S), pause] * TONES)


def are_over(pcm: Pcm) -> bool:
    (loud,) = np.nonzero(np.abs(pcm.astype(np.int32)) > LOUD)
    length = TONES * (TONE_S + PAUSE_S) * RATE_HZ
    return loud.size > 0 and pcm.size > loud[0] + length


def check_tones(pcm: Pcm, pitch: float) -> None:
    """They are as long as they were, to the frame, and sound the same."""
    heard = bursts(pcm)
    assert len(heard) >= TONES - 1
    exact = [
        part
        for part in heard
        if abs(part.size - TONE_S * RATE_HZ) <= RATE_HZ // 100
    ]
    assert exact, [part.size for part in heard]
    assert any(abs(frequency_hz(part) - pitch) < 4 for part in exact)


async def test_a_user_is_heard_in_the_graph(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "hear", "42") as user,
        RtcRun(livekit_server, "hear") as run,
    ):
        await run.in_room()
        await user.say(some_tones(440))
        await run.frames.until(lambda: are_over(run.pcm("42")))
        check_tones(run.pcm("42"), 440)
        state = await run.commands.get("on_user_audio_track_state_changed")
        assert (state["remote_user_id"], state["state"]) == ("42", 2)
        for frame in run.audio_frames:
            assert frame["sample_rate"] == RATE_HZ
            assert (frame["channels"], frame["samples"]) == (1, 160)
            assert frame["bytes"] == 320
            assert frame["stream_id"] == 42
            assert frame["metadata"] == {"session_id": "42"}


async def test_the_graph_is_heard_by_a_user(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "speak", "user") as user,
        RtcRun(livekit_server, "speak", publish_audio_sample_rate=16000) as run,
    ):
        await run.in_room()
        await user.until(lambda: "ten-rtc" in user.heard)
        # Faster than real time, as text-to-speech is.
        await run.say(some_tones(600))
        heard = user.heard["ten-rtc"]
        await user.until(lambda: are_over(heard.pcm))
        check_tones(heard.pcm, 600)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (48_000, 2)])
async def test_audio_of_any_rate_and_channels_is_published(
    livekit_server: LiveKitServer, rate: int, channels: int
) -> None:
    room = f"rate-{rate}"
    async with (
        Peer(livekit_server, room, "user") as user,
        RtcRun(livekit_server, room) as run,
    ):
        await user.until(lambda: "ten-rtc" in user.heard)
        pcm = np.repeat(tone(700, 1.0, rate), channels)
        await run.say(pcm, rate, channels)
        await user.until(
            lambda: (
                loud_s(user.heard["ten-rtc"].pcm) > 0.97
                and not np.any(user.heard["ten-rtc"].pcm[-1600:] > 1000)
            )
        )
        assert abs(frequency_hz(user.heard["ten-rtc"].pcm) - 700) < 5


async def test_audio_from_before_the_room_is_heard_in_it(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "before", "user") as user,
        RtcRun(livekit_server, "before", auto_join=False) as run,
    ):
        await run.say(tone(500, 3.0))
        await run.command("join")
        await user.until(
            lambda: (
                "ten-rtc" in user.heard
                and loud_s(user.heard["ten-rtc"].pcm) > 1
            )
        )


async def test_flush_is_silence_at_once(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "flush", "user") as user,
        RtcRun(livekit_server, "flush") as run,
    ):
        await user.until(lambda: "ten-rtc" in user.heard)
        heard = user.heard["ten-rtc"]
        await run.say(tone(500, 30.0))
        await user.until(lambda: loud_s(heard.pcm) > 0.5)
        status, _ = await run.command("flush")
        assert status == StatusCode.OK
        before = heard.pcm.size
        await user.until(lambda: heard.pcm.size > before + RATE_HZ)
        # What was on the wire is heard; half a second would be our queue.
        assert loud_s(heard.pcm[before:]) < 0.4
        # And what comes next is not held up by what was dropped.
        await run.say(tone(900, 0.5))
        size = heard.pcm.size
        await user.until(lambda: loud_s(heard.pcm[size:]) > 0.4)
        assert abs(frequency_hz(heard.pcm[size:]) - 900) < 4


async def test_a_full_queue_drops_the_oldest(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "full", "user") as user,
        RtcRun(
            livekit_server,
            "full",
            auto_join=False,
            publish_audio_queue_ms=1000,
            publish_audio_sample_rate=16000,
        ) as run,
    ):
        await run.say(tone(300, 5.0))
        await run.say(tone(800, 1.0))
        await run.command("join")
        await user.until(
            lambda: (
                "ten-rtc" in user.heard
                and loud_s(user.heard["ten-rtc"].pcm) > 0.3
            )
        )
        assert abs(frequency_hz(user.heard["ten-rtc"].pcm) - 800) < 5


async def test_a_user_is_seen_in_the_graph(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "see", "user") as user,
        RtcRun(livekit_server, "see", subscribe_video=True) as run,
    ):
        await run.in_room()
        await user.show_picture(320, 180, 10)
        await run.frames.until(lambda: len(run.pictures) >= 3)
        picture = run.pictures[-1]
        assert (picture["width"], picture["height"]) == (320, 180)
        assert picture["pixel_fmt"] == PixelFmt.I420
        assert picture["remote_user_id"] == "user"
        luma = np.frombuffer(picture["pixels"], np.uint8)
        assert luma.size == 320 * 180 * 3 // 2
        assert np.ptp(luma) > 100  # a bright bar on dark
        await run.commands.get("on_user_video_track_state_changed")


async def test_video_is_not_taken_unless_it_is_wanted(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "unseen", "user") as user,
        RtcRun(livekit_server, "unseen") as run,
    ):
        await run.in_room()
        await user.show_picture()
        await user.say_tone(440)
        await run.frames.until(lambda: loud_s(run.pcm("user")) > 0.5)
        assert run.pictures == []


@pytest.mark.parametrize("pixel_fmt", [PixelFmt.I420, PixelFmt.RGBA])
async def test_the_graph_is_seen_by_a_user(
    livekit_server: LiveKitServer, pixel_fmt: PixelFmt
) -> None:
    width, height, room = 320, 180, f"show-{pixel_fmt}"
    if pixel_fmt == PixelFmt.RGBA:
        pixels = np.full((height, width, 4), 20, np.uint8)
        pixels[:, width // 2 :] = 220
    else:
        pixels = np.full(width * height * 3 // 2, 128, np.uint8)
        luma = pixels[: width * height].reshape(height, width)
        luma[:] = 30
        luma[:, width // 2 :] = 210
    async with (
        Peer(livekit_server, room, "user") as user,
        RtcRun(
            livekit_server,
            room,
            publish_video=True,
            publish_video_width=width,
            publish_video_height=height,
            publish_video_frame_rate=10,
        ) as run,
    ):
        await user.until(lambda: "ten-rtc" in user.seen)

        async def film() -> None:
            while True:
                await run.show(pixels.tobytes(), width, height, pixel_fmt)
                await asyncio.sleep(0.1)

        filming = asyncio.ensure_future(film())
        await user.until(lambda: user.seen["ten-rtc"].frames >= 3)
        filming.cancel()
        await asyncio.gather(filming, return_exceptions=True)
        seen = user.seen["ten-rtc"].last
        assert seen is not None
        assert (seen.width, seen.height) == (width, height)
        shown = np.frombuffer(seen.data, np.uint8)[: width * height]
        shown = shown.reshape(height, width)
        assert shown[:, : width // 3].mean() < 60
        assert shown[:, -width // 3 :].mean() > 170


async def test_a_muted_microphone_is_told(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "mute", "user") as user,
        RtcRun(livekit_server, "mute") as run,
    ):
        await run.in_room()
        await user.open_microphone()
        name = "on_user_audio_track_state_changed"
        await run.commands.get(name)
        (publication,) = user.room.local_participant.track_publications.values()
        track = publication.track
        assert track is not None
        track.mute()
        await run.commands.get(name, 2)
        track.unmute()
        await run.commands.get(name, 3)
        await user.leave()
        await run.commands.get(name, 4)
        told = [(c["state"], c["reason"]) for c in run.commands.named(name)]
        assert told == [(2, 0), (0, 5), (2, 6), (0, 7)]
