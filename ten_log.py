#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Text for TEN's log and messages, and a handler that leads there."""

from __future__ import annotations

import logging

from ten_ai_base.const import LOG_CATEGORY_VENDOR
from ten_runtime import AsyncTenEnv

from .redaction import LogMask, redact


def clean(text: str) -> str:
    """Without what makes TEN's setters and log calls raise."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def log_line(text: str, *secrets: str) -> str:
    """A text for TEN's log, without secrets."""
    return clean(redact(text, *secrets))


class TenHandler(logging.Handler):
    """Hands our log lines to TEN's log; TEN allows that from any thread.

    Args:
        ten_env: Where the log is.
        secrets: What no line shows.
    """

    def __init__(self, ten_env: AsyncTenEnv, *secrets: str) -> None:
        super().__init__()
        self._ten_env = ten_env
        self.addFilter(LogMask(*secrets))

    def emit(self, record: logging.LogRecord) -> None:
        text = clean(self.format(record))
        if record.levelno >= logging.ERROR:
            self._ten_env.log_error(text, category=LOG_CATEGORY_VENDOR)
        elif record.levelno >= logging.WARNING:
            self._ten_env.log_warn(text, category=LOG_CATEGORY_VENDOR)
        elif record.levelno >= logging.INFO:
            self._ten_env.log_info(text, category=LOG_CATEGORY_VENDOR)
        else:
            self._ten_env.log_debug(text, category=LOG_CATEGORY_VENDOR)
