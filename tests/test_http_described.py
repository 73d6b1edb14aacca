#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The API's description of itself, and what the API really answers."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
from openapi_schema_validator import OAS31Validator
from support.http_node import Browser
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
from ten_packages.extension.tavus_python.languages import NAMES, language_name

from ten_packages.extension.tavus_http_python.answers import ANSWERS
from ten_packages.extension.tavus_http_python.graph import GraphError
from ten_packages.extension.tavus_http_python.languages import (
    LANGUAGE,
    is_language,
)
from ten_packages.extension.tavus_http_python.service import HttpService

README = (
    Path(__file__).resolve().parent.parent
    / "ten_packages/extension/tavus_http_python/README.md"
)
SECRET = "a-secret-of-some-length"
TOKEN = "a-token-of-some-length"
ONE = "/api/tavus/conversation/{conversation_id}"


class Described:
    """Requests whose answers must be as the API says they are."""

    def __init__(self, browser: Browser, description: dict[str, Any]) -> None:
        self._browser = browser
        self.description = description

    async def ask(
        self, method: str, route: str, status: int, **options: Any
    ) -> Any:
        path = route.format(conversation_id="c1", secret=SECRET)
        said, reply = await self._browser.ask(method, path, **options)
        assert said == status, reply
        operation = self.description["paths"][route][method.lower()]
        content = operation["responses"][str(status)]["content"]
        schema = {
            **content["application/json"]["schema"],
            "components": self.description["components"],
        }
        jsonschema.validate(reply, schema, cls=OAS31Validator)
        data = schema.get("$ref", "").removeprefix("#/components/schemas/")
        fields = self.description["components"]["schemas"][data]["properties"]
        assert set(reply) == set(fields)
        return reply["data"]


@asynccontextmanager
async def described(
    graph: ScriptedGraph | None = None, **properties: Any
) -> AsyncIterator[tuple[HttpService, Described]]:
    async with serving(graph, webhook_secret=SECRET, **properties) as (
        service,
        browser,
    ):
        _, description = await browser.ask("GET", "/openapi.json")
        yield service, Described(browser, description)


async def test_what_goes_well_is_as_described() -> None:
    async with described() as (service, api):
        made = await api.ask("POST", CREATE, 200, json={"user_id": "u1"})
        assert made["conversation_id"] == "c1"
        whose = {"params": {"user_id": "u1"}}
        listed = await api.ask("GET", "/api/tavus/conversation", 200, **whose)
        assert len(listed["conversations"]) == 1
        seen = await api.ask("GET", ONE, 200, **whose)
        assert "reason" not in seen
        heard = {"event_type": "conversation.joined"}
        await api.ask("POST", f"{ONE}/interaction", 200, json=heard, **whose)
        hook = {"conversation_id": "c1", "event_type": "x"}
        await api.ask("POST", "/api/tavus/webhook/{secret}", 200, json=hook)
        await api.ask("DELETE", ONE, 200, **whose)
        seen = await api.ask("GET", ONE, 200, **whose)
        assert seen["reason"] == "end_conversation"
        service.publish(ENDED, ended("u1", reason="max_call_duration"))
        seen = await api.ask("GET", ONE, 200, **whose)
        assert (seen["reason"], seen["duration_ms"]) == (
            "max_call_duration",
            1500,
        )
        known = await api.ask("GET", "/api/tavus/config", 200)
        assert known == {
            "version": "0.1.0",
            "token_needed": False,
            "mode": "conversation",
            "simulated": False,
            "limits": {
                "custom_greeting": 4000,
                "conversational_context": 40000,
            },
        }
        await api.ask("GET", "/health", 200)


@pytest.mark.parametrize(
    "kind",
    [
        *("auth", "credits", "concurrency", "rate_limited", "server"),
        *("network", "protocol", "timeout", "config", "graph", "stopping"),
        *("cancelled", "validation", "internal"),
    ],
)
async def test_every_failure_of_a_start_is_as_described(kind: str) -> None:
    graph = ScriptedGraph()
    async with described(graph) as (_, api):
        graph.refusal = GraphError(kind, "no")
        trouble = await api.ask("POST", CREATE, ANSWERS[kind][1], json={})
        assert trouble == {"kind": kind, "detail": "no"}


