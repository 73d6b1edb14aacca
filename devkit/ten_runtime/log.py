#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Log lines: levels, `ten.log` handlers, and the log methods of every env."""

# The modules of this package share their underscored names.
# pylint: disable=protected-access
from __future__ import annotations

import json
import os
import sys
import threading
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, TextIO

from .error import TenError
from .values import check_text


class LogLevel(IntEnum):
    """Severity; a handler prints its level and above."""

    INVALID = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4


class LogOption:
    """How a line is logged.

    Args:
        skip: how many frames up the stack the named caller is.
        sync: write before returning (the stand-in always does).
    """

    def __init__(self, skip: int = 2, sync: bool = False) -> None:
        self.skip = skip
        self.sync = sync


DefaultLogOption = LogOption()
_OFF = 99
_LEVELS = {"off": _OFF, "debug": 1, "info": 2, "warn": 3, "error": 4}
_LETTERS = " DIWE"


class _Handler:
    """One entry of `ten.log.handlers`."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.matchers = [
            (_LEVELS[m.get("level", "debug")], m.get("category"))
            for m in config["matchers"]
        ]
        self.as_json = config["formatter"]["type"] == "json"
        self.stream = self._open(config["emitter"])

    @staticmethod
    def _open(emitter: dict[str, Any]) -> TextIO | str:
        if emitter["type"] == "console":
            return emitter["config"]["stream"]
        if emitter["type"] == "file":
            path = Path(emitter["config"]["path"])
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("a", encoding="utf-8")
        raise NotImplementedError(
            "The stand-in logs to console and file only, not to "
            f"{emitter['type']}."
        )

    def wants(self, level: int, category: str | None) -> bool:
        return any(
            level >= least and (wanted is None or wanted == category)
            for least, wanted in self.matchers
        )

    def write(self, line: str) -> None:
        # sys.stdout is looked up each time: pytest replaces it.
        stream = self.stream
        if isinstance(stream, str):
            stream = sys.stderr if stream == "stderr" else sys.stdout
        if stream.closed:
            return
        stream.write(line + "\n")
        stream.flush()


class LogManager:
    """The process's log; without `ten.log` only WARN and ERROR, on stderr."""

    def __init__(self) -> None:
        self._handlers: list[_Handler] = []
        self._lock = threading.Lock()
        self.least = int(LogLevel.WARN)

    def configure(self, config: dict[str, Any] | None) -> None:
        """Use the handlers of an app's `ten.log`; None keeps what is set."""
        if not config or not config.get("handlers"):
            return
        handlers = [_Handler(h) for h in config["handlers"]]
        with self._lock:
            self._handlers = handlers
            self.least = min(m[0] for h in handlers for m in h.matchers)

    def log(
        self,
        level: int,
        msg: str,
        *,
        where: str = "",
        owner: str = "",
        category: str | None = None,
        fields: dict[str, Any] | None = None,
    ) -> None:
        """Write one line to every handler that wants it."""
        if level < self.least:
            return
        with self._lock:
            if not self._handlers:
                if level >= LogLevel.WARN and not sys.stderr.closed:
                    name = "WARN" if level == LogLevel.WARN else "ERROR"
                    who = f"[{owner}] " if owner else ""
                    print(f"[TEN][{name}] {who}{msg}", file=sys.stderr)
                    sys.stderr.flush()
                return
            for handler in self._handlers:
                if handler.wants(level, category):
                    form = _json_line if handler.as_json else _plain_line
                    handler.write(
                        form(level, msg, where, owner, category, fields or {})
                    )


LOG = LogManager()


def _plain_line(
    level: int,
    msg: str,
    where: str,
    owner: str,
    category: str | None,
    fields: dict[str, Any],
) -> str:
    now = datetime.now().strftime("%m-%d %H:%M:%S.%f")[:-3]
    ids = f"{os.getpid()}({threading.get_native_id()})"
    parts = [now, ids, _LETTERS[level], category or "", where]
    parts += [f"[{owner}]" if owner else "", msg]
    parts += [f"{k}={json.dumps(v, default=str)}" for k, v in fields.items()]
    return " ".join(p for p in parts if p)


def _json_line(
    level: int,
    msg: str,
    where: str,
    owner: str,
    category: str | None,
    fields: dict[str, Any],
) -> str:
    line = {
        "timestamp": datetime.now().astimezone().isoformat(),
        "level": LogLevel(level).name,
        "pid": os.getpid(),
        "tid": threading.get_native_id(),
        "category": category,
        "where": where,
        "extension": owner,
        "message": msg,
        "fields": fields,
    }
    return json.dumps(
        {k: v for k, v in line.items() if v not in (None, "", {})},
        default=str,
        ensure_ascii=False,
    )


class LogMethods:
    """`log_debug` to `log_error`, for every kind of env."""

    def _log_owner(self) -> tuple[str, TenError | None]:
        """The name to print, and an error once the env is closed."""
        return "", None

    def log_debug(
        self,
        msg: str,
        category: str | None = None,
        fields: dict[str, Any] | None = None,
        option: LogOption = DefaultLogOption,
    ) -> TenError | None:
        return self._log(LogLevel.DEBUG, msg, category, fields, option)

    def log_info(
        self,
        msg: str,
        category: str | None = None,
        fields: dict[str, Any] | None = None,
        option: LogOption = DefaultLogOption,
    ) -> TenError | None:
        return self._log(LogLevel.INFO, msg, category, fields, option)

    def log_warn(
        self,
        msg: str,
        category: str | None = None,
        fields: dict[str, Any] | None = None,
        option: LogOption = DefaultLogOption,
    ) -> TenError | None:
        return self._log(LogLevel.WARN, msg, category, fields, option)

    def log_error(
        self,
        msg: str,
        category: str | None = None,
        fields: dict[str, Any] | None = None,
        option: LogOption = DefaultLogOption,
    ) -> TenError | None:
        return self._log(LogLevel.ERROR, msg, category, fields, option)

    def log(
        self,
        level: LogLevel,
        msg: str,
        category: str | None = None,
        fields: dict[str, Any] | None = None,
        option: LogOption = DefaultLogOption,
    ) -> TenError | None:
        return self._log(level, msg, category, fields, option)

    def _log(
        self,
        level: LogLevel,
        msg: str,
        category: str | None,
        fields: dict[str, Any] | None,
        option: LogOption,
    ) -> TenError | None:
        check_text(msg)
        if category is not None:
            check_text(category)
        owner, error = self._log_owner()
        if error is not None:
            return error
        if level >= LOG.least:
            frame = sys._getframe(option.skip)
            code = frame.f_code
            where = (
                f"{code.co_name}@{Path(code.co_filename).name}:{frame.f_lineno}"
            )
            LOG.log(
                int(level),
                msg,
                where=where,
                owner=owner,
                category=category,
                fields=fields,
            )
        return None
