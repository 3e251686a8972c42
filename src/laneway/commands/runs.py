"""`laneway runs`: what was accepted to be answered later, how it goes, and ending it by hand.

Owns: the command's arguments and its print. Refuses: prompts (nobody is shown one), and waiting for a gateway: what is
cancelled here is in the store, and the process that has the run hears it within a moment.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from time import gmtime, strftime
from typing import Any, TypeVar

from laneway.commands.terminal import add_config, complain, say, say_rows, with_store
from laneway.config import visible
from laneway.loaded import load
from laneway.policy import runs as policy
from laneway.policy.price import nanos_to_usd
from laneway.ports import Audited
from laneway.ports.runs import Run, State, Step, Wanted
from laneway.store import Store

T = TypeVar("T")

MOST_RESULT = 2000


def add(commands: Any) -> None:
    """Puts `runs` among the commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "runs", help="show and cancel runs", description="Requests that were accepted to be answered later."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = _action(actions, "list", "list runs, the newest first", _list)
    listing.add_argument("--tenant", metavar="NAME", help="only this tenant's")
    listing.add_argument("--lane", metavar="NAME", help="only of this lane")
    listing.add_argument("--state", choices=[state.value for state in State], help="only in this state")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="so many at most (default: 20)")
    for name, told, run in (
        ("show", "show a run: its steps, and the beginning of its result", _show),
        ("cancel", "end a run; one that has ended stays as it is", _cancel),
    ):
        _action(actions, name, told, run).add_argument("id", metavar="ID")


def _action(actions: Any, name: str, told: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = actions.add_parser(name, help=told)
    add_config(made)
    made.set_defaults(run=run)
    return made


def _in_store(parsed: argparse.Namespace, work: Callable[[Store], Awaitable[T]]) -> T:
    return with_store(load(parsed.config, os.environ), work)


def _list(parsed: argparse.Namespace) -> int:
    state = State(parsed.state) if parsed.state else None
    wanted = Wanted(parsed.tenant, state, parsed.lane)
    found = _in_store(parsed, lambda store: store.runs.list(wanted, max(parsed.limit, 0)))
    say_rows([_row(run) for run in found])
    if not found:
        say("There are no such runs.")
    return 0


def _row(run: Run) -> tuple[str, ...]:
    state = "cancelling" if run.cancelling else run.state.value
    return (
        run.id,
        state,
        run.tenant,
        run.lane or "-",
        visible(run.model, 40),
        _instant(run.accepted_s),
        run.kind or run.served,
    )


def _show(parsed: argparse.Namespace) -> int:
    async def look(store: Store) -> tuple[Run | None, list[Step], bytes | None]:
        run = await store.runs.find(parsed.id)
        if run is None:
            return None, [], None
        return run, list(await store.runs.steps(run.id)), await store.runs.result(run.id)

    run, steps, result = _in_store(parsed, look)
    if run is None:
        return _unknown(parsed.id)
    say_rows([_row(run)])
    say_rows([_told(step) for step in steps], indent="  ")
    used = run.used
    say(f"  {used.input} tokens in, {used.output} out, {nanos_to_usd(used.cost_nanos)} USD")
    if run.reason:
        say(f"  {run.reason}")
    if run.hook:
        told = f", {run.hook_reason}" if run.hook_reason else ""
        say(f"  webhook: {run.hook_state or 'waits for the end'} after {run.hook_tries} tries{told}")
    if result is not None:
        text = "".join(c for c in result.decode("utf-8", "replace") if c.isprintable() or c == "\n")
        say(text if len(text) <= MOST_RESULT else f"{text[:MOST_RESULT]}... ({len(text)} characters)")
    return 0


def _told(step: Step) -> tuple[str, ...]:
    facts = ", ".join(f"{name} {fact}" for name, fact in step.facts.items())
    return (str(step.number), _instant(step.at_s), step.kind, facts)


def _cancel(parsed: argparse.Namespace) -> int:
    async def order(store: Store) -> Run | None:
        now_s = time.time()
        run = await store.runs.change(parsed.id, partial(policy.cancelled, now_s=now_s))
        if run is not None:
            entry = Audited(at_s=now_s, actor="terminal", action="cancel run", subject=run.id)
            await store.audit.note(entry)
        return run

    run = _in_store(parsed, order)
    if run is None:
        return _unknown(parsed.id)
    say(f"{run.id}: {'is ending' if run.cancelling else run.state.value}.")
    return 0


def _unknown(run_id: str) -> int:
    complain(f"There is no run '{run_id[:80]}'.")
    return 2


def _instant(at_s: float) -> str:
    return strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(at_s))
