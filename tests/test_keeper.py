#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Joins, leaves and commands become conversations, and all of them end."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from support.keeping import Kept, new_simulator
from support.virtual_time import run
from ten_packages.extension.tavus_python.config import StartOptions
from ten_packages.extension.tavus_python.errors import (
    TavusCancelledError,
    TavusError,
    TavusNotFoundError,
    TavusTimeoutError,
)
from ten_packages.extension.tavus_python.events import (
    Created,
    Ended,
    Failed,
    Reported,
)


def test_a_user_who_joins_gets_a_conversation(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        kept.keeper.user_joined("u1", "room")
        made = await kept.heard(Created)
        assert made.conversation.conversation_url.endswith(
            made.conversation.conversation_id
        )
        assert made.channel == "room"
        assert made.create_ms == pytest.approx(40)
        assert kept.simulator.active == [made.conversation.conversation_id]
        await kept.keeper.close()

    run(main())


def test_the_last_who_leaves_ends_it_after_the_grace(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), leave_grace_ms=5000)
        kept.keeper.user_joined("u1")
        kept.keeper.user_joined("u2")
        await kept.heard(Created)
        kept.keeper.user_left("u1")
        await asyncio.sleep(60)
        assert len(kept.simulator.active) == 1
        kept.keeper.user_left("u2")
        await asyncio.sleep(4.9)
        assert len(kept.simulator.active) == 1
        ended = await kept.heard(Ended)
        assert ended.reason == "user_left"
        assert ended.duration_ms == pytest.approx(65_020, abs=30)
        assert kept.simulator.active == []
        await kept.keeper.close()

    run(main())


