#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What goes wrong with avatars: by faults, in the room, in the worker."""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Iterator

import pytest
from support.avatars import AVATAR, RATE_HZ, READY_S, Agent, Stage, stages
from support.livekit import LiveKitServer
from support.sounds import tone
from tavus_sim import AvatarVideo, SimServer, Simulator

pytest_plugins = ["support.livekit_fixtures"]
_rooms = itertools.count(1)
COULD_NOT_JOIN = "bot_could_not_join_meeting_it_was_probably_ended"
BROKEN = "internal error occurred at step avatar"


@pytest.fixture(name="stage", scope="module")
def module_stage(livekit_server: LiveKitServer) -> Iterator[Stage]:
    yield from stages(livekit_server)


@pytest.fixture(name="room")
def room_fixture() -> str:
    return f"faulty-{next(_rooms)}"


@pytest.fixture(autouse=True)
def no_faults_left(stage: Stage) -> Iterator[None]:
    yield
    assert stage.simulator.faults() == []
    for conversation_id in stage.simulator.active:
        stage.end(conversation_id)


def fault(stage: Stage, kind: str, delay_ms: float = 0) -> None:
    stage.simulator.add_fault("avatar", kind, delay_ms=delay_ms, count=1)


def notes(stage: Stage, conversation_id: str) -> list[str]:
    kept = stage.seen(conversation_id)["avatar"]["notes"]
    return [note["note"] for note in kept]


async def test_an_absent_avatar_never_comes_and_the_next_one_does(
    stage: Stage, room: str
):
    fault(stage, "avatar_absent")
    async with Agent(stage.server, room) as agent:
        absent = stage.create(room)
        coming = stage.create(room, identity="another")
        await agent.until_with("another")
        assert AVATAR not in agent.others
        assert stage.seen(absent)["avatar"]["state"] == "absent"
        assert notes(stage, absent) == ["fault: avatar_absent"]
        assert stage.seen(absent)["status"] == "active"
        stage.end(absent)
        await stage.until(coming, state="visible")


async def test_a_slow_avatar_comes_late(stage: Stage, room: str):
    fault(stage, "avatar_slow_join", delay_ms=1500)
    loop = asyncio.get_running_loop()
    async with Agent(stage.server, room) as agent:
        before_s = loop.time()
        conversation_id = stage.create(room)
        assert stage.seen(conversation_id)["avatar"]["state"] == "joining"
        await agent.until_with(AVATAR)
        assert loop.time() - before_s >= 1.5


async def test_a_slow_avatar_of_an_ended_conversation_never_comes(
    stage: Stage, room: str
):
    fault(stage, "avatar_slow_join", delay_ms=3_600_000)
    conversation_id = stage.create(room)
    stage.end(conversation_id)
    await stage.until(conversation_id, state="left")


async def test_one_without_video_is_there_and_shows_nothing(
    stage: Stage, room: str
):
    fault(stage, "avatar_no_video")
    async with Agent(stage.server, room) as agent:
        blind = stage.create(room)
        await agent.until_with(AVATAR)
        seen = stage.create(room, identity="another")
        await stage.until(seen, state="visible")
        assert stage.seen(blind)["avatar"]["state"] == "joined"
        avatar = agent.room.remote_participants[AVATAR]
        assert not avatar.track_publications


async def test_one_that_dies_leaves_in_the_middle_of_a_sentence(
    stage: Stage, room: str
):
    fault(stage, "avatar_dies", delay_ms=300)
    async with Agent(stage.server, room) as agent:
        conversation_id = stage.create(room)
        await agent.push(tone(440, 5.0, RATE_HZ))
        await agent.until(lambda: agent.starts == 1)
        await agent.until(lambda: AVATAR not in agent.others)
        assert agent.finished == []
        await stage.until(conversation_id, state="left")
        assert stage.seen(conversation_id)["status"] == "active"


async def test_one_with_a_silent_finish_never_says_it_is_done(
    stage: Stage, room: str
):
    fault(stage, "avatar_silent_finish")
    async with Agent(stage.server, room) as agent:
        conversation_id = stage.create(room)
        await agent.utter(tone(440, 0.3, RATE_HZ))
        await stage.simulator.until(
            lambda: (
                [
                    one["played_ms"]
                    for one in stage.seen(conversation_id)["utterances"]
                ]
                == [pytest.approx(300)]
            )
        )
        stage.end(conversation_id)
        await agent.until(lambda: AVATAR not in agent.others)
        assert agent.finished == []


