#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Reads JSON that strangers send: one object, or a short reason why not."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import ValidationError

# What Tavus sends is about five deep.
_MAX_DEPTH = 32
# What lies beyond is no number that anybody counts by.
_WHOLE = 2**63
_NAME_SHOWN = 40
# Events of a conversation have some dozens. Reading more would hold the loop
# that audio shares: a megabyte of empty lists takes a twentieth of a second.
_PARTS = 5000
# Reading a longer whole number takes time that grows with the square.
_DIGITS = 40
# The longest that is of use: 309 digits, and what rounds the last.
_NUMBER_LENGTH = 1000


class InvalidMessageError(ValueError):
    """A message that is not taken; the text says why, without its content."""

    kind = "validation"


def check_parts(body: bytes, most: int, what: str = "the body") -> None:
    """Refuses JSON that takes long to read, before it is read.

    Args:
        body: Its size is the caller's to limit.
        most: How many strings, commas and opening brackets it may have.
        what: What to call it in an error.

    Raises:
        InvalidMessageError: It has more.
    """
    # In steps that are fast whatever it holds. What is left of escapes is
    # longer than their quotes, so that those that remain are around strings.
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    pieces = bare.split(b'"', 2 * most)
    parts = len(pieces) // 2 + sum(
        piece.count(one) for piece in pieces[::2] for one in (b",", b"[", b"{")
    )
    if parts > most or len(pieces) > 2 * most:
        raise InvalidMessageError(f"{what} has too many members")


def read_object(
    body: bytes, what: str = "the body", most_parts: int = _PARTS
) -> dict[str, Any]:
    """The one JSON object in a body.

    NaN, Infinity and numbers beyond a double are no JSON (RFC 8259), but
    Python's json writes them; they are read as null, as JavaScript writes
    them. Of two members with one name the last counts.

    Args:
        body: Its size is the caller's to limit.
        what: What to call it in an error.
        most_parts: See ``check_parts``.

    Raises:
        InvalidMessageError: It has too many parts, is not UTF-8, not JSON, no
            object, or nested too deep.
    """
    check_parts(body, most_parts, what)
    try:
        value = json.loads(
            body.decode(),
            parse_constant=_null,
            parse_float=_number,
            parse_int=_whole,
        )
        if not isinstance(value, dict):
            raise InvalidMessageError(f"{what} must be a JSON object")
        if not _is_shallow(value):
            raise InvalidMessageError(f"{what} is nested too deep")
    except InvalidMessageError:
        raise
    except RecursionError:
        raise InvalidMessageError(f"{what} is nested too deep") from None
    except ValueError:  # its text can hold the body
        raise InvalidMessageError(f"{what} is not valid JSON") from None
    return value


def problem_of(error: ValidationError, what: str = "") -> InvalidMessageError:
    """The first thing that is wrong, without the value that is.

    Args:
        error: Of a model without nested ones.
        what: The member that was validated; "" for the message itself.
    """
    first = error.errors(
        include_input=False, include_url=False, include_context=False
    )[0]
    problem = first["msg"].removeprefix("Value error, ")
    where = [what] if what else []
    if first["type"] == "extra_forbidden":
        problem = f"unknown field {shown_name(first['loc'][-1])}"
    elif first["loc"]:
        where.append(str(first["loc"][0]))
    return InvalidMessageError(f"{'.'.join(where) or 'message'}: {problem}")


def shown_name(name: object) -> str:
    """The name of a member as an error may show it."""
    text = str(name)
    return json.dumps(text if len(text) <= _NAME_SHOWN else text[:39] + "…")


def _null(_constant: str) -> None:
    return None


def _number(text: str) -> float | int | None:
    value = float(text) if len(text) <= _NUMBER_LENGTH else math.inf
    if not math.isfinite(value):
        return None
    # JSON has one kind of number (json-schema.org: 1.0 is an integer).
    whole = value.is_integer() and abs(value) < _WHOLE
    return int(value) if whole else value


def _whole(text: str) -> float | int | None:
    return int(text) if len(text) <= _DIGITS else _number(text)


def _is_shallow(value: dict[str, Any]) -> bool:
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            member
            for item in level
            for member in (item.values() if isinstance(item, dict) else item)
            if isinstance(member, (dict, list))
        ]
        if not level:
            return True
    return False
