"""A shadowed lane as its callers meet it: real clients, real sockets, and nothing to notice.

Each client is asked to do the same twice, at the legacy provider itself and through a gateway that shadows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.e2e.house import ADMIN, ANSWER, QUESTION, asking_ollama
from tests.fakes.providers import FakeProvider, Street
from tests.fakes.upstream import Request
from tests.harness.gateway import Served, served, until

MODELS = {"gemma3:4b": "sim-large"}
TURNS: Any = [{"role": "user", "content": QUESTION}]
CONFIG = """
[server]
admin_key = "admin-key-of-tests"

[providers.own]
dialect = "ollama"
url = "{own}"
tier = "local"

[lanes.chat]
targets = ["own/gemma3:4b"]
claims = ["gemma3:4b"]
stage = "{stage}"
share = {share}
legacy = "{legacy}"
"""


class Seen:
    """A gateway that shadows a provider, and who was asked."""

    def __init__(self, gateway: Served, old: FakeProvider, own: FakeProvider) -> None:
        self.gateway = gateway
        self.old = old
        self.own = own

    def twice(self, ask: Callable[[str], Any]) -> tuple[Request, Request]:
        """What the legacy provider was asked directly, and through the gateway. Both answers are alike."""
        before = len(self.old.asked())
        direct, through = ask(self.old.url.removesuffix("/v1")), ask(self.gateway.url)
        assert through == direct
        asked = self.old.asked()[before:]
        assert len(asked) == 2
        return asked[0], asked[1]

    def rows(self, count: int) -> list[Any]:
        def found() -> list[Any]:
            lanes = self.gateway.get("/admin/v1/shadow", headers=ADMIN).json()["data"]
            return lanes if sum(lane["decisions"] for lane in lanes) >= count else []

        return until(found)


@contextmanager
def shadowed(street: Street, folder: Path, speaks: str, *, stage: str = "shadow", share: float = 0.0) -> Iterator[Seen]:
    old, own = street.open(speaks, MODELS), street.open("ollama", MODELS)
    config = CONFIG.format(own=own.url, legacy=old.url, stage=stage, share=share)
    try:
        with served(folder, config) as gateway:
            yield Seen(gateway, old, own)
    finally:
        old.kill()
        own.kill()


def alike(direct: Request, through: Request) -> None:
    """Byte for byte, but for what belongs to a connection."""
    assert (through.method, through.target, through.body) == (direct.method, direct.target, direct.body)
    assert _kept(through) == _kept(direct)


def _kept(request: Request) -> list[tuple[bytes, bytes]]:
    return sorted((name, value) for name, value in request.headers if name not in (b"host", b"connection"))


def test_openais_client_notices_nothing(street: Street, tmp_path: Path) -> None:
    def ask(url: str) -> Any:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="key-of-the-old-one", max_retries=0) as client:
            whole = client.chat.completions.create(model="gemma3:4b", messages=TURNS, seed=7, extra_body={"x": [1.50]})
            return (whole.choices[0].message.content, whole.usage, whole.model)

    def stream(url: str) -> Any:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="key-of-the-old-one", max_retries=0) as client:
            chunks = client.chat.completions.create(
                model="gemma3:4b", messages=TURNS, stream=True, stream_options={"include_usage": True}
            )
            return [(chunk.choices[0].delta.content if chunk.choices else None, chunk.usage) for chunk in chunks]

    with shadowed(street, tmp_path, "openai") as seen:
        alike(*seen.twice(ask))
        alike(*seen.twice(stream))
        assert ask(seen.gateway.url)[0] == ANSWER
        (figures,) = seen.rows(3)
        assert (figures["decisions"], figures["undecided"], figures["compared"]) == (3, 0, 3)
        assert figures["divergence"]["host"] == 3
        assert (figures["latency"]["pairs"], figures["cost"]["pairs"]) == (0, 3)
        assert seen.own.asked() == []
        (record, *_) = seen.gateway.get("/admin/v1/records", headers=ADMIN).json()["data"]
        assert (record["decided_by"], record["awooop.endpoint"], record["awooop.lane"]) == ("legacy", "legacy", "chat")
        assert record["gen_ai.usage.output_tokens"] > 0


def test_ollamas_client_notices_nothing(street: Street, tmp_path: Path) -> None:
    def ask(url: str) -> Any:
        with asking_ollama(url) as client:
            return client.chat("gemma3:4b", TURNS, options={"temperature": 0}, keep_alive=0).message.content

    def stream(url: str) -> Any:
        with asking_ollama(url) as client:
            return [part.message.content for part in client.chat("gemma3:4b", TURNS, stream=True)]

    with shadowed(street, tmp_path, "ollama") as seen:
        alike(*seen.twice(ask))
        alike(*seen.twice(stream))
        assert seen.own.asked() == []


def test_anthropics_client_notices_nothing(street: Street, tmp_path: Path) -> None:
    def ask(url: str) -> Any:
        with anthropic.Anthropic(base_url=url, api_key="key-of-the-old-one", max_retries=0) as client:
            whole = client.messages.create(model="gemma3:4b", max_tokens=50, messages=TURNS)
            return [(block.type, getattr(block, "text", "")) for block in whole.content]

    def stream(url: str) -> Any:
        with (
            anthropic.Anthropic(base_url=url, api_key="key-of-the-old-one", max_retries=0) as client,
            client.messages.stream(model="gemma3:4b", max_tokens=50, messages=TURNS) as events,
        ):
            return list(events.text_stream)

    with shadowed(street, tmp_path, "anthropic") as seen:
        alike(*seen.twice(ask))
        alike(*seen.twice(stream))


@pytest.mark.parametrize("stream", [False, True])
def test_the_bytes_of_an_answer_are_those_of_the_legacy_path(street: Street, tmp_path: Path, stream: bool) -> None:
    body = json.dumps({"model": "gemma3:4b", "messages": TURNS, "stream": stream}).encode()

    def ask(url: str) -> tuple[int, bytes, str]:
        head = {"content-type": "application/json"}
        answer = httpx.post(f"{url}/api/chat?x=%20y", content=body, headers=head, trust_env=False)
        return answer.status_code, answer.content, answer.headers["content-type"]

    with shadowed(street, tmp_path, "ollama") as seen:
        direct, through = seen.twice(ask)
        alike(direct, through)
        assert through.target == "/api/chat?x=%20y"


def test_of_a_canary_some_are_served_here_and_the_rest_as_before(street: Street, tmp_path: Path) -> None:
    with shadowed(street, tmp_path, "openai", stage="canary", share=0.5) as seen:
        for number in range(24):
            headers = {"x-laneway-trace": f"talk-{number % 12}"}
            assert seen.gateway.chat("gemma3:4b", QUESTION, headers=headers).status_code == 200
        assert len(seen.own.asked()) + len(seen.old.asked()) == 24
        assert 0 < len(seen.own.asked()) < 24
        assert len(seen.own.asked()) % 2 == 0, "a conversation goes the same way each time"
        (figures,) = seen.rows(len(seen.old.asked()))
        assert (figures["executed"], figures["decisions"]) == (len(seen.own.asked()), len(seen.old.asked()))
        assert figures["latency"]["pairs"] > 0


def test_a_host_of_the_decision_that_is_down_hurts_no_answer(street: Street, tmp_path: Path) -> None:
    with shadowed(street, tmp_path, "openai") as seen:
        seen.own.kill()
        assert seen.gateway.chat("gemma3:4b", QUESTION).json()["choices"][0]["message"]["content"] == ANSWER
        seen.old.kill()
        answer = seen.gateway.chat("gemma3:4b", QUESTION)
        assert answer.status_code == 502
