#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The HTTP side of Tavus conversations, as an extension of a TEN graph.

An exception that leaves a TEN callback kills the worker process and every
extension in it, so each callback is guarded, here and once.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib.util
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from ten_ai_base.const import LOG_CATEGORY_KEY_POINT
from ten_ai_base.message import ModuleError, ModuleErrorCode, ModuleType
from ten_runtime import (
    AsyncExtension,
    AsyncTenEnv,
    Cmd,
    CmdResult,
    Data,
    StatusCode,
)

from .answers import Refusal
from .config import ConfigError, HttpConfig
from .page import PageError, load_page
from .room_graphs import RoomGraphError, RoomTemplate, load_template
from .server import CannotListenError, listen
from .service import HttpService
from .ten_graph import TenGraph, TenRoomGraphs, clean, to_json


def _guarded(callback: Callable[..., Awaitable[None]]) -> Any:
    """Keeps what goes wrong in a callback from killing the worker."""

    @functools.wraps(callback)
    async def guard(
        self: TavusHttpExtension, ten_env: AsyncTenEnv, *args: Any
    ) -> None:
        try:
            await callback(self, ten_env, *args)
        # pylint: disable-next=broad-exception-caught
        except (Exception, asyncio.CancelledError) as problem:
            ten_env.log_error(clean(f"{callback.__name__}: {problem!r}"))

    return guard


class TavusHttpExtension(AsyncExtension):
    """Tavus conversations over HTTP; see README.md."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._service: HttpService | None = None
        self._problem: Exception | None = None
        self._template: RoomTemplate | None = None

    @_guarded
    async def on_init(self, ten_env: AsyncTenEnv) -> None:
        # The port is open when this is done; on_start begins to answer.
        try:
            config = await _config(ten_env)
            page = await load_page(config.page_dir)
            self._template = await _template(config)
            sock = await listen(config.host, config.port)
        except (
            ConfigError,
            PageError,
            RoomGraphError,
            CannotListenError,
        ) as problem:
            self._problem = problem
            return

        def warn(text: str) -> None:
            ten_env.log_warn(clean(config.without_secrets(text)))

        def complain(text: str) -> None:
            ten_env.log_error(clean(config.without_secrets(text)))

        for warning in config.warnings:
            warn(warning)
        # Making the routes takes some 50 ms, which others' audio has not.
        self._service = await asyncio.to_thread(
            _make_service,
            TenGraph(ten_env),
            sock,
            config,
            page,
            TenRoomGraphs(ten_env),
            self._template,
            warn=warn,
            complain=complain,
        )
        ten_env.log_info(
            f"listening on {self._service.url}",
            category=LOG_CATEGORY_KEY_POINT,
        )
        if not config.is_local and not config.auth_token:
            warn(
                f"host {config.host} lets other machines start conversations "
                "that are billed; set auth_token (TAVUS_HTTP_TOKEN), or put a "
                "proxy with a login in front (docs/deploy.md)"
            )

    @_guarded
    async def on_start(self, ten_env: AsyncTenEnv) -> None:
        if self._service is not None:
            await self._service.start()
            await self._report_rooms(ten_env)
        elif self._problem is not None:
            ten_env.log_error(clean(str(self._problem)))
            await _report(
                ten_env,
                ModuleErrorCode.FATAL_ERROR,
                "config",
                str(self._problem),
            )

    async def _report_rooms(self, ten_env: AsyncTenEnv) -> None:
        """Says that no room can start; what else there is works."""
        if self._template is None:
            return
        problem = await asyncio.to_thread(self._template.problem)
        if problem:
            text = f"livekit_graph: no room can start: {problem}"
            ten_env.log_error(clean(text))
            await _report(
                ten_env, ModuleErrorCode.NON_FATAL_ERROR, "config", text
            )

    @_guarded
    async def on_stop(self, _ten_env: AsyncTenEnv) -> None:
        if self._service is not None:
            await self._service.stop()
            gc.unfreeze()

    @_guarded
    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        # Without an answer the sender would wait for three minutes.
        result = CmdResult.create(StatusCode.ERROR, cmd)
        detail = f"tavus_http_python takes no commands, not {cmd.get_name()}"
        result.set_property_from_json(
            None, to_json({"detail": detail, "kind": "validation"})
        )
        await ten_env.return_result(result)

    @_guarded
    async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
        # Nothing is awaited before it is handed over, so events keep their
        # order.
        service, name = self._service, data.get_name()
        if service is None or name == "metrics":  # of which there are many
            return
        text, problem = data.get_property_to_json(None)
        content = json.loads(text) if problem is None and text else {}
        if name != "tavus_interaction":
            service.publish(name, content)
            return
        try:
            service.interact(content)
        except Refusal as refusal:
            ten_env.log_warn(clean(refusal.detail))
            await _report(
                ten_env,
                ModuleErrorCode.NON_FATAL_ERROR,
                refusal.kind,
                refusal.detail,
            )


def _make_service(*args: Any, **kwargs: Any) -> HttpService:
    """Makes the service, and spares the worker to look through it again.

    Routes and models are some 100,000 objects that stay. As long as the
    garbage collector minds them, it stops every loop of the process for
    about 100 ms whenever enough others have come.
    """
    service = HttpService(*args, **kwargs)
    gc.collect()
    gc.freeze()
    return service


async def _config(ten_env: AsyncTenEnv) -> HttpConfig:
    text, problem = await ten_env.get_property_to_json(None)
    if problem is not None:
        raise ConfigError(f"tavus_http: properties cannot be read; {problem}")
    return HttpConfig.load(json.loads(text or "{}"))


async def _template(config: HttpConfig) -> RoomTemplate | None:
    if config.livekit is None:
        return None
    if importlib.util.find_spec("livekit.api") is None:
        raise ConfigError(
            "livekit_graph: rooms need the package livekit-api; pip install "
            "-r requirements-livekit.txt"
        )
    return await load_template(config.livekit.graph)


async def _report(
    ten_env: AsyncTenEnv, code: ModuleErrorCode, kind: str, message: str
) -> None:
    error = ModuleError(
        id=uuid.uuid4().hex,
        module=ModuleType.AVATAR,
        code=int(code.value),
        message=message,
        metadata={"kind": kind},
    )
    data = Data.create("error")
    data.set_property_from_json(None, to_json(error.model_dump(mode="json")))
    await ten_env.send_data(data)
