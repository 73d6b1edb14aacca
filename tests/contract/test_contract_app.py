#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""An app as a process: its files, its graphs, its signals, its log."""

import signal
from pathlib import Path
from typing import IO, Any

import pytest
from small_app import TIMEOUT_S, SmallApp

SAYING_ALL = """
async def on_start(self, ten_env):
    say("start")

async def on_stop(self, ten_env):
    say("stop")

async def on_deinit(self, ten_env):
    say("deinit")
"""
CONSOLE = {"type": "console", "config": {"stream": "stdout"}}


@pytest.fixture(name="app")
def _app(tmp_path: Path) -> SmallApp:
    """An app without extensions."""
    return SmallApp(tmp_path)


def wait_for(word: str, stream: IO[str] | None) -> None:
    """Read lines until one has the word."""
    assert stream is not None
    assert any(word in line for line in iter(stream.readline, ""))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_the_app_in_order(
    app: SmallApp, number: signal.Signals
):
    app.extension("probe", SAYING_ALL)
    with app.start() as process:
        wait_for("start", process.stdout)
        process.send_signal(number)
        rest, _ = process.communicate(timeout=TIMEOUT_S)
    said = [line[2:] for line in rest.splitlines() if line[:2] == "> "]
    assert said == ["stop", "deinit", "run returned"]
    assert process.returncode == 0


def test_a_second_signal_ends_an_app_that_hangs(app: SmallApp):
    app.extension(
        "probe",
        """
        async def on_start(self, ten_env):
            say("start")
            await asyncio.Event().wait()

        async def on_stop(self, ten_env):
            say("stop")
        """,
    )
    with app.start() as process:
        wait_for("start", process.stdout)
        process.send_signal(signal.SIGTERM)
        wait_for("SIGTERM", process.stderr)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=TIMEOUT_S)
    assert "stop" not in rest
    # The native one means to exit with 1, and may die of SIGSEGV over it.
    assert process.returncode in (1, -signal.SIGSEGV)


def test_each_extension_deinits_without_waiting_for_the_others(
    app: SmallApp,
):
    app.extension(
        "quick",
        """
        async def on_stop(self, ten_env):
            say("quick stop")

        async def on_deinit(self, ten_env):
            say("quick deinit")
            asyncio.quick_is_gone.set()
        """,
    )
    app.extension(
        "slow",
        """
        async def on_init(self, ten_env):
            asyncio.quick_is_gone = asyncio.Event()

        async def on_start(self, ten_env):
            close_app()

        async def on_stop(self, ten_env):
            await asyncio.quick_is_gone.wait()
            say("slow stop")
        """,
    )
    ended = app.run()
    assert ended.lines == [
        "quick stop",
        "quick deinit",
        "slow stop",
        "run returned",
    ]


def test_in_multi_thread_mode_each_extension_has_its_own_thread(
    app: SmallApp,
):
    code = """
        async def on_start(self, ten_env):
            say(threading.current_thread().name)
            asyncio.seen = getattr(asyncio, "seen", 0) + 1
            if asyncio.seen == 2:
                close_app()
    """
    app.extension("one", code)
    app.extension("two", code)
    ended = app.run(TEN_PYTHON_THREAD_MODE="multi_thread")
    assert sorted(ended.lines) == [
        "AsyncExtension-one",
        "AsyncExtension-two",
        "run returned",
    ]


@pytest.mark.parametrize(
    "connection",
    [
        {
            "extension": "probe",
            "cmd": [{"name": "x", "dest": [{"extension": "nobody"}]}],
        },
        None,
    ],
    ids=["an unknown extension", "a duplicate name"],
)
def test_a_graph_with_a_mistake_ends_the_app_without_a_failure(
    app: SmallApp, connection: dict[str, Any] | None
):
    app.extension("probe", SAYING_ALL)
    if connection is None:
        app.node("probe", "probe", None)
    else:
        app.connections.append(connection)
    ended = app.run()
    assert ended.status == 0
    assert ended.lines == ["run returned"]


@pytest.mark.parametrize(
    ("manifest", "property_json"),
    [
        ({"api": {"property": {"n": {"type": "int64"}}}}, {"n": "text"}),
        ({"api": {"property": {"properties": {"n": {"type": "int"}}}}}, {}),
        (
            {
                "api": {
                    "property": {
                        "properties": {"n": {"type": "int64", "default": 1}}
                    }
                }
            },
            {},
        ),
        ({"surprise": 1}, {}),
    ],
)
def test_a_manifest_that_does_not_validate_is_not_used(
    app: SmallApp, manifest: dict[str, Any], property_json: dict[str, Any]
):
    app.extension(
        "probe",
        """
        async def on_init(self, ten_env):
            say("alive")

        async def on_start(self, ten_env):
            close_app()
        """,
        manifest=manifest,
        property_json=property_json,
    )
    ended = app.run()
    assert ended.lines == ["alive", "run returned"]
    assert "Failed to set metadata for extension(probe)" in ended.err


