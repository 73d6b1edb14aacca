#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""How users get to see the face: one small interface, one file each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..config import ConfigError
from ..errors import TavusError
from ..tavus_client import Conversation
from .voice import Voice

if TYPE_CHECKING:
    from ..config import TavusConfig

__all__ = [
    "Media",
    "News",
    "Picture",
    "Problem",
    "Show",
    "Sound",
    "Stage",
    "Tell",
    "Transport",
    "Trouble",
    "transport_of",
]


_LOG = logging.getLogger(__name__)
# A room whose server does not answer is left all the same.
_LEAVE_S = 2.0


@dataclass(frozen=True)
class News:
    """What happened on a stage, for the graph.

    Attributes:
        event_type: Such as ``livekit.playback_started``.
        properties: What the event says.
        metrics: Numbers for the ``metrics`` message, if any.
    """

    event_type: str
    properties: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trouble:
    """A stage cannot go on; its conversation has to be ended.

    Attributes:
        reason: For ``tavus_conversation_ended``.
        error: What went wrong.
        again: Whether another conversation may do better.
        gone: Whether that is also how an end from Tavus's side looks.
    """

    reason: str
    error: TavusError
    again: bool = True
    gone: bool = False


@dataclass(frozen=True)
class Problem:
    """Something went wrong that the stage gets over; the graph is told."""

    error: TavusError


Tell = Callable[[News | Trouble | Problem], None]


@dataclass(frozen=True, slots=True)
class Sound:
    """10 ms of what the avatar says: 16-bit PCM, interleaved.

    ``data`` is only valid while it is shown; ``timestamp_ms`` is of the same
    clock as a picture's.
    """

    data: memoryview
    rate_hz: int
    channels: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Picture:
    """One I420 picture of the avatar; ``data`` as a sound's."""

    data: memoryview
    width: int
    height: int
    timestamp_ms: int


Media = Sound | Picture
Show = Callable[[Media], Awaitable[None]]


class Stage:
    """One conversation's side of a transport. This one has nothing to do.

    ``open``, ``began`` and ``close`` are called once each, in this order;
    ``close`` may come at any time, and again.
    """

    async def open(self) -> Mapping[str, Any]:
        """Does what has to be done before anything is created, and billed.

        Returns:
            What the request that creates it says in addition.

        Raises:
            TavusError: It cannot be done, or ``close`` came first.
        """
        return {}

    def began(self, conversation: Conversation) -> None:
        """The conversation was created. From now on the stage tells."""

    def close(self) -> None:
        """Leaves at once, or soon; ``Transport.close`` waits for it."""


class Transport:
    """Makes the stage of each conversation. This one is for Daily rooms.

    A transport that creates at other endpoints brings a client with
    ``TavusClient``'s methods; stages are given what it answers.

    Attributes:
        voice: What the graph says for the avatar to speak; None where Tavus
            does the talking.
    """

    voice: Voice | None = None

    def __init__(self, log: logging.Logger = _LOG) -> None:
        self.log = log
        self._stage = Stage()
        self._leaving: set[asyncio.Task[None]] = set()

    # pylint: disable-next=unused-argument
    def stage(self, tell: Tell) -> Stage:
        """A stage for one conversation.

        Args:
            _tell: Called with what happens; never blocks, never raises.
        """
        return self._stage

    # pylint: disable-next=unused-argument
    def is_avatar(self, user_id: str) -> bool:
        """Whether that is no user, but the face itself."""
        return False

    def leave(self, goodbye: Coroutine[Any, Any, None]) -> None:
        """A stage is leaving; ``close`` waits for it.

        Args:
            goodbye: What it still has to do.
        """
        task = asyncio.create_task(goodbye)
        self._leaving.add(task)
        task.add_done_callback(self._left)

    async def settled(self) -> None:
        """Waits until no stage is leaving: two would be one identity."""
        if self._leaving:
            await asyncio.wait(list(self._leaving), timeout=_LEAVE_S)

    async def close(self, timeout_s: float) -> None:
        """Waits for stages that leave; all were closed before."""
        leaving = list(self._leaving)
        if leaving:
            await asyncio.wait(leaving, timeout=timeout_s)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._leaving.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.log.warning("cannot leave the room: %r", error)


def transport_of(
    config: TavusConfig, show: Show, log: logging.Logger
) -> Transport:
    """The transport that is configured.

    Args:
        config: The validated properties.
        show: Awaited with the avatar's audio and video (``media_bridge``).
        log: Where transports report.

    Raises:
        ConfigError: A package that it needs is not installed.
    """
    if config.transport == "daily":
        from .daily import DailyTransport

        return DailyTransport()
    try:
        if config.transport == "agora":
            from .agora import AgoraTransport

            return AgoraTransport(config, log)
        from .livekit import LiveKitTransport

        return LiveKitTransport(config, show, log)
    except ImportError as missing:
        raise ConfigError(
            [
                f"transport: {config.transport!r} needs the package "
                f"{missing.name}, which is not installed; pip install -r "
                f"requirements-{config.transport}.txt"
            ]
        ) from None
