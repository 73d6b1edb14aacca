#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Who in a room is a user, and how TEN's messages call them."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass

from livekit import rtc

PUBLISH_ON_BEHALF = "lk.publish_on_behalf"  # an avatar's, docs.livekit.io
_STREAM_ID_MASK = 0x7FFF_FFFF
_USERS = (
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
    rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
)


def counts(participant: rtc.RemoteParticipant, count_agents: bool) -> bool:
    """Whether its coming and going, its audio and video, are a user's.

    Args:
        participant: Whoever it is.
        count_agents: Whether agents and avatars are users as well.
    """
    if participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
        return count_agents
    if PUBLISH_ON_BEHALF in participant.attributes:
        return count_agents
    return participant.kind in _USERS


@dataclass(frozen=True)
class Sender:
    """What a frame says of the participant it is from.

    Args:
        identity: LiveKit's; TEN's ``remote_user_id``.
        stream_id: A number, because TEN's consumers want one.
        metadata: JSON with ``session_id``: the stream_id, as
            streamid_adapter makes it and main_python reads it.
    """

    identity: str
    stream_id: int
    metadata: str


def sender(identity: str) -> Sender:
    """The same for the same identity, everywhere and always."""
    number = int(identity) if identity.isascii() and identity.isdigit() else -1
    if not 0 <= number <= _STREAM_ID_MASK:
        number = zlib.crc32(identity.encode()) & _STREAM_ID_MASK
    return Sender(identity, number, json.dumps({"session_id": str(number)}))
