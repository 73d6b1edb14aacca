#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Graphs that an extension starts and stops, and those that never start."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from small_app import SmallApp

# Ours ends what TEN would answer after three minutes.
SOON = {
    "ten": {
        "path_timeout": {"in_path": 300_000, "out_path": 300_000},
        "path_check_interval": 50_000,
    }
}
LOBBY = """
async def on_start(self, ten_env):
    self.task = asyncio.create_task(self.play(ten_env))

async def start(self, ten_env, text):
    cmd = StartGraphCmd.create()
    cmd.set_dests([Loc("")])
    say(cmd.set_graph_from_json(text))
    result, error = await ten_env.send_cmd(cmd)
    assert error is None
    return result

async def stop(self, ten_env, graph_id):
    cmd = StopGraphCmd.create()
    cmd.set_graph_id(graph_id)
    cmd.set_dests([Loc("")])
    result, error = await ten_env.send_cmd(cmd)
    assert error is None
    say(result.get_status_code().name, result.get_property_string("detail")[0])

async def play(self, ten_env):
"""
START_AND_SAY = """
    with open("graph.json") as file:
        result = await self.start(ten_env, file.read())
    say(result.get_status_code().name, result.get_property_string("detail")[0])
    close_app()
"""


def node(name: str = "room", **more: Any) -> dict[str, Any]:
    base = {"type": "extension", "name": name, "addon": "room"}
    return {**base, "extension_group": "all", **more}


def flow(**ends: Any) -> dict[str, Any]:
    return {"extension": "room", "cmd": [{"name": "x", **ends}]}


@pytest.fixture(name="app")
def _app(tmp_path: Path) -> SmallApp:
    """An app with the addon `room`, which is in no graph yet."""
    app = SmallApp(tmp_path)
    app.extension("room", "pass", in_graph=False)
    return app


def lines_of_start(app: SmallApp, text: str) -> list[str]:
    """What the lobby says of a graph that it tries to start."""
    (app.folder / "graph.json").write_text(text)
    app.extension("lobby", LOBBY + START_AND_SAY, node_property=SOON)
    ended = app.run()
    assert ended.status == 0
    assert ended.lines[-1] == "run returned"
    return ended.lines[:-1]


REFUSED: dict[str, Any] = {
    "a dest that is no node": {
        "nodes": [node()],
        "connections": [flow(dest=[{"extension": "nobody"}])],
    },
    "a connection of no node": {
        "nodes": [node()],
        "connections": [{"extension": "nobody", "cmd": []}],
    },
    "a name twice": {"nodes": [node(), node()]},
    "a node without a type": {"nodes": [{"name": "room", "addon": "room"}]},
    "a node without an addon": {"nodes": [{"type": "extension", "name": "x"}]},
    "nodes that are no list": {"nodes": {}},
}
TAKEN: dict[str, Any] = {
    "no nodes": {"nodes": []},
    "nothing": {},
    "a source that is no node": {
        "nodes": [node()],
        "connections": [flow(source=[{"extension": "nobody"}])],
    },
    "a property that is no object": {"nodes": [node(property=[1])]},
    "a connection of nothing": {
        "nodes": [node()],
        "connections": [
            {"cmd": [{"name": "x", "dest": [{"extension": "room"}]}]}
        ],
    },
}
STARTED: dict[str, Any] = {
    "a name with a dash": {"nodes": [node("no-dashes")]},
    "a null": {"nodes": [node(property={"x": None})]},
    "a field that nobody knows": {"nodes": [node(surprise=1)]},
    "a message to nobody": {"nodes": [node()], "connections": [flow(dest=[])]},
}


@pytest.mark.parametrize("what", REFUSED)
def test_such_a_graph_is_not_taken_and_its_start_is_never_answered(
    app: SmallApp, what: str
):
    text = json.dumps(REFUSED[what])
    assert lines_of_start(app, text) == ["False", "ERROR Path timeout."]


@pytest.mark.parametrize(
    "text",
    [
        "{nope",
        '{"nodes": [' + json.dumps(node(property={"x": "\ud800"})) + "]}",
    ],
    ids=["no JSON", "half a surrogate pair"],
)
def test_what_is_no_json_is_not_taken_and_its_start_is_never_answered(
    app: SmallApp, text: str
):
    assert lines_of_start(app, text) == ["False", "ERROR Path timeout."]


@pytest.mark.parametrize("what", TAKEN)
def test_such_a_graph_is_taken_and_its_start_is_never_answered(
    app: SmallApp, what: str
):
    text = json.dumps(TAKEN[what])
    assert lines_of_start(app, text) == ["True", "ERROR Path timeout."]


@pytest.mark.parametrize("what", STARTED)
def test_such_a_graph_starts_though_no_file_could_have_it(
    app: SmallApp, what: str
):
    assert lines_of_start(app, json.dumps(STARTED[what])) == ["True", "OK "]


def test_an_addon_that_does_not_exist_is_an_error_without_a_reason(
    app: SmallApp,
):
    text = json.dumps({"nodes": [node(addon="nowhere")]})
    assert lines_of_start(app, text) == ["True", "ERROR "]


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("${env:CONTRACT_NEVER_SET}", 1),
        ("${foo:CONTRACT_NEVER_SET}", -signal.SIGABRT),
    ],
)
def test_a_placeholder_of_a_started_graph_that_cannot_be_resolved_is_the_end(
    app: SmallApp, value: str, status: int
):
    text = json.dumps({"nodes": [node(property={"x": value})]})
    (app.folder / "graph.json").write_text(text)
    wait = "    await asyncio.Event().wait()\n"
    app.extension(
        "lobby", LOBBY + START_AND_SAY.replace("close_app()", "pass") + wait
    )
    ended = app.run()
    assert ended.status == status
    assert "run returned" not in ended.lines


def test_of_two_stops_of_a_graph_only_the_later_one_is_answered(
    app: SmallApp,
):
    code = """
    result = await self.start(ten_env, open("graph.json").read())
    graph_id, _ = result.get_property_string("graph_id")
    await asyncio.gather(
        self.stop(ten_env, graph_id), self.stop(ten_env, graph_id)
    )
    await self.stop(ten_env, graph_id)
    close_app()
"""
    (app.folder / "graph.json").write_text(json.dumps({"nodes": [node()]}))
    app.extension("lobby", LOBBY + code, node_property=SOON)
    assert app.run().lines == [
        "True",
        "OK close engine done",
        "ERROR Path timeout.",
        "ERROR Failed to find the engine to be shut down.",
        "run returned",
    ]
