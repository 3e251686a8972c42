"""One backend against another on a set of questions: what was scored, what follows from it, and how it is told.

Owns: reading questions, the exact scorer, paired differences with their intervals, the sentence, and the JSON keys,
which are stable. Refuses: asking anybody; whoever does gives scores, costs and times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from laneway.evaluate.dataset import DatasetError, lines_of

RESAMPLES = 2000
ENOUGH = 0.02
"""As good as: worse by less than this."""
SEED = 3
Floats = npt.NDArray[np.float64]
_WORDS = re.compile(r"-?\d+(?:[.,]\d+)*|\w+")


class Asked(msgspec.Struct, frozen=True):
    """A question, with the right answer where there is one."""

    prompt: str
    answer: str | float | None = None
    system: str | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend answered to one question; a failure has no text."""

    text: str | None
    cost_usd: float
    latency_ms: float
    failure: str | None = None


class Side(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    quality: float
    quality_lo: float
    quality_hi: float
    cost_usd: float
    latency_ms: float
    """The median."""
    failed: int


class Versus(msgspec.Struct, frozen=True, kw_only=True):
    """`difference` is b's quality less a's."""

    questions: int
    scored: int
    scorer: str
    a: Side
    b: Side
    difference: float
    difference_lo: float
    difference_hi: float
    a_better: int
    b_better: int
    judging_usd: float
    sentence: str


def read_questions(path: Path, *, answers: bool) -> list[Asked]:
    """A question a line: `{"prompt": ..., "answer": ...}`; with `answers`, each needs one."""
    found: list[Asked] = []
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        try:
            asked = msgspec.json.decode(line, type=Asked)
        except msgspec.DecodeError as error:
            raise DatasetError(f"Line {number}: {error}.") from None
        if answers and asked.answer is None:
            raise DatasetError(f"Line {number}: there is no answer to compare with; give one, or a judge with --judge.")
        found.append(asked)
    if len(found) < 2:
        raise DatasetError(f"{path} holds {len(found)} questions; that is too few to compare anything.")
    return found


def exact(answer: str | float, said: str) -> float:
    """1 where the right answer stands in what was said, word by word, whatever the case, the punctuation and what
    surrounds it."""
    wanted, found = _words(f"{answer:g}" if isinstance(answer, float) else str(answer)), _words(said)
    size = len(wanted)
    return float(size > 0 and any(found[at : at + size] == wanted for at in range(len(found) - size + 1)))


def _words(text: str) -> list[str]:
    return [word.replace(",", "") if word[-1].isdigit() else word for word in _WORDS.findall(text.casefold())]


def compare(
    models: tuple[str, str],
    replies: Sequence[tuple[Reply, Reply]],
    scores: Sequence[tuple[float, float] | None],
    scorer: str,
    judging_usd: float = 0.0,
) -> Versus:
    """`scores` holds None where nobody could tell. By exact answers, a failure is a wrong one."""
    kept = np.array([pair for pair in scores if pair is not None], np.float64).reshape(-1, 2)
    if not len(kept):
        raise DatasetError("Nothing could be scored: the judge gave no opinion that could be read.")
    gaps = kept[:, 1] - kept[:, 0]
    resampled = np.random.default_rng(SEED).integers(0, len(kept), (RESAMPLES, len(kept)))
    low, high = _interval(gaps, resampled)
    sides = [_side(model, [pair[at] for pair in replies], kept[:, at], resampled) for at, model in enumerate(models)]
    return Versus(
        questions=len(replies),
        scored=len(kept),
        scorer=scorer,
        a=sides[0],
        b=sides[1],
        difference=float(gaps.mean()),
        difference_lo=low,
        difference_hi=high,
        a_better=int((gaps < 0).sum()),
        b_better=int((gaps > 0).sum()),
        judging_usd=judging_usd,
        sentence=_sentence(models, float(gaps.mean()), low, high),
    )


def _side(model: str, replies: Sequence[Reply], scores: Floats, resampled: npt.NDArray[np.int64]) -> Side:
    low, high = _interval(scores, resampled)
    return Side(
        model=model,
        quality=float(scores.mean()),
        quality_lo=low,
        quality_hi=high,
        cost_usd=sum(reply.cost_usd for reply in replies) / len(replies),
        latency_ms=float(np.median([reply.latency_ms for reply in replies])),
        failed=sum(reply.text is None for reply in replies),
    )


def _interval(values: Floats, resampled: npt.NDArray[np.int64]) -> tuple[float, float]:
    low, high = np.quantile(values[resampled].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def _sentence(models: tuple[str, str], difference: float, low: float, high: float) -> str:
    a, b = models
    points = f"{100 * abs(difference):.1f} points (95 %: {100 * low:+.1f} .. {100 * high:+.1f})"
    if low > 0:
        return f"{b} is better than {a} by {points}."
    if high < 0:
        return f"{b} is worse than {a} by {points}."
    if low == 0:
        return f"{b} is at least as good as {a}, and may be better by up to {100 * high:.1f} points."
    if low > -ENOUGH:
        return f"{b} is as good as {a}: worse by no more than {100 * -low:.1f} points."
    return f"Not decided: {b} less {a} lies between {100 * low:+.1f} and {100 * high:+.1f} points. Ask more questions."


HEAD = ("", "quality", "95 % interval", "USD/1k", "median ms", "failed")


def table(found: Versus) -> str:
    rows = [HEAD, *(_cells(side) for side in (found.a, found.b))]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEAD))]
    lines = []
    for row in rows:
        first, *others = zip(row, widths, strict=True)
        lines.append("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]))
    better = f"{found.b.model} was better {found.b_better} times, {found.a.model} {found.a_better} times"
    unscored = found.questions - found.scored
    left = f"; {unscored} could not be scored" if unscored else ""
    paid = f"; judging cost {found.judging_usd:.6g} USD" if found.judging_usd else ""
    head = f"{found.questions} questions, scored by {found.scorer}; {better}{left}{paid}."
    return "\n".join([*(line.rstrip() for line in lines), "", head, found.sentence])


def _cells(side: Side) -> tuple[str, ...]:
    return (
        side.model,
        f"{side.quality:.3f}",
        f"{side.quality_lo:.3f} .. {side.quality_hi:.3f}",
        f"{side.cost_usd * 1000:.4g}",
        f"{side.latency_ms:.3g}",
        str(side.failed),
    )
