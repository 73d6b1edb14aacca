#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The bodies of requests and answers, and what each failure answers."""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
)
from pydantic.config import JsonDict
from starlette.responses import Response

USER_ID = r"^[A-Za-z0-9_.:@+\-]{1,128}$"
CHANNEL = r"^[ -~]{0,64}$"
IDENTIFIER = r"^[A-Za-z0-9_\-]{0,128}$"
# Tavus's own, whatever it makes them of.
CONVERSATION_ID = r"^[!-.0-~]{1,256}$"
# Begins the public names of browsers, which nobody can give themselves.
BROWSER = "web-"
NO_BROWSER: JsonDict = {"not": {"pattern": f"^{BROWSER}"}}
GREETING_LENGTH = 4000
CONTEXT_LENGTH = 40_000

Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER)]
T = TypeVar("T")


class CreateRequest(BaseModel):
    """The body of create; what is empty or missing is as configured."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    custom_greeting: Annotated[str, Field(max_length=GREETING_LENGTH)] = ""
    conversational_context: Annotated[str, Field(max_length=CONTEXT_LENGTH)] = (
        ""
    )
    language: Annotated[str, Field(max_length=64)] = ""
    persona_id: Identifier = ""
    pal_id: Identifier = ""
    replica_id: Identifier = ""
    face_id: Identifier = ""
    user_id: Annotated[
        str,
        Field(pattern=rf"^$|{USER_ID}", json_schema_extra=NO_BROWSER),
    ] = ""
    channel: Annotated[str, StringConstraints(pattern=CHANNEL)] = ""


class RoomRequest(BaseModel):
    """The body of livekit/start; all of it may be missing."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    user_id: Annotated[
        str,
        Field(pattern=rf"^$|{USER_ID}", json_schema_extra=NO_BROWSER),
    ] = ""
    camera: StrictBool = False


class RoomStarted(BaseModel):
    """A room whose graph runs. ``user_token`` opens it, to its user."""

    room_name: str
    user_token: str
    livekit_url: str
    user_id: str


class RoomEnded(BaseModel):
    """A room that is over: why, and after how long."""

    room_name: str
    reason: str
    duration_ms: int


class Created(BaseModel):
    """A conversation that runs. ``join_url`` may hold a meeting token."""

    conversation_id: str
    conversation_url: str
    join_url: str
    user_id: str


class Running(Created):
    """A conversation in a list; ``user_id`` "" is everybody's."""

    channel: str
    transport: str


class Listed(BaseModel):
    """The conversations that run and are the caller's."""

    conversations: list[Running]


class Seen(Running):
    """One conversation; when it has ended, why and after how long."""

    status: Literal["active", "ended"]
    reason: str | None = None
    duration_ms: int | None = None


class Ended(BaseModel):
    """A conversation that is over."""

    conversation_id: str


class Accepted(BaseModel):
    """Whether it was new; what comes twice counts once."""

    accepted: bool


class Limits(BaseModel):
    """How long texts may be, in characters."""

    custom_greeting: int
    conversational_context: int


class PageConfig(BaseModel):
    """What a page may know."""

    version: str
    token_needed: bool
    mode: Literal["conversation", "livekit"]
    limits: Limits


class Health(BaseModel):
    """The HTTP side is up; that says nothing about Tavus."""

    status: str = "ok"


class Trouble(BaseModel):
    """Why a request failed."""

    kind: str
    detail: str


class Reply(BaseModel, Generic[T]):
    """What every answer looks like; ``code`` "0" is success."""

    code: str
    data: T
    msg: str


class Refusal(Exception):
    """A request that fails.

    Args:
        kind: One of ``ANSWERS``; an unknown one counts as "unknown".
        detail: What a person should read.
        retry_after_s: When it may go better.
    """

    def __init__(
        self, kind: str, detail: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.code, self.status = ANSWERS.get(kind, ANSWERS["unknown"])
        self.headers: dict[str, str] = {}
        if retry_after_s is not None:
            self.headers["retry-after"] = str(max(1, math.ceil(retry_after_s)))
        if self.status == 401:
            self.headers["www-authenticate"] = "Bearer"

    def answer(self) -> Response:
        """The refusal as a response."""
        trouble = {"kind": self.kind, "detail": self.detail}
        return _envelope(
            self.code, trouble, self.detail, self.status, self.headers
        )


def success(
    data: Mapping[str, Any], headers: dict[str, str] | None = None
) -> Response:
    """A response of a request that went well.

    Built as it is, not through the models: they say in the API's description
    what it looks like, and a test compares the two.
    """
    return _envelope("0", data, "ok", 200, headers)


def _envelope(
    code: str,
    data: Mapping[str, Any],
    msg: str,
    status: int,
    headers: dict[str, str] | None,
) -> Response:
    # ASCII, so half a surrogate pair in a message of the graph does no harm.
    body = json.dumps({"code": code, "data": data, "msg": msg})
    return Response(body.encode(), status, headers, "application/json")


# Trouble between us and Tavus is a 5xx even where Tavus said 4xx: the browser
# has no key to mend and no bill to pay.
ANSWERS = {
    "validation": ("1001", 422),
    "not_found": ("1002", 404),
    "method": ("1003", 405),
    "too_large": ("1004", 413),
    "cancelled": ("1005", 409),
    "forbidden": ("1006", 403),
    "unauthorized": ("1007", 401),
    "too_many": ("1008", 429),
    "full": ("1009", 503),
    "slow": ("1010", 408),
    "auth": ("2001", 502),
    "credits": ("2002", 503),
    "concurrency": ("2003", 503),
    "rate_limited": ("2004", 503),
    "server": ("2005", 502),
    "network": ("2006", 502),
    "protocol": ("2007", 502),
    "timeout": ("2008", 504),
    "config": ("3001", 503),
    "graph": ("3002", 503),
    "stopping": ("3003", 503),
    "internal": ("3004", 500),
    "unknown": ("3005", 500),
    "limiter": ("3006", 503),
}
