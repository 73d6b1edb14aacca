#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""schemathesis finds nothing in the API that differs from its description."""

import asyncio
import sys
from pathlib import Path

import pytest
from support.example import Example, account, needs_setup
from support.http_serving import CREATE, CREATED, conversation, serving
from tavus_sim import ThreadedSim

TOKEN = "a-token-of-some-length"
STREAM = "/api/tavus/events"


async def check(url: str, cwd: Path, *options: str) -> None:
    """Runs schemathesis with all its checks; fails with what it says."""
    run = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{url}/openapi.json",
        "--header",
        f"Authorization: Bearer {TOKEN}",
        "--generation-deterministic",
        "--no-color",
        *options,
        cwd=cwd,  # it leaves its examples there
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await run.communicate()
    assert run.returncode == 0, said.decode()


@pytest.mark.timeout(600)
async def test_the_api_is_as_it_says(tmp_path: Path) -> None:
    log: list[str] = []
    async with serving(
        log=log, auth_token=TOKEN, webhook_secret="a-secret-of-some-length"
    ) as (service, _):
        service.publish(CREATED, conversation("u1"))
        await check(
            service.url,
            tmp_path,
            *("--exclude-path", STREAM),
            *("--max-examples", "15", "--request-timeout", "30"),
        )
        # It reads a stream until its time is up.
        await check(
            service.url,
            tmp_path,
            *("--include-path", STREAM, "--phases", "coverage,fuzzing"),
            *("--max-examples", "3", "--request-timeout", "1"),
        )
    assert log == []


@needs_setup
@pytest.mark.timeout(600)
async def test_create_takes_what_it_says_with_tavus_behind_it(
    tmp_path: Path,
) -> None:
    with ThreadedSim() as sim:
        async with Example(
            tmp_path,
            **{
                **account(sim),
                "TAVUS_HTTP_REQUEST_LIMIT": "off",
                "TAVUS_HTTP_TOKEN": TOKEN,
                "TAVUS_WEBHOOK_SECRET": "a-secret-of-some-length",
            },
        ) as example:
            await check(
                await example.ready(),
                tmp_path,
                *("--include-path", CREATE),
                *("--max-examples", "100", "--request-timeout", "30"),
            )
        assert sim.simulator.ledger()["created"] > 0
        assert sim.simulator.active == []
