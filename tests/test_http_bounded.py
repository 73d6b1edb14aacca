#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""No request holds the loop that audio shares, and no answer is long."""

import contextlib
import json

import pytest
from starlette.types import Receive, Scope, Send
from support.http_serving import CREATE, ScriptedGraph, serving
from test_http_server import Client, site, start_answer

from ten_packages.extension.tavus_http_python import (
    connection,
    conversation_routes,
)
from ten_packages.extension.tavus_http_python.answers import Refusal
from ten_packages.extension.tavus_http_python.json_body import (
    InvalidMessageError,
    read_object,
)

JSON = {"Content-Type": "application/json"}
POST = b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
MANY = json.dumps({f"k{number}": 0 for number in range(20_000)}).encode()


@pytest.mark.parametrize(
    "body",
    [
        MANY,
        b'{"greeting":[' + b"[]," * 80_000 + b"[]]}",
        b'{"greeting":[' + b"1e5," * 60_000 + b"1]}",
        b'{"greeting":' + b'"a"' * 80_000 + b"}",
        b'{"greeting":"' + b'\\"' * 100_000,  # without an end
        b'{"greeting":' + b'"\\' * 100_000,
    ],
    ids=["fields", "lists", "numbers", "texts", "no end", "backslashes"],
)
async def test_a_wish_of_many_members_is_not_read_and_answered_shortly(
    body: bytes,
) -> None:
    graph = ScriptedGraph()
    async with (
        serving(graph) as (_, browser),
        browser.session.post(CREATE, data=body, headers=JSON) as response,
    ):
        told = await response.read()
        assert response.status == 422
    assert len(told) < 1000
    assert graph.heard.messages == []


async def test_a_wish_may_be_full_of_commas() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (_, browser):
        status, _ = await browser.create(
            conversational_context='"1,2";[{' * 5000
        )
        assert status == 200


async def test_of_many_problems_the_first_are_told_and_the_rest_counted() -> (
    None
):
    async with serving() as (_, browser):
        wish = {f"k{number}": 0 for number in range(20)}
        status, reply = await browser.create(**wish)
    assert status == 422
    assert reply["msg"].count("unknown field") == 5
    assert reply["msg"].endswith("and 15 more")


def test_no_refusal_is_long_whatever_it_quotes() -> None:
    assert len(Refusal("server", "x" * 100_000).answer().body) < 5000


async def test_a_create_is_counted_before_its_body_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[object] = []
    read_body = conversation_routes.read_body

    async def reading(*given: object) -> bytes:
        read.append(given)
        return await read_body(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(conversation_routes, "read_body", reading)
    async with serving(create_limit="2/hour") as (_, browser):
        said = [
            (await browser.ask("POST", CREATE, data=b"{", headers=JSON))[0]
            for _ in range(5)
        ]
    assert said == [422] * 2 + [429] * 3
    assert len(read) == 2


def test_a_message_has_so_many_members_and_a_text_any() -> None:
    text = "," * 100_000
    assert read_object(json.dumps({"text": text}).encode())["text"] == text
    with pytest.raises(InvalidMessageError, match="too many members"):
        read_object(MANY)
    assert len(read_object(MANY, most_parts=100_000)) == 20_000


def test_a_number_of_many_digits_is_read_as_javascript_reads_it() -> None:
    body = b'{"a": %s, "b": %s, "c": %s}' % (b"9" * 40, b"9" * 41, b"9" * 5000)
    assert read_object(body) == {"a": int("9" * 40), "b": 1e41, "c": None}


async def drain(_: Scope, receive: Receive, send: Send) -> None:
    """Reads all, then says ok."""
    while (await receive()).get("more_body"):
        pass
    await start_answer(send)
    await send({"type": "http.response.body", "body": b"ok"})


async def flood(client: Client, data: bytes) -> None:
    """Sends what may not be taken to its end."""
    with contextlib.suppress(ConnectionError):
        await client.send(data)


async def test_a_body_in_one_byte_chunks_is_cut_off() -> None:
    async with site(drain) as there:
        client = await there.connect()
        await flood(client, POST + b"1\r\nx\r\n" * 40_000)
        assert b"ok" not in await client.rest()
        assert await there.get()  # the others are served


async def test_a_body_in_small_chunks_is_fine() -> None:
    async with site(drain) as there:
        client = await there.connect()
        await client.send(POST + b"1\r\nx\r\n" * 4000 + b"0\r\n\r\n")
        assert b"ok" in await client.read_until(b"ok")


async def test_little_is_parsed_before_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces: list[int] = []
    receive = connection.Connection.data_received

    def counting(self: connection.Connection, data: bytes) -> None:
        pieces.append(len(data))
        receive(self, data)

    monkeypatch.setattr(connection.Connection, "data_received", counting)
    async with site(drain) as there:
        client = await there.connect()
        await client.send(POST + b"fffff\r\n" + b"x" * 0xFFFFF)
        await client.send(b"\r\n0\r\n\r\n")
        await client.read_until(b"ok")
    assert max(pieces) <= 8192
    assert sum(pieces) > 0xFFFFF


async def test_a_head_of_many_small_headers_is_too_long() -> None:
    async with site(drain) as there:
        client = await there.connect()
        await client.send(
            b"GET / HTTP/1.1\r\nHost: here\r\n" + b"a:\r\n" * 600 + b"\r\n"
        )
        status, data = await client.refusal()
    assert (status, data["kind"]) == (431, "too_large")
