#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Ends conversations until Tavus confirms it: ours, and dead workers'."""

from __future__ import annotations

import asyncio
import logging

from .errors import TavusError
from .journal import Entry, Journal
from .tavus_client import Conversation, TavusClient

# How long a conversation may still appear under a name.
SETTLE_S = 60.0
# Dead workers are looked for at start and then at this pace.
SWEEP_EVERY_S = 30.0
_SETTLE_STEP_S = 0.1
_FIRST_RETRY_S = 0.25
_LAST_RETRY_S = 3.0
_REFUSED_RETRY_S = 30.0


class Reaper:
    """Owns everything at Tavus that nobody wants any more.

    Args:
        client: Where conversations are ended.
        journal: Told of each confirmed end.
        account: The fingerprint of the key; only its entries are swept.
        base_url: The API; only its entries are swept.
        log: Where ends and trouble are reported.
    """

    def __init__(
        self,
        client: TavusClient,
        journal: Journal,
        account: str,
        base_url: str,
        log: logging.Logger,
    ) -> None:
        self._client = client
        self._journal = journal
        self._account = account
        self._base_url = base_url
        self._log = log
        self._ending: dict[str, asyncio.Task[bool]] = {}
        # Names under which there was nothing, so far.
        self._watched: set[str] = set()
        self._listing: asyncio.Task[dict[str, list[Conversation]]] | None = None
        self._next_listing: (
            asyncio.Task[dict[str, list[Conversation]]] | None
        ) = None

    def end(self, entry: Entry) -> asyncio.Task[bool]:
        """Ends one conversation, however long it takes.

        Args:
            entry: Without an id it is looked for by its name, for SETTLE_S;
                a session, which cannot be, is waited for until it must have
                ended by itself.

        Returns:
            The task that does it, the same one for the same name. Its
            result is whether we ended it (else it was already over). Await
            it under ``asyncio.shield``: it is not the caller's to cancel.
        """
        task = self._ending.get(entry.name)
        if task is None:
            task = asyncio.create_task(self._end_until_over(entry))
            self._ending[entry.name] = task
            task.add_done_callback(lambda done: self._ended(entry, done))
        return task

    def _ended(self, entry: Entry, task: asyncio.Task[bool]) -> None:
        del self._ending[entry.name]
        self._watched.discard(entry.name)
        if not task.cancelled() and (error := task.exception()):
            self._log.error("cannot end %s: %r", entry.name, error)

    async def sweep(self) -> None:
        """Starts to end what dead processes left open in this account."""
        entries = await self._journal.orphans(self._base_url, self._account)
        for entry in entries:
            self._log.info(
                "a dead process left %s open; ending it",
                entry.conversation_id or entry.name,
            )
            self.end(entry)

    async def sweep_forever(self) -> None:
        """Sweeps now and then; to be run as a task and cancelled."""
        while True:
            await self.sweep()
            await asyncio.sleep(SWEEP_EVERY_S)

    async def settle(self, timeout_s: float) -> None:
        """Waits until nothing known is left to end, or the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while (left_s := deadline - loop.time()) > 0:
            busy = [
                task
                for name, task in self._ending.items()
                if name not in self._watched
            ]
            if not busy:
                return
            # A name can turn out to be watched only while we wait.
            await asyncio.wait(busy, timeout=min(left_s, _SETTLE_STEP_S))

    async def find(self, name: str) -> list[Conversation]:
        """The active conversations of that name, asked after this call.

        Callers share listings, so that a thousand of them cost two.

        Raises:
            TavusError: Tavus could not be asked.
        """
        if self._next_listing is None:
            self._next_listing = asyncio.create_task(
                self._list_after(self._listing)
            )
            # Read here too: every caller may have been cancelled meanwhile.
            self._next_listing.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )
        by_name = await asyncio.shield(self._next_listing)
        return by_name.get(name, [])

    async def close(self) -> None:
        """Stops everything; what is not confirmed stays in the journal."""
        tasks: list[asyncio.Task[object]] = [*self._ending.values()]
        tasks += [t for t in (self._listing, self._next_listing) if t]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _list_after(
        self, running: asyncio.Task[dict[str, list[Conversation]]] | None
    ) -> dict[str, list[Conversation]]:
        if running is not None:
            await asyncio.wait([running])
        self._listing, self._next_listing = self._next_listing, None
        by_name: dict[str, dict[str, Conversation]] = {}
        # What ends while pages are read moves the rest across them.
        for _ in range(2 if self._ending else 1):
            async for found in self._client.list_conversations(status="active"):
                same_name = by_name.setdefault(found.conversation_name, {})
                same_name[found.conversation_id] = found
        return {name: [*found.values()] for name, found in by_name.items()}

    async def _end_until_over(self, entry: Entry) -> bool:
        began = asyncio.get_running_loop().time()
        what = entry.conversation_id or entry.name
        retry_s = _FIRST_RETRY_S
        level = logging.WARNING
        while True:
            longest_s = _LAST_RETRY_S
            found = ended = False
            # Whether what is not found, or is refused, is over with time.
            passes = True
            try:
                found, ended = await self._try_to_end(entry)
            except TavusError as error:
                self._log.log(level, "cannot end %s yet: %s", what, error)
                level = logging.DEBUG
                if not error.retryable:
                    longest_s = _REFUSED_RETRY_S
                passes = bool(entry.idle_s) and not error.retryable
            else:
                if not found:
                    self._watched.add(entry.name)
            looked_s = asyncio.get_running_loop().time() - began
            if found or (passes and looked_s > (entry.idle_s or SETTLE_S)):
                self._journal.over(entry.name)
                return ended
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, longest_s)

    async def _try_to_end(self, entry: Entry) -> tuple[bool, bool]:
        """Whether there was something to end, and whether we ended it."""
        if entry.session:
            if not entry.conversation_id:
                return False, False
            return True, await self._client.stop_session(
                entry.conversation_id, entry.token
            )
        if entry.conversation_id:
            ids = [entry.conversation_id]
        else:
            ids = [c.conversation_id for c in await self.find(entry.name)]
        ended = [await self._client.end_conversation(one) for one in ids]
        return bool(ids), any(ended)
