#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Where an extension is: app, graph, name."""


class Loc:
    """An address for `set_dests`: `""` is this app, or this graph."""

    def __init__(
        self,
        app_uri: str | None = None,
        graph_id: str | None = None,
        extension_name: str | None = None,
    ) -> None:
        self.app_uri = app_uri
        self.graph_id = graph_id
        self.extension_name = extension_name


def address_problem(loc: Loc) -> str:
    """Why nothing can be sent there; empty if it can."""
    if loc.app_uri is None:
        return "App URI cannot be empty."
    if loc.extension_name is not None and loc.graph_id is None:
        return "Graph ID cannot be empty when extension name is provided."
    return ""
