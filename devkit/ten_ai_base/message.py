#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What modules say about errors and measurements (ten_ai_base 0.7.41)."""

from enum import Enum
from typing import Any

from pydantic import BaseModel


class ModuleType(str, Enum):
    """The kinds of modules."""

    ASR = "asr"
    LLM = "llm"
    TTS = "tts"
    MLLM = "mllm"
    AVATAR = "avatar"
    TURN = "turn"


class ModuleErrorCode(str, Enum):
    """How bad an error is; a str as upstream, so use `int(code.value)`."""

    OK = 0
    FATAL_ERROR = -1000
    NON_FATAL_ERROR = 1000


class ModuleErrorVendorInfo(BaseModel):
    """The vendor's own words about an error."""

    vendor: str = ""
    code: str = ""
    message: str = ""


class ModuleError(BaseModel):
    """The data message `error`."""

    id: str = ""
    module: str = ""
    code: int = 0
    message: str = ""
    vendor_info: ModuleErrorVendorInfo | None = None
    metadata: dict[str, Any] = {}


class ModuleVendorException(Exception):
    """A vendor's error as an exception."""

    def __init__(self, error: ModuleErrorVendorInfo) -> None:
        super().__init__(error.message)
        self.error = error

    def __str__(self) -> str:
        return (
            f"ModuleVendorException: {self.error.message} "
            f"(code: {self.error.code}, vendor: {self.error.vendor})"
        )


class ModuleMetrics(BaseModel):
    """The data message `metrics`."""

    id: str = ""
    module: str = ""
    vendor: str = ""
    metrics: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


class ErrorMessage(BaseModel):
    """The older form of an error."""

    object: str = "message.error"
    module: str = ""
    message: str = ""
    turn_id: int = 0
    code: int = 0


class ErrorMessageVendorInfo(BaseModel):
    """The older form of a vendor's words."""

    object: str = "message.error.vendor_info"
    vendor: str = ""
    code: int = 0
    message: str = ""


class MetricsMessage(BaseModel):
    """The older form of a measurement."""

    object: str = "message.metrics"
    module: str = ""
    metric_name: str = ""
    turn_id: int = 0
    latency_ms: int = 0
