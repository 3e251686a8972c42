"""Pools out of what a person wrote: their candidates with the keys of their labels, and what each rule wants to know.

Owns: resolving candidates, defaults, shares and versions, with what is wrong with any of it.
Refuses: choosing (policy does), and what tenants taught or set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from laneway.config import joined, nearest, visible
from laneway.route import Check, Member, Pool, Target
from laneway.settings import ModelTable, PoolTable, Settings

MOST_CANDIDATES = 64
"""What neighbours say is told of so many columns at once."""

Wrong = Callable[[str, str], None]


class Resolve(Protocol):
    """The targets that a name in the configuration means."""

    def __call__(self, text: str, path: str) -> tuple[Target, ...]: ...


def made_pools(settings: Settings, resolve: Resolve, wrong: Wrong, scale: float) -> dict[str, Pool | None]:
    """None for one that is not there: all its candidates are left out, or have a problem of their own."""
    return {name: _pool(name, table, settings, resolve, wrong, scale) for name, table in settings.pools.items()}


def _pool(name: str, table: PoolTable, settings: Settings, resolve: Resolve, wrong: Wrong, scale: float) -> Pool | None:
    path = joined("pools", name)
    members: dict[str, Member] = {}
    for index, text in enumerate(table.candidates):
        where = f"{path}.candidates[{index}]"
        targets = resolve(text, where)
        if not targets:
            continue  # its provider is left out, or something is wrong with it, which was said
        if targets[0].kind == "embed":
            wrong(where, "makes embeddings, and no answers to choose among")
        label = label_of(targets[0], settings.models.get(text))
        before = members.setdefault(label, Member(name=text, label=label, targets=targets))
        if before.name != text:
            wrong(where, f'is the same model as "{visible(before.name)}"')
    if not table.candidates:
        wrong(f"{path}.candidates", "is missing: a pool needs names of models to choose among")
    if len(members) > MOST_CANDIDATES:
        wrong(f"{path}.candidates", f"has more than {MOST_CANDIDATES} candidates")
    if not members:
        return None
    labels = {text: label for label, member in members.items() for text in (member.name, label)}

    def label_named(text: str, key: str) -> str:
        if text and text not in labels:
            if text not in table.candidates:
                wrong(f"{path}.{key}", f'there is no candidate "{visible(text)}"{nearest(text, table.candidates)}')
            return ""
        return labels.get(text, "")

    default = label_named(table.default, "default") or next(iter(members))
    return Pool(
        name=name,
        members=tuple(members.values()),
        default=default,
        rule=table.rule,
        bias=table.bias,
        floor=table.floor,
        warm=table.warm,
        least_confidence=table.least_confidence,
        sticky=table.sticky,
        switch_penalty=table.switch_penalty,
        ttl_s=table.ttl * scale,
        keep_prompts=table.keep_prompts,
        k=table.k,
        alpha=table.alpha,
        shares={label_named(text, f"weights.{text}"): share for text, share in table.weights.items()},
        first=label_named(table.target, "target") or default,
        check=Check(
            least_chars=table.check.least_chars,
            without=table.check.without,
            json=table.check.json,
            whole=table.check.whole,
        ),
    )


def label_of(target: Target, table: ModelTable | None) -> str:
    """The key of a candidate's labels."""
    return f"{target.name}@{table.version}" if table is not None and table.version else target.name


def spelled_pools(settings: Settings, pools: Mapping[str, Pool]) -> dict[str, Pool]:
    """Pools by every model name that means one."""
    return {text: pool for name, pool in pools.items() for text in (name, *settings.pools[name].aliases)}
