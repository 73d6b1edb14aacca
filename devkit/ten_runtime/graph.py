#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A running graph: its nodes, their addresses, and its end."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from .graph_json import NodeSpec
from .msg import Body
from .node import Node
from .process import abort

if TYPE_CHECKING:
    from .app_runner import AppRunner


class Receiver(Protocol):
    """Something that takes messages."""

    def receive(self, body: Body) -> None: ...


class _Nowhere:
    """Takes what is addressed to somebody who does not exist."""

    def __init__(self, detail: str) -> None:
        self._detail = detail

    def receive(self, body: Body) -> None:
        if body.path is not None:
            body.path.fail(self._detail)


_NO_EXTENSION = _Nowhere("Failed to find destination.")
_NO_GRAPH = _Nowhere("Graph not found.")


class Graph:
    """One running graph.

    Args:
        app: the app it runs in; None for a tester's own graph.
        specs: its nodes.
        on_closed: called, from any thread, when the last extension is gone.
        single_test: every message goes to the other of two nodes.
    """

    def __init__(
        self,
        app: AppRunner | None,
        specs: dict[str, NodeSpec],
        on_closed: Callable[[Graph], None],
        *,
        single_test: bool = False,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.app = app
        self._on_closed = on_closed
        self._lock = threading.Lock()
        self.nodes = {name: Node(self, spec) for name, spec in specs.items()}
        self._open = len(self.nodes)
        self._peers: dict[str, Node] = {}
        if single_test:
            one, other = self.nodes.values()
            self._peers = {one.name: other, other.name: one}

    def start(self, create: Callable[[Node], Any]) -> None:
        """Create every extension, then let them all configure.

        Args:
            create: makes the host of a node.
        """
        hosts = [(node, create(node)) for node in self.nodes.values()]
        for node, host in hosts:
            node.begin(host)
        if not hosts:
            self._on_closed(self)

    def stop(self) -> None:
        """on_stop of all extensions at once."""
        for node in self.nodes.values():
            node.stop()

    def node_closed(self) -> None:
        """A node's on_deinit is done."""
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if last:
            self._on_closed(self)

    def single_test_peer(self, node: Node) -> Node | None:
        """The other side of a single-extension test."""
        return self._peers.get(node.name)

    def find(self, dest: tuple[str | None, str | None, str | None]) -> Receiver:
        """Who has this address.

        Raises:
            NotImplementedError: the address is in another app.
        """
        app_uri, graph_id, extension = dest
        if app_uri not in ("", "localhost"):
            raise NotImplementedError(
                f"The stand-in reaches this app only, not '{app_uri}'."
            )
        if not graph_id and not extension:
            if self.app is None:
                abort("a message to the app where there is a tester")
            return self.app
        graph: Graph | None = self
        if graph_id and graph_id != self.id:
            graph = self.app.graph(graph_id) if self.app is not None else None
        if graph is None:
            return _NO_GRAPH
        return graph.nodes.get(extension or "", _NO_EXTENSION)
