#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""How a message leaves an extension: checked, addressed, handed over."""

# The modules of this package share their underscored names.
# pylint: disable=protected-access
from __future__ import annotations

from typing import TYPE_CHECKING

from .error import TenError, TenErrorCode, runtime_error
from .msg import Body, CmdResult, Msg
from .path import Group, OnResult, Path
from .schema import SchemaError

if TYPE_CHECKING:
    from .graph import Receiver
    from .graph_json import Route
    from .node import Node


def send(
    node: Node,
    msg: Msg,
    on_result: OnResult | None = None,
    each: bool = False,
) -> TenError | None:
    """Route a message of `node`; the handle is invalid afterwards.

    Args:
        node: the sender.
        msg: a command, data or frame.
        on_result: takes a command's results, from any thread.
        each: pass on every result of a fan-out.
    """
    body = msg._take()
    body.source = node.address
    try:
        body.properties = node.api.fit_message(
            body.kind, "out", body.name, body.properties
        )
    except SchemaError as e:
        return runtime_error(TenErrorCode.ErrorCodeGeneric, str(e))
    if body.locked:
        return runtime_error(
            TenErrorCode.ErrorCodeGeneric, "The msg has locked buffer."
        )
    routes: list[Route] = []
    targets: list[Receiver]
    if (peer := node.graph.single_test_peer(node)) is not None:
        targets = [peer]  # whatever the address
    elif body.dests:
        targets = [node.graph.find(dest) for dest in body.dests]
        body.dests = []
    else:
        routes = node.routes.get((body.kind, body.name), [])
        targets = [node.graph.nodes[route.dest] for route in routes]
    if not targets:
        return runtime_error(
            TenErrorCode.ErrorCodeMsgNotConnected,
            f"Failed to find destination of a '{body.kind}' message "
            f"'{body.name}' from graph.",
        )
    bodies = [body, *(body.copy() for _ in targets[1:])]
    if on_result is not None:
        _add_paths(node, bodies, on_result, each)
    for one, route in zip(bodies, routes, strict=False):
        _convert(one, route)
    for one, target in zip(bodies, targets, strict=True):
        target.receive(one)
    return None


def _add_paths(
    node: Node, bodies: list[Body], on_result: OnResult, each: bool
) -> None:
    group = Group(each) if len(bodies) > 1 else None
    first = bodies[0]
    paths = [Path(node, first, on_result, group) for _ in bodies]
    if group is not None:
        group.paths = paths
    node.out_paths.update(paths)
    for body, path in zip(bodies, paths, strict=True):
        body.path = path
    node.watch_paths()


def _convert(body: Body, route: Route) -> None:
    if route.convert is not None:
        route.convert(body)
        if body.path is not None:
            body.path.convert = route.convert_result


def return_result(node: Node, result: CmdResult) -> TenError | None:
    """Send a result back to where its command came from."""
    body = result._take()
    path, body.path = body.path, None
    if path is None:
        return runtime_error(
            TenErrorCode.ErrorCodeGeneric,
            "The cmd result has no command to answer.",
        )
    body.source = node.address
    return path.answer(body)
