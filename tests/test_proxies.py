#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Which proxy the environment names for a URL: docs/deploy.md, as tests."""

import pytest
from ten_packages.extension.tavus_python.errors import TavusNetworkError
from ten_packages.extension.tavus_python.proxies import Proxies
from yarl import URL

PROXY = "http://proxy.example:3128"
TAVUS = "https://tavusapi.com/v2"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def proxy_of(
    monkeypatch: pytest.MonkeyPatch, url: str, **environment: str
) -> str:
    """The proxy of a URL in that environment; "" for none."""
    for name in (*NAMES, "request_method"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    proxy = Proxies().of(URL(url))
    return str(proxy) if proxy else ""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ""),
        ({"HTTPS_PROXY": PROXY}, "proxy.example:3128"),
        ({"https_proxy": PROXY}, "proxy.example:3128"),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": PROXY}, "proxy.ex"),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": ""}, ""),
        ({"HTTP_PROXY": PROXY}, ""),
        ({"ALL_PROXY": PROXY}, "proxy.example:3128"),
        ({"all_proxy": "http://all:1", "HTTPS_PROXY": PROXY}, "proxy.ex"),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "proxy.example:3128"),
        ({"HTTPS_PROXY": "http://proxy.example"}, "proxy.example:80"),
        ({"HTTPS_PROXY": "https://proxy.example"}, "proxy.example:443"),
        ({"HTTPS_PROXY": f"{PROXY}/a/path"}, "proxy.example:3128"),
    ],
)
def test_the_environment_names_the_proxy_in_either_case(
    monkeypatch, environment, expected
):
    found = proxy_of(monkeypatch, TAVUS, **environment)
    assert found.startswith(expected) and bool(found) == bool(expected)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://tavus.example", "https.example:1"),
        ("wss://tavus.example", "https.example:1"),
        ("http://tavus.example", "http.example:2"),
        ("ws://tavus.example", "http.example:2"),
    ],
)
def test_a_websocket_takes_the_proxy_of_its_http(monkeypatch, url, expected):
    both = {
        "HTTPS_PROXY": "http://https.example:1",
        "HTTP_PROXY": "http://http.example:2",
    }
    assert proxy_of(monkeypatch, url, **both) == expected


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("*", TAVUS),
        ("other.example, *", TAVUS),
        ("tavusapi.com", TAVUS),
        ("tavusapi.com", "https://eu.tavusapi.com"),
        (".tavusapi.com", TAVUS),
        ("*.tavusapi.com", "https://eu.tavusapi.com"),
        ("TavusAPI.com", TAVUS),
        ("tavusapi.com.", TAVUS),
        ("tavusapi.com", "https://tavusapi.com./v2"),
        ("other.example,tavusapi.com", TAVUS),
        ("other.example tavusapi.com", TAVUS),
        ("tavusapi.com:443", TAVUS),
        ("tavusapi.com:443", "wss://tavusapi.com"),
        ("tavusapi.com:8443", "https://tavusapi.com:8443"),
        ("10.1.2.3", "https://10.1.2.3"),
        ("10.0.0.0/8", "https://10.1.2.3"),
        ("10.1.2.3/8", "https://10.1.2.3"),
        ("10.0.0.0/8:8443", "https://10.1.2.3:8443"),
        ("10.0.0.0/8", "https://[::ffff:10.1.2.3]"),
        ("fd00::/8", "https://[fd12::1]"),
        ("[fd00::/8]:8443", "https://[fd12::1]:8443"),
        ("fd12:0::1", "https://[fd12::1]"),
        ("[fd12::1]", "https://[fd12::1]"),
    ],
)
def test_no_proxy_excepts_hosts_networks_and_ports(monkeypatch, no_proxy, url):
    environment = {"ALL_PROXY": PROXY, "NO_PROXY": no_proxy}
    assert proxy_of(monkeypatch, url, **environment) == ""


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("", TAVUS),
        (",", TAVUS),
        (".", TAVUS),
        ("tavusapi.com:8443", TAVUS),
        ("eu.tavusapi.com", TAVUS),
        ("api.com", TAVUS),
        ("https://tavusapi.com", TAVUS),
        ("10.0.0.0/8", "https://11.1.2.3"),
        ("10.0.0.0/8:8443", "https://10.1.2.3"),
        ("2.3", "https://10.1.2.3"),
        ("10.0.0.0/8", "https://10.1.2.3.example"),
        ("fd00::/8", "https://[fe80::1]"),
        ("[fd00::/8", "https://[fd12::1]"),
        ("10.0.0.0/99", "https://10.1.2.3"),
    ],
)
def test_no_proxy_excepts_nothing_else(monkeypatch, no_proxy, url):
    environment = {"ALL_PROXY": PROXY, "NO_PROXY": no_proxy}
    assert proxy_of(monkeypatch, url, **environment) == "proxy.example:3128"


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "sim.localhost"]
)
def test_this_machine_is_reached_without_a_proxy(monkeypatch, host):
    for scheme in ("http", "https", "ws", "wss"):
        url = f"{scheme}://{host}:8900/v2"
        assert proxy_of(monkeypatch, url, ALL_PROXY=PROXY) == ""


def test_the_password_of_a_proxy_is_apart_from_its_address(monkeypatch):
    text = "http://me%40home:pass%3Aword-%C3%BC@proxy.example:3128"
    assert proxy_of(monkeypatch, TAVUS, HTTPS_PROXY=text) == (
        "proxy.example:3128"
    )
    proxy = Proxies().of(URL(TAVUS))
    assert proxy is not None
    assert str(proxy.url) == "http://proxy.example:3128"
    # base64 of "me@home:pass:word-ü"
    assert proxy.authorization == "Basic bWVAaG9tZTpwYXNzOndvcmQtw7w="
    assert "pass" not in repr(proxy) and "Basic" not in repr(proxy)


@pytest.mark.parametrize(
    "text",
    [
        *["socks5://me:hush-hush@proxy.example:1080", "http://", "//x"],
        *["http://me:hush-hush@proxy.example:port", "http://[::1"],
    ],
)
@pytest.mark.parametrize("name", ["https_proxy", "all_proxy"])
def test_what_can_be_no_http_proxy_is_an_error_that_names_the_variable(
    monkeypatch, name, text
):
    with pytest.raises(TavusNetworkError, match=name) as caught:
        proxy_of(monkeypatch, TAVUS, **{name: text})
    assert (caught.value.sent, caught.value.retryable) == (False, False)
    assert "hush-hush" not in str(caught.value)


def test_of_what_is_excepted_no_proxy_is_read(monkeypatch):
    environment = {"HTTPS_PROXY": "socks5://x:1", "NO_PROXY": "tavusapi.com"}
    assert proxy_of(monkeypatch, TAVUS, **environment) == ""
