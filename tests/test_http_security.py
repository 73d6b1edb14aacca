#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What strangers can try, and what it gets them."""

import asyncio
import json
import logging
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from support.http_node import WAIT_S, Browser, TenRun
from support.http_serving import (
    CREATE,
    CREATED,
    ENDED,
    ScriptedGraph,
    conversation,
    ended,
    serving,
)
from support.places import ROOT

from ten_packages.extension.tavus_http_python import bodies
from ten_packages.extension.tavus_http_python.graph import GraphError

TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SECRET = "a-secret-of-some-length"
WEBHOOK = f"/api/tavus/webhook/{SECRET}"
ROOM_GRAPH = ROOT / "examples/tavus-livekit/tenapp/graphs/room.json"
ORIGIN = "https://app.example.com"
JSON = {"Content-Type": "application/json"}

NEEDS_TOKEN = [
    ("POST", CREATE),
    ("GET", "/api/tavus/conversation"),
    ("GET", "/api/tavus/conversation/c1"),
    ("DELETE", "/api/tavus/conversation/c1"),
    ("POST", "/api/tavus/conversation/c1/interaction"),
    ("GET", "/api/tavus/events"),
    ("GET", "/api/tavus/events?user_id=u1"),
    ("GET", "/api/tavus/a-route-of-tomorrow"),
    ("GET", "/metrics"),
]


async def raw(url: str, request: bytes) -> bytes:
    """Sends bytes as they are; what comes back until the server closes."""
    port = int(url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), WAIT_S)
    finally:
        writer.close()
        await writer.wait_closed()


def webhook_of(event_type: str = "system.shutdown", **more: Any) -> Any:
    return {
        "conversation_id": "c1",
        "event_type": event_type,
        "timestamp": "2026-01-01T00:00:00Z",
        "properties": {"shutdown_reason": "max_call_duration"},
        **more,
    }


@pytest.mark.parametrize(("method", "path"), NEEDS_TOKEN)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
    ],
)
async def test_without_the_token_nothing_happens(
    method: str, path: str, authorization: str | None
) -> None:
    graph = ScriptedGraph()
    async with serving(graph, auth_token=TOKEN) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        headers = {} if authorization is None else {"Authorization": ""}
        headers = {name: authorization or "" for name in headers}
        async with browser.session.request(
            method, path, headers=headers
        ) as response:
            reply = await response.json()
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
        assert (reply["code"], reply["data"]["kind"]) == (
            "1007",
            "unauthorized",
        )
        assert TOKEN not in str(reply)
        assert graph.heard.messages == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
async def test_with_the_token_the_api_answers(scheme: str) -> None:
    async with serving(auth_token=TOKEN) as (_, browser):
        status, _ = await browser.ask(
            "POST", CREATE, headers={"Authorization": f"{scheme} {TOKEN}"}
        )
        assert status == 200


async def test_a_page_can_load_and_learn_that_a_token_is_needed() -> None:
    async with serving(auth_token=TOKEN) as (_, browser):
        status, reply = await browser.ask("GET", "/api/tavus/config")
        assert (status, reply["data"]["token_needed"]) == (200, True)
        for path in ("/", "/health", "/openapi.json", "/docs"):
            async with browser.session.get(path) as response:
                assert response.status == 200


async def test_a_token_in_the_url_is_none() -> None:
    async with serving(auth_token=TOKEN) as (_, browser):
        status, _ = await browser.ask(
            "GET", f"/api/tavus/conversation?token={TOKEN}"
        )
        assert status == 401


