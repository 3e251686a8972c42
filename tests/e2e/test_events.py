"""Events of a running gateway: the feeds, the stream of who asked, and the headers; with the real clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.e2e.house import ADMIN, ANSWER, QUESTION, SIMULATED
from tests.harness.gateway import Served, served

CONFIG = f"""
[server]
store = "sqlite:///kept.db"
admin_key = "admin-key-of-tests"
{SIMULATED}
[lanes.chain]
targets = ["sim/sim-down", "sim/sim-large"]

[lanes.mended]
targets = ["sim/sim-large-cut-after-2", "sim/sim-large"]

[tenants.acme]
keys = ["key-of-acme"]

[tenants.bees]
keys = ["key-of-bees"]
"""
ACME, BEES = ({"authorization": f"Bearer key-of-{name}"} for name in ("acme", "bees"))
INLINE = {"X-Laneway-Events": "inline"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("events"), CONFIG) as gateway:
        yield gateway


class Feed:
    """A feed, read event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()
        self.last_id = ""

    def next(self) -> tuple[str, Any]:
        name = ""
        for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "id":
                self.last_id = value
            elif field == "event":
                name = value
            elif field == "data":
                return name, json.loads(value)
        raise EOFError

    def until(self, name: str, wanted: Callable[[Any], bool] = lambda _: True) -> Any:
        """The facts of the next such event."""
        while True:
            found, facts = self.next()
            if found == name and wanted(facts):
                return facts


