#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Transport livekit when things go wrong: nothing is left running."""

import asyncio
import json
import logging
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import api
from support.avatar import Avatar
from support.livekit import LiveKitServer
from support.livekit_peer import Peer
from support.sounds import tone
from support.staging import Staged
from support.wire import Wire
from ten_packages.extension.tavus_python.config import StartOptions
from ten_packages.extension.tavus_python.errors import (
    TavusAuthError,
    TavusCancelledError,
    TavusError,
)
from ten_packages.extension.tavus_python.events import Ended
from ten_packages.extension.tavus_python.transports import (
    livekit_room,
    playback,
    transport_of,
    voice,
)
from ten_packages.extension.tavus_python.transports.livekit import FAREWELLS

pytest_plugins = ["support.livekit_fixtures"]


def absent(_number: int, _url: str, _token: str) -> None:
    """Never comes."""


async def show_nothing(_: object) -> None:
    """Nobody asked for the avatar's media."""


def faceless(_number: int, url: str, token: str) -> Avatar:
    return Avatar(url, token, video=False)


def mute(_number: int, url: str, token: str) -> Avatar:
    return Avatar(url, token, finishes=False)


async def fails_twice(staged: Staged, reason: str, text: str) -> None:
    """Waits for the restart, and for the end after it."""
    await staged.until(lambda: len(staged.ended) == 2, 30)
    assert [ended.reason for ended in staged.ended] == [reason, reason]
    assert [failed.error.kind for failed in staged.failed] == ["avatar"] * 2
    # What a page may promise: another face after the first, none after the
    # second.
    assert [failed.retrying for failed in staged.failed] == [True, False]
    assert [ended.replaced for ended in staged.ended] == [True, False]
    for failed, ended in zip(staged.failed, staged.ended, strict=True):
        assert text in str(failed.error)
        assert failed.conversation_id == ended.conversation_id
    assert staged.simulator.ledger()["created"] == 2
    assert staged.simulator.active == []


