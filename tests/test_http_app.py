#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The HTTP extension on the runtime; the test is the graph it talks to."""

import asyncio
import gc
from typing import Any

import pytest
from support.http_node import Browser, Refused, TenRun
from ten_runtime import StatusCode

MADE = {
    "conversation_id": "c123",
    "conversation_url": "https://tavus.daily.co/c123",
    "join_url": "https://tavus.daily.co/c123?t=token",
}

pytestmark = pytest.mark.usefixtures("ten_app")


async def made(_: dict[str, Any]) -> dict[str, Any]:
    return MADE


class Held:
    """An answer that comes when the test says so."""

    def __init__(self, answer: dict[str, Any] | Refused) -> None:
        self._answer = answer
        self._released = asyncio.Event()

    async def __call__(self, _: dict[str, Any]) -> dict[str, Any]:
        await self._released.wait()
        if isinstance(self._answer, Refused):
            raise self._answer
        return self._answer

    def release(self) -> None:
        self._released.set()


async def test_create_answers_with_the_conversation() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = made
        status, reply = await browser.create(
            user_id="u1", channel="room 1", custom_greeting="Hi", pal_id=""
        )
        assert (status, reply) == (
            200,
            {"code": "0", "data": {**MADE, "user_id": "u1"}, "msg": "ok"},
        )
        assert run.commands.messages == [
            (
                "start_conversation",
                {
                    "remote_user_id": "u1",
                    "channel": "room 1",
                    "custom_greeting": "Hi",
                },
            )
        ]


async def test_a_property_that_there_is_not_is_in_the_log(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with TenRun({"auth_tokn": "a-token-of-some-length"}):
        pass
    log = "".join(capfd.readouterr())
    assert '"auth_tokn": unknown property; did you mean auth_token?' in log
    assert "a-token-of-some-length" not in log


async def test_every_create_without_a_user_is_another_user() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = made
        path = "/api/tavus/conversation/create"
        _, first = await browser.ask("POST", path)
        _, second = await browser.ask("POST", path, data=b" ")
        users = [first["data"]["user_id"], second["data"]["user_id"]]
        assert [
            sent["remote_user_id"]
            for sent in run.commands.named("start_conversation")
        ] == users
        assert users[0] != users[1]
        assert min(len(user) for user in users) >= 20


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("validation", 422, "1001"),
        # The configured persona: nobody named one.
        ("not_found", 503, "3001"),
        ("cancelled", 409, "1005"),
        ("auth", 502, "2001"),
        ("credits", 503, "2002"),
        ("concurrency", 503, "2003"),
        ("rate_limited", 503, "2004"),
        ("server", 502, "2005"),
        ("network", 502, "2006"),
        ("protocol", 502, "2007"),
        ("timeout", 504, "2008"),
        ("config", 503, "3001"),
        ("stopping", 503, "3003"),
        ("internal", 500, "3004"),
        ("a kind of tomorrow", 500, "3005"),
    ],
)
async def test_a_start_that_fails_says_why(
    kind: str, status: int, code: str
) -> None:
    async def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refused({"kind": kind, "detail": "out of minutes", "status": 9})

    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = refuse
        said, reply = await browser.create()
        assert (said, reply["code"]) == (status, code)
        assert reply["data"]["detail"] == reply["msg"] == "out of minutes"


@pytest.mark.parametrize(
    "name", ["persona_id", "pal_id", "replica_id", "face_id"]
)
async def test_a_persona_or_replica_that_is_not_there_is_404(name: str) -> None:
    async def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refused({"kind": "not_found", "detail": "Invalid id"})

    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = refuse
        status, reply = await browser.create(**{name: "x1"})
        assert (status, reply["code"]) == (404, "1002")
        assert reply["msg"] == "Invalid id"


async def test_a_start_refused_by_the_runtime_is_the_graphs_fault() -> None:
    async def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refused({"detail": "Path timeout."})

    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = refuse
        status, reply = await browser.create()
        assert (status, reply["code"]) == (503, "3002")
        assert reply["data"] == {"kind": "graph", "detail": "Path timeout."}


