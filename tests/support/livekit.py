#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A real LiveKit server on loopback, and participants of its rooms.

``support.livekit_fixtures`` has the fixtures.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from livekit import api

from .livekit_peer import Heard, Packet, Peer, Seen

__all__ = ["Heard", "LiveKitServer", "Packet", "Peer", "Seen", "servers"]


COMMAND = Path(__file__).resolve().parents[2] / "bin" / "livekit-server"
START_S = 10.0


def _free_port() -> int:
    """One that is free for TCP, and the one after it for UDP."""
    while True:
        with socket.socket() as tcp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            with (
                contextlib.suppress(OSError, OverflowError),
                socket.socket(type=socket.SOCK_DGRAM) as udp,
            ):
                udp.bind(("127.0.0.1", port + 1))
                return port


class LiveKitServer:
    """``bin/livekit-server`` on ports of its own; a context manager.

    A test without one is skipped; where ``CI`` is ``true`` it fails.
    """

    api_key = "devkey"
    api_secret = "secret-of-a-server-on-loopback-only"

    def __init__(self) -> None:
        got = subprocess.run(
            [COMMAND, "--get"], capture_output=True, text=True, check=False
        )
        if got.returncode:
            if os.environ.get("CI") == "true":
                pytest.fail(got.stderr)
            pytest.skip(got.stderr)
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect to; the same after a restart."""
        return f"ws://127.0.0.1:{self._port}"

    def __enter__(self) -> LiveKitServer:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it without rooms; returns when it takes connections."""
        environment = {
            **os.environ,
            "LIVEKIT_PORT": str(self._port),
            "LIVEKIT_API_KEY": self.api_key,
            "LIVEKIT_API_SECRET": self.api_secret,
        }
        self._process = subprocess.Popen(
            [COMMAND],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError("livekit-server does not start")
            time.sleep(0.02)  # it says nothing when it is ready

    def stop(self) -> None:
        """Kills it: its rooms, and all connections, are lost."""
        process, self._process = self._process, None
        if process is not None:
            with process:
                process.kill()

    def restart(self) -> None:
        """Kills it and starts it anew, at the same place."""
        self.stop()
        self.start()

    def token(
        self,
        identity: str,
        room: str,
        *,
        kind: api.AccessToken.ParticipantKind = "standard",
        attributes: dict[str, str] | None = None,
        ttl_s: float = 3600,
        **grants: Any,
    ) -> str:
        """A token for a room; ``grants`` are those of ``VideoGrants``."""
        video = api.VideoGrants(room_join=True, room=room, **grants)
        token = api.AccessToken(self.api_key, self.api_secret)
        return (
            token.with_identity(identity)
            .with_kind(kind)
            .with_attributes(attributes or {})
            .with_ttl(datetime.timedelta(seconds=ttl_s))
            .with_grants(video)
            .to_jwt()
        )

    def api(self) -> api.LiveKitAPI:
        """The server's API; close it with ``async with``."""
        url = self.url.replace("ws:", "http:")
        return api.LiveKitAPI(url, self.api_key, self.api_secret)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), 1).close()
            return True
        return False


def servers() -> Iterator[LiveKitServer]:
    """One that runs, for a fixture of any scope."""
    with LiveKitServer() as server:
        yield server
