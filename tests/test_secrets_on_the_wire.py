#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Who on the way to a server gets to read a secret: nobody.

Each client talks to a server of its own through a proxy that writes down all
that it can read, to one that redirects, and to a proxy that refuses.
"""

import asyncio
import logging
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trustme
from aiohttp import web
from livekit import api
from support.proxy import RecordingProxy
from support.tls import authority, server_context
from ten_packages.extension.tavus_python.errors import (
    TavusError,
    TavusNetworkError,
    TavusProtocolError,
)
from ten_packages.extension.tavus_python.redaction import Secret
from ten_packages.extension.tavus_python.tavus_client import TavusClient
from ten_packages.extension.tavus_python.tavus_models import Session
from ten_packages.extension.tavus_python.transports import agora_socket
from ten_packages.extension.tavus_python.transports.agora_connection import (
    SessionOverError,
)
from ten_packages.extension.tavus_python.transports.agora_socket import (
    AgoraSocket,
)
from ten_packages.extension.tavus_python.transports.voice import Voice

from ten_packages.extension.tavus_http_python.livekit_config import (
    LiveKitConfig,
)
from ten_packages.extension.tavus_http_python.livekit_control import (
    LiveKitControl,
)
from ten_packages.extension.tavus_http_python.livekit_rooms import Unavailable

__all__ = ["authority"]

KEY = "tavus-key-that-nobody-may-see"
SESSION_TOKEN = "session-token-that-nobody-may-see"
AGORA_TOKEN = "agora-token-that-nobody-may-see"
LIVEKIT_SECRET = "livekit-secret-that-nobody-may-see"
PASSWORD = "proxy-password-that-nobody-may-see"
PASSWORD_IN_BASE64 = "bWU6cHJveHktcGFzc3dvcmQtdGhhdC1ub2JvZHktbWF5LXNlZQ=="
SECRETS = (KEY, SESSION_TOKEN, AGORA_TOKEN, LIVEKIT_SECRET, "Bearer", "eyJ")
HOST = "server.example"  # no resolver knows it, but the proxy leads there
WAIT_S = 20.0
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
WANTS_PASSWORD = b"HTTP/1.1 407 Proxy Authentication Required\r\n"
FORBIDS = b"HTTP/1.1 403 Forbidden\r\n"
IS_BUSY = b"HTTP/1.1 503 Service Unavailable\r\n"
NO_BODY = b"Content-Length: 0\r\n\r\n"

Call = Callable[[str], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@dataclass
class Server:
    """What every client here talks to; it writes down what it is told."""

    port: int = 0
    status: int = 200
    location: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    greeted: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if self.status != 200:
            return web.Response(
                status=self.status, headers={"Location": self.location}
            )
        if request.path == "/ws":
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            async for message in ws:
                self.messages.append(message.data)
                self.greeted.set()
            return ws
        if request.path.startswith("/twirp/"):
            return web.Response(
                body=api.ListParticipantsResponse().SerializeToString()
            )
        if request.method == "DELETE":
            return web.Response()
        return web.json_response({"conversation_id": "c1"})


@asynccontextmanager
async def serving(
    tls: ssl.SSLContext | None = None, **how: object
) -> AsyncIterator[Server]:
    server = Server(**how)  # type: ignore[arg-type]
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


# The clients of the project, each with all the secrets it has.


async def create(url: str) -> None:
    token = Secret("eyJ-a-token-of-a-room")
    body = {"properties": {"livekit_room_token": token}}
    async with TavusClient(KEY, f"{url}/v2", attempts=1) as client:
        await client.create_conversation(body)


async def stop_session(url: str) -> None:
    async with TavusClient(KEY, f"{url}/v2", attempts=1) as client:
        await client.stop_session("s1", Secret(SESSION_TOKEN))


async def speak(url: str) -> None:
    """Says hello over the WebSocket of a session, or raises."""
    connected = asyncio.Event()
    voice = Voice(logging.Logger("voice"))
    voice.open()
    session = Session(
        conversation_id="s1",
        websocket_address=f"{url}/ws".replace("http", "ws", 1),
        session_token=Secret(SESSION_TOKEN),
        started_with={"agora_settings": {"token": Secret(AGORA_TOKEN)}},
    )
    socket = AgoraSocket(
        session,
        lambda: dict(session.started_with),
        voice,
        lambda what, *_: connected.set() if what == "connected" else None,
        logging.Logger("socket"),
        connect_timeout_s=WAIT_S,
        plain=True,
    )
    running = asyncio.create_task(socket.run())
    waiting = asyncio.create_task(connected.wait())
    try:
        await asyncio.wait(
            {running, waiting}, return_when=asyncio.FIRST_COMPLETED
        )
        if running.done():
            running.result()
    finally:
        waiting.cancel()
        running.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)


async def count_users(url: str) -> None:
    control = LiveKitControl(
        LiveKitConfig(
            url=url, api_url=url, api_key="key", api_secret=LIVEKIT_SECRET
        )
    )
    try:
        await control.users("room")
    finally:
        await control.close()


# The secrets that each tells the server.
TOLD_BY: dict[Call, list[str]] = {
    create: [KEY],
    stop_session: [KEY, f"Bearer {SESSION_TOKEN}"],
    speak: [f"Bearer {SESSION_TOKEN}", AGORA_TOKEN],
    count_users: ["Bearer eyJ"],
}
every_client = pytest.mark.parametrize("call", list(TOLD_BY))


def shown_of(error: BaseException) -> str:
    """All that a log or an error tracker could show of an error."""
    told = traceback.TracebackException.from_exception(
        error, capture_locals=True
    )
    # The tests' own frames have the secrets, as those that all begins with.
    told.stack = traceback.StackSummary.from_list(
        [one for one in told.stack if one.filename != __file__]
    )
    return "".join(told.format()) + repr(error) + repr(vars(error))


@every_client
@pytest.mark.parametrize("tls_to_proxy", [False, True])
async def test_a_proxy_is_told_no_secret_but_its_own(
    monkeypatch: pytest.MonkeyPatch,
    authority: trustme.CA,
    call: Call,
    tls_to_proxy: bool,
) -> None:
    tls = server_context(authority, "127.0.0.1") if tls_to_proxy else None
    async with (
        serving(server_context(authority, HOST)) as server,
        RecordingProxy(server.port, tls=tls) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url(f"me:{PASSWORD}"))
        await call(f"https://{HOST}")
        if call is speak:
            await asyncio.wait_for(server.greeted.wait(), WAIT_S)
    assert proxy.heads[0].startswith(f"CONNECT {HOST}:443 HTTP/1.1".encode())
    assert PASSWORD_IN_BASE64.encode() in proxy.heads[0]
    for secret in SECRETS:
        assert secret.encode() not in proxy.seen
    # The server has been told those of this call, and not the proxy's.
    told = repr(server.headers) + repr(server.messages)
    assert "Proxy-" not in told and PASSWORD_IN_BASE64 not in told
    assert all(secret in told for secret in TOLD_BY[call])


@every_client
async def test_a_proxy_without_a_tunnel_is_given_its_password_too(
    monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    async with serving() as server, RecordingProxy(server.port) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url(f"me:{PASSWORD}"))
        await call(f"http://{HOST}")
    assert f"://{HOST}/".encode() in proxy.heads[0].split(b"\r\n")[0]
    assert f"Basic {PASSWORD_IN_BASE64}".encode() in proxy.heads[0]


@every_client
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_client_follows_a_redirect(call: Call, status: int) -> None:
    async with (
        serving() as elsewhere,
        serving(
            status=status, location=f"http://127.0.0.1:{elsewhere.port}/ws"
        ) as server,
    ):
        with pytest.raises((TavusProtocolError, Unavailable)) as caught:
            await call(f"http://127.0.0.1:{server.port}")
    assert "redirect" in str(caught.value)
    assert len(server.headers) == 1
    assert not elsewhere.headers and not elsewhere.messages


@every_client
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("userinfo", ["", f"me:{PASSWORD}@"])
async def test_a_proxy_that_answers_407_is_named_and_not_its_password(
    monkeypatch: pytest.MonkeyPatch, call: Call, scheme: str, userinfo: str
) -> None:
    answers = [WANTS_PASSWORD + NO_BODY] * 9
    async with RecordingProxy(0, answers=answers) as proxy:
        url = proxy.url(userinfo.removesuffix("@"))
        variable = f"{scheme}_proxy".upper()
        monkeypatch.setenv(variable, url)
        with pytest.raises((TavusNetworkError, Unavailable)) as caught:
            await call(f"{scheme}://{HOST}")
    error = caught.value
    assert len(proxy.heads) == 1, "it makes no sense to ask again"
    assert f"the proxy 127.0.0.1:{proxy.port}" in str(error)
    hint = f"write user:password@ before the host in {variable}"
    assert hint in str(error)
    assert f"or name {HOST}:" in str(error) and "NO_PROXY" in str(error)
    for secret in (*SECRETS, PASSWORD, PASSWORD_IN_BASE64):
        assert secret not in shown_of(error)
    assert error.__cause__ is None and error.__context__ is None
    if isinstance(error, TavusError):
        assert (error.kind, error.status) == ("network", 407)
        assert (error.sent, error.retryable) == (False, False)


@every_client
@pytest.mark.parametrize("status", [400, 401, 500])
async def test_no_traceback_shows_a_secret_with_its_local_variables(
    call: Call, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agora_socket, "_AGAIN_S", ())
    async with serving(status=status) as server:
        with pytest.raises(
            (TavusError, Unavailable, SessionOverError)
        ) as caught:
            await call(f"http://127.0.0.1:{server.port}")
    shown = shown_of(caught.value)
    assert "extension/tavus" in shown and " = " in shown, "no variables?"
    for secret in SECRETS:
        assert secret not in shown


@pytest.mark.parametrize(
    ("answer", "status", "retryable"),
    [(FORBIDS, 403, False), (IS_BUSY, 503, True)],
)
async def test_a_proxy_that_does_not_connect_has_sent_nothing(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, status: int, retryable: bool
) -> None:
    async with RecordingProxy(0, answers=[answer + NO_BODY]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url(f"me:{PASSWORD}"))
        with pytest.raises(TavusNetworkError) as caught:
            await create(f"https://{HOST}")
    error = caught.value
    assert (error.status, error.retryable) == (status, retryable)
    assert not error.sent
    assert f"does not connect to {HOST}:443" in error.message
    assert PASSWORD not in shown_of(error)


async def test_a_proxy_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with RecordingProxy(0) as proxy:
        url = proxy.url(f"me:{PASSWORD}")
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(TavusNetworkError) as caught:
        await create(f"https://{HOST}")
    error = caught.value
    assert f"the proxy 127.0.0.1:{proxy.port} cannot be" in error.message
    assert error.hint == "check HTTPS_PROXY"
    assert not error.sent
    assert PASSWORD not in shown_of(error)


async def test_calls_share_a_tunnel(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    async with (
        serving(server_context(authority, HOST)) as server,
        RecordingProxy(server.port) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url(f"me:{PASSWORD}"))
        async with TavusClient(KEY, f"https://{HOST}/v2") as client:
            for _ in range(3):
                await client.get_conversation("c1")
    assert len(server.headers) == 3
    assert len(proxy.heads) == 1


@every_client
async def test_what_no_proxy_names_is_reached_without_one(
    monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.invalid:1")
    # Another address of this machine would be one that is never proxied.
    monkeypatch.setenv("NO_PROXY", "0.0.0.0/30")
    async with serving() as server:
        await call(f"http://0.0.0.0:{server.port}")
    assert len(server.headers) == 1


async def test_tokens_go_to_no_other_machine_unencrypted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with RecordingProxy(0) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url())
        session = Session(
            conversation_id="s1", websocket_address=f"ws://{HOST}/ws"
        )
        socket = AgoraSocket(
            session,
            dict,
            Voice(logging.Logger("voice")),
            lambda *_: None,
            logging.Logger("socket"),
            connect_timeout_s=WAIT_S,
        )
        with pytest.raises(TavusProtocolError, match="not encrypted"):
            await socket.run()
    assert not proxy.heads