async def test_a_token_of_another_server_is_a_note_without_the_token(
    stage: Stage, room: str, caplog: pytest.LogCaptureFixture
):
    good = stage.server.token(
        AVATAR,
        room,
        kind="agent",
        attributes={"lk.publish_on_behalf": "agent"},
    )
    head, claims, signature = good.split(".")
    token = f"{head}.{claims}.{signature[::-1]}"
    conversation_id = stage.create(room, token=token)
    await stage.until(conversation_id, state="left")
    seen = stage.seen(conversation_id)
    assert (seen["status"], seen["ended_by"]) == ("error", COULD_NOT_JOIN)
    assert len(notes(stage, conversation_id)) == 1
    assert claims not in repr(seen)
    assert claims not in caplog.text


async def test_a_server_that_is_not_there(stage: Stage, room: str):
    conversation_id = stage.create(room, livekit_ws_url="ws://127.0.0.1:9")
    await stage.until(conversation_id, state="left")
    assert stage.seen(conversation_id)["ended_by"] == COULD_NOT_JOIN


async def test_audio_of_another_rate_breaks_it(stage: Stage, room: str):
    async with Agent(stage.server, room) as agent:
        conversation_id = stage.create(room)
        await stage.until(conversation_id, state="visible")
        writer = await agent.room.local_participant.stream_bytes(
            name="AUDIO_1",
            topic="lk.audio_stream",
            destination_identities=[AVATAR],
            attributes={"sample_rate": "16000", "num_channels": "1"},
        )
        await writer.write(tone(440, 0.3, 16_000).tobytes())
        await writer.aclose()
        await stage.until(conversation_id, state="left")
        seen = stage.seen(conversation_id)
        assert (seen["status"], seen["ended_by"]) == ("error", BROKEN)
        (note,) = notes(stage, conversation_id)
        assert "24000 Hz mono, not 16000 Hz" in note


async def test_it_comes_back_when_the_server_restarts(
    stage: Stage, room: str, own_livekit_server: LiveKitServer
):
    own = Stage(own_livekit_server, stage.sim, stage.simulator)
    async with Agent(own.server, room) as agent:
        conversation_id = own.create(room)
        await agent.utter(tone(440, 0.3, RATE_HZ))
        await agent.until_played()
        own.server.restart()
        await agent.until(agent.room.isconnected)
        await own.until(conversation_id, state="visible")
        await agent.utter(tone(440, 0.3, RATE_HZ))
        await agent.until_played(2)


async def test_a_worker_that_dies_is_replaced(stage: Stage, room: str):
    async with Agent(stage.server, room) as agent:
        lost = stage.create(room)
        await stage.until(lost, state="visible")
        assert stage.sim.worker and stage.sim.worker.pid
        os.kill(stage.sim.worker.pid, signal.SIGKILL)
        await stage.until(lost, state="left")
        seen = stage.seen(lost)
        assert (seen["status"], seen["ended_by"]) == ("error", BROKEN)
        assert notes(stage, lost) == ["the avatar worker has died (-9)"]
        found = stage.create(room, identity="another")
        await stage.until(found, READY_S, state="visible")
        assert "another" in agent.others


async def test_a_worker_that_cannot_start_fails_what_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, stage: Stage, room: str
):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    simulator = type(stage.simulator)()
    other = Stage(stage.server, stage.sim, simulator)
    async with SimServer(simulator, avatars=AvatarVideo()):
        conversation_id = other.create(room)
        await other.until(conversation_id, state="left")
        assert other.seen(conversation_id)["status"] == "error"


async def test_closing_ends_the_worker_and_its_avatars(stage: Stage, room: str):
    simulator = type(stage.simulator)()
    server = SimServer(simulator, avatars=AvatarVideo(64, 36, 5))
    await server.start()
    other = Stage(stage.server, stage.sim, simulator)
    async with Agent(stage.server, room) as agent:
        conversation_id = other.create(room)  # before the worker is ready
        await other.until(conversation_id, READY_S, state="visible")
        assert server.worker and server.worker.pid
        pid = server.worker.pid
        await server.close()
        await agent.until(lambda: not agent.others)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_worker_whose_python_is_gone(
    monkeypatch: pytest.MonkeyPatch, stage: Stage, room: str
):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    simulator = type(stage.simulator)()
    other = Stage(stage.server, stage.sim, simulator)
    async with SimServer(simulator, avatars=AvatarVideo()):
        conversation_id = other.create(room)
        await other.until(conversation_id, state="left")
        (note,) = notes(other, conversation_id)
        assert "does not start" in note


@pytest.mark.parametrize(
    "text", ["", "640x360", "640@25", "640x361@25", "8x8@25", "640x360@7", "x@"]
)
def test_a_picture_that_cannot_be(text: str):
    with pytest.raises(ValueError):
        AvatarVideo.parse(text)


def test_without_livekit_agents_avatars_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="bin/setup"):
        SimServer(Simulator(), avatars=AvatarVideo())
