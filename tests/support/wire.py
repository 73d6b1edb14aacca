#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A wire that can be cut, or held: a TCP relay between two parties."""

import asyncio
import contextlib

_CHUNK = 65536


class Wire:
    """Relays 127.0.0.1:``port`` to another port; a context manager.

    Args:
        to_port: Where it leads.
    """

    def __init__(self, to_port: int) -> None:
        self.port = 0
        # Whether what comes is let through.
        self.passes = asyncio.Event()
        self.passes.set()
        self._to_port = to_port
        self._server: asyncio.Server | None = None
        self._relays: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        """Where it begins."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> "Wire":
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def mend(self) -> None:
        """Takes connections, on the same port as before. Safe to repeat."""
        if self._server is not None and self._server.is_serving():
            return
        self._server = await asyncio.start_server(
            self._relay, "127.0.0.1", self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Drops every connection and refuses new ones."""
        assert self._server is not None
        self._server.close()
        await self.drop()

    async def drop(self) -> None:
        """Resets every connection there is; new ones may come."""
        relays = dict(self._relays)
        for writer in relays.values():
            writer.transport.abort()
        for task in relays:
            task.cancel()
        await asyncio.gather(*relays, return_exceptions=True)

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays[task] = writer
        far = None
        try:
            await self.passes.wait()
            far_reader, far = await asyncio.open_connection(
                "127.0.0.1", self._to_port
            )
            await asyncio.gather(_pump(reader, far), _pump(far_reader, writer))
        except OSError:
            pass  # either end is gone, and so is the other, below
        finally:
            for end in (writer, far):
                if end is not None:
                    end.transport.abort()
            del self._relays[task]


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
