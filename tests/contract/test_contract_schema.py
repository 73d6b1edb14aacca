#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What a manifest declares is checked on every message."""

import json
from typing import Any

import pytest
from probing import run_beside, run_in_extension
from ten_runtime import (
    AsyncExtension,
    AsyncTenEnv,
    AsyncTenEnvTester,
    Cmd,
    CmdResult,
    Data,
    SendOptions,
    StatusCode,
)

API = "contract_api_probe"


class Typed(AsyncExtension):
    """Answers a command with the properties that arrived."""

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        result = CmdResult.create(StatusCode.OK, cmd)
        result.set_property_from_json("got", cmd.get_property_to_json()[0])
        await ten_env.return_result(result)


def ask(name: str, properties: dict[str, Any]) -> tuple[StatusCode, Any]:
    """The status, and what arrived or the detail of the refusal."""

    async def piece(ten_env: AsyncTenEnvTester) -> tuple[StatusCode, Any]:
        cmd = Cmd.create(name)
        cmd.set_property_from_json(None, json.dumps(properties))
        result, error = await ten_env.send_cmd(cmd)
        assert error is None and result is not None
        if result.get_status_code() == StatusCode.OK:
            text, _ = result.get_property_to_json("got")
            return StatusCode.OK, json.loads(text)
        detail, _ = result.get_property_string("detail")
        return StatusCode.ERROR, detail

    return run_beside(Typed, piece, addon=API)


def test_what_fits_arrives_with_numbers_of_the_declared_kind():
    sent = {"small": 5, "ratio": 2, "list": ["a"], "tree": {"leaf": True}}
    status, got = ask("typed", sent)
    assert status == StatusCode.OK
    assert got == {**sent, "ratio": 2.0}
    assert isinstance(got["ratio"], float)


@pytest.mark.parametrize(
    "properties",
    [
        {"small": "5"},
        {"small": 1.5},
        {"small": True},
        {"small": 500},
        {"ratio": "1"},
        {"list": "a"},
        {"list": [1]},
        {"tree": {"leaf": 1}},
        {"tree": []},
    ],
)
def test_a_cmd_that_does_not_fit_is_answered_with_a_detail(
    properties: dict[str, Any],
):
    status, detail = ask("typed", properties)
    assert status == StatusCode.ERROR
    assert detail


def test_an_integer_out_of_range_is_named_so():
    _, detail = ask("typed", {"small": 500})
    assert "out of range of int8" in detail


def test_a_cmd_without_a_required_property_is_refused():
    assert ask("needs_text", {"text": "x"})[0] == StatusCode.OK
    assert ask("needs_text", {})[0] == StatusCode.ERROR


def test_what_is_not_declared_passes():
    status, got = ask("typed", {"more": [1, "a"]})
    assert (status, got) == (StatusCode.OK, {"more": [1, "a"]})
    assert ask("unheard_of", {"x": 1}) == (StatusCode.OK, {"x": 1})


def test_data_that_does_not_fit_is_dropped_at_the_receiver():
    seen: list[str] = []

    class Listener(Typed):
        async def on_data(self, _ten_env: AsyncTenEnv, data: Data) -> None:
            seen.append(data.get_property_string("text")[0])

    async def piece(ten_env: AsyncTenEnvTester) -> None:
        for value in ("1", '"fits"'):
            data = Data.create("typed_data")
            data.set_property_from_json("text", value)
            assert await ten_env.send_data(data) is None
        await ten_env.send_cmd(Cmd.create("after"))

    run_beside(Listener, piece, addon=API)
    assert seen == ["fits"]


def test_data_that_does_not_fit_the_senders_schema_is_not_sent():
    async def piece(ten_env: AsyncTenEnv) -> Any:
        plain = Data.create("typed_out")
        plain.set_property_int("text", 1)
        waited = plain.clone()
        lost = await ten_env.send_data(plain)
        error = await ten_env.send_data(
            waited, SendOptions(wait_for_result=True)
        )
        return lost, error.error_code() if error is not None else None

    assert run_in_extension(piece, addon=API) == (None, 1)
