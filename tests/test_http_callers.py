#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Whose a conversation is: cookies, names, tokens and addresses."""

import re
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest
from support.http_serving import (
    CREATED,
    ENDED,
    ScriptedGraph,
    conversation,
    ended,
    serving,
)

from ten_packages.extension.tavus_http_python.callers import (
    Callers,
    public_name,
)

TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
LIST = "/api/tavus/conversation"


def known(session: str) -> dict[str, str]:
    return {"Cookie": f"tavus_session={session}"}


ANNE = known("a" * 43)
BERT = known("b" * 43)


def client_of(
    peer: str, *, proxies: str = "", forwarded: str = "", proto: str = ""
) -> tuple[str, bool]:
    networks = [ip_network(name) for name in proxies.split()]
    scope = {"client": (peer, 1), "scheme": "http"}
    headers = {
        b"x-forwarded-for": forwarded.encode(),
        b"x-forwarded-proto": proto.encode(),
    }
    caller = Callers("", networks).caller(scope, headers)
    return caller.client, caller.secure


async def test_a_browser_gets_a_cookie_that_scripts_cannot_read() -> None:
    async with serving() as (_, browser):
        async with browser.session.get("/api/tavus/config") as response:
            cookie = response.headers["Set-Cookie"]
        assert re.fullmatch(
            r"tavus_session=[\w-]{43}; Path=/; HttpOnly; SameSite=Strict",
            cookie,
        )
        async with browser.session.get(
            "/api/tavus/config", headers=ANNE
        ) as response:
            assert "Set-Cookie" not in response.headers


async def test_the_cookie_is_secure_where_the_browser_came_by_https() -> None:
    async with (
        serving(trusted_proxies="127.0.0.1") as (_, browser),
        browser.session.get(
            "/api/tavus/config", headers={"X-Forwarded-Proto": "https"}
        ) as response,
    ):
        assert response.headers["Set-Cookie"].endswith("; Secure")


async def test_the_public_name_is_no_way_back_to_the_cookie() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (_, browser):
        _, reply = await browser.ask("POST", f"{LIST}/create", headers=ANNE)
        name = reply["data"]["user_id"]
        assert re.fullmatch(r"web-[\w-]{22}", name)
        assert name == public_name("a" * 43)
        assert "a" * 43 not in str(graph.heard.messages)
        assert graph.heard.named("start")[0]["remote_user_id"] == name


async def test_create_and_events_make_a_browser_known_too() -> None:
    async with serving() as (_, browser):
        for method, path in (
            ("POST", f"{LIST}/create"),
            ("GET", "/api/tavus/events"),
        ):
            async with browser.session.request(method, path) as response:
                assert "tavus_session=" in response.headers["Set-Cookie"]


async def test_only_who_made_it_sees_it_and_ends_it() -> None:
    graph = ScriptedGraph()
    async with serving(graph) as (_, browser):
        _, reply = await browser.ask("POST", f"{LIST}/create", headers=ANNE)
        path = f"{LIST}/{reply['data']['conversation_id']}"
        for whose in (BERT, {}, known("short")):
            for method in ("GET", "DELETE"):
                status, reply = await browser.ask(method, path, headers=whose)
                assert (status, reply["code"]) == (404, "1002")
            _, reply = await browser.ask("GET", LIST, headers=whose)
            assert reply["data"] == {"conversations": []}
            status, _ = await browser.ask(
                "POST",
                f"{path}/interaction",
                headers=whose,
                json={"event_type": "conversation.joined"},
            )
            assert status == 404
        assert graph.heard.named("end") == graph.heard.named("event") == []
        status, reply = await browser.ask("GET", path, headers=ANNE)
        assert (status, reply["data"]["status"]) == (200, "active")
        status, _ = await browser.ask("DELETE", path, headers=ANNE)
        assert status == 200


