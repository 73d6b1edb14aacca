#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What can go wrong, in words that say what to do, and without secrets."""

from __future__ import annotations

import logging
import re

MASK = "***"
_JWT = re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}")
_USERINFO = re.compile(r"://[^\s/?#\"]+@")
_SECRET_MIN = 4
_VENDOR_TEXT_MAX = 200
_SPACES = re.compile(r"\s+")

# What the SDK or the server says, what it means, and whether to try again.
_KNOWN = (
    (
        "Proxy",
        "network",
        "a proxy does not let LiveKit's SDK through; check HTTPS_PROXY and "
        "HTTP_PROXY, which it uses without regard to NO_PROXY",
    ),
    (
        "token is expired",
        "auth",
        "the token has expired, or a clock is wrong; give a new token (command "
        "join), or api_key and api_secret in its place",
    ),
    (
        "not valid yet",
        "auth",
        "the token is not valid yet; set this machine's clock",
    ),
    (
        "signature is invalid",
        "auth",
        "api_secret does not belong to api_key, or the token is another "
        "server's; check LIVEKIT_API_KEY and LIVEKIT_API_SECRET",
    ),
    (
        "invalid API key",
        "auth",
        "the server does not know api_key; check LIVEKIT_API_KEY and "
        "LIVEKIT_URL",
    ),
    ("401", "auth", "the server refuses the token"),
    ("403", "auth", "the token does not allow to join this room"),
    (
        "404",
        "network",
        "there is no such room, or no LiveKit server there; check LIVEKIT_URL",
    ),
    (
        "Connection refused",
        "network",
        "no server listens there; check LIVEKIT_URL",
    ),
    (
        "lookup",
        "network",
        "the server's name is not known; check LIVEKIT_URL and DNS",
    ),
    ("timed out", "timeout", "the server does not answer in time"),
)


class ConfigError(ValueError):
    """Properties that cannot be used; the text names each and the fix."""


class RoomError(Exception):
    """The room cannot be entered, or kept.

    Args:
        kind: auth, network, timeout, room, or config.
        message: What happened, and what to do.
        vendor: LiveKit's own words, without secrets.
    """

    def __init__(self, kind: str, message: str, vendor: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.vendor = vendor

    @property
    def may_pass(self) -> bool:
        """Whether it is worth trying again."""
        return self.kind in ("network", "timeout")


def redact(text: str, *secrets: str) -> str:
    """A text without secrets, tokens, and the passwords of URLs."""
    for secret in secrets:
        if len(secret) >= _SECRET_MIN:
            text = text.replace(secret, MASK)
    return _JWT.sub(MASK, _USERINFO.sub(f"://{MASK}@", text))


def connect_error(vendor: str, *secrets: str) -> RoomError:
    """What the SDK's words about a failed connection mean."""
    words = _SPACES.sub(" ", redact(vendor, *secrets))[:_VENDOR_TEXT_MAX]
    for said, kind, meaning in _KNOWN:
        if said in words:
            return RoomError(kind, meaning, words)
    return RoomError("network", "the room could not be entered", words)


class _Mask(logging.Filter):
    """Takes tokens out of what the SDK logs: it quotes refused ones."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        masked = redact(text)
        if masked != text:
            record.msg, record.args = masked, None
        return True


def mask_sdk_log() -> None:
    """Keeps tokens out of the SDK's log from now on."""
    logger = logging.getLogger("livekit")
    if not any(isinstance(f, _Mask) for f in logger.filters):
        logger.addFilter(_Mask())
