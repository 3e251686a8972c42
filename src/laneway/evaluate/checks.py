"""Checks of promises: does the floor hold, is routing worth it here, and what of prompts of an unseen kind.

Owns: the floor's runs, the verdict (five folds twice, ranked inside each fold) with its sentence, and leaving out whole
groups. All three ask the shipped path.
Refuses: hope. "Routable" needs a gain that is above 0 by a standard deviation and worth having beside what an
oracle would gain.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from laneway.evaluate import curves
from laneway.evaluate.contenders import MEASURED, Floats, Lesson, expected_costs
from laneway.evaluate.dataset import Pool, gathered, mean_costs
from laneway.evaluate.taught import Prompts, Taught, cross_fit
from laneway.policy.dial import Outlook
from laneway.policy.floor import SLACK, keep_floor
from laneway.policy.knn import Knobs
from laneway.policy.verdict import FOLDS, Verdict, judge

FLOOR_LABELS = 300
FLOOR_RUNS_A_SPLIT = 4
FLOOR_JUDGED = 6000
VERDICT_ROUNDS = 2
VERDICT_ROWS = 6000
GROUP_FOLDS = 10


class FloorCheck(msgspec.Struct, frozen=True):
    target: float
    runs: int
    below_97: int
    """Runs that kept less than the target less one point of a hundred: below .97 for a floor of .98."""
    kept: float
    """Mean share of the strong's quality that was kept."""
    bill: float | None
    """Mean share of the strong's bill that was spent."""
    labels: int


