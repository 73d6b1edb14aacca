#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Says why TEN would not start an app's graphs, before it is asked to.

TEN only logs what is wrong, and then ends, aborts, or stays and does nothing.
Runs in the app's folder, with the devkit and the repository on PYTHONPATH.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ten_runtime.graph_check import check_app_property
from ten_runtime.metadata import FormError, resolve_placeholders

from ten_packages.extension.tavus_http_python.room_graph_check import (
    graph_problem,
    missing_addons,
)


def problem_of(file: Path) -> str:
    """Why the graphs of a property file cannot start; "" when they can."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            return "is no JSON object"
        check_app_property(content)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (FormError, ValueError) as error:
        return f"is refused by TEN: {error}"
    graphs = content.get("ten", {}).get("predefined_graphs", [])
    starting = [graph for graph in graphs if graph.get("auto_start")]
    if not starting:
        return "has no graph that starts by itself (auto_start)"
    for one in starting:
        graph = {"nodes": [], **one.get("graph", {})}
        problem = graph_problem(graph) or _missing(graph)
        if problem:
            return f"has a graph that cannot start, {one['name']}: {problem}"
        for node in graph["nodes"]:
            problem = _missing_in_rooms(node.get("property", {}))
            if problem:
                return f"has rooms that cannot start: {problem}"
    return ""


def _missing(graph: dict[str, Any]) -> str:
    names = missing_addons(graph)
    return f"not installed: {', '.join(names)}" if names else ""


def _missing_in_rooms(properties: dict[str, Any]) -> str:
    """Of the graph that runs for each room; the rest of it the node says."""
    found = resolve_placeholders(properties, "livekit_graph")
    file = Path(found.get("livekit_graph") or "")
    try:
        graph = json.loads(file.read_text(encoding="utf-8"))
        missing = _missing(graph)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return missing and f"{file}: {missing}"


def main() -> None:
    """Exits with the problem, where there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--property", type=Path, default=Path("property.json"), help="which"
    )
    file = parser.parse_known_args()[0].property.absolute()
    problem = problem_of(file)
    if problem:
        sys.exit(f"tavus: {file} {problem}")


if __name__ == "__main__":
    main()
