#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Which proxy a URL is reached through: one rule for every client in here.

``docs/deploy.md`` has the rule in words. aiohttp's own ``trust_env`` knows
neither networks nor ports in NO_PROXY, and reads ``~/.netrc`` as well.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import urllib.request
from dataclasses import dataclass, field

from yarl import URL

from .coerce import is_loopback
from .errors import TavusNetworkError
from .redaction import Secret

# host, address or network, in brackets where it has colons; and a port.
_EXCEPTION = re.compile(
    r"(?:\[(?P<inner>[^\]]+)\]|(?P<plain>[^\[\]:]+))(?::(?P<port>\d{1,5}))?"
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Proxy:
    """A proxy, its password apart from its address.

    Attributes:
        url: Its address, fit for logs.
        authorization: What goes into ``Proxy-Authorization``: a secret.
        variable: The environment variable that names it.
    """

    url: URL
    authorization: str = field(repr=False)
    variable: str

    def __str__(self) -> str:
        return f"{self.url.host}:{self.url.port}"


class Proxies:
    """The proxies of the environment, as it is when this is made.

    ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in lower
    or upper case; the lower one wins, also when it is empty.
    """

    def __init__(self) -> None:
        self._proxies = urllib.request.getproxies_environment()
        exceptions = self._proxies.get("no") or ""
        self._exceptions = re.split(r"[\s,]+", exceptions.strip().lower())
        self._known: dict[tuple[str, str, int], Proxy | None] = {}

    def of(self, url: URL) -> Proxy | None:
        """The proxy for a URL; None where it is reached without.

        Raises:
            TavusNetworkError: What is named there cannot be a proxy.
        """
        key = (url.scheme, url.host or "", url.port or 0)
        if key not in self._known:
            self._known[key] = self._find(*key)
        return self._known[key]

    def _find(self, scheme: str, host: str, port: int) -> Proxy | None:
        if self._is_excepted(host.lower().rstrip("."), port):
            return None
        kind = "https" if scheme in ("https", "wss") else "http"
        name = kind if self._proxies.get(kind) else "all"
        text = self._proxies.get(name)
        return _read(text, f"{name}_proxy") if text else None

    def _is_excepted(self, host: str, port: int) -> bool:
        if is_loopback(host):
            return True
        address = _address(host)
        return any(
            _covers(one, host, address, port) for one in self._exceptions
        )


def _covers(
    exception: str, host: str, address: Address | None, port: int
) -> bool:
    """Whether one entry of NO_PROXY is about this host and port."""
    if exception == "*":
        return True
    colons = exception.count(":")
    # An IPv6 address or network may stand there without brackets.
    text = (
        f"[{exception}]" if colons > 1 and "[" not in exception else exception
    )
    found = _EXCEPTION.fullmatch(text)
    if found is None or (found["port"] and int(found["port"]) != port):
        return False
    name = found["inner"] or found["plain"]
    if address is not None:
        try:
            return address in ipaddress.ip_network(name, strict=False)
        except ValueError:
            return False
    suffix = name.removeprefix("*").strip(".")
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))


def _address(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _read(text: str, variable: str) -> Proxy:
    url = _proxy_url(text)
    if url is None:
        raise TavusNetworkError(
            f"{variable} is not the URL of an HTTP proxy",
            retryable=False,
            sent=False,
            hint="set it to http://host:port, or name the host that is to be "
            "reached without it in no_proxy",
        )
    authorization = ""
    if url.user or url.password:
        userinfo = f"{url.user or ''}:{url.password or ''}".encode()
        basic = base64.b64encode(userinfo).decode()
        authorization = Secret(f"Basic {basic}")
    return Proxy(url.origin(), authorization, variable)


def _proxy_url(text: str) -> URL | None:
    try:
        url = URL(text if "://" in text else f"http://{text}")
        usable = url.scheme in ("http", "https") and url.host and url.port
    except ValueError:
        return None
    return url if usable else None