async def test_a_start_without_an_id_is_the_graphs_fault() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        status, reply = await browser.create()
        assert (status, reply["data"]["kind"]) == (503, "graph")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "body: Invalid JSON"),
        (b"[]", "body: Input should be an object"),
        (
            b'{"greting": "hi"}',
            'body: unknown field "greting"; known are custom_greeting, ',
        ),
        (
            b'{"' + b"x" * 50 + b'": 1}',
            'body: unknown field "' + "x" * 39 + '\\u2026"; known are ',
        ),
        (
            b'{"custom_greeting": "a", "greeting": "b"}',
            "body: custom_greeting and greeting are two names of one thing; "
            "send one",
        ),
        (
            b'{"pal_id": "p1", "persona_id": "p1"}',
            "body: persona_id and pal_id are two names of one thing; send one",
        ),
        (
            b'{"user_id": "a b", "greting": "hi", "channel": 7}',
            "user_id: String should match pattern '^$|^[A-Za-z0-9_.:@+\\-]"
            "{1,128}$'; channel: Input should be a valid string; body: unknown "
            'field "greting"; known are',
        ),
        (b'{"custom_greeting": 5}', "custom_greeting: Input should be a"),
        (
            b'{"language": "' + b"x" * 65 + b'"}',
            "language: not a language that Tavus lists; write a name or a "
            "code, such as english, en or en-US",
        ),
        (b'{"replica_id": "../x"}', "replica_id: String should match"),
        (b'{"user_id": "a b"}', "user_id: String should match"),
        (b'{"user_id": "a\\n"}', "user_id: String should match"),
    ],
)
async def test_a_body_that_is_wrong_is_explained(
    body: bytes, message: str
) -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        status, reply = await browser.ask(
            "POST",
            "/api/tavus/conversation/create",
            data=body,
            headers={"Content-Type": "application/json"},
        )
        assert (status, reply["code"]) == (422, "1001")
        assert reply["msg"].startswith(message)
        assert reply["data"]["kind"] == "validation"
        assert run.commands.messages == []


async def test_a_body_without_end_is_refused() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        status, reply = await browser.ask(
            "POST",
            "/api/tavus/conversation/create",
            data=b'{"custom_greeting": "' + b"x" * 300_000,
        )
        assert (status, reply["code"]) == (413, "1004")


async def test_delete_ends_the_conversation() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = made
        await browser.create(user_id="u1")
        assert await browser.end("c123") == (
            200,
            {"code": "0", "data": {"conversation_id": "c123"}, "msg": "ok"},
        )
        assert run.commands.named("end_conversation") == [
            {"conversation_id": "c123"}
        ]


async def test_delete_of_what_does_not_run_is_404() -> None:
    async def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refused({"kind": "not_found", "detail": "it is over"})

    async with TenRun() as run, Browser(run.url) as browser:
        status, reply = await browser.end("c123")
        assert (status, reply["code"]) == (404, "1002")
        assert reply["msg"] == (
            "no conversation c123 of yours is known; ask with the cookie "
            "(tavus_session) or the user_id with which it was created"
        )
        run.answers["start_conversation"] = made
        run.answers["end_conversation"] = refuse
        await browser.create(user_id="u1")
        status, reply = await browser.end("c123")
        assert (status, reply["code"]) == (404, "1002")
        assert reply["msg"] == "it is over"


async def test_delete_of_what_has_ended_says_so_and_why() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = made
        await browser.create(user_id="u1")
        tab = await browser.listen("u1")
        assert (await tab.next() or ("",))[0] == "tavus_conversation_created"
        await run.send(
            "tavus_conversation_ended",
            conversation_id="c123",
            reason="max_call_duration reached",
            duration_ms=7,
            remote_user_id="u1",
        )
        assert (await tab.next() or ("",))[0] == "tavus_conversation_ended"
        for _ in range(2):
            status, reply = await browser.end("c123")
            assert (status, reply["code"]) == (404, "1002")
            assert reply["msg"] == (
                "conversation c123 has ended already: max_call_duration reached"
            )
        # Of somebody else's nothing is said.
        status, reply = await browser.end("c123", "u2")
        assert status == 404
        assert reply["msg"].startswith("no conversation c123 of yours is known")
        assert run.commands.named("end_conversation") == []


async def test_what_plain_curl_created_is_ended_with_its_cookie() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = made
        path = "/api/tavus/conversation/create"
        async with browser.session.post(path) as response:
            cookie = response.cookies["tavus_session"].value
        path = "/api/tavus/conversation/c123"
        status, reply = await browser.ask("DELETE", path)
        assert status == 404
        assert "cookie (tavus_session) or the user_id" in reply["msg"]
        jar = {"Cookie": f"tavus_session={cookie}"}
        status, _ = await browser.ask("DELETE", path, headers=jar)
        assert status == 200


@pytest.mark.parametrize("name", ["greeting", "custom_greeting"])
async def test_the_greeting_has_two_names(name: str) -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = made
        status, _ = await browser.create(user_id="u1", **{name: "Hi"})
        assert status == 200
        assert run.commands.named("start_conversation") == [
            {"remote_user_id": "u1", "custom_greeting": "Hi"}
        ]


async def test_delete_that_takes_too_long_is_504() -> None:
    held = Held({})
    async with (
        TenRun({"request_timeout_s": 0.1}) as run,
        Browser(run.url) as browser,
    ):
        run.answers["start_conversation"] = made
        run.answers["end_conversation"] = held
        await browser.create(user_id="u1")
        status, reply = await browser.end("c123")
        assert (status, reply["code"]) == (504, "2008")
        assert reply["msg"] == (
            "its end was not confirmed within 0.1 s; it is still being tried"
        )
        held.release()


@pytest.mark.parametrize("conversation_id", ["a%20b", "ü", "x" * 257])
async def test_delete_of_no_id_is_refused(conversation_id: str) -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        status, reply = await browser.end(conversation_id)
        assert (status, reply["code"]) == (422, "1001")
        assert run.commands.messages == []


