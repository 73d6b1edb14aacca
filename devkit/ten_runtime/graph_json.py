#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Graph descriptions turned into nodes and routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .conversion import compile_conversion
from .msg import Body
from .schema import KINDS

TEST_ADDON = "ten:test_extension"
Convert = Callable[[Body], None] | None


class GraphError(Exception):
    """A graph that cannot be started."""


@dataclass
class Route:
    """One connection: where to, and what it changes on the way."""

    dest: str
    convert: Convert = None
    convert_result: Convert = None


@dataclass
class NodeSpec:
    """One extension of a graph and what leaves it."""

    name: str
    addon: str
    property: dict[str, Any] = field(default_factory=dict)
    routes: dict[tuple[str, str], list[Route]] = field(default_factory=dict)


def parse_graph(graph: dict[str, Any]) -> dict[str, NodeSpec]:
    """The graph's nodes by name, with their routes.

    Raises:
        GraphError: a duplicate name, or a connection with an unknown node.
        NotImplementedError: subgraphs, selectors, other apps.
    """
    specs: dict[str, NodeSpec] = {}
    for node in graph.get("nodes", ()):
        if node.get("type", "extension") != "extension" or "app" in node:
            raise NotImplementedError(
                "The stand-in runs nodes of type 'extension' of this app "
                f"only, not {node}."
            )
        name = node["name"]
        if name in specs:
            raise GraphError(f"Duplicated extension was found, name: {name}")
        specs[name] = NodeSpec(name, node["addon"], node.get("property", {}))
    for connection in graph.get("connections", ()):
        here = _extension(connection, specs)
        for kind in KINDS:
            for flow in connection.get(kind, ()):
                _add_flow(specs, here, kind, flow)
    return specs


def _names(flow: dict[str, Any]) -> list[str]:
    return flow["names"] if "names" in flow else [flow["name"]]


def _extension(place: dict[str, Any], specs: dict[str, NodeSpec]) -> str:
    if place.get("app") not in (None, "localhost") or "extension" not in place:
        raise NotImplementedError(
            f"The stand-in connects extensions of this app only, not {place}."
        )
    name = place["extension"]
    if name not in specs:
        raise GraphError(
            f"The extension '{name}' of a connection is not in nodes"
        )
    return name


def _add_flow(
    specs: dict[str, NodeSpec], here: str, kind: str, flow: dict[str, Any]
) -> None:
    for name in _names(flow):
        for dest in flow.get("dest", ()):
            route = Route(_extension(dest, specs))
            conversion = dest.get("msg_conversion")
            if conversion:
                route.convert = compile_conversion(conversion)
                if conversion.get("result"):
                    route.convert_result = compile_conversion(
                        conversion["result"]
                    )
            _add_route(specs[here], kind, name, route)
        for source in flow.get("source", ()):
            _add_route(
                specs[_extension(source, specs)], kind, name, Route(here)
            )


def _add_route(spec: NodeSpec, kind: str, name: str, route: Route) -> None:
    routes = spec.routes.setdefault((kind, name), [])
    if all(known.dest != route.dest for known in routes):
        routes.append(route)
