#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The TEN app that bench/http_api.py measures: the graph of examples/tavus."""

import argparse
import json
from typing import Any

import checkout
from http_bare import ABSENT_S, KEY, REPLICA
from ten_runtime import App, TenEnv

_PROPERTIES = checkout.ROOT / "examples" / "tavus" / "tenapp" / "property.json"


class ExampleApp(App):
    """Runs the first graph of the example, of it the nodes that are named.

    Args:
        changed: Properties by node, over those of the example.
    """

    # By name only: TEN aborts at positional arguments of an App.
    def __init__(self, *, changed: dict[str, dict[str, Any]]) -> None:
        super().__init__()
        self._changed = changed

    def on_configure(self, ten_env: TenEnv) -> None:
        properties = json.loads(_PROPERTIES.read_text(encoding="utf-8"))
        graphs = properties["ten"]["predefined_graphs"]
        del graphs[1:]
        graph = graphs[0]["graph"]
        graph["nodes"] = self._named(graph["nodes"], "name")
        for node in graph["nodes"]:
            node["property"].update(self._changed[node["name"]])
        graph["connections"] = self._named(graph["connections"], "extension")
        for connection in graph["connections"]:
            for message in (*connection.get("cmd", ()), *connection["data"]):
                message["dest"] = self._named(message["dest"], "extension")
            connection["data"] = [
                one for one in connection["data"] if one["dest"]
            ]
        ten_env.init_property_from_json(json.dumps(properties))
        ten_env.on_configure_done()

    def _named(self, items: list[Any], name: str) -> list[Any]:
        return [one for one in items if one[name] in self._changed]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url")
    parser.add_argument("port", type=int)
    parser.add_argument("journal_dir")
    args = parser.parse_args()
    ExampleApp(
        changed={
            "tavus": {
                "tavus_api_key": KEY,
                "base_url": args.base_url,
                "replica_id": REPLICA,
                "journal_dir": args.journal_dir,
                "participant_absent_timeout": ABSENT_S,
                # Otherwise each stream would start a conversation.
                "auto_start": False,
            },
            "http": {
                "host": "127.0.0.1",
                "port": args.port,
                # wrk is one client that is not to be slowed down.
                "create_limit": "off",
                "request_limit": "off",
                "max_active": 0,
            },
        }
    ).run(False)
