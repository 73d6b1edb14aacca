#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Starts conversations for clients that may not wait for the answer.

A conversation bills from its creation. One whose client has gone, or was
told that it took too long, is ended as soon as it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from .answers import Refusal
from .conversations import Conversations
from .graph import Graph, GraphError
from .leases import Lease, Leases

# How long a client whose request broke off may take to come back: a page
# that is loaded anew is such a client.
_BACK_S = 1.0


class Starter:
    """Keeps what was asked for until it is given, or ended.

    Args:
        graph: Starts and ends.
        conversations: Hears what was started.
        leases: Says whether there is a place for one more.
        timeout_s: How long a client waits.
        warn: Takes a line for the log.
    """

    def __init__(
        self,
        graph: Graph,
        conversations: Conversations,
        leases: Leases,
        *,
        timeout_s: float,
        warn: Callable[[str], None],
    ) -> None:
        self._graph = graph
        self._conversations = conversations
        self._leases = leases
        self._timeout_s = timeout_s
        self._warn = warn
        self._starting: set[asyncio.Task[dict[str, Any]]] = set()
        self._late: set[asyncio.Task[None]] = set()

    @property
    def is_starting(self) -> bool:
        """Whether a conversation may run that nobody here knows yet."""
        return bool(self._starting)

    async def start(
        self, options: Mapping[str, str], gone: asyncio.Task[None]
    ) -> dict[str, Any]:
        """Starts a conversation, or joins the user's that runs.

        Args:
            options: The properties of ``start_conversation``.
            gone: Done when the client is.

        Returns:
            What the graph answered.

        Raises:
            GraphError: It could not be started.
            Refusal: There is no place, it took too long, or the client is
                gone.
        """
        lease = await self._leases.place()
        if gone.done():
            lease.give_back()
            raise Refusal("cancelled", "the client is gone")
        starting = asyncio.create_task(self._graph.start(options))

        def settle(task: asyncio.Task[dict[str, Any]]) -> None:
            self._settle(lease, options, task)

        self._starting.add(starting)
        # Also when nobody waits any more: the place is held till then.
        starting.add_done_callback(settle)
        given = False
        try:
            await asyncio.wait(
                {starting, gone},
                timeout=self._timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            given = starting.done() and not gone.done()
        finally:
            if not given:
                self._abandon(starting)
        if given:
            return starting.result()
        if gone.done():
            raise Refusal("cancelled", "the client is gone")
        raise Refusal(
            "timeout",
            f"no conversation within {self._timeout_s:g} s; if it still "
            "comes, it is ended",
        )

    async def stop(self) -> None:
        """Stops waiting; when the graph stops, it ends what it has."""
        late = list(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _settle(
        self,
        lease: Lease,
        options: Mapping[str, str],
        task: asyncio.Task[dict[str, Any]],
    ) -> None:
        self._starting.discard(task)
        if task.cancelled() or task.exception() is not None:
            lease.give_back()
            return
        made = task.result()
        runs = self._conversations.answered(
            made, options["remote_user_id"], options.get("channel", "")
        )
        if runs:
            lease.bind(made["conversation_id"])
        else:
            lease.give_back()

    def _abandon(self, starting: asyncio.Task[dict[str, Any]]) -> None:
        task = asyncio.create_task(self._give_back(starting))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _give_back(self, starting: asyncio.Task[dict[str, Any]]) -> None:
        try:
            made = await starting
        except GraphError:  # then there is nothing to end
            return
        conversation_id = made["conversation_id"]
        await asyncio.sleep(_BACK_S)
        try:
            ended = await self._graph.give_back(conversation_id)
        except GraphError as error:
            self._warn(f"cannot end {conversation_id}: {error.detail}")
            return
        if ended:
            self._warn(f"nobody waited for {conversation_id}; it is ended")
            self._conversations.end(conversation_id, "cancelled")
