"""Credit: what judges' labels are worth, measured as people score the same answers.

Owns: looking again at what a judge has scored and people have, too, once in a while, over all tenants, and telling
when a judge's worth has changed enough to matter.
Refuses: arithmetic (policy/trust has it), and using the result (shelves do).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from laneway.learning.teaching import every
from laneway.policy.trust import gaps_in, weigh
from laneway.ports import Examples
from laneway.ports.examples import Filter

AGAIN = 50
"""So many new labels of a judge make it worth looking again."""
MOST = 5000
"""Examples of one tenant that are looked at."""


class Credit:
    """By source, in steps of a tenth: a finer figure would rebuild shelves and change nothing."""

    def __init__(self, examples: Examples) -> None:
        self.trust: dict[str, float] = {}
        self.changed: Callable[[], None] = lambda: None
        """Called when the trust in somebody is another than before."""
        self._examples = examples
        self._since: Counter[str] = Counter()
        self._gaps: dict[tuple[str, str], list[float]] = {}

    async def begin(self, sources: Iterable[str]) -> None:
        """Looks at what all tenants' memories say of these."""
        tenants = await self._examples.tenants()
        self._gaps.clear()
        for source in sources:
            for tenant in tenants:
                await self._look(tenant, source)
            self._weigh(source)

    async def heard(self, tenant: str, source: str) -> None:
        """A judge has scored another answer of this tenant."""
        self._since[source] += 1
        if self._since[source] >= AGAIN:
            self._since[source] = 0
            await self._look(tenant, source)
            self._weigh(source)

    async def _look(self, tenant: str, source: str) -> None:
        found: list[float] = []
        looked = 0
        async for page in every(self._examples, tenant, Filter(source=source)):
            found += gaps_in(page, source)
            looked += len(page)
            if looked >= MOST:
                break
        self._gaps[tenant, source] = found

    def _weigh(self, source: str) -> None:
        gaps = [gap for (_, of), found in self._gaps.items() if of == source for gap in found]
        trust = round(weigh(source, gaps).trust, 1) if gaps else None
        if trust == self.trust.get(source):
            return
        if trust is None:
            del self.trust[source]
        else:
            self.trust[source] = trust
        self.changed()
