"""Candidates among which a rule chooses, as written by a person.

Owns: `[pools]`. Refuses: what a tenant has taught, and where its dial stands: both change while the gateway runs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from laneway.settings.units import Count

Rule = Literal["learned", "knn", "clusters", "cheapest", "fastest", "least-busy", "weighted", "fixed", "cascade"]
Share = Annotated[float, Meta(ge=0, le=1)]
Weight = Annotated[float, Meta(ge=0, le=1_000_000)]


class CheckTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an answer of a cascade's cheaper candidates does not do. A refusal never does. Only whole answers can be
    checked: a stream is served by the default."""

    least_chars: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    """Fewer characters are too few."""
    without: tuple[str, ...] = ()
    """Words that it must not hold (`I don't know`), in capitals or not."""
    json: bool = False
    """Whether it must be a JSON object."""
    whole: bool = True
    """Whether one that was cut at its length is none."""


class PoolTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Candidates among which a rule chooses for each request. Its name is a model name: who asks for it is routed."""

    candidates: tuple[str, ...] = ()
    """Names of `[models]`, or `provider/id`."""
    default: str = ""
    """The candidate that serves where nothing is learned; unset: the first."""
    aliases: tuple[str, ...] = ()
    """Other model names that mean it (`auto`)."""
    rule: Rule = "learned"
    """`learned` from the tenant's examples; `knn` and `clusters` as known routers do; or `cheapest`, `fastest`,
    `least-busy`, `weighted`, `fixed`; `cascade` asks the cheapest first, and the next where a check fails."""
    bias: Share = 0.5
    """Where the dial stands for tenants that did not move theirs: 0 lowest cost, 1 highest quality."""
    floor: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Share of the best candidate's quality that is kept, whatever the dial says (0.98); unset: none."""
    warm: Annotated[int, Meta(ge=1, le=1_000_000)] = 50
    """A candidate with fewer labels is not chosen."""
    least_confidence: Share = 0.0
    """Below this confidence the default serves."""
    sticky: bool = True
    """Conversations stay with the model that served them, unless a switch pays."""
    switch_penalty: Share = 0.02
    """Quality that another model must be ahead by to take a conversation over."""
    ttl: Annotated[float, Meta(gt=0, le=3600)] = 3600.0
    """Seconds after which a conversation that rests is a new one."""
    keep_prompts: bool = False
    """Whether receipts of decisions hold the prompt."""
    k: Count = 5
    """Of `knn`: how many neighbours are asked."""
    alpha: Annotated[float, Meta(ge=0, le=100)] = 0.5
    """Of `knn` and `clusters`: how much costs count."""
    weights: dict[str, Weight] = {}
    """Of `weighted`: the candidates' shares; unset ones are 1."""
    target: str = ""
    """Of `fixed`: the candidate that serves; unset: the default."""
    check: CheckTable = CheckTable()
    """Of `cascade`: which answers do not do."""
