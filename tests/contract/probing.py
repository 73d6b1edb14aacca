#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Runs a piece of a test inside an extension or a tester.

What a callback raises ends the process, on either runtime. So the pieces run
in tasks, and what they return or raise comes out of `run_...`.
"""

import asyncio
import importlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from ten_runtime import (
    AsyncExtension,
    AsyncExtensionTester,
    AsyncTenEnv,
    AsyncTenEnvTester,
    Data,
)

TIMEOUT_US = 20_000_000
MAKERS: dict[str, Callable[[str], AsyncExtension]] = importlib.import_module(
    "ten_packages.extension.contract_probe.addon"
).MAKERS


class _Piece:
    """A coroutine function, run once, with its outcome kept."""

    def __init__(self, call: Callable[[Any], Awaitable[Any]]) -> None:
        self._call = call
        self._value: Any = None
        self._error: BaseException | None = None
        self._ran = False
        self._task: asyncio.Task[None] | None = None

    def start(self, env: Any, then: Callable[[], Awaitable[Any]]) -> None:
        """Run it as a task, and `then()` after it."""
        self._task = asyncio.create_task(self._run(env, then))

    async def _run(self, env: Any, then: Callable[[], Awaitable[Any]]) -> None:
        try:
            self._value = await self._call(env)
        except BaseException as e:  # pylint: disable=broad-exception-caught
            self._error = e
        self._ran = True
        await then()

    def outcome(self) -> Any:
        """What it returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        assert self._ran, "the piece of the test was cut off"
        return self._value


def run_in_extension(
    piece: Callable[[AsyncTenEnv], Awaitable[Any]],
    *,
    properties: dict[str, Any] | None = None,
    addon: str = "contract_probe",
    tester: type[AsyncExtensionTester] | None = None,
) -> Any:
    """Run `await piece(ten_env)` in an extension, alone with a tester."""
    job = _Piece(piece)

    class _Extension(AsyncExtension):
        async def on_start(self, ten_env: AsyncTenEnv) -> None:
            async def tell() -> None:
                await ten_env.send_data(Data.create("piece_done"))

            job.start(ten_env, tell)

    class _Tester(tester or AsyncExtensionTester):
        async def on_data(self, ten_env: AsyncTenEnvTester, data: Data) -> None:
            if data.get_name() == "piece_done":
                ten_env.stop_test()
            else:
                await super().on_data(ten_env, data)

    MAKERS[""] = _Extension
    run_single(_Tester(), properties, addon)
    return job.outcome()


def run_beside(
    extension: Callable[[str], AsyncExtension],
    piece: Callable[[AsyncTenEnvTester], Awaitable[Any]],
    *,
    properties: dict[str, Any] | None = None,
    addon: str = "contract_probe",
    tester: type[AsyncExtensionTester] | None = None,
) -> Any:
    """Run `await piece(ten_env_tester)` in a tester of that extension."""
    job = _Piece(piece)

    class _Tester(tester or AsyncExtensionTester):
        async def on_start(self, ten_env: AsyncTenEnvTester) -> None:
            async def stop() -> None:
                ten_env.stop_test()

            job.start(ten_env, stop)

    MAKERS[""] = extension
    run_single(_Tester(), properties, addon)
    return job.outcome()


def run_graph(
    extensions: dict[str, Callable[[str], AsyncExtension]],
    connections: list[dict[str, Any]],
    piece: Callable[[AsyncTenEnvTester], Awaitable[Any]],
) -> Any:
    """Run `await piece(...)` in the node `tester` of a graph of probes."""
    job = _Piece(piece)

    class _Tester(AsyncExtensionTester):
        async def on_start(self, ten_env: AsyncTenEnvTester) -> None:
            async def stop() -> None:
                ten_env.stop_test()

            job.start(ten_env, stop)

    MAKERS.update(extensions)
    nodes = [
        {
            "type": "extension",
            "name": name,
            "addon": "contract_probe",
            "extension_group": "probes",
            "property": {"hidden_env": ""},
        }
        for name in extensions
    ]
    nodes.append(
        {
            "type": "extension",
            "name": "tester",
            "addon": "ten:test_extension",
            "extension_group": "testers",
        }
    )
    tester = _Tester()
    tester.set_timeout(TIMEOUT_US)
    tester.set_test_mode_graph(
        json.dumps({"nodes": nodes, "connections": connections})
    )
    error = tester.run()
    assert error is None, error.error_message()
    return job.outcome()


def run_single(
    tester: AsyncExtensionTester,
    properties: dict[str, Any] | None = None,
    addon: str = "contract_probe",
) -> None:
    """Run a tester on one extension; it must end without an error."""
    tester.set_timeout(TIMEOUT_US)
    given = dict(properties or {})
    if addon == "contract_probe":
        given.setdefault("hidden_env", "")
    tester.set_test_mode_single(addon, json.dumps(given))
    error = tester.run()
    assert error is None, error.error_message()
