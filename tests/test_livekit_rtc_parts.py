#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The parts of livekit_rtc that need no room."""

import asyncio
import dataclasses
import json
import logging
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from livekit import api, rtc

from ten_packages.extension.livekit_rtc import tokens
from ten_packages.extension.livekit_rtc.config import LiveKitConfig
from ten_packages.extension.livekit_rtc.drops import Drops
from ten_packages.extension.livekit_rtc.errors import (
    ConfigError,
    connect_error,
    mask_sdk_log,
)
from ten_packages.extension.livekit_rtc.participants import counts, sender
from ten_packages.extension.livekit_rtc.presence import Presence

SECRET = "a-secret-of-more-than-32-characters"
GOOD: dict[str, Any] = {
    "url": "wss://name.livekit.cloud",
    "api_key": "APIkey",
    "api_secret": SECRET,
    "room": "r",
}
PACKAGE = Path(__file__).parent.parent / "ten_packages/extension/livekit_rtc"
Kind = rtc.ParticipantKind


def problem_of(**properties: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        LiveKitConfig.load({**GOOD, **properties})
    return str(caught.value)


@pytest.mark.parametrize("name", ["tavus-avatar-agent", "tavus-python"])
def test_reserved_names_are_not_ours_to_take(name: str) -> None:
    assert f"identity: {name!r} is reserved" in problem_of(identity=name)


def test_what_property_json_ships_are_the_defaults() -> None:
    shipped = json.loads((PACKAGE / "property.json").read_text())
    fields = {field.name for field in dataclasses.fields(LiveKitConfig)}
    assert set(shipped) == fields | {"channel"}
    for name in ("url", "api_key", "api_secret"):
        assert shipped[name] == f"${{env:LIVEKIT_{name.upper()}|}}"
    config = LiveKitConfig.load({**shipped, **GOOD})
    assert config == LiveKitConfig(**GOOD)


def test_blank_properties_are_the_defaults() -> None:
    names = {field.name for field in dataclasses.fields(LiveKitConfig)}
    blank = dict.fromkeys(names - set(GOOD), " ")
    assert LiveKitConfig.load({**blank, **GOOD}) == LiveKitConfig(**GOOD)


def test_values_may_be_text_as_from_the_environment() -> None:
    config = LiveKitConfig.load(
        {
            **GOOD,
            "room": "",
            "channel": " ten_agent_test ",
            "publish_audio": "False",
            "subscribe_video": "1",
            "publish_audio_sample_rate": "48000",
            "reconnect_timeout_s": "2.5",
            "text_topics": "a, b,,a",
        }
    )
    assert config.room == "ten_agent_test"
    assert (config.publish_audio, config.subscribe_video) == (False, True)
    assert config.publish_audio_sample_rate == 48_000
    assert config.reconnect_timeout_s == 2.5
    assert config.text_topics == ("a", "b")


def test_what_ten_s_server_writes_for_agora_does_no_harm() -> None:
    agora = {"token": "007eJxTYPDw", "stream_id": 0, "remote_stream_id": 123}
    assert LiveKitConfig.load({**GOOD, **agora}) == LiveKitConfig(**GOOD)


def test_room_comes_before_channel() -> None:
    config = LiveKitConfig.load({**GOOD, "room": "r", "channel": "c"})
    assert config.room == "r"


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        (
            {"url": ""},
            "url: is not set; write the server's, such as "
            "wss://name.livekit.cloud (LIVEKIT_URL)",
        ),
        (
            {"url": "wss://user:password@host"},
            "url: cannot be used; write scheme, host and port alone, such as "
            "wss://name.livekit.cloud or ws://127.0.0.1:7880",
        ),
        (
            {"api_secret": ""},
            "api_key, api_secret: are not set; write both "
            "(LIVEKIT_API_KEY, LIVEKIT_API_SECRET), or a token",
        ),
        ({"room": ""}, "room: is not set; write the room's name"),
        (
            {"api_key": "", "token": "no token"},
            "token: cannot be used; write a token of a LiveKit room",
        ),
        (
            {"room": True},
            "room: true is no text of at most 256 characters",
        ),
        (
            {"identity": [7]},
            "identity: [7] is no text of at most 256 characters",
        ),
        (
            {"publish_audio": "maybe"},
            'publish_audio: "maybe" is neither true nor false',
        ),
        (
            {"publish_audio_sample_rate": 12345},
            "publish_audio_sample_rate: 12345 is no sample rate; write one "
            "of 8000, 16000, 24000, 32000, 44100, 48000",
        ),
        (
            {"publish_video_width": 0.5},
            "publish_video_width: 0.5 is not a whole number from 16 to 7680",
        ),
        (
            {"token_ttl_s": True},
            "token_ttl_s: true is not a whole number from 60 to 86400",
        ),
        (
            {"connect_timeout_s": "soon"},
            'connect_timeout_s: "soon" is not a number from 0.5 to 60',
        ),
        (
            {"text_topics": {"a": 1}},
            'text_topics: {"a": 1} is no list of texts, and no text with '
            "commas",
        ),
    ],
)
def test_a_problem_names_the_property_and_the_fix(
    properties: dict[str, Any], problem: str
) -> None:
    assert problem_of(**properties) == f"livekit_rtc: {problem}"


