"""A tenant who has taught which of two or three models does what, and an adviser who knows it.

Owns: prompts of two kinds, easy ones that every model answers and hard ones that only the large one does, the labels
that follow, and real shelves, lessons and receipts over a store in memory.
Refuses: sockets and providers.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from laneway.chat import Op
from laneway.dialects import Asked, View
from laneway.learning.adviser import PoolAdviser
from laneway.learning.dials import TurnedDials
from laneway.learning.lesson import Lesson
from laneway.learning.lessons import Lessons
from laneway.policy.plan import plan
from laneway.ports import Case, Example, Label, Pin
from laneway.route import Member, Pool, Price, Target
from laneway.store import Store, open_store
from laneway.vectors import LocalShelves
from tests.fakes.replies import target
from tests.harness.loop import run

T = TypeVar("T")
NOW_S = 1_700_000_000.0
EASY = ("greeting", "colour", "capital", "weekday", "weather", "spelling", "rhyme", "synonym", "recipe", "holiday")
HARD = ("theorem", "integral", "proof", "lemma", "topology", "eigenvalue", "homotopy", "manifold", "cohomology", "ring")


def priced(name: str, usd_per_million: float) -> Target:
    pico = round(usd_per_million * 1_000_000)
    return Target(
        provider=target(name=name).provider, model=name, upstream="id", price=Price(input=pico, output=4 * pico)
    )


SMALL, MIDDLE, LARGE = priced("small", 0.1), priced("middle", 1.0), priced("large", 5.0)
PAIR = Pool(
    name="smart",
    members=tuple(Member(name=each.model, label=each.name, targets=(each,)) for each in (SMALL, LARGE)),
    default=LARGE.name,
    warm=20,
)
THREE = msgspec.structs.replace(
    PAIR, members=(PAIR.members[0], Member(name="middle", label=MIDDLE.name, targets=(MIDDLE,)), PAIR.members[1])
)


def easy(chance: random.Random) -> str:
    words = chance.sample(EASY, 3)
    return f"Please tell me something short about the {words[0]}, the {words[1]} and the {words[2]}."


def hard(chance: random.Random) -> str:
    words = chance.sample(HARD, 3)
    claim = f"every {words[0]} of a {words[1]} yields a {words[2]} over $\\mathbb{{Q}}$"
    return f"Prove rigorously, step by step, that {claim}."


def examples(count: int, *, seed: int = 1, tag: str = "", middle: bool = False) -> list[Example]:
    """As many easy ones as hard ones. The middle model does half of the hard ones."""
    chance = random.Random(seed)
    made: list[Example] = []
    for number in range(count):
        is_hard = bool(number % 2)
        labels = [Label(SMALL.name, 0.1 if is_hard else 0.9), Label(LARGE.name, 0.95)]
        if middle:
            labels.insert(1, Label(MIDDLE.name, (0.9 if number % 4 == 1 else 0.3) if is_hard else 0.92))
        made.append(Example(text=hard(chance) if is_hard else easy(chance), tag=tag, labels=tuple(labels)))
    return made


class Office:
    """An adviser with everything that he asks, for one test."""

    def __init__(self, store: Store, shelves: LocalShelves, lessons: Lessons, adviser: PoolAdviser) -> None:
        self.store = store
        self.shelves = shelves
        self.lessons = lessons
        self.adviser = adviser

    async def teach(self, tenant: str, taught: Sequence[Example], pool: Pool = PAIR) -> Lesson | None:
        await self.store.examples.add(tenant, taught)
        return await self.lessons.ready(tenant, pool)


def in_office(play: Callable[[Office], Awaitable[T]]) -> T:
    async def main() -> T:
        store = open_store("memory:")
        await store.start()
        shelves = LocalShelves(store.examples)
        dials = TurnedDials(store.dials)
        lessons = Lessons(shelves, store.reports, rest_s=0.0)
        adviser = PoolAdviser(
            shelves=shelves, lessons=lessons, dials=dials, receipts=store.receipts, draw=random.Random(1).random
        )
        for service in (shelves, dials, lessons):
            service.start()
        try:
            return await play(Office(store, shelves, lessons, adviser))
        finally:
            for service in (lessons, dials, shelves):
                await service.close()
            await store.close()

    return run(main())


def case(
    text: str,
    pool: Pool = PAIR,
    *,
    tenant: str = "acme",
    bias: float | None = None,
    tag: str = "",
    pin: Pin | None = None,
    targets: Sequence[Target] | None = None,
    before: int = 0,
) -> Case:
    """A request of the pool. `before` is how many characters of conversation stand before the prompt."""
    view = View(Op.CHAT, pool.name, False, max_tokens=500, text_chars=len(text) + before, turns=3 if before else 1)
    return Case(
        id="req_1",
        at_s=NOW_S,
        tenant=tenant,
        pool=pool,
        view=view,
        asked=Asked(text=text, opening=text),
        tag=tag,
        plan=plan(pool.targets if targets is None else targets, view, ()),
        bias=bias,
        pin=pin,
    )
