#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Transport agora: sessions, what is spoken in them, and how they end."""

import asyncio
import io
import json
import logging
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import uvloop
from aiohttp import web
from support.agora import (
    APP_ID,
    AVATAR_UID,
    CERTIFICATE,
    AgoraRun,
    journal_lines,
    properties_of,
)
from support.direct import KEY
from support.proxy import RecordingProxy
from support.sounds import frequency_hz, tone
from ten_packages.extension.tavus_python.config import ConfigError, TavusConfig
from ten_packages.extension.tavus_python.events import (
    Ended,
    Failed,
    Measured,
    Reported,
)
from ten_packages.extension.tavus_python.journal import Entry, Journal
from ten_packages.extension.tavus_python.keeper import fingerprint
from ten_packages.extension.tavus_python.tavus_client import Session
from ten_packages.extension.tavus_python.transports import agora_connection
from ten_packages.extension.tavus_python.transports.voice import Pcm


def pcm_of(wav: bytes) -> tuple[bytes, int]:
    """The samples of a WAV file, and their rate."""
    with wave.open(io.BytesIO(wav)) as file:
        return file.readframes(file.getnframes()), file.getframerate()


def speech(duration_s: float, rate_hz: int = 24_000) -> bytes:
    """A tone as bytes."""
    return tone(440, duration_s, rate_hz).tobytes()


def violations(run: AgoraRun) -> list[Any]:
    """What the simulator found against the protocol, in all sessions."""
    return [
        problem
        for session in run.simulator.sessions.all.values()
        for problem in session.violations
    ]


@pytest.mark.parametrize("rate_hz", [16_000, 24_000, 44_100, 48_000])
async def test_what_is_spoken_arrives_sample_for_sample(
    tmp_path: Path, rate_hz: int
) -> None:
    audio = speech(1.23, rate_hz)
    async with AgoraRun(tmp_path) as run:
        session_id = await run.joined()
        run.voice.start("r1")
        run.say(audio, rate_hz)
        run.voice.end("r1")
        (utterance,) = await run.spoken(session_id)
        assert utterance["ended_by"] == "voice_end"
        assert pcm_of(run.wav(session_id)) == (audio, rate_hz)
        run.keeper.user_left("ann")
        assert (await run.ended()).reason == "user_left"
        assert run.session(session_id)["ended_by"] == "client"
        assert not run.simulator.active
        assert not violations(run)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 32_000])
@pytest.mark.parametrize("channels", [1, 2])
async def test_other_rates_arrive_at_24_khz_mono(
    tmp_path: Path, rate_hz: int, channels: int
) -> None:
    mono = tone(440, 1.0, rate_hz)
    audio = np.repeat(mono, channels).tobytes()
    async with AgoraRun(tmp_path) as run:
        session_id = await run.joined()
        run.say(audio, rate_hz, channels)
        run.voice.end("")
        await run.spoken(session_id)
        heard, heard_hz = pcm_of(run.wav(session_id))
        assert heard_hz == 24_000
        samples = np.frombuffer(heard, np.int16)
        assert samples.size == pytest.approx(24_000, abs=2)
        assert frequency_hz(samples, 24_000) == pytest.approx(440, abs=2)


async def test_a_flush_cuts_it_and_the_next_utterance_is_whole(
    tmp_path: Path,
) -> None:
    async with AgoraRun(tmp_path) as run:
        session_id = await run.joined()
        run.voice.start("r1")
        run.say(speech(0.5))
        await run.until(lambda: run.session(session_id)["heard_s"] > 0)
        run.say(speech(5.0))
        run.voice.flush()
        run.say(speech(1.0))  # late
        run.voice.end("r1")
        run.voice.start("r2")
        run.say(speech(0.3))
        run.voice.end("r2")
        first, second = await run.spoken(session_id, 2)
        assert first["interrupted"]
        # What was on its way at the flush may still have come.
        assert first["duration_s"] <= 0.5 + 0.25
        assert second["duration_s"] == pytest.approx(0.3)
        told = [e.event["event_type"] for e in run.of(Reported)]
        assert told.count("agora.speaking") == 2
        assert not violations(run)


async def test_slices_that_are_no_whole_samples_arrive_as_they_were(
    tmp_path: Path,
) -> None:
    audio = speech(0.9)
    async with AgoraRun(tmp_path) as run:
        session_id = await run.joined()
        for start in range(0, len(audio), 333):
            run.voice.push(Pcm(audio[start : start + 333], 24_000))
        run.voice.end("")
        await run.spoken(session_id)
        assert pcm_of(run.wav(session_id)) == (audio, 24_000)
        assert not violations(run)


