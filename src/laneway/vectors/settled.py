"""Settings for shelves: what a configuration says of the memory, put in force.

Owns: the step from `[learning]` to a form, a bound and a folder. Refuses: checking settings (the layout has), and
losing shelves to a reload that says nothing new of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from laneway.embed import HashedEmbedder, RemoteEmbedder, Sign, StaticEmbedder
from laneway.layout import Layout
from laneway.ports import Upstream
from laneway.store import Store
from laneway.vectors.form import Form, Space
from laneway.vectors.shelves import LocalShelves
from laneway.vectors.spaces import FarSpace, NearSpace


def settle(
    shelves: LocalShelves,
    layout: Layout,
    store: Store,
    upstream: Upstream,
    signers: Mapping[str, Sign],
    scale: float,
    measured: Mapping[str, float],
) -> None:
    """Lets the shelves be as the configuration says; what takes time is done in the background. `measured` is how far
    sources are to be believed of which the configuration says nothing."""
    learning, chosen = layout.settings.learning, layout.embedder
    space: Space
    if chosen == "static":
        space = NearSpace(StaticEmbedder())
    elif isinstance(chosen, str):
        space = NearSpace(HashedEmbedder())
    else:
        sign = signers.get(chosen.provider.name)
        far = RemoteEmbedder(upstream, chosen, sign=sign, deadline_s=learning.deadline * scale)
        space = FarSpace(far, store.examples)
    folder = (
        store.file.with_name(store.file.name + ".shelves") if store.file is not None and learning.snapshots else None
    )
    trust = {**measured, **learning.trust}
    shelves.use(Form(space, trust, learning.index), int(learning.memory_mb * (1 << 20)), folder)