async def test_every_refusal_is_as_described() -> None:
    async with described(
        auth_token=TOKEN, max_active=1, create_limit="4/hour"
    ) as (service, api):
        await api.ask("POST", CREATE, 401)
        await api.ask("GET", ONE, 403, headers={"Host": "evil.example"})
        token = {"headers": {"Authorization": f"Bearer {TOKEN}"}}
        await api.ask("GET", ONE, 404, **token)
        await api.ask("POST", CREATE, 422, json={"x": 1}, **token)
        await api.ask("POST", CREATE, 413, data=b" " * 300_000, **token)
        service.publish(CREATED, conversation("u1"))
        await api.ask("POST", CREATE, 503, **token)
        await api.ask("POST", CREATE, 503, **token)
        await api.ask("POST", CREATE, 429, **token)


async def test_the_token_is_asked_for_where_it_is_needed() -> None:
    async with described(auth_token=TOKEN) as (_, api):
        wanting = {
            path
            for path, operations in api.description["paths"].items()
            for operation in operations.values()
            if operation.get("security")
        }
        assert wanting == {
            CREATE,
            "/api/tavus/conversation",
            ONE,
            f"{ONE}/interaction",
            "/api/tavus/events",
            "/api/tavus/livekit",
            "/api/tavus/livekit/start",
            "/api/tavus/livekit/{room_name}/stop",
            "/metrics",
        }
    async with described() as (_, api):
        assert "security" not in json.dumps(api.description["paths"])


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/health", "GET"),
        ("GET", "/api/tavus/webhook/x", "POST"),
        ("PATCH", "/api/tavus/conversation/c1", "DELETE, GET"),
        *[
            (method, CREATE, "POST")
            for method in ("GET", "DELETE", "PATCH", "PUT", "OPTIONS")
        ],
        ("OPTIONS", "/api/tavus/events", "GET"),
        ("POST", "/docs", "GET, HEAD"),
    ],
)
async def test_another_method_is_told_which_there_are(
    method: str, path: str, allow: str
) -> None:
    async with (
        serving() as (_, browser),
        browser.session.request(method, path) as response,
    ):
        reply = await response.json()
        assert (response.status, reply["code"]) == (405, "1003")
        assert response.headers["Allow"] == allow


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("POST", "/nothing"),
        ("GET", "/api/tavus/conversation/"),
        ("GET", "/assets/..%2findex.html"),
        ("POST", "/"),
    ],
)
async def test_what_is_not_there_is_404(method: str, path: str) -> None:
    async with serving() as (_, browser):
        status, reply = await browser.ask(method, path)
        assert (status, reply["code"]) == (404, "1002")


@pytest.mark.parametrize(
    ("conversation_id", "user_id"),
    [
        ("c1", "u1"),
        ("c1", "u2"),
        ("c2", "u1"),
        ("c1", "web-x"),
        ("create", "u1"),
        ("created", "u1"),
    ],
)
async def test_the_short_way_and_the_long_way_end_the_same(
    conversation_id: str, user_id: str
) -> None:
    replies = []
    for query in (f"user_id={user_id}", f"user_id={user_id}&x=1"):
        async with serving() as (service, browser):
            service.publish(CREATED, conversation("u1"))
            path = f"/api/tavus/conversation/{conversation_id}?{query}"
            replies.append(await browser.ask("DELETE", path))
    assert replies[0] == replies[1]


@pytest.mark.parametrize("path", [CREATE, "/api/tavus/conversation/c1"])
async def test_a_bug_on_the_short_way_is_a_500_too(path: str) -> None:
    graph, log = ScriptedGraph(), list[str]()
    async with serving(graph, log) as (service, browser):
        service.publish(CREATED, conversation("u1"))
        graph.broken = True
        method = "POST" if path == CREATE else "DELETE"
        status, reply = await browser.ask(
            method, path, params={"user_id": "u1"}
        )
        assert (status, reply["code"]) == (500, "3004")
    assert log == [f"{method} {path}: RuntimeError('a bug')"]


async def test_the_description_needs_no_token() -> None:
    """It is the same for everybody, and nothing in it is secret."""
    async with serving(auth_token=TOKEN, webhook_secret=SECRET) as (_, browser):
        async with browser.session.get("/docs") as response:
            assert response.status == 200
        async with browser.session.get("/openapi.json") as response:
            assert response.status == 200
            text = await response.text()
        assert TOKEN not in text
        assert SECRET not in text
        status, _ = await browser.ask("GET", "/api/tavus/conversation")
        assert status == 401


