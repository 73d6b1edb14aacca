#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What ends the whole process, and how."""

import signal
import textwrap
from pathlib import Path
from typing import Any

import pytest
from small_app import SmallApp

ABORTED = -signal.SIGABRT

DEADLY_CALLS = {
    "a message sent twice": """
        data = Data.create("x")
        await ten_env.send_data(data)
        await ten_env.send_data(data)
    """,
    "a clone of a sent message": """
        data = Data.create("x")
        await ten_env.send_data(data)
        data.clone()
    """,
    "the status of a returned result": """
        cmd = Cmd.create("x")
        result = CmdResult.create(StatusCode.OK, cmd)
        await ten_env.return_result(result)
        result.get_status_code()
    """,
    "an array at the root of a message": """
        Data.create("x").set_property_from_json(None, "[1]")
    """,
    "a string with an empty path": """
        Data.create("x").set_property_string("", "x")
    """,
    "an integer above int64 read as JSON": """
        data = Data.create("x")
        data.set_property_from_json(None, '{"n": 18446744073709551615}')
        data.get_property_to_json()
    """,
    "JSON with a name twice, read as JSON": """
        data = Data.create("x")
        assert data.set_property_from_json(None, '{"n": 1, "n": 2}') is None
        data.get_property_to_json()
    """,
    "a property with a name twice, read as JSON": """
        json_ = '{"n": 1, "n": 2}'
        assert await ten_env.set_property_from_json("o", json_) is None
        await ten_env.get_property_to_json()
    """,
    "a predefined graph that does not exist": """
        cmd = StartGraphCmd.create()
        cmd.set_dests([Loc("")])
        cmd.set_predefined_graph_name("nowhere")
        await ten_env.send_cmd(cmd)
    """,
}


DEADLY_APPS = {
    "positional arguments of an app": """
        class Main(App):
            def __init__(self, given):
                super().__init__()

        say("alive")
        Main("given")
    """,
    "an app that runs in another thread than its maker's": """
        app = App()
        say("alive")
        thread = threading.Thread(target=app.run, args=(False,))
        thread.start()
        thread.join()
    """,
    "a second app": """
        App().run(False)
        say("alive")
        App().run(False)
    """,
}


@pytest.fixture(name="app")
def _app(tmp_path: Path) -> SmallApp:
    """An app without extensions."""
    return SmallApp(tmp_path)


@pytest.mark.parametrize("what", DEADLY_CALLS)
def test_this_call_aborts_the_process(app: SmallApp, what: str):
    code = "async def on_start(self, ten_env):\n    say('alive')\n"
    code += textwrap.indent(textwrap.dedent(DEADLY_CALLS[what]), "    ")
    app.extension("probe", code + "\n    close_app()")
    ended = app.run()
    assert ended.lines == ["alive"]
    assert ended.status == ABORTED


@pytest.mark.parametrize("what", DEADLY_APPS)
def test_such_an_app_aborts_the_process(app: SmallApp, what: str):
    app.extension("probe", "async def on_start(self, ten_env): close_app()")
    app.main(textwrap.dedent(DEADLY_APPS[what]) + "\nsay('ended')\n")
    ended = app.run()
    assert ended.lines == ["alive"]
    assert ended.status == ABORTED


TESTER = """
from ten_runtime import AsyncExtensionTester

class Main(App):
    def on_init(self, ten_env):
        ten_env.on_init_done()
        ready.set()

def live():
    Main().run(False)

ready = threading.Event()
threading.Thread(target=live, daemon=True).start()
ready.wait()

class Tester(AsyncExtensionTester):
    async def on_start(self, ten_env):
        self.task = asyncio.create_task(self.play(ten_env))

    async def play(self, ten_env):
        say("alive")
        cmd = Cmd.create("x")
{piece}
        await ten_env.send_cmd(cmd)

tester = Tester()
tester.set_timeout(2_000_000)
tester.set_test_mode_single("probe", "{{}}")
tester.run()
say("ended")
"""
DEADLY_TO_TESTERS = {
    "a start of a graph by the tester": (
        "pass",
        """
        cmd = StartGraphCmd.create()
        cmd.set_dests([Loc("")])
    """,
    ),
    "a start of a graph by the tested": (
        """
        async def on_cmd(self, ten_env, cmd):
            start = StartGraphCmd.create()
            start.set_dests([Loc("")])
            await ten_env.send_cmd(start)
    """,
        "",
    ),
}


@pytest.mark.parametrize("what", DEADLY_TO_TESTERS)
def test_this_aborts_a_process_that_tests(app: SmallApp, what: str):
    extension, piece = DEADLY_TO_TESTERS[what]
    app.extension("probe", extension, in_graph=False)
    piece = textwrap.indent(textwrap.dedent(piece), " " * 8)
    app.main(TESTER.format(piece=piece))
    ended = app.run()
    assert ended.lines == ["alive"]
    assert ended.status == ABORTED


