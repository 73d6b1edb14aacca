#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""TEN messages in, TEN messages out; no HTTP and no policy here.

An exception that leaves a TEN callback kills the worker process and every
extension in it, so each callback is guarded, here and once.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from ten_ai_base.const import LOG_CATEGORY_KEY_POINT
from ten_runtime import (
    AsyncExtension,
    AsyncTenEnv,
    AudioFrame,
    Cmd,
    CmdResult,
    Data,
    StatusCode,
)

from .config import ConfigError, EndOptions, StartOptions, TavusConfig
from .errors import TavusError, TavusValidationError
from .events import Created, Event
from .frames import (
    audio_frame_of,
    video_frame_of,
)
from .journal import Journal
from .keeper import ConversationKeeper
from .messages import (
    EVENT,
    TTS_END,
    TTS_START,
    Message,
    error,
    messages,
    spoken,
    text_in,
)
from .tavus_client import TavusClient
from .ten_log import TenHandler, clean, log_line
from .transports import Media, Sound, transport_of
from .tts import TtsInput

# How long a stop waits for commands to be answered after all has ended.
_ANSWERS_S = 0.2
_REST_S = 0.002
# TEN kills the process for a cancellation that leaves a callback, too.
_ANYTHING = (Exception, asyncio.CancelledError)

Callback = TypeVar("Callback", bound=Callable[..., Any])


def _guarded(callback: Callback) -> Callback:
    """Keeps what goes wrong in a callback from killing the worker."""

    @functools.wraps(callback)
    async def guard(
        self: TavusExtension, ten_env: AsyncTenEnv, *args: Any
    ) -> None:
        try:
            await callback(self, ten_env, *args)
        except _ANYTHING as problem:  # pylint: disable=broad-except
            ten_env.log_error(self.line(f"{callback.__name__}: {problem!r}"))

    return cast(Callback, guard)