def test_all_problems_are_told_at_once_and_no_secret() -> None:
    told = problem_of(url="x", api_secret=f"{SECRET} ", rejoin_grace_ms=-1)
    assert told.count(" | ") == 1
    told = problem_of(api_secret=f"{SECRET} and more", token=["eyJhbGciOi"])
    assert SECRET not in told
    assert "eyJ" not in told
    told = problem_of(publish_audio="ws://me:hush@host", api_key="key")
    assert 'publish_audio: "ws://***@host" is neither' in told


def test_the_log_shows_no_secret() -> None:
    config = LiveKitConfig.load({**GOOD, "token": "eyJhb.eyJzdWI.sig"})
    for text in (config.to_str(), repr(config)):
        assert SECRET not in text
        assert "eyJ" not in text
    assert json.loads(config.to_str())["api_secret"] == "***"


def test_a_token_alone_is_enough() -> None:
    token = tokens.mint("k", SECRET, identity="i", room="r", ttl_s=60)
    config = LiveKitConfig.load({"url": "ws://h:1", "token": token})
    assert not config.can_mint
    assert tokens.room_of(config.token) == ("r", "i")
    assert tokens.room_of("a.b.c") == ("", "")


def test_a_token_allows_no_more_than_it_says() -> None:
    token = tokens.mint(
        "k",
        SECRET,
        identity="i",
        room="r",
        ttl_s=60,
        kind="agent",
        can_publish=False,
    )
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], issuer="k")
    assert claims["video"] == {
        "roomJoin": True,
        "room": "r",
        "canPublish": False,
        "canSubscribe": True,
        "canPublishData": True,
    }
    assert (claims["sub"], claims["kind"]) == ("i", "agent")
    now = time.time()
    assert now - 125 < claims["nbf"] < now - 30
    assert now + 55 < claims["exp"] <= now + 60
    # The SDK's own verifier reads it the same way.
    assert api.TokenVerifier("k", SECRET).verify(token).identity == "i"


@pytest.mark.parametrize(
    ("kind", "attributes", "is_user"),
    [
        (Kind.PARTICIPANT_KIND_STANDARD, {}, True),
        (Kind.PARTICIPANT_KIND_SIP, {}, True),
        (Kind.PARTICIPANT_KIND_CONNECTOR, {}, True),
        (Kind.PARTICIPANT_KIND_EGRESS, {}, False),
        (Kind.PARTICIPANT_KIND_INGRESS, {}, False),
        (Kind.PARTICIPANT_KIND_AGENT, {}, False),
        (
            Kind.PARTICIPANT_KIND_STANDARD,
            {"lk.publish_on_behalf": "someone"},
            False,
        ),
    ],
)
def test_who_is_a_user(
    kind: Any, attributes: dict[str, str], is_user: bool
) -> None:
    participant: Any = SimpleNamespace(kind=kind, attributes=attributes)
    assert counts(participant, False) is is_user
    is_agent = kind == Kind.PARTICIPANT_KIND_AGENT or bool(attributes)
    assert counts(participant, True) is (is_user or is_agent)


