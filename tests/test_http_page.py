#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The built page in memory, what stands in for it, and /docs."""

import gzip
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from fastapi import FastAPI
from starlette.responses import Response

from ten_packages.extension.tavus_http_python.docs_page import add_docs
from ten_packages.extension.tavus_http_python.page import (
    Page,
    PageError,
    load_page,
)
from ten_packages.extension.tavus_http_python.server import HttpServer, listen

SCRIPT = b"console.log('hello');\n" * 200


@pytest.fixture(name="dist")
def _dist(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Hi</title>")
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / "assets" / "index-B2c3.js").write_bytes(SCRIPT)
    (tmp_path / "secret.txt").write_text("not for you")
    return folder


def get(page: Page, path: str, encoding: str = "", etag: str = "") -> Response:
    found = page.answer(path, encoding, etag)
    assert found is not None, path
    return found


async def test_the_page_is_at_the_root_and_asked_for_each_time(
    dist: Path,
) -> None:
    page = await load_page(str(dist))
    answer = get(page, "/")
    assert b"<title>Hi</title>" in bytes(answer.body)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


async def test_what_has_a_hash_in_its_name_is_kept_for_a_year(
    dist: Path,
) -> None:
    answer = get(await load_page(str(dist)), "/assets/index-B2c3.js")
    assert bytes(answer.body) == SCRIPT
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == (
        "public, max-age=31536000, immutable"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt",
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..\\..\\secret.txt",
        "//secret.txt",
        "/assets",
        "/assets/",
        "/index.html/",
        "/favicon.svg\0",
        "",
    ],
)
async def test_nothing_else_can_be_asked_for(dist: Path, path: str) -> None:
    assert (await load_page(str(dist))).answer(path, "", "") is None


async def test_links_and_hidden_files_are_not_served(dist: Path) -> None:
    (dist / "link.txt").symlink_to(dist.parent / "secret.txt")
    (dist / "linked").symlink_to(dist.parent, target_is_directory=True)
    (dist / ".env").write_text("KEY=1")
    (dist / ".git").mkdir()
    (dist / ".git" / "config").write_text("url = x")
    page = await load_page(str(dist))
    for path in ("/link.txt", "/linked/secret.txt", "/.env", "/.git/config"):
        assert page.answer(path, "", "") is None


@pytest.mark.parametrize(
    ("encoding", "is_packed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0, *", False),
    ],
)
async def test_who_takes_gzip_gets_it(
    dist: Path, encoding: str, is_packed: bool
) -> None:
    page = await load_page(str(dist))
    answer = get(page, "/assets/index-B2c3.js", encoding)
    body = bytes(answer.body)
    assert answer.headers.get("content-encoding", "") == "gzip" * is_packed
    assert (gzip.decompress(body) if is_packed else body) == SCRIPT
    assert answer.headers["vary"] == "Accept-Encoding"


async def test_who_has_it_already_is_told_so(dist: Path) -> None:
    page = await load_page(str(dist))
    path = "/assets/index-B2c3.js"
    etag = get(page, path, "gzip").headers["etag"]
    for given in (etag, f'"other", W/{etag}', "*"):
        answer = get(page, path, "gzip", given)
        assert (answer.status_code, bytes(answer.body)) == (304, b"")
        assert answer.headers["etag"] == etag
    # The same file unpacked is another representation.
    assert get(page, path, "", etag).status_code == 200
    assert get(page, path, "gzip", '"other"').status_code == 200


async def test_a_changed_file_has_another_tag(dist: Path) -> None:
    before = get(await load_page(str(dist)), "/").headers["etag"]
    (dist / "index.html").write_text("<!doctype html><title>Ho</title>")
    assert get(await load_page(str(dist)), "/").headers["etag"] != before


@pytest.mark.parametrize("directory", ["", "nowhere"])
async def test_without_a_page_it_is_said_how_to_get_one(
    tmp_path: Path, directory: str
) -> None:
    page = await load_page(directory and str(tmp_path / directory))
    text = bytes(get(page, "/").body).decode()
    assert "cd web &amp;&amp; npm ci &amp;&amp; npm run build" in text
    assert 'href="/docs"' in text
    assert_needs_nothing_inline(text)


async def test_a_folder_that_is_no_page_is_refused(dist: Path) -> None:
    with (dist / "film.mp4").open("wb") as film:
        film.truncate(21 * 1024 * 1024)
    with pytest.raises(PageError, match=r"page_dir: .* holds more than"):
        await load_page(str(dist))


async def test_a_folder_of_very_many_files_is_refused(dist: Path) -> None:
    for number in range(500):
        (dist / "assets" / f"{number}.txt").touch()
    with pytest.raises(PageError, match="more than 500 files"):
        await load_page(str(dist))


async def test_a_file_that_cannot_be_read_is_named(
    dist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(PageError, match=r"page_dir: .*Permission denied"):
        await load_page(str(dist))


def assert_needs_nothing_inline(html: str) -> None:
    """Fits script-src and style-src 'self'."""
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", html) == []
    assert re.findall(r"<script(?![^>]*\ssrc=\"/)", html) == []
    assert re.findall(r"(?:src|href)=\"(?!/)", html) == []


@asynccontextmanager
async def docs() -> AsyncIterator[aiohttp.ClientSession]:
    app = FastAPI(docs_url=None, redoc_url=None)
    add_docs(app)
    complaints: list[str] = []
    server = HttpServer(app, await listen("127.0.0.1", 0), complaints.append)
    server.start()
    async with aiohttp.ClientSession(server.url) as session:
        yield session
    await server.stop()
    assert complaints == []


async def test_docs_come_from_this_server_alone() -> None:
    async with docs() as session, session.get("/docs") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        text = await answer.text()
        assert_needs_nothing_inline(text)
        loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
        assert len(loaded) == 4
        for path in loaded:
            async with session.get(path) as part:
                assert part.status == 200, path
                assert len(await part.read()) > 100


async def test_docs_have_nothing_else() -> None:
    async with docs() as session:
        for path in ("/docs/redoc.standalone.js", "/docs/..%2fcore.py"):
            async with session.get(path) as answer:
                assert answer.status == 404


async def test_docs_are_not_part_of_the_api() -> None:
    async with docs() as session, session.get("/openapi.json") as answer:
        assert (await answer.json())["paths"] == {}
