#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Makes tokens for a room, which allow no more than they are asked for."""

from __future__ import annotations

import time

import jwt
from livekit import api

# Before now, because the server's clock may be behind ours. The server itself
# allows a minute; clocks of machines without NTP are worse.
_BACKDATED_S = 120


def mint(
    api_key: str,
    api_secret: str,
    *,
    identity: str,
    room: str,
    ttl_s: int,
    name: str = "",
    metadata: str = "",
    kind: api.AccessToken.ParticipantKind = "standard",
    can_publish: bool = True,
    can_subscribe: bool = True,
    can_publish_data: bool = True,
) -> str:
    """A token with which one participant can join one room.

    Args:
        api_key: The key's name.
        api_secret: The key's secret.
        identity: Who joins; the same identity a second time takes the
            first one's place.
        room: The room's name.
        ttl_s: For how many seconds one can join with it.
        name: What others see.
        metadata: Of the participant, any text.
        kind: "agent" for what is no user.
        can_publish: Audio and video.
        can_subscribe: To the audio and video of others.
        can_publish_data: Packets and streams.
    """
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=can_publish,
        can_subscribe=can_subscribe,
        can_publish_data=can_publish_data,
    )
    token = (
        api.AccessToken(api_key, api_secret)
        .with_identity(identity)
        .with_name(name)
        .with_metadata(metadata)
        .with_kind(kind)
        .with_grants(grants)
    )
    # AccessToken.to_jwt has no way to set nbf.
    now = int(time.time())
    claims = token.claims.asdict() | {
        "sub": identity,
        "iss": api_key,
        "nbf": now - _BACKDATED_S,
        "exp": now + ttl_s,
    }
    return jwt.encode(claims, api_secret, algorithm="HS256")


def room_of(token: str) -> tuple[str, str]:
    """The room and the identity that a token is for; "" where it says none.

    Whether it is valid is the server's to say.
    """
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        video = claims.get("video") or {}
        return str(video.get("room", "")), str(claims.get("sub", ""))
    except (jwt.PyJWTError, AttributeError):
        return "", ""