def test_a_bad_name_in_a_graph_leaves_the_app_without_any_graph(
    app: SmallApp,
):
    app.extension("probe", SAYING_ALL)
    app.node("no-dashes", "probe", None)
    app.main("""
        class Main(App):
            def on_init(self, ten_env):
                ten_env.on_init_done()
                say("ready")

        Main().run(False)
        say("run returned")
    """)
    with app.start() as process:
        wait_for("ready", process.stdout)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert "Failed to set metadata" in err
    assert "start" not in out
    assert "run returned" in out
    assert process.returncode == 0


@pytest.mark.parametrize("content", ['{"n": null}', "{nope", "[]"])
def test_a_property_file_that_does_not_validate_counts_as_empty(
    app: SmallApp, content: str
):
    app.extension(
        "probe",
        """
        async def on_start(self, ten_env):
            text, _ = await ten_env.get_property_to_json()
            say(json.loads(text))
            close_app()
        """,
        property_json=content,
        node_property={"graph": 1},
    )
    ended = app.run()
    assert ended.lines[0] == "{'graph': 1}"
    assert "Failed to set metadata for extension(probe)" in ended.err


def test_the_api_of_an_interface_file_is_checked(app: SmallApp):
    app.extension(
        "probe",
        """
        async def on_start(self, ten_env):
            cmd = Cmd.create("typed")
            cmd.set_property_string("n", "text")
            cmd.set_dests([Loc("", "", "probe")])
            result, error = await ten_env.send_cmd(cmd)
            say(error is None and result.get_status_code().name)
            close_app()
        """,
        manifest={"api": {"interface": [{"import_uri": "faces/one.json"}]}},
    )
    faces = app.folder / "ten_packages/extension/probe/faces"
    faces.mkdir()
    (faces / "one.json").write_text(
        '{"cmd_in": [{"name": "typed", "property":'
        ' {"properties": {"n": {"type": "int64"}}}}]}'
    )
    assert app.run().lines == ["ERROR", "run returned"]


# An app, since the native tester aborts when a path times out.
SOON = {
    "ten": {
        "path_timeout": {"in_path": 100_000, "out_path": 100_000},
        "path_check_interval": 50_000,
    }
}


def asks_itself(name: str) -> str:
    """An extension's on_start that says how a command to it went."""
    return f"""
async def on_start(self, ten_env):
    cmd = Cmd.create("{name}")
    cmd.set_dests([Loc("", "", "probe")])
    self.task = asyncio.create_task(self.ask(ten_env, cmd))

async def ask(self, ten_env, cmd):
    result, error = await ten_env.send_cmd(cmd)
    detail, _ = result.get_property_string("detail")
    say(error, result.get_status_code().name, detail)
    close_app()
"""


def test_a_cmd_without_a_result_times_out_on_its_path(app: SmallApp):
    app.extension("probe", asks_itself("x"), node_property=SOON)
    assert app.run().lines == ["None ERROR Path timeout.", "run returned"]


def test_a_result_that_does_not_fit_leaves_the_sender_waiting(app: SmallApp):
    typed = {
        "name": "typed",
        "result": {"property": {"properties": {"n": {"type": "string"}}}},
    }
    code = """
async def on_cmd(self, ten_env, cmd):
    result = CmdResult.create(StatusCode.OK, cmd)
    result.set_property_int("n", 1)
    await ten_env.return_result(result)
"""
    app.extension(
        "probe",
        asks_itself("typed") + code,
        manifest={"api": {"cmd_in": [typed]}},
        node_property=SOON,
    )
    assert app.run().lines == ["None ERROR Path timeout.", "run returned"]


def test_a_cmd_to_an_unknown_extension_is_answered_with_an_error(
    app: SmallApp,
):
    code = asks_itself("x").replace('"", "probe"', '"", "nobody"')
    app.extension("probe", code)
    assert app.run().lines == [
        "None ERROR Failed to find destination.",
        "run returned",
    ]