def test_an_app_may_have_keyword_arguments(app: SmallApp):
    app.extension("probe", "async def on_start(self, ten_env): close_app()")
    app.main("""
        class Main(App):
            def __init__(self, *, given):
                super().__init__()
                self.given = given

        main = Main(given="given")
        main.run(False)
        say(main.given)
    """)
    assert app.run().lines == ["given"]


@pytest.mark.parametrize(
    "raised",
    ["ValueError('x')", "asyncio.CancelledError()", "SystemExit(0)"],
)
@pytest.mark.parametrize(
    "callback", ["on_configure", "on_init", "on_start", "on_stop"]
)
def test_an_exception_out_of_an_async_callback_exits_with_1(
    app: SmallApp, callback: str, raised: str
):
    code = f"async def {callback}(self, ten_env):\n    raise {raised}\n"
    if callback == "on_stop":
        code += "async def on_start(self, ten_env):\n    close_app()\n"
    app.extension("probe", code)
    ended = app.run()
    assert ended.status == 1
    assert "run returned" not in ended.lines
    assert "Uncaught exception" in ended.out + ended.err


def test_an_exception_out_of_on_cmd_exits_with_1(app: SmallApp):
    app.extension(
        "probe",
        """
        async def on_start(self, ten_env):
            cmd = Cmd.create("x")
            cmd.set_dests([Loc("", "", "probe")])
            await ten_env.send_cmd(cmd)

        async def on_cmd(self, ten_env, cmd):
            raise KeyError("x")
        """,
    )
    assert app.run().status == 1


def test_a_result_that_is_not_final_kills_a_plain_send_cmd(app: SmallApp):
    app.extension(
        "probe",
        """
        async def on_start(self, ten_env):
            cmd = Cmd.create("x")
            cmd.set_dests([Loc("", "", "other")])
            await ten_env.send_cmd(cmd)
        """,
    )
    app.extension(
        "other",
        """
        async def on_cmd(self, ten_env, cmd):
            result = CmdResult.create(StatusCode.OK, cmd)
            result.set_final(False)
            await ten_env.return_result(result)
        """,
    )
    assert app.run().status == 1


def test_an_exception_in_ones_own_task_does_not_end_the_process(
    app: SmallApp,
):
    app.extension(
        "probe",
        """
        async def on_start(self, ten_env):
            async def fail():
                raise ValueError("mine")

            task = asyncio.create_task(fail())
            await asyncio.wait([task])
            say("alive")
            close_app()
        """,
    )
    ended = app.run()
    assert ended.lines == ["alive", "run returned"]
    assert ended.status == 0


def test_an_exception_out_of_a_sync_callback_aborts(app: SmallApp):
    app.extension(
        "probe",
        "def on_start(self, ten_env):\n    raise ValueError('x')",
        kind="Extension",
    )
    assert app.run().status == ABORTED


def test_an_exception_while_an_extension_is_made_aborts(app: SmallApp):
    app.extension(
        "probe", "def __init__(self, name):\n    raise ValueError('x')"
    )
    assert app.run().status == ABORTED


def test_a_package_that_cannot_be_imported_aborts(app: SmallApp):
    app.extension("probe", "import no_such_module_anywhere")
    assert app.run().status == ABORTED


def test_an_addon_that_is_not_named_as_its_folder_aborts(app: SmallApp):
    app.extension("probe", "pass", registered="another_name")
    assert app.run().status == ABORTED


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("${env:CONTRACT_NEVER_SET}", 1),
        ("${foo:CONTRACT_NEVER_SET}", ABORTED),
    ],
)
def test_a_placeholder_that_cannot_be_resolved_ends_the_process(
    app: SmallApp, value: str, status: int
):
    app.extension("probe", "pass", property_json={"x": value})
    assert app.run().status == status


@pytest.mark.parametrize(
    ("properties", "value"),
    [
        ({"properties": {"n": {"type": "int64"}}}, "${env:HOME}"),
        ({"properties": {"n": {"type": "bool"}}}, "true"),
        (
            {
                "properties": {"absent": {"type": "string"}},
                "required": ["absent"],
            },
            "",
        ),
    ],
)
def test_a_property_that_its_manifest_refuses_aborts_before_on_init(
    app: SmallApp, properties: dict[str, Any], value: str
):
    app.extension(
        "probe",
        "async def on_init(self, ten_env):\n    say('init')",
        manifest={"api": {"property": properties}},
        property_json={"n": value},
    )
    ended = app.run()
    assert ended.status == ABORTED
    assert ended.lines == []
