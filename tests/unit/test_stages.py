"""Stages and their gates, judged from figures alone."""

from __future__ import annotations

from typing import Any

import pytest

from laneway.policy.shadows import as_cells, as_object, compared
from laneway.policy.stages import Promotion, Rollback, chosen, further, judge_back, judge_further, rest_s, words
from laneway.ports import Beside, Choice, Evidence, LaneFigures
from laneway.route import Provider, Stage, Target, Tier

GATE = Promotion(after=100, agreement=0.9, failure_share=0.02, hold_s=60, rest_s=600)
BACK = Rollback(failure_share=0.2, p95_ms=1000, paid=3, least=10)
BOX = Target(
    provider=Provider(name="box", dialect="ollama", origin="http://10.0.0.1:11434", tier=Tier.LOCAL),
    model="gemma3",
    upstream="gemma3:4b",
)


def on(stage: Stage, share: float, seen: Evidence, *, gate: Promotion = GATE, **times: float) -> Any:
    known = {"rests_until_s": 0.0, "now_s": 1000.0, **times}
    move = judge_further(stage, share, gate, seen, **known)
    return None if move is None else (move.stage, move.share)


# --- the share ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.9])
def test_a_share_is_as_large_as_it_says_and_keeps_who_was_in_it(share: float) -> None:
    keys = [f"trace-{number}".encode() for number in range(20_000)]
    inside = {key for key in keys if chosen("fast", key, share)}
    assert abs(len(inside) / len(keys) - share) < 0.015
    assert {key for key in keys if chosen("fast", key, share / 2)} < inside
    assert {key for key in keys if chosen("slow", key, share)} != inside


def test_nobody_and_everybody() -> None:
    assert not any(chosen("fast", bytes([number]), 0.0) for number in range(256))
    assert all(chosen("fast", bytes([number]), 1.0) for number in range(256))


def test_the_choice_is_the_same_on_every_machine() -> None:
    inside = [number for number in range(40) if chosen("fast", str(number).encode(), 0.2)]
    assert inside == [6, 10, 11, 19, 28, 29, 31, 34, 39]


# --- further -----------------------------------------------------------------------------------------------


def test_the_way_to_active_goes_over_every_share() -> None:
    way = [(Stage.OBSERVE, 0.1)]
    while (step := further(*way[-1])) is not None:
        way.append(step)
    assert [words(*each) for each in way] == ["observe", "shadow", "canary 5 %", "canary 25 %", "canary 50 %", "active"]
    assert further(Stage.CANARY, 0.3, (0.5, 0.1)) == (Stage.CANARY, 0.5)
    assert further(Stage.SHADOW, 0.1, ()) == (Stage.ACTIVE, 0.1)


def test_a_shadow_needs_enough_agreement_among_enough_decisions() -> None:
    assert on(Stage.SHADOW, 0.1, Evidence(100, 100, 90)) == (Stage.CANARY, 0.05)
    assert on(Stage.SHADOW, 0.1, Evidence(100, 100, 89)) is None
    assert on(Stage.SHADOW, 0.1, Evidence(500, 99, 99)) is None


def test_a_canary_needs_requests_that_did_not_fail() -> None:
    assert on(Stage.CANARY, 0.05, Evidence(requests=100, failures=2)) == (Stage.CANARY, 0.25)
    assert on(Stage.CANARY, 0.5, Evidence(requests=100)) == (Stage.ACTIVE, 0.5)
    assert on(Stage.CANARY, 0.05, Evidence(requests=100, failures=3)) is None
    assert on(Stage.CANARY, 0.05, Evidence(requests=99)) is None
    slow = Promotion(after=1, hold_s=0, p95_ms=200)
    assert on(Stage.CANARY, 0.05, Evidence(requests=5, p95_ms=201), gate=slow) is None
    assert on(Stage.CANARY, 0.05, Evidence(requests=5, p95_ms=200), gate=slow) == (Stage.CANARY, 0.25)


def test_nothing_is_promoted_too_early_too_far_or_from_observing() -> None:
    enough = Evidence(100, 100, 100, 100)
    assert on(Stage.SHADOW, 0.1, enough, rests_until_s=1001) is None
    assert on(Stage.SHADOW, 0.1, enough, rests_until_s=1000) is not None
    assert on(Stage.OBSERVE, 0.1, enough) is None
    assert on(Stage.ACTIVE, 0.1, enough) is None
    assert on(Stage.CANARY, 0.5, enough, gate=Promotion(after=1, up_to=Stage.CANARY)) is None