@pytest.mark.parametrize(
    "path", ["//api/tavus/conversation", "/api/tavus//conversation", "/API/"]
)
async def test_no_spelling_of_a_path_passes_the_guard(path: str) -> None:
    async with serving(auth_token=TOKEN) as (service, _):
        answer = await raw(
            service.url,
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
            "Connection: close\r\n\r\n".encode(),
        )
        assert answer.split()[1] in (b"401", b"404")


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fetc%2fpasswd",
        "..",
        "%2e%2e%2fcreate",
        "a%00b",
        "a%0d%0aSet-Cookie:%20x",
        "c1%3fx=1",
        "%ff%fe",
        "x" * 129,
        "x" * 8000,
        "ü",
    ],
)
async def test_odd_ids_reach_nothing(name: str) -> None:
    graph, log = ScriptedGraph(), list[str]()
    async with serving(graph, log) as (service, _):
        for method in ("GET", "DELETE"):
            answer = await raw(
                service.url,
                f"{method} /api/tavus/conversation/{name} HTTP/1.1\r\n"
                "Host: localhost\r\nConnection: close\r\n\r\n".encode(),
            )
            assert answer.split()[1] in (b"400", b"404", b"422")
            assert b"\nSet-Cookie: x" not in answer
    assert graph.heard.messages == log == []


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8080", "localhost.evil.example", ""),
        *("127.0.0.1.evil.example", "127.0.0.1@evil.example", "::1"),
    ],
)
@pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("token", ["", TOKEN])
async def test_a_name_that_only_leads_here_is_refused(
    host: str, bind: str, token: str
) -> None:
    graph = ScriptedGraph()
    async with serving(graph, host=bind, auth_token=token) as (service, _):
        port = service.url.rsplit(":", 1)[1]
        async with Browser(f"http://127.0.0.1:{port}") as browser:
            status, reply = await browser.ask(
                "POST", CREATE, headers={"Host": host}
            )
        assert (status, reply["code"]) == (403, "1006")
        assert graph.heard.messages == []


@pytest.mark.parametrize(
    ("properties", "host"),
    [
        ({}, "localhost:1"),
        ({}, "127.0.0.1"),
        ({}, "[::1]:8080"),
        ({}, "LOCALHOST"),
        ({"allowed_origins": ORIGIN}, "app.example.com"),
        ({"trusted_proxies": "127.0.0.1"}, "talk.example.com"),
        ({"host": "0.0.0.0"}, "192.0.2.7:8080"),
        ({"host": "0.0.0.0"}, "[2001:db8::7]"),
        ({"host": "0.0.0.0", "allowed_origins": "http://box.lan"}, "Box.Lan"),
        ({"host": "LocalHost"}, "localhost:8080"),
    ],
)
async def test_names_that_we_have_are_served(
    properties: dict[str, Any], host: str
) -> None:
    async with serving(**properties) as (service, _):
        port = service.url.rsplit(":", 1)[1]
        async with Browser(f"http://127.0.0.1:{port}") as browser:
            status, _ = await browser.ask(
                "GET", "/api/tavus/config", headers={"Host": host}
            )
            assert status == 200


async def test_a_webhook_may_come_by_any_name() -> None:
    async with serving(webhook_secret=SECRET) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        status, reply = await browser.ask(
            "POST",
            WEBHOOK,
            json=webhook_of(),
            headers={"Host": "tunnel.example"},
        )
        assert (status, reply["data"]) == (200, {"accepted": True})


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize(("method", "path"), NEEDS_TOKEN)
async def test_a_page_of_another_site_can_do_nothing(
    method: str, path: str, headers: dict[str, str]
) -> None:
    graph = ScriptedGraph()
    async with serving(graph, allowed_origins=ORIGIN) as (_, browser):
        async with browser.session.request(
            method, path, headers=headers
        ) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers
        assert graph.heard.messages == []


async def test_a_page_may_be_linked_to_from_anywhere() -> None:
    async with (
        serving() as (_, browser),
        browser.session.get(
            "/", headers={"Sec-Fetch-Site": "cross-site"}
        ) as response,
    ):
        assert response.status == 200


