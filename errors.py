#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What can go wrong when talking to Tavus, one class per kind of trouble.

Statuses and texts: docs.tavus.io/openapi.yaml and, where that is silent (402,
the concurrency limit), what users of the live API report.
"""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from .redaction import redact

_MESSAGE_CHARS = 300
_READ_BYTES = 64 * 1024  # of an error's body; the rest tells a person nothing
_UNKNOWN_ID = re.compile(
    r"(invalid|unknown) (conversation|persona|pal|replica|face)_(id|uuid)"
    r"|not found|does not exist",
    re.IGNORECASE,
)


class TavusError(Exception):
    """A call to Tavus failed.

    Args:
        message: What happened: the vendor's words if there were any, without
            secrets.
        status: The HTTP status, 0 when no answer came.
        retryable: The same call may succeed later. Whether repeating it is
            safe is another question: see ``sent``.
        sent: The server may have acted on the request.
        hint: What a person can do about it.
        retry_after_s: How long Tavus asked us to wait, in seconds.

    ``retryable``, ``sent`` and ``hint`` have a default per class; ``kind``
    names the class in messages to the graph.
    """

    kind: str = "unknown"
    retryable: bool = False
    sent: bool = False
    hint: str = "see the log"

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        retryable: bool | None = None,
        sent: bool | None = None,
        hint: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        # Whatever it quotes: it is on its way to logs and to the graph.
        message = redact(message)
        super().__init__(message)
        self.message = message[:_MESSAGE_CHARS]
        self.status = status
        self.retry_after_s = retry_after_s
        if retryable is not None:
            self.retryable = retryable
        if sent is not None:
            self.sent = sent
        if hint is not None:
            self.hint = hint

    def __str__(self) -> str:
        status = f" (HTTP {self.status})" if self.status else ""
        if self.retry_after_s:
            status += f"; it asks to wait {self.retry_after_s:g} s"
        hint = f" - {self.hint}" if self.hint else ""
        return f"{self.message}{status}{hint}"


class TavusAuthError(TavusError):
    """The API key is missing, wrong, or lacks a permission (401, 403)."""

    kind = "auth"
    hint = (
        "check tavus_api_key (TAVUS_API_KEY), which the Tavus developer portal "
        "shows, and whether the key is limited to other IP addresses"
    )


class TavusCreditsError(TavusError):
    """The account has no conversation minutes left (402)."""

    kind = "credits"
    hint = "add minutes or change the plan in the Tavus developer portal"


class TavusConcurrencyError(TavusError):
    """The plan's number of simultaneous conversations is reached (400)."""

    kind = "concurrency"
    hint = "end a conversation that is still running, or change the plan"


class TavusNotFoundError(TavusError):
    """The account has nothing with this id (404, or 400 "Invalid …_id")."""

    kind = "not_found"
    hint = "check the id, and that it belongs to the account of this API key"


class TavusValidationError(TavusError):
    """Tavus, or this client, refused the request (most 4xx)."""

    kind = "validation"
    hint = "check the value that the message names"


class TavusRateLimitError(TavusError):
    """Too many requests (429)."""

    kind = "rate_limited"
    retryable = True
    hint = "wait a little before the next request"


class TavusServerError(TavusError):
    """Tavus failed (5xx), perhaps after it had acted."""

    kind = "server"
    retryable = True
    sent = True
    hint = "the trouble is on Tavus's side; try again later"


class TavusNetworkError(TavusError):
    """No connection, or it broke."""

    kind = "network"
    retryable = True
    sent = True
    hint = "check base_url, DNS, firewall and proxy of this machine"


class TavusTimeoutError(TavusError):
    """No connection, or no answer, in time."""

    kind = "timeout"
    retryable = True
    sent = True
    hint = "Tavus or the network is slow; try again"


class TavusProtocolError(TavusError):
    """Something answered, but not as the Tavus API does."""

    kind = "protocol"
    retryable = True
    sent = True
    hint = "check that base_url is the Tavus API and no proxy is in between"


class TavusAvatarError(TavusError):
    """The avatar of an echo transport does not do what it is there for."""

    kind = "avatar"
    retryable = True
    hint = (
        "check that Tavus can reach the room; its support asks for the "
        "conversation_id"
    )


class TavusJournalError(TavusError):
    """What is open cannot be noted on disk; conversations go on."""

    kind = "journal"
    retryable = True
    hint = (
        "until it can be, a killed process leaves its conversations to "
        "Tavus's timers; free space there, or set journal_dir to a folder "
        "that can be written"
    )


