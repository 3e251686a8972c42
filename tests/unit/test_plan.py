"""Which candidates can serve a request, in which order, and whose patterns let them."""

from __future__ import annotations

import pytest

from laneway.chat import Op
from laneway.dialects import View
from laneway.policy.permit import may_use, permitted
from laneway.policy.plan import plan, unable
from laneway.route import Dropped, Target, Tenant
from tests.fakes.replies import target


def goal(name: str = "box", **facts: object) -> Target:
    return Target(provider=target(name=name).provider, model="m", upstream=f"{name}-id", **facts)  # type: ignore[arg-type]


def view(op: Op = Op.CHAT, *, needs: str = "", chars: int = 10) -> View:
    return View(op, "m", False, text_chars=chars, needs=frozenset(needs.split()))


def test_the_order_stays_and_reasons_are_kept() -> None:
    one, two, three, four = (goal(name) for name in ("one", "two", "three", "four"))
    short = goal("short", window=10)
    decision = plan((one, two, short, three, four), view(chars=1000), [Dropped(two, "too dear")])
    assert decision.ranked == (one, three, four)
    assert [(dropped.target.name, dropped.reason) for dropped in decision.dropped] == [
        ("two/two-id", "too dear"),
        ("short/short-id", "prompt of 1000 characters exceeds its window of 10 tokens"),
    ]
    assert decision.by == "order"


def test_without_a_view_nothing_is_ruled_out_but_what_was() -> None:
    one, two = goal("one", abilities=frozenset(), window=1), goal("two")
    assert plan((one, two), None, ()).ranked == (one, two)
    assert plan((one, two), None, [Dropped(two, "x")], by="pin").ranked == (one,)


@pytest.mark.parametrize(
    ("facts", "asked", "reason"),
    [
        ({}, view(needs="tools vision"), None),
        ({"abilities": frozenset({"tools"})}, view(), None),
        ({"abilities": frozenset({"tools"})}, view(needs="tools"), None),
        ({"abilities": frozenset({"tools"})}, view(needs="vision tools schema"), "cannot do schema, vision"),
        ({"abilities": frozenset()}, view(needs="tools"), "cannot do tools"),
        ({"kind": "embed"}, view(), "makes embeddings only"),
        ({"kind": "embed"}, view(Op.COUNT), "makes embeddings only"),
        ({"kind": "embed"}, view(Op.EMBED), None),
        ({"abilities": frozenset({"tools"})}, view(Op.EMBED), "makes no embeddings"),
        ({}, view(Op.EMBED), None),
        ({"window": 100}, view(chars=800), None),
        ({"window": 100}, view(chars=801), "prompt of 801 characters exceeds its window of 100 tokens"),
        ({"window": None}, view(chars=10**9), None),
    ],
)
def test_what_rules_a_target_out(facts: dict[str, object], asked: View, reason: str | None) -> None:
    assert unable(goal(**facts), asked) == reason  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        (None, ["one", "two"]),
        ((), []),
        (("*",), ["one", "two"]),
        (("one-id",), ["one"]),
        (("two/*",), ["two"]),
        (("m",), ["one", "two"]),
        (("ONE-ID",), []),
        (("o*", "nothing"), ["one"]),
    ],
)
def test_a_tenants_patterns_are_matched_against_every_name_of_a_target(
    patterns: tuple[str, ...] | None, kept: list[str]
) -> None:
    tenant = Tenant(name="t", models=patterns)
    targets = (goal("one"), goal("two"))
    assert [found.provider.name for found in permitted(tenant, targets)] == kept
    assert may_use(tenant, targets) is bool(kept)
