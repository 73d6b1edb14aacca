#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What comes late, and what is said to be over and is not, is ended."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.agora import APP_ID, AVATAR_UID
from support.keeping import Kept, new_simulator
from support.virtual_time import run
from tavus_sim import Simulator
from ten_packages.extension.tavus_python.config import StartOptions
from ten_packages.extension.tavus_python.errors import TavusError
from ten_packages.extension.tavus_python.late import LATE_S

LIE = {"ok": True}


@pytest.mark.parametrize("late_s", [70, 150, 550])
@pytest.mark.parametrize("restarted", [False, True])
def test_what_arrives_minutes_after_it_was_given_up_is_ended(
    tmp_path: Path, late_s: float, restarted: bool
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator)
        kept.keeper.open()
        kept.client.create_arrives_after_s = late_s
        starting = asyncio.create_task(kept.keeper.start(StartOptions()))
        await asyncio.sleep(31)
        kept.client.create_arrives_after_s = None
        made = await starting
        if restarted:
            await kept.keeper.close()
            kept = Kept(tmp_path, simulator)
            kept.keeper.open()
        await asyncio.sleep(late_s + 35)
        assert simulator.ledger()["created"] == 2
        assert simulator.active == [made.conversation_id][restarted:]
        await kept.keeper.close()

    run(main())


def test_what_never_arrives_leaves_the_journal_in_the_end(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", "drop_before", count=1)
        kept = Kept(tmp_path, simulator)
        kept.keeper.open()
        await kept.keeper.start(StartOptions())
        await kept.keeper.end()
        await asyncio.sleep(60 + LATE_S + 60)
        before = simulator.ledger()["requests"]["list"]
        await asyncio.sleep(LATE_S)
        assert simulator.ledger()["requests"]["list"] == before
        await kept.keeper.close()
        assert list(tmp_path.iterdir()) == []

    run(main())


def test_a_list_that_cannot_be_read_is_not_taken_for_an_empty_one(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator)
        kept.keeper.open()
        kept.client.create_arrives_after_s = 300
        starting = asyncio.create_task(kept.keeper.start(StartOptions()))
        await asyncio.sleep(31)
        kept.client.create_arrives_after_s = None
        made = await starting
        simulator.add_fault("list", "status", status=503)
        await asyncio.sleep(2 * LATE_S)
        simulator.clear_faults()
        await asyncio.sleep(60)
        assert simulator.active == [made.conversation_id]
        await kept.keeper.close()

    run(main())


def test_a_second_of_one_name_that_comes_later_is_ended(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator)
        kept.keeper.open()
        simulator.add_fault("create", "drop_after", count=1)
        made = await kept.keeper.start(StartOptions())
        (create,) = [
            one
            for one in simulator.recent_requests
            if (one.method, one.path) == ("POST", "/v2/conversations")
        ]
        await asyncio.sleep(100)
        simulator.handle(create)
        assert len(simulator.active) == 2
        await asyncio.sleep(31)
        assert simulator.active == [made.conversation_id]
        await kept.keeper.close()

    run(main())


def test_an_end_that_a_proxy_answered_is_not_believed(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator)
        await kept.keeper.start(StartOptions())
        simulator.add_fault("end", "status", status=200, body=LIE, count=3)
        await kept.keeper.end()
        assert simulator.active == []
        await kept.keeper.close()
        assert list(tmp_path.iterdir()) == []

    run(main())


def _in_agora(folder: Path, simulator: Simulator, **more: Any) -> Kept:
    """Sessions, without the socket over which they are spoken to."""
    return Kept(
        folder,
        simulator,
        transport="agora",
        channel="room1",
        agora_app_id=APP_ID,
        agora_avatar_uid=AVATAR_UID,
        params={"agora_settings": {"token": "t"}, **more},
    )


@pytest.mark.parametrize("status", [200, 404])
def test_a_session_is_not_over_because_a_proxy_says_so(
    tmp_path: Path, status: int
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = _in_agora(tmp_path, simulator)
        await kept.keeper.start(StartOptions())
        await asyncio.sleep(100)  # Tavus's idle time-out is at 120 s
        simulator.add_fault(
            "agora_stop", "status", status=status, body=LIE, count=3
        )
        await kept.keeper.end()
        assert simulator.active == []
        assert simulator.now() < 110
        await kept.keeper.close()
        assert list(tmp_path.iterdir()) == []

    run(main())


def test_a_refused_stop_ends_no_session_that_is_old(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = _in_agora(tmp_path, simulator, activity_idle_timeout=3600)
        await kept.keeper.start(StartOptions())
        await asyncio.sleep(3500)
        simulator.add_fault("agora_stop", "status", status=403, count=3)
        await kept.keeper.end()
        assert simulator.active == []
        await kept.keeper.close()

    run(main())


def test_the_idle_time_of_params_is_what_is_reckoned_with(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = _in_agora(tmp_path, simulator, activity_idle_timeout=600)
        simulator.add_fault("agora_start", "drop_after", count=1)
        with pytest.raises(TavusError):
            await kept.keeper.start(StartOptions())
        kept.keeper.user_joined("u1")
        await asyncio.sleep(590)
        assert simulator.ledger()["created"] == 1
        await asyncio.sleep(30)
        assert simulator.ledger()["created"] == 2
        assert len(simulator.active) == 1
        await kept.keeper.close()

    run(main())
