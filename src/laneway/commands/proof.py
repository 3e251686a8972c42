"""`laneway eval`: what routing gains on a file's or a tenant's own labelled prompts, or one backend against another.

Owns: which of the three is meant, a tenant's examples as rows, and asking two backends the same questions through the
gateway's own stack, budgeted and recorded. Refuses: measuring, which `evaluate` does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laneway.commands.terminal import add_config, complain, say, with_store
from laneway.evaluate import command as evaluation
from laneway.loaded import Loaded, load

if TYPE_CHECKING:
    from laneway.errand import Brought
    from laneway.evaluate.dataset import Row
    from laneway.evaluate.versus import Asked, Reply, Versus
    from laneway.gateway import Gateway
    from laneway.route import Target, Tenant

AT_ONCE = 4
KEY = "eval"
"""The key under which its calls stand in records and reports."""


def add(commands: Any) -> None:
    """Puts `eval` among the commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "eval",
        help="measure what routing gains on labelled prompts, or one backend against another",
        description="Measure what routing gains on labelled prompts (--data FILE, or --tenant NAME for a tenant's own "
        "examples), beside simpler ways to choose; or one backend against another on questions (--compare A B).",
    )
    evaluation.add_arguments(parser)
    add_config(parser)
    parser.add_argument(
        "--tenant", metavar="NAME", help="measure on this tenant's own examples; who pays for --compare"
    )
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"), help="two models, asked the same questions")
    parser.add_argument("--questions", type=Path, metavar="FILE", help='JSON lines: {"prompt": ..., "answer": ...}')
    parser.add_argument("--judge", metavar="MODEL", help="a model that scores both answers, in both orders")
    parser.add_argument("--exact", action="store_true", help="an answer is right where the question's own stands in it")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    wrong = _wrong(parsed)
    if wrong:
        complain(wrong)
        return 2
    if parsed.compare:
        return _compare(parsed)
    if parsed.data is not None:
        return evaluation.evaluate(parsed, sys.stdout, sys.stderr)
    own = _own(parsed, load(parsed.config, os.environ))
    if not own[0]:
        complain(f"The tenant {parsed.tenant} has taught nothing yet; begin with laneway teach FILE.")
        return 2
    return evaluation.evaluate(parsed, sys.stdout, sys.stderr, own)


def _wrong(parsed: argparse.Namespace) -> str | None:
    if parsed.compare:
        if parsed.data is not None or parsed.questions is None or bool(parsed.judge) is parsed.exact:
            return "--compare A B goes with --questions FILE, and with either --judge MODEL or --exact."
        return None
    if parsed.questions is not None or parsed.judge or parsed.exact:
        return "--questions, --judge and --exact go with --compare A B."
    if (parsed.data is None) is (parsed.tenant is None):
        return "Give either --data FILE, --tenant NAME, or --compare A B."
    return None


# --- a tenant's own examples -------------------------------------------------------------------------------


