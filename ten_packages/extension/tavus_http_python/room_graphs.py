#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The graphs that run for rooms: what a file says, and who runs it."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any, Protocol

from .room_graph_check import graph_problem, missing_addons

# Properties of a node that name its room; the first is TEN's own name for it.
_OF_THE_ROOM = ("channel", "room", "livekit_room")


class RoomGraphError(Exception):
    """The file with the graph of a room cannot be used; the text says why."""


class RoomGraphs(Protocol):
    """Runs graphs beside the one that this extension is in."""

    async def start(self, graph: str) -> str:
        """Starts a graph.

        Args:
            graph: JSON, with nodes and connections.

        Returns:
            The id of the graph.

        Raises:
            GraphError: It cannot be started.
        """
        ...

    async def stop(self, graph_id: str) -> None:
        """Stops a graph; returns when it has stopped, or did not run.

        Raises:
            GraphError: It does not stop.
        """


class RoomTemplate:
    """The graph of a room that has no name yet.

    Args:
        graph: With nodes and connections.
    """

    def __init__(self, graph: dict[str, Any]) -> None:
        self._graph = graph

    def problem(self) -> str:
        """Why TEN would not start it, or empty; reads files."""
        return graph_problem(self._graph)

    def missing_addons(self) -> list[str]:
        """Its addons that are not in the app's folder; looks for files."""
        return missing_addons(self._graph)

    def for_room(self, room_name: str) -> str:
        """The graph of one room, as JSON.

        Args:
            room_name: Put wherever a node has a property that names a room.
        """
        graph = copy.deepcopy(self._graph)
        for node in graph["nodes"]:
            properties = node.get("property", {})
            for name in _OF_THE_ROOM:
                if name in properties:
                    properties[name] = room_name
        return json.dumps(graph)


async def load_template(path: str) -> RoomTemplate:
    """Reads the graph of a room.

    Args:
        path: Of the file; a relative one begins at the app's folder, where
            TEN apps run.

    Raises:
        RoomGraphError: It cannot be read, or is no graph.
    """
    file = Path(path)
    try:
        text = await asyncio.to_thread(file.read_text, encoding="utf-8")
        graph = json.loads(text)
    except (OSError, ValueError) as error:
        raise RoomGraphError(
            f"livekit_graph: {file} cannot be read: {error}"
        ) from error
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list) or not any(
        name in properties
        for node in nodes
        if isinstance(node, dict)
        and isinstance(properties := node.get("property"), dict)
        for name in _OF_THE_ROOM
    ):
        raise RoomGraphError(
            f"livekit_graph: {file} is no graph of a room; it needs nodes, "
            f"and one of them a property {' or '.join(_OF_THE_ROOM)}"
        )
    return RoomTemplate(graph)