async def test_somebody_elses_and_nobodys_are_told_apart_by_nothing() -> None:
    async with serving() as (service, browser):
        service.publish(CREATED, conversation("u1", "c1"))
        replies = [
            await browser.ask("GET", f"{LIST}/{name}", headers=ANNE)
            for name in ("c1", "c2")
        ]
        texts = [str(reply).replace("c2", "c1") for reply in replies]
        assert texts[0] == texts[1]


async def test_what_the_channel_shares_is_everybodys() -> None:
    async with serving() as (service, browser):
        service.publish(CREATED, conversation("", "c1"))
        for whose in (ANNE, BERT):
            _, reply = await browser.ask("GET", LIST, headers=whose)
            [listed] = reply["data"]["conversations"]
            assert (listed["conversation_id"], listed["user_id"]) == ("c1", "")


async def test_one_start_given_to_two_users_is_shared() -> None:
    # As tavus_python answers with conversation_scope "channel".
    async with serving() as (_, browser):
        for user_id in ("u1", "u2"):
            await browser.create(user_id=user_id, face_id="c1")
        _, reply = await browser.ask("GET", f"{LIST}/c1?user_id=u1")
        assert reply["data"]["user_id"] == ""


async def test_a_list_holds_what_runs_with_its_join_url() -> None:
    async with serving() as (service, browser):
        service.publish(CREATED, conversation("u1", "c1"))
        service.publish(CREATED, conversation("u2", "c2"))
        service.publish(CREATED, conversation("u1", "c3", channel="room"))
        service.publish(ENDED, ended("u1", "c1"))
        _, reply = await browser.ask("GET", f"{LIST}?user_id=u1")
        assert reply["data"]["conversations"][0].pop("age_ms") >= 0
        assert reply["data"] == {
            "conversations": [
                {
                    "conversation_id": "c3",
                    "conversation_url": "https://x/c3",
                    "join_url": "https://x/c3?t=secret",
                    "user_id": "u1",
                    "channel": "room",
                    "transport": "daily",
                }
            ]
        }


async def test_what_has_ended_says_why_and_opens_nothing() -> None:
    async with serving() as (service, browser):
        service.publish(CREATED, conversation("u1"))
        service.publish(ENDED, ended("u1", reason="max_call_duration"))
        _, reply = await browser.ask("GET", f"{LIST}/c1?user_id=u1")
        assert reply["data"].pop("age_ms") >= 0
        assert reply["data"] == {
            "conversation_id": "c1",
            "conversation_url": "https://x/c1",
            "join_url": "",
            "user_id": "u1",
            "channel": "",
            "transport": "daily",
            "status": "ended",
            "reason": "max_call_duration",
            "duration_ms": 1500,
        }
        status, _ = await browser.end("c1")
        assert status == 404


async def test_an_end_heard_before_its_start_keeps_its_owner() -> None:
    async with serving() as (service, browser):
        service.publish(ENDED, ended("u1"))
        service.publish(CREATED, conversation("u1"))
        _, reply = await browser.ask("GET", f"{LIST}/c1?user_id=u1")
        assert reply["data"]["status"] == "ended"
        status, _ = await browser.ask("GET", f"{LIST}/c1?user_id=u2")
        assert status == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_nobody_can_claim_to_be_a_browser(method: str) -> None:
    async with serving() as (service, browser):
        service.publish(CREATED, conversation(public_name("a" * 43)))
        name = public_name("a" * 43)
        for path in (f"{LIST}/c1", f"{LIST}/c9"):
            status, reply = await browser.ask(
                method, path, params={"user_id": name}
            )
            assert (status, reply["code"]) == (422, "1001")
            assert "leave it out" in reply["msg"]
    async with serving() as (_, browser):
        for path in (LIST, "/api/tavus/events"):
            status, _ = await browser.ask("GET", path, params={"user_id": name})
            assert status == 422
        status, _ = await browser.create(user_id=name)
        assert status == 422


