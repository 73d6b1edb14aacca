#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What is left running, and billed, when things go wrong at Tavus.

Under each fault of the simulator 500 users come and go, with our keeper and
with two plain aiohttp clients, each in a worker process of its own, against
a fresh simulator each. When the worker has stopped (or was killed) the fault
is over, and for ours the next worker starts. Prints a table; exits 1 if ours
leaves anything running, or runs two conversations for one user at once.

    .venv/bin/python bench/leaks.py [--sessions 500] [--fault NAME]
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import logging
import resource
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import checkout
from leaks_worker import CLIENTS, KEY, TIMEOUT_S, Work
from tavus_sim import SimServer, Simulator

WORKER = checkout.ROOT / "bench" / "leaks_worker.py"
# Opens the same account.
KEY_AFTER = "bench-key-9876543210"
# Counted again so long after the next worker has begun, ...
SWEPT_S = 5.0
# ... and when its journal is empty: a request that was never answered is
# looked for by its name for 60 s.
SETTLED_S = 75.0
# As TEN's server does after SIGTERM.
KILL_AFTER_S = 2.0
LONGEST_S = 180.0
# More at once would make time-outs of their own on 2 cores.
JOINS_PER_S = 60
AT_ONCE = 5

KINDS = (
    *("drop_before", "drop_after", "error_before", "error_after"),
    *("hang_before", "hang_after", "truncated", "not_json", "page_before"),
    *("empty", "slow"),
    *("status 429", "status 503"),
)
# A worker that is killed while its disk is bad leaves what it has not noted to
# Tavus's timers; how soon it is noted when the disk is back is shown here.
DISKS = ("full at start", "full in the middle", "read-only")
BACK_S = 3.0
ON = ("create", "end", "create+end", "create+end+list", "*")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        on: The endpoints that the fault is on, joined by "+".
        kind: The fault, with its status if it has one; "" for none.
        death: The signal that the worker gets in the middle, if any.
        disk: What is wrong with the journal's disk, until shortly before
            the death: a name in ``DISKS``, or "".
        id_suffix: What each id ends with.
        ended_word: The status of what has ended.
        names: What becomes of names; see the simulator, as of the next two.
        totals: What lists count.
        list_lag_s: How long Tavus does not know of what it has made.
        page_size: How many rows a page has at most.
        rotated: Whether the next worker has another key of the account.
    """

    on: str = ""
    kind: str = ""
    death: signal.Signals | None = None
    disk: str = ""
    id_suffix: str = ""
    ended_word: str = "ended"
    names: str = "kept"
    totals: str = "true"
    list_lag_s: float = 0
    page_size: int = 100
    rotated: bool = False

    @property
    def name(self) -> str:
        parts = [
            f"{self.kind} on {self.on}" if self.kind else "",
            f"disk {self.disk}" if self.disk else "",
            f"ids with {self.id_suffix!r}" if self.id_suffix else "",
            f"status {self.ended_word!r}" if self.ended_word != "ended" else "",
            self.death.name if self.death else "",
            f"names {self.names}" if self.names != "kept" else "",
            f"totals {self.totals}" if self.totals != "true" else "",
            f"Tavus lags {self.list_lag_s:g} s" if self.list_lag_s else "",
            f"pages of {self.page_size}" if self.page_size != 100 else "",
            "key rotated" if self.rotated else "",
        ]
        named = [part for part in parts if part]
        if not self.kind and named in ([], [parts[4]]):
            named.insert(0, "no fault")
        return ", ".join(named)

    def break_things(self, simulator: Simulator) -> None:
        kind, _, status = self.kind.partition(" ")
        options: dict[str, float] = {"status": int(status)} if status else {}
        if kind == "slow":
            options["delay_ms"] = 2 * TIMEOUT_S * 1000
        for endpoint in self.on.split("+") if kind else ():
            simulator.add_fault(
                endpoint,
                kind,
                probability=0.3 if endpoint == "*" else 0.5,
                **options,
            )


ROWS = [
    Row(),
    *(Row(on, kind) for on, kind in itertools.product(ON, KINDS)),
    Row(death=signal.SIGKILL),
    Row(death=signal.SIGTERM),
    Row("create", "hang_after", signal.SIGKILL),
    Row("create", "hang_after", signal.SIGTERM),
    Row("end", "hang_before", signal.SIGTERM),
    *(Row(death=signal.SIGKILL, disk=disk) for disk in DISKS),
    Row("create", "drop_after", signal.SIGKILL, disk="full in the middle"),
    Row("create", "drop_after", id_suffix=". ?#"),
    Row(death=signal.SIGKILL, id_suffix=". ?#"),
    Row("end", "drop_after", ended_word="completed"),
    Row("end", "status 503", signal.SIGTERM, ended_word="expired"),
    *(
        Row("create", "drop_after", names=n)
        for n in ("lower", "bare", "cut 32")
    ),
    Row("create", "drop_after", totals="page", page_size=10),
    Row("create+end", "drop_after", totals="none", page_size=10),
    Row("create", "drop_after", signal.SIGKILL, totals="all"),
    Row(list_lag_s=1),
    Row("create", "drop_after", list_lag_s=1),
    Row(death=signal.SIGKILL, rotated=True),
    Row("create", "drop_after", signal.SIGKILL, rotated=True),
]


@dataclass(frozen=True)
class Outcome:
    """What became of one row with one client.

    Attributes:
        served: How many users got a conversation; None if the worker died
            before it could say.
        created: How many conversations Tavus made.
        left_after_5_s: Of those active 5 s after the next worker's start.
        left: Of those active in the end.
        second: Users for whom more than one was ever made.
        two_at_once: Users of whom two were active at the same time.
    """

    served: int | None
    created: int
    left_after_5_s: int
    left: int
    second: int
    two_at_once: int

    @property
    def is_good(self) -> bool:
        """Whether conversations ran, none was left, and no user had two."""
        left = self.left_after_5_s or self.left or self.second
        return self.created > 0 and not left


PLAIN = ("served", "created", "left", "two_at_once")
OURS = tuple(field.name for field in fields(Outcome))


class Disk:
    """The disk of a worker's journal.

    A full one is a kernel that lets no file of the worker grow; a read-only
    one is a link that leads to where nobody can write, not even root.

    Args:
        kind: A name in ``DISKS``, or "".
        link: Leads to the folder, or elsewhere.
        state: The folder.
    """

    def __init__(self, kind: str, link: Path, state: Path) -> None:
        self._kind = kind
        self._state = state
        self.path = link
        self.full_at_start = kind == "full at start"
        link.symlink_to("/sys" if kind == "read-only" else state)

    def goes_bad(self, pid: int) -> None:
        """In the middle, if it is to."""
        if self._kind == "full in the middle":
            self._limit(pid, 0)

    def comes_back(self, pid: int) -> None:
        """It is as good as any."""
        self._limit(pid, resource.RLIM_INFINITY)
        fresh = self.path.with_name("fresh")
        fresh.symlink_to(self._state)
        fresh.rename(self.path)

    def _limit(self, pid: int, size: int) -> None:
        limits = (size, resource.RLIM_INFINITY)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


class Bench:
    """Runs rows, some at the same time.

    Args:
        sessions: How many users come in each.
    """

    def __init__(self, sessions: int) -> None:
        self._sessions = sessions
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self, row: Row, client: str) -> Outcome:
        """One row with one client."""
        simulator = Simulator(
            api_key=None if row.rotated else KEY,
            seed=ROWS.index(row),
            id_suffix=row.id_suffix,
            ended_word=row.ended_word,
            names=row.names,
            totals=row.totals,
            list_lag_s=row.list_lag_s,
            max_page_size=row.page_size,
        )
        with tempfile.TemporaryDirectory(prefix="bench-leaks-") as folder:
            async with SimServer(simulator) as server:
                state = Path(folder) / "state"
                state.mkdir()
                disk = Disk(row.disk, Path(folder) / "link", state)
                work = Work(
                    client=client,
                    base_url=server.base_url,
                    journal_dir=str(disk.path),
                    disk_full=disk.full_at_start,
                    sessions=self._sessions,
                    ramp_s=self._sessions / JOINS_PER_S,
                    seed=ROWS.index(row),
                    nobody_leaves=row.death is not None,
                )
                async with contextlib.AsyncExitStack() as stack:
                    async with self._slots:
                        row.break_things(simulator)
                        served = await self._work(work, row, simulator, disk)
                        simulator.clear_faults()
                        if client == "ours":
                            following = replace(
                                work,
                                sessions=0,
                                disk_full=False,
                                key=KEY_AFTER if row.rotated else KEY,
                            )
                            next_worker = _worker(following)
                            await stack.enter_async_context(next_worker)
                            await asyncio.sleep(SWEPT_S)
                    left_after_5_s = len(simulator.active)
                    await _until(lambda: not any(state.iterdir()))
                return _outcome(simulator, served, left_after_5_s)

    async def _work(
        self, work: Work, row: Row, simulator: Simulator, disk: Disk
    ) -> int | None:
        async def asked_for(count: int) -> None:
            await _until(
                lambda: simulator.ledger()["requests"]["create"] >= count
            )

        async with _worker(work, row.death) as process:
            if row.death:
                if row.disk:
                    await asked_for(self._sessions // 8)
                    disk.goes_bad(process.pid)
                    await asked_for(self._sessions // 4)
                    disk.comes_back(process.pid)
                    await asyncio.sleep(BACK_S)
                await asked_for(self._sessions // 2)
                process.send_signal(row.death)
                try:
                    await asyncio.wait_for(process.wait(), KILL_AFTER_S)
                except asyncio.TimeoutError:
                    with contextlib.suppress(ProcessLookupError):  # just gone
                        process.kill()
            said, _ = await asyncio.wait_for(process.communicate(), LONGEST_S)
        return json.loads(said)["served"] if said else None


@contextlib.asynccontextmanager
async def _worker(
    work: Work, death: signal.Signals | None = None
) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(WORKER),
        json.dumps(asdict(work)),
        stdout=PIPE,
    )
    try:
        assert process.stdout
        await process.stdout.readline()  # it begins
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
    # A worker that failed left nothing because it made nothing.
    if process.returncode and not death:
        raise RuntimeError(f"a worker failed: {work}")


async def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLED_S
    # Another process sets no event.
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


def _outcome(
    simulator: Simulator, served: int | None, left_after_5_s: int
) -> Outcome:
    ledger = simulator.ledger()
    lives: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for entry in ledger["conversations"]:
        made = simulator.conversation(entry["conversation_id"])
        ended_at = float("inf") if made.ended_at is None else made.ended_at
        lives[made.request.get("custom_greeting", "")].append(
            (made.created_at, ended_at)
        )
    return Outcome(
        served=served,
        created=ledger["created"],
        left_after_5_s=left_after_5_s,
        left=ledger["active"],
        # Nobody asked for one without a greeting: it is always too many.
        second=sum(len(spans) > bool(who) for who, spans in lives.items()),
        two_at_once=sum(_overlap(spans) for spans in lives.values()),
    )


def _overlap(spans: list[tuple[float, float]]) -> bool:
    return any(
        later[0] < earlier[1]
        for earlier, later in itertools.pairwise(sorted(spans))
    )


def _table(outcomes: dict[tuple[Row, str], Outcome], rows: list[Row]) -> str:
    """Markdown: a line for each fault, and the sums."""
    head = ["fault"]
    lines = [[row.name] for row in rows]
    sums = ["all"]
    for client in CLIENTS:
        for column in OURS if client == "ours" else PLAIN:
            head.append(f"{client}: {column.replace('_', ' ')}")
            values = [getattr(outcomes[row, client], column) for row in rows]
            for line, value in zip(lines, values, strict=True):
                line.append("-" if value is None else str(value))
            sums.append(str(sum(value or 0 for value in values)))
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(
        f"| {' | '.join(cells)} |" for cells in (head, rule, *lines, sums)
    )


async def measure(rows: list[Row], sessions: int) -> bool:
    """Runs the rows and prints the table; whether ours left nothing."""
    # The simulator's server reports each answer that came too late.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    bench = Bench(sessions)
    outcomes: dict[tuple[Row, str], Outcome] = {}
    began = time.monotonic()

    async def one(row: Row, client: str) -> None:
        outcomes[row, client] = outcome = await bench.run(row, client)
        at_s = time.monotonic() - began
        print(f"{at_s:6.1f} s  {row.name}  {client}: {outcome}", flush=True)

    await asyncio.gather(
        *(one(*job) for job in itertools.product(rows, CLIENTS))
    )
    print(_table(outcomes, rows))
    bad = [row.name for row in rows if not outcomes[row, "ours"].is_good]
    print(f"ours fails: {'; '.join(bad)}" if bad else "ours leaves nothing: ok")
    return not bad


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument(
        "--fault", default="", help="only rows with this in their name"
    )
    args = parser.parse_args()
    rows = [row for row in ROWS if args.fault in row.name]
    if not rows:
        parser.error(f"no row has {args.fault!r} in its name")
    return 0 if asyncio.run(measure(rows, args.sessions)) else 1


if __name__ == "__main__":
    sys.exit(main())
