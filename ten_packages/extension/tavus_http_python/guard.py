#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What every request passes before a route sees it, and every answer after.

Plain ASGI: it neither reads bodies nor copies answers, and an event stream
passes it as fast as anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .answers import Refusal
from .callers import CALLER, Caller, Callers
from .config import HttpConfig
from .limiting import Limiter

API = "/api/"
WEBHOOK = "/api/tavus/webhook/"
_OPEN = ("/api/tavus/config",)
_METRICS = "/metrics"
_HEALTH = "/health"
# An address is no name that could be made to lead elsewhere; to browsers
# whatever looks like one is one (url.spec.whatwg.org).
_NO_NAME = re.compile(rb"localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\]")
_PORT = re.compile(rb":\d*$")
# Fetch metadata (w3.org/TR/fetch-metadata) of requests that no other site
# has made; what is no browser sends none.
_OWN_SITES = (None, b"same-origin", b"none")
_CSP = b"content-security-policy"

RawHeaders = list[tuple[bytes, bytes]]


class Guard:
    """Lets in who may come, and writes what keeps browsers safe.

    Args:
        app: The routes; they find the ``Caller`` in the scope.
        config: Who may come.
        callers: Reads who comes.
        limiter: Counts requests.
        complain: Takes a line for the log, should the app fail.
        on_failed: Hears the kind of every refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: HttpConfig,
        callers: Callers,
        limiter: Limiter,
        *,
        complain: Callable[[str], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._app = app
        self._callers = callers
        self._limiter = limiter
        self._complain = complain
        self._on_failed = on_failed
        self._own_name = config.host.lower().encode()
        self._origins = {origin.encode() for origin in config.allowed_origins}
        self._hosts = {origin.partition(b"://")[2] for origin in self._origins}
        livekit = config.livekit.origins if config.livekit else ()
        safe = _safe_headers(config.frame_origins, livekit)
        vary = [(b"vary", b"Origin")] if self._origins else []
        self._for_pages: RawHeaders = safe
        self._for_api: RawHeaders = [
            *safe,
            (b"cache-control", b"no-store"),
            *vary,
        ]

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] != "http":  # what else there is, is not served
            return
        path: str = scope["path"]
        is_api = path.startswith(API) or path == _METRICS
        headers: dict[bytes, bytes] = dict(scope["headers"])
        added = self._for_api if is_api else self._for_pages
        origin = headers.get(b"origin", b"")
        if is_api and origin in self._origins:
            added = [*added, *_cors(origin)]

        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", ())
                if is_api or all(name != _CSP for name, _ in given):
                    message["headers"] = [*given, *added]
                else:
                    own = [header for header in added if header[0] != _CSP]
                    message["headers"] = [*given, *own]
            await send(message)

        answer: Response | None = None
        try:
            if is_api and _is_preflight(scope, headers):
                answer = self._preflight(headers)
            else:
                scope[CALLER] = await self._admit(scope, headers, path, is_api)
        except Refusal as refusal:
            self._on_failed(refusal.kind)
            answer = refusal.answer()
        if answer is not None:
            await answer(scope, receive, send_safe)
            return
        try:
            await self._app(scope, receive, send_safe)
        # pylint: disable-next=broad-exception-caught
        except Exception as error:
            # The client has its 500; nobody else must stumble over it.
            where = WEBHOOK if path.startswith(WEBHOOK) else path
            self._complain(f"{scope['method']} {where}: {error!r}")

    async def _admit(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        path: str,
        is_api: bool,
    ) -> Caller:
        """Who it is; raises Refusal for who may not come."""
        if path == _HEALTH:
            return Caller("")
        callers = self._callers
        if path.startswith(WEBHOOK):  # its secret is all that counts
            return callers.caller(scope, headers)
        self._check_host(scope, headers)
        if is_api and self._is_foreign(headers):
            raise Refusal(
                "forbidden",
                "this page is of another site; serve it from here, or name "
                "its origin in allowed_origins (TAVUS_HTTP_ORIGINS)",
            )
        caller = callers.caller(scope, headers)
        wait_s = await self._limiter.allow("request", caller.client)
        if wait_s is not None:
            raise Refusal(
                "too_many", "too many requests; wait a moment", wait_s
            )
        needs_token = is_api and path not in _OPEN and callers.token_needed
        if needs_token and not caller.authorized:
            raise Refusal(
                "unauthorized",
                "this token is not the right one"
                if b"authorization" in headers
                else "a token is needed: Authorization: Bearer <token>",
            )
        return caller

    def _check_host(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        """Refuses names that only lead here (DNS rebinding).

        A page of such a name would be of the same origin as ours. Names that
        a proxy in front has, or that an operator has listed, are fine.
        """
        host = headers.get(b"host", b"").lower()
        name = _PORT.sub(b"", host)
        if (
            not _NO_NAME.fullmatch(name)
            and name != self._own_name
            and host not in self._hosts
            and not self._callers.is_proxy((scope["client"] or ("",))[0])
        ):
            raise Refusal(
                "forbidden",
                "the Host header is no name of this machine; ask for its "
                "address or localhost, or name the origin in allowed_origins "
                "(TAVUS_HTTP_ORIGINS) or the proxy in trusted_proxies "
                "(TAVUS_HTTP_PROXIES)",
            )

    def _is_foreign(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether another site's page made a browser ask.

        What is no browser says nothing of it, and is none that a page could
        abuse.
        """
        origin = headers.get(b"origin")
        if origin is not None:
            if origin in self._origins:
                return False
            if origin.partition(b"://")[2] != headers.get(b"host", b""):
                return True
        return headers.get(b"sec-fetch-site") not in _OWN_SITES

    def _preflight(self, headers: Mapping[bytes, bytes]) -> Response:
        if headers[b"origin"] not in self._origins:
            raise Refusal("forbidden", "pages of this origin may not ask")
        return Response(
            status_code=204,
            headers={
                "access-control-allow-methods": "GET, POST, DELETE",
                "access-control-allow-headers": (
                    "Authorization, Content-Type, Last-Event-ID"
                ),
                "access-control-max-age": "600",
            },
        )


def _is_preflight(scope: Scope, headers: Mapping[bytes, Any]) -> bool:
    return (
        scope["method"] == "OPTIONS"
        and b"origin" in headers
        and b"access-control-request-method" in headers
    )


def _cors(origin: bytes) -> RawHeaders:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"Retry-After"),
    ]


def _safe_headers(
    frame_origins: tuple[str, ...], connect_origins: tuple[str, ...]
) -> RawHeaders:
    frames = " ".join(("https://*.daily.co", *frame_origins))
    csp = "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            " ".join(("connect-src 'self'", *connect_origins)),
            "media-src 'self' blob:",
            f"frame-src {frames}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    allowed = " ".join(f'"{frame}"' for frame in frames.split())
    permissions = ", ".join(
        f"{feature}=(self {allowed})"
        for feature in ("camera", "microphone", "autoplay", "display-capture")
    )
    return [
        (_CSP, csp.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"permissions-policy", permissions.encode()),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
