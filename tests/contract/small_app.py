#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A TEN app of a few lines in a folder of its own, run as a process.

For what ends a process, and for what only a whole app has: its graphs, its
files, its signals.
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ten_runtime

TIMEOUT_S = 30
_HEAD = """\
import asyncio, json, os, signal, sys, threading
from ten_runtime import *
from ten_runtime import (
    Addon, App, AsyncExtension, AudioFrame, AudioFrameDataFmt, Cmd,
    CmdResult, Data, Extension, Loc, StartGraphCmd, StatusCode, StopGraphCmd,
    register_addon_as_extension,
)

def say(*words):
    # One write: threads say things at the same time.
    sys.stdout.write("> " + " ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

def close_app():
    os.kill(os.getpid(), signal.SIGTERM)
"""
_MAIN = """\
class Main(App):
    pass

Main().run(False)
say("run returned")
"""


@dataclass
class Finished:
    """How an app ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What the app said, without the runtime's own chatter."""
        return [line[2:] for line in self.out.splitlines() if line[:2] == "> "]


class SmallApp:
    """An app in `folder`; add extensions and a graph, then run it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._nodes: list[dict[str, Any]] = []
        self.connections: list[dict[str, Any]] = []
        self.ten: dict[str, Any] = {}
        self.graph_options: dict[str, Any] = {"auto_start": True}
        _write(
            folder / "manifest.json",
            {"type": "app", "name": "small_app", "version": "0.1.0"},
        )
        (folder / "main.py").write_text(_HEAD + _MAIN)
        _link_native_packages(folder)

    def main(self, code: str) -> None:
        """Run `code` in place of the usual main, which runs one app."""
        text = _HEAD + textwrap.dedent(code)
        (self.folder / "main.py").write_text(text)

    def extension(
        self,
        name: str,
        code: str,
        *,
        kind: str = "AsyncExtension",
        registered: str = "",
        manifest: dict[str, Any] | None = None,
        property_json: object = None,
        node_property: dict[str, Any] | None = None,
        in_graph: bool = True,
    ) -> None:
        """Add a package whose extension class has the body `code`."""
        package = self.folder / "ten_packages" / "extension" / name
        package.mkdir(parents=True)
        registered = registered or name
        (package / "__init__.py").write_text(
            _HEAD
            + f"\nclass Probe({kind}):\n"
            + textwrap.indent(textwrap.dedent(code), "    ")
            + f"\n\n@register_addon_as_extension({registered!r})\n"
            "class ProbeAddon(Addon):\n"
            "    def on_create_instance(self, ten_env, name, context):\n"
            "        ten_env.on_create_instance_done(Probe(name), context)\n"
        )
        base = {"type": "extension", "name": name, "version": "0.1.0"}
        _write(package / "manifest.json", {**base, **(manifest or {})})
        if property_json is not None:
            _write(package / "property.json", property_json)
        if in_graph:
            self.node(name, name, node_property)

    def node(
        self, name: str, addon: str, node_property: dict[str, Any] | None
    ) -> None:
        """Add a node to the graph that starts with the app."""
        node: dict[str, Any] = {
            "type": "extension",
            "name": name,
            "addon": addon,
            "extension_group": "all",
        }
        if node_property is not None:
            node["property"] = node_property
        self._nodes.append(node)

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """Start the process."""
        graph = {"nodes": self._nodes, "connections": self.connections}
        graphs = [{"name": "main", "graph": graph, **self.graph_options}]
        graphs += self.ten.pop("more_graphs", [])
        ten = {"predefined_graphs": graphs, **self.ten}
        _write(self.folder / "property.json", {"ten": ten})
        interface = Path(ten_runtime.__file__).parent.parent
        return subprocess.Popen(
            [sys.executable, "main.py"],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(
                    [
                        str(self.folder),
                        str(interface),
                        str(interface.parent / "lib"),
                    ]
                ),
                "TEN_APP_BASE_DIR": str(self.folder),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, **environment: str) -> Finished:
        """Run to the end."""
        with self.start(**environment) as process:
            try:
                out, err = process.communicate(timeout=TIMEOUT_S)
            finally:
                process.kill()
        return Finished(process.returncode, out, err)


def _link_native_packages(folder: Path) -> None:
    """The native runtime looks for its own packages in the app."""
    packages = folder / "ten_packages"
    packages.mkdir()
    for parent in Path(ten_runtime.__file__).resolve().parents:
        if parent.name == "ten_packages":
            (packages / "system").symlink_to(parent / "system")
            # It looks for the app from where it really is.
            loader = parent / "addon_loader"
            if loader.is_dir():
                shutil.copytree(loader, packages / "addon_loader")


def _write(path: Path, content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
