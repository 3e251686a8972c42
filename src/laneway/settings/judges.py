"""Models that judge other models' answers, as written by a person.

Owns: `[judges]`. Refuses: how far a judge is to be believed, which is measured.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from laneway.settings.units import Count

Share = Annotated[float, Meta(ge=0, le=1)]


class JudgeTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that scores a sample of the answers that pools gave, behind the requests, within a budget of its own."""

    model: str
    """The model that judges: a name of `[models]`, or `provider/id`."""
    pools: tuple[str, ...] = ()
    """Pools whose answers it judges; unset: all."""
    share: Share = 0.2
    """Share of answers that are scored alone."""
    pairs: Share = 0.05
    """Share of requests that are also asked of a second candidate; both answers are scored side by side, in both
    orders."""
    burst: Annotated[int, Meta(ge=0, le=10_000)] = 20
    """So many pairs first with a candidate, or a new version of one, that a tenant's memory knows nothing of."""
    daily_usd: str | float = 1
    """Most that its scoring and its pairs may cost in a UTC day, over all tenants."""
    tenant: str = ""
    """The tenant in whose name and budgets it works; unset: the one whose answers they are."""
    rubric: str = ""
    """What is a good answer, in words for the judge; unset: right, complete and to the point."""
    queue: Count = 64
    """How many answers may wait to be judged; further ones are left out, and counted."""
    workers: Annotated[int, Meta(ge=1, le=64)] = 2
    """How many of its calls run at once."""
