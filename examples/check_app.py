#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Says why TEN would not start an app's graphs, before it is asked to.

TEN only logs what is wrong, and then ends, aborts, or stays and does nothing.
Runs in the app's folder with the devkit on PYTHONPATH, whose rules are those
of TEN; what it does not know is left to TEN.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ten_runtime.graph_check import check_app_property
from ten_runtime.graph_json import GraphError, parse_graph
from ten_runtime.metadata import FormError

_EXTENSIONS = Path("ten_packages") / "extension"


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
    return next(filter(None, map(_problem_of_graph, starting)), "")


def _problem_of_graph(predefined: dict[str, Any]) -> str:
    name = predefined["name"]
    try:
        nodes = parse_graph(predefined.get("graph", {})).values()
    except GraphError as error:
        return f"is refused by TEN: graph {name}: {error}"
    except NotImplementedError:
        return ""
    for node in nodes:
        if not (_EXTENSIONS / node.addon).is_dir():
            return (
                f"needs an extension that is not installed: {node.addon}, of "
                f"node {node.name} in graph {name}"
            )
        for variable in _unset(node.property):
            return (
                f"needs the environment variable {variable}: node {node.name} "
                f"in graph {name} gives it no default"
            )
    return ""


def _unset(value: Any) -> Iterator[str]:
    """Variables without a default that a value takes, and that are not set."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _unset(item)
    elif isinstance(value, str) and value.startswith("${env:"):
        variable, bar, _ = value[len("${env:") :].rstrip("}").partition("|")
        if not bar and variable not in os.environ:
            yield variable


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
