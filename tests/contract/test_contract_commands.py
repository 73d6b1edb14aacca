#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Commands get results: one, several, refused, late, or lost on the way."""

import asyncio
import json
from typing import Any

import pytest
from probing import run_beside, run_graph
from ten_runtime import (
    AsyncExtension,
    AsyncTenEnv,
    AsyncTenEnvTester,
    Cmd,
    CmdResult,
    Data,
    Loc,
    SendOptions,
    StatusCode,
)

NOT_CONNECTED = 7


def answering(status: StatusCode, text: str) -> Any:
    """An extension class that answers every command so."""

    class Answering(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            result = CmdResult.create(status, cmd)
            result.set_property_string("from", text)
            await ten_env.return_result(result)

    return Answering


class Streaming(AsyncExtension):
    """Answers with three results, the last of them final, and one more."""

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        for n in (1, 2, 3, 4):
            result = CmdResult.create(StatusCode.OK, cmd)
            result.set_property_int("n", n)
            result.set_final(n >= 3)
            await ten_env.return_result(result)


class Relay(AsyncExtension):
    """Sends each command `go` on as `x`, and tells what came of it."""

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        result, error = await ten_env.send_cmd(Cmd.create("x"))
        answer = CmdResult.create(StatusCode.OK, cmd)
        answer.set_property_int("code", error.error_code() if error else 0)
        if result is not None:
            answer.set_property_int("status", int(result.get_status_code()))
            answer.set_property_string(
                "from", result.get_property_string("from")[0]
            )
        await ten_env.return_result(answer)


class RelayEach(AsyncExtension):
    """Sends each command `go` on as `x`, and lists every result."""

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        seen: list[str] = []
        async for result, error in ten_env.send_cmd_ex(Cmd.create("x")):
            assert error is None and result is not None
            seen.append(result.get_property_string("from")[0])
        answer = CmdResult.create(StatusCode.OK, cmd)
        answer.set_property_from_json("seen", json.dumps(sorted(seen)))
        await ten_env.return_result(answer)


GO = {
    "extension": "tester",
    "cmd": [{"name": "go", "dest": [{"extension": "relay"}]}],
}


async def go(ten_env: AsyncTenEnvTester) -> dict[str, Any]:
    """Send `go` and return the answer's properties."""
    result, error = await ten_env.send_cmd(Cmd.create("go"))
    assert error is None and result is not None
    return json.loads(result.get_property_to_json()[0])


def to(*names: str) -> dict[str, Any]:
    """The relay's connection of `x` to extensions of these names."""
    dests = [{"extension": name} for name in names]
    return {"extension": "relay", "cmd": [{"name": "x", "dest": dests}]}


def test_a_cmd_that_is_connected_to_nothing_fails_at_once_with_code_7():
    answer = run_graph({"relay": Relay}, [GO], go)
    assert answer == {"code": NOT_CONNECTED}


def test_data_that_is_connected_to_nothing_is_lost_without_an_error():
    class Sender(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            plain = await ten_env.send_data(Data.create("zz"))
            waited = await ten_env.send_data(
                Data.create("zz"), SendOptions(wait_for_result=True)
            )
            result = CmdResult.create(StatusCode.OK, cmd)
            result.set_property_bool("lost", plain is None)
            if waited is not None:
                result.set_property_int("code", waited.error_code())
                result.set_property_string("text", waited.error_message())
            await ten_env.return_result(result)

    assert run_graph({"relay": Sender}, [GO], go) == {
        "lost": True,
        "code": NOT_CONNECTED,
        "text": "Failed to find destination of a 'data' message 'zz' "
        "from graph.",
    }


def test_a_result_comes_back_with_its_status_and_properties():
    answer = run_graph(
        {"relay": Relay, "a": answering(StatusCode.ERROR, "a")},
        [GO, to("a")],
        go,
    )
    assert answer == {"code": 0, "status": 1, "from": "a"}


def test_of_several_results_the_last_ok_is_the_senders():
    answer = run_graph(
        {
            "relay": Relay,
            "a": answering(StatusCode.OK, "a"),
            "b": answering(StatusCode.OK, "b"),
        },
        [GO, to("a", "b")],
        go,
    )
    assert answer == {"code": 0, "status": 0, "from": "b"}


def test_of_several_results_the_first_error_is_the_senders():
    answer = run_graph(
        {
            "relay": Relay,
            "a": answering(StatusCode.ERROR, "a"),
            "b": answering(StatusCode.OK, "b"),
        },
        [GO, to("a", "b")],
        go,
    )
    assert answer == {"code": 0, "status": 1, "from": "a"}


def test_send_cmd_ex_yields_the_result_of_every_receiver():
    answer = run_graph(
        {
            "relay": RelayEach,
            "a": answering(StatusCode.ERROR, "a"),
            "b": answering(StatusCode.OK, "b"),
        },
        [GO, to("a", "b")],
        go,
    )
    assert answer == {"seen": ["a", "b"]}


def test_a_reverse_connection_and_a_list_of_names_reach_the_receiver():
    answer = run_graph(
        {"relay": Relay, "a": answering(StatusCode.OK, "a")},
        [
            GO,
            {
                "extension": "a",
                "cmd": [
                    {
                        "names": ["other", "x"],
                        "source": [{"extension": "relay"}],
                    }
                ],
            },
        ],
        go,
    )
    assert answer == {"code": 0, "status": 0, "from": "a"}


def test_reverse_connections_of_two_receivers_fan_out():
    source = [{"name": "x", "source": [{"extension": "relay"}]}]
    answer = run_graph(
        {
            "relay": RelayEach,
            "a": answering(StatusCode.OK, "a"),
            "b": answering(StatusCode.OK, "b"),
        },
        [
            GO,
            {"extension": "a", "cmd": source},
            {"extension": "b", "cmd": source},
        ],
        go,
    )
    assert answer == {"seen": ["a", "b"]}


def test_a_conversion_renames_the_message_and_its_properties():
    seen: list[tuple[str, dict[str, Any]]] = []

    class Sender(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            moved = Cmd.create("x")
            moved.set_property_int("old", 7)
            await ten_env.send_cmd(moved)
            await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

    class Listener(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            tree = json.loads(cmd.get_property_to_json()[0])
            seen.append((cmd.get_name(), tree))
            await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

    conversion = {
        "type": "per_property",
        "rules": [
            {
                "path": "ten.name",
                "conversion_mode": "fixed_value",
                "value": "renamed",
            },
            {
                "path": "new",
                "conversion_mode": "from_original",
                "original_path": "old",
            },
        ],
    }
    dest = {"extension": "a", "msg_conversion": conversion}
    run_graph(
        {"relay": Sender, "a": Listener},
        [
            GO,
            {"extension": "relay", "cmd": [{"name": "x", "dest": [dest]}]},
        ],
        go,
    )
    assert seen == [("renamed", {"new": 7})]


def test_several_results_of_one_receiver_end_with_the_final_one():
    async def piece(ten_env: AsyncTenEnvTester) -> list[Any]:
        seen = []
        async for result, error in ten_env.send_cmd_ex(Cmd.create("x")):
            assert error is None and result is not None
            seen.append(
                (result.get_property_int("n")[0], result.is_completed())
            )
        return seen

    assert run_beside(Streaming, piece) == [
        (1, False),
        (2, False),
        (3, True),
    ]


class Counting(AsyncExtension):
    """Answers with as many results, at once, as the command asks for."""

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        count, _ = cmd.get_property_int("count")
        for n in range(count):
            result = CmdResult.create(StatusCode.OK, cmd)
            result.set_property_int("n", n)
            result.set_final(n == count - 1)
            await ten_env.return_result(result)
            await asyncio.sleep(0)


async def counted(ten_env: AsyncTenEnvTester, count: int) -> list[int]:
    """The numbers of the results, in their order."""
    cmd = Cmd.create("count")
    cmd.set_property_int("count", count)
    seen = []
    async for result, error in ten_env.send_cmd_ex(cmd):
        assert error is None and result is not None
        seen.append(result.get_property_int("n")[0])
    return seen


def test_ten_results_at_once_come_in_their_order():
    async def piece(ten_env: AsyncTenEnvTester) -> list[int]:
        return await counted(ten_env, 10)

    assert run_beside(Counting, piece) == list(range(10))


def test_a_second_final_result_is_dropped_silently():
    class Twice(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            for status in (StatusCode.OK, StatusCode.ERROR):
                await ten_env.return_result(CmdResult.create(status, cmd))

    async def piece(ten_env: AsyncTenEnvTester) -> list[StatusCode]:
        statuses = []
        for _ in range(2):
            result, error = await ten_env.send_cmd(Cmd.create("x"))
            assert error is None and result is not None
            statuses.append(result.get_status_code())
        return statuses

    assert run_beside(Twice, piece) == [StatusCode.OK, StatusCode.OK]


def test_waiting_for_a_result_can_be_given_up():
    class Slow(AsyncExtension):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.first: Cmd | None = None

        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            if self.first is None:
                self.first = cmd
                return
            for each in (self.first, cmd):
                await ten_env.return_result(
                    CmdResult.create(StatusCode.OK, each)
                )

    async def piece(ten_env: AsyncTenEnvTester) -> StatusCode:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ten_env.send_cmd(Cmd.create("x")), 0.05)
        result, error = await ten_env.send_cmd(Cmd.create("x"))
        assert error is None and result is not None
        return result.get_status_code()

    assert run_beside(Slow, piece) == StatusCode.OK


def test_messages_of_one_sender_arrive_in_order():
    seen: list[int] = []

    class Listener(AsyncExtension):
        async def on_data(self, _ten_env: AsyncTenEnv, data: Data) -> None:
            seen.append(data.get_property_int("n")[0])

        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

    async def piece(ten_env: AsyncTenEnvTester) -> None:
        for n in range(200):
            data = Data.create("x")
            data.set_property_int("n", n)
            await ten_env.send_data(data)
        await ten_env.send_cmd(Cmd.create("last"))

    run_beside(Listener, piece)
    assert seen == list(range(200))


def test_handlers_interleave_at_every_await():
    gate = asyncio.Event()
    order: list[str] = []

    class Waiter(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            name = cmd.get_name()
            order.append(f"{name} begins")
            if name == "first":
                await gate.wait()
            else:
                gate.set()
            order.append(f"{name} ends")
            await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

    async def piece(ten_env: AsyncTenEnvTester) -> None:
        first = asyncio.create_task(ten_env.send_cmd(Cmd.create("first")))
        await asyncio.sleep(0)
        await ten_env.send_cmd(Cmd.create("second"))
        await first

    run_beside(Waiter, piece)
    assert order == [
        "first begins",
        "second begins",
        "second ends",
        "first ends",
    ]


@pytest.mark.parametrize("address", [("", "", "nobody"), ("", "x", "y"), ("",)])
def test_what_a_tester_of_one_extension_sends_is_for_that_one_always(
    address: tuple[str, ...],
):
    async def piece(ten_env: AsyncTenEnvTester) -> str:
        cmd = Cmd.create("x")
        cmd.set_dests([Loc(*address)])
        result, error = await ten_env.send_cmd(cmd)
        assert error is None and result is not None
        return result.get_property_string("from")[0]

    assert run_beside(answering(StatusCode.OK, "it"), piece) == "it"


@pytest.mark.parametrize(
    ("address", "detail"),
    [
        (("", "", "nobody"), "Failed to find destination."),
        (("", "no graph", "relay"), "Graph not found."),
    ],
)
def test_in_a_graph_an_unknown_address_is_answered_with_an_error(
    address: tuple[str, ...], detail: str
):
    async def piece(ten_env: AsyncTenEnvTester) -> dict[str, Any]:
        cmd = Cmd.create("x")
        cmd.set_dests([Loc(*address)])
        result, error = await ten_env.send_cmd(cmd)
        assert error is None and result is not None
        return json.loads(result.get_property_to_json()[0])

    assert run_graph({"relay": Relay}, [GO], piece) == {"detail": detail}
