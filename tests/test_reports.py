#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What is said of a conversation reaches the graph once, whoever says it."""

import itertools
from typing import Any

import pytest
from ten_packages.extension.tavus_python.events import Reported
from ten_packages.extension.tavus_python.reports import (
    PAGE,
    POLL,
    WEBHOOK,
    Reports,
    canonical,
)

AT = "2025-07-11T06:45:47.472000Z"


class Graph:
    """What the graph heard of conversation c1, and how often Tavus is asked."""

    def __init__(self) -> None:
        self.heard: list[Reported] = []
        self.asked = 0
        self.reports = Reports(self._hear)
        self.story = self.reports.opened("c1", "ann", "room", self._ask)

    def _hear(self, reported: Reported) -> None:
        self.heard.append(reported)

    def _ask(self) -> None:
        self.asked += 1

    def say(
        self, event: dict[str, Any], source: str = WEBHOOK, of: str = "c1"
    ) -> bool:
        return self.reports.report(of, event, source)

    @property
    def types(self) -> list[Any]:
        return [reported.event["event_type"] for reported in self.heard]


def shutdown(at: Any = AT) -> dict[str, Any]:
    return {
        "event_type": "system.shutdown",
        "timestamp": at,
        "properties": {"shutdown_reason": "max_call_duration reached"},
    }


def speaking(what: str, role: str, seq: int, legacy: bool) -> dict[str, Any]:
    stamp = {"seq": seq, "timestamp": 1746000000.0 + seq / 100}
    if legacy:
        return {"event_type": f"conversation.{role}.{what}_speaking", **stamp}
    return {
        "event_type": f"conversation.{what}_speaking",
        "properties": {"role": role},
        **stamp,
    }


async def test_nothing_is_told_of_a_conversation_that_is_not_ours() -> None:
    graph = Graph()
    assert not graph.say(shutdown(), of="c2")
    assert graph.heard == []
    assert graph.asked == 0


async def test_an_event_is_told_with_whose_it_is_and_who_says_so() -> None:
    graph = Graph()
    assert graph.say(shutdown(), PAGE)
    assert graph.heard == [
        Reported("c1", shutdown(), "ann", "room", source="page")
    ]


@pytest.mark.parametrize(
    "order", list(itertools.product([POLL, WEBHOOK], repeat=3))
)
async def test_webhook_and_poll_say_it_once_whichever_is_first(
    order: tuple[str, ...],
) -> None:
    graph = Graph()
    for source in order:
        sent = {"conversation_id": "c1"} if source == WEBHOOK else {}
        graph.say({**shutdown(), **sent}, source)
    assert [reported.source for reported in graph.heard] == [order[0]]


@pytest.mark.parametrize(
    "at",
    [
        "2025-07-11T06:45:47.472Z",
        "2025-07-11T06:45:47.472000+00:00",
        "2025-07-11T08:45:47.472000+02:00",
        "2025-07-11T06:45:47.472000",
        1752216347.472,
    ],
)
async def test_one_moment_may_be_written_in_several_ways(at: Any) -> None:
    graph = Graph()
    graph.say(shutdown())
    graph.say(shutdown(at), POLL)
    assert len(graph.heard) == 1


@pytest.mark.parametrize(
    "at",
    ["soon", "", True, [], {}, 1e999, -1e999, float("nan"), 10**400, None],
)
async def test_a_moment_that_is_none_breaks_nothing(at: Any) -> None:
    graph = Graph()
    graph.say(shutdown(at))
    graph.say(shutdown(at))
    assert len(graph.heard) == 1


async def test_events_without_a_time_are_told_apart_by_their_content() -> None:
    graph = Graph()
    for key in ("a", "b", "a"):
        graph.say(
            {
                "event_type": "application.recording_ready",
                "properties": {"s3_key": key},
            }
        )
    assert len(graph.heard) == 2


def tool_call(at: Any = AT, **more: Any) -> dict[str, Any]:
    return {
        "event_type": "conversation.tool_call",
        "timestamp": at,
        "properties": {"name": "book", "arguments": "{}"},
        **more,
    }


def calling(name: str) -> dict[str, Any]:
    return {"properties": {"name": name, "arguments": "{}"}}


@pytest.mark.parametrize("source", [POLL, WEBHOOK, PAGE])
async def test_two_tool_calls_of_one_moment_are_two(source: str) -> None:
    graph = Graph()
    calls = [
        tool_call(seq=1),
        tool_call(seq=2),
        tool_call(**calling("cancel")),
        tool_call(**calling("cancel it")),
    ]
    for call in [*calls, *calls]:
        graph.say(call, source)
    assert [reported.event for reported in graph.heard] == calls


async def test_one_call_is_one_also_where_only_one_of_two_has_a_number() -> (
    None
):
    graph = Graph()
    graph.say(tool_call(seq=1), WEBHOOK)
    graph.say(tool_call(), POLL)
    graph.say(tool_call(**calling("cancel")), POLL)
    graph.say(tool_call(seq=2, **calling("cancel")), WEBHOOK)
    assert len(graph.heard) == 2


