#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A room's graph that TEN refuses is refused before it is sent, with why."""

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.http_node import Browser, TenRun
from support.room_graphs import START

from ten_packages.extension.tavus_http_python.room_graph_check import (
    graph_problem,
    missing_addons,
)

NEVER_SET = "ROOM_TEST_NEVER_SET"
Change = Callable[[dict[str, Any]], object]


def node(name: str, addon: str = "probe", **properties: Any) -> dict[str, Any]:
    return {
        "type": "extension",
        "name": name,
        "addon": addon,
        "extension_group": "default",
        "property": properties,
    }


def graph(*nodes: dict[str, Any]) -> dict[str, Any]:
    """Of an rtc that is connected to an agent, and of more nodes."""
    return {
        "nodes": [node("rtc", room=""), node("agent"), *nodes],
        "connections": [
            {
                "extension": "rtc",
                "data": [{"name": "x", "dest": [{"extension": "agent"}]}],
            }
        ],
    }


def the_dest(one: dict[str, Any]) -> dict[str, Any]:
    return one["connections"][0]["data"][0]["dest"][0]


REFUSED: list[tuple[Change, str]] = [
    (lambda g: the_dest(g).update(extension="nobody"), "'nobody'"),
    (lambda g: g["connections"][0].update(extension="nobody"), "'nobody'"),
    (
        lambda g: g["connections"][0].update(
            cmd=[{"name": "x", "source": [{"extension": "nobody"}]}]
        ),
        "'nobody'",
    ),
    (lambda g: the_dest(g).clear(), "no node"),
    (lambda g: g.update(connections="x"), "no node"),
    (lambda g: g["nodes"].append(node("rtc")), "two nodes are named rtc"),
    (lambda g: g["nodes"].append({**node("x"), "name": 1}), "name is 1"),
    (lambda g: g["nodes"].append(node("x", addon="")), "node x: its addon"),
    (lambda g: g["nodes"].append({"name": "x"}), "node x: its type"),
    (lambda g: g["nodes"].append(None), "null"),
    (lambda g: g["nodes"][1].update(property=[]), "node agent: its property"),
    (lambda g: g["nodes"].clear(), "no nodes"),
    (
        lambda g: g["nodes"][1]["property"].update(
            deep={"list": ["${env:" + NEVER_SET + "}"]}
        ),
        f"node agent: the environment variable {NEVER_SET} is not set",
    ),
    (
        lambda g: g["nodes"][1]["property"].update(x="${vault:KEY}"),
        r"node agent: TEN does not know ${vault:KEY}",
    ),
]


@pytest.mark.parametrize(("change", "problem"), REFUSED)
def test_what_ten_would_not_start_is_named(
    change: Change, problem: str, tmp_path: Path
) -> None:
    one = graph()
    change(one)
    assert problem in graph_problem(one, tmp_path)


def test_what_ten_starts_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOM_TEST_SET", "")
    one = graph(
        node(
            "more",
            set="${env:ROOM_TEST_SET}",
            default="${env:" + NEVER_SET + "|}",
            inside="pre${env:" + NEVER_SET + "}",
            scope="${X}",
        ),
        node("no-dashes"),  # which no file may have
        {"type": "subgraph", "name": "sub", "graph": {"import_uri": "x"}},
    )
    one["connections"][0]["data"][0]["dest"].append({"extension": "sub:x"})
    assert graph_problem(one, tmp_path) == ""


def test_what_an_addon_asks_of_the_environment_counts_unless_the_graph_hides_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "probe").mkdir()
    own = {"params": {"key": "${env:" + NEVER_SET + "}"}}
    (tmp_path / "probe" / "property.json").write_text(json.dumps(own))
    hidden = node("one", params={"key": ""})
    assert graph_problem({"nodes": [hidden]}, tmp_path) == ""
    shown = node("two", params={"other": ""})
    problem = graph_problem({"nodes": [hidden, shown]}, tmp_path)
    assert f"node two: the environment variable {NEVER_SET}" in problem


def test_addons_that_are_not_installed_are_named(tmp_path: Path) -> None:
    (tmp_path / "probe").mkdir()
    one = graph(node("x", addon="b"), node("y", addon="a"))
    assert missing_addons(one, tmp_path) == ["a", "b"]


@pytest.mark.usefixtures("ten_app")
@pytest.mark.parametrize(
    ("change", "problem"), [REFUSED[0], REFUSED[5], REFUSED[-2]]
)
async def test_such_a_room_is_refused_at_once_and_its_place_is_free_again(
    change: Change, problem: str, tmp_path: Path
) -> None:
    pytest.importorskip("livekit.api")
    one = copy.deepcopy(graph())
    change(one)
    file = tmp_path / "room.json"
    file.write_text(json.dumps(one))
    settings = {
        "livekit_url": "ws://127.0.0.1:1",
        "livekit_api_key": "key",
        "livekit_api_secret": "secret-of-a-server-on-loopback-only",
        "livekit_graph": str(file),
        "max_active": 1,
    }
    async with TenRun(settings) as run, Browser(run.url) as browser:
        for _ in range(2):
            began = time.monotonic()
            status, reply = await browser.ask("POST", START)
            assert time.monotonic() - began < 1
            assert (status, reply["data"]["kind"]) == (503, "graph")
            assert problem in reply["data"]["detail"]
        assert problem in (await run.data.get("error"))["message"]
