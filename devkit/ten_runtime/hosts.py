#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Where callbacks run: on an event loop, or on a thread of their own."""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .log import LogMethods, LogOption
from .loop_thread import LoopThread
from .msg import Msg
from .node import Stage
from .process import abort

if TYPE_CHECKING:
    from .node import Node

_ENTERED = {
    Stage.CONFIGURE: "on_configure",
    Stage.INIT: "on_init",
    Stage.START: "on_start",
    Stage.STOP: "on_stop",
    Stage.DEINIT: "on_deinit",
}
_HANDLERS = {
    kind: f"on_{kind}" for kind in ("cmd", "data", "audio_frame", "video_frame")
}


class LoopHost:
    """Runs coroutine callbacks as tasks of one loop.

    Args:
        node: the place in the graph.
        extension: the object with the `on_...` coroutines.
        env: their first argument.
        thread: the loop's thread.
        release: called when the extension is gone.
        fatal: what, out of a callback, ends the process.
    """

    def __init__(
        self,
        node: Node,
        extension: object,
        env: LogMethods,
        thread: LoopThread,
        release: Callable[[LoopThread], None],
        fatal: type[BaseException] = BaseException,
    ) -> None:
        self._node = node
        self._extension = extension
        self._env = env
        self._thread = thread
        self._release = release
        self._fatal = fatal
        self._tasks: set[asyncio.Task[None]] = set()
        self.loop = thread.loop

    def post(self, call: Callable[..., Any], *args: Any) -> None:
        """Run `call` on the loop: at once if we are on it."""
        if threading.get_ident() == self._thread.ident:
            call(*args)
            return
        try:
            self.loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            if not self.loop.is_closed():  # nobody is left to be told
                raise

    def run(self, call: Callable[..., Any], *args: Any) -> None:
        """Run a coroutine function as a task of the loop."""
        self.post(self._start, call, *args)

    def _start(self, call: Callable[..., Any], *args: Any) -> None:
        task = self.loop.create_task(call(*args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def run_stage(self, stage: Stage) -> None:
        self.post(self._start, self._stage, stage)

    async def _stage(self, stage: Stage) -> None:
        if hasattr(self._extension, _ENTERED[stage]):  # testers configure not
            await self._call(_ENTERED[stage], self._env)
        self._node.stage_done(stage)

    def run_message(self, kind: str, msg: Msg) -> None:
        self.post(self._start, self._call, _HANDLERS[kind], self._env, msg)

    async def _call(self, name: str, *args: Any) -> None:
        try:
            await getattr(self._extension, name)(*args)
        except self._fatal as e:  # pylint: disable=broad-exception-caught
            exit_on_exception(self._env, e)

    def post_later(
        self, delay_s: float, call: Callable[[], None]
    ) -> _LaterCall:
        later = _LaterCall(call)
        self.post(later.schedule, self.loop, delay_s)
        return later

    def release(self) -> None:
        self._release(self._thread)


class _LaterCall:
    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def schedule(self, loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
        loop.call_later(delay_s, self._fire)

    def _fire(self) -> None:
        if self._call is not None:
            self._call()

    def cancel(self) -> None:
        self._call = None


def exit_on_exception(env: LogMethods, e: BaseException) -> None:
    """Log the exception and end the process with status 1."""
    text = f"Uncaught exception: {e} \ntraceback: {traceback.format_exc()}"
    if env.log_error(text, option=LogOption(sync=True)) is not None:
        print(text)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


class ThreadHost:
    """Runs the callbacks of a sync extension, one after another.

    Args:
        extension: the object with the `on_...` methods.
        env: their first argument; it reports the stages as done.
    """

    def __init__(self, extension: object, env: object, name: str) -> None:
        self._extension = extension
        self._env = env
        self._calls: queue.SimpleQueue[tuple[Any, ...] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(
            target=self._run, name=f"Extension-{name}", daemon=True
        )
        self._thread.start()

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            call, *args = item
            try:
                call(*args)
            except BaseException:  # pylint: disable=broad-exception-caught
                traceback.print_exc()
                abort("an exception left a callback of a sync extension")

    def post(self, call: Callable[..., Any], *args: Any) -> None:
        """Run `call` on the extension's thread."""
        self._calls.put((call, *args))

    def run_stage(self, stage: Stage) -> None:
        self.post(getattr(self._extension, _ENTERED[stage]), self._env)

    def run_message(self, kind: str, msg: Msg) -> None:
        self.post(getattr(self._extension, _HANDLERS[kind]), self._env, msg)

    def post_later(
        self, delay_s: float, call: Callable[[], None]
    ) -> threading.Timer:
        timer = threading.Timer(delay_s, self.post, (call,))
        timer.daemon = True
        timer.start()
        return timer

    def release(self) -> None:
        self._calls.put(None)
