#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Masks secrets: the one place that decides what a log or an error may show.

A Tavus meeting token is a JWT that rides in ``conversation_url?t=``
(docs.tavus.io, private rooms); webhook URLs carry passwords in their userinfo
or query.
"""

import base64
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

MASK = "***"
# Shorter ones are masked wholly: four characters of them would tell too much.
_PARTLY_SHOWN_FROM = 16
_PARTLY_SHOWN = 4
# A shorter "secret" is nobody's, and would riddle every text with masks.
_SECRET_MIN = 4
_LOGGED_TEXT_MAX = 200
# In base64 a shorter one is too little to be told from other text.
_ENCODED_MIN = 8
# So often percent signs may be written as percent signs themselves.
_UNQUOTED = 3
# A part of a webhook's address that is so long is what nobody can guess.
_URL_PART = re.compile(r"[^/?#&=@:]{16,}")

_SECRET_WORDS = "key|token|secret|passw|auth|credential|cookie|signature"
_SECRET_NAME = re.compile(_SECRET_WORDS, re.IGNORECASE)
# The path of a webhook's address may be what tells its sender from others.
_SECRET_URL_NAME = "callback_url"
_JWT = re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}")
# The two looks around keep it linear: each word is tried once, and only when
# a value follows it.
_QUERY = re.compile(
    r"(?<![\w.-])(?=[\w.-]+=[^\s&#\"'<>])"
    rf"((?:(?<=[?&])t|[\w.-]*(?:{_SECRET_WORDS})[\w.-]*)=)"
    r"[^\s&#\"'<>]+",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"://[^\s/?#]+@")


class Secret(str):
    """A secret text, which no ``repr`` shows.

    So it is in no traceback with local variables, and in no ``repr`` of what
    holds it. What is made of it, such as an f-string, is a usual text.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


def mask(secret: str) -> str:
    """What may be shown of a secret: at most its first four characters."""
    if len(secret) < _PARTLY_SHOWN_FROM:
        return MASK if secret else ""
    return secret[:_PARTLY_SHOWN] + MASK


def redact(text: str, *secrets: str) -> str:
    """Free text without secrets.

    Removes the given ``secrets`` in any case, percent-encoded and in base64
    (those under four characters stay; text in which one is percent-encoded is
    decoded), strings
    that look like a JWT, the values of query parameters named ``t`` or like a
    secret, and the userinfo of URLs.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_MIN:
            text = _without(text, secret)
    text = _USERINFO.sub(f"://{MASK}@", text)
    text = _QUERY.sub(rf"\1{MASK}", text)
    return _JWT.sub(MASK, text)


def _without(text: str, secret: str) -> str:
    decoded = text
    for _ in range(_UNQUOTED + 1):
        if secret.lower() in decoded.lower():
            text = re.sub(re.escape(secret), MASK, decoded, flags=re.IGNORECASE)
            break
        if "%" not in decoded:
            break
        decoded = unquote(decoded)
    if len(secret) >= _ENCODED_MIN:
        for encoded in _in_base64(secret.encode()):
            text = text.replace(encoded, MASK)
    return text


def _in_base64(secret: bytes) -> Iterator[str]:
    """What is always of it in base64 of a text that has it anywhere."""
    for before in range(3):
        length = before + len(secret)
        padded = b"\0" * before + secret + b"\0" * (-length % 3)
        first = (0, 2, 3)[before]
        last = length * 8 // 6
        yield base64.b64encode(padded)[first:last].decode()
        yield base64.urlsafe_b64encode(padded)[first:last].decode()


def redact_value(value: Any, *secrets: str, name: str = "") -> Any:
    """A JSON value for the log, as a copy.

    Everything under a name that sounds like a secret is masked, booleans
    excepted; other texts are redacted and long ones cut.

    Args:
        value: the JSON value.
        secrets: texts that must not appear anywhere in it.
        name: the name that ``value`` has in its object.
    """
    if isinstance(value, Mapping):
        # A secret's name covers everything below it.
        hidden = name if _SECRET_NAME.search(name) else ""
        return {
            key: redact_value(item, *secrets, name=hidden or str(key))
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_value(item, *secrets, name=name) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_NAME.search(name):
        return mask(value) if isinstance(value, str) else MASK
    if not isinstance(value, str):
        return value
    text = redact(value, *secrets)
    if len(text) <= _LOGGED_TEXT_MAX:
        return text
    return f"{text[:_LOGGED_TEXT_MAX]}… ({len(text)} characters)"


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """The texts of a JSON value that are secrets by their names.

    Args:
        value: the JSON value, such as the body of a request.
        name: the name that ``value`` has in its object.
    """
    if isinstance(value, Mapping):
        hidden = name if _is_secret(name) else ""
        for key, item in value.items():
            yield from secrets_in(item, hidden or str(key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from secrets_in(item, name)
    elif isinstance(value, str) and _is_secret(name):
        yield value
        if name == _SECRET_URL_NAME:
            yield from _URL_PART.findall(value)


def _is_secret(name: str) -> bool:
    return name == _SECRET_URL_NAME or bool(_SECRET_NAME.search(name))


class LogMask(logging.Filter):
    """Redacts the lines of a logger, their tracebacks included.

    Args:
        secrets: texts that must not appear in any.
    """

    def __init__(self, *secrets: str) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        masked = redact(text, *self._secrets)
        if masked != text:
            record.msg, record.args = masked, None
        if record.exc_info:
            told = logging.Formatter().formatException(record.exc_info)
            # What is formatted once is not formatted again.
            record.exc_text = redact(told, *self._secrets)
        return True


def mask_log(name: str) -> None:
    """Keeps what looks like a secret out of a library's log from now on."""
    logger = logging.getLogger(name)
    if not any(isinstance(one, LogMask) for one in logger.filters):
        logger.addFilter(LogMask())
