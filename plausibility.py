#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Values that have the right form and cannot work: one warning for each.

They are no errors: a proxy or a copy of Tavus's API may be anywhere, and this
is a guess from names. Sources: docs.tavus.io for the hosts and for what Tavus
must reach; RFC 2606, RFC 6761 and RFC 8375 for names that are in no public DNS.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from . import coerce

if TYPE_CHECKING:
    from .config import TavusConfig

_API = "https://tavusapi.com/v2"
_API_HOST = "tavusapi.com"
# Web pages: the portal, the documentation, the rooms.
_PAGE_HOSTS = ("tavus.io", "daily.co")
_RESOURCES = (
    *("conversations", "personas", "pals", "replicas", "faces", "documents"),
    *("videos", "guardrails", "objectives", "memories"),
)
_PRIVATE_NAMES = (
    *("localhost", "local", "internal", "intranet", "lan", "home", "corp"),
    *("home.arpa", "test", "invalid", "example"),
    *("example.com", "example.net", "example.org"),
)
_PLACEHOLDER = re.compile(
    r"<.*>|\[.*\]|\{.*\}|\$.*|[x*.\-_]{3,}|0{4,}"
    r"|.*\b(?:your|my)[-_ ]?(?:\w+[-_ ])*(?:key|id|token|secret|name)\b.*"
    r"|(?:tavus|livekit|agora)?[-_]?(?:api|app)[-_]?(?:key|id|secret)"
    r"|.*(?:change[-_ ]?me|placeholder|not-a-secret|replace[-_ ]?me).*"
    r"|none|null|undefined|todo|dummy",
    re.IGNORECASE,
)
_MAY_BE_PLACEHOLDERS = (
    *("tavus_api_key", "persona_id", "replica_id"),
    *("livekit_api_key", "livekit_api_secret"),
    *("agora_app_id", "agora_app_certificate", "agora_token"),
)


def implausible(config: "TavusConfig") -> Iterator[str]:
    """What cannot work, one line each.

    Args:
        config: free of conflicts.
    """
    yield from _base_url(urlsplit(config.base_url))
    # A Tavus on this machine or beside it is no real one: it takes any key,
    # and reaches what we reach.
    if not _is_private(urlsplit(config.base_url)):
        yield from _placeholders(config)
        yield from _out_of_reach(config)
    if (
        config.enable_recording
        and config.transport != "agora"  # which has no recordings
        and not config.recording_storage.model_fields_set
        and not _stores_by_params(config)
    ):
        yield (
            "enable_recording: is set without recording_storage, so that a "
            "recording has nowhere to go; set recording_storage"
        )
    if config.document_retrieval_strategy and not (
        config.document_ids or config.document_tags
    ):
        yield (
            "document_retrieval_strategy: is unused; set document_ids or "
            "document_tags"
        )


def _base_url(url: SplitResult) -> Iterator[str]:
    host = url.hostname or ""
    first, *rest = url.path.strip("/").split("/") if url.path else [""]
    if _is_of(host, _PAGE_HOSTS):
        yield (
            f"base_url: {host} has Tavus's web pages, not its API; write {_API}"
        )
    elif any(part in _RESOURCES for part in (first, *rest)):
        yield (
            f"base_url: {coerce.shown(url.path)} is an address of the API, "
            "which is added by itself; write only what comes before it, such "
            f"as {_API}"
        )
    elif _is_of(host, (_API_HOST,)) and url.path != "/v2":
        yield (
            f"base_url: {coerce.shown(url.path)} is not where {host} has the "
            f"API; write {_API}"
        )


def _placeholders(config: "TavusConfig") -> Iterator[str]:
    for name in _MAY_BE_PLACEHOLDERS:
        value = getattr(config, name)
        text = value if isinstance(value, str) else value.get_secret_value()
        if text and _PLACEHOLDER.fullmatch(text):
            yield (
                f"{name}: looks like a placeholder, which Tavus will refuse; "
                "write the real one"
            )


def _out_of_reach(config: "TavusConfig") -> Iterator[str]:
    """Addresses that Tavus must reach, and cannot."""
    for name, value, lost in (
        *_of_webhooks(config),
        *_of_rooms(config),
        *_of_layers(config),
    ):
        url = urlsplit(value)
        if value and _is_private(url):
            host = url.netloc.rpartition("@")[2]
            yield (
                f"{name}: Tavus cannot reach {url.scheme}://{host}, so "
                f"{lost}; write an address that the internet can reach"
            )


def _of_webhooks(config: "TavusConfig") -> Iterator[tuple[str, str, str]]:
    if config.transport != "agora":  # which has no webhooks
        yield "callback_url", config.callback_url, "webhooks do not come"


def _of_rooms(config: "TavusConfig") -> Iterator[tuple[str, str, str]]:
    if config.transport == "livekit":
        lost = "the face does not come"
        if config.livekit_avatar_url:
            yield "livekit_avatar_url", config.livekit_avatar_url, lost
        else:
            yield "livekit_url", config.livekit_url, lost


def _of_layers(config: "TavusConfig") -> Iterator[tuple[str, str, str]]:
    """A language model of one's own, of a persona that is made."""
    llm = config.persona.layers.get("llm")
    value = llm.get("base_url") if isinstance(llm, dict) else None
    if config.auto_create_persona and isinstance(value, str):
        try:
            urlsplit(value)
        except ValueError:
            return  # which Tavus will say
        yield "persona.layers.llm.base_url", value, "the persona cannot think"


def _stores_by_params(config: "TavusConfig") -> bool:
    inner = config.params.get("properties", {})
    return any(str(name).startswith("recording_") for name in inner)


def _is_private(url: SplitResult) -> bool:
    """Whether the internet cannot reach a host of that name."""
    host = (url.hostname or "").rstrip(".")
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or _is_of(host, _PRIVATE_NAMES)


def _is_of(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == one or host.endswith(f".{one}") for one in domains)
