#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The properties of the HTTP extension: what is read, what is refused."""

import dataclasses
import json
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from ten_packages.extension.tavus_http_python.config import (
    ConfigError,
    HttpConfig,
)

PACKAGE = (
    Path(__file__).parent.parent / "ten_packages/extension/tavus_http_python"
)


def problem_of(**properties: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        HttpConfig.load(properties)
    return str(caught.value)


def test_blank_properties_are_the_defaults() -> None:
    fields = {field.name for field in dataclasses.fields(HttpConfig)}
    names = fields - {"livekit", "warnings"}
    blank = HttpConfig.load(dict.fromkeys(names, " "))
    assert blank == HttpConfig() == HttpConfig.load({})
    assert (blank.host, blank.port) == ("127.0.0.1", 8080)
    assert blank.request_timeout_s == 60.0
    assert (blank.create_limit, blank.request_limit) == (
        "10/minute",
        "600/minute",
    )
    assert (blank.max_active, blank.max_connections) == (10, 1000)
    assert blank.max_streams_per_user == 8


def test_a_name_that_is_wrong_is_a_warning() -> None:
    config = HttpConfig.load({"auth_tokn": "x", "ten": {}, "zzz": 1})
    assert config.warnings == (
        '"auth_tokn": unknown property; did you mean auth_token?',
        '"zzz": unknown property; see README.md',
    )


def test_a_name_and_a_value_that_are_wrong_are_told_together() -> None:
    assert problem_of(port=-1, auth_tokn="x") == (
        "tavus_http: port: -1 is no port; write a whole number from 0 (any "
        'free port) to 65535 | "auth_tokn": unknown property; did you mean '
        "auth_token?"
    )


def test_what_property_json_ships_is_known() -> None:
    text = (PACKAGE / "property.json").read_text(encoding="utf-8")
    names = dict.fromkeys(json.loads(text), "")
    assert HttpConfig.load(names).warnings == ()


def test_values_may_be_text_as_from_the_environment() -> None:
    config = HttpConfig.load(
        {
            "port": " 9000 ",
            "request_timeout_s": "2.5",
            "max_active": "0",
            "create_limit": "5 / Hour",
            "request_limit": "OFF",
            "allowed_origins": "https://A.example/, http://b.example:8080,",
            "trusted_proxies": "127.0.0.1, fd00::/8",
            "frame_origins": "https://*.rooms.example",
        }
    )
    assert (config.port, config.request_timeout_s) == (9000, 2.5)
    assert config.max_active == 0
    assert (config.create_limit, config.request_limit) == ("5/hour", "off")
    assert config.allowed_origins == (
        "https://a.example",
        "http://b.example:8080",
    )
    assert config.trusted_proxies == (
        ip_network("127.0.0.1/32"),
        ip_network("fd00::/8"),
    )
    assert config.frame_origins == ("https://*.rooms.example",)


def test_lists_may_be_lists() -> None:
    config = HttpConfig.load({"allowed_origins": ["https://a.example", " "]})
    assert config.allowed_origins == ("https://a.example",)


def test_secrets_are_in_no_repr() -> None:
    config = HttpConfig.load(
        {
            "auth_token": "hush-hush-hush-hush",
            "webhook_secret": "hush-hush-hush-hook",
            "redis_url": "redis://:hush@127.0.0.1/0",
        }
    )
    assert config.auth_token.startswith("hush")
    assert "hush" not in repr(config)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)],
)
def test_whether_other_machines_can_connect(host: str, local: bool) -> None:
    assert HttpConfig.load({"host": host}).is_local is local