class TavusExtension(AsyncExtension):
    """A Tavus digital human in a TEN graph; see README.md."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._keeper: ConversationKeeper | None = None
        self._config: TavusConfig | None = None
        self._problem: TavusError | None = None
        self._commands: set[asyncio.Task[Any]] = set()
        self._tts: TtsInput | None = None

    def line(self, text: str) -> str:
        """A text as the log may show it."""
        return log_line(text, *(self._config.secrets if self._config else ()))

    @_guarded
    async def on_init(self, ten_env: AsyncTenEnv) -> None:
        # Commands may come as soon as this is done, before on_start.
        text, problem = await ten_env.get_property_to_json(None)
        try:
            if problem is not None:
                raise ConfigError([f"properties: cannot be read; {problem}"])
            config = TavusConfig.load(json.loads(text or "{}"))
            log = logging.Logger(self.name, logging.DEBUG)
            log.addHandler(TenHandler(ten_env, *config.secrets))

            async def show(media: Media) -> None:
                await self._show(ten_env, media)

            # It may load a native library: not on the loop of all extensions.
            transport = await asyncio.to_thread(transport_of, config, show, log)
        except ConfigError as bad:
            self._problem = _config_error(bad)
            return
        for warning in config.warnings:
            ten_env.log_warn(clean(warning))
        ten_env.log_info(
            clean(f"config: {config.to_str()}"),
            category=LOG_CATEGORY_KEY_POINT,
        )

        async def tell(event: Event) -> None:
            await self._tell(ten_env, event)

        self._config = config
        self._keeper = ConversationKeeper(
            config,
            TavusClient(
                config.tavus_api_key.get_secret_value(),
                config.base_url,
                timeout_s=config.request_timeout_s,
                connect_timeout_s=config.connect_timeout_s,
            ),
            Journal(config.journal_path(), log),
            tell,
            log,
            transport,
        )
        if transport.voice is not None:
            self._tts = TtsInput(transport.voice)

    @_guarded
    async def on_start(self, ten_env: AsyncTenEnv) -> None:
        if self._keeper is not None:
            self._keeper.open()
        elif self._problem is not None:
            ten_env.log_error(self.line(str(self._problem)))
            await _send(ten_env, error(self._problem, {}))

    @_guarded
    async def on_stop(self, ten_env: AsyncTenEnv) -> None:
        ten_env.log_debug("ending what is open")
        if self._keeper is not None:
            await self._keeper.close()
        if self._commands:
            await asyncio.wait(self._commands, timeout=_ANSWERS_S)

    @_guarded
    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._commands.add(task)
            task.add_done_callback(self._commands.discard)
        status = StatusCode.ERROR
        answer: Mapping[str, Any] = {}
        try:
            answer = await self._obey(cmd)
            status = StatusCode.OK
        except TavusError as problem:
            answer = _refusal(problem)
        except ConfigError as problem:
            answer = _refusal(TavusValidationError(str(problem), hint=""))
        except _ANYTHING as problem:  # pylint: disable=broad-except
            ten_env.log_error(self.line(f"{cmd.get_name()}: {problem!r}"))
            answer = {
                "detail": "internal error, see the log",
                "kind": "internal",
            }
        result = CmdResult.create(status, cmd)
        result.set_property_from_json(None, _json(answer))
        await ten_env.return_result(result)

    @_guarded
    async def on_audio_frame(
        self, ten_env: AsyncTenEnv, audio_frame: AudioFrame
    ) -> None:
        if self._tts is None:
            return  # Tavus does the talking
        # Without an await: handlers of other frames would come in between.
        if problem := self._tts.frame(audio_frame):
            await self._complain(ten_env, problem)

    @_guarded
    async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
        if self._keeper is None:
            return
        name, tts = data.get_name(), self._tts
        if tts is not None and name == TTS_START:
            tts.start(_word(data, "request_id"))
        elif tts is not None and name == TTS_END:
            problem = tts.end(
                _word(data, "request_id"),
                _word(data, "reason"),
                _word(data, "request_total_audio_duration_ms"),
            )
            if problem:
                await self._complain(ten_env, problem)
        if name != EVENT:
            return
        try:
            conversation_id, event, source = spoken(_properties(data))
        except ValueError as problem:
            ten_env.log_warn(self.line(f"{EVENT} is dropped: {problem}"))
            return
        if not self._keeper.heard(conversation_id, event, source):
            ten_env.log_debug(f"{EVENT} of a conversation that is not ours")

    async def _obey(self, cmd: Cmd) -> dict[str, Any]:
        """Does what a command says; returns the properties of its answer."""
        name = cmd.get_name()
        # A join or leave that names nobody, or in an odd way, counts too.
        user_id = _word(cmd, "remote_user_id")
        channel = _word(cmd, "channel")
        keeper = self._keeper
        if name == "on_user_joined":
            if keeper is not None:
                keeper.user_joined(user_id, channel)
                # The request goes out before the answer is made up.
                await asyncio.sleep(0)
            return {}
        if name == "on_user_left":
            if keeper is not None:
                keeper.user_left(user_id, channel)
            return {}
        if name == "flush":
            if self._tts is not None:
                self._tts.flush()
            return {}  # Daily interrupts itself
        if keeper is None:
            raise self._problem or TavusError("the extension is not ready")
        if name == "start_conversation":
            made = await keeper.start(StartOptions.load(_properties(cmd)))
            return {
                "conversation_id": made.conversation_id,
                "conversation_url": made.conversation_url,
                "join_url": made.join_url,
            }
        if name == "end_conversation":
            which = EndOptions.load(_properties(cmd))
            ended = await keeper.end(
                which.conversation_id, which.remote_user_id, which.if_unused
            )
            return {"conversation_id": ",".join(ended)}
        raise TavusValidationError(
            f"unknown command {name!r}",
            hint="README.md lists the commands of this extension",
        )

    async def _complain(
        self, ten_env: AsyncTenEnv, problem: TavusError
    ) -> None:
        ten_env.log_error(self.line(str(problem)))
        await _send(ten_env, error(problem, {}))

    async def _show(self, ten_env: AsyncTenEnv, media: Media) -> None:
        if isinstance(media, Sound):
            await ten_env.send_audio_frame(audio_frame_of(media))
        else:
            await ten_env.send_video_frame(video_frame_of(media))

    async def _tell(self, ten_env: AsyncTenEnv, event: Event) -> None:
        config = self._config
        assert config is not None  # events come from the keeper made of it
        try:
            for message in messages(
                event, config.transport, config.playground_action
            ):
                await _send(ten_env, message)
                if isinstance(event, Created):
                    # The URL arrives before the rest is made up. On the native
                    # runtime it goes through threads that wait for this one.
                    await asyncio.sleep(_REST_S)
        except Exception as problem:  # pylint: disable=broad-except
            # A graph that cannot hear us is no reason to end a call.
            ten_env.log_error(self.line(f"cannot tell the graph: {problem!r}"))


async def _send(ten_env: AsyncTenEnv, message: Message) -> None:
    name, content = message
    data = Data.create(name)
    data.set_property_from_json(None, _json(content))
    problem = await ten_env.send_data(data)
    if problem is not None:
        ten_env.log_warn(log_line(f"cannot send {name}: {problem}"))


def _properties(message: Cmd | Data) -> dict[str, Any]:
    text, problem = message.get_property_to_json(None)
    properties = json.loads(text) if problem is None and text else {}
    return properties if isinstance(properties, dict) else {}


def _word(message: Cmd | Data, name: str) -> str:
    """An id or a name, which may be a number; "" where it is none.

    Not by way of JSON: the native runtime ends the process where that would
    hold a number beyond 64 bits.
    """
    for read in (
        message.get_property_string,
        message.get_property_int,
        message.get_property_float,
    ):
        value, problem = read(name)
        if problem is None:
            return text_in({name: value}, name)
    return ""


def _refusal(problem: TavusError) -> dict[str, Any]:
    return {
        "detail": str(problem),
        "kind": problem.kind,
        "status": problem.status,
    }


def _config_error(bad: ConfigError) -> TavusError:
    problem = TavusError(str(bad), hint="docs/properties.md explains each")
    problem.kind = "config"
    return problem


def _json(content: Mapping[str, Any]) -> str:
    return clean(json.dumps(content, ensure_ascii=False))
