"""The real Ollama client, unchanged, through the gateway to providers of every dialect."""

from __future__ import annotations

import json
from typing import Any

import ollama
import pytest

from tests.e2e.house import (
    AGE,
    ANSWER,
    CITY,
    NO_STOP,
    PERSON,
    PIXEL,
    PROVIDERS,
    QUESTION,
    TWO_CITIES,
    House,
    embedding,
    handy,
    large,
)
from tests.harness.loop import run

ASK = [{"role": "user", "content": QUESTION}]
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "description": "Looks out", "parameters": CITY}}]
CITIES = [{"city": "Paris"}, {"city": "Rome"}]
NO_EMBEDDINGS = {"an", "re"}
NO_PLAIN_JSON = {"an", "br"}

each = pytest.mark.parametrize("provider", PROVIDERS)


@each
def test_a_chat(by_ollama: ollama.Client, provider: str) -> None:
    made = by_ollama.chat(
        large(provider),
        [{"role": "system", "content": "Be brief."}, *ASK],
        options={"temperature": 0.5, "num_predict": 100, "stop": [] if provider in NO_STOP else ["THE END"], "seed": 1},
        keep_alive="5m",
    )
    assert made.message.content == ANSWER
    assert made.done
    assert made.done_reason == "stop"
    assert made.eval_count == 8
    assert (made.prompt_eval_count or 0) > 0
    assert (made.total_duration or 0) > 0


@each
def test_a_stream(by_ollama: ollama.Client, provider: str) -> None:
    chunks = list(by_ollama.chat(large(provider), ASK, stream=True))
    assert "".join(chunk.message.content or "" for chunk in chunks) == ANSWER
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].done_reason == "stop"
    assert chunks[-1].eval_count == 8
    assert (chunks[-1].total_duration or 0) > 0


@each
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_parallel_tool_calls_and_what_the_tools_said(by_ollama: ollama.Client, provider: str, stream: bool) -> None:
    asked: list[Any] = [{"role": "user", "content": TWO_CITIES}]
    calls: list[Any] = []
    if stream:
        for chunk in by_ollama.chat(handy(provider), asked, tools=TOOLS, stream=True):
            calls += chunk.message.tool_calls or []
    else:
        calls += by_ollama.chat(handy(provider), asked, tools=TOOLS).message.tool_calls or []
    assert [dict(call.function.arguments) for call in calls] == CITIES
    told = [
        *asked,
        {"role": "assistant", "content": "", "tool_calls": calls},
        *({"role": "tool", "tool_name": "weather", "content": f"{n} degrees"} for n, _ in enumerate(calls, 20)),
    ]
    after = by_ollama.chat(handy(provider), told, tools=TOOLS)
    assert after.message.content == "The tool says: 20 degrees and 21 degrees"


@each
def test_a_picture(by_ollama: ollama.Client, provider: str) -> None:
    made = by_ollama.chat(large(provider), [{"role": "user", "content": "What is this?", "images": [PIXEL]}])
    assert (made.prompt_eval_count or 0) > 256


@each
def test_json(by_ollama: ollama.Client, provider: str) -> None:
    asked = [{"role": "user", "content": PERSON}]
    shaped = by_ollama.chat(large(provider), asked, format=AGE)
    assert json.loads(shaped.message.content or "") == {"age": 42}
    if provider in NO_PLAIN_JSON:
        with pytest.raises(ollama.ResponseError) as caught:
            by_ollama.chat(large(provider), asked, format="json")
        assert caught.value.status_code == 400
    else:
        assert json.loads(by_ollama.chat(large(provider), asked, format="json").message.content or "")


@each
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_thinking(by_ollama: ollama.Client, provider: str, stream: bool) -> None:
    if stream:
        chunks = list(by_ollama.chat(large(provider), ASK, think=True, stream=True))
        thought = "".join(chunk.message.thinking or "" for chunk in chunks)
        said = "".join(chunk.message.content or "" for chunk in chunks)
    else:
        message = by_ollama.chat(large(provider), ASK, think=True).message
        thought, said = message.thinking or "", message.content or ""
    assert "I will answer in one breath" in thought
    assert said == ANSWER


@each
def test_generate(by_ollama: ollama.Client, provider: str) -> None:
    made = by_ollama.generate(large(provider), QUESTION, system="Be brief.", options={"temperature": 0.5})
    assert made.response == ANSWER
    assert made.done_reason == "stop"
    assert made.eval_count == 8
    chunks = list(by_ollama.generate(large(provider), QUESTION, stream=True))
    assert "".join(chunk.response or "" for chunk in chunks) == ANSWER
    assert chunks[-1].done


