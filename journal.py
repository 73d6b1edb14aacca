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
import json
import logging
import os
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: no journal, said once
    fcntl = None

_SUFFIX = ".journal"
_COMPACT_BYTES = 1 << 20
# How long lines may be in the kernel only. A sync under way holds up writes
# to the same file, and with them a user who waits.
_SYNC_AFTER_S = 1.0
_OF_SESSIONS = ("session", "idle_s", "token")
# After which a disk counts as broken, and nobody waits for it.
_DISK_S = 2.0
# How long news that are not urgent are gathered, so that few joins meet the
# writing of others' news.
_NOTE_AFTER_S = 0.05


@dataclass(frozen=True)
class Entry:
    """One conversation that may be running at Tavus.

    Attributes:
        name: The unique ``conversation_name`` sent with the request.
        base_url: The API it was asked of.
        account: A fingerprint of the key, never the key.
        conversation_id: Tavus's id, empty until (unless) it arrived.
        session: Whether it is a session at Agora's endpoints, which cannot be
            looked for by its name.
        idle_s: A session ends by itself when nobody talks to it for so long;
            0 for never.
        token: What stops a session, and nothing else.
    """

    name: str
    base_url: str
    account: str
    conversation_id: str = ""
    session: bool = False
    idle_s: float = 0.0
    token: str = field(default="", repr=False)