async def test_a_listed_origin_may_ask_and_read() -> None:
    async with serving(allowed_origins=ORIGIN) as (_, browser):
        for status, path in ((200, "/api/tavus/config"), (404, "/api/x")):
            async with browser.session.get(
                path,
                headers={"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
            ) as response:
                assert response.status == status
                said = response.headers
                assert said["Access-Control-Allow-Origin"] == ORIGIN
                assert said["Access-Control-Allow-Credentials"] == "true"
                assert said["Vary"] == "Origin"


async def test_preflights_are_answered_to_listed_origins_alone() -> None:
    asking = {"Access-Control-Request-Method": "DELETE"}
    async with serving(allowed_origins=ORIGIN, auth_token=TOKEN) as (
        _,
        browser,
    ):
        async with browser.session.options(
            "/api/tavus/conversation/c1", headers={"Origin": ORIGIN, **asking}
        ) as response:
            assert response.status == 204
            said = response.headers
            assert said["Access-Control-Allow-Origin"] == ORIGIN
            assert said["Access-Control-Allow-Methods"] == "GET, POST, DELETE"
            assert "Authorization" in said["Access-Control-Allow-Headers"]
        async with browser.session.options(
            "/api/tavus/conversation/c1",
            headers={"Origin": "https://evil.example", **asking},
        ) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    "path", ["/", "/health", "/api/tavus/config", "/api/none", "/metrics"]
)
async def test_every_answer_keeps_browsers_safe(path: str) -> None:
    async with (
        serving(frame_origins="http://127.0.0.1:8900") as (_, browser),
        browser.session.get(path) as response,
    ):
        said = response.headers
        csp = said["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in csp
        assert "script-src 'self'" in csp
        assert "frame-src https://*.daily.co http://127.0.0.1:8900" in csp
        assert "frame-ancestors 'none'" in csp
        assert "unsafe" not in said["Content-Security-Policy"]
        assert said["X-Content-Type-Options"] == "nosniff"
        assert said["Referrer-Policy"] == "no-referrer"
        assert said["Cross-Origin-Opener-Policy"] == "same-origin"
        assert said["Cross-Origin-Resource-Policy"] == "same-origin"
        assert (
            'camera=(self "https://*.daily.co" "http://127.0.0.1:8900")'
            in said["Permissions-Policy"]
        )
        assert "Server" not in said
        secret = path.startswith("/api") or path == "/metrics"
        assert (said.get("Cache-Control") == "no-store") is secret


@pytest.mark.parametrize(
    ("path", "most"),
    [
        (CREATE, 256 * 1024),
        ("/api/tavus/conversation/c1/interaction?user_id=u1", 1024 * 1024),
        (WEBHOOK, 1024 * 1024),
    ],
)
async def test_a_body_too_long_is_refused_before_and_while_it_comes(
    path: str, most: int
) -> None:
    graph = ScriptedGraph()
    async with serving(graph, webhook_secret=SECRET) as (service, browser):
        service.publish(CREATED, conversation("u1"))

        async def without_end() -> Any:
            while True:
                yield b" " * 10_000

        answer = await raw(
            service.url,
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {most + 1}\r\nConnection: close\r\n\r\n".encode(),
        )
        assert answer.split()[1] == b"413"
        try:
            status, reply = await browser.ask(
                "POST", path, data=without_end(), headers=JSON
            )
            assert (status, reply["code"]) == (413, "1004")
        except aiohttp.ClientOSError:
            pass  # it was cut off while it still sent
        assert graph.heard.messages == []


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999", "x"])
async def test_an_odd_length_is_refused(length: str) -> None:
    async with serving() as (service, _):
        answer = await raw(
            service.url,
            f"POST {CREATE} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {length}\r\nConnection: close\r\n\r\n".encode(),
        )
        assert answer == b"" or answer.split()[1] in (b"400", b"413")


async def test_a_body_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "_READ_TIMEOUT_S", 0.05)
    async with serving() as (service, _):
        answer = await raw(
            service.url,
            f"POST {CREATE} HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Length: 9\r\nConnection: close\r\n\r\n{".encode(),
        )
        assert answer.split()[1] == b"408"
        assert b'"slow"' in answer


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"\x00",
        b'{"custom_greeting": "\xff"}',
        b'{"custom_greeting": "\\ud800"}',
        b'{"custom_greeting": ' + b"9" * 10_000 + b"}",
        b'{"custom_greeting": NaN}',
        b"[" * 100_000,
        b'{"a":' * 30_000,
        b'{"user_id": "u1"} {"user_id": "u2"}',
    ],
)
@pytest.mark.parametrize(
    "path",
    [CREATE, "/api/tavus/conversation/c1/interaction?user_id=u1", WEBHOOK],
)
async def test_a_body_that_is_no_message_is_refused(
    path: str, body: bytes
) -> None:
    graph, log = ScriptedGraph(), list[str]()
    async with serving(graph, log, webhook_secret=SECRET) as (
        service,
        browser,
    ):
        service.publish(CREATED, conversation("u1"))
        status, reply = await browser.ask("POST", path, data=body, headers=JSON)
        assert status in (413, 422)
        assert reply["data"]["kind"] in ("too_large", "validation")
    assert graph.heard.messages == log == []


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"],
)
async def test_a_form_is_no_json(media_type: str) -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (_, browser):
        status, reply = await browser.ask(
            "POST", CREATE, data=b"{}", headers={"Content-Type": media_type}
        )
        assert (status, reply["code"]) == (422, "1001")
        assert reply["msg"].startswith("content-type: ")
        assert graph.heard.messages == []


