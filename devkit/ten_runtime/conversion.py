#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""`msg_conversion`: what a connection changes in a message on its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import values
from .msg import Body


def compile_conversion(spec: dict[str, Any]) -> Callable[[Body], None]:
    """A function that changes a message as the connection wants it.

    Args:
        spec: `{"type": "per_property", "keep_original": bool, "rules": []}`;
            the path `ten.name` is the message's name.
    """
    rules = spec["rules"]
    keep = bool(spec.get("keep_original", False))

    def convert(body: Body) -> None:
        new_values = [
            rule["value"]
            if rule["conversion_mode"] == "fixed_value"
            else _read(body, rule["original_path"])
            for rule in rules
        ]
        if not keep:
            body.properties = {}
        for rule, value in zip(rules, new_values, strict=True):
            _write(body, rule["path"], value)

    return convert


def _read(body: Body, path: str) -> Any:
    if path == "ten.name":
        return body.name
    try:
        return values.copy_tree(values.peek(body.properties, path))
    except values.PathError:
        return None


def _write(body: Body, path: str, value: Any) -> None:
    if path == "ten.name":
        body.name = str(value)
    elif value is not None:
        values.put(body.properties, path, value)