@each
def test_loading_and_unloading_ask_nothing_of_a_model(by_ollama: ollama.Client, provider: str) -> None:
    assert by_ollama.generate(large(provider), "").done_reason == "load"
    assert by_ollama.chat(large(provider), []).done_reason == "load"
    assert by_ollama.generate(large(provider), "", keep_alive=0).done_reason == "unload"


@each
def test_embeddings(by_ollama: ollama.Client, provider: str) -> None:
    if provider in NO_EMBEDDINGS:
        with pytest.raises(ollama.ResponseError, match="makes no embeddings"):
            by_ollama.embed(embedding(provider), ["a cat", "a dog"])
        return
    vectors = by_ollama.embed(embedding(provider), ["a cat", "a dog"]).embeddings
    assert [len(vector) for vector in vectors] == [64, 64]
    assert by_ollama.embed(embedding(provider), "a cat").embeddings[0] == pytest.approx(vectors[0], abs=1e-6)
    # The old endpoint: one text in, one bare vector out.
    assert by_ollama.embeddings(embedding(provider), "a cat").embedding == pytest.approx(vectors[0], abs=1e-6)


def test_the_asynchronous_client(house: House) -> None:
    async def main() -> str:
        client = ollama.AsyncClient(house.url)
        stream = await client.chat(large("br"), ASK, stream=True)
        said = "".join([chunk.message.content or "" async for chunk in stream])
        await client._client.aclose()
        return said

    assert run(main()) == ANSWER


# --- lists -------------------------------------------------------------------------------------------------


def test_the_list_merges_all_providers(by_ollama: ollama.Client) -> None:
    listed = {str(model.model).removesuffix(":latest") for model in by_ollama.list().models}
    assert {"house/large:8b", "vendor/big:8b", "farm:8b", "sim-small", "thrifty"} <= listed


def test_what_is_loaded_is_asked_of_the_hosts(by_ollama: ollama.Client) -> None:
    assert {"farm:8b", "farm-vectors"} <= {str(model.name).removesuffix(":latest") for model in by_ollama.ps().models}


@pytest.mark.parametrize("name", ["farm:8b", "vendor/big:8b", "house/large:8b", "sim-small:latest", "thrifty"])
def test_a_model_is_shown(by_ollama: ollama.Client, name: str) -> None:
    shown = by_ollama.show(name)
    assert shown.details is not None
    assert "completion" in (shown.capabilities or ())


def test_a_model_that_makes_embeddings_is_shown_as_one(by_ollama: ollama.Client) -> None:
    assert by_ollama.show("sim-embed").capabilities == ["embedding"]


def test_management_is_refused(by_ollama: ollama.Client) -> None:
    for refused in (by_ollama.pull, by_ollama.push, by_ollama.delete):
        with pytest.raises(ollama.ResponseError, match=r"does not (pull|push|delete) models") as caught:
            refused("farm:8b")
        assert caught.value.status_code == 403
    with pytest.raises(ollama.ResponseError, match="does not copy models"):
        by_ollama.copy("farm:8b", "mine")
    with pytest.raises(ollama.ResponseError, match="does not create models"):
        by_ollama.create("mine", from_="farm:8b")


# --- refusals and failures ---------------------------------------------------------------------------------

ERRORS = [
    ("no-such-model", 404),
    ("sim-fail-400", 400),
    ("sim-fail-401", 502),
    ("sim-fail-429", 429),
    ("sim-fail-500", 502),
    ("sim-fail-503", 503),
    ("sim-down", 502),
    ("sim-context-too-long", 400),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("model", "status"), ERRORS)
def test_errors_have_their_status(by_ollama: ollama.Client, model: str, status: int, stream: bool) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        list(by_ollama.chat(model, ASK, stream=stream))  # type: ignore[call-overload]
    assert caught.value.status_code == status
    assert caught.value.error


@each
def test_a_stream_that_breaks_ends_in_an_error(by_ollama: ollama.Client, provider: str) -> None:
    pieces: list[str] = []

    def read() -> None:
        for chunk in by_ollama.chat(f"{provider}/sim-large-cut-after-5", ASK, stream=True):
            assert not chunk.done
            pieces.append(chunk.message.content or "")

    with pytest.raises(ollama.ResponseError):
        read()
    assert "".join(pieces).split() == ["1", "2", "3", "4", "5"]
