#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""JSON Patch (RFC 6902), as far as Tavus's PATCH endpoints need it: all six
operations, on JSON Pointers (RFC 6901)."""

import copy
from typing import Any


class PatchError(Exception):
    """The patch is malformed or does not fit the document."""


def apply_patch(document: Any, patch: Any) -> Any:
    """A patched copy of the document.

    Args:
        document: a JSON value; it stays as it is.
        patch: an array of operations.

    Returns:
        The new document.

    Raises:
        PatchError: when an operation is malformed or cannot be applied.
    """
    if not isinstance(patch, list):
        raise PatchError("a JSON patch is an array of operations")
    result = copy.deepcopy(document)
    for operation in patch:
        if not isinstance(operation, dict):
            raise PatchError("an operation is an object")
        result = _apply(result, operation)
    return result


def _apply(document: Any, operation: dict[str, Any]) -> Any:
    op = operation.get("op")
    path = _pointer(operation, "path")
    if op in ("add", "replace", "test") and "value" not in operation:
        raise PatchError(f"{op} needs a value")
    value = copy.deepcopy(operation.get("value"))
    if op == "add":
        return _add(document, path, value)
    if op == "replace":
        return _add(_remove(document, path), path, value)
    if op == "remove":
        return _remove(document, path)
    if op == "test":
        if not _equal(_get(document, path), value):
            raise PatchError("test failed")
        return document
    if op in ("move", "copy"):
        source = _pointer(operation, "from")
        value = copy.deepcopy(_get(document, source))
        if op == "move":
            if path[: len(source)] == source and path != source:
                raise PatchError("cannot move a value into itself")
            document = _remove(document, source)
        return _add(document, path, value)
    raise PatchError(f"unknown op {op!r}")


def _pointer(operation: dict[str, Any], name: str) -> list[str]:
    text = operation.get(name)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(f"{name} must be a JSON pointer")
    return [
        part.replace("~1", "/").replace("~0", "~")
        for part in text.split("/")[1:]
    ]


def _get(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[_key(document, part)]
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _get(document, path[:-1])
    key = _key(parent, path[-1], adding=True)
    if isinstance(parent, list):
        parent.insert(key, value)
    else:
        parent[key] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    parent = _get(document, path[:-1])
    del parent[_key(parent, path[-1])]
    return document


def _key(parent: Any, part: str, *, adding: bool = False) -> Any:
    """The key or index that a pointer's last part names in its parent."""
    if isinstance(parent, dict):
        if part not in parent and not adding:
            raise PatchError(f"no member {part!r}")
        return part
    if not isinstance(parent, list):
        raise PatchError(f"{part!r} is in neither an object nor an array")
    if part == "-" and adding:
        return len(parent)
    plain = part.isascii() and part.isdigit() and str(int(part)) == part
    if not plain or int(part) > len(parent) - (not adding):
        raise PatchError(f"no item {part!r}")
    return int(part)


def _equal(left: Any, right: Any) -> bool:
    """JSON equality: in JSON, unlike Python, ``true`` is not ``1``."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            _equal(left[key], right[key]) for key in left
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return left == right