# --- back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Evidence(requests=10, failures=3), "3 of 10 requests failed, and at most 20 % may, within 300 s"),
        (Evidence(requests=10, failures=2), None),
        (Evidence(requests=9, failures=9), None),
        (Evidence(requests=10, p95_ms=1001), "p95 latency of 10 requests is 1001 ms, above 1000, within 300 s"),
        (Evidence(requests=10, p95_ms=1000), None),
        (Evidence(requests=3, paid=3), "something that costs money stood in for 3 of 3 requests, within 300 s"),
        (Evidence(requests=10, paid=2), None),
    ],
)
def test_each_gate_takes_a_lane_back_and_says_why(seen: Evidence, said: str | None) -> None:
    for stage in (Stage.CANARY, Stage.ACTIVE):
        move = judge_back(stage, 0.25, BACK, seen)
        assert (move.reason if move is not None else None) == said
        if move is not None:
            assert (move.stage, move.back) == (Stage.SHADOW, True)


def test_what_serves_nothing_is_not_taken_back() -> None:
    bad = Evidence(requests=10, failures=10, paid=10)
    assert judge_back(Stage.SHADOW, 0.1, BACK, bad) is None
    assert judge_back(Stage.CANARY, 0.1, Rollback(failure_share=None), bad) is None


def test_each_fall_rests_twice_as_long_as_the_one_before() -> None:
    assert [rest_s(GATE, falls) for falls in (1, 2, 3, 6, 60)] == [600, 1200, 2400, 19200, 19200]
    assert rest_s(None, 3) == 0


# --- beside ------------------------------------------------------------------------------------------------

SERVED = Choice(host="box", model="gemma3:4b", tier="local", fallback=False)


@pytest.mark.parametrize(
    ("legacy", "kinds"),
    [
        (Choice(), ()),
        (Choice(host="BOX", model="library/Gemma3:4B", tier="local", fallback=False), ()),
        (Choice(host="http://10.0.0.1:11434/", model="gemma3"), ()),
        (Choice(host="10.0.0.1:11434"), ()),
        (Choice(host="other"), ("host",)),
        (Choice(model="phi4", tier="premium", fallback=True), ("model", "tier", "fallback")),
        (Choice(denied="refused"), ("denial",)),
    ],
)
def test_only_what_both_have_said_can_differ(legacy: Choice, kinds: tuple[str, ...]) -> None:
    assert compared(SERVED, legacy, target=BOX) == kinds


def test_a_refusal_where_the_legacy_path_served_is_a_denial() -> None:
    assert compared(Choice(denied="no_target"), Choice(host="box"), target=None) == ("denial",)
    assert compared(Choice(denied="no_target"), Choice(denied="refused"), target=None) == ()
    other = Target(
        provider=Provider(name="spare", dialect="ollama", origin="http://10.0.0.2"), model="phi4", upstream="phi4:14b"
    )
    legacy = Choice(host="spare", model="phi4:14b")
    assert compared(SERVED, legacy, target=BOX, kept_off=[other]) == ("host", "model", "denial")
    assert compared(SERVED, Choice(model="phi4"), target=BOX, kept_off=[other]) == ("model",)


def test_a_report_says_differences_as_ours_less_theirs() -> None:
    figures = LaneFigures(
        lane="fast",
        decisions=4,
        compared=3,
        agreed=2,
        kinds={"host": 1},
        latency_ms=Beside(2, 30, 50),
        cost_nanos=Beside(2, 3, 1),
    )
    report: Any = as_object([figures], 5.0)
    (shown,) = report["data"]
    assert shown["agreement"] == 0.666667
    assert shown["latency"] == {"pairs": 2, "decided_ms": 15.0, "legacy_ms": 25.0, "difference_ms": -10.0}
    assert shown["cost"]["difference_usd"] == "0.000000002"
    assert as_cells([figures, LaneFigures(lane="idle")])[1:] == [
        ("fast", "4", "3", "66.7 %", "1", "0", "0", "0", "0", "-10", "+0.000000002", "0", "0", "0"),
        ("idle", "0", "0", "-", "0", "0", "0", "0", "0", "-", "-", "0", "0", "0"),
    ]
