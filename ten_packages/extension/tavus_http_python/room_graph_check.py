#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Finds in a graph what TEN would not start, and does not explain.

At a mistake in a graph TEN never answers `start_graph`; at a variable of the
environment that is not set it ends the whole process.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_PACKAGES = Path("ten_packages", "extension")
_KINDS = ("cmd", "data", "audio_frame", "video_frame")
_PLACES = ("extension", "subgraph", "selector")
# TEN resolves a text that is nothing but a placeholder.
_PLACEHOLDER = re.compile(r"\$\{([^:{}]*):([^{}|]*)(\|[^{}]*)?\}")


def graph_problem(graph: Mapping[str, Any], packages: Path = _PACKAGES) -> str:
    """Why TEN would not start a graph.

    Reads the property files of the addons, so it is not for an event loop.

    Args:
        graph: With nodes and connections.
        packages: The app's folder of extensions. A relative one begins where
            TEN apps run.

    Returns:
        A sentence that names the node, or the variable; empty if nothing is
        known to be wrong.
    """
    for problem in _problems(graph, packages):
        return problem
    return ""


def missing_addons(
    graph: Mapping[str, Any], packages: Path = _PACKAGES
) -> list[str]:
    """The addons of a graph that are in no folder of the app."""
    addons = {str(node.get("addon")) for node in graph["nodes"]}
    return sorted(one for one in addons if not (packages / one).is_dir())


def _problems(graph: Mapping[str, Any], packages: Path) -> Iterator[str]:
    names: set[str] = set()
    for node in graph["nodes"]:
        yield from _node_problems(node, names)
        names.add(node["name"])
    if not names:
        yield "it has no nodes"
    for place in _places(graph.get("connections", [])):
        named = [str(place[kind]) for kind in _PLACES if kind in place]
        name = named[0] if named else ""
        # "sub:x" is x of the subgraph sub.
        if len(named) != 1 or name.partition(":")[0] not in names:
            yield f"a connection names '{name}', which is no node"
    for node in graph["nodes"]:
        if node["type"] == "extension":
            yield from _property_problems(node, packages)


def _node_problems(node: Any, names: set[str]) -> Iterator[str]:
    if not isinstance(node, dict):
        yield f"a node is no object but {json.dumps(node)}"
        return
    name, kind, addon = (node.get(field) for field in ("name", "type", "addon"))
    if not isinstance(name, str) or not name:
        yield f"a node's name is {json.dumps(name)}"
    if name in names:
        yield f"two nodes are named {name}"
    if kind not in _PLACES:
        yield f"node {name}: its type is {json.dumps(kind)}, not extension"
    if kind == "extension" and (not isinstance(addon, str) or not addon):
        yield f"node {name}: its addon is {json.dumps(addon)}"
    if not isinstance(node.get("property", {}), dict):
        yield f"node {name}: its property is no object"


def _places(connections: Any) -> Iterator[Mapping[str, Any]]:
    """Where connections begin, and where they lead."""
    for connection in _objects(connections):
        yield connection
        for kind in _KINDS:
            for flow in _objects(connection.get(kind, [])):
                yield from _objects(flow.get("dest", []))
                yield from _objects(flow.get("source", []))


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Of a list; what is none names nothing, so it is found to be wrong."""
    for one in value if isinstance(value, list) else [value]:
        yield one if isinstance(one, dict) else {}


def _property_problems(
    node: Mapping[str, Any], packages: Path
) -> Iterator[str]:
    own = _read(packages / node["addon"] / "property.json")
    for text in _texts(_laid_over(own, node.get("property", {}))):
        match = _PLACEHOLDER.fullmatch(text)
        if match is None:
            continue
        scope, variable, default = match.groups()
        if scope != "env":
            yield f"node {node['name']}: TEN does not know {text}"
        elif default is None and variable not in os.environ:
            yield (
                f"node {node['name']}: the environment variable {variable} is "
                f"not set; set it, or write ${{env:{variable}|}} for none"
            )


def _read(file: Path) -> Any:
    """The properties of an addon; none where TEN would use none either."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _laid_over(own: Any, given: Any) -> Any:
    """The given properties over those of the addon, as TEN does it."""
    if not isinstance(own, dict) or not isinstance(given, dict):
        return given
    return own | {
        name: _laid_over(own.get(name), value) for name, value in given.items()
    }


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
