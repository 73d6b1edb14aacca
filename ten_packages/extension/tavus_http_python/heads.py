#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Refuses request heads that two readers may understand differently.

A proxy in front that reads such a head in another way than this server takes
one visitor's bytes for another visitor's request (RFC 9112, 11.2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlsplit

from .callers import COOKIE

# What decides something here and has one value (RFC 9110, 5.3).
_ONCE = (
    *(b"host", b"origin", b"sec-fetch-site", b"content-type", b"cookie"),
    *(b"authorization", b"last-event-id", b"access-control-request-method"),
)

Headers = Sequence[tuple[bytes, bytes]]


class AmbiguousHeadError(ValueError):
    """A head that is not taken; the text says why."""


def check_head(method: bytes, url: bytes, version: str, found: Headers) -> None:
    """Looks at a head whose syntax is fine.

    Args:
        method: Such as b"GET".
        url: The request target, as it came.
        version: Of HTTP, such as "1.1".
        found: The headers, with names in lower case.

    Raises:
        AmbiguousHeadError: It is not clear whom it is for, by whom, or where
            its request ends.
    """
    if method == b"CONNECT" or version not in ("1.0", "1.1"):
        raise AmbiguousHeadError("this server speaks HTTP/1.1 and is no proxy")
    times = Counter(name for name, _ in found)
    for name in _ONCE:
        if times[name] > 1:
            raise AmbiguousHeadError(f"there are two {name.decode()} headers")
    headers = dict(found)
    _check_framing(version, times, headers.get(b"transfer-encoding"))
    _check_host(url, version, headers.get(b"host"))
    cookies = headers.get(b"cookie", b"").split(b";")
    names = [cookie.partition(b"=")[0].strip() for cookie in cookies]
    # Other cookies of this host are not ours to judge.
    if names.count(COOKIE.encode()) > 1:
        raise AmbiguousHeadError(f"there are two cookies {COOKIE}")


def _check_framing(
    version: str, times: Counter[bytes], coding: bytes | None
) -> None:
    """The parser tells only after it has begun the request."""
    if coding is None:
        return
    known = coding.strip().lower() == b"chunked"
    if version != "1.1" or times[b"transfer-encoding"] > 1 or not known:
        raise AmbiguousHeadError(
            "transfer-encoding: HTTP/1.1 and chunked, once, are understood"
        )


def _check_host(url: bytes, version: str, host: bytes | None) -> None:
    if host is None and version == "1.1":
        raise AmbiguousHeadError("there is no host header")
    is_absolute = not url.startswith(b"/") and b"://" in url
    if is_absolute and urlsplit(url).netloc.lower() != (host or b"").lower():
        raise AmbiguousHeadError("the URL and host name different hosts")
