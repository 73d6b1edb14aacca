#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The HTTP sessions of every client in here, so that no secret strays.

A session goes through the proxy that the environment names, follows no
redirect, since what is sent is meant for the server it is sent to alone, and
keeps no cookies. Secrets go with the one request that needs them: what a
session sends by default, aiohttp tells the proxy as well.
"""

from __future__ import annotations

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from .errors import TavusError, TavusNetworkError, TavusProtocolError
from .proxies import Proxies, Proxy

_REDIRECTS = (301, 302, 303, 307, 308)
_TLS = ("https", "wss")


def open_session(
    *,
    timeout: aiohttp.ClientTimeout,
    connector: aiohttp.BaseConnector | None = None,
    headers: dict[str, str] | None = None,
) -> aiohttp.ClientSession:
    """A session of the running loop; its maker closes it.

    Its requests raise, beside what aiohttp raises, TavusNetworkError where
    the proxy refuses, and TavusProtocolError for a redirect. Neither shows a
    secret of the request or the proxy, or leads to one.

    Args:
        timeout: For each request.
        connector: Where its connections are kept; None for one of its own.
        headers: Sent with every request, and to the proxy: no secrets.
    """
    return aiohttp.ClientSession(
        timeout=timeout,
        connector=connector,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_Passage(Proxies()),),
    )


class _Passage:
    """What every request of a session passes, redirected ones included."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    async def __call__(
        self,
        request: aiohttp.ClientRequest,
        handler: aiohttp.ClientHandlerType,
    ) -> aiohttp.ClientResponse:
        proxy = self._proxies.of(request.url)
        if proxy is not None:
            _lead_through(request, proxy)
        refusal: TavusError
        try:
            response = await handler(request)
        except aiohttp.ClientHttpProxyError as error:
            refusal = _refusal(error.status, proxy, request.url)
        except aiohttp.ClientProxyConnectionError as error:
            refusal = _unreachable(proxy, error)
        else:
            if response.status == 407:
                refusal = _refusal(407, proxy, request.url)
            elif response.status in _REDIRECTS:
                refusal = TavusProtocolError(
                    "the answer is a redirect, which is not followed",
                    status=response.status,
                    retryable=False,
                )
            else:
                return response
            response.close()
        # Raised out here: aiohttp's own error holds the request's headers.
        raise refusal


def _lead_through(request: aiohttp.ClientRequest, proxy: Proxy) -> None:
    request.proxy = proxy.url
    if not proxy.authorization:
        return
    if request.url.scheme in _TLS:
        # Of each request its own: aiohttp adds to it.
        request.proxy_headers = CIMultiDict(
            {hdrs.PROXY_AUTHORIZATION: proxy.authorization}
        )
    else:
        # Without a tunnel the proxy reads, and takes out, this header.
        request.headers[hdrs.PROXY_AUTHORIZATION] = proxy.authorization


def _refusal(status: int, proxy: Proxy | None, url: URL) -> TavusNetworkError:
    where = f"{url.host}:{url.port}"
    if status != 407:
        return TavusNetworkError(
            f"the proxy {proxy} does not connect to {where}",
            status=status,
            sent=False,
            retryable=status >= 500,
            hint=f"have it allow {where}, or name that in NO_PROXY",
        )
    variable = (proxy.variable if proxy else "https_proxy").upper()
    what = (
        f"does not take the user name and password of {variable}"
        if proxy and proxy.authorization
        else "wants a user name and a password"
    )
    return TavusNetworkError(
        f"the proxy {proxy or 'in between'} {what}",
        status=407,
        sent=False,
        retryable=False,
        # Not as a URL: what masks passwords would mask this.
        hint=f"write user:password@ before the host in {variable}, special "
        f"characters percent-encoded, or name {where} in NO_PROXY",
    )


def _unreachable(
    proxy: Proxy | None, error: aiohttp.ClientProxyConnectionError
) -> TavusNetworkError:
    return TavusNetworkError(
        f"the proxy {proxy} cannot be reached: {error.strerror}",
        sent=False,
        hint=f"check {proxy.variable.upper() if proxy else 'HTTPS_PROXY'}",
    )