async def test_two_parts_of_a_request_have_ids_that_differ(
    tmp_path: Path,
) -> None:
    async with AgoraRun(tmp_path) as run:
        session_id = await run.joined()
        for count in (1, 2):
            run.voice.start("r1")
            run.say(speech(0.2))
            run.voice.end("r1")
            await run.spoken(session_id, count)
        told = await run.until(lambda: len(said(run)) == 2 and said(run))
        assert [one["utterance_id"] for one in told] == ["r1", "r1#2"]
        assert told[1]["request_id"] == "r1"


def said(run: AgoraRun) -> list[dict[str, Any]]:
    """What the graph was told as spoken."""
    return [
        one.event["properties"]
        for one in run.of(Reported)
        if one.event["event_type"] == "agora.spoken"
    ]


async def test_what_a_broken_socket_loses_is_an_error_that_says_how_much(
    tmp_path: Path,
) -> None:
    async with AgoraRun(tmp_path) as run:
        run.simulator.add_fault(
            "agora_socket", "drop", after_messages=1, count=1
        )
        session_id = await run.joined()
        run.voice.start("r1")
        run.say(speech(0.3))
        await run.until(lambda: run.session(session_id)["connections"] == 2)
        run.say(speech(0.4))
        run.voice.end("r1")
        run.voice.start("r2")
        run.say(speech(0.2))
        run.voice.end("r2")
        (failed,) = await run.until(lambda: run.of(Failed))
        assert failed.error.kind == "audio"
        lost_s = float(str(failed.error).split()[0])
        assert 0.4 <= lost_s < 0.7
        assert "the avatar's socket broke in the middle" in str(failed.error)
        assert failed.conversation_id == session_id


async def test_the_time_to_the_first_audio_is_measured(tmp_path: Path) -> None:
    async with AgoraRun(tmp_path) as run:
        await run.joined()
        run.say(speech(0.1))
        measured = await run.until(lambda: run.of(Measured))
        assert 0 < measured[0].metrics["first_audio_ms"] < 5_000


async def test_what_comes_before_the_session_is_spoken_then(
    tmp_path: Path,
) -> None:
    async with AgoraRun(tmp_path) as run:
        run.simulator.add_fault("create", "slow", delay_ms=1)
        run.keeper.user_joined("ann")
        run.say(speech(0.4))
        run.voice.end("")
        session_id = await run.joined("bob")
        (utterance,) = await run.spoken(session_id)
        assert utterance["duration_s"] == pytest.approx(0.4)


async def test_the_avatar_is_no_user(tmp_path: Path) -> None:
    async with AgoraRun(tmp_path) as run:
        run.keeper.user_joined(AVATAR_UID)
        await asyncio.sleep(0)
        assert not run.simulator.ledger()["created"]
        session_id = await run.joined()
        run.keeper.user_joined(AVATAR_UID)
        run.keeper.user_left(AVATAR_UID)
        assert run.session(session_id)["status"] == "active"
        run.keeper.user_left("ann")
        await run.ended()


async def test_a_socket_that_drops_is_opened_anew(tmp_path: Path) -> None:
    async with AgoraRun(tmp_path) as run:
        run.simulator.add_fault(
            "agora_socket", "drop", after_messages=3, count=1
        )
        session_id = await run.joined()
        run.voice.start("r1")
        for _ in range(20):
            run.say(speech(0.3))
            await asyncio.sleep(0)
        await run.until(lambda: run.session(session_id)["connections"] == 2)
        run.say(speech(0.3))  # the rest of what is torn
        run.voice.end("r1")
        run.voice.start("r2")
        run.say(speech(0.25))
        run.voice.end("r2")
        over = await run.spoken(session_id, 2)
        assert over[-1]["duration_s"] == pytest.approx(0.25)
        assert [one["ended_by"] for one in over] == ["disconnect", "voice_end"]
        assert len(run.simulator.sessions.all) == 1
        assert not violations(run)


async def test_a_session_that_expires_is_replaced_once_and_then_given_up(
    tmp_path: Path,
) -> None:
    async with AgoraRun(tmp_path) as run:
        run.simulator.add_fault("agora_socket", "expire", delay_ms=10)
        await run.joined()
        assert (await run.ended(1)).reason == "session_over"
        assert (await run.ended(2)).reason == "session_over"
        await run.until(lambda: not run.simulator.active)
        assert len(run.simulator.sessions.all) == 2
        failed = run.of(Failed)
        assert [one.error.kind for one in failed] == ["avatar", "avatar"]
        assert failed[0].conversation_id


async def test_a_socket_that_refuses_the_token_is_an_error(
    tmp_path: Path,
) -> None:
    async with AgoraRun(tmp_path) as run:
        run.simulator.add_fault("agora_socket", "refuse_token")
        await run.joined()
        await run.ended(2)
        assert "refuses us (HTTP 401)" in str(run.of(Failed)[-1].error)
        await run.until(lambda: not run.simulator.active)


