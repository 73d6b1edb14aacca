#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What a request and a command of the Agora protocol may contain.

The facts are in AgoraIO-Solutions/convoai_to_video (connection-setup and
websocket-receive-audio); where it is loose, this is strict on purpose.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SAMPLE_RATES_HZ = (8000, 16000, 24000, 32000, 44100, 48000)
DEFAULT_IDLE_S = 120
_LONGEST_IDLE_S = 86_400
_LARGEST_UID = 2**32 - 1
# Epoch milliseconds of 1973: whoever sends seconds is below for ages.
_EARLIEST_MS = 100_000_000_000
_SHOWN_CHARACTERS = 40


class BadField(Exception):
    """What is wrong, in words that hold no value: it may be a token."""


@dataclass(frozen=True)
class Rule:
    """What one field must be.

    Args:
        wanted: that in words, to follow "must be".
        fits: whether a value is so.
        required: whether it must be there.
    """

    wanted: str
    fits: Callable[[Any], bool]
    required: bool = True


def _number(value: Any) -> bool:
    # In Python a bool is an int; in JSON it is not.
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _one_of(*choices: str) -> Rule:
    wanted = "one of " if choices[1:] else ""
    return Rule(f"{wanted}{', '.join(choices)}", lambda value: value in choices)


_TEXT = Rule("a non-empty string", _text)
START: dict[str, Rule] = {
    "avatar_id": _TEXT,
    "quality": _one_of("low", "medium", "high"),
    "version": _one_of("v1"),
    "video_encoding": _one_of("H264", "VP8", "AV1"),
    "activity_idle_timeout": Rule(
        f"a number from 0 to {_LONGEST_IDLE_S}",
        lambda value: _number(value) and 0 <= value <= _LONGEST_IDLE_S,
        required=False,
    ),
    "area": Rule("a non-empty string", _text, required=False),
    "agora_settings": Rule("an object", lambda v: isinstance(v, dict)),
}
_AGORA_SETTINGS: dict[str, Rule] = {
    "app_id": _TEXT,
    "token": _TEXT,
    "channel": _TEXT,
    "uid": _TEXT,
    "enable_string_uid": Rule("a boolean", lambda v: isinstance(v, bool)),
}
STOP: dict[str, Rule] = {"session_id": _TEXT, "session_token": _TEXT}
_EVENT: dict[str, Rule] = {"event_id": _TEXT}
COMMANDS: dict[str, dict[str, Rule]] = {
    "init": {"session_id": _TEXT, **START},
    "voice": {
        "audio": Rule("a string", lambda value: isinstance(value, str)),
        "sampleRate": Rule(
            f"one of {', '.join(map(str, SAMPLE_RATES_HZ))}",
            lambda value: isinstance(value, int) and value in SAMPLE_RATES_HZ,
        ),
        "encoding": _one_of("PCM16"),
        **_EVENT,
    },
    "voice_end": _EVENT,
    "voice_interrupt": _EVENT,
    "heartbeat": {
        "timestamp": Rule(
            "an integer of epoch milliseconds",
            lambda value: isinstance(value, int) and value >= _EARLIEST_MS,
        ),
        **_EVENT,
    },
    "special": {"content": _TEXT, **_EVENT},
}


def check_fields(
    values: dict[str, Any], rules: dict[str, Rule], prefix: str = ""
) -> None:
    """Check that all fields are there and good, and no others.

    Args:
        values: an object as it came.
        rules: what it must contain.
        prefix: stands before the names in what is raised.

    Raises:
        BadField: the first that is wrong.
    """
    for name, rule in rules.items():
        if name not in values:
            if rule.required:
                raise BadField(f"Missing required field: {prefix}{name}")
        elif not rule.fits(values[name]):
            raise BadField(f"{prefix}{name} must be {rule.wanted}")
    for name in values:
        if name not in rules:
            raise BadField(f"Unknown field: {prefix}{_short(name)}")


def check_start(fields: dict[str, Any]) -> dict[str, Any]:
    """Check what a session is started with.

    Args:
        fields: the request's body, or ``init`` without what is its own.

    Returns:
        The same with the defaults filled in.

    Raises:
        BadField: the first field that is wrong.
    """
    check_fields(fields, START)
    settings = fields["agora_settings"]
    check_fields(settings, _AGORA_SETTINGS, "agora_settings.")
    uid = settings["uid"]
    numeric = re.fullmatch("[1-9][0-9]{0,9}", uid) and int(uid) <= _LARGEST_UID
    if not settings["enable_string_uid"] and not numeric:
        raise BadField(
            "agora_settings.uid must be the digits of a number from 1 to "
            f"{_LARGEST_UID} unless enable_string_uid"
        )
    return {"activity_idle_timeout": DEFAULT_IDLE_S, **fields}


def check_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Check that a session is meant to be what it was started as.

    Raises:
        BadField: the first field that differs.
    """
    for name in {**before, **now}:
        if name == "agora_settings":
            for one in before[name]:
                if before[name][one] != now[name][one]:
                    raise BadField(f"agora_settings.{one} differs from start")
        elif before.get(name) != now.get(name):
            raise BadField(f"{name} differs from start")


def read_command(text: str) -> dict[str, Any]:
    """Read one message of the WebSocket.

    Returns:
        A command that has the fields it must have.

    Raises:
        BadField: when it is not one.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise BadField("The message is not JSON") from None
    if not isinstance(message, dict):
        raise BadField("The message is not a JSON object")
    if "command" not in message:
        raise BadField("Missing required field: command")
    name = message["command"]
    if not isinstance(name, str) or name not in COMMANDS:
        raise BadField(f"Unknown command: {_short(name)}")
    fields = {key: message[key] for key in message if key != "command"}
    try:
        check_fields(fields, COMMANDS[name])
    except BadField as exc:
        raise BadField(f"{name}: {exc}") from None
    return message


def samples(audio: str) -> bytes:
    """The PCM16 of a ``voice`` command.

    Raises:
        BadField: when it is not base64 of one or more whole samples.
    """
    try:
        pcm = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        raise BadField("voice: audio is not base64") from None
    if not pcm:
        raise BadField("voice: audio is empty")
    if len(pcm) % 2:
        raise BadField("voice: audio has an odd number of bytes")
    return pcm


def _short(name: Any) -> str:
    return repr(name)[:_SHOWN_CHARACTERS]
