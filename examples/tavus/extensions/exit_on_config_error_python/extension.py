#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Ends the process when a node of the graph cannot be used as configured.

An extension only reports that (``error`` of kind ``config``): what the app
does about it is the app's affair. Without this one it would stay, and do
nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from ten_runtime import AsyncExtension, AsyncTenEnv, Data

# EX_CONFIG of sysexits.h: to start again would change nothing.
_STATUS = 78
# All nodes start at once; so long may another one have something to say, too.
_OTHERS_S = 0.3


class ExitOnConfigErrorExtension(AsyncExtension):
    """Says what is wrong as the last thing, and exits with 78."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._reasons: list[str] = []
        self._exit: asyncio.Task[None] | None = None

    async def on_data(self, _ten_env: AsyncTenEnv, data: Data) -> None:
        text, problem = data.get_property_to_json(None)
        error = json.loads(text) if problem is None and text else {}
        if (error.get("metadata") or {}).get("kind") != "config":
            return
        self._reasons.append(str(error.get("message")))
        if self._exit is None:
            self._exit = asyncio.create_task(self._leave())

    async def on_stop(self, _ten_env: AsyncTenEnv) -> None:
        if self._exit is not None:
            self._exit.cancel()
            await asyncio.gather(self._exit, return_exceptions=True)

    async def _leave(self) -> None:
        await asyncio.sleep(_OTHERS_S)
        for reason in self._reasons:
            print(f"tavus: cannot run: {reason}", file=sys.stderr, flush=True)
        # Not in order: nothing runs yet that could be ended, and a SIGTERM in
        # the first second can hang TEN.
        os._exit(_STATUS)
