#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Property trees: dotted paths, kinds that never convert, JSON in and out.

A tree is made of dict, list, str, bool, int, float and bytes (a buffer).
"""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from .error import VALUE_NOT_FOUND, TenError, TenErrorCode, runtime_error
from .process import abort

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
UINT64_MAX = 2**64 - 1
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]|\.")
_KINDS = {
    bool: "bool",
    int: "int64",
    float: "float64",
    str: "string",
    bytes: "buf",
    dict: "object",
    list: "array",
    type(None): "null",
}


class PathError(Exception):
    """A path that leads nowhere, or through a value of another kind."""


def bad_arguments() -> ValueError:
    """What the binding raises for a Python value of the wrong type."""
    return ValueError("Failed to parse arguments.")


def check_text(value: object) -> str:
    """`value` if the binding takes it as a C string, else ValueError."""
    if not isinstance(value, str) or "\0" in value:
        raise bad_arguments()
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise bad_arguments() from None
    return value


def check_int(value: object, bits: int = 64) -> int:
    """`value` if it is an integer of at most `bits` bits, else ValueError."""
    if not isinstance(value, int):
        raise bad_arguments()
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise bad_arguments()
    return int(value)


def check_float(value: object) -> float:
    """`value` as a float if it is a number, else ValueError."""
    if not isinstance(value, (int, float)):
        raise bad_arguments()
    return float(value)


def kind_of(value: object) -> str:
    """The TEN name of a value's type."""
    return _KINDS.get(type(value), "ptr")


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[str | int, ...]:
    steps: list[str | int] = []
    for match in _STEP.finditer(path):
        if match[1] is not None:
            steps.append(match[1])
        elif match[2] is not None:
            steps.append(int(match[2]))
    return tuple(steps)


def peek(root: dict[str, Any], path: str) -> Any:
    """The value at a dotted path such as `o.k.z[2].q`.

    Raises:
        PathError: nothing is there.
    """
    if path in root:  # nearly always: one plain name
        return root[path]
    value: Any = root
    for step in _steps(path):
        if isinstance(value, dict) and isinstance(step, str):
            found = step in value
        else:
            found = (
                isinstance(value, list)
                and isinstance(step, int)
                and step < len(value)
            )
        if not found:
            raise PathError(path)
        value = _child(value, step)
    return value


def _child(parent: Any, step: str | int) -> Any:
    return parent.get(step) if isinstance(parent, dict) else parent[step]


