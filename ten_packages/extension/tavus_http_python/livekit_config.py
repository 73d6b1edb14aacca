#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The properties of the rooms of LiveKit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .property_values import Values

_URL = re.compile(
    r"(?:wss?|https?)://(?:[\w-]+(?:\.[\w-]+)*|\[[0-9a-fA-F:.]+\])"
    r"(?::\d{1,5})?(?:/[\w./-]*)?"
)
_KEY = re.compile(r"[!-~]{1,128}")
_SECRET = re.compile(r"[!-~]{1,1024}")


@dataclass(frozen=True)
class LiveKitConfig:
    """Where the rooms are, who may make them, and what runs for each.

    Args:
        url: What browsers connect to.
        api_url: What this process connects to.
        api_key: The key of the server.
        api_secret: Its secret.
        graph: The file with the graph that runs for each room.
        leave_grace_s: How long a room is kept when its users have left.
    """

    url: str
    api_url: str
    api_key: str
    api_secret: str = field(repr=False)
    graph: str = "graphs/room.json"
    leave_grace_s: float = 10.0

    @classmethod
    def load(cls, values: Values) -> LiveKitConfig | None:
        """The configuration, or None where ``livekit_graph`` is not set."""
        graph = values.text("livekit_graph", "", "a file", f'"{cls.graph}"')
        if not graph:
            return None
        url = values.url("livekit_url", _URL, "wss://x.livekit.cloud")
        own = values.url("livekit_api_url", _URL, "http://127.0.0.1:7880")
        config = cls(
            url=url,
            api_url=own or url,
            api_key=values.secret("livekit_api_key", _KEY, "the server's key"),
            api_secret=values.secret(
                "livekit_api_secret", _SECRET, "the secret of that key"
            ),
            graph=graph,
            leave_grace_s=values.seconds(
                "livekit_leave_grace_s", *(cls.leave_grace_s, 0, 3600), ""
            ),
        )
        needed = {
            "livekit_url": config.url,
            "livekit_api_key": config.api_key,
            "livekit_api_secret": config.api_secret,
        }
        missing = [name for name, value in needed.items() if not value]
        if missing:
            values.problems.append(
                f"livekit_graph: needs {', '.join(missing)} too (LIVEKIT_URL, "
                "LIVEKIT_API_KEY, LIVEKIT_API_SECRET)"
            )
        return config

    @property
    def origins(self) -> tuple[str, ...]:
        """What pages must be allowed to connect to."""
        scheme, _, rest = self.url.partition("://")
        secure = "s" if scheme in ("wss", "https") else ""
        host = rest.partition("/")[0]
        if host.endswith(".livekit.cloud"):  # which sends on to a region
            host = "*.livekit.cloud"
        return f"ws{secure}://{host}", f"http{secure}://{host}"
