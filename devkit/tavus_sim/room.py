#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The page behind a conversation's URL, and what the page may know.

The page is a set of files that are the same for every room: nothing of a
request is ever written into HTML. What differs the page asks for.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .catalog import Catalog
from .conversation import Conversation
from .interactions import check_size
from .messages import Refusal, SimReply, SimRequest, iso, json_reply
from .rules import LANGUAGES

if TYPE_CHECKING:
    from .simulator import Simulator

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Any page may show a simulated room, wherever a developer serves it from.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors *"
)


def static_file(name: str, status: int = 200) -> SimReply:
    """A file of the page.

    Raises:
        Refusal: 404 when there is none of this name.
    """
    # The name chooses from a list, so no name leads out of the folder.
    for path in _STATIC.iterdir():
        if path.name == name:
            headers = {
                "content-type": _TYPES[path.suffix],
                "content-security-policy": _POLICY,
                "x-content-type-options": "nosniff",
                "referrer-policy": "no-referrer",  # the URL may hold a token
                "cache-control": "no-cache",
            }
            return SimReply(status, path.read_bytes(), headers)
    raise Refusal(404, error="Not found")


def room_page(
    simulator: "Simulator", request: SimRequest, conversation_id: str
) -> SimReply:
    """The page of a room; its status says whether one can enter.

    Raises:
        Refusal: for an unknown conversation.
    """
    conversation = simulator.conversation(conversation_id)
    status = 200
    if conversation.status != "active":
        status = 410
    elif not _may_enter(conversation, request):
        status = 403
    return static_file("room.html", status)


def room_view(
    simulator: "Simulator", request: SimRequest, conversation_id: str
) -> SimReply:
    """What the page of a room knows about its conversation.

    Raises:
        Refusal: for an unknown conversation, or without its token.
    """
    conversation = simulator.conversation(conversation_id)
    _check_entry(conversation, request)
    return json_reply(view_of(conversation, simulator.catalog))


def interaction(
    simulator: "Simulator", request: SimRequest, conversation_id: str
) -> SimReply:
    """An app message has come into a room.

    Raises:
        Refusal: for an unknown or ended conversation, without its token,
            for a body that is no JSON, and for one over 64 KiB.
    """
    conversation = simulator.conversation(conversation_id)
    _check_entry(conversation, request)
    if conversation.status != "active":
        raise Refusal(409, error="The conversation has ended")
    check_size(request.body)
    return json_reply(
        conversation.interactions.add(
            conversation_id,
            request.json_value(),
            iso(simulator.now()),
            replica_joined=conversation.replica_joined,
        )
    )


def everything(simulator: "Simulator", conversation_id: str) -> SimReply:
    """All there is to know about a conversation, for tests.

    Raises:
        Refusal: for an unknown conversation.
    """
    conversation = simulator.conversation(conversation_id)
    return json_reply(
        {
            **conversation.entry(simulator.now()),
            "replica_joined": conversation.replica_joined,
            "request": conversation.request,
            "events": conversation.events,
            "interactions": list(conversation.interactions.kept),
            "interactions_count": conversation.interactions.count,
            **_utterances(conversation),
        }
    )


def heard_wav(simulator: "Simulator", conversation_id: str) -> SimReply:
    """What the avatar of a conversation was sent, the end of it.

    Raises:
        Refusal: for an unknown conversation, and one without an avatar.
    """
    avatar = simulator.conversation(conversation_id).avatar
    if avatar is None:
        raise Refusal(404, error="The conversation has no avatar")
    return SimReply(200, avatar.heard.wav(), {"content-type": "audio/wav"})


def _utterances(conversation: Conversation) -> dict[str, Any]:
    avatar = conversation.avatar
    return {"utterances": avatar.heard.view()} if avatar else {}


def _check_entry(conversation: Conversation, request: SimRequest) -> None:
    if not _may_enter(conversation, request):
        # Tavus's own words (openapi.yaml, require_auth).
        raise Refusal(403, error="You are not allowed to join this meeting.")


def _may_enter(conversation: Conversation, request: SimRequest) -> bool:
    token = request.query.get("t")
    return not conversation.private or token == conversation.meeting_token


def view_of(conversation: Conversation, catalog: Catalog) -> dict[str, Any]:
    """What the page of a room may know."""
    request = conversation.request
    properties = request.get("properties") or {}
    language = (properties.get("language") or "english").lower()
    codes = properties.get("languages") or [LANGUAGES.get(language, "en")]
    persona = catalog.personas.get(conversation.persona_id) or {}
    return {
        "conversation_id": conversation.conversation_id,
        "conversation_name": conversation.name,
        "status": conversation.status,
        "shutdown_reason": conversation.shutdown_reason,
        "participants": conversation.participants,
        "replica_id": conversation.replica_id,
        "replica_name": catalog.replicas[conversation.replica_id][
            "replica_name"
        ],
        "replica_joined": conversation.replica_joined,
        "pipeline_mode": persona.get("pipeline_mode", "full"),
        "custom_greeting": request.get("custom_greeting"),
        "conversational_context": request.get("conversational_context"),
        "language": codes[0],
        "audio_only": bool(request.get("audio_only")),
        "apply_greenscreen": bool(properties.get("apply_greenscreen")),
    }