def test_a_page_refresh_costs_no_new_conversation(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        kept.keeper.user_joined("u1")
        await kept.heard(Created)
        for _ in range(3):
            kept.keeper.user_left("u1")
            await asyncio.sleep(4)
            kept.keeper.user_joined("u1")
            await asyncio.sleep(10)
        assert kept.simulator.ledger()["created"] == 1
        assert len(kept.simulator.active) == 1
        await kept.keeper.close()

    run(main())


def test_a_leave_during_create_ends_the_conversation(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(latency_ms=3000), leave_grace_ms=0)
        kept.keeper.user_joined("u1")
        await asyncio.sleep(1)
        kept.keeper.user_left("u1")
        await kept.heard(Ended)
        assert kept.simulator.ledger()["created"] == 1
        assert kept.simulator.active == []
        await kept.keeper.close()

    run(main())


def test_joined_left_joined_during_create_keeps_the_one(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(latency_ms=3000), leave_grace_ms=0)
        kept.keeper.user_joined("u1")
        await asyncio.sleep(1)
        kept.keeper.user_left("u1")
        await asyncio.sleep(1)
        kept.keeper.user_joined("u1")
        await asyncio.sleep(30)
        assert kept.simulator.ledger()["created"] == 1
        assert len(kept.simulator.active) == 1
        await kept.keeper.close()

    run(main())


def test_who_joins_while_it_ends_gets_a_new_one(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(latency_ms=1000), leave_grace_ms=0)
        kept.keeper.user_joined("u1")
        first = await kept.heard(Created)
        kept.keeper.user_left("u1")
        await asyncio.sleep(0.5)
        kept.keeper.user_joined("u1")
        second = await kept.heard(Created, 2)
        assert [type(event) for event in kept.events] == [
            Created,
            Ended,
            Created,
        ]
        assert kept.simulator.active == [second.conversation.conversation_id]
        assert first.conversation != second.conversation
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize(
    ("joins", "leaves"),
    [
        (["", ""], ["", ""]),
        (["u1", "u1"], ["u1"]),
        (["u1"], [""]),
        ([""], ["u1"]),
        (["u1", ""], ["u1", "u2"]),
    ],
)
def test_leaves_that_do_not_match_their_joins_still_end_it(
    tmp_path: Path, joins: list[str], leaves: list[str]
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        for user_id in joins:
            kept.keeper.user_joined(user_id)
        await kept.heard(Created)
        for user_id in leaves:
            kept.keeper.user_left(user_id)
        await kept.heard(Ended)
        assert kept.simulator.ledger()["created"] == 1
        assert kept.simulator.active == []
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize(
    ("joins", "leaves", "stays"),
    [
        (["A", "B"], ["B"], True),
        (["A", "B"], ["B", "A"], False),
        (["A", "B"], [""], False),
        (["A"], ["B"], True),
        ([""], ["A"], False),
        (["", "A"], ["A"], False),
    ],
)
def test_who_leaves_one_of_two_channels_stays_in_the_other(
    tmp_path: Path, joins: list[str], leaves: list[str], stays: bool
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        for channel in joins:
            kept.keeper.user_joined("u1", channel)
        await kept.heard(Created)
        for channel in leaves:
            kept.keeper.user_left("u1", channel)
        await asyncio.sleep(60)
        assert bool(kept.simulator.active) is stays
        assert len(kept.ended) == (not stays)
        await kept.keeper.close()

    run(main())


def test_a_leave_of_somebody_unknown_ends_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        kept.keeper.user_left("u0")
        kept.keeper.user_joined("u1")
        await kept.heard(Created)
        kept.keeper.user_left("u2")
        await asyncio.sleep(60)
        assert len(kept.simulator.active) == 1
        await kept.keeper.close()

    run(main())


def test_with_scope_user_each_user_has_one(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), conversation_scope="user")
        for user_id in ("u1", "u2", "u1"):
            kept.keeper.user_joined(user_id)
        await kept.heard(Created, 2)
        kept.keeper.user_left("u2")
        ended = await kept.heard(Ended)
        assert ended.user_id == "u2"
        assert kept.simulator.ledger()["created"] == 2
        assert len(kept.simulator.active) == 1
        await kept.keeper.close()
        assert kept.simulator.active == []

    run(main())


def test_without_auto_start_only_a_command_starts(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), auto_start=False)
        kept.keeper.user_joined("u1")
        await asyncio.sleep(60)
        assert kept.simulator.ledger()["created"] == 0
        made = await kept.keeper.start(StartOptions())
        assert kept.simulator.active == [made.conversation_id]
        kept.keeper.user_left("u1")
        await kept.heard(Ended)
        assert kept.simulator.active == []
        await kept.keeper.close()

    run(main())


def test_a_start_while_it_runs_gives_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        kept.keeper.user_joined("u1")
        both = await asyncio.gather(
            kept.keeper.start(StartOptions()),
            kept.keeper.start(StartOptions()),
        )
        again = await kept.keeper.start(StartOptions())
        assert both[0] == both[1] == again
        assert kept.simulator.ledger()["created"] == 1
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("scope", ["channel", "user"])
def test_a_start_taken_back_ends_only_what_nobody_else_has(
    tmp_path: Path, scope: str
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), conversation_scope=scope)
        options = StartOptions.load({"remote_user_id": "u1"})

        async def take_back() -> list[str]:
            return await kept.keeper.end(made.conversation_id, if_unused=True)

        # A user is there, who joined.
        kept.keeper.user_joined("u1")
        await kept.heard(Created)
        made = await kept.keeper.start(options)
        assert await take_back() == []
        # Another start was given the same, at once or with this one.
        await kept.keeper.end()
        kept.keeper.user_left("u1")
        made, _ = await asyncio.gather(
            kept.keeper.start(options), kept.keeper.start(options)
        )
        assert await kept.keeper.start(options) == made
        assert await take_back() == []
        assert await take_back() == []
        assert kept.simulator.active == [made.conversation_id]
        # Nobody is left.
        assert await take_back() == [made.conversation_id]
        assert kept.simulator.active == []
        assert kept.ended[-1].reason == "cancelled"
        await kept.keeper.close()

    run(main())


def test_a_start_sends_its_own_greeting_once(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), custom_greeting="Hello")
        hi = StartOptions.load({"custom_greeting": "Hi"})
        first = await kept.keeper.start(hi)
        await kept.keeper.end()
        second = await kept.keeper.start(StartOptions())
        greetings = [
            kept.simulator.conversation(made.conversation_id).request[
                "custom_greeting"
            ]
            for made in (first, second)
        ]
        assert greetings == ["Hi", "Hello"]
        await kept.keeper.close()

    run(main())


def test_an_end_returns_when_it_is_really_over(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        made = await kept.keeper.start(StartOptions())
        kept.client.reachable = False
        ending = asyncio.create_task(kept.keeper.end(made.conversation_id))
        await asyncio.sleep(20)
        assert not ending.done()
        kept.client.reachable = True
        assert await ending == [made.conversation_id]
        assert kept.simulator.active == []
        assert (await kept.heard(Ended)).reason == "end_conversation"
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("waits", ["before", "after"])
def test_an_end_that_is_not_confirmed_is_told_of_and_holds_up_no_start(
    tmp_path: Path, waits: str
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), auto_start=False)
        kept.keeper.user_joined("u1")
        made = await kept.keeper.start(StartOptions())
        kept.client.reachable = False
        began = asyncio.get_running_loop().time()
        ending = asyncio.create_task(kept.keeper.end(made.conversation_id))
        if waits == "after":
            await kept.heard(Failed)
        else:
            await asyncio.sleep(1)
        with pytest.raises(TavusError) as refused:
            await kept.keeper.start(StartOptions())
        assert asyncio.get_running_loop().time() - began < 5
        assert refused.value.kind == "network"
        failed = await kept.heard(Failed)
        assert failed.error.kind == "network"
        assert failed.conversation_id == made.conversation_id
        assert failed.retrying
        kept.client.reachable = True
        await ending
        # What was refused is not made after all.
        await asyncio.sleep(60)
        assert kept.simulator.ledger()["created"] == 1
        another = await kept.keeper.start(StartOptions())
        assert kept.simulator.active == [another.conversation_id]
        await kept.keeper.close()

    run(main())


