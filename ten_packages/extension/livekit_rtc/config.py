#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Every property of the extension, and its checks."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ConfigError, redact

_URL = re.compile(r"(wss?|https?)://[^\s/?#@]+(/[^\s?#@]*)?")
_KEY = re.compile(r"[!-~]{1,512}")
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
_TRUE = (True, 1, "true", "1", "yes", "on")
_FALSE = (False, 0, "false", "0", "no", "off")
_RATES_HZ = (8000, 16_000, 24_000, 32_000, 44_100, 48_000)
_NAME_MAX = 256
# tavus_python's: of Tavus's avatar, and of who tells it what to say. Whoever
# joins with one of them throws its owner out.
RESERVED = ("tavus-avatar-agent", "tavus-python")


@dataclass(frozen=True)
class LiveKitConfig:
    """Which room, as whom, and what goes in and out.

    README.md explains each property.
    """

    url: str = ""
    api_key: str = field(default="", repr=False)
    api_secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    room: str = ""
    identity: str = "ten-rtc"
    name: str = ""
    auto_join: bool = True
    count_agents: bool = False
    publish_audio: bool = True
    publish_audio_sample_rate: int = 24_000
    publish_audio_queue_ms: int = 60_000
    publish_video: bool = False
    publish_video_width: int = 1280
    publish_video_height: int = 720
    publish_video_frame_rate: int = 25
    publish_data: bool = True
    subscribe_audio: bool = True
    subscribe_audio_sample_rate: int = 16_000
    subscribe_audio_num_of_channels: int = 1
    subscribe_video: bool = False
    data_topic: str = ""
    text_topics: tuple[str, ...] = ("lk.chat",)
    token_ttl_s: int = 3600
    connect_timeout_s: float = 5.0
    reconnect_timeout_s: float = 120.0
    rejoin_grace_ms: int = 5000

    @classmethod
    def load(cls, properties: Mapping[str, Any]) -> LiveKitConfig:
        """The configuration in a node's properties.

        Args:
            properties: The values by name; numbers, booleans and lists also
                as text, because ``${env:...}`` always gives text; ``""`` is
                not set.

        Raises:
            ConfigError: With every problem.
        """
        values = _Values(properties)
        flags: dict[str, Any] = {
            f.name: values.flag(f.name)
            for f in dataclasses.fields(cls)
            if f.type == "bool"
        }
        whole: dict[str, Any] = {
            name: int(values.number(name, least, most, "a whole number"))
            for name, (least, most) in _WHOLE.items()
        }
        config = cls(
            url=values.url(),
            api_key=values.secret("api_key", _KEY, "the key's name"),
            api_secret=values.secret("api_secret", _KEY, "the key's secret"),
            token=values.token(),
            room=values.text("room") or values.text("channel"),
            identity=values.text("identity") or cls.identity,
            name=values.text("name"),
            data_topic=values.text("data_topic"),
            text_topics=values.texts("text_topics", cls.text_topics),
            publish_audio_sample_rate=values.rate("publish_audio_sample_rate"),
            subscribe_audio_sample_rate=values.rate(
                "subscribe_audio_sample_rate"
            ),
            **flags,
            **whole,
            connect_timeout_s=values.number("connect_timeout_s", 0.5, 60),
            reconnect_timeout_s=values.number("reconnect_timeout_s", 0, 86_400),
        )
        problems = values.problems
        if not values.was_bad("url") and not config.url:
            problems.append(
                "url: is not set; write the server's, such as "
                "wss://name.livekit.cloud (LIVEKIT_URL)"
            )
        if not values.was_bad("token", "api_key", "api_secret") and not (
            config.token or config.can_mint
        ):
            problems.append(
                "api_key, api_secret: are not set; write both "
                "(LIVEKIT_API_KEY, LIVEKIT_API_SECRET), or a token"
            )
        if not values.was_bad("room", "channel") and not (
            config.room or config.token
        ):
            problems.append("room: is not set; write the room's name")
        if config.identity in RESERVED:
            problems.append(
                f"identity: {config.identity!r} is reserved for Tavus's avatar "
                "and who speaks through it; write another"
            )
        if problems:
            raise ConfigError("livekit_rtc: " + " | ".join(problems))
        return config

    @property
    def can_mint(self) -> bool:
        """Whether tokens can be made here."""
        return bool(self.api_key and self.api_secret)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log and no error may show."""
        return self.api_secret, self.token

    def to_str(self) -> str:
        """What is set, as one line of JSON for the log, without secrets."""
        secret = ("api_key", "api_secret", "token")
        values = {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name not in secret and value not in ("", ())
        }
        masked = {name: "***" for name in secret if getattr(self, name)}
        return json.dumps(values | masked, ensure_ascii=False)


_WHOLE = {
    "publish_audio_queue_ms": (100, 600_000),
    "publish_video_width": (16, 7680),
    "publish_video_height": (16, 4320),
    "publish_video_frame_rate": (1, 120),
    "subscribe_audio_num_of_channels": (1, 2),
    "token_ttl_s": (60, 86_400),
    "rejoin_grace_ms": (0, 60_000),
}


class _Values:
    """Reads properties one by one; keeps what is wrong with them."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._properties = properties
        self._bad_names: set[str] = set()
        self.problems: list[str] = []

    def was_bad(self, *names: str) -> bool:
        return not self._bad_names.isdisjoint(names)

    def text(self, name: str) -> str:
        value = self._get(name)
        if type(value) is int:  # a channel may be called 42
            value = str(value)
        if isinstance(value, str) and len(value) <= _NAME_MAX:
            return value
        self._bad(name, f"is no text of at most {_NAME_MAX} characters")
        return ""

    def url(self) -> str:
        value = self._get("url")
        if value == "" or (isinstance(value, str) and _URL.fullmatch(value)):
            return value
        # It is not shown: it may carry a password.
        self._bad_names.add("url")
        self.problems.append(
            "url: cannot be used; write scheme, host and port alone, such as "
            "wss://name.livekit.cloud or ws://127.0.0.1:7880"
        )
        return ""

    def secret(self, name: str, form: re.Pattern[str], what: str) -> str:
        value = self._get(name)
        if value == "" or (isinstance(value, str) and form.fullmatch(value)):
            return value
        # What is wrong with it is not shown: it may be nearly right.
        self._bad_names.add(name)
        self.problems.append(f"{name}: cannot be used; write {what}")
        return ""

    def token(self) -> str:
        has_key = self._get("api_key") and self._get("api_secret")
        token = self._get("token")
        if has_key and isinstance(token, str) and not _JWT.fullmatch(token):
            # TEN's server writes Agora's into nodes named agora_rtc.
            return ""
        return self.secret("token", _JWT, "a token of a LiveKit room")

    def flag(self, name: str) -> bool:
        value = self._get(name)
        if value == "":
            return getattr(LiveKitConfig, name)
        if isinstance(value, str):
            value = value.lower()
        if value in _TRUE:
            return True
        if value not in _FALSE:
            self._bad(name, "is neither true nor false")
        return False

    def number(
        self, name: str, least: float, most: float, kind: str = "a number"
    ) -> float:
        value = self._get(name)
        if value == "":
            return getattr(LiveKitConfig, name)
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        whole = kind == "a number" or number.is_integer()
        if least <= number <= most and whole:
            return number
        self._bad(name, f"is not {kind} from {least:g} to {most:g}")
        return least

    def rate(self, name: str) -> int:
        number = self.number(name, 0, math.inf)
        if number in _RATES_HZ:
            return int(number)
        if not self.was_bad(name):
            rates = ", ".join(map(str, _RATES_HZ))
            self._bad(name, f"is no sample rate; write one of {rates}")
        return _RATES_HZ[0]

    def texts(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._get(name)
        if value in ("", []):
            return default
        if isinstance(value, str):
            value = value.split(",")
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return tuple(dict.fromkeys(v.strip() for v in value if v.strip()))
        self._bad(name, "is no list of texts, and no text with commas")
        return ()

    def _get(self, name: str) -> Any:
        value = self._properties.get(name, "")
        return value.strip() if isinstance(value, str) else value

    def _bad(self, name: str, why: str) -> None:
        self._bad_names.add(name)
        shown = redact(json.dumps(self._properties[name], default=str))[:40]
        self.problems.append(f"{name}: {shown} {why}")