def put(root: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a dotted path; objects on the way are made.

    Raises:
        PathError: the path goes through a value of another kind.
    """
    steps = _steps(path)
    if not steps:
        abort("a property was set with an empty path")
    here: Any = root
    for i, step in enumerate(steps):
        if isinstance(step, int) and isinstance(here, list):
            here.extend([None] * (step + 1 - len(here)))
        elif not (isinstance(step, str) and isinstance(here, dict)):
            raise PathError(path)
        if i == len(steps) - 1:
            _set_child(here, step, value)
            return
        known = _child(here, step)
        if known is None:
            known = [] if isinstance(steps[i + 1], int) else {}
            _set_child(here, step, known)
        here = known


def _set_child(here: Any, step: str | int, value: Any) -> None:
    here[step] = value


def read(
    root: dict[str, Any], path: str, kind: str
) -> tuple[Any, TenError | None]:
    """The value at `path` if it is of `kind`, else (None, error)."""
    try:
        value = peek(root, path)
    except PathError:
        return None, runtime_error(
            VALUE_NOT_FOUND, f"Failed to find value: {path}"
        )
    found = kind_of(value)
    if found == kind and (kind != "int64" or value <= INT64_MAX):
        return value, None
    if found == "int64" and value > INT64_MAX:
        found = "uint64"
    if kind == "string":
        return None, runtime_error(
            TenErrorCode.ErrorCodeInvalidArgument, "Value is not string."
        )
    if kind == "buf":
        text = f"Not buffer value, actual type: {found}"
    else:
        text = f"The conversion from {found} to {kind} is unfit."
    return None, runtime_error(TenErrorCode.ErrorCodeGeneric, text)


def to_json(root: dict[str, Any], path: str | None) -> tuple[str, Any]:
    """JSON of the value at `path` (all of it without one), and an error."""
    if path is not None:
        check_text(path)
    value: Any = root
    if path:
        try:
            value = peek(root, path)
        except PathError:
            return "", runtime_error(
                VALUE_NOT_FOUND, f"Failed to find value: {path}"
            )
    if _is_deadly(value):
        abort(
            "get_property_to_json met an integer above int64, or an object "
            "that came from JSON with a name twice"
        )
    return _pretty(value), None


def _pretty(value: Any, indent: str = "\n") -> str:
    # As json.dumps(indent=2), whose own encoder for that is a slow one.
    if not value or not isinstance(value, (dict, list)):
        return _COMPACT.encode(value)
    inner = indent + "  "
    if isinstance(value, list):
        parts = [_pretty(one, inner) for one in value]
        return "[" + inner + ("," + inner).join(parts) + indent + "]"
    parts = [
        f"{encode_basestring(name)}: "
        + (encode_basestring(one) if type(one) is str else _pretty(one, inner))
        for name, one in value.items()
    ]
    return "{" + inner + ("," + inner).join(parts) + indent + "}"


def from_json(text: object) -> tuple[Any, TenError | None]:
    """The parsed text, or the error the runtime gives for it.

    As natively, text ends at a NUL, and an error's message is the JSON.
    """
    checked = check_text(text)
    if checked == "":
        return None, runtime_error(0, "")
    try:
        value = _DECODER.decode(checked)
        if "\\u" in checked:
            value = _cut(value)
    except ValueError:
        return None, runtime_error(TenErrorCode.ErrorCodeInvalidJSON, checked)
    return value, None


def copy_tree(value: Any) -> Any:
    """A deep copy of a property tree."""
    if isinstance(value, dict):
        copied = {k: copy_tree(v) for k, v in value.items()}
        return _Twice(copied) if isinstance(value, _Twice) else copied
    if isinstance(value, list):
        return [copy_tree(v) for v in value]
    return value


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid on it: objects deeply, arrays replaced."""
    merged = dict(base)
    for key, value in over.items():
        known = merged.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[key] = merge(known, value)
        else:
            merged[key] = copy_tree(value)
    return merged


class _Twice(dict[str, Any]):
    """An object that came from JSON in which a name was there twice."""


def _is_deadly(value: Any) -> bool:
    if isinstance(value, (dict, list)):
        if isinstance(value, _Twice):
            return True
        for one in value.values() if isinstance(value, dict) else value:
            # Most are text, which needs no call.
            if type(one) is not str and _is_deadly(one):
                return True
        return False
    return isinstance(value, int) and value > INT64_MAX


def _cut(value: Any) -> Any:
    """What JSON has escaped, as C keeps it: text up to a NUL.

    Raises:
        ValueError: there is half of a surrogate pair.
    """
    if isinstance(value, str):
        return value.encode().partition(b"\0")[0].decode()
    if isinstance(value, list):
        return [_cut(one) for one in value]
    if isinstance(value, dict):
        return type(value)((_cut(k), _cut(v)) for k, v in value.items())
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _to_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large")
    return value


def _to_int(text: str) -> int | float:
    value = int(text)
    fits = INT64_MIN <= value <= UINT64_MAX
    return value if fits else _to_float(text)


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else _Twice(value)


def _as_null(_: object) -> None:
    """A buffer has no JSON form: it shows as null."""


_DECODER = json.JSONDecoder(
    object_pairs_hook=_to_object,
    parse_constant=_refuse_constant,
    parse_float=_to_float,
    parse_int=_to_int,
)
_COMPACT = json.JSONEncoder(ensure_ascii=False, default=_as_null)