async def test_a_reader_that_stalls_costs_no_memory(tmp_path: Path) -> None:
    async with AgoraRun(tmp_path) as run:
        run.simulator.add_fault(
            "agora_socket", "slow_reader", delay_ms=60_000, count=1
        )
        session_id = await run.joined()
        second = speech(1.0)
        for _ in range(700):
            run.say(second)
            await asyncio.sleep(0)
        held = sum(
            len(item.pcm.data)
            for item in run.voice._items  # pylint: disable=protected-access
            if hasattr(item, "pcm")
        )
        assert held <= 600 * 48_000
        assert any("oldest is lost" in line for line in run.lines)
        # In real time this is seen after 10 s.
        await run.until(
            lambda: any("nobody has read it" in line for line in run.lines)
        )
        await run.until(lambda: run.session(session_id)["connections"] == 2)


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [("status", 401, "auth"), ("status", 402, "credits")],
)
async def test_a_start_that_is_refused_is_told(
    tmp_path: Path, kind: str, status: int, told: str
) -> None:
    async with AgoraRun(tmp_path) as run:
        run.simulator.add_fault("agora_start", kind, status=status)
        run.keeper.user_joined("ann")
        failed = await run.until(lambda: run.of(Failed))
        assert failed[0].error.kind == told
        assert not run.simulator.active


async def test_a_start_without_an_answer_is_not_repeated_in_its_place(
    tmp_path: Path,
) -> None:
    async with AgoraRun(tmp_path, activity_idle_timeout=1) as run:
        run.simulator.add_fault("agora_start", "drop_after", count=1)
        run.keeper.user_joined("ann")
        failed = await run.until(lambda: run.of(Failed))
        assert failed[0].error.kind == "network"
        (entry,) = journal_lines(tmp_path)[-1:]
        assert entry["session"] and entry["idle_s"] == 1
        # When it must have ended by itself, another is started.
        session_id = await run.joined("bob")
        assert run.simulator.active == [session_id]


async def test_an_end_that_fails_is_tried_again(tmp_path: Path) -> None:
    async with AgoraRun(tmp_path) as run:
        run.simulator.add_fault("agora_stop", "error_before", count=2)
        await run.joined()
        run.keeper.user_left("ann")
        await run.ended()
        assert not run.simulator.active


async def test_stop_ends_the_session_in_time(tmp_path: Path) -> None:
    async with AgoraRun(tmp_path) as run:
        await run.joined()
        run.say(speech(3.0))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await run.keeper.close()
        assert loop.time() - began < 1.5
        assert not run.simulator.active
        assert run.of(Ended)[0].reason == "stop"


async def test_the_longest_call_is_ours_to_end(tmp_path: Path) -> None:
    async with AgoraRun(tmp_path, max_call_duration=1) as run:
        await run.joined()
        assert (await run.ended()).reason == "max_call_duration reached"
        assert not run.simulator.active


async def test_what_a_dead_worker_left_is_ended_and_nothing_else(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "journal"
    async with AgoraRun(folder) as run:
        base_url = run.config.base_url
        log = logging.Logger("dead")
        client = run.keeper._parts.client  # pylint: disable=protected-access
        body = run.config.session_body(_no_options())
        body["agora_settings"]["token"] = "t"
        left = await client.start_session(body)
        others = await client.start_session(body)
        dead = Journal(folder, log)
        entry = Entry("ten-x", base_url, fingerprint(KEY), "", True, 120)
        await dead.want(entry)
        dead.got("ten-x", left.conversation_id, left.session_token)
        await dead.close()
        run.keeper.open()
        await run.until(
            lambda: run.session(left.conversation_id)["status"] == "ended"
        )
        assert run.simulator.active == [others.conversation_id]


async def test_no_secret_is_in_the_log_or_in_what_the_graph_hears(
    tmp_path: Path,
) -> None:
    async with AgoraRun(tmp_path) as run:
        run.simulator.add_fault(
            "agora_socket", "drop", after_messages=1, count=1
        )
        session_id = await run.joined()
        run.say(speech(1.0))
        await run.until(lambda: run.session(session_id)["connections"] == 2)
        run.simulator.add_fault("agora_stop", "error_before", count=1)
        run.keeper.user_left("ann")
        await run.ended()
        session = run.simulator.sessions.all[session_id]
        agora_token = session.start["agora_settings"]["token"]
        said = "\n".join([*run.lines, *map(repr, run.events)])
        said += run.config.to_str() + repr(run.config)
        for secret in (KEY, CERTIFICATE, session.token, agora_token):
            assert secret not in said


def _no_options() -> Any:
    from ten_packages.extension.tavus_python.config import StartOptions

    return StartOptions()


def test_the_token_is_agoras(tmp_path: Path) -> None:
    from ten_packages.extension.tavus_python.transports import transport_of

    async def show(_: Any) -> None: ...

    config = TavusConfig.load(properties_of("http://127.0.0.1:1/v2", tmp_path))
    token = transport_of(config, show, logging.Logger("t")).token()  # type: ignore[attr-defined]
    assert token.startswith(f"006{APP_ID}")
    assert CERTIFICATE not in token


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (
            {"agora_app_id": ""},
            "agora_app_id: is not set, but transport 'agora' needs it; set "
            "the environment variable AGORA_APP_ID, or this property",
        ),
        (
            {"agora_app_id": "short"},
            "agora_app_id: is no app id, which has 32 letters and digits; "
            "copy it from the Agora console",
        ),
        (
            {"channel": ""},
            "channel: is not set; name the Agora channel that users are in",
        ),
        (
            {"agora_avatar_uid": "bot"},
            "agora_avatar_uid: 'bot' is no number from 1 to 4294967295; write "
            "one, or set enable_string_uid",
        ),
        (
            {"conversation_scope": "user"},
            "conversation_scope: 'user' does not go with transport 'agora', "
            "where all are in one channel; write 'channel'",
        ),
        (
            {"quality": "best"},
            "quality: 'best' is no choice here; write 'low' or 'medium' or "
            "'high'",
        ),
    ],
)
def test_a_bad_property_is_named_with_the_fix(
    tmp_path: Path, changed: dict[str, str], problem: str
) -> None:
    properties = properties_of("http://127.0.0.1:1/v2", tmp_path, **changed)
    with pytest.raises(ConfigError) as bad:
        TavusConfig.load(properties)
    assert bad.value.problems == [problem]


