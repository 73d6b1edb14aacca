#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A graph hears a call, and steers it, through the page in a browser."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from support.app import REPLICA_JOIN_MS
from support.example import TENAPP, needs_page, needs_setup
from support.http_node import TenRun
from support.places import ROOT
from support.visit import Tab, visit
from support.watched import WatchedSimulator
from tavus_sim import ThreadedSim

pytest_plugins = ["support.app_fixtures"]
pytestmark = [
    needs_setup,
    needs_page,
    pytest.mark.usefixtures("ten_app"),
    pytest.mark.asyncio(loop_scope="session"),
]


def graph_of(
    tavus: dict[str, Any], http: dict[str, Any], *heard: str
) -> dict[str, Any]:
    """The example's graph, and a test that hears and steers.

    Args:
        tavus: Properties of its node.
        http: Properties of its node.
        heard: The messages of tavus that the test hears as well.
    """
    text = (TENAPP / "property.json").read_text()
    content = json.loads(
        text.replace('"extension": "exit"', '"extension": "test"')
    )
    graph = content["ten"]["predefined_graphs"][0]["graph"]
    nodes = {node["name"]: node for node in graph["nodes"]}
    nodes["tavus"]["property"].update(tavus)
    nodes["http"]["property"].update(http)
    # In the place of the node that ends an app which cannot start.
    nodes["exit"]["addon"] = "ten:test_extension"
    nodes["exit"]["name"] = "test"
    to_http = [{"extension": "http"}]
    graph["connections"].append(
        {
            "extension": "test",
            "cmd": [{"name": "are_you_there", "dest": to_http}],
            "data": [{"name": "tavus_interaction", "dest": to_http}],
        }
    )
    for connection in graph["connections"]:
        if connection["extension"] == "tavus":
            connection["data"].append(
                {"names": [*heard], "dest": [{"extension": "test"}]}
            )
    return graph


class Steered:
    """A call of one person, and the graph behind it."""

    def __init__(
        self, tab: Tab, run: TenRun, simulator: WatchedSimulator
    ) -> None:
        self.tab = tab
        self.run = run
        self.simulator = simulator
        self.conversation_id = ""

    def reported(self) -> list[tuple[str, dict[str, Any]]]:
        """The tavus_event data so far: their types, and what is in them."""
        return [
            (one["event_type"], {**one, "event": json.loads(one["event"])})
            for one in self.run.data.named("tavus_event")
        ]

    async def report(self, event_type: str, text: str = "") -> dict[str, Any]:
        """Waits until the graph has heard of that."""

        def found() -> list[dict[str, Any]]:
            return [
                one
                for name, one in self.reported()
                if name == event_type and text in json.dumps(one["event"])
            ]

        await self.run.data.until(lambda: bool(found()))
        return found()[0]

    async def steer(self, event_type: str, **properties: Any) -> None:
        """What another extension of the graph would send."""
        await self.run.send(
            "tavus_interaction",
            event_type=event_type,
            conversation_id=self.conversation_id,
            properties=properties,
        )

    def obeyed(self) -> list[dict[str, Any]]:
        """The app messages that came into the room."""
        kept = self.simulator.conversation(self.conversation_id).interactions
        return [one["message"] for one in kept.kept if one["problem"] is None]

    async def room_got(self, event_type: str) -> dict[str, Any]:
        """Waits until the room has got such an app message."""

        def found() -> list[dict[str, Any]]:
            return [
                one["properties"]
                for one in self.obeyed()
                if one["event_type"] == event_type
            ]

        await self.simulator.until(lambda: bool(found()))
        return found()[0]


@asynccontextmanager
async def call(browser: Browser, journal_dir: Path) -> AsyncIterator[Steered]:
    """One person talks; the test is in the graph."""
    simulator = WatchedSimulator(replica_join_ms=REPLICA_JOIN_MS)
    with ThreadedSim(simulator) as sim:
        tavus = {
            "tavus_api_key": "tvk-0123456789abcdef",
            "base_url": sim.base_url,
            "replica_id": "r9d30b0e55ac",
            "journal_dir": str(journal_dir),
            "leave_grace_ms": 500,
        }
        http = {
            "port": "PORT",
            "page_dir": str(ROOT / "web" / "dist"),
            "frame_origins": simulator.base_url,
        }
        graph = graph_of(tavus, http, "tavus_event")
        async with (
            TenRun(graph=graph) as run,
            visit(browser, run.url) as tab,
        ):
            steered = Steered(tab, run, simulator)
            steered.conversation_id = await tab.calls()
            yield steered


