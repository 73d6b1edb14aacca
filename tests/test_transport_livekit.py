#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Transport livekit, in a real room: what the graph says is what is heard."""

import asyncio
import time
from pathlib import Path

import jwt
import numpy as np
import pytest
from livekit import rtc
from support.avatar import Avatar
from support.livekit import LiveKitServer
from support.livekit_peer import Peer
from support.proxy import RecordingProxy
from support.sounds import frequency_hz, loud_s, tone
from support.staging import Staged
from ten_packages.extension.tavus_python.config import StartOptions
from ten_packages.extension.tavus_python.errors import TavusError
from ten_packages.extension.tavus_python.transports.voice import Pcm

pytest_plugins = ["support.livekit_fixtures"]


async def test_an_utterance_arrives_sample_for_sample(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        spoken = tone(440, 1.0, 24_000)
        staged.voice.start("r1")
        staged.speak(spoken)
        staged.voice.end("r1")
        line = await avatar.until_heard()
        assert line.attributes == {"sample_rate": "24000", "num_channels": "1"}
        assert line.audio == spoken.tobytes()
        finished = await staged.heard("livekit.playback_finished")
        assert finished == {
            "utterance_id": "r1",
            "playback_position_s": 1.0,
            "interrupted": False,
        }
        assert staged.said("livekit.playback_started") == [
            {"utterance_id": "r1"}
        ]
        assert staged.said("livekit.avatar_joined") == [
            {"identity": "tavus-avatar-agent"}
        ]
        assert staged.measured("avatar_join_ms")[0] > 0
        assert staged.measured("first_audio_ms")[0] > 0
        assert staged.measured("interrupt_ms") == []
        await avatar.until(lambda: avatar.answers == ["ok", "ok"])


async def test_slices_that_are_no_whole_samples_arrive_as_they_were(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        audio = tone(440, 0.9, 24_000).tobytes()
        for start in range(0, len(audio), 333):
            staged.voice.push(Pcm(audio[start : start + 333], 24_000))
        staged.voice.end("")
        assert (await avatar.until_heard()).audio == audio


async def test_tavus_is_told_of_the_room_and_an_echo_persona_is_made(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(
        livekit_server, tmp_path, livekit_avatar_url="wss://outside.example/"
    ) as staged:
        staged.client.casting = lambda *_: None
        made = await staged.keeper.start(StartOptions(custom_greeting="Hi"))
        request = staged.simulator.conversation(made.conversation_id).request
        assert request["custom_greeting"] == "Hi"
        told = request["properties"]["livekit_ws_url"]
        assert told == "wss://outside.example"
        claims = jwt.decode(
            staged.tokens[0],
            livekit_server.api_secret,
            algorithms=["HS256"],
        )
        now = time.time()
        assert now - 130 < claims.pop("nbf") < now - 110
        assert claims.pop("exp") > now + staged.config.max_call_duration
        assert claims == {
            "iss": "devkey",
            "sub": "tavus-avatar-agent",
            "name": "tavus-avatar-agent",
            "kind": "agent",
            "video": {"roomJoin": True, "room": staged.room},
            "attributes": {"lk.publish_on_behalf": "tavus-python"},
        }
        (persona,) = [
            one
            for one in staged.simulator.catalog.personas.values()
            if one["persona_id"] == request["persona_id"]
        ]
        assert persona["pipeline_mode"] == "echo"
        assert persona["layers"]["transport"] == {"transport_type": "livekit"}


async def test_we_are_an_agent_that_can_only_send_data(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        (us,) = avatar.room.remote_participants.values()
        assert us.identity == "tavus-python"
        assert us.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        may = us.permissions
        assert may.can_publish_data
        assert not (may.can_publish or may.can_subscribe)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
async def test_any_rate_and_channel_count_arrives_as_24_khz_mono(
    livekit_server: LiveKitServer, tmp_path: Path, rate_hz: int, channels: int
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        spoken = tone(1000, 1.0, rate_hz)
        staged.speak(np.repeat(spoken, channels), rate_hz, channels)
        staged.voice.end("")
        line = await avatar.until_heard()
        assert line.attributes == {"sample_rate": "24000", "num_channels": "1"}
        assert abs(line.pcm.size - 24_000) <= 1
        wanted = tone(1000, 1.0, 24_000)[2400:-2400].astype(int)
        heard = line.pcm[2400 : 2400 + wanted.size].astype(int)
        assert np.abs(heard - wanted).max() < 100  # of 20 000


async def test_what_is_said_before_the_video_is_there_is_not_lost(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    def shy(_number: int, url: str, token: str) -> Avatar:
        return Avatar(url, token, video=False)

    async with Staged(livekit_server, tmp_path, shy) as staged:
        staged.keeper.user_joined("u1")
        early = tone(440, 0.5, 24_000)
        staged.voice.start("first")
        staged.speak(early)
        avatar = await staged.avatar()
        late = tone(880, 0.5, 24_000)
        staged.speak(late)
        staged.voice.end("first")
        assert avatar.lines == []
        await avatar.show()
        line = await avatar.until_heard()
        assert line.audio == early.tobytes() + late.tobytes()


async def test_utterances_keep_their_order_and_their_bounds(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        tones = [tone(300 + 100 * n, 0.2, 24_000) for n in range(10)]
        for number, spoken in enumerate(tones):
            staged.voice.start(f"r{number}")
            staged.speak(spoken)
            staged.voice.end(f"r{number}")
        await avatar.until_heard(10)
        assert [line.audio for line in avatar.lines] == [
            spoken.tobytes() for spoken in tones
        ]
        await staged.heard("livekit.playback_finished", 10)
        assert [
            one["utterance_id"]
            for one in staged.said("livekit.playback_finished")
        ] == [f"r{number}" for number in range(10)]


async def test_an_utterance_without_an_end_ends_by_its_silence(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        staged.speak(tone(440, 0.3, 24_000))
        await avatar.until_heard()
        await staged.heard("livekit.playback_finished")


async def test_a_flush_cuts_and_its_late_frames_are_dropped(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    def slow(_number: int, url: str, token: str) -> Avatar:
        return Avatar(url, token, speed=1)

    async with Staged(livekit_server, tmp_path, slow) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        staged.voice.start("cut")
        staged.speak(tone(440, 5.0, 24_000))
        await staged.heard("livekit.playback_started")
        staged.voice.flush()
        staged.speak(tone(600, 1.0, 24_000))
        finished = await staged.heard("livekit.playback_finished")
        staged.speak(tone(600, 1.0, 24_000))
        staged.voice.end("cut")
        staged.voice.start("next")
        spoken = tone(880, 0.2, 24_000)
        staged.speak(spoken)
        staged.voice.end("next")
        line = await avatar.until_heard()
        assert line.audio == spoken.tobytes()
        assert finished["utterance_id"] == "cut"
        assert finished["interrupted"] is True
        assert finished["playback_position_s"] < 4
        await staged.until(lambda: staged.measured("interrupt_ms"))
        assert 0 < staged.measured("interrupt_ms")[0] < 2000
        assert avatar.clears == 1
        await staged.heard("livekit.playback_finished", 2)


async def test_50_flushes_in_a_row(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        for number in range(50):
            staged.voice.start(f"r{number}")
            staged.speak(tone(440, 1.0, 24_000))
            await asyncio.sleep(number % 5 * 0.004)  # at all moments of it
            staged.voice.flush()
            staged.speak(tone(600, 0.1, 24_000))
        spoken = tone(880, 0.2, 24_000)
        staged.voice.start("last")
        staged.speak(spoken)
        staged.voice.end("last")
        await avatar.until(
            lambda: (
                bool(avatar.complete)
                and avatar.complete[-1].audio == spoken.tobytes()
            )
        )
        assert all(
            frequency_hz(line.pcm, 24_000) < 500 for line in avatar.lines[:-1]
        )
        await staged.until(
            lambda: (
                {
                    one["utterance_id"]: one["interrupted"]
                    for one in staged.said("livekit.playback_finished")
                }.get("last")
                is False
            )
        )
        assert staged.failed == []


async def test_a_flush_of_silence_costs_nothing(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        staged.voice.flush()
        spoken = tone(440, 0.2, 24_000)
        staged.speak(spoken)
        staged.voice.end("")
        line = await avatar.until_heard()
        assert line.audio == spoken.tobytes()
        assert avatar.clears == 0


async def test_an_avatar_that_does_not_confirm_a_flush_is_not_waited_for(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    def silent(_number: int, url: str, token: str) -> Avatar:
        return Avatar(url, token, finishes=False, speed=1)

    async with Staged(livekit_server, tmp_path, silent) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        staged.voice.start("cut")
        staged.speak(tone(440, 5.0, 24_000))
        await staged.heard("livekit.playback_started")
        staged.voice.flush()
        staged.voice.start("next")
        began = time.monotonic()
        staged.speak(tone(880, 0.2, 24_000))
        staged.voice.end("next")
        await avatar.until_heard()
        assert time.monotonic() - began < 1
        finished = await staged.heard("livekit.playback_finished")
        assert finished["utterance_id"] == "cut"
        assert finished["assumed"] is True
        assert staged.measured("interrupt_ms") == []


async def test_only_the_avatar_may_say_what_is_played(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        await staged.avatar()
        async with Peer(livekit_server, staged.room, "mallory") as mallory:
            for method in ("lk.playback_finished", "lk.playback_started"):
                answer = await mallory.room.local_participant.perform_rpc(
                    destination_identity="tavus-python",
                    method=method,
                    payload="{}",
                )
                assert answer == "reject"
        assert staged.said("livekit.playback_finished") == []


async def test_a_user_who_takes_the_avatars_name_is_not_spoken_to(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        await staged.heard("livekit.avatar_joined")
        streams: list[str] = []
        async with Peer(
            livekit_server, staged.room, "tavus-avatar-agent"
        ) as mallory:
            mallory.room.register_byte_stream_handler(
                "lk.audio_stream", lambda _, sender: streams.append(sender)
            )
            await mallory.show_picture(320, 180)

            async def call() -> str:
                return await mallory.room.local_participant.perform_rpc(
                    destination_identity="tavus-python",
                    method="lk.playback_finished",
                    payload='{"playback_position": 1.0, "interrupted": false}',
                )

            async def rejected() -> None:
                # It may hear of the change after it hears the first of them.
                while await call() != "reject":
                    pass

            await asyncio.wait_for(rejected(), 10)
            staged.speak(tone(440, 0.5, 24_000))
            staged.voice.end("")
            await staged.until(lambda: staged.failed)
            assert streams == []
        assert str(staged.failed[0].error).startswith(
            "the avatar has left the room"
        )
        # What was said is for the avatar that comes in its place.
        second = await staged.avatar(2)
        assert (await second.until_heard()).duration_s == 0.5


async def test_a_request_id_of_any_length_loses_no_utterance(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        spoken, request_id = tone(440, 0.3, 24_000), "r" * 100_000
        staged.voice.start(request_id)
        staged.speak(spoken)
        staged.voice.end(request_id)
        assert (await avatar.until_heard()).audio == spoken.tobytes()
        finished = await staged.heard("livekit.playback_finished")
        assert finished["utterance_id"] == request_id
        assert staged.failed == []
        assert max(map(len, staged.logged), default=0) < 1000


async def test_a_huge_answer_of_the_avatar_is_not_logged_whole(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    def wordy(_number: int, url: str, token: str) -> Avatar:
        return Avatar(url, token, speed=1, answer="no " * 4000)

    async with Staged(livekit_server, tmp_path, wordy) as staged:
        staged.keeper.user_joined("u1")
        await staged.avatar()
        staged.speak(tone(440, 3.0, 24_000))
        await staged.heard("livekit.playback_started")
        staged.voice.flush()
        await staged.heard("livekit.playback_finished")
        (line,) = [
            line
            for line in staged.logged
            if line.startswith("the avatar answers a flush with")
        ]
        assert len(line) < 200


async def test_nothing_is_held_for_nobody(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    async with Staged(livekit_server, tmp_path) as staged:
        staged.speak(tone(600, 0.2, 24_000))
        staged.keeper.user_joined("u1")
        avatar = await staged.avatar()
        spoken = tone(440, 0.2, 24_000)
        staged.speak(spoken)
        staged.voice.end("")
        assert (await avatar.until_heard()).audio == spoken.tobytes()


async def test_the_bridge_brings_the_face_into_the_graph(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    def audible(_number: int, url: str, token: str) -> Avatar:
        return Avatar(url, token, publishes_audio=True)

    async with Staged(
        livekit_server, tmp_path, audible, media_bridge=True
    ) as staged:
        staged.keeper.user_joined("u1")
        await staged.avatar()
        await staged.until(lambda: len(staged.pictures) >= 5)
        staged.speak(tone(440, 1.0, 24_000))
        staged.voice.end("")
        await staged.until(lambda: loud_s(staged.sound, 24_000) > 0.9)
        assert abs(frequency_hz(staged.sound, 24_000) - 440) < 5
        assert {
            (s.rate_hz, s.channels, s.data.nbytes) for s in staged.sounds
        } == {(24_000, 1, 480)}
        assert {
            (p.width, p.height, p.data.nbytes) for p in staged.pictures
        } == {(320, 180, 320 * 180 * 3 // 2)}
        for shown in (staged.sounds, staged.pictures):
            times = [one.timestamp_ms for one in shown]
            assert times == sorted(times)


async def test_a_token_that_the_server_refuses_is_in_no_log(
    livekit_server: LiveKitServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = "the-secret-of-another-server-32-long"
    async with Staged(
        livekit_server, tmp_path, livekit_api_secret=secret
    ) as staged:
        with pytest.raises(TavusError) as caught:
            await staged.keeper.start(StartOptions())
    assert caught.value.kind == "auth"
    logged = f"{caplog.text}{capfd.readouterr()}"
    assert "401" in logged, "the SDK says nothing: is it asked?"
    told = f"{caught.value}{staged.logged}{staged.events}"
    for text in (logged, told):
        assert "eyJ" not in text and secret not in text


async def test_a_proxy_that_the_sdk_cannot_pass_is_told_and_sees_no_token(
    livekit_server: LiveKitServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    async with (
        RecordingProxy(0, answers=[refusal] * 30) as proxy,
        Staged(
            livekit_server, tmp_path, livekit_url="wss://livekit.example"
        ) as staged,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url())
        with pytest.raises(TavusError) as caught:
            await staged.keeper.start(StartOptions())
        assert proxy.heads and b"eyJ" not in proxy.seen
    assert caught.value.kind == "network"
    assert "HTTPS_PROXY" in caught.value.hint
