#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The paths that Tavus does not have: ``/sim/…``, for tests and scripts and
the page of a room."""

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from .agora_api import session_view, session_wav
from .faults import Fault
from .messages import Refusal, SimReply, SimRequest, json_reply
from .room import (
    everything,
    heard_wav,
    interaction,
    room_view,
    static_file,
)

if TYPE_CHECKING:
    from .simulator import Simulator


def control(
    simulator: "Simulator", request: SimRequest, parts: list[str]
) -> SimReply:
    """Answer a request below ``/sim``.

    Args:
        simulator: what it looks into or changes.
        request: the request.
        parts: the path below ``/sim``, split at its slashes.

    Raises:
        Refusal: 400 for input that is not valid, 404 for another path, 409
            where the conversation is not in a state for it.
    """
    match request.method, parts:
        case "GET", ["ledger"]:
            return json_reply(simulator.ledger())
        case "GET", ["faults"]:
            faults = [asdict(fault) for fault in simulator.faults()]
            return json_reply({"faults": faults})
        case "POST", ["faults"]:
            return _add_fault(simulator, request.json_object())
        case "DELETE", ["faults"]:
            simulator.clear_faults()
            return SimReply(204)
        case "GET", ["static", name]:
            return static_file(name)
        case "GET", ["conversations", conversation_id]:
            return everything(simulator, conversation_id)
        case "GET", ["conversations", conversation_id, "room"]:
            return room_view(simulator, request, conversation_id)
        case "GET", ["conversations", conversation_id, "heard.wav"]:
            return heard_wav(simulator, conversation_id)
        case "POST", ["conversations", conversation_id, "interactions"]:
            return interaction(simulator, request, conversation_id)
        case "POST", ["conversations", conversation_id, verb]:
            return _conversation(simulator, request, conversation_id, verb)
        case "GET", ["agora", session_id]:
            return session_view(simulator, session_id)
        case "GET", ["agora", session_id, "heard.wav"]:
            return session_wav(simulator, session_id)
        case "POST", ["credits"]:
            spent = _only(request, "spent")
            if not isinstance(spent, bool):
                raise Refusal(400, error="spent must be true or false")
            simulator.set_credits_spent(spent)
            return SimReply(204)
        case "POST", ["clock"]:
            by_s = _only(request, "advance_s")
            number = isinstance(by_s, (int, float))
            if not number or isinstance(by_s, bool) or not 0 <= by_s < 1e9:
                raise Refusal(
                    400,
                    error="advance_s must be a number of seconds, 0 or more",
                )
            simulator.advance(by_s)
            return json_reply({"now": simulator.now()})
    raise Refusal(404, error="Not found; see devkit/tavus_sim/control.py")


def _add_fault(simulator: "Simulator", options: dict[str, Any]) -> SimReply:
    known = [field.name for field in fields(Fault)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise Refusal(
            400,
            error=f"unknown field {unknown[0]!r}; known: {', '.join(known)}",
        )
    for name in ("endpoint", "kind"):
        if name not in options:
            raise Refusal(400, error=f"{name} is missing")
    try:
        fault = simulator.add_fault(**options)
    except ValueError as exc:
        raise Refusal(400, error=str(exc)) from None
    return json_reply(asdict(fault), status=201)


def _conversation(
    simulator: "Simulator",
    request: SimRequest,
    conversation_id: str,
    verb: str,
) -> SimReply:
    match verb:
        case "join":
            simulator.join(conversation_id)
        case "leave":
            simulator.leave(conversation_id)
        case "report":
            simulator.report(conversation_id, request.json_object())
        case "shutdown" if request.body:
            reason = _only(request, "reason")
            if not isinstance(reason, str) or not reason:
                raise Refusal(400, error="reason must be a non-empty string")
            simulator.shutdown(conversation_id, reason)
        case "shutdown":
            simulator.shutdown(conversation_id)
        case _:
            verbs = "join, leave, report or shutdown"
            raise Refusal(400, error=f"{verbs}, not {verb!r}")
    return SimReply(204)


def _only(request: SimRequest, name: str) -> Any:
    """The value of the one field a body must have."""
    body = request.json_object()
    if list(body) != [name]:
        raise Refusal(400, error=f"the body must be an object with {name!r}")
    return body[name]