@pytest.mark.parametrize("source", [POLL, WEBHOOK])
async def test_two_actions_of_one_moment_are_two(source: str) -> None:
    graph = Graph()
    for tool in ("t1", "t2", "t1"):
        graph.say(
            {
                "event_type": "application.post_call_action_executed",
                "timestamp": AT,
                "properties": {"tool_id": tool},
            },
            source,
        )
    assert [r.event["properties"]["tool_id"] for r in graph.heard] == [
        "t1",
        "t2",
    ]


async def test_an_end_is_told_once_however_its_reason_is_worded() -> None:
    graph = Graph()
    reasons = ("participant_left_timeout reached", "participant_left_timeout")
    for name, reason, source in (
        ("shutdown_reason", reasons[0], WEBHOOK),
        ("reason", reasons[0], POLL),
        ("reason", reasons[1], POLL),
    ):
        event = {**shutdown(), "properties": {name: reason}}
        graph.say(event, source)
    assert len(graph.heard) == 1


def test_of_a_list_that_grows_anywhere_the_new_ones_are_found() -> None:
    story = Graph().story
    first, second, third = (tool_call(at=number) for number in (1, 2, 3))
    assert story.unlisted([second]) == [second]
    assert story.unlisted([third, second]) == [third]
    assert story.unlisted([third, second, first]) == [first]
    assert story.unlisted([first, third, second, first]) == [first]
    assert story.unlisted([first, first, second, third]) == []


def test_of_a_long_list_nothing_is_new_twice() -> None:
    story = Graph().story
    events = [tool_call(at=number) for number in range(1000)]
    assert story.unlisted(events) == events
    assert story.unlisted(events[::-1]) == []


async def test_what_is_nested_for_mischief_breaks_nothing() -> None:
    graph = Graph()
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert graph.say({"event_type": "x", "properties": {"deep": deep}})
    while deep:  # else its own end overflows the stack
        deep = deep[0]
    assert len(graph.heard) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("system.replica_joined", "system.pal_joined"),
        ("system.pal_joined", "system.replica_joined"),
    ],
)
async def test_the_face_joins_once_whatever_it_is_called(
    first: str, second: str
) -> None:
    graph = Graph()
    for number, event_type in enumerate([first, second, first]):
        graph.say({"event_type": event_type, "timestamp": f"2025-07-1{number}"})
    assert graph.types == ["system.replica_joined"]


@pytest.mark.parametrize("role", ["replica", "pal", "user"])
@pytest.mark.parametrize("legacy_first", [False, True])
async def test_of_speaking_twins_the_second_is_dropped(
    role: str, legacy_first: bool
) -> None:
    graph = Graph()
    seq = itertools.count()
    for what in ("started", "stopped", "started", "stopped"):
        for legacy in (legacy_first, not legacy_first):
            graph.say(speaking(what, role, next(seq), legacy), PAGE)
    assert graph.types == 2 * [
        "conversation.started_speaking",
        "conversation.stopped_speaking",
    ]
    assert {r.event["properties"]["role"] for r in graph.heard} == {
        "user" if role == "user" else "replica"
    }


async def test_who_speaks_is_kept_apart_by_role() -> None:
    graph = Graph()
    graph.say(speaking("started", "user", 1, False), PAGE)
    graph.say(speaking("started", "replica", 2, False), PAGE)
    graph.say(speaking("stopped", "user", 3, True), PAGE)
    assert [r.event["properties"]["role"] for r in graph.heard] == [
        "user",
        "replica",
        "user",
    ]


async def test_a_twin_that_comes_too_late_does_not_start_anew() -> None:
    graph = Graph()
    started, twin = (
        speaking("started", "replica", 5, False),
        speaking("started", "replica", 6, True),
    )
    graph.say(started, PAGE)
    graph.say(speaking("stopped", "replica", 7, False), PAGE)
    graph.say(twin, PAGE)
    graph.say(speaking("stopped", "replica", 8, True), PAGE)
    assert graph.types == [
        "conversation.started_speaking",
        "conversation.stopped_speaking",
    ]


async def test_two_tabs_that_hear_the_same_say_it_once() -> None:
    graph = Graph()
    room = [
        {
            "event_type": "conversation.utterance",
            "seq": seq,
            "timestamp": 1746000000.0 + seq,
            "properties": {"role": "user", "speech": "yes"},
        }
        for seq in range(4)
    ]
    for event in [room[0], room[2], room[1], room[0], *room, room[3]]:
        graph.say(event, PAGE)
    assert [r.event["seq"] for r in graph.heard] == [0, 2, 1, 3]


async def test_a_room_that_counts_anew_is_heard_again() -> None:
    graph = Graph()
    for visit in (0, 100):
        for seq, what in enumerate(("started", "stopped")):
            event = speaking(what, "replica", seq, False)
            event["timestamp"] += visit
            graph.say(event, PAGE)
    assert len(graph.heard) == 4


