#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Waiting for an answer, for a moment, or for a change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Generic, TypeVar

from .polling import NEVER

T = TypeVar("T")


class Answers(Generic[T]):
    """Those who wait for the same answer; some may have given up."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[T]] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def anybody(self) -> bool:
        """Whether somebody still waits."""
        return any(not answer.done() for answer in self._waiting)

    def ask(self) -> asyncio.Future[T]:
        """One more who waits."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        return answer

    def give(self, value: T) -> int:
        """Answers all who wait; returns how many these were."""
        answered = self._drain()
        for answer in answered:
            answer.set_result(value)
        return len(answered)

    def refuse(self, error: Exception) -> None:
        """Answers all who wait with an error."""
        for answer in self._drain():
            answer.set_exception(error)

    def _drain(self) -> list[asyncio.Future[T]]:
        taken = [answer for answer in self._waiting if not answer.done()]
        self._waiting.clear()
        return taken


async def changed_or_due(changed: asyncio.Event, due: Iterable[float]) -> None:
    """Waits for a change, or for the first of these times of the loop."""
    first = min(due, default=NEVER)
    alarm = None
    if first != NEVER:
        alarm = asyncio.get_running_loop().call_at(first, changed.set)
    try:
        await changed.wait()
    finally:
        if alarm:
            alarm.cancel()
