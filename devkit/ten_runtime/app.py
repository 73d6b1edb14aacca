#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""App: the process's entrance to the runtime."""

from __future__ import annotations

import threading

from .app_runner import AppRunner
from .ten_env import TenEnv


class App:
    """A TEN app; derive from it, make one, and `run` it."""

    _runner: AppRunner

    def __new__(cls, *_args: object, **_kwargs: object):
        self = super().__new__(cls)
        self._runner = AppRunner(self)
        return self

    def run(self, run_in_background: bool) -> None:
        """Start, and return when the app is closed.

        Args:
            run_in_background: return at once; the app has its own thread.
        """
        if run_in_background:
            thread = threading.Thread(target=self._runner.run, name="ten-app")
            self._runner.thread = thread
            thread.start()
        else:
            self._runner.run()

    def wait(self) -> None:
        """Wait for an app that runs in the background."""
        if self._runner.thread is not None:
            self._runner.thread.join()

    def close(self) -> None:
        """Stop every graph, then the app; from any thread."""
        self._runner.close()

    def on_configure(self, ten_env: TenEnv) -> None:
        ten_env.on_configure_done()

    def on_init(self, ten_env: TenEnv) -> None:
        ten_env.on_init_done()

    def on_deinit(self, ten_env: TenEnv) -> None:
        ten_env.on_deinit_done()
