#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Keeps all conversations of one extension, and leaves none running."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .background import supervised
from .config import StartOptions, TavusConfig
from .conversation import ConversationDriver
from .creation import Creator
from .errors import (
    TavusError,
    TavusNotFoundError,
    TavusStoppingError,
    TavusTimeoutError,
)
from .events import Event, Failed
from .journal import Journal
from .reaper import Reaper
from .relay import Relay
from .reports import Reports
from .running import Parts
from .tavus_client import Conversation, TavusClient
from .transports import Transport
from .transports.voice import Voice

# TEN answers a command by itself after 180 s, and would not hear of what
# comes later.
_ANSWER_S = 150.0
# Of the time to stop: what closing files and sockets may need, each; of a
# short time, a share.
_CLOSE_S = 0.05
_CLOSE_SHARE = 0.05
_CLOSES = 5


class ConversationKeeper:
    """Turns joins, leaves and commands into conversations.

    With ``conversation_scope`` "channel" all users share one conversation;
    with "user" each ``remote_user_id`` has its own.

    Args:
        config: The validated properties.
        client: The API; closed by ``close``.
        journal: Where open conversations are noted; closed by ``close``.
        emit: Awaited with every event, in order for each conversation. Must
            not raise. Nobody waits for it: it may take its time.
        log: Where it tells what it does.
        transport: How users see the face; in Daily rooms where not given.
            Closed by ``close``.
    """

    def __init__(
        self,
        config: TavusConfig,
        client: TavusClient,
        journal: Journal,
        emit: Callable[[Event], Awaitable[None]],
        log: logging.Logger,
        transport: Transport | None = None,
    ) -> None:
        relay = Relay(emit, log)
        account = fingerprint(config.tavus_api_key.get_secret_value())
        reaper = Reaper(client, journal, account, config.base_url, log)
        creator = Creator(config, client, journal, reaper, account, log)
        self._parts = Parts(
            config,
            client,
            journal,
            reaper,
            creator,
            Reports(relay.tell),
            transport or Transport(),
            relay,
            log,
        )
        journal.on_trouble = self._journal_fails
        self._drivers: dict[str, ConversationDriver] = {}
        self._background: list[asyncio.Task[None]] = []
        self._stopping = False

    def open(self) -> None:
        """Starts to end what dead workers left, and warms up, behind."""
        if not self._stopping:
            parts = self._parts
            parts.creator.intents.prepare()
            self._background = [
                supervised("sweep", parts.reaper.sweep_forever, parts.log),
                supervised("warm-up", self._warm_up, parts.log),
            ]

    @property
    def voice(self) -> Voice | None:
        """What the graph speaks with, where Tavus does not talk itself."""
        return self._parts.transport.voice

    def user_joined(self, user_id: str, channel: str = "") -> None:
        """A user is in the channel; never blocks, never raises.

        Args:
            user_id: The ``remote_user_id``; "" where the RTC did not say.
            channel: The channel's name, for the messages.
        """
        if not self._stopping and not self._parts.transport.is_avatar(user_id):
            self._driver(user_id).join(user_id, channel)

    def user_left(self, user_id: str, channel: str = "") -> None:
        """A user has left the channel; never blocks, never raises.

        Args:
            user_id: The ``remote_user_id``; "" where the RTC did not say.
            channel: The channel's name; "" means every channel of the user.
        """
        driver = self._drivers.get(self._key(user_id))
        if driver and not self._parts.transport.is_avatar(user_id):
            driver.leave(user_id, channel)

    def heard(
        self, conversation_id: str, event: Mapping[str, Any], source: str
    ) -> bool:
        """Somebody says something of a conversation.

        It is told to the graph once, whoever says it. Who says that it is
        over is not believed: Tavus is asked.

        Args:
            conversation_id: Which it is about.
            event: As Tavus words it.
            source: "webhook" or "page".

        Returns:
            Whether the conversation runs here, or lately did.
        """
        return self._parts.reports.report(conversation_id, event, source)

    async def start(self, options: StartOptions) -> Conversation:
        """Starts a conversation, or returns the one that runs.

        Raises:
            TavusError: It could not be started.
        """
        if self._stopping:
            raise TavusStoppingError("the extension is stopping")
        driver = self._driver(options.remote_user_id)
        answer = driver.start(options)
        try:
            return await asyncio.wait_for(answer, _ANSWER_S)
        except asyncio.CancelledError:
            if answer.cancelled():
                driver.give_up()
            elif answer.exception() is None:
                driver.give_back()
            raise
        except asyncio.TimeoutError:
            driver.give_up()
            raise TavusTimeoutError(
                f"no conversation within {_ANSWER_S:g} s",
                hint="should it still come, it is ended; start it again",
            ) from None

    async def end(
        self,
        conversation_id: str = "",
        user_id: str = "",
        if_unused: bool = False,
    ) -> list[str]:
        """Ends conversations; returns when they are really over.

        Args:
            conversation_id: This one only.
            user_id: This user's only (scope "user").
            if_unused: Not while a user is there, or another ``start`` was
                given the same; so a start is taken back.

        Returns:
            The ids of what was ended; all that ran when nothing was named.

        Raises:
            TavusNotFoundError: The one named does not run here.
            TavusTimeoutError: Tavus has not confirmed it; it is still tried.
            TavusStoppingError: Nor had it before the extension stopped; the
                next start sees to it.
        """
        only = self._key(user_id)
        chosen = [
            driver
            for key, driver in self._drivers.items()
            if conversation_id in ("", driver.conversation_id)
            and only in ("", key)
        ]
        if conversation_id and not chosen:
            raise TavusNotFoundError(
                f"no conversation {conversation_id} is running here"
            )
        if self._stopping:
            raise TavusStoppingError("the extension is stopping")
        ids, ends = [], []
        for driver in chosen:
            running_id = driver.conversation_id
            over = (
                driver.give_back()
                if if_unused
                else driver.end("end_conversation")
            )
            if over is not None:
                ends.append(over)
                ids += [running_id] if running_id else []
        try:
            await asyncio.wait_for(asyncio.gather(*ends), _ANSWER_S)
        except asyncio.TimeoutError:
            raise TavusTimeoutError(
                f"Tavus has not confirmed the end within {_ANSWER_S:g} s",
                hint="it is still being tried",
            ) from None
        return ids

    async def close(self) -> None:
        """Ends everything within ``stop_timeout_ms``.

        What could not be confirmed in time stays in the journal, and is
        ended by whoever starts next.
        """
        if self._stopping:
            return
        self._stopping = True
        parts = self._parts
        loop = asyncio.get_running_loop()
        time_s = parts.config.stop_timeout_ms / 1000
        close_s = min(_CLOSE_S, _CLOSE_SHARE * time_s)
        deadline = loop.time() + time_s - _CLOSES * close_s
        for task in self._background:
            task.cancel()
        drivers = list(self._drivers.values())
        driving = [task for driver in drivers if (task := driver.stop())]
        if driving:
            await asyncio.wait(driving, timeout=deadline - loop.time())
        await parts.reaper.settle(max(0.0, deadline - loop.time()))
        for task in driving:
            task.cancel()
        await asyncio.gather(
            *driving, *self._background, return_exceptions=True
        )
        for driver in drivers:
            driver.abandon(TavusStoppingError("the extension is stopping"))
        # It has been leaving while the ends were confirmed.
        await parts.transport.close(max(close_s, deadline - loop.time()))
        await parts.relay.close(max(close_s, deadline - loop.time()))
        await parts.creator.intents.close(close_s)
        await parts.reaper.close()
        await parts.journal.close(close_s)
        await parts.client.close()

    def _key(self, user_id: str) -> str:
        per_user = self._parts.config.conversation_scope == "user"
        return user_id if per_user else ""

    def _driver(self, user_id: str) -> ConversationDriver:
        key = self._key(user_id)
        driver = self._drivers.get(key)
        if driver is None:

            def forget(idle: ConversationDriver) -> None:
                if idle.idle and self._drivers.get(key) is idle:
                    del self._drivers[key]

            driver = ConversationDriver(self._parts, key, forget)
            self._drivers[key] = driver
        return driver

    def _journal_fails(self, error: TavusError) -> None:
        if not self._stopping:  # nobody listens any more
            self._parts.relay.tell(Failed(error, "", ""))

    async def _warm_up(self) -> None:
        """Pays for DNS, TLS and the persona before the first user comes."""
        error = await self._parts.client.warm_up()
        if error is None:
            try:
                await self._parts.creator.personas.ensure()
            except TavusError as failure:
                error = failure
        if error is not None:
            self._parts.log.warning("Tavus cannot be used yet: %s", error)


def fingerprint(api_key: str) -> str:
    """What tells accounts apart in the journal and gives no key away."""
    return hashlib.sha256(b"tavus_python:" + api_key.encode()).hexdigest()[:16]
