"""Whom a budget binds, what its accounts are called, when they begin anew, and what a kill covers."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.policy.budgets import (
    Budget,
    Budgets,
    Period,
    Who,
    accounts_of,
    crossed,
    scope_of,
    span_of,
    stopped,
    told_left,
    zone_of,
)
from laneway.ports import Kill, Left
from laneway.route import FREE, Price, Provider, Target, Tier

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
ADA = Who("acme", "key_1", "site", "fast")


def budget(**fields: object) -> Budget:
    return Budget(**{"name": "b", "cap_nanos": 1000, **fields})  # type: ignore[arg-type]


def names(made: Budget, who: Who = ADA, now_s: float = NOW) -> list[str]:
    return [account.name for account in accounts_of(made, who, now_s)]


def target(tier: Tier = Tier.BALANCED, price: Price | None = None) -> Target:
    return Target(
        provider=Provider(name="cloud", dialect="openai", origin="x", tier=tier), model="m", upstream="m", price=price
    )


# --- accounts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["b:2026-11-21"]),
        ({"tenant": "acme"}, ["b:2026-11-21"]),
        ({"tenant": "bees"}, []),
        ({"tenant": "*"}, ["b/acme:2026-11-21"]),
        ({"tenant": "acme", "lane": "slow"}, []),
        ({"key": "*", "lane": "fast"}, ["b/key_1:2026-11-21"]),
        ({"tenant": "*", "project": "*"}, ["b/acme/site:2026-11-21"]),
        ({"period": Period.MONTH}, ["b:2026-11"]),
        ({"period": Period.TOTAL, "project": "site"}, ["b:total"]),
        ({"tier": "premium"}, ["b:2026-11-21"]),
        ({"tier": "*"}, ["b/local:2026-11-21", "b/balanced:2026-11-21", "b/premium:2026-11-21"]),
    ],
)
def test_an_account_is_named_for_budget_subject_and_period(fields: dict[str, object], expected: list[str]) -> None:
    assert names(budget(**fields)) == expected


def test_names_that_look_alike_are_different_accounts() -> None:
    """Whatever a caller calls its project."""
    both = budget(tenant="*", project="*")
    assert names(both, Who("a", None, "b/c")) != names(both, Who("a/b", None, "c"))
    assert names(both, Who("a", None, None)) != names(both, Who("a", None, "-"))
    assert names(budget(project="*"), Who("a", None, "x:2026-11-22")) == ["b/x%3A2026-11-22:2026-11-21"]


def test_a_tier_binds_its_targets_only() -> None:
    (account,) = accounts_of(budget(tier="premium"), ADA, NOW)
    assert [account.binds(target(tier)) for tier in Tier] == [False, False, True]
    assert not account.binds(None)
    (other,) = accounts_of(budget(), ADA, NOW)
    assert other.binds(target())
    assert other.binds(None)


def test_a_tenants_own_cap_is_a_budget_like_any_other() -> None:
    """Unless one of that name stands in the configuration already."""
    budgets = Budgets([budget(tenant="*")])
    assert [each.name for each in budgets.accounts(ADA, NOW)] == ["b/acme:2026-11-21"]
    assert [each.name for each in budgets.accounts(ADA, NOW, 5)] == ["b/acme:2026-11-21", "tenant:acme:2026-11-21"]
    known = Budgets([budget(name="tenant:acme", tenant="acme", cap_nanos=7)])
    assert [each.budget.cap_nanos for each in known.accounts(ADA, NOW, 5)] == [7]


def test_accounts_change_at_the_end_of_the_shortest_period() -> None:
    budgets = Budgets([budget(period=Period.MONTH), budget(name="day"), budget(name="ever", period=Period.TOTAL)])
    first = budgets.accounts(ADA, NOW)
    assert budgets.accounts(ADA, NOW + 43_199) is first
    later = [each.name for each in budgets.accounts(ADA, NOW + 43_200)]
    assert later == ["b:2026-11", "day:2026-11-22", "ever:total"]


def test_callers_who_make_up_projects_fill_no_memory() -> None:
    budgets = Budgets([budget(project="*")])
    for number in range(5000):
        budgets.accounts(Who("a", None, str(number)), NOW)
    assert len(budgets._kept) <= 4096


# --- periods -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "at", "label", "ends"),
    [
        # 25 and 23 hours: clocks change at night.
        ("Europe/Vienna", "2026-10-25T00:30+02:00", "2026-10-25", "2026-10-26T00:00+01:00"),
        ("Europe/Vienna", "2026-03-29T23:59+02:00", "2026-03-29", "2026-03-30T00:00+02:00"),
        # Clocks change at midnight itself: the day begins at one.
        ("America/Havana", "2026-03-07T23:30-05:00", "2026-03-07", "2026-03-08T01:00-04:00"),
        # A day that never was.
        ("Pacific/Apia", "2011-12-29T12:00-10:00", "2011-12-29", "2011-12-31T00:00+14:00"),
        ("Asia/Tokyo", "2026-12-31T16:00+00:00", "2027-01-01", "2027-01-02T00:00+09:00"),
    ],
)
def test_a_day_ends_at_midnight_where_the_budget_is(zone: str, at: str, label: str, ends: str) -> None:
    span = span_of(Period.DAY, zone, datetime.fromisoformat(at).timestamp())
    assert (span.label, span.ends_s) == (label, datetime.fromisoformat(ends).timestamp())


@pytest.mark.parametrize(
    ("at", "label", "ends"), [("2024-02-29", "2024-02", "2024-03-01"), ("2026-12-31", "2026-12", "2027-01-01")]
)
def test_a_month_ends_with_its_last_day(at: str, label: str, ends: str) -> None:
    zone = ZoneInfo("Europe/Vienna")
    span = span_of(Period.MONTH, "Europe/Vienna", datetime.fromisoformat(at).replace(hour=12, tzinfo=zone).timestamp())
    assert (span.label, span.ends_s) == (label, datetime.fromisoformat(ends).replace(tzinfo=zone).timestamp())


@given(
    zone=st.sampled_from(["UTC", "Europe/Vienna", "America/Havana", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    period=st.sampled_from([Period.DAY, Period.MONTH]),
    now_s=st.integers(946_684_800, 2_208_988_800),
)
def test_a_period_has_one_label_up_to_its_end_and_another_from_it_on(zone: str, period: Period, now_s: int) -> None:
    span = span_of(period, zone, now_s)
    assert span.ends_s is not None
    assert span.ends_s > now_s
    assert span_of(period, zone, span.ends_s - 1).label == span.label
    after = span_of(period, zone, span.ends_s)
    assert after.label > span.label
    assert after.ends_s is not None
    assert after.ends_s > span.ends_s


def test_what_never_ends_has_no_end() -> None:
    assert span_of(Period.TOTAL, "UTC", NOW) == ("total", None)


@pytest.mark.parametrize("zone", ["Nowhere/City", "", "../etc/passwd", "\0"])
def test_what_is_no_zone_is_told(zone: str) -> None:
    with pytest.raises(ValueError, match="no zone"):
        zone_of(zone)


# --- alerts ------------------------------------------------------------------------------------------------


def test_alerts_lie_between_two_sums() -> None:
    made = budget(alerts=(0.5, 0.8, 1.0))
    assert crossed(made, 0, 499) == ()
    assert crossed(made, 499, 500) == (0.5,)
    assert crossed(made, 500, 500) == ()
    assert crossed(made, 499, 1200) == (0.5, 0.8, 1.0)
    assert crossed(made, 800, 999) == ()
    # In decimals, as they are written: 0.1 of 30 is 3.
    assert crossed(budget(cap_nanos=30, alerts=(0.1,)), 2, 3) == (0.1,)


# --- kills -------------------------------------------------------------------------------------------------


def kills(*scopes: str) -> dict[str, Kill]:
    return {scope: Kill(scope, "", NOW) for scope in scopes}


PAID = Price(input=1, output=0)


@pytest.mark.parametrize(
    ("scope", "stops"),
    [
        ("all", True),
        ("tenant:acme", True),
        ("tenant:bees", False),
        ("tenant:acme lane:fast", True),
        ("tenant:acme lane:slow", False),
        ("key:key_1", True),
        ("project:si%74e", True),
        ("tier:balanced", True),
        ("tier:premium", False),
        ("provider:cloud", True),
        ("provider:other", False),
        # What nobody understands stops everything.
        ("everything", True),
        ("tenants:bees", True),
        ("", True),
    ],
)
def test_a_kill_covers_its_scope(scope: str, stops: bool) -> None:
    assert (stopped(kills(scope), ADA, target(price=PAID)) is not None) is stops
    assert stopped(kills(scope), ADA, target(price=FREE)) is None


def test_what_is_not_known_to_be_free_is_stopped() -> None:
    assert stopped(kills("all"), ADA, target(price=None)) is not None
    assert stopped(kills("all"), ADA, None) is not None
    above = Price(input=0, output=0, above_window=10, above=PAID)
    assert stopped(kills("all"), ADA, target(price=above)) is not None
    assert stopped({}, ADA, target(price=PAID)) is None


@pytest.mark.parametrize(
    "fields", [{}, {"tenant": "*"}, {"tenant": "a b:c"}, {"lane": "x", "tier": "premium", "key": "*"}]
)
def test_a_budgets_own_kill_stops_whom_it_binds(fields: dict[str, object]) -> None:
    made = budget(**fields)
    who = Who(str(made.tenant or "any"), "k", None, str(made.lane or "any"))
    assert stopped(kills(scope_of(made)), who, target(Tier.PREMIUM, PAID)) is not None
    if made.tenant not in (None, "*"):
        assert stopped(kills(scope_of(made)), Who("another"), target(price=PAID)) is None


# --- words -------------------------------------------------------------------------------------------------


def test_an_account_says_what_is_left_and_until_when() -> None:
    (account,) = accounts_of(budget(zone="Europe/Vienna"), ADA, NOW)
    left = Left(account=account.name, cap_nanos=10**9, spent_nanos=10**8, held_nanos=5)
    assert told_left(account, left, NOW) == (
        "cap 1 USD, spent 0.1 USD, held 0.000000005 USD; it resets in 39600 seconds (2026-11-22 00:00 Europe/Vienna)"
    )
    (ever,) = accounts_of(budget(period=Period.TOTAL), ADA, NOW)
    assert told_left(ever, left, NOW).endswith("it does not reset")