def test_who_is_there_gets_another_once_the_end_is_confirmed(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), leave_grace_ms=0)
        kept.keeper.user_joined("u1")
        await kept.heard(Created)
        kept.client.reachable = False
        kept.keeper.user_left("u1")
        await kept.heard(Failed)
        kept.keeper.user_joined("u1")
        kept.client.reachable = True
        await kept.heard(Created, 2)
        assert len(kept.simulator.active) == 1
        await kept.keeper.close()

    run(main())


def test_an_end_during_create_ends_what_comes_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(latency_ms=2000))
        kept.keeper.user_joined("u1")
        await asyncio.sleep(1)
        await kept.keeper.end()
        assert kept.simulator.ledger()["created"] == 1
        assert kept.simulator.active == []
        await asyncio.sleep(60)
        assert kept.simulator.ledger()["created"] == 1
        await kept.keeper.close()

    run(main())


def test_a_start_right_after_an_end_gets_another(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        first = await kept.keeper.start(StartOptions())
        ended, second = await asyncio.gather(
            kept.keeper.end(), kept.keeper.start(StartOptions())
        )
        assert ended == [first.conversation_id]
        assert kept.simulator.active == [second.conversation_id]
        await kept.keeper.close()

    run(main())


def test_end_and_start_during_create_are_both_answered(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(latency_ms=1000))
        kept.keeper.user_joined("u1")
        await asyncio.sleep(0.5)
        _, made = await asyncio.gather(
            kept.keeper.end(), kept.keeper.start(StartOptions())
        )
        assert kept.simulator.ledger()["created"] == 2
        assert kept.simulator.active == [made.conversation_id]
        await kept.keeper.close()

    run(main())


def test_end_and_start_where_nothing_runs_start_one(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        kept.keeper.user_joined("u1")
        ended, made = await asyncio.gather(
            kept.keeper.end(), kept.keeper.start(StartOptions())
        )
        assert ended == []
        assert kept.simulator.active == [made.conversation_id]
        await kept.keeper.close()

    run(main())


def test_a_start_while_it_ends_gets_another(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(latency_ms=1000), leave_grace_ms=0)
        kept.keeper.user_joined("u1")
        first = await kept.heard(Created)
        kept.keeper.user_left("u1")
        await asyncio.sleep(0.5)
        kept.keeper.user_joined("u1")
        made = await kept.keeper.start(StartOptions())
        assert made != first.conversation
        assert kept.simulator.active == [made.conversation_id]
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("how", ["refused", "ended"])
def test_what_one_start_asked_for_is_not_given_to_the_next(
    tmp_path: Path, how: str
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), auto_start=False)
        kept.keeper.user_joined("u1")
        bad = StartOptions.load({"persona_id": "p000000", "language": "de"})
        ends = [kept.keeper.end()] if how == "ended" else []
        answers = await asyncio.gather(
            kept.keeper.start(bad), *ends, return_exceptions=True
        )
        assert isinstance(answers[0], TavusError)
        made = await kept.keeper.start(StartOptions())
        asked = kept.simulator.conversation(made.conversation_id).request
        assert "language" not in asked["properties"]
        await kept.keeper.close()

    run(main())


def test_a_start_is_answered_before_ten_gives_up(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", "hang_after", count=1)
        simulator.add_fault("list", "hang_before", count=15)
        kept = Kept(tmp_path, simulator)
        began = asyncio.get_running_loop().time()
        with pytest.raises(TavusTimeoutError, match="no conversation within"):
            await kept.keeper.start(StartOptions())
        assert asyncio.get_running_loop().time() - began <= 150
        with pytest.raises(TavusTimeoutError, match="not confirmed the end"):
            await kept.keeper.end()
        await asyncio.sleep(1200)
        assert simulator.active == []
        assert simulator.ledger()["created"] == 1
        await kept.keeper.close()

    run(main())


def test_a_user_who_is_there_keeps_what_comes_too_late_for_a_start(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", "hang_after", count=1)
        simulator.add_fault("list", "hang_before", count=6)
        kept = Kept(tmp_path, simulator)
        kept.keeper.user_joined("u1")
        with pytest.raises(TavusTimeoutError):
            await kept.keeper.start(StartOptions())
        await asyncio.sleep(600)
        assert len(simulator.active) == 1
        await kept.keeper.close()
        assert simulator.active == []

    run(main())


def test_one_that_tavus_calls_failed_is_ended(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator)
        made = await kept.keeper.start(StartOptions())
        there: Any = simulator.conversation(made.conversation_id)
        there.status = "error"
        ended = await kept.heard(Ended)
        assert ended.reason == "error"
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("word", ["completed", "expired", "ENDED", "failed"])
def test_a_status_that_no_document_knows_does_not_count_as_running(
    tmp_path: Path, word: str
) -> None:
    async def main() -> None:
        simulator = new_simulator(ended_word=word)
        kept = Kept(tmp_path, simulator)
        made = await kept.keeper.start(StartOptions())
        simulator.shutdown(made.conversation_id, "internal error")
        assert (await kept.heard(Ended)).reason == "internal error"
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("word", ["completed", "", "ended"])
@pytest.mark.parametrize("answer", [400, 404, 409])
def test_an_end_that_is_refused_is_answered_in_time(
    tmp_path: Path, word: str, answer: int
) -> None:
    async def main() -> None:
        simulator = new_simulator(ended_word=word, end_ended_status=answer)
        kept = Kept(tmp_path, simulator, status_poll_s=0)
        made = await kept.keeper.start(StartOptions())
        simulator.shutdown(made.conversation_id)
        began = asyncio.get_running_loop().time()
        assert await kept.keeper.end() == [made.conversation_id]
        # Where Tavus does not say, its list does, a minute after creation.
        limit_s = 2 if word else 65
        assert asyncio.get_running_loop().time() - began < limit_s
        await kept.keeper.close()

    run(main())


def test_what_runs_under_a_strange_status_is_ended(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator)
        made = await kept.keeper.start(StartOptions())
        seen = {"conversation_id": made.conversation_id, "status": "paused"}
        simulator.add_fault("get", "status", status=200, body=seen, count=1)
        assert (await kept.heard(Ended)).reason == "paused"
        assert simulator.active == []
        await kept.keeper.close()

    run(main())


def test_one_created_with_a_strange_status_is_asked_after(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator(ended_word="completed")
        kept = Kept(tmp_path, simulator, status_poll_s=0, test_mode=True)
        await kept.keeper.start(StartOptions())
        assert (await kept.heard(Ended)).reason == "completed"
        await kept.keeper.close()

    run(main())


def test_a_tavus_that_refuses_every_end_leaves_no_command_unanswered(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator)
        await kept.keeper.start(StartOptions())
        simulator.add_fault("end", "status", status=400)
        began = asyncio.get_running_loop().time()
        with pytest.raises(TavusTimeoutError, match="not confirmed the end"):
            await kept.keeper.end()
        assert asyncio.get_running_loop().time() - began <= 150
        simulator.clear_faults()
        await kept.heard(Ended)
        assert simulator.active == []
        await kept.keeper.close()

    run(main())


def test_an_end_in_the_second_in_which_tavus_knows_nothing_of_it_counts(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator, leave_grace_ms=0)
        kept.keeper.user_joined("u1")
        await kept.heard(Created)
        nothing = {"data": [], "total_count": 0}
        simulator.add_fault("end", "status", status=404)
        simulator.add_fault("get", "status", status=404)
        simulator.add_fault("list", "status", status=200, body=nothing)
        kept.keeper.user_left("u1")
        await asyncio.sleep(1)
        simulator.clear_faults()
        await kept.heard(Ended)
        assert simulator.active == []
        await kept.keeper.close()

    run(main())


def test_a_start_that_is_ended_at_once_is_answered(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        started, ended = await asyncio.gather(
            kept.keeper.start(StartOptions()),
            kept.keeper.end(),
            return_exceptions=True,
        )
        assert isinstance(started, TavusCancelledError)
        assert ended == []
        assert kept.simulator.ledger()["created"] == 0
        await kept.keeper.close()

    run(main())


def test_an_end_where_nothing_runs_is_no_error(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        assert await kept.keeper.end() == []
        with pytest.raises(TavusNotFoundError, match="no conversation cx is"):
            await kept.keeper.end("cx")
        await kept.keeper.close()

    run(main())


def test_an_end_can_name_the_user(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), conversation_scope="user")
        kept.keeper.user_joined("u1")
        kept.keeper.user_joined("u2")
        await kept.heard(Created, 2)
        await kept.keeper.end(user_id="u1")
        assert [event.user_id for event in kept.ended] == ["u1"]
        assert len(kept.simulator.active) == 1
        assert len(await kept.keeper.end()) == 1
        assert kept.simulator.active == []
        await kept.keeper.close()

    run(main())


def test_what_tavus_ends_is_noticed_and_not_replaced(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), status_poll_s=15)
        kept.keeper.user_joined("u1")
        made = await kept.heard(Created)
        kept.simulator.shutdown(
            made.conversation.conversation_id, "max_call_duration reached"
        )
        ended = await kept.heard(Ended)
        assert ended.reason == "max_call_duration reached"
        reported = [event.event["event_type"] for event in kept.of(Reported)]
        assert "system.shutdown" in reported
        await asyncio.sleep(300)
        assert kept.simulator.ledger()["created"] == 1
        kept.keeper.user_joined("u2")
        await kept.heard(Created, 2)
        await kept.keeper.close()
        assert kept.simulator.active == []

    run(main())


def test_what_tavus_deleted_is_over_too(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        made = await kept.keeper.start(StartOptions())
        await kept.client.delete_conversation(made.conversation_id)
        ended = await kept.heard(Ended)
        assert ended.reason == "not_found"
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("endpoint", ["get", "*"])
def test_wrong_404s_end_no_live_call(tmp_path: Path, endpoint: str) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator)
        made = await kept.keeper.start(StartOptions())
        simulator.add_fault(endpoint, "status", status=404)
        kept.keeper.heard(made.conversation_id, _shutdown(), "webhook")
        await asyncio.sleep(300)
        assert simulator.active == [made.conversation_id]
        simulator.clear_faults()
        simulator.shutdown(made.conversation_id)
        await kept.heard(Ended)
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("kind", ["hang_before", "error_before"])
def test_what_is_gone_is_over_when_the_list_can_say_so(
    tmp_path: Path, kind: str
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator)
        made = await kept.keeper.start(StartOptions())
        await kept.client.delete_conversation(made.conversation_id)
        simulator.add_fault("list", kind)
        await asyncio.sleep(300)
        assert kept.ended == []
        simulator.clear_faults()
        assert (await kept.heard(Ended)).reason == "not_found"
        await kept.keeper.close()

    run(main())


def test_polling_goes_on_after_a_failure(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        made = await kept.keeper.start(StartOptions())
        kept.client.reachable = False
        await asyncio.sleep(100)
        kept.client.reachable = True
        kept.simulator.shutdown(made.conversation_id)
        await kept.heard(Ended)
        await kept.keeper.close()

    run(main())


def test_an_end_does_not_wait_for_a_slow_poll(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("get", "hang_before")
        kept = Kept(tmp_path, simulator, status_poll_s=10)
        await kept.keeper.start(StartOptions())
        await asyncio.sleep(15)
        began = asyncio.get_running_loop().time()
        await kept.keeper.end()
        assert asyncio.get_running_loop().time() - began < 1
        assert simulator.active == []
        await kept.keeper.close()

    run(main())


def test_the_far_reason_is_told_when_tavus_was_first(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), status_poll_s=0)
        made = await kept.keeper.start(StartOptions())
        kept.simulator.shutdown(made.conversation_id, "internal error")
        await kept.keeper.end()
        assert (await kept.heard(Ended)).reason == "internal error"
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize("status", [200, 400, 404])
def test_a_second_end_is_over_whatever_tavus_says(
    tmp_path: Path, status: int
) -> None:
    async def main() -> None:
        simulator = new_simulator(end_ended_status=status)
        simulator.add_fault("end", "drop_after", count=1)
        kept = Kept(tmp_path, simulator)
        await kept.keeper.start(StartOptions())
        await kept.keeper.end()
        assert (await kept.heard(Ended)).reason == "end_conversation"
        assert simulator.active == []
        await kept.keeper.close()

    run(main())


def test_in_test_mode_nothing_runs(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), test_mode=True)
        await kept.keeper.start(StartOptions())
        assert (await kept.heard(Ended)).reason == "test_mode"
        assert kept.simulator.ledger()["requests"]["create"] == 1
        await kept.keeper.close()

    run(main())


@pytest.mark.parametrize(("status", "kind"), [(401, "auth"), (402, "credits")])
def test_a_refused_account_is_not_asked_for_every_join(
    tmp_path: Path, status: int, kind: str
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault("create", "status", status=status)
        kept = Kept(tmp_path, simulator, conversation_scope="user")
        kept.keeper.user_joined("u0")
        await kept.heard(Failed)
        for number in range(1, 100):
            kept.keeper.user_joined(f"u{number}")
        await kept.heard(Failed, 100)
        assert {event.error.kind for event in kept.of(Failed)} == {kind}
        assert simulator.ledger()["requests"]["create"] == 1
        with pytest.raises(TavusError) as refused:  # a person asks at once
            await kept.keeper.start(StartOptions())
        assert refused.value.kind == kind
        simulator.clear_faults()
        await asyncio.sleep(31)
        kept.keeper.user_joined("u1")
        await kept.heard(Created)
        await kept.keeper.close()

    run(main())


def test_the_pause_that_tavus_asks_for_is_kept_for_whoever_joins(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        simulator.add_fault(
            "create", "status", status=429, retry_after_s=600, count=1
        )
        kept = Kept(tmp_path, simulator, conversation_scope="user")
        loop = asyncio.get_running_loop()
        kept.keeper.user_joined("u1")
        failed = await kept.heard(Failed)
        assert "it asks to wait 600 s" in str(failed.error)
        began = loop.time()
        await asyncio.sleep(300)
        kept.keeper.user_joined("u2")  # who is told, too
        await kept.heard(Failed, 2)
        assert simulator.ledger()["requests"]["create"] == 1
        await kept.heard(Created, 2)
        assert 600 <= loop.time() - began < 602
        assert simulator.ledger()["requests"]["create"] == 3
        await kept.keeper.close()

    run(main())


def test_while_a_user_waits_a_start_is_tried_again(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        kept.client.reachable = False
        kept.keeper.user_joined("u1")
        await kept.heard(Failed)
        kept.client.reachable = True
        await kept.heard(Created)
        assert kept.simulator.ledger()["created"] == 1
        await kept.keeper.close()

    run(main())


def test_tries_for_a_waiting_user_come_to_an_end(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        kept.client.reachable = False
        kept.keeper.user_joined("u1")
        await asyncio.sleep(3600)
        assert len(kept.of(Failed)) == 5
        kept.client.reachable = True
        await asyncio.sleep(3600)
        assert kept.simulator.ledger()["created"] == 0
        kept.keeper.user_joined("u1")
        await kept.heard(Created)
        await kept.keeper.close()

    run(main())


def test_a_user_who_gave_up_waiting_gets_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), leave_grace_ms=0)
        kept.client.reachable = False
        kept.keeper.user_joined("u1")
        await kept.heard(Failed)
        kept.keeper.user_left("u1")
        kept.client.reachable = True
        await asyncio.sleep(3600)
        assert kept.simulator.ledger()["created"] == 0
        await kept.keeper.close()

    run(main())


def test_a_command_is_refused_at_once_where_a_join_would_wait(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        kept.client.reachable = False
        with pytest.raises(TavusError, match="connection refused"):
            await kept.keeper.start(StartOptions())
        kept.client.reachable = True
        await asyncio.sleep(3600)
        assert kept.simulator.ledger()["created"] == 0
        await kept.keeper.close()

    run(main())


def test_a_mistake_of_ours_still_answers_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        monkeypatch.setattr(kept.client, "create_conversation", _broken)
        with pytest.raises(TavusError, match="ZeroDivisionError"):
            await kept.keeper.start(StartOptions())
        await kept.keeper.close()

    run(main())


def test_a_mistake_of_ours_still_ends_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), status_poll_s=10)
        await kept.keeper.start(StartOptions())
        monkeypatch.setattr(kept.client, "get_conversation", _broken)
        await asyncio.sleep(15)
        assert kept.simulator.active == []
        await kept.keeper.close()

    run(main())


def test_a_mistake_of_ours_makes_no_second_beside_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator, status_poll_s=10)
        await kept.keeper.start(StartOptions())
        simulator.add_fault("end", "error_before")
        with monkeypatch.context() as broken:
            broken.setattr(kept.client, "get_conversation", _broken)
            await asyncio.sleep(15)
        kept.keeper.user_joined("u1")
        await asyncio.sleep(60)
        assert simulator.ledger()["created"] == 1
        simulator.clear_faults()
        await kept.heard(Created, 2)
        assert len(simulator.active) == 1
        await kept.keeper.close()

    run(main())


def _shutdown(number: int = 0) -> dict[str, Any]:
    return {"event_type": "system.shutdown", "timestamp": float(number)}


def _gets(kept: Kept) -> int:
    return kept.simulator.ledger()["requests"].get("get", 0)


@pytest.mark.parametrize("source", ["webhook", "page"])
@pytest.mark.parametrize("poll_s", [0, 15])
def test_who_says_it_is_over_is_not_believed_but_checked(
    tmp_path: Path, source: str, poll_s: float
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), status_poll_s=poll_s)
        made = await kept.keeper.start(StartOptions())
        assert kept.keeper.heard(made.conversation_id, _shutdown(), source)
        await asyncio.sleep(10)
        assert kept.simulator.active == [made.conversation_id]
        assert kept.ended == []
        assert _gets(kept) == 3
        kept.simulator.shutdown(made.conversation_id, "internal error")
        began = asyncio.get_running_loop().time()
        kept.keeper.heard(made.conversation_id, _shutdown(1), source)
        ended = await kept.heard(Ended)
        assert ended.reason == "internal error"
        assert asyncio.get_running_loop().time() - began < 0.1
        await kept.keeper.close()

    run(main())


def test_it_is_asked_until_tavus_answers(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), status_poll_s=0)
        made = await kept.keeper.start(StartOptions())
        kept.simulator.shutdown(made.conversation_id)
        kept.client.reachable = False
        kept.keeper.heard(made.conversation_id, _shutdown(), "webhook")
        await asyncio.sleep(100)
        kept.client.reachable = True
        await kept.heard(Ended)
        await kept.keeper.close()

    run(main())


def test_a_join_while_tavus_is_asked_does_not_forget_to_ask(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator(latency_ms=500)
        kept = Kept(tmp_path, simulator, status_poll_s=0)
        made = await kept.keeper.start(StartOptions())
        kept.simulator.shutdown(made.conversation_id)
        kept.keeper.heard(made.conversation_id, _shutdown(), "webhook")
        await asyncio.sleep(0.1)
        kept.keeper.user_joined("u1")
        assert (await kept.heard(Ended)).conversation_id == made.conversation_id
        await kept.keeper.close()

    run(main())


def test_a_flood_of_hints_asks_once_a_second_and_once_at_a_time(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), status_poll_s=0)
        made = await kept.keeper.start(StartOptions())
        asking = most = 0
        ask = kept.client.get_conversation

        async def counted(*args: Any, **options: Any) -> Any:
            nonlocal asking, most
            asking += 1
            most = max(most, asking)
            await asyncio.sleep(0.3)
            try:
                return await ask(*args, **options)
            finally:
                asking -= 1

        kept.client.get_conversation = counted  # type: ignore[method-assign]
        for number in range(1000):
            kept.keeper.heard(made.conversation_id, _shutdown(number), "page")
            await asyncio.sleep(0.01)
        assert 9 <= _gets(kept) <= 11
        assert most == 1
        assert kept.simulator.active == [made.conversation_id]
        await kept.keeper.close()

    run(main())


def test_webhook_and_poll_are_told_once_in_any_order(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), status_poll_s=15)
        made = await kept.keeper.start(StartOptions())
        kept.simulator.join(made.conversation_id)
        await asyncio.sleep(60)
        there = kept.simulator.conversation(made.conversation_id)
        joined = [dict(event) for event in there.events]
        assert {event["event_type"] for event in joined} == {
            "system.replica_joined",
            "system.pal_joined",
        }
        kept.simulator.shutdown(made.conversation_id, "first")
        for event in [*reversed(there.events), *joined]:
            kept.keeper.heard(made.conversation_id, event, "webhook")
        await kept.heard(Ended)
        for event in there.events:
            kept.keeper.heard(made.conversation_id, event, "webhook")
        told = [(e.event["event_type"], e.source) for e in kept.of(Reported)]
        assert sorted(told) == [
            ("application.transcription_ready", "webhook"),
            ("system.replica_joined", "poll"),
            ("system.shutdown", "webhook"),
        ]
        await kept.keeper.close()

    run(main())


def test_a_list_with_the_newest_first_is_told_whole_and_in_order(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator(newest_events_first=True)
        kept = Kept(tmp_path, simulator, status_poll_s=15)
        made = await kept.keeper.start(StartOptions())
        there = made.conversation_id
        for number in (1, 2, 3, 4):
            simulator.report(there, {"event_type": f"application.{number}"})
            await asyncio.sleep(1 if number % 2 else 30)
        simulator.report(there, {"event_type": "old", "timestamp": 1})
        simulator.shutdown(there, "first")
        ended = await kept.heard(Ended)
        assert ended.reason == "first"
        told = [e.event["event_type"] for e in kept.of(Reported)]
        assert told == [
            *(f"application.{number}" for number in (1, 2, 3, 4)),
            "old",
            "system.shutdown",
        ]
        await kept.keeper.close()

    run(main())


def test_a_webhook_does_not_shift_what_polls_have_seen(tmp_path: Path) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), status_poll_s=15)
        made = await kept.keeper.start(StartOptions())
        for number in range(5):
            kept.keeper.heard(
                made.conversation_id,
                {"event_type": "application.new", "timestamp": number},
                "webhook",
            )
        kept.simulator.join(made.conversation_id)
        await asyncio.sleep(20)
        told = [(e.event["event_type"], e.source) for e in kept.of(Reported)]
        assert told[-1] == ("system.replica_joined", "poll")
        assert len(told) == 6
        await kept.keeper.close()

    run(main())


