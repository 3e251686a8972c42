"""Splits, rules and sizes: every rule learns from n labels and is measured on prompts that nobody learned from.

Owns: the splits (70 % to learn from, the rest to be judged), the figures of each rule at each n with their intervals,
and the count of work done, for a progress bar.
Refuses: words. Gains are measured with models' mean costs, as a mix of decisions is priced; bills are real costs. An
interval holds two uncertainties: the prompts (resampled, the same way in every split) and what was learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from laneway.evaluate import contenders, curves
from laneway.evaluate.contenders import Floats, Lesson, Opinion
from laneway.evaluate.dataset import Pool, gathered, mean_costs
from laneway.evaluate.taught import Indices, Prompts

LEARN_SHARE = 0.7
RESAMPLES = 100
ALL = 0
"""Stands for all labels that a split leaves to learn from."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    sizes: tuple[int, ...] = (50, 100, 250, 1000, ALL)
    splits: int = 5
    rules: tuple[str, ...] = contenders.RULES
    seed: int = 1


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One rule at one n, 0 for a rule that learns nothing. Costs at 95 and 98 % are shares of the strong's bill."""

    rule: str
    n: int
    gain: float
    gain_lo: float
    gain_hi: float
    apgr: float
    cost95: float | None
    cost98: float | None
    quality: float
    cost_usd: float | None
    """Quality and cost per request half way between the cheapest's bill and the strong's, or of the single model."""
    gain_bill: float | None
    """The gain on the real bill, decided with the costs that are expected of each prompt."""
    all_labels: bool = False


class Split(NamedTuple):
    learn: Indices
    judge: Indices


class Drawn(msgspec.Struct, frozen=True):
    """A curve to look at: the first split's at its largest n, in USD per request and quality."""

    rule: str
    costs_usd: tuple[float, ...]
    quality: tuple[float, ...]


def split(pool: Pool, seed: int, number: int) -> Split:
    """Rows without all labels are learned from, never judged; nor is a prompt learned from that is judged elsewhere in
    the file, unless it is most of the file."""
    order, places = gathered(pool, np.random.default_rng([seed, number]).permutation(len(pool.prompts)))
    whole = np.flatnonzero((~np.isnan(pool.scores[order])).all(axis=1))
    judged = whole[int(LEARN_SHARE * len(whole)) :]
    learned = ~np.isin(places, places[judged])
    if learned.sum() < len(order) // 2:
        learned = ~np.isin(np.arange(len(order)), judged)
    return Split(order[learned], order[judged])


