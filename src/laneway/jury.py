"""The jury: the judges of a configuration, from settings to values, and the budgets that bound them.

Owns: which targets judge, for which pools, and everything that is wrong with their tables.
Refuses: judging (the judge does, in the background), and prices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

from laneway.caps import Wrong, read_cap, read_unpriced
from laneway.config import joined, nearest, visible
from laneway.policy.budgets import ALERTS, Budget
from laneway.policy.judging import RUBRIC
from laneway.route import Target
from laneway.settings import ServerTable, Settings

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
Resolve = Callable[[str, str], tuple[Target, ...]]


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """Who judges what, how often, and for how much."""

    name: str
    target: Target
    pools: frozenset[str] | None
    """None: all."""
    share: float
    pairs: float
    burst: int
    cap_nanos: int
    tenant: str | None
    rubric: str
    queue: int
    workers: int

    @property
    def draws(self) -> bool:
        """Whether it judges live answers; one that does not is asked by people only."""
        return self.share > 0 or self.pairs > 0 or self.burst > 0

    @property
    def source(self) -> str:
        """Its labels' source, and the key under which its calls stand in budgets and reports."""
        return f"judge:{self.name}"


def made_judges(settings: Settings, resolve: Resolve, wrong: Wrong) -> Mapping[str, Judge]:
    """Every judge that can be used; of the others the problems are told."""
    made: dict[str, Judge] = {}
    for name, table in settings.judges.items():
        path = joined("judges", name)
        if not _NAME.fullmatch(name):
            wrong(path, "is no name for a judge: use lower-case letters, digits, - and _")
            continue
        for index, pool in enumerate(table.pools):
            if pool not in settings.pools:
                wrong(f"{path}.pools[{index}]", f'there is no pool "{visible(pool)}"{nearest(pool, settings.pools)}')
        if table.tenant not in ("", "default", *settings.tenants):
            hint = nearest(table.tenant, settings.tenants)
            wrong(f"{path}.tenant", f'there is no tenant "{visible(table.tenant)}"{hint}')
        targets = resolve(table.model, f"{path}.model")
        cap = read_cap(table.daily_usd, f"{path}.daily_usd", wrong)
        if not targets or cap is None:
            continue
        made[name] = Judge(
            name=name,
            target=targets[0],
            pools=frozenset(table.pools) or None,
            share=table.share,
            pairs=table.pairs,
            burst=table.burst,
            cap_nanos=cap,
            tenant=table.tenant or None,
            rubric=table.rubric or RUBRIC,
            queue=table.queue,
            workers=table.workers,
        )
    return made


def budgets_of(judges: Mapping[str, Judge], server: ServerTable) -> tuple[Budget, ...]:
    """One for each judge, over all tenants: nobody but the judge asks with a key of that name."""
    price = read_unpriced(server.unpriced)
    return tuple(
        Budget(name=judge.source, cap_nanos=judge.cap_nanos, key=judge.source, unpriced=price, alerts=ALERTS)
        for judge in judges.values()
    )
