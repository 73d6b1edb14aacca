#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Background work that fails is told of, and goes on."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from support.keeping import Kept, new_simulator
from support.virtual_time import run
from ten_packages.extension.tavus_python.background import supervised
from ten_packages.extension.tavus_python.config import StartOptions
from ten_packages.extension.tavus_python.errors import TavusError
from ten_packages.extension.tavus_python.events import Failed
from ten_packages.extension.tavus_python.journal import Entry
from ten_packages.extension.tavus_python.relay import Relay


@pytest.fixture(name="log")
def _log(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    log = logging.Logger("background")
    log.addHandler(caplog.handler)
    return log


def test_it_starts_again_after_a_while_that_grows(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        began: list[float] = []

        async def fail() -> None:
            began.append(asyncio.get_running_loop().time())
            if len(began) < 9:
                raise KeyError("a mistake")

        await supervised("work", fail, log)
        assert began == [0, 1, 3, 7, 15, 31, 61, 91, 121]
        assert len(caplog.records) == 8
        assert caplog.records[0].getMessage() == (
            "work failed and starts again in 1 s: KeyError('a mistake')"
        )

    run(main())


@pytest.mark.parametrize("at_s", [0.5, 3.5])
def test_a_cancel_ends_it_also_in_between(
    log: logging.Logger, at_s: float
) -> None:
    async def main() -> None:
        async def fail() -> None:
            await asyncio.sleep(2)
            raise ValueError

        task = supervised("work", fail, log)
        await asyncio.sleep(at_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_one_message_that_cannot_be_passed_on_holds_up_no_other(
    log: logging.Logger,
) -> None:
    async def main() -> None:
        told: list[Any] = []

        async def emit(event: Any) -> None:
            if event.channel == "bad":
                raise ValueError
            told.append(event)

        relay = Relay(emit, log)
        events = [
            Failed(TavusError("x"), "", channel)
            for channel in ("a", "bad", "b")
        ]
        for event in events:
            relay.tell(event)
        await asyncio.sleep(2)
        assert told == [events[0], events[2]]

    run(main())


def test_intents_are_written_ahead_again_after_a_mistake(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        kept = Kept(tmp_path, new_simulator())
        kept.log.addHandler(caplog.handler)
        want = kept.journal.want
        asked: list[int] = []

        async def mistaken(*entries: Entry) -> list[Entry]:
            asked.append(len(entries))
            if len(asked) == 1:
                raise RuntimeError("a mistake")
            return await want(*entries)

        monkeypatch.setattr(kept.journal, "want", mistaken)
        kept.keeper.open()
        await asyncio.sleep(2)
        await kept.keeper.start(StartOptions())
        assert asked == [32, 32]
        assert "writing ahead failed and starts again in 1 s" in caplog.text
        await kept.keeper.close()

    run(main())
