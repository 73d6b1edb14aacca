#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The process that avatars live in: started before it is needed, since what
it imports takes seconds, and told over its stdin who has to go where."""

import asyncio
import importlib.util
import json
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .conversation import Conversation

if TYPE_CHECKING:
    from .simulator import Simulator

_LOG = logging.getLogger("tavus_sim")
_CLOSE_TIMEOUT_S = 5.0
_LONGEST_LINE = 1024 * 1024
_ENVIRONMENT = "TAVUS_SIM_AVATAR_VIDEO"


@dataclass(frozen=True)
class AvatarVideo:
    """An avatar's picture.

    Args:
        width: in pixels, even.
        height: in pixels, even.
        fps: pictures a second; it divides 1000.
    """

    width: int = 640
    height: int = 360
    fps: int = 25

    def __post_init__(self) -> None:
        for size in (self.width, self.height):
            if not 16 <= size <= 1920 or size % 2:
                raise ValueError("width and height are even, 16 to 1920")
        if not 1 <= self.fps <= 50 or 1000 % self.fps:
            raise ValueError("fps divides 1000 and is at most 50")

    @classmethod
    def parse(cls, text: str) -> "AvatarVideo":
        """Read ``320x180@10``.

        Raises:
            ValueError: for anything else.
        """
        size, at, fps = text.partition("@")
        width, x, height = size.partition("x")
        if not at or not x:
            raise ValueError(f"WIDTHxHEIGHT@FPS, not {text!r}")
        return cls(int(width), int(height), int(fps))

    @classmethod
    def from_environment(cls) -> "AvatarVideo":
        """What ``TAVUS_SIM_AVATAR_VIDEO`` says, or the default.

        Raises:
            ValueError: when it says nonsense.
        """
        text = os.environ.get(_ENVIRONMENT)
        return cls.parse(text) if text else cls()

    def __str__(self) -> str:
        return f"{self.width}x{self.height}@{self.fps}"


class AvatarWorker:
    """Keeps one worker process; all methods are of one event loop.

    A worker that dies takes its avatars' conversations with it and is
    replaced, unless it died before it was ready: then the next conversation
    tries again.

    Args:
        simulator: what sends avatars, and hears their reports.
        video: the picture of all of them.

    Raises:
        RuntimeError: when what the worker needs is not installed.
    """

    def __init__(self, simulator: "Simulator", video: AvatarVideo) -> None:
        if not _installed("livekit", "livekit.agents", "numpy"):
            raise RuntimeError(
                "avatars need livekit-agents, which is not installed; "
                "bin/setup installs it"
            )
        self._simulator = simulator
        self._video = video
        self._present: dict[str, Conversation] = {}
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._closing = False

    @property
    def pid(self) -> int | None:
        """The worker's process id, while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the worker, unless it is there."""
        if self._closing or (self._task and not self._task.done()):
            return
        self._task = asyncio.create_task(self._run(), name="avatar worker")

    async def ready(self) -> None:
        """Wait until avatars can join at once."""
        await self._ready.wait()

    def send(self, conversation: Conversation) -> None:
        """Make an avatar join, or leave a conversation that is over."""
        conversation_id = conversation.conversation_id
        if conversation.status == "active":
            self._present[conversation_id] = conversation
            self.start()
            self._join(conversation)
        elif self._present.pop(conversation_id, None):
            self._write({"do": "leave", "id": conversation_id})
        elif conversation.avatar and conversation.avatar.state == "joining":
            report = {"event": "left", "reason": "it was over at once"}
            self._simulator.avatar_reports(conversation_id, report)

    async def close(self) -> None:
        """Let all avatars leave, and end the worker."""
        self._closing = True
        self._end_input()
        if self._task:
            done, _ = await asyncio.wait([self._task], timeout=_CLOSE_TIMEOUT_S)
            if not done and self._process:
                self._process.kill()
            await asyncio.wait([self._task])

    def _end_input(self) -> None:
        if self._process and self._process.stdin:
            self._process.stdin.close()

    async def _run(self) -> None:
        again = True
        while again and not self._closing:
            again = await self._run_once()

    async def _run_once(self) -> bool:
        """One worker's life; returns whether it ever was ready."""
        devkit = str(Path(__file__).parent.parent)
        path = os.pathsep.join(
            filter(None, (devkit, os.environ.get("PYTHONPATH")))
        )
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tavus_sim.avatar",
                str(self._video),
                stdin=PIPE,
                stdout=PIPE,
                env={**os.environ, "PYTHONPATH": path},
                limit=_LONGEST_LINE,
            )
        except OSError as exc:
            self._lost(f"the avatar worker does not start: {exc}")
            return False
        self._process = process
        if self._closing:
            self._end_input()
        for conversation in self._present.values():
            self._join(conversation)
        assert process.stdout
        async for line in process.stdout:
            self._take(json.loads(line))
        code = await process.wait()
        self._process = None
        was_ready = self._ready.is_set()
        self._ready.clear()
        if not self._closing:
            self._lost(f"the avatar worker has died ({code})")
        return was_ready

    def _take(self, report: dict[str, Any]) -> None:
        conversation_id = report.pop("id", None)
        if report["event"] == "ready":
            self._ready.set()
        else:
            self._simulator.avatar_reports(conversation_id, report)

    def _lost(self, detail: str) -> None:
        _LOG.warning("%s", detail)
        for conversation_id in list(self._present):
            del self._present[conversation_id]
            report = {"event": "failed", "detail": detail}
            self._simulator.avatar_reports(conversation_id, report)

    def _join(self, conversation: Conversation) -> None:
        room, avatar = conversation.livekit, conversation.avatar
        assert room and avatar
        fault = avatar.fault
        self._write(
            {
                "do": "join",
                "id": conversation.conversation_id,
                "url": room.url,
                "token": room.token,
                "on_behalf_of": room.on_behalf_of,
                "fault": fault.kind if fault else None,
                "delay_ms": fault.delay_ms if fault else 0.0,
            }
        )

    def _write(self, command: dict[str, Any]) -> None:
        process = self._process
        if process and process.stdin and not process.stdin.is_closing():
            process.stdin.write(json.dumps(command).encode() + b"\n")


def _installed(*modules: str) -> bool:
    # A parent comes before its child, which is looked for in it.
    return all(importlib.util.find_spec(module) for module in modules)