def test_a_stream_id_is_a_number_and_always_the_same() -> None:
    assert sender("123").stream_id == 123
    assert sender("alice") == sender("alice")
    assert sender("alice").stream_id != sender("bob").stream_id
    for identity in ("alice", "0", "²", "99999999999999", "-1", "Zoë"):
        number = sender(identity).stream_id
        assert 0 <= number < 2**31
        session = json.loads(sender(identity).metadata)["session_id"]
        assert int(session) == number


@pytest.mark.parametrize(
    ("vendor", "kind", "may_pass"),
    [
        ("client error: 401 Unauthorized - invalid API key", "auth", False),
        ("client error: 403 Forbidden", "auth", False),
        ("client error: 404 Not Found", "network", True),
        ("IO error: Connection refused (os error 111)", "network", True),
        ("failed to lookup address information", "network", True),
        ("transport timed out", "timeout", True),
        ("Proxy connection failed: HTTP/1.1 403 Forbidden", "network", True),
        ("something new", "network", True),
    ],
)
def test_what_the_sdk_says_has_a_kind(
    vendor: str, kind: str, may_pass: bool
) -> None:
    error = connect_error(f"{vendor}\n\n{SECRET} eyJhbGciOiJI.eyJz.sig", SECRET)
    assert (error.kind, error.may_pass) == (kind, may_pass)
    assert error.vendor == f"{vendor} *** ***"


def test_the_sdk_log_shows_no_token(caplog: pytest.LogCaptureFixture) -> None:
    mask_sdk_log()
    mask_sdk_log()
    logger = logging.getLogger("livekit")
    logger.warning("refused %s", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln", extra={})
    logger.warning("fine %d", 1)
    assert caplog.messages == ["refused ***", "fine 1"]


def test_drops_are_counted_and_told_now_and_then() -> None:
    told: list[str] = []
    drops = Drops(told.append)
    for _ in range(1000):
        drops.add("frames")
    drops.add("packets", 3)
    assert told == ["dropped 1 frames", "dropped 3 packets"]
    assert str(drops) == "1000 frames; 3 packets"


class Told:
    """A Presence and what it has told."""

    def __init__(self, grace_s: float = 0.02) -> None:
        self.news: list[str] = []
        self.is_left = asyncio.Event()
        self.presence = Presence(self.joined, self.left, grace_s)

    def joined(self, identity: str) -> None:
        self.news.append(f"+{identity}")

    def left(self, identity: str) -> None:
        self.news.append(f"-{identity}")
        self.is_left.set()


async def test_users_are_told_once() -> None:
    told = Told()
    told.presence.back(["a"])
    told.presence.arrived("a")
    told.presence.arrived("b")
    told.presence.departed("a", on_purpose=False)
    told.presence.departed("a", on_purpose=True)
    told.presence.departed("unknown", on_purpose=True)
    told.presence.forget()
    told.presence.forget()
    assert told.news == ["+a", "+b", "-a", "-b"]


async def test_a_lost_room_is_no_departure() -> None:
    told = Told(grace_s=60)
    told.presence.back(["a", "b"])
    told.presence.lost()
    told.presence.departed("a", on_purpose=False)
    told.presence.departed("b", on_purpose=False)
    told.presence.arrived("b")
    told.presence.back(["b"])
    told.presence.arrived("a")
    assert told.news == ["+a", "+b"]
    # Who leaves on purpose in the grace is gone at once.
    told.presence.departed("b", on_purpose=True)
    assert told.news[2:] == ["-b"]
    told.presence.forget()
    assert told.news[3:] == ["-a"]


async def test_who_is_not_back_after_the_grace_is_gone() -> None:
    told = Told()
    told.presence.back(["a", "b"])
    told.presence.lost()
    told.presence.back(["a", "c"])
    assert told.news == ["+a", "+b", "+c"]
    await asyncio.wait_for(told.is_left.wait(), 5)
    assert told.news[3:] == ["-b"]
    # And from then on a departure is one.
    told.presence.departed("a", on_purpose=False)
    assert told.news[4:] == ["-a"]


async def test_a_second_loss_in_the_grace_begins_anew() -> None:
    told = Told(grace_s=60)
    told.presence.back(["a"])
    told.presence.lost()
    told.presence.back([])
    told.presence.lost()
    told.presence.back(["a"])
    told.presence.departed("a", on_purpose=False)
    assert told.news == ["+a", "-a"]
