#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""manifest.json and property.json: read, checked for form, merged, resolved.

The native runtime checks both files against its JSON schemas and drops a
file that fails; here the parts that an extension meets are checked by hand.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from .log import LOG, LogLevel
from .process import abort, exit_at_once
from .schema import DIRECTIONS, KINDS, TYPES

NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_MANIFEST_KEYS = {
    *("type", "name", "version", "description", "display_name", "readme"),
    *("tags", "dependencies", "dev_dependencies", "supports", "package"),
    *("scripts", "api"),
}
_API_KEYS = frozenset(
    {"interface", "property"}
    | {f"{kind}_{direction}" for kind in KINDS for direction in DIRECTIONS}
)
_PLACEHOLDER = re.compile(r"^\$\{(.*)\}$", re.DOTALL)


class FormError(Exception):
    """A metadata file that TEN's JSON schema refuses."""


def load(path: Path, owner: str, check: Any) -> dict[str, Any]:
    """The file's object, or {} with one ERROR line if it is refused.

    Args:
        path: the file; a missing one counts as empty.
        owner: for the log line, such as `extension(tavus)`.
        check: raises FormError if the object has the wrong form.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise FormError("it is not an object")
        check(content)
    except (ValueError, FormError) as e:
        LOG.log(
            LogLevel.ERROR,
            f"Failed to set metadata for {owner}, {path.name}: {e}",
        )
        return {}
    return content


def check_property(content: dict[str, Any]) -> None:
    """Raise FormError if a property file holds a null."""
    _refuse_null(content, "")


def _refuse_null(value: Any, where: str) -> None:
    if value is None:
        raise FormError(f"{where or 'it'} is null")
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        _refuse_null(item, f"{where}.{key}" if where else str(key))


def check_manifest(content: dict[str, Any]) -> None:
    """Raise FormError unless a manifest has the form the schema wants."""
    for key in ("type", "name", "version"):
        if not isinstance(content.get(key), str):
            raise FormError(f"'{key}' is required")
    unknown = content.keys() - _MANIFEST_KEYS
    if unknown:
        raise FormError(f"unknown field {sorted(unknown)}")
    if not NAME.match(content["name"]):
        raise FormError(f"name '{content['name']}' is not alphanumeric")
    check_api(content.get("api", {}))


def check_api(api: Any) -> None:
    """Raise FormError unless an `api` section has the right form."""
    if not isinstance(api, dict):
        raise FormError("api is not an object")
    unknown = api.keys() - _API_KEYS
    if unknown:
        raise FormError(f"unknown field {sorted(unknown)} in api")
    for entry in api.get("interface", ()):
        if not isinstance(entry.get("import_uri"), str):
            raise FormError("an api.interface has no import_uri")
    if "property" in api:
        _check_properties(api["property"], "api.property")
    for kind in KINDS:
        for direction in DIRECTIONS:
            section = f"{kind}_{direction}"
            if not isinstance(api.get(section, []), list):
                raise FormError(f"api.{section} is not an array")
            for message in api.get(section, ()):
                _check_message(message, section, kind == "cmd")


def _check_message(message: Any, section: str, is_cmd: bool) -> None:
    name = message.get("name") if isinstance(message, dict) else None
    if not isinstance(name, str) or not NAME.match(name):
        raise FormError(f"a message of api.{section} has no proper name")
    where = f"api.{section}.{name}"
    if "property" in message:
        _check_properties(message["property"], where)
    if not is_cmd:
        return
    unknown = message.keys() - {"name", "property", "result"}
    if unknown:
        raise FormError(f"unknown field {sorted(unknown)} in {where}")
    if "result" in message:
        result = message["result"].get("property")
        if not isinstance(result, dict):
            raise FormError(f"{where}.result has no property")
        if "properties" in result and not result["properties"]:
            raise FormError(f"{where}.result declares no property")
        _check_properties(result, f"{where}.result")


def _check_properties(spec: Any, where: str) -> None:
    if not isinstance(spec, dict) or spec.keys() - {"properties", "required"}:
        raise FormError(
            f"{where} must be {{'properties': ..., 'required': ...}}"
        )
    for name, sub in spec.get("properties", {}).items():
        if not NAME.match(name):
            raise FormError(f"property name '{name}' in {where}")
        _check_type(sub, f"{where}.{name}")
    _check_required(spec, where)


def _check_required(spec: dict[str, Any], where: str) -> None:
    if "required" not in spec:
        return
    required = spec["required"]
    if not isinstance(required, list) or not required:
        raise FormError(f"{where}.required must be a list of names")


def _check_type(spec: Any, where: str) -> None:
    kind = spec.get("type") if isinstance(spec, dict) else None
    # A `description` fits TEN's schema, but was seen to be refused.
    allowed = {"type"}
    if kind == "array":
        allowed |= {"items"}
        _check_type(spec.get("items"), f"{where}[]")
    elif kind == "object":
        allowed |= {"properties", "required"}
        if not isinstance(spec.get("properties"), dict):
            raise FormError(f"{where}: an object needs 'properties'")
        for name, sub in spec["properties"].items():
            _check_type(sub, f"{where}.{name}")
        _check_required(spec, where)
    elif kind not in TYPES:
        raise FormError(f"{where}: '{kind}' is no type")
    if spec.keys() - allowed:
        raise FormError(f"{where}: unknown {sorted(spec.keys() - allowed)}")


def api_sections(manifest: dict[str, Any], base: Path) -> list[dict[str, Any]]:
    """The manifest's `api` and those of the interfaces that it imports."""
    api = manifest.get("api", {})
    sections = [api]
    for entry in api.get("interface", ()):
        path = (base / entry["import_uri"]).resolve()
        try:
            imported = json.loads(path.read_text(encoding="utf-8"))
            check_api(imported)
        except (OSError, ValueError, FormError) as e:
            LOG.log(LogLevel.ERROR, f"Failed to load interface {path}: {e}")
            continue
        sections += api_sections({"api": imported}, path.parent)
    return sections


def resolve_placeholders(tree: dict[str, Any], owner: str) -> dict[str, Any]:
    """The tree with every `${env:...}` string replaced.

    After one placeholder without a scope (`${X}`) the rest stays as it is.
    Aborts on an unknown scope; exits with 1 for a variable that is unset and
    has no default.
    """
    state = {"broken": False}

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: walk(v) for k, v in value.items()}
        if isinstance(value, list):
            return [walk(v) for v in value]
        match = _PLACEHOLDER.match(value) if isinstance(value, str) else None
        if match is None or state["broken"]:
            return value
        scope, colon, rest = match[1].partition(":")
        if not colon:
            state["broken"] = True
            LOG.log(
                LogLevel.WARN,
                "Failed to resolve properties in graph: Unsupported "
                f"placeholder: {value}, use the raw property data instead.",
                owner=owner,
            )
            return value
        if scope != "env":
            abort(f"placeholder {value}: unknown scope '{scope}'")
        return _from_environment(rest)

    return walk(tree)


def _from_environment(text: str) -> str:
    name, bar, default = re.sub(r"\\(.)", r"\1", text).partition("|")
    value = os.environ.get(name)
    if value is not None:
        return value
    if not bar:
        reason = (
            f"Environment variable {name} is not found, neither default "
            "value is provided."
        )
        LOG.log(LogLevel.ERROR, reason)
        exit_at_once(reason)
    return default
