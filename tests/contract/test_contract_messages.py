#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Messages hold values without converting them, and are gone once sent."""

import json
from typing import Any

import pytest
from probing import run_beside, run_in_extension
from ten_runtime import (
    AsyncExtension,
    AsyncExtensionTester,
    AsyncTenEnv,
    AsyncTenEnvTester,
    AudioFrame,
    AudioFrameDataFmt,
    Cmd,
    CmdResult,
    Data,
    Loc,
    PixelFmt,
    StatusCode,
    TenError,
    TenErrorCode,
    VideoFrame,
)

NOT_FOUND = 100000


class Echo(AsyncExtension):
    """Sends every data message back, and answers every command with OK."""

    async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
        await ten_env.send_data(data)

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))


def test_each_kind_of_value_comes_back_as_it_went_in():
    data = Data.create("x")
    assert data.set_property_int("i", 2**62) is None
    assert data.set_property_float("f", 0.5) is None
    assert data.set_property_bool("b", True) is None
    assert data.set_property_string("s", "grün") is None
    assert data.set_property_buf("raw", b"\x00\x01") is None
    assert data.get_property_int("i") == (2**62, None)
    assert data.get_property_float("f") == (0.5, None)
    assert data.get_property_bool("b") == (True, None)
    assert data.get_property_string("s") == ("grün", None)
    assert data.get_property_buf("raw") == (bytearray(b"\x00\x01"), None)


@pytest.mark.parametrize(
    ("getter", "default"),
    [
        ("get_property_int", 0),
        ("get_property_float", 0.0),
        ("get_property_bool", False),
        ("get_property_string", ""),
        ("get_property_buf", bytearray()),
        ("get_property_to_json", ""),
    ],
)
def test_a_missing_property_is_error_100000_and_an_empty_value(
    getter: str, default: object
):
    value, error = getattr(Data.create("x"), getter)("absent")
    assert value == default
    assert error is not None
    assert error.error_code() == NOT_FOUND
    assert error.error_message() == "Failed to find value: absent"


def test_the_runtimes_errors_are_not_instances_of_ten_error():
    _, error = Data.create("x").get_property_int("absent")
    assert error is not None
    assert not isinstance(error, TenError)
    made = TenError.create(TenErrorCode.ErrorCodeTimeout, "late")
    assert isinstance(made, TenError)
    assert (made.error_code(), made.error_message()) == (8, "late")
    assert "late" in str(made)


@pytest.mark.parametrize(
    ("stored", "getter", "default", "code"),
    [
        ("1", "get_property_float", 0.0, 1),
        ("1.5", "get_property_int", 0, 1),
        ("true", "get_property_int", 0, 1),
        ("1", "get_property_bool", False, 1),
        ('"1"', "get_property_int", 0, 1),
        ("1", "get_property_string", "", 3),
        ("null", "get_property_string", "", 3),
        ("{}", "get_property_string", "", 3),
        ('"text"', "get_property_buf", bytearray(), 1),
    ],
)
def test_no_getter_of_a_message_converts_between_kinds(
    stored: str, getter: str, default: object, code: int
):
    data = Data.create("x")
    assert data.set_property_from_json("v", stored) is None
    value, error = getattr(data, getter)("v")
    assert value == default
    assert error is not None
    assert error.error_code() == code
    if code == 3:
        assert error.error_message() == "Value is not string."


@pytest.mark.parametrize(
    ("setter", "value"),
    [
        ("set_property_int", "1"),
        ("set_property_int", 1.0),
        ("set_property_int", None),
        ("set_property_int", 2**64),
        ("set_property_string", 1),
        ("set_property_string", None),
        ("set_property_string", "a\0b"),
        ("set_property_string", "\ud800"),
        ("set_property_float", "1"),
        ("set_property_bool", "yes"),
    ],
)
def test_a_setter_raises_value_error_for_a_wrong_python_type(
    setter: str, value: object
):
    with pytest.raises(ValueError, match="Failed to parse arg"):
        getattr(Data.create("x"), setter)("v", value)


def test_a_float_may_be_set_from_an_int_and_a_bool_from_an_int():
    data = Data.create("x")
    assert data.set_property_float("f", 1) is None
    assert data.get_property_float("f") == (1.0, None)
    assert data.set_property_bool("b", 1) is None
    assert data.get_property_bool("b") == (True, None)


