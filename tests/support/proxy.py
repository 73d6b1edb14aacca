#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A forward proxy that writes down what it is told, in clear text."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

_CHUNK = 65536
_HEAD_END = b"\r\n\r\n"


class RecordingProxy:
    """An HTTP proxy; a context manager.

    Whatever host is asked for, it leads to ``to_port`` of this machine.

    Args:
        to_port: Where it leads.
        tls: Clients speak TLS to the proxy itself with this.
        answers: Heads of replies that it gives instead, one for each
            connection, before it does as it is told.

    Attributes:
        heads: What clients have told it: request lines and headers.
        carried: What has gone through tunnels to the far end.
    """

    def __init__(
        self,
        to_port: int,
        *,
        tls: ssl.SSLContext | None = None,
        answers: Iterable[bytes] = (),
    ) -> None:
        self.heads: list[bytes] = []
        self.carried = bytearray()
        self.port = 0
        self._to_port = to_port
        self._tls = tls
        self._answers = list(answers)
        self._relays: set[asyncio.Task[None]] = set()

    @property
    def seen(self) -> bytes:
        """All that it could read."""
        return b"".join(self.heads) + bytes(self.carried)

    def url(self, userinfo: str = "") -> str:
        """Where it is, for an environment variable."""
        scheme = "https" if self._tls else "http"

        at = "@" if userinfo else ""
        return f"{scheme}://{userinfo}{at}127.0.0.1:{self.port}"

    async def __aenter__(self) -> "RecordingProxy":
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for relay in list(self._relays):
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        try:
            await self._relay(reader, writer)
        except (
            OSError,
            asyncio.IncompleteReadError,
            asyncio.CancelledError,
        ):
            pass  # either end is gone, or we are; the other follows below
        finally:
            writer.transport.abort()
            self._relays.discard(task)

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await reader.readuntil(_HEAD_END)
        self.heads.append(head)
        if self._answers:
            writer.write(self._answers.pop(0))
            await writer.drain()
            return
        far_reader, far = await asyncio.open_connection(
            "127.0.0.1", self._to_port
        )
        try:
            method, target, version = head.split(b"\r\n")[0].split(b" ")
            if method == b"CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = urlsplit(target.decode()).path.encode()
                first = b" ".join((method, path, version))
                far.write(first + head[head.index(b"\r\n") :])
            await asyncio.gather(
                self._pump(reader, far, record=True),
                self._pump(far_reader, writer),
            )
        finally:
            far.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        record: bool = False,
    ) -> None:
        while chunk := await reader.read(_CHUNK):
            if record:
                self.carried += chunk
            writer.write(chunk)
            await writer.drain()
        with contextlib.suppress(OSError, NotImplementedError):
            writer.write_eof()
