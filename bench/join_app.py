#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The TEN app that bench/join.py measures, and what is measured beside it."""

import asyncio
import json
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import checkout  # noqa: F401 pylint: disable=unused-import
from ten_runtime import (
    Addon,
    App,
    AsyncExtension,
    AsyncTenEnv,
    Cmd,
    CmdResult,
    Data,
    StatusCode,
    TenEnv,
    register_addon_as_extension,
)

KEY = "bench-key-0123456789"
REPLICA = "r9d30b0e55ac"
LONGEST_S = 120.0
# Tavus's own timers must not tidy up what is counted here.
LIMITS = {
    "max_call_duration": 3600,
    "participant_left_timeout": 30,
    "participant_absent_timeout": 86_400,
}
JOINED = "on_user_joined"
LEFT = "on_user_left"
CREATED = "tavus_conversation_created"
ENDED = "tavus_conversation_ended"
PING = "ping"
PONG = "pong"
ONLY_POST = "only_post"
POSTED = "posted"
ONLY_END = "only_end"


class Probe(AsyncExtension):
    """Runs a measurement: sends messages and notes when others are here."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._heard: dict[tuple[str, str], asyncio.Future[float]] = {}
        self._task: asyncio.Task[None] | None = None
        self._ten_env: AsyncTenEnv | None = None

    async def on_start(self, ten_env: AsyncTenEnv) -> None:
        self._ten_env = ten_env
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            await asyncio.wait_for(BenchApp.current.measure(self), LONGEST_S)
        except BaseException as failure:  # pylint: disable=broad-except
            BenchApp.current.failure = failure
        BenchApp.current.close()

    async def on_data(self, _ten_env: AsyncTenEnv, data: Data) -> None:
        now = time.perf_counter()
        user, _ = data.get_property_string("remote_user_id")
        waiting = self._heard.pop((data.get_name(), user), None)
        if waiting is not None:
            waiting.set_result(now)

    def arrival(self, name: str, user: str) -> "asyncio.Future[float]":
        """When, by perf_counter, the next data of that name is here."""
        waiting = asyncio.get_running_loop().create_future()
        self._heard[name, user] = waiting
        return waiting

    async def command(self, name: str, user: str) -> float:
        """Sends a command; returns when it was about to be sent."""
        began = time.perf_counter()
        assert self._ten_env
        cmd = Cmd.create(name)
        cmd.set_property_string("remote_user_id", user)
        result, problem = await self._ten_env.send_cmd(cmd)
        if result is None or result.get_status_code() != StatusCode.OK:
            raise RuntimeError(f"{name} failed: {problem}")
        return began

    async def join(self, user: str) -> float:
        """A user joins; returns the ms until the conversation is known."""
        began, at = await asyncio.gather(
            self.command(JOINED, user), self.arrival(CREATED, user)
        )
        return (at - began) * 1000

    async def only_post(self, user: str) -> float:
        """As ``join``, by the extension that posts and does nothing else."""
        began, at = await asyncio.gather(
            self.command(ONLY_POST, user), self.arrival(POSTED, user)
        )
        await self.command(ONLY_END, user)
        return (at - began) * 1000

    async def leave(self, user: str) -> None:
        """A user leaves; returns when the conversation is over."""
        await asyncio.gather(
            self.command(LEFT, user), self.arrival(ENDED, user)
        )

    async def ping_data(self, user: str) -> float:
        """Sends data to the echo; returns the ms until it is back."""
        assert self._ten_env
        began = time.perf_counter()
        data = Data.create(PING)
        data.set_property_string("remote_user_id", user)
        await self._ten_env.send_data(data)
        return (await self.arrival(PONG, user) - began) * 1000


class Echo(AsyncExtension):
    """Answers commands and sends data back: what a hop alone costs."""

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

    async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
        user, _ = data.get_property_string("remote_user_id")
        back = Data.create(PONG)
        back.set_property_string("remote_user_id", user)
        await ten_env.send_data(back)


class Bare:
    """Creates and ends with aiohttp and nothing else."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._url = f"{base_url}/conversations"

    async def create(self) -> tuple[dict[str, str], float]:
        """Creates a conversation; Tavus's answer, and the ms it took."""
        body = {
            "replica_id": REPLICA,
            "conversation_name": f"ten-{secrets.token_hex(8)}",
            "properties": LIMITS,
        }
        began = time.perf_counter()
        async with self._session.post(self._url, json=body) as reply:
            made = await reply.json()
        return made, (time.perf_counter() - began) * 1000

    async def end(self, conversation_id: str) -> None:
        url = f"{self._url}/{conversation_id}/end"
        async with self._session.post(url) as reply:
            await reply.read()


