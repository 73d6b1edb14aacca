#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Examples that cannot run: they end at once, and say why as the last thing."""

import asyncio
import json
import shutil
import socket
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.example import (
    TENAPP,
    AgoraExample,
    Example,
    account,
    needs_setup,
)
from support.livekit_page import LiveKitExample
from tavus_sim import Simulator, ThreadedSim

pytestmark = needs_setup

# Before, it took 90 s or for ever; the machine may be busy.
AT_ONCE_S = 40.0


async def last_words(example: Example) -> str:
    """Runs what cannot run; the last thing that it says."""

    async def run() -> str:
        async with example:
            return await example.ended()

    text = await asyncio.wait_for(run(), AT_ONCE_S)
    assert example.process.returncode == 1, text
    return text.splitlines()[-1]


KEY = {"TAVUS_API_KEY": "tvk-0123456789abcdef"}


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({"TAVUS_HTTP_TOKEN": "short"}, "auth_token: cannot be used; write 16"),
        ({"TAVUS_HTTP_MAX_ACTIVE": "many"}, "max_active: "),
        ({"TAVUS_HTTP_HOST": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
        ({"TAVUS_LEAVE_GRACE_MS": "soon"}, "leave_grace_ms: 'soon' is not"),
        ({"TAVUS_REPLICA_ID": "r 1"}, "replica_id: 'r 1' is not an id"),
        ({"TAVUS_API_KEY": "two words"}, "tavus_api_key: holds blanks"),
        ({"TAVUS_API_KEY": " "}, "tavus_api_key: is not set"),
        ({**KEY, "TAVUS_BASE_URL": "tavus"}, "base_url: 'tavus' is not an"),
        ({"TAVUS_SIM_REPLICA_JOIN_MS": "soon"}, "--replica-join-ms: invalid"),
        ({"TAVUS_PUBLIC_URL": "example.com"}, "write https://example.com"),
        ({"TAVUS_SIM_PORT": "1.5"}, "TAVUS_SIM_PORT: '1.5' is no port"),
    ],
)
async def test_what_cannot_run_ends_at_once_and_says_why(
    tmp_path: Path, env: dict[str, str], reason: str
) -> None:
    assert reason in await last_words(Example(tmp_path, **env))


async def test_every_node_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    example = Example(
        tmp_path, TAVUS_HTTP_TOKEN="short", TAVUS_LEAVE_GRACE_MS="soon"
    )
    await last_words(example)
    said = "\n".join(example.output[-2:])
    assert "auth_token: " in said and "leave_grace_ms: " in said


def unknown_addon(graph: dict[str, Any]) -> None:
    graph["nodes"][0]["addon"] = "no_such_addon"


def same_name(graph: dict[str, Any]) -> None:
    graph["nodes"][1]["name"] = "tavus"


def unknown_node(graph: dict[str, Any]) -> None:
    graph["connections"][0]["extension"] = "nobody"


def odd_name(graph: dict[str, Any]) -> None:
    graph["nodes"][0]["name"] = "not-a-name"


def unset_variable(graph: dict[str, Any]) -> None:
    graph["nodes"][0]["property"]["persona_id"] = "${env:NOT_SET_ANYWHERE}"


def no_graph(graph: dict[str, Any]) -> None:
    graph["auto_start"] = False


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (unknown_addon, "tavus: not installed: no_such_addon"),
        (same_name, "two nodes are named tavus"),
        (unknown_node, "a connection names 'nobody', which is no node"),
        (odd_name, "name 'not-a-name' of a node is not alphanumeric"),
        (
            unset_variable,
            "node tavus: the environment variable NOT_SET_ANYWHERE",
        ),
        (no_graph, "has no graph that starts by itself"),
    ],
)
async def test_a_graph_that_ten_refuses_is_refused_before(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], None], reason: str
) -> None:
    properties = json.loads((TENAPP / "property.json").read_text())
    (first, *_) = properties["ten"]["predefined_graphs"]
    spoil(first if spoil is no_graph else first["graph"])
    file = tmp_path / "property.json"
    file.write_text(json.dumps(properties))
    said = await last_words(Example(tmp_path, "--property", str(file)))
    assert said.startswith(f"tavus: {file} ") and reason in said


