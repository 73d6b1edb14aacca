#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Ends the process the way the native runtime does when it gives up."""

import os
import sys
from typing import NoReturn


def abort(reason: str) -> NoReturn:
    """Die with SIGABRT, as a failed TEN_ASSERT does (exit status 134)."""
    print(f"TEN stand-in: abort: {reason}", file=sys.stderr)
    _flush()
    os.abort()


def exit_at_once(reason: str, status: int = 1) -> NoReturn:
    """Leave with `status`, without unwinding any thread."""
    print(f"TEN stand-in: exit: {reason}", file=sys.stderr)
    _flush()
    os._exit(status)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