async def test_the_same_words_twice_are_two_utterances() -> None:
    graph = Graph()
    yes = {
        "event_type": "conversation.utterance",
        "properties": {"role": "user", "speech": "yes"},
    }
    graph.say(yes, PAGE)
    graph.say(yes, PAGE)
    assert len(graph.heard) == 2


async def test_a_page_cannot_say_it_in_tavus_place() -> None:
    graph = Graph()
    joined = {"event_type": "system.pal_joined", "timestamp": AT}
    for event in (shutdown(), joined):
        for source in (PAGE, PAGE, WEBHOOK, PAGE, POLL):
            graph.say(event, source)
    assert [reported.source for reported in graph.heard] == 2 * [
        "page",
        "webhook",
    ]


async def test_what_floods_from_a_page_hides_no_replay_from_tavus() -> None:
    graph = Graph()
    graph.say(shutdown())
    for seq in range(1000):
        graph.say({"event_type": "conversation.joined", "seq": seq}, PAGE)
    graph.say(shutdown())
    assert graph.types.count("system.shutdown") == 1


@pytest.mark.parametrize("role", ["user", "replica"])
@pytest.mark.parametrize("source", [WEBHOOK, POLL])
@pytest.mark.parametrize("legacy", [False, True])
async def test_no_number_or_date_of_a_page_silences_tavus(
    role: str, source: str, legacy: bool
) -> None:
    graph = Graph()
    for what in ("started", "stopped"):
        far = speaking(what, role, 10**12, legacy)
        graph.say({**far, "timestamp": "9999-01-01T00:00:00Z"}, PAGE)
    graph.say(speaking("started", role, 10**12 + 1, legacy), PAGE)
    graph.heard.clear()
    graph.say(speaking("started", role, 1, legacy), source)
    graph.say(speaking("stopped", role, 2, legacy), source)
    assert graph.types == [
        "conversation.started_speaking",
        "conversation.stopped_speaking",
    ]


async def test_who_says_it_is_over_makes_us_ask_and_a_poll_does_not() -> None:
    graph = Graph()
    graph.say(shutdown(1), POLL)
    assert graph.asked == 0
    graph.say(shutdown(2), WEBHOOK)
    graph.say(shutdown(2), WEBHOOK)
    graph.say(shutdown(3), PAGE)
    assert graph.asked == 2


async def test_what_comes_after_the_end_is_told_as_before() -> None:
    graph = Graph()
    graph.story.channel = "other room"
    graph.reports.closed("c1")
    graph.reports.closed("c1")
    assert graph.say({"event_type": "application.transcription_ready"})
    late = graph.heard[-1]
    assert (late.user_id, late.channel) == ("ann", "other room")
    graph.say(shutdown())
    assert graph.asked == 0


async def test_ended_conversations_are_forgotten_in_the_end() -> None:
    graph = Graph()
    graph.reports.closed("c1")
    for number in range(1000):
        graph.reports.opened(f"d{number}", "", "", lambda: None)
        graph.reports.closed(f"d{number}")
    assert not graph.say(shutdown())
    assert graph.say(shutdown(), of="d0")
    assert graph.say(shutdown(), of="d999")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"event_type": 7, "properties": []},
        {"event_type": "conversation.user.sang"},
        {"event_type": "system.replica_joined", "properties": {"role": 7}},
    ],
)
def test_what_has_no_other_name_stays_as_it_is(event: dict[str, Any]) -> None:
    assert canonical(event) == event


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            ("conversation.perception-analysis", {"analysis": "smiles"}),
            ("conversation.perception_analysis", {"analysis": "smiles"}),
        ),
        (
            ("conversation.utterance", {"role": "pal", "text": "hi"}),
            (
                "conversation.utterance",
                {"role": "replica", "text": "hi", "speech": "hi"},
            ),
        ),
        (
            ("conversation.utterance.streaming", {"text": "h"}),
            ("conversation.utterance.streaming", {"text": "h", "speech": "h"}),
        ),
        (
            ("system.shutdown", {"reason": "left"}),
            (
                "system.shutdown",
                {"reason": "left", "shutdown_reason": "left"},
            ),
        ),
        *[
            (unchanged, unchanged)
            for unchanged in (
                ("conversation.utterance", {"speech": "hi", "text": "ho"}),
                ("conversation.respond", {"text": "hi"}),
                ("conversation.objective.completed", {"objective": "book"}),
                ("Conversation.X-2", {}),
                ("system.wake_phrase_detected", {}),
            )
        ],
    ],
)
def test_twins_are_told_under_one_name(
    said: tuple[str, Any], told: tuple[str, Any]
) -> None:
    event = {"event_type": said[0], "properties": said[1]}
    assert canonical(event) == {"event_type": told[0], "properties": told[1]}


def test_the_event_that_came_is_not_changed() -> None:
    event = speaking("started", "pal", 1, False)
    told = canonical(event)
    assert told["properties"] == {"role": "replica"}
    assert event["properties"] == {"role": "pal"}
