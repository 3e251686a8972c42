"""laneway check: what a configuration means, for a person to read.

Owns: the tables it prints. Refuses: judging the configuration, which loading it does.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from laneway.commands.terminal import add_config, say, say_rows
from laneway.config import ConfigError, Problem
from laneway.environment import shown
from laneway.layout import Layout, serves_catalogue
from laneway.loaded import load
from laneway.policy import stages
from laneway.policy.alerts import SENTENCES
from laneway.policy.budgets import EACH, Period
from laneway.policy.price import nanos_to_usd
from laneway.policy.rescue import ERROR
from laneway.route import Clocks, Lane, Pool, Price, Provider, Stage
from laneway.settings import ProviderTable
from laneway.store import StoreError, open_store


def add(commands: Any) -> None:
    check = commands.add_parser(
        "check",
        help="read the configuration and say what it means",
        description="Read the configuration, list every problem in it, and print the plan of every lane and model.",
    )
    add_config(check)
    check.set_defaults(run=_check)


def _check(parsed: argparse.Namespace) -> int:
    loaded = load(parsed.config, os.environ)
    layout = loaded.layout
    try:
        open_store(layout.settings.server.store)
    except StoreError as error:
        raise ConfigError([Problem("server.store", str(error))], str(loaded.path or "")) from None
    where = loaded.path or "no file, only what the environment offers"
    say(f"no problems (configuration {layout.version}: {where})")
    for line in loaded.found:
        say(f"  found: {line}")
    _say_table("server", _server_rows(layout))
    _say_table("providers", _provider_rows(layout))
    for lane in layout.lanes.values():
        _say_table(f"lane {lane.name}{_lane_words(lane)}", _lane_rows(layout, lane))
    for pool in layout.pools.values():
        _say_table(f"pool {pool.name} ({pool.rule})", _pool_rows(pool))
    _say_table("judges", _judge_rows(layout))
    _say_table("models", _model_rows(layout))
    _say_table("denials", _denial_rows(layout))
    _say_table("tenants", _tenant_rows(layout))
    _say_table("budgets", _budget_rows(layout))
    _say_table("alerts", _alert_rows(layout))
    return 0


def _server_rows(layout: Layout) -> list[tuple[str, ...]]:
    from laneway.middleware.auth import is_loopback

    server = layout.settings.server
    words = [f"keys in the file: {len(layout.keys)}", "admin key set" if server.admin_key else "no admin key"]
    if server.open:
        words.append("open to everybody")
    elif not (layout.keys or is_loopback(server.host)):
        words.append("starts only once there is a key: laneway keys create")
    return [
        ("listens on", f"{server.host}:{server.port}  ({', '.join(words)})"),
        ("state in", server.store),
        ("time limits", _clocks(layout.clocks)),
    ]


def _provider_rows(layout: Layout) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, table in layout.settings.providers.items():
        provider = layout.providers.get(name)
        if provider is None:
            rows.append((name, "left out: it is optional, and its url is empty"))
            continue
        key = f"key {shown(table.api_key)}" if table.api_key else ""
        if provider.signing:
            key = f"signed for {provider.region}"
        where = f"{provider.origin}{provider.path}"
        limits = ", ".join(filter(None, (_slots(table), _clocks(provider.clocks, layout.clocks))))
        serves = _serves(table, provider)
        rows.append((name, provider.dialect, provider.tier.value, where, key or "no key", serves, limits))
    return rows


def _slots(table: ProviderTable) -> str:
    kept = ", ".join(f"{count} for {lane}" for lane, count in table.reserved.items())
    return f"slots {table.slots}{f' ({kept})' if kept else ''}" if table.slots is not None else ""


def _serves(table: ProviderTable, provider: Provider) -> str:
    serves = [f"{len(table.models)} of its models" if table.models else ""]
    serves += ["all that the catalogue knows" if serves_catalogue(table) else ""]
    serves += ["what it lists" if provider.lists else ""]
    serves += [f"{prefix}*" for prefix in table.prefixes]
    return ", ".join(filter(None, (*serves, *table.accepts)))


def _lane_words(lane: Lane) -> str:
    words = [
        f'badge "{lane.badge}"' if lane.badge else "",
        "" if lane.stage is Stage.ACTIVE else stages.words(lane.stage, lane.share),
        f"legacy path {lane.legacy.provider.origin}{lane.legacy.provider.path}" if lane.legacy is not None else "",
        "runs only" if lane.run_only else "",
        "sticky" if lane.sticky else "",
        f"rescue {lane.rescue}" if lane.rescue != ERROR else "",
        "" if lane.forces else "keeps the model that was asked for",
        f"takes {', '.join(lane.claims)} from everybody" if lane.claims else "",
    ]
    return ", ".join(["", *filter(None, words)])


def _lane_rows(layout: Layout, lane: Lane) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for number, target in enumerate(lane.targets, 1):
        words = [
            "last resort, for tenants with a budget" if target.name in lane.emergency else "",
            f"only if {lane.only_if[target.name]} is unavailable" if target.name in lane.only_if else "",
            "kept warm" if target.name in lane.warm else "",
            _clocks(target.clocks, layout.clocks),
        ]
        rest = ", ".join(filter(None, words))
        rows.append((f"{number}.", target.name, target.provider.tier.value, _price(target.price), rest))
    return rows or [("no targets: it only names its traffic",)]


def _model_rows(layout: Layout) -> list[tuple[str, ...]]:
    """Every model once, by the name that is its own; the aliases of one's own models beside it."""
    rows: list[tuple[str, ...]] = []
    known = layout.names.models
    named = [name for name, targets in known.items() if targets[0].model == name]
    for name in dict.fromkeys((*layout.settings.models, *named)):
        table = layout.settings.models.get(name)
        places = [f"{target.name} ({_price(target.price)})" for target in known.get(name, ())]
        aliases = f"also {', '.join(table.aliases)}" if table is not None and table.aliases else ""
        rows.append((name, ", then ".join(places) or "left out, as its provider is", aliases))
    return rows


