#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""livekit_rtc and a room that cannot be entered, is lost, or left."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from livekit import api
from support.livekit import LiveKitServer, Peer
from support.rtc_node import RtcRun
from support.sounds import frequency_hz, loud_s, tone
from ten_runtime import StatusCode

pytest_plugins = ["support.livekit_fixtures"]
pytestmark = pytest.mark.usefixtures("ten_app")

FATAL, NON_FATAL = -1000, 1000


@contextmanager
def deaf_server() -> Iterator[str]:
    """Takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ws://127.0.0.1:{server.getsockname()[1]}"


async def until_empty(server: LiveKitServer, room: str) -> None:
    """Waits until nobody is in a room, as the server says."""
    async with server.api() as lkapi:
        for _ in range(100):
            request = api.ListParticipantsRequest(room=room)
            try:
                listed = await lkapi.room.list_participants(request)
            except api.TwirpError as error:
                assert error.code == "not_found"
                return
            if not listed.participants:
                return
            await asyncio.sleep(0.05)
    pytest.fail(f"somebody is left in {room}")


async def fatal_error(run: RtcRun) -> dict[str, object]:
    await run.data.until(
        lambda: any(e["code"] == FATAL for e in run.data.named("error"))
    )
    return run.data.named("error")[-1]


async def test_the_room_is_back_after_the_server_restarts(
    own_livekit_server: LiveKitServer,
) -> None:
    server = own_livekit_server
    async with (
        Peer(server, "back", "user") as user,
        RtcRun(server, "back") as run,
    ):
        await run.commands.get("on_user_joined")
        await user.open_microphone()
        await user.until(lambda: "ten-rtc" in user.heard)
        server.restart()
        await run.commands.get("on_connection_lost")
        await run.commands.get("on_connected", 2)
        (error,) = run.data.named("error")
        assert error["code"] == NON_FATAL
        assert error["metadata"]["kind"] == "network"

        # Both ways, with the tracks that were there before.
        run.heard.clear()
        del user.heard["ten-rtc"]
        await user.until(lambda: "ten-rtc" in user.heard)
        await asyncio.gather(user.say_tone(450), run.say(tone(850, 1.0)))
        await run.frames.until(lambda: loud_s(run.pcm("user")) > 0.8)
        await user.until(lambda: loud_s(user.heard["ten-rtc"].pcm) > 0.8)
        assert abs(frequency_hz(run.pcm("user")) - 450) < 5
        assert abs(frequency_hz(user.heard["ten-rtc"].pcm) - 850) < 5
        await run.commands.get("on_user_audio_track_state_changed", 3)
        assert run.users("on_user_joined") == ["user"]
        assert run.users("on_user_left") == []


async def test_a_user_that_does_not_come_back_is_told_once(
    own_livekit_server: LiveKitServer,
) -> None:
    server = own_livekit_server
    async with (
        Peer(server, "gone", "stays"),
        Peer(server, "gone", "goes") as goes,
        RtcRun(server, "gone", rejoin_grace_ms=1500) as run,
    ):
        await run.commands.get("on_user_joined", 2)
        server.stop()
        await run.commands.get("on_connection_lost")
        await goes.leave()
        server.start()
        await run.commands.get("on_connected", 2)
        left = await run.commands.get("on_user_left")
        assert left["remote_user_id"] == "goes"
    assert sorted(run.users("on_user_joined")) == ["goes", "stays"]
    assert run.users("on_user_left")[0] == "goes"
    assert run.users("on_user_left").count("goes") == 1


async def test_a_room_that_the_sdk_gives_up_is_entered_anew(
    own_livekit_server: LiveKitServer,
) -> None:
    server = own_livekit_server
    async with RtcRun(server, "anew", rejoin_grace_ms=100) as run:
        async with Peer(server, "anew", "user"):
            await run.commands.get("on_user_joined")
            server.stop()
            # Half a minute, and then the extension is on its own.
            lost = await run.commands.get("on_disconnected")
            assert lost["reason"] == "UNKNOWN_REASON"
            server.start()
            await run.commands.get("on_connected", 2)
            await run.commands.get("on_user_left")
        async with Peer(server, "anew", "user") as user:
            await run.commands.get("on_user_joined", 2)
            await user.until(lambda: "ten-rtc" in user.heard)
            await run.say(tone(850, 1.0))
            await user.until(lambda: loud_s(user.heard["ten-rtc"].pcm) > 0.8)
    assert run.commands.named("on_connection_failure") == []


async def test_a_room_closed_for_want_of_users_is_entered_anew(
    livekit_server: LiveKitServer,
) -> None:
    async with RtcRun(livekit_server, "want") as run:
        async with Peer(livekit_server, "want", "user") as user:
            await user.open_microphone()
            await run.commands.get("on_user_joined")
        await run.commands.get("on_user_left")
        closed = await run.commands.get("on_disconnected")
        assert closed["reason"] == "ROOM_CLOSED"
        await run.commands.get("on_connected", 2)
        async with Peer(livekit_server, "want", "user"):
            await run.commands.get("on_user_joined", 2)
        assert run.data.named("error") == []


async def test_a_second_one_with_our_identity_ends_it(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        RtcRun(livekit_server, "twice") as run,
        Peer(livekit_server, "twice", "user"),
    ):
        await run.commands.get("on_user_joined")
        async with Peer(livekit_server, "twice", "ten-rtc"):
            await run.commands.get("on_connection_failure")
            error = await fatal_error(run)
            assert error["message"] == (
                "another participant has joined with the same identity; give "
                "each its own (property identity)"
            )
            assert run.users("on_user_left") == ["user"]
        # And a command begins anew.
        assert (await run.command("join"))[0] == StatusCode.OK
        await run.commands.get("on_user_joined", 2)


async def test_being_removed_ends_it(livekit_server: LiveKitServer) -> None:
    async with RtcRun(livekit_server, "removed") as run:
        await run.in_room()
        async with livekit_server.api() as lkapi:
            await lkapi.room.remove_participant(
                api.RoomParticipantIdentity(room="removed", identity="ten-rtc")
            )
        error = await fatal_error(run)
        assert "removed by the server's API" in str(error["message"])


async def test_a_wrong_url_is_tried_again_and_given_up() -> None:
    async with RtcRun(
        None,
        "nowhere",
        url="ws://127.0.0.1:1",
        api_key="key",
        api_secret="s" * 40,
        reconnect_timeout_s=1,
    ) as run:
        failure = await run.commands.get("on_connection_failure")
        assert failure["channel"] == "nowhere"
        error = await fatal_error(run)
        codes = [e["code"] for e in run.data.named("error")]
        assert codes == [NON_FATAL, FATAL]
        assert error["message"] == (
            "no server listens there; check LIVEKIT_URL"
        )
        assert "Connection refused" in str(error["vendor_info"])
        assert run.commands.named("on_connected") == []


async def test_a_server_that_comes_late_is_waited_for(
    own_livekit_server: LiveKitServer,
) -> None:
    own_livekit_server.stop()
    async with RtcRun(own_livekit_server, "late") as run:
        await run.data.get("error")
        own_livekit_server.start()
        await run.in_room()


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        (
            {"api_secret": "another-secret-of-at-least-32-letters"},
            "api_secret does not belong to api_key, or the token is another "
            "server's; check LIVEKIT_API_KEY and LIVEKIT_API_SECRET",
        ),
        (
            {"api_key": "unknown-key"},
            "the server does not know api_key; check LIVEKIT_API_KEY and "
            "LIVEKIT_URL",
        ),
    ],
)
async def test_a_wrong_key_is_told_at_once_and_not_shown(
    livekit_server: LiveKitServer,
    properties: dict[str, str],
    message: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with RtcRun(livekit_server, "key", **properties) as run:
        error = await fatal_error(run)
        assert error["message"] == message
        assert error["metadata"] == {
            "kind": "auth",
            "channel": "key",
            "user_id": "ten-rtc",
        }
        assert len(run.data.named("error")) == 1
    everything = f"{run.data.messages}{caplog.text}{capfd.readouterr()}"
    assert "401" in everything
    assert "eyJ" not in everything
    secret = properties.get("api_secret", livekit_server.api_secret)
    assert secret not in everything


async def test_an_expired_token_is_told_and_a_new_one_taken(
    livekit_server: LiveKitServer,
) -> None:
    def token(ttl_s: float) -> str:
        return livekit_server.token("bot", "expired", ttl_s=ttl_s)

    async with RtcRun(
        None, "", url=livekit_server.url, token=token(-100)
    ) as run:
        error = await fatal_error(run)
        assert error["message"] == (
            "the token has expired, or a clock is wrong; give a new token "
            "(command join), or api_key and api_secret in its place"
        )
        status, answer = await run.command("join", token=token(-99))
        assert (status, answer["kind"]) == (StatusCode.ERROR, "auth")
        status, answer = await run.command("join", token=token(60))
        assert status == StatusCode.OK
        assert answer == {"channel": "expired", "user_id": "bot"}
        async with Peer(livekit_server, "expired", "user"):
            joined = await run.commands.get("on_user_joined")
            assert (joined["channel"], joined["user_id"]) == ("expired", "bot")
        status, answer = await run.command("token", identity="guest")
        assert status == StatusCode.ERROR
        assert "needs api_key and api_secret" in answer["detail"]


async def test_a_token_that_forbids_publishing_is_told(
    livekit_server: LiveKitServer,
) -> None:
    token = livekit_server.token("bot", "quiet", can_publish=False)
    async with RtcRun(
        None, "", url=livekit_server.url, token=token, publish_data=False
    ) as run:
        await run.in_room()
        error = await run.data.get("error")
        assert error["message"] == (
            "audio is not published: the token forbids it"
        )
        assert error["code"] == NON_FATAL


async def test_joining_and_leaving_by_command(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "by-command", "user") as user,
        RtcRun(livekit_server, "by-command", auto_join=False) as run,
    ):
        assert (await run.command("leave"))[0] == StatusCode.OK
        for count in (1, 2):
            status, answer = await run.command("join")
            assert status == StatusCode.OK
            assert answer == {"channel": "by-command", "user_id": "ten-rtc"}
            assert (await run.command("join"))[0] == StatusCode.OK
            await user.until_with("ten-rtc")
            await run.command("leave")
            await user.until(lambda: "ten-rtc" not in user.others)
            await run.commands.get("on_disconnected", count)
        status, answer = await run.command("join", room="another")
        assert answer["channel"] == "another"
        status, answer = await run.command("join", room="by-command")
        assert status == StatusCode.ERROR
        assert answer["detail"] == "already in another; leave it first"
    assert run.users("on_user_joined") == ["user", "user"]
    assert run.users("on_user_left") == ["user", "user"]


async def test_leaving_while_connecting_leaves_nobody_behind(
    livekit_server: LiveKitServer,
) -> None:
    async with RtcRun(livekit_server, "haste", auto_join=False) as run:
        joining = asyncio.ensure_future(run.command("join"))
        await asyncio.sleep(0)  # so that it is sent first
        status, answer = await run.command("leave")
        assert status == StatusCode.OK
        status, answer = await joining
        assert status == StatusCode.ERROR
        assert answer["detail"] == "the room was left"
        await until_empty(livekit_server, "haste")
        assert (await run.command("join"))[0] == StatusCode.OK


async def test_stopping_while_connecting_is_in_time() -> None:
    with deaf_server() as url:
        run = RtcRun(None, "deaf", url=url, api_key="key", api_secret="s" * 40)
        async with run:
            assert await run.stop() < 1.8


async def test_stopping_leaves_the_room_in_time(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "stop", "user") as user,
        RtcRun(livekit_server, "stop") as run,
    ):
        await user.open_microphone()
        await user.until(lambda: "ten-rtc" in user.heard)
        await run.say(tone(500, 20))
        assert await run.stop() < 1.8
        await user.until(lambda: "ten-rtc" not in user.others)


async def test_stopping_without_a_server_is_in_time(
    own_livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(own_livekit_server, "dead", "user") as user,
        RtcRun(own_livekit_server, "dead") as run,
    ):
        await user.until(lambda: "ten-rtc" in user.heard)
        own_livekit_server.stop()
        await run.commands.get("on_connection_lost")
        assert await run.stop() < 1.8


async def test_properties_that_cannot_be_used_are_told() -> None:
    async with RtcRun(None, "", url="nonsense", api_key="k") as run:
        error = await fatal_error(run)
        assert error["metadata"] == {
            "kind": "config",
            "channel": "",
            "user_id": "",
        }
        assert "url: cannot be used" in str(error["message"])
        status, answer = await run.command("flush")
        assert status == StatusCode.ERROR
        assert answer["kind"] == "config"
        await run.say(tone(500, 0.1))
        await run.send_data(b"x")
