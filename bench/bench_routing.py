"""What being routed costs a request, in process: the decision as it is made live, and the whole stack around it.

Owns: a gateway with a store in a file and 5,000 examples, asked for one model by its name (bytes pass as they came) and
for a pool (learned: prompt read, embedded, compared, decided, its receipt written behind); and the ratio of the two in
processor time, in process and of a gateway that is served over sockets.
Refuses: judging. Medians and 99th percentiles stand in `extra_info`, in microseconds.
"""

from __future__ import annotations

import asyncio
import http.client
import http.server
import json
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from laneway.exchange import Exchange, Scope
from laneway.gateway import Gateway, build
from laneway.middleware.lane import LaneMiddleware
from laneway.policy.plan import plan
from laneway.ports import Call, Clocks, Example, Label, Reply
from laneway.route import Pool
from tests.harness.gateway import served

EXAMPLES = 5_000
ROUNDS = 2_000
REQUESTS = 64
WORDS = (
    "router", "explain", "theorem", "because", "ordinary", "request", "budget", "python", "integral", "kitchen",
    "vector", "history", "answer", "please", "number", "harbour", "compile", "market", "poem", "translate",
)  # fmt: skip
CONFIG = """
[server]
store = "sqlite:///{folder}/bench.db"
[providers.near]
url = "http://near.test/v1"
lists = false
[models.small]
provider = "near"
price = {{ input = "0.1", output = "0.4" }}
[models.middle]
provider = "near"
price = {{ input = "1", output = "4" }}
[models.large]
provider = "near"
price = {{ input = "5", output = "20" }}
[pools.smart]
candidates = ["small", "middle", "large"]
default = "large"
sticky = false
"""
ANSWER = json.dumps(
    {
        "id": "a",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Fine."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 3, "total_tokens": 503},
    }
).encode()


class Instant:
    """A provider that answers at once."""

    status = 200

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
        self._given = False

    async def read(self, limit_s: float) -> bytes:
        given, self._given = self._given, True
        return b"" if given else ANSWER

    async def close(self) -> None:
        pass


class Instantly:
    """An upstream of such providers."""

    async def open(self, call: Call, clocks: Clocks) -> Reply:
        return Instant()

    async def close(self) -> None:
        pass


def prompt(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))


def example(chance: random.Random) -> Example:
    text = prompt(chance, chance.randint(5, 200))
    hard = text.count("theorem") + text.count("integral") > len(text) / 180
    scores = (0.2, 0.6, 0.95) if hard else (0.9, 0.92, 0.95)
    names = ("near/small", "near/middle", "near/large")
    return Example(text=text, tag="bench", labels=tuple(map(Label, names, scores)))


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def gateway(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("routing")
    file = folder / "gateway.toml"
    file.write_text(CONFIG.format(folder=folder))
    made = build(Path(file), variables={}, upstream=Instantly())

    async def begin() -> None:
        await made.start()
        chance = random.Random(1)
        for _ in range(EXAMPLES // 500):
            await made.store.examples.add("default", [example(chance) for _ in range(500)])
        pool = made.desk.loaded.layout.pools["smart"]
        shelf = await made.shelves.ready("default")
        assert shelf is not None
        # Twice: the first lesson is a quick one.
        lesson = await made.counsel.lessons.ready("default", pool)
        while lesson is None or lesson.quick:
            lesson = made.counsel.lessons.get(pool, shelf)
            await asyncio.sleep(0.05)

    runner.run(begin())
    yield made
    runner.run(made.stop())


def body(model: str, text: str) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 300}).encode()


def scope() -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"x-laneway-tag", b"bench")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8080),
        "laneway.watch": lambda _: None,
    }


async def asked(app: Callable[..., Awaitable[None]], payload: bytes) -> dict[bytes, bytes]:
    head: dict[bytes, bytes] = {}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": payload, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
            head.update(message["headers"])

    await app(scope(), receive, send)
    return head