def test_graphs_are_started_reached_and_stopped_by_commands(app: SmallApp):
    app.extension(
        "room",
        """
        async def on_cmd(self, ten_env, cmd):
            answer = CmdResult.create(StatusCode.OK, cmd)
            answer.set_property_string("from", self.name)
            await ten_env.return_result(answer)

        async def on_deinit(self, ten_env):
            say("room is gone")
        """,
        in_graph=False,
    )
    app.extension(
        "lobby",
        """
        async def on_start(self, ten_env):
            self.task = asyncio.create_task(self.play(ten_env))

        async def play(self, ten_env):
            for by_name in (True, False):
                start = StartGraphCmd.create()
                start.set_dests([Loc("")])
                if by_name:
                    start.set_predefined_graph_name("room")
                else:
                    start.set_graph_from_json(json.dumps({"nodes": [{
                        "type": "extension", "name": "room",
                        "addon": "room", "extension_group": "all"}]}))
                started, _ = await ten_env.send_cmd(start)
                graph_id, _ = started.get_property_string("graph_id")
                say(started.get_status_code().name, bool(graph_id))
                hello = Cmd.create("hello")
                hello.set_dests([Loc("", graph_id, "room")])
                result, _ = await ten_env.send_cmd(hello)
                say(result.get_property_string("from")[0])
                stop = StopGraphCmd.create()
                stop.set_graph_id(graph_id)
                stop.set_dests([Loc("")])
                stopped, _ = await ten_env.send_cmd(stop)
                say(stopped.get_status_code().name)
            close_app()
        """,
    )
    room = {
        "type": "extension",
        "name": "room",
        "addon": "room",
        "extension_group": "all",
    }
    app.ten["more_graphs"] = [
        {"name": "room", "auto_start": False, "graph": {"nodes": [room]}}
    ]
    one_round = ["OK True", "room", "room is gone", "OK"]
    assert app.run().lines == [*one_round, *one_round, "run returned"]


def test_an_extension_cannot_close_its_app_by_a_command(app: SmallApp):
    app.extension(
        "probe",
        """
        async def on_start(self, ten_env):
            _, error = await ten_env.send_cmd(Cmd.create("ten:close_app"))
            say(error.error_code())
            close_app()
        """,
    )
    assert app.run().lines == ["7", "run returned"]


LOGGING = """
async def on_start(self, ten_env):
    ten_env.log_debug("a debug line")
    ten_env.log_info("an info line", category="key_point", fields={"k": 1})
    ten_env.log_warn("a warn line")
    ten_env.log_error("an error line")
    close_app()
"""


def test_without_a_log_configuration_only_warnings_and_errors_show(
    app: SmallApp,
):
    app.extension("probe", LOGGING)
    ended = app.run()
    assert "[TEN][WARN] [probe] a warn line" in ended.err
    assert "[TEN][ERROR] [probe] an error line" in ended.err
    assert "a debug line" not in ended.out + ended.err
    assert "an info line" not in ended.out + ended.err


def test_a_log_handler_chooses_by_level_and_shows_category_and_fields(
    app: SmallApp,
):
    app.ten["log"] = {
        "handlers": [
            {
                "matchers": [{"level": "info"}],
                "formatter": {"type": "plain", "colored": False},
                "emitter": CONSOLE,
            }
        ]
    }
    app.extension("probe", LOGGING)
    ended = app.run()
    info = [x for x in ended.out.splitlines() if "an info line" in x]
    assert len(info) == 1
    assert "key_point" in info[0] and "[probe]" in info[0]
    assert "k=1" in info[0] and "on_start@__init__.py" in info[0]
    assert "a warn line" in ended.out and "an error line" in ended.out
    assert "a debug line" not in ended.out


def test_a_sync_extension_reports_its_stages_and_answers(app: SmallApp):
    app.extension(
        "probe",
        """
        def on_start(self, ten_env):
            ten_env.on_start_done()
            value, error = ten_env.get_property_string("n")
            say(repr(value), error.error_code())
            try:
                ten_env.set_property_from_json(None, "{}")
            except ValueError:
                say("a path is needed")
            cmd = Cmd.create("x")
            cmd.set_dests([Loc("", "", "probe")])
            ten_env.send_cmd(cmd, self.answered)

        def on_cmd(self, ten_env, cmd):
            ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

        def answered(self, ten_env, result, error):
            say(result.get_status_code().name, error)
            close_app()
        """,
        kind="Extension",
        property_json={"n": 1},
    )
    assert app.run().lines == [
        "'' 0",
        "a path is needed",
        "OK None",
        "run returned",
    ]
