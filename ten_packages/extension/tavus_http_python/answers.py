#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The bodies of requests and answers, and what each failure answers."""

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

USER_ID = r"^[A-Za-z0-9_.:@+\-]{1,128}$"
CHANNEL = r"^[ -~]{0,64}$"
IDENTIFIER = r"^[A-Za-z0-9_\-]{0,128}$"

Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER)]
T = TypeVar("T")


class CreateRequest(BaseModel):
    """The body of create; what is empty or missing is as configured."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    custom_greeting: Annotated[str, Field(max_length=4000)] = ""
    conversational_context: Annotated[str, Field(max_length=40_000)] = ""
    language: Annotated[str, Field(max_length=64)] = ""
    persona_id: Identifier = ""
    pal_id: Identifier = ""
    replica_id: Identifier = ""
    face_id: Identifier = ""
    user_id: Annotated[str, StringConstraints(pattern=rf"^$|{USER_ID}")] = ""
    channel: Annotated[str, StringConstraints(pattern=CHANNEL)] = ""


class Created(BaseModel):
    """A conversation that runs. ``join_url`` may hold a meeting token."""

    conversation_id: str
    conversation_url: str
    join_url: str
    user_id: str


class Ended(BaseModel):
    """A conversation that is over."""

    conversation_id: str


class Health(BaseModel):
    """The HTTP side is up; that says nothing about Tavus."""

    status: str = "ok"


class About(BaseModel):
    """What there is."""

    name: str
    routes: list[str]
    page: str


class Trouble(BaseModel):
    """Why a request failed."""

    kind: str
    detail: str


class Reply(BaseModel, Generic[T]):
    """What every answer looks like; ``code`` "0" is success."""

    code: str = "0"
    data: T
    msg: str = "ok"


class Refusal(Exception):
    """A request that fails.

    Args:
        kind: One of ``ANSWERS``; an unknown one counts as "unknown".
        detail: What a person should read.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.status = ANSWERS.get(kind, ANSWERS["unknown"])
        self.body = Reply(
            code=self.code, data=Trouble(kind=kind, detail=detail), msg=detail
        )


# Trouble between us and Tavus is a 5xx even where Tavus said 4xx: the browser
# has no key to mend and no bill to pay.
ANSWERS = {
    "validation": ("1001", 422),
    "not_found": ("1002", 404),
    "method": ("1003", 405),
    "too_large": ("1004", 413),
    "cancelled": ("1005", 409),
    "forbidden": ("1006", 403),
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
}
