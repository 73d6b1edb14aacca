#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What conversations share, and what is known of one that runs."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from .config import StartOptions, TavusConfig
from .creation import Creator
from .errors import TavusError
from .journal import Entry, Journal
from .polling import NEVER, Polling
from .reaper import Reaper
from .relay import Relay
from .reports import Reports, Story
from .tavus_client import Conversation, TavusClient
from .transports import Stage, Transport, Trouble


@dataclass
class Parts:
    """What the conversations of one extension share."""

    config: TavusConfig
    client: TavusClient
    journal: Journal
    reaper: Reaper
    creator: Creator
    reports: Reports
    transport: Transport
    relay: Relay
    log: logging.Logger
    refused: TavusError | None = None
    refused_until: float = 0.0


@dataclass
class Running:
    """What is known of a conversation that runs."""

    entry: Entry
    conversation: Conversation
    since: float
    polling: Polling
    story: Story
    stage: Stage
    options: StartOptions
    trouble: Trouble | None = None
    until: float = NEVER
    times_unknown: int = 0
    # How many starts were given it, and have not given it back.
    claims: int = 0
    # Asks Tavus how it is.
    poll: asyncio.Task[Conversation | None] | None = None
    ending: bool = False
    # Why its end is not confirmed yet, once that takes long.
    stuck: TavusError | None = None

    def stop_asking(self) -> None:
        """What Tavus would say of it matters no more."""
        if self.poll is not None:
            self.poll.cancel()


async def reason_there(client: TavusClient, running: Running) -> str:
    """Why Tavus ended it before we did; "" when that was us after all."""
    try:
        seen = await client.get_conversation(
            running.conversation.conversation_id, verbose=True
        )
    except TavusError:
        return ""
    reason = seen.shutdown_reason
    return "" if reason.startswith("end_conversation") else reason
