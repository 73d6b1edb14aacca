#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the routes share, and what each asks of it first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from starlette.requests import Request

from .answers import Refusal
from .callers import CALLER, Caller, Callers
from .config import HttpConfig
from .conversations import Conversation, Conversations
from .graph import Graph, GraphError
from .interactions import Interactions
from .limiting import Limiter, LimiterUnavailable
from .livekit_rooms import Rooms
from .metrics import Metrics
from .page import Page
from .redis_store import RETRY_S
from .starting import Starter
from .streams import Streams
from .webhooks import Webhooks

_HAND_ON_S = 10.0


@dataclass(frozen=True)
class Parts:
    """Everything that a request may need.

    Args:
        rooms: None where there is no LiveKit.
        complain: Takes a line for the log, should a handler fail.
    """

    config: HttpConfig
    graph: Graph
    callers: Callers
    conversations: Conversations
    streams: Streams
    starter: Starter
    limiter: Limiter
    metrics: Metrics
    interactions: Interactions
    webhooks: Webhooks
    page: Page
    rooms: Rooms | None
    complain: Callable[[str], None]

    async def count(self, kind: str, client: str, detail: str) -> None:
        """Counts a request of that kind.

        Raises:
            Refusal: The client asks too often, or nobody can count.
        """
        try:
            wait_s = await self.limiter.allow(kind, client)
        except LimiterUnavailable as error:
            raise Refusal("limiter", str(error), RETRY_S) from error
        if wait_s is not None:
            raise Refusal("too_many", detail, wait_s)

    async def hand_on(
        self,
        conversation_id: str,
        event_type: str,
        event: Mapping[str, Any],
        source: str,
    ) -> None:
        """Tells the graph what Tavus says of a conversation.

        Args:
            conversation_id: Which.
            event_type: What kind of event it is.
            event: All of it.
            source: "page" or "webhook": by which way it came.

        Raises:
            Refusal: The graph does not take it.
        """
        content = {
            "conversation_id": conversation_id,
            "event_type": event_type,
            "event": json.dumps(event),
            "source": source,
        }
        try:
            await asyncio.wait_for(self.graph.event(content), _HAND_ON_S)
        except asyncio.TimeoutError as error:
            raise Refusal("timeout", "the graph does not answer") from error
        except GraphError as error:
            raise Refusal(error.kind, error.detail) from error

    def own(
        self, request: Request, conversation_id: str, user_id: str
    ) -> Conversation:
        """The conversation, if it is known and the caller's.

        Raises:
            Refusal: It is not; which of the two is not said.
        """
        caller = caller_of(request)
        found = self.conversations.running(
            conversation_id
        ) or self.conversations.ended(conversation_id)
        # Asked first: what is wrong with a name does not depend on what runs.
        mine = caller.may_touch(found.user_id if found else "", user_id)
        if found is None or not mine:
            unknown(conversation_id)
        return found


def caller_of(request: Request) -> Caller:
    """Who the guard has let in."""
    return request.scope[CALLER]


def unknown(conversation_id: str) -> NoReturn:
    """Refuses what is not known, or somebody else's."""
    raise Refusal(
        "not_found",
        f"no conversation {conversation_id} of yours is known; ask with the "
        "cookie (tavus_session) or the user_id with which it was created",
    )


def no_route(method: str, path: str) -> Refusal:
    """What is said where nothing is."""
    return Refusal("not_found", f"{method} {path}: see /docs for what there is")
