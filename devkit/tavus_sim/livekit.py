#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What a create request must have for an avatar in a LiveKit room.

The wire facts: livekit-plugins-tavus 1.8.9, ``avatar.py``. What Tavus answers
to a request that is wrong is not known; here it is 400 and says what is wrong.
"""

import base64
import binascii
import json
import time
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import urlsplit

from .messages import Refusal

ON_BEHALF = "lk.publish_on_behalf"
_URL = "livekit_ws_url"
_TOKEN = "livekit_room_token"
_MASK = "***"


@dataclass(frozen=True)
class LiveKitRoom:
    """Where an avatar goes, and as whom.

    Args:
        url: the server's.
        token: lets the avatar in; never shown.
        room: the room's name.
        identity: the avatar's.
        on_behalf_of: the identity of the agent it speaks for.
    """

    url: str
    token: str = field(repr=False)
    room: str
    identity: str
    on_behalf_of: str


def livekit_room(
    body: dict[str, Any], persona: dict[str, Any]
) -> LiveKitRoom | None:
    """The room a create request names.

    Args:
        body: the request, whose types have been checked.
        persona: the persona it is for, under its old names.

    Returns:
        The room, or ``None`` when the request is not for LiveKit.

    Raises:
        Refusal: 400 when something is wrong with it.
    """
    properties = body.get("properties") or {}
    url, token = properties.get(_URL), properties.get(_TOKEN)
    if url is None and token is None:
        return None
    if not url or not token:
        _refuse(f"{_URL} and {_TOKEN} must be given together")
    if not _is_socket_url(url):
        _refuse(f"properties.{_URL} must be a ws:// or wss:// URL")
    _check_persona(persona)
    claims = _claims(token)
    _check_times(claims, time.time())
    if claims.get("kind") != "agent":
        _wrong_token(f"kind must be 'agent', not {claims.get('kind')!r}")
    video = claims.get("video")
    video = video if isinstance(video, dict) else {}
    if video.get("roomJoin") is not True:
        _wrong_token("video.roomJoin must be true")
    for name in ("canPublish", "canPublishData"):
        if video.get(name) is False:
            _wrong_token(f"video.{name} must not be false")
    attributes = claims.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    return LiveKitRoom(
        url=url,
        token=token,
        room=_text(video.get("room"), "video.room"),
        identity=_text(claims.get("sub"), "sub"),
        on_behalf_of=_text(
            attributes.get(ON_BEHALF), f"attributes['{ON_BEHALF}']"
        ),
    )


def without_token(body: dict[str, Any]) -> dict[str, Any]:
    """The same request with its LiveKit token masked."""
    properties = body.get("properties") or {}
    if _TOKEN not in properties:
        return body
    return {**body, "properties": {**properties, _TOKEN: _MASK}}


def _is_socket_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("ws", "wss") and bool(parts.hostname)
    except ValueError:
        return False


def _check_persona(persona: dict[str, Any]) -> None:
    layers = persona.get("layers") or {}
    transport = layers.get("transport")
    kind = transport.get("transport_type") if transport else None
    if persona.get("pipeline_mode") != "echo" or kind != "livekit":
        _refuse(
            "LiveKit needs a persona with pipeline_mode echo and "
            "layers.transport.transport_type livekit"
        )


def _claims(token: str) -> dict[str, Any]:
    """What a token says; who signed it only its LiveKit server can tell."""
    parts = token.split(".")
    if len(parts) != 3:
        _wrong_token("it is not a JWT")
    padded = parts[1] + "=" * (-len(parts[1]) % 4)
    try:
        claims = json.loads(base64.b64decode(padded, "-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        _wrong_token("it is not a JWT")
    return claims


def _check_times(claims: dict[str, Any], now_s: float) -> None:
    # By the real clock, as the LiveKit server does: the simulator's own may
    # have been put forward.
    expires_s, from_s = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(expires_s, (int, float)):
        _wrong_token("exp is missing")
    if expires_s <= now_s:
        _wrong_token("it has expired (exp)")
    if not isinstance(from_s, (int, float)) or from_s > now_s:
        _wrong_token("it is not valid yet (nbf)")


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        _wrong_token(f"{name} is missing")
    return value


def _wrong_token(problem: str) -> NoReturn:
    _refuse(f"properties.{_TOKEN}: {problem}")


def _refuse(problem: str) -> NoReturn:
    raise Refusal(400, error=problem)
