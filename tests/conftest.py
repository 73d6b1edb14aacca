#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What every test shares: the import paths and one running TEN app.

The tests run in four places: this repository after ``bin/setup``, TEN's
standalone layout (``.ten/app/ten_packages/extension/tavus_python``), a folder
that ``tman install --standalone`` has prepared, and the app that
``tests/bin/native`` names with ``TEN_APP_BASE_DIR``.
"""

import atexit
import os
import queue
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _app_dir() -> Path:
    """The TEN app folder from which this package can be imported."""
    here = Path(__file__).absolute().parent.parent
    if base := os.environ.get("TEN_APP_BASE_DIR"):  # TEN's name for it
        return Path(base)
    if here.parts[-3:] == ("ten_packages", "extension", "tavus_python"):
        return here.parents[2]
    app = ROOT / ".ten" / "app"
    if (app / "ten_packages/extension/tavus_python").exists():
        return app
    raise RuntimeError(
        "tests: this package is in no TEN app; run bin/setup (or tests/bin/"
        "start, which does), or clone it to <app>/ten_packages/extension/"
        "tavus_python"
    )


# The app first, so that the package has the name the runtime gives it; the
# devkit last, so that a native runtime on PYTHONPATH wins over the stand-in.
sys.path.insert(0, str(_app_dir()))
sys.path.append(str(ROOT))
sys.path.append(str(ROOT / "devkit"))

# pylint: disable=wrong-import-position
import ten_runtime  # noqa: E402
from ten_runtime import App, TenEnv  # noqa: E402

# What a test reaches is on this machine, and no proxy leads there.
for _name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.upper(), None)

STANDIN = bool(getattr(ten_runtime, "IS_STANDIN", False))


def pytest_sessionfinish(session: pytest.Session) -> None:
    _sessions.append(session)


_sessions: list[pytest.Session] = []


@atexit.register
def _leave_at_once() -> None:
    """End before the interpreter does, with what the tests came to.

    Threads of LiveKit's SDK may still report something, and to call into an
    interpreter that is ending makes them panic and abort the process. What is
    registered before all others, as this is, runs after them.
    """
    for session in _sessions:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(session.exitstatus))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if STANDIN:
        return
    for item in items:
        if item.get_closest_marker("standin"):
            item.add_marker(pytest.mark.skip(reason="needs the stand-in"))


class _TestApp(App):
    def __init__(self) -> None:
        super().__init__()
        self.ready = threading.Event()

    def on_init(self, ten_env: TenEnv) -> None:
        self.ready.set()
        ten_env.on_init_done()


@pytest.fixture(scope="session")
def ten_app():
    """The app that extension testers need to be running in the process.

    It is made in the thread that runs it: TEN aborts where they differ.
    """
    made: queue.SimpleQueue[_TestApp] = queue.SimpleQueue()

    def live() -> None:
        app = _TestApp()
        made.put(app)
        app.run(False)

    thread = threading.Thread(target=live, name="ten-app")
    thread.start()
    app = made.get()
    app.ready.wait()
    yield app
    app.close()
    thread.join()
