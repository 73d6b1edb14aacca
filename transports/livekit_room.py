#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Tokens for a LiveKit room, and what its refusals mean."""

from __future__ import annotations

import time

import jwt
from livekit import rtc

from ..config import TavusConfig
from ..errors import TavusAuthError, TavusError, TavusNetworkError
from ..redaction import Secret, redact

OUR_IDENTITY = "tavus-python"
# As Tavus's own LiveKit plugin names it (livekit-plugins-tavus, avatar.py).
AVATAR_IDENTITY = "tavus-avatar-agent"
# Clocks of different machines differ.
_SKEW_S = 120
_MARGIN_S = 600
# How a LiveKit server says that a token is of another time.
_CLOCK_WORDS = ("not valid yet", "token is expired")


def avatar_in(room: rtc.Room) -> rtc.RemoteParticipant | None:
    """The avatar in a room; a user who has taken its name is none."""
    someone = room.remote_participants.get(AVATAR_IDENTITY)
    agent = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    return someone if someone and someone.kind == agent else None


def avatar_token(config: TavusConfig) -> Secret:
    """What lets Tavus's avatar into the room, as ours.

    It publishes on behalf of our participant, which is how clients know
    whose face it is (livekit/agents, ``ATTRIBUTE_PUBLISH_ON_BEHALF``).
    """
    return Secret(
        _token(
            config,
            AVATAR_IDENTITY,
            {"roomJoin": True},
            {"lk.publish_on_behalf": OUR_IDENTITY},
        )
    )


def our_token(config: TavusConfig) -> str:
    """What lets us into the room: to send data, and to see if asked to."""
    grants = {
        "roomJoin": True,
        "canPublish": False,
        "canPublishData": True,
        "canSubscribe": config.media_bridge,
    }
    return _token(config, OUR_IDENTITY, grants, {})


def _token(
    config: TavusConfig,
    identity: str,
    grants: dict[str, bool],
    attributes: dict[str, str],
) -> str:
    # livekit-api's AccessToken cannot say nbf, and has it "now".
    now = int(time.time())
    claims = {
        "iss": config.livekit_api_key.get_secret_value(),
        "sub": identity,
        "name": identity,
        "kind": "agent",
        "nbf": now - _SKEW_S,
        "exp": now + config.max_call_duration + _MARGIN_S,
        "video": {"room": config.room, **grants},
        "attributes": attributes,
    }
    secret = config.livekit_api_secret.get_secret_value()
    return jwt.encode(claims, secret, algorithm="HS256")


def refusal(config: TavusConfig, text: str) -> TavusError:
    """The error that a failure to enter the room means."""
    clean = redact(
        text,
        config.livekit_api_key.get_secret_value(),
        config.livekit_api_secret.get_secret_value(),
    )
    said = f"cannot enter the LiveKit room: {' '.join(clean.split())}"
    if any(words in text for words in _CLOCK_WORDS):
        return TavusAuthError(
            said,
            hint="set the clock of this machine, or the LiveKit server's: "
            "tokens are made and judged by them",
        )
    if "proxy" in text.lower():
        return TavusNetworkError(
            said,
            sent=False,
            hint="check HTTPS_PROXY and HTTP_PROXY, which LiveKit's SDK uses "
            "without regard to NO_PROXY",
        )
    if "401" in text or "403" in text or "unauthorized" in text.lower():
        return TavusAuthError(
            said, hint="check livekit_api_key and livekit_api_secret"
        )
    return TavusNetworkError(
        said,
        sent=False,
        hint="check livekit_url, and that the LiveKit server runs",
    )
