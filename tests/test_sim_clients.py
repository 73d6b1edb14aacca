#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Official clients work against the simulator unchanged.

They are no dependency of this package: ``bin/setup peers`` installs them into
``.venv-bench``, as CI does; ``TAVUS_CLIENTS_PYTHON`` names another place.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from livekit import api
from support.livekit import LiveKitServer
from support.places import ROOT
from tavus_sim import AvatarVideo, Simulator, ThreadedSim

pytest_plugins = ["support.livekit_fixtures"]
PYTHON = os.environ.get(
    "TAVUS_CLIENTS_PYTHON", str(ROOT / ".venv-bench" / "bin" / "python")
)
LONG_S = 100.0
LIVEKIT = """
import asyncio, sys
import aiohttp
from livekit.plugins.tavus.api import TavusAPI

async def main(url, token):
    async with aiohttp.ClientSession() as session:
        api = TavusAPI(api_url=url, api_key="K", session=session)
        pal_id = await api.create_pal(default_face_id="r9d30b0e55ac")
        properties = {
            "livekit_ws_url": "wss://lk.test",
            "livekit_room_token": token,
        }
        await api.create_conversation(pal_id=pal_id, properties=properties)
        await api.create_conversation(properties=properties)
        await api.create_persona()

asyncio.run(main(*sys.argv[1:]))
"""
# What an agent's job does with the plugin, without the job.
AVATAR_SESSION = """
import asyncio, os, sys
from types import SimpleNamespace
from livekit import rtc
from livekit.agents import AgentSession, utils
from livekit.plugins.tavus import AvatarSession, avatar

async def main(url, livekit_url, token):
    room = rtc.Room()
    await room.connect(livekit_url, token)
    job = SimpleNamespace(local_participant_identity="agent")
    avatar.get_job_context = lambda: job
    async with utils.http_context.open():
        session = AgentSession()
        face = AvatarSession(api_url=url, api_key="K")
        await face.start(session, room, livekit_url=livekit_url,
            livekit_api_key=sys.argv[4], livekit_api_secret=sys.argv[5])
        await face.wait_for_join(timeout=30)
        await face.set_emotion("happiness")
        out = session.output.audio
        for _ in range(10):
            samples = b"\\0\\1" * 2400
            await out.capture_frame(rtc.AudioFrame(samples, 24000, 1, 2400))
        out.flush()
        played = await asyncio.wait_for(out.wait_for_playout(), 30)
        print(played.playback_position, played.interrupted, flush=True)
        await face.aclose()
    await room.disconnect()

asyncio.run(main(*sys.argv[1:4]))
os._exit(0)  # threads of the SDK may abort an interpreter that is ending
"""


@pytest.fixture(name="sim", params=["old", "new"])
def threaded_sim(request: pytest.FixtureRequest) -> Iterator[ThreadedSim]:
    with ThreadedSim(Simulator(api_key="K", vocabulary=request.param)) as sim:
        yield sim


def run(*arguments: str, **environment: str) -> str:
    result = subprocess.run(
        [PYTHON, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def token() -> str:
    """As the plugin mints it."""
    minted = api.AccessToken("key", "a-secret-that-tavus-does-not-have-32")
    grants = api.VideoGrants(room_join=True, room="parlour")
    return (
        minted.with_kind("agent")
        .with_identity("tavus-avatar-agent")
        .with_grants(grants)
        .with_attributes({"lk.publish_on_behalf": "agent"})
        .to_jwt()
    )


def needs(module: str) -> None:
    find = f"import importlib.util as u; assert u.find_spec({module!r})"
    if Path(PYTHON).exists():
        command = [PYTHON, "-c", find]
        found = subprocess.run(command, capture_output=True, check=False)
        if found.returncode == 0:
            return
    missing = f"{module} is not installed; run bin/setup peers"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def test_livekit_plugins_tavus(sim: ThreadedSim):
    needs("livekit.plugins.tavus")
    run("-c", LIVEKIT, sim.base_url, token())
    created = sim.simulator.ledger()["conversations"]
    names = [entry["conversation_name"] for entry in created]
    assert len(names) == 2
    assert all(name.startswith("lk_conversation_") for name in names)


def test_livekit_plugins_tavus_speaks_through_an_avatar(
    livekit_server: LiveKitServer,
):
    needs("livekit.plugins.tavus")
    server = livekit_server
    with ThreadedSim(avatars=AvatarVideo(320, 180, 10)) as sim:
        printed = run(
            "-c",
            AVATAR_SESSION,
            sim.base_url,
            server.url,
            server.token("agent", "official", kind="agent"),
            server.api_key,
            server.api_secret,
        )
        played_s, interrupted = printed.split()
        (entry,) = sim.simulator.ledger()["conversations"]
        kept = sim.simulator.conversation(entry["conversation_id"])
    assert (float(played_s), interrupted) == (pytest.approx(1.0), "False")
    assert entry["avatar"]["heard_ms"] == 1000
    (emotion,) = kept.interactions.kept
    assert emotion["problem"] is None


def test_tavus_cli(sim: ThreadedSim, tmp_path: Path):
    needs("tavus_mcp")

    def tavus(*arguments: str) -> Any:
        output = run(
            "-c",
            "from tavus_mcp.cli.main import app; app()",
            *arguments,
            TAVUS_PUBLIC_API_BASE_URL=sim.base_url,
            TAVUS_API_KEY="K",
            HOME=str(tmp_path),
        )
        return json.loads(output) if output[:1] in "{[n" else output

    assert "r9d30b0e55ac" in tavus("face", "list")
    wish = ("--name", "Coach", "--system-prompt", "Be kind.")
    face = ("--face-id", "r9d30b0e55ac")
    pal_id = tavus("pal", "create", *wish, *face)["pal_id"]
    assert pal_id in tavus("pal", "list")
    change = ("--path", "/system_prompt", "--value", "Be brief.")
    assert tavus("pal", "patch", pal_id, *change) is None
    assert tavus("pal", "patch", pal_id, *change) is None  # 304
    assert tavus("pal", "get", pal_id)["system_prompt"] == "Be brief."
    conversation = tavus("conversation", "create", "--pal-id", pal_id)
    assert conversation["status"] == "active"
    assert tavus("conversation", "end", conversation["conversation_id"]) is None
    assert tavus("pal", "delete", pal_id) is None
    ledger = sim.simulator.ledger()
    assert (ledger["created"], ledger["active"]) == (1, 0)
