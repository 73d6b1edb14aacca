#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""App: the process's entrance to the runtime."""

from __future__ import annotations

import threading

from .app_runner import AppRunner
from .process import abort
from .ten_env import TenEnv

_APPS: list[App] = []


class App:
    """A TEN app; derive from it, make one, and `run` it.

    As natively, these abort the process: positional arguments, another
    thread's `run` than the one that made it, a second app.
    """

    _runner: AppRunner
    _maker: int

    def __new__(cls, *args: object, **_kwargs: object):
        if args:
            abort("ten_py_app_create: Expect 0 argument.")
        self = super().__new__(cls)
        self._runner = AppRunner(self)
        self._maker = threading.get_ident()
        return self

    def run(self, run_in_background: bool) -> None:
        """Start, and return when the app is closed.

        Args:
            run_in_background: return at once; the app has its own thread.
        """
        if threading.get_ident() != self._maker:
            abort(
                "Access object across threads: an app is run where it is made"
            )
        _APPS.append(self)
        if len(_APPS) > 1:
            abort("a second app in one process")
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
