#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""TavusClient on a broken, hostile or absent network.

Each test plays the server itself, byte by byte, and then asks the two
questions that matter: may it have acted (``sent``), is the key still secret.
"""

import asyncio
import contextlib
import json
import traceback

import pytest
from ten_packages.extension.tavus_python import tavus_http
from ten_packages.extension.tavus_python.errors import (
    TavusError,
    TavusNetworkError,
    TavusProtocolError,
    TavusTimeoutError,
)
from ten_packages.extension.tavus_python.tavus_client import TavusClient
from wire_server import answering, free_port, playing, reply

KEY = "tavus-key-that-nobody-may-see"


async def create_at(base_url: str, **options) -> TavusError:
    """The error of a create there, once its secrets have been looked for."""
    options = {"attempts": 1, "timeout_s": 5, **options}
    async with TavusClient(KEY, base_url, **options) as client:
        with pytest.raises(TavusError) as caught:
            await client.create_conversation({"persona_id": "p1"})
        assert KEY not in repr(client)
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + repr(error)
    assert KEY not in shown + repr(vars(error))
    # Nor behind it: aiohttp's own error can hold the request's headers.
    assert error.__cause__ is None
    assert error.__context__ is None
    assert len(error.message) <= 300
    return error


# No connection: nothing was sent


async def test_nobody_listens():
    error = await create_at(f"http://127.0.0.1:{free_port()}/v2")
    assert isinstance(error, TavusNetworkError)
    assert (error.sent, error.retryable, error.status) == (False, True, 0)


async def test_a_host_that_does_not_exist():
    error = await create_at("http://tavus.invalid/v2")
    assert isinstance(error, TavusNetworkError)
    assert not error.sent


async def test_a_host_that_cannot_exist():
    error = await create_at("http://a..b/v2")
    assert isinstance(error, TavusNetworkError)
    assert not error.sent


async def test_tls_to_a_port_that_speaks_none():
    async def play(reader, writer) -> None:
        writer.write(b"220 mail ready\r\n")
        await writer.drain()
        await reader.read()

    async with playing(play) as base_url:
        error = await create_at(base_url.replace("http:", "https:"))
    assert isinstance(error, TavusNetworkError)
    assert not error.sent


async def test_a_connection_that_does_not_come_about_in_time():
    async def play(reader, _writer) -> None:
        await reader.read()  # never a word of TLS

    async with playing(play) as base_url:
        error = await create_at(
            base_url.replace("http:", "https:"), connect_timeout_s=0.05
        )
    assert isinstance(error, TavusTimeoutError)
    assert not error.sent


async def test_a_name_that_is_not_found_in_time(monkeypatch):
    answer = asyncio.Event()

    async def lookup(*_args: object, **_options: object) -> None:
        await answer.wait()

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", lookup)
    error = await create_at("http://tavus.invalid/v2", connect_timeout_s=0.05)
    assert isinstance(error, TavusTimeoutError)
    assert not error.sent


async def test_what_was_not_sent_is_sent_again():
    port = free_port()
    play = answering(reply("200 OK", b'{"conversation_id":"c1"}'))

    class Client(TavusClient):
        """Brings the server up after the first refusal."""

        attempt = 0

        async def _send(self, *args, **options):
            self.attempt += 1
            if self.attempt == 2:
                await running.enter_async_context(playing(play, port))
            return await super()._send(*args, **options)

    base_url = f"http://127.0.0.1:{port}/v2"
    async with contextlib.AsyncExitStack() as running:
        client = Client(KEY, base_url, backoff_s=0.001)
        await running.enter_async_context(client)
        made = await client.create_conversation({"persona_id": "p1"})
    assert made.conversation_id == "c1"
    assert client.attempt == 2


# A connection: it may have been obeyed


async def test_a_reset_instead_of_an_answer():
    async def play(reader, writer) -> None:
        await reader.readuntil(b"}")
        writer.transport.abort()

    async with playing(play) as base_url:
        error = await create_at(base_url)
    assert isinstance(error, TavusNetworkError)
    assert (error.sent, error.status) == (True, 0)


async def test_an_answer_that_breaks_off_has_a_status():
    raw = reply("200 OK", b'{"conversation_id":"c1"}')[:-5]
    async with playing(answering(raw)) as base_url:
        error = await create_at(base_url)
    assert isinstance(error, TavusNetworkError)
    assert (error.sent, error.status) == (True, 200)


async def test_an_answer_that_never_ends_is_a_timeout():
    async def play(reader, writer) -> None:
        await reader.readuntil(b"}")
        writer.write(reply("200 OK", b'{"conversation_id":"c1"}')[:-5])
        await writer.drain()
        await reader.read()

    async with playing(play) as base_url:
        error = await create_at(base_url, timeout_s=0.05)
    assert isinstance(error, TavusTimeoutError)
    assert (error.sent, error.status) == (True, 200)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        reply("200 OK", b"not gzip", "Content-Encoding: gzip"),
        reply("200 OK", b"{}", "X-Long: " + "x" * 70_000),
    ],
)
async def test_what_is_not_http(raw):
    async with playing(answering(raw)) as base_url:
        error = await create_at(base_url)
    assert isinstance(error, TavusProtocolError | TavusNetworkError)
    assert error.sent


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"ok",
        b"[]",
        b"null",
        b"\xff\xfe\xfd",
        b"[" * 100_000,
        b'{"data":[]}',
        b'{"conversation_id":null}',
        b'{"conversation_id":true}',
        b'{"conversation_id":""}',
        b'{"conversation_id":".."}',
        b'{"conversation_id":"' + b"c" * 513 + b'"}',
    ],
)
async def test_a_2xx_without_a_usable_id(body):
    raw = reply("200 OK", body)
    async with playing(answering(raw)) as base_url:
        error = await create_at(base_url)
    assert isinstance(error, TavusProtocolError)
    assert (error.sent, error.status) == (True, 200)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("c1.2", "c1.2"),
        ("../personas/p1", "..%2Fpersonas%2Fp1"),
        ("c1/end?x=1#y", "c1%2Fend%3Fx%3D1%23y"),
        ("c 1\n%2e", "c%201%0A%252e"),
        ("ç1", "%C3%A71"),
        (7, "7"),
    ],
)
async def test_an_id_of_whatever_characters_is_quoted_and_ended(text, quoted):
    raw = reply("200 OK", json.dumps({"conversation_id": text}).encode())
    heads: list[bytes] = []

    async def play(reader, writer) -> None:
        while True:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            if b"Content-Length: 2" in heads[-1]:
                await reader.readexactly(2)
            ends = b"/end HTTP/" in heads[-1]
            writer.write(reply("200 OK", b"") if ends else raw)

    async with (
        playing(play) as base_url,
        TavusClient(KEY, base_url) as client,
    ):
        made = await client.create_conversation({})
        assert made.conversation_id == str(text)
        assert await client.end_conversation(made.conversation_id) is True
    assert heads[1].startswith(
        f"POST /v2/conversations/{quoted}/end HTTP".encode()
    )


async def test_an_answer_without_end_is_not_kept(monkeypatch):
    monkeypatch.setattr(tavus_http, "_MAX_BODY_BYTES", 100_000)

    async def play(reader, writer) -> None:
        await reader.readuntil(b"}")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:  # until the client hangs up
            writer.write(b" " * 65_536)
            await writer.drain()

    async with playing(play) as base_url:
        error = await create_at(base_url)
    assert isinstance(error, TavusProtocolError)
    assert "longer than" in error.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status):
    visitors = 0

    async def elsewhere(_reader, _writer) -> None:
        nonlocal visitors
        visitors += 1

    async with playing(elsewhere) as other:
        raw = reply(f"{status} Moved", b"", f"Location: {other}")
        async with playing(answering(raw)) as base_url:
            error = await create_at(base_url, attempts=3)
    assert visitors == 0
    assert isinstance(error, TavusProtocolError)
    assert not error.retryable


async def test_an_error_that_echoes_the_key_does_not_show_it():
    body = json.dumps({"error": f"key {KEY} is not known"}).encode()
    raw = reply("400 Bad Request", body)
    async with playing(answering(raw)) as base_url:
        error = await create_at(base_url)
    assert error.message == "key *** is not known"


async def test_an_error_that_quotes_the_request_shows_none_of_its_secrets():
    hook = "https://talk.example/api/tavus/webhook/hook-that-nobody-may-see"
    body = {
        "agora_settings": {"token": "007agora-token", "channel": "room1"},
        "callback_url": hook,
        "layers": {"llm": {"api_key": "sk-of-another-vendor"}},
    }

    async def play(reader, writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split()[0])
        said = (await reader.readexactly(length)).decode()
        answer = json.dumps({"error": f"this is wrong: {said}"})
        writer.write(reply("400 Bad Request", answer.encode()))
        await writer.drain()

    async with playing(play) as base_url, TavusClient(KEY, base_url) as client:
        with pytest.raises(TavusError) as caught:
            await client.start_session(body)
    assert caught.value.message == (
        'this is wrong: {"agora_settings":{"token":"***","channel":"room1"},'
        '"callback_url":"***","layers":{"llm":{"api_key":"***"}}}'
    )


def test_no_error_shows_what_looks_like_a_secret():
    error = TavusNetworkError("wss://me:hush@host/?token=hush is of no use")
    assert "hush" not in str(error) + repr(error) + repr(vars(error))
