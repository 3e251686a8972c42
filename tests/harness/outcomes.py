"""Made-up outcomes, for tests of what keeps and shows them.

Owns: one ordinary outcome, of which a test changes what it is about. Refuses: prompts and answers, as outcomes do.
"""

from __future__ import annotations

from typing import Any

import msgspec

from laneway.chat import Finish, Op, Usage
from laneway.route import Attempt, Decision, Lane, Outcome, Price, Provider, Target

STUDIO = Provider(name="studio", dialect="openai", origin="http://studio.test")
SONNET = Target(provider=STUDIO, model="sonnet", upstream="sonnet-4", price=Price(input=3_000_000, output=15_000_000))
FAST = Lane(name="local-fast", targets=(SONNET,))

_ORDINARY = Outcome(
    request_id="req_1",
    at_s=1_700_000_000.25,
    elapsed_s=1.25,
    front="openai",
    op=Op.CHAT,
    tenant="acme",
    key_id="key_1",
    project="shop",
    trace="trace-1",
    intent=None,
    lane=FAST.name,
    model=SONNET.model,
    stream=True,
    status=200,
    failure=None,
    decision=Decision(ranked=(SONNET,), by="lane"),
    attempts=(
        Attempt(
            target=SONNET,
            started_s=1.0,
            ended_s=2.0,
            status=200,
            usage=Usage(input=100, output=20),
            finish=Finish.STOP,
            first_content_s=0.25,
            chunks=20,
            cost_nanos=600_000,
        ),
    ),
    caller_gone=False,
    cost_nanos=600_000,
    version="v1",
)


def outcome(**changes: Any) -> Outcome:
    """An ordinary outcome, changed where the test says so."""
    return msgspec.structs.replace(_ORDINARY, **changes)
