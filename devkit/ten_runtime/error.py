#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The runtime's error values; they are returned, never raised."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

T = TypeVar("T", bound="TenError")


class TenErrorCode(IntEnum):
    """The documented codes; a missing property has 100000 instead."""

    ErrorCodeGeneric = 1
    ErrorCodeInvalidJSON = 2
    ErrorCodeInvalidArgument = 3
    ErrorCodeInvalidType = 4
    ErrorCodeInvalidGraph = 5
    ErrorCodeTenIsClosed = 6
    ErrorCodeMsgNotConnected = 7
    ErrorCodeTimeout = 8


VALUE_NOT_FOUND = 100000


class _TenError:
    """What the runtime itself returns: natively a C type, not a TenError."""

    _code: int
    _message: str

    def __new__(cls, error_code: int, error_message: str | None = None):
        self = super().__new__(cls)
        self._code = int(error_code)
        self._message = error_message or ""
        return self

    def error_code(self) -> int:
        return self._code

    def error_message(self) -> str:
        return self._message

    def __str__(self) -> str:
        return f"error_code: {self._code}, error_message: {self._message}"


class TenError(_TenError):
    """An error made by an extension or a test, for `stop_test` and friends."""

    def __init__(self, error_code: int, error_message: str | None = None):
        raise NotImplementedError("Use TenError.create instead.")

    @classmethod
    def create(
        cls: type[T],
        error_code: TenErrorCode,
        error_message: str | None = None,
    ) -> T:
        return cls.__new__(cls, error_code.value, error_message)


def runtime_error(code: int, message: str) -> TenError:
    """An error as the runtime makes it; typed as upstream's stubs type it."""
    return _TenError(code, message)  # type: ignore[return-value]
