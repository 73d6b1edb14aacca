#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The WebSocket of a simulated Agora session: strict, and it remembers."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from support.agora_sim import (
    AGORA_TOKEN,
    NOW_MS,
    START,
    Fields,
    Speaker,
    event,
    speaker,
    start,
    view,
    voice,
)
from support.watched import WatchedSimulator
from tavus_sim import SimRequest, SimServer

LONG_S = 20.0
START_S = 1_800_000_000.0
BY_CLIENT, NOT_THE_PROTOCOL, BY_TAVUS, REPLACED = 1000, 1008, 4000, 4001


@pytest.fixture(name="sim")
def sim_fixture() -> WatchedSimulator:
    return WatchedSimulator(clock=lambda: START_S)


@pytest.fixture(name="http")
async def http_fixture(
    sim: WatchedSimulator,
) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=LONG_S)
    async with (
        SimServer(sim),
        aiohttp.ClientSession(
            timeout=timeout, headers={"x-api-key": "any"}
        ) as session,
    ):
        yield session


def problems(sim: WatchedSimulator, session: Fields) -> list[str]:
    """What the session has against its client."""
    return [one["problem"] for one in view(sim, session)["violations"]]


def heard(sim: WatchedSimulator, session: Fields) -> tuple[int, bytes]:
    """The rate and the samples of what the avatar heard."""
    path = f"/sim/agora/{session['session_id']}/heard.wav"
    reply = sim.handle(SimRequest.of("GET", path))
    assert reply.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(reply.body)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getframerate(), file.readframes(file.getnframes())


def pcm(samples: int, first: int = 0) -> bytes:
    """Samples that are all different from their neighbours."""
    return b"".join(
        (index % 30_000).to_bytes(2, "little", signed=True)
        for index in range(first, first + samples)
    )


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer no", "{}"])
async def test_without_its_token_nobody_comes_in(
    sim: WatchedSimulator,
    http: aiohttp.ClientSession,
    authorization: str | None,
):
    session = start(sim)
    headers = {}
    if authorization:
        # "{}" is the token without its scheme.
        token = session["session_token"]
        headers["Authorization"] = authorization.replace("{}", token)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(session["websocket_address"], headers=headers)
    assert refused.value.status == 401
    assert view(sim, session)["connections"] == 0


