#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A keeper with transport livekit: a real room, and Tavus's avatars in it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from support.avatar import Avatar
from support.direct import KEY, DirectClient
from support.keeping import config_of
from support.livekit import LiveKitServer
from support.livekit_peer import WAIT_S
from support.sounds import Pcm as Samples
from tavus_sim import Simulator, ThreadedSim
from ten_packages.extension.tavus_python.events import (
    Ended,
    Event,
    Failed,
    Measured,
    Reported,
)
from ten_packages.extension.tavus_python.journal import Journal
from ten_packages.extension.tavus_python.keeper import ConversationKeeper
from ten_packages.extension.tavus_python.tavus_client import (
    Conversation,
    TavusClient,
)
from ten_packages.extension.tavus_python.transports import (
    Media,
    Picture,
    Sound,
    transport_of,
)
from ten_packages.extension.tavus_python.transports.livekit import FAREWELLS
from ten_packages.extension.tavus_python.transports.voice import Pcm, Voice

# Makes the avatar of the n-th conversation; None: it never comes.
Casting = Callable[[int, str, str], Avatar | None]


def usual(_number: int, url: str, token: str) -> Avatar | None:
    """An avatar that obeys."""
    return Avatar(url, token)


class _Tavus(DirectClient):
    """Tavus, with avatars: they come when it creates, and go when it ends."""

    def __init__(self, simulator: Simulator, casting: Casting) -> None:
        super().__init__(simulator)
        self.casting = casting
        self._count = 0
        self.cast: dict[str, Avatar | None] = {}
        self.news = asyncio.Event()
        self._moves: set[asyncio.Task[None]] = set()

    async def create_conversation(self, body: dict[str, Any]) -> Conversation:
        made = await super().create_conversation(body)
        told = body["properties"]
        self._count += 1
        avatar = self.casting(
            self._count, told["livekit_ws_url"], told["livekit_room_token"]
        )
        self.cast[made.conversation_id] = avatar
        self.news.set()
        if avatar is not None:
            avatar.come()
        return made

    async def end_conversation(self, conversation_id: str) -> bool:
        ended = await super().end_conversation(conversation_id)
        avatar = self.cast.get(conversation_id)
        if avatar is not None:
            self._move(avatar.leave())
        return ended

    async def finish(self) -> None:
        for avatar in self.cast.values():
            if avatar is not None:
                self._move(avatar.leave())
        await asyncio.gather(*self._moves, return_exceptions=True)

    def _move(self, move: Any) -> None:
        task = asyncio.ensure_future(move)
        self._moves.add(task)
        task.add_done_callback(self._moves.discard)


class Staged:
    """A keeper in a room of its own; a context manager that leaves nothing.

    Args:
        server: Whose room.
        journal_dir: Where the journal is.
        casting: Makes the avatars.
        worker: A simulator that sends livekit-agents' own avatars, instead.
        properties: Beside those of the server.
    """

    def __init__(
        self,
        server: LiveKitServer,
        journal_dir: Path,
        casting: Casting = usual,
        worker: ThreadedSim | None = None,
        **properties: Any,
    ) -> None:
        self.room = f"room-{secrets.token_hex(4)}"
        self.simulator = worker.simulator if worker else Simulator()
        self.client = _Tavus(self.simulator, casting)
        client = TavusClient(KEY, worker.base_url) if worker else self.client
        self.config = config_of(
            journal_dir,
            **{
                "transport": "livekit",
                "livekit_url": server.url,
                "livekit_api_key": server.api_key,
                "livekit_api_secret": server.api_secret,
                "livekit_room": self.room,
                **({"base_url": worker.base_url} if worker else {}),
                "leave_grace_ms": 0,
                **properties,
            },
        )
        self.logged: list[str] = []
        log = logging.Logger("staged", logging.DEBUG)
        log.addHandler(_Lines(self.logged))
        self.events: list[Event] = []
        self.sounds: list[Sound] = []
        self.pictures: list[Picture] = []
        self.shown: list[str] = []
        self._news = asyncio.Event()
        self.keeper = ConversationKeeper(
            self.config,
            client,
            Journal(self.config.journal_path(), log),
            self._hear,
            log,
            transport_of(self.config, self._show, log),
        )

    async def __aenter__(self) -> Staged:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.keeper.close()
        await self.client.finish()
        if FAREWELLS:
            await asyncio.wait(FAREWELLS)
        assert self.simulator.active == []

    @property
    def voice(self) -> Voice:
        assert self.keeper.voice is not None
        return self.keeper.voice

    @property
    def avatars(self) -> list[Avatar]:
        return [a for a in self.client.cast.values() if a is not None]

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The requests that made conversations, oldest first."""
        return [
            self.simulator.conversation(one).request for one in self.client.cast
        ]

    @property
    def tokens(self) -> list[str]:
        """The tokens that Tavus was given for its avatars, oldest first."""
        rooms = [
            self.simulator.conversation(one).livekit for one in self.client.cast
        ]
        return [room.token for room in rooms if room is not None]

    async def avatar(self, count: int = 1) -> Avatar:
        """Waits for the n-th avatar to be in the room."""

        async def come() -> Avatar:
            while len(self.avatars) < count:
                self.client.news.clear()
                await self.client.news.wait()
            avatar = self.avatars[count - 1]
            await avatar.joined.wait()
            return avatar

        return await asyncio.wait_for(come(), WAIT_S)

    def speak(
        self,
        samples: Samples,
        rate_hz: int = 24_000,
        channels: int = 1,
        frame_ms: int = 10,
        turn: str = "",
    ) -> None:
        """Pushes audio as a TTS does: frame by frame, all at once."""
        step = rate_hz * frame_ms // 1000 * channels
        for start in range(0, samples.size, step):
            part = samples[start : start + step].tobytes()
            self.voice.push(Pcm(part, rate_hz, channels), turn)

    async def until(
        self, come: Callable[[], Any], wait_s: float = WAIT_S
    ) -> Any:
        """Waits, from event to event, until ``come()``; returns that."""

        async def wait() -> Any:
            while not (found := come()):
                self._news.clear()
                await self._news.wait()
            return found

        return await asyncio.wait_for(wait(), wait_s)

    def said(self, event_type: str) -> list[dict[str, Any]]:
        """The properties of the events of a type so far."""
        return [
            dict(event.event["properties"])
            for event in self.events
            if isinstance(event, Reported)
            and event.event["event_type"] == event_type
        ]

    async def heard(self, event_type: str, count: int = 1) -> dict[str, Any]:
        """Waits for the n-th event of a type; its properties."""
        await self.until(lambda: len(self.said(event_type)) >= count)
        return self.said(event_type)[count - 1]

    def measured(self, name: str) -> list[float]:
        return [
            event.metrics[name]
            for event in self.events
            if isinstance(event, Measured) and name in event.metrics
        ]

    @property
    def sound(self) -> Samples:
        """All that was shown of the avatar's audio."""
        shown = b"".join(bytes(sound.data) for sound in self.sounds)
        return np.frombuffer(shown, np.int16)

    @property
    def failed(self) -> list[Failed]:
        return [e for e in self.events if isinstance(e, Failed)]

    @property
    def ended(self) -> list[Ended]:
        return [e for e in self.events if isinstance(e, Ended)]

    async def _hear(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def _show(self, media: Media) -> None:
        if isinstance(media, Sound):
            data = memoryview(bytes(media.data))
            self.sounds.append(
                Sound(data, media.rate_hz, media.channels, media.timestamp_ms)
            )
        else:
            self.pictures.append(media)
        self._news.set()


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
