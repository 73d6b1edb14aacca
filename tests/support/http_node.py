#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""TEN graphs with tavus_http_python in them, and clients of its HTTP API."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import aiohttp
from ten_runtime import (
    AsyncExtensionTester,
    AsyncTenEnvTester,
    Cmd,
    CmdResult,
    Data,
    StatusCode,
)

WAIT_S = 10.0
# Tests are one client that asks much; those of the limits set their own.
UNLIMITED: dict[str, Any] = {
    "host": "",
    "create_limit": "off",
    "request_limit": "off",
    "max_active": 0,
}
Message = tuple[str, dict[str, Any]]
Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Refused(Exception):
    """What a scripted command answers with StatusCode.ERROR."""


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Inbox:
    """Messages in the order of their arrival, to be waited for."""

    def __init__(self, wait_s: float = WAIT_S) -> None:
        self._wait_s = wait_s
        self.messages: list[Message] = []
        self._news = asyncio.Event()

    def add(self, message: Message) -> None:
        self.messages.append(message)
        self._news.set()

    def named(self, name: str) -> list[dict[str, Any]]:
        """What came under a name so far."""
        return [content for said, content in self.messages if said == name]

    async def until(self, come: Callable[[], bool]) -> None:
        """Waits, from message to message, until that is so."""

        async def wait() -> None:
            while not come():
                self._news.clear()
                await self._news.wait()

        await asyncio.wait_for(wait(), self._wait_s)

    async def get(self, name: str, count: int = 1) -> dict[str, Any]:
        """Waits until so many have come under a name; the last of them."""
        await self.until(lambda: len(self.named(name)) >= count)
        return self.named(name)[count - 1]


class _Tester(AsyncExtensionTester):
    """Hands everything over to the loop of the test."""

    def __init__(self, run: "TenRun") -> None:
        super().__init__()
        self.run_of = run

    async def on_start(self, ten_env: AsyncTenEnvTester) -> None:
        # Answered (with ERROR: it takes no commands) after its on_init, and
        # then the port is open.
        await ten_env.send_cmd(Cmd.create("are_you_there"))
        self.run_of.tester_started(ten_env, asyncio.get_running_loop())

    async def on_cmd(self, ten_env: AsyncTenEnvTester, cmd: Cmd) -> None:
        properties = json.loads(cmd.get_property_to_json(None)[0] or "{}")
        status = StatusCode.OK
        try:
            answer = await asyncio.wrap_future(
                asyncio.run_coroutine_threadsafe(
                    self.run_of.obey(cmd.get_name(), properties),
                    self.run_of.loop,
                )
            )
        except Refused as refusal:
            status, answer = StatusCode.ERROR, refusal.args[0]
        except asyncio.CancelledError:
            return
        result = CmdResult.create(status, cmd)
        result.set_property_from_json(None, json.dumps(answer))
        await ten_env.return_result(result)

    async def on_data(self, _ten_env: AsyncTenEnvTester, data: Data) -> None:
        content = json.loads(data.get_property_to_json(None)[0] or "{}")
        self.run_of.loop.call_soon_threadsafe(
            self.run_of.data.add, (data.get_name(), content)
        )


