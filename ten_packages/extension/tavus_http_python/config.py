#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Every property of the extension, and its checks."""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any

Network = IPv4Network | IPv6Network

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ORIGIN = re.compile(
    r"https?://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?"
)
_FRAME = re.compile(
    r"https?://(?:(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])"
    r"(?::\d{1,5})?"
)
_LIMIT = re.compile(r"[1-9]\d{0,8}/(?:second|minute|hour|day)")
_TOKEN = re.compile(r"[!-~]{16,1024}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{16,128}")
_REDIS = re.compile(
    r"rediss?://(?:[^\s/?#@]*@)?(?:[\w.-]+|\[[0-9a-fA-F:.]+\])?(?::\d{1,5})?"
    r"(?:[/?][!-~]*)?|unix://[!-~]+"
)


class ConfigError(ValueError):
    """Properties that cannot be used; the text names each and the fix."""


@dataclass(frozen=True)
class HttpConfig:
    """Where to listen, who may ask, and for how much.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        request_timeout_s: How long a request waits for the graph.
        auth_token: What clients must know; "" for nothing.
        allowed_origins: Other origins whose pages may ask.
        trusted_proxies: Whose X-Forwarded-For and -Proto are believed.
        create_limit: Creates per client address, "10/minute" or "off".
        request_limit: Requests per client address, likewise.
        max_active: How many conversations may run at once; 0 for any.
        redis_url: Where limits and the cap are shared; "" for nowhere.
        webhook_secret: The last part of the webhook's path; "" for none.
        frame_origins: Whose rooms the page may show, besides Daily's.
        page_dir: The built page; "" for none.
        max_connections: How many connections there may be at once.
        max_streams_per_user: How many event streams of one user.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    request_timeout_s: float = 60.0
    auth_token: str = field(default="", repr=False)
    allowed_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    create_limit: str = "10/minute"
    request_limit: str = "600/minute"
    max_active: int = 10
    redis_url: str = field(default="", repr=False)
    webhook_secret: str = field(default="", repr=False)
    frame_origins: tuple[str, ...] = ()
    page_dir: str = ""
    max_connections: int = 1000
    max_streams_per_user: int = 8

    @classmethod
    def load(cls, properties: Mapping[str, Any]) -> HttpConfig:
        """The configuration in a node's properties.

        Args:
            properties: The values by name; numbers and lists also as text,
                because ``${env:...}`` always gives text; ``""`` is not set.

        Raises:
            ConfigError: With every problem.
        """
        values = _Values(properties)
        config = cls(
            host=values.text("host", cls.host, "an address", '"127.0.0.1"'),
            port=values.port(),
            request_timeout_s=values.seconds(),
            auth_token=values.secret(
                "auth_token",
                _TOKEN,
                "16 to 1024 printable characters without spaces (openssl "
                "rand -base64 32 makes one)",
            ),
            allowed_origins=values.origins("allowed_origins", _ORIGIN),
            trusted_proxies=values.networks("trusted_proxies"),
            create_limit=values.limit("create_limit", cls.create_limit),
            request_limit=values.limit("request_limit", cls.request_limit),
            max_active=values.whole("max_active", cls.max_active, 0, 100_000),
            redis_url=values.secret(
                "redis_url",
                _REDIS,
                "a URL such as redis://127.0.0.1:6379/0 (or rediss, unix)",
            ),
            webhook_secret=values.secret(
                "webhook_secret",
                _SECRET,
                "16 to 128 of A-Z a-z 0-9 _ - (openssl rand -hex 32 makes one)",
            ),
            frame_origins=values.origins("frame_origins", _FRAME),
            page_dir=values.text("page_dir", "", "a folder", '"web/dist"'),
            max_connections=values.whole(
                "max_connections", cls.max_connections, 1, 100_000
            ),
            max_streams_per_user=values.whole(
                "max_streams_per_user", cls.max_streams_per_user, 1, 1000
            ),
        )
        if values.problems:
            raise ConfigError("tavus_http: " + " | ".join(values.problems))
        return config

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in _LOOPBACK


class _Values:
    """Reads properties one by one; keeps what is wrong with them."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._properties = properties
        self.problems: list[str] = []

    def text(self, name: str, default: str, what: str, example: str) -> str:
        value = self._get(name)
        if not isinstance(value, str):
            self._bad(name, f"is not text; write {what} such as {example}")
            return default
        return value or default

    def secret(self, name: str, form: re.Pattern[str], what: str) -> str:
        value = self._get(name)
        if value == "" or (isinstance(value, str) and form.fullmatch(value)):
            return value
        # What is wrong with it is not shown: it may be nearly right.
        self.problems.append(f"{name}: cannot be used; write {what}")
        return ""

    def port(self) -> int:
        number = self._number("port", HttpConfig.port)
        if number is None or number != int(number) or not 0 <= number <= 65535:
            self._bad(
                "port",
                "is no port; write a whole number from 0 (any free port) to "
                "65535",
            )
            return 0
        return int(number)

    def seconds(self) -> float:
        name = "request_timeout_s"
        number = self._number(name, HttpConfig.request_timeout_s)
        if number is None or not 0.1 <= number <= 170:
            self._bad(
                name,
                "is no number from 0.1 to 170; write seconds (TEN gives up "
                "after 180)",
            )
            return 0.1
        return number

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        number = self._number(name, default)
        if (
            number is None
            or number != int(number)
            or not (least <= number <= most)
        ):
            self._bad(name, f"is no whole number from {least} to {most}")
            return least
        return int(number)

    def limit(self, name: str, default: str) -> str:
        value = self._get(name)
        if value == "":
            return default
        if isinstance(value, str):
            value = value.replace(" ", "").lower()
            if value == "off" or _LIMIT.fullmatch(value):
                return value
        self._bad(
            name,
            'is no limit; write "10/minute" (or per second, hour, day), or '
            '"off"',
        )
        return default

    def origins(self, name: str, form: re.Pattern[str]) -> tuple[str, ...]:
        found = []
        for item in self._list(name):
            origin = item.lower().removesuffix("/")
            if form.fullmatch(origin):
                found.append(origin)
            else:
                self.problems.append(
                    f"{name}: {_shown(item)} is no origin; write scheme, host "
                    "and port alone, such as https://app.example.com"
                )
        return tuple(found)

    def networks(self, name: str) -> tuple[Network, ...]:
        found = []
        for item in self._list(name):
            try:
                found.append(ipaddress.ip_network(item, strict=False))
            except ValueError:
                self.problems.append(
                    f"{name}: {_shown(item)} is no address; write addresses "
                    "or networks, such as 127.0.0.1 or 10.0.0.0/8"
                )
        return tuple(found)

    def _list(self, name: str) -> list[str]:
        value = self._get(name)
        if isinstance(value, str):
            value = value.split(",")
        if isinstance(value, list) and all(
            isinstance(item, str) for item in value
        ):
            return [item.strip() for item in value if item.strip()]
        self._bad(name, "is no list of texts, and no text with commas")
        return []

    def _get(self, name: str) -> Any:
        value = self._properties.get(name, "")
        return value.strip() if isinstance(value, str) else value

    def _number(self, name: str, default: float) -> float | None:
        """The number, the default where it is not set, None if it is none."""
        value = self._get(name)
        if isinstance(value, str):
            if not value:
                return default
            try:
                value = float(value)
            except ValueError:
                return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None

    def _bad(self, name: str, why: str) -> None:
        self.problems.append(f"{name}: {_shown(self._properties[name])} {why}")


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:40]
