"""What shadowing adds to a request that its legacy path answers: the way to the legacy call, and the whole.

Owns: one lane in stage shadow in front of a legacy path that takes two milliseconds, with the decision of the whole
stack made beside it and with none at all, in turn, in one run. Refuses: sockets; what the room adds is compared.

    python -m bench.bench_shadow
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from laneway.board import Board
from laneway.edge import App
from laneway.gates import LEGACY
from laneway.middleware.budget import BudgetMiddleware
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.middleware.shadow import ShadowMiddleware
from laneway.middleware.stage import StageMiddleware
from laneway.policy.budgets import Budget
from laneway.ports import Call, Clocks
from laneway.route import FREE, Lane, Price, Provider, Stage, Target
from tests.fakes.replies import Given, ScriptedReply, whole
from tests.harness.asgi import ask

ROUNDS, REQUESTS = 7, 300
TAKES_S = 0.002
OWN = tuple(
    Target(
        provider=Provider(name=f"own-{number}", dialect="openai", origin="http://own.test"),
        model="asked",
        upstream="own",
        price=Price(input=1_000_000, output=2_000_000),
    )
    for number in range(4)
)
OLD = Target(provider=Provider(name=LEGACY, dialect="", origin="http://old.test"), model="", upstream="", price=FREE)
LANE = Lane(name="asked", targets=OWN, stage=Stage.SHADOW, legacy=OLD)


class Old:
    """A legacy path, and when it was called."""

    def __init__(self) -> None:
        self.called_s = 0.0

    async def open(self, call: Call, clocks: Clocks) -> ScriptedReply:
        self.called_s = time.perf_counter()
        # Not the loop's own timer, which rounds up to milliseconds: what arrives on a socket does not wait for that.
        await asyncio.get_running_loop().run_in_executor(None, time.sleep, TAKES_S)
        answer = whole("openai")
        return ScriptedReply(Given(answer.steps, 200, answer.headers))

    async def close(self) -> None:
        pass


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """Decides nothing."""


def stack(old: Old, inside: App) -> App:
    return LaneMiddleware(StageMiddleware(inside, upstream=old), lanes=[LANE])


def deciding() -> App:
    app: App = ShadowMiddleware(FallbackMiddleware(nothing), board=Board())
    return BudgetMiddleware(RouterMiddleware(app), budgets=[Budget(name="house", cap_nanos=10**15)])


async def timed(old: Old, app: App) -> tuple[list[float], list[float]]:
    """Microseconds from the first message to the legacy call, and to the end of the answer."""
    to_call: list[float] = []
    to_end: list[float] = []
    for _ in range(REQUESTS):
        caller, ended = ask("openai", "asked", hook=True), [0.0]
        caller.on_send = lambda _, ended=ended: ended.__setitem__(0, time.perf_counter())  # type: ignore[misc]
        began = time.perf_counter()
        await caller.call(app)
        to_call.append((old.called_s - began) * 1e6)
        to_end.append((ended[0] - began) * 1e6)
    return to_call, to_end


async def main() -> None:
    old = Old()
    apps = {"without a decision": stack(old, nothing), "with the whole decision": stack(old, deciding())}
    calls: dict[str, list[float]] = {name: [] for name in apps}
    ends: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(ROUNDS):
        for name, app in apps.items():
            to_call, to_end = await timed(old, app)
            calls[name].append(statistics.median(to_call))
            ends[name].append(statistics.median(to_end))
    for name in apps:
        print(
            f"{name:24} until the legacy call {statistics.median(calls[name]):6.0f} us   "
            f"whole {statistics.median(ends[name]):6.0f} us (median of {ROUNDS} medians of {REQUESTS})"
        )
    one, other = (statistics.median(ends[name]) for name in apps)
    print(f"the decision beside it adds {other - one:.0f} us to the answer")


if __name__ == "__main__":
    asyncio.run(main())