def _denial_rows(layout: Layout) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, table in layout.settings.denials.items():
        kept = [*table.models, *([f"{table.from_parameters} and up"] if table.from_parameters else [])]
        rows.append((name, f"keeps {', '.join(kept)} off {', '.join(table.providers)}"))
    return rows


def _tenant_rows(layout: Layout) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for tenant in layout.tenants.values():
        keys = [f"...{key.last4}" for key in layout.keys.values() if key.tenant == tenant.name]
        rows.append(
            (
                tenant.name,
                f"keys {', '.join(keys)}" if keys else "no keys in the file",
                f"lanes {', '.join(sorted(tenant.lanes))}" if tenant.lanes is not None else "all lanes",
                f"models {', '.join(tenant.models)}" if tenant.models is not None else "all models",
                f"{tenant.daily_nanos / 1e9:g} USD a day" if tenant.daily_nanos is not None else "no daily limit",
            )
        )
    return rows


def _pool_rows(pool: Pool) -> list[tuple[str, ...]]:
    """Under the names that their labels go by."""
    return [
        (member.name, member.label, "where nothing is learned" if member.label == pool.default else "")
        for member in pool.members
    ]


def _judge_rows(layout: Layout) -> list[tuple[str, ...]]:
    return [
        (
            name,
            judge.target.name,
            f"pools {', '.join(sorted(judge.pools))}" if judge.pools is not None else "all pools",
            f"{judge.share * 100:g} % alone, {judge.pairs * 100:g} % in pairs",
            f"up to {nanos_to_usd(judge.cap_nanos)} USD a day",
        )
        for name, judge in layout.judges.items()
    ]


def _budget_rows(layout: Layout) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for budget in layout.budgets:
        period = "in all" if budget.period is Period.TOTAL else f"a {budget.period.value}"
        scope = ((name, getattr(budget, name)) for name in ("key", "tenant", "project", "lane", "tier"))
        told = ", ".join(f"{part * 100:g} %" for part in budget.alerts)
        rows.append(
            (
                budget.name,
                f"{nanos_to_usd(budget.cap_nanos)} USD {period}",
                ", ".join(f"each {name}" if value == EACH else f"{name} {value}" for name, value in scope if value)
                or "everything",
                f"told at {told}" if told else "nobody is told",
                "" if budget.zone == "UTC" else budget.zone,
            )
        )
    return rows


def _alert_rows(layout: Layout) -> list[tuple[str, ...]]:
    """Without any address: it may hold a token."""
    rows: list[tuple[str, ...]] = []
    for channel in layout.channels:
        kinds = "everything" if channel.kinds >= SENTENCES.keys() else ", ".join(sorted(channel.kinds))
        minute = channel.minute
        summary = f"summary at {minute // 60:02}:{minute % 60:02} {channel.zone}" if minute is not None else ""
        rows.append((channel.name, channel.service, kinds, summary))
    return rows


def _price(price: Price | None) -> str:
    """USD per million tokens, in and out."""
    if price is None:
        return "price unknown"
    return "free" if price.free else f"${_dollars(price.input)}/${_dollars(price.output)} per million"


def _dollars(picos: int) -> str:
    """At least two places, and as many as it takes."""
    whole, _, part = f"{picos / 1e6:.6f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def _clocks(clocks: Clocks, usual: Clocks | None = None) -> str:
    """The time limits, or only those that are not the usual ones."""
    return ", ".join(
        f"{name.removesuffix('_s').replace('_', ' ')} {getattr(clocks, name):g} s"
        for name in clocks.__struct_fields__
        if usual is None or getattr(clocks, name) != getattr(usual, name)
    )


def _say_table(title: str, rows: list[tuple[str, ...]]) -> None:
    if not rows:
        return
    say(f"\n{title}")
    say_rows(rows, indent="  ")
