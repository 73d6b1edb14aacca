#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the README says is there, and nothing is missing from it."""

import json
import re
from typing import Any

import pytest
from support.places import ROOT
from ten_packages.extension.tavus_python import errors

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")]
API = json.loads((ROOT / "manifest.json").read_text())["api"]


def rows(text: str) -> dict[str, str]:
    """The rows of all tables, by the name in their first cell."""
    found: dict[str, str] = {}
    for match in re.finditer(r"^\| `([^`]+)` .*$", text, re.MULTILINE):
        found[match[1]] = found.get(match[1], "") + match[0]
    return found


@pytest.mark.parametrize("kind", ["cmd_in", "data_out"])
def test_every_message_and_its_properties_are_in_a_table(kind: str) -> None:
    for message in API[kind]:
        row = rows(README)[message["name"]]
        if message["name"] in ("error", "metrics", "message"):
            continue  # TEN's own; the table names their models
        names = _properties(message) | _properties(message.get("result", {}))
        for name in names:
            assert f"`{name}`" in row


def _properties(schema: dict[str, Any]) -> set[str]:
    return set(schema.get("property", {}).get("properties", {}))


def test_every_kind_of_error_is_in_a_table() -> None:
    kinds = {error.kind for error in errors.TavusError.__subclasses__()}
    assert kinds | {"config", "internal"} <= set(rows(README))


def test_every_link_between_the_pages_leads_somewhere() -> None:
    links = 0
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
            links += 1
    assert links > 10


def test_the_minimal_graph_uses_what_is_declared() -> None:
    graph = json.loads(re.findall(r"```json\n(.*?)```", README, re.DOTALL)[0])
    (ours,) = [n for n in graph["nodes"] if n["addon"] == "tavus_python"]
    properties = json.loads((ROOT / "property.json").read_text())
    assert set(ours["property"]) <= set(properties)
    received = {message["name"] for message in API["cmd_in"]}
    sent = {message["name"] for message in API["data_out"]}
    (wiring,) = [c for c in graph["connections"] if c["extension"] == "tavus"]
    assert set(wiring["cmd"][0]["names"]) <= received
    assert {data["name"] for data in wiring["data"]} <= sent


def test_a_worker_gets_descriptors_for_a_hundred_rooms_and_all_streams() -> (
    None
):
    text = (ROOT / "docs" / "deploy.md").read_text()
    limits = {int(n) for n in re.findall(r"(?:-n |NOFILE=|nofile=)(\d+)", text)}
    assert len(limits) == 1
    # 100 rooms on the native runtime, and max_connections.
    assert limits.pop() >= 4898 + 1000
