#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Transport livekit in a TEN graph: frames, commands and events."""

import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.avatar import Avatar
from support.livekit import LiveKitServer
from support.sounds import tone
from support.testing import Scene, play
from tavus_sim import ThreadedSim
from ten_runtime import AudioFrame, PixelFmt, StatusCode

pytest_plugins = ["support.livekit_fixtures"]
pytestmark = pytest.mark.usefixtures("ten_app")

KEY = "tvk-0123456789abcdef"


@pytest.fixture
def sim() -> Iterator[ThreadedSim]:
    with ThreadedSim() as running:
        yield running


def properties(
    sim: ThreadedSim, server: LiveKitServer, folder: Path, **more: Any
) -> dict[str, Any]:
    return {
        "tavus_api_key": KEY,
        "base_url": sim.base_url,
        "replica_id": "r9d30b0e55ac",
        "journal_dir": str(folder),
        "leave_grace_ms": 0,
        "transport": "livekit",
        "livekit_url": server.url,
        "livekit_api_key": server.api_key,
        "livekit_api_secret": server.api_secret,
        "channel": f"room-{secrets.token_hex(4)}",
        **more,
    }


async def cast(scene: Scene, sim: ThreadedSim, **how: Any) -> Avatar:
    """Sends in the avatar of the conversation that was created."""
    made = await scene.message("tavus_conversation_created")
    room = sim.simulator.conversation(made["conversation_id"]).livekit
    assert room is not None
    avatar = Avatar(room.url, room.token, **how)
    avatar.come()
    return avatar


async def events(scene: Scene, event_type: str) -> dict[str, Any]:
    """Waits for an event; returns it."""
    count = 0
    while True:
        count += 1
        message = await scene.message("tavus_event", count)
        if message["event_type"] == event_type:
            assert message["source"] == "livekit"
            return json.loads(message["event"])


