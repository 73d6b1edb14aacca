#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What only the stand-in does: it says what it is, and what it lacks."""

import asyncio
import signal
from pathlib import Path

import pytest
import ten_runtime
from probing import run_graph
from small_app import SmallApp
from ten_runtime import (
    AsyncExtension,
    AsyncTenEnv,
    AsyncTenEnvTester,
    Cmd,
    CmdResult,
    Loc,
    StatusCode,
)

pytestmark = pytest.mark.standin


def test_it_can_be_told_from_the_native_runtime():
    assert ten_runtime.IS_STANDIN


def test_an_app_says_once_that_it_is_not_for_production(tmp_path: Path):
    app = SmallApp(tmp_path)
    app.extension(
        "probe", "async def on_start(self, ten_env):\n    close_app()"
    )
    ended = app.run()
    assert ended.err.count("not for production") == 1


@pytest.mark.parametrize("name", ["ExtensionTester", "Value"])
def test_what_it_lacks_is_said_in_a_sentence(name: str):
    with pytest.raises(NotImplementedError, match=f"has no {name}"):
        getattr(ten_runtime, name)


def test_a_subgraph_is_refused_in_a_sentence(tmp_path: Path):
    app = SmallApp(tmp_path)
    app.graph_options = {
        "auto_start": True,
        "graph": {"nodes": [{"type": "subgraph", "name": "sub"}]},
    }
    ended = app.run()
    assert ended.status == 1
    assert "NotImplementedError: The stand-in runs nodes of type" in ended.err


def test_a_testers_unconnected_cmd_crashes_as_natively(tmp_path: Path):
    app = SmallApp(tmp_path)
    (tmp_path / "main.py").write_text(
        "import json\n"
        "from ten_runtime import AsyncExtensionTester, Cmd\n"
        "class Tester(AsyncExtensionTester):\n"
        "    async def on_start(self, ten_env):\n"
        "        await ten_env.send_cmd(Cmd.create('x'))\n"
        "tester = Tester()\n"
        "node = {'type': 'extension', 'name': 'tester',\n"
        "        'addon': 'ten:test_extension'}\n"
        "tester.set_test_mode_graph(json.dumps({'nodes': [node]}))\n"
        "tester.run()\n"
    )
    assert app.run().status == -signal.SIGSEGV


def test_a_callback_still_running_at_the_end_exits_with_1(tmp_path: Path):
    app = SmallApp(tmp_path)
    app.extension(
        "probe",
        """
        async def on_start(self, ten_env):
            data = Data.create("x")
            data.set_dests([Loc("", "", "probe")])
            await ten_env.send_data(data)

        async def on_data(self, ten_env, data):
            close_app()
            await asyncio.Event().wait()
        """,
    )
    assert app.run().status == 1


def test_of_more_than_ten_results_at_once_the_order_is_lost():
    """The native one loses it in some runs, and what came after the last."""
    results: list[int] = []

    class Streaming(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            for n in range(40):
                result = CmdResult.create(StatusCode.OK, cmd)
                result.set_property_int("n", n)
                result.set_final(n == 39)
                await ten_env.return_result(result)
                if n >= 12:  # the rest comes while the first are read
                    await asyncio.sleep(0)

    class Asking(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            sent = Cmd.create("x")
            sent.set_dests([Loc("", "", "streaming")])
            async for result, error in ten_env.send_cmd_ex(sent):
                assert error is None and result is not None
                results.append(result.get_property_int("n")[0])
            await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

    async def piece(ten_env: AsyncTenEnvTester) -> None:
        go = Cmd.create("go")
        go.set_dests([Loc("", "", "asking")])
        await ten_env.send_cmd(go)

    run_graph({"streaming": Streaming, "asking": Asking}, [], piece)
    assert results != list(range(40))