async def test_a_backend_with_the_token_alone_sees_and_ends_all() -> None:
    async with serving(auth_token=TOKEN) as (service, browser):
        service.publish(CREATED, conversation("u1", "c1"))
        service.publish(CREATED, conversation("u2", "c2"))
        _, reply = await browser.ask("GET", LIST, headers=BEARER)
        assert len(reply["data"]["conversations"]) == 2
        _, reply = await browser.ask(
            "GET", LIST, headers=BEARER, params={"user_id": "u2"}
        )
        [listed] = reply["data"]["conversations"]
        assert listed["conversation_id"] == "c2"
        # A browser that was given the token is still that browser alone.
        _, reply = await browser.ask("GET", LIST, headers={**BEARER, **ANNE})
        assert reply["data"] == {"conversations": []}
        status, _ = await browser.ask("DELETE", f"{LIST}/c1", headers=BEARER)
        assert status == 200


async def test_an_ended_conversation_is_forgotten_in_the_end() -> None:
    async with serving() as (service, browser):
        for number in range(1001):
            service.publish(ENDED, ended("u1", f"c{number}"))
        status, _ = await browser.ask("GET", f"{LIST}/c0?user_id=u1")
        assert status == 404
        status, _ = await browser.ask("GET", f"{LIST}/c1?user_id=u1")
        assert status == 200


async def test_a_message_without_an_id_is_no_conversation() -> None:
    async with serving(auth_token=TOKEN) as (service, browser):
        service.publish(CREATED, {"remote_user_id": "u1"})
        _, reply = await browser.ask("GET", LIST, headers=BEARER)
        assert reply["data"] == {"conversations": []}


@pytest.mark.parametrize(
    ("peer", "options", "client"),
    [
        ("10.0.0.9", {}, "10.0.0.9"),
        ("::ffff:10.0.0.9", {}, "10.0.0.9"),
        ("2001:db8:1:2:3:4:5:6", {}, "2001:db8:1:2::/64"),
        ("fe80::1%eth0", {}, "fe80::/64"),
        # Anybody can send the header; only a proxy is believed.
        ("10.0.0.9", {"forwarded": "1.1.1.1"}, "10.0.0.9"),
        (
            "10.0.0.9",
            {"forwarded": "1.1.1.1", "proxies": "10.0.0.8"},
            "10.0.0.9",
        ),
        (
            "10.0.0.9",
            {"forwarded": "6.6.6.6, 1.1.1.1", "proxies": "10.0.0.0/8"},
            "1.1.1.1",
        ),
        (
            "10.0.0.9",
            {"forwarded": "1.1.1.1, 10.0.0.3", "proxies": "10.0.0.0/8"},
            "1.1.1.1",
        ),
        ("10.0.0.9", {"forwarded": "", "proxies": "10.0.0.9"}, "10.0.0.9"),
        (
            "10.0.0.9",
            {"forwarded": "1.1.1.1, bogus", "proxies": "10.0.0.9"},
            "10.0.0.9",
        ),
        (
            "::ffff:10.0.0.9",
            {"forwarded": "2001:db8::1", "proxies": "10.0.0.9"},
            "2001:db8::/64",
        ),
    ],
)
def test_the_address_that_limits_count_by(
    peer: str, options: dict[str, Any], client: str
) -> None:
    assert client_of(peer, **options)[0] == client


@pytest.mark.parametrize(
    ("proxies", "proto", "secure"),
    [
        ("", "https", False),
        ("10.0.0.9", "https", True),
        ("10.0.0.9", "https, http", False),
        ("10.0.0.9", "", False),
    ],
)
def test_whether_it_came_by_https(
    proxies: str, proto: str, secure: bool
) -> None:
    assert client_of("10.0.0.9", proxies=proxies, proto=proto)[1] is secure


def test_a_socket_without_an_address_is_one_client() -> None:
    caller = Callers("", []).caller({"client": None}, {})
    assert caller.client == ""


async def test_a_cookie_jar_keeps_a_browser_itself() -> None:
    async with serving() as (service, _):
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(
            service.url, cookie_jar=jar
        ) as session:
            names = set()
            for _ in range(2):
                async with session.post(f"{LIST}/create") as response:
                    reply = await response.json()
                    names.add(reply["data"]["user_id"])
            assert len(names) == 1
