"""Runs as the tests make them.

Owns: a run with the facts a test does not care about filled in. Refuses: stores and workers.
"""

from __future__ import annotations

from typing import Any

from laneway.policy.runs import Lease, accepted_step
from laneway.ports.runs import Run, Step, Texts

NOW = 1_700_000_000.0
TEXTS = Texts(
    body=b'{"model":"m","messages":[]}', headers=(("x-laneway-trace", "t"), ("x-laneway-lane", "deep")), secret="hush"
)


def a_run(name: str, **changes: Any) -> Run:
    facts: dict[str, Any] = {
        "id": f"run_{name}",
        "tenant": "acme",
        "path": "/v1/chat/completions",
        "model": "m",
        "lane": "deep",
        "accepted_s": NOW,
    }
    return Run(**(facts | changes))


def steps_of(run: Run) -> tuple[Step, ...]:
    return (accepted_step(run),)


def lease(owner: str, now_s: float = NOW, for_s: float = 30.0) -> Lease:
    return Lease(owner, now_s, now_s + for_s)
