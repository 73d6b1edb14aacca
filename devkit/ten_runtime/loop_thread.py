#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Threads with an event loop; all async extensions share one of them."""

from __future__ import annotations

import asyncio
import os
import threading

from .log import LOG, LogLevel

try:
    import uvloop
except ImportError:
    uvloop = None

_GRACE_S = 0.5


class LoopThread:
    """A running thread with its loop.

    Args:
        name: the thread's name.
        shared: the loop of all async extensions: uvloop if there is one.
    """

    def __init__(self, name: str, shared: bool) -> None:
        if shared and uvloop is not None:
            self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        else:
            self.loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=self._run, name=name, daemon=True
        )
        self._thread.start()
        self.ident = self._thread.ident

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._stop.wait())
        self.loop.run_until_complete(_cancel_leftovers())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def stop(self) -> None:
        """Ask the loop to end; from any thread."""
        self.loop.call_soon_threadsafe(self._stop.set)

    def join(self) -> None:
        """Wait until the thread is gone."""
        self._thread.join()


async def _cancel_leftovers() -> None:
    """Cancel every task; one that swallows it holds the process for ever."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if not tasks:
        return
    _, pending = await asyncio.wait(tasks, timeout=_GRACE_S)
    if pending:
        LOG.log(LogLevel.WARN, "Some tasks did not complete within the timeout")
        await asyncio.wait(pending)


class SharedLoop:
    """Counts who uses the shared loop thread, and ends it after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._current: LoopThread | None = None
        self._ended: list[LoopThread] = []

    def acquire(self, name: str) -> LoopThread:
        """The thread for the async extension `name`."""
        if os.environ.get("TEN_PYTHON_THREAD_MODE") == "multi_thread":
            return LoopThread(f"AsyncExtension-{name}", shared=False)
        with self._lock:
            self._users += 1
            if self._current is None:
                self._current = LoopThread(
                    "PythonGlobalMainThread", shared=True
                )
            return self._current

    def release(self, thread: LoopThread) -> None:
        """One user is gone."""
        with self._lock:
            if thread is self._current:
                self._users -= 1
                if self._users > 0:
                    return
                self._current = None
            self._ended.append(thread)
        thread.stop()

    def join_ended(self) -> None:
        """Wait for the threads that were told to end."""
        with self._lock:
            ended, self._ended = self._ended, []
        for thread in ended:
            thread.join()


SHARED_LOOP = SharedLoop()
