#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A short way to the two routes that every conversation takes.

FastAPI costs more than all that create and end do themselves. Plain requests
for them go to their handlers directly; whatever is out of the ordinary takes
the long way, where FastAPI checks and words it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .answers import Refusal

CREATE = "/api/tavus/conversation/create"
_END = re.compile(r"/api/tavus/conversation/(?!create$)([A-Za-z0-9_\-]{1,128})")
# What needs no decoding, and is one of USER_ID.
_QUERY = re.compile(rb"(?:user_id=([A-Za-z0-9_.:@\-]{1,128}))?")

Create = Callable[[Request], Awaitable[Response]]
End = Callable[[Request, str, str], Awaitable[Response]]


class ShortWay:
    """Create and end, past the app that has all routes.

    Args:
        app: All routes.
        create: The handler of create.
        end: The handler of end: request, conversation, user.
        refused: Makes the answer to a refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        create: Create,
        end: End,
        refused: Callable[[Refusal], Response],
    ) -> None:
        self._app = app
        self._create = create
        self._end = end
        self._refused = refused

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        handling = self._handling(Request(scope, receive, send))
        if handling is None:
            await self._app(scope, receive, send)
            return
        try:
            response = await handling
        except Refusal as refusal:
            response = self._refused(refusal)
        except ClientDisconnect:
            response = self._refused(Refusal("cancelled", "the client is gone"))
        except Exception:
            refusal = Refusal("internal", "internal error, see the log")
            await self._refused(refusal)(scope, receive, send)
            raise
        await response(scope, receive, send)

    def _handling(self, request: Request) -> Awaitable[Response] | None:
        scope = request.scope
        method, path = scope["method"], scope["path"]
        if method == "POST" and path == CREATE:
            return self._create(request)
        if method != "DELETE":
            return None
        ends = _END.fullmatch(path)
        query = _QUERY.fullmatch(scope["query_string"])
        if ends is None or query is None:
            return None
        return self._end(request, ends[1], (query[1] or b"").decode())
