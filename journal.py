#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What this process has open at Tavus, on disk: a write-ahead log.

The intent is written before the request that costs money, so that whatever
kills the process, the next one knows what to end. One append-only file of
JSON lines per journal, under ``flock``: the kernel drops the lock with its
owner, so a lock that can be taken means that the owner is dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .errors import TavusError, TavusJournalError
from .journal_file import Entry
from .journal_store import JournalStore, Orphans

__all__ = ["Entry", "Journal", "Orphans"]

# After which a disk counts as broken, and nobody waits for it.
_DISK_S = 2.0
# When what could not be written is tried again.
_RETRY_S = 2.0
# How long news that are not urgent are gathered, so that few joins meet the
# writing of others' news.
_NOTE_AFTER_S = 0.05


class Journal:
    """The journal of one extension instance. Never raises, never blocks.

    What cannot be written is tried again until it is. Meanwhile everything
    goes on in memory, and Tavus's own timers are the only net for a kill.

    Attributes:
        on_trouble: Called in the loop, once whenever the disk fails.

    Args:
        directory: The folder that the processes of this host share.
        log: Where trouble is reported.
    """

    def __init__(self, directory: Path, log: logging.Logger) -> None:
        self.on_trouble: Callable[[TavusError], None] = lambda _: None
        self._directory = directory
        self._log = log
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._notes: list[Callable[[], None]] = []
        self._notes_due: asyncio.TimerHandle | None = None
        self._retry_due: asyncio.TimerHandle | None = None
        self._hangs = False
        self._failing = False
        self._writer = ThreadPoolExecutor(1, "tavus-journal")
        self._store = JournalStore(
            directory, log, self._disk, lambda: self._in_loop(self._retry)
        )

    async def want(self, *entries: Entry) -> list[Entry]:
        """Writes intents; returns when the kernel has them, or cannot.

        Returns:
            Those that are there. The others are written as soon as that is
            possible, unless they are ``over`` by then.
        """
        if self._closed:
            return []
        writing = self._run(self._store.record, entries)
        # For a disk that hangs, one has waited already.
        if not self._hangs:
            await asyncio.wait([writing], timeout=_DISK_S)
        if writing.done():
            return writing.result() or []
        if not self._hangs:
            self._hangs = True
            writing.add_done_callback(self._hangs_no_more)
            self._fails("it does not answer")
        return []

    def got(self, name: str, conversation_id: str, token: str = "") -> None:
        """Notes the id; a moment later, since the name is on disk.

        With a token at once: what has one cannot be found by its name.
        """
        self._later(lambda: self._store.note_id(name, conversation_id, token))
        if token:
            self._write_notes()

    def over(self, name: str) -> None:
        """Removes an entry whose conversation is confirmed to be over.

        A moment later: to end it once more would do no harm.
        """
        self._later(lambda: self._store.note_end(name))

    async def orphans(self, base_url: str, account: str) -> Orphans:
        """Takes over what dead processes left open at this server.

        Their files stay locked by this journal until every entry returned
        is ``over`` or given back, so no other process ends them at the same
        time.

        Returns:
            The entries, each once; nothing when there is nothing new.
        """
        if self._closed:
            return Orphans()
        swept = await self._run(self._store.sweep, base_url, account)
        return swept or Orphans()

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Lets others have what this process cannot end."""
        names = [entry.name for entry in entries]
        self._later(lambda: self._store.release(names))
        self._write_notes()

    async def close(self, timeout_s: float = _DISK_S) -> None:
        """Lets go of all files; what is still open stays on disk.

        Args:
            timeout_s: How long to wait for a disk that hangs. The files are
                let go of all the same, when it answers.
        """
        if self._closed:
            return
        self._write_notes()
        self._closed = True
        if self._retry_due is not None:
            self._retry_due.cancel()
        closing = self._run(self._store.close)
        self._writer.shutdown(wait=False)
        await asyncio.wait([closing], timeout=timeout_s)

    def _run(self, do: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Does something on the one thread that writes."""
        self._loop = asyncio.get_running_loop()
        return self._loop.run_in_executor(
            self._writer, self._guarded, do, *args
        )

    def _guarded(self, do: Callable[..., Any], *args: Any) -> Any:
        try:
            return do(*args)
        # pylint: disable-next=broad-exception-caught
        except Exception as error:
            self._log.error("journal: a mistake", exc_info=error)
            return None

    def _later(self, note: Callable[[], None]) -> None:
        if self._closed:  # late news: the next process finds out itself
            return
        self._notes.append(note)
        if self._notes_due is None:
            self._loop = asyncio.get_running_loop()
            self._notes_due = self._loop.call_later(
                _NOTE_AFTER_S, self._write_notes
            )

    def _write_notes(self) -> None:
        if self._notes_due is not None:
            self._notes_due.cancel()
            self._notes_due = None
        notes, self._notes = self._notes, []
        if notes and not self._closed:
            self._writer.submit(self._apply, notes)

    def _apply(self, notes: list[Callable[[], None]]) -> None:
        for note in (*notes, self._store.flush):
            self._guarded(note)

    def _disk(self, why: str) -> None:
        """The thread that writes says how that went."""
        if why:
            self._fails(why)
            self._in_loop(self._retry_soon)
        elif self._failing:
            self._failing = False
            self._log.info(
                "journal: %s can be written again, and all is noted",
                self._directory,
            )

    def _fails(self, why: str) -> None:
        """Says so, once; on any thread."""
        if not self._failing:
            self._failing = True
            error = TavusJournalError(
                f"{self._directory} cannot be written: {why}"
            )
            self._log.warning("journal: %s", error)
            self._in_loop(lambda: self.on_trouble(error))

    def _hangs_no_more(self, _: object) -> None:
        self._hangs = False

    def _retry_soon(self) -> None:
        if self._retry_due is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._retry_due = loop.call_later(_RETRY_S, self._retry)

    def _retry(self) -> None:
        self._retry_due = None
        if not self._closed:
            self._run(self._store.flush)

    def _in_loop(self, do: Callable[[], object]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(do)
