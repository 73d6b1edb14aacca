#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Turns raw property values into typed ones, or says what is wrong.

TEN's ``${env:…}`` always yields text, so numbers and booleans arrive as such
or as text. Every function here raises ValueError with "<what is wrong>; <what
to do>"; the caller puts the property's name before it.
"""

import functools
import ipaddress
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator

from .redaction import redact

_SHOWN_MAX = 40
_DEPTH_MAX = 32
_INT_BITS_MAX = 64
_PLACEHOLDER = re.compile(r"\$\{env:\s*(\w{0,60})")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,128}")
# Visible ASCII but the three quotes.
_API_KEY = re.compile(r"[!#-&(-_a-~]{1,512}")
_LINE_MAX = 64
_TRUE = (True, "true", "1", "yes", "on")
_FALSE = (False, "false", "0", "no", "off")


class At(ValueError):
    """A problem inside a value: ``path`` leads there (``.layers[0].x``)."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(problem)
        self.path = path


def shown(value: Any) -> str:
    """A value as an error may show it: at most 40 characters, no secrets."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        huge = value.bit_length() > _INT_BITS_MAX
        return "a huge number" if huge else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        quoted = repr(redact(value))
        if len(quoted) > _SHOWN_MAX:
            quoted = quoted[: _SHOWN_MAX - 2] + "…" + quoted[0]
        return quoted
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a {type(value).__name__}"


def is_blank(value: Any) -> bool:
    """Whether a property's value means "not set"."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value in ([], {})


