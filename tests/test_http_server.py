#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the HTTP server puts up with: slow, greedy and broken clients."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from ten_packages.extension.tavus_http_python import callers, connection
from ten_packages.extension.tavus_http_python.connection import Doors
from ten_packages.extension.tavus_http_python.server import (
    CannotListenError,
    HttpServer,
    listen,
)

WAIT_S = 10.0
REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


async def start_answer(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, if there is one, and says how long it was."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    await start_answer(send)
    body = f"hello {length} {scope['path']}".encode()
    await send({"type": "http.response.body", "body": body})


class Held:
    """Answers at once but never finishes, as an event stream does."""

    def __init__(self) -> None:
        self.answering = 0

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        await start_answer(send)
        await send(
            {"type": "http.response.body", "body": b":", "more_body": True}
        )
        self.answering += 1
        while (await receive())["type"] != "http.disconnect":
            pass
        self.answering -= 1


class Client:
    """A connection, byte by byte."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read_until(self, end: bytes) -> bytes:
        return await asyncio.wait_for(self._reader.readuntil(end), WAIT_S)

    async def rest(self) -> bytes:
        """All until the server closes; what it threw away is lost."""
        try:
            return await asyncio.wait_for(self._reader.read(-1), WAIT_S)
        except ConnectionError:
            return b""

    async def is_closed(self) -> bool:
        return await self.rest() == b""

    async def refusal(self) -> tuple[int, dict[str, Any]]:
        """The status and the data of an answer that closes."""
        head, _, body = (await self.rest()).partition(b"\r\n\r\n")
        assert b"content-type: application/json" in head
        assert b"connection: close" in head
        reply = json.loads(body)
        assert reply["msg"] == reply["data"]["detail"]
        return int(head.split()[1]), reply["data"]


class Site:
    """A server and who is connected to it."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._address = server.url.removeprefix("http://").split(":")
        self._clients: list[Client] = []

    async def connect(self, source: str = "127.0.0.1") -> Client:
        host, port = self._address
        reader, writer = await asyncio.open_connection(
            host, int(port), local_addr=(source, 0)
        )
        self._clients.append(Client(reader, writer))
        return self._clients[-1]

    async def get(self, source: str = "127.0.0.1") -> bytes:
        """The first line of the answer to a request."""
        client = await self.connect(source)
        await client.send(REQUEST)
        return await client.read_until(b"\r\n")

    @property
    def only_connection(self) -> asyncio.Protocol:
        """The server's end of it."""
        # pylint: disable-next=protected-access
        (protocol,) = self._server._uvicorn.server_state.connections
        return protocol

    async def leave(self) -> None:
        for client in self._clients:
            client.writer.close()
            await asyncio.gather(
                client.writer.wait_closed(), return_exceptions=True
            )


@asynccontextmanager
async def site(
    app: ASGIApp = hello, *, max_connections: int = 100
) -> AsyncIterator[Site]:
    complaints: list[str] = []
    server = HttpServer(
        app,
        await listen("127.0.0.1", 0),
        complaints.append,
        max_connections=max_connections,
    )
    server.start()
    there = Site(server)
    try:
        yield there
    finally:
        await there.leave()
        await server.stop()
    assert complaints == []


async def until(come: Callable[[], bool]) -> None:
    async def wait() -> None:
        while True:
            if come():
                return
            await asyncio.sleep(0)

    await asyncio.wait_for(wait(), WAIT_S)


@pytest.fixture(name="hurry")
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_HEAD_TIMEOUT_S", 0.05)


async def test_a_connection_is_used_again() -> None:
    async with site() as there:
        client = await there.connect()
        for _ in range(3):
            await client.send(REQUEST)
            assert await client.read_until(b"0\r\n\r\n")


async def test_requests_sent_ahead_are_answered_in_order() -> None:
    async with site() as there:
        client = await there.connect()
        await client.send(
            b"".join(
                b"GET /%d HTTP/1.1\r\nHost: here\r\n\r\n" % number
                for number in range(10)
            )
        )
        for number in range(10):
            assert b"/%d\r\n" % number in await client.read_until(b"0\r\n\r\n")


async def test_a_body_comes_through_whole() -> None:
    async with site() as there:
        client = await there.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 300000\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        await client.read_until(b"100 Continue\r\n\r\n")
        await client.send(b"x" * 300_000)
        assert b"hello 300000 /" in await client.read_until(b"0\r\n\r\n")


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize(
    "said", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: here\r\n", b"\r\n"]
)
async def test_who_does_not_finish_asking_is_shown_the_door(
    said: bytes,
) -> None:
    async with site() as there:
        client = await there.connect()
        await client.send(said)
        assert await client.is_closed()


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("said", [b"\r\n", b"GET / HT"])
async def test_nor_may_one_take_long_over_the_second_request(
    said: bytes,
) -> None:
    async with site() as there:
        client = await there.connect()
        await client.send(REQUEST)
        await client.read_until(b"0\r\n\r\n")
        await client.send(said)
        assert await client.is_closed()


@pytest.mark.usefixtures("hurry")
async def test_a_byte_now_and_then_does_not_buy_time() -> None:
    async with site() as there:
        client = await there.connect()

        async def dribble() -> None:
            await client.send(b"GET /")
            while True:
                await client.send(b"x")
                await asyncio.sleep(0.001)

        dribbling = asyncio.create_task(dribble())
        assert await client.is_closed()
        dribbling.cancel()
        await asyncio.gather(dribbling, return_exceptions=True)


@pytest.mark.usefixtures("hurry")
async def test_who_goes_on_sending_what_was_refused_is_cut_off() -> None:
    async def refuse(_: Scope, __: Receive, send: Send) -> None:
        await start_answer(send)
        await send({"type": "http.response.body", "body": b"no"})

    async with site(refuse) as there:
        client = await there.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 999999\r\n\r\n"
        )
        await client.read_until(b"0\r\n\r\n")
        await client.send(b"x")
        assert await client.is_closed()


