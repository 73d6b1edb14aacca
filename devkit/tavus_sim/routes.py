#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Which request means what: the table of the API's paths."""

from dataclasses import dataclass

from .messages import SimReply, json_reply


@dataclass(frozen=True)
class Route:
    """A request the API knows.

    Args:
        endpoint: the name that faults and the ledger use.
        action: the simulator's method, without its underscore.
        arguments: the vocabulary where a path has two names, then the id.
    """

    endpoint: str
    action: str
    arguments: tuple[str, ...] = ()


_ID = "{id}"
_CONVERSATIONS = (
    ("POST", ("conversations",), "create", "create"),
    ("GET", ("conversations",), "list", "list"),
    ("GET", ("conversations", _ID), "get", "get"),
    ("DELETE", ("conversations", _ID), "delete", "delete"),
    ("POST", ("conversations", _ID, "end"), "end", "end"),
)
_AGORA = (
    (
        "POST",
        ("conversations", "agora", "session", "start"),
        "agora_start",
        "start",
    ),
    (
        "DELETE",
        ("conversations", "agora", "session", "stop"),
        "agora_stop",
        "stop",
    ),
)
_CATALOG = (
    ("POST", ("{persona}",), "persona", "create_persona"),
    ("GET", ("{persona}",), "persona", "list_personas"),
    ("GET", ("{persona}", _ID), "persona", "get_persona"),
    ("PATCH", ("{persona}", _ID), "persona", "patch_persona"),
    ("DELETE", ("{persona}", _ID), "persona", "delete_persona"),
    ("GET", ("{replica}",), "replica", "list_replicas"),
    ("GET", ("{replica}", _ID), "replica", "get_replica"),
)
_FAMILIES = {
    "personas": ("{persona}", "old"),
    "pals": ("{persona}", "new"),
    "replicas": ("{replica}", "old"),
    "faces": ("{replica}", "new"),
}


def find_route(method: str, parts: list[str]) -> Route | SimReply:
    """What a request means.

    Args:
        method: the verb.
        parts: the path below ``/v2``, split at its slashes.

    Returns:
        The route; or the answer to give, 404 for an unknown path and 405
        for a known one with another verb.
    """
    allowed = []
    for verb, pattern, endpoint, action in _CONVERSATIONS + _AGORA + _CATALOG:
        arguments = _match(pattern, parts)
        if arguments is None:
            continue
        if verb == method:
            return Route(endpoint, action, arguments)
        allowed.append(verb)
    if not allowed:
        return json_reply({"error": "Not found"}, status=404)
    return json_reply(
        {"message": "Method Not Allowed"},
        status=405,
        headers={"allow": ", ".join(allowed)},
    )


def _match(
    pattern: tuple[str, ...], parts: list[str]
) -> tuple[str, ...] | None:
    if len(pattern) != len(parts):
        return None
    arguments: list[str] = []
    for wanted, part in zip(pattern, parts, strict=True):
        family, vocabulary = _FAMILIES.get(part, ("", ""))
        if wanted == family:
            arguments.append(vocabulary)
        elif wanted == _ID and part:
            arguments.append(part)
        elif wanted != part:
            return None
    return tuple(arguments)
