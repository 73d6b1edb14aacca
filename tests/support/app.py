#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The example app for browser tests, in front of a simulator."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.example import TENAPP, Example, account
from support.http_node import free_port
from support.watched import WatchedSimulator
from support.wire import Wire
from tavus_sim import ThreadedSim

GRACE_MS = 1500
REPLICA_JOIN_MS = 300
# So that nobody waits for long when the simulator hangs. The app gives up
# after the client of Tavus does.
TAVUS_TIMEOUT_S = 2
HTTP_TIMEOUT_S = 8


@dataclass(frozen=True)
class App:
    """A running app.

    Args:
        url: Where its page is.
        simulator: The Tavus it talks to.
        tavus: The wire between the two.
        example: Its process.
    """

    url: str
    simulator: WatchedSimulator
    tavus: Wire
    example: Example

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return "\n".join(self.example.output)

    async def ended(self, conversation_id: str) -> dict[str, Any]:
        """Waits until a conversation is over; its entry in the ledger."""

        def entry() -> dict[str, Any]:
            (found,) = [
                entry
                for entry in self.simulator.ledger()["conversations"]
                if entry["conversation_id"] == conversation_id
            ]
            return found

        await self.simulator.until(lambda: entry()["status"] == "ended")
        return entry()


def properties(folder: Path, *, stays: bool = False) -> Path:
    """A file in that folder with the example's properties, in a hurry.

    Args:
        folder: Where to.
        stays: The app goes on where a property cannot be used, as one does
            that other graphs share.
    """
    content = json.loads((TENAPP / "property.json").read_text())
    graph = content["ten"]["predefined_graphs"][0]["graph"]
    tavus, http, exits = graph["nodes"]
    if stays:
        graph["nodes"].remove(exits)
        for connection in graph["connections"]:
            for flow in connection["data"]:
                flow["dest"] = [
                    one
                    for one in flow["dest"]
                    if one["extension"] != exits["name"]
                ]
            connection["data"] = [f for f in connection["data"] if f["dest"]]
    tavus["property"].update(request_timeout_s=TAVUS_TIMEOUT_S, status_poll_s=1)
    http["property"].update(request_timeout_s=HTTP_TIMEOUT_S)
    file = folder / "property.json"
    file.write_text(json.dumps(content))
    return file


@asynccontextmanager
async def running(
    folder: Path,
    *,
    replica_join_ms: float = REPLICA_JOIN_MS,
    stays: bool = False,
    **env: str,
) -> AsyncIterator[App]:
    """Runs the example with a simulator of its own.

    Args:
        folder: For its files.
        replica_join_ms: How long people wait for the face.
        stays: See ``properties``.
        env: The environment beside what makes it quick.
    """
    simulator = WatchedSimulator(replica_join_ms=replica_join_ms)
    port = free_port()
    async with AsyncExitStack() as stack:
        sim = stack.enter_context(ThreadedSim(simulator))
        tavus = await stack.enter_async_context(
            Wire(int(simulator.base_url.rsplit(":", 1)[1]))
        )
        example = await stack.enter_async_context(
            Example(
                folder,
                "--property",
                str(properties(folder, stays=stays)),
                **{
                    **account(sim),
                    "TAVUS_BASE_URL": f"{tavus.url}/v2",
                    "TAVUS_HTTP_PORT": str(port),
                    "TAVUS_PUBLIC_URL": f"http://127.0.0.1:{port}",
                    "TAVUS_HTTP_FRAME_ORIGINS": simulator.base_url,
                    "TAVUS_HTTP_REQUEST_LIMIT": "off",
                    "TAVUS_LEAVE_GRACE_MS": str(GRACE_MS),
                    **env,
                },
            )
        )
        yield App(await example.ready(), simulator, tavus, example)
