#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The configured persona is made once and found again, never once per boot."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.keeping import Kept, new_simulator
from support.virtual_time import run
from tavus_sim import Simulator
from ten_packages.extension.tavus_python.config import StartOptions
from ten_packages.extension.tavus_python.errors import TavusError

ANN = {"persona_name": "Ann", "system_prompt": "You are Ann."}


def kept_with(folder: Path, simulator: Simulator, **persona: Any) -> Kept:
    return Kept(
        folder,
        simulator,
        auto_create_persona=True,
        persona={**ANN, **persona},
    )


async def personas(kept: Kept) -> list[str]:
    return [
        persona.persona_name
        async for persona in kept.client.list_personas(persona_type="user")
    ]


async def persona_of(kept: Kept) -> str:
    made = await kept.keeper.start(StartOptions())
    request = kept.simulator.conversation(made.conversation_id).request
    return request["persona_id"]


def test_every_boot_finds_the_same_persona(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        ids = set()
        for _ in range(3):
            kept = kept_with(tmp_path, simulator)
            ids.add(await persona_of(kept))
            (name,) = await personas(kept)
            assert name.startswith("Ann [ten-")
            await kept.keeper.close()
        assert len(ids) == 1

    run(main())


def test_a_changed_description_is_a_new_persona(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        first = kept_with(tmp_path, simulator)
        second = kept_with(tmp_path, simulator, system_prompt="You are shy.")
        assert await persona_of(first) != await persona_of(second)
        assert len(await personas(first)) == 2
        await first.keeper.close()
        await second.keeper.close()

    run(main())


def test_it_is_there_before_the_first_user_comes(tmp_path: Path) -> None:
    async def main() -> None:
        kept = kept_with(tmp_path, new_simulator())
        kept.keeper.open()
        await asyncio.sleep(1)
        assert len(await personas(kept)) == 1
        asked = kept.simulator.ledger()["requests"]["persona"]
        await kept.keeper.start(StartOptions())
        assert kept.simulator.ledger()["requests"]["persona"] == asked
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("kind", ["drop_after", "error_after", "truncated"])
def test_one_whose_answer_was_lost_is_found(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = kept_with(tmp_path, simulator)
        _spoil_second(simulator, kind)
        await kept.keeper.start(StartOptions())
        assert len(await personas(kept)) == 1
        await kept.keeper.close()

    run(main())


def test_one_that_cannot_be_made_is_the_start_s_error(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = kept_with(tmp_path, simulator)
        _spoil_second(simulator, "drop_before")
        with pytest.raises(TavusError, match="connection reset"):
            await kept.keeper.start(StartOptions())
        assert simulator.ledger()["created"] == 0
        await kept.keeper.start(StartOptions())
        assert len(await personas(kept)) == 1
        await kept.keeper.close()

    run(main())


def test_two_workers_that_boot_at_once_share_the_older(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        workers = [kept_with(tmp_path, simulator) for _ in range(2)]
        ids = await asyncio.gather(*(persona_of(kept) for kept in workers))
        assert ids[0] == ids[1]
        assert len(await personas(workers[0])) == 1
        for kept in workers:
            await kept.keeper.close()

    run(main())


def test_a_spare_one_that_cannot_be_removed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        workers = [kept_with(tmp_path, simulator) for _ in range(2)]
        for kept in workers:
            monkeypatch.setattr(kept.client, "delete_persona", _refused)
        ids = await asyncio.gather(*(persona_of(kept) for kept in workers))
        assert ids[0] == ids[1]
        assert len(await personas(workers[0])) == 2
        for kept in workers:
            await kept.keeper.close()

    run(main())


async def _refused(_: str) -> bool:
    raise TavusError("not now")


def _spoil_second(simulator: Simulator, kind: str) -> None:
    """The first persona request looks for it, the second makes it."""
    simulator.add_fault("persona", "slow", delay_ms=1, count=1)
    simulator.add_fault("persona", kind, count=1)
