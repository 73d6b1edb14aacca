#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The simulator for code that has no event loop, or another one."""

import asyncio
import concurrent.futures
import threading

from .server import SimServer
from .simulator import Simulator
from .worker import AvatarVideo, AvatarWorker


class ThreadedSim:
    """A simulator and its server in a thread of their own.

    A context manager, for code that has no event loop or another one.

    Args:
        simulator: what to serve; by default a plain one.
        host: the address to listen on.
        port: the port; 0 takes a free one.
        avatars: their picture, if conversations in LiveKit rooms are to have
            real ones.

    Raises:
        RuntimeError: when avatars are wanted and cannot be had.
    """

    def __init__(
        self,
        simulator: Simulator | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        avatars: AvatarVideo | None = None,
    ) -> None:
        self.simulator = simulator or Simulator()
        self._server = SimServer(self.simulator, host, port, avatars)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._problem: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="tavus-sim")

    @property
    def base_url(self) -> str:
        """Where the API is, such as ``http://127.0.0.1:8900/v2``."""
        return f"{self.simulator.base_url}/v2"

    def __enter__(self) -> "ThreadedSim":
        self._thread.start()
        self._ready.wait()
        if self._problem:
            self._thread.join()
            raise self._problem
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop and self._stop
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def worker(self) -> AvatarWorker | None:
        """The process of the avatars, if they are real."""
        return self._server.worker

    def wait_for_worker(self, timeout_s: float) -> None:
        """Wait until avatars can join at once.

        Raises:
            TimeoutError: when that takes too long.
        """
        assert self._loop and self.worker
        ready = asyncio.run_coroutine_threadsafe(
            self.worker.ready(), self._loop
        )
        try:
            ready.result(timeout_s)
        except concurrent.futures.TimeoutError:
            ready.cancel()
            raise TimeoutError("the avatar worker is not ready") from None

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            async with self._server:
                self._ready.set()
                await self._stop.wait()
        except OSError as exc:
            self._problem = exc
        finally:
            self._ready.set()
