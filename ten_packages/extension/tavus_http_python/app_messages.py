#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What is needed of what Tavus says, and what may be said to it.

From docs.tavus.io/sections/event-schemas. Tavus adds and renames now and
then, so what it says passes whatever it is; what is said to it is checked.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

Sensitivity = Literal["superlow", "verylow", "low", "medium", "high", "auto"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Text = Annotated[str, StringConstraints(min_length=1)]


class Envelope(BaseModel):
    """What is acted on of what Tavus says; the rest of it passes as it is."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    event_type: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]


class Asked(BaseModel):
    """Properties of what Tavus is told; no more than these."""

    model_config = ConfigDict(
        extra="forbid", strict=True, hide_input_in_errors=True
    )


class _Echo(Asked):
    modality: Literal["text", "audio"] = "text"
    text: Text | None = None
    audio: Text | None = None
    sample_rate: Annotated[int, Field(ge=8000, le=48_000)] | None = None
    inference_id: Name | None = None
    done: bool | None = None

    @model_validator(mode="after")
    def _fits_its_modality(self) -> _Echo:
        if self.modality == "text":
            if self.text is None:
                raise ValueError("modality text needs text")
            if self.audio is not None or self.sample_rate is not None:
                raise ValueError("modality text takes no audio")
            return self
        if self.audio is None or self.sample_rate is None:
            # Tavus would take it for 16000, and sound wrong for the rest.
            raise ValueError("modality audio needs audio and sample_rate")
        if self.text is not None:
            raise ValueError("modality audio takes no text")
        if not _is_pcm16(self.audio):
            raise ValueError("audio must be base64 of 16 bit PCM")
        return self


class _Respond(Asked):
    text: Text


class _Interrupt(Asked):
    pass


class _Overwrite(Asked):
    context: str


class _Append(Asked):
    context: Text
    job_status: Name | None = None


class _Sensitivity(Asked):
    participant_pause_sensitivity: Sensitivity | None = None
    participant_interrupt_sensitivity: Sensitivity | None = None

    @model_validator(mode="after")
    def _is_one(self) -> _Sensitivity:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError(
                "exactly one of participant_pause_sensitivity and "
                "participant_interrupt_sensitivity"
            )
        return self


def _as_text(output: object) -> object:
    """Tavus wants text; an object is handed over as JSON."""
    if isinstance(output, str):
        return output
    return json.dumps(output, allow_nan=False)


class _ToolResult(Asked):
    tool_call_id: Name
    name: Name | None = None
    status: Name = "success"
    output: Annotated[str, BeforeValidator(_as_text)]


FROM_GRAPH: dict[str, type[Asked]] = {
    "conversation.echo": _Echo,
    "conversation.respond": _Respond,
    "conversation.interrupt": _Interrupt,
    "conversation.overwrite_llm_context": _Overwrite,
    "conversation.append_llm_context": _Append,
    "conversation.sensitivity": _Sensitivity,
    "conversation.tool_result": _ToolResult,
}


def _is_pcm16(audio: str) -> bool:
    try:
        return len(base64.b64decode(audio, validate=True)) % 2 == 0
    except (binascii.Error, ValueError):
        return False
