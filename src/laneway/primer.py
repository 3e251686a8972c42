"""The primer: scored prompts that come with Laneway, taught once to a gateway that knows nothing.

Owns: when that is (`learning.primer`, and nobody was ever taught anything), and whose memory they go into. Refuses: a
memory that holds anything, or ever held it; what somebody deleted does not come back.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from laneway import bundle
from laneway.failure import FailureError
from laneway.layout import Layout
from laneway.learning.counsel import Counsel
from laneway.learning.samples import Sample, drafts, read_samples, sight_of
from laneway.learning.teaching import Draft, Teacher, rolls_of
from laneway.route import Tenant
from laneway.store import Store

FILE = "config/learned.jsonl"
TENANT = "default"
BATCH = "primer"
log = logging.getLogger("laneway")


async def prime(store: Store, layout: Layout, counsel: Counsel) -> None:
    """Teaches what the configuration wants taught; learns from it behind the requests."""
    if not layout.settings.learning.primer or await store.examples.edition(TENANT):
        return
    tenant = layout.tenants.get(TENANT) or Tenant(name=TENANT)
    teacher = Teacher(store.examples, store.audit, TENANT, rolls_of(layout, tenant), actor=BATCH)
    try:
        learned = await asyncio.to_thread(_learned)
        await teacher.teach(learned, BATCH, first=True)
    except FailureError as error:
        log.warning("the bundled examples were not taught: %s", error.failure.message)
        return
    for pool in layout.pools.values():
        await counsel.lessons.ready(TENANT, pool)


def _learned() -> list[Draft]:
    lines = [msgspec.json.decode(line) for line in bundle.read(FILE).splitlines()]
    # What answers cost stands there for `laneway eval`.
    kept = ({name: line[name] for name in Sample.__struct_fields__ if name in line} for line in lines)
    return drafts(read_samples(b"\n".join(msgspec.json.encode(line) for line in kept)), sight_of(None))