async def test_one_client_that_floods_is_slowed_and_no_other() -> None:
    async with serving(
        trusted_proxies="127.0.0.1", request_limit="5/minute"
    ) as (_, browser):
        loud = {"X-Forwarded-For": "1.1.1.1"}
        said = [
            (await browser.ask("GET", "/api/tavus/config", headers=loud))[0]
            for _ in range(8)
        ]
        assert said == [200] * 5 + [429] * 3
        status, _ = await browser.ask(
            "GET", "/api/tavus/config", headers={"X-Forwarded-For": "1.1.1.2"}
        )
        assert status == 200
        assert (await browser.ask("GET", "/health"))[0] == 200


async def test_a_client_that_floods_is_told_when_to_come_back() -> None:
    async with serving(request_limit="1/hour") as (_, browser):
        await browser.ask("GET", "/api/tavus/config")
        async with browser.session.get("/api/tavus/config") as response:
            reply = await response.json()
            assert response.status == 429
            assert 1 <= int(response.headers["Retry-After"]) <= 7200
        assert (reply["code"], reply["data"]["kind"]) == ("1008", "too_many")


async def test_guesses_at_the_webhooks_secret_get_nothing() -> None:
    graph, log = ScriptedGraph(), list[str]()
    async with serving(graph, log, webhook_secret=SECRET) as (
        service,
        browser,
    ):
        service.publish(CREATED, conversation("u1"))
        said = []
        for guess in ["x", SECRET[:-1], SECRET + "x", SECRET.upper()] * 3:
            status, reply = await browser.ask(
                "POST", f"/api/tavus/webhook/{guess}", json=webhook_of()
            )
            said.append(status)
            if status == 404:
                _, unknown = await browser.ask(
                    "POST", f"/api/tavus/nothing/{guess}", json=webhook_of()
                )
                text = str(unknown).replace("nothing", "webhook")
                assert str(reply) == text
        assert said == [404] * 10 + [429] * 2
        assert graph.heard.messages == []
        # Who knows it is not kept out by those who do not.
        status, _ = await browser.ask("POST", WEBHOOK, json=webhook_of())
        assert status == 200
    assert log == []


async def test_without_a_secret_there_are_no_webhooks() -> None:
    async with serving() as (service, browser):
        service.publish(CREATED, conversation("u1"))
        for guess in ("x", "", "%20"):
            status, _ = await browser.ask(
                "POST", f"/api/tavus/webhook/{guess}", json=webhook_of()
            )
            assert status == 404


async def test_replayed_and_reordered_webhooks_count_once() -> None:
    graph = ScriptedGraph()
    async with serving(graph, webhook_secret=SECRET) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        first = webhook_of("system.replica_joined", timestamp="1")
        last = webhook_of("system.shutdown", timestamp="2")
        said = [
            (await browser.ask("POST", WEBHOOK, json=each))[1]["data"]
            for each in (last, first, last, first, first)
        ]
        assert [each["accepted"] for each in said] == [
            True,
            True,
            False,
            False,
            False,
        ]
        heard = graph.heard.named("event")
        assert [each["event_type"] for each in heard] == [
            "system.shutdown",
            "system.replica_joined",
        ]
        assert {each["source"] for each in heard} == {"webhook"}
        # A webhook ends nothing: only tavus_python, which asks Tavus, does.
        _, reply = await browser.ask(
            "GET", "/api/tavus/conversation/c1?user_id=u1"
        )
        assert reply["data"]["status"] == "active"


async def test_webhooks_of_other_conversations_are_refused() -> None:
    graph = ScriptedGraph()
    async with serving(graph, webhook_secret=SECRET) as (service, browser):
        for _ in range(2):
            status, reply = await browser.ask(
                "POST", WEBHOOK, json=webhook_of()
            )
            assert (status, reply["code"]) == (404, "1002")
        assert graph.heard.messages == []
        # What has ended is still talked of.
        service.publish(ENDED, ended("u1"))
        status, _ = await browser.ask("POST", WEBHOOK, json=webhook_of())
        assert status == 200


async def test_a_webhook_may_overtake_the_answer_to_its_create() -> None:
    graph = ScriptedGraph()
    graph.silent = True
    async with serving(graph, webhook_secret=SECRET) as (_, browser):
        asking = asyncio.create_task(browser.create(user_id="u1"))
        await graph.heard.get("start")
        graph.silent = False
        status, _ = await browser.ask("POST", WEBHOOK, json=webhook_of())
        assert status == 200
        graph.released.set()
        await asking


