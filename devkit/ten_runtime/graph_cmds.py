#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The commands an app itself answers: start a graph, stop a graph."""

from __future__ import annotations

from typing import Any, ClassVar

from .graph_check import check_started_graph
from .graph_json import GraphError
from .log import LOG, LogLevel
from .metadata import FormError
from .msg import Body, Cmd
from .values import check_text, from_json

START_GRAPH = "ten:start_graph"
STOP_GRAPH = "ten:stop_graph"


class _AppCmd(Cmd):
    _app_name: ClassVar[str]

    @classmethod
    def create(cls) -> Any:  # type: ignore[override] # pylint: disable=arguments-differ
        body = Body("cmd", cls._app_name)
        body.fields = {}
        return cls._wrap(body)

    def _set(self, name: str, value: Any) -> bool:
        fields = self._valid().fields
        assert fields is not None
        fields[name] = value
        return True


class StartGraphCmd(_AppCmd):
    """Start one more graph; the result's `graph_id` names it."""

    _app_name: ClassVar[str] = START_GRAPH

    def set_predefined_graph_name(self, predefined_graph_name: str) -> bool:
        return self._set("predefined", check_text(predefined_graph_name))

    def set_graph_from_json(self, json_str: str) -> bool:
        """False for a graph that cannot be; TEN says why in its log only."""
        graph, error = from_json(json_str)
        try:
            if error is not None:
                raise FormError(f"Failed to parse {json_str}")
            check_started_graph(graph)
        except (FormError, GraphError) as e:
            LOG.log(
                LogLevel.ERROR,
                f"Failed to validate graph json string, err: {e}",
            )
            return False
        return self._set("graph", graph)

    def set_sync_stop_before_deinit(
        self, sync_stop_before_deinit: bool
    ) -> bool:
        """Natively it holds sometimes, so here it never does."""
        return self._set("sync_stop", bool(sync_stop_before_deinit))


class StopGraphCmd(_AppCmd):
    """Stop the graph of the given id."""

    _app_name: ClassVar[str] = STOP_GRAPH

    def set_graph_id(self, graph_id: str) -> bool:
        return self._set("graph_id", check_text(graph_id))