def test_what_comes_after_the_end_is_told_with_whose_it_was(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), conversation_scope="user")
        kept.keeper.user_joined("u1", "room")
        made = await kept.heard(Created)
        ended_id = made.conversation.conversation_id
        await kept.keeper.end(ended_id)
        kept.keeper.user_joined("u1", "other room")
        await kept.heard(Created, 2)
        late = {"event_type": "application.transcription_ready"}
        assert kept.keeper.heard(ended_id, late, "webhook")
        assert not kept.keeper.heard("c404", late, "webhook")
        told = await kept.heard(Reported)
        assert (told.conversation_id, told.user_id, told.channel) == (
            ended_id,
            "u1",
            "room",
        )
        await kept.keeper.close()

    run(main())


def test_a_conversation_that_moves_is_told_with_its_new_channel(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator(), status_poll_s=0)
        kept.keeper.user_joined("u1", "room")
        made = await kept.heard(Created)
        kept.keeper.user_joined("u2", "other room")
        kept.keeper.heard(
            made.conversation.conversation_id, {"event_type": "x"}, "webhook"
        )
        told = await kept.heard(Reported)
        assert told.channel == "other room"
        await kept.keeper.close()

    run(main())


def test_joins_without_end_hide_no_end_by_tavus(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator(latency_ms=200)
        kept = Kept(tmp_path, simulator, status_poll_s=15)
        kept.keeper.user_joined("u0")
        made = await kept.heard(Created)
        simulator.shutdown(made.conversation.conversation_id)

        async def join() -> None:
            for number in itertools.count(1):
                kept.keeper.user_joined(f"u{number % 100}")
                await asyncio.sleep(0.03)

        joining = asyncio.create_task(join())
        ended = await kept.heard(Ended)
        joining.cancel()
        assert ended.duration_ms < 16_000
        await kept.keeper.close()

    run(main())


def test_a_graph_that_does_not_listen_keeps_no_conversation_running(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        simulator = new_simulator()
        kept = Kept(tmp_path, simulator, conversation_scope="user")
        kept.listens.clear()
        for user_id in ("u1", "u2"):
            kept.keeper.user_joined(user_id)
        made = await kept.keeper.start(
            StartOptions.load({"remote_user_id": "u1"})
        )
        assert len(simulator.active) == 2
        await kept.keeper.end(made.conversation_id)
        for number in range(3000):
            event = {"event_type": f"application.{number}"}
            kept.keeper.heard(made.conversation_id, event, "webhook")
        kept.keeper.user_left("u2")
        await asyncio.sleep(10)
        assert simulator.active == []
        # All is told when it listens again, but for what there is no end to.
        kept.listens.set()
        await kept.heard(Ended, 2)
        assert len(kept.of(Created)) == 2
        assert 0 < len(kept.of(Reported)) <= 1000
        await kept.keeper.close()

    run(main())


def test_a_stop_ends_all_though_the_graph_does_not_listen(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        kept = Kept(tmp_path, new_simulator())
        kept.listens.clear()
        await kept.keeper.start(StartOptions())
        began = loop.time()
        await kept.keeper.close()
        assert loop.time() - began <= 1.5
        assert kept.simulator.active == []

    run(main())


def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        simulator = new_simulator(latency_ms=500)
        kept = Kept(tmp_path, simulator)
        for after_s in (0.0, 0.4):
            starting = asyncio.create_task(kept.keeper.start(StartOptions()))
            await asyncio.sleep(after_s)
            starting.cancel()
            await asyncio.sleep(10)
            assert starting.cancelled()
            assert simulator.active == []
        # Another start, which was given the same, keeps it.
        first = asyncio.create_task(kept.keeper.start(StartOptions()))
        second = asyncio.create_task(kept.keeper.start(StartOptions()))
        await asyncio.sleep(0.4)
        first.cancel()
        assert (await second).conversation_id in simulator.active
        await asyncio.sleep(10)
        assert len(simulator.active) == 1
        await kept.keeper.close()

    run(main())


async def _broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("a bug")
