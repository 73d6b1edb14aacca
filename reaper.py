#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Ends conversations until Tavus confirms it: ours, and dead workers'."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from .errors import TavusError, TavusNotFoundError, TavusProtocolError
from .journal import Entry, Journal, Orphans
from .late import LateNames
from .listings import Listings
from .tavus_client import Conversation, TavusClient

# How long a conversation may be unknown that is there, or on its way; what
# comes later is found by the sweeps (late.py).
SETTLE_S = 60.0
# Dead workers are looked for at start and then at this pace.
SWEEP_EVERY_S = 30.0
_SETTLE_STEP_S = 0.1
_FIRST_RETRY_S = 0.25
_LAST_RETRY_S = 3.0
_REFUSED_RETRY_S = 30.0
# A session is in no list: so often in a row it has to be unknown.
_TIMES_UNKNOWN = 4
# How long the files of another key are held while Tavus is asked.
_ASK_S = 20.0
_FORBIDDEN = 403
# So many servers and files are named in a warning.
_NAMED = 3


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
        # Why what is being ended has not ended yet.
        self._troubles: dict[str, TavusError] = {}
        self._late = LateNames(self.find, self._end_late, self._late_is_over)
        self._listings = Listings(client)
        # Names that this key's account does not know, and those of which it
        # did not say.
        self._not_ours: set[str] = set()
        self._in_vain: set[str] = set()
        self._passed_over = ""

    def end(
        self, entry: Entry, since: float | None = None
    ) -> asyncio.Task[bool]:
        """Ends one conversation, however long it takes.

        Args:
            entry: Without an id it is looked for by its name; a session,
                which cannot be, is waited for until it must have ended by
                itself.
            since: When it was created, on the loop's clock, where that is
                known. "There is none" counts SETTLE_S later only: Tavus may
                not know of it yet.

        Returns:
            The task that does it, the same one for the same name. Its
            result is whether we ended it (else it was already over). Await
            it under ``asyncio.shield``: it is not the caller's to cancel.
        """
        task = self._ending.get(entry.name)
        if task is None:
            task = asyncio.create_task(self._end_until_over(entry, since))
            self._ending[entry.name] = task
            task.add_done_callback(lambda _: self._ended(entry))
        return task

    def _ended(self, entry: Entry) -> None:
        del self._ending[entry.name]
        self._watched.discard(entry.name)
        self._troubles.pop(entry.name, None)

    def trouble(self, entry: Entry) -> TavusError | None:
        """Why the last try to end it has failed, while it is being ended."""
        return self._troubles.get(entry.name)

    async def sweep(self) -> None:
        """Starts to end what dead processes left open in this account."""
        found = await self._journal.orphans(self._base_url, self._account)
        for entry in found.ours:
            self._end_orphan(entry)
        strangers = await self._strangers(found.others)
        self._tell_passed_over(found, strangers)

    async def sweep_forever(self) -> None:
        """Sweeps now and then; to be run as a task and cancelled."""
        while True:
            await self.sweep()
            await self._late.look()
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

    async def find(self, entry: Entry, **how_far: bool) -> list[Conversation]:
        """The active ones of that name or id; see ``Listings.find``."""
        return await self._listings.find(
            entry.name, entry.conversation_id, **how_far
        )

    def only(self, entry: Entry, others: list[Conversation]) -> None:
        """One request made several: what else has the name is ended.

        Also what still comes under it.

        Args:
            entry: With the id of the one that is wanted.
            others: What is known of the others.
        """
        self._late.expect(entry)
        self._end_late(entry, others)

    async def close(self) -> None:
        """Stops everything; what is not confirmed stays in the journal."""
        tasks = list(self._ending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._listings.close()

    def _end_late(self, entry: Entry, unwanted: list[Conversation]) -> None:
        if not entry.conversation_id:
            self.end(entry)
            return
        for other in unwanted:
            if other.conversation_id:
                name = f"{entry.name} {other.conversation_id}"
                other_id = other.conversation_id
                self.end(replace(entry, name=name, conversation_id=other_id))

    def _late_is_over(self, entry: Entry) -> None:
        if not entry.conversation_id:  # else it is of the one that is wanted
            self._journal.over(entry.name)

    def _end_orphan(self, entry: Entry) -> None:
        self._log.info(
            "a dead process left %r open; ending it",
            entry.conversation_id or entry.name,
        )
        self.end(entry)

    async def _strangers(self, entries: list[Entry]) -> int:
        """Ends what an older key of this account left.

        Returns:
            How many are of no account that this key opens.
        """
        unseen = self._not_ours | self._in_vain
        asked = [one for one in entries if one.name not in self._not_ours]
        asking = {asyncio.ensure_future(self._knows(one)): one for one in asked}
        if asking:
            try:
                await asyncio.wait(asking, timeout=_ASK_S)
            finally:
                for task in asking:
                    task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        for task, entry in asking.items():
            if task.cancelled() or task.exception():
                self._in_vain.add(entry.name)  # at the next sweep, perhaps
            elif task.result():
                self._end_orphan(entry)
            else:
                self._not_ours.add(entry.name)
        others = [one for one in entries if one.name not in self._ending]
        self._journal.give_back(others)
        unseen |= self._not_ours
        return sum(one.name in unseen for one in others)

    async def _knows(self, entry: Entry) -> bool:
        """Whether this key's account has that conversation."""
        if entry.session:  # there is no way to ask
            return entry.conversation_id != "" and (
                await self._client.stop_session(
                    entry.conversation_id, entry.token
                )
            )
        if await self.find(entry):
            return True
        if not entry.conversation_id:
            return False
        try:  # what is over is in no list
            await self._client.get_conversation(entry.conversation_id)
        except TavusError as error:
            if error.kind == "not_found" or error.status == _FORBIDDEN:
                return False
            raise
        return True

    def _tell_passed_over(self, found: Orphans, strangers: int) -> None:
        """Says what no process like this one can end, when that changes."""
        named = found.elsewhere.most_common(_NAMED)
        reasons = [
            f"{count} at {server} (start a worker with that base_url)"
            for server, count in named
        ]
        more = found.elsewhere.total() - sum(count for _, count in named)
        if more:
            reasons.append(f"{more} at other servers")
        if strangers:
            reasons.append(
                f"{strangers} that this key cannot see (start a worker with "
                "the key of that account)"
            )
        if found.unusable:
            reasons.append(
                f"those in {len(found.unusable)} that cannot be read: "
                f"{', '.join(found.unusable[:_NAMED])} (start a worker as "
                "their user)"
            )
        told, self._passed_over = self._passed_over, "; ".join(reasons)
        if reasons and told != self._passed_over:
            self._log.warning(
                "journal: conversations of other workers may run, and are "
                "not ended here: %s; or delete their files when Tavus's list "
                "shows that they are over",
                self._passed_over,
            )

    async def _end_until_over(self, entry: Entry, since: float | None) -> bool:
        loop = asyncio.get_running_loop()
        # A session ends by itself when nobody talks to it: from now on.
        if since is None or entry.session:
            since = loop.time()
        times_unknown = 0
        what = entry.conversation_id or entry.name
        retry_s = _FIRST_RETRY_S
        level = logging.WARNING
        while True:
            longest_s = _LAST_RETRY_S
            # Whether we ended it; None while there is nothing to end.
            ended: bool | None = None
            # Whether what is not found, or is refused, is over with time.
            passes = True
            try:
                ended = await self._try_to_end(entry)
            except TavusError as error:
                self._troubles[entry.name] = error
                self._log.log(level, "cannot end %r yet: %s", what, error)
                level = logging.DEBUG
                if not error.retryable:
                    longest_s = _REFUSED_RETRY_S
                passes = bool(entry.idle_s) and not error.retryable
            # A mistake of ours must not leave it running.
            # pylint: disable-next=broad-exception-caught
            except Exception as error:
                self._log.error("cannot end %r yet", what, exc_info=error)
                retry_s = longest_s = _REFUSED_RETRY_S
                passes = False
            else:
                if entry.session and ended is False:
                    times_unknown += 1
                    if times_unknown < _TIMES_UNKNOWN:
                        ended = None
                elif ended is None:
                    self._watched.add(entry.name)
                else:
                    self._watched.discard(entry.name)
            looked_s = loop.time() - since
            if ended is not None or (
                passes and looked_s > (entry.idle_s or SETTLE_S)
            ):
                if ended is None and not (
                    entry.session or entry.conversation_id
                ):
                    self._late.expect(entry)
                else:
                    self._journal.over(entry.name)
                return bool(ended)
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, longest_s)

    async def _try_to_end(self, entry: Entry) -> bool | None:
        """Whether we ended it (else it was over); None: there is none."""
        conversation_id = entry.conversation_id
        if entry.session:
            if not conversation_id:
                return None
            return await self._client.stop_session(conversation_id, entry.token)
        if conversation_id:
            try:
                return await self._client.end_conversation(conversation_id)
            except TavusNotFoundError:
                pass  # believed when the list agrees
        found = await self.find(entry)
        if not found:
            return None
        ids = [one.conversation_id for one in found if one.conversation_id]
        ended = [await self._end_listed(one) for one in ids]
        if len(ids) < len(found):
            raise TavusProtocolError(
                "Tavus lists it with an id that cannot be read"
            )
        return any(ended)

    async def _end_listed(self, conversation_id: str) -> bool:
        try:
            return await self._client.end_conversation(conversation_id)
        except TavusNotFoundError as error:
            error.retryable = True  # its list says otherwise
            raise