@pytest.mark.parametrize(
    ("port", "shown"),
    [
        ("http", '"http"'),
        (-1, "-1"),
        (65536, "65536"),
        (80.5, "80.5"),
        (True, "true"),
        ([80], "[80]"),
        ("inf", '"inf"'),
        (10**400, "1" + "0" * 39),
    ],
)
def test_a_bad_port_is_explained(port: Any, shown: str) -> None:
    assert problem_of(port=port) == (
        f"tavus_http: port: {shown} is no port; write a whole number from 0 "
        "(any free port) to 65535"
    )


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        (
            {"host": 5},
            'host: 5 is not text; write an address such as "127.0.0.1"',
        ),
        *(
            (
                {"request_timeout_s": value},
                f"request_timeout_s: {shown} is no number from 0.1 to 170; "
                "write seconds (TEN gives up after 180)",
            )
            for value, shown in [(0, "0"), (171, "171"), ("nan", '"nan"')]
        ),
        (
            {"max_active": -1},
            "max_active: -1 is no whole number from 0 to 100000",
        ),
        (
            {"max_connections": 0},
            "max_connections: 0 is no whole number from 1 to 100000",
        ),
        (
            {"max_streams_per_user": 1.5},
            "max_streams_per_user: 1.5 is no whole number from 1 to 1000",
        ),
        *(
            (
                {"create_limit": value},
                f"create_limit: {shown} is no limit; write "
                '"10/minute" (or per second, hour, day), or "off"',
            )
            for value, shown in [
                (10, "10"),
                ("0/minute", '"0/minute"'),
                ("10 per week", '"10 per week"'),
            ]
        ),
        *(
            (
                {"allowed_origins": value},
                f'allowed_origins: "{value}" is no origin; write scheme, '
                "host and port alone, such as https://app.example.com",
            )
            for value in (
                "*",
                "app.example.com",
                "https://a.example/path",
                "https://*.example.com",
                "https://a;script-src",
            )
        ),
        (
            {"frame_origins": "https://x 'unsafe-inline'"},
            "frame_origins: \"https://x 'unsafe-inline'\" is no origin; write "
            "scheme, host and port alone, such as https://app.example.com",
        ),
        (
            {"allowed_origins": [1]},
            "allowed_origins: [1] is no list of texts, and no text with commas",
        ),
        (
            {"trusted_proxies": "everybody"},
            'trusted_proxies: "everybody" is no address; write addresses or '
            "networks, such as 127.0.0.1 or 10.0.0.0/8",
        ),
    ],
)
def test_a_bad_property_is_explained(
    properties: dict[str, Any], problem: str
) -> None:
    assert problem_of(**properties) == f"tavus_http: {problem}"


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("auth_token", "tooshort", "16 to 1024 printable characters"),
        ("auth_token", "with a space in it", "without spaces"),
        ("auth_token", 1234567890123456, "openssl rand -base64 32"),
        ("webhook_secret", "almost/a/good/secret", "A-Z a-z 0-9 _ -"),
        ("webhook_secret", "tooshort", "16 to 128"),
        ("redis_url", "http://:almost@10.0.0.1", "redis://127.0.0.1:6379/0"),
        ("redis_url", "redis://h:almost", "redis://127.0.0.1:6379/0"),
    ],
)
def test_a_bad_secret_is_explained_but_not_shown(
    name: str, value: Any, fix: str
) -> None:
    problem = problem_of(**{name: value})
    assert problem.startswith(f"tavus_http: {name}: cannot be used; write ")
    assert fix in problem
    assert str(value) not in problem
    assert "almost" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://",
        "redis://u:p@h.example:1/0?protocol=3",
        "rediss://[::1]:6379",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_redis_urls_are_read(url: str) -> None:
    assert HttpConfig.load({"redis_url": url}).redis_url == url


def test_all_problems_are_named_at_once() -> None:
    text = problem_of(host=1, port="x", request_timeout_s=-1, auth_token="a")
    assert re.findall(r"(?:: | \| )(\w+):", text) == [
        "host",
        "port",
        "request_timeout_s",
        "auth_token",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("livekit_url", "wss://me:hush@x.example"),
        ("livekit_url", "wss://x.example/?access_token=hush"),
        ("livekit_url", "x.example eyJhbGciOiJI.hush.hush"),
        ("allowed_origins", "https://me:hush@app.example.com"),
        ("port", "http://me:hush@app.example.com"),
    ],
)
def test_a_bad_property_is_shown_without_its_secrets(
    name: str, value: str
) -> None:
    problem = problem_of(livekit_graph="g.json", **{name: value})
    assert f"{name}: " in problem and "***" in problem
    assert "hush" not in problem


def test_no_log_line_shows_a_secret_of_the_configuration() -> None:
    properties = {
        "auth_token": "hush-hush-hush-hush",
        "webhook_secret": "hush-hush-hush-hook",
        "redis_url": "redis://:hush@127.0.0.1/0",
        "livekit_graph": "g.json",
        "livekit_url": "wss://x.example",
        "livekit_api_key": "key",
        "livekit_api_secret": "hush-of-livekit",
    }
    config = HttpConfig.load(properties)
    text = " ".join(properties.values())
    assert config.without_secrets(text) == "*** *** *** g.json " + (
        "wss://x.example key ***"
    )
