#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""One connection of the HTTP server, and how much of it a client may have."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from .answers import ANSWERS
from .callers import network_of
from .heads import AmbiguousHeadError, check_head

_HEAD_BYTES = 16 * 1024
_HEAD_TIMEOUT_S = 10.0
# A client that is refused has so long to fetch the refusal.
_REFUSED_TIMEOUT_S = 1.0
_PIPELINED = 16
# What is received is parsed at once, and meanwhile nobody else is served: a
# chunk or a header of a few bytes costs as much as a long one.
_READ_BYTES = 8 * 1024
_HEADER_COST_BYTES = 32
_CHUNKS = 4096


class Doors:
    """How many connections there are, in all and from one address.

    Args:
        most: In all. One address gets three quarters of them at most, so
            that it alone cannot keep the others out.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_one = max(1, most * 3 // 4)
        self._all = 0
        self._by_client: Counter[str] = Counter()

    def enter(self, client: str) -> bool:
        """Counts a connection; False if there is no room for it."""
        if (
            self._all >= self._most
            or self._by_client[client] >= self._most_of_one
        ):
            return False
        self._all += 1
        self._by_client[client] += 1
        return True

    def leave(self, client: str) -> None:
        """A connection that was counted is closed."""
        self._all -= 1
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]


class Config(uvicorn.Config):
    """uvicorn's, and the doors."""

    doors: Doors


class _TooLargeError(Exception):
    """A request head of more than _HEAD_BYTES."""


class Connection(HttpToolsProtocol, asyncio.BufferedProtocol):
    """uvicorn's, with limits on what has not become a request yet.

    What is a request already is the app's to limit.
    """

    parser: httptools.HttpRequestParser

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.access_log = False  # paths hold secrets
        self._doors = config.doors
        self._client = ""
        self._refused = False
        self._too_large = False
        self._problem = "this is no HTTP request"
        self._in_head = False
        self._head_bytes = 0
        self._chunks = 0
        self._received = memoryview(bytearray(_READ_BYTES))
        # Bytes since the parser last came forward.
        self._idle_bytes = 0
        # Requests with others sent ahead behind them.
        self._overtaken: list[RequestResponseCycle] = []
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        client = network_of(self.client[0] if self.client else "")
        self._refused = not self._doors.enter(client)
        if not self._refused:
            self._client = client
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._refused:
            self._doors.leave(self._client)
        self._stop_head_timer()
        # uvicorn leaves its timer running after an error.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        # uvicorn tells only the last one that its client is gone.
        for cycle in self._overtaken:
            cycle.disconnected = not cycle.response_complete
            cycle.message_event.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the loop puts what it receives: not much at once."""
        return self._received

    def buffer_updated(self, nbytes: int) -> None:
        """So much has been received."""
        self.data_received(bytes(self._received[:nbytes]))

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._refuse(503, "full", "too many connections; try again soon")
            return
        self._idle_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.send_400_response("")
        if self.transport.is_closing():
            return
        if self._idle_bytes > _HEAD_BYTES:
            self._too_large = True
            self.send_400_response("")
        elif self.cycle is None or self.cycle.response_complete:
            self._await_head()
        else:
            self._stop_head_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._chunks = 0
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers, which come after the body, count too, but say nothing of
        # who asks: a proxy in front looks at the head.
        self._count(len(name) + len(value) + _HEADER_COST_BYTES)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._idle_bytes = 0
        self._in_head = False
        parser = self.parser
        method, version = parser.get_method(), parser.get_http_version()
        try:
            check_head(method, self.url, version, self.headers)
        except AmbiguousHeadError as error:
            self._problem = str(error)
            raise
        if parser.should_upgrade():
            return  # it comes once more, see _feed
        if self.cycle is not None:
            self._overtaken = [
                cycle
                for cycle in (*self._overtaken, self.cycle)
                if not cycle.response_complete
            ]
        if len(self._overtaken) > _PIPELINED:
            raise ValueError("so many requests are not sent ahead")
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._chunks += 1
        if self._chunks > _CHUNKS:
            self._problem = "the body comes in too many chunks"
            raise ValueError(self._problem)

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._idle_bytes = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP, or too much of it."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # its answer must not be mixed with this
        elif self._too_large:
            self._refuse(
                431,
                "too_large",
                f"the head of the request is longer than {_HEAD_BYTES} bytes, "
                f"with {_HEADER_COST_BYTES} more for each header",
            )
        else:
            self._refuse(400, "validation", self._problem)

    def _feed(self, data: bytes) -> None:
        """Parses, and ignores ``Upgrade`` (RFC 9110, 7.8).

        The parser takes what follows such a head for another protocol: the
        body would be lost, or read as the next request. So it is given the
        head once more, without that header.
        """
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                method = self.parser.get_method()
                version = self.parser.get_http_version().encode()
                head = [b"%s %s HTTP/%s\r\n" % (method, self.url, version)]
                head += [
                    b"%s: %s\r\n" % (name, value)
                    for name, value in self.headers
                    if name != b"upgrade"
                ]
                rest = data[upgrade.args[0] :]
                data = b"".join((*head, b"\r\n", rest))

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > _HEAD_BYTES:
            self._too_large = True
            raise _TooLargeError

    def _refuse(self, status: int, kind: str, detail: str) -> None:
        code, _ = ANSWERS[kind]
        data = {"kind": kind, "detail": detail}
        body = json.dumps({"code": code, "data": data, "msg": detail})
        again = "retry-after: 1\r\n" if status == 503 else ""
        self.transport.write(
            f"HTTP/1.1 {status} Refused\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n"
            "cache-control: no-store\r\n"
            "x-content-type-options: nosniff\r\n"
            f"{again}connection: close\r\n\r\n{body}".encode()
        )
        self.transport.close()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(
                _REFUSED_TIMEOUT_S if self._refused else _HEAD_TIMEOUT_S,
                self.transport.abort,
            )

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
