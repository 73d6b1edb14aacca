#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Runs an app: configure, init, graphs, signals, and closing in order."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import values
from .addon import addon_exists, create_host
from .error import TenError, TenErrorCode, runtime_error
from .graph import Graph
from .graph_check import check_app_property
from .graph_cmds import START_GRAPH, STOP_GRAPH
from .graph_json import GraphError, parse_graph
from .log import LOG, LogLevel
from .loop_thread import SHARED_LOOP
from .metadata import FormError, load
from .msg import Body, StatusCode
from .path import ok_result
from .process import abort
from .schema import KINDS
from .signals import SignalTrap
from .ten_env import TenEnv

if TYPE_CHECKING:
    from .app import App


class AppEnv(TenEnv):
    """The env of an app's callbacks."""

    # An app is no node, so there is nothing for TenEnv.__init__ to hold.
    def __init__(self, runner: AppRunner) -> None:  # pylint: disable=super-init-not-called
        self._runner = runner

    def _log_owner(self) -> tuple[str, TenError | None]:
        return "", None

    def on_configure_done(self) -> None:
        self._runner.post(self._runner.configured)

    def on_init_done(self) -> None:
        self._runner.post(self._runner.initialised)

    def on_deinit_done(self) -> None:
        self._runner.post(None)

    def init_property_from_json(self, json_str: str) -> TenError | None:
        tree, error = values.from_json(json_str)
        if error is not None:
            return error
        if self._runner.property is not None:
            return runtime_error(
                TenErrorCode.ErrorCodeGeneric,
                "Invalid timing to init property.",
            )
        self._runner.initial_property = tree
        return None

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(
            "The stand-in's app env only logs, takes the app's properties "
            "and reports stages."
        )


