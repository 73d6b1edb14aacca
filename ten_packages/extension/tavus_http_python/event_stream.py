#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A stream as an HTTP response: server-sent events.

Format: html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .streams import Stream, Streams

# Keeps proxies from closing the connection, and shows us dead ones.
_HEARTBEAT_S = 15.0
_HEARTBEAT = b": still here\n\n"
# Browsers come back so soon; within the grace they find their conversation.
_HELLO = b"retry: 1000\n\n"
_FAREWELL_TIMEOUT_S = 0.05


class EventStream(Response):
    """Open from the first byte until either side has enough.

    Args:
        streams: Where it is opened and closed.
        user_id: Who listens.
        channel: Where.
        heard: The id of the last event that was heard, or "".
        headers: More of them.
    """

    def __init__(
        self,
        streams: Streams,
        user_id: str,
        channel: str,
        heard: str,
        headers: dict[str, str],
    ) -> None:
        super().__init__(
            headers={"x-accel-buffering": "no", **headers},
            media_type="text/event-stream",
        )
        del self.headers["content-length"]  # nobody knows when it ends
        self._streams = streams
        self._user_id = user_id
        self._channel = channel
        self._heard = heard

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        stuck = asyncio.Event()
        writing: asyncio.Task[None] | None = None

        def give_up() -> None:
            stuck.set()
            if writing is not None:
                writing.cancel()

        stream = self._streams.open(
            self._user_id, self._channel, self._heard, give_up
        )
        gone = asyncio.create_task(disconnected(receive))
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            writing = asyncio.create_task(_write(stream, send))
            await asyncio.wait(
                (writing, gone), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            self._streams.close(stream)
            tasks = [gone, *([writing] if writing else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not stuck.is_set():
            # A client that is gone, or does not read, can do without.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(
                    send({"type": "http.response.body", "body": b""}),
                    _FAREWELL_TIMEOUT_S,
                )


async def disconnected(receive: Receive) -> None:
    """Returns when the client is gone; for a request that is read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(stream: Stream, send: Send) -> None:
    loop = asyncio.get_running_loop()
    chunk: bytes | None = _HELLO
    while chunk is not None:
        await send(
            {"type": "http.response.body", "body": chunk, "more_body": True}
        )
        # No task and no timeout for each event: streams are many, and wait.
        beat = loop.call_later(_HEARTBEAT_S, stream.put, _HEARTBEAT)
        try:
            chunk = await stream.get()
        finally:
            beat.cancel()
