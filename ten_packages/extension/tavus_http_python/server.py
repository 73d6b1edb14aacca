#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""uvicorn inside a loop that is not its own: no signals, no exit, no thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from .connection import Config, Connection, Doors

_RESOLVE_TIMEOUT_S = 5.0
_BACKLOG = 1024
# A connection that confirms nothing for so long is dead (a lost network says
# no goodbye): its user has left, and the conversation must end.
_DEAD_AFTER_MS = 20_000
_STOP_TIMEOUT_S = 0.2
_IDLE_S = 30


class CannotListenError(Exception):
    """The address cannot be used; the text says which and why."""


async def listen(host: str, port: int) -> socket.socket:
    """Opens the socket; clients can connect from now on.

    Args:
        host: A name or an address.
        port: The port; 0 takes a free one.

    Raises:
        CannotListenError: With what to do about it.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(
            loop.getaddrinfo(host, port, type=socket.SOCK_STREAM),
            _RESOLVE_TIMEOUT_S,
        )
        return _listen(*found[0][:3], found[0][4])
    except (OSError, UnicodeError, asyncio.TimeoutError) as error:
        raise CannotListenError(
            f"cannot listen on {host} port {port}: {error or 'no answer'} - "
            "choose another port or host (TAVUS_HTTP_PORT, TAVUS_HTTP_HOST) "
            "or stop what uses it"
        ) from error


def _listen(
    family: int, kind: int, protocol: int, address: tuple[object, ...]
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Linux only; accepted sockets inherit it (tcp(7)).
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS
            )
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stop_wanted = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are the runtime's

    async def main_loop(self) -> None:
        await self.stop_wanted.wait()


class HttpServer:
    """Serves an ASGI app on a socket that listens.

    Args:
        app: What to serve.
        sock: From ``listen``; closed by ``stop``.
        complain: Takes a line for the log, should the server fail.
        max_connections: How many clients may be connected, event streams
            included.
    """

    def __init__(
        self,
        app: ASGIApp,
        sock: socket.socket,
        complain: Callable[[str], None],
        *,
        max_connections: int = 1000,
    ) -> None:
        self._sock = sock
        self._complain = complain
        self._task: asyncio.Task[None] | None = None
        host, port = sock.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        config = Config(
            app,
            access_log=False,
            date_header=False,  # it would be the time of the start
            http=Connection,
            lifespan="off",
            log_config=None,
            log_level="error",  # warnings are of what clients do wrong
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_IDLE_S,
            ws="none",
        )
        config.doors = Doors(max_connections)
        self._uvicorn = _Uvicorn(config)

    def start(self) -> None:
        """Begins to answer."""
        self._task = asyncio.create_task(self._serve())

    async def stop(self) -> None:
        """Lets answers that are under way go out, for a moment."""
        server, task = self._uvicorn, self._task
        if task is None:
            self._sock.close()
            return
        server.should_exit = True
        server.stop_wanted.set()
        await asyncio.wait({task}, timeout=_STOP_TIMEOUT_S)
        state = server.server_state
        answering = list(state.tasks)
        for work in (task, *answering):
            work.cancel()
        await asyncio.gather(task, *answering, return_exceptions=True)
        for connection in list(state.connections):
            connection.transport.abort()

    async def _serve(self) -> None:
        try:
            await self._uvicorn.serve(sockets=[self._sock])
        # pylint: disable-next=broad-exception-caught
        except (Exception, SystemExit) as error:
            self._complain(f"the HTTP server failed: {error!r}")
