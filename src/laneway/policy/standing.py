"""How far a pool is with a tenant's examples, in figures and in one sentence.

Owns: what is still missing until it routes, and the words for it. Refuses: deciding by it (the adviser does), and
counting (a lesson has).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from laneway.policy.verdict import Verdict
from laneway.route import Pool


class Progress(NamedTuple):
    """`needed` is how many labels each candidate still lacks."""

    labels: dict[str, int]
    needed: dict[str, int]

    @property
    def warm(self) -> bool:
        """Two candidates can be compared."""
        return sum(count == 0 for count in self.needed.values()) >= 2


def progress(pool: Pool, labels: Mapping[str, int]) -> Progress:
    counts = {member.label: labels.get(member.label, 0) for member in pool.members}
    return Progress(counts, {label: max(pool.warm - count, 0) for label, count in counts.items()})


def sentence(pool: Pool, made: Progress, verdict: Verdict | None, learned: bool, fewest: int, complete: int) -> str:
    """Go or no-go, for a person. `complete` examples have a label of every warm candidate; from `fewest` on it can be
    said whether routing pays."""
    if pool.rule not in ("learned", "knn", "clusters"):
        return f"Routes by the rule '{pool.rule}', which learns nothing from examples."
    if len(pool.members) < 2:
        return "There is nothing to choose: the pool has one candidate."
    if not any(made.labels.values()):
        return f"No examples yet: teach at least {pool.warm} labels for each candidate. Until then the default serves."
    if not made.warm:
        lacking = ", ".join(f"{count} for {label}" for label, count in made.needed.items() if count)
        return f"Warming up: labels still needed: {lacking}. Until then the default serves."
    if not learned:
        return "What was taught is being learned. Until then the default serves."
    if pool.rule != "learned":
        return f"Routes by the rule '{pool.rule}'."
    if verdict is None and complete >= fewest:
        return "Routes; whether it pays is being worked out."
    if verdict is None:
        return (
            f"Routes; {fewest - complete} more examples with a label of every candidate are needed to say whether it "
            "pays."
        )
    return verdict.sentence
