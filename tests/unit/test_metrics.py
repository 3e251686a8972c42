"""Counters made from outcomes, and their text as Prometheus reads it."""

from __future__ import annotations

import re

import msgspec
import pytest

from laneway.chat import Usage
from laneway.failure import Kind
from laneway.metrics import BUCKETS_S, Histogram, Metrics
from laneway.route import Outcome
from tests.fakes.replies import failure
from tests.harness.outcomes import outcome

# https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
_LINE = re.compile(
    r"# HELP [a-z_]+ [^\n]+"
    r"|# TYPE [a-z_]+ (counter|gauge|histogram)"
    r'|[a-z_]+(\{[a-z_]+="([^"\\\n]|\\["\\n])*"(,[a-z_]+="([^"\\\n]|\\["\\n])*")*\})? [0-9.e+-]+'
)


def counted(*outcomes: Outcome) -> dict[str, float]:
    metrics = Metrics()
    for each in outcomes:
        metrics.add(each)
    return read(metrics.text({}))


def read(text: str) -> dict[str, float]:
    """Every sample, after a check that each line is one that Prometheus takes."""
    assert text.endswith("\n")
    samples: dict[str, float] = {}
    for line in text.splitlines():
        assert _LINE.fullmatch(line), line
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            assert name not in samples, "a sample twice"
            samples[name] = float(value)
    return samples


def test_an_outcome_is_counted_under_front_operation_and_status() -> None:
    samples = counted(outcome(), outcome(), outcome(status=502, front="ollama", lane=None))
    assert samples['laneway_requests_total{front="openai",op="chat",status="200"}'] == 2
    assert samples['laneway_requests_total{front="ollama",op="chat",status="502"}'] == 1
    assert samples['laneway_lane_requests_total{lane="local-fast"}'] == 2
    assert samples['laneway_tokens_total{provider="studio",direction="input"}'] == 300
    assert samples['laneway_tokens_total{provider="studio",direction="output"}'] == 60
    assert samples['laneway_cost_usd_total{provider="studio"}'] == pytest.approx(0.0018)


def test_each_of_several_workers_has_series_of_its_own() -> None:
    metrics = Metrics()
    metrics.add(outcome())
    samples = read(metrics.text({"laneway_tasks": 3.0}, worker=1))
    assert samples['laneway_requests_total{worker="1",front="openai",op="chat",status="200"}'] == 1
    assert samples['laneway_request_seconds_bucket{worker="1",front="openai",le="+Inf"}'] == 1
    assert samples['laneway_tasks{worker="1"}'] == 3
    assert all('{worker="1"' in name for name in samples)


def test_attempts_are_counted_by_how_they_ended() -> None:
    good = outcome().attempts[0]
    bad = msgspec.structs.replace(good, failure=failure(Kind.TIMEOUT), usage=Usage(), cost_nanos=0, skipped_chunks=3)
    samples = counted(outcome(attempts=(bad, bad, good)))
    assert samples['laneway_attempts_total{provider="studio",result="timeout"}'] == 2
    assert samples['laneway_attempts_total{provider="studio",result="ok"}'] == 1
    assert samples["laneway_skipped_chunks_total"] == 6


def test_who_left_is_counted() -> None:
    assert counted(outcome(caller_gone=True), outcome())["laneway_callers_gone_total"] == 1


def test_a_histogram_adds_up() -> None:
    histogram = Histogram()
    for seconds in (0.0, 0.005, 0.0051, 1.0, 300.0, 1000.0):
        histogram.add(seconds)
    assert sum(histogram.counts) == 6
    assert histogram.counts[0] == 2
    assert histogram.counts[-1] == 1
    samples = counted(*(outcome(elapsed_s=seconds) for seconds in (0.001, 0.3, 1000.0)))
    buckets = [samples[f'laneway_request_seconds_bucket{{front="openai",le="{bound:g}"}}'] for bound in BUCKETS_S]
    assert buckets == sorted(buckets), "buckets are cumulative"
    assert buckets[-1] == 2
    assert samples['laneway_request_seconds_bucket{front="openai",le="+Inf"}'] == 3
    assert samples['laneway_request_seconds_count{front="openai"}'] == 3
    assert samples['laneway_request_seconds_sum{front="openai"}'] == pytest.approx(1000.301)


def test_names_from_a_configuration_cannot_break_the_text() -> None:
    samples = counted(outcome(lane='a"b\\c\nd'))
    assert samples['laneway_lane_requests_total{lane="a\\"b\\\\c\\nd"}'] == 1


def test_gauges_of_others_stand_beside_them() -> None:
    samples = read(Metrics().text({"laneway_uptime_seconds": 12.5}))
    assert samples["laneway_uptime_seconds"] == 12.5
    assert samples["laneway_in_flight"] == 0


def test_what_callers_invent_makes_no_series() -> None:
    many = [
        outcome(model=f"model-{number}", trace=f"t-{number}", intent=f"i-{number}", project=f"p-{number}", tenant="t")
        for number in range(50)
    ]
    assert len(counted(*many)) == len(counted(many[0]))
