"""Survey: what one tenant's memory holds, looked at as a whole.

Owns: prompts that stand there twice or nearly, like prompts whose scores contradict each other, how far each source of
labels is to be believed, and which decisions an example had a part in.
Refuses: changing anything, and holding the loop up: it looks in pages.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from laneway.learning.teaching import every
from laneway.policy.influence import Revote, revote
from laneway.policy.teaching import Dispute, dispute
from laneway.policy.trust import Trust, measure, plain
from laneway.ports import Examples, Receipts, Shelves
from laneway.ports.examples import HUMAN, Example

TWIN = 0.985
"""Prompts as like as this say the same in nearly the same words."""
LIKE = 0.9
"""Prompts as like as this ask for much the same."""
NEAR = 6
AT_ONCE = 64
"""Searches between two breaths."""


class Pair(NamedTuple):
    """Two examples and how like they are; 1: the same words."""

    one: Example
    other: Example
    likeness: float


async def duplicates(
    examples: Examples, shelves: Shelves | None, tenant: str, *, after: int, limit: int
) -> tuple[list[Pair], int | None]:
    """Pairs of examples with the same or nearly the same prompt, of those examples that follow `after`."""
    page = await examples.list(tenant, after=after, limit=limit)
    pairs = await _pairs(examples, shelves, tenant, page, TWIN)
    return pairs, page[-1].id if len(page) == limit else None


async def contradictions(
    examples: Examples, shelves: Shelves | None, tenant: str, *, after: int, limit: int
) -> tuple[list[tuple[Pair, Dispute]], int | None]:
    """Pairs of like prompts for which one candidate was scored high and low."""
    page = await examples.list(tenant, after=after, limit=limit)
    pairs = await _pairs(examples, shelves, tenant, page, LIKE)
    found = [(pair, dispute(pair.one, pair.other, pair.likeness)) for pair in pairs]
    return [(pair, said) for pair, said in found if said is not None], page[-1].id if len(page) == limit else None


async def _pairs(
    examples: Examples, shelves: Shelves | None, tenant: str, page: Sequence[Example], least: float
) -> list[Pair]:
    """Each of the page with those near it, once: the later one stands second."""
    shelf = await shelves.ready(tenant) if shelves is not None else None
    near: dict[tuple[int, int], float] = {}
    known = {example.id: example for example in page}
    if shelves is not None and shelf is not None:
        for at, example in enumerate(page):
            vector = await shelves.vector(example.text, example.setting)
            if vector is None:
                continue
            found = shelf.search(vector, NEAR, shelf.tag(example.tag))
            for other, likeness in zip(found.ids.tolist(), found.similarities.tolist(), strict=True):
                if other != example.id and likeness >= least:
                    near[min(example.id, other), max(example.id, other)] = likeness
            if at % AT_ONCE == 0:
                await asyncio.sleep(0)
    pairs: list[Pair] = []
    for (one, other), likeness in sorted(near.items()):
        first, second = [known.get(each) or await examples.get(tenant, each) for each in (one, other)]
        if first is not None and second is not None:
            same = plain(first.text) == plain(second.text) and first.tag == second.tag
            pairs.append(Pair(first, second, 1.0 if same else min(round(likeness, 4), 0.9999)))
    return pairs


class Source(NamedTuple):
    """Who taught how much, and how far it is to be believed. People themselves are the measure."""

    labels: int
    trust: Trust


async def sources(examples: Examples, tenant: str) -> list[Source]:
    counts: Counter[str] = Counter()
    kept: list[Example] = []
    async for page in every(examples, tenant):
        for example in page:
            counts.update(label.source for label in example.labels)
        kept += page
    measured = await asyncio.to_thread(measure, kept)
    people = Trust(HUMAN, counts[HUMAN], 0.0, 0.0, 1.0)
    return [Source(count, measured.get(name, people)) for name, count in sorted(counts.items())]


async def influence(receipts: Receipts, tenant: str, example_id: int, limit: int) -> list[Revote]:
    """The decisions that had this example among the neighbours on their receipts, each voted again without it."""
    return [revote(receipt, example_id) for receipt in await receipts.influenced(tenant, example_id, limit=limit)]
