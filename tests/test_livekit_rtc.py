#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""livekit_rtc in a real room: users, audio, video, data."""

import asyncio
import json

import numpy as np
import pytest
from support.livekit import LiveKitServer, Peer
from support.rtc_node import RATE_HZ, RtcRun
from support.sounds import LOUD, Pcm, bursts, frequency_hz, loud_s, tone
from ten_runtime import PixelFmt, StatusCode

pytest_plugins = ["support.livekit_fixtures"]
pytestmark = pytest.mark.usefixtures("ten_app")


async def test_users_come_and_go(livekit_server: LiveKitServer) -> None:
    room = "come-and-go"
    async with (
        Peer(livekit_server, room, "early"),
        RtcRun(livekit_server, room) as run,
    ):
        joined = await run.commands.get("on_user_joined")
        assert joined == {
            "channel": room,
            "user_id": "ten-rtc",
            "remote_user_id": "early",
        }
        async with Peer(livekit_server, room, "late", kind="sip"):
            await run.commands.get("on_user_joined", 2)
        left = await run.commands.get("on_user_left")
        assert left["remote_user_id"] == "late"
        assert (left["channel"], left["user_id"]) == (room, "ten-rtc")
        status, _ = await run.command("leave")
        assert status == StatusCode.OK
        await run.commands.get("on_disconnected")
        assert run.users("on_user_joined") == ["early", "late"]
        assert run.users("on_user_left") == ["late", "early"]
        names = [name for name, _ in run.commands.messages]
        assert names[0] == "on_connected"
        assert names[-1] == "on_disconnected"


async def test_agents_and_avatars_are_no_users(
    livekit_server: LiveKitServer,
) -> None:
    room = "agents"
    avatar = {"lk.publish_on_behalf": "tavus-python"}
    async with (
        Peer(livekit_server, room, "agent", kind="agent") as agent,
        Peer(livekit_server, room, "avatar", attributes=avatar),
        RtcRun(livekit_server, room) as run,
        Peer(livekit_server, room, "user"),
    ):
        await run.commands.get("on_user_joined")
        assert run.users("on_user_joined") == ["user"]
        await agent.until_with("ten-rtc")
        ours = agent.room.remote_participants["ten-rtc"]
        assert ours.kind == 4  # an agent itself
        await run.command("leave")
        await run.commands.get("on_user_left")
        assert run.users("on_user_left") == ["user"]


async def test_agents_count_when_they_are_to(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "counted", "agent", kind="agent"),
        RtcRun(livekit_server, "counted", count_agents=True) as run,
    ):
        joined = await run.commands.get("on_user_joined")
        assert joined["remote_user_id"] == "agent"


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


async def test_data_goes_both_ways(livekit_server: LiveKitServer) -> None:
    async with (
        Peer(livekit_server, "data", "7") as user,
        Peer(livekit_server, "data", "other") as other,
        RtcRun(livekit_server, "data", data_topic="ten") as run,
    ):
        # Until then its packets have no sender.
        await user.until_with("ten-rtc")
        await other.until_with("ten-rtc")
        user.read_texts("words")
        await run.send_data(b"\x00\xff one")
        await run.send_data(b"two", topic="special", remote_user_id="7")
        await run.send_data(text="x" * 40_000, topic="words")
        await user.until(lambda: len(user.packets) == 2 and bool(user.texts))
        assert [(p.sender, p.topic, p.content) for p in user.packets] == [
            ("ten-rtc", "ten", b"\x00\xff one"),
            ("ten-rtc", "special", b"two"),
        ]
        assert user.texts[0].content == b"x" * 40_000
        assert len(other.packets) == 1

        ours = user.room.local_participant
        await ours.publish_data(b"\x01\x00", topic="t")
        await ours.send_text("Grüße", topic="lk.chat")
        await run.data.get("data", 2)
        assert run.data.named("data") == [
            {
                "channel": "data",
                "remote_user_id": "7",
                "stream_id": 7,
                "topic": topic,
                "data": content,
            }
            for topic, content in [
                ("t", b"\x01\x00"),
                ("lk.chat", "Grüße".encode()),
            ]
        ]


async def test_data_that_cannot_be_sent_does_no_harm(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "bad-data", "user") as user,
        RtcRun(livekit_server, "bad-data", auto_join=False) as run,
    ):
        await run.send_data(b"too early")
        await run.command("join")
        await user.until_with("ten-rtc")
        await run.send_data(b"x" * 100_000)
        await run.send_data()
        await run.send_data(b"good")
        await user.until(lambda: bool(user.packets))
        assert [p.content for p in user.packets] == [b"good"]


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


async def test_ten_rooms_at_once(livekit_server: LiveKitServer) -> None:
    async def converse(number: int) -> None:
        room, pitch = f"ten-{number}", 300 + 50 * number
        async with (
            Peer(livekit_server, room, "user") as user,
            RtcRun(livekit_server, room) as run,
        ):
            await run.in_room()
            await user.until(lambda: "ten-rtc" in user.heard)
            await asyncio.gather(
                user.say_tone(pitch, 3.0), run.say(tone(pitch + 500, 3.0))
            )
            heard = user.heard["ten-rtc"]
            await run.frames.until(lambda: loud_s(run.pcm("user")) > 0.8)
            await user.until(lambda: loud_s(heard.pcm) > 0.8)
            assert abs(frequency_hz(run.pcm("user")) - pitch) < 20
            assert abs(frequency_hz(heard.pcm) - pitch - 500) < 20
            await run.command("leave")
            await run.commands.get("on_disconnected")
        assert run.users("on_user_left") == ["user"]

    await asyncio.gather(*(converse(number) for number in range(10)))


async def test_a_token_lets_another_in(livekit_server: LiveKitServer) -> None:
    async with RtcRun(livekit_server, "token") as run:
        await run.in_room()
        status, answer = await run.command(
            "token", identity="guest", name="Guest", can_publish=False
        )
        assert status == StatusCode.OK
        assert (answer["room"], answer["identity"]) == ("token", "guest")
        assert answer["url"] == livekit_server.url
        guest = Peer(livekit_server, "elsewhere", "guest")
        guest.use_token(answer["token"])
        async with guest:
            joined = await run.commands.get("on_user_joined")
            assert joined["remote_user_id"] == "guest"
            assert guest.room.name == "token"
            permissions = guest.room.local_participant.permissions
            assert not permissions.can_publish
            assert permissions.can_subscribe


@pytest.mark.parametrize(
    ("properties", "detail"),
    [
        ({}, "token: identity is missing; say who it is for"),
        (
            {"identity": "ten-rtc"},
            "token: ten-rtc is our own identity; whoever joins with it "
            "throws us out",
        ),
        (
            {"identity": "x", "ttl_s": 0},
            "token: ttl_s is not a number from 1 to 86400",
        ),
    ],
)
async def test_a_token_that_makes_no_sense_is_refused(
    livekit_server: LiveKitServer,
    properties: dict[str, object],
    detail: str,
) -> None:
    async with RtcRun(livekit_server, "no-token", auto_join=False) as run:
        status, answer = await run.command("token", **properties)
    assert status == StatusCode.ERROR
    assert answer == {"detail": detail, "kind": "validation"}


async def test_an_unknown_command_is_refused(
    livekit_server: LiveKitServer,
) -> None:
    async with RtcRun(livekit_server, "unknown", auto_join=False) as run:
        status, answer = await run.command("dance")
    assert status == StatusCode.ERROR
    assert json.dumps(answer).count("flush, join, leave and token") == 1
