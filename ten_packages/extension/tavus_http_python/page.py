#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The page people see, served from memory."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from starlette.responses import Response

_MAX_BYTES = 20 * 1024 * 1024
_MAX_FILES = 500
# Smaller ones fit into one packet anyway.
_GZIP_FROM_BYTES = 1000
# Not what the machine's registry says: browsers run no script of other types.
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mp3": "audio/mpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_FOR_EVER = "public, max-age=31536000, immutable"


class PageError(Exception):
    """The folder cannot be served; the text says why."""


@dataclass(frozen=True)
class _File:
    media_type: str
    body: bytes
    packed: bytes | None
    etag: str
    cache: str

    @classmethod
    def of(cls, path: str, body: bytes) -> _File:
        media_type = _TYPES.get(
            PurePosixPath(path).suffix, "application/octet-stream"
        )
        packed = None
        if len(body) >= _GZIP_FROM_BYTES:
            packed = gzip.compress(body, 9, mtime=0)
            if len(packed) > len(body) * 0.95:
                packed = None
        return cls(
            media_type,
            body,
            packed,
            hashlib.sha256(body).hexdigest()[:32],
            _FOR_EVER if path.startswith("/assets/") else "no-cache",
        )


class Page:
    """Files by the exact path they are asked for under.

    Args:
        files: Their bytes by path; "/index.html" is also "/".
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = {
            path: _File.of(path, body) for path, body in files.items()
        }
        if "/index.html" in self._files:
            self._files["/"] = self._files["/index.html"]

    def answer(
        self, path: str, accept_encoding: str, if_none_match: str
    ) -> Response | None:
        """The response to a GET; HEAD drops the body itself.

        Args:
            path: Of the URL, decoded.
            accept_encoding: The header of that name, or "".
            if_none_match: The header of that name, or "".

        Returns:
            None where there is no such file.
        """
        file = self._files.get(path)
        if file is None:
            return None
        packed = file.packed if _takes_gzip(accept_encoding) else None
        etag = f'"{file.etag}{"-gz" if packed else ""}"'
        headers = {"cache-control": file.cache, "etag": etag}
        if file.packed:
            headers["vary"] = "Accept-Encoding"
        if _matches(if_none_match, etag):
            return Response(status_code=304, headers=headers)
        if packed:
            headers["content-encoding"] = "gzip"
        return Response(
            packed or file.body, headers=headers, media_type=file.media_type
        )


async def load_page(directory: str) -> Page:
    """Reads a built page into memory.

    Args:
        directory: Holds ``index.html`` and ``assets/``; where it is "" or
            has no ``index.html``, the page says how to build one.

    Raises:
        PageError: It is too large, or cannot be read.
    """
    return await asyncio.to_thread(_load, directory)


def _load(directory: str) -> Page:
    root = Path(directory)
    if not directory or not (root / "index.html").is_file():
        return Page({"/index.html": _INSTEAD.encode()})
    try:
        return Page(_read(root))
    except OSError as error:
        raise PageError(f"page_dir: {error}") from error


def _read(root: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    size = 0
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            # What is linked to may be anything on this machine.
            if name.startswith(".") or path.is_symlink():
                continue
            size += path.stat().st_size
            if size > _MAX_BYTES or len(files) >= _MAX_FILES:
                raise PageError(
                    f"page_dir: {root} holds more than {_MAX_FILES} files or "
                    f"{_MAX_BYTES} bytes; give the folder of the built page "
                    "(web/dist)"
                )
            files["/" + path.relative_to(root).as_posix()] = path.read_bytes()
    return files


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether gzip is named and not refused (RFC 9110, 12.5.3)."""
    for item in accept_encoding.lower().split(","):
        name, _, quality = item.partition(";")
        if name.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00")
    return False


def _matches(if_none_match: str, etag: str) -> bool:
    """Whether the client has it already (RFC 9110, 13.1.2)."""
    tags = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return any(tag in ("*", etag) for tag in tags)


_INSTEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tavus_http_python</title>
</head>
<body>
<main>
<h1>The page is not built</h1>
<p>The API runs. To get the page, with Node 20 or later on the PATH, either
start the example again (<code>examples/tavus/bin/start</code> builds it) or
build it by hand and restart:</p>
<pre><code>cd web &amp;&amp; npm ci &amp;&amp; npm run build</code></pre>
<p><code>TAVUS_HTTP_PAGE_DIR</code> (property <code>page_dir</code>) names the
folder it is in: <code>web/dist</code>.</p>
<h2>What there is</h2>
<ul>
<li><a href="/docs">/docs</a>: the API, to try out</li>
<li><a href="/openapi.json">/openapi.json</a>: the API, for programs</li>
<li><a href="/health">/health</a> and <a href="/metrics">/metrics</a></li>
<li><code>POST /api/tavus/conversation/create</code></li>
<li><code>GET /api/tavus/conversation</code></li>
<li><code>GET /api/tavus/conversation/{id}</code></li>
<li><code>DELETE /api/tavus/conversation/{id}</code></li>
<li><code>POST /api/tavus/conversation/{id}/interaction</code></li>
<li><code>GET /api/tavus/events</code></li>
<li><code>GET /api/tavus/config</code></li>
</ul>
</main>
</body>
</html>
"""
