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
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)
from pydantic.config import JsonDict
from starlette.responses import Response

from .languages import LANGUAGE, is_language

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
# Of what is quoted, whoever said it: clients and Tavus.
_DETAIL_LENGTH = 1000

# Of one thing, the name that the graph knows, and the other.
_NAMES = (
    ("custom_greeting", "greeting"),
    ("persona_id", "pal_id"),
    ("replica_id", "face_id"),
)


def _language(value: str) -> str:
    if not is_language(value):
        raise ValueError(
            "not a language that Tavus lists; write a name or a code, such as "
            "english, en or en-US"
        )
    return value


def _not_both(schema: JsonDict) -> None:
    """Says in a description that of two names one is enough."""
    given: JsonDict = {"minLength": 1}
    schema["not"] = {
        "anyOf": [
            {"required": [*pair], "properties": {name: given for name in pair}}
            for pair in _NAMES
        ]
    }


Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER)]
Greeting = Annotated[str, Field(max_length=GREETING_LENGTH)]
T = TypeVar("T")


class CreateRequest(BaseModel):
    """The body of create; what is empty or missing is as configured."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, json_schema_extra=_not_both
    )

    custom_greeting: Greeting = ""
    greeting: Annotated[
        Greeting, Field(description="Another name for custom_greeting.")
    ] = ""
    conversational_context: Annotated[str, Field(max_length=CONTEXT_LENGTH)] = (
        ""
    )
    language: Annotated[
        str,
        AfterValidator(_language),
        Field(
            description="A name or a code, in any case.",
            json_schema_extra={"pattern": LANGUAGE},
        ),
    ] = ""
    persona_id: Identifier = ""
    pal_id: Identifier = ""
    replica_id: Identifier = ""
    face_id: Identifier = ""
    user_id: Annotated[
        str,
        Field(pattern=rf"^$|{USER_ID}", json_schema_extra=NO_BROWSER),
    ] = ""
    channel: Annotated[str, StringConstraints(pattern=CHANNEL)] = ""

    @model_validator(mode="after")
    def _has_one_name_of_each(self) -> "CreateRequest":
        for one, other in _NAMES:
            if getattr(self, one) and getattr(self, other):
                raise ValueError(
                    f"{one} and {other} are two names of one thing; send one"
                )
        return self

    @property
    def names_somebody(self) -> bool:
        """Whether a persona or a replica is wished for."""
        return bool(
            self.persona_id or self.pal_id or self.replica_id or self.face_id
        )

    @property
    def options(self) -> dict[str, str]:
        """What is wished for, as ``start_conversation`` knows it."""
        given: dict[str, str] = self.model_dump(exclude_defaults=True)
        greeting = given.pop("greeting", "")
        return {**given, "custom_greeting": greeting} if greeting else given


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
    age_ms: int


class RoomsListed(BaseModel):
    """The rooms that run and are the caller's."""

    rooms: list[RoomStarted]


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
    age_ms: int


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
    simulated: bool
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
        if len(detail) > _DETAIL_LENGTH:
            detail = f"{detail[:_DETAIL_LENGTH]}…"
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
