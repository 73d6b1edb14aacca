#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Conversations in a LiveKit room: what is accepted, refused and recorded."""

import base64
import datetime
import io
import json
import wave
from typing import Any

import pytest
from livekit import api
from tavus_sim import SimReply, SimRequest, Simulator
from tavus_sim.heard import AUDIO_KEPT_S, Heard

STOCK = "pb87e71797da"
URL = "wss://livekit.test"
SECRET = "a-secret-that-tavus-does-not-have-32"
GOOD = {
    "kind": "agent",
    "sub": "tavus-avatar-agent",
    "video": {"roomJoin": True, "room": "parlour"},
    "attributes": {"lk.publish_on_behalf": "tavus-python"},
    "exp": 4_000_000_000,
    "nbf": 0,
}
WRONG = "properties.livekit_room_token: "


def official_token() -> str:
    """As livekit-plugins-tavus mints it."""
    token = api.AccessToken("key", SECRET).with_kind("agent")
    return (
        token.with_identity("tavus-avatar-agent")
        .with_name("tavus-avatar-agent")
        .with_grants(api.VideoGrants(room_join=True, room="parlour"))
        .with_attributes({"lk.publish_on_behalf": "tavus-python"})
        .to_jwt()
    )


def forged(**claims: Any) -> str:
    """A token with other claims; the signature is not Tavus's to check."""
    return encoded({**GOOD, **claims})


def encoded(claims: Any) -> str:
    content = base64.urlsafe_b64encode(json.dumps(claims).encode())
    return f"e30.{content.decode().rstrip('=')}.c2lnbmF0dXJl"


def create(
    sim: Simulator,
    token: str | None = None,
    *,
    url: str | None = URL,
    **body: Any,
) -> SimReply:
    properties = {"livekit_ws_url": url, "livekit_room_token": token}
    wish = {"persona_id": STOCK, "properties": properties, **body}
    return sim.handle(SimRequest.of("POST", "/v2/conversations", wish))


def entry(sim: Simulator) -> dict[str, Any]:
    return sim.ledger()["conversations"][0]


def test_the_official_token_is_accepted_and_its_room_recorded():
    sim = Simulator()
    assert create(sim, official_token()).status == 200
    assert entry(sim)["livekit"] == {
        "url": URL,
        "room": "parlour",
        "identity": "tavus-avatar-agent",
        "on_behalf_of": "tavus-python",
    }
    assert "avatar" not in entry(sim)


@pytest.mark.parametrize(("has_url", "there"), [(False, False), (True, True)])
def test_whether_there_is_a_conversation_url_is_a_choice(
    has_url: bool, there: bool
):
    sim = Simulator(livekit_conversation_url=has_url)
    answer = create(sim, official_token()).json()
    assert ("conversation_url" in answer) is there
    again = f"/v2/conversations/{answer['conversation_id']}"
    seen = sim.handle(SimRequest.of("GET", again)).json()
    assert ("conversation_url" in seen) is there


def test_the_token_is_nowhere_to_be_seen():
    sim = Simulator()
    token = official_token()
    conversation_id = create(sim, token).json()["conversation_id"]
    create(sim, forged(kind="standard"))
    for path in (
        "/sim/ledger",
        f"/sim/conversations/{conversation_id}",
        f"/sim/conversations/{conversation_id}/room",
        f"/v2/conversations/{conversation_id}?verbose=true",
    ):
        shown = sim.handle(SimRequest.of("GET", path)).body.decode()
        assert "eyJ" not in shown
        assert token.split(".")[1] not in shown
    assert token not in repr(sim.conversation(conversation_id))


@pytest.mark.parametrize("wish", [{"url": None}, {"token": None}])
def test_both_or_neither(wish: dict[str, Any]):
    sim = Simulator()
    reply = create(sim, **{"token": official_token(), **wish})
    assert reply.status == 400
    assert "must be given together" in reply.json()["error"]