@pytest.mark.parametrize("content", [None, "", "[]", "{", '{"ten": 1}'])
async def test_a_property_file_that_cannot_be_used_is_named(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "property.json"
    if content is not None:
        file.write_text(content)
    said = await last_words(Example(tmp_path, "--property", str(file)))
    assert said.startswith(f"tavus: {file} ")


LIVEKIT = {
    "LIVEKIT_URL": "ws://127.0.0.1:1",
    "LIVEKIT_API_KEY": "devkey",
    "LIVEKIT_API_SECRET": "secret-of-a-server-on-loopback-only",
}


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({"LIVEKIT_URL": "wss://lk.example.com"}, "LIVEKIT_API_SECRET are"),
        ({"LIVEKIT_PORT": "seven"}, "LIVEKIT_PORT: 'seven' is no port"),
        ({"LIVEKIT_PORT": "65535"}, "port 65536, for media over UDP, cannot"),
        ({**LIVEKIT, "LIVEKIT_URL": "lk"}, "livekit_url: "),
        ({**LIVEKIT, "TAVUS_HTTP_TOKEN": "short"}, "auth_token: cannot be"),
        (
            {**LIVEKIT, "TAVUS_HTTP_LIVEKIT_GRAPH": "graphs/none.json"},
            "livekit_graph: graphs/none.json cannot be read",
        ),
        (
            {**LIVEKIT, "TAVUS_HTTP_LIVEKIT_GRAPH": "graphs/room-keys.json"},
            "graphs/room-keys.json: not installed: deepgram_asr_python, eleven",
        ),
        ({**LIVEKIT, "TAVUS_SIM_AVATAR_VIDEO": "big"}, "tavus_sim: --avatars"),
    ],
)
async def test_a_room_example_that_cannot_run_ends_at_once(
    tmp_path: Path, env: dict[str, str], reason: str
) -> None:
    assert reason in await last_words(LiveKitExample(tmp_path, **env))


async def test_a_port_for_media_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as media:
        media.bind(("127.0.0.1", 0))
        port = media.getsockname()[1]
        said = await last_words(
            LiveKitExample(tmp_path, LIVEKIT_PORT=str(port - 1))
        )
    assert f"port {port}, for media over UDP, cannot be used; choose" in said


async def test_without_a_livekit_server_it_says_what_is_needed(
    tmp_path: Path,
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    go = tools / "go"
    go.write_text("#!/bin/sh\necho 'go: no network' >&2\nexit 1\n")
    go.chmod(0o755)
    if shutil.which("livekit-server", path="/usr/bin:/bin"):
        pytest.skip("this machine has a LiveKit server where its tools are")
    said = await last_words(
        LiveKitExample(
            tmp_path,
            PATH=f"{tools}:/usr/bin:/bin",
            XDG_CACHE_HOME=str(tmp_path / "cache"),
        )
    )
    assert said == "go: no network"


def wav(
    file: Path, seconds: float, channels: int = 1, sample_bytes: int = 2
) -> None:
    with wave.Wave_write(str(file)) as out:
        out.setparams((channels, sample_bytes, 16_000, 0, "NONE", ""))
        out.writeframes(
            bytes(round(16_000 * seconds) * channels * sample_bytes)
        )


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda file: None, "cannot be read: No such file or directory"),
        (lambda file: file.mkdir(), "cannot be read: Is a directory"),
        (lambda file: file.write_bytes(b""), "is no WAV file that can be"),
        (lambda file: file.write_text("hello"), "is no WAV file that can be"),
        (lambda file: wav(file, 2, channels=2), "has 2 channel(s) of 16 bits"),
        (
            lambda file: wav(file, 2, sample_bytes=1),
            "has 1 channel(s) of 8 bits",
        ),
        (lambda file: wav(file, 0), "is 0.0 s long"),
        (lambda file: wav(file, 1), "is 1.0 s long"),
        (lambda file: wav(file, 60), "is 60.0 s long"),
    ],
)
async def test_a_wav_that_cannot_be_used_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    file = tmp_path / "speech.wav"
    make(file)
    said = await last_words(AgoraExample(tmp_path, "speech.wav"))
    assert said.startswith("tavus: speech.wav ") and reason in said
    assert said.endswith("a WAV file, 16-bit mono, 1.5 to 50 s long")


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        (KEY, "AGORA_APP_ID (and AGORA_APP_CERTIFICATE, where"),
        ({**KEY, "AGORA_APP_ID": "mine"}, "agora_app_id: is no app id"),
        (
            {"TAVUS_API_KEY": "two words", "AGORA_APP_ID": "0" * 32},
            "tavus_api_key: holds blanks",
        ),
        ({"TAVUS_REPLICA_ID": "r 1"}, "replica_id: 'r 1' is not an id"),
    ],
)
async def test_an_agora_example_that_cannot_run_ends_at_once(
    tmp_path: Path, env: dict[str, str], reason: str
) -> None:
    assert reason in await last_words(AgoraExample(tmp_path, **env))


async def test_an_agora_example_that_tavus_refuses_ends_at_once(
    tmp_path: Path,
) -> None:
    with ThreadedSim(Simulator(api_key="another-key")) as sim:
        env = {**account(sim), "AGORA_APP_ID": "0" * 32}
        said = await last_words(AgoraExample(tmp_path, **env))
    assert "TAVUS_API_KEY" in said
    assert sim.simulator.active == []


async def test_a_simulator_that_dies_ends_the_example(tmp_path: Path) -> None:
    async with Example(tmp_path) as example:
        await example.ready()
        example.process_of("tavus_sim").kill()
        text = await asyncio.wait_for(example.ended(), AT_ONCE_S)
    assert example.process.returncode == 1
    assert text.splitlines()[-1] == (
        "tavus: the simulated Tavus has ended by itself (status 137)"
    )
