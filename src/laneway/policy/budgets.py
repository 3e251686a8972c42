"""Budgets: whose money it is, until when, and which account a request is charged to.

Owns: which budgets bind a caller and a target, the name of an account with its period, when a period ends in its own
zone, the thresholds that lie between two sums, and what a kill covers.
Refuses: sums (the ledger keeps them), prices (price has them), and clocks: `now_s` is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo

import msgspec

from laneway.policy.price import nanos_to_usd
from laneway.ports import Kill, Left
from laneway.route import Price, Target, Tier

EACH = "*"
"""In a budget's scope: every caller, tenant, project, lane or tier has an account of its own."""
EVERYTHING = "all"
"""The scope of a kill that stops every paid call."""
ALERTS = (0.8,)
"""Where nobody says otherwise."""
_SCOPE = ("key", "tenant", "project", "lane")
_MOST_KEPT = 4096


class Period(StrEnum):
    """How long an account adds up before it begins anew."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A cap on what some callers may spend in a period.

    Of the scope, None stands for anything, "*" for each one by itself, and a name for that one alone. A cap of 0
    allows nothing that costs anything. `unpriced` is what a model without a price is taken to cost here; None: such
    a model is refused.
    """

    name: str
    cap_nanos: int
    key: str | None = None
    tenant: str | None = None
    project: str | None = None
    lane: str | None = None
    tier: str | None = None
    period: Period = Period.DAY
    zone: str = "UTC"
    alerts: tuple[float, ...] = ()
    """Fractions of the cap at which somebody is told; they stop nothing."""
    unpriced: Price | None = None


class Who(msgspec.Struct, frozen=True):
    """Who asks, as far as budgets and kills care."""

    tenant: str
    key: str | None = None
    project: str | None = None
    lane: str | None = None


class Span(NamedTuple):
    """The period an instant lies in; `ends_s` is None for one that never ends."""

    label: str
    ends_s: float | None


class Account(NamedTuple):
    """Where one budget adds up for one request. `tier` is set where it binds only targets of that tier."""

    name: str
    budget: Budget
    tier: Tier | None
    ends_s: float | None

    def binds(self, target: Target | None) -> bool:
        """An app that is not ours (None) is bound by what binds all tiers."""
        return self.tier is None or (target is not None and target.provider.tier is self.tier)


def daily_of(tenant: str, cap_nanos: int, unpriced: Price | None = None) -> Budget:
    return Budget(name=f"tenant:{tenant}", cap_nanos=cap_nanos, tenant=tenant, unpriced=unpriced, alerts=ALERTS)


def span_of(period: Period, zone: str, now_s: float) -> Span:
    """The period around an instant, by the calendar of a zone."""
    if period is Period.TOTAL:
        return Span("total", None)
    where = zone_of(zone)
    today = datetime.fromtimestamp(now_s, where).date()
    if period is Period.DAY:
        return Span(today.isoformat(), _begins(today + timedelta(days=1), where))
    # Day 28 and four more are in the next month, whatever the month.
    after = (today.replace(day=28) + timedelta(days=4)).replace(day=1)
    return Span(f"{today:%Y-%m}", _begins(after, where))


def _begins(day: date, where: tzinfo) -> float:
    # Where a clock change skips midnight, PEP 495 reads it with the offset from before: the very instant of the change.
    return datetime.combine(day, time(), where).timestamp()


def zone_of(name: str) -> tzinfo:
    """Raises ValueError for a name that is no zone here."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no zone {name!r}") from None


class Budgets:
    """All budgets of one configuration. Immutable but for what it remembers of callers it has seen."""

    def __init__(self, budgets: Iterable[Budget] = ()) -> None:
        self.all = tuple(budgets)
        self._names = frozenset(budget.name for budget in self.all)
        self._kept: dict[Who, tuple[float, int | None, tuple[Account, ...]]] = {}

    def accounts(self, who: Who, now_s: float, daily_nanos: int | None = None) -> tuple[Account, ...]:
        """The accounts a request is charged to, in the order of the budgets; `daily_nanos` is the tenant's own cap."""
        kept = self._kept.get(who)
        if kept is not None and now_s < kept[0] and kept[1] == daily_nanos:
            return kept[2]
        made = tuple(
            account for budget in self._of(who.tenant, daily_nanos) for account in accounts_of(budget, who, now_s)
        )
        if len(self._kept) >= _MOST_KEPT:
            # Callers choose their projects.
            self._kept.clear()
        ends_s = min((account.ends_s for account in made if account.ends_s is not None), default=float("inf"))
        self._kept[who] = (ends_s, daily_nanos, made)
        return made

    def _of(self, tenant: str, daily_nanos: int | None) -> tuple[Budget, ...]:
        if daily_nanos is None:
            return self.all
        own = daily_of(tenant, daily_nanos)
        return self.all if own.name in self._names else (*self.all, own)


