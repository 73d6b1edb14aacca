#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""property.json and docs/properties.md say what the model says."""

import json
import re
import types
import typing
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import SecretStr
from ten_packages.extension.tavus_python import sections
from ten_packages.extension.tavus_python.config import TavusConfig
from ten_packages.extension.tavus_python.languages import NAMES

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT.parent / "shared/ten-schemas/property.schema.json"
DOC = (ROOT / "docs/properties.md").read_text(encoding="utf-8")
SHIPPED: dict[str, Any] = json.loads(
    (ROOT / "property.json").read_text(encoding="utf-8")
)
PLACEHOLDER = re.compile(r"\$\{env:(\w+)\|\}")
TYPES = {
    bool: "boolean",
    int: "whole number",
    float: "number",
    str: "text",
    SecretStr: "text",
    list: "list",
    dict: "object",
    sections.PersonaSpec: "object",
    sections.RecordingStorage: "object",
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = DOC.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [text for text in section.splitlines() if text.startswith("|")]
    return [
        [cell.strip() for cell in text.strip("|").split("|")]
        for text in lines[2:]
    ]


def type_word(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is types.UnionType:
        return type_word(typing.get_args(annotation)[0])
    if origin is Literal:
        words = [f"`{word}`" for word in typing.get_args(annotation) if word]
        return ", ".join(words[:-1]) + (" or " if words[1:] else "") + words[-1]
    return TYPES[origin or annotation]


def default_word(name: str) -> str:
    default = getattr(TavusConfig(), name)
    if isinstance(default, SecretStr | sections.Section) or default in (
        "",
        None,
        [],
        {},
    ):
        return "—"
    if isinstance(default, str):
        return f"`{default}`"
    return f"`{json.dumps(default)}`"


def test_the_document_has_a_true_row_for_every_property() -> None:
    expected = []
    for name, field in TavusConfig.model_fields.items():
        env = PLACEHOLDER.fullmatch(str(SHIPPED[name]))
        expected.append(
            [
                f"`{name}`",
                type_word(field.annotation),
                default_word(name),
                f"`{env[1]}`" if env else "—",
            ]
        )
    assert [cells[:4] for cells in rows("All properties")] == expected


def test_the_document_has_a_row_for_every_field_of_the_persona() -> None:
    assert [cells[:2] for cells in rows("The persona")] == [
        [f"`{name}`", type_word(field.annotation)]
        for name, field in sections.PersonaSpec.model_fields.items()
    ]


def test_the_document_names_what_each_recording_storage_needs() -> None:
    for provider, needs, may_have in rows("Recording storage"):
        storage = sections.RecordingStorage(provider=provider.strip("`"))
        names = re.findall(r"`(\w+)`", needs)
        assert storage.missing() == names
        for name in names + re.findall(r"`(\w+)`", may_have):
            assert name in list(sections.RecordingStorage.model_fields)


def test_the_document_lists_every_language() -> None:
    listed = DOC.split("\n## Languages\n")[1]
    assert dict(re.findall(r"(\w+)\s`(\w\w)`", listed)) == {
        name: code for code, name in NAMES.items()
    }
    assert len(NAMES) == 42


def test_property_json_ships_every_property_and_no_other() -> None:
    assert list(SHIPPED) == list(TavusConfig.model_fields)


def test_property_json_ships_the_defaults() -> None:
    shipped = {
        name: "" if PLACEHOLDER.fullmatch(str(value)) else value
        for name, value in SHIPPED.items()
    }
    needed = {"tavus_api_key": "key", "replica_id": "r1"}
    config = TavusConfig.load({**shipped, **needed})
    assert config == TavusConfig.load(needed)
    assert config.warnings == []


def test_property_json_is_valid_to_ten() -> None:
    if not SCHEMA.exists():
        pytest.skip(f"TEN's schemas are not at {SCHEMA.parent}")
    json5 = pytest.importorskip("json5")
    jsonschema = pytest.importorskip("jsonschema")
    schema = json5.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(SHIPPED, schema)
