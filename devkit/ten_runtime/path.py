#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The way back of a command: which result reaches the sender, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .error import TenError, TenErrorCode, runtime_error
from .msg import Body, StatusCode
from .schema import SchemaError

if TYPE_CHECKING:
    from .node import Node

OnResult = Callable[[Body | None, TenError | None], None]
Convert = Callable[[Body], None]


class Group:
    """The paths of one command that went to several extensions.

    `each` passes every result on; otherwise the first ERROR wins, else the
    last destination's OK once all have answered.
    """

    def __init__(self, each: bool) -> None:
        self.each = each
        self.paths: list[Path] = []
        self.closed = False
        self.lock = threading.Lock()

    def pick(self, path: Path, body: Body) -> Body | None:
        """What to hand to the sender now that `path` got `body`."""
        with self.lock:
            if self.closed:
                return None
            answered = all(p.answered for p in self.paths)
            if self.each:
                body.completed = self.closed = answered
                return body
            if body.status != StatusCode.OK:
                body.completed = self.closed = True
                return body
            if path is self.paths[-1]:
                path.cached = body
            if not answered:
                return None
            self.closed = True
            last = self.paths[-1].cached
            assert last is not None
            last.completed = True
            return last


class Path:
    """One command on its way from `sender` to `receiver`."""

    __slots__ = (
        "answered",
        "cached",
        "convert",
        "group",
        "on_result",
        "parent",
        "receiver",
        "sender",
        "sent_name",
        "started_s",
        "taken_s",
    )

    def __init__(
        self,
        sender: Node,
        sent: Body,
        on_result: OnResult,
        group: Group | None,
    ) -> None:
        self.sender = sender
        self.sent_name = sent.name
        self.parent = sent.path  # when a received command is passed on
        self.on_result = on_result
        self.group = group
        self.convert: Convert | None = None
        self.receiver: Node | None = None
        self.answered = False
        self.cached: Body | None = None
        self.started_s = time.monotonic()
        self.taken_s = 0.0

    def answer(self, body: Body) -> TenError | None:
        """A result from the receiving side; one after the final is dropped.

        Returns an error, and keeps the sender waiting, if the receiver's
        schema refuses the result.
        """
        if self.answered:
            return None
        if self.receiver is not None:
            try:
                body.properties = self.receiver.api.fit_result(
                    "in", body.name, body.properties
                )
            except SchemaError as e:
                return runtime_error(TenErrorCode.ErrorCodeGeneric, str(e))
        self._pass_on(body)
        return None

    def fail(self, detail: str) -> None:
        """Answer with an ERROR made by the runtime."""
        if not self.answered:
            self._pass_on(error_result(self.sent_name, detail))

    def _pass_on(self, body: Body) -> None:
        if body.final:
            self.answered = True
            self.sender.out_paths.discard(self)
            if self.receiver is not None:
                self.receiver.in_paths.discard(self)
        body.name = self.sent_name
        if self.convert is not None:
            self.convert(body)
        body.completed = body.final
        if self.group is not None:
            picked = self.group.pick(self, body)
            if picked is None:
                return
            body = picked
            if self.group.closed:
                self.sender.out_paths.difference_update(self.group.paths)
        try:
            body.properties = self.sender.api.fit_result(
                "out", self.sent_name, body.properties
            )
        except SchemaError as e:
            completed = body.completed
            body = error_result(self.sent_name, str(e))
            body.completed = completed
        body.path = self.parent
        self.on_result(body, None)


def error_result(name: str, detail: str) -> Body:
    """A result with StatusCode.ERROR and a `detail`, as the runtime makes."""
    body = Body("cmd_result", name)
    body.status = int(StatusCode.ERROR)
    body.properties = {"detail": detail}
    return body


def ok_result(name: str, properties: dict[str, Any]) -> Body:
    """A result with StatusCode.OK."""
    body = Body("cmd_result", name)
    body.properties = properties
    return body
