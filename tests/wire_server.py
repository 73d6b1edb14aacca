#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A server that a test plays itself, byte by byte."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def playing(
    play: Play, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A server that plays this for each connection; yields its base URL."""
    open_plays: set[asyncio.Task[None]] = set()

    async def serve(reader, writer) -> None:
        task = asyncio.current_task()
        assert task
        open_plays.add(task)
        try:
            await play(reader, writer)
        except asyncio.IncompleteReadError:
            return  # the client left first, which is its right
        finally:
            writer.close()
            open_plays.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}/v2"
        finally:
            for task in open_plays.copy():
                task.cancel()
            await asyncio.gather(*open_plays, return_exceptions=True)


def answering(raw: bytes, after: bytes = b"}") -> Play:
    """Answers these bytes, and closes, when those have arrived."""

    async def play(reader, writer) -> None:
        await reader.readuntil(after)
        writer.write(raw)
        await writer.drain()

    return play


def reply(status: str, body: bytes = b"", header: str = "") -> bytes:
    """The bytes of an HTTP reply, its length told."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [header] if header else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