def test_dotted_paths_read_into_objects_and_arrays_and_make_objects():
    data = Data.create("x")
    tree = json.dumps({"o": {"k": {"z": [0, 1, {"q": "deep"}]}}})
    assert data.set_property_from_json(None, tree) is None
    assert data.get_property_string("o.k.z[2].q") == ("deep", None)
    assert data.set_property_int("p.q.r", 5) is None
    text, error = data.get_property_to_json("p")
    assert error is None
    assert json.loads(text) == {"q": {"r": 5}}


def test_json_at_the_root_replaces_every_property():
    data = Data.create("x")
    data.set_property_int("old", 1)
    assert data.set_property_from_json(None, '{"new": 2}') is None
    text, _ = data.get_property_to_json()
    assert json.loads(text) == {"new": 2}


def test_bad_json_is_error_2_and_empty_json_an_error_with_code_0():
    data = Data.create("x")
    bad = data.set_property_from_json(None, "{nope")
    assert bad is not None and bad.error_code() == 2
    empty = data.set_property_from_json(None, "")
    assert empty is not None and empty.error_code() == 0


@pytest.mark.parametrize(
    "text",
    [
        r'{"n": "\ud800"}',
        '{"n": 1e400}',
        '{"n": NaN}',
        '{"n": 1} x',
        '{"n": 01}',
    ],
)
def test_json_that_cannot_be_kept_is_error_2_and_changes_nothing(text: str):
    data = Data.create("x")
    data.set_property_int("old", 1)
    error = data.set_property_from_json(None, text)
    assert error is not None
    # The text itself: not to be logged where there may be secrets.
    assert (error.error_code(), error.error_message()) == (2, text)
    assert json.loads(data.get_property_to_json()[0]) == {"old": 1}


def test_text_in_json_ends_at_a_nul():
    data = Data.create("x")
    text = r'{"a": "x\u0000y", "k\u0000z": ["\u0000"], "e": "\ud83d\ude00"}'
    assert data.set_property_from_json(None, text) is None
    tree = json.loads(data.get_property_to_json()[0])
    assert tree == {"a": "x", "k": [""], "e": "😀"}


def test_an_integer_of_json_that_is_too_large_is_a_float():
    data = Data.create("x")
    assert data.set_property_from_json("n", "1" + "0" * 22) is None
    assert data.get_property_float("n") == (1e22, None)


def test_json_of_a_message_is_pretty_printed_and_shows_a_buffer_as_null():
    data = Data.create("x")
    data.set_property_int("n", 1)
    data.set_property_buf("raw", b"\x00")
    text, error = data.get_property_to_json()
    assert error is None
    assert "\n" in text
    assert json.loads(text) == {"n": 1, "raw": None}


@pytest.mark.parametrize("kind", [Cmd, Data, AudioFrame, VideoFrame])
def test_messages_are_made_by_create_only(kind: Any):
    with pytest.raises(NotImplementedError):
        kind("x")


def test_a_ten_error_is_made_by_create_only():
    with pytest.raises(NotImplementedError):
        TenError(1, "x")


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ((None,), "App URI cannot be empty."),
        (
            ("", None, "x"),
            "Graph ID cannot be empty when extension name is provided.",
        ),
    ],
)
def test_an_address_needs_an_app_and_for_an_extension_a_graph(
    address: tuple[str | None, ...], problem: str
):
    error = Cmd.create("x").set_dests([Loc(*address)])
    assert error is not None
    assert (error.error_code(), error.error_message()) == (3, problem)


@pytest.mark.parametrize("address", [("",), ("", ""), ("", "", "x")])
def test_an_address_may_be_empty_for_this_app_and_this_graph(
    address: tuple[str, ...],
):
    assert Cmd.create("x").set_dests([Loc(*address)]) is None


