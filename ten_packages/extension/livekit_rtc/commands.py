#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The command ``token``: lets another participant into our room."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from . import tokens
from .config import RESERVED, LiveKitConfig
from .errors import ConfigError

_IDENTITY_MAX = 256
_TTL_MAX_S = 86_400


def token_for(
    config: LiveKitConfig, room: str, properties: Mapping[str, Any]
) -> dict[str, Any]:
    """A token for the room, for one other participant.

    Args:
        config: Whose key signs it.
        room: The only room it is for.
        properties: Of the command: identity, and if need be name, metadata,
            can_publish, can_subscribe, can_publish_data, ttl_s.

    Returns:
        The command's answer: token, url, room, identity, expires_at.

    Raises:
        ConfigError: If no such token can be made.
    """
    if not config.can_mint:
        raise ConfigError(
            "token: needs api_key and api_secret; with a token alone no other "
            "can be made"
        )
    identity = properties.get("identity", "")
    if type(identity) is int:  # as Agora's user ids are
        identity = str(identity)
    if not isinstance(identity, str) or not (
        0 < len(identity.strip()) <= _IDENTITY_MAX
    ):
        raise ConfigError("token: identity is missing; say who it is for")
    if identity in RESERVED:
        raise ConfigError(
            f"token: {identity} is reserved for Tavus's avatar and who speaks "
            "through it; whoever joins with it throws them out"
        )
    if identity == config.identity:
        raise ConfigError(
            f"token: {identity} is our own identity; whoever joins with it "
            "throws us out"
        )
    may: dict[str, Any] = {
        name: _flag(name, properties)
        for name in ("can_publish", "can_subscribe", "can_publish_data")
    }
    ttl_s = properties.get("ttl_s", config.token_ttl_s)
    if isinstance(ttl_s, bool) or not (
        isinstance(ttl_s, int | float) and 1 <= ttl_s <= _TTL_MAX_S
    ):
        raise ConfigError(
            f"token: ttl_s is not a number from 1 to {_TTL_MAX_S}"
        )
    token = tokens.mint(
        config.api_key,
        config.api_secret,
        identity=identity,
        room=room,
        name=str(properties.get("name", "")),
        metadata=str(properties.get("metadata", "")),
        ttl_s=int(ttl_s),
        **may,
    )
    return {
        "token": token,
        "url": config.url,
        "room": room,
        "identity": identity,
        "expires_at": int(time.time() + ttl_s),
    }


def _flag(name: str, properties: Mapping[str, Any]) -> bool:
    value = properties.get(name, True)
    if isinstance(value, bool):
        return value
    raise ConfigError(f"token: {name} is neither true nor false")
