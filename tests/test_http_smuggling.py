#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Where a request ends is decided by its framing, and by nothing else.

Raw bytes of several visitors on one connection that is kept, as a proxy in
front keeps it.
"""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from support.http_serving import ScriptedGraph, serving
from test_http_server import OK, Client, site

HEAD = b"POST /one HTTP/1.1\r\nHost: here\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: here\r\nX-Rest: "
NEXT = b"GET /next HTTP/1.1\r\nHost: here\r\n\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it was asked: the path, the headers, the body."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    heard = {
        "path": scope["path"],
        "headers": [name.decode() for name, _ in scope["headers"]],
        "body": body.decode(),
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    told = json.dumps(heard).encode() + b"\n"
    await send({"type": "http.response.body", "body": told})


async def heard_by(client: Client) -> dict[str, Any]:
    """What the server heard of the next request."""
    head = await client.read_until(b"\r\n\r\n")
    assert head.startswith(OK)
    chunked = await client.read_until(b"0\r\n\r\n")
    return json.loads(chunked.split(b"\r\n")[1])


def framed(body: bytes, framing: str) -> bytes:
    """A body, and how long it is."""
    if framing == "length":
        return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    return b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
        *(len(body), body),
    )


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(
    "asked",
    [
        UPGRADE,
        b"Connection: keep-alive, Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",  # java.net.http
        b"connection: upgrade\r\nUPGRADE: websocket\r\nUpgrade: x\r\n",
        b"Upgrade: x\r\nConnection: Upgrade\r\nConnection: Upgrade\r\n",
    ],
    ids=["one protocol", "as Java asks", "two protocols", "said twice"],
)
@pytest.mark.parametrize("piece", [1, 50, 10_000])
async def test_a_wish_for_another_protocol_moves_no_end_of_a_request(
    framing: str, asked: bytes, piece: int
) -> None:
    sent = HEAD + asked + framed(HIDDEN, framing) + NEXT
    async with site(echo) as there:
        client = await there.connect()
        for start in range(0, len(sent), piece):
            await client.send(sent[start : start + piece])
            await asyncio.sleep(0)
        first, second = await heard_by(client), await heard_by(client)
    assert (first["path"], first["body"]) == ("/one", HIDDEN.decode())
    assert "upgrade" not in first["headers"]
    assert (second["path"], second["body"]) == ("/next", "")


async def test_a_request_without_a_body_may_wish_for_another_protocol() -> None:
    async with site(echo) as there:
        client = await there.connect()
        await client.send(
            NEXT.replace(b"\r\n\r\n", b"\r\n" + UPGRADE) + b"\r\n"
        )
        assert (await heard_by(client))["path"] == "/next"
        await client.send(NEXT)
        assert (await heard_by(client))["path"] == "/next"


async def test_what_follows_a_body_says_nothing_of_who_asks() -> None:
    async with site(echo) as there:
        client = await there.connect()
        await client.send(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
            b"Authorization: Bearer x\r\nX-Forwarded-Proto: https\r\n\r\n"
        )
        heard = await heard_by(client)
    assert heard["headers"] == ["host", "transfer-encoding"]


COOKIE = b"tavus_session=" + b"c" * 43


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"Host: there\r\n", "two host headers"),
        (b"Host: here\r\n", "two host headers"),
        (b"Origin: http://a\r\nOrigin: http://b\r\n", "two origin headers"),
        (
            b"Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n",
            "two sec-fetch-site headers",
        ),
        (
            b"Content-Type: text/plain\r\nContent-Type: application/json\r\n",
            "two content-type headers",
        ),
        (
            b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
            "two authorization headers",
        ),
        (b"Cookie: a=1\r\nCookie: b=2\r\n", "two cookie headers"),
        (
            b"Cookie: " + COOKIE + b"; a=1;" + COOKIE + b"\r\n",
            "two cookies tavus_session",
        ),
        (
            b"Cookie: tavus_session=; " + COOKIE + b"\r\n",
            "two cookies tavus_session",
        ),
        (b"Transfer-Encoding: gzip, chunked\r\n", "transfer-encoding"),
        (b"Transfer-Encoding: xchunked\r\n", "transfer-encoding"),
        (b"Transfer-Encoding: identity\r\n", "transfer-encoding"),
        (
            b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
            "transfer-encoding",
        ),
    ],
)
async def test_a_head_that_can_be_read_in_two_ways_is_refused(
    head: bytes, why: str
) -> None:
    asked: list[str] = []

    async def listening(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await echo(scope, receive, send)

    async with site(listening) as there:
        client = await there.connect()
        await client.send(HEAD + head + b"\r\n0\r\n\r\n" + NEXT)
        status, data = await client.refusal()  # and it closes
    assert (status, data["kind"]) == (400, "validation")
    assert why in data["detail"]
    assert asked == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET http://there/ HTTP/1.1\r\nHost: here\r\n\r\n",
        b"GET http://there/ HTTP/1.0\r\n\r\n",
        b"CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n" + NEXT,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        HEAD + b"Content-Length: 1, 1\r\n\r\nx",
        HEAD + b"Content-Length: +1\r\n\r\nx",
        HEAD + b"Content-Length:\r\n\r\nx",
        HEAD + b"Content-Length : 1\r\n\r\nx",
        HEAD + b"X: a\nContent-Length: 1\r\n\r\nx",
        HEAD + b"X: a\rContent-Length: 1\r\n\r\nx",
        HEAD + b"X: a\r\n folded\r\n\r\n",
        HEAD + b"X: a\0b\r\n\r\n",
        HEAD.replace(b"\r\n", b"\n") + b"\n",
    ],
)
async def test_nobody_is_asked_where_a_request_is_unclear(head: bytes) -> None:
    async with site(echo) as there:
        client = await there.connect()
        await client.send(head)
        status, data = await client.refusal()
    assert (status, data["kind"]) == (400, "validation")


async def test_cookies_of_other_apps_on_this_host_are_not_ours_to_judge() -> (
    None
):
    async with site(echo) as there:
        client = await there.connect()
        await client.send(HEAD + b"Cookie: a=1; a=2; " + COOKIE + b"\r\n\r\n")
        assert (await heard_by(client))["path"] == "/one"


async def test_behind_a_proxy_nobody_gets_what_another_asked_for() -> None:
    create = b"POST /api/tavus/conversation/create HTTP/1.1\r\n"
    hidden = create + b"Host: localhost\r\nContent-Length: 0\r\n\r\n"
    graph = ScriptedGraph()
    async with serving(graph) as (service, _):
        host, port = service.url.removeprefix("http://").split(":")
        client = Client(*await asyncio.open_connection(host, int(port)))
        # The attacker's request, then another visitor's, on one connection.
        await client.send(
            b"POST /health HTTP/1.1\r\nHost: localhost\r\n"
            + UPGRADE
            + framed(hidden, "length")
            + b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        told = await client.read_until(b'"ok"}')
        client.writer.close()
        await client.writer.wait_closed()
    assert told.count(b"HTTP/1.1 ") == 2
    assert b"set-cookie" not in told
    assert graph.heard.messages == []
