#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The `api` section of a manifest: what properties and messages may hold."""

from __future__ import annotations

import struct
from typing import Any

from .values import kind_of

_INTS = {
    f"{sign}int{bits}": (
        (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
TYPES = {*_INTS, "bool", "float32", "float64", "string", "buf", "ptr"}
DIRECTIONS = ("in", "out")
KINDS = ("cmd", "data", "audio_frame", "video_frame")


class SchemaError(Exception):
    """A value that its schema refuses."""


class Schema:
    """One type of the manifest; `fit` adjusts a value to it or refuses it."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.type: str = spec["type"]
        self.items: Schema | None = None
        self.properties: dict[str, Schema] = {}
        self.required: list[str] = list(spec.get("required", ()))
        if self.type == "array":
            self.items = Schema(spec["items"])
        elif self.type == "object":
            self.properties = {
                name: Schema(sub) for name, sub in spec["properties"].items()
            }

    def fit(self, value: Any, where: str = "") -> Any:
        """The value, converted to the declared number kind.

        Raises:
            SchemaError: with a sentence naming the place.
        """
        if self.type == "object":
            return self._fit_object(value, where)
        if self.type == "array":
            if not isinstance(value, list) or self.items is None:
                raise _mismatch(where, value, "array")
            return [
                self.items.fit(v, f"{where}[{i}]") for i, v in enumerate(value)
            ]
        if self.type in _INTS and type(value) is int:
            least, most = _INTS[self.type]
            if not least <= value <= most:
                raise SchemaError(f"{where}: out of range of {self.type}")
            return value
        if self.type in ("float32", "float64") and type(value) in (int, float):
            if self.type == "float32":
                return _to_float32(value, where)
            return float(value)
        if kind_of(value) != self.type:
            raise _mismatch(where, value, self.type)
        return value

    def _fit_object(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _mismatch(where, value, "object")
        absent = [name for name in self.required if name not in value]
        if absent:
            raise SchemaError(
                f"{where}: the required properties are absent: "
                + ", ".join(f"'{name}'" for name in absent)
            )
        fitted = dict(value)
        for name, schema in self.properties.items():
            if name in fitted:
                one = fitted[name]
                # Nearly all are text, which needs no fitting.
                if type(one) is not str or schema.type != "string":
                    fitted[name] = schema.fit(one, f"{where}.{name}")
        return fitted


def _mismatch(where: str, value: Any, wanted: str) -> SchemaError:
    return SchemaError(
        f"{where}: unsupported conversion from `{kind_of(value)}` to `{wanted}`"
    )


def _to_float32(value: float, where: str) -> float:
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        raise SchemaError(f"{where}: out of range of float32") from None


def _object_schema(spec: dict[str, Any] | None) -> Schema | None:
    """A schema for a `property` section; None if it says nothing."""
    if not spec or not (spec.get("properties") or spec.get("required")):
        return None
    return Schema(
        {
            "type": "object",
            "properties": spec.get("properties", {}),
            "required": spec.get("required", []),
        }
    )


class Api:
    """All schemas of one extension.

    Args:
        sections: the manifest's `api`, then those of its interfaces; the
            first that declares a message wins.
    """

    def __init__(self, sections: list[dict[str, Any]]) -> None:
        properties: dict[str, Any] = {}
        required: list[str] = []
        self._messages: dict[tuple[str, str, str], Schema] = {}
        self._results: dict[tuple[str, str], Schema] = {}
        for section in reversed(sections):
            spec = section.get("property", {})
            properties.update(spec.get("properties", {}))
            required.extend(spec.get("required", ()))
            for kind in KINDS:
                for direction in DIRECTIONS:
                    for message in section.get(f"{kind}_{direction}", ()):
                        self._add(kind, direction, message)
        self.property = _object_schema(
            {"properties": properties, "required": required}
        )

    def _add(self, kind: str, direction: str, spec: dict[str, Any]) -> None:
        schema = _object_schema(spec.get("property"))
        if schema is not None:
            self._messages[kind, direction, spec["name"]] = schema
        result = _object_schema(spec.get("result", {}).get("property"))
        if result is not None:
            self._results[direction, spec["name"]] = result

    def fit_message(
        self, kind: str, direction: str, name: str, tree: dict[str, Any]
    ) -> dict[str, Any]:
        """The message's properties, adjusted; SchemaError if refused."""
        schema = self._messages.get((kind, direction, name))
        return tree if schema is None else schema.fit(tree)

    def fit_result(
        self, direction: str, cmd_name: str, tree: dict[str, Any]
    ) -> dict[str, Any]:
        """A result's properties, adjusted; `direction` is the command's."""
        schema = self._results.get((direction, cmd_name))
        return tree if schema is None else schema.fit(tree)
