#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Faults on demand: which request goes wrong, and how."""

import random
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from .messages import SimReply, json_reply

ENDPOINTS = (
    "create",
    "end",
    "get",
    "list",
    "delete",
    "persona",
    "replica",
    "webhook",
    "avatar",
    "*",
)
AGORA_ENDPOINTS = ("agora_start", "agora_stop", "agora_socket")
# To start with, it is Agora's token that is refused.
REFUSE_TOKEN = "refuse_token"
# Each strikes one connection.
AGORA_SOCKET = (REFUSE_TOKEN, "drop", "slow_reader", "expire")
_AGORA_TOKEN_REFUSED = {
    "error": "Invalid request",
    "message": "agora_settings.token is refused by Agora",
    "code": "VALIDATION_ERROR",
}
BEFORE = ("drop_before", "error_before", "hang_before", "page_before", "status")
AFTER = (
    "drop_after",
    "error_after",
    "hang_after",
    "truncated",
    "not_json",
    "slow",
    "empty",
    "no_ids",
)
# A reordered webhook follows the conversation's next one, if there is one.
WEBHOOK = ("lose", "duplicate", "reorder")
# Of the next conversation in a LiveKit room; see avatar.py.
AVATAR = (
    "avatar_absent",
    "avatar_slow_join",
    "avatar_no_video",
    "avatar_dies",
    "avatar_silent_finish",
    "avatar_odd_reports",
)
_DEFAULT_DELAY_MS = {
    "slow": 1000.0,
    "avatar_slow_join": 5000.0,
    "avatar_dies": 500.0,
}
_ID = re.compile(rb'("conversation_id": )"[^"]*"')
_NOT_JSON = b"<html><body>502 Bad Gateway</body></html>"

# What Tavus is documented or observed to say (tavus-api.md, section 1.1).
DOCUMENTED_BODIES: dict[int, dict[str, str]] = {
    401: {"message": "Invalid access token"},
    402: {"message": "The user is out of conversational credits"},
    429: {"error": "Rate limit exceeded, please try again later"},
}


@dataclass
class Fault:
    """One rule.

    Args:
        endpoint: one of ``ENDPOINTS`` or ``AGORA_ENDPOINTS``; ``*`` is every
            API endpoint.
        kind: one of ``BEFORE`` (the server has not acted), ``AFTER`` (it
            has) or, for the endpoints ``webhook``, ``avatar`` and
            ``agora_socket``, ``WEBHOOK``, ``AVATAR`` and ``AGORA_SOCKET``.
        status: what ``status``, ``error_before`` and ``error_after`` answer.
        body: their JSON body; by default the documented one.
        retry_after_s: their ``Retry-After`` header, in seconds.
        delay_ms: how long the answer waits, in milliseconds;
            ``avatar_slow_join`` waits so long before it joins,
            ``avatar_dies`` is how long it speaks before that.
        count: how many times it strikes; ``None`` is until cleared.
        probability: how likely it strikes a matching request, 0 to 1.
        after_messages: how many ``voice`` messages a WebSocket takes before
            its fault strikes; 0 is as soon as ``init`` has come.
    """

    endpoint: str
    kind: str
    status: int = 500
    body: Any = None
    retry_after_s: float | None = None
    delay_ms: float = 0.0
    count: int | None = None
    probability: float | None = None
    after_messages: int = 0

    def __post_init__(self) -> None:
        _one_of("endpoint", self.endpoint, AGORA_ENDPOINTS + ENDPOINTS)
        other = {
            "webhook": WEBHOOK,
            "avatar": AVATAR,
            "agora_start": (*BEFORE, *AFTER, REFUSE_TOKEN),
            "agora_socket": AGORA_SOCKET,
        }
        kinds = other.get(self.endpoint, BEFORE + AFTER)
        _one_of("kind", self.kind, kinds)
        _number("status", self.status, 200, 599, whole=True)
        _number("delay_ms", self.delay_ms, 0, 3_600_000)
        _number("after_messages", self.after_messages, 0, 10**6, whole=True)
        if self.retry_after_s is not None:
            _number("retry_after_s", self.retry_after_s, 0, 86_400)
        if self.count is not None:
            _number("count", self.count, 1, 1_000_000, whole=True)
        if self.probability is not None:
            _number("probability", self.probability, 0, 1)
        if not self.delay_ms:
            self.delay_ms = _DEFAULT_DELAY_MS.get(self.kind, 0.0)

    def answer_body(self) -> Any:
        """The JSON body of a forced status."""
        if self.body is not None:
            return self.body
        if self.status in DOCUMENTED_BODIES:
            return DOCUMENTED_BODIES[self.status]
        known = self.status in HTTPStatus.__members__.values()
        return {"error": HTTPStatus(self.status).phrase if known else "Error"}


class FaultBox:
    """The rules in force, oldest first; the first that matches strikes."""

    def __init__(self, rng: random.Random) -> None:
        self.faults: list[Fault] = []
        self._rng = rng

    def take(self, endpoint: str) -> Fault | None:
        """The fault that strikes this request, if one does."""
        for fault in self.faults:
            if not _matches(fault.endpoint, endpoint):
                continue
            chance = fault.probability
            if chance is not None and self._rng.random() >= chance:
                continue
            if fault.count is not None:
                fault.count -= 1
                if not fault.count:
                    self.faults.remove(fault)
            return fault
        return None


def spoiled(reply: SimReply, fault: Fault) -> SimReply:
    """The reply as the fault leaves it."""
    match fault.kind:
        case "drop_before" | "drop_after":
            reply.fault = "drop"
        case "hang_before" | "hang_after":
            reply.fault = "hang"
        case "truncated":
            reply.fault = "truncate"
        case "not_json" | "page_before":
            reply.body = _NOT_JSON
            reply.headers["content-type"] = "text/html"
        case "empty":
            reply.body = b""
        case "no_ids":
            # Whatever has an id still is there, but cannot be called by it.
            reply.body = _ID.sub(rb"\1null", reply.body)
        case "refuse_token":
            reply = json_reply(_AGORA_TOKEN_REFUSED, status=400)
        case "error_before" | "error_after" | "status":
            headers = {}
            if fault.retry_after_s is not None:
                headers["retry-after"] = f"{fault.retry_after_s:g}"
            reply = json_reply(
                fault.answer_body(), status=fault.status, headers=headers
            )
    reply.delay_s += fault.delay_ms / 1000
    return reply


def _matches(rule: str, endpoint: str) -> bool:
    nowhere = ("webhook", "avatar", "agora_socket")
    everywhere = rule == "*" and endpoint not in nowhere
    return rule == endpoint or everywhere


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"{name} must be one of {', '.join(choices)}, not {value!r}"
        )


def _number(
    name: str, value: Any, low: float, high: float, *, whole: bool = False
) -> None:
    kinds = (int,) if whole else (int, float)
    good = isinstance(value, kinds) and not isinstance(value, bool)
    if not good or not low <= value <= high:
        what = "a whole number" if whole else "a number"
        raise ValueError(
            f"{name} must be {what} from {low} to {high}, not {value!r}"
        )