class Journal:
    """The journal of one extension instance. Never raises, never blocks.

    Where the folder cannot be written, that is logged once and everything
    goes on in memory: Tavus's own timers are then the only net for a kill.

    Args:
        directory: The folder that the processes of this host share.
        log: Where trouble is reported.
    """

    def __init__(self, directory: Path, log: logging.Logger) -> None:
        self._directory = directory
        self._log = log
        self._own: _File | None = None
        self._homes: dict[str, _File] = {}
        self._warned = False
        self._closed = False
        # One thread writes, in the order of the calls; another syncs, so
        # that a slow disk delays no conversation.
        self._notes: list[Callable[[], None]] = []
        self._notes_due: asyncio.TimerHandle | None = None
        self._closing = threading.Event()
        self._writer = ThreadPoolExecutor(1, "tavus-journal")
        self._syncer = ThreadPoolExecutor(1, "tavus-journal-sync")

    async def want(self, *entries: Entry) -> None:
        """Writes intents; returns when the kernel has them."""
        try:
            await asyncio.wait_for(self._run(self._add, entries), _DISK_S)
        except asyncio.TimeoutError:
            self._warn("the disk does not answer")

    def got(self, name: str, conversation_id: str, token: str = "") -> None:
        """Notes the id; a moment later, since the name is on disk.

        With a token at once: what has one cannot be found by its name.
        """
        self._later(lambda: self._note_id(name, conversation_id, token))
        if token:
            self._write_notes()

    def over(self, name: str) -> None:
        """Removes an entry whose conversation is confirmed to be over.

        A moment later: to end it once more would do no harm.
        """
        self._later(lambda: self._remove(name))

    async def orphans(self, base_url: str, account: str) -> list[Entry]:
        """Takes over what dead processes left open in this account.

        Their files stay locked by this journal until every entry returned
        is ``over``, so no other process ends them at the same time.

        Returns:
            The entries, each once; an empty list when there is nothing new.
        """
        return await self._run(self._take_orphans, base_url, account)

    async def close(self, timeout_s: float = _DISK_S) -> None:
        """Lets go of all files; what is still open stays on disk.

        Args:
            timeout_s: How long to wait for a disk that hangs.
        """
        if self._closed:
            return
        self._write_notes()
        closing = self._run(self._close)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(closing, timeout_s)
        self._closed = True
        self._writer.shutdown(wait=False)

    async def _run(self, do: Callable[..., Any], *args: Any) -> Any:
        if self._closed:
            return []
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._writer, self._guarded, do, *args
        )

    def _later(self, note: Callable[[], None]) -> None:
        if self._closed:  # late news: the next process finds out itself
            return
        self._notes.append(note)
        if self._notes_due is None:
            self._notes_due = asyncio.get_running_loop().call_later(
                _NOTE_AFTER_S, self._write_notes
            )

    def _write_notes(self) -> None:
        if self._notes_due is not None:
            self._notes_due.cancel()
            self._notes_due = None
        notes, self._notes = self._notes, []
        if not self._closed:
            self._writer.submit(self._apply, notes)

    # Everything below runs on the writer thread.

    def _apply(self, notes: list[Callable[[], None]]) -> None:
        for note in notes:
            self._guarded(note)

    def _guarded(self, do: Callable[..., Any], *args: Any) -> Any:
        try:
            return do(*args)
        except OSError as error:
            self._warn(str(error.strerror or error))
            return []

    def _warn(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            self._log.warning(
                "journal: %s cannot be used (%s): conversations that a "
                "killed process leaves open end by Tavus's timers only; "
                "set journal_dir to a folder that can be written",
                self._directory,
                why,
            )

    def _add(self, entries: Sequence[Entry]) -> None:
        if self._own is None:
            self._own = _File.create(self._directory)
        elif self._own.size > _COMPACT_BYTES or self._own.unlinked:
            self._compact(self._own)
        for entry in entries:
            self._homes[entry.name] = self._own
            self._own.write(entry)
        self._sync(self._own)

    def _note_id(self, name: str, conversation_id: str, token: str) -> None:
        home = self._homes.get(name)
        if home and name in home.entries:
            home.write(
                replace(
                    home.entries[name],
                    conversation_id=conversation_id,
                    token=token,
                )
            )
            self._sync(home)

    def _remove(self, name: str) -> None:
        home = self._homes.pop(name, None)
        if home is None:
            return
        home.forget(name)
        if home is not self._own and home not in self._homes.values():
            home.close()

    def _compact(self, old: _File) -> None:
        new = _File.create(self._directory)
        for entry in old.entries.values():
            new.write(entry)
            self._homes[entry.name] = new
        os.fsync(new.fd)
        self._own = new
        old.entries.clear()
        old.close()

    def _sync(self, file: _File) -> None:
        if not file.sync_pending:
            file.sync_pending = True
            self._syncer.submit(self._sync_soon, file)

    def _sync_soon(self, file: _File) -> None:
        self._closing.wait(_SYNC_AFTER_S)
        file.sync()

    def _take_orphans(self, base_url: str, account: str) -> list[Entry]:
        taken: list[Entry] = []
        held = {file.path for file in self._homes.values()}
        if self._own:
            held.add(self._own.path)
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            file = None if path in held else _File.take_over(path)
            if file is None:
                continue
            ours = [
                entry
                for entry in file.entries.values()
                if (entry.base_url, entry.account) == (base_url, account)
            ]
            for entry in ours:
                self._homes[entry.name] = file
            taken += ours
            if not ours:
                file.close()
        return taken

    def _close(self) -> None:
        self._closing.set()
        self._syncer.shutdown(wait=False)
        files = set(self._homes.values())
        if self._own:
            files.add(self._own)
        for file in files:
            file.close()
        self._homes.clear()
        self._own = None


class _File:
    """One journal file, open and locked by this process."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd
        self.size = 0
        self.sync_pending = False
        self.entries: dict[str, Entry] = {}

    @classmethod
    def create(cls, directory: Path) -> _File:
        if fcntl is None:
            raise OSError("this system has no flock")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / f"{os.getpid()}-{uuid.uuid4().hex[:12]}{_SUFFIX}"
        # Locked before it has the name that sweeping processes look for.
        fresh = path.with_suffix(".new")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fresh.rename(path)
        except OSError:  # a file system without locks
            os.close(fd)
            fresh.unlink(missing_ok=True)
            raise
        return cls(path, fd)

    @classmethod
    def take_over(cls, path: Path) -> _File | None:
        """The file of a dead process with its entries; None if it lives."""
        if fcntl is None:
            return None
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError:  # gone meanwhile, or another user's
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink == 0:  # its sweeper was faster
                raise FileNotFoundError(path)
            data = path.read_bytes()
        except OSError:
            os.close(fd)
            return None
        file = cls(path, fd)
        file.size = len(data)
        for line in data.splitlines():
            file.replay(line)
        return file

    def replay(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            if "over" in record:
                self.entries.pop(record["over"], None)
                return
            entry = Entry(
                name=str(record["name"]),
                base_url=str(record["base_url"]),
                account=str(record["account"]),
                conversation_id=str(record["conversation_id"]),
                session=bool(record.get("session")),
                idle_s=float(record.get("idle_s", 0)),
                token=str(record.get("token", "")),
            )
        except (ValueError, TypeError, KeyError):
            return  # torn by the death of its writer: nothing had been sent
        self.entries[entry.name] = entry

    def write(self, entry: Entry) -> None:
        self.entries[entry.name] = entry
        record = asdict(entry)
        for name in _OF_SESSIONS:
            if not record[name]:
                del record[name]
        self._append(record)

    def forget(self, name: str) -> None:
        self.entries.pop(name, None)
        if self.entries:
            self._append({"over": name})
        else:
            os.ftruncate(self.fd, 0)
            self.size = 0

    def _append(self, record: dict[str, Any]) -> None:
        # The line break comes first: a torn line cannot spoil the next one.
        self.size += os.write(self.fd, b"\n" + json.dumps(record).encode())

    @property
    def unlinked(self) -> bool:
        """Whether somebody has deleted the file under us."""
        return os.fstat(self.fd).st_nlink == 0

    def sync(self) -> None:
        self.sync_pending = False
        # It may be closed meanwhile, or on a file system without fsync.
        with contextlib.suppress(OSError):
            os.fsync(self.fd)

    def close(self) -> None:
        """Drops the lock, and the file too when nothing is open in it."""
        if not self.entries:
            with contextlib.suppress(OSError):  # then an empty file stays
                self.path.unlink()
        if fcntl is not None:
            # Closing alone would keep it locked while a sync is under way.
            with contextlib.suppress(OSError):
                fcntl.flock(self.fd, fcntl.LOCK_UN)
        os.close(self.fd)
