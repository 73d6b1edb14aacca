#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Carries requests to Tavus and repeats those that may be repeated."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from .errors import (
    TavusAuthError,
    TavusError,
    TavusNetworkError,
    TavusProtocolError,
    TavusTimeoutError,
    TavusValidationError,
    error_from_failure,
    error_from_reply,
)
from .http_session import open_session
from .redaction import Secret, secrets_in
from .tavus_models import Reply, page_of

VERSION = "0.1.0"
DEFAULT_BASE_URL = "https://tavusapi.com/v2"

_MAX_BODY_BYTES = 8 * 1024 * 1024
_MAX_PAGES = 1000
_MAX_READINGS = 10
# What a server may say of a page after the last one.
_NO_PAGE = (400, 404, 416, 422)
# A page that has not come by then is asked for again, with all the time.
_PAGE_S = 5.0
_MAX_PAUSE_S = 10.0
# Below the 60 s after which common load balancers close an idle connection.
_KEEPALIVE_S = 45.0
_CLOSE_S = 0.05
_MAX_CREATES = 100
_MAX_POLLS = 100
_MAX_OTHERS = 100
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_JSON_HEADERS = {"Content-Type": "application/json"}

T = TypeVar("T")


class TavusHttp:
    """What TavusClient's methods stand on; its docstring has the arguments.

    ``_send`` is the only way to the network, and knows no retries;
    ``_request`` is the only caller of it, and knows no sockets.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str = DEFAULT_BASE_URL,
        *,
        timeout_s: float = 30.0,
        connect_timeout_s: float = 10.0,
        attempts: int = 3,
        backoff_s: float = 0.25,
    ) -> None:
        if not re.fullmatch(r"[!-~]+", api_key):
            raise TavusAuthError(
                "the API key is empty or has characters no key can have"
            )
        self._api_key = Secret(api_key)
        self._base_url = _checked_base_url(base_url)
        # Looking up and connecting, each within its share, are over before
        # the total is: what is not connected has not been sent. (aiohttp's
        # "connect" and "sock_read" would cost a tenth of every request.)
        self._connect_timeout_s = min(connect_timeout_s, timeout_s / 3)
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, sock_connect=self._connect_timeout_s
        )
        # Who waits for a connection waits here, where no time-out counts,
        # and creates or polls that hang keep nobody from looking and ending.
        self._creates = asyncio.Semaphore(_MAX_CREATES)
        self._polls = asyncio.Semaphore(_MAX_POLLS)
        self._others = asyncio.Semaphore(_MAX_OTHERS)
        self._attempts = attempts
        self._backoff_s = backoff_s
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def close(self) -> None:
        """Closes the connections; further calls fail. Safe to repeat."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            # A peer that reads nothing more must not hold up the stop; the
            # socket is the loop's by then.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(session.close(), _CLOSE_S)

    async def _request(
        self,
        method: str,
        path: str,
        parse: Callable[[Reply], T],
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        bearer: str = "",
        repeatable: bool = True,
        first_s: float | None = None,
    ) -> T:
        """Sends until an answer can be read, or trying again is no use.

        Args:
            method: The HTTP method.
            path: Below the base URL, with a leading slash.
            parse: Reads the reply; raises TavusProtocolError.
            query: The query string's parameters.
            body: What to send as JSON, None for no body.
            bearer: A token for the head; no error shows it.
            repeatable: Doing it twice is as good as doing it once.
            first_s: How long the first attempt may take, if not as long as
                any other.
        """
        data = None if body is None else _encoded(body)
        attempt = 1
        while True:
            try:
                once = self._once(method, path, parse, query, data, bearer)
                return await (_within(first_s, once) if first_s else once)
            except TavusError as error:
                first_s = None
                pause_s = self._pause_s(error, attempt)
                if (
                    attempt >= self._attempts
                    or not error.retryable
                    or (error.sent and not repeatable)
                    or pause_s > _MAX_PAUSE_S
                ):
                    raise
            await asyncio.sleep(pause_s)
            attempt += 1

    async def _pages(
        self,
        path: str,
        parse: Callable[[dict[str, Any]], T],
        id_name: str,
        query: dict[str, str],
        page_size: int,
    ) -> AsyncIterator[list[T]]:
        """What is new on each page; left out is what ``parse`` refuses.

        Whatever the server says of a total, the list is read to its end: an
        empty page, or one without news. It shifts while it is read: as long
        as rows are missing from the total, or nothing can be said of that,
        and the last reading brought any, it is read again.
        """
        seen: set[object] = set()
        total = longest = 0
        for reading in range(_MAX_READINGS):
            before, last = len(seen), None
            for page in range(1, _MAX_PAGES + 1):
                asked = {**query, "limit": str(page_size), "page": str(page)}
                try:
                    rows, said = await self._request(
                        "GET", path, page_of, query=asked, first_s=_PAGE_S
                    )
                except TavusError as error:
                    if page == 1 or error.status not in _NO_PAGE:
                        raise
                    rows, said = [], None  # it is past the last one
                if rows == last:  # it knows no pages
                    return
                total = max(total, said or 0)
                longest = max(longest, len(rows))
                last, news = rows, []
                for row in rows:
                    with contextlib.suppress(TavusProtocolError):
                        item = parse(row)
                        # Without an id, what is said of it has to do.
                        row_id = getattr(item, id_name) or repr(item)
                        if row_id not in seen:
                            seen.add(row_id)
                            news.append(item)
                yield news
                whole = len(seen) >= total and not reading
                if not rows or (whole and not news):
                    break
            else:
                raise TavusProtocolError(
                    f"the list has over {_MAX_PAGES} pages"
                )
            # One page cannot shift, and a total that all pages together
            # have is one of all of them.
            sure = page <= 2 or total > longest
            if len(seen) == before or (sure and len(seen) >= total):
                return

    def _pause_s(self, error: TavusError, attempt: int) -> float:
        """Jittered backoff, but never sooner than Tavus asked for."""
        longest_s = min(self._backoff_s * 2 ** (attempt - 1), _MAX_PAUSE_S)
        pause_s = random.uniform(longest_s / 2, longest_s)
        return max(pause_s, error.retry_after_s or 0.0)

    async def _once(
        self,
        method: str,
        path: str,
        parse: Callable[[Reply], T],
        query: dict[str, str] | None,
        data: bytes | None,
        bearer: str = "",
    ) -> T:
        async with self._slots(method, path, query):
            reply = await self._send(
                method, path, query=query, body=data, bearer=bearer
            )
        # 304 is Tavus's answer to a PATCH that changes nothing.
        if 200 <= reply.status < 300 or (
            reply.status == 304 and method == "PATCH"
        ):
            return parse(reply)
        raise error_from_reply(
            reply.status,
            reply.headers,
            reply.body,
            # Vendors quote what they refuse.
            secrets=(self._api_key, bearer, *_secrets_of(data)),
        )

    def _slots(
        self, method: str, path: str, query: dict[str, str] | None
    ) -> asyncio.Semaphore:
        if method == "POST" and not path.endswith("/end"):
            return self._creates
        polls = method == "GET" and query is not None and "verbose" in query
        return self._polls if polls else self._others

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        bearer: str = "",
    ) -> Reply:
        """The one way to the network: a request and its reply, or an error.

        Raises:
            TavusNetworkError, TavusTimeoutError, TavusProtocolError: With
                ``sent`` false only if the request cannot have arrived.
        """
        session = self._open_session()
        url = URL(self._base_url + path, encoded=True)
        status = 0
        outcome: Reply | TavusError
        try:
            async with session.request(
                method,
                url.with_query(query) if query else url,
                data=body,
                headers=self._headers(body, bearer),
            ) as response:
                status = response.status
                content = await _read(response)
                outcome = Reply(status, response.headers, content)
        except TavusError as error:
            outcome = error
        except (
            aiohttp.ClientError,
            asyncio.TimeoutError,
            OSError,
            UnicodeError,  # of a host name that cannot be one
        ) as error:
            outcome = error_from_failure(
                error, status, secrets=(self._api_key, bearer)
            )
        if isinstance(outcome, TavusError):
            # Raised out here because aiohttp's error, as its context, can
            # hold the request's headers, and those the key.
            try:
                raise outcome.with_traceback(None)
            finally:
                outcome.__context__ = None  # Python 3.10 sets it all the same
        return outcome

    def _headers(self, body: bytes | None, bearer: str) -> dict[str, str]:
        """What this request alone carries: its secrets, and their like."""
        headers: dict[str, str] = {"x-api-key": self._api_key}
        if body is not None:
            headers |= _JSON_HEADERS
        if bearer:
            headers["Authorization"] = Secret(f"Bearer {bearer}")
        return headers

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise TavusNetworkError(
                "the client is closed",
                retryable=False,
                sent=False,
                hint="make a new one",
            )
        if self._session is None:
            self._session = open_session(
                connector=aiohttp.TCPConnector(
                    limit=_MAX_CREATES + _MAX_POLLS + _MAX_OTHERS,
                    keepalive_timeout=_KEEPALIVE_S,
                    resolver=_Resolver(self._connect_timeout_s),
                ),
                headers={
                    "User-Agent": f"tavus-ten/{VERSION}",
                    "Accept": "application/json",
                },
                timeout=self._timeout,
            )
        return self._session


