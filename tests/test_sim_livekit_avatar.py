#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A real avatar in a real LiveKit room, driven by the reference agent."""

import asyncio
import itertools
import json
from collections.abc import Iterator

import numpy as np
import pytest
from livekit import api
from support.avatars import AVATAR, RATE_HZ, Agent, Stage, stages
from support.livekit import LiveKitServer, Peer
from support.sounds import Pcm, frequency_hz, loud_s, tone

pytest_plugins = ["support.livekit_fixtures"]
_rooms = itertools.count(1)
LEFT = "participant_left_timeout reached"
QUIET_MS = 400


@pytest.fixture(name="stage", scope="module")
def stage_fixture(livekit_server: LiveKitServer) -> Iterator[Stage]:
    yield from stages(livekit_server)


@pytest.fixture(name="room")
def room_fixture() -> str:
    return f"avatar-{next(_rooms)}"


def speech(duration_s: float, hz: float = 440) -> Pcm:
    return tone(hz, duration_s, RATE_HZ)


async def until_seen(peer: Peer, frames: int = 5) -> None:
    await peer.until(
        lambda: AVATAR in peer.seen and peer.seen[AVATAR].frames >= frames
    )


def luma(peer: Peer) -> np.ndarray:
    """What a peer sees of the avatar now."""
    frame = peer.seen[AVATAR].last
    assert frame
    pixels = np.frombuffer(frame.data, np.uint8)[: frame.width * frame.height]
    return pixels.reshape(frame.height, frame.width)


async def test_the_avatar_joins_as_the_token_says(stage: Stage, room: str):
    async with Agent(stage.server, room) as agent:
        conversation_id = stage.create(room)
        await agent.until_with(AVATAR)
        avatar = agent.room.remote_participants[AVATAR]
        assert avatar.kind == api.ParticipantInfo.Kind.AGENT
        assert avatar.attributes["lk.publish_on_behalf"] == "agent"
        await stage.until(conversation_id, state="visible")
        seen = stage.seen(conversation_id)
        types = [event["event_type"] for event in seen["events"]]
        assert types == ["system.replica_joined", "system.pal_joined"]
        stage.end(conversation_id)


async def test_a_face_is_seen_before_anything_was_said(stage: Stage, room: str):
    async with Agent(stage.server, room) as agent:
        conversation_id = stage.create(room)
        await until_seen(agent)
        picture = luma(agent)
        assert picture.shape == (180, 320)
        assert picture.std() > 20
        assert stage.heard(conversation_id).size == 0
        stage.end(conversation_id)


async def test_what_is_sent_is_heard_and_moves_the_mouth(
    stage: Stage, room: str
):
    async with (
        Agent(stage.server, room) as agent,
        Peer(stage.server, room, "alice") as alice,
    ):
        conversation_id = stage.create(room)
        await until_seen(alice)
        silent = luma(alice)[100:140, 120:200].astype(int)
        said = speech(2.0)
        await agent.utter(said)
        await agent.until(lambda: agent.starts == 1)
        await alice.until(
            lambda: np.abs(luma(alice)[100:140, 120:200] - silent).max() > 60
        )
        played = await agent.until_played()
        assert played.interrupted is False
        assert played.playback_position == pytest.approx(2.0)
        await alice.until(lambda: loud_s(alice.heard[AVATAR].pcm) >= 1.9)
        pcm = alice.heard[AVATAR].pcm
        assert frequency_hz(pcm) == pytest.approx(440, abs=5)
        np.testing.assert_array_equal(stage.heard(conversation_id), said)
        await stage.simulator.until(
            lambda: (
                stage.seen(conversation_id)["utterances"]
                == [
                    {
                        "number": 1,
                        "sent_ms": 2000,
                        "complete": True,
                        "played_ms": pytest.approx(2000),
                        "interrupted": False,
                    }
                ]
            )
        )
        stage.end(conversation_id)


async def test_utterances_follow_each_other(stage: Stage, room: str):
    async with Agent(stage.server, room) as agent:
        conversation_id = stage.create(room)
        for number in (1, 2, 3):
            await agent.utter(speech(0.3))
            played = await agent.until_played(number)
            assert played.playback_position == pytest.approx(0.3)
        assert agent.starts == 3
        assert len(stage.seen(conversation_id)["utterances"]) == 3
        stage.end(conversation_id)


async def test_an_interruption_makes_it_silent(stage: Stage, room: str):
    async with (
        Agent(stage.server, room) as agent,
        Peer(stage.server, room, "alice") as alice,
    ):
        conversation_id = stage.create(room)
        await until_seen(alice)
        await agent.push(speech(10.0))
        await alice.until(
            lambda: (
                AVATAR in alice.heard and loud_s(alice.heard[AVATAR].pcm) > 0.3
            )
        )
        agent.output.clear_buffer()
        played = await agent.until_played()
        assert played.interrupted is True
        assert played.playback_position < 5

        def quiet() -> bool:
            end = alice.heard[AVATAR].pcm[-16 * QUIET_MS :]
            return not np.any(np.abs(end) > 500)

        await alice.until(quiet)
        assert loud_s(alice.heard[AVATAR].pcm) < 5
        assert stage.seen(conversation_id)["avatar"]["clears"] == 1
        # The stream is still open: what it brings now is dropped.
        agent.output.flush()
        await agent.utter(speech(0.3))
        assert (await agent.until_played(2)).interrupted is False
        stage.end(conversation_id)


