#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Faults strike the requests they are meant for, as often as they should."""

from typing import Any

import pytest
from tavus_sim import SimReply, SimRequest, Simulator

PERSONA = {"persona_id": "pcb7a34da5fe"}
BEFORE = ("drop_before", "error_before", "hang_before", "status")
AFTER = (
    "drop_after",
    "error_after",
    "hang_after",
    "truncated",
    "not_json",
    "slow",
    "empty",
)


@pytest.fixture(name="sim")
def sim_fixture() -> Simulator:
    return Simulator()


def call(sim: Simulator, method: str, url: str, body: Any = None) -> SimReply:
    return sim.handle(SimRequest.of(method, f"/v2{url}", body))


def create(sim: Simulator) -> SimReply:
    return call(sim, "POST", "/conversations", PERSONA)


@pytest.mark.parametrize("kind", BEFORE)
def test_before_means_that_nothing_was_done(sim: Simulator, kind: str):
    sim.add_fault("create", kind)
    create(sim)
    assert sim.ledger()["created"] == 0
    assert sim.ledger()["requests"]["create"] == 1


@pytest.mark.parametrize("kind", AFTER)
def test_after_means_that_it_was_done(sim: Simulator, kind: str):
    sim.add_fault("create", kind)
    create(sim)
    assert sim.ledger()["active"] == 1


@pytest.mark.parametrize("kind", AFTER)
def test_an_end_with_a_bad_answer_still_ends(sim: Simulator, kind: str):
    conversation_id = create(sim).json()["conversation_id"]
    sim.add_fault("end", kind)
    call(sim, "POST", f"/conversations/{conversation_id}/end")
    assert sim.active == []


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        ("drop_before", "drop"),
        ("drop_after", "drop"),
        ("hang_before", "hang"),
        ("hang_after", "hang"),
        ("truncated", "truncate"),
        ("slow", None),
        ("status", None),
    ],
)
def test_what_the_adapter_is_told(sim: Simulator, kind: str, wire: Any):
    sim.add_fault("create", kind)
    assert create(sim).fault == wire


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"message": "Invalid access token"}),
        (402, {"message": "The user is out of conversational credits"}),
        (429, {"error": "Rate limit exceeded, please try again later"}),
        (500, {"error": "Internal Server Error"}),
        (522, {"error": "Error"}),
    ],
)
def test_a_status_has_the_documented_body(
    sim: Simulator, status: int, body: Any
):
    sim.add_fault("create", "status", status=status)
    reply = create(sim)
    assert (reply.status, reply.json()) == (status, body)


def test_a_status_may_have_another_body_and_retry_after(sim: Simulator):
    sim.add_fault(
        "create", "status", status=429, body={"error": "x"}, retry_after_s=2
    )
    reply = create(sim)
    assert reply.json() == {"error": "x"}
    assert reply.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    ("options", "delay_s"),
    [
        ({"kind": "slow"}, 1.0),
        ({"kind": "slow", "delay_ms": 250}, 0.25),
        ({"kind": "error_after", "delay_ms": 250}, 0.25),
        ({"kind": "drop_before", "delay_ms": 250}, 0.25),
        ({"kind": "status"}, 0.0),
    ],
)
def test_a_fault_may_take_its_time(options: dict[str, Any], delay_s: float):
    sim = Simulator(latency_ms=10)
    sim.add_fault("create", **options)
    assert create(sim).delay_s == pytest.approx(delay_s + 0.01)


def test_a_count_runs_out(sim: Simulator):
    sim.add_fault("create", "status", count=2)
    statuses = [create(sim).status for _ in range(4)]
    assert statuses == [500, 500, 200, 200]
    assert sim.faults() == []


def test_without_a_count_it_lasts_until_cleared(sim: Simulator):
    sim.add_fault("create", "status")
    assert {create(sim).status for _ in range(20)} == {500}
    sim.clear_faults()
    assert create(sim).status == 200


def test_faults_queue_up(sim: Simulator):
    for status in (500, 502, 503):
        sim.add_fault("create", "status", status=status, count=1)
    statuses = [create(sim).status for _ in range(4)]
    assert statuses == [500, 502, 503, 200]


def test_a_probability_strikes_about_so_often_and_always_the_same():
    def statuses(seed: int) -> list[int]:
        sim = Simulator(seed=seed)
        sim.add_fault("create", "status", probability=0.3)
        return [create(sim).status for _ in range(1000)]

    assert 250 < statuses(1).count(500) < 350
    assert statuses(1) == statuses(1)
    assert statuses(1) != statuses(2)


def test_a_count_with_a_probability_counts_what_it_struck(sim: Simulator):
    sim.add_fault("create", "status", probability=0.5, count=3)
    assert [create(sim).status for _ in range(100)].count(500) == 3


ONE_OF_EACH = {
    "create": ("POST", "/conversations"),
    "list": ("GET", "/conversations"),
    "get": ("GET", "/conversations/c0"),
    "end": ("POST", "/conversations/c0/end"),
    "delete": ("DELETE", "/conversations/c0"),
    "persona": ("GET", "/pals/pipecat0"),
    "replica": ("GET", "/replicas"),
}


@pytest.mark.parametrize("endpoint", ONE_OF_EACH)
def test_a_fault_strikes_its_endpoint_only(sim: Simulator, endpoint: str):
    sim.add_fault(endpoint, "status", status=599)
    struck = [
        name
        for name, (method, url) in ONE_OF_EACH.items()
        if call(sim, method, url).status == 599
    ]
    assert struck == [endpoint]


def test_a_star_strikes_them_all(sim: Simulator):
    sim.add_fault("*", "status", status=599)
    for method, url in ONE_OF_EACH.values():
        assert call(sim, method, url).status == 599


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": "stop", "kind": "slow"},
        {"endpoint": "end", "kind": "explode"},
        {"endpoint": "end", "kind": "slow", "count": 0},
    ],
)
def test_a_bad_fault_is_a_value_error(sim: Simulator, options: dict[str, Any]):
    with pytest.raises(ValueError, match="must be"):
        sim.add_fault(**options)