@pytest.mark.usefixtures("hurry")
async def test_an_answer_that_takes_long_is_waited_for() -> None:
    held = Held()
    async with site(held) as there:
        client = await there.connect()
        await client.send(REQUEST)
        await client.read_until(b":\r\n")
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.2, done.set_result, None)
        await done  # four times what a head may take
        assert held.answering == 1


@pytest.mark.parametrize(
    ("begin", "more", "end"),
    [
        (b"GET /", b"x", b" HTTP/1.1\r\n\r\n"),
        (b"GET / HTTP/1.1\r\nX: ", b"x", b"\r\n\r\n"),
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n", b"\r\n"),
        (b"GET / HTTP/1.1\r\nX: ", b"x", b""),
        (b"GET / HTTP/1.1\r\n", b"x", b""),
    ],
    ids=["url", "header", "headers", "endless value", "endless name"],
)
@pytest.mark.parametrize("piece", [1000, 100_000])
async def test_a_long_head_is_refused(
    begin: bytes, more: bytes, end: bytes, piece: int
) -> None:
    # Too long only with the last piece: what is sent later would be lost,
    # and the refusal with it.
    cost = len(more) + (28 if more.endswith(b"\n") else 0)
    head = begin + more * (16_600 // cost) + end
    async with site() as there:
        client = await there.connect()
        for start in range(0, len(head), piece):
            await client.send(head[start : start + piece])
        status, data = await client.refusal()
        assert (status, data["kind"]) == (431, "too_large")


@pytest.mark.parametrize("trailer", [b"X: y\r\n" * 100, b"X: " + b"y" * 1000])
async def test_trailers_without_end_are_cut_off(trailer: bytes) -> None:
    async with site() as there:
        client = await there.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked"
            b"\r\n\r\n1\r\nx\r\n0\r\n"
        )

        async def go_on() -> None:
            await client.send(trailer)
            while True:
                await client.send(
                    b"X: y\r\n" * 100 if b"\n" in trailer else b"y" * 1000
                )
                await asyncio.sleep(0)

        sending = asyncio.create_task(go_on())
        assert await client.is_closed()
        await asyncio.gather(sending, return_exceptions=True)


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"SSH-2.0-OpenSSH\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\n X: folded\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: here\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused(
    said: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    async with site() as there:
        client = await there.connect()
        await client.send(said)
        status, data = await client.refusal()
        assert (status, data["kind"]) == (400, "validation")
        # The others are not disturbed, and nor is the log.
        assert await there.get() == OK
    assert capfd.readouterr().err == ""