class TavusAudioError(TavusError):
    """What the graph says cannot be spoken, or not all of it was."""

    kind = "audio"
    hint = ""


class TavusCancelledError(TavusError):
    """It was ended before it had begun, by another command or a leave."""

    kind = "cancelled"
    hint = "start it again if it is still wanted"


class TavusStoppingError(TavusError):
    """The extension stops; what it could not end, the next start ends."""

    kind = "stopping"
    hint = "start it again when the graph runs again"


def error_from_reply(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: tuple[str, ...] = (),
) -> TavusError:
    """Makes the error that a reply other than 2xx means.

    Args:
        status: The HTTP status.
        headers: The reply's headers; only ``Retry-After`` matters.
        body: The reply's body: JSON with ``error`` or ``message``, or not.
        secrets: What must not appear in the message.

    Returns:
        The error to raise.
    """
    message = _vendor_text(body, secrets)
    if 300 <= status < 400:  # followed, it would carry the key elsewhere
        return TavusProtocolError(
            "Tavus answered with a redirect, which is not followed",
            status=status,
            retryable=False,
        )
    if status == 404 and not _is_json(body):
        # Not Tavus's word that there is no such thing: to believe it would
        # leave a conversation running behind a proxy that fails.
        return TavusProtocolError(
            message or "nothing is at this address", status=404, sent=False
        )
    # 408: the server tired of waiting for the request, so it did not act.
    sent = False if status == 408 else None
    return _class_for(status, message)(
        message or "Tavus gave no explanation",
        status=status,
        sent=sent,
        retry_after_s=_retry_after_s(headers),
    )


def error_from_failure(
    error: Exception, status: int = 0, *, secrets: tuple[str, ...] = ()
) -> TavusError:
    """Makes the error that an exception of aiohttp means.

    Args:
        error: What aiohttp raised.
        status: The HTTP status, if the answer had begun.
        secrets: What must not appear in the message.

    Returns:
        The error to raise; ``sent`` is false only if no connection was made.
    """
    text = redact(f"{type(error).__name__}: {error}", *secrets)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TavusTimeoutError("no connection in time", sent=False)
    if isinstance(error, asyncio.TimeoutError):
        return TavusTimeoutError("no answer in time", status=status)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return TavusNetworkError(text, sent=False, retryable=False)
    if isinstance(
        error,
        (
            aiohttp.ClientConnectorError,  # also DNS and TLS
            aiohttp.ClientHttpProxyError,
            UnicodeError,  # from the resolver: this can be no host name
        ),
    ):
        return TavusNetworkError(text, sent=False)
    if isinstance(error, aiohttp.ClientResponseError):
        return TavusProtocolError(text, status=status)
    return TavusNetworkError(text, status=status)


def _class_for(status: int, message: str) -> type[TavusError]:
    if status == 400:
        if re.search("concurrent", message, re.IGNORECASE):
            return TavusConcurrencyError
        if _UNKNOWN_ID.search(message):
            return TavusNotFoundError
    if status >= 500:
        return TavusServerError
    return {
        401: TavusAuthError,
        402: TavusCreditsError,
        403: TavusAuthError,
        404: TavusNotFoundError,
        408: TavusTimeoutError,
        429: TavusRateLimitError,
    }.get(status, TavusValidationError)


def _is_json(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body[:_READ_BYTES]), dict)
    except (ValueError, RecursionError):
        return False


def _vendor_text(body: bytes, secrets: tuple[str, ...]) -> str:
    """The vendor's words: one line, no secrets, at most 300 characters."""
    text = body[:_READ_BYTES].decode("utf-8", "replace")
    try:
        text = _explanation(json.loads(text))
    except (ValueError, RecursionError):  # not JSON: a proxy's page or text
        if text.lstrip().startswith("<"):
            text = "the answer was a web page"
    text = redact(" ".join(text.split()), *secrets)[:_MESSAGE_CHARS]
    # Control characters and lone surrogates harm whoever prints this.
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _explanation(data: Any) -> str:
    if isinstance(data, dict):
        for key in ("error", "message", "detail", "errors"):
            if data.get(key):
                data = data[key]
                break
    if isinstance(data, str):
        return data
    return json.dumps(data, ensure_ascii=False) if data else ""


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """``Retry-After`` in seconds from now: a number or an HTTP date."""
    value = headers.get("Retry-After") or headers.get("retry-after") or ""
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        at_s = parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):  # absent or unreadable
        return None
    return max(0.0, at_s - time.time())
