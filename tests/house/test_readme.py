"""What the README shows of single rooms is run as it stands there, and what it says of their knobs is so."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import laneway
from laneway.corridor import Corridor
from laneway.gateway import build
from laneway.upstream.engine import Engine
from tests.fakes.replies import whole
from tests.fakes.upstream import FakeUpstream, Wire
from tests.harness.asgi import Answer, ask
from tests.harness.loop import run
from tests.harness.rooms import CLASSES, ORDER
from tests.house.source import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = re.split(r"(?m)^## ", README.partition("\n## One room alone\n")[2])[0]
BLOCKS = re.findall(r"(?ms)^```python\n(.*?)^```$", SECTION)
GONE = "http://127.0.0.1:9"
"""Port 9 is "discard" (RFC 863), and nobody listens there."""


def shown(words: str) -> str:
    """The block that is about this."""
    (block,) = (block for block in BLOCKS if words in block.partition("\n")[0])
    return str(block)


def play(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "shown"}
    exec(compile(block, "README.md", "exec"), names)
    return names


def test_every_block_is_known_here() -> None:
    assert len(BLOCKS) == 3


def test_a_budget_in_front_of_a_fastapi_endpoint() -> None:
    app = play(shown("a budget in front of"))["app"]
    answer = run(ask("openai", "gpt").call(app))
    assert answer.status == 200
    assert answer.json["choices"][0]["message"]["content"] == "hello"
    refused = run(ask("openai", "gpt", max_tokens=10**8).call(app))
    assert refused.status == 402
    assert "cap 5 USD" in refused.json["error"]["message"]


def test_keys_in_front_of_a_plain_app() -> None:
    app = play(shown("keys in front of"))["app"]
    assert run(ask("openai", "gpt", headers={"x-api-key": "sk-team-a-0001"}).call(app)).json == {"served": True}
    assert run(ask("openai", "gpt").call(app)).status == 401


def test_failover_in_a_starlette_app(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Engine] = []

    class Noted(Engine):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(laneway, "Engine", Noted, raising=False)

    async def script(wire: Wire) -> None:
        await wire.request()
        body = whole("ollama").steps[0]
        assert isinstance(body, bytes)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        await wire.send(head + body)
        await wire.gone()

    async def main() -> Answer:
        async with FakeUpstream(script) as spare:
            block = shown("failover").replace("http://127.0.0.1:11434", GONE)
            names = play(block.replace("http://127.0.0.1:11435", spare.origin))
            caller = ask("anthropic", "gemma3")
            caller.scope["path"] = "/llm" + caller.scope["path"]
            answer = await caller.call(names["app"])
            for engine in made:
                await engine.close()
            assert [request.target for request in spare.requests] == ["/api/chat"]
            assert b"gemma3:4b" in spare.requests[0].body
            return answer

    answer = run(main())
    assert answer.json["content"][0]["text"] == "7 * 8 = 56."
    assert answer.headers["x-llm-backend"] == "spare"
    assert answer.headers["x-laneway-attempts"] == "2"


def test_the_knobs_it_names_are_there() -> None:
    rows = re.findall(r"(?m)^\| `(\w+Middleware)\(app(?:, )?(.*?)\)` \|", SECTION)
    assert {name for name, _ in rows} == {room.__name__ for room in CLASSES.values()}
    for name, knobs in rows:
        known = inspect.signature(getattr(laneway, name)).parameters
        assert all(
            known[knob.strip().rstrip("=")].kind is inspect.Parameter.KEYWORD_ONLY for knob in knobs.split(",") if knob
        ), name


def test_the_order_it_names_is_the_gateways_and_the_suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (order,) = re.findall(r"The order of the whole is `([a-z()]+)`", SECTION)
    assert tuple(order.rstrip(")").split("(")) == (*ORDER, "forward")
    app: Any = build(variables={"LANEWAY_STORE": "memory:"}).stack
    built: list[str] = []
    while app is not None:
        if isinstance(app, Corridor):  # it passes rooms and is none
            app = app.app
        built.append(type(app).__name__.removesuffix("Middleware").lower())
        app = getattr(app, "app", None)
    assert tuple(built) == (*ORDER, "forward")
