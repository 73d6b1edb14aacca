#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""TavusClient as an object: arguments, opening, closing, proxies."""

import asyncio
import json
import threading
from pathlib import Path

import pytest
from ten_packages.extension.tavus_python import tavus_http
from ten_packages.extension.tavus_python.errors import (
    TavusAuthError,
    TavusNetworkError,
    TavusServerError,
    TavusValidationError,
)
from ten_packages.extension.tavus_python.tavus_client import (
    VERSION,
    TavusClient,
)
from wire_server import answering, free_port, playing, reply

KEY = "tavus-key-that-nobody-may-see"


# Arguments


@pytest.mark.parametrize(
    "conversation_id",
    ["", ".", "..", "\ud800", "c" * 513, None, True, ["c1"]],
)
async def test_an_id_that_would_lead_elsewhere_is_not_sent(conversation_id):
    async with TavusClient(KEY, f"http://127.0.0.1:{free_port()}") as client:
        for call in (
            client.get_conversation,
            client.end_conversation,
            client.delete_conversation,
            client.get_persona,
            client.get_replica,
        ):
            with pytest.raises(TavusValidationError) as caught:
                await call(conversation_id)
            assert not caught.value.sent


@pytest.mark.parametrize("key", ["", " ", "a b", "key\r\nX: y", "schlüssel"])
def test_a_key_that_no_header_can_carry(key):
    with pytest.raises(TavusAuthError) as caught:
        TavusClient(key)
    if key.strip():
        assert key not in str(caught.value)


@pytest.mark.parametrize(
    "base_url", ["", "tavusapi.com/v2", "ftp://x/v2", "http://", "http://[::1"]
)
def test_a_base_url_that_is_none(base_url):
    with pytest.raises(TavusValidationError):
        TavusClient(KEY, base_url)


async def test_a_body_that_is_no_json_is_not_sent():
    async with TavusClient(KEY, f"http://127.0.0.1:{free_port()}") as client:
        for value in (object(), float("nan")):
            with pytest.raises(TavusValidationError):
                await client.create_conversation({"x": value})


# Opening and closing


async def test_a_closed_client_says_so():
    client = TavusClient(KEY, f"http://127.0.0.1:{free_port()}/v2")
    await client.close()
    await client.close()
    with pytest.raises(TavusNetworkError, match="closed") as caught:
        await client.end_conversation("c1")
    assert not caught.value.sent


async def test_closing_does_not_wait_for_a_peer_that_reads_nothing():
    release = asyncio.Event()

    async def play(reader, _writer) -> None:
        await reader.readexactly(1)
        await release.wait()

    async with playing(play) as base_url:
        client = TavusClient(KEY, base_url)
        body = {"persona_id": "p1", "x": "x" * 8_000_000}
        call = asyncio.create_task(client.create_conversation(body))
        await asyncio.wait([call], timeout=0.2)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.wait_for(client.close(), 5)
        release.set()


async def test_warming_up_opens_the_connection_that_create_uses():
    connections = 0

    async def play(reader, writer) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply("200 OK", b'{"data":[]}'))
        await reader.readuntil(b"}")
        writer.write(reply("200 OK", b'{"conversation_id":"c1"}'))
        await writer.drain()
        await reader.read()

    async with playing(play) as base_url, TavusClient(KEY, base_url) as client:
        assert await client.warm_up() is None
        await client.create_conversation({"persona_id": "p1"})
    assert connections == 1


async def test_warming_up_returns_what_is_wrong():
    raw = reply("503 Unavailable", b"<html>busy</html>")
    async with (
        playing(answering(raw, after=b"\r\n\r\n")) as base_url,
        TavusClient(KEY, base_url) as client,
    ):
        trouble = await client.warm_up()
    assert isinstance(trouble, TavusServerError)
    assert trouble.message == "the answer was a web page"


def test_a_client_can_be_made_where_no_loop_runs():
    made: list[TavusClient] = []
    thread = threading.Thread(target=lambda: made.append(TavusClient(KEY)))
    thread.start()
    thread.join()
    asyncio.run(made[0].close())


# Proxies


async def test_a_proxy_of_the_environment_is_used(monkeypatch):
    seen: list[bytes] = []

    async def proxy(reader, writer) -> None:
        seen.append(await reader.readline())
        await reader.readuntil(b"}")
        writer.write(reply("200 OK", b'{"conversation_id":"c1"}'))
        await writer.drain()

    async with playing(proxy) as proxy_url:
        monkeypatch.setenv("http_proxy", proxy_url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with TavusClient(KEY, "http://tavus.invalid/v2") as client:
            await client.create_conversation({"persona_id": "p1"})
    assert seen == [b"POST http://tavus.invalid/v2/conversations HTTP/1.1\r\n"]


@pytest.mark.parametrize("proxy", ["socks5://nowhere:1", "http://", "//x"])
async def test_a_proxy_that_is_none_is_told(monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with TavusClient(KEY, "http://tavus.invalid/v2") as client:
        with pytest.raises(TavusNetworkError, match="http_proxy") as caught:
            await client.get_conversation("c1")
    assert not caught.value.sent
    assert not caught.value.retryable


async def test_a_loopback_address_has_no_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://tavus.invalid:1")
    raw = reply("200 OK", b'{"conversation_id":"c1"}')
    async with (
        playing(answering(raw)) as base_url,
        TavusClient(KEY, base_url) as client,
    ):
        made = await client.create_conversation({"persona_id": "p1"})
    assert made.conversation_id == "c1"


def test_the_user_agent_has_the_version_of_the_package():
    root = Path(tavus_http.__file__).resolve().parent
    manifest = json.loads((root / "manifest.json").read_text("utf-8"))
    assert manifest["version"] == VERSION