def test_a_tts_speaks_through_the_avatar_and_a_flush_stops_it(
    livekit_server: LiveKitServer, sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        await scene.command("on_user_joined", remote_user_id="u1")
        avatar = await cast(scene, sim, speed=2)
        spoken = tone(440, 1.0, 16_000)
        await scene.say("tts_audio_start", json.dumps({"request_id": "r1"}))
        await scene.speak(spoken.tobytes(), 16_000, turn_id=1)
        await scene.say(
            "tts_audio_end", json.dumps({"request_id": "r1", "reason": 1})
        )
        line = await avatar.until_heard()
        assert line.pcm.size == 24_000
        finished = await events(scene, "livekit.playback_finished")
        assert finished["properties"]["utterance_id"] == "r1"
        assert finished["conversation_id"]
        await scene.say("tts_audio_start", json.dumps({"request_id": "r2"}))
        await scene.speak(tone(440, 9.0).tobytes(), 16_000, turn_id=2)
        await avatar.until(lambda: len(avatar.answers) == 3)
        status, answer = await scene.command("flush")
        assert (status, answer) == (StatusCode.OK, {})
        await avatar.until(lambda: avatar.clears == 1)
        wanted = {"avatar_join_ms", "first_audio_ms", "interrupt_ms"}
        count = 0
        while wanted:
            count += 1
            metrics = await scene.message("metrics", count)
            wanted -= set(metrics["metrics"])
        await avatar.leave()

    scene = play(script, properties(sim, livekit_server, tmp_path))
    assert sim.simulator.active == []
    (created,) = scene.messages("tavus_conversation_created")
    assert created["transport"] == "livekit"


def test_the_bridge_sends_frames_into_the_graph(
    livekit_server: LiveKitServer, sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        await scene.command("on_user_joined", remote_user_id="u1")
        avatar = await cast(scene, sim, publishes_audio=True)
        picture = await scene.shown("video_frame", 3)
        assert (picture.get_width(), picture.get_height()) == (320, 180)
        assert picture.get_pixel_fmt() == PixelFmt.I420
        assert len(picture.get_buf()) == 320 * 180 * 3 // 2
        assert max(picture.get_buf()) > 0
        await scene.speak(tone(440, 0.5).tobytes(), 16_000)
        sound = await scene.shown("pcm_frame", 10)
        assert sound.get_sample_rate() == 24_000
        assert sound.get_number_of_channels() == 1
        assert sound.get_samples_per_channel() == 240
        assert len(sound.get_buf()) == 480
        await avatar.leave()

    given = properties(sim, livekit_server, tmp_path, media_bridge=True)
    play(script, given)
    assert sim.simulator.active == []


def test_without_the_package_it_says_what_to_install(
    sim: ThreadedSim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = "ten_packages.extension.tavus_python.transports"
    for name in [n for n in sys.modules if n.startswith(f"{package}.livekit")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "livekit", None)

    async def script(scene: Scene) -> None:
        error = await scene.message("error")
        assert error["message"].startswith(
            "tavus: 1 problem: transport: 'livekit' needs the package "
            "livekit, which is not installed; pip install -r "
            "requirements-livekit.txt"
        )
        assert error["code"] == -1000

    given = properties(sim, _NoServer(), tmp_path)  # type: ignore[arg-type]
    play(script, given)


class _NoServer:
    url, api_key, api_secret = "ws://127.0.0.1:1", "key", "secret"


def test_in_a_daily_room_frames_are_nobodys(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        await scene.command("on_user_joined", remote_user_id="u1")
        await scene.message("tavus_conversation_created")
        await scene.speak(tone(440, 0.1).tobytes(), 16_000)
        await scene.say("tts_audio_end", json.dumps({"request_id": "r1"}))
        status, _ = await scene.command("flush")
        assert status == StatusCode.OK

    play(
        script,
        {
            "tavus_api_key": KEY,
            "base_url": sim.base_url,
            "replica_id": "r9d30b0e55ac",
            "journal_dir": str(tmp_path),
        },
    )


def frame_of(
    data: bytes,
    *,
    name: str = "pcm_frame",
    rate_hz: int = 24_000,
    sample_bytes: int = 2,
    samples: int | None = None,
) -> AudioFrame:
    """A frame that may say of itself what is not so."""
    frame = AudioFrame.create(name)
    frame.set_sample_rate(rate_hz)
    frame.set_number_of_channels(1)
    frame.set_bytes_per_sample(sample_bytes)
    frame.set_samples_per_channel(
        len(data) // 2 if samples is None else samples
    )
    frame.alloc_buf(len(data))
    view = frame.lock_buf()
    view[:] = data
    frame.unlock_buf(view)
    return frame


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (
            {"sample_bytes": 0, "samples": 120},
            "480 bytes are not 120 samples of 16 bits in 1 channels",
        ),
        ({"sample_bytes": 4}, "samples of 4 bytes cannot be spoken"),
        ({"rate_hz": 0}, "0 Hz with 1 channels is no audio"),
        ({"name": "audio"}, "an audio frame 'audio' is not spoken"),
    ],
)
def test_frames_that_cannot_be_spoken_are_one_error_in_each_utterance(
    livekit_server: LiveKitServer,
    sim: ThreadedSim,
    tmp_path: Path,
    bad: dict[str, Any],
    said: str,
) -> None:
    async def script(scene: Scene) -> None:
        for request_id in ("r1", "r2"):
            start = json.dumps({"request_id": request_id})
            await scene.say("tts_audio_start", start)
            for _ in range(5):
                await scene.send(frame_of(bytes(480), **bad))
            await scene.send(frame_of(bytes(480)))
            await scene.say("tts_audio_end", start)
        await scene.message("error", 2)
        # Whoever comes after it is told after it.
        await scene.say("tts_audio_end", json.dumps({"request_id": "r3"}))
        await scene.message("error", 3)

    given = properties(sim, livekit_server, tmp_path)
    scene = play(script, given)
    errors = scene.messages("error")
    assert [said in one["message"] for one in errors] == [True, True, False]
    assert [one["metadata"]["kind"] for one in errors] == ["audio"] * 3
    assert {one["code"] for one in errors} == {1000}


def test_a_tts_whose_frames_do_not_come_is_an_error(
    livekit_server: LiveKitServer, sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        async def speak(request_id: str, **end: Any) -> None:
            request = {"request_id": request_id}
            await scene.say("tts_audio_start", json.dumps(request))
            await scene.say("tts_audio_end", json.dumps({**request, **end}))

        await speak("flushed", reason=2)
        await speak("failed", reason=3)
        await speak("empty", reason=1, request_total_audio_duration_ms=0)
        await speak("lost", reason=1, request_total_audio_duration_ms=900)
        await scene.message("error")

    scene = play(script, properties(sim, livekit_server, tmp_path))
    (error,) = scene.messages("error")
    assert error["message"] == (
        "the TTS says that it has spoken 'lost', but no pcm_frame came; "
        "connect pcm_frame of the TTS to this extension"
    )