async def test_an_interruption_is_of_one_room_only(stage: Stage, room: str):
    names = [f"avatar-of-{room}-{side}" for side in "ab"]
    rooms = [f"{room}-{side}" for side in "ab"]
    async with (
        Agent(stage.server, rooms[0], names[0]) as cut,
        Agent(stage.server, rooms[1], names[1]) as other,
    ):
        ids = [
            stage.create(*pair[:1], identity=pair[1])
            for pair in zip(rooms, names, strict=True)
        ]
        await asyncio.gather(cut.push(speech(9.0)), other.utter(speech(1.5)))
        await cut.until(lambda: cut.starts == 1)
        await other.until(lambda: other.starts == 1)
        cut.output.clear_buffer()
        assert (await cut.until_played()).interrupted is True
        played = await other.until_played()
        assert played.interrupted is False
        assert played.playback_position == pytest.approx(1.5)
        for conversation_id in ids:
            stage.end(conversation_id)


async def test_it_leaves_when_the_conversation_is_ended(
    stage: Stage, room: str
):
    async with Agent(stage.server, room) as agent:
        conversation_id = stage.create(room)
        await until_seen(agent)
        stage.end(conversation_id)
        await agent.until(lambda: not agent.others)
        await stage.until(conversation_id, state="left")
        notes = stage.seen(conversation_id)["avatar"]["notes"]
        assert [note["note"] for note in notes] == [
            "left the room: the conversation is over"
        ]


async def test_a_conversation_ends_when_its_users_are_gone(
    stage: Stage, room: str
):
    async with Agent(stage.server, room) as agent:
        conversation_id = stage.create(room, participant_left_timeout=0)
        await stage.until(conversation_id, state="visible")
        async with Peer(stage.server, room, "alice") as alice:
            # The going of one who publishes nothing is told seconds later.
            await alice.show_picture()
            await stage.simulator.until(
                lambda: stage.seen(conversation_id)["participants"] == 1
            )
            assert stage.seen(conversation_id)["status"] == "active"
        await agent.until(lambda: AVATAR not in agent.others)
        seen = stage.seen(conversation_id)
        assert (seen["ended_by"], seen["participants"]) == (LEFT, 0)


async def test_an_agent_alone_is_nobody(stage: Stage, room: str):
    async with Agent(stage.server, room) as agent:
        conversation_id = stage.create(room, participant_absent_timeout=900)
        await stage.until(conversation_id, state="visible")
        assert stage.seen(conversation_id)["participants"] == 0
        stage.simulator.advance(901)
        await agent.until(lambda: not agent.others)
        ended_by = stage.seen(conversation_id)["ended_by"]
        assert ended_by == "participant_absent_timeout reached"


@pytest.mark.parametrize("how", ["kicked", "deleted"])
async def test_a_conversation_ends_when_its_avatar_is_put_out(
    stage: Stage, room: str, how: str
):
    async with (
        Agent(stage.server, room),
        Peer(stage.server, room, "alice"),
        stage.server.api() as server,
    ):
        conversation_id = stage.create(room, participant_left_timeout=0)
        await stage.until(conversation_id, state="visible")
        if how == "kicked":
            await server.room.remove_participant(
                api.RoomParticipantIdentity(room=room, identity=AVATAR)
            )
        else:
            await server.room.delete_room(api.DeleteRoomRequest(room=room))
        await stage.until(conversation_id, state="left")
        seen = stage.seen(conversation_id)
        assert (seen["status"], seen["ended_by"]) == ("ended", LEFT)
        (event,) = (
            event
            for event in seen["events"]
            if event["event_type"] == "system.shutdown"
        )
        assert event["properties"]["shutdown_reason"] == LEFT


async def test_an_emotion_arrives(stage: Stage, room: str):
    async with Agent(stage.server, room) as agent:
        conversation_id = stage.create(room)
        await agent.until_with(AVATAR)
        message = {
            "message_type": "conversation",
            "event_type": "conversation.set_emotion",
            "properties": {"emotion": "happiness"},
        }
        await agent.room.local_participant.publish_data(
            json.dumps(message).encode(),
            topic="app_messages",
            destination_identities=[AVATAR],
        )
        await stage.simulator.until(
            lambda: stage.seen(conversation_id)["interactions"]
        )
        (kept,) = stage.seen(conversation_id)["interactions"]
        assert kept["problem"] is None
        assert kept["message"]["properties"] == {"emotion": "happiness"}
        stage.end(conversation_id)


async def test_ten_rooms_at_once(stage: Stage, room: str):
    names = [f"{room}-{number}" for number in range(10)]

    async def visit(name: str) -> None:
        async with Agent(stage.server, name, f"avatar-of-{name}") as agent:
            conversation_id = stage.create(name, identity=agent.avatar)
            await stage.until(conversation_id, state="visible")
            said = speech(0.5, 400 + 20 * names.index(name))
            await agent.utter(said)
            assert (await agent.until_played()).interrupted is False
            np.testing.assert_array_equal(stage.heard(conversation_id), said)
            stage.end(conversation_id)
            await agent.until(lambda: not agent.others)

    await asyncio.gather(*(visit(name) for name in names))
    assert stage.simulator.active == []
