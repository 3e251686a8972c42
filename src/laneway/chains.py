"""Lanes out of what a person wrote: their targets, what follows them, under which conditions, and the words for each.

Owns: a lane's whole chain (its own targets, those of the lanes it names, its last resort), which tiers that lets in,
conditions on single targets, badges, and what is wrong with any of it.
Refuses: resolving a name into targets (the layout does), and judging hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from laneway.config import joined, nearest, visible
from laneway.route import Lane, Pool, Provider, Stage, Target, Tier
from laneway.settings import LaneTable, TargetTable, Timeouts

WORDS = {Tier.LOCAL: "Local", Tier.BALANCED: "Cloud", Tier.PREMIUM: "Cloud"}
_DEARNESS = {Tier.LOCAL: 0, Tier.BALANCED: 1, Tier.PREMIUM: 2}


class Resolve(Protocol):
    """The targets that a name in the configuration means."""

    def __call__(self, text: str, path: str, *tables: Timeouts) -> tuple[Target, ...]: ...


class Chains:
    """Makes all lanes of one configuration."""

    def __init__(
        self,
        tables: Mapping[str, LaneTable],
        providers: Mapping[str, Provider],
        pools: Mapping[str, Pool | None],
        *,
        resolve: Resolve,
        wrong: Callable[[str, str], None],
        sound: Callable[[], bool],
        scale: float,
    ) -> None:
        self._tables = tables
        self._providers = providers
        self._pools = pools
        self._resolve = resolve
        self._wrong = wrong
        self._sound = sound
        self._scale = scale
        self._faulty = False
        self._own = {name: self._named(name, table, "targets") for name, table in tables.items()}
        self._last = {name: self._named(name, table, "emergency") for name, table in tables.items()}

    def lanes(self, known: Mapping[str, object]) -> dict[str, Lane]:
        """`known` are all providers that are written, left out or not."""
        return {name: self._lane(name, table, known) for name, table in self._tables.items()}

    def _named(self, name: str, table: LaneTable, key: str) -> tuple[Target, ...]:
        path = joined("lanes", name)
        targets: list[Target] = []
        items: tuple[str | TargetTable, ...] = getattr(table, key)
        pool = self._pools.get(table.pool)
        if key == "targets" and pool is not None and not items:
            items = tuple(member.name for member in pool.members)
        for index, item in enumerate(items):
            text, inner, tables = _target_text(item, table)
            found = self._resolve(text, f"{path}.{key}[{index}]{inner}", *tables)
            # A substitute that is dearer than what the lane names is not what the lane says.
            most = max((_DEARNESS[target.provider.tier] for target in found[:1]), default=0)
            targets += [target for target in found if _DEARNESS[target.provider.tier] <= most and target not in targets]
        if key == "targets" and table.pool and table.pool not in self._pools:
            self._wrong(f"{path}.pool", f'there is no pool "{visible(table.pool)}"{nearest(table.pool, self._pools)}')
        if key == "targets" and not items and not table.pool and not table.chain and table.forces:
            self._wrong(f"{path}.targets", "a lane needs at least one target, or forces = false")
        return tuple(targets)

    def _lane(self, name: str, table: LaneTable, known: Mapping[str, object]) -> Lane:
        path = joined("lanes", name)
        targets = list(self._own[name])
        badges = {target.name: _word(table, target) for target in targets}
        for index, after in enumerate(table.chain):
            if after not in self._own:
                hint = nearest(after, self._own)
                self._wrong(f"{path}.chain[{index}]", f'there is no lane "{visible(after)}"{hint}')
                continue
            self._add(targets, badges, self._own[after], self._tables[after])
        if not targets and self._sound() and (table.targets or table.chain or table.pool) and not table.emergency:
            self._wrong(f"{path}.targets", "every target of this lane is at a provider that is left out")
        last = frozenset(target.name for target in self._last[name]) - {target.name for target in targets}
        self._add(targets, badges, self._last[name], None)
        first = badges[targets[0].name] if targets else None
        return Lane(
            name=name,
            targets=tuple(targets),
            forces=table.forces,
            claims=table.claims,
            run_only=table.run_only,
            stage=Stage(table.stage),
            sticky=table.sticky,
            pool=self._pools.get(table.pool),
            badge=table.badge or None,
            badges={key: word if word == first else f"Fallback: {word}" for key, word in badges.items()},
            only_if=self._conditions(table, path, targets, known),
            emergency=last,
            warm=self._warm(name, table, known),
            queue=table.queue,
            queue_s=table.queue_wait * self._scale,
            deadline_s=table.deadline * self._scale if table.deadline is not None else None,
            wait_s=table.retry_wait,
            crowded=table.when_crowded,
            rescue=table.rescue,
        )

    def _add(
        self, targets: list[Target], badges: dict[str, str], more: tuple[Target, ...], of: LaneTable | None
    ) -> None:
        names = {target.name for target in targets}
        for target in more:
            if target.name not in names:
                targets.append(target)
                badges[target.name] = _word(of, target)

    def _conditions(
        self, table: LaneTable, path: str, targets: list[Target], known: Mapping[str, object]
    ) -> dict[str, str]:
        found: dict[str, str] = {}
        for index, item in enumerate(table.targets):
            if isinstance(item, str) or not item.only_if_unavailable:
                continue
            where, provider = f"{path}.targets[{index}].only_if_unavailable", item.only_if_unavailable
            if provider not in known:
                self._wrong(where, f'there is no provider "{visible(provider)}"{nearest(provider, known)}')
                continue
            those = self._resolve(item.target, f"{path}.targets[{index}].target")
            if any(target.provider.name == provider for target in those):
                self._wrong(where, "is the provider of the target itself")
            elif any(target.provider.name == provider for target in targets):
                found.update({target.name: provider for target in those})
            elif provider in self._providers:
                self._wrong(where, "is a provider of none of the lane's targets")
        return found

    def _warm(self, name: str, table: LaneTable, known: Mapping[str, object]) -> frozenset[str]:
        path = joined("lanes", name)
        kept: set[str] = set()
        for index, provider in enumerate(table.warm):
            where = f"{path}.warm[{index}]"
            if provider not in known:
                self._wrong(where, f'there is no provider "{visible(provider)}"{nearest(provider, known)}')
                continue
            found = self._providers.get(provider)
            if found is None:
                continue
            if found.dialect != "ollama":
                self._wrong(where, "is no Ollama host, and only those can be asked to keep a model")
                continue
            here = [target.name for target in self._own[name] if target.provider.name == provider]
            if not here:
                self._wrong(where, "is a provider of none of the lane's targets")
            kept.update(here)
        return frozenset(kept)


def _word(table: LaneTable | None, target: Target) -> str:
    return (table.badge if table is not None else "") or WORDS[target.provider.tier]


def _target_text(item: str | TargetTable, lane: LaneTable) -> tuple[str, str, tuple[Timeouts, ...]]:
    if isinstance(item, str):
        return item, "", (lane.timeouts,)
    return item.target, ".target", (item.timeouts, lane.timeouts)