class AppRunner:
    """The state of one running app; its calls run on the app's thread."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._env = AppEnv(self)
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = (
            queue.SimpleQueue()
        )
        self._graphs: dict[str, Graph] = {}
        self._stop_replies: dict[str, Body] = {}
        self._closing = False
        self.thread: threading.Thread | None = None
        self.initial_property: dict[str, Any] | None = None
        self.property: dict[str, Any] | None = None

    def post(self, call: Callable[[], None] | None) -> None:
        """Run `call` on the app's thread; None ends the app."""
        self._calls.put(call)

    def run(self) -> None:
        """Run until closed."""
        trap = SignalTrap(self.close) if SignalTrap.possible() else None
        try:
            self._app.on_configure(self._env)
            while (call := self._calls.get()) is not None:
                call()
        finally:
            if trap is not None:
                trap.close()

    def close(self) -> None:
        """Ask for the end, from any thread."""
        self.post(self._close)

    # -- start ----------------------------------------------------------

    def configured(self) -> None:
        """on_configure is done: read the properties, then on_init."""
        content = self.initial_property
        if content is None:
            base = _base_dir(self._app)
            content = {} if base is None else _load_app_property(base)
        else:
            try:
                check_app_property(content)
            except FormError as e:
                LOG.log(LogLevel.ERROR, f"Failed to set metadata for app: {e}")
                content = {}
        self.property = content
        LOG.configure(content.get("ten", {}).get("log"))
        LOG.log(
            LogLevel.WARN,
            "This is tavus_python's stand-in for the TEN runtime: for "
            "development and tests, not for production.",
        )
        self._app.on_init(self._env)

    def initialised(self) -> None:
        """on_init is done: start the graphs that start by themselves."""
        for graph in self._predefined():
            if not graph.get("auto_start"):
                continue
            try:
                self._start(graph.get("graph", {}))
            except GraphError as e:
                LOG.log(
                    LogLevel.ERROR,
                    f"Failed to start graph {graph['name']}: {e}",
                )
                self._close()
                return

    def _predefined(self) -> list[dict[str, Any]]:
        return (self.property or {}).get("ten", {}).get("predefined_graphs", [])

    def _start(self, graph_json: dict[str, Any]) -> Graph:
        if "import_uri" in graph_json:
            raise NotImplementedError("The stand-in imports no graph files.")
        graph = Graph(
            self,
            parse_graph(graph_json),
            lambda closed: self.post(lambda: self._graph_closed(closed)),
        )
        self._graphs[graph.id] = graph
        graph.start(create_host)
        return graph

    # -- commands to the app ---------------------------------------------

    def graph(self, graph_id: str) -> Graph | None:
        """The running graph of that id."""
        return self._graphs.get(graph_id)

    def receive(self, body: Body) -> None:
        """Take a message that is addressed to the app itself."""
        self.post(lambda: self._handle(body))

    def _handle(self, body: Body) -> None:
        if body.path is None:
            return
        if body.name == START_GRAPH and body.fields is not None:
            answer = self._start_on_request(body.name, body.fields)
            if answer is not None:
                body.path.answer(answer)
        elif body.name == STOP_GRAPH and body.fields is not None:
            graph = self._graphs.get(body.fields.get("graph_id", ""))
            if graph is None:
                body.path.fail("Failed to find the engine to be shut down.")
                return
            # As natively: who asked before is never answered.
            self._stop_replies[graph.id] = body
            graph.stop()
        else:
            body.path.fail(f"The app does not handle the cmd {body.name}.")

    def _start_on_request(
        self, name: str, fields: dict[str, Any]
    ) -> Body | None:
        """The answer; None for none, as natively for most mistakes."""
        if "predefined" in fields:
            options = self._predefined_named(fields["predefined"])
            graph_json = options.get("graph", {})
        else:
            graph_json = fields.get("graph", {})
            if not _can_be_applied(graph_json):
                return None
        for node in graph_json["nodes"]:
            if not addon_exists(node["addon"]):
                failed = Body("cmd_result", name)
                failed.status = int(StatusCode.ERROR)
                return failed
        graph = self._start(graph_json)
        return ok_result(name, {"graph_id": graph.id})

    def _predefined_named(self, name: str | None) -> dict[str, Any]:
        for graph in self._predefined():
            if graph["name"] == name:
                return graph
        abort(f"there is no predefined graph {name}")

    # -- end ------------------------------------------------------------

    def _graph_closed(self, graph: Graph) -> None:
        SHARED_LOOP.join_ended()
        self._graphs.pop(graph.id, None)
        body = self._stop_replies.pop(graph.id, None)
        if body is not None and body.path is not None:
            body.path.answer(
                ok_result(body.name, {"detail": "close engine done"})
            )
        settings = (self.property or {}).get("ten", {})
        if self._graphs:
            return
        if self._closing or not settings.get("long_running_mode"):
            self._closing = True
            self._app.on_deinit(self._env)

    def _close(self) -> None:
        if self._closing:
            return
        self._closing = True
        for graph in list(self._graphs.values()):
            graph.stop()
        if not self._graphs:
            self._app.on_deinit(self._env)


def _can_be_applied(graph: dict[str, Any]) -> bool:
    """Whether TEN goes on with what `set_graph_from_json` has taken."""
    nodes = graph.get("nodes", [])
    names = {node["name"] for node in nodes}
    places = graph.get("connections", [])
    flows = [f for one in places for kind in KINDS for f in one.get(kind, [])]
    return (
        bool(nodes)
        and all(isinstance(n.get("property", {}), dict) for n in nodes)
        and all("extension" in one or "subgraph" in one for one in places)
        and all(
            source.get("extension") in names
            for flow in flows
            for source in flow.get("source", [])
        )
    )


def _load_app_property(base: Path) -> dict[str, Any]:
    return load(base / "property.json", "app", check_app_property)


def _base_dir(app: App) -> Path | None:
    """The app's folder: the nearest with a manifest of type app."""
    named = os.environ.get("TEN_APP_BASE_DIR")
    if named:
        return Path(named)
    module = sys.modules.get(type(app).__module__)
    file = getattr(module, "__file__", None)
    starts = [Path(file).absolute().parent] if file else []
    for start in [*starts, Path.cwd()]:
        for folder in (start, *start.parents):
            manifest = folder / "manifest.json"
            if manifest.is_file() and _is_app(manifest):
                return folder
    return None


def _is_app(manifest: Path) -> bool:
    try:
        return json.loads(manifest.read_text("utf-8")).get("type") == "app"
    except ValueError:
        return False
