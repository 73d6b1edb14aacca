#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Every property of the extension, and its checks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_HOST = "127.0.0.1"
_PORT = 8080
_REQUEST_TIMEOUT_S = 60.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ConfigError(ValueError):
    """Properties that cannot be used; the text names each and the fix."""


@dataclass(frozen=True)
class HttpConfig:
    """Where to listen, and how long to wait for the graph.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        request_timeout_s: How long a request waits for the graph.
    """

    host: str = _HOST
    port: int = _PORT
    request_timeout_s: float = _REQUEST_TIMEOUT_S

    @classmethod
    def load(cls, properties: Mapping[str, Any]) -> HttpConfig:
        """The configuration in a node's properties.

        Args:
            properties: The values by name; numbers also as text, because
                ``${env:...}`` always gives text; ``""`` is not set.

        Raises:
            ConfigError: With every problem.
        """
        problems: list[str] = []
        host = properties.get("host", "")
        if not isinstance(host, str):
            problems.append(
                f"host: {_shown(host)} is not text; write an address such "
                f'as "{_HOST}"'
            )
        port = _number(properties, "port", _PORT)
        if port is None or port != int(port) or not 0 <= port <= 65535:
            problems.append(
                f"port: {_shown(properties['port'])} is no port; write a "
                "whole number from 0 (any free port) to 65535"
            )
        timeout_s = _number(properties, "request_timeout_s", _REQUEST_TIMEOUT_S)
        if timeout_s is None or not 0.1 <= timeout_s <= 170:
            problems.append(
                "request_timeout_s: "
                f"{_shown(properties['request_timeout_s'])} is no number "
                "from 0.1 to 170; write seconds (TEN gives up after 180)"
            )
        if problems or port is None or timeout_s is None:
            raise ConfigError("tavus_http: " + " | ".join(problems))
        return cls(host.strip() or _HOST, int(port), timeout_s)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in _LOOPBACK


def _number(
    properties: Mapping[str, Any], name: str, default: float
) -> float | None:
    """The number, the default where it is not set, None if it is none."""
    value = properties.get(name, "")
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return default
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:40]
