#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The form of an app's `ten` section and its graphs, as TEN's schema has it.

Only what a hand-written file may get wrong is checked; tests/test_schemas.py
validates this project's own files against the schemas themselves.
"""

from __future__ import annotations

from typing import Any

from .graph_json import GraphError
from .metadata import NAME, FormError, check_property
from .schema import KINDS

_PREDEFINED = {"name", "auto_start", "singleton", "graph"}
_PREDEFINED |= {"sync_stop_before_deinit"}
_GRAPH = {"nodes", "connections", "exposed_messages", "exposed_properties"}
_GRAPH |= {"import_uri"}
_NODE = {"type", "name", "addon", "app", "extension_group", "property"}
_NODE |= {"graph", "filter"}
_PLACE = {"app", "extension", "subgraph", "selector"}
_FLOW = {"name", "names", "dest", "source"}
_LEVELS = {"off", "debug", "info", "warn", "error"}


def check_app_property(content: dict[str, Any]) -> None:
    """Raise FormError unless an app's property.json has the right form."""
    check_property(content)
    ten = _object(content.get("ten", {}), "ten", None)
    for entry in _array(ten.get("predefined_graphs", []), "predefined_graphs"):
        _object(entry, "a predefined graph", _PREDEFINED)
        if not isinstance(entry.get("name"), str):
            raise FormError("a predefined graph has no name")
        check_graph(entry.get("graph", {}))
    if "log" in ten:
        _check_log(ten["log"])


def check_started_graph(graph: Any) -> None:
    """Raise unless a graph could be started by command.

    Less is asked of it than of one in a file: any name will do.

    Raises:
        FormError: what a node needs is missing.
        GraphError: a name is there twice, or a connection's is not.
    """
    _object(graph, "a graph", None)
    names: set[str] = set()
    for node in _array(graph.get("nodes", []), "nodes"):
        _object(node, "a node", None)
        needed = ("type", "name")
        if node.get("type") == "extension":
            needed = ("type", "name", "addon")
        for field in needed:
            if not isinstance(node.get(field), str):
                raise FormError(f"missing field `{field}`")
        if node["name"] in names:
            raise GraphError(f"Duplicated extension, name: {node['name']}.")
        names.add(node["name"])
    for connection in _array(graph.get("connections", []), "connections"):
        places = [_object(connection, "a connection", None)]
        for kind in KINDS:
            for flow in _array(connection.get(kind, []), kind):
                _object(flow, "a message", None)
                places += _array(flow.get("dest", []), "dest")
        for place in places:
            named = _object(place, "a place", None).get("extension")
            if named is not None and named not in names:
                raise GraphError(
                    "The extension declared in connections is not defined in "
                    f"nodes, extension: {named}."
                )


def check_graph(graph: Any) -> None:
    """Raise FormError unless a graph has the right form."""
    _object(graph, "a graph", _GRAPH)
    for node in _array(graph.get("nodes", []), "nodes"):
        _check_node(node)
    for connection in _array(graph.get("connections", []), "connections"):
        _object(connection, "a connection", _PLACE | set(KINDS))
        _check_place(connection, "a connection")
        for kind in KINDS:
            for flow in _array(connection.get(kind, []), kind):
                _check_flow(flow)


def _check_node(node: Any) -> None:
    _object(node, "a node", _NODE)
    _name(node.get("name"), "a node")
    _name(node.get("extension_group", "default"), "extension_group")
    if node.get("type") == "extension":
        _name(node.get("addon"), "addon")
        check_property(_object(node.get("property", {}), "property", None))
    elif node.get("type") not in ("subgraph", "selector"):
        raise FormError(f"node {node['name']}: type {node.get('type')}")


def _check_flow(flow: Any) -> None:
    _object(flow, "a message", _FLOW)
    if "name" not in flow and "names" not in flow:
        raise FormError("a message has neither name nor names")
    for name in [flow.get("name", "x"), *flow.get("names", [])]:
        _name(name, "a message")
    if ("dest" in flow) == ("source" in flow):
        raise FormError("a message has not exactly one of dest and source")
    for end in ("dest", "source"):
        if end not in flow:
            continue
        if not _array(flow[end], end):
            raise FormError(f"{end} is empty")
        for place in flow[end]:
            converts = end == "dest" and "names" not in flow
            allowed = _PLACE | ({"msg_conversion"} if converts else set())
            _object(place, end, allowed)
            _check_place(place, end)
            if "msg_conversion" in place:
                _check_conversion(place["msg_conversion"])


def _check_conversion(spec: Any) -> None:
    known = {"type", "keep_original", "rules", "result"}
    _object(spec, "msg_conversion", known)
    if spec.get("type") != "per_property":
        raise FormError("msg_conversion.type must be per_property")
    if not _array(spec.get("rules"), "rules"):
        raise FormError("msg_conversion has no rules")
    for rule in spec["rules"]:
        fixed = rule.get("conversion_mode") == "fixed_value"
        if ("value" in rule) != fixed or ("original_path" in rule) == fixed:
            raise FormError("a rule has value or original_path by its mode")
    if "result" in spec:
        _check_conversion(spec["result"])


def _check_place(place: dict[str, Any], where: str) -> None:
    named = [k for k in ("extension", "subgraph", "selector") if k in place]
    if len(named) != 1:
        raise FormError(f"{where} names no extension, subgraph or selector")
    _name(place[named[0]], where)


def _check_log(log: Any) -> None:
    _object(log, "log", {"handlers"})
    if not _array(log.get("handlers", [None]), "handlers"):
        raise FormError("log.handlers is empty")
    for handler in log.get("handlers", []):
        parts = {"matchers", "formatter", "emitter"}
        _object(handler, "a log handler", parts)
        if handler.keys() != parts:
            raise FormError(f"a log handler needs {sorted(parts)}")
        for matcher in _array(handler["matchers"], "matchers"):
            _object(matcher, "a matcher", {"level", "category"})
            if matcher.get("level", "off") not in _LEVELS:
                raise FormError(f"log level '{matcher['level']}'")
        if handler["formatter"].get("type") not in ("plain", "json"):
            raise FormError("a log formatter is plain or json")
        if not {"type", "config"} <= handler["emitter"].keys():
            raise FormError("a log emitter needs type and config")


def _object(value: Any, where: str, known: set[str] | None) -> Any:
    if not isinstance(value, dict):
        raise FormError(f"{where} is not an object")
    if known is not None and value.keys() - known:
        unknown = sorted(value.keys() - known)
        raise FormError(f"unknown field {unknown} in {where}")
    return value


def _array(value: Any, where: str) -> Any:
    if not isinstance(value, list):
        raise FormError(f"{where} is not an array")
    return value


def _name(value: Any, where: str) -> None:
    if not isinstance(value, str) or not NAME.match(value):
        raise FormError(f"name '{value}' of {where} is not alphanumeric")
