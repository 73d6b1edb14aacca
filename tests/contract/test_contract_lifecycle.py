#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The order of an extension's life, and what it may rely on meanwhile."""

import asyncio
import json
import threading
from typing import Any

import pytest
from probing import MAKERS, run_beside, run_single
from ten_runtime import (
    AsyncExtension,
    AsyncExtensionTester,
    AsyncTenEnv,
    AsyncTenEnvTester,
    Cmd,
    CmdResult,
    Data,
    Extension,
    StatusCode,
    TenError,
    TenErrorCode,
)

CLOSED = 6


async def answer(ten_env: AsyncTenEnv, cmd: Cmd) -> None:
    """Return OK."""
    await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))


async def ask(ten_env: AsyncTenEnvTester) -> None:
    """Send one command: when it is answered, on_init has been done."""
    await ten_env.send_cmd(Cmd.create("x"))


class Answering(AsyncExtension):
    """Answers every command with OK."""

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        await answer(ten_env, cmd)


def test_the_callbacks_come_in_order_and_properties_after_on_configure():
    order: list[str] = []
    started = asyncio.Event()

    class Ext(AsyncExtension):
        async def on_configure(self, ten_env: AsyncTenEnv) -> None:
            text, _ = await ten_env.get_property_to_json()
            order.append(f"configure {text}")

        async def on_init(self, ten_env: AsyncTenEnv) -> None:
            text, _ = await ten_env.get_property_string("from_file")
            order.append(f"init {text}")

        async def on_start(self, _ten_env: AsyncTenEnv) -> None:
            order.append("start")
            started.set()

        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            await started.wait()
            order.append("cmd")
            await answer(ten_env, cmd)

        async def on_stop(self, _ten_env: AsyncTenEnv) -> None:
            order.append("stop")

        async def on_deinit(self, _ten_env: AsyncTenEnv) -> None:
            order.append("deinit")

    run_beside(Ext, ask)
    assert order == [
        "configure {}",
        "init file",
        "start",
        "cmd",
        "stop",
        "deinit",
    ]


@pytest.mark.parametrize("kind", [AsyncExtension, Extension])
def test_a_subclass_of_an_extension_takes_its_name_and_nothing_else(
    kind: Any,
):
    class More(kind):
        def __init__(self, name: str, more: int) -> None:
            super().__init__(name)
            self.more = more

    with pytest.raises(TypeError):
        More("x", 1)
    with pytest.raises(TypeError):
        More("x", more=1)


def test_properties_given_in_on_configure_replace_property_json():
    seen: list[Any] = []

    class Ext(Answering):
        async def on_configure(self, ten_env: AsyncTenEnv) -> None:
            await ten_env.init_property_from_json('{"both": "code"}')

        async def on_init(self, ten_env: AsyncTenEnv) -> None:
            seen.append(await ten_env.get_property_string("both"))
            seen.append(await ten_env.is_property_exist("from_file"))

    run_beside(Ext, ask)
    assert seen == [("code", None), (False, None)]


def test_messages_wait_for_on_init_but_not_for_on_start():
    order: list[str] = []
    sent = threading.Event()
    told = asyncio.Event()

    class Ext(AsyncExtension):
        async def on_init(self, _ten_env: AsyncTenEnv) -> None:
            await asyncio.to_thread(sent.wait)
            order.append("init done")

        async def on_start(self, _ten_env: AsyncTenEnv) -> None:
            await told.wait()
            order.append("start done")

        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            order.append("cmd")
            told.set()
            await answer(ten_env, cmd)

    async def piece(ten_env: AsyncTenEnvTester) -> None:
        answered = asyncio.create_task(ask(ten_env))
        await asyncio.sleep(0)  # lets it send
        sent.set()
        await answered

    run_beside(Ext, piece)
    assert order == ["init done", "cmd", "start done"]


def test_on_stop_waits_for_an_on_start_that_is_still_running():
    order: list[str] = []
    stopped = threading.Event()

    class Ext(AsyncExtension):
        async def on_start(self, ten_env: AsyncTenEnv) -> None:
            await ten_env.send_data(Data.create("starting"))
            await asyncio.to_thread(stopped.wait)
            order.append("start done")

        async def on_stop(self, _ten_env: AsyncTenEnv) -> None:
            order.append("stop")

    class Stopper(AsyncExtensionTester):
        async def on_data(self, ten_env: AsyncTenEnvTester, data: Data) -> None:
            if data.get_name() == "starting":
                ten_env.stop_test()
                stopped.set()

    MAKERS[""] = Ext
    run_single(Stopper())
    assert order == ["start done", "stop"]


def test_everything_works_in_on_stop_and_nothing_after_on_deinit():
    kept: list[AsyncTenEnv] = []
    late: list[Any] = []

    class Ext(Answering):
        async def on_stop(self, ten_env: AsyncTenEnv) -> None:
            late.append(await ten_env.get_property_string("from_file"))
            late.append(await ten_env.send_data(Data.create("bye")))
            late.append(ten_env.log_info("stopping"))

        async def on_deinit(self, ten_env: AsyncTenEnv) -> None:
            kept.append(ten_env)

    run_beside(Ext, ask)
    assert late == [("file", None), None, None]
    log_error = kept[0].log_info("too late")
    assert log_error is not None and log_error.error_code() == CLOSED

    async def use_it() -> list[Any]:
        env = kept[0]
        return [
            (await env.get_property_int("n"))[1],
            await env.set_property_int("n", 1),
            (await env.send_cmd(Cmd.create("x")))[1],
            await env.send_data(Data.create("x")),
        ]

    errors = asyncio.run(use_it())
    assert [error.error_code() for error in errors] == [CLOSED] * 4
    assert "the TEN is closed" in errors[3].error_message()


