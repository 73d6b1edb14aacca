#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Addresses: whether two are of one server, and whether users can enter."""

from __future__ import annotations

from urllib.parse import urlsplit

from .coerce import is_loopback, split_url

_PORTS = {"http": 80, "https": 443}
_VERSION = "/v2"


def same_server(one: str, other: str) -> bool:
    """Whether two base URLs are spellings of the same.

    The case of the host, the scheme's own port, a slash at the end and the
    usual version make no difference.
    """
    return one == other or _server(one) == _server(other)


def can_be_entered(url: str) -> bool:
    """Whether a user can open this room: https, or http on this machine."""
    try:
        parts = split_url(url)
    except ValueError:
        return False
    return parts.scheme.lower() == "https" or is_loopback(parts.hostname or "")


def _server(base_url: str) -> object:
    try:
        parts = urlsplit(base_url.strip())
        port = parts.port
    except ValueError:
        return base_url
    scheme = parts.scheme.lower()
    host = (parts.hostname or "").rstrip(".")
    path = "/".join(part for part in parts.path.split("/") if part)
    return scheme, host, port or _PORTS.get(scheme), f"/{path or _VERSION[1:]}"