async def test_the_graph_hears_what_is_said(
    browser: Browser, tmp_path: Path
) -> None:
    async with call(browser, tmp_path) as steered:
        await steered.tab.says("The graph can read this")
        report = await steered.report(
            "conversation.utterance", "The graph can read this"
        )
        assert report["source"] == "page"
        assert report["conversation_id"] == steered.conversation_id
        assert report["remote_user_id"].startswith("web-")
        assert report["event"]["properties"]["role"] == "user"
        # New and old events of one moment are one event of the graph.
        await steered.report("conversation.stopped_speaking", '"user"')
        names = [name for name, _ in steered.reported()]
        assert names.count("conversation.utterance") == len(
            {
                one["event"]["seq"]
                for name, one in steered.reported()
                if name == "conversation.utterance"
            }
        )
        assert "conversation.replica.started_speaking" not in names
        assert "conversation.user.started_speaking" not in names


async def test_the_graph_puts_words_into_the_mouth(
    browser: Browser, tmp_path: Path
) -> None:
    async with call(browser, tmp_path) as steered:
        await steered.steer("echo", text="The train leaves at nine")
        properties = await steered.room_got("conversation.echo")
        assert properties["text"] == "The train leaves at nine"
        await steered.tab.hears("The train leaves at nine")
        report = await steered.report(
            "conversation.utterance", "The train leaves at nine"
        )
        assert report["event"]["properties"]["role"] == "replica"


async def test_the_graph_steers_in_every_way(
    browser: Browser, tmp_path: Path
) -> None:
    async with call(browser, tmp_path) as steered:
        wishes: dict[str, dict[str, Any]] = {
            "overwrite_llm_context": {"context": "You sell tea"},
            "append_llm_context": {"context": "It is raining"},
            "sensitivity": {"participant_pause_sensitivity": "high"},
            "respond": {"text": "Hello, how is the weather?"},
            "interrupt": {},
        }
        for name, properties in wishes.items():
            await steered.steer(name, **properties)
        await steered.room_got("conversation.interrupt")
        came = [one["event_type"] for one in steered.obeyed()]
        assert came == [f"conversation.{name}" for name in wishes]
        await steered.tab.hears("Hello, how is the weather?")


async def test_a_tool_is_called_and_answers(
    browser: Browser, tmp_path: Path
) -> None:
    async with call(browser, tmp_path) as steered:
        await steered.tab.says('tool get_weather {"city": "Kyoto"}')
        report = await steered.report("conversation.tool_call")
        tool = report["event"]["properties"]
        assert tool["name"] == "get_weather"
        await steered.steer(
            "tool_result",
            tool_call_id=tool["tool_call_id"],
            output="Sunny in Kyoto",
        )
        properties = await steered.room_got("conversation.tool_result")
        assert properties["output"] == "Sunny in Kyoto"
        await steered.tab.hears("Sunny in Kyoto")


async def test_the_graph_sees_what_perception_saw(
    browser: Browser, tmp_path: Path
) -> None:
    async with call(browser, tmp_path) as steered:
        await steered.tab.says("look")
        report = await steered.report("conversation.perception_tool_call")
        seen = report["event"]["properties"]
        assert seen["arguments"] == {"camera_on": False}
        [frame] = seen["frames"]
        assert len(frame["data"]) > 64 * 1024


async def test_with_two_tabs_the_graph_hears_everything_once(
    browser: Browser, tmp_path: Path
) -> None:
    async with call(browser, tmp_path) as steered:
        second = await steered.tab.page.context.new_page()
        await second.goto(steered.tab.url)
        await expect(second.get_by_role("main")).to_have_attribute(
            "data-state", "live"
        )
        await steered.steer("echo", text="Once only")
        await steered.report("conversation.utterance", "Once only")
        await steered.tab.says("And this is the end")
        await steered.report("conversation.utterance", "And this is the end")
        said = [
            one["event"]["properties"]["speech"]
            for name, one in steered.reported()
            if name == "conversation.utterance"
        ]
        assert said.count("Once only") == 1
        echoes = [
            one
            for one in steered.obeyed()
            if one["event_type"] == "conversation.echo"
        ]
        assert len(echoes) == 1
