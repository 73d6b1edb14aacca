#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A keeper with a simulator behind it, for tests on a virtual clock."""

import asyncio
import logging
from pathlib import Path
from typing import Any

from support.direct import BASE_URL, KEY, DirectClient
from tavus_sim import Simulator
from ten_packages.extension.tavus_python.config import TavusConfig
from ten_packages.extension.tavus_python.events import Created, Ended, Event
from ten_packages.extension.tavus_python.journal import Journal
from ten_packages.extension.tavus_python.keeper import ConversationKeeper

REPLICA = "r9d30b0e55ac"


def config_of(journal_dir: Path, **properties: Any) -> TavusConfig:
    """A valid configuration with these properties."""
    return TavusConfig.load(
        {
            "tavus_api_key": KEY,
            "base_url": BASE_URL,
            "replica_id": REPLICA,
            "journal_dir": str(journal_dir),
            # Nobody opens the URL here, and tests wait for hours.
            "participant_absent_timeout": 86_400,
            "max_call_duration": 86_400,
            **properties,
        }
    )


class Kept:
    """A keeper, what it talks to, and what it said."""

    def __init__(
        self, journal_dir: Path, simulator: Simulator, **properties: Any
    ) -> None:
        self.config = config_of(journal_dir, **properties)
        self.simulator = simulator
        self.client = DirectClient(simulator)
        self.log = logging.Logger("kept")
        self.log.addHandler(logging.NullHandler())
        self.events: list[Event] = []
        # Whether the graph takes what it is told.
        self.listens = asyncio.Event()
        self.listens.set()
        self._news = asyncio.Event()
        self.journal = Journal(self.config.journal_path(), self.log)
        self.keeper = ConversationKeeper(
            self.config,
            self.client,
            self.journal,
            self._hear,
            self.log,
        )

    async def _hear(self, event: Event) -> None:
        await self.listens.wait()
        self.events.append(event)
        self._news.set()

    async def heard(self, kind: type, count: int = 1) -> Any:
        """Waits until so many events of a kind were heard; the last one."""
        while len(self.of(kind)) < count:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 600)
        return self.of(kind)[count - 1]

    def of(self, kind: type) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def created(self) -> list[Created]:
        return self.of(Created)

    @property
    def ended(self) -> list[Ended]:
        return self.of(Ended)


def new_simulator(**options: Any) -> Simulator:
    """A simulator that lives on the clock of the running loop."""
    return Simulator(clock=asyncio.get_running_loop().time, **options)