class _Resolver(aiohttp.ThreadedResolver):
    """Looks names up within ``timeout_s``, which aiohttp does not bound."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,
    ) -> list[ResolveResult]:
        return await asyncio.wait_for(
            super().resolve(host, port, family), self._timeout_s
        )


async def _within(limit_s: float, once: Coroutine[Any, Any, T]) -> T:
    try:
        return await asyncio.wait_for(once, limit_s)
    except asyncio.TimeoutError:
        raise TavusTimeoutError(f"no answer within {limit_s:g} s") from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, as long as it is of a size that Tavus could mean."""
    chunks: list[bytes] = []
    size = 0
    while chunk := await response.content.readany():
        chunks.append(chunk)
        size += len(chunk)
        if size > _MAX_BODY_BYTES:
            raise TavusProtocolError(
                f"the answer is longer than {_MAX_BODY_BYTES} bytes",
                status=response.status,
                retryable=False,
            )
    return b"".join(chunks)


def _checked_base_url(base_url: str) -> str:
    url = _http_url(base_url)
    if url is None:
        raise TavusValidationError(
            "base_url is not an http or https URL",
            hint=f"leave it empty, or use one like {DEFAULT_BASE_URL}",
        )
    return str(url.with_query(None).with_fragment(None)).rstrip("/")


def _http_url(text: str) -> URL | None:
    try:
        url = URL(text)
    except ValueError:
        return None
    return url if url.scheme in ("http", "https") and url.host else None


def _secrets_of(data: bytes | None) -> Iterator[str]:
    return secrets_in(json.loads(data) if data else None)


class _Body(bytes):
    """What is sent, secrets included, so that no ``repr`` shows it."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


def _encoded(body: Any) -> bytes:
    try:
        return _Body(_ENCODER.encode(body).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise TavusValidationError(
            f"the request cannot be written as JSON: {type(error).__name__}"
        ) from None
