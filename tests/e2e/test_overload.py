"""A gateway with more to do than it can: who is turned away, in which words, and who is not disturbed by it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anthropic
import ollama
import openai
import pytest

from tests.e2e.house import ADMIN, ANSWER, QUESTION, asking_ollama
from tests.e2e.raw import ASK, Raw, head, request
from tests.harness.gateway import Served, served, until

MOST = 2
SLOW = "sim-large-long-40-slow-20ms"
COUNTED = " ".join(map(str, range(1, 41)))
CONFIG = """
[server]
store = "sqlite:///kept.db"
admin_key = "admin-key-of-tests"
cors = ["https://page.test"]
{more}

[providers.sim]
url = "simulated://models/v1"
accepts = ["sim-*"]
"""
STREAM = {"model": SLOW, "messages": [{"role": "user", "content": QUESTION}], "stream": True}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("overload")
    with served(folder, CONFIG.format(more=f"most_requests = {MOST}")) as gateway:
        yield gateway


@pytest.fixture
def streams(gateway: Served) -> Iterator[list[Raw]]:
    """As many as there may be, each begun. At the end they are seen to be whole."""
    with ExitStack() as stack:
        begun = [stack.enter_context(Raw(gateway.port)) for _ in range(MOST)]
        for raw in begun:
            raw.send(request(body=STREAM))
        until(lambda: counted(gateway, "laneway_in_flight") == MOST)
        yield begun
        for raw in begun:
            answer = raw.answer()
            assert answer.status == 200
            assert said(answer.body) == COUNTED
    until(lambda: counted(gateway, "laneway_in_flight") == 0)


def said(body: bytes) -> str:
    pieces = [piece.removeprefix("data: ") for piece in body.decode().split("\n\n") if piece]
    assert pieces[-1] == "[DONE]"
    chunks = [json.loads(piece) for piece in pieces[:-1]]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


def counted(gateway: Served, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", gateway.get("/metrics").text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


# --- too many at once --------------------------------------------------------------------------------------


def test_who_is_turned_away_reads_it_in_the_own_format(gateway: Served, streams: list[Raw]) -> None:
    before = counted(gateway, 'laneway_turned_away_total{reason="requests"}')
    messages = [{"role": "user", "content": QUESTION}]
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as by_openai,
    ):
        client.chat.completions.create(model="sim-large", messages=messages)  # type: ignore[arg-type]
    assert by_openai.value.status_code == 503
    assert by_openai.value.code == "queue_full"
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key="none", max_retries=0) as other,
        pytest.raises(anthropic.APIStatusError) as by_anthropic,
    ):
        other.messages.create(model="sim-large", max_tokens=10, messages=messages)  # type: ignore[arg-type]
    # Anthropic has a status of its own for this.
    assert by_anthropic.value.status_code == 529
    assert by_anthropic.value.body["error"]["type"] == "overloaded_error"  # type: ignore[index]
    with asking_ollama(gateway.url) as third, pytest.raises(ollama.ResponseError) as by_ollama:
        third.generate("sim-large", QUESTION)
    assert by_ollama.value.status_code == 503
    assert "as many requests under way as it may have" in by_ollama.value.error
    for failed in (by_openai.value, by_anthropic.value):
        assert 1 <= int(failed.response.headers["retry-after"]) <= 3
        assert f"ask again in {failed.response.headers['retry-after']} second" in str(failed)
    assert counted(gateway, 'laneway_turned_away_total{reason="requests"}') == before + 3


def test_what_is_no_front_stays_reachable(gateway: Served, streams: list[Raw]) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/v1/models", "/api/tags"):
        assert gateway.get(path).status_code == 200
    assert gateway.get("/admin/v1/records", headers=ADMIN).status_code == 200
    assert gateway.post("/admin/v1/reload", headers=ADMIN).json()["reloaded"]
    assert gateway.chat("sim-large").status_code == 503, "a reload forgets nobody who is under way"


def test_the_connection_serves_on(gateway: Served, streams: list[Raw]) -> None:
    """Whatever the shape in which the request came, and once there is room again."""
    with Raw(gateway.port) as raw:
        for body in (request(body=ASK), request("/v1/chat/completions?beta=true", body=ASK)):
            raw.send(body)
            assert raw.answer().status == 503
        raw.send(head(lines := "/v1/chat/completions") + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        assert raw.answer().status == 503
        raw.send(b"3\r\nyou\r\n0\r\n\r\n" + request(lines, ASK))
        assert raw.answer().status == 503
        for piece in (request(body=ASK)[:40], request(body=ASK)[40:-9]):
            raw.send(piece)
        assert raw.answer().status == 503
        raw.send(request(body=ASK)[-9:] + request(body=ASK) + request(body=ASK))
        assert [raw.answer().status for _ in range(2)] == [503, 503]
        for stream in streams:
            stream.close()
        streams.clear()
        until(lambda: counted(gateway, "laneway_in_flight") == 0)
        raw.send(request(body=ASK))
        answer = raw.answer()
        assert answer.status == 200
        assert answer.json["choices"][0]["message"]["content"] == ANSWER


def test_a_body_that_waits_for_leave_is_not_asked_for(gateway: Served, streams: list[Raw]) -> None:
    with Raw(gateway.port) as raw:
        raw.send(head("/v1/messages", "expect: 100-continue", "content-length: 100") + b"\r\n")
        answer = raw.answer()
        assert (answer.status, answer.headers["connection"]) == (529, "close")
    with Raw(gateway.port) as raw:
        raw.send(request("/api/chat", ASK, "connection: close"))
        assert raw.rest().startswith(b"HTTP/1.1 503 ")


def test_a_page_may_read_that_it_is_turned_away(gateway: Served, streams: list[Raw]) -> None:
    answer = gateway.chat("sim-large", headers={"origin": "https://page.test"})
    assert answer.status_code == 503
    assert answer.headers["access-control-allow-origin"] == "https://page.test"
    assert answer.headers["retry-after"]


# --- more than the processor can do ------------------------------------------------------------------------


class Caller(asyncio.Protocol):
    """Asks again and again, until everybody has seen enough."""

    statuses: dict[int, int]
    enough: asyncio.Event

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(request(body=ASK))

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 "):
            status = int(data[9:12])
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if self.statuses.get(503, 0) >= 20 and self.statuses.get(200, 0) >= 500:
                self.enough.set()
            if not self.enough.is_set():
                self.transport.write(request(body=ASK))


def test_a_loop_that_is_late_turns_new_requests_away_and_finishes_the_others(tmp_path: Path) -> None:
    async def flood(port: int) -> dict[int, int]:
        Caller.statuses, Caller.enough = {}, asyncio.Event()
        loop = asyncio.get_running_loop()
        made = [await loop.create_connection(Caller, "127.0.0.1", port) for _ in range(600)]
        async with asyncio.timeout(60):
            await Caller.enough.wait()
        for transport, _ in made:
            transport.close()
        return Caller.statuses

    with served(tmp_path, CONFIG.format(more="most_lag = 0.02")) as gateway, Raw(gateway.port) as raw:
        raw.send(request(body=STREAM))
        statuses = asyncio.run(flood(gateway.port))
        assert set(statuses) == {200, 503}
        answer = raw.answer()
        assert answer.status == 200
        assert said(answer.body) == COUNTED
        assert counted(gateway, 'laneway_turned_away_total{reason="lag"}') >= 20
        until(lambda: gateway.chat("sim-large").status_code == 200)


def test_a_crowd_that_comes_at_once_is_let_in(tmp_path: Path) -> None:
    """However little one may wait while more come than can be served: this one will be over."""

    async def ask(port: int, ready: asyncio.Event) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await ready.wait()
        writer.write(request(body=ASK))
        status = int((await reader.readuntil(b"\r\n"))[9:12])
        writer.close()
        return status

    async def crowd(port: int) -> set[int]:
        ready = asyncio.Event()
        asking = [asyncio.ensure_future(ask(port, ready)) for _ in range(1500)]
        await asyncio.sleep(0.5)
        ready.set()
        async with asyncio.timeout(60):
            return set(await asyncio.gather(*asking))

    with served(tmp_path, CONFIG.format(more="most_lag = 0.02")) as gateway:
        assert asyncio.run(crowd(gateway.port)) == {200}
