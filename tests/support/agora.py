#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A keeper with transport agora, and a simulator with a socket behind it."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

from support.direct import KEY
from support.watched import WatchedSimulator
from tavus_sim import SimServer
from ten_packages.extension.tavus_python.config import TavusConfig
from ten_packages.extension.tavus_python.events import Created, Ended, Event
from ten_packages.extension.tavus_python.journal import Journal
from ten_packages.extension.tavus_python.keeper import ConversationKeeper
from ten_packages.extension.tavus_python.tavus_client import TavusClient
from ten_packages.extension.tavus_python.transports import transport_of
from ten_packages.extension.tavus_python.transports.voice import Pcm

APP_ID = "0123456789abcdef0123456789abcdef"
CERTIFICATE = "fedcba9876543210fedcba9876543210"
AVATAR_UID = "4242"
WAIT_S = 20.0
FRAME_S = 0.01


def properties_of(base_url: str, journal_dir: Path, **more: Any) -> dict:
    """The properties of a node with transport agora."""
    return {
        "transport": "agora",
        "tavus_api_key": KEY,
        "base_url": base_url,
        "face_id": "r9d30b0e55ac",
        "journal_dir": str(journal_dir),
        "channel": "room1",
        "agora_app_id": APP_ID,
        "agora_app_certificate": CERTIFICATE,
        "agora_avatar_uid": AVATAR_UID,
        "leave_grace_ms": 0,
        **more,
    }


class AgoraRun:
    """Users, a voice and an avatar; a context manager.

    Args:
        journal_dir: Where the journal is.
        properties: Over the usual.
    """

    def __init__(self, journal_dir: Path, **properties: Any) -> None:
        self._journal_dir = journal_dir
        self._properties = properties
        self._news = asyncio.Event()
        self.simulator = WatchedSimulator(tell=self._news.set, api_key=KEY)
        self._server = SimServer(self.simulator)
        self.events: list[Event] = []
        self.lines: list[str] = []

    async def __aenter__(self) -> "AgoraRun":
        await self._server.start()
        self.config = TavusConfig.load(
            properties_of(
                self._server.base_url, self._journal_dir, **self._properties
            )
        )
        log = logging.Logger("agora", logging.DEBUG)
        log.addHandler(_Lines(self))
        self.transport = transport_of(self.config, _show_nothing, log)
        self.client: Any = TavusClient(KEY, self._server.base_url)
        self.keeper = ConversationKeeper(
            self.config,
            self.client,
            Journal(self.config.journal_path(), log),
            self._hear,
            log,
            self.transport,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.keeper.close()
        await self._server.close()

    @property
    def voice(self) -> Any:
        """What the graph speaks with."""
        return self.keeper.voice

    async def joined(self, user_id: str = "ann") -> str:
        """A user joins; the id of the session that this starts."""
        self.keeper.user_joined(user_id)
        made = await self.until(lambda: self.of(Created))
        return made[-1].conversation.conversation_id

    def say(
        self, audio: bytes, rate_hz: int = 24_000, channels: int = 1
    ) -> None:
        """Pushes audio as frames of 10 ms."""
        size = round(rate_hz * FRAME_S) * 2 * channels
        for start in range(0, len(audio), size):
            data = audio[start : start + size]
            self.voice.push(Pcm(data, rate_hz, channels))

    def of(self, kind: type) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def ended(self, count: int = 1) -> Ended:
        """Waits until so many sessions have ended; the last of them."""
        ends = await self.until(
            lambda: len(self.of(Ended)) >= count and self.of(Ended)
        )
        return ends[count - 1]

    def session(self, session_id: str) -> dict[str, Any]:
        """What the simulator knows of a session."""
        session = self.simulator.sessions.all[session_id]
        return session.view(self.simulator.now())

    def wav(self, session_id: str) -> bytes:
        """The WAV file of what a session has heard."""
        return self.simulator.sessions.all[session_id].heard.wav()

    async def spoken(self, session_id: str, count: int = 1) -> list[dict]:
        """Waits until so many utterances are over; all of them."""

        def over() -> list[dict]:
            utterances = self.session(session_id)["utterances"]
            return [one for one in utterances if one["ended_by"]]

        return await self.until(lambda: len(over()) >= count and over())

    async def until(self, come: Any) -> Any:
        """Waits until that is something, asking whenever anything happens."""

        async def wait() -> Any:
            while not (what := come()):
                self._news.clear()
                await self._news.wait()
            return what

        return await asyncio.wait_for(wait(), WAIT_S)

    async def _hear(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    def heard(self, line: str) -> None:
        """A line of the log."""
        self.lines.append(line)
        self._news.set()


class _Lines(logging.Handler):
    def __init__(self, run: AgoraRun) -> None:
        super().__init__()
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        self._run.heard(self.format(record))


async def _show_nothing(_: Any) -> None:
    """Agora has no media bridge."""


def journal_lines(folder: Path) -> list[dict[str, Any]]:
    """What is in the journals of a folder."""
    return [
        json.loads(line)
        for path in folder.glob("*.journal")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line
    ]
