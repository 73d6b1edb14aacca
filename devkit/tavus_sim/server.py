#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The simulator on a socket: an aiohttp server, webhooks and timers."""

import asyncio
import logging
import socket
import struct
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from .agora_socket import attend_agora, is_agora_socket
from .conversation import Conversation
from .messages import SimReply, SimRequest
from .presence import attend, presence_of
from .simulator import Simulator
from .worker import AvatarVideo, AvatarWorker

_LOG = logging.getLogger("tavus_sim")
_WEBHOOK_TIMEOUT_S = 5.0
_SHUTDOWN_TIMEOUT_S = 1.0
_BODY_LIMIT = 4 * 1024 * 1024
# SO_LINGER on with 0 s: closing sends RST instead of FIN.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class SimServer:
    """Serves one simulator; an async context manager.

    Args:
        simulator: what answers; its ``base_url`` is set at the start.
        host: the address to listen on.
        port: the port; 0 takes a free one.
        avatars: their picture, if conversations in LiveKit rooms are to have
            real ones.

    Raises:
        RuntimeError: when avatars are wanted and cannot be had.
    """

    def __init__(
        self,
        simulator: Simulator,
        host: str = "127.0.0.1",
        port: int = 0,
        avatars: AvatarVideo | None = None,
    ) -> None:
        self.simulator = simulator
        self.worker = AvatarWorker(simulator, avatars) if avatars else None
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self._session: ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        # One chain of deliveries for each conversation, so that its events
        # arrive in order and a slow receiver holds up nobody else.
        self._deliveries: dict[str, asyncio.Task[None]] = {}

    @property
    def base_url(self) -> str:
        """Where the API is, such as ``http://127.0.0.1:8900/v2``."""
        return f"{self.simulator.base_url}/v2"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: when the address is taken or not ours.
        """
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._serve)
        # Handlers are cancelled when their client goes: that ends a hang.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_SHUTDOWN_TIMEOUT_S,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        host, port = self._runner.addresses[0][:2]
        shown = "127.0.0.1" if host == "0.0.0.0" else host
        self.simulator.base_url = f"http://{shown}:{port}"
        self._session = ClientSession(
            timeout=ClientTimeout(total=_WEBHOOK_TIMEOUT_S)
        )
        self._loop = asyncio.get_running_loop()
        self.simulator.on_change = self._on_change
        self.simulator.on_event = self._on_event
        if self.worker:
            self.simulator.avatars.serve(self._on_avatar)
            self.worker.start()
        self._arm()

    async def close(self) -> None:
        """Stop listening; give up hanging answers and unsent webhooks."""
        self.simulator.on_change = self.simulator.on_event = None
        self.simulator.avatars.serve(None)
        self._closing.set()
        if self.worker:
            await self.worker.close()
        if self._timer:
            self._timer.cancel()
        if self._runner:
            await self._runner.cleanup()
        deliveries = list(self._deliveries.values())
        for task in deliveries:
            task.cancel()
        await asyncio.gather(*deliveries, return_exceptions=True)
        if self._session:
            await self._session.close()

    async def drain(self) -> None:
        """Wait until every webhook there is so far has been dealt with."""
        await asyncio.sleep(0)  # those of this moment become tasks
        await asyncio.gather(*self._deliveries.values())

    async def __aenter__(self) -> "SimServer":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        asked = SimRequest(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            headers={k.lower(): v for k, v in request.headers.items()},
            body=await request.read(),
        )
        room = presence_of(asked)
        if is_agora_socket(asked):
            answer = await attend_agora(
                self.simulator, request, asked, self._closing
            )
        elif room is None:
            return await self._answer(request, self.simulator.handle(asked))
        else:
            answer = await attend(
                self.simulator, request, asked, room, self._closing
            )
        if isinstance(answer, SimReply):
            return await self._answer(request, answer)
        return answer

    async def _answer(
        self, request: web.Request, reply: SimReply
    ) -> web.StreamResponse:
        wait_s = None if reply.fault == "hang" else reply.delay_s
        closing = wait_s != 0 and await self._closes_within(wait_s)
        if closing or reply.fault == "drop":
            _reset(request)
            return web.Response()
        if reply.fault == "truncate":
            return await _truncated(request, reply)
        return web.Response(
            status=reply.status, body=reply.body, headers=reply.headers
        )

    async def _closes_within(self, timeout_s: float | None) -> bool:
        try:
            return await asyncio.wait_for(self._closing.wait(), timeout_s)
        except asyncio.TimeoutError:
            return False

    def _on_change(self) -> None:
        assert self._loop
        self._loop.call_soon_threadsafe(self._arm)

    def _on_event(self, url: str, payload: dict[str, Any]) -> None:
        assert self._loop
        self._loop.call_soon_threadsafe(self._deliver, url, payload)

    def _on_avatar(self, conversation: Conversation) -> None:
        assert self._loop and self.worker
        self._loop.call_soon_threadsafe(self.worker.send, conversation)

    def _arm(self) -> None:
        """Wake up when the simulator has something to do next."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        deadline = self.simulator.next_deadline()
        if deadline is None or self._closing.is_set():
            return
        delay_s = max(0.0, deadline - self.simulator.now())
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(delay_s, self._wake)

    def _wake(self) -> None:
        self.simulator.expire()
        self._arm()

    def _deliver(self, url: str, payload: dict[str, Any]) -> None:
        if self._closing.is_set():
            return
        key = payload["conversation_id"]
        task = asyncio.create_task(
            self._post(self._deliveries.get(key), url, payload),
            name=f"webhook {key}",
        )
        self._deliveries[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))

    def _forget(self, key: str, done: asyncio.Task[None]) -> None:
        if self._deliveries.get(key) is done:
            del self._deliveries[key]

    async def _post(
        self,
        previous: asyncio.Task[None] | None,
        url: str,
        payload: dict[str, Any],
    ) -> None:
        if previous:
            await asyncio.wait([previous])
        assert self._session
        event = payload.get("event_type")
        try:
            async with self._session.post(url, json=payload) as response:
                if response.status >= 400:
                    _LOG.warning("%s: webhook got %d", event, response.status)
        except (ClientError, asyncio.TimeoutError, ValueError) as exc:
            # The URL may hold the receiver's secret: it stays out of the log.
            _LOG.warning("%s: webhook failed: %s", event, type(exc).__name__)


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


async def _truncated(
    request: web.Request, reply: SimReply
) -> web.StreamResponse:
    """Announce the whole body, send half of it, and close."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = max(len(reply.body), 2)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2])
    if request.transport:
        request.transport.close()
    return response
