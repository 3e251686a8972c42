"""What is written down of what happened: records of requests, their sums, and who did what to the gateway.

Owns: the doors for writing and asking. Refuses: any implementation, prompts and keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from laneway.route import Outcome


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """Something an operator, or a rule in his stead, did to the gateway."""

    at_s: float
    actor: str
    action: str
    subject: str
    detail: Mapping[str, str | float | bool | None] = {}


class Audit(Protocol):
    """Who did what. Entries are only ever added."""

    async def note(self, entry: Audited) -> None:
        """Written when this returns."""

    async def recent(self, limit: int, action: str | None = None, subject: str | None = None) -> Sequence[Audited]:
        """Newest first; where an action or a subject is named, those alone."""

    async def latest(self, action: str) -> Sequence[Audited]:
        """The last entry of this action for each subject."""


class Search(NamedTuple):
    """Which records are wanted: newest first, or from the oldest on behind the number `above`."""

    limit: int
    filters: Mapping[str, str] = {}
    """Exact matches on attributes."""
    first_s: float | None = None
    """Of this instant or later."""
    until_s: float | None = None
    """And before this one."""
    below: int | None = None
    above: int | None = None


class Found(NamedTuple):
    """A record as JSON, and its number: a later record has a higher one."""

    number: int
    text: bytes


class Journal(Protocol):
    """Outcomes, written behind. Never blocks, never raises; what it had to drop it counts."""

    def record(self, outcome: Outcome) -> None: ...

    async def search(self, wanted: Search) -> Sequence[Found]:
        """One page of records; the next one lies below, or above, the last number of this one."""

    async def recent(self, limit: int, filters: Mapping[str, str]) -> Sequence[Mapping[str, object]]:
        """Records, newest first, as flat attributes; filters are exact matches on attributes."""

    @property
    def dropped(self) -> int: ...


LABELS = ("day", "tenant", "key", "project", "lane", "provider", "model")
"""What a report can be grouped and filtered by. A day is one of UTC; what is not known is an empty text."""


class Figures(NamedTuple):
    """What is added up. `cached` is the part of `input` that was read from a cache."""

    requests: int = 0
    failures: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    cost_nanos: int = 0
    dearest_nanos: int = 0
    """What the same answers would have cost at the dearest candidate of each request."""

    def plus(self, other: Figures) -> Figures:
        # Written out, because it runs for every request.
        return Figures(
            self.requests + other.requests,
            self.failures + other.failures,
            self.input + other.input,
            self.cached + other.cached,
            self.output + other.output,
            self.cost_nanos + other.cost_nanos,
            self.dearest_nanos + other.dearest_nanos,
        )


class Tally(NamedTuple):
    """A row of a report, or one outcome's part in it; `labels` stand in the order in which they were asked for."""

    labels: tuple[str, ...]
    figures: Figures


class Question(NamedTuple):
    """What a report is to say: grouped by these labels, over these days (both included), where labels are so."""

    by: tuple[str, ...]
    first: str
    last: str
    where: Mapping[str, str] = {}

    def takes(self, labels: Sequence[str]) -> bool:
        """Whether a line with all labels belongs into it."""
        if not self.first <= labels[0] <= self.last:
            return False
        return all(labels[LABELS.index(name)] == value for name, value in self.where.items())


class Reports(Protocol):
    """What all outcomes add up to. Sums outlive the records that they were made from."""

    async def usage(self, question: Question) -> Sequence[Tally]:
        """The rows of a report in the order of their labels; everything recorded before is in them."""

    async def correct(self, tally: Tally) -> None:
        """Adds a line that no outcome brought: an operator's correction."""