def check_json(value: Any, path: str = "", depth: int = 0) -> None:
    """Refuse what JSON cannot carry, and placeholders TEN left unresolved.

    Raises:
        At: the first problem.
    """
    if depth > _DEPTH_MAX:
        raise At("", f"is nested deeper than {_DEPTH_MAX} levels; flatten it")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise At(path, f"{shown(key)} is no name; use text for names")
            check_json(item, f"{path}.{_name(key)}", depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_json(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise At(path, f"{value} is not a number JSON has; write a finite one")
    elif isinstance(value, int) and value.bit_length() > _INT_BITS_MAX:
        raise At(path, "is a huge number; write one of at most 64 bits")
    elif value is not None and not isinstance(value, bool | int | float):
        raise At(path, f"{shown(value)} is not JSON; write a JSON value")


def _check_text(value: str, path: str) -> None:
    found = _PLACEHOLDER.search(value)
    if found:
        raise At(
            path,
            f"the placeholder ${{env:{found[1]}}} was not resolved; TEN "
            "resolves it only where it is the whole value, so write it alone "
            "or write the value itself",
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise At(path, "holds a broken character; retype the text") from None


def _name(key: str) -> str:
    return key if key.isidentifier() else shown(key)


def text(value: Any) -> str:
    """Free text, kept as it is."""
    if not isinstance(value, str):
        raise ValueError(
            f"{shown(value)} is not text; write one text in quotes"
        )
    return value


def word(value: Any) -> str:
    """An id or a name: text without surrounding blanks.

    A whole number counts as its digits. Agora's users are numbers, and a
    channel or a persona may be called 42.
    """
    return text(_digits(value)).strip()


def _digits(value: Any) -> Any:
    # JSON does not tell 42.0 from 42.
    if type(value) is float and value.is_integer():
        value = int(value)
    return str(value) if type(value) is int else value


def line(value: Any) -> str:
    """A short name: one printable line of at most 64 characters."""
    value = word(value)
    if len(value) > _LINE_MAX or not value.isprintable():
        raise ValueError(
            f"{shown(value)} is not one printable line of at most {_LINE_MAX} "
            "characters; shorten it"
        )
    return value


def identifier(value: Any) -> str:
    """An id as Tavus gives it: it also enters URL paths."""
    value = word(value)
    if value and not _IDENTIFIER.fullmatch(value):
        raise ValueError(
            f"{shown(value)} is not an id; copy the id from Tavus (letters, "
            "digits, '-' and '_')"
        )
    return value


def api_key(value: Any) -> str:
    """An API key. No error shows it."""
    if not isinstance(value, str):
        raise ValueError("is not text; write the key in quotes")
    value = value.strip()
    if value and not _API_KEY.fullmatch(value):
        raise ValueError(
            "holds blanks, quotes or characters outside ASCII, or is too "
            "long; paste the key alone, without quotes"
        )
    return value


def flag(value: Any) -> bool:
    """A boolean, also as 0, 1 or one of the usual words."""
    said = value.strip().lower() if isinstance(value, str) else value
    # By type: 1 and 1.0 equal True, but only the first is a plain answer.
    if type(said) in (bool, int, str):
        if said in _TRUE:
            return True
        if said in _FALSE:
            return False
    raise ValueError(
        f"{shown(value)} is neither true nor false; write true or false"
    )


def whole(low: int, high: int, hint: str) -> BeforeValidator:
    """A whole number from ``low`` to ``high``; ``hint`` says what to write."""

    def read(value: Any) -> int:
        found = value
        if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
            found = int(value)
        if type(found) is int and low <= found <= high:
            return found
        raise ValueError(
            f"{shown(value)} is not a whole number from {low} to {high}; {hint}"
        )

    return BeforeValidator(read)


def number(low: float, high: float, hint: str) -> BeforeValidator:
    """A number from ``low`` to ``high``; ``hint`` says what to write."""

    def read(value: Any) -> float:
        found = value
        if isinstance(value, str):
            try:
                found = float(value)
            except ValueError:
                found = math.nan
        if type(found) in (int, float) and low <= found <= high:
            return float(found)
        raise ValueError(
            f"{shown(value)} is not a number from {low:g} to {high:g}; {hint}"
        )

    return BeforeValidator(read)


def choice(*allowed: str) -> BeforeValidator:
    """One of a few words, in any case."""

    def read(value: Any) -> str:
        said = value.strip().lower() if isinstance(value, str) else ""
        if said in allowed:
            return said
        words = " or ".join(repr(item) for item in allowed)
        raise ValueError(f"{shown(value)} is no choice here; write {words}")

    return BeforeValidator(read)


def text_list(value: Any) -> list[str]:
    """A list of texts, also as a JSON array or comma separated in one text."""
    items = value
    if isinstance(value, str):
        items = value.split(",")
        if value.lstrip().startswith("["):
            items = parse_json(value)
    if not isinstance(items, list | tuple):
        raise ValueError(
            f'{shown(value)} is not a list; write ["a", "b"] or \'a, b\''
        )
    found = []
    for index, item in enumerate(items):
        try:
            found.append(word(item))
        except ValueError:
            raise At(
                f"[{index}]", f"{shown(item)} is not text; quote it"
            ) from None
    return [item for item in found if item]


def each(read: Callable[[str], str]) -> BeforeValidator:
    """A list of texts, each read by ``read``, without repetitions."""

    def read_all(value: Any) -> list[str]:
        return list(dict.fromkeys(read(item) for item in text_list(value)))

    return BeforeValidator(read_all)


def json_object(value: Any) -> dict[str, Any]:
    """A JSON object, also as JSON text."""
    found = parse_json(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise ValueError(f'{shown(value)} is not an object; write {{"a": 1}}')
    return dict(found)


def parse_json(value: str) -> Any:
    """The value that a JSON text holds. No error shows the text."""
    try:
        found = json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"is not valid JSON at line {error.lineno}, column {error.colno}; "
            "correct it there"
        ) from None
    except (ValueError, RecursionError):
        raise ValueError(
            "is JSON with too large a number or too deep a nesting; simplify it"
        ) from None
    check_json(found)
    return found


def split_url(
    value: Any, schemes: tuple[str, ...] = ("http", "https")
) -> SplitResult:
    """A URL with a host. No error shows its query or userinfo.

    Args:
        value: The property's value.
        schemes: Those it may have; errors name the first, as ``http(s)``,
            and an example of the second.
    """
    value = word(value)
    if re.search(r"[\s\\\x00-\x1f\x7f]", value):
        raise ValueError("holds blanks or backslashes; write a plain URL")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port  # `port` checks the number
    except ValueError:
        raise ValueError(
            f"is not a URL; write {schemes[1]}://host/path"
        ) from None
    if parts.scheme.lower() not in schemes or not host:
        bare = value.split("?")[0].split("#")[0].rsplit("@")[-1]
        article = "an" if schemes[0] == "http" else "a"
        raise ValueError(
            f"{shown(bare)} is not {article} {schemes[0]}(s) URL; write "
            f"{schemes[1]}://host/path"
        )
    return parts


@functools.lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether a host name is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