async def test_a_start_too_late_for_its_client_is_ended() -> None:
    held = Held(MADE)
    async with (
        TenRun({"request_timeout_s": "0.1"}) as run,
        Browser(run.url) as browser,
    ):
        run.answers["start_conversation"] = held
        status, reply = await browser.create()
        assert (status, reply["code"]) == (504, "2008")
        assert reply["msg"] == (
            "no conversation within 0.1 s; if it still comes, it is ended"
        )
        assert run.commands.named("end_conversation") == []
        held.release()
        ended = await run.commands.get("end_conversation")
        assert ended == {"conversation_id": "c123", "if_unused": True}


async def give_up(run: TenRun, browser: Browser, user_id: str = "u1") -> None:
    """Asks for a conversation, and goes before there is an answer."""
    count = len(run.commands.named("start_conversation"))
    asking = asyncio.create_task(browser.create(user_id=user_id))
    await run.commands.get("start_conversation", count + 1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def seen(run: TenRun, browser: Browser) -> None:
    """Waits until the extension has dealt with what came before."""
    await browser.ask("GET", "/health")
    await run.command("are_you_there")


async def test_a_start_whose_client_has_gone_is_ended() -> None:
    held = Held(MADE)
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = held
        await give_up(run, browser)
        await seen(run, browser)
        held.release()
        ended = await run.commands.get("end_conversation")
        assert ended == {"conversation_id": "c123", "if_unused": True}


async def test_what_cannot_be_ended_late_does_no_harm() -> None:
    async def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refused({"kind": "not_found", "detail": "it is over"})

    held = Held(MADE)
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = held
        run.answers["end_conversation"] = refuse
        await give_up(run, browser)
        await seen(run, browser)
        held.release()
        await run.commands.get("end_conversation")
        status, _ = await browser.ask("GET", "/health")
        assert status == 200


async def test_a_late_failure_ends_nothing() -> None:
    held = Held(Refused({"kind": "credits", "detail": "none"}))
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = held
        await give_up(run, browser)
        await seen(run, browser)
        held.release()
        run.answers["start_conversation"] = made
        status, _ = await browser.create()
        assert status == 200
        await seen(run, browser)
        assert run.commands.named("end_conversation") == []


async def test_what_is_not_there_is_said_in_the_same_envelope() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        status, reply = await browser.ask("GET", "/nothing")
        assert (status, reply["code"]) == (404, "1002")
        assert reply["msg"] == "GET /nothing: see /docs for what there is"
        status, reply = await browser.ask("PUT", "/health")
        assert (status, reply["code"]) == (405, "1003")
        assert reply["msg"] == "PUT /health: it takes GET"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/tavus/conversation/create"),
        ("DELETE", "/api/tavus/conversation/c123"),
        ("GET", "/api/tavus/events?user_id=u1"),
    ],
)
async def test_a_page_of_another_site_is_refused(
    method: str, path: str, headers: dict[str, str]
) -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        status, reply = await browser.ask(method, path, headers=headers)
        assert (status, reply["code"]) == (403, "1006")
        assert run.commands.messages == []


async def test_the_own_page_is_served() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        run.answers["start_conversation"] = made
        status, _ = await browser.ask(
            "POST",
            "/api/tavus/conversation/create",
            headers={"Origin": run.url, "Sec-Fetch-Site": "same-origin"},
        )
        assert status == 200


async def test_health() -> None:
    async with TenRun() as run, Browser(run.url) as browser:
        assert await browser.ask("GET", "/health") == (
            200,
            {"code": "0", "data": {"status": "ok"}, "msg": "ok"},
        )


async def test_a_port_in_use_is_reported_and_the_worker_lives() -> None:
    async with TenRun() as first:
        async with TenRun({"port": first.port}) as second:
            problem = await second.data.get("error")
            assert problem["message"].startswith(
                f"cannot listen on 127.0.0.1 port {first.port}: "
            )
            assert problem["code"] == -1000
            assert problem["metadata"] == {"kind": "config"}
            await second.send("tavus_event", event_type="x")
            status, _ = await second.command("hello")
            assert status == StatusCode.ERROR
        async with Browser(first.url) as browser:
            assert (await browser.ask("GET", "/health"))[0] == 200


async def test_a_bad_property_is_reported_and_the_worker_lives() -> None:
    async with TenRun({"port": "http"}) as run:
        problem = await run.data.get("error")
        assert problem["message"] == (
            'tavus_http: port: "http" is no port; write a whole number from '
            "0 (any free port) to 65535"
        )
        status, answer = await run.command("hello")
        assert status == StatusCode.ERROR
        assert answer == {
            "kind": "validation",
            "detail": "tavus_http_python takes no commands, not hello",
        }


async def test_a_host_for_everybody_works_like_any_other() -> None:
    async with TenRun({"host": "0.0.0.0"}) as run, Browser(run.url) as browser:
        assert (await browser.ask("GET", "/health"))[0] == 200


async def test_what_stays_is_no_work_for_the_garbage_collector():
    before = gc.get_freeze_count()
    async with TenRun():
        assert gc.get_freeze_count() > before + 50_000
    assert gc.get_freeze_count() == 0
