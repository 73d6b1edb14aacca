#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the HTTP side wants of the graph: six calls and one error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class GraphError(Exception):
    """The graph refused, or could not be asked.

    Args:
        kind: As ``tavus_python`` names it (its README has the table), or
            "graph" when no extension answered.
        detail: What a person should read; without secrets.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class Graph(Protocol):
    """The commands that this extension sends; ``ten_graph`` sends them."""

    async def start(self, options: Mapping[str, str]) -> dict[str, Any]:
        """Starts a conversation, or joins the one that runs.

        Args:
            options: The properties of ``start_conversation``.

        Returns:
            ``conversation_id``, ``conversation_url`` and ``join_url``.

        Raises:
            GraphError: It could not be started.
        """
        ...

    async def end(self, conversation_id: str) -> None:
        """Ends a conversation; returns when it is really over.

        Raises:
            GraphError: It does not run, or its end is not confirmed.
        """

    async def give_back(self, conversation_id: str) -> bool:
        """Takes a start back: ends what it gave, unless somebody uses it.

        Returns:
            Whether it was ended; not while a user is there, or another
            start was given the same.

        Raises:
            GraphError: It does not run, or its end is not confirmed.
        """
        ...

    async def joined(self, user_id: str, channel: str) -> None:
        """Says that a user is there.

        Raises:
            GraphError: Nobody took the message.
        """

    async def left(self, user_id: str, channel: str) -> None:
        """Says that a user is gone.

        Raises:
            GraphError: Nobody took the message.
        """

    async def event(self, content: Mapping[str, str]) -> None:
        """Hands on what Tavus says of a conversation.

        Args:
            content: The properties of ``tavus_event``.

        Raises:
            GraphError: Nobody took the message.
        """
