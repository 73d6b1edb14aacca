#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The HTTP side as one thing that starts, hears messages, and stops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from typing import Any

from .answers import Refusal
from .app import make_app
from .callers import Callers
from .config import HttpConfig
from .conversations import Conversation, Conversations
from .graph import Graph
from .interactions import AppMessage, Interactions, parse_from_graph
from .json_body import InvalidMessageError
from .leases import Leases
from .limiting import Limiter
from .livekit_config import LiveKitConfig
from .livekit_rooms import Patience, Rooms
from .metrics import Metrics
from .page import Page
from .parts import Parts
from .redis_store import connect
from .room_graphs import RoomGraphs, RoomTemplate
from .server import HttpServer
from .starting import Starter
from .streams import CREATED, ENDED, EVENT, Streams
from .webhooks import Webhooks

# Of the time to stop: what Redis may need to hear that we are gone.
_CLOSE_S = 0.1


class HttpService:
    """Serves one graph; knows nothing of TEN.

    Args:
        graph: What it serves.
        sock: From ``server.listen``; closed by ``stop``.
        config: The properties.
        page: What is at "/".
        room_graphs: Run the graphs of rooms.
        template: The graph of a room; None where there is no LiveKit.
        patience: How long rooms are kept for whom; by default as configured.
        warn: Takes a line for the log.
        complain: Takes a line for the log that is an error.
    """

    def __init__(
        self,
        graph: Graph,
        sock: socket.socket,
        config: HttpConfig,
        page: Page,
        room_graphs: RoomGraphs | None = None,
        template: RoomTemplate | None = None,
        *,
        patience: Patience | None = None,
        warn: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._redis = connect(config.redis_url)
        self._leases = Leases(config.max_active, self._redis, warn=warn)
        self._metrics = Metrics()
        self._conversations = Conversations(self._runs, self._is_over)
        self._streams = Streams(
            graph,
            self._conversations,
            warn,
            most_per_user=config.max_streams_per_user,
            on_count=self._metrics.streams,
        )
        self._starter = Starter(
            graph,
            self._conversations,
            self._leases,
            timeout_s=config.request_timeout_s,
            warn=warn,
        )
        self._rooms: Rooms | None = None
        if room_graphs and template and config.livekit:
            self._rooms = self._make_rooms(
                config.livekit,
                room_graphs,
                template,
                patience or Patience(config.livekit.leave_grace_s),
                warn,
            )
        app = make_app(
            Parts(
                config=config,
                graph=graph,
                callers=Callers(config.auth_token, config.trusted_proxies),
                conversations=self._conversations,
                streams=self._streams,
                starter=self._starter,
                limiter=Limiter(
                    config.create_limit, config.request_limit, self._redis
                ),
                metrics=self._metrics,
                interactions=Interactions(),
                webhooks=Webhooks(config.webhook_secret, self._may_be_ours),
                page=page,
                rooms=self._rooms,
                complain=complain,
            )
        )
        self._server = HttpServer(
            app, sock, complain, max_connections=config.max_connections
        )
        self.url = self._server.url

    async def start(self) -> None:
        """Begins to answer."""
        await self._leases.start()
        self._server.start()

    def publish(self, name: str, content: Mapping[str, Any]) -> None:
        """Takes a data message of the graph; never blocks."""
        if name == EVENT and content.get("source") == "page":
            return  # the page knows
        if name == CREATED:
            self._conversations.created(content)
        elif name == ENDED:
            self._conversations.end(
                str(content.get("conversation_id", "")),
                str(content.get("reason", "")),
                _whole(content.get("duration_ms")),
                str(content.get("remote_user_id", "")),
            )
        self._streams.publish(name, content)

    def interact(self, content: Mapping[str, Any]) -> None:
        """Has a page say something in its room; never blocks.

        Args:
            content: Of a ``tavus_interaction``.

        Raises:
            Refusal: It cannot be said, or nobody is there to say it.
        """
        try:
            message = parse_from_graph(content)
        except InvalidMessageError as error:
            raise Refusal(
                "validation", f"tavus_interaction: {error}"
            ) from error
        meant = self._meant(message)
        if not self._streams.interaction(
            meant.user_id, message.for_page(meant.conversation_id)
        ):
            raise Refusal(
                "not_found",
                f"tavus_interaction: no page of {meant.conversation_id} "
                "listens",
            )

    async def stop(self) -> None:
        """Ends every stream, then the rest, within about 300 ms.

        Up to 200 ms more where a Redis does not answer, and up to 1.2 s where
        the graphs of rooms take so long.
        """
        self._streams.end_all()
        stops = [self._server.stop()]
        if self._rooms is not None:
            stops.append(self._rooms.stop())
        await asyncio.gather(*stops)
        await self._starter.stop()
        await self._streams.stop()
        await self._leases.stop()
        if self._redis is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._redis.aclose(), _CLOSE_S)

    def _make_rooms(
        self,
        config: LiveKitConfig,
        graphs: RoomGraphs,
        template: RoomTemplate,
        patience: Patience,
        warn: Callable[[str], None],
    ) -> Rooms:
        # Nobody else needs the packages behind it.
        # pylint: disable-next=import-outside-toplevel
        from .livekit_control import LiveKitControl

        def is_over(reason: str) -> None:
            self._metrics.ended(reason)
            self._count_active()

        def runs() -> None:
            self._metrics.created()
            self._count_active()

        return Rooms(
            graphs,
            template,
            LiveKitControl(config),
            self._leases,
            patience,
            on_running=runs,
            on_over=is_over,
            warn=warn,
        )

    def _count_active(self) -> None:
        rooms = len(self._rooms) if self._rooms is not None else 0
        self._metrics.active(len(self._conversations) + rooms)

    def _runs(self, conversation_id: str) -> None:
        self._leases.count(conversation_id)
        self._metrics.created()
        self._count_active()

    def _is_over(self, conversation_id: str, reason: str) -> None:
        self._leases.ended(conversation_id)
        self._metrics.ended(reason)
        self._count_active()

    def _may_be_ours(self, conversation_id: str) -> bool:
        # Of one that is about to be, Tavus may tell us before the graph does.
        known = self._conversations.knows(conversation_id)
        return known or self._starter.is_starting

    def _meant(self, message: AppMessage) -> Conversation:
        """Which conversation; raises Refusal where that is not clear."""
        wanted, user_id = message.conversation_id, message.remote_user_id
        fitting = [
            conversation
            for conversation in self._conversations
            if wanted in ("", conversation.conversation_id)
            and (not user_id or conversation.user_id in ("", user_id))
        ]
        if not fitting:
            raise Refusal(
                "not_found", "tavus_interaction: no such conversation runs"
            )
        if len(fitting) > 1 and not user_id:
            raise Refusal(
                "validation",
                "tavus_interaction: several conversations run; name "
                "conversation_id or remote_user_id",
            )
        return fitting[-1]


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
