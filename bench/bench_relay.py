"""What a chunk of a stream costs on its way through the innermost rooms, by what is done to save the stream.

Owns: a thousand chunks of one answer through Fallback and Forward, passed as they came and translated, one read each.
Refuses: sockets; bench/peers has those.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from laneway.exchange import Exchange
from laneway.forward import Forward
from laneway.middleware.fallback import FallbackMiddleware
from tests.fakes.replies import Given, Scripted, events, frames, target

THOUSAND = 1000
BODY = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}).encode()
SCOPE: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}


@pytest.mark.parametrize("rescue", ["error", "continue", "hold"])
@pytest.mark.parametrize("speaks", ["openai", "anthropic"], ids=["passed", "translated"])
def test_a_chunk(benchmark: BenchmarkFixture, speaks: str, rescue: str) -> None:
    steps = frames(speaks, events(*["word " for _ in range(THOUSAND)]))
    goal = target(speaks)
    app = FallbackMiddleware(Forward(Scripted(Given(steps))), targets=(goal,), rescue=rescue)

    async def receive() -> dict[str, Any]:
        return await asyncio.Event().wait() or {}

    async def send(message: Any) -> None:
        pass

    async def stream() -> None:
        scope = dict(SCOPE)
        exchange = Exchange.of(scope)
        assert exchange is not None
        exchange.body = BODY
        exchange.view = exchange.dialect.view(exchange.op, BODY)
        await app(scope, receive, send)
        (attempt,) = exchange.attempts
        assert attempt.failure is None

    with asyncio.Runner() as runner:
        benchmark.pedantic(lambda: runner.run(stream()), rounds=60, warmup_rounds=5)  # type: ignore[no-untyped-call]
    if benchmark.stats:
        benchmark.extra_info["us_per_chunk"] = round(benchmark.stats.stats.median / THOUSAND * 1e6, 3)
