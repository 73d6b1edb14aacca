#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Any order of events and faults: never two for one key, never one left.

``HYPOTHESIS_EXAMPLES=20000 tests/bin/start tests/test_state_machine.py -s``
tries more than the 2,000 of every run.
"""

import asyncio
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from support.agora import APP_ID, AVATAR_UID
from support.disk import Disk
from support.keeping import Kept
from support.virtual_time import VirtualTimeLoop, finish
from tavus_sim import Simulator
from ten_packages.extension.tavus_python.config import StartOptions
from ten_packages.extension.tavus_python.errors import TavusError
from ten_packages.extension.tavus_python.events import Reported
from ten_packages.extension.tavus_python.late import LATE_S
from ten_packages.extension.tavus_python.tavus_client import Conversation

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "2000"))
USERS = ("u1", "u2", "")
CHANNELS = ("A", "A", "B", "")
ENDPOINTS = (
    *("create", "end", "get", "list", "agora_start", "agora_stop", "*"),
)
FAULTS = (
    "drop_before",
    "drop_after",
    "error_before",
    "error_after",
    "hang_before",
    "hang_after",
    "truncated",
    "not_json",
    "page_before",
    "empty",
    "slow",
    "no_ids",
)
EVENT_TYPES = (
    "system.shutdown",
    "system.pal_joined",
    "conversation.user.started_speaking",
)
SOON_S = (0, 0.03, 1, 10)
STATUSES = (400, 401, 402, 404, 429, 503)


# Without the socket over which a session is spoken to.
IN_AGORA: dict[str, Any] = {
    "transport": "agora",
    "channel": "room1",
    "agora_app_id": APP_ID,
    "agora_avatar_uid": AVATAR_UID,
    "params": {"agora_settings": {"token": "t"}},
}


class Lifecycle(RuleBasedStateMachine):
    """One worker, its users and commands, and a Tavus that misbehaves."""

    done: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        asyncio.set_event_loop(self.loop)
        self.folder = tempfile.TemporaryDirectory()
        self.patch = pytest.MonkeyPatch()
        self.disk = Disk(Path(self.folder.name), self.patch)
        self.commands: list[asyncio.Task[Any]] = []
        self.left: set[str] = set()

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(
        scope=st.sampled_from(["channel", "user"]),
        grace_ms=st.sampled_from([0, 2000]),
        poll_s=st.sampled_from([0, 15]),
        slots=st.sampled_from([None, 1]),
        latency_ms=st.sampled_from([0, 700]),
        id_suffix=st.sampled_from(["", ".1", " ü?#%2e"]),
        ended_word=st.sampled_from(["ended", "completed"]),
        names=st.sampled_from(["kept", "kept", "lower", "bare", "cut 32"]),
        totals=st.sampled_from(["true", "true", "all", "page", "none"]),
        page_size=st.sampled_from([1, 100]),
        list_lag_s=st.sampled_from([0, 0, 1]),
        agora=st.sampled_from([False, False, False, True]),
        neighbour=st.sampled_from([False, True]),
    )
    def begin(
        self,
        scope: str,
        grace_ms: int,
        poll_s: int,
        slots: int | None,
        latency_ms: int,
        id_suffix: str,
        ended_word: str,
        names: str,
        totals: str,
        page_size: int,
        list_lag_s: float,
        agora: bool,
        neighbour: bool,
    ) -> None:
        if agora:  # where all are in one channel
            scope = "channel"
        self.most = 1 if scope == "channel" or slots == 1 else len(USERS)
        self.simulator = Simulator(
            clock=self.loop.time,
            max_concurrent=slots,
            latency_ms=latency_ms,
            id_suffix=id_suffix,
            ended_word=ended_word,
            names=names,
            totals=totals,
            max_page_size=page_size,
            list_lag_s=list_lag_s,
        )
        self.agora = agora
        in_agora = IN_AGORA if agora else {}

        async def open_keeper() -> Kept:
            kept = Kept(
                Path(self.folder.name),
                self.simulator,
                conversation_scope=scope,
                leave_grace_ms=grace_ms,
                status_poll_s=poll_s,
                conversation_name="Bot (EU) " * 7,
                **in_agora,
            )
            kept.keeper.open()
            return kept

        self.open_keeper = open_keeper
        self.kept = self.do(open_keeper())
        # Another node of the same process, with a user of its own.
        self.neighbour = self.do(open_keeper()) if neighbour else None
        if neighbour and slots != 1:
            self.most += 1

    @rule(
        user_id=st.sampled_from(USERS),
        channel=st.sampled_from(CHANNELS),
        then_s=st.sampled_from(SOON_S),
    )
    def join(self, user_id: str, channel: str, then_s: float) -> None:
        self.do(self._call(self.kept.keeper.user_joined, user_id, channel))
        self.do(asyncio.sleep(then_s))

    @rule(
        user_id=st.sampled_from(USERS),
        channel=st.sampled_from(CHANNELS),
        then_s=st.sampled_from(SOON_S),
    )
    def leave(self, user_id: str, channel: str, then_s: float) -> None:
        self.do(self._call(self.kept.keeper.user_left, user_id, channel))
        self.do(asyncio.sleep(then_s))

    @rule(joins=st.booleans(), then_s=st.sampled_from(SOON_S))
    def at_the_neighbour(self, joins: bool, then_s: float) -> None:
        if self.neighbour is not None:
            keeper = self.neighbour.keeper
            call = keeper.user_joined if joins else keeper.user_left
            self.do(self._call(call, "n1", "A"))
        self.do(asyncio.sleep(then_s))

    @rule(user_id=st.sampled_from(USERS), then_s=st.sampled_from(SOON_S))
    def start(self, user_id: str, then_s: float) -> None:
        options = StartOptions.load({"remote_user_id": user_id})
        self._command(self.kept.keeper.start(options))
        self.do(asyncio.sleep(then_s))

    @rule(user_id=st.sampled_from(USERS), then_s=st.sampled_from(SOON_S))
    def end(self, user_id: str, then_s: float) -> None:
        self._command(self.kept.keeper.end(user_id=user_id))
        self.do(asyncio.sleep(then_s))

    @rule()
    def end_by_id(self) -> None:
        for conversation_id in self.simulator.active[:1]:
            self._command(self.kept.keeper.end(conversation_id))

    @rule()
    def somebody_opens_the_room(self) -> None:
        for conversation_id in self._conversations[:1]:
            self.simulator.join(conversation_id)

    @rule()
    def tavus_ends_it(self) -> None:
        for conversation_id in self._conversations[:1]:
            self.simulator.shutdown(conversation_id)

    @rule(
        which=st.integers(0, 5),
        event_type=st.sampled_from(EVENT_TYPES),
        at=st.integers(0, 3),
        source=st.sampled_from(["webhook", "page"]),
        times=st.sampled_from([1, 2, 50]),
        then_s=st.sampled_from(SOON_S),
    )
    def somebody_says(
        self,
        which: int,
        event_type: str,
        at: int,
        source: str,
        times: int,
        then_s: float,
    ) -> None:
        """True or not, repeated, out of order, of an end or of a stranger."""
        ids = [*self.simulator.ledger()["conversations"], {}][-6:]
        conversation_id = ids[which % len(ids)].get("conversation_id", "c404")
        event = {"event_type": event_type, "timestamp": at}

        async def say() -> None:
            for _ in range(times):
                self.kept.keeper.heard(conversation_id, event, source)

        self.do(say())
        self.do(asyncio.sleep(then_s))

    @rule(
        endpoint=st.sampled_from(ENDPOINTS),
        kind=st.sampled_from(FAULTS),
        count=st.sampled_from([1, 1, 2, 20]),
    )
    def fault(self, endpoint: str, kind: str, count: int) -> None:
        self.simulator.add_fault(endpoint, kind, count=count)

    @rule(
        endpoint=st.sampled_from(ENDPOINTS),
        status=st.sampled_from(STATUSES),
        count=st.sampled_from([1, 1, 2, 20]),
    )
    def refuse(self, endpoint: str, status: int, count: int) -> None:
        self.simulator.add_fault(endpoint, "status", status=status, count=count)

    @rule(count=st.sampled_from([1, 2]))
    def a_proxy_says_that_it_has_ended(self, count: int) -> None:
        for endpoint in ("end", "agora_stop"):
            self.simulator.add_fault(
                endpoint, "status", status=200, body={"ok": True}, count=count
            )

    @rule()
    def mend(self) -> None:
        self.simulator.clear_faults()
        self.kept.client.reachable = True
        self.kept.listens.set()

    @rule()
    def the_graph_does_not_listen(self) -> None:
        self.kept.listens.clear()

    @rule(user_id=st.sampled_from(USERS), after_s=st.sampled_from(SOON_S))
    def start_and_cancel(self, user_id: str, after_s: float) -> None:
        options = StartOptions.load({"remote_user_id": user_id})

        async def give_up() -> None:
            starting = asyncio.ensure_future(self.kept.keeper.start(options))
            await asyncio.sleep(after_s)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)

        self.do(give_up())

    @rule(
        trouble=st.sampled_from(["full", "read_only", "sync", "slow", ""]),
        left=st.sampled_from([0, 100, 5000]),
    )
    def the_disk(self, trouble: str, left: int) -> None:
        """Fills up, breaks, is slow, or is back."""
        self.disk.trouble, self.disk.left = trouble, left
        self.disk.slow_s = 0.005 if trouble == "slow" else 0.0

    @rule()
    def lose_the_network(self) -> None:
        self.kept.client.reachable = False

    @rule(seconds=st.sampled_from([0, 0.03, 0.5, 3, 20, 70]))
    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @rule()
    def restart(self) -> None:
        self._stop()
        self.left |= set(self.simulator.active)
        self.kept = self.do(self.open_keeper())

    @invariant()
    def never_two_for_one_key(self) -> None:
        if hasattr(self, "simulator"):
            # What a worker left when it stopped is another matter: it is
            # ended by the next one, which does not know for whom it was.
            ours = set(self.simulator.active) - self.left
            assert len(ours) <= self.most

    @invariant()
    def what_is_said_to_be_over_is_over(self) -> None:
        if hasattr(self, "kept"):
            over = {event.conversation_id for event in self.kept.ended}
            assert over.isdisjoint(self.simulator.active)

    @invariant()
    def nothing_that_runs_is_taken_for_gone(self) -> None:
        if hasattr(self, "kept"):
            gone = {
                event.conversation_id
                for event in self.kept.ended
                if event.reason == "not_found"
            }
            ended_by_us = {
                one.get("conversation_id")
                for one in self.simulator.ledger()["conversations"]
                if one.get("ended_by") == "client"
            }
            assert gone.isdisjoint(ended_by_us)

    @invariant()
    def tavus_is_quoted_once(self) -> None:
        if hasattr(self, "kept"):
            quoted = Counter(
                (told.conversation_id, told.event["event_type"])
                for told in self.kept.of(Reported)
                if told.source != "page"
                and told.event["event_type"] == "system.replica_joined"
            )
            assert set(quoted.values()) <= {1}
            self.done["quoted"] += len(quoted)

    def teardown(self) -> None:
        try:
            if hasattr(self, "kept"):
                self._stop()
                if self.neighbour is not None:
                    self.do(self.neighbour.keeper.close())
                self.simulator.clear_faults()
                self.kept = self.do(self.open_keeper())
                # A session whose start was not answered ends by itself.
                self.do(asyncio.sleep(130 if self.agora else 70))
                assert self.simulator.active == []
                self.do(asyncio.sleep(LATE_S + 60))
                self.do(self.kept.keeper.close())
                assert list(Path(self.folder.name).iterdir()) == []
                self.done["examples"] += 1
                self.done["conversations"] += self.simulator.ledger()["created"]
        finally:
            self.patch.undo()
            finish(self.loop)
            self.folder.cleanup()

    @property
    def _conversations(self) -> list[str]:
        """Those that run; nobody can do anything to a session."""
        return [] if self.agora else self.simulator.active

    def _stop(self) -> None:
        began = self.loop.time()
        # What was not on disk gets there last of all, if that can be.
        self.disk.trouble = ""
        self.do(self.kept.keeper.close())
        assert self.loop.time() - began <= 1.5
        # Answered, each once: a future cannot be resolved twice.
        self.do(asyncio.sleep(0))
        for command in self.commands:
            assert command.done()
            problem = command.exception()
            if problem is None:
                assert isinstance(command.result(), (Conversation, list))
            else:
                assert isinstance(problem, TavusError)
        self.done["commands"] += len(self.commands)
        self.commands.clear()

    def _command(self, work: Any) -> None:
        self.commands.append(self.loop.create_task(work))

    async def _call(self, call: Any, user_id: str, channel: str) -> None:
        call(user_id, channel)


@pytest.mark.timeout(3600)
def test_any_order_of_events_and_faults_leaves_nothing_running() -> None:
    Lifecycle.done.clear()
    run_state_machine_as_test(
        Lifecycle,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=20,
            deadline=None,
            derandomize="HYPOTHESIS_EXAMPLES" not in os.environ,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    print(f"state machine: {dict(Lifecycle.done)}")
    assert Lifecycle.done["examples"] >= EXAMPLES