def check_floor(
    pool: Pool, prompts: Prompts, target: float, runs: int, seed: int, done: Callable[[], None]
) -> FloorCheck:
    """Each run learns from FLOOR_LABELS examples, sets its stance by them alone, and is judged on all others."""
    whole = np.flatnonzero((~np.isnan(pool.scores)).all(axis=1))
    labels = min(FLOOR_LABELS, len(whole) // 2)
    kept: list[float] = []
    bills: list[float] = []
    for run in range(runs):
        order, places = gathered(pool, np.random.default_rng([seed, 1 << 21, run]).permutation(whole))
        chance = np.random.default_rng([seed, 1 << 21, run, 1])
        # What is learned from last may have twins behind it.
        unlike = places[labels:] != places[labels - 1]
        judged = order[labels:][unlike] if unlike.mean() > 0.5 else order[labels:]
        lesson = Lesson(pool, prompts, order[:labels], judged[:FLOOR_JUDGED], chance)
        share, bill = _run_floor(lesson, target)
        kept.append(share)
        bills.append(bill)
        done()
    below = sum(share < target - SLACK for share in kept)
    spent = float(np.mean(bills)) if pool.price_known else None
    return FloorCheck(target, runs, below, float(np.mean(kept)), spent, labels)


def _run_floor(lesson: Lesson, target: float) -> tuple[float, float]:
    """The shares of the strong's quality and of its bill."""
    pool, learn, judged, strong = lesson.pool, lesson.learn, lesson.judge, lesson.pool.strong
    means = mean_costs(pool, learn)
    expected, _ = cross_fit(pool, lesson.prompts, learn, MEASURED, lesson.chance)
    unit = float(means[strong]) or 1.0
    own_costs = (expected_costs(lesson._replace(judge=learn)) / unit).tolist()
    outlooks = [Outlook(row, costs) for row, costs in zip(expected.tolist(), own_costs, strict=True)]
    stance = keep_floor(outlooks, pool.scores[learn].astype(np.float64).tolist(), strong, target)
    knobs = Knobs(warm=0, weight=stance.weight, handicap=stance.handicap, strong=pool.models[strong])
    taught = Taught(pool, lesson.prompts, learn, knobs)
    columns = {name: at for at, name in enumerate(pool.models)}
    costs_nanos = (expected_costs(lesson) * 1e9).tolist()
    usual_nanos = unit * 1e9
    served = [
        columns[taught.choose(row, costs_nanos=costs, usual_nanos=usual_nanos).serves]
        for row, costs in zip(judged.tolist(), costs_nanos, strict=True)
    ]
    everyone = np.arange(len(judged))
    scores = pool.scores[judged].astype(np.float64)
    usd = np.where(np.isnan(pool.costs_usd[judged]), means, pool.costs_usd[judged])
    share = scores[everyone, served].mean() / max(scores[:, strong].mean(), 1e-9)
    return float(share), float(usd[everyone, served].sum() / max(usd[:, strong].sum(), 1e-12))


def reach_verdict(
    pool: Pool, prompts: Prompts, seed: int, done: Callable[[], None], rest: Callable[[], None] = lambda: None
) -> Verdict:
    whole = np.flatnonzero((~np.isnan(pool.scores)).all(axis=1))
    rows = np.random.default_rng([seed, 1 << 22]).permutation(whole)[:VERDICT_ROWS]
    scores = pool.scores[rows].astype(np.float64)
    costs = mean_costs(pool, rows)
    dearer = costs[pool.strong] > costs.min()
    flat = np.tile(costs, (len(rows), 1))
    gains: list[float] = []
    for number in range(VERDICT_ROUNDS):
        chance = np.random.default_rng([seed, 1 << 22, number])
        expected, fold_of = cross_fit(pool, prompts, rows, MEASURED, chance, FOLDS, rest)
        for fold in range(int(fold_of.max()) + 1):
            inside = fold_of == fold
            if not dearer:
                gains.append(_won(expected[inside], scores[inside], pool.strong))
                continue
            path = curves.walk_all(expected[inside], costs, pool.strong)
            hull = curves.singles(scores[inside], flat[inside]).hull(pool.strong)
            gains.append(curves.gain(curves.trace(path, scores[inside], flat[inside]), hull))
        done()
    if not dearer:
        return judge(gains, _won(scores, scores, pool.strong), len(rows), "always the best model")
    best = curves.walk_all(scores, costs, pool.strong)
    ceiling = curves.gain(curves.trace(best, scores, flat), curves.singles(scores, flat).hull(pool.strong))
    return judge(gains, ceiling, len(rows))


def _won(expected: Floats, scores: Floats, strong: int) -> float:
    """What choosing by quality alone wins over the strong, in points: all that there is to gain where that is the
    cheapest, too."""
    won = scores[np.arange(len(scores)), expected.argmax(axis=1)] - scores[:, strong]
    return 100 * float(won.mean())


class Unseen(msgspec.Struct, frozen=True):
    """What is gained on groups that nobody learned from, and how many of their prompts are seen to be new."""

    groups: int
    gain: float
    novel: float
    """Share of their prompts that novelty hands to the default; of familiar ones it is a tenth, by its definition."""


def leave_groups_out(pool: Pool, prompts: Prompts, seed: int, done: Callable[[], None]) -> Unseen | None:
    """None where there are fewer than two groups. Many groups are left out a few at a time."""
    whole = np.flatnonzero((~np.isnan(pool.scores)).all(axis=1))
    names = sorted({pool.tasks[row] for row in whole})
    if len(names) < 2:
        return None
    chance = np.random.default_rng([seed, 1 << 23])
    fold_of_name = dict(
        zip(chance.permutation(names).tolist(), (np.arange(len(names)) % GROUP_FOLDS).tolist(), strict=True)
    )
    rows = chance.permutation(whole)[:VERDICT_ROWS]
    fold_of = np.array([fold_of_name[pool.tasks[row]] for row in rows])
    expected = np.empty((len(rows), len(pool.models)))
    novel = np.zeros(len(rows))
    untagged = Prompts(prompts.vectors, prompts.texts, np.zeros_like(prompts.tags))
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        taught = Taught(pool, untagged, rows[~inside], MEASURED)
        sample = rows[~inside][:500]
        bound = taught.likeness_bound(sample)
        expected[inside] = taught.expect(rows[inside])
        novel[inside] = [(taught.choose(row).likeness or 0.0) < bound for row in rows[inside].tolist()]
        done()
    costs = mean_costs(pool, rows)
    flat = np.tile(costs, (len(rows), 1))
    scores = pool.scores[rows].astype(np.float64)
    path = curves.walk_all(expected, costs, pool.strong)
    hull = curves.singles(scores, flat).hull(pool.strong)
    gained = curves.gain(curves.trace(path, scores, flat), hull)
    return Unseen(len(names), gained, float(novel.mean()))
