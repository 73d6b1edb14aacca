#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""examples/tavus-livekit, and a browser that speaks into its page."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from support.browser import chromium
from support.example import Example
from support.http_node import free_port
from support.places import ROOT
from support.visit import STATE_MS, Tab, visit

EXAMPLE = ROOT / "examples" / "tavus-livekit"
ROOM = EXAMPLE / "tenapp" / "graphs" / "room.json"
# Small, because the machine also runs the browser that shows it.
_PICTURE = "320x180@10"
# Keeps what the page would keep to itself: its connections.
_WATCH = """
  const Real = RTCPeerConnection;
  globalThis.connections = [];
  globalThis.RTCPeerConnection = class extends Real {
    constructor(...options) {
      super(...options);
      connections.push(this);
    }
  };
  globalThis.received = async () => {
    const sum = { frames: 0, energy: 0 };
    for (const connection of connections)
      for (const one of (await connection.getStats()).values()) {
        if (one.type !== "inbound-rtp") continue;
        sum.frames += one.framesDecoded ?? 0;
        sum.energy += one.totalAudioEnergy ?? 0;
      }
    return sum;
  };
"""


class LiveKitExample(Example):
    """examples/tavus-livekit/bin/start, with all it starts."""

    start = EXAMPLE / "bin" / "start"
    ready_s = 90.0

    def __init__(self, folder: Path, *arguments: str, **env: str) -> None:
        self.sim_port = free_port()
        usual = {
            "TAVUS_SIM_PORT": str(self.sim_port),
            "LIVEKIT_PORT": "0",
            "TAVUS_SIM_AVATAR_VIDEO": _PICTURE,
        }
        super().__init__(folder, *arguments, **{**usual, **env})

    async def ledger(self) -> dict[str, Any]:
        """What the simulated Tavus has on its books."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(self._sim("ledger")) as answer,
        ):
            return await answer.json()

    async def break_tavus(self, fault: str, **how: Any) -> None:
        """Has the simulated Tavus fail in that way, by default always."""
        body = {"endpoint": "avatar", "kind": fault, **how}
        await self._tell("faults", body)

    async def shut_down(self, reason: str) -> None:
        """Has the simulated Tavus end the newest conversation."""
        newest = (await self.ledger())["conversations"][-1]
        path = f"conversations/{newest['conversation_id']}/shutdown"
        await self._tell(path, {"reason": reason})

    def silence_tavus(self) -> None:
        """Has the simulated Tavus answer nothing, and its avatars die.

        It is not killed: bin/start ends with what it has started.
        """
        for process in psutil.Process(self.process.pid).children():
            if "tavus_sim" in process.cmdline():
                process.suspend()
                for avatar in process.children(recursive=True):
                    avatar.kill()

    async def _tell(self, path: str, body: dict[str, Any]) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.post(self._sim(path), json=body) as answer,
        ):
            assert answer.status < 300, await answer.text()

    def _sim(self, what: str) -> str:
        return f"http://127.0.0.1:{self.sim_port}/sim/{what}"


class LiveKitTab(Tab):
    """A tab in a room of LiveKit."""

    async def received(self) -> dict[str, float]:
        """Frames decoded, and the energy of the audio, so far."""
        return await self.page.evaluate("received()")

    async def until_received(
        self, come: str, **known: float
    ) -> dict[str, float]:
        """Waits until that is so of what was received.

        Args:
            come: In JavaScript, of ``now`` and ``known``.
            known: Numbers from before.
        """
        return await asyncio.wait_for(
            self.page.evaluate(
                f"""async (known) => {{
                    for (;;) {{
                        const now = await received();
                        if ({come}) return now;
                        await new Promise((go) => setTimeout(go, 100));
                    }}
                }}""",
                known,
            ),
            STATE_MS / 1000,
        )


@contextlib.asynccontextmanager
async def speaking(
    url: str, wav: Path | None, *arguments: str, **options: Any
) -> AsyncIterator[LiveKitTab]:
    """A person at the page whose microphone plays a file, over and over.

    Args:
        url: Where the app is.
        wav: The file; None for a browser that gives no microphone.
        arguments: More of the browser's.
        options: Of its context.
    """
    devices = ("--use-fake-device-for-media-stream",)
    if wav is not None:
        devices += (
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={wav}",
        )
    async with (
        chromium((*devices, *arguments)) as browser,
        visit(browser, url, kind=LiveKitTab, **options) as tab,
    ):
        await tab.page.add_init_script(_WATCH)
        yield tab


def room_graph(
    folder: Path, change: Callable[[dict[str, dict[str, Any]]], None]
) -> Path:
    """The example's graph with other properties, as a file.

    Args:
        folder: Where to.
        change: Of the nodes' properties, by the nodes' names.
    """
    graph = json.loads(ROOM.read_text(encoding="utf-8"))
    change({node["name"]: node["property"] for node in graph["nodes"]})
    file = folder / "room.json"
    file.write_text(json.dumps(graph), encoding="utf-8")
    return file