class Minimal(AsyncExtension):
    """Answers, posts, tells; what any extension that asks Tavus has to do."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._session: aiohttp.ClientSession
        self._bare: Bare
        self._made: dict[str, dict[str, str]] = {}

    async def on_init(self, ten_env: AsyncTenEnv) -> None:
        base_url, _ = await ten_env.get_property_string("base_url")
        self._session = aiohttp.ClientSession(headers={"x-api-key": KEY})
        self._bare = Bare(self._session, base_url)

    async def on_stop(self, _ten_env: AsyncTenEnv) -> None:
        await self._session.close()

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        name = cmd.get_name()
        user = json.loads(cmd.get_property_to_json(None)[0])["remote_user_id"]
        if name == ONLY_END:
            await self._bare.end(self._made.pop(user)["conversation_id"])
        await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))
        if name == ONLY_POST:
            made, _ = await self._bare.create()
            self._made[user] = made
            url = made["conversation_url"]
            content = {
                "conversation_id": made["conversation_id"],
                "conversation_url": url,
                "join_url": url,
                "transport": "daily",
                "remote_user_id": user,
                "channel": "",
            }
            data = Data.create(POSTED)
            data.set_property_from_json(None, json.dumps(content))
            await ten_env.send_data(data)


class BenchApp(App):
    """Runs one measurement in a graph of probe, echo and both extensions.

    Args:
        measure: The measurement; a process has one app and so one of these.
        properties: Of the extension.
    """

    current: "BenchApp"

    # By name only: TEN aborts at positional arguments of an App.
    def __init__(
        self,
        *,
        measure: Callable[[Probe], Awaitable[None]],
        properties: dict[str, Any],
    ) -> None:
        super().__init__()
        self.measure = measure
        self.failure: BaseException | None = None
        self._properties = properties
        BenchApp.current = self

    def on_configure(self, ten_env: TenEnv) -> None:
        nodes = [
            _node("probe", "bench_probe"),
            _node("echo", "bench_echo"),
            _node("tavus", "tavus_python", self._properties),
            _node(
                "minimal",
                "bench_minimal",
                {"base_url": self._properties["base_url"]},
            ),
        ]
        connections = [
            {
                "extension": "probe",
                "cmd": [
                    _to("tavus", JOINED, LEFT),
                    _to("minimal", ONLY_POST, ONLY_END),
                    _to("echo", PING),
                ],
                "data": [_to("echo", PING)],
            },
            {"extension": "echo", "data": [_to("probe", PONG)]},
            {"extension": "minimal", "data": [_to("probe", POSTED)]},
            {
                "extension": "tavus",
                "data": [_to("probe", CREATED, ENDED, "metrics", "error")],
            },
        ]
        graph = {"nodes": nodes, "connections": connections}
        predefined = [{"name": "bench", "auto_start": True, "graph": graph}]
        ten_env.init_property_from_json(
            json.dumps({"ten": {"predefined_graphs": predefined}})
        )
        ten_env.on_configure_done()

    @classmethod
    def play(
        cls, measure: Callable[[Probe], Awaitable[None]], base_url: str
    ) -> None:
        """Runs a measurement and raises what it raised."""
        with tempfile.TemporaryDirectory(prefix="bench-join-") as folder:
            app = cls(
                measure=measure,
                properties={
                    "tavus_api_key": KEY,
                    "base_url": base_url,
                    "replica_id": REPLICA,
                    "conversation_scope": "user",
                    "leave_grace_ms": 0,
                    "participant_absent_timeout": 86_400,
                    "journal_dir": folder,
                },
            )
            app.run(False)
            if app.failure:
                raise app.failure
            if left := [*Path(folder).iterdir()]:
                raise RuntimeError(f"the journal still has {left}")


def _node(
    name: str, addon: str, properties: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "type": "extension",
        "name": name,
        "addon": addon,
        "extension_group": "bench",
        "property": properties or {},
    }


def _to(extension: str, *names: str) -> dict[str, Any]:
    return {"names": [*names], "dest": [{"extension": extension}]}


class _BenchAddon(Addon):
    makes: type[AsyncExtension]

    def on_create_instance(
        self, ten_env: TenEnv, name: str, context: object
    ) -> None:
        ten_env.on_create_instance_done(self.makes(name), context)


@register_addon_as_extension("bench_probe")
class ProbeAddon(_BenchAddon):
    """Makes the probe."""

    makes = Probe


@register_addon_as_extension("bench_echo")
class EchoAddon(_BenchAddon):
    """Makes the echo."""

    makes = Echo


@register_addon_as_extension("bench_minimal")
class MinimalAddon(_BenchAddon):
    """Makes the extension that only posts."""

    makes = Minimal
