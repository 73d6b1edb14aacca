#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The HTTP side as one thing that starts, hears messages, and stops."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from .app import make_app
from .graph import Graph
from .server import HttpServer
from .starting import Starter
from .streams import ENDED, Streams


class HttpService:
    """Serves one graph; knows nothing of TEN.

    Args:
        graph: What it serves.
        sock: From ``server.listen``; closed by ``stop``.
        timeout_s: How long a request waits for the graph.
        warn: Takes a line for the log.
        complain: Takes a line for the log that is an error.
    """

    def __init__(
        self,
        graph: Graph,
        sock: socket.socket,
        *,
        timeout_s: float,
        warn: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._streams = Streams(graph, warn)
        self._starter = Starter(graph, self._streams, timeout_s, warn)
        app = make_app(
            graph,
            self._streams,
            self._starter,
            timeout_s=timeout_s,
            complain=complain,
        )
        self._server = HttpServer(app, sock, complain)
        self.url = self._server.url

    def start(self) -> None:
        """Begins to answer."""
        self._server.start()

    def publish(self, name: str, content: Mapping[str, Any]) -> None:
        """Takes a data message of the graph; never blocks."""
        self._streams.publish(name, content)
        if name == ENDED:
            self._starter.forget(str(content.get("conversation_id")))

    async def stop(self) -> None:
        """Ends every stream, then the rest, within about 300 ms."""
        self._streams.end_all()
        await self._server.stop()
        await self._starter.stop()
        await self._streams.stop()
