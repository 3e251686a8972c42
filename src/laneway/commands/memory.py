"""`laneway memory`: a tenant's examples, to be read, searched, deleted, taken back, carried away and put back.

Owns: the command's arguments and its print. Refuses: doing anything itself (the teacher does, and audits it), and
waiting for a gateway: what is done here is in the store, and every process that shares it follows within a second.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from laneway.commands.terminal import add_config, complain, say, say_rows, with_store
from laneway.failure import FailureError
from laneway.learning.samples import MOST_SAMPLES, read_kept
from laneway.learning.teaching import Teacher, every, kept_of, new_batch, rolls_of
from laneway.loaded import load
from laneway.ports.examples import Example, Filter
from laneway.route import Tenant

T = TypeVar("T")

MOST_WORDS = 60
FILTERS = ("text", "tag", "candidate", "source", "batch", "task_id")


def add(commands: Any) -> None:
    """Puts `memory` among the commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "memory", help="read, search, undo and move what a tenant was taught", description="A tenant's examples."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _filtered(_action(actions, "list", "list examples", _list))
    search = _action(actions, "search", "list the examples whose prompt holds some words", _list)
    search.add_argument("text", metavar="WORDS")
    _filtered(search, but="text")
    delete = _action(actions, "delete", "delete examples; nothing of them is kept", _delete)
    delete.add_argument("ids", type=int, nargs="+", metavar="ID")
    undo = _action(actions, "undo", "take back what a batch added", _undo)
    undo.add_argument("--batch", metavar="NAME", help="which (default: the last that was taught)")
    _filtered(_action(actions, "export", "print examples, one JSON object a line", _export))
    put = _action(actions, "import", "put exported examples back, under new ids", _import)
    put.add_argument("file", type=Path, metavar="FILE")


def _action(actions: Any, name: str, told: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = actions.add_parser(name, help=told)
    add_config(made)
    made.add_argument("--tenant", default="default", metavar="NAME", help="whose memory (default: default)")
    made.set_defaults(run=run)
    return made


def _filtered(action: argparse.ArgumentParser, but: str = "") -> None:
    for name in FILTERS:
        if name != but:
            action.add_argument(f"--{name.replace('_', '-')}", metavar="X", help=f"only of this {name}")
    action.add_argument("--limit", type=int, default=0, metavar="N", help="at most so many (default: all)")


def _ordered(parsed: argparse.Namespace, order: Callable[[Teacher], Awaitable[T]]) -> T | None:
    """Carries an order out; None, and a sentence, where it cannot be."""
    loaded = load(parsed.config, os.environ)
    tenant = loaded.layout.tenants.get(parsed.tenant) or Tenant(name=parsed.tenant)
    rolls = rolls_of(loaded.layout, tenant)
    try:
        return with_store(
            loaded,
            lambda store: order(Teacher(store.examples, store.audit, tenant.name, rolls, actor="terminal")),
        )
    except FailureError as error:
        complain(error.failure.message)
        return None


async def _found(parsed: argparse.Namespace, teacher: Teacher) -> list[Example]:
    where = Filter(**{name: getattr(parsed, name) for name in FILTERS})
    found: list[Example] = []
    async for page in every(teacher.examples, teacher.tenant, where):
        found += page
        if parsed.limit and len(found) >= parsed.limit:
            return found[: parsed.limit]
    return found


def _list(parsed: argparse.Namespace) -> int:
    found = _ordered(parsed, lambda teacher: _found(parsed, teacher))
    if found is None:
        return 2
    say_rows([_row(example) for example in found])
    if not found:
        say("There are no such examples.")
    return 0


def _row(example: Example) -> tuple[str, ...]:
    words = " ".join(example.text.split())
    scores = ", ".join(
        f"{label.candidate} {label.score:g}{'' if label.source == 'human' else f' ({label.source})'}"
        for label in example.labels
    )
    day = time.strftime("%Y-%m-%d", time.gmtime(example.at_s))
    shown = words if len(words) <= MOST_WORDS else f"{words[: MOST_WORDS - 3]}..."
    return str(example.id), day, example.tag, shown, scores


def _delete(parsed: argparse.Namespace) -> int:
    deleted = _ordered(parsed, lambda teacher: teacher.delete(parsed.ids))
    if deleted is None:
        return 2
    say(f"{deleted} examples are deleted.")
    return 0


def _undo(parsed: argparse.Namespace) -> int:
    undone = _ordered(parsed, lambda teacher: teacher.undo(parsed.batch))
    if undone is None:
        return 2
    say(f"{undone[1]} examples of {undone[0]} are taken back.")
    return 0


def _export(parsed: argparse.Namespace) -> int:
    found = _ordered(parsed, lambda teacher: _found(parsed, teacher))
    if found is None:
        return 2
    for example in found:
        sys.stdout.write(msgspec.json.encode(kept_of(example)).decode() + "\n")
    return 0


def _import(parsed: argparse.Namespace) -> int:
    try:
        lines = parsed.file.read_bytes().split(b"\n")
    except OSError as error:
        complain(f"{parsed.file} cannot be read: {error.strerror}.")
        return 2

    async def put(teacher: Teacher) -> tuple[str, int]:
        batch, recorded = new_batch(), 0
        pieces = [(at, lines[at : at + MOST_SAMPLES]) for at in range(0, len(lines), MOST_SAMPLES)]
        kept = [read_kept(b"\n".join(piece), at + 1) for at, piece in pieces if any(map(bytes.strip, piece))]
        for each in kept:
            recorded += (await teacher.restore(each, batch))[1]
        return batch, recorded

    made = _ordered(parsed, put)
    if made is None:
        return 2
    say(f"{made[1]} examples are put back ({made[0]}).")
    return 0