@pytest.mark.parametrize("url", ["livekit.test", "ftp://x", "wss://", "ws://["])
def test_the_url_is_a_websockets(url: str):
    reply = create(Simulator(), official_token(), url=url)
    assert reply.json() == {
        "error": "properties.livekit_ws_url must be a ws:// or wss:// URL"
    }


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("t", "it is not a JWT"),
        ("e30.!.c2ln", "it is not a JWT"),
        (encoded([]), "it is not a JWT"),
        (forged(kind="standard"), "kind must be 'agent', not 'standard'"),
        (forged(kind=None), "kind must be 'agent', not None"),
        (forged(sub=""), "sub is missing"),
        (forged(video=None), "video.roomJoin must be true"),
        (forged(video={"room": "r"}), "video.roomJoin must be true"),
        (forged(video={"roomJoin": True}), "video.room is missing"),
        (
            forged(video={**GOOD["video"], "canPublish": False}),
            "video.canPublish must not be false",
        ),
        (
            forged(attributes={}),
            "attributes['lk.publish_on_behalf'] is missing",
        ),
        (forged(exp=None), "exp is missing"),
        (forged(exp=1), "it has expired (exp)"),
        (forged(nbf=4_000_000_000), "it is not valid yet (nbf)"),
    ],
)
def test_a_bad_token_is_refused_and_noted(token: str, problem: str):
    sim = Simulator(clock=lambda: 1_800_000_000.0)
    reply = create(sim, token)
    assert (reply.status, reply.json()) == (400, {"error": WRONG + problem})
    ledger = sim.ledger()
    assert ledger["created"] == 0
    assert ledger["refused"] == [
        {"at": "2027-01-15T08:00:00.000000Z", "error": WRONG + problem}
    ]


def test_a_token_lives_by_the_real_clock():
    minted = api.AccessToken("key", SECRET).with_ttl(
        datetime.timedelta(seconds=60)
    )
    claims = json.loads(
        base64.urlsafe_b64decode(minted.to_jwt().split(".")[1] + "==")
    )
    sim = Simulator()
    sim.advance(3600)
    assert create(sim, forged(exp=claims["exp"])).status == 200


@pytest.mark.parametrize(
    "persona",
    [
        {"pipeline_mode": "echo"},
        {"pipeline_mode": "echo", "layers": {"transport": {}}},
        {
            "system_prompt": "Be kind.",
            "layers": {"transport": {"transport_type": "livekit"}},
        },
    ],
)
def test_only_a_livekit_echo_persona_goes_into_a_room(persona: dict[str, Any]):
    sim = Simulator()
    wish = {"default_replica_id": "r9d30b0e55ac", **persona}
    made = sim.handle(SimRequest.of("POST", "/v2/personas", wish))
    persona_id = made.json()["persona_id"]
    reply = create(sim, official_token(), persona_id=persona_id)
    assert reply.status == 400
    assert "transport_type livekit" in reply.json()["error"]


def test_an_echo_persona_of_ones_own_goes_into_a_room():
    sim = Simulator()
    wish = {
        "pal_name": "Echo",
        "default_face_id": "r9d30b0e55ac",
        "pipeline_mode": "echo",
        "layers": {"transport": {"transport_type": "livekit"}},
    }
    made = sim.handle(SimRequest.of("POST", "/v2/pals", wish)).json()
    reply = create(sim, official_token(), persona_id=made["pal_id"])
    assert reply.json()["replica_id"] == "r9d30b0e55ac"


def test_without_a_worker_there_is_nothing_to_hear():
    sim = Simulator()
    conversation_id = create(sim, official_token()).json()["conversation_id"]
    path = f"/sim/conversations/{conversation_id}/heard.wav"
    assert sim.handle(SimRequest.of("GET", path)).status == 404


# What was heard, as reports make it


def piece(duration_ms: int) -> bytes:
    return b"\1\0" * 24 * duration_ms


def test_utterances_sent_ahead_are_told_apart():
    heard = Heard()
    for _ in range(2):
        heard.audio(piece(100), 24_000, 1)
        heard.audio(piece(50), 24_000, 1)
        heard.segment_end()
    heard.playback_finished(0.15, interrupted=False)
    first, second = heard.view()
    assert (first["sent_ms"], first["played_ms"]) == (150, 150)
    assert (second["sent_ms"], second["played_ms"]) == (150, None)


def test_an_interruption_drops_all_that_waits():
    heard = Heard()
    for _ in range(2):
        heard.audio(piece(100), 24_000, 1)
        heard.segment_end()
    heard.cleared()
    heard.playback_finished(0.04, interrupted=True)
    played = [(u["played_ms"], u["interrupted"]) for u in heard.view()]
    assert played == [(40, True), (0, True)]


def test_what_follows_an_interruption_is_an_utterance_of_its_own():
    heard = Heard()
    heard.audio(piece(100), 24_000, 1)
    heard.playback_finished(0.04, interrupted=True)
    heard.segment_end()
    heard.audio(piece(20), 24_000, 1)
    assert [u["sent_ms"] for u in heard.view()] == [100, 20]
    assert heard.summary()["heard_ms"] == 120


def test_the_end_of_long_audio_is_kept():
    heard = Heard()
    for _ in range(AUDIO_KEPT_S + 5):
        heard.audio(piece(1000), 24_000, 1)
    with wave.open(io.BytesIO(heard.wav())) as file:
        assert file.getframerate() == 24_000
        assert file.getnframes() == AUDIO_KEPT_S * 24_000
    assert heard.summary()["heard_ms"] == (AUDIO_KEPT_S + 5) * 1000
