#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""One extension in a running graph: its stages and the messages it takes."""

# The modules of this package share their underscored names.
# pylint: disable=protected-access
from __future__ import annotations

import threading
import time
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

from .error import TenError, TenErrorCode, runtime_error
from .frames import AudioFrame, Data, VideoFrame
from .graph_json import TEST_ADDON, NodeSpec
from .log import LOG, LogLevel
from .msg import Body, Cmd, Msg
from .path import Path
from .process import abort
from .properties import Properties
from .schema import Api, SchemaError

if TYPE_CHECKING:
    from .graph import Graph

_HANDLES: dict[str, type[Msg]] = {
    "cmd": Cmd,
    "data": Data,
    "audio_frame": AudioFrame,
    "video_frame": VideoFrame,
}
_SLOW_STAGE_S = 0.1


class Stage(IntEnum):
    """Where an extension is in its life."""

    CREATED = 0
    CONFIGURE = 1
    INIT = 2
    START = 3
    STARTED = 4
    STOP = 5
    DEINIT = 6
    CLOSED = 7


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> object: ...


class Host(Protocol):
    """The thread or loop on which an extension's callbacks run."""

    def run_stage(self, stage: Stage) -> None:
        """Run `on_<stage>`; then `Node.stage_done`."""

    def run_message(self, kind: str, msg: Msg) -> None:
        """Run `on_<kind>`."""

    def post_later(self, delay_s: float, call: Any) -> Timer:
        """Run `call()` after a while."""
        ...

    def release(self) -> None:
        """The extension is gone."""


class Node:
    """A place in a graph.

    Args:
        graph: the running graph.
        spec: its name, addon, graph properties and routes.
    """

    def __init__(self, graph: Graph, spec: NodeSpec) -> None:
        self.graph = graph
        self.name = spec.name
        self.spec = spec
        self.host: Host | None = None
        self.api = Api([])
        self.properties = Properties(spec.name)
        self.stage = Stage.CREATED
        self.in_paths: set[Path] = set()
        self.out_paths: set[Path] = set()
        self.routes = spec.routes
        self.address = ("localhost", graph.id, spec.name)
        self._lock = threading.RLock()
        self._pending: list[Body] | None = []  # until on_init is done
        self._stop_wanted = False
        self._path_timer: Timer | None = None
        self._stage_started_s = 0.0

    # -- stages ---------------------------------------------------------

    def begin(self, host: Host) -> None:
        """Enter on_configure on `host`."""
        self.host = host
        with self._lock:
            self._enter(Stage.CONFIGURE)

    def _enter(self, stage: Stage) -> None:
        self.stage = stage
        self._stage_started_s = time.monotonic()
        assert self.host is not None
        self.host.run_stage(stage)

    def stage_done(self, stage: Stage) -> None:
        """The extension says that `on_<stage>` is finished."""
        with self._lock:
            if stage != self.stage:
                self.log(
                    LogLevel.INFO,
                    f"Failed to on_{stage.name.lower()}_done() because of "
                    f"incorrect timing: {self.stage.name}",
                )
                return
            took_s = time.monotonic() - self._stage_started_s
            if took_s > _SLOW_STAGE_S:
                self.log(
                    LogLevel.WARN,
                    f"on_{stage.name.lower()}() took {took_s * 1e6:.0f} us",
                )
            self._after(stage)

    def _after(self, stage: Stage) -> None:
        if stage is Stage.DEINIT:
            self._close()
        elif stage is Stage.STOP:
            self._enter(Stage.DEINIT)
        else:
            if stage is Stage.CONFIGURE and not self._stop_wanted:
                self.api = self.properties.finish(self.spec)
            elif stage is Stage.INIT:
                self._take_pending()
            if self._stop_wanted:
                self._enter(Stage.STOP)
            elif stage is Stage.START:
                self.stage = Stage.STARTED
            else:
                self._enter(Stage(stage + 1))

    def stop(self) -> None:
        """Go to on_stop, at once or when the running callback is done."""
        with self._lock:
            if self._stop_wanted:
                return
            self._stop_wanted = True
            if self.stage is Stage.STARTED:
                self._enter(Stage.STOP)

    def _close(self) -> None:
        self.stage = Stage.CLOSED
        if self._path_timer is not None:
            self._path_timer.cancel()
        pending, self._pending = self._pending or [], None
        for body in pending:
            self._refuse(body)
        for path in list(self.in_paths):
            path.fail(f"The extension {self.name} is closed.")
        assert self.host is not None
        self.host.release()
        self.graph.node_closed()

    def closed_error(self, call: str) -> TenError | None:
        """The error of every call after on_deinit."""
        if self.stage is not Stage.CLOSED:
            return None
        return runtime_error(
            TenErrorCode.ErrorCodeTenIsClosed,
            f"ten_env.{call}() failed because the TEN is closed.",
        )

    # -- receiving ------------------------------------------------------

    def receive(self, body: Body) -> None:
        """Take a message from any thread; early ones wait for on_init."""
        if body.kind == "cmd" and body.fields is not None:
            abort(f"{body.name} reached an extension, which is no app")
        with self._lock:
            if self.stage is Stage.CLOSED:
                self._refuse(body)
                return
            if body.path is not None:
                body.path.receiver = self
                body.path.taken_s = time.monotonic()
                self.in_paths.add(body.path)
            if self._pending is not None:
                self._pending.append(body)
                return
            self._accept(body)

    def _take_pending(self) -> None:
        pending, self._pending = self._pending or [], None
        for body in pending:
            self._accept(body)

    def _accept(self, body: Body) -> None:
        try:
            body.properties = self.api.fit_message(
                body.kind, "in", body.name, body.properties
            )
        except SchemaError as e:
            self.log(LogLevel.WARN, f"{body.kind} {body.name} was refused: {e}")
            if body.path is not None:
                body.path.fail(str(e))
            return
        if body.path is not None:
            self.watch_paths()
        assert self.host is not None
        self.host.run_message(body.kind, _HANDLES[body.kind]._wrap(body))

    def _refuse(self, body: Body) -> None:
        if body.path is not None:
            body.path.fail(f"The extension {self.name} is closed.")

    # -- path timeouts --------------------------------------------------

    def watch_paths(self) -> None:
        """Look for late commands from time to time, from now on."""
        if self._path_timer is None and self.host is not None:
            self._path_timer = self.host.post_later(
                self.properties.path_check_s, self._check_paths
            )

    def _check_paths(self) -> None:
        now_s = time.monotonic()
        props = self.properties
        late = [
            p
            for p in list(self.out_paths)
            if now_s - p.started_s >= props.out_path_timeout_s
        ]
        late += [
            p
            for p in list(self.in_paths)
            if now_s - p.taken_s >= props.in_path_timeout_s
        ]
        for path in late:
            # As natively: a tester is not told.
            if path.sender.spec.addon != TEST_ADDON:
                path.fail("Path timeout.")
        with self._lock:
            self._path_timer = None
            if self.stage is not Stage.CLOSED:
                self.watch_paths()

    def log(self, level: LogLevel, msg: str) -> None:
        """A line of the runtime about this extension."""
        LOG.log(level, msg, owner=self.name)
