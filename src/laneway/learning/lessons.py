"""Lessons of all tenants, learned behind the requests.

Owns: when a lesson is learned again (new labels, new prices, new candidates), one at a time, in a thread that leaves
the processor to requests; and how long models' answers were, from the reports.
Refuses: to make a request wait: `get` answers at once, with the last lesson, or None where there is none yet.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

import msgspec

from laneway.learning.lesson import MOST_ROWS, QUICK_ROWS, Lesson, Subject, learn
from laneway.policy.expected import Habit, expected_nanos
from laneway.policy.knn import REFERENCE_NANOS, Knobs
from laneway.policy.lineup import habit_of
from laneway.policy.usage import DAY_S, day_of
from laneway.ports import Question, Reports, Shelf, Shelves
from laneway.route import Pool
from laneway.stores.schema import StoreError

RELEARN_LABELS = 50
"""So many new labels make a new lesson; fewer do after RELEARN_S."""
RELEARN_S = 60.0
RENEW_S = 1800.0
"""A lesson as old as that is learned again for how long answers have become."""
AGAIN_S = 30.0
"""After a lesson that failed."""
MOST_LESSONS = 4096
HABIT_DAYS = 30
FEWEST_REQUESTS = 20
USUAL_INPUT = 600.0
"""Tokens of a prompt, as long as nothing is known of a tenant's."""
REST_S = 0.0006
WORK = 3
"""After so many tenths of a millisecond of work it rests, so that learning takes a part of one processor only."""
log = logging.getLogger("laneway")

Key = tuple[str, str]


class _StoppedError(Exception):
    """The gateway ends; what was being learned is of no use any more."""