async def test_an_avatar_that_never_joins_is_replaced_once(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(
        livekit_server, tmp_path, absent, avatar_join_timeout_s=1
    ) as staged:
        staged.keeper.user_joined("u1")
        await fails_twice(
            staged, "avatar_absent", "the avatar has not joined within 1 s"
        )


async def test_an_avatar_without_video_is_replaced_once(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(
        livekit_server, tmp_path, faceless, avatar_join_timeout_s=4
    ) as staged:
        staged.keeper.user_joined("u1")
        await fails_twice(
            staged, "avatar_no_video", "the avatar shows no video within 4 s"
        )


async def test_an_avatar_that_never_finishes_is_replaced_once(
    livekit_server: LiveKitServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(playback, "_MARGIN_S", 1.0)
    async with Staged(livekit_server, tmp_path, mute) as staged:
        staged.keeper.user_joined("u1")
        for number in (1, 2):
            await staged.avatar(number)
            staged.voice.start(f"r{number}")
            staged.speak(tone(440, 0.2, 24_000))
            staged.voice.end(f"r{number}")
        await fails_twice(staged, "avatar_stuck", "the avatar never finishes")


async def test_an_avatar_that_dies_in_a_sentence_is_replaced_once(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        await staged.keeper.start(StartOptions(custom_greeting="Hello"))
        first = await staged.avatar(1)
        staged.voice.start("long")
        staged.speak(tone(440, 1.0, 24_000))
        await staged.heard("livekit.playback_started")
        await first.leave()
        held = tone(880, 0.3, 24_000)
        await staged.until(lambda: staged.failed)
        staged.speak(held)
        staged.voice.end("long")
        second = await staged.avatar(2)
        line = await second.until_heard()
        assert line.audio.endswith(held.tobytes())
        assert await staged.heard("livekit.avatar_joined", 2)
        # The replacement is what was asked for, too.
        greetings = [request["custom_greeting"] for request in staged.asked]
        assert greetings == ["Hello", "Hello"]
        await second.leave()
        await fails_twice(staged, "avatar_gone", "the avatar has left the room")


async def test_an_avatar_that_connects_anew_is_not_replaced(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        await staged.keeper.start(StartOptions())
        await (await staged.avatar()).leave()
        # Said while nobody is there, and heard all the same.
        staged.speak(tone(440, 1.0, 24_000))
        staged.voice.end("")
        again = Avatar(livekit_server.url, staged.tokens[0])
        try:
            again.come()
            await asyncio.wait_for(again.joined.wait(), 10)
            # More than an absence may last, and each is waited for.
            for number in range(1, 5):
                await staged.heard("livekit.playback_finished", number)
                staged.speak(tone(440, 1.0, 24_000))
                staged.voice.end("")
        finally:
            await again.leave()
        assert staged.failed == []
        assert staged.simulator.ledger()["created"] == 1
        await staged.keeper.end()


async def test_who_ends_while_another_leaves_enters_no_room(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        transport = transport_of(
            staged.config, show_nothing, logging.Logger("of its own")
        )
        gone = asyncio.Event()

        async def leave() -> None:
            await gone.wait()

        transport.leave(leave())
        stage = transport.stage(lambda _: None)
        opening = asyncio.ensure_future(stage.open())
        # Of the loop, not of the clock: until it waits for the other.
        await asyncio.sleep(0)
        stage.close()
        gone.set()
        with pytest.raises(TavusCancelledError):
            await opening
        await transport.close(5)
        assert not FAREWELLS
        async with Peer(livekit_server, staged.room) as peer:
            assert peer.others == set()


async def test_an_avatar_that_leaves_has_finished_what_it_was_given(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    def slow(_number: int, url: str, token: str) -> Avatar:
        return Avatar(url, token, speed=1)

    async with Staged(livekit_server, tmp_path, slow) as staged:
        await staged.keeper.start(StartOptions())
        avatar = await staged.avatar()
        staged.voice.start("closed")
        staged.speak(tone(440, 5.0, 24_000))
        staged.voice.end("closed")
        await avatar.until_heard()
        await staged.heard("livekit.playback_started")
        await avatar.leave()
        finished = await staged.heard("livekit.playback_finished")
        assert finished.pop("playback_position_s") < 5.0
        assert finished == {
            "utterance_id": "closed",
            "interrupted": True,
            "assumed": True,
        }
        again = Avatar(livekit_server.url, staged.tokens[0])
        try:
            again.come()
            await asyncio.wait_for(again.joined.wait(), 10)
            for number in range(2, 5):
                staged.voice.start(f"r{number}")
                staged.speak(tone(440, 0.5, 24_000))
                staged.voice.end(f"r{number}")
            last = await staged.heard("livekit.playback_finished", 4)
        finally:
            await again.leave()
        assert last == {
            "utterance_id": "r4",
            "playback_position_s": 0.5,
            "interrupted": False,
        }
        assert [
            one["utterance_id"]
            for one in staged.said("livekit.playback_finished")
        ] == ["closed", "r2", "r3", "r4"]
        assert staged.failed == []
        await staged.keeper.end()


async def test_what_was_under_way_at_an_end_from_tavus_is_interrupted(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    def slow(_number: int, url: str, token: str) -> Avatar:
        return Avatar(url, token, speed=1)

    async with Staged(
        livekit_server, tmp_path, slow, status_poll_s=1
    ) as staged:
        staged.keeper.user_joined("u1")
        await staged.avatar()
        for request_id in ("spoken", "waiting"):
            staged.voice.start(request_id)
            staged.speak(tone(440, 9.0, 24_000))
            staged.voice.end(request_id)
        await staged.heard("livekit.playback_started")
        (conversation_id,) = staged.simulator.active
        staged.simulator.shutdown(conversation_id, "max_call_duration reached")
        await staged.until(lambda: staged.ended)
        told = staged.said("livekit.playback_finished")
        assert [(one["utterance_id"], one["interrupted"]) for one in told] == [
            ("spoken", True),
            ("waiting", True),
        ]
        assert isinstance(staged.events[-1], Ended)
        assert staged.failed == []


@pytest.mark.parametrize(
    ("off_s", "said"),
    [(3600, "not valid yet"), (-90_000, "token is expired")],
)
async def test_a_clock_that_is_off_is_named(
    livekit_server: LiveKitServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    off_s: int,
    said: str,
) -> None:
    clock = SimpleNamespace(time=lambda: time.time() + off_s)
    monkeypatch.setattr(livekit_room, "time", clock)
    async with Staged(livekit_server, tmp_path) as staged:
        with pytest.raises(TavusAuthError) as refused:
            await staged.keeper.start(StartOptions())
        assert said in str(refused.value)
        assert "set the clock of this machine" in str(refused.value)


async def test_an_end_from_tavus_takes_the_avatar_and_is_no_failure(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        await staged.heard("livekit.avatar_joined")
        (conversation_id,) = staged.simulator.active
        staged.simulator.shutdown(conversation_id, "max_call_duration reached")
        await avatar.leave()
        await staged.until(lambda: staged.ended)
        assert staged.ended[0].reason == "max_call_duration reached"
        assert staged.failed == []
        assert staged.simulator.ledger()["created"] == 1


async def test_the_room_is_lost_for_good(
    own_livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(own_livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        await staged.heard("livekit.avatar_joined")
        async with own_livekit_server.api() as server:
            await server.room.delete_room(
                api.DeleteRoomRequest(room=staged.room)
            )
        await staged.until(lambda: staged.ended)
        assert staged.ended[0].reason in ("room_lost", "avatar_gone")
        assert staged.failed[0].conversation_id


async def test_a_server_that_is_not_there_costs_nothing_at_tavus(
    own_livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    own_livekit_server.stop()
    async with Staged(
        own_livekit_server, tmp_path, connect_timeout_s=1
    ) as staged:
        with pytest.raises(TavusError) as refused:
            await staged.keeper.start(StartOptions())
        assert refused.value.kind in ("network", "timeout")
        assert "check livekit_url" in str(refused.value)
        assert refused.value.sent is False
        assert staged.simulator.ledger()["created"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"livekit_api_secret": "not-the-secret-of-that-server-at-all"},
        {"livekit_api_key": "another-key"},
    ],
)
async def test_a_wrong_key_costs_nothing_at_tavus(
    livekit_server: LiveKitServer, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    async with Staged(livekit_server, tmp_path, absent, **wrong) as staged:
        with pytest.raises(TavusAuthError) as refused:
            await staged.keeper.start(StartOptions())
        assert "check livekit_api_key" in str(refused.value)
        assert staged.simulator.ledger()["created"] == 0
        text = str(refused.value) + "".join(staged.logged)
        for value in wrong.values():
            assert value not in text


async def test_a_stop_while_the_room_is_entered(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        await asyncio.sleep(0.005)
        await stops(staged, livekit_server)
        assert staged.simulator.ledger()["created"] == 0
        assert staged.failed == []


async def test_a_stop_while_tavus_creates(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        async with Peer(livekit_server, staged.room) as peer:
            await peer.until_with("tavus-python")
        await stops(staged, livekit_server)


@pytest.mark.parametrize(
    "phase", ["avatar_joined", "playback_started", "playback_finished"]
)
async def test_a_stop_while_the_avatar_is_there(
    livekit_server: LiveKitServer, tmp_path: Path, phase: str
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        staged.speak(tone(440, 3.0, 24_000))
        if phase == "playback_finished":
            await staged.heard("livekit.playback_started")
            staged.voice.flush()
        await staged.heard(f"livekit.{phase}")
        await stops(staged, livekit_server)


async def test_a_stop_does_not_wait_for_a_room_that_is_slow_to_enter(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    port = int(livekit_server.url.rsplit(":", 1)[1])
    async with (
        Wire(port) as wire,
        Staged(
            livekit_server,
            tmp_path,
            livekit_url=f"ws://127.0.0.1:{wire.port}",
            stop_timeout_ms=100,
        ) as staged,
    ):
        wire.passes.clear()
        staged.keeper.user_joined("u1")
        await asyncio.sleep(0)
        await staged.keeper.close()
        # It is entered, and left, all the same: to cancel it is to kill the
        # process some seconds later.
        wire.passes.set()
        await asyncio.wait(FAREWELLS)
        assert staged.simulator.ledger()["created"] == 0
        async with Peer(livekit_server, staged.room) as peer:
            await peer.until(lambda: "tavus-python" not in peer.others)


async def stops(staged: Staged, server: LiveKitServer) -> None:
    """Stops it, in its time, and with nothing left anywhere."""
    began = time.monotonic()
    await staged.keeper.close()
    assert time.monotonic() - began < 1.6
    assert staged.simulator.active == []
    async with Peer(server, staged.room) as peer:
        await peer.until(lambda: "tavus-python" not in peer.others)


async def test_the_last_leave_ends_it_also_while_the_room_is_entered(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        await asyncio.sleep(0)
        await staged.keeper.end()
        assert staged.simulator.active == []
        staged.keeper.user_left("u1")
        staged.keeper.user_joined("u1")
        await staged.heard("livekit.avatar_joined")
        staged.keeper.user_left("u1")
        await staged.until(lambda: staged.ended)
        assert staged.ended[-1].reason == "user_left"
        assert staged.failed == []


async def test_what_nobody_takes_is_bounded_and_reported(
    livekit_server: LiveKitServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(voice, "_HELD_S", 1.0)
    async with Staged(livekit_server, tmp_path, faceless) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        spoken = tone(440, 3.0, 24_000)
        staged.speak(spoken)
        staged.voice.end("")
        await avatar.show()
        line = await avatar.until_heard()
        assert spoken.tobytes().endswith(line.audio)
        assert 0.98 < line.duration_s < 1.02
        assert sum("the oldest is lost" in line for line in staged.logged) == 1
        (failed,) = await staged.until(lambda: staged.failed)
        assert failed.error.kind == "audio"
        lost_s = 3.0 - line.duration_s
        assert str(failed.error) == (
            f"{lost_s:.3f} s of audio were lost: of more than 1 s that wait "
            "the oldest is lost"
        )


async def test_no_secret_reaches_a_log(
    livekit_server: LiveKitServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with Staged(livekit_server, tmp_path) as staged:
            staged.logged.append(staged.config.to_str())
            staged.keeper.user_joined("u1")
            await staged.heard("livekit.avatar_joined")
            (token,) = staged.tokens
    said = "\n".join([*staged.logged, caplog.text])
    said += json.dumps([str(event) for event in staged.events], default=str)
    assert token not in said
    assert token.split(".")[1] not in said
    assert livekit_server.api_secret not in said
