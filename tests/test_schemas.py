#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Manifests, properties and requirements say the same, as TEN wants it.

The native runtime drops a whole file that does not fit its schemas, with one
line in the log.
"""

import json
from pathlib import Path
from typing import Any

import json5
import jsonschema
import pytest

try:
    import tomllib  # pyright: ignore[reportMissingImports]
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ROOT.parent / "shared" / "ten-schemas"
EXTENSIONS = sorted((ROOT / "ten_packages" / "extension").iterdir())
PACKAGES = [ROOT, *EXTENSIONS]
APPS = sorted((ROOT / "examples").glob("*/tenapp"))
ROOM_GRAPHS = sorted((ROOT / "examples").glob("*/tenapp/graphs/*.json"))
OF_EXAMPLES = sorted((ROOT / "examples").glob("*/extensions/*"))
FILES = [
    folder / name
    for folder in [*PACKAGES, *APPS, *OF_EXAMPLES]
    for name in ("manifest.json", "property.json")
]

needs_schemas = pytest.mark.skipif(
    not SCHEMAS.is_dir(),
    reason="TEN's JSON schemas are not beside this checkout (../shared)",
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def schema_for(path: Path) -> dict[str, Any]:
    def read(name: str) -> dict[str, Any]:
        text = (SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8")
        return json5.loads(text)

    schema = read(path.stem)
    shared = read("shared-definitions").get("$defs", {})
    return {**schema, "$defs": {**shared, **schema.get("$defs", {})}}


def json_of(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def project_of(package: Path) -> dict[str, Any]:
    text = (package / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]


@needs_schemas
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_file_fits_tens_schema(path: Path) -> None:
    validator = jsonschema.Draft202012Validator(schema_for(path))
    problems = [
        f"{error.json_path}: {error.message}"
        for error in validator.iter_errors(json_of(path))
    ]
    assert problems == []


@needs_schemas
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", {"type": "extension", "name": "x"}),
        ("manifest.json", {"type": "extension", "name": "a-b", "version": "1"}),
        (
            "manifest.json",
            {
                "type": "extension",
                "name": "x",
                "version": "0.1.0",
                "api": {"property": {"host": {"type": "string"}}},
            },
        ),
        ("property.json", {"ten": {"predefined_graphs": [{"graph": {}}]}}),
    ],
)
def test_the_schemas_find_what_is_wrong(
    name: str, content: dict[str, Any]
) -> None:
    validator = jsonschema.Draft202012Validator(schema_for(Path(name)))
    assert not validator.is_valid(content)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_versions_are_the_same(package: Path) -> None:
    manifest = json_of(package / "manifest.json")
    assert project_of(package)["version"] == manifest["version"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_requirements_are_the_same(package: Path) -> None:
    lines = (package / "requirements.txt").read_text().splitlines()
    assert sorted(project_of(package)["dependencies"]) == sorted(
        line for line in lines if line and not line.startswith("#")
    )


@pytest.mark.parametrize("package", EXTENSIONS, ids=lambda path: path.name)
def test_folder_manifest_and_addon_have_one_name(package: Path) -> None:
    assert json_of(package / "manifest.json")["name"] == package.name
    addon = (package / "addon.py").read_text()
    assert f'@register_addon_as_extension("{package.name}")' in addon


@pytest.mark.parametrize("app", APPS, ids=lambda path: path.parent.name)
def test_the_example_depends_on_packages_that_are_there(app: Path) -> None:
    paths = [
        (app / dependency["path"]).resolve()
        for dependency in json_of(app / "manifest.json")["dependencies"]
        if "path" in dependency
    ]
    names = {json_of(path / "manifest.json")["name"] for path in paths}
    graphs = json_of(app / "property.json")["ten"]["predefined_graphs"]
    (started,) = [graph for graph in graphs if graph["auto_start"]]
    nodes = started["graph"]["nodes"]
    room = app / "graphs" / "room.json"
    if room.exists():
        nodes = nodes + json_of(room)["nodes"]
    assert {node["addon"] for node in nodes} == names


@needs_schemas
@pytest.mark.parametrize("path", ROOM_GRAPHS, ids=name_of)
def test_the_graph_of_a_room_fits_tens_schema(path: Path) -> None:
    schema = schema_for(Path("property.json"))
    graph = {"name": "room", "auto_start": False, "graph": json_of(path)}
    jsonschema.Draft202012Validator(schema).validate(
        {"ten": {"predefined_graphs": [graph]}}
    )


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_no_manifest_says_what_type_comes_in(package: Path) -> None:
    """TEN ends the process for a property of another type than declared,
    refuses such a command and drops such data; the extensions say what is
    wrong, or read it."""
    api = json_of(package / "manifest.json")["api"]
    assert "property" not in api
    incoming = [
        message
        for kind in ("cmd", "data", "audio_frame", "video_frame")
        for message in api.get(f"{kind}_in", ())
    ]
    assert [one["name"] for one in incoming if "property" in one] == []


def test_what_one_extension_sends_the_other_takes() -> None:
    tavus = json_of(ROOT / "manifest.json")["api"]
    (package,) = [e for e in EXTENSIONS if e.name == "tavus_http_python"]
    http = json_of(package / "manifest.json")["api"]

    def named(messages: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {message["name"]: message for message in messages}

    commands = named(tavus["cmd_in"])
    for name, sent in named(http["cmd_out"]).items():
        assert sent.get("result") == commands[name].get("result"), name
    # Whoever wants something said in a room, it is not tavus_python.
    heard = named(http["data_in"]).keys() - {"tavus_interaction"}
    assert heard <= named(tavus["data_out"]).keys()
    assert "tavus_event" in named(http["data_out"])
    assert "tavus_event" in named(tavus["data_in"])
