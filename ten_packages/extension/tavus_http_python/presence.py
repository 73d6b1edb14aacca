#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Tells the graph which users are there, until the graph knows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from .graph import Graph, GraphError

# Joins and leaves are answered at once; without an answer something is wrong.
_TELL_TIMEOUT_S = 10.0
_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 30.0


@dataclass
class _Membership:
    """Whether a user is in a channel, and what the graph knows of it."""

    there: bool = False
    # None where a join or leave had no answer, and may have been taken.
    known: bool | None = False
    telling: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Presence:
    """Users in channels: what is so, and what the graph was told.

    A leave that nobody takes is repeated: without it a conversation runs on.
    So is a join, while the user is there.

    Args:
        graph: Is told.
        on_failure: Called with the user, a kind and a detail when the graph
            does not take something; once until it does.
    """

    def __init__(
        self, graph: Graph, on_failure: Callable[[str, str, str], None]
    ) -> None:
        self._graph = graph
        self._on_failure = on_failure
        self._memberships: dict[tuple[str, str], _Membership] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def joined(self, user_id: str, channel: str) -> None:
        """A user is there; never blocks, never raises."""
        self._set(user_id, channel, True)

    def left(self, user_id: str, channel: str) -> None:
        """A user has left; never blocks, never raises."""
        self._set(user_id, channel, False)

    async def stop(self, timeout_s: float) -> None:
        """Lets the last news reach the graph.

        Args:
            timeout_s: How long it may take.
        """
        telling = list(self._telling)
        if telling:
            await asyncio.wait(telling, timeout=timeout_s)
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)

    def _set(self, user_id: str, channel: str, there: bool) -> None:
        key = (user_id, channel)
        membership = self._memberships.get(key)
        if membership is None:
            membership = self._memberships[key] = _Membership()
        membership.there = there
        membership.changed.set()
        if not membership.telling:
            membership.telling = True
            # Tasks start in the order in which they are made.
            task = asyncio.create_task(self._tell(key, membership))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(
        self, key: tuple[str, str], membership: _Membership
    ) -> None:
        retry_s = _FIRST_RETRY_S
        while membership.known is not membership.there:
            membership.changed.clear()
            there = membership.there
            problem = await self._attempt(*key, there)
            if problem is None:
                membership.known = there
                retry_s = _FIRST_RETRY_S
                continue
            if problem[0] in ("timeout", "internal"):
                membership.known = None
            if retry_s == _FIRST_RETRY_S:
                self._on_failure(key[0], *problem)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(membership.changed.wait(), retry_s)
            retry_s = min(retry_s * 2, _LAST_RETRY_S)
        membership.telling = False
        if not membership.there:
            del self._memberships[key]

    async def _attempt(
        self, user_id: str, channel: str, there: bool
    ) -> tuple[str, str] | None:
        """Tells the graph once; the kind and detail of what went wrong."""
        tell = self._graph.joined if there else self._graph.left
        try:
            await asyncio.wait_for(tell(user_id, channel), _TELL_TIMEOUT_S)
        except asyncio.TimeoutError:
            return "timeout", "the graph does not answer"
        except GraphError as error:
            return error.kind, error.detail
        # A mistake of ours must not leave a conversation running.
        # pylint: disable-next=broad-exception-caught
        except Exception as error:
            name = "on_user_joined" if there else "on_user_left"
            return "internal", f"{name}: {error!r}"
        return None
