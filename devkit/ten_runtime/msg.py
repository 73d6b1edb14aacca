#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Messages: commands, results, data, and what all messages share.

A message object is a handle on a body. Sending takes the body away, so that
every later call on the handle raises; the receiver gets a new handle.
"""

# The modules of this package share their underscored names.
# pylint: disable=protected-access
from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from . import values
from .error import TenError, TenErrorCode, runtime_error
from .loc import Loc, address_problem
from .process import abort
from .values import bad_arguments, check_text

if TYPE_CHECKING:
    from .path import Path

M = TypeVar("M", bound="Msg")
_Dest = tuple[str | None, str | None, str | None]


class Body:
    """What travels from one extension to the next."""

    __slots__ = (
        "buf",
        "completed",
        "dests",
        "fields",
        "final",
        "kind",
        "locked",
        "name",
        "path",
        "properties",
        "source",
        "status",
    )

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        self.properties: dict[str, Any] = {}
        self.source: _Dest = ("", "", "")
        self.dests: list[_Dest] = []
        self.path: Path | None = None
        self.status = 0
        self.final = True
        self.completed = True
        self.buf: bytearray | None = None
        self.locked = False
        self.fields: dict[str, Any] | None = None

    def copy(self) -> Body:
        """A copy that shares nothing; the path stays with the original."""
        new = Body(self.kind, self.name)
        new.properties = values.copy_tree(self.properties)
        new.source = self.source
        new.dests = list(self.dests)
        new.status = self.status
        new.final = self.final
        new.buf = None if self.buf is None else bytearray(self.buf)
        new.fields = None if self.fields is None else dict(self.fields)
        return new


def _refuse_constructor(name: str) -> NoReturn:
    raise NotImplementedError(f"Use {name}.create instead.")


class Msg:
    """A handle on a message body."""

    _kind: ClassVar[str] = ""
    _body: Body | None

    def __init__(self, *_: object) -> None:
        _refuse_constructor(type(self).__name__)

    @classmethod
    def _wrap(cls: type[M], body: Body) -> M:
        self = object.__new__(cls)
        self._body = body
        return self

    def _valid(self) -> Body:
        body = self._body
        if body is None:
            raise ValueError("Msg is invalidated.")
        return body

    def _take(self) -> Body:
        """Give the body to the runtime; this handle is invalid from now on."""
        body = self._body
        if body is None:
            abort("a message was sent a second time")
        self._body = None
        return body

    def clone(self: M) -> M:
        """A message of its own; aborts for one that was sent."""
        if self._body is None:
            abort("a message that was sent was cloned")
        return type(self)._wrap(self._body.copy())

    def get_name(self) -> str:
        return self._valid().name

    def set_name(self, name: str) -> None:
        self._valid().name = check_text(name)

    def get_source(self) -> Loc:
        return Loc(*self._valid().source)

    def set_dests(self, locs: list[Loc]) -> TenError | None:
        body = self._valid()
        if not isinstance(locs, list):
            raise ValueError("Expected a list of destination tuples.")
        for loc in locs:
            problem = address_problem(loc)
            if problem:
                return runtime_error(
                    TenErrorCode.ErrorCodeInvalidArgument, problem
                )
        body.dests = [
            (loc.app_uri, loc.graph_id, loc.extension_name) for loc in locs
        ]
        return None

    def get_property_to_json(
        self, path: str | None = None
    ) -> tuple[str, TenError | None]:
        return values.to_json(self._valid().properties, path)

    def set_property_from_json(
        self, path: str | None, json_str: str
    ) -> TenError | None:
        body = self._valid()
        if path is not None:
            check_text(path)
        value, error = values.from_json(json_str)
        if error is not None:
            return error
        if path:
            return self._put(body, path, value)
        if not isinstance(value, dict):
            abort("the root of a message's properties must be an object")
        body.properties = value
        return None

    def _get(self, path: str, kind: str, default: Any) -> tuple[Any, Any]:
        value, error = values.read(
            self._valid().properties, check_text(path), kind
        )
        return (default, error) if error is not None else (value, None)

    @staticmethod
    def _put(body: Body, path: str, value: Any) -> TenError | None:
        try:
            values.put(body.properties, path, value)
        except values.PathError:
            return runtime_error(
                TenErrorCode.ErrorCodeGeneric,
                "Path is not corresponding to the value type.",
            )
        return None

    def get_property_int(self, path: str) -> tuple[int, TenError | None]:
        return self._get(path, "int64", 0)

    def get_property_string(self, path: str) -> tuple[str, TenError | None]:
        return self._get(path, "string", "")

    def get_property_bool(self, path: str) -> tuple[bool, TenError | None]:
        return self._get(path, "bool", False)

    def get_property_float(self, path: str) -> tuple[float, TenError | None]:
        return self._get(path, "float64", 0.0)

    def get_property_buf(self, path: str) -> tuple[bytearray, TenError | None]:
        value, error = self._get(path, "buf", b"")
        return bytearray(value), error

    def set_property_int(self, path: str, value: int) -> TenError | None:
        body = self._valid()
        return self._put(body, check_text(path), values.check_int(value))

    def set_property_string(self, path: str, value: str) -> TenError | None:
        body = self._valid()
        return self._put(body, check_text(path), check_text(value))

    def set_property_bool(self, path: str, value: int) -> TenError | None:
        body = self._valid()
        flag = bool(values.check_int(value))
        return self._put(body, check_text(path), flag)

    def set_property_float(self, path: str, value: float) -> TenError | None:
        body = self._valid()
        return self._put(body, check_text(path), values.check_float(value))

    def set_property_buf(self, path: str, value: bytes) -> TenError | None:
        body = self._valid()
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise bad_arguments()
        return self._put(body, check_text(path), bytes(value))


class Cmd(Msg):
    """A command: exactly one final result is expected for it."""

    _kind: ClassVar[str] = "cmd"

    @classmethod
    def create(cls, name: str) -> Cmd:
        return cls._wrap(Body("cmd", check_text(name)))


class StatusCode(IntEnum):
    """How a command went."""

    OK = 0
    ERROR = 1


class CmdResult(Msg):
    """The answer to a command."""

    _kind: ClassVar[str] = "cmd_result"

    @classmethod
    def create(cls, status_code: StatusCode, target_cmd: Cmd) -> CmdResult:
        values.check_int(status_code)
        if not isinstance(target_cmd, Cmd) or target_cmd._body is None:
            abort("CmdResult.create needs a command that was not sent away")
        body = Body("cmd_result", target_cmd._body.name)
        body.status = int(status_code)
        body.path = target_cmd._body.path
        return cls._wrap(body)

    def clone(self) -> CmdResult:
        new = super().clone()
        assert new._body is not None and self._body is not None
        new._body.path = self._body.path
        return new

    def get_status_code(self) -> StatusCode:
        if self._body is None:
            abort("get_status_code on a result that was returned")
        return StatusCode(self._body.status)

    def set_final(self, is_final: bool) -> None:
        self._valid().final = bool(is_final)

    def is_final(self) -> bool:
        return self._valid().final

    def is_completed(self) -> bool:
        return self._valid().completed