def test_the_languages_are_those_of_the_other_extension() -> None:
    words = [*NAMES.values(), *NAMES, "multilingual", "fil", "nb", "nn"]
    for word in words:
        assert is_language(word), word
        assert is_language(f" {word.upper()} "), word
        assert language_name(word)
    pattern = re.compile(LANGUAGE)
    known = set(re.findall(r"[a-z]+", LANGUAGE.partition("[_-]")[0]))
    assert known == set(words)
    for word in ("en-US", "pt_BR", "zh-Hans-CN", "fil-PH"):
        assert pattern.fullmatch(word)
        assert language_name(word)
    for word in ("klingon", "xx", "english-US", "en-", "e", "enn", "en\nx"):
        assert not is_language(word), word


async def test_the_page_is_served_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><p>hello")
    (tmp_path / "assets" / "a.js").write_text("let a;")
    async with serving(page_dir=str(tmp_path)) as (_, browser):
        async with browser.session.get("/") as response:
            assert (await response.text()).endswith("hello")
            assert response.content_type == "text/html"
            tag = response.headers["ETag"]
        async with browser.session.get(
            "/", headers={"If-None-Match": tag}
        ) as response:
            assert response.status == 304
        async with browser.session.get("/assets/a.js") as response:
            assert response.content_type == "text/javascript"
        async with browser.session.head("/assets/a.js") as response:
            assert (response.status, await response.read()) == (200, b"")


async def test_metrics_count_what_happened() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (service, browser):
        await browser.create(user_id="u1")
        await browser.create(user_id="u1")
        await browser.end("c1")
        service.publish(ENDED, ended("u1", "c1", "end_conversation"))
        service.publish(CREATED, conversation("u2", "c9"))
        service.publish(ENDED, ended("u2", "c9", "max_call_duration reached"))
        graph.refusal = GraphError("credits", "none")
        await browser.create()
        await browser.ask("GET", "/nothing")
        await browser.ask("GET", "/api/x", headers={"Origin": "null"})
        async with browser.session.get("/metrics") as response:
            assert response.content_type == "text/plain"
            text = await response.text()
        counts = dict(re.findall(r"^(tavus_\S+) (\S+)$", text, re.M))
        assert counts["tavus_conversations_created_total"] == "3.0"
        assert counts["tavus_conversations_active"] == "1.0"
        assert counts["tavus_create_seconds_count"] == "2.0"
        ends = "tavus_conversations_ended_total"
        assert counts[f'{ends}{{reason="end_conversation"}}'] == "1.0"
        assert counts[f'{ends}{{reason="max_call_duration"}}'] == "1.0"
        for kind in ("credits", "not_found", "forbidden"):
            assert counts[f'tavus_errors_total{{kind="{kind}"}}'] == "1.0"


async def test_two_may_ask_for_the_description_at_once() -> None:
    async with serving() as (_, browser):
        replies = await asyncio.gather(
            *(browser.ask("GET", "/openapi.json") for _ in range(3))
        )
        assert replies[0] == replies[1] == replies[2]


def test_the_readme_has_every_kind() -> None:
    table = dict(
        re.findall(
            r"^\| (\d+) \| (?:`(\w+)`|any other) \| \d+ \|",
            README.read_text(encoding="utf-8"),
            re.M,
        )
    )
    assert {code: kind or "unknown" for code, kind in table.items()} == {
        code: kind for kind, (code, _) in ANSWERS.items()
    }


def test_the_page_has_advice_for_every_kind() -> None:
    advice = ROOT / "web" / "src" / "errors.ts"
    kinds = set(
        re.findall(r"^  (\w+): \{$", advice.read_text(encoding="utf-8"), re.M)
    )
    assert set(ANSWERS) <= kinds


async def test_a_client_of_http_1_0_is_served() -> None:
    async with (
        serving() as (service, _),
        aiohttp.ClientSession(
            service.url, version=aiohttp.HttpVersion10
        ) as session,
        session.get("/health") as response,
    ):
        assert response.status == 200
