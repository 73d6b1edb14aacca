#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What bench/http_api.py measures between the two: HTTP and messages alone.

A TEN app whose graph answers create and end with the same messages as the
graph of examples/tavus, and has nothing else of it: no limits, owners, models,
streams, drivers or journal. What this costs, no API in a TEN graph can save.
"""

import argparse
import asyncio
import contextlib
import json
import secrets
from typing import Any

import uvicorn

# Before the packages, which it puts on the path.
from checkout import ROOT  # noqa: F401  # pylint: disable=unused-import
from http_bare import KEY, LIMITS, NAME, REPLICA
from ten_packages.extension.tavus_python.tavus_client import TavusClient
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

from ten_packages.extension.tavus_http_python.ten_graph import TenGraph

COMMANDS = ["start_conversation", "end_conversation"]
CREATED, METRICS, ENDED = (
    "tavus_conversation_created",
    "metrics",
    "tavus_conversation_ended",
)


class Http(AsyncExtension):
    """Turns two requests into two commands."""

    port = 0

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._graph: TenGraph
        self._server: uvicorn.Server
        self._task: asyncio.Task[None]

    async def on_start(self, ten_env: AsyncTenEnv) -> None:
        self._graph = TenGraph(ten_env)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._serve,
                port=self.port,
                http="httptools",
                interface="asgi3",
                proxy_headers=False,
                lifespan="off",
                log_level="error",
                access_log=False,
            )
        )
        # TEN has its own, and this is not the main thread.
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        self._task = asyncio.create_task(self._server.serve())

    async def on_stop(self, _ten_env: AsyncTenEnv) -> None:
        self._server.should_exit = True
        await self._task

    async def on_data(self, _ten_env: AsyncTenEnv, data: Data) -> None:
        json.loads(data.get_property_to_json(None)[0])

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        answer: dict[str, Any] = {"status": "ok"}
        if scope["method"] == "POST":
            user_id = json.loads((await receive())["body"])["user_id"]
            answer = await self._graph.start({"remote_user_id": user_id})
        elif scope["method"] == "DELETE":
            conversation_id = scope["path"].rpartition("/")[2]
            await self._graph.end(conversation_id)
            answer = {"conversation_id": conversation_id}
        body = json.dumps({"code": "0", "data": answer, "msg": "ok"}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send(
            {"type": "http.response.start", "status": 200, "headers": headers}
        )
        await send({"type": "http.response.body", "body": body})


class Tavus(AsyncExtension):
    """Makes the same two calls of Tavus as the bare handler."""

    base_url = ""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._client = TavusClient(KEY, self.base_url)

    async def on_stop(self, _ten_env: AsyncTenEnv) -> None:
        await self._client.close()

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        asked = json.loads(cmd.get_property_to_json(None)[0])
        if cmd.get_name() == "start_conversation":
            answer = await self._create(asked["remote_user_id"])
            await _tell(ten_env, CREATED, {**answer, "transport": "daily"})
            await _tell(ten_env, METRICS, {"metrics": {}, "metadata": asked})
        else:
            await self._client.end_conversation(asked["conversation_id"])
            answer = {"conversation_id": asked["conversation_id"]}
            await _tell(ten_env, ENDED, {**answer, "reason": "", "channel": ""})
        result = CmdResult.create(StatusCode.OK, cmd)
        result.set_property_from_json(None, json.dumps(answer))
        await ten_env.return_result(result)

    async def _create(self, user_id: str) -> dict[str, str]:
        made = await self._client.create_conversation(
            {
                "replica_id": REPLICA,
                "conversation_name": f"{NAME}-{secrets.token_hex(8)}",
                "properties": LIMITS,
            }
        )
        return {
            "conversation_id": made.conversation_id,
            "conversation_url": made.conversation_url,
            "join_url": made.join_url,
            "user_id": user_id,
        }


async def _tell(
    ten_env: AsyncTenEnv, name: str, content: dict[str, Any]
) -> None:
    data = Data.create(name)
    data.set_property_from_json(None, json.dumps(content))
    await ten_env.send_data(data)


@register_addon_as_extension("bench_http")
class HttpAddon(Addon):
    def on_create_instance(
        self, ten_env: TenEnv, name: str, context: object
    ) -> None:
        ten_env.on_create_instance_done(Http(name), context)


@register_addon_as_extension("bench_tavus")
class TavusAddon(Addon):
    def on_create_instance(
        self, ten_env: TenEnv, name: str, context: object
    ) -> None:
        ten_env.on_create_instance_done(Tavus(name), context)


def _node(name: str) -> dict[str, Any]:
    return {
        "type": "extension",
        "name": name,
        "addon": f"bench_{name}",
        "property": {},
    }


def _messages(sender: str, kind: str, names: list[str], to: str) -> Any:
    messages = [{"names": names, "dest": [{"extension": to}]}]
    return {"extension": sender, kind: messages}


class MessagesApp(App):
    """Runs the graph."""

    def on_configure(self, ten_env: TenEnv) -> None:
        graph = {
            "nodes": [_node("http"), _node("tavus")],
            "connections": [
                _messages("http", "cmd", COMMANDS, "tavus"),
                _messages("tavus", "data", [CREATED, METRICS, ENDED], "http"),
            ],
        }
        one = {"name": "messages", "auto_start": True, "graph": graph}
        properties = {"ten": {"predefined_graphs": [one]}}
        ten_env.init_property_from_json(json.dumps(properties))
        ten_env.on_configure_done()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url")
    parser.add_argument("port", type=int)
    args = parser.parse_args()
    Http.port, Tavus.base_url = args.port, args.base_url
    MessagesApp().run(False)
