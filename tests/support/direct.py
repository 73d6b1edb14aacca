#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The real client with the simulator in place of the socket.

Everything above the socket is what users run: retries, reading of replies,
error texts. For tests on a virtual clock, where sockets have no place.
"""

import asyncio
from urllib.parse import unquote

from tavus_sim import SimRequest, Simulator
from ten_packages.extension.tavus_python.errors import (
    TavusNetworkError,
    TavusTimeoutError,
)
from ten_packages.extension.tavus_python.tavus_client import TavusClient
from ten_packages.extension.tavus_python.tavus_models import Reply

KEY = "tvk-0123456789abcdef"
BASE_URL = "http://127.0.0.1:8900/v2"


class DirectClient(TavusClient):
    """Asks a simulator in this process.

    Args:
        simulator: Who answers.
        timeout_s: After which a hanging answer is given up.
    """

    def __init__(self, simulator: Simulator, timeout_s: float = 30.0) -> None:
        super().__init__(KEY, BASE_URL, timeout_s=timeout_s)
        self._simulator = simulator
        self._timeout_s = timeout_s
        self.reachable = True
        # So much later than it was given up, a create reaches Tavus.
        self.create_arrives_after_s: float | None = None

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        bearer: str = "",
    ) -> Reply:
        if not self.reachable:
            await asyncio.sleep(0)
            raise TavusNetworkError("connection refused", sent=False)
        request = SimRequest(
            method,
            f"/v2{unquote(path)}",
            query or {},
            {"x-api-key": KEY, "authorization": f"Bearer {bearer}"},
            body or b"",
        )
        late_s = self.create_arrives_after_s
        if late_s is not None and (method, path) == ("POST", "/conversations"):
            asyncio.get_running_loop().call_later(
                self._timeout_s + late_s, self._simulator.handle, request
            )
            await asyncio.sleep(self._timeout_s)
            raise TavusTimeoutError("no answer in time")
        await asyncio.sleep(0.02)  # to Tavus
        reply = self._simulator.handle(request)
        if reply.fault == "hang" or reply.delay_s >= self._timeout_s:
            await asyncio.sleep(self._timeout_s)
            raise TavusTimeoutError("no answer in time")
        await asyncio.sleep(0.02 + reply.delay_s)
        if reply.fault:
            raise TavusNetworkError("connection reset")
        return Reply(reply.status, reply.headers, reply.body)