async def test_a_token_is_worth_nothing_when_the_session_is_over(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    sim.advance(1000)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with speaker(http, session):
            pass
    assert refused.value.status == 401


async def test_what_was_said_is_heard_sample_for_sample(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    speech = pcm(24_000)
    async with speaker(http, session) as one:
        for at in range(0, len(speech), 960):
            await one.send(voice(speech[at : at + 960]))
        await one.send(event("voice_end"))
        await one.heartbeat()
        assert heard(sim, session) == (24_000, speech)
    seen = view(sim, session)
    assert seen["utterances"] == [
        {
            "number": 1,
            "ended_by": "voice_end",
            "interrupted": False,
            "duration_s": 1.0,
            "messages": 50,
            "sample_rates_hz": [24_000],
        }
    ]
    assert seen["commands"] == {
        "init": 1,
        "voice": 50,
        "voice_end": 1,
        "heartbeat": 2,
    }
    assert seen["violations"] == []
    assert (seen["heard_s"], seen["violations_count"]) == (1.0, 0)


async def test_utterances_end_by_end_by_interrupt_or_with_the_connection(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    async with speaker(http, session) as one:
        await one.send(
            voice(),
            event("voice_end"),
            voice(),
            voice(),
            event("voice_interrupt"),
            event("voice_interrupt"),
            {"command": "special", "content": "<nod/>", "event_id": "e"},
            voice(),
        )
        await one.heartbeat()
        utterances = view(sim, session)["utterances"]
        assert utterances[-1]["ended_by"] is None
    await sim.until(lambda: not view(sim, session)["connected"])
    utterances = view(sim, session)["utterances"]
    assert [one["ended_by"] for one in utterances] == [
        "voice_end",
        "voice_interrupt",
        "disconnect",
    ]
    assert [one["interrupted"] for one in utterances] == [False, True, False]
    assert [one["messages"] for one in utterances] == [1, 2, 1]
    assert problems(sim, session) == []


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 32000, 44100, 48000])
async def test_every_rate_of_the_protocol_is_heard(
    sim: WatchedSimulator, http: aiohttp.ClientSession, rate_hz: int
):
    session = start(sim)
    async with speaker(http, session) as one:
        await one.send(voice(pcm(rate_hz), rate_hz), event("voice_end"))
        await one.heartbeat()
    assert heard(sim, session) == (rate_hz, pcm(rate_hz))
    assert view(sim, session)["utterances"][0]["duration_s"] == 1.0


async def test_the_wav_begins_where_the_rate_last_changed(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    async with speaker(http, session) as one:
        await one.send(
            voice(pcm(100), 16_000),
            voice(pcm(200), 48_000),
            event("voice_end"),
            voice(pcm(300, 200), 48_000),
        )
        await one.heartbeat()
        assert heard(sim, session) == (48_000, pcm(500))
    rates = [u["sample_rates_hz"] for u in view(sim, session)["utterances"]]
    assert rates == [[16_000, 48_000], [48_000]]


async def test_the_last_minute_is_kept(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    rate_hz = 8000
    async with speaker(http, session) as one:
        for second in range(65):
            await one.send(voice(pcm(rate_hz, second * rate_hz + 1), rate_hz))
            if second % 7 == 0:
                await one.send(event("voice_end"))
        await one.send(voice(pcm(1, 65 * rate_hz + 1), rate_hz))
        await one.heartbeat()
    kept_rate_hz, kept = heard(sim, session)
    assert kept_rate_hz == rate_hz
    assert kept == pcm(60 * rate_hz, 5 * rate_hz + 2)
    assert view(sim, session)["heard_s"] == pytest.approx(65 + 1 / rate_hz)


def missing(command: Fields, name: str) -> Fields:
    return {key: command[key] for key in command if key != name}


HEARTBEAT = {**event("heartbeat"), "timestamp": NOW_MS}
BAD_MESSAGES: list[tuple[Any, str]] = [
    ("{", "The message is not JSON"),
    ("[]", "The message is not a JSON object"),
    ({}, "Missing required field: command"),
    (event("speak"), "Unknown command: 'speak'"),
    ({"command": ["voice"]}, "Unknown command: ['voice']"),
    *(
        (missing(voice(), name), f"voice: Missing required field: {name}")
        for name in ("audio", "sampleRate", "encoding", "event_id")
    ),
    ({**voice(), "sample_rate": 1}, "voice: Unknown field: 'sample_rate'"),
    ({**voice(), "event_id": 7}, "voice: event_id must be a non-empty string"),
    ({**voice(), "encoding": "OPUS"}, "voice: encoding must be PCM16"),
    (
        voice(rate_hz=22_050),
        "voice: sampleRate must be one of 8000, 16000, 24000, 32000, 44100, "
        "48000",
    ),
    ({**voice(), "audio": "@@@@"}, "voice: audio is not base64"),
    (voice(b"\0\0\0"), "voice: audio has an odd number of bytes"),
    (voice(b""), "voice: audio is empty"),
    (
        {**event("voice_end"), "reason": "x"},
        "voice_end: Unknown field: 'reason'",
    ),
    (
        {"command": "voice_interrupt"},
        "voice_interrupt: Missing required field: event_id",
    ),
    (
        {**HEARTBEAT, "timestamp": 1.5e12},
        "heartbeat: timestamp must be an integer of epoch milliseconds",
    ),
    (
        {**HEARTBEAT, "timestamp": 1_800_000_000},
        "heartbeat: timestamp must be an integer of epoch milliseconds",
    ),
    (event("special"), "special: Missing required field: content"),
]


@pytest.mark.parametrize(("message", "problem"), BAD_MESSAGES)
async def test_a_violation_is_written_down_and_life_goes_on(
    sim: WatchedSimulator,
    http: aiohttp.ClientSession,
    message: Any,
    problem: str,
):
    session = start(sim)
    async with speaker(http, session) as one:
        await one.send(message, voice())
        await one.heartbeat()
        assert problems(sim, session) == [problem]
        assert view(sim, session)["commands"]["voice"] == 1
    (entry,) = sim.ledger()["conversations"]
    assert entry["violations"] == [
        {"at": "2027-01-15T08:00:00.000000Z", "problem": problem}
    ]


async def test_binary_and_a_second_init_are_violations(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    async with speaker(http, session) as one:
        await one.socket.send_bytes(b"\0\0")
        await one.init()
        await one.heartbeat()
    assert problems(sim, session) == [
        "The message is binary",
        "init: init has come already",
    ]


@pytest.mark.parametrize(
    ("message", "problem"), [*BAD_MESSAGES[:4], (voice(), "voice: no init")]
)
async def test_a_violation_before_init_closes(
    sim: WatchedSimulator,
    http: aiohttp.ClientSession,
    message: Any,
    problem: str,
):
    session = start(sim)
    async with speaker(http, session, init=False) as one:
        await one.send(message, voice())
        assert await one.farewell() == (NOT_THE_PROTOCOL, problem)
    assert problems(sim, session) == [problem]
    assert view(sim, session)["utterances"] == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"session_id": "other"}, "session_id is not the session's"),
        ({"quality": "low"}, "quality differs from start"),
        (
            {"activity_idle_timeout": 60},
            "activity_idle_timeout differs from start",
        ),
        ({"area": "EU"}, "area differs from start"),
        ({"extra": 1}, "Unknown field: 'extra'"),
        (
            {"agora_settings": {**START["agora_settings"], "token": "other"}},
            "agora_settings.token differs from start",
        ),
        (
            {"agora_settings": {**START["agora_settings"], "uid": 333}},
            "agora_settings.uid must be a non-empty string",
        ),
    ],
)
async def test_init_is_what_the_session_was_started_with(
    sim: WatchedSimulator,
    http: aiohttp.ClientSession,
    changes: Fields,
    problem: str,
):
    session = start(sim)
    async with speaker(http, session, init=False) as one:
        await one.init(**changes)
        code, reason = await one.farewell()
    assert (code, reason) == (NOT_THE_PROTOCOL, f"init: {problem}")
    assert AGORA_TOKEN not in reason
    assert problems(sim, session) == [f"init: {problem}"]