def test_what_sessions_do_not_have_is_warned_of(tmp_path: Path) -> None:
    properties = properties_of(
        "http://127.0.0.1:1/v2",
        tmp_path,
        custom_greeting="hello",
        activity_idle_timeout=0,
    )
    assert TavusConfig.load(properties).warnings == [
        "custom_greeting: is unused with transport 'agora'; unset it",
        "activity_idle_timeout: 0 lets a session run for ever whose start "
        "was not answered; write seconds",
    ]


def test_the_journal_of_conversations_is_as_it_was(tmp_path: Path) -> None:
    async def write() -> None:
        journal = Journal(tmp_path, logging.Logger("j"))
        await journal.want(Entry("ten-1", "u", "a"))
        (line,) = journal_lines(tmp_path)
        assert json.dumps(line) == json.dumps(
            {
                "name": "ten-1",
                "base_url": "u",
                "account": "a",
                "conversation_id": "",
            }
        )
        journal.over("ten-1")
        await journal.close()

    asyncio.run(write())


async def test_a_session_without_an_address_is_ended(tmp_path: Path) -> None:
    async with AgoraRun(tmp_path) as run:
        start = run.client.start_session

        async def nowhere(body: dict[str, Any]) -> Session:
            return replace(await start(body), websocket_address="")

        run.client.start_session = nowhere
        await run.joined()
        await run.ended(2)  # it was replaced once
        assert not run.simulator.active
        failed = run.of(Failed)[-1]
        assert "no websocket_address" in str(failed.error)


async def test_a_session_behind_a_proxy_that_refuses_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = b"HTTP/1.1 407 Authenticate\r\nContent-Length: 0\r\n\r\n"
    async with (
        RecordingProxy(0, answers=[refusal] * 9) as proxy,
        AgoraRun(tmp_path) as run,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url())
        monkeypatch.setenv("NO_PROXY", "")
        start = run.client.start_session

        async def far_away(body: dict[str, Any]) -> Session:
            made = await start(body)
            return replace(made, websocket_address="wss://tavus.example/ws")

        run.client.start_session = far_away
        await run.joined()
        assert (await run.ended()).reason == "session_over"
        assert not run.simulator.active
        error = run.of(Failed)[-1].error
        assert (error.kind, error.status) == ("network", 407)
        assert "HTTPS_PROXY" in error.hint
        # Another session would cost as much, and fare no better.
        assert run.simulator.ledger()["created"] == 1
        assert len(proxy.heads) == 1


def test_a_socket_of_uvloop_is_closed_too() -> None:
    async def main() -> None:
        async def stay(request: web.Request) -> web.WebSocketResponse:
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            await ws.receive()
            return ws

        app = web.Application()
        app.router.add_get("/", stay)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with aiohttp.ClientSession() as http:
            for _ in range(2):  # also one that is closed already
                ws = await http.ws_connect(url)
                await agora_connection.close(ws)
                await agora_connection.close(ws)
                assert ws.closed
        await runner.cleanup()

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
