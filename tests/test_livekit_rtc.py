#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""livekit_rtc in a real room: users, data, tokens, many at once."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest
from support.livekit import LiveKitServer, Peer
from support.rtc_node import RtcRun
from support.sounds import loud_s, tone, which_of
from ten_runtime import StatusCode

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


async def test_ten_rooms_at_once(livekit_server: LiveKitServer) -> None:
    pitches = [300 + 50 * number for number in range(20)]

    async def converse(user: Peer, run: RtcRun, pitch: int) -> None:
        heard = user.heard["ten-rtc"]
        await run.say(tone(pitch + 500, 6.0))
        # What is said while a busy machine still connects is lost.
        while loud_s(run.pcm("user")) < 0.8:
            await user.say_tone(pitch)
        await user.until(lambda: loud_s(heard.pcm) > 0.8)
        assert which_of(pitches, run.pcm("user")) == pitch
        assert which_of(pitches, heard.pcm) == pitch + 500
        await run.command("leave")
        await run.commands.get("on_disconnected")
        assert run.users("on_user_left") == ["user"]

    async with AsyncExitStack() as stack:
        rooms: list[tuple[Peer, RtcRun, int]] = []
        for number in range(10):
            room = f"ten-{number}"
            user = await stack.enter_async_context(
                Peer(livekit_server, room, "user")
            )
            run = RtcRun(livekit_server, room)
            await stack.enter_async_context(run)
            await user.until(lambda user=user: "ten-rtc" in user.heard)
            rooms.append((user, run, pitches[number]))
        await asyncio.gather(*(converse(*room) for room in rooms))


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
        *(
            (
                {"identity": name},
                f"token: {name} is reserved for Tavus's avatar and who speaks "
                "through it; whoever joins with it throws them out",
            )
            for name in ("tavus-avatar-agent", "tavus-python")
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
