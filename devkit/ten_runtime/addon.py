#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Addons: registered by packages, asked for extensions by graphs."""

# The modules of this package share their underscored names.
# pylint: disable=protected-access
from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .async_ten_env import AsyncTenEnv
from .extension import AsyncExtension, Extension
from .hosts import LoopHost, ThreadHost
from .loop_thread import SHARED_LOOP
from .node import Host, Node
from .process import abort
from .ten_env import TenEnv


class Addon:
    """Makes extensions; a package registers one."""

    def on_create_instance(
        self, ten_env: TenEnv, name: str, context: object
    ) -> None:
        """Make the extension, then `ten_env.on_create_instance_done`."""
        raise NotImplementedError("An addon defines on_create_instance.")


_REGISTERED: dict[str, tuple[type[Addon], Path | None]] = {}
_MADE: dict[str, Addon] = {}


def register_addon_as_extension(
    name: str, base_dir: str | None = None
) -> Callable[[type[Addon]], type[Addon]]:
    """A class decorator that makes an addon known.

    Args:
        name: the addon's name; it must be the package's folder name.
        base_dir: a file in the folder of manifest.json and property.json;
            without it the file that calls this.
    """

    def decorate(cls: type[Addon]) -> type[Addon]:
        file = base_dir or sys._getframe(1).f_code.co_filename
        _REGISTERED[name] = (cls, Path(file).absolute().parent)
        return cls

    return decorate


class _CreateEnv(TenEnv):
    """The env of on_create_instance."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.instance: Any = None

    def on_create_instance_done(self, instance: Any, context: object) -> None:
        self.instance = instance


def addon_exists(name: str) -> bool:
    """Whether an addon of that name is known, or has a package."""
    if name in _REGISTERED:
        return True
    package = f"ten_packages.extension.{name}"
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def create_host(node: Node) -> Host:
    """Make the extension of a node, ready to be configured.

    Aborts the process on an import error, an unknown addon, or an exception
    while the extension is made.
    """
    name = node.spec.addon
    try:
        if name not in _REGISTERED:
            importlib.import_module(f"ten_packages.extension.{name}")
        cls, node.properties.base_dir = _REGISTERED[name]
        if name not in _MADE:
            _MADE[name] = cls()
        env = _CreateEnv(node)
        _MADE[name].on_create_instance(env, node.name, object())
    except Exception:  # pylint: disable=broad-exception-caught
        traceback.print_exc()
        abort(f"the addon {name} made no extension {node.name}")
    return _host_of(node, env.instance)


def _host_of(node: Node, instance: Any) -> Host:
    if isinstance(instance, AsyncExtension):
        env = AsyncTenEnv(node)
        thread = SHARED_LOOP.acquire(node.name)
        env._host = LoopHost(node, instance, env, thread, SHARED_LOOP.release)
        return env._host
    if isinstance(instance, Extension):
        sync_env = TenEnv(node)
        sync_env._host = ThreadHost(instance, sync_env, node.name)
        return sync_env._host
    abort(
        f"the addon {node.spec.addon} did not call on_create_instance_done "
        "with an extension before it returned"
    )
