#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""``python -m tavus_sim`` listens, says where, and ends when told to."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEVKIT = Path(__file__).resolve().parent.parent / "devkit"
LONG_S = 30.0


@contextmanager
def running(
    *arguments: str, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "tavus_sim", "--port", "0", *arguments]
    environment = {**os.environ, **variables, "PYTHONPATH": str(DEVKIT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            url = re.fullmatch(
                r"tavus_sim: listening on (http://127\.0\.0\.1:\d+/v2) "
                r"\(a simulation; nothing is billed\)\n",
                line,
            )
            assert url, line
            yield process, url[1]
        finally:
            process.kill()


def post(url: str, body: object, key: str = "k") -> dict[str, str]:
    request = urllib.request.Request(
        url,
        method="POST",
        data=json.dumps(body).encode(),
        headers={"x-api-key": key, "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=LONG_S) as response:
        return json.load(response)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_even_while_a_request_hangs(
    number: signal.Signals,
):
    with running() as (process, url):
        sim = url.removesuffix("/v2")
        post(f"{sim}/sim/faults", {"endpoint": "list", "kind": "hang_before"})
        host, port = sim.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as hanging:
            hanging.sendall(
                b"GET /v2/conversations HTTP/1.1\r\nhost: x\r\n\r\n"
            )
            # Requests are handled in order: this one comes after.
            while not _hangs(sim):
                pass
            process.send_signal(number)
            assert process.wait(LONG_S) == 0


def _hangs(sim: str) -> bool:
    with urllib.request.urlopen(f"{sim}/sim/ledger", timeout=LONG_S) as reply:
        return json.load(reply)["requests"]["list"] == 1


def test_options_reach_the_simulator():
    options = ("--api-key", "K", "--vocabulary", "new", "--max-concurrent", "1")
    with running(*options) as (_, url):
        body = {"pal_id": "pcb7a34da5fe"}
        created = post(f"{url}/conversations", body, key="K")
        assert created["pal_id"] == "pcb7a34da5fe"
        with pytest.raises(urllib.error.HTTPError, match="400") as full:
            post(f"{url}/conversations", body, key="K")
        full.value.close()
        with pytest.raises(urllib.error.HTTPError, match="401") as wrong:
            post(f"{url}/conversations", body, key="L")
        wrong.value.close()


def test_ids_differ_from_run_to_run_unless_seeded():
    def first_id(*options: str) -> str:
        with running(*options) as (_, url):
            body = {"persona_id": "pcb7a34da5fe"}
            return post(f"{url}/conversations", body)["conversation_id"]

    assert first_id() != first_id()
    assert first_id("--seed", "7") == first_id("--seed", "7")


def _join(url: str) -> dict[str, object]:
    """The room of a new conversation, at once after somebody has joined."""
    body = {"persona_id": "pcb7a34da5fe"}
    created = post(f"{url}/conversations", body)
    room = url.removesuffix("/v2") + (
        f"/sim/conversations/{created['conversation_id']}"
    )
    join = urllib.request.Request(f"{room}/join", method="POST")
    urllib.request.urlopen(join, timeout=LONG_S).close()
    with urllib.request.urlopen(f"{room}/room", timeout=LONG_S) as reply:
        return json.load(reply)


@pytest.mark.parametrize(
    ("options", "variable", "joined"),
    [
        ((), "", False),
        ((), "0", True),
        (("--replica-join-ms", "0"), "60000", True),
        (("--replica-join-ms", "60000"), "0", False),
    ],
)
def test_how_long_one_waits_for_the_face(
    options: tuple[str, ...], variable: str, joined: bool
):
    with running(*options, TAVUS_SIM_REPLICA_JOIN_MS=variable) as (_, url):
        assert _join(url)["replica_joined"] is joined


def test_a_taken_port_is_an_error_with_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = subprocess.run(
            [sys.executable, "-m", "tavus_sim", "--port", str(port)],
            cwd=DEVKIT,
            capture_output=True,
            text=True,
            timeout=LONG_S,
            check=False,
        )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("tavus_sim: cannot listen: ")
    assert result.stderr.count("\n") == 1