class Trial:
    """Runs a plan; `done` is told after every rule that has been measured."""

    def __init__(self, pool: Pool, prompts: Prompts, plan: Plan, done: Callable[[], None] = lambda: None) -> None:
        self.pool = pool
        self.prompts = prompts
        self.plan = plan
        self.done = done
        self.splits = [split(pool, plan.seed, number) for number in range(plan.splits)]
        chance = np.random.default_rng([plan.seed, 1 << 20])
        self.resampled = chance.poisson(1.0, (RESAMPLES, len(pool.prompts))).astype(np.float64)
        self.costs_usd = self._known_costs()
        self.drawn: list[Drawn] = []

    def _known_costs(self) -> Floats:
        """Real costs, the model's mean where one is unknown."""
        means = mean_costs(self.pool, np.arange(len(self.pool.prompts)))
        if not self.pool.price_known:
            return np.tile(means, (len(self.pool.prompts), 1))
        return np.where(np.isnan(self.pool.costs_usd), means, self.pool.costs_usd)

    @property
    def sizes(self) -> list[int]:
        """Sizes that the splits can fill, rising; the last is all, if it was asked for."""
        fit = min(len(each.learn) for each in self.splits)
        sizes = sorted({size for size in self.plan.sizes if ALL < size < fit})
        return [*sizes, fit] if ALL in self.plan.sizes or len(sizes) < len(set(self.plan.sizes)) else sizes

    @property
    def steps(self) -> int:
        learning = sum(rule in contenders.LEARNING for rule in self.plan.rules) * len(self.sizes)
        return self.plan.splits * (learning + sum(rule in contenders.OTHERS for rule in self.plan.rules))

    def run(self) -> list[Figures]:
        """Rules in the plan's order; those that learn once for each size."""
        results: list[Figures] = []
        for rule in self.plan.rules:
            if rule in contenders.LEARNING:
                results += [self._measure(rule, contenders.LEARNING[rule], size) for size in self.sizes]
            elif rule in contenders.OTHERS:
                results.append(self._measure(rule, contenders.OTHERS[rule], ALL))
            else:
                results.append(self._unlearned(rule))
        return results

    def _measure(self, name: str, rule: Callable[[Lesson], Opinion], size: int) -> Figures:
        measured: list[_Measured] = []
        for number, (learn, judge) in enumerate(self.splits):
            chance = np.random.default_rng([self.plan.seed, number, size])
            own = learn[:size] if size else learn
            opinion = rule(Lesson(self.pool, self.prompts, own, judge, chance))
            measured.append(self._figures(opinion, own, judge))
            if number == 0 and size in (ALL, self.sizes[-1]):
                line = measured[0].line
                self.drawn.append(Drawn(name, tuple(line.costs.tolist()), tuple(line.quality.tolist())))
            self.done()
        gains = np.array([each.gain for each in measured])
        resampled = np.mean([each.resampled for each in measured], axis=0)
        between = gains.var(ddof=1) / len(gains) if len(gains) > 1 else 0.0
        error = 1.96 * float(np.sqrt(resampled.var() + between))
        mean = float(gains.mean())
        return Figures(
            rule=name,
            n=size,
            gain=mean,
            gain_lo=mean - error,
            gain_hi=mean + error,
            apgr=float(np.mean([each.recovered for each in measured])),
            cost95=_mean([each.cost95 for each in measured]),
            cost98=_mean([each.cost98 for each in measured]),
            quality=float(np.mean([each.half[1] for each in measured])),
            cost_usd=float(np.mean([each.half[0] for each in measured])) if self.pool.price_known else None,
            gain_bill=_mean([each.gain_bill for each in measured]),
            all_labels=size == self.sizes[-1] == len(self.splits[0].learn),
        )

    def _figures(self, opinion: Opinion, learn: Indices, judge: Indices) -> _Measured:
        scores = self.pool.scores[judge].astype(np.float64)
        bills = self.costs_usd[judge]
        flat = np.tile(bills.mean(axis=0), (len(judge), 1))
        strong = self.pool.strong
        path = curves.walk_all(opinion.quality, mean_costs(self.pool, learn), strong)
        hull = curves.singles(scores, flat).hull(strong)
        line = curves.trace(path, scores, flat)
        by_bill = curves.walk_all(opinion.quality, opinion.costs_usd, strong) if opinion.costs_usd.ndim == 2 else path
        bill = curves.trace(by_bill, scores, bills)
        alone = curves.singles(scores, bills)
        ends = float(alone.costs[strong]), float(alone.quality[strong])
        known = self.pool.price_known
        return _Measured(
            gain=curves.gain(line, hull),
            recovered=curves.recovered(line, hull),
            resampled=self._resample(path, scores, flat, judge),
            cost95=curves.bill_at(bill, *ends, 0.95) if known else None,
            cost98=curves.bill_at(bill, *ends, 0.98) if known else None,
            half=curves.at_half(line, hull),
            gain_bill=curves.gain(bill, alone.hull(strong)) if known else None,
            line=line,
        )

    def _resample(self, path: curves.Walk, scores: Floats, flat: Floats, judge: Indices) -> Floats:
        gains = np.empty(RESAMPLES)
        for at, weights in enumerate(self.resampled[:, judge]):
            hull = curves.singles(scores, flat, weights).hull(self.pool.strong)
            gains[at] = curves.gain(curves.trace(path, scores, flat, weights), hull)
        return gains

    def _unlearned(self, rule: str) -> Figures:
        """One model for everything, or a coin: all on the line that gains are measured from."""
        judged = np.concatenate([each.judge for each in self.splits])
        alone = curves.singles(self.pool.scores[judged].astype(np.float64), self.costs_usd[judged])
        hull = alone.hull(self.pool.strong)
        strong_cost, strong_quality = float(alone.costs[self.pool.strong]), float(alone.quality[self.pool.strong])
        line = {
            "cheap": curves.Curve(hull.costs[:1], hull.quality[:1]),
            "strong": curves.Curve(hull.costs[-1:], hull.quality[-1:]),
        }.get(rule, hull)
        costs = [curves.bill_at(line, strong_cost, strong_quality, share) for share in (0.95, 0.98)]
        return Figures(
            rule=rule,
            n=0,
            gain=0.0,
            gain_lo=0.0,
            gain_hi=0.0,
            apgr=curves.recovered(line, hull),
            cost95=costs[0] if self.pool.price_known else None,
            cost98=costs[1] if self.pool.price_known else None,
            quality=curves.at_half(line, hull)[1],
            cost_usd=curves.at_half(line, hull)[0] if len(line.costs) > 1 else float(line.costs[0]),
            gain_bill=0.0,
        )


class _Measured(NamedTuple):
    gain: float
    recovered: float
    resampled: Floats
    cost95: float | None
    cost98: float | None
    half: tuple[float, float]
    gain_bill: float | None
    line: curves.Curve


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
