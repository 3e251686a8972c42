"""Requests that race for a budget through the rooms, with everything that can go wrong with one.

Owns: a stack over a ledger and a journal, a provider who fails, breaks off, goes silent or says what it pleases, and
callers who leave or are cancelled, each by chance.
Refuses: judging what came of it; the referee audits the books.
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from typing import NamedTuple

from laneway.chat import Usage
from laneway.edge import App
from laneway.exchange import SLOT, Exchange
from laneway.failure import FailureError, Kind
from laneway.forward import Forward
from laneway.middleware.budget import BudgetMiddleware
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.observe import ObserveMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.policy.budgets import Budget, Period
from laneway.ports import Call, Clocks, Journal, Ledger
from laneway.route import Lane, Price
from tests.fakes.replies import Given, ScriptedReply, events, failure, frames, refused, target, whole
from tests.harness.asgi import ask

PRICE = Price(input=400, output=2_000)
PROMPT_TOKENS = 60
MOST_TOKENS = 400


class Ended(NamedTuple):
    """What became of one request."""

    request_id: str
    spent_nanos: int
    refused: bool


class Slow(ScriptedReply):
    """A reply whose pieces take their time."""

    def __init__(self, given: Given, rng: random.Random) -> None:
        super().__init__(given)
        self._rng = rng

    async def read(self, limit_s: float) -> bytes:
        await asyncio.sleep(self._rng.random() * 0.002)
        return await super().read(limit_s)


class Fickle:
    """A provider of whom anything can be expected."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def open(self, call: Call, clocks: Clocks) -> Slow:
        rng = self._rng
        chance = rng.random()
        if chance < 0.1:
            raise FailureError(failure(Kind.CONNECT))
        if chance < 0.2:
            return Slow(refused("openai", Kind.OVERLOADED), rng)
        asked = json.loads(call.body)
        return Slow((self._streamed if asked["stream"] else self._whole)(asked["max_tokens"]), rng)

    async def close(self) -> None:
        """Nothing is held open."""

    def _whole(self, most: int) -> Given:
        return whole("openai", usage=Usage(input=PROMPT_TOKENS, output=self._rng.randint(1, most)))

    def _streamed(self, most: int) -> Given:
        rng = self._rng
        # A word is a token; as letters are counted while they pass, it is a little more.
        texts = ["word " * rng.randint(1, 8) for _ in range(rng.randint(1, 40))]
        output = min(sum(map(len, texts)) // 5, most)
        pieces = frames("openai", events(*texts, usage=Usage(input=PROMPT_TOKENS, output=output)))
        fate = rng.random()
        if fate < 0.25:
            return Given([*pieces[: rng.randint(0, len(pieces) - 1)], failure(Kind.CUT)])
        if fate < 0.3:
            return Given([*pieces[: rng.randint(0, len(pieces) - 1)], "silence"])
        return Given([*pieces])


class Rooms:
    """A stack in front of the fickle provider, over two budgets."""

    def __init__(self, ledger: Ledger, journal: Journal, rng: random.Random, cap_nanos: int) -> None:
        self._rng = rng
        budgets = (
            Budget(name="day", cap_nanos=cap_nanos, period=Period.TOTAL),
            Budget(name="month", cap_nanos=cap_nanos * 2, period=Period.TOTAL),
        )
        boxes = tuple(target(name=name, price=PRICE, output=MOST_TOKENS) for name in ("one", "other"))
        app: App = RouterMiddleware(FallbackMiddleware(Forward(Fickle(rng), killed=ledger.killed)))
        app = LaneMiddleware(
            BudgetMiddleware(app, ledger=ledger, budgets=budgets), lanes=[Lane(name="asked", targets=boxes)]
        )
        self._app = ObserveMiddleware(app, journal=journal)

    async def one(self) -> Ended:
        """Asks once, and may not wait for the answer."""
        rng = self._rng
        caller = ask("openai", "asked", hook=True, stream=rng.random() < 0.6, max_tokens=rng.randint(1, MOST_TOKENS))
        asking = caller.start(self._app)
        loop = asyncio.get_running_loop()
        leaving = loop.call_later(rng.random() * 0.03 if rng.random() < 0.3 else 1.0, caller.leave)
        if rng.random() < 0.05:
            loop.call_later(rng.random() * 0.02, asking.cancel)
        with suppress(asyncio.CancelledError):
            await asking
        leaving.cancel()
        exchange: Exchange | None = caller.scope.get(SLOT)
        if exchange is None:
            return Ended("", 0, False)
        return Ended(exchange.request_id, exchange.cost_nanos(), exchange.status == 402)
