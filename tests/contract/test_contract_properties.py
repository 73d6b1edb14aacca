#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""An extension's properties: three sources, placeholders, getter defects."""

import json
from typing import Any

import pytest
from probing import run_in_extension
from ten_runtime import AsyncTenEnv

NOT_FOUND = 100000


async def everything(ten_env: AsyncTenEnv) -> dict[str, Any]:
    """All properties."""
    text, error = await ten_env.get_property_to_json(None)
    assert error is None
    return json.loads(text)


def test_the_graphs_properties_are_laid_over_property_json():
    tree = run_in_extension(
        everything,
        properties={"both": "graph", "nested": {"replaced": 2, "list": [9]}},
    )
    assert tree["from_file"] == "file"
    assert tree["both"] == "graph"
    assert tree["nested"] == {"kept": 1, "replaced": 2, "list": [9]}


def test_a_graph_value_hides_a_placeholder_whose_variable_is_unset():
    tree = run_in_extension(everything, properties={"hidden_env": "shown"})
    assert tree["hidden_env"] == "shown"


def test_placeholders_are_whole_strings_at_any_depth(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("CONTRACT_PROBE_SET", "12")
    monkeypatch.setenv("CONTRACT_PROBE_EMPTY", "")
    tree = run_in_extension(
        everything, properties={"graph_env": "${env:CONTRACT_PROBE_SET}"}
    )
    assert tree["env"] == "12"  # always a string
    assert tree["graph_env"] == "12"
    assert tree["env_empty"] == ""  # set but empty: not the default
    assert tree["env_default"] == "a default"
    assert tree["env_no_default"] == ""
    assert tree["env_inside"] == "pre${env:CONTRACT_PROBE_SET}"
    assert tree["env_deep"] == {"list": ["12"]}


def test_after_a_placeholder_without_a_scope_the_rest_stays_unresolved():
    tree = run_in_extension(
        everything,
        properties={"a": "${X}", "b": "${env:CONTRACT_PROBE_NEVER_SET|}"},
    )
    assert tree["a"] == "${X}"
    assert tree["b"] == "${env:CONTRACT_PROBE_NEVER_SET|}"


def test_a_missing_property_is_error_100000():
    async def piece(ten_env: AsyncTenEnv) -> list[Any]:
        return [
            await ten_env.get_property_int("absent"),
            await ten_env.get_property_string("absent"),
            await ten_env.get_property_bool("absent"),
            await ten_env.get_property_float("absent"),
            await ten_env.get_property_to_json("absent"),
        ]

    answers = run_in_extension(piece)
    assert [value for value, _ in answers] == [0, "", False, 0.0, ""]
    assert [error.error_code() for _, error in answers] == [NOT_FOUND] * 5


def test_the_async_env_hides_a_wrong_type_of_int_and_string():
    async def piece(ten_env: AsyncTenEnv) -> list[Any]:
        return [
            await ten_env.get_property_int("text"),
            await ten_env.get_property_string("number"),
        ]

    answers = run_in_extension(piece, properties={"text": "x", "number": 1})
    assert answers == [(0, None), (None, None)]


def test_the_async_env_cuts_an_int_to_32_bits():
    async def piece(ten_env: AsyncTenEnv) -> Any:
        return await ten_env.get_property_int("big")

    assert run_in_extension(piece, properties={"big": 2**40}) == (0, None)


def test_the_async_env_refuses_to_set_an_int_above_32_bits():
    async def piece(ten_env: AsyncTenEnv) -> None:
        with pytest.raises(ValueError, match="Failed to parse arg"):
            await ten_env.set_property_int("n", 2**40)

    run_in_extension(piece)


def test_the_async_env_sets_json_at_a_path_only():
    async def piece(ten_env: AsyncTenEnv) -> Any:
        with pytest.raises(ValueError, match="Failed to parse arg"):
            await ten_env.set_property_from_json(None, "{}")  # type: ignore[arg-type]
        assert await ten_env.set_property_from_json("a.b", "[1]") is None
        return await ten_env.get_property_to_json("a")

    text, error = run_in_extension(piece)
    assert error is None
    assert json.loads(text) == {"b": [1]}


def test_a_json_integer_is_no_float():
    async def piece(ten_env: AsyncTenEnv) -> Any:
        return await ten_env.get_property_float("number")

    value, error = run_in_extension(piece, properties={"number": 1})
    assert value == 0.0
    assert error is not None


def test_properties_can_be_set_and_are_found():
    async def piece(ten_env: AsyncTenEnv) -> dict[str, Any]:
        assert await ten_env.set_property_int("set.int", 3) is None
        assert await ten_env.set_property_string("set.text", "x") is None
        assert await ten_env.set_property_bool("set.flag", True) is None
        assert await ten_env.set_property_float("set.float", 1) is None
        assert (await ten_env.is_property_exist("set.int")) == (True, None)
        assert (await ten_env.is_property_exist("set.no"))[0] is False
        return (await everything(ten_env))["set"]

    assert run_in_extension(piece) == {
        "int": 3,
        "text": "x",
        "flag": True,
        "float": 1.0,
    }


def test_declared_numbers_take_the_declared_kind():
    async def piece(ten_env: AsyncTenEnv) -> Any:
        return await ten_env.get_property_float("ratio")

    answer = run_in_extension(
        piece, properties={"ratio": 1}, addon="contract_api_probe"
    )
    assert answer == (1.0, None)


def test_a_value_that_the_schema_refuses_is_not_set():
    async def piece(ten_env: AsyncTenEnv) -> Any:
        error = await ten_env.set_property_int("small", 500)
        assert error is not None
        return error.error_code(), await ten_env.get_property_int("small")

    assert run_in_extension(piece, addon="contract_api_probe") == (
        1,
        (1, None),
    )


def test_properties_are_initialised_in_on_configure_only():
    async def piece(ten_env: AsyncTenEnv) -> str:
        error = await ten_env.init_property_from_json('{"late": 1}')
        assert error is not None
        return error.error_message()

    assert "Invalid timing" in run_in_extension(piece)
