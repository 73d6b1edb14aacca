#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What is to be on disk, brought there by a thread that may block."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from .journal_file import SUFFIX, UNREADABLE, Entry, JournalFile
from .urls import same_server

_COMPACT_BYTES = 1 << 20
# How long lines may be in the kernel only. A sync under way holds up writes
# to the same file, and with them a user who waits.
_SYNC_AFTER_S = 1.0


@dataclass
class Orphans:
    """What dead processes left open.

    Attributes:
        ours: Of this account.
        others: At the same server, of another key, which may be an older one
            of the same account.
        elsewhere: How many are at each other server.
        unusable: The files and folders that cannot be read, each with why.
    """

    ours: list[Entry] = field(default_factory=list)
    others: list[Entry] = field(default_factory=list)
    elsewhere: Counter[str] = field(default_factory=Counter)
    unusable: list[str] = field(default_factory=list)


class JournalStore:
    """The files of one journal. Each method is called on the same thread.

    What cannot be written is owed, and tried again with each ``flush``.

    Args:
        directory: The folder that the processes of this host share.
        log: Where files that cannot be read are reported.
        disk: Called after each attempt to write: with why it failed, or
            with "" when all is on disk.
        flush_soon: Called on another thread when there is something to do.
    """

    def __init__(
        self,
        directory: Path,
        log: logging.Logger,
        disk: Callable[[str], None],
        flush_soon: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._log = log
        self._disk = disk
        self._flush_soon = flush_soon
        # A sync has its own thread: a slow disk delays no conversation.
        self._syncer = ThreadPoolExecutor(1, "tavus-journal-sync")
        self._closing = threading.Event()
        # What is to be on disk, where it is, and whose line is not there yet.
        self._open: dict[str, Entry] = {}
        self._homes: dict[str, JournalFile] = {}
        self._owed: dict[str, None] = {}
        self._own: JournalFile | None = None
        self._read_only: list[JournalFile] = []
        self._told: set[Path] = set()

    def record(self, entries: Sequence[Entry]) -> list[Entry]:
        """Writes intents; returns those that are in the kernel."""
        for entry in entries:
            self._open[entry.name] = entry
            self._owed[entry.name] = None
        self.flush()
        return [entry for entry in entries if entry.name not in self._owed]

    def note_id(self, name: str, conversation_id: str, token: str) -> None:
        """The id has come; to be flushed."""
        entry = self._open.get(name)
        if entry is not None:
            self._open[name] = replace(
                entry, conversation_id=conversation_id, token=token
            )
            self._owed[name] = None

    def note_end(self, name: str) -> None:
        """It is over; to be flushed."""
        if self._open.pop(name, None) is not None:
            self._owed[name] = None

    def flush(self) -> None:
        """Writes what is owed, or says that it cannot, and tries later."""
        problem: OSError | None = None
        wrote = False
        # What cannot take one line is not asked to take a thousand.
        failed: set[JournalFile | None] = set()
        try:
            self._renew_own()
        except OSError as error:
            problem = error
            failed.add(self._own)
        for name in list(self._owed):
            home = self._homes.get(name, self._own)
            if home in failed:
                continue
            try:
                wrote |= self._write(name)
                del self._owed[name]
            except OSError as error:
                problem = error
                failed.add(home)
        if problem is not None:
            self._disk(str(problem.strerror or problem))
        elif wrote:
            self._disk("")

    def sweep(self, base_url: str, account: str) -> Orphans:
        """Reads and holds what dead processes left; see ``Journal.orphans``.

        Whatever is wrong with one file, the others are read.
        """
        self.flush()  # somebody may have deleted the file
        found = Orphans()
        held = {file.path for file in (*self._homes.values(), *self._read_only)}
        if self._own:
            held.add(self._own.path)
        for path in self._listed(found):
            if path in held:
                continue
            try:
                file = JournalFile.take_over(path)
            # pylint: disable-next=broad-exception-caught
            except Exception as error:
                why = getattr(error, "strerror", None) or error
                found.unusable.append(f"{path} ({why})")
                continue
            if file is not None:
                self._sort(file, base_url, account, found)
        return found

    def release(self, names: Iterable[str]) -> None:
        """Lets others have these entries, as they are."""
        for name in names:
            home = self._homes.pop(name, None)
            self._open.pop(name, None)
            if home is not None:
                self._let_go(home)

    def close(self) -> None:
        """Writes what is owed, if that can be done, and lets go of all."""
        self.flush()
        self._closing.set()
        self._syncer.shutdown(wait=False)
        files = {*self._homes.values(), *self._read_only}
        if self._own:
            files.add(self._own)
        for file in files:
            file.close()
        self._homes.clear()
        self._own = None

    def _write(self, name: str) -> bool:
        """Whether that has shown that the disk has room."""
        entry, home = self._open.get(name), self._homes.get(name)
        if entry is not None:
            if home is None or home.read_only:
                home = self._own = self._own or JournalFile.create(
                    self._directory
                )
            home.write(entry)
            self._homes[name] = home
            self._sync(home)
            return True
        if home is None:
            return False
        wrote = home.forget(name)
        del self._homes[name]
        self._let_go(home)
        return wrote

    def _renew_own(self) -> None:
        """Another file where this one is lost, or long."""
        own = self._own
        if own is None:
            return
        if own.sync_failed or own.unlinked:
            self._move(own)
        elif own.size > _COMPACT_BYTES:
            with contextlib.suppress(OSError):  # the long one does, too
                self._move(own)

    def _move(self, old: JournalFile) -> None:
        names = [name for name, home in self._homes.items() if home is old]
        new = JournalFile.create(self._directory)
        try:
            for name in names:
                if name in self._open:
                    new.write(self._open[name])
            new.sync()
            if new.sync_failed:
                raise OSError("it does not keep what is written")
        except OSError:
            new.entries.clear()
            new.close()
            raise
        for name in names:
            if name in self._open:
                self._homes[name] = new
            else:
                del self._homes[name]
            self._owed.pop(name, None)
        self._own = new
        old.entries.clear()
        old.close()

    def _sync(self, file: JournalFile) -> None:
        if not file.sync_pending:
            file.sync_pending = True
            self._syncer.submit(self._sync_soon, file)

    def _sync_soon(self, file: JournalFile) -> None:
        self._closing.wait(_SYNC_AFTER_S)
        file.sync()
        if file.sync_failed:
            self._flush_soon()

    def _listed(self, found: Orphans) -> Iterator[Path]:
        try:
            paths = sorted(self._directory.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            found.unusable.append(f"{self._directory} ({error.strerror})")
            return
        yield from (path for path in paths if path.suffix == SUFFIX)

    def _sort(
        self, file: JournalFile, base_url: str, account: str, found: Orphans
    ) -> None:
        """Says whose the entries are, and holds the file if one is ours."""
        if file.unreadable and file.path not in self._told:
            self._told.add(file.path)
            self._log.warning(
                "journal: %d lines of %s cannot be read and are left out; "
                "where nothing else is open in it, it is kept as *%s",
                file.unreadable,
                file.path,
                UNREADABLE,
            )
        for entry in list(file.entries.values()):
            if entry.name in self._homes:
                continue  # in two files by a death between them: once each
            if not same_server(entry.base_url, base_url):
                found.elsewhere[entry.base_url] += 1
                continue
            same = entry.account == account
            (found.ours if same else found.others).append(entry)
            self._homes[entry.name] = file
            self._open[entry.name] = entry
        self._let_go(file)

    def _let_go(self, file: JournalFile) -> None:
        """Closes a file in which nothing is ours any more."""
        if file is self._own or file in self._homes.values():
            return
        if file.read_only and not file.entries:
            # It would be read again, and again, and all in it ended.
            self._read_only.append(file)
            return
        file.close()
