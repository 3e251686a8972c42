"""Teaching: what a caller may say about how models did, and how much more of it is needed.

Owns: names of candidates in all their spellings, scores and where one is wrong, names of sources and tags, the count
of labels that are still missing, prompts that are the same or contradict each other, and what a memory holds in words.
Refuses: reading bodies and memories. What it refuses is a FailureError whose message names the place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from laneway.failure import FailureError, Kind, fail
from laneway.policy.names import spelling
from laneway.policy.permit import permitted
from laneway.ports.examples import Example, Label
from laneway.route import Member, Pool, Tenant

MOST_CHARS = 200_000
"""Of a prompt both ends are compared; what is kept of it is bounded all the same."""
MOST_NAME = 128
STRONG = 0.5
"""Scores of like prompts that differ by so much contradict each other."""
NOBODY: Mapping[str, str] = MappingProxyType({})
_SOURCE = re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}")


Resolve = Callable[[str], str | None]
"""The target, `provider/id`, that a model's name means to the gateway; None where it means none."""


class Roll:
    """Candidates by whatever they are called: the label itself, `provider/id` without a version, a model's aliases."""

    def __init__(self, spellings: Mapping[str, str], resolve: Resolve = lambda _: None) -> None:
        """`spellings` leads from a name to the candidate's label."""
        self.candidates = tuple(dict.fromkeys(spellings.values()))
        self._resolve = resolve
        self._folded = {spelling(name): candidate for name, candidate in spellings.items()}
        self._folded.update({spelling(candidate): candidate for candidate in self.candidates})

    def candidate(self, name: str, place: str) -> str:
        """The label of the candidate that goes by this name. Raises FailureError with the list of those there are."""
        found = self._folded.get(spelling(name)) or self._folded.get(spelling(self._resolve(name) or ""))
        if found is None:
            known = ", ".join(self.candidates) or "none: no pool is configured"
            raise _wrong(place, f"there is no candidate '{name[:MOST_NAME]}'. Candidates: {known}.")
        return found


class Rolls:
    """The candidates of each pool, and of all together, as far as a tenant may use them."""

    def __init__(self, pools: Iterable[Pool], tenant: Tenant, resolve: Resolve = lambda _: None) -> None:
        self.members: dict[str, tuple[Member, ...]] = {}
        self._rolls: dict[str, Roll] = {}
        for pool in pools:
            members = tuple(member for member in pool.members if permitted(tenant, member.targets))
            if members:
                self.members[pool.name] = members
                self._rolls[pool.name] = Roll(_spellings(members), resolve)
        self.all = Roll(_spellings(chain.from_iterable(self.members.values())), resolve)

    def of(self, pool: str | None, place: str = "") -> Roll:
        if pool is None:
            return self.all
        if pool not in self._rolls:
            known = ", ".join(self._rolls) or "none is configured"
            raise _wrong(f"{place}pool", f"there is no pool '{pool[:MOST_NAME]}'. Pools: {known}.")
        return self._rolls[pool]

    def served(self, target: str) -> str | None:
        """The candidate that stands behind a target, `provider/id`."""
        return next(
            (
                member.label
                for members in self.members.values()
                for member in members
                if any(each.name == target for each in member.targets)
            ),
            None,
        )


def _spellings(members: Iterable[Member]) -> dict[str, str]:
    return {
        name: member.label
        for member in members
        for name in (member.name, member.targets[0].model, member.targets[0].name)
    }


def read_labels(
    scores: Mapping[str, float], roll: Roll, source: str, place: str = "", *, others: Mapping[str, str] = NOBODY
) -> tuple[Label, ...]:
    """The labels that a table of scores means, each of `source` or of whom `others` names. `place` leads to the
    example: "examples[3]." or "line 4: "."""
    if not scores:
        raise _wrong(f"{place}scores", "is empty: give a score from 0 to 1 for each model that answered.")
    labels: dict[str, tuple[str, Label]] = {}
    for name, score in scores.items():
        where = f"{place}scores.{name[:MOST_NAME]}"
        candidate = roll.candidate(name, where)
        if candidate in labels:
            before = labels[candidate][0]
            raise _wrong(where, f"means the same candidate as '{before}', {candidate}; give one score for it.")
        labels[candidate] = (name, Label(candidate, read_score(score, where), others.get(name, source)))
    return tuple(label for _, label in labels.values())


def read_score(score: float, where: str) -> float:
    if not 0 <= score <= 1:  # NaN is neither
        said = f"{score:g}" if math.isfinite(score) else str(score)
        raise _wrong(where, f"expected a score from 0 to 1, got {said}.")
    return float(score)


def read_source(source: str, place: str = "") -> str:
    if not _SOURCE.fullmatch(source):
        raise _wrong(f"{place}label_source", "expected a short name in lower case, such as human or import.")
    return source


def read_others(scores: Mapping[str, float], others: Mapping[str, str], place: str = "") -> Mapping[str, str]:
    """Who gave single ones of the scores."""
    for name, source in others.items():
        if name not in scores:
            raise _wrong(f"{place}label_sources.{name[:MOST_NAME]}", "scores has no score of that name.")
        read_source(source, place)
    return others


def read_text(text: str, place: str) -> str:
    """A prompt that can be compared with others."""
    if not text.strip():
        raise _wrong(place, "holds no words to compare.")
    if len(text) > MOST_CHARS:
        raise _wrong(place, f"has {len(text)} characters; at most {MOST_CHARS} are kept of a prompt.")
    return text


def read_name(name: str, place: str) -> str:
    """A task's id or a tag, which callers make up."""
    if len(name) > MOST_NAME or not (name.isprintable() or not name):
        raise _wrong(place, f"expected at most {MOST_NAME} characters, all of them visible.")
    return name


def _wrong(place: str, words: str) -> FailureError:
    return fail(Kind.BAD_REQUEST, f"{place}: {words}", field=place)


# --- how much is known -------------------------------------------------------------------------------------


class Warmth(NamedTuple):
    """How far a pool is from being routed by what was taught."""

    labels: Mapping[str, int]
    needed: Mapping[str, int]
    """Labels still missing, by candidate; empty when none is."""

    @property
    def warm(self) -> bool:
        """Two candidates can be compared."""
        return len(self.labels) - len(self.needed) >= 2


def warmth(candidates: Iterable[str], labels: Mapping[str, int], wanted: int) -> Warmth:
    had = {candidate: labels.get(candidate, 0) for candidate in candidates}
    return Warmth(had, {candidate: wanted - count for candidate, count in had.items() if count < wanted})


# --- examples beside each other ----------------------------------------------------------------------------


class Dispute(NamedTuple):
    """Two examples of like prompts and the candidate about which they disagree most."""

    one: int
    other: int
    likeness: float
    candidate: str
    difference: float


def dispute(one: Example, other: Example, likeness: float) -> Dispute | None:
    """How far two like examples contradict each other, if they do."""
    mine, theirs = means(one), means(other)
    gaps = [(abs(mine[name] - theirs[name]), name) for name in mine if name in theirs]
    if not gaps or max(gaps)[0] < STRONG:
        return None
    difference, candidate = max(gaps)
    return Dispute(one.id, other.id, likeness, candidate, difference)


def means(example: Example) -> dict[str, float]:
    """The score of each candidate, over all sources."""
    scores: dict[str, list[float]] = {}
    for label in example.labels:
        scores.setdefault(label.candidate, []).append(label.score)
    return {candidate: sum(values) / len(values) for candidate, values in scores.items()}