class TenRun:
    """A running graph, whose other side is the test; a context manager.

    ``commands`` and ``data`` are what came to the test; ``answers`` says how
    it answers commands (OK and nothing, if nothing else is said).

    Args:
        properties: Of the HTTP extension alone; the test is its graph.
        graph: A whole graph in place of that.
    """

    def __init__(
        self,
        properties: dict[str, Any] | None = None,
        graph: dict[str, Any] | None = None,
    ) -> None:
        self.port = free_port()
        self.commands = Inbox()
        self.data = Inbox()
        self.answers: dict[str, Answer] = {}
        self.loop = asyncio.get_running_loop()
        self._started: asyncio.Future[
            tuple[AsyncTenEnvTester, asyncio.AbstractEventLoop]
        ] = self.loop.create_future()
        self._tester = _Tester(self)
        self._run: asyncio.Future[Any] | None = None
        self._obeying: set[asyncio.Task[Any]] = set()
        if graph is not None:
            text = json.dumps(graph)
            for port in ('"PORT"', "PORT"):  # alone, and in a URL
                text = text.replace(port, str(self.port))
            self._tester.set_test_mode_graph(text)
        else:
            settings = {**UNLIMITED, "port": self.port, **(properties or {})}
            self._tester.set_test_mode_single(
                "tavus_http_python", json.dumps(settings)
            )

    @property
    def url(self) -> str:
        """Where the HTTP API is."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> "TenRun":
        self._run = asyncio.ensure_future(asyncio.to_thread(self._tester.run))
        await asyncio.wait_for(asyncio.shield(self._started), WAIT_S)
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stops the graph; returns when it has stopped."""
        if self._run is None:
            return
        run, self._run = self._run, None
        ten_env, loop = self._started.result()
        loop.call_soon_threadsafe(ten_env.stop_test)
        error = await asyncio.wait_for(run, WAIT_S)
        for task in self._obeying:
            task.cancel()
        await asyncio.gather(*self._obeying, return_exceptions=True)
        assert error is None, error

    async def send(self, name: str, **content: Any) -> None:
        """Sends a data message to the HTTP extension."""

        async def send() -> None:
            data = Data.create(name)
            data.set_property_from_json(None, json.dumps(content))
            await ten_env.send_data(data)

        ten_env, _ = self._started.result()
        await self._in_tester(send())

    async def command(self, name: str) -> tuple[StatusCode, dict[str, Any]]:
        """Sends a command to the HTTP extension."""

        async def send() -> tuple[StatusCode, dict[str, Any]]:
            result, error = await ten_env.send_cmd(Cmd.create(name))
            assert result is not None, error
            text, _ = result.get_property_to_json(None)
            return result.get_status_code(), json.loads(text)

        ten_env, _ = self._started.result()
        return await self._in_tester(send())

    # Called by the tester, in its thread.

    def tester_started(
        self, ten_env: AsyncTenEnvTester, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.loop.call_soon_threadsafe(
            self._started.set_result, (ten_env, loop)
        )

    async def obey(
        self, name: str, properties: dict[str, Any]
    ) -> dict[str, Any]:
        task = asyncio.current_task()
        assert task is not None
        self._obeying.add(task)
        task.add_done_callback(self._obeying.discard)
        self.commands.add((name, properties))
        answer = self.answers.get(name)
        return await answer(properties) if answer else {}

    async def _in_tester(self, work: Any) -> Any:
        _, loop = self._started.result()
        return await asyncio.wait_for(
            asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop)),
            WAIT_S,
        )


class Browser:
    """A client of the HTTP API; a context manager."""

    def __init__(self, url: str) -> None:
        self._tabs: list[Events] = []
        self.session = aiohttp.ClientSession(
            url,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=WAIT_S),
        )

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        for events in self._tabs:
            events.close()
        await self.session.close()

    async def ask(
        self, method: str, path: str, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        """A request; the status and the JSON of its answer."""
        async with self.session.request(method, path, **options) as response:
            return response.status, await asyncio.wait_for(
                response.json(), WAIT_S
            )

    async def create(self, **body: Any) -> tuple[int, dict[str, Any]]:
        """Asks for a conversation."""
        return await self.ask(
            "POST", "/api/tavus/conversation/create", json=body
        )

    async def end(
        self, conversation_id: str, user_id: str = "u1"
    ) -> tuple[int, dict[str, Any]]:
        """Ends a conversation."""
        return await self.ask(
            "DELETE",
            f"/api/tavus/conversation/{conversation_id}",
            params={"user_id": user_id},
        )

    async def listen(
        self,
        user_id: str = "",
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> "Events":
        """Opens an event stream; its first event is in ``ready``."""
        if user_id:
            query["user_id"] = user_id
        response = await self.session.get(
            "/api/tavus/events", params=query, headers=headers
        )
        assert response.status == 200, await response.text()
        events = Events(response)
        self._tabs.append(events)
        first = await events.next()
        assert first is not None and first[0] == "ready"
        events.ready = first[1]
        return events


class Events:
    """An open event stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.comments = 0
        self.last_id = ""
        self.ready: dict[str, Any] = {}

    async def next(self) -> Message | None:
        """The next event; None when the server has ended the stream."""
        return await asyncio.wait_for(self._next(), WAIT_S)

    async def _next(self) -> Message | None:
        name = ""
        async for line in self.response.content:
            text = line.decode().rstrip("\n")
            if text.startswith(":"):
                self.comments += 1
            elif text.startswith("id: "):
                self.last_id = text[len("id: ") :]
            elif text.startswith("event: "):
                name = text[len("event: ") :]
            elif text.startswith("data: "):
                return name, json.loads(text[len("data: ") :])
        return None

    def close(self) -> None:
        """Goes away, as a closed tab does."""
        self.response.close()