@pytest.mark.benchmark(group="a live decision")
def test_a_live_decision(benchmark: BenchmarkFixture, runner: asyncio.Runner, gateway: Gateway) -> None:
    """Body read, prompt of 500 tokens embedded, 5,000 examples searched, decided, and the receipt handed on."""
    layout = gateway.desk.loaded.layout
    pool: Pool = layout.pools["smart"]
    chance = random.Random(2)
    bodies = [body("smart", prompt(chance, 500)) for _ in range(64)]
    kept: list[str] = []

    async def placed(payload: bytes) -> Exchange:
        inside: list[Exchange] = []

        async def app(scope: Scope, *_: object) -> None:
            found = Exchange.of(scope)
            assert found is not None
            inside.append(found)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": payload, "more_body": False}

        async def send(_: Any) -> None:
            raise AssertionError("nobody answers")

        await LaneMiddleware(app, directory=layout)(scope(), receive, send)
        return inside[0]

    exchanges = [runner.run(placed(payload)) for payload in bodies]
    turn = iter(range(1 << 30))

    async def decide() -> None:
        from laneway.learning.case import case_of

        exchange = exchanges[next(turn) % len(exchanges)]
        exchange.asked = None
        case = case_of(exchange, pool, plan(exchange.candidates or (), exchange.view, ()))
        assert case is not None
        advice = await gateway.counsel.adviser.advise(case)
        gateway.counsel.adviser.keep(advice.receipt)
        gateway.counsel.adviser.ended(advice.receipt, ())
        kept.append(advice.receipt.rule)

    def once() -> None:
        try:
            decide().send(None)  # a coroutine that never waits is one step
        except StopIteration:
            return

    def between() -> None:
        if len(kept) % 50 == 0:
            # As on a running loop, what is written behind is written now and then.
            runner.run(written())

    async def written() -> None:
        await gateway.store.receipts.recent("default", limit=1)

    benchmark.pedantic(once, setup=between, rounds=ROUNDS, warmup_rounds=50)  # type: ignore[no-untyped-call]
    assert set(kept) == {"learned"}
    if benchmark.stats:
        taken_us = sorted(seconds * 1e6 for seconds in benchmark.stats.stats.data)
        benchmark.extra_info["p50_us"] = round(taken_us[len(taken_us) // 2], 1)
        benchmark.extra_info["p99_us"] = round(taken_us[len(taken_us) * 99 // 100], 1)


@pytest.mark.benchmark(group="the whole stack")
def test_being_routed_beside_passing_through(
    benchmark: BenchmarkFixture, runner: asyncio.Runner, gateway: Gateway
) -> None:
    """Processor time of all threads in turns of 64 requests, until everything is written; the best turn of each."""
    chance = random.Random(3)
    texts = [prompt(chance, 500) for _ in range(64)]
    spent: dict[str, list[float]] = {"small": [], "smart": []}

    async def requests(model: str) -> None:
        bodies = [body(model, text) for text in texts]
        began_s = time.process_time()
        for number in range(REQUESTS):
            head = await asked(gateway, bodies[number % len(bodies)])
            assert (b"x-laneway-decision" in head) is (model == "smart")
        # What is written behind belongs to it.
        await gateway.store.receipts.recent("default", limit=1)
        await gateway.store.journal.recent(1, {})
        spent[model].append((time.process_time() - began_s) / REQUESTS * 1e6)

    def turn() -> None:
        for model in spent:
            runner.run(requests(model))

    turn()
    spent = {model: [] for model in spent}
    benchmark.pedantic(turn, rounds=40)  # type: ignore[no-untyped-call]
    # A busy machine only ever adds.
    passing, routed = (min(each) for each in spent.values())
    benchmark.extra_info |= {
        "passing_us": round(passing, 1), "routed_us": round(routed, 1), "ratio": round(routed / passing, 2)
    }  # fmt: skip


@pytest.mark.benchmark(group="the whole stack")
def test_being_routed_beside_passing_through_over_sockets(
    benchmark: BenchmarkFixture, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Processor time of the gateway's process, in turns of 100 requests over a socket; the best turn of each."""
    folder = tmp_path_factory.mktemp("served")
    spent: dict[str, list[float]] = {"small": [], "smart": []}
    chance = random.Random(4)
    bodies = {model: [body(model, prompt(chance, 500)) for _ in range(50)] for model in spent}
    with (
        Provides() as port,
        served(folder, CONFIG.format(folder=folder).replace("near.test", f"127.0.0.1:{port}")) as gateway,
    ):
        for _ in range(EXAMPLES // 500):
            lines = [example(chance) for _ in range(500)]
            rows = [
                {"prompt": each.text, "tag": "bench", "scores": {label.candidate: label.score for label in each.labels}}
                for each in lines
            ]
            taught = gateway.client.post(
                f"{gateway.url}/v1/router/preferences/rank",
                content="\n".join(map(json.dumps, rows)),
                headers={"content-type": "application/x-ndjson"},
            )
            assert taught.status_code < 300, taught.text
        gateway.get("/v1/router/status")
        line = http.client.HTTPConnection("127.0.0.1", gateway.port)

        def requests(model: str) -> None:
            before = ticks(gateway.process.pid)
            for number in range(100):
                headers = {"content-type": "application/json", "x-laneway-tag": "bench"}
                line.request("POST", "/v1/chat/completions", bodies[model][number % 50], headers)
                answer = line.getresponse()
                answer.read()
                assert answer.status == 200
            time.sleep(0.1)  # what is written behind belongs to it
            spent[model].append((ticks(gateway.process.pid) - before) / 100 * 1e6)

        def turn() -> None:
            for model in spent:
                requests(model)

        turn()
        time.sleep(20)  # the thorough lesson behind the quick one
        spent = {model: [] for model in spent}
        benchmark.pedantic(turn, rounds=12)  # type: ignore[no-untyped-call]
        line.close()
    passing, routed = (min(each) for each in spent.values())
    benchmark.extra_info |= {
        "passing_us": round(passing, 1), "routed_us": round(routed, 1), "ratio": round(routed / passing, 2)
    }  # fmt: skip


def ticks(pid: int) -> float:
    """Processor time of a process so far, in seconds (proc(5), schedstat: nanoseconds of each thread)."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


class Provides:
    """A provider at a port of its own, in a thread."""

    def __enter__(self) -> int:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.wfile.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)
                    + ANSWER
                )

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        port: int = self._server.server_address[1]
        return port

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
