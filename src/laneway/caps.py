"""Caps: the budgets of a configuration, from settings to values, with everything that is wrong with them.

Owns: amounts, scopes that name a tenant or a lane that is not there, time zones, and what an unpriced model costs.
Refuses: keeping sums (the ledger does), and deciding whom a budget binds (policy does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from laneway.config import joined, nearest, visible
from laneway.places import price_faults, priced, usd
from laneway.policy.budgets import EACH, Budget, Period, daily_of, zone_of
from laneway.policy.price import usd_to_nanos
from laneway.route import FREE, Price
from laneway.settings import BudgetTable, PriceTable, ServerTable, Settings

MOST_USD = 1_000_000_000
"""Amounts are kept as 64-bit integers of nano-USD."""
Wrong = Callable[[str, str], None]


def made_budgets(settings: Settings, wrong: Wrong) -> tuple[Budget, ...]:
    """Every budget, those in the tenants' own tables included; of those that cannot be used the problems are told."""
    made: list[Budget] = []
    if isinstance(settings.server.unpriced, PriceTable):
        for key, message in price_faults(settings.server.unpriced):
            wrong(f"server.unpriced.{key}", message)
    for name, table in settings.budgets.items():
        path = joined("budgets", name)
        problems = list(_faults(name, table, settings))
        for key, message in problems:
            wrong(f"{path}.{key}" if key else path, message)
        if not problems:
            made.append(_budget(name, table, settings.server))
    for name, tenant in settings.tenants.items():
        nanos = read_cap(tenant.daily_usd, f"{joined('tenants', name)}.daily_usd", wrong)
        if nanos is not None:
            made.append(daily_of(name, nanos, read_unpriced(settings.server.unpriced)))
    return tuple(made)


def read_cap(written: str | float | None, path: str, wrong: Wrong) -> int | None:
    """Nano-USD of an amount; None where there is none, or none that can be read."""
    if written is None or written == "":
        return None
    amount = usd(written, MOST_USD)
    if amount is None:
        wrong(path, f"expected an amount in USD, from 0 to {MOST_USD}")
        return None
    return usd_to_nanos(str(amount))


def _budget(name: str, table: BudgetTable, server: ServerTable) -> Budget:
    return Budget(
        name=name,
        cap_nanos=usd_to_nanos(str(usd(table.cap_usd, MOST_USD))),
        key=table.key or None,
        tenant=table.tenant or None,
        project=table.project or None,
        lane=table.lane or None,
        tier=table.tier or None,
        period=Period(table.period),
        zone=table.zone,
        alerts=tuple(sorted(set(table.alerts))),
        unpriced=read_unpriced(server.unpriced if table.unpriced is None else table.unpriced),
    )


def read_unpriced(written: PriceTable | str) -> Price | None:
    """What a model without a price is taken to cost; None: it is refused."""
    if isinstance(written, PriceTable):
        return None if any(price_faults(written)) else priced(written)
    return FREE if written == "free" else None


def _faults(name: str, table: BudgetTable, settings: Settings) -> Iterator[tuple[str, str]]:
    if not name or not name.isprintable() or not set(name).isdisjoint("/: "):
        yield "", 'holds a "/", a ":" or a space; accounts are named budget/subject:period'
    if usd(table.cap_usd, MOST_USD) is None:
        yield "cap_usd", f"expected an amount in USD, from 0 to {MOST_USD}"
    try:
        zone_of(table.zone)
    except ValueError:
        yield "zone", f'"{visible(table.zone)}" is no time zone here; they look like "UTC" or "Europe/Vienna"'
    # Keys and projects may come to be later; tenants and lanes stand in this file.
    if table.tenant not in ("", EACH, "default", *settings.tenants):
        yield "tenant", f'there is no tenant "{visible(table.tenant)}"{nearest(table.tenant, settings.tenants)}'
    if table.lane not in ("", EACH, *settings.lanes):
        yield "lane", f'there is no lane "{visible(table.lane)}"{nearest(table.lane, settings.lanes)}'
    if isinstance(table.unpriced, PriceTable):
        for key, message in price_faults(table.unpriced):
            yield f"unpriced.{key}", message
