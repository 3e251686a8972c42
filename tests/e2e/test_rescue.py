"""The real clients, unchanged, reading streams whose provider fails in the middle, from a gateway that saves them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import anthropic
import ollama
import openai
import pytest

from tests.e2e.house import ADMIN, asking_ollama
from tests.fakes.providers import Street
from tests.harness.gateway import Served, served

TEXT = "One two  three,\nfour – fünf 六, seven eight nine ten."
BREAKS, WELL = "breaks", "well"
SPOKEN = ("openai", "responses", "anthropic", "ollama")
LANE = """
[lanes.{first}-{second}-{rescue}]
targets = ["{first}/{breaks}", "{second}/{well}"]
rescue = "{rescue}"
"""
PROVIDER = """
[providers.{speaks}]
dialect = "{speaks}"
url = "{url}"
"""
pairs = pytest.mark.parametrize(("first", "second"), list(product(SPOKEN, SPOKEN)))
rescues = pytest.mark.parametrize("rescue", ["continue", "hold"])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Street() as street:
        config = '[server]\nstore = "memory:"\nadmin_key = "admin-key-of-tests"\n'
        for speaks in SPOKEN:
            fake = street.open(speaks, {BREAKS: "sim-echo-cut-after-4", WELL: "sim-echo"})
            config += PROVIDER.format(speaks=speaks, url=fake.url)
        for first, second, rescue in product(SPOKEN, SPOKEN, ("error", "continue", "hold")):
            config += LANE.format(first=first, second=second, rescue=rescue, breaks=BREAKS, well=WELL)
        with served(tmp_path_factory.mktemp("rescue"), config) as running:
            yield running


@pairs
@rescues
def test_openais_client(gateway: Served, first: str, second: str, rescue: str) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model=f"{first}-{second}-{rescue}",
                messages=[{"role": "user", "content": TEXT}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    said = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in said) == TEXT
    assert [choice.finish_reason for choice in said if choice.finish_reason] == ["stop"]
    assert len([choice for choice in said if choice.delta.role]) == 1
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].usage is not None


@pairs
@rescues
def test_openais_client_of_responses(gateway: Served, first: str, second: str, rescue: str) -> None:
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client,
        client.responses.stream(model=f"{first}-{second}-{rescue}", input=TEXT) as stream,
    ):
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
    assert (final.output_text, [item.type for item in final.output]) == (TEXT, ["message"])
    assert (final.status, final.model) == ("completed", WELL)
    assert final.usage is not None


@pairs
@rescues
def test_anthropics_client(gateway: Served, first: str, second: str, rescue: str) -> None:
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key="none", max_retries=0) as client,
        client.messages.stream(
            model=f"{first}-{second}-{rescue}", max_tokens=100, messages=[{"role": "user", "content": TEXT}]
        ) as stream,
    ):
        heard = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert heard == TEXT
    assert [block.type for block in message.content] == ["text"]
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0


@pairs
@rescues
def test_ollamas_client(gateway: Served, first: str, second: str, rescue: str) -> None:
    with asking_ollama(gateway.url) as client:
        parts = list(
            client.chat(model=f"{first}-{second}-{rescue}", messages=[{"role": "user", "content": TEXT}], stream=True)
        )
    assert "".join(part.message.content or "" for part in parts) == TEXT
    assert [part.done_reason for part in parts if part.done] == ["stop"]


def test_a_caller_may_ask_for_it_and_may_refuse_it(gateway: Served) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:

        def stream(lane: str, rescue: str) -> str:
            chunks = client.chat.completions.create(
                model=lane,
                messages=[{"role": "user", "content": TEXT}],
                stream=True,
                extra_headers={"X-Laneway-Rescue": rescue},
            )
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

        assert stream("openai-ollama-error", "continue") == TEXT
        (row,) = gateway.get("/admin/v1/records?limit=1", headers=ADMIN).json()["data"]
        assert (row["rescue"], row["awooop.fallback_reason"], row["failure"]) == ("again", "cut", None)
        with pytest.raises(openai.APIError, match="before the end of its answer"):
            stream("openai-ollama-continue", "error")
        with pytest.raises(openai.BadRequestError, match="error, continue, hold"):
            stream("openai-ollama-continue", "perhaps")


def test_without_it_every_client_is_told_the_truth(gateway: Served) -> None:
    lane = "openai-ollama-error"
    with asking_ollama(gateway.url) as client, pytest.raises(ollama.ResponseError):
        list(client.chat(model=lane, messages=[{"role": "user", "content": TEXT}], stream=True))
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key="none", max_retries=0) as by_anthropic,
        pytest.raises(anthropic.APIError),
        by_anthropic.messages.stream(
            model=lane, max_tokens=100, messages=[{"role": "user", "content": TEXT}]
        ) as stream,
    ):
        stream.until_done()
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as by_openai,
        pytest.raises(openai.APIError, match="before the end of its answer"),
        by_openai.responses.stream(model=lane, input=TEXT) as responses,
    ):
        responses.until_done()


PATIENT = """
[server]
store = "memory:"

[timeouts]
connect = 300
first_content = 3000
between_chunks = 3000

[providers.sim]
url = "simulated://models/v1"

[lanes.slow]
targets = ["sim/sim-echo-slow-150ms-cut-after-4", "sim/sim-echo-slow-150ms"]
rescue = "hold"
"""


def test_clients_pass_over_the_comments_of_a_held_stream(tmp_path: Path) -> None:
    """With clocks that run a hundred times as fast, one is sent every tenth of a second."""
    with served(tmp_path, PATIENT, variables={"LANEWAY_TIMEOUT_SCALE": "0.01"}) as running:
        body = {"model": "slow", "stream": True, "messages": [{"role": "user", "content": TEXT}]}
        assert running.post("/v1/chat/completions", body).text.startswith(": keep-alive\n\n")
        with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client:
            chunks = client.chat.completions.create(
                model="slow", messages=[{"role": "user", "content": TEXT}], stream=True
            )
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
        with (
            anthropic.Anthropic(base_url=running.url, api_key="none", max_retries=0) as by_anthropic,
            by_anthropic.messages.stream(
                model="slow", max_tokens=100, messages=[{"role": "user", "content": TEXT}]
            ) as stream,
        ):
            assert stream.get_final_text() == TEXT