def _own(parsed: argparse.Namespace, loaded: Loaded) -> tuple[Sequence[Row], Sequence[str]]:
    """With what each candidate that is configured would cost, for an answer of the usual length."""
    from laneway.evaluate.dataset import Row
    from laneway.learning.teaching import every
    from laneway.policy.expected import expected_nanos
    from laneway.policy.plan import CHARS_PER_TOKEN
    from laneway.policy.teaching import means
    from laneway.ports.examples import Example
    from laneway.store import Store

    async def read(store: Store) -> list[Example]:
        return [example async for page in every(store.examples, parsed.tenant) for example in page]

    prices = {member.label: member.targets[0].price for pool in loaded.layout.pools.values() for member in pool.members}
    rows: list[Row] = []
    tags: list[str] = []
    for example in with_store(loaded, read):
        tokens = -(-len(example.text) // CHARS_PER_TOKEN)
        cost: dict[str, float | None] = {}
        for label in means(example):
            nanos = expected_nanos(prices.get(label), tokens)
            cost[label] = None if nanos is None else nanos / 1e9
        rows.append(Row(prompt=example.text, scores=dict(means(example)), task=example.tag, cost=cost))
        tags.append(example.tag)
    return rows, tags if any(tags) else [""] * len(rows)


# --- one backend against another ---------------------------------------------------------------------------


def _compare(parsed: argparse.Namespace) -> int:
    import msgspec

    from laneway.evaluate.dataset import DatasetError
    from laneway.evaluate.versus import read_questions, table
    from laneway.gateway import Gateway

    loaded = load(parsed.config, os.environ)
    targets: list[Target] = []
    try:
        questions = read_questions(parsed.questions, answers=parsed.exact)

        async def asked() -> Versus:
            gateway = Gateway(loaded, variables=os.environ)
            try:
                await gateway.open()
                names = [*parsed.compare, *filter(None, (parsed.judge,))]
                targets.extend(_target(gateway, name) for name in names)
                tenant = gateway.desk.gate.tenant(parsed.tenant or "default")
                return await _asked(gateway, targets, questions, tenant, parsed)
            finally:
                await gateway.stop()

        found = asyncio.run(asked())
    except DatasetError as error:
        complain(str(error))
        return 2
    say(table(found))
    if parsed.json:
        parsed.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return 0


def _target(gateway: Gateway, name: str) -> Target:
    from laneway.evaluate.dataset import DatasetError

    names = gateway.desk.loaded.layout.names
    meaning = names.meaning(name)
    if meaning is None or not meaning.targets or meaning.is_lane or meaning.pool is not None:
        near = ", ".join(names.nearest(name))
        raise DatasetError(f"There is no model {name!r}.{f' Did you mean {near}?' if near else ''}")
    return meaning.targets[0]


async def _asked(
    gateway: Gateway, targets: Sequence[Target], questions: Sequence[Asked], tenant: Tenant, parsed: argparse.Namespace
) -> Versus:
    from laneway.chat import ChatRequest
    from laneway.errand import Errand, run
    from laneway.evaluate.versus import compare, exact
    from laneway.learning.samples import Asked as Written
    from laneway.learning.samples import conversation
    from laneway.policy.judging import pair_request, read_pair, settle

    progress = evaluation.Progress(sys.stderr, len(questions))
    seats = asyncio.Semaphore(AT_ONCE)
    judging: list[int] = []

    async def ask(request: ChatRequest, target: Target) -> Brought:
        return await run(
            gateway.desk.stack, Errand(request=request, target=target, tenant=tenant, key_id=KEY, intent="eval")
        )

    async def judged(prompt: str, one: str, two: str) -> tuple[float, float] | None:
        told = [await ask(pair_request(prompt, *pair), targets[2]) for pair in ((one, two), (two, one))]
        judging.extend(each.cost_nanos for each in told)
        straight, swapped = (read_pair(each.text) for each in told)
        return settle(straight, swapped) if straight is not None and swapped is not None else None

    async def one(asked: Asked) -> tuple[tuple[Reply, Reply], tuple[float, float] | None]:
        async with seats:
            request = conversation(Written(prompt=asked.prompt, system=asked.system))
            brought = [await ask(request, target) for target in targets[:2]]
            a, b = (_reply(each) for each in brought)
            if asked.answer is not None and parsed.exact:
                scores: tuple[float, float] | None = (
                    exact(asked.answer, a.text or ""),
                    exact(asked.answer, b.text or ""),
                )
            elif a.text is None or b.text is None:
                # A failure is no answer, and the other one cannot be weighed against it.
                scores = (0.0, 0.0) if a.text is b.text else None
            else:
                scores = await judged(asked.prompt, a.text, b.text)
            progress.step()
            return (a, b), scores

    results = await asyncio.gather(*map(one, questions))
    progress.end()
    scorer = "exact answers" if parsed.exact else f"{parsed.judge} in both orders"
    names = (parsed.compare[0], parsed.compare[1])
    return compare(names, [pair for pair, _ in results], [each for _, each in results], scorer, sum(judging) / 1e9)


def _reply(brought: Brought) -> Reply:
    from laneway.evaluate.versus import Reply

    failure = brought.failure
    return Reply(
        text=None if failure is not None else brought.text,
        cost_usd=brought.cost_nanos / 1e9,
        latency_ms=brought.elapsed_s * 1000,
        failure=None if failure is None else failure.message,
    )
