#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The commands of this extension, and of rooms, sent through TEN."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ten_runtime import (
    AsyncTenEnv,
    Cmd,
    Data,
    Loc,
    StartGraphCmd,
    StatusCode,
    StopGraphCmd,
)

from .graph import GraphError

# What TEN answers for a graph that has stopped (app/msg_interface/common.c).
_NO_GRAPH = "Failed to find the engine"
_ENCODER = json.JSONEncoder(ensure_ascii=False)


class TenGraph:
    """A ``Graph`` that is a TEN graph.

    TEN answers every command in the end, if only with "Path timeout." after
    three minutes; whoever cannot wait so long says so where it calls.

    Args:
        ten_env: Of the extension that sends.
    """

    def __init__(self, ten_env: AsyncTenEnv) -> None:
        self._ten_env = ten_env

    async def start(self, options: Mapping[str, str]) -> dict[str, Any]:
        made = await self._command("start_conversation", options)
        if not made.get("conversation_id"):
            raise GraphError("graph", "start_conversation gave no id")
        return made

    async def end(self, conversation_id: str) -> None:
        await self._command(
            "end_conversation", {"conversation_id": conversation_id}
        )

    async def give_back(self, conversation_id: str) -> bool:
        answer = await self._command(
            "end_conversation",
            {"conversation_id": conversation_id, "if_unused": True},
        )
        return answer.get("conversation_id") == conversation_id

    async def joined(self, user_id: str, channel: str) -> None:
        await self._command("on_user_joined", _who(user_id, channel))

    async def left(self, user_id: str, channel: str) -> None:
        await self._command("on_user_left", _who(user_id, channel))

    async def event(self, content: Mapping[str, str]) -> None:
        data = Data.create("tavus_event")
        data.set_property_from_json(None, to_json(content))
        problem = await self._ten_env.send_data(data)
        if problem is not None:
            raise GraphError(
                "graph", f"tavus_event could not be sent: {problem}"
            )

    async def _command(
        self, name: str, properties: Mapping[str, Any]
    ) -> dict[str, Any]:
        cmd = Cmd.create(name)
        cmd.set_property_from_json(None, to_json(properties))
        return await _answer_of(
            self._ten_env,
            cmd,
            name,
            "connect it to the tavus_python node in the graph",
        )


class TenRoomGraphs:
    """``RoomGraphs`` that are TEN graphs of this app.

    Args:
        ten_env: Of the extension that starts them.
    """

    def __init__(self, ten_env: AsyncTenEnv) -> None:
        self._ten_env = ten_env

    async def start(self, graph: str) -> str:
        cmd = StartGraphCmd.create()
        # One that TEN does not take would not be answered either.
        if not cmd.set_graph_from_json(clean(graph)):
            raise GraphError("graph", "TEN does not take it; see TEN's log")
        graph_id = (await self._ask_app(cmd, "start_graph")).get("graph_id")
        if not isinstance(graph_id, str) or not graph_id:
            raise GraphError("graph", "start_graph gave no id")
        return graph_id

    async def stop(self, graph_id: str) -> None:
        cmd = StopGraphCmd.create()
        cmd.set_graph_id(graph_id)
        try:
            await self._ask_app(cmd, "stop_graph")
        except GraphError as error:
            if not error.detail.startswith(_NO_GRAPH):
                raise

    async def _ask_app(self, cmd: Cmd, name: str) -> dict[str, Any]:
        cmd.set_dests([Loc("")])
        return await _answer_of(self._ten_env, cmd, name, "see TEN's log")


async def _answer_of(
    ten_env: AsyncTenEnv, cmd: Cmd, name: str, advice: str
) -> dict[str, Any]:
    """Sends a command; the properties of its result, which is OK."""
    result, problem = await ten_env.send_cmd(cmd)
    if problem is not None or result is None:
        raise GraphError(
            "graph", f"{name} could not be sent: {problem} - {advice}"
        )
    text, problem = result.get_property_to_json(None)
    answer = json.loads(text) if problem is None and text else {}
    if result.get_status_code() != StatusCode.OK:
        raise GraphError(
            str(answer.get("kind", "graph")),
            str(answer.get("detail", f"{name} failed without a reason")),
        )
    return answer


def _who(user_id: str, channel: str) -> dict[str, str]:
    return {"remote_user_id": user_id, "channel": channel}


def to_json(content: Mapping[str, Any]) -> str:
    """JSON that TEN's setters take."""
    return clean(_ENCODER.encode(content))


def clean(text: str) -> str:
    """Without what makes TEN's setters and log calls raise."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
