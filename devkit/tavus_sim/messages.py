#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What goes into the simulator and what comes out, with no sockets in it."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal
from urllib.parse import parse_qsl

WireFault = Literal["drop", "hang", "truncate"]


@dataclass(frozen=True)
class SimRequest:
    """One HTTP request.

    Args:
        method: the verb, in capitals.
        path: the decoded path without the query, such as ``/v2/personas``.
        query: the query, last value wins.
        headers: the headers under lower-case names (hidden from ``repr``,
            for they carry the API key).
        body: the raw body.
    """

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""

    @classmethod
    def of(
        cls, method: str, url: str, body: Any = None, api_key: str = "any"
    ) -> "SimRequest":
        """A request written the short way.

        Args:
            method: the verb, in capitals.
            url: the path with its query, such as ``/v2/pals?limit=2``.
            body: sent as JSON, unless it is bytes or ``None``.
            api_key: the key; empty for none.
        """
        path, _, query = url.partition("?")
        if body is None or isinstance(body, bytes):
            content = body or b""
        else:
            content = json.dumps(body).encode()
        return cls(
            method=method,
            path=path,
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers={"x-api-key": api_key} if api_key else {},
            body=content,
        )

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty object.

        Raises:
            Refusal: 400 when the body is anything else.
        """
        value = self.json_value() if self.body else {}
        if not isinstance(value, dict):
            raise Refusal(400, error="The request body must be a JSON object")
        return value

    def json_value(self) -> Any:
        """The body as JSON.

        Raises:
            Refusal: 400 when it is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Refusal(
                400, error="The request body must be valid JSON"
            ) from None


@dataclass
class SimReply:
    """One HTTP answer, and what the adapter has to do to it on the wire.

    Args:
        status: the HTTP status.
        body: the raw body; empty means zero bytes.
        headers: headers besides the length.
        delay_s: how long the adapter waits before it answers.
        fault: ``drop`` resets the connection without a byte, ``hang`` never
            answers, ``truncate`` closes in the middle of the body.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    fault: WireFault | None = None

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Refusal(Exception):
    """The simulator says no: an HTTP error with a documented kind of body.

    Tavus answers some errors as ``{"error": …}`` and others as
    ``{"message": …}``; exactly one of the two is given.
    """

    def __init__(
        self,
        status: int,
        *,
        error: str | None = None,
        message: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(error or message)
        body = {"message": message} if error is None else {"error": error}
        self.reply = json_reply(body, status=status, headers=headers)


def json_reply(
    value: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> SimReply:
    """An answer with a JSON body."""
    return SimReply(
        status,
        json.dumps(value).encode(),
        {"content-type": "application/json", **(headers or {})},
    )


def iso(when_s: float) -> str:
    """Epoch seconds the way Tavus writes times: ISO 8601, UTC, with a Z."""
    moment = datetime.fromtimestamp(when_s, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
