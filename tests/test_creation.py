#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Whatever happens to a create: one conversation or none, never a lost one."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.keeping import Kept, new_simulator
from support.virtual_time import run
from tavus_sim import SimReply, SimRequest
from ten_packages.extension.tavus_python.config import StartOptions
from ten_packages.extension.tavus_python.errors import TavusError
from ten_packages.extension.tavus_python.events import Created, Failed

ACTED = ["drop_after", "error_after", "hang_after", "truncated", "not_json"]
NOT_ACTED = ["drop_before", "error_before", "hang_before", "page_before"]


@pytest.mark.parametrize("kind", [*ACTED, "empty"])
def test_a_lost_answer_is_found_by_its_name(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", kind, count=1)
        kept = Kept(tmp_path, simulator)
        made = await kept.keeper.start(StartOptions())
        assert made.conversation_url
        assert simulator.ledger()["created"] == 1
        assert simulator.active == [made.conversation_id]
        await kept.keeper.end()
        assert simulator.active == []
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("kind", NOT_ACTED)
def test_what_made_nothing_is_asked_again(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", kind, count=1)
        kept = Kept(tmp_path, simulator)
        made = await kept.keeper.start(StartOptions())
        assert simulator.ledger()["created"] == 1
        assert simulator.active == [made.conversation_id]
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("kind", [*ACTED, *NOT_ACTED])
def test_a_fault_that_stays_leaves_nothing_running(
    tmp_path: Path, kind: str
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("*", kind)
        kept = Kept(tmp_path, simulator)
        with pytest.raises(TavusError):
            await kept.keeper.start(StartOptions())
        simulator.clear_faults()
        await asyncio.sleep(90)
        assert simulator.ledger()["created"] <= 1
        assert simulator.active == []
        await kept.keeper.close()

    run(main())


def test_nothing_is_asked_again_while_it_is_unknown(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", "drop_before")
        simulator.add_fault("list", "drop_before")
        kept = Kept(tmp_path, simulator)
        with pytest.raises(TavusError, match="connection reset"):
            await kept.keeper.start(StartOptions())
        assert simulator.ledger()["requests"]["create"] == 1
        await kept.keeper.close()

    run(main())


def test_a_conversation_that_appears_late_is_ended(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator)
        kept.client.create_arrives_after_s = 25
        starting = asyncio.create_task(kept.keeper.start(StartOptions()))
        await asyncio.sleep(31)
        kept.client.create_arrives_after_s = None
        made = await starting
        await asyncio.sleep(60)
        assert simulator.ledger()["created"] == 2
        assert simulator.active == [made.conversation_id]
        await kept.keeper.close()

    run(main())


def test_who_left_meanwhile_is_not_asked_for_again(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", "hang_before")
        kept = Kept(tmp_path, simulator, leave_grace_ms=0)
        kept.keeper.user_joined("u1")
        await asyncio.sleep(1)
        kept.keeper.user_left("u1")
        await asyncio.sleep(600)
        assert simulator.ledger()["requests"]["create"] == 1
        assert simulator.active == []
        await kept.keeper.close()

    run(main())


def test_a_room_whose_token_was_lost_is_ended_first(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", "drop_after", count=1)
        kept = Kept(tmp_path, simulator, require_auth=True)
        made = await kept.keeper.start(StartOptions())
        assert made.meeting_token
        assert f"?t={made.meeting_token}" in made.join_url
        assert simulator.ledger()["created"] == 2
        assert simulator.active == [made.conversation_id]
        await kept.keeper.close()

    run(main())


def test_a_slot_that_a_dead_worker_holds_is_freed(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator(max_concurrent=1)
        dead = Kept(tmp_path, simulator)
        lost = await dead.keeper.start(StartOptions())
        await _die(dead)
        kept = Kept(tmp_path, simulator)
        made = await kept.keeper.start(StartOptions())
        assert simulator.active == [made.conversation_id]
        assert lost.conversation_id != made.conversation_id
        await kept.keeper.close()

    run(main())


def test_a_slot_that_somebody_else_holds_is_a_clear_error(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator(max_concurrent=1)
        other = Kept(tmp_path / "other", simulator)
        await other.keeper.start(StartOptions())
        kept = Kept(tmp_path, simulator)
        kept.keeper.user_joined("u1")
        failed = await kept.heard(Failed)
        assert failed.error.kind == "concurrency"
        assert "maximum concurrent conversations" in str(failed.error)
        assert "end a conversation that is still running" in str(failed.error)
        assert simulator.ledger()["requests"]["create"] == 3
        await asyncio.sleep(600)
        assert simulator.ledger()["requests"]["create"] == 3
        assert len(simulator.active) == 1
        await kept.keeper.close()
        await other.keeper.close()

    run(main())


def test_a_rate_limit_is_waited_out(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault(
            "create", "status", status=429, retry_after_s=5, count=2
        )
        kept = Kept(tmp_path, simulator)
        kept.keeper.user_joined("u1")
        made = await kept.heard(Created)
        assert made.create_ms > 10_000
        assert simulator.ledger()["created"] == 1
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("suffix", [".1", " ü?#%2e", "-" * 200, ":,;|'\"\\"])
@pytest.mark.parametrize("fault", ["", "drop_after", "no_ids"])
def test_an_id_of_whatever_characters_is_used_and_ended(
    tmp_path: Path, suffix: str, fault: str
) -> None:
    async def main() -> None:
        simulator = new_simulator(id_suffix=suffix)
        if fault:
            simulator.add_fault("create", fault, count=1)
        kept = Kept(tmp_path, simulator)
        made = await kept.keeper.start(StartOptions())
        assert made.conversation_id.endswith(suffix)
        assert simulator.active == [made.conversation_id]
        assert simulator.ledger()["created"] == 1
        assert await kept.keeper.end(made.conversation_id) == [
            made.conversation_id
        ]
        assert simulator.active == []
        await kept.keeper.close()

    run(main())


def test_one_that_is_listed_without_an_id_exists(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", "no_ids", count=1)
        simulator.add_fault("list", "no_ids", count=4)
        kept = Kept(tmp_path, simulator)
        kept.keeper.user_joined("u1")
        failed = await kept.heard(Failed)
        assert failed.error.kind == "protocol"
        assert simulator.ledger()["requests"]["create"] == 1
        # Now its id can be read: it is ended, and then another is made.
        made = await kept.heard(Created)
        assert simulator.active == [made.conversation.conversation_id]
        assert simulator.ledger()["created"] == 2
        await kept.keeper.close()
        assert simulator.active == []

    run(main())


def test_nothing_is_made_beside_one_that_cannot_be_ended(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", "no_ids")
        simulator.add_fault("list", "no_ids")
        kept = Kept(tmp_path, simulator)
        kept.keeper.user_joined("u1")
        await kept.heard(Failed)
        with pytest.raises(TavusError, match="it may have made a conversat"):
            await kept.keeper.start(StartOptions())
        await asyncio.sleep(3000)
        assert simulator.ledger()["created"] == 1
        simulator.clear_faults()
        await kept.heard(Created)
        assert len(simulator.active) == 1
        await kept.keeper.close()

    run(main())


def test_a_list_that_is_refused_blocks_nobody_for_ever(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        simulator = new_simulator()
        simulator.add_fault("create", "hang_after", count=1)
        simulator.add_fault("list", "status", status=403, count=None)
        kept = Kept(tmp_path, simulator, participant_absent_timeout=300)
        kept.keeper.user_joined("u1")
        failed = await kept.heard(Failed)
        assert "Tavus cannot say" in failed.error.hint
        assert "participant_absent_timeout" in failed.error.hint
        # Commands are told so, too, soon.
        began = loop.time()
        for most_s in (10.1, 0.1):
            with pytest.raises(TavusError, match="Tavus cannot say"):
                await kept.keeper.start(StartOptions())
            assert loop.time() - began <= most_s
            began = loop.time()
        assert simulator.ledger()["created"] == 1
        # What nobody joined is over by now, and users are served again.
        await kept.heard(Created)
        assert 300 <= loop.time() <= 400
        assert len(simulator.active) == 1
        await kept.keeper.close()

    run(main())


def test_who_left_while_a_slot_was_freed_gets_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator(max_concurrent=1)
        other = Kept(tmp_path / "other", simulator)
        await other.keeper.start(StartOptions())
        kept = Kept(tmp_path, simulator, leave_grace_ms=0)
        kept.keeper.user_joined("u1")
        await asyncio.sleep(1)
        kept.keeper.user_left("u1")
        await asyncio.sleep(60)
        assert simulator.ledger()["requests"]["create"] == 2
        assert kept.of(Failed) == []
        await kept.keeper.close()
        await other.keeper.close()

    run(main())


def test_a_name_is_short_and_a_changed_one_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator, conversation_name="n" * 64)
        kept.log.addHandler(caplog.handler)
        made = await kept.keeper.start(StartOptions())
        assert len(made.conversation_name) == 15 + 1 + 16
        await kept.keeper.end()
        assert caplog.records == []
        handle = simulator.handle

        def upper(request: SimRequest) -> SimReply:
            reply = handle(request)
            name = made.conversation_name[:16].encode()
            reply.body = reply.body.replace(name, name.upper())
            return reply

        simulator.handle = upper  # type: ignore[method-assign]
        for _ in range(2):
            simulator.add_fault("create", "drop_after", count=1)
            await kept.keeper.start(StartOptions())
            await kept.keeper.end()
            await kept.keeper.start(StartOptions())
            await kept.keeper.end()
        told = [r for r in caplog.records if "what was sent as" in r.msg]
        assert len(told) == 1
        assert simulator.ledger()["created"] == 5
        await kept.keeper.close()

    run(main())


def test_two_of_one_name_are_one_too_many(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", "drop_after", count=2)
        kept = Kept(tmp_path, simulator)
        handle = simulator.handle

        def doubled(request: SimRequest) -> SimReply:
            if (request.method, request.path) == ("POST", "/v2/conversations"):
                handle(request)
            return handle(request)

        simulator.handle = doubled  # type: ignore[method-assign]
        made = await kept.keeper.start(StartOptions())
        await asyncio.sleep(5)
        assert simulator.ledger()["created"] == 2
        assert simulator.active == [made.conversation_id]
        await kept.keeper.close()
        assert simulator.active == []

    run(main())


URLS_TO_NOWHERE = (
    *("", None, 7, "javascript:alert(1)", "data:text/html,x", "c1", "//host"),
    *("http://example.com/c1", "http://127.0.0.1.example.com/", "https://"),
    *("https://a b/", "ftp://127.0.0.1/", "https:c1", "blob:https://a/b"),
)


def _with_url(kept: Kept, url: object) -> None:
    handle = kept.simulator.handle

    def changed(request: SimRequest) -> SimReply:
        reply = handle(request)
        if request.path.startswith("/v2/conv") and b'"conv' in reply.body:
            told = re.sub(
                rb'("conversation_url": )"[^"]*"',
                lambda found: found[1] + json.dumps(url).encode(),
                reply.body,
            )
            reply.body = told
        return reply

    kept.simulator.handle = changed  # type: ignore[method-assign]


@pytest.mark.parametrize("url", URLS_TO_NOWHERE)
@pytest.mark.parametrize("lost", [False, True])
def test_one_that_nobody_can_enter_is_an_error_and_ended(
    tmp_path: Path, url: object, lost: bool
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        if lost:
            simulator.add_fault("create", "drop_after", count=1)
        kept = Kept(tmp_path, simulator)
        _with_url(kept, url)
        kept.keeper.user_joined("u1")
        failed = await kept.heard(Failed)
        assert failed.error.kind == "protocol"
        assert "conversation_url" in str(failed.error)
        await asyncio.sleep(5)
        assert kept.created == []
        assert simulator.ledger()["created"] == 1
        assert simulator.active == []
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize(
    "url",
    [
        "https://tavus.daily.co/c1",
        "HTTPS://example.com:8443/c1?a=b#c",
        "http://localhost:8900/room/c1",
        "http://sim.localhost/c1",
        "http://127.0.0.2/c1",
        "http://[::1]:8900/c1",
    ],
)
def test_one_that_can_be_entered_is_handed_on(tmp_path: Path, url: str) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        _with_url(kept, url)
        made = await kept.keeper.start(StartOptions())
        assert made.conversation_url == url
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("url", ["", None])
def test_who_is_called_to_a_meeting_needs_no_url(
    tmp_path: Path, url: object
) -> None:
    async def main() -> None:
        kept = Kept(
            tmp_path,
            new_simulator(),
            params={"meeting_url": "https://meet.example.com/x"},
        )
        _with_url(kept, url)
        made = await kept.keeper.start(StartOptions())
        assert made.conversation_url == ""
        await kept.keeper.close()
        assert kept.simulator.active == []

    run(main())


def test_a_thousand_lost_answers_cost_few_listings(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", "drop_after")
        kept = Kept(tmp_path, simulator, conversation_scope="user")
        for number in range(1000):
            kept.keeper.user_joined(f"u{number}")
        await kept.heard(Created, 1000)
        # They ask in ten waves of a hundred, and a listing has ten pages.
        assert simulator.ledger()["requests"]["list"] <= 100
        assert simulator.ledger()["created"] == 1000
        await kept.keeper.end()
        assert simulator.active == []
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_with_a_thousand_active_and_a_tenth_lost_everybody_is_served(
    tmp_path: Path, kind: str
) -> None:
    async def main() -> None:
        simulator = new_simulator(latency_ms=150)
        kept = Kept(tmp_path, simulator, conversation_scope="user")
        kept.keeper.open()
        for number in range(1000):
            kept.keeper.user_joined(f"u{number}")
        await kept.heard(Created, 1000)
        simulator.add_fault("*", kind, probability=0.1)
        began = asyncio.get_running_loop().time()
        for number in range(100):
            kept.keeper.user_joined(f"late{number}")
        await kept.heard(Created, 1100)
        assert asyncio.get_running_loop().time() - began < 45
        simulator.clear_faults()
        await kept.keeper.close()

    run(main())


def test_polls_that_hang_keep_nobody_from_ending(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator, conversation_scope="user")
        for number in range(300):
            kept.keeper.user_joined(f"u{number}")
        await kept.heard(Created, 300)
        simulator.add_fault("get", "hang_before")
        await asyncio.sleep(20)
        await kept.keeper.close()
        assert simulator.active == []

    run(main())


@pytest.mark.parametrize("names", ["lower", "bare", "cut 32"])
def test_whatever_tavus_makes_of_a_name_a_lost_answer_is_found(
    tmp_path: Path, names: str
) -> None:
    async def main() -> None:
        simulator = new_simulator(names=names)
        simulator.add_fault("create", "drop_after", count=1)
        kept = Kept(tmp_path, simulator, conversation_name="Bot (EU) " * 7)
        made = await kept.keeper.start(StartOptions())
        assert simulator.active == [made.conversation_id]
        assert simulator.ledger()["created"] == 1
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("totals", ["all", "page", "none"])
def test_whatever_a_list_counts_what_was_lost_in_it_is_found(
    tmp_path: Path, totals: str
) -> None:
    async def main() -> None:
        simulator = new_simulator(totals=totals, max_page_size=1)
        kept = Kept(tmp_path, simulator, conversation_scope="user")
        for number in range(9):
            simulator.add_fault("create", "drop_after", count=1)
            kept.keeper.user_joined(f"u{number}")
        await kept.heard(Created, 9)
        assert simulator.ledger()["created"] == 9
        await kept.keeper.close()
        assert simulator.active == []

    run(main())


def test_where_names_are_lost_no_lost_answer_is_asked_again(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator(names="cut 12")
        kept = Kept(tmp_path, simulator)
        await kept.keeper.start(StartOptions())
        await kept.keeper.end()
        simulator.add_fault("create", "drop_after", count=1)
        with pytest.raises(TavusError):
            await kept.keeper.start(StartOptions())
        kept.keeper.user_joined("u1")
        await asyncio.sleep(50)
        assert simulator.ledger()["created"] == 2
        await kept.keeper.close()

    run(main())


async def _die(kept: Kept) -> None:
    """What SIGKILL leaves: no request, no record, a lock that is free."""
    kept.simulator.add_fault("end", "drop_before")
    await kept.keeper.close()
    kept.simulator.clear_faults()


def test_a_mistake_of_ours_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator)
        create = kept.client.create_conversation

        async def mistaken(body: dict[str, Any]) -> Any:
            await create(body)
            raise KeyError("a mistake")

        monkeypatch.setattr(kept.client, "create_conversation", mistaken)
        with pytest.raises(TavusError, match="internal error"):
            await kept.keeper.start(StartOptions())
        await asyncio.sleep(90)
        assert simulator.ledger()["created"] == 1
        assert simulator.active == []
        await kept.keeper.close()

    run(main())
