#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Every property of the extension, and its checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ten_packages.extension.tavus_python.redaction import redact

from .livekit_config import LiveKitConfig
from .property_values import Network, Values

__all__ = ["ConfigError", "HttpConfig", "Network"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ORIGIN = re.compile(
    r"https?://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?"
)
_FRAME = re.compile(
    r"https?://(?:(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])"
    r"(?::\d{1,5})?"
)
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
        simulated: Whether this Tavus is a simulated one, as the page says.
        max_connections: How many connections there may be at once.
        max_streams_per_user: How many event streams of one user.
        livekit: The rooms of LiveKit; None for none.
        warnings: What is allowed but probably not meant, one line each.
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
    simulated: bool = False
    max_connections: int = 1000
    max_streams_per_user: int = 8
    livekit: LiveKitConfig | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def load(cls, properties: Mapping[str, Any]) -> HttpConfig:
        """The configuration in a node's properties.

        Args:
            properties: The values by name; numbers and lists also as text,
                because ``${env:...}`` always gives text; ``""`` is not set.

        Raises:
            ConfigError: With every problem.
        """
        values = Values(properties)
        config = cls(
            host=values.text("host", cls.host, "an address", '"127.0.0.1"'),
            port=values.port("port", cls.port),
            request_timeout_s=values.seconds(
                "request_timeout_s",
                *(cls.request_timeout_s, 0.1, 170),
                " (TEN gives up after 180)",
            ),
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
            simulated=values.flag("simulated"),
            max_connections=values.whole(
                "max_connections", cls.max_connections, 1, 100_000
            ),
            max_streams_per_user=values.whole(
                "max_streams_per_user", cls.max_streams_per_user, 1, 1000
            ),
            livekit=LiveKitConfig.load(values),
        )
        known = {one.name for one in fields(cls)} - {"livekit", "warnings"}
        known |= {f"livekit_{one.name}" for one in fields(LiveKitConfig)}
        unknown = values.unknown(known)
        if values.problems:
            problems = [*values.problems, *unknown]
            raise ConfigError("tavus_http: " + " | ".join(problems))
        return replace(config, warnings=tuple(unknown))

    def without_secrets(self, text: str) -> str:
        """A text as anybody may read it, whatever it quotes."""
        secrets = (self.auth_token, self.webhook_secret, self.redis_url)
        if self.livekit:
            secrets += (self.livekit.api_secret,)
        return redact(text, *secrets)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in _LOOPBACK
