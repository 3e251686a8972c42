"""The rooms as a test mounts them: each alone, any of them in order, in front of our own innermost app or another's.

Owns: the one list of rooms with knobs that make each do something, the order in which they stand, the ports they
share, and an app that is not ours. Refuses: assertions; the suites make those.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from laneway.corridor import Corridor
from laneway.dialects import FRONTS
from laneway.edge import App, Receive, Send, is_ours
from laneway.exchange import Scope
from laneway.forward import Forward
from laneway.middleware.auth import AuthMiddleware
from laneway.middleware.budget import BudgetMiddleware
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.observe import ObserveMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.middleware.shadow import ShadowMiddleware
from laneway.middleware.stage import StageMiddleware
from laneway.middleware.sticky import StickyMiddleware
from laneway.ports import Upstream
from laneway.route import Lane, Outcome, Price, Provider, Target, Tenant
from laneway.stores.memory import MemoryJournal, MemoryKeys, MemoryLedger, MemoryPins
from laneway.stores.shadows import MemoryShadows
from tests.fakes.replies import events, frames, whole

ORDER = ("observe", "auth", "lane", "stage", "budget", "sticky", "router", "shadow", "fallback")
"""From outside in, as DESIGN has it; Forward or another's app stands innermost."""
CLASSES: Mapping[str, Callable[..., App]] = {
    "observe": ObserveMiddleware,
    "auth": AuthMiddleware,
    "lane": LaneMiddleware,
    "stage": StageMiddleware,
    "budget": BudgetMiddleware,
    "sticky": StickyMiddleware,
    "router": RouterMiddleware,
    "shadow": ShadowMiddleware,
    "fallback": FallbackMiddleware,
}
KEY = "sk-team-a-0001"
NOW_S = 1_795_262_400.0
CAP_NANOS = 1_000_000_000
PRICE = Price(input=1_000_000, output=2_000_000)


def simulated(model: str, *, dialect: str = "openai", price: Price | None = PRICE) -> Target:
    """A target at the simulated provider that callers ask for as "asked"."""
    provider = Provider(name=f"at-{model}", dialect=dialect, origin="simulated://models")
    return Target(provider=provider, model="asked", upstream=model, price=price)


class Listed(MemoryJournal):
    """A journal that shows its outcomes."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[Outcome] = []

    def record(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class World:
    """The ports that the rooms of one stack share, and what is configured."""

    passes = False
    """The rooms inside the first are passed where they can be, as in the gateway."""

    def __init__(self, *targets: Target) -> None:
        self.targets = targets
        self.lane = Lane(name="quick", targets=targets, claims=("asked",), sticky=True)
        self.tenant = Tenant(name="team-a", daily_nanos=CAP_NANOS)
        self.keys = MemoryKeys.of({KEY: "team-a"})
        self.ledger = MemoryLedger()
        self.pins = MemoryPins()
        self.shadows = MemoryShadows()
        self.journal = Listed()

    def knobs(self, room: str) -> dict[str, Any]:
        """What makes a room do its work, mounted alone or not."""
        knobs: dict[str, dict[str, Any]] = {
            "observe": {"journal": self.journal},
            "auth": {"keys": self.keys, "tenants": {"team-a": self.tenant}},
            "lane": {"lanes": [self.lane]},
            "stage": {"shadows": self.shadows},
            "budget": {"ledger": self.ledger, "cap_nanos": CAP_NANOS, "clock": lambda: NOW_S},
            "sticky": {"pins": self.pins, "everywhere": True, "clock": lambda: NOW_S},
            "router": {"targets": self.targets},
            "shadow": {},
            "fallback": {"targets": self.targets},
        }
        return knobs[room]

    def mount(self, room: str, app: App, **more: Any) -> App:
        return CLASSES[room](app, **{**self.knobs(room), **more})

    def stack(self, rooms: Sequence[str], app: App) -> App:
        passes = self.passes and is_ours(app)
        for at, room in reversed(list(enumerate(rooms))):
            app = self.mount(room, app)
            if passes and at == ("observe" in rooms):
                app = Corridor(app)
        return app

    async def spent_nanos(self) -> int:
        """What all budgets together have spent, and nothing may be held any more."""
        total = 0
        for budget in self.ledger.accounts:
            left = await self.ledger.left(budget, CAP_NANOS, NOW_S)
            assert left.held_nanos == 0, f"{budget} still holds {left.held_nanos}"
            total += left.spent_nanos
        return total


def subsets() -> Iterator[tuple[str, ...]]:
    """Every choice of rooms, in order: 512 of them."""
    for chosen in itertools.product((False, True), repeat=len(ORDER)):
        yield tuple(room for room, is_in in zip(ORDER, chosen, strict=True) if is_in)


def ours(upstream: Upstream, target: Target | None = None) -> Forward:
    return Forward(upstream, target=target)


class Foreign:
    """Somebody else's app: answers fronts in their format, the rest with its path, and keeps what it was given."""

    def __init__(self, *, status: int = 200) -> None:
        self.status = status
        self.scopes: list[Scope] = []
        self.receives: list[Receive] = []
        self.sends: list[Send] = []
        self.bodies: list[bytes] = []
        self.after: list[str] = []
        """The kind of message that came behind each body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.receives.append(receive)
        self.sends.append(send)
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            assert message["type"] == "http.request", message
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        front = FRONTS.get(scope["path"][len(scope.get("root_path", "")) :])
        if front is None or scope["method"] != "POST":
            await _answer(send, self.status, b"text/plain", [scope["path"].encode()])
        elif json.loads(body).get("stream"):
            kind = b"application/x-ndjson" if front.dialect == "ollama" else b"text/event-stream"
            await _answer(send, self.status, kind, frames(front.dialect, events("7 * 8 ", "= 56.")))
        else:
            await _answer(send, self.status, b"application/json", [*map(bytes, whole(front.dialect).steps)])  # type: ignore[arg-type]
        self.after.append((await receive())["type"])


async def _answer(send: Send, status: int, kind: bytes, pieces: list[bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