async def test_a_flood_of_requests_sent_ahead_is_cut_off() -> None:
    held = Held()
    async with site(held) as there:
        client = await there.connect()
        await client.send(REQUEST)
        await client.read_until(b":\r\n")
        # As if all had come in one packet, which a test cannot bring about.
        there.only_connection.data_received(REQUEST * 100)
        assert await client.is_closed()
        await until(lambda: held.answering == 0)


async def test_who_leaves_has_left_even_with_a_request_sent_ahead() -> None:
    # uvicorn tells only the last request that the client is gone; here that
    # would be a stream, and with it a conversation, that never ends.
    held = Held()
    async with site(held) as there:
        client = await there.connect()
        await client.send(REQUEST)
        await client.read_until(b":\r\n")
        there.only_connection.data_received(REQUEST * 3)
        there.only_connection.transport.abort()  # type: ignore[attr-defined]
        await until(lambda: held.answering == 0)


async def test_who_comes_when_it_is_full_is_told_so() -> None:
    held = Held()
    async with site(held, max_connections=4) as there:
        for source in ("127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"):
            assert await there.get(source) == OK
        client = await there.connect("127.0.0.3")
        await client.send(REQUEST)
        status, data = await client.refusal()
        assert (status, data["kind"]) == (503, "full")
        assert held.answering == 4


async def test_who_leaves_makes_room() -> None:
    async with site(max_connections=1) as there:
        first = await there.connect()
        await first.send(REQUEST)
        assert await first.read_until(b"\r\n") == OK
        assert b"503" in await there.get()
        first.writer.close()
        await first.writer.wait_closed()

        async def let_in() -> None:
            while await there.get() != OK:
                pass

        await asyncio.wait_for(let_in(), WAIT_S)


async def test_one_client_cannot_keep_the_others_out() -> None:
    async with site(Held(), max_connections=8) as there:
        answers = [await there.get("127.0.0.1") for _ in range(8)]
        assert answers.count(OK) == 6
        assert await there.get("127.0.0.2") == OK


async def test_who_was_refused_and_stays_is_put_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "_REFUSED_TIMEOUT_S", 0.05)
    async with site(Held(), max_connections=1) as there:
        assert await there.get() == OK
        client = await there.connect()
        assert await client.is_closed()


def test_addresses_of_one_network_are_one_client() -> None:
    doors = Doors(4)
    networks = [
        callers.network_of(address)
        for address in ("2001:db8::1", "2001:db8::2:3", "2001:db8:0:0:ff::")
    ]
    assert [doors.enter(network) for network in networks] == [True] * 3
    assert not doors.enter(callers.network_of("2001:db8::4"))
    assert doors.enter(callers.network_of("2001:db8:0:1::1"))
    assert callers.network_of("::ffff:10.0.0.1") == "10.0.0.1"
    assert callers.network_of("fe80::1%eth0") == "fe80::/64"


async def test_a_client_that_does_not_read_holds_up_the_app_not_memory() -> (
    None
):
    chunk = b"x" * 10_000
    begun = done = 0

    async def endless(_: Scope, __: Receive, send: Send) -> None:
        nonlocal begun, done
        await start_answer(send)
        while True:
            begun += 1
            await send(
                {"type": "http.response.body", "body": chunk, "more_body": True}
            )
            done += 1
            await asyncio.sleep(0)

    async with site(endless) as there:
        client = await there.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(REQUEST)
        before = -1
        while done != before or begun == done:  # until one waits
            before = done
            for _ in range(100):
                await asyncio.sleep(0)
        # What the kernel keeps for both sides (tcp_rmem, tcp_wmem), and ours.
        assert done * len(chunk) < 20_000_000


async def test_a_port_in_use_is_explained() -> None:
    taken = await listen("127.0.0.1", 0)
    with taken, pytest.raises(CannotListenError, match="choose another port"):
        await listen("127.0.0.1", taken.getsockname()[1])
