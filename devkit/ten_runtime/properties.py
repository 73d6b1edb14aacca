#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""An extension's properties, from its files and its graph to its env."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from . import values
from .error import TenError, TenErrorCode, runtime_error
from .graph_json import NodeSpec
from .log import LOG, LogLevel
from .metadata import (
    api_sections,
    check_manifest,
    check_property,
    load,
    resolve_placeholders,
)
from .process import abort
from .schema import Api, SchemaError


class Properties:
    """The property tree of one extension and the rules for changing it."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tree: dict[str, Any] = {}
        self._initial: dict[str, Any] | None = None
        self._api = Api([])
        self._finished = False
        self._lock = threading.Lock()
        self.base_dir: Path | None = None
        self.in_path_timeout_s = 180.0
        self.out_path_timeout_s = 180.0
        self.path_check_s = 10.0

    def init_from_json(self, text: str) -> TenError | None:
        """`init_property_from_json`: stands in for property.json."""
        values.check_text(text)
        if self._finished:
            return runtime_error(
                TenErrorCode.ErrorCodeGeneric,
                "Invalid timing to init property.",
            )
        tree, error = values.from_json(text)
        if error is not None:
            return error
        self._initial = tree
        return None

    def finish(self, spec: NodeSpec) -> Api:
        """What happens when on_configure is done; aborts on a bad value.

        property.json, the graph's values over it, placeholders, then the
        types of the manifest's `api.property`.
        """
        base = self.base_dir
        owner = f"extension({self._owner})"
        manifest: dict[str, Any] = {}
        tree = self._initial or {}
        if base is not None:
            manifest = load(base / "manifest.json", owner, check_manifest)
            if self._initial is None:
                tree = load(base / "property.json", owner, check_property)
        tree = values.merge(tree, spec.property)
        tree = resolve_placeholders(tree, self._owner)
        api = Api(api_sections(manifest, base) if base is not None else [])
        self._take_runtime_settings(tree.get("ten"))
        if api.property is not None:
            try:
                tree = api.property.fit(tree)
            except SchemaError as e:
                LOG.log(
                    LogLevel.WARN, f"Invalid property: {e}", owner=self._owner
                )
                abort(f"Invalid property. ({self._owner}: {e})")
        self._tree, self._api, self._finished = tree, api, True
        return api

    def _take_runtime_settings(self, settings: Any) -> None:
        if not isinstance(settings, dict):
            return
        timeouts = settings.get("path_timeout", {})
        if "in_path" in timeouts:
            self.in_path_timeout_s = timeouts["in_path"] / 1e6
        if "out_path" in timeouts:
            self.out_path_timeout_s = timeouts["out_path"] / 1e6
        if "path_check_interval" in settings:
            self.path_check_s = settings["path_check_interval"] / 1e6
        if settings.get("manual_trigger_life_cycle"):
            abort("the stand-in does not do manual_trigger_life_cycle")

    def read(self, path: str, kind: str) -> tuple[Any, TenError | None]:
        """The value at `path` if it is of `kind`, else (None, error)."""
        with self._lock:
            return values.read(self._tree, values.check_text(path), kind)

    def exists(self, path: str) -> bool:
        """Is there a value at `path`?"""
        try:
            with self._lock:
                values.peek(self._tree, values.check_text(path))
        except values.PathError:
            return False
        return True

    def to_json(self, path: str | None) -> tuple[str, TenError | None]:
        """JSON of the value at `path`, or of everything."""
        with self._lock:
            return values.to_json(self._tree, path)

    def write(self, path: str, value: Any) -> TenError | None:
        """Set one value, if the schema lets it."""
        values.check_text(path)
        if path == "":
            abort("a property was set with an empty path")
        with self._lock:
            tree = values.copy_tree(self._tree)
            try:
                values.put(tree, path, value)
                return self._replace(tree)
            except values.PathError:
                return runtime_error(
                    TenErrorCode.ErrorCodeGeneric,
                    "Path is not corresponding to the value type.",
                )

    def write_json(self, path: str, text: str) -> TenError | None:
        """Set one value from JSON."""
        value, error = values.from_json(text)
        return error or self.write(path, value)

    def _replace(self, tree: dict[str, Any]) -> TenError | None:
        schema = self._api.property
        try:
            for name, sub in schema.properties.items() if schema else ():
                if name in tree:
                    tree[name] = sub.fit(tree[name], f".{name}")
        except SchemaError as e:
            return runtime_error(TenErrorCode.ErrorCodeGeneric, str(e))
        self._tree = tree
        return None