def test_a_cmd_pending_at_a_stopping_extension_gets_an_error():
    class Silent(AsyncExtension):
        """Never answers."""

    statuses: list[Any] = []
    tasks: list[asyncio.Task[None]] = []
    ended = threading.Event()

    class Asker(AsyncExtensionTester):
        async def on_start(self, ten_env: AsyncTenEnvTester) -> None:
            tasks.append(asyncio.create_task(self.ask(ten_env)))
            await asyncio.sleep(0)
            ten_env.stop_test()

        async def ask(self, ten_env: AsyncTenEnvTester) -> None:
            result, _ = await ten_env.send_cmd(Cmd.create("x"))
            if result is not None:
                statuses.append(result.get_status_code())
            ended.set()

        async def on_stop(self, _ten_env: AsyncTenEnvTester) -> None:
            await asyncio.wait_for(tasks[0], 10)

    MAKERS[""] = Silent
    run_single(Asker())
    assert ended.is_set()
    assert statuses == [StatusCode.ERROR]


def test_all_async_extensions_share_one_thread_and_loop():
    threads: set[str] = set()
    loops: set[int] = set()

    class Ext(AsyncExtension):
        async def on_init(self, _ten_env: AsyncTenEnv) -> None:
            threads.add(threading.current_thread().name)
            loops.add(id(asyncio.get_running_loop()))

        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            threads.add(threading.current_thread().name)
            loops.add(id(asyncio.get_running_loop()))
            await answer(ten_env, cmd)

    async def piece(ten_env: AsyncTenEnvTester) -> str:
        await ten_env.send_cmd(Cmd.create("x"))
        return threading.current_thread().name

    testers_thread = run_beside(Ext, piece)
    assert threads == {"PythonGlobalMainThread"}
    assert len(loops) == 1
    assert testers_thread not in threads


def test_tasks_that_are_left_are_cancelled_after_the_last_extension():
    outcome: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    class Ext(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            tasks.append(asyncio.create_task(self.linger()))
            await asyncio.sleep(0)  # lets it begin
            await answer(ten_env, cmd)

        async def linger(self) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                outcome.append("cancelled")
                raise

    run_beside(Ext, ask)
    assert outcome == ["cancelled"]


def test_a_tester_returns_the_error_it_was_stopped_with():
    class Failing(AsyncExtensionTester):
        async def on_start(self, ten_env: AsyncTenEnvTester) -> None:
            error = TenError.create(TenErrorCode.ErrorCodeGeneric, "because")
            ten_env.stop_test(error)
            ten_env.stop_test()  # a second one changes nothing

    MAKERS[""] = AsyncExtension
    tester = Failing()
    tester.set_test_mode_single("contract_probe", '{"hidden_env": ""}')
    error = tester.run()
    assert error is not None
    assert (error.error_code(), error.error_message()) == (1, "because")


def test_a_tester_that_does_not_stop_times_out_with_code_8():
    MAKERS[""] = AsyncExtension
    tester = AsyncExtensionTester()
    tester.set_timeout(100_000)
    tester.set_test_mode_single("contract_probe", '{"hidden_env": ""}')
    error = tester.run()
    assert error is not None
    assert (error.error_code(), error.error_message()) == (8, "Test timeout.")


def test_a_tester_does_not_hear_that_its_cmd_timed_out():
    heard: list[Any] = []
    ended = threading.Event()

    class Asker(AsyncExtensionTester):
        async def on_start(self, ten_env: AsyncTenEnvTester) -> None:
            self.task = asyncio.create_task(self.ask(ten_env))

        async def ask(self, ten_env: AsyncTenEnvTester) -> None:
            result, _ = await ten_env.send_cmd(Cmd.create("x"))
            if result is not None and not ended.is_set():
                heard.append(result.get_property_string("detail")[0])

        async def on_stop(self, _ten_env: AsyncTenEnvTester) -> None:
            ended.set()

    MAKERS[""] = AsyncExtension
    tester = Asker()
    tester.set_timeout(500_000)
    soon = {"in_path": 100_000, "out_path": 100_000}
    ten = {"path_timeout": soon, "path_check_interval": 50_000}
    tester.set_test_mode_single(
        "contract_probe", json.dumps({"hidden_env": "", "ten": ten})
    )
    error = tester.run()
    assert error is not None and error.error_code() == 8
    assert heard == []


@pytest.mark.parametrize("wrong", [None, 1, "a\0b", "\ud800"])
def test_a_log_call_raises_value_error_for_what_is_no_text(wrong: Any):
    raised: list[BaseException] = []

    class Ext(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            try:
                ten_env.log_info(wrong)
            except ValueError as e:
                raised.append(e)
            await answer(ten_env, cmd)

    run_beside(Ext, ask)
    assert len(raised) == 1