@pytest.mark.usefixtures("ten_app")
async def test_no_secret_is_in_the_log_at_debug_level(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = [TOKEN, SECRET, "c" * 43]
    properties = {"auth_token": TOKEN, "webhook_secret": SECRET}
    async with (
        TenRun(properties) as run,
        Browser(run.url) as browser,
    ):
        run.answers["start_conversation"] = _made
        headers = {**BEARER, "Cookie": f"tavus_session={'c' * 43}"}
        for path in ("/api/tavus/config", "/metrics", "/api/x", WEBHOOK):
            async with browser.session.get(path, headers=headers):
                pass
        events = await browser.listen(headers=headers)
        _, reply = await browser.ask("POST", CREATE, headers=headers)
        assert reply["data"]["join_url"].endswith("t=meeting")
        await browser.ask("POST", WEBHOOK, data=b"{", headers=JSON)
        await browser.ask("POST", WEBHOOK, json=webhook_of())
        await browser.ask("POST", f"{WEBHOOK}x", json=webhook_of())
        events.close()
        await run.commands.get("on_user_left")
        sent = json.dumps(run.commands.messages)
    out, err = capfd.readouterr()
    everything = caplog.text + out + err + sent
    assert [secret for secret in secrets if secret in everything] == []
    assert "t=meeting" not in caplog.text + out + err


@pytest.mark.parametrize("headers", [{}, BEARER])
async def test_no_answer_shows_a_secret_of_the_configuration(
    headers: dict[str, str],
) -> None:
    secrets = {
        "auth_token": TOKEN,
        "webhook_secret": SECRET,
        "livekit_api_secret": "a-secret-of-livekit-32-characters",
    }
    livekit = {
        "livekit_graph": str(ROOM_GRAPH),
        "livekit_url": "wss://lk.example.com",
        "livekit_api_key": "key",
    }
    answers = 0
    properties: dict[str, Any] = {**secrets, **livekit}
    async with serving(**properties) as (_, browser):
        for path in (
            *("/", "/docs", "/openapi.json", "/metrics", "/health"),
            *("/api/tavus/config", "/api/tavus/conversation", "/api/x"),
            *(CREATE, "/api/tavus/livekit/start"),
        ):
            for method in ("GET", "POST"):
                async with browser.session.request(
                    method, path, headers=headers, data=b"{"
                ) as reply:
                    told = f"{reply.headers}{await reply.text()}"
                answers += reply.status == 200
                for secret in secrets.values():
                    assert secret not in told, path
    assert answers >= 3


async def _made(_: dict[str, Any]) -> dict[str, Any]:
    return {
        "conversation_id": "c1",
        "conversation_url": "https://x/c1",
        "join_url": "https://x/c1?t=meeting",
    }


async def test_a_failing_webhook_does_not_write_its_address_down() -> None:
    graph, log = ScriptedGraph(), list[str]()
    async with serving(graph, log, webhook_secret=SECRET) as (
        service,
        browser,
    ):
        service.publish(CREATED, conversation("u1"))
        graph.broken = True
        status, reply = await browser.ask("POST", WEBHOOK, json=webhook_of())
        assert (status, reply["code"]) == (500, "3004")
    assert log == ["POST /api/tavus/webhook/: RuntimeError('a bug')"]


HOOK_URL = f"https://app.example.com{WEBHOOK}"


@pytest.mark.parametrize(
    "quoted",
    [
        HOOK_URL,
        WEBHOOK.upper(),
        quote(HOOK_URL, safe=""),
        quote(quote(HOOK_URL, safe=""), safe=""),
        b64encode(HOOK_URL.encode()).decode(),
    ],
)
async def test_what_tavus_quotes_of_the_webhooks_address_is_not_answered(
    quoted: str,
) -> None:
    graph = ScriptedGraph()
    graph.refusal = GraphError("validation", f"callback_url: {quoted} is bad")
    async with serving(graph, webhook_secret=SECRET) as (_, browser):
        status, reply = await browser.create()
    assert status == 422
    assert SECRET not in str(reply).lower()
    assert b64encode(SECRET.encode()).decode()[:8] not in str(reply)
    assert quoted not in str(reply)
    assert reply["msg"].startswith("callback_url: ")