class Lessons:
    """By tenant and pool. `start` begins to learn."""

    def __init__(
        self, shelves: Shelves, reports: Reports, *, clock: Callable[[], float] = time.time, rest_s: float = REST_S
    ) -> None:
        self._shelves = shelves
        self._reports = reports
        self._clock = clock
        self._rest_s = rest_s
        self._lessons: OrderedDict[Key, tuple[Pool, Lesson]] = OrderedDict()
        self._wanted: dict[Key, tuple[Pool, list[asyncio.Future[None]]]] = {}
        self._failed_s: dict[Key, float] = {}
        self._now: Key | None = None
        self._asked = asyncio.Event()
        self._learning: asyncio.Task[None] | None = None
        self._stopped = False
        self._worked = 0

    def start(self) -> None:
        self._learning = asyncio.get_running_loop().create_task(self._learn_all())

    async def close(self) -> None:
        self._stopped = True
        learning, self._learning = self._learning, None
        if learning is not None:
            learning.cancel()
            with suppress(asyncio.CancelledError):
                await learning

    # --- asking --------------------------------------------------------------------------------------------

    def get(self, pool: Pool, shelf: Shelf) -> Lesson | None:
        """The last lesson of this pool in the shelf's space; a newer one is learned where there is reason to."""
        key = (shelf.tenant, pool.name)
        found = self._lessons.get(key)
        if found is None:
            self._want(key, pool)
            return None
        of, lesson = found
        if lesson.quick or of is not pool or lesson.edition != shelf.edition or lesson.at_s + RENEW_S < self._clock():
            self._renew(key, pool, shelf, of, lesson)
        return lesson if lesson.space == shelf.space else None

    async def ready(self, tenant: str, pool: Pool, *, within_s: float | None = None) -> Lesson | None:
        """As `get`, waiting until everything that was taught before the call is learned, or so long."""
        shelf = await self._shelves.ready(tenant)
        if shelf is None:
            return None
        key = (tenant, pool.name)
        of, lesson = self._lessons.get(key, (pool, None))
        while lesson is None or of is not pool or lesson.edition < shelf.edition or lesson.space != shelf.space:
            done = asyncio.get_running_loop().create_future()
            self._want(key, pool, done)
            await asyncio.wait([done], timeout=within_s)
            of, lesson = self._lessons.get(key, (pool, None))
            if lesson is None or self._failed_s.get(key) or not done.done():
                break
        if lesson is not None and lesson.quick:
            # A thorough one follows, whether or not a request comes to ask for it.
            self._want(key, pool)
        return lesson

    def _renew(self, key: Key, pool: Pool, shelf: Shelf, of: Pool, lesson: Lesson) -> None:
        news = abs(shelf.edition - lesson.edition) * max(len(pool.members), 1)
        age_s = self._clock() - lesson.at_s
        if (
            lesson.quick
            or (of is not pool and of != pool)
            or lesson.space != shelf.space
            or news >= RELEARN_LABELS
            or (news and age_s > RELEARN_S)
            or age_s > RENEW_S
        ):
            self._want(key, pool)
        elif of is not pool:
            self._lessons[key] = pool, lesson

    def _want(self, key: Key, pool: Pool, done: asyncio.Future[None] | None = None) -> None:
        if done is None and (key == self._now or self._clock() < self._failed_s.get(key, 0.0)):
            return  # what is being learned now may be enough: the next request will see
        waiting = self._wanted[key][1] if key in self._wanted else []
        self._wanted[key] = pool, [*waiting, done] if done is not None else waiting
        self._asked.set()

    # --- learning ------------------------------------------------------------------------------------------

    async def _learn_all(self) -> None:
        while True:
            while self._wanted:
                key = next(iter(self._wanted))
                pool, waiting = self._wanted.pop(key)
                self._now = key
                try:
                    await self._learn(key, pool)
                    self._failed_s.pop(key, None)
                except StoreError as error:
                    log.warning("what a tenant taught is learned later: %s", error.failure.message)
                    self._failed_s[key] = self._clock() + AGAIN_S
                except Exception:
                    # One tenant's examples must not end the learning of all others.
                    log.exception("what a tenant taught could not be learned")
                    self._failed_s[key] = self._clock() + AGAIN_S
                finally:
                    self._now = None
                    for done in waiting:
                        if not done.done():
                            done.set_result(None)
            self._asked.clear()
            await self._asked.wait()

    async def _learn(self, key: Key, pool: Pool) -> None:
        tenant, _ = key
        shelf = await self._shelves.ready(tenant)
        if shelf is None or not len(shelf):
            self._lessons.pop(key, None)
            return
        habits, usual_input = await self._habits(tenant)
        usual_nanos, ratios = usual_costs(pool, habits, usual_input or USUAL_INPUT)
        before = self._lessons.get(key)
        # The first lesson is a quick one, so that a restart does not cost a tenant its routing.
        quick = before is None or before[1].space != shelf.space
        lesson = await asyncio.to_thread(self._learn_one, pool, shelf, ratios, quick)
        self._lessons[key] = (
            pool,
            msgspec.structs.replace(
                lesson,
                # Before a tenant's requests are known, each is as usual as any other.
                usual_nanos=usual_nanos if usual_input else None,
                unit_nanos=usual_nanos,
                habits=habits,
                at_s=self._clock(),
            ),
        )
        self._lessons.move_to_end(key)
        while len(self._lessons) > MOST_LESSONS:
            self._lessons.popitem(last=False)

    def _learn_one(self, pool: Pool, shelf: Shelf, ratios: list[float], quick: bool) -> Lesson:
        """In a thread."""
        edition, columns, tags = shelf.edition, shelf.columns, shelf.tags
        subject = Subject(
            rows=shelf.rows(),
            columns=columns,
            tags=tags,
            candidates=[member.label for member in pool.members],
            ratios=ratios,
            warm=pool.warm,
            blend_from=Knobs().blend_from,
            floor=pool.floor,
            clusters=pool.rule == "clusters",
            edition=edition,
            space=shelf.space,
        )
        # Who teaches for the first time waits for it.
        rest = self._breathe if quick else self._rest
        sampled = quick and len(subject.rows.ids) > QUICK_ROWS
        return learn(subject, rest, most=QUICK_ROWS if sampled else MOST_ROWS)

    def _rest(self) -> None:
        if self._stopped:
            raise _StoppedError
        self._worked += 1
        if self._worked % WORK == 0:
            time.sleep(self._rest_s)

    def _breathe(self) -> None:
        if self._stopped:
            raise _StoppedError
        # Whoever waits for the interpreter gets it.
        time.sleep(0)

    async def _habits(self, tenant: str) -> tuple[dict[tuple[str, str], Habit], float | None]:
        """How long answers were, and prompts: None where there were too few to say."""
        now_s = self._clock()
        lines = await self._reports.usage(
            Question(
                by=("provider", "model"),
                first=day_of(now_s - HABIT_DAYS * DAY_S),
                last=day_of(now_s),
                where={"tenant": tenant},
            )
        )
        habits: dict[tuple[str, str], Habit] = {}
        requests = tokens = 0
        for (provider, model), figures in lines:
            answers = figures.requests - figures.failures
            if answers > 0 and provider:
                habits[provider, model] = Habit(answers, figures.output)
                requests += answers
                tokens += figures.input
        return habits, tokens / requests if tokens and requests >= FEWEST_REQUESTS else None


def usual_costs(
    pool: Pool, habits: dict[tuple[str, str], Habit], usual_input: float
) -> tuple[float | None, list[float]]:
    """What a usual request costs at the default, None where nobody knows or where it is free; and as a ratio to that,
    what it costs at each candidate, as a choice reckons it."""
    costs = [
        expected_nanos(member.targets[0].price, round(usual_input), habit_of(member.targets[0], habits))
        for member in pool.members
    ]
    default = next(cost for cost, member in zip(costs, pool.members, strict=True) if member.label == pool.default)
    base = default or REFERENCE_NANOS
    return default or None, [1.0 if cost is None else cost / base for cost in costs]
