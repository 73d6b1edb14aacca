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

from ten_ai_base.const import LOG_CATEGORY_KEY_POINT, LOG_CATEGORY_VENDOR
from ten_runtime import (
    AsyncExtension,
    AsyncTenEnv,
    Cmd,
    CmdResult,
    Data,
    StatusCode,
)

from .config import ConfigError, StartOptions, TavusConfig
from .errors import TavusError, TavusValidationError
from .events import Event
from .journal import Journal
from .keeper import ConversationKeeper
from .messages import EVENT, Message, error, messages, spoken
from .tavus_client import TavusClient

# How long a stop waits for commands to be answered after all has ended.
_ANSWERS_S = 0.2
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
            ten_env.log_error(_clean(f"{callback.__name__}: {problem!r}"))

    return cast(Callback, guard)


class TavusExtension(AsyncExtension):
    """A Tavus digital human in a TEN graph; see README.md."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._keeper: ConversationKeeper | None = None
        self._config: TavusConfig | None = None
        self._problem: TavusError | None = None
        self._commands: set[asyncio.Task[Any]] = set()

    @_guarded
    async def on_init(self, ten_env: AsyncTenEnv) -> None:
        # Commands may come as soon as this is done, before on_start.
        text, problem = await ten_env.get_property_to_json(None)
        try:
            if problem is not None:
                raise ConfigError([f"properties: cannot be read; {problem}"])
            config = TavusConfig.load(json.loads(text or "{}"))
        except ConfigError as bad:
            self._problem = _config_error(bad)
            return
        for warning in config.warnings:
            ten_env.log_warn(_clean(warning))
        ten_env.log_info(
            _clean(f"config: {config.to_str()}"),
            category=LOG_CATEGORY_KEY_POINT,
        )
        log = logging.Logger(self.name, logging.DEBUG)
        log.addHandler(_TenHandler(ten_env))

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
        )

    @_guarded
    async def on_start(self, ten_env: AsyncTenEnv) -> None:
        if self._keeper is not None:
            self._keeper.open()
        elif self._problem is not None:
            ten_env.log_error(_clean(str(self._problem)))
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
            ten_env.log_error(_clean(f"{cmd.get_name()}: {problem!r}"))
            answer = {
                "detail": "internal error, see the log",
                "kind": "internal",
            }
        result = CmdResult.create(status, cmd)
        result.set_property_from_json(None, _json(answer))
        await ten_env.return_result(result)

    @_guarded
    async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
        if data.get_name() != EVENT or self._keeper is None:
            return
        try:
            conversation_id, event, source = spoken(_properties(data))
        except ValueError as problem:
            ten_env.log_warn(_clean(f"{EVENT} is dropped: {problem}"))
            return
        if not await self._keeper.heard(conversation_id, event, source):
            ten_env.log_debug(f"{EVENT} of a conversation that is not ours")

    async def _obey(self, cmd: Cmd) -> dict[str, Any]:
        """Does what a command says; returns the properties of its answer."""
        name = cmd.get_name()
        user_id = _string(cmd, "remote_user_id")
        channel = _string(cmd, "channel")
        keeper = self._keeper
        if name == "on_user_joined":
            if keeper is not None:
                keeper.user_joined(user_id, channel or self._channel)
                # The request goes out before the answer is made up.
                await asyncio.sleep(0)
            return {}
        if name == "on_user_left":
            if keeper is not None:
                keeper.user_left(user_id)
            return {}
        if name == "flush":  # for echo transports; Daily interrupts itself
            return {}
        if keeper is None:
            raise self._problem or TavusError("the extension is not ready")
        if name == "start_conversation":
            options = StartOptions.load(
                {"channel": self._channel, **_properties(cmd)}
            )
            made = await keeper.start(options)
            return {
                "conversation_id": made.conversation_id,
                "conversation_url": made.conversation_url,
                "join_url": made.join_url,
            }
        if name == "end_conversation":
            wanted = _string(cmd, "conversation_id")
            ended = await keeper.end(wanted, user_id)
            return {"conversation_id": ",".join(ended)}
        raise TavusValidationError(
            f"unknown command {name!r}",
            hint="README.md lists the commands of this extension",
        )

    @property
    def _channel(self) -> str:
        return self._config.channel if self._config else ""

    async def _tell(self, ten_env: AsyncTenEnv, event: Event) -> None:
        config = self._config
        assert config is not None  # events come from the keeper made of it
        try:
            for message in messages(
                event, config.transport, config.playground_action
            ):
                await _send(ten_env, message)
                # The URL arrives before the rest of it is made up.
                await asyncio.sleep(0)
        except Exception as problem:  # pylint: disable=broad-except
            # A graph that cannot hear us is no reason to end a call.
            ten_env.log_error(_clean(f"cannot tell the graph: {problem!r}"))


class _TenHandler(logging.Handler):
    """Hands our log lines to TEN's log; TEN allows that from any thread."""

    def __init__(self, ten_env: AsyncTenEnv) -> None:
        super().__init__()
        self._ten_env = ten_env

    def emit(self, record: logging.LogRecord) -> None:
        text = _clean(self.format(record))
        if record.levelno >= logging.ERROR:
            self._ten_env.log_error(text, category=LOG_CATEGORY_VENDOR)
        elif record.levelno >= logging.WARNING:
            self._ten_env.log_warn(text, category=LOG_CATEGORY_VENDOR)
        elif record.levelno >= logging.INFO:
            self._ten_env.log_info(text, category=LOG_CATEGORY_VENDOR)
        else:
            self._ten_env.log_debug(text, category=LOG_CATEGORY_VENDOR)


async def _send(ten_env: AsyncTenEnv, message: Message) -> None:
    name, content = message
    data = Data.create(name)
    data.set_property_from_json(None, _json(content))
    problem = await ten_env.send_data(data)
    if problem is not None:
        ten_env.log_warn(_clean(f"cannot send {name}: {problem}"))


def _properties(message: Cmd | Data) -> dict[str, Any]:
    text, problem = message.get_property_to_json(None)
    properties = json.loads(text) if problem is None and text else {}
    return properties if isinstance(properties, dict) else {}


def _string(cmd: Cmd, name: str) -> str:
    value, problem = cmd.get_property_string(name)
    return value if problem is None else ""


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
    return _clean(json.dumps(content, ensure_ascii=False))


def _clean(text: str) -> str:
    """Without what makes TEN's setters and log calls raise."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
