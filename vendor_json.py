#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Reads JSON that others wrote, once, so that it can be written again."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

# What Tavus sends is about five deep.
_MAX_DEPTH = 64
# What lies beyond is no number that anybody counts by.
_WHOLE = 2**63


def read_json(text: str | bytes) -> Any:
    """The value that a JSON text holds.

    NaN, Infinity and numbers beyond a double are no JSON (RFC 8259), but
    Python's json writes them; they are read as null, as JavaScript writes
    them. A number without a fraction is an int, also where it is written
    1.0. Of two members with one name the last counts.

    Raises:
        ValueError: It is no JSON, or nested too deep. The error is without
            the text, which may be secret.
    """
    value, problem = None, "is not JSON"
    with contextlib.suppress(ValueError, RecursionError):
        if not isinstance(text, str):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        value = _DECODER.decode(text)
        problem = "is nested too deep" if _is_deep(value, text) else ""
    if problem:  # out here, because json's own error holds the text
        raise ValueError(problem)
    return value


def _null(_constant: str) -> None:
    return None


def _number(text: str) -> float | int | None:
    value = float(text)
    if not math.isfinite(value):
        return None
    whole = value.is_integer() and abs(value) < _WHOLE
    return int(value) if whole else value


# json.loads would make one for each text.
_DECODER = json.JSONDecoder(parse_constant=_null, parse_float=_number)


def _is_deep(value: Any, text: str) -> bool:
    if text.count("[") + text.count("{") <= _MAX_DEPTH:
        return False  # nearly always
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            member
            for item in level
            if isinstance(item, (dict, list))
            for member in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
