"""Usage: what outcomes add up to, by day and label, for reports.

Owns: how one outcome is split into lines so that nothing is counted twice, what
the dearest candidate would have cost for the same answer, and adding up in memory.
Refuses: SQL, dates of its own (an outcome says when it was), prompts, and guesses: what has no price has no dearest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from time import gmtime, strftime

from laneway.policy.price import cost_nanos
from laneway.ports import LABELS, Figures, Question, Tally
from laneway.route import Attempt, Outcome

DAY_S = 86_400
MOST_CHARS = 200
MOST_LINES = 100_000
"""Lines kept in memory; the oldest make room."""


def day_of(at_s: float) -> str:
    return _day(int(at_s // DAY_S))


@lru_cache(maxsize=64)
def _day(number: int) -> str:
    # All requests of a day share one text.
    return strftime("%Y-%m-%d", gmtime(number * DAY_S))


def dearest_nanos(outcome: Outcome) -> int | None:
    """What the answer would have cost at the dearest candidate of the decision, at the prices of that moment.

    None where nobody answered, or nobody decided between targets that have prices.
    """
    served, decision = outcome.served, outcome.decision
    if served is None or decision is None:
        return None
    own = served.target.price
    ranked = decision.ranked
    if len(ranked) == 1 and ranked[0].price is own and not decision.dropped:
        return served.cost_nanos if own is not None else None
    dearest: int | None = None
    for target in (*ranked, *(dropped.target for dropped in decision.dropped)):
        price = target.price
        if price is not None:
            cost = served.cost_nanos if price is own else cost_nanos(served.usage, price)
            dearest = cost if dearest is None else max(dearest, cost)
    return dearest


def lines_of(outcome: Outcome, dearest: int | None) -> list[Tally]:
    """An outcome under all labels: one line with the request, and one for each other target that it cost something at.

    The request counts where it ended, so that requests, tokens and costs add up over any grouping. `dearest` is what
    the dearest candidate would have cost.
    """
    attempts = outcome.attempts
    common = (
        day_of(outcome.at_s),
        _said(outcome.tenant),
        _said(outcome.key_id),
        _said(outcome.project),
        _said(outcome.lane),
    )
    lines: list[Tally] = []
    cost = outcome.cost_nanos
    for attempt in attempts[:-1]:
        if attempt.cost_nanos or attempt.usage.input or attempt.usage.output:
            cost -= attempt.cost_nanos
            # Where there was an answer, asking the dearest at once would have spared the earlier attempts.
            spared = attempt.cost_nanos if dearest is None else 0
            lines.append(_line(common, attempt, 0, 0, attempt.cost_nanos, spared))
    failed = int(outcome.failure is not None or outcome.status >= 400)
    last = attempts[-1] if attempts else None
    lines.append(_line(common, last, 1, failed, cost, cost if dearest is None else dearest))
    return lines


def correction(record: Mapping[str, object], prefix: str, nanos: int) -> Tally:
    """An amount that a recorded request cost more, or less, than it was added up with."""

    def told(name: str) -> str:
        value = record.get(name)
        return _said(value) if isinstance(value, str) else ""

    at_s = record["at_s"]
    assert isinstance(at_s, float)
    names = ("tenant", "key_id", f"{prefix}.project_id", f"{prefix}.lane", f"{prefix}.endpoint")
    labels = (day_of(at_s), *map(told, names), told("gen_ai.response.model"))
    return Tally(labels, Figures(cost_nanos=nanos, dearest_nanos=nanos))


def _line(
    common: tuple[str, ...], attempt: Attempt | None, requests: int, failures: int, cost: int, dearest: int
) -> Tally:
    if attempt is None:
        # The name of the model is whatever the caller wrote: reports hold what exists.
        return Tally((*common, "", ""), Figures(requests, failures, cost_nanos=cost, dearest_nanos=dearest))
    target, usage = attempt.target, attempt.usage
    cached, output = usage.cache_read or 0, usage.output or 0
    return Tally(
        (*common, _said(target.provider.name), _said(target.model)),
        Figures(requests, failures, usage.input or 0, cached, output, cost, dearest),
    )


def _said(text: str | None) -> str:
    """A label as it can be kept anywhere: bounded, and made of letters that have an encoding."""
    if not text:
        return ""
    return text[:MOST_CHARS] if text.isascii() else text[:MOST_CHARS].encode("utf-8", "replace").decode()


class Sums:
    """Lines added up in memory, by all labels."""

    def __init__(self, *, most: int = MOST_LINES) -> None:
        self._most = most
        self._lines: dict[tuple[str, ...], list[int]] = {}
        # Where the usual request adds up, by what it says of itself: its labels are made once.
        self._known: dict[tuple[object, ...], list[int]] = {}

    def count(self, outcome: Outcome, dearest: int | None) -> None:
        """Adds a request; `dearest` is what its dearest candidate would have cost."""
        attempts = outcome.attempts
        if len(attempts) != 1:
            self.add(lines_of(outcome, dearest))
            return
        (attempt,) = attempts
        target, usage, cost = attempt.target, attempt.usage, outcome.cost_nanos
        said = (
            int(outcome.at_s // DAY_S),
            outcome.tenant,
            outcome.key_id,
            outcome.project,
            outcome.lane,
            target.provider.name,
            target.model,
        )
        line = self._known.get(said)
        if line is None:
            lines = lines_of(outcome, dearest)
            self.add(lines)
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[said] = self._lines[lines[-1].labels]
            return
        # In the order of Figures.
        line[0] += 1
        line[1] += outcome.failure is not None or outcome.status >= 400
        line[2] += usage.input or 0
        line[3] += usage.cache_read or 0
        line[4] += usage.output or 0
        line[5] += cost
        line[6] += cost if dearest is None else dearest

    def add(self, lines: Iterable[Tally]) -> None:
        for labels, figures in lines:
            known = self._lines.get(labels)
            if known is not None:
                for place, figure in enumerate(figures):
                    known[place] += figure
                continue
            if len(self._lines) >= self._most:
                del self._lines[next(iter(self._lines))]
                self._known.clear()
            self._lines[labels] = list(figures)

    def lines(self) -> list[Tally]:
        return [Tally(labels, Figures(*figures)) for labels, figures in self._lines.items()]

    def answer(self, question: Question) -> list[Tally]:
        """The rows of a report, in the order of their labels."""
        places = [LABELS.index(name) for name in question.by]
        made: dict[tuple[str, ...], Figures] = {}
        for labels, figures in self._lines.items():
            if question.takes(labels):
                group = tuple(labels[place] for place in places)
                made[group] = made.get(group, Figures()).plus(Figures(*figures))
        return [Tally(labels, made[labels]) for labels in sorted(made)]
