#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""AsyncExtensionTester: a test that is itself one side of a graph."""

# The modules of this package share their underscored names.
# pylint: disable=protected-access
from __future__ import annotations

import json
import signal
import sys
import threading
from typing import final

from .addon import create_host
from .async_ten_env import AsyncSender, CmdResultTuple
from .error import TenError, TenErrorCode, runtime_error
from .frames import AudioFrame, Data, VideoFrame
from .graph import Graph
from .graph_json import TEST_ADDON, NodeSpec, parse_graph
from .hosts import LoopHost
from .loop_thread import SHARED_LOOP, LoopThread
from .msg import Cmd
from .node import Host, Node
from .process import abort

_TESTER_NODE = "ten:test_extension"
_DEFAULT_TIMEOUT_US = 180_000_000


class AsyncTenEnvTester(AsyncSender):
    """What a tester works with."""

    def __init__(self, node: Node, run: _Run) -> None:
        super().__init__(node)
        self._run = run

    def stop_test(self, error: TenError | None = None) -> TenError | None:
        """End the test; `error` becomes what `run` returns."""
        closed = self._node.closed_error("stop_test")
        if closed is not None:
            return closed
        self._run.stop(error)
        return None

    def _cmd_failed(self, error: TenError) -> CmdResultTuple:
        # Natively the error of a tester's send_cmd is read as another type.
        print(f"TEN stand-in: tester send_cmd: {error}", file=sys.stderr)
        sys.stderr.flush()
        signal.raise_signal(signal.SIGSEGV)
        raise AssertionError("unreachable")


class _Run:
    """One `run()`: the graph, the clock, the verdict."""

    def __init__(
        self, tester: AsyncExtensionTester, specs: dict[str, NodeSpec]
    ) -> None:
        self._tester = tester
        self._lock = threading.Lock()
        self._stopped = False
        self._error: TenError | None = None
        self._closed = threading.Event()
        self._thread = LoopThread(type(tester).__name__, shared=False)
        self.graph = Graph(
            None,
            specs,
            lambda _: self._closed.set(),
            single_test=not tester._graph_mode,
        )

    def stop(self, error: TenError | None) -> None:
        """The first stop decides the verdict."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            self._error = error
        self.graph.stop()

    def wait(self, timeout_s: float) -> TenError | None:
        """Run the graph to its end."""
        late = runtime_error(TenErrorCode.ErrorCodeTimeout, "Test timeout.")
        clock = threading.Timer(timeout_s, self.stop, (late,))
        clock.daemon = True
        clock.start()
        self.graph.start(self._create)
        self._closed.wait()
        clock.cancel()
        SHARED_LOOP.join_ended()
        self._thread.stop()
        self._thread.join()
        return self._error

    def _create(self, node: Node) -> Host:
        if node.spec.addon != TEST_ADDON:
            return create_host(node)
        env = AsyncTenEnvTester(node, self)
        env._host = LoopHost(
            node,
            self._tester,
            env,
            self._thread,
            lambda _: None,
            fatal=Exception,
        )
        return env._host


class AsyncExtensionTester:
    """Derive from it, choose what to test, and `run` it."""

    def __init__(self) -> None:
        self._specs: dict[str, NodeSpec] | None = None
        self._graph_mode = False
        self._timeout_us = _DEFAULT_TIMEOUT_US

    @final
    def set_test_mode_single(
        self, addon_name: str, property_json_str: str | None = None
    ) -> None:
        """Test one extension; all that it sends comes to this tester.

        Args:
            addon_name: its addon.
            property_json_str: laid over its property.json.
        """
        properties = json.loads(property_json_str or "{}")
        self._graph_mode = False
        self._specs = {
            "test_extension": NodeSpec(
                "test_extension", addon_name, properties
            ),
            _TESTER_NODE: NodeSpec(_TESTER_NODE, TEST_ADDON),
        }

    @final
    def set_test_mode_graph(self, graph_json: str) -> None:
        """Test a graph; the node of addon `ten:test_extension` is this."""
        self._graph_mode = True
        self._specs = parse_graph(json.loads(graph_json))

    @final
    def set_timeout(self, timeout_us: int) -> None:
        """After so many microseconds the test fails with code 8."""
        self._timeout_us = timeout_us

    @final
    def run(self) -> TenError | None:
        """Run the test; None, or the error that ended it."""
        if self._specs is None:
            abort("a tester was run without a test mode")
        timeout_s = (self._timeout_us or _DEFAULT_TIMEOUT_US) / 1e6
        return _Run(self, self._specs).wait(timeout_s)

    async def on_init(self, _ten_env: AsyncTenEnvTester) -> None:
        """First."""

    async def on_start(self, _ten_env: AsyncTenEnvTester) -> None:
        """The test itself; a long wait belongs in a task."""

    async def on_stop(self, _ten_env: AsyncTenEnvTester) -> None:
        """After stop_test."""

    async def on_deinit(self, _ten_env: AsyncTenEnvTester) -> None:
        """Last."""

    async def on_cmd(self, _ten_env: AsyncTenEnvTester, _cmd: Cmd) -> None:
        """A command of the tested extension."""

    async def on_data(self, _ten_env: AsyncTenEnvTester, _data: Data) -> None:
        """A data message of the tested extension."""

    async def on_audio_frame(
        self, _ten_env: AsyncTenEnvTester, _audio_frame: AudioFrame
    ) -> None:
        """An audio frame of the tested extension."""

    async def on_video_frame(
        self, _ten_env: AsyncTenEnvTester, _video_frame: VideoFrame
    ) -> None:
        """A video frame of the tested extension."""
