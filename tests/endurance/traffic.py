"""The traffic of the endurance run: every front, every form, and callers and providers on their bad days.

Owns: one kind of request each, what is promised of it, and how often it comes. Refuses: judging more than the answer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from tests.endurance.scene import ADMIN, POOR, TEAM

LIMIT_S = 60.0
CHAT, RESPONSES, MESSAGES, OLLAMA = FRONTS = "/v1/chat/completions", "/v1/responses", "/v1/messages", "/api/chat"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
ENDS = {CHAT: "data: [DONE]", RESPONSES: "response.completed", MESSAGES: "message_stop", OLLAMA: '"done":true'}


class Traffic:
    """All callers together."""

    def __init__(self, url: str, rng: random.Random) -> None:
        self.rng = rng
        self.complaints: list[str] = []
        self.done: Counter[str] = Counter()
        self.steady: list[tuple[float, float]] = []
        """When a plain request was answered, and how long that took."""
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=8, keepalive_expiry=5.0)
        self.client = httpx.AsyncClient(base_url=url, timeout=LIMIT_S, trust_env=False, limits=limits)
        self._kinds: tuple[tuple[Callable[[], Awaitable[None]], int], ...] = (
            (self.whole, 10),
            (self.streamed, 10),
            (self.tools, 3),
            (self.embedded, 3),
            (self.pooled, 6),
            (self.failed_over, 4),
            (self.saved, 2),
            (self.cut, 2),
            (self.broken, 2),
            (self.left, 4),
            (self.poor, 2),
            (self.refused, 2),
            (self.ran, 2),
        )

    async def call(self, until: float, rate: float) -> None:
        """One caller, who asks so many times a second on average until the time has come."""
        kinds, weights = zip(*self._kinds, strict=True)
        while time.monotonic() < until:
            kind = self.rng.choices(kinds, weights)[0]
            try:
                await kind()
            except httpx.HTTPError as error:
                self.complain(f"{kind.__name__}: {type(error).__name__} {error}")
            self.done[kind.__name__] += 1
            await asyncio.sleep(self.rng.expovariate(rate))

    async def listen(self, path: str, headers: Mapping[str, str], until: float) -> None:
        """Reads events for as long as the run takes, and comes again where it is sent away."""
        while (left_s := until - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(left_s, 45.0)), self.client.stream("GET", path, headers=headers) as told:
                    if told.status_code != 200:
                        self.complain(f"listening at {path}: {told.status_code}")
                    async for _ in told.aiter_lines():
                        self.done["events"] += 1
            except TimeoutError:
                continue

    def complain(self, said: str) -> None:
        self.complaints.append(said[:300])

    # --- kinds ---------------------------------------------------------------------------------------------

    async def whole(self) -> None:
        path, model = self.rng.choice(
            tuple(zip(FRONTS, ("oa/sim-large", "re/sim-large", "an/sim-large", "ol/sim-large"), strict=True))
        )
        began = time.monotonic()
        await self._ask(path, body(path, model), 200)
        if path == CHAT:
            now = time.monotonic()
            self.steady.append((now, now - began))

    async def streamed(self) -> None:
        path = self.rng.choice(FRONTS)
        model = self.rng.choice(("oa", "re", "an", "ol")) + "/sim-medium-long-25-slow-4ms"
        await self._stream(path, model, ENDS[path])

    async def tools(self) -> None:
        await self._ask(CHAT, {**body(CHAT, "oa/sim-tools"), "tools": [TOOL]}, 200)

    async def embedded(self) -> None:
        path, field = self.rng.choice((("/v1/embeddings", "input"), ("/api/embed", "input")))
        await self._ask(path, {"model": "oa/sim-embed", field: [self.words(), self.words()]}, 200)

    async def pooled(self) -> None:
        await self._ask(CHAT, body(CHAT, "auto", self.words()), 200)

    async def failed_over(self) -> None:
        lane = self.rng.choice(("sturdy", "impatient"))
        if self.rng.random() < 0.5:
            await self._stream(CHAT, lane, ENDS[CHAT])
        else:
            await self._ask(CHAT, body(CHAT, "sturdy"), 200)

    async def saved(self) -> None:
        await self._stream(CHAT, "saved", ENDS[CHAT])

    async def cut(self) -> None:
        """Provoked: the provider breaks off, and the caller must not take what came for the whole."""
        await self._stream(MESSAGES, "oa/sim-large-long-30-cut-after-9", '"type":"error"')

    async def broken(self) -> None:
        """Provoked: nobody else can serve it."""
        model, status = self.rng.choice((("oa/sim-fail-500", 502), ("oa/sim-reset", 502)))
        await self._ask(CHAT, body(CHAT, model), status)

    async def left(self) -> None:
        path = self.rng.choice(FRONTS)
        asked = {**body(path, "oa/sim-large-long-200-slow-10ms"), "stream": True}
        async with self.client.stream("POST", path, json=asked, headers=TEAM) as answer:
            async for _ in answer.aiter_bytes():
                break

    async def poor(self) -> None:
        answer = await self.client.post(CHAT, json=body(CHAT, "oa/sim-large"), headers=POOR)
        if answer.status_code not in (200, 402):
            self.complain(f"poor: {answer.status_code} {answer.text}")

    async def refused(self) -> None:
        await self._ask(CHAT, body(CHAT, "nobody/has-this"), 404)
        await self._ask(CHAT, {"model": "auto"}, 400)

    async def ran(self) -> None:
        asked = {"model": "oa/sim-medium", "prompt": self.words()}
        answer = await self.client.post("/v1/runs", json=asked, headers=TEAM)
        if answer.status_code != 202:
            self.complain(f"ran: {answer.status_code} {answer.text}")
            return
        async with asyncio.timeout(LIMIT_S):
            while True:
                run = (await self.client.get(f"/v1/runs/{answer.json()['id']}", headers=TEAM)).json()
                if run["state"] in ("succeeded", "failed", "cancelled"):
                    break
                await asyncio.sleep(0.3)
        if run["state"] != "succeeded":
            self.complain(f"ran: {run['state']}")

    async def looked(self) -> None:
        """What a person at the page asks for."""
        for path in ("/admin/v1/usage", "/admin/v1/records?limit=20", "/admin/v1/health", "/admin/v1/budgets"):
            answer = await self.client.get(path, headers=ADMIN)
            if answer.status_code != 200:
                self.complain(f"{path}: {answer.status_code}")

    # --- asking --------------------------------------------------------------------------------------------

    async def _ask(self, path: str, asked: Mapping[str, Any], status: int) -> None:
        answer = await self.client.post(path, json=asked, headers=TEAM)
        if answer.status_code != status:
            self.complain(f"{path} {asked['model']}: {answer.status_code} where {status} was due: {answer.text}")

    async def _stream(self, path: str, model: str, end: str) -> None:
        asked = {**body(path, model), "stream": True}
        tail = ""
        async with self.client.stream("POST", path, json=asked, headers=TEAM) as answer:
            async for piece in answer.aiter_text():
                # The end of a response repeats all of it.
                tail = (tail + piece)[-4000:]
        if answer.status_code != 200 or end not in tail:
            self.complain(f"{path} {model}: {answer.status_code}, and not the end that was due: {tail[-200:]}")

    def words(self) -> str:
        return f"What is {self.rng.randint(2, 999)}*{self.rng.randint(2, 999)}?"


def body(path: str, model: str, prompt: str = "What is the capital of France?") -> dict[str, Any]:
    turns = [{"role": "user", "content": prompt}]
    if path == RESPONSES:
        return {"model": model, "input": turns, "max_output_tokens": 300}
    more: dict[str, Any] = {"stream": False} if path == OLLAMA else {"max_tokens": 300}
    return {"model": model, "messages": turns, **more}
