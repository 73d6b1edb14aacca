#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What Prometheus is told."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ten_packages.extension.tavus_http_python.metrics import Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample, as Prometheus reads it."""
    body, media_type = metrics.render()
    assert media_type.startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_what_has_not_happened_is_zero() -> None:
    found = samples(Metrics())
    assert found["tavus_conversations_created_total{}"] == 0
    assert found["tavus_conversations_active{}"] == 0
    assert found["tavus_event_streams{}"] == 0
    assert found["tavus_create_seconds_count{}"] == 0


def test_what_happened_is_counted() -> None:
    metrics = Metrics()
    metrics.created()
    metrics.created()
    metrics.answered(1.5)
    metrics.answered(0.07)
    metrics.active(2)
    metrics.streams(3)
    metrics.failed("credits")
    metrics.failed("credits")
    found = samples(metrics)
    assert found["tavus_conversations_created_total{}"] == 2
    assert found["tavus_conversations_active{}"] == 2
    assert found["tavus_event_streams{}"] == 3
    assert found["tavus_errors_total{credits}"] == 2
    assert found["tavus_create_seconds_sum{}"] == pytest.approx(1.57)
    assert found["tavus_create_seconds_bucket{0.1}"] == 1
    assert found["tavus_create_seconds_bucket{2.0}"] == 2


@pytest.mark.parametrize(
    ("reason", "label"),
    [
        ("user_left", "user_left"),
        ("end_conversation", "end_conversation"),
        ("end_conversation_endpoint_hit", "end_conversation"),
        ("participant_left_timeout reached", "participant_left_timeout"),
        ("max_call_duration", "max_call_duration"),
        ("internal error occurred at step x", "internal"),
        ("exception_encountered_during_startup", "exception_encountered"),
        ("", "other"),
        ('what "Tavus"\nsays tomorrow', "other"),
    ],
)
def test_an_end_is_counted_by_how_its_reason_begins(
    reason: str, label: str
) -> None:
    metrics = Metrics()
    metrics.ended(reason)
    assert samples(metrics)[f"tavus_conversations_ended_total{{{label}}}"] == 1


def test_no_reason_and_no_kind_can_make_ever_more_labels() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.ended(f"reason {number}")
        metrics.failed(f"kind {number}")
    assert len(samples(metrics)) < 100
    assert samples(metrics)["tavus_errors_total{unknown}"] == 1000


def test_servers_of_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.created()
    assert samples(other)["tavus_conversations_created_total{}"] == 0
