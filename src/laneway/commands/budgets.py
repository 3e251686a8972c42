"""`laneway budgets`: what may be spent, what was, making and changing budgets, and stopping paid calls by hand.

Owns: the command's arguments and its print. Refuses: doing anything itself (the treasury does), and waiting for a
gateway: what is ordered here is in the store, and every process that shares it sees it within seconds, a kill at once.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from laneway.commands.terminal import add_config, complain, say, say_rows, with_store
from laneway.failure import FailureError
from laneway.loaded import load
from laneway.policy.budgets import EVERYTHING, told_left
from laneway.policy.orders import Killing
from laneway.policy.price import nanos_to_usd
from laneway.settings import BudgetTable
from laneway.treasury import Treasury
from laneway.wire.malformed import malformed

T = TypeVar("T")

KEYS = ("cap_usd", "period", "zone", "key", "tenant", "project", "lane", "tier", "unpriced")


def add(commands: Any) -> None:
    """Puts `budgets` among the commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "budgets", help="show and change budgets, and stop paid calls by hand", description="Budgets and kills."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    add_config(_action(actions, "list", "list the budgets with what is left, and the kills in force", _list))
    for name, told, run in (
        ("create", "make a budget", _create),
        ("change", "change a budget that was made so; what was spent stays spent", _change),
    ):
        action = _action(actions, name, told, run)
        add_config(action)
        action.add_argument("name")
        for key in KEYS:
            action.add_argument(f"--{key.replace('_', '-')}", dest=key, metavar="X", help=f"as in [budgets.NAME] {key}")
        action.add_argument("--alerts", metavar="X,X", help="parts of the cap at which somebody is told, as 0.5,0.8")
    delete = _action(actions, "delete", "remove a budget that was made so", _delete)
    add_config(delete)
    delete.add_argument("name")
    for name, told, run in (
        ("kill", "stop paid calls at once, in every process, until unkill", _kill),
        ("unkill", "take a kill back", _unkill),
    ):
        action = _action(actions, name, told, run)
        add_config(action)
        scopes = "all (default), or tenant:NAME, key:ID, project:NAME, lane:NAME, tier:NAME, provider:NAME"
        action.add_argument("--scope", default=EVERYTHING, help=scopes)
        action.add_argument("--reason", default="", help="why; callers are told")


def _action(actions: Any, name: str, told: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = actions.add_parser(name, help=told)
    made.set_defaults(run=run)
    return made


def _ordered(parsed: argparse.Namespace, order: Callable[[Treasury], Awaitable[str]]) -> int:
    """Carries an order out and says what came of it."""
    loaded = load(parsed.config, os.environ)
    try:
        said = with_store(loaded, lambda store: order(Treasury(store, loaded.layout, "terminal")))
    except FailureError as error:
        complain(error.failure.message)
        return 2
    say(said)
    return 0


def _list(parsed: argparse.Namespace) -> int:
    loaded = load(parsed.config, os.environ)
    now_s = time.time()

    async def rows(treasury: Treasury) -> list[tuple[str, ...]]:
        fixed, booked = loaded.layout.budgets, await treasury.booked()
        sums = await treasury.sums((*fixed, *booked), now_s)
        made: list[tuple[str, ...]] = []
        for budget in (*fixed, *booked):
            source = "file" if budget in fixed else "api"
            lines = [
                (account.name, source, told_left(account, left, now_s))
                for account, left in sums
                if account.budget is budget
            ]
            each = f"cap {nanos_to_usd(budget.cap_nanos)} USD a {budget.period.value} for each"
            made += lines or [(budget.name, source, each)]
        return made + [("stopped", kill.scope, kill.reason) for kill in treasury.store.ledger.killed().values()]

    found = with_store(loaded, lambda store: rows(Treasury(store, loaded.layout, "terminal")))
    say_rows(found)
    if not found:
        say("There are no budgets, and nothing is stopped.")
    return 0


def _named(parsed: argparse.Namespace) -> dict[str, Any]:
    """The keys that were given, as they would stand in the file. Raises ValueError for alerts that are no numbers."""
    given = {key: getattr(parsed, key) for key in KEYS if getattr(parsed, key) is not None}
    if parsed.alerts is not None:
        given["alerts"] = [float(part) for part in parsed.alerts.split(",") if part.strip()]
    return given


def _create(parsed: argparse.Namespace) -> int:
    try:
        table = msgspec.convert(_named(parsed), BudgetTable)
    except msgspec.ValidationError as error:
        complain(f"This is no budget: {malformed(error, b'').failure.message}")
        return 2
    except ValueError as error:
        complain(f"This is no budget: {error}.")
        return 2

    async def order(treasury: Treasury) -> str:
        made = await treasury.create(parsed.name, table, time.time())
        return f"{made.name}: {nanos_to_usd(made.cap_nanos)} USD a {made.period.value}."

    return _ordered(parsed, order)


def _change(parsed: argparse.Namespace) -> int:
    try:
        changes = _named(parsed)
    except ValueError as error:
        complain(f"This is no budget: {error}.")
        return 2

    async def order(treasury: Treasury) -> str:
        made = await treasury.change(parsed.name, changes, time.time())
        return f"{made.name}: {nanos_to_usd(made.cap_nanos)} USD a {made.period.value}."

    return _ordered(parsed, order)


def _delete(parsed: argparse.Namespace) -> int:
    async def order(treasury: Treasury) -> str:
        await treasury.remove(parsed.name, time.time())
        return f"{parsed.name} is removed."

    return _ordered(parsed, order)


def _kill(parsed: argparse.Namespace) -> int:
    async def order(treasury: Treasury) -> str:
        return f"Paid calls are stopped ({await treasury.kill(_killing(parsed), time.time())})."

    return _ordered(parsed, order)


def _unkill(parsed: argparse.Namespace) -> int:
    async def order(treasury: Treasury) -> str:
        return f"Paid calls may be made again ({await treasury.unkill(_killing(parsed), time.time())})."

    return _ordered(parsed, order)


def _killing(parsed: argparse.Namespace) -> Killing:
    return Killing(scope=parsed.scope, reason=parsed.reason)
