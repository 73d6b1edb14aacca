#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Swagger UI at /docs, from this server: no CDN, no inline script."""

import asyncio
from importlib import resources

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .page import Page

_BUNDLE = "fastapi_offline"  # nothing of it is used but these files
_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")

_HTML = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tavus_http_python: API</title>
<link rel="icon" href="/docs/favicon.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = b"""SwaggerUIBundle({
  dom_id: "#api",
  url: "/openapi.json",
  deepLinking: true,
  validatorUrl: null,
});
"""


def add_docs(app: FastAPI) -> None:
    """Adds ``/docs`` and what it loads.

    Args:
        app: Serves its own description at ``/openapi.json``.
    """
    reading = asyncio.Lock()
    pages: list[Page] = []

    async def answer(request: Request) -> Response:
        # Read and packed when somebody looks: few ever do.
        async with reading:
            if not pages:
                pages.append(await asyncio.to_thread(_read))
        path = request.path_params.get("name", "index.html")
        found = pages[0].answer(
            f"/{path}",
            request.headers.get("accept-encoding", ""),
            request.headers.get("if-none-match", ""),
        )
        if found is None:
            raise HTTPException(404)
        return found

    app.add_route("/docs", answer, include_in_schema=False)
    app.add_route("/docs/{name}", answer, include_in_schema=False)


def _read() -> Page:
    folder = resources.files(_BUNDLE) / "static"
    files = {f"/{name}": (folder / name).read_bytes() for name in _FILES}
    return Page({**files, "/index.html": _HTML, "/start.js": _START})
