#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Names of conversations to come, on disk before anybody needs them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import replace

from .background import supervised
from .bodies import session_idle_s
from .config import TavusConfig
from .journal import Entry, Journal

# So many are written ahead; when half of them are left, more are.
_AHEAD = 32
# Of the configured name: Tavus may cut long ones. With the random part it is
# 32 characters.
_LABEL_CHARS = 15


class Intents:
    """The journal's entries for conversations that nobody has asked for yet.

    Args:
        config: What they are for.
        journal: Where they are written.
        account: The fingerprint of the key.
        log: Where trouble is reported.
    """

    def __init__(
        self,
        config: TavusConfig,
        journal: Journal,
        account: str,
        log: logging.Logger,
    ) -> None:
        self._journal = journal
        self._log = log
        self._label = config.conversation_name[:_LABEL_CHARS]
        sessions = config.transport == "agora"
        self._common = Entry(
            name="",
            base_url=config.base_url,
            account=account,
            session=sessions,
            idle_s=session_idle_s(config) if sessions else 0,
        )
        self._written: list[Entry] = []
        self._due: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    def prepare(self) -> None:
        """Writes some ahead, for users who need not wait then."""
        self._due = None
        if self._writing is None and not self._closed:
            self._writing = supervised(
                "writing ahead", self._write_ahead, self._log
            )

    async def take(self) -> Entry:
        """An entry for one request, on disk if that can be written."""
        if len(self._written) <= _AHEAD // 2 and self._due is None:
            # Written while Tavus works on this one: call_soon would come
            # before the request goes out.
            loop = asyncio.get_running_loop()
            self._due = loop.call_later(0.0, self.prepare)
        if self._written:
            return self._written.pop()
        entry = self._new()
        await self._journal.want(entry)
        return entry

    async def close(self, timeout_s: float) -> None:
        """Takes back those that nobody needed.

        Args:
            timeout_s: How long to wait for a disk that hangs.
        """
        self._closed = True
        if self._due is not None:
            self._due.cancel()
        writing = self._writing
        if writing is not None:
            await asyncio.wait([writing], timeout=timeout_s)
            writing.cancel()
        for entry in self._written:
            self._journal.over(entry.name)

    async def _write_ahead(self) -> None:
        entries = [self._new() for _ in range(_AHEAD - len(self._written))]
        written = await self._journal.want(*entries)
        self._written += written
        # One that is not on disk is no better than one made when needed.
        for entry in entries:
            if entry not in written:
                self._journal.over(entry.name)
        self._writing = None

    def _new(self) -> Entry:
        # A name of its own for each request: a late conversation can never
        # be taken for the one that replaced it.
        name = f"{self._label}-{secrets.token_hex(8)}"
        return replace(self._common, name=name)
