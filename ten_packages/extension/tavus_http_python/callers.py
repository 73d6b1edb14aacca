#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Who asks: the browser by its cookie, the backend by its token, the address.

A browser's public name is made from its cookie and cannot be turned back, so
the name may be known to the graph and to every process, without a table.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .answers import BROWSER, Refusal
from .config import Network

COOKIE = "tavus_session"
# In the scope of a request that the guard has let in.
CALLER = "tavus_caller"

_COOKIE = re.compile(rb"(?:^|; ?)" + COOKIE.encode() + rb"=([\w-]{43})(?:;|$)")
_BYTES = 32

RawHeaders = Mapping[bytes, bytes]


def public_name(session: str) -> str:
    """The ``user_id`` of the browser with this cookie."""
    digest = hashlib.sha256(b"tavus_http:" + session.encode()).digest()
    return BROWSER + base64.urlsafe_b64encode(digest)[:22].decode()


@dataclass
class Caller:
    """Who sent a request.

    Args:
        client: The address that limits are counted by.
        secure: Whether it came over https.
        authorized: Whether it brought the token.
        session: The cookie's value, or "".
    """

    client: str
    secure: bool = False
    authorized: bool = False
    session: str = ""

    def user_id(self, named: str = "") -> str:
        """Whose conversations are meant.

        Args:
            named: The ``user_id`` that the request names, or "".

        Returns:
            A user; "" where neither a name nor a cookie says which.

        Raises:
            Refusal: Somebody claims to be a browser.
        """
        if named.startswith(BROWSER):
            raise Refusal(
                "validation",
                f"user_id: names that begin with {BROWSER} are of browsers, "
                "which are known by their cookie; leave it out",
            )
        return named or (public_name(self.session) if self.session else "")

    def may_touch(self, owner: str, named: str = "") -> bool:
        """Whether a conversation is the caller's.

        Args:
            owner: Whose it is; "" is everybody's.
            named: The ``user_id`` that the request names, or "".

        Raises:
            Refusal: Somebody claims to be a browser.
        """
        user_id = self.user_id(named)
        everything = self.authorized and not user_id
        return everything or owner in ("", user_id)

    def introduce(self) -> dict[str, str]:
        """Gives a browser without a cookie one.

        Returns:
            The header that does it; nothing where it has one.
        """
        if self.session:
            return {}
        self.session = secrets.token_urlsafe(_BYTES)
        cookie = f"{COOKIE}={self.session}; Path=/; HttpOnly; SameSite=Strict"
        return {"set-cookie": cookie + ("; Secure" if self.secure else "")}


class Callers:
    """Reads who asks from the head of a request.

    Args:
        token: What clients must know; "" for nothing.
        proxies: Whose X-Forwarded-For and -Proto are believed.
    """

    def __init__(self, token: str, proxies: Sequence[Network]) -> None:
        self.token_needed = bool(token)
        self._token = token.encode()
        self._proxies = tuple(proxies)

    def caller(self, scope: Mapping[str, Any], headers: RawHeaders) -> Caller:
        """Who sent the request with this head."""
        address = scope["client"][0] if scope.get("client") else ""
        secure = scope.get("scheme") == "https"
        if self._proxies and self.is_proxy(address):
            proto = headers.get(b"x-forwarded-proto", b"")
            secure = proto.rpartition(b",")[2].strip().lower() == b"https"
            address = self._behind(address, headers)
        found = _COOKIE.search(headers.get(b"cookie", b""))
        return Caller(
            network_of(address),
            secure,
            self._is_token(headers.get(b"authorization", b"")),
            found[1].decode() if found else "",
        )

    def is_proxy(self, address: str) -> bool:
        """Whether that address is one of a trusted proxy."""
        try:
            ip = _plain(address)
        except ValueError:
            return False
        return any(ip in network for network in self._proxies)

    def _behind(self, address: str, headers: RawHeaders) -> str:
        """The last address that a trusted proxy did not make up itself."""
        named = headers.get(b"x-forwarded-for", b"").decode("latin-1")
        for hop in reversed(named.split(",")):
            try:
                _plain(hop.strip())
            except ValueError:
                break
            address = hop.strip()
            if not self.is_proxy(address):
                break
        return address

    def _is_token(self, authorization: bytes) -> bool:
        scheme, _, given = authorization.partition(b" ")
        # Compared always, so that the time says nothing.
        same = hmac.compare_digest(given.strip(), self._token)
        return self.token_needed and same and scheme.lower() == b"bearer"


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    ip = ipaddress.ip_address(address)
    return getattr(ip, "ipv4_mapped", None) or ip


def network_of(address: str) -> str:
    """What limits count as one client.

    Args:
        address: Of IPv6, all addresses of a subscriber's network count as
            one: who has one has 2**64.
    """
    if ":" not in address:
        return address
    try:
        ip = _plain(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 4:
        return str(ip)
    return str(ipaddress.ip_network((ip, 64), strict=False))