def accounts_of(budget: Budget, who: Who, now_s: float) -> tuple[Account, ...]:
    """The accounts of one budget that bind a caller: none, one, or one for each tier."""
    subjects: list[str] = []
    for name in _SCOPE:
        wanted: str | None = getattr(budget, name)
        own: str | None = getattr(who, name)
        if wanted == EACH:
            # Whoever has none shares an account with the others who have none.
            subjects.append(quote(own or "", safe=""))
        elif wanted is not None and wanted != own:
            return ()
    span = span_of(budget.period, budget.zone, now_s)
    tiers = tuple(Tier) if budget.tier == EACH else (Tier(budget.tier) if budget.tier is not None else None,)
    made: list[Account] = []
    for tier in tiers:
        own_subjects = [*subjects, tier.value] if budget.tier == EACH and tier is not None else subjects
        made.append(Account(":".join(["/".join([budget.name, *own_subjects]), span.label]), budget, tier, span.ends_s))
    return tuple(made)


def known_accounts(budget: Budget, now_s: float) -> tuple[Account, ...]:
    """The accounts of a budget; none for one of each caller, tenant, project or lane (*): only callers name those."""
    scope: dict[str, str | None] = {name: getattr(budget, name) for name in _SCOPE}
    if EACH in scope.values():
        return ()
    who = Who(tenant=scope["tenant"] or "", key=scope["key"], project=scope["project"], lane=scope["lane"])
    return accounts_of(budget, who, now_s)


def crossed(budget: Budget, before_nanos: int, after_nanos: int) -> tuple[float, ...]:
    """The alerts of a budget that were not reached at one sum and are at the other."""
    return tuple(alert for alert in budget.alerts if before_nanos < _line(budget, alert) <= after_nanos)


def _line(budget: Budget, alert: float) -> Decimal:
    return Decimal(str(alert)) * budget.cap_nanos


# --- kills -------------------------------------------------------------------------------------------------


def scope_of(budget: Budget) -> str:
    """The scope of a kill that stops what a budget pays for; it goes on when the budget is changed or removed."""
    parts = [
        f"{name}:{quote(value, safe='')}"
        for name in (*_SCOPE, "tier")
        if (value := getattr(budget, name)) not in (None, EACH)
    ]
    return " ".join(parts) or EVERYTHING


def stopped(kills: Mapping[str, Kill], who: Who, target: Target | None) -> Kill | None:
    """The kill that forbids a call, or None. What is known to cost nothing is never forbidden."""
    if not kills or (target is not None and target.price is not None and target.price.free):
        return None
    return next((kill for kill in kills.values() if _covers(kill.scope, who, target)), None)


def _covers(scope: str, who: Who, target: Target | None) -> bool:
    if scope == EVERYTHING:
        return True
    facts: dict[str, str | None] = {name: getattr(who, name) for name in _SCOPE}
    if target is not None:
        facts |= {"tier": target.provider.tier.value, "provider": target.provider.name}
    for part in scope.split(" "):
        name, colon, value = part.partition(":")
        if not colon or name not in (*_SCOPE, "tier", "provider"):
            # Somebody wanted something stopped and nobody knows what: the safe reading is everything.
            return True
        if name in facts and facts[name] != unquote(value):
            return False
    return True


def told_of(kill: Kill) -> str:
    """A kill in words, for whoever is stopped by it."""
    where = "" if kill.scope == EVERYTHING else f" for {kill.scope}"
    return f"paid calls are stopped{where} by hand{f' ({kill.reason})' if kill.reason else ''}"


def told_left(account: Account, left: Left, now_s: float) -> str:
    """An account in words: what it allows, what is gone, and when it begins anew."""
    said = (
        f"cap {nanos_to_usd(left.cap_nanos)} USD, spent {nanos_to_usd(left.spent_nanos)} USD, "
        f"held {nanos_to_usd(left.held_nanos)} USD; "
    )
    if account.ends_s is None:
        return f"{said}it does not reset"
    at = datetime.fromtimestamp(account.ends_s, zone_of(account.budget.zone))
    return (
        f"{said}it resets in {max(account.ends_s - now_s, 0):.0f} seconds ({at:%Y-%m-%d %H:%M} {account.budget.zone})"
    )