@contextmanager
def listening(gateway: Served, headers: Mapping[str, str], path: str = "/v1/events") -> Iterator[Feed]:
    with gateway.client.stream("GET", gateway.url + path, headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Feed(response)


# --- the feed ----------------------------------------------------------------------------------------------


def test_a_tenant_hears_its_own_and_an_operator_hears_all(gateway: Served) -> None:
    with listening(gateway, ACME) as own, listening(gateway, ADMIN, "/admin/v1/events") as everybody:
        assert gateway.chat("sim-large", headers=BEES).status_code == 200
        assert gateway.chat("chain", headers={**ACME, "x-laneway-project": "shop"}).status_code == 200
        heard = [own.next() for _ in range(3)]
        assert [name for name, _ in heard] == ["run.started", "run.fallback", "run.completed"]
        assert {facts["tenant"] for _, facts in heard} == {"acme"}
        done = heard[-1][1]
        assert (done["lane"], done["tier"], done["model"], done["project"]) == ("chain", "local", "sim-large", "shop")
        assert (done["badge"], done["fallback_reason"], done["attempts"]) == ("Local", "connect", 2)
        assert float(done["cost_usd"]) > 0
        assert done["usage"]["output_tokens"] > 0
        assert [everybody.next()[1]["tenant"] for _ in range(5)] == ["bees"] * 2 + ["acme"] * 3


def test_the_feeds_ask_for_keys(gateway: Served) -> None:
    assert gateway.get("/v1/events").status_code == 401
    assert gateway.get("/v1/events", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert gateway.get("/admin/v1/events", headers=ACME).status_code == 401


def test_who_comes_back_misses_nothing(gateway: Served) -> None:
    with listening(gateway, ACME) as feed:
        gateway.chat("sim-large", headers=ACME)
        feed.until("run.completed")
        last = feed.last_id
    gateway.chat("sim-small", headers=ACME)
    with listening(gateway, {**ACME, "last-event-id": last}) as feed:
        assert feed.next()[1]["requested_model"] == "sim-small"
        assert feed.until("run.completed")["requested_model"] == "sim-small"
    with listening(gateway, {**ACME, "last-event-id": "of-another-process-7"}) as feed:
        gateway.chat("sim-small", headers=ACME)
        assert feed.next() == ("lag", {"dropped": None})


def test_a_refused_request_is_told_of(gateway: Served) -> None:
    with listening(gateway, ADMIN, "/admin/v1/events") as feed:
        assert gateway.chat("sim-large").status_code == 401
        name, facts = feed.next()
        assert (name, facts["status"], facts["failure"]) == ("run.completed", 401, "unauthenticated")


def test_what_another_worker_served_is_heard_when_it_is_recorded(tmp_path: Path) -> None:
    with served(tmp_path, CONFIG, arguments=["--workers", "2"]) as gateway, listening(gateway, ACME) as feed:
        wanted: list[str] = []
        heard: list[object] = []
        workers: set[str] = set()
        with ThreadPoolExecutor(8) as callers:
            # Callers who come at the same time are taken by whichever worker is awake: soon both have served some.
            while len(workers) < 2:
                assert len(wanted) < 800, "one worker served them all"
                traces = [f"t-{len(wanted) + number}" for number in range(16)]
                wanted += traces
                assert set(callers.map(lambda trace: _asked(gateway, trace), traces)) == {200}
                heard += [feed.until("run.completed")["project"] for _ in traces]
                records = gateway.get("/admin/v1/records?limit=1000", headers=ADMIN).json()["data"]
                workers = {record["request_id"][:16] for record in records}
        assert sorted(map(str, heard)) == sorted(wanted)


def _asked(gateway: Served, trace: str) -> int:
    return gateway.chat("sim-large", headers={**ACME, "x-laneway-project": trace}).status_code


def test_a_feed_does_not_keep_the_gateway_from_stopping(tmp_path: Path) -> None:
    """Answers under way would be waited for far longer than a test has patience."""
    patient = {"LANEWAY_TIMEOUT_SCALE": "100"}
    with served(tmp_path, CONFIG, variables=patient) as gateway, listening(gateway, ACME) as feed:
        gateway.chat("sim-large", headers=ACME)
        feed.until("run.completed")
        gateway.end()
        with pytest.raises(EOFError):
            feed.next()


# --- headers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_headers_say_it_too(gateway: Served, stream: bool) -> None:
    body = {"model": "chain", "stream": stream, "messages": [{"role": "user", "content": QUESTION}]}
    headers = gateway.post("/v1/chat/completions", body, headers=ACME).headers
    told = {name: headers[f"x-laneway-{name}"] for name in ("lane", "tier", "model", "attempts", "fallback", "badge")}
    assert told == {
        "lane": "chain",
        "tier": "local",
        "model": "sim-large",
        "attempts": "2",
        "fallback": "connect",
        "badge": "Local",
    }
    assert "x-laneway-fallback" not in gateway.chat("sim-large", headers=ACME).headers


# --- inside the stream -------------------------------------------------------------------------------------


@pytest.mark.parametrize("asks", [False, True], ids=["silent", "asked"])
def test_the_openai_client_reads_the_stream(gateway: Served, asks: bool) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="key-of-acme", max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model="chain",
                stream=True,
                messages=[{"role": "user", "content": QUESTION}],
                extra_headers=INLINE if asks else {},
            )
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        told = [(chunk.model_extra or {})["laneway"] for chunk in chunks if "laneway" in (chunk.model_extra or {})]
        written = client.completions.create(
            model="sim-large", stream=True, prompt=QUESTION, extra_headers=INLINE if asks else {}
        )
        assert "".join(chunk.choices[0].text for chunk in written if chunk.choices) == ANSWER
    assert text == ANSWER
    if not asks:
        assert told == []
        return
    assert [facts.get("reason") for facts in told[:2]] == ["", "connect"]
    assert (told[2]["status"], told[2]["badge"], told[2]["model"]) == (200, "Local", "sim-large")


@pytest.mark.parametrize("asks", [False, True], ids=["silent", "asked"])
def test_the_anthropic_client_reads_the_stream(gateway: Served, asks: bool) -> None:
    """Plainly and by its helper, which puts the message together."""
    headers = INLINE if asks else {}
    asked: Any = {"model": "chain", "max_tokens": 100, "messages": [{"role": "user", "content": QUESTION}]}
    with anthropic.Anthropic(base_url=gateway.url, api_key="key-of-acme", max_retries=0) as client:
        events = list(client.messages.create(**asked, stream=True, extra_headers=headers))
        with client.messages.stream(**asked, extra_headers=headers) as stream:
            text = "".join(stream.text_stream)
            message = stream.get_final_message()
    assert text == ANSWER
    assert message.content[0].type == "text"
    assert message.content[0].text == ANSWER
    assert message.stop_reason == "end_turn"
    own = [event for event in events if event.type.startswith("run.")]
    assert [event.type for event in own] == (["run.started", "run.fallback", "run.completed"] if asks else [])
    assert events[-1].type == "message_stop"


@pytest.mark.parametrize("rescue", ["hold", "error"])
def test_a_stream_that_breaks_is_told_of_where_it_breaks(gateway: Served, rescue: str) -> None:
    """Saved by another target or not: the move, the end, and no end that is not one."""
    body = {"model": "mended", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    headers = {**ACME, **INLINE, "x-laneway-rescue": rescue}
    text = gateway.post("/v1/chat/completions", body, headers=headers).text
    frames = [frame for frame in text.split("\n\n") if frame]
    own = [(at, frame.splitlines()[0]) for at, frame in enumerate(frames) if frame.startswith("event: run.")]
    done = json.loads(frames[own[-1][0]].partition("data: ")[2])["laneway"]
    if rescue == "hold":
        assert [name for _, name in own] == [
            f"event: {name}" for name in ("run.started", "run.fallback", "run.completed")
        ]
        assert (done["failure"], done["fallback_reason"], done["model"]) == (None, "cut", "sim-large")
        assert (own[-1][0], frames[-1]) == (len(frames) - 2, "data: [DONE]")
    else:
        assert [name for _, name in own] == ["event: run.started", "event: run.completed"]
        assert (done["failure"], own[-1][0]) == ("cut", len(frames) - 1)
        assert '"error"' in frames[-2]
        assert "[DONE]" not in text


def test_without_asking_not_a_byte_differs(gateway: Served) -> None:
    """But for ids and times, which are each request's own."""
    body = {"model": "sim-large", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}

    def said(**headers: str) -> list[str]:
        text = gateway.post("/v1/chat/completions", body, headers={**ACME, **headers}).text
        return [line for line in text.splitlines() if line and "laneway" not in line and not line.startswith("event")]

    plain, asked = said(), said(**INLINE)
    assert plain[-1] == asked[-1] == "data: [DONE]"
    assert len(plain) == len(asked)
