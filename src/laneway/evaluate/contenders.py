"""The ways to choose that are compared, each reduced to what it expects of every model on every test prompt.

Owns: one function per rule. Ours is the shipped path (`taught`); the relatives' are those of `policy.rules`. They see
our vector of the text alone, where the originals ask a hosted model, which was measured to route no better.
Refuses: measuring, and peeking: only `oracle` sees the labels of the test prompts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from laneway import _core
from laneway.evaluate.dataset import Pool, mean_costs
from laneway.evaluate.taught import Indices, Prompts, Taught
from laneway.policy import rules
from laneway.policy.knn import Knobs

Floats = npt.NDArray[np.float64]

MEASURED = Knobs(warm=0)
"""A curve is measured without warming up: what few labels are worth is what it shall show."""


class Lesson(NamedTuple):
    """Rows to learn from, rows to judge."""

    pool: Pool
    prompts: Prompts
    learn: Indices
    judge: Indices
    chance: np.random.Generator


class Opinion(NamedTuple):
    """Expected quality of each model, and what each would cost: one row for each prompt, or one for all."""

    quality: Floats
    costs_usd: Floats


def ours(lesson: Lesson) -> Opinion:
    taught = Taught(lesson.pool, lesson.prompts, lesson.learn, MEASURED)
    return Opinion(taught.expect(lesson.judge), expected_costs(lesson))


def expected_costs(lesson: Lesson) -> Floats:
    """What a request will cost at each model: a mean answer, and its own prompt at the price of what was learned.

    In production the price list says it; here the line through cost and length of the learned prompts does.
    """
    lengths = np.array([len(prompt) for prompt in lesson.pool.prompts], np.float64)
    means = mean_costs(lesson.pool, lesson.learn)
    expected = np.tile(means, (len(lesson.judge), 1))
    if not lesson.pool.price_known:
        return expected
    for model in range(len(means)):
        usd = lesson.pool.costs_usd[lesson.learn, model]
        known = lesson.learn[~np.isnan(usd)]
        about = lengths[known] - lengths[known].mean() if len(known) else lengths[known]
        square = float(about @ about)
        if len(known) < 10 or square == 0:
            continue
        slope = max(float(about @ lesson.pool.costs_usd[known, model]) / square, 0.0)
        line = means[model] + slope * (lengths[lesson.judge] - lengths[known].mean())
        expected[:, model] = np.maximum(line, means[model] / 10)
    return expected


def plain_knn(lesson: Lesson) -> Opinion:
    texts, labels = lesson.prompts.texts, lesson.pool.scores
    shelf = _core.Rows(texts.shape[1], labels.shape[1])
    shelf.insert(lesson.learn.astype(np.int64), texts[lesson.learn], None, labels[lesson.learn])
    prior = np.nanmean(labels[lesson.learn], axis=0).tolist()
    expected = [
        rules.plain_mean(shelf.search(texts[row], rules.PLAIN_NEIGHBOURS).labels, prior) for row in lesson.judge
    ]
    return Opinion(np.array(expected), mean_costs(lesson.pool, lesson.learn))


def clusters(lesson: Lesson) -> Opinion:
    learned = rules.cluster(lesson.prompts.texts[lesson.learn], lesson.pool.scores[lesson.learn], lesson.chance)
    expected = [learned.expect(lesson.prompts.texts[row]) for row in lesson.judge]
    return Opinion(np.array(expected), mean_costs(lesson.pool, lesson.learn))


def length(lesson: Lesson) -> Opinion:
    """Long prompts to the strong, short ones to the cheapest."""
    quality = np.full((len(lesson.judge), len(lesson.pool.models)), -1.0)
    quality[:, lesson.pool.cheap] = 0.0
    quality[:, lesson.pool.strong] = [math.log1p(len(lesson.pool.prompts[row])) for row in lesson.judge]
    return Opinion(quality, mean_costs(lesson.pool, lesson.judge))


def oracle(lesson: Lesson) -> Opinion:
    return Opinion(lesson.pool.scores[lesson.judge].astype(np.float64), mean_costs(lesson.pool, lesson.judge))


LEARNING: dict[str, Callable[[Lesson], Opinion]] = {"knn5": plain_knn, "clusters16": clusters, "ours": ours}
OTHERS: dict[str, Callable[[Lesson], Opinion]] = {"length": length, "oracle": oracle}
SINGLE = ("cheap", "strong")
RANDOM = "random"
RULES = ("cheap", "strong", "random", "length", "knn5", "clusters16", "ours", "oracle")
WORDS = {
    "cheap": "always cheap",
    "strong": "always strong",
    "random": "random mix",
    "length": "prompt length",
    "knn5": "kNN, k=5",
    "clusters16": "16 clusters",
    "ours": "ours",
    "oracle": "oracle",
}
