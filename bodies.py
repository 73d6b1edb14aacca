#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The bodies of the requests that create things; made nowhere else.

They carry ``persona_id`` and ``replica_id``, never ``pal_id`` and ``face_id``:
Tavus's own CLI and OpenAPI use the old names for ``POST /v2/conversations``,
and both together are refused.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import coerce

if TYPE_CHECKING:
    from .config import StartOptions, TavusConfig


_LIVEKIT_PERSONA = {
    "pipeline_mode": "echo",
    "layers": {"transport": {"transport_type": "livekit"}},
}


def conversation_body(
    config: "TavusConfig",
    name: str,
    options: "StartOptions",
    persona_id: str = "",
) -> dict[str, Any]:
    """The body of ``POST /v2/conversations``, without what is not set.

    ``config.params`` goes over everything else, the options included.

    Args:
        config: what is configured.
        name: the conversation's unique name.
        options: what this conversation has instead. A persona other than the
            configured one brings its own face: the configured replica goes
            with it only when no persona is configured.
        persona_id: the persona that ``auto_create_persona`` found or made.
    """
    own = persona_id or config.persona_id
    persona = options.persona_id or own
    has_own = bool(own) or config.makes_persona
    replica = options.replica_id
    if not replica and (persona == own or not has_own):
        replica = config.replica_id
    properties = {
        "max_call_duration": config.max_call_duration,
        "participant_left_timeout": config.participant_left_timeout,
        "participant_absent_timeout": config.participant_absent_timeout,
        "enable_recording": config.enable_recording,
        "enable_closed_captions": config.enable_closed_captions,
        "apply_greenscreen": config.apply_greenscreen,
        "language": options.language or config.language,
        "languages": [] if options.language else config.languages,
        "recording_storage": config.recording_storage.model_dump(
            exclude_unset=True
        ),
    }
    body = {
        "persona_id": persona,
        "replica_id": replica,
        "conversation_name": name,
        "conversational_context": options.conversational_context
        or config.conversational_context,
        "custom_greeting": options.custom_greeting or config.custom_greeting,
        "audio_only": config.audio_only,
        "require_auth": config.require_auth,
        "max_participants": config.max_participants,
        "callback_url": config.callback_url,
        "memory_stores": config.memory_stores,
        "document_ids": config.document_ids,
        "document_tags": config.document_tags,
        "document_retrieval_strategy": config.document_retrieval_strategy,
        "test_mode": config.test_mode,
        "properties": _set_only(properties),
    }
    return copy.deepcopy(merged(_set_only(body), config.params))


def session_body(
    config: "TavusConfig", options: "StartOptions", persona_id: str = ""
) -> dict[str, Any]:
    """The body that starts a session in an Agora channel, without its token.

    Source: AgoraIO-Solutions/convoai_to_video, connection-setup. What
    ``transports/agora.py`` adds is the ``token`` in ``agora_settings``.

    Args:
        config: what is configured; ``config.params`` goes over it.
        options: of these, a persona or replica.
        persona_id: the persona that ``auto_create_persona`` found or made.
    """
    face = options.replica_id or options.persona_id
    body = {
        "avatar_id": face
        or config.replica_id
        or persona_id
        or config.persona_id,
        "quality": config.quality,
        "version": "v1",
        "video_encoding": config.video_encoding,
        "activity_idle_timeout": config.activity_idle_timeout,
        "agora_settings": {
            "app_id": config.agora_app_id,
            "channel": config.channel,
            "uid": config.agora_avatar_uid,
            "enable_string_uid": config.enable_string_uid,
        },
    }
    if config.area:
        body["area"] = config.area
    return copy.deepcopy(merged(body, config.params))


def session_idle_s(config: "TavusConfig") -> float:
    """When a session that is asked for so ends by itself; 0 for never."""
    sent = config.params.get("activity_idle_timeout")
    if isinstance(sent, (int, float)) and 0 <= sent < float("inf"):
        return float(sent)
    return config.activity_idle_timeout  # the other would be refused


def persona_body(config: "TavusConfig") -> dict[str, Any]:
    """The body of ``POST /v2/personas``: the fields that are set.

    The name ends in a hash of the content, so that the same description finds
    the same persona again, and a changed one (also a changed key of a layer)
    makes a new one. In a LiveKit room the persona only lends its face
    (docs.tavus.io, LiveKit integration).
    """
    body = copy.deepcopy(config.persona.model_dump(exclude_unset=True))
    if config.transport == "livekit":
        if not config.auto_create_persona:
            body = {"default_replica_id": config.replica_id}
        body = merged({"persona_name": "ten livekit"} | body, _LIVEKIT_PERSONA)
    for old, new in (
        ("persona_name", "pal_name"),
        ("default_replica_id", "default_face_id"),
    ):
        value = body.pop(new, "")
        if value:
            body.setdefault(old, value)
    content = json.dumps(body, sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()[:12]
    return body | {"persona_name": f"{body['persona_name']} [ten-{digest}]"}


def _set_only(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is not set; a false flag is Tavus's own default."""
    return {
        name: value
        for name, value in values.items()
        if value is not False and not coerce.is_blank(value)
    }


def merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` laid over it, objects in objects."""
    result = dict(base)
    for name, value in over.items():
        below = result.get(name)
        if isinstance(below, dict) and isinstance(value, dict):
            value = merged(below, value)
        result[name] = value
    return result