def test_a_clone_lives_on_when_the_original_is_sent():
    async def piece(ten_env: AsyncTenEnv) -> tuple[str, str]:
        data = Data.create("x")
        data.set_property_string("s", "kept")
        clone = data.clone()
        await ten_env.send_data(data)
        with pytest.raises(ValueError, match=r"Msg is invalidated\."):
            data.get_name()
        return clone.get_name(), clone.get_property_string("s")[0]

    assert run_in_extension(piece) == ("x", "kept")


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.get_property_int("n"),
        lambda m: m.set_property_int("n", 1),
        lambda m: m.get_property_to_json(),
        lambda m: m.set_property_from_json(None, "{}"),
        lambda m: m.get_source(),
        lambda m: m.set_dests([Loc("")]),
    ],
)
def test_a_call_of_a_sent_message_raises(call: Any):
    async def piece(ten_env: AsyncTenEnv) -> None:
        data = Data.create("x")
        await ten_env.send_data(data)
        with pytest.raises(ValueError, match=r"Msg is invalidated\."):
            call(data)

    run_in_extension(piece)


def test_a_received_message_can_be_kept_and_a_cmd_read_after_its_result():
    kept: list[Any] = []

    class Keeper(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))
            kept.append(cmd.get_property_string("s"))
            kept.append(cmd)

    async def piece(ten_env: AsyncTenEnvTester) -> None:
        cmd = Cmd.create("x")
        cmd.set_property_string("s", "still here")
        await ten_env.send_cmd(cmd)
        await ten_env.send_cmd(Cmd.create("again"))

    run_beside(Keeper, piece)
    assert kept[0] == ("still here", None)
    assert kept[1].get_property_string("s") == ("still here", None)


def test_a_buffer_is_written_through_a_view_and_read_as_a_copy():
    data = Data.create("x")
    data.alloc_buf(4)
    view = data.lock_buf()
    view[:] = b"abcd"
    data.unlock_buf(view)
    copy = data.get_buf()
    copy[0] = 0
    assert bytes(data.get_buf()) == b"abcd"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Data, SystemError),
        (AudioFrame, RuntimeError),
        (VideoFrame, SystemError),
    ],
)
def test_locking_without_a_buffer_raises(kind: Any, error: type[Exception]):
    with pytest.raises(error, match="Failed to lock buffer"):
        kind.create("x").lock_buf()


def test_frames_carry_their_format():
    audio = AudioFrame.create("pcm_frame")
    audio.set_sample_rate(16000)
    audio.set_bytes_per_sample(2)
    audio.set_number_of_channels(1)
    audio.set_samples_per_channel(160)
    audio.set_data_fmt(AudioFrameDataFmt.INTERLEAVE)
    audio.set_timestamp(2**40)
    assert audio.get_sample_rate() == 16000
    assert audio.get_bytes_per_sample() == 2
    assert audio.get_number_of_channels() == 1
    assert audio.get_samples_per_channel() == 160
    assert audio.get_data_fmt() == AudioFrameDataFmt.INTERLEAVE
    assert audio.get_timestamp() == 2**40
    video = VideoFrame.create("video_frame")
    video.set_width(640)
    video.set_height(480)
    video.set_pixel_fmt(PixelFmt.I420)
    assert (video.get_width(), video.get_height()) == (640, 480)
    assert video.get_pixel_fmt() == PixelFmt.I420


def test_audio_frames_arrive_in_order_with_their_samples():
    count = 500

    class Sender(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            for i in range(count):
                frame = AudioFrame.create("pcm_frame")
                frame.alloc_buf(4)
                view = frame.lock_buf()
                view[:] = i.to_bytes(4, "big")
                frame.unlock_buf(view)
                await ten_env.send_audio_frame(frame)
            await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

    got: list[int] = []

    class Listener(AsyncExtensionTester):
        async def on_audio_frame(
            self, _ten_env: AsyncTenEnvTester, audio_frame: AudioFrame
        ) -> None:
            got.append(int.from_bytes(audio_frame.get_buf(), "big"))

    async def piece(ten_env: AsyncTenEnvTester) -> None:
        await ten_env.send_cmd(Cmd.create("go"))

    run_beside(Sender, piece, tester=Listener)
    assert got == list(range(count))


def test_a_message_knows_where_it_came_from():
    sources: list[str | None] = []

    class Listener(AsyncExtension):
        async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
            sources.append(cmd.get_source().extension_name)
            await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

    async def piece(ten_env: AsyncTenEnvTester) -> None:
        await ten_env.send_cmd(Cmd.create("x"))

    run_beside(Listener, piece)
    assert sources == ["ten:test_extension"]