async def test_a_second_connection_replaces_the_first(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    async with speaker(http, session) as first:
        await first.send(voice(pcm(100)))
        await first.heartbeat()
        async with speaker(http, session) as second:
            farewell = await first.farewell()
            assert farewell == (REPLACED, "replaced by a newer connection")
            await second.send(voice(pcm(100, 100)), event("voice_end"))
            await second.heartbeat()
            seen = view(sim, session)
    assert seen["connections"] == 2
    assert [one["ended_by"] for one in seen["utterances"]] == [
        "disconnect",
        "voice_end",
    ]
    assert heard(sim, session) == (24_000, pcm(200))
    assert seen["violations"] == []


async def test_a_connection_must_say_init_again_and_may_renew_the_token(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    async with speaker(http, session):
        pass
    async with speaker(http, session, init=False) as again:
        await again.send(voice())
        assert (await again.farewell())[1] == "voice: no init"
    renewed = {**START["agora_settings"], "token": "007a-newer-token"}
    async with speaker(http, session, init=False) as third:
        await third.init(agora_settings=renewed)
        await third.heartbeat()
    assert problems(sim, session) == ["voice: no init"]
    assert view(sim, session)["commands"]["init"] == 2


async def test_stopping_the_session_closes_the_socket(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    url = f"{sim.base_url}/v2/conversations/agora/session/stop"
    names = ("session_id", "session_token")
    body = {name: session[name] for name in names}
    async with speaker(http, session) as one:
        async with http.delete(url, json=body) as response:
            assert response.status == 200
        assert await one.farewell() == (BY_CLIENT, "client")
    assert sim.ledger()["active"] == 0


async def test_an_idle_session_is_closed_and_any_command_keeps_it(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim, activity_idle_timeout=20)
    async with speaker(http, session, init=False) as one:
        await one.init(activity_idle_timeout=20)
        await one.heartbeat()
        sim.advance(19)
        await one.send(event("voice_interrupt"))
        await one.heartbeat()
        sim.advance(19)
        assert view(sim, session)["status"] == "active"
        sim.advance(1)
        farewell = (BY_TAVUS, "activity_idle_timeout reached")
        assert await one.farewell() == farewell
    assert view(sim, session)["ended_by"] == farewell[1]
    assert view(sim, session)["duration_s"] == 39


async def test_an_hour_is_the_longest_session(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    async with speaker(http, session) as one:
        for _ in range(36):
            await one.heartbeat()
            sim.advance(100)
        farewell = (BY_TAVUS, "max_call_duration reached")
        assert await one.farewell() == farewell
    assert view(sim, session)["duration_s"] == 3600


async def test_25_seconds_without_a_heartbeat_are_a_violation(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    async with speaker(http, session) as one:
        sim.advance(24.9)
        await one.heartbeat()
        sim.advance(24.9)
        assert problems(sim, session) == []
        sim.advance(60)
        assert view(sim, session)["violations"] == [
            {
                "at": "2027-01-15T08:00:49.900000Z",
                "problem": "no heartbeat for 25 s",
            }
        ]
        await one.heartbeat()
        sim.advance(25)
        assert problems(sim, session) == ["no heartbeat for 25 s"] * 2


async def test_who_is_not_connected_owes_no_heartbeat(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    session = start(sim)
    async with speaker(http, session):
        pass
    await sim.until(lambda: not view(sim, session)["connected"])
    sim.advance(100)
    assert problems(sim, session) == []


async def test_a_server_that_stops_says_so():
    sim = WatchedSimulator()
    async with aiohttp.ClientSession() as http:
        server = SimServer(sim)
        await server.start()
        session = start(sim)
        async with speaker(http, session) as one:
            farewell, _ = await asyncio.gather(one.farewell(), server.close())
    assert farewell == (1001, "server stops")
    assert view(sim, session)["connected"] is False


async def test_a_hundred_sessions_are_heard_apart(
    sim: WatchedSimulator, http: aiohttp.ClientSession
):
    async def speak(number: int) -> Fields:
        session = start(sim)
        async with speaker(http, session) as one:
            for at in range(10):
                await one.send(voice(pcm(240, number + at * 240)))
            await one.heartbeat()
        return session

    sessions = await asyncio.gather(*map(speak, range(100)))
    for number, session in enumerate(sessions):
        assert heard(sim, session) == (24_000, pcm(2400, number))


async def test_in_real_time_the_server_wakes_up_by_itself():
    sim = WatchedSimulator()
    async with SimServer(sim), aiohttp.ClientSession() as http:
        session = start(sim, activity_idle_timeout=0.05)
        async with speaker(http, session, init=False) as one:
            await one.init(activity_idle_timeout=0.05)
            assert (await one.farewell())[0] == BY_TAVUS
    assert isinstance(one, Speaker)
    assert sim.ledger()["active"] == 0
