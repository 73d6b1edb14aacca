#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The extension in a TEN graph: every message in and out."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.testing import Scene, play
from tavus_sim import ThreadedSim
from ten_packages.extension.tavus_python import messages as messages_module
from ten_packages.extension.tavus_python.events import Created
from ten_packages.extension.tavus_python.extension import TavusExtension
from ten_packages.extension.tavus_python.keeper import ConversationKeeper
from ten_packages.extension.tavus_python.tavus_client import Conversation
from ten_runtime import AsyncTenEnv, StatusCode

KEY = "tvk-0123456789abcdef"
REPLICA = "r9d30b0e55ac"

pytestmark = pytest.mark.usefixtures("ten_app")


@pytest.fixture
def sim() -> Iterator[ThreadedSim]:
    with ThreadedSim() as running:
        yield running


def properties(sim: ThreadedSim, folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "tavus_api_key": KEY,
        "base_url": sim.base_url,
        "replica_id": REPLICA,
        "journal_dir": str(folder),
        "leave_grace_ms": 0,
        **more,
    }


def test_a_join_creates_and_a_leave_ends(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        status, _ = await scene.command(
            "on_user_joined", remote_user_id="u1", channel="room"
        )
        assert status == StatusCode.OK
        made = await scene.message("tavus_conversation_created")
        assert sim.simulator.active == [made["conversation_id"]]
        assert made == {
            "conversation_id": made["conversation_id"],
            "conversation_url": made["conversation_url"],
            "join_url": made["conversation_url"],
            "transport": "daily",
            "remote_user_id": "",
            "channel": "room",
        }
        status, _ = await scene.command("on_user_left", remote_user_id="u1")
        assert status == StatusCode.OK
        ended = await scene.message("tavus_conversation_ended")
        assert ended["conversation_id"] == made["conversation_id"]
        assert ended["reason"] == "user_left"
        assert ended["duration_ms"] >= 0
        assert sim.simulator.active == []

    play(script, properties(sim, tmp_path))


def test_joins_without_any_property_count_too(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        await scene.command("on_user_joined")
        await scene.message("tavus_conversation_created")
        await scene.command("on_user_left")
        await scene.message("tavus_conversation_ended")

    play(script, properties(sim, tmp_path))
    assert sim.simulator.active == []


@pytest.mark.parametrize(
    ("joins", "leaves"),
    [(4711, 4711), (4711, "4711"), ("4711", 4711.0), (4711.0, " 4711 ")],
)
def test_a_user_whose_id_is_a_number_joins_and_leaves(
    sim: ThreadedSim, tmp_path: Path, joins: Any, leaves: Any
) -> None:
    async def script(scene: Scene) -> None:
        status, _ = await scene.command(
            "on_user_joined", remote_user_id=joins, channel=7
        )
        assert status == StatusCode.OK
        made = await scene.message("tavus_conversation_created")
        assert (made["remote_user_id"], made["channel"]) == ("4711", "7")
        status, _ = await scene.command("on_user_left", remote_user_id=leaves)
        assert status == StatusCode.OK
        await scene.message("tavus_conversation_ended")

    play(script, properties(sim, tmp_path, conversation_scope="user"))
    assert sim.simulator.active == []


@pytest.mark.parametrize("nobody", [True, 1.5, [], {"id": 1}, 2**64 - 1])
def test_a_join_that_names_nobody_known_counts_and_so_does_the_leave(
    sim: ThreadedSim, tmp_path: Path, nobody: Any
) -> None:
    async def script(scene: Scene) -> None:
        for name in ("on_user_joined", "on_user_left"):
            status, _ = await scene.command(
                name, remote_user_id=nobody, channel=nobody
            )
            assert status == StatusCode.OK
            if name == "on_user_joined":
                await scene.message("tavus_conversation_created")
        await scene.message("tavus_conversation_ended")

    play(script, properties(sim, tmp_path))
    assert sim.simulator.active == []


def test_ids_and_the_channel_may_be_numbers(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    personas = sim.simulator.catalog.personas
    for name in ("42", "43"):
        personas[name] = {
            **personas["pipecat0"],
            "persona_id": name,
            "default_replica_id": REPLICA,
        }

    async def script(scene: Scene) -> None:
        _, made = await scene.command("start_conversation", remote_user_id=4711)
        asked = sim.simulator.conversation(made["conversation_id"]).request
        assert asked["persona_id"] == "42"
        told = await scene.message("tavus_conversation_created")
        assert told["channel"] == "7"
        await scene.command("end_conversation", remote_user_id=4711)
        _, made = await scene.command("start_conversation", persona_id=43)
        asked = sim.simulator.conversation(made["conversation_id"]).request
        assert asked["persona_id"] == "43"

    play(script, properties(sim, tmp_path, persona_id=42, channel=7))
    assert sim.simulator.active == []


@pytest.mark.parametrize("which", [True, 1.5, ["c1"], {"id": "c1"}])
def test_an_end_of_something_odd_does_not_end_everything(
    sim: ThreadedSim, tmp_path: Path, which: Any
) -> None:
    async def script(scene: Scene) -> None:
        _, made = await scene.command("start_conversation")
        status, answer = await scene.command(
            "end_conversation", conversation_id=which
        )
        assert (status, answer["kind"]) == (StatusCode.ERROR, "validation")
        assert answer["detail"].startswith("tavus: 1 problem: conversation_id:")
        assert sim.simulator.active == [made["conversation_id"]]
        # Not set is the same as not there.
        status, _ = await scene.command("end_conversation", conversation_id="")
        assert status == StatusCode.OK

    play(script, properties(sim, tmp_path))


@pytest.mark.parametrize("value", [True, ["room"], {"name": "room"}])
def test_a_property_of_another_type_is_told_and_kills_nothing(
    sim: ThreadedSim, tmp_path: Path, value: Any
) -> None:
    async def script(scene: Scene) -> None:
        error = await scene.message("error")
        assert "channel: " in error["message"]
        assert "is not text" in error["message"]
        status, answer = await scene.command("start_conversation")
        assert (status, answer["kind"]) == (StatusCode.ERROR, "config")

    play(script, properties(sim, tmp_path, channel=value))


def test_the_commands_answer_with_the_conversation(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        status, made = await scene.command(
            "start_conversation", custom_greeting="Hi", language="de"
        )
        assert status == StatusCode.OK
        asked = sim.simulator.conversation(made["conversation_id"]).request
        assert asked["custom_greeting"] == "Hi"
        assert asked["properties"]["language"] == "german"
        status, ended = await scene.command("end_conversation")
        assert (status, ended) == (
            StatusCode.OK,
            {"conversation_id": made["conversation_id"]},
        )

    play(script, properties(sim, tmp_path))
    assert sim.simulator.active == []


def test_commands_that_fail_say_why(sim: ThreadedSim, tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        sim.simulator.set_credits_spent(True)
        status, answer = await scene.command("start_conversation")
        assert status == StatusCode.ERROR
        assert answer == {
            "detail": "The user is out of conversational credits (HTTP 402) - "
            "add minutes or change the plan in the Tavus developer portal",
            "kind": "credits",
            "status": 402,
        }
        error = await scene.message("error")
        assert error["code"] == -1000
        assert error["module"] == "avatar"
        assert error["vendor_info"] == {
            "vendor": "tavus",
            "code": "402",
            "message": "The user is out of conversational credits",
        }
        status, answer = await scene.command(
            "end_conversation", conversation_id="c404"
        )
        assert (status, answer["kind"]) == (StatusCode.ERROR, "not_found")
        status, answer = await scene.command(
            "start_conversation", language="Klingon"
        )
        assert (status, answer["kind"]) == (StatusCode.ERROR, "validation")
        assert answer["detail"] == (
            "tavus: 1 problem: language: 'Klingon' is not a language Tavus "
            "lists; write a name or code, such as 'english' or 'en'"
        )
        status, answer = await scene.command("dance")
        assert status == StatusCode.ERROR
        assert "unknown command 'dance'" in answer["detail"]

    play(script, properties(sim, tmp_path))


def test_a_stop_ends_what_runs(sim: ThreadedSim, tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.command("start_conversation")
        assert len(sim.simulator.active) == 1

    play(script, properties(sim, tmp_path))
    assert sim.simulator.active == []
    assert list(tmp_path.iterdir()) == []


def test_a_private_room_gives_its_token_only_in_the_join_url(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        await scene.command("on_user_joined")
        made = await scene.message("tavus_conversation_created")
        assert "?t=" in made["join_url"]
        assert "?t=" not in made["conversation_url"]

    play(script, properties(sim, tmp_path, require_auth=True))


def test_the_playground_is_told_to_open_the_url(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        await scene.command("on_user_joined")
        made = await scene.message("tavus_conversation_created")
        message = await scene.message("message")
        assert message["data_type"] == "raw"
        action = json.loads(message["text"])
        assert action["data"]["action"] == "browse_website"
        assert action["data"]["data"]["url"] == made["join_url"]

    play(script, properties(sim, tmp_path, playground_action="true"))


def test_the_playground_is_not_told_to_open_nothing() -> None:
    made = Created(Conversation("c1"), "u1", "room", 1.0)
    names = [
        name for name, _ in messages_module.messages(made, "livekit", True)
    ]
    assert names == ["tavus_conversation_created", "metrics"]


def test_a_journal_that_cannot_be_written_is_an_error_of_the_graph(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        told = await scene.message("error")
        assert told["metadata"]["kind"] == "journal"
        assert "cannot be written: Not a directory" in told["message"]
        status, _ = await scene.command("start_conversation")
        assert status == StatusCode.OK

    (tmp_path / "file").touch()
    state = str(tmp_path / "file" / "state")
    play(script, properties(sim, tmp_path, journal_dir=state))
    assert sim.simulator.active == []


def test_what_tavus_reports_reaches_the_graph(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        await scene.command("on_user_joined", channel="room")
        made = await scene.message("tavus_conversation_created")
        metrics = await scene.message("metrics")
        assert metrics["metrics"]["create_ms"] > 0
        sim.simulator.shutdown(
            made["conversation_id"], "max_call_duration reached"
        )
        reported = await scene.message("tavus_event")
        assert reported["event_type"] == "system.shutdown"
        properties = json.loads(reported["event"])["properties"]
        assert properties["shutdown_reason"] == "max_call_duration reached"
        ended = await scene.message("tavus_conversation_ended")
        assert ended["reason"] == "max_call_duration reached"

    play(script, properties(sim, tmp_path, status_poll_s=0.05))


def spoken(conversation_id: str, event: Any, **more: Any) -> str:
    return json.dumps(
        {
            "conversation_id": conversation_id,
            "event": event if isinstance(event, str) else json.dumps(event),
            **more,
        }
    )


def test_odd_events_that_tavus_lists_are_told_as_json(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    odd: list[dict[str, Any]] = [
        {"event_type": None, "properties": {"a": [float("nan")]}},
        {"event_type": ["a"], "properties": {"b": -float("inf")}},
        {"event_type": "conversation.tool_call", "properties": None},
        {"event_type": "application.x", "duration": float("inf")},
        {},
    ]

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    async def script(scene: Scene) -> None:
        _, made = await scene.command("start_conversation")
        for event in odd:
            sim.simulator.report(made["conversation_id"], event)
        await scene.message("tavus_event", len(odd))
        told = scene.messages("tavus_event")
        assert {one["source"] for one in told} == {"poll"}
        assert sorted(one["event_type"] for one in told) == [
            *("", "", ""),
            "application.x",
            "conversation.tool_call",
        ]
        events = [
            json.loads(one["event"], parse_constant=refuse) for one in told
        ]
        for event, wanted in zip(events, odd, strict=True):
            del event["timestamp"]
            assert event == json.loads(
                json.dumps(wanted), parse_constant=lambda _: None
            )
        # The odd ones hide nothing of what follows.
        sim.simulator.shutdown(made["conversation_id"], "left")
        ended = await scene.message("tavus_conversation_ended")
        assert ended["reason"] == "left"

    play(script, properties(sim, tmp_path, status_poll_s=0.2))
    assert sim.simulator.active == []


def test_what_a_webhook_says_is_told_once_and_checked(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        await scene.command(
            "on_user_joined", remote_user_id="u1", channel="room"
        )
        made = await scene.message("tavus_conversation_created")
        conversation_id = made["conversation_id"]
        sim.simulator.shutdown(conversation_id, "max_call_duration reached")
        there = sim.simulator.conversation(conversation_id).events
        for event in [*there, *there]:
            said = spoken(conversation_id, event, source="webhook")
            await scene.say("tavus_event", said)
        ended = await scene.message("tavus_conversation_ended")
        assert ended["reason"] == "max_call_duration reached"
        late = {"event_type": "application.recording_ready", "properties": {}}
        said = spoken(conversation_id, late, source="webhook")
        await scene.say("tavus_event", said)
        told = await scene.message("tavus_event", len(there) + 1)
        assert told == {
            "conversation_id": conversation_id,
            "event_type": "application.recording_ready",
            "event": json.dumps(late),
            "source": "webhook",
            "remote_user_id": "",
            "channel": "room",
        }
        shutdown = scene.messages("tavus_event")[0]
        assert json.loads(shutdown["event"]) == there[0]

    play(script, properties(sim, tmp_path, status_poll_s=0))


def test_what_a_page_hears_is_told_under_the_name_of_today(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        _, made = await scene.command("start_conversation")
        for number, event_type in enumerate(
            (
                "conversation.replica.started_speaking",
                "conversation.started_speaking",
                "conversation.stopped_speaking",
            )
        ):
            event = {"event_type": event_type, "seq": number}
            if number:
                event["properties"] = {"role": "pal"}
            await scene.say(
                "tavus_event",
                spoken(made["conversation_id"], event, source="page"),
            )
        stopped = await scene.message("tavus_event", 2)
        assert stopped["event_type"] == "conversation.stopped_speaking"
        assert stopped["source"] == "page"
        started, _ = scene.messages("tavus_event")
        assert started["event_type"] == "conversation.started_speaking"
        assert json.loads(started["event"]) == {
            "event_type": "conversation.started_speaking",
            "seq": 0,
            "properties": {"role": "replica"},
        }

    play(script, properties(sim, tmp_path, status_poll_s=0))


@pytest.mark.parametrize("source", ["poll", "tavus", "", 7, None])
def test_who_is_not_the_webhook_counts_as_a_page(
    sim: ThreadedSim, tmp_path: Path, source: Any
) -> None:
    async def script(scene: Scene) -> None:
        _, made = await scene.command("start_conversation")
        more = {} if source is None else {"source": source}
        event = {"event_type": "system.shutdown"}
        said = spoken(made["conversation_id"], event, **more)
        await scene.say("tavus_event", said)
        told = await scene.message("tavus_event")
        assert told["source"] == "page"
        assert sim.simulator.active == [made["conversation_id"]]

    play(script, properties(sim, tmp_path, status_poll_s=0))


def test_an_event_may_be_an_object_or_its_text(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        _, made = await scene.command("start_conversation")
        said = {"event_type": "application.new", "properties": {"a": [1]}}
        for event in (said, json.dumps({**said, "timestamp": 5})):
            content = {"conversation_id": made["conversation_id"]}
            await scene.say(
                "tavus_event", json.dumps({**content, "event": event})
            )
        await scene.message("tavus_event", 2)
        told = [json.loads(m["event"]) for m in scene.messages("tavus_event")]
        assert said in told
        assert {**said, "timestamp": 5} in told

    play(script, properties(sim, tmp_path, status_poll_s=0))


def test_an_event_that_is_none_is_dropped(
    sim: ThreadedSim, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def script(scene: Scene) -> None:
        _, made = await scene.command("start_conversation")
        ours = made["conversation_id"]
        good = {"event_type": "application.new"}
        for text in (
            "{}",
            spoken(ours, ""),
            spoken(ours, "{private"),
            spoken(ours, "[]"),
            spoken(ours, '"private"'),
            spoken(ours, "[" * 100_000),
            spoken(ours, {}),
            spoken(ours, {"event_type": ""}),
            spoken("", good),
            spoken("c404", good),
            spoken(f"{ours}/../x", good),
            spoken(ours, good),
        ):
            await scene.say("tavus_event", text)
        await scene.say("tts_audio_start", '{"request_id": "r"}')
        await scene.say("nobody_knows_this", spoken(ours, {"event_type": "x"}))
        told = await scene.message("tavus_event")
        assert told["event_type"] == "application.new"
        status, _ = await scene.command("end_conversation")
        assert status == StatusCode.OK
        assert len(scene.messages("tavus_event")) == 1

    play(script, properties(sim, tmp_path))
    captured = capfd.readouterr()
    log = captured.out + captured.err
    assert "tavus_event is dropped: event must be a JSON object" in log
    assert "private" not in log


def test_a_bad_configuration_is_told_and_kills_nothing(
    tmp_path: Path,
) -> None:
    async def script(scene: Scene) -> None:
        error = await scene.message("error")
        assert error["code"] == -1000
        assert "tavus_api_key" in error["message"]
        assert "max_call_duration" in error["message"]
        status, _ = await scene.command("on_user_joined")
        assert status == StatusCode.OK
        status, _ = await scene.command("on_user_left")
        assert status == StatusCode.OK
        status, answer = await scene.command("start_conversation")
        assert (status, answer["kind"]) == (StatusCode.ERROR, "config")
        status, answer = await scene.command("end_conversation")
        assert (status, answer["kind"]) == (StatusCode.ERROR, "config")

    play(
        script,
        {
            "tavus_api_key": "",
            "replica_id": REPLICA,
            "max_call_duration": "soon",
            "journal_dir": str(tmp_path),
        },
    )


def test_commands_are_served_while_on_start_still_waits(
    sim: ThreadedSim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = threading.Event()
    on_start = TavusExtension.on_start

    async def late(self: TavusExtension, ten_env: AsyncTenEnv) -> None:
        await asyncio.to_thread(served.wait)
        await on_start(self, ten_env)

    monkeypatch.setattr(TavusExtension, "on_start", late)

    async def script(scene: Scene) -> None:
        status, _ = await scene.command("start_conversation")
        assert status == StatusCode.OK
        status, _ = await scene.command("end_conversation")
        assert status == StatusCode.OK
        served.set()

    play(script, properties(sim, tmp_path))
    assert sim.simulator.ledger()["created"] == 1
    assert sim.simulator.active == []


async def test_a_stop_that_comes_first_is_no_trouble(tmp_path: Path) -> None:
    told: list[str] = []

    class Env:
        """Just what TEN gives to an extension that never got to start."""

        async def get_property_to_json(self, _: None) -> tuple[str, None]:
            return json.dumps(
                {
                    "tavus_api_key": KEY,
                    "replica_id": REPLICA,
                    "base_url": "http://127.0.0.1:9/v2",
                    "journal_dir": str(tmp_path),
                }
            ), None

        def log_debug(self, text: str) -> None:
            """Nobody reads it here."""

        def log_info(self, text: str, category: str = "") -> None:
            """Nobody reads it here."""

        def log_error(self, text: str, category: str = "") -> None:
            told.append(text)

    env: Any = Env()
    never_begun = TavusExtension("tavus")
    await never_begun.on_stop(env)
    stopped_early = TavusExtension("tavus")
    await stopped_early.on_init(env)
    await stopped_early.on_stop(env)
    await stopped_early.on_start(env)
    await stopped_early.on_deinit(env)
    assert told == []


def test_nothing_leaves_a_callback(
    sim: ThreadedSim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    async def script(scene: Scene) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(ConversationKeeper, "user_joined", broken)
            status, answer = await scene.command("on_user_joined")
            assert status == StatusCode.ERROR
            assert answer["kind"] == "internal"
        with monkeypatch.context() as patch:
            patch.setattr(messages_module, "_metrics", broken)
            status, _ = await scene.command("start_conversation")
            assert status == StatusCode.OK
        status, _ = await scene.command("end_conversation")
        assert status == StatusCode.OK

    play(script, properties(sim, tmp_path))
    assert sim.simulator.active == []


def test_what_nobody_expects_is_logged_without_a_secret(
    sim: ThreadedSim,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    hook = "https://talk.example/hook/that-nobody-may-see"

    def broken(*_: object) -> None:
        raise ValueError(f"cannot use {KEY}, nor {hook}, nor eyJhbGciOiJIUzI1N")

    async def script(scene: Scene) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(ConversationKeeper, "user_joined", broken)
            await scene.command("on_user_joined")
        with monkeypatch.context() as patch:
            patch.setattr(messages_module, "_metrics", broken)
            await scene.command("start_conversation")
            # The metrics of the start come a moment later, before this.
            await scene.command("end_conversation")

    play(script, properties(sim, tmp_path, callback_url=hook))
    out, err = capfd.readouterr()
    lines = [one for one in (out + err).splitlines() if "cannot use" in one]
    assert [one.split("ValueError")[1] for one in lines] == [
        "('cannot use ***, nor ***, nor ***')"
    ] * 2


def test_many_commands_at_once_are_answered_once_each(
    sim: ThreadedSim, tmp_path: Path
) -> None:
    async def script(scene: Scene) -> None:
        answers = await asyncio.gather(
            *(
                scene.command("start_conversation", remote_user_id=f"u{n}")
                for n in range(50)
            ),
            *(
                scene.command("on_user_joined", remote_user_id=f"u{n}")
                for n in range(50)
            ),
        )
        assert {status for status, _ in answers} == {StatusCode.OK}
        assert len(sim.simulator.active) == 50
        status, ended = await scene.command("end_conversation")
        assert status == StatusCode.OK
        assert len(ended["conversation_id"].split(",")) == 50

    play(
        script,
        properties(sim, tmp_path, conversation_scope="user"),
    )
    assert sim.simulator.active == []


def test_the_key_is_in_no_log_line(
    sim: ThreadedSim, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sim.simulator.add_fault(
        "create", "status", status=400, body={"error": f"bad key {KEY}"}
    )

    async def script(scene: Scene) -> None:
        status, answer = await scene.command("start_conversation")
        assert status == StatusCode.ERROR
        assert KEY not in answer["detail"]
        error = await scene.message("error")
        assert KEY not in json.dumps(error)

    play(script, properties(sim, tmp_path, require_auth=True))
    captured = capfd.readouterr()
    assert KEY not in captured.out + captured.err
