#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Reads properties one by one, and keeps what is wrong with them."""

from __future__ import annotations

import difflib
import ipaddress
import json
import math
import re
from collections.abc import Collection, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any

Network = IPv4Network | IPv6Network

# TEN's own, and not a property of ours.
_RESERVED = "ten"
# What no message shows of a value: passwords and queries of URLs, and tokens.
_USERINFO = re.compile(r"://[^\s/?#\"]+@")
_QUERY = re.compile(r"(://[^\s?#\"]*[?#])[^\"]+")
_JWT = re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}")
_LIMIT = re.compile(r"[1-9]\d{0,8}/(?:second|minute|hour|day)")


class Values:
    """The properties of a node.

    Args:
        properties: The values by name; numbers and lists also as text,
            because ``${env:...}`` always gives text; ``""`` is not set.
    """

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._properties = properties
        self.problems: list[str] = []

    def unknown(self, known: Collection[str]) -> list[str]:
        """The properties that there are not, one line each."""
        lines = []
        for name in self._properties:
            if name not in known and name != _RESERVED:
                near = difflib.get_close_matches(name, known, n=1)
                meant = f"did you mean {near[0]}?" if near else "see README.md"
                lines.append(f"{_shown(name)}: unknown property; {meant}")
        return lines

    def text(self, name: str, default: str, what: str, example: str) -> str:
        value = self._get(name)
        if not isinstance(value, str):
            self._bad(name, f"is not text; write {what} such as {example}")
            return default
        return value or default

    def secret(self, name: str, form: re.Pattern[str], what: str) -> str:
        value = self._get(name)
        if value == "" or (isinstance(value, str) and form.fullmatch(value)):
            return value
        # What is wrong with it is not shown: it may be nearly right.
        self.problems.append(f"{name}: cannot be used; write {what}")
        return ""

    def port(self, name: str, default: int) -> int:
        number = self._number(name, default)
        if number is None or number != int(number) or not 0 <= number <= 65535:
            self._bad(
                name,
                "is no port; write a whole number from 0 (any free port) to "
                "65535",
            )
            return 0
        return int(number)

    def seconds(
        self, name: str, default: float, least: float, most: float, why: str
    ) -> float:
        number = self._number(name, default)
        if number is None or not least <= number <= most:
            self._bad(
                name,
                f"is no number from {least:g} to {most:g}; write seconds{why}",
            )
            return least
        return number

    def url(self, name: str, form: re.Pattern[str], example: str) -> str:
        value = self._get(name)
        if value == "" or (isinstance(value, str) and form.fullmatch(value)):
            return value
        self._bad(name, f"is no URL such as {example}")
        return ""

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        number = self._number(name, default)
        if (
            number is None
            or number != int(number)
            or not (least <= number <= most)
        ):
            self._bad(name, f"is no whole number from {least} to {most}")
            return least
        return int(number)

    def flag(self, name: str) -> bool:
        value = self._get(name)
        text = value.lower() if isinstance(value, str) else value
        if text in (True, "true"):
            return True
        if text not in (False, "", "false"):
            self._bad(name, "is neither true nor false")
        return False

    def limit(self, name: str, default: str) -> str:
        value = self._get(name)
        if value == "":
            return default
        if isinstance(value, str):
            value = value.replace(" ", "").lower()
            if value == "off" or _LIMIT.fullmatch(value):
                return value
        self._bad(
            name,
            'is no limit; write "10/minute" (or per second, hour, day), or '
            '"off"',
        )
        return default

    def origins(self, name: str, form: re.Pattern[str]) -> tuple[str, ...]:
        found = []
        for item in self._list(name):
            origin = item.lower().removesuffix("/")
            if form.fullmatch(origin):
                found.append(origin)
            else:
                self.problems.append(
                    f"{name}: {_shown(item)} is no origin; write scheme, host "
                    "and port alone, such as https://app.example.com"
                )
        return tuple(found)

    def networks(self, name: str) -> tuple[Network, ...]:
        found = []
        for item in self._list(name):
            try:
                found.append(ipaddress.ip_network(item, strict=False))
            except ValueError:
                self.problems.append(
                    f"{name}: {_shown(item)} is no address; write addresses "
                    "or networks, such as 127.0.0.1 or 10.0.0.0/8"
                )
        return tuple(found)

    def _list(self, name: str) -> list[str]:
        value = self._get(name)
        if isinstance(value, str):
            value = value.split(",")
        if isinstance(value, list) and all(
            isinstance(item, str) for item in value
        ):
            return [item.strip() for item in value if item.strip()]
        self._bad(name, "is no list of texts, and no text with commas")
        return []

    def _get(self, name: str) -> Any:
        value = self._properties.get(name, "")
        return value.strip() if isinstance(value, str) else value

    def _number(self, name: str, default: float) -> float | None:
        """The number, the default where it is not set, None if it is none."""
        value = self._get(name)
        if isinstance(value, str):
            if not value:
                return default
            try:
                value = float(value)
            except ValueError:
                return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None

    def _bad(self, name: str, why: str) -> None:
        self.problems.append(f"{name}: {_shown(self._properties[name])} {why}")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = _QUERY.sub(r"\1***", _USERINFO.sub("://***@", text))
    return _JWT.sub("***", text)[:40]
