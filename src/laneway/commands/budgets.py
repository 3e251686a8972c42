"""`laneway budgets`: what may be spent, and what was.

Owns: the command's arguments and its print. Refuses: adding up (the ledger does), and asking a running gateway: what is
shown here is in the store that they share.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from laneway.commands.terminal import add_config, say, say_rows, with_store
from laneway.layout import Layout
from laneway.loaded import load
from laneway.policy.budgets import Who, accounts_of, daily, told_left
from laneway.store import Store


def add(commands: Any) -> None:
    """Puts `budgets` among the commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "budgets", help="show budgets and what is left", description="Budgets."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the budgets with what is left")
    add_config(listing)
    listing.set_defaults(run=_list)


def _list(parsed: argparse.Namespace) -> int:
    loaded = load(parsed.config, os.environ)
    rows = with_store(loaded, lambda store: _rows(loaded.layout, store))
    say_rows(rows)
    if not rows:
        say("There are no budgets: a tenant gets one by daily_usd.")
    return 0


async def _rows(layout: Layout, store: Store) -> list[tuple[str, ...]]:
    now_s = time.time()
    rows: list[tuple[str, ...]] = []
    for budget in filter(None, map(daily, layout.tenants.values())):
        for account in accounts_of(budget, Who(tenant=budget.tenant or ""), now_s):
            left = await store.ledger.left(account.name, budget.cap_nanos, now_s)
            rows.append((budget.name, budget.period.value, told_left(account, left, now_s)))
    return rows
