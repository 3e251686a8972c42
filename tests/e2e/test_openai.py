"""The real OpenAI client, unchanged, through the gateway to providers of every dialect."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageFunctionToolCall, ChatCompletionMessageParam
from pydantic import BaseModel

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

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "description": "Looks out", "parameters": CITY}}]
NO_EMBEDDINGS = {"an", "re"}
NO_JSON_OBJECT = {"an", "br"}
NO_LOGPROBS = {"an", "br"}

each = pytest.mark.parametrize("provider", PROVIDERS)


def say(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


@each
def test_a_chat(by_openai: openai.OpenAI, provider: str) -> None:
    made = by_openai.chat.completions.create(
        model=large(provider),
        messages=[{"role": "system", "content": "Be brief."}, *ASK],
        max_completion_tokens=200,
        temperature=0.5,
        stop=None if provider in NO_STOP else ["THE END"],
    )
    assert made.choices[0].message.content == ANSWER
    assert made.choices[0].finish_reason == "stop"
    assert made.usage is not None
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens > 8


@each
def test_a_stream(by_openai: openai.OpenAI, provider: str) -> None:
    chunks = list(by_openai.chat.completions.create(model=large(provider), messages=ASK, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert all(chunk.usage is None for chunk in chunks), "usage that nobody asked for"
    assert len({chunk.id for chunk in chunks}) == 1


@each
def test_a_stream_with_usage(by_openai: openai.OpenAI, provider: str) -> None:
    *chunks, last = by_openai.chat.completions.create(
        model=large(provider), messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 8


@each
def test_the_answer_says_where_it_came_from(by_openai: openai.OpenAI, house: House, provider: str) -> None:
    raw = by_openai.chat.completions.with_raw_response.create(model=large(provider), messages=ASK)
    assert raw.headers["x-llm-backend"] == raw.headers["x-laneway-provider"] == provider
    assert raw.headers["x-laneway-model"] == large(provider).partition("/")[2]
    assert raw.headers["x-laneway-attempts"] == "1"
    assert raw.headers["x-laneway-request-id"].startswith("req_")
    assert raw.headers["x-laneway-config"] == house.gateway.version()
    with by_openai.chat.completions.with_streaming_response.create(
        model=large(provider), messages=ASK, stream=True
    ) as stream:
        assert stream.headers["x-llm-backend"] == provider
        assert stream.headers["content-type"].startswith("text/event-stream")


@each
def test_parallel_tool_calls_and_what_the_tools_said(by_openai: openai.OpenAI, provider: str) -> None:
    asked = say(TWO_CITIES)
    made = by_openai.chat.completions.create(model=handy(provider), messages=asked, tools=TOOLS)
    calls = made.choices[0].message.tool_calls or []
    assert made.choices[0].finish_reason == "tool_calls"
    assert [json.loads(_function(call).arguments) for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert len({call.id for call in calls}) == 2
    told: list[Any] = [
        *asked,
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump() for call in calls]},
        *({"role": "tool", "tool_call_id": call.id, "content": f"{n} degrees"} for n, call in enumerate(calls, 20)),
    ]
    after = by_openai.chat.completions.create(model=handy(provider), messages=told, tools=TOOLS)
    assert after.choices[0].message.content == "The tool says: 20 degrees and 21 degrees"


def _function(call: object) -> Any:
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    return call.function


@each
def test_tool_arguments_arrive_in_a_stream(by_openai: openai.OpenAI, provider: str) -> None:
    arguments: dict[int, str] = {}
    names: dict[int, str] = {}
    finish = None
    for chunk in by_openai.chat.completions.create(
        model=handy(provider), messages=say(TWO_CITIES), tools=TOOLS, stream=True
    ):
        finish = chunk.choices[0].finish_reason or finish
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
            names[call.index] = names.get(call.index, "") + (call.function.name or "")
    assert names == {0: "weather", 1: "weather"}
    assert [json.loads(text) for text in arguments.values()] == [{"city": "Paris"}, {"city": "Rome"}]
    assert finish == "tool_calls"


@each
def test_a_picture(by_openai: openai.OpenAI, house: House, provider: str) -> None:
    made = by_openai.chat.completions.create(
        model=large(provider),
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                ],
            }
        ],
    )
    assert made.usage is not None
    assert made.usage.prompt_tokens > 256
    if provider in house.fakes:
        assert PIXEL.encode() in house.fakes[provider].asked()[-1].body


@each
def test_json_without_a_schema(by_openai: openai.OpenAI, provider: str) -> None:
    def ask() -> str:
        made = by_openai.chat.completions.create(
            model=large(provider), messages=say("In JSON, please."), response_format={"type": "json_object"}
        )
        return made.choices[0].message.content or ""

    if provider in NO_JSON_OBJECT:
        with pytest.raises(openai.BadRequestError, match="response_format"):
            ask()
    else:
        assert json.loads(ask())


class Person(BaseModel):
    age: int


@each
def test_json_of_a_schema(by_openai: openai.OpenAI, provider: str) -> None:
    made = by_openai.chat.completions.parse(model=large(provider), messages=say(PERSON), response_format=Person)
    assert made.choices[0].message.parsed == Person(age=42)


@each
def test_a_schema_in_a_stream(by_openai: openai.OpenAI, provider: str) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": AGE, "strict": True}}
    chunks = by_openai.chat.completions.create(
        model=large(provider), messages=say(PERSON), response_format=wanted, stream=True
    )
    assert json.loads("".join(chunk.choices[0].delta.content or "" for chunk in chunks)) == {"age": 42}


@each
def test_thinking(by_openai: openai.OpenAI, provider: str) -> None:
    made = by_openai.chat.completions.create(model=large(provider), messages=ASK, reasoning_effort="high")
    message: Any = made.choices[0].message
    assert message.content == ANSWER
    assert "I will answer in one breath" in message.reasoning_content


@each
def test_logprobs(by_openai: openai.OpenAI, provider: str) -> None:
    def ask() -> Any:
        return by_openai.chat.completions.create(
            model=large(provider), messages=ASK, logprobs=True, top_logprobs=2
        ).choices[0]

    if provider in NO_LOGPROBS:
        with pytest.raises(openai.APIStatusError, match="logprobs"):
            ask()
    else:
        assert "".join(token.token for token in ask().logprobs.content) == ANSWER


@each
@pytest.mark.parametrize(
    "more", [{}, {"encoding_format": "float"}, {"dimensions": 16}], ids=["base64", "float", "short"]
)
def test_embeddings(by_openai: openai.OpenAI, provider: str, more: Any) -> None:
    def ask() -> list[list[float]]:
        made = by_openai.embeddings.create(model=embedding(provider), input=["a cat", "a dog"], **more)
        return [entry.embedding for entry in made.data]

    if provider in NO_EMBEDDINGS:
        with pytest.raises(openai.APIStatusError, match="makes no embeddings"):
            ask()
        return
    vectors = ask()
    assert [len(vector) for vector in vectors] == [more.get("dimensions", 64)] * 2
    assert sum(value * value for value in vectors[0]) == pytest.approx(1.0, abs=1e-3)
    assert vectors[0] != vectors[1]


def test_token_ids_go_where_they_are_understood(by_openai: openai.OpenAI) -> None:
    made = by_openai.embeddings.create(model=embedding("oa"), input=[[1, 2, 3], [4]])
    assert len(made.data) == 2
    with pytest.raises(openai.BadRequestError, match="not token ids"):
        by_openai.embeddings.create(model=embedding("ol"), input=[[1, 2, 3], [4]])


@each
def test_completions_of_the_old_kind(by_openai: openai.OpenAI, provider: str) -> None:
    made = by_openai.completions.create(model=large(provider), prompt=QUESTION, max_tokens=100)
    assert made.choices[0].text == ANSWER
    assert made.choices[0].finish_reason == "stop"
    chunks = by_openai.completions.create(model=large(provider), prompt=QUESTION, max_tokens=100, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == ANSWER


@each
def test_the_limit_on_tokens_is_told_as_the_reason(by_openai: openai.OpenAI, provider: str) -> None:
    made = by_openai.chat.completions.create(model=large(provider), messages=ASK, max_tokens=2)
    assert made.choices[0].finish_reason == "length"


def test_many_at_once_with_the_asynchronous_client(house: House) -> None:
    async def ask(client: openai.AsyncOpenAI, provider: str) -> str:
        stream = await client.chat.completions.create(model=large(provider), messages=ASK, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def main() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0) as client:
            return await asyncio.gather(*(ask(client, provider) for provider in PROVIDERS * 4))

    assert set(run(main())) == {ANSWER}


def test_a_stream_that_is_left_early_does_no_harm(by_openai: openai.OpenAI) -> None:
    for _ in range(3):
        with by_openai.chat.completions.create(
            model="sim-large-long-400-slow-5ms", messages=ASK, stream=True
        ) as stream:
            next(iter(stream))
    assert by_openai.chat.completions.create(model="large", messages=ASK).choices[0].message.content == ANSWER


# --- lists -------------------------------------------------------------------------------------------------


def test_the_list_names_models_lanes_and_providers(by_openai: openai.OpenAI) -> None:
    listed = {model.id: model for model in by_openai.models.list()}
    assert {"house/large:8b", "sim-small", "vendor/big:8b", "farm:8b", "thrifty"} <= set(listed)
    assert "large" not in listed, "an alias is no model of its own"
    assert listed["vendor/big:8b"].owned_by == "oa"
    assert listed["farm:8b"].owned_by == "ol"


@pytest.mark.parametrize(
    "name", ["house/large:8b", "vendor/big:8b", "farm:8b", "thrifty", "large", "oa/anything/at:all"]
)
def test_one_model_by_its_name(by_openai: openai.OpenAI, name: str) -> None:
    assert by_openai.models.retrieve(name).id == name


def test_a_model_that_is_not_there(by_openai: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="house/large:8b"):
        by_openai.models.retrieve("house/large:9b")


# --- refusals and failures ---------------------------------------------------------------------------------

ERRORS: list[tuple[str, type[openai.APIStatusError]]] = [
    ("no-such-model", openai.NotFoundError),
    ("sim-fail-400", openai.BadRequestError),
    ("sim-fail-401", openai.InternalServerError),
    ("sim-fail-429-after-90", openai.RateLimitError),
    ("sim-fail-500", openai.InternalServerError),
    ("sim-fail-503", openai.InternalServerError),
    ("sim-down", openai.InternalServerError),
    ("sim-html", openai.InternalServerError),
    ("sim-blocked", openai.BadRequestError),
    ("sim-context-too-long", openai.BadRequestError),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("model", "expected"), ERRORS)
def test_errors_have_their_class(
    by_openai: openai.OpenAI, model: str, expected: type[openai.APIStatusError], stream: bool
) -> None:
    with pytest.raises(expected) as caught:
        by_openai.chat.completions.create(model=model, messages=ASK, stream=stream)
    assert type(caught.value) is expected
    assert isinstance(caught.value.body, dict)
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("req_")


@each
def test_the_failure_of_any_provider_is_told_in_openais_words(by_openai: openai.OpenAI, provider: str) -> None:
    with pytest.raises(openai.RateLimitError) as limited:
        by_openai.chat.completions.create(model=f"{provider}/sim-fail-429-after-90", messages=ASK)
    assert 0 < int(limited.value.response.headers["retry-after"]) <= 90
    with pytest.raises(openai.BadRequestError) as long:
        by_openai.chat.completions.create(model=f"{provider}/sim-context-too-long", messages=ASK)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.InternalServerError) as turned_away:
        by_openai.chat.completions.create(model=f"{provider}/sim-fail-401", messages=ASK)
    assert turned_away.value.status_code == 502, "the caller must not think that its own key is wrong"


@each
def test_a_stream_that_breaks_ends_in_an_error(by_openai: openai.OpenAI, provider: str) -> None:
    pieces: list[str] = []

    def read() -> None:
        for chunk in by_openai.chat.completions.create(
            model=f"{provider}/sim-large-cut-after-5", messages=ASK, stream=True
        ):
            pieces.append(chunk.choices[0].delta.content or "")
            assert chunk.choices[0].finish_reason is None

    with pytest.raises(openai.APIError):
        read()
    assert "".join(pieces).split() == ["1", "2", "3", "4", "5"]


@each
def test_a_refusal_is_no_error(by_openai: openai.OpenAI, provider: str) -> None:
    made = by_openai.chat.completions.create(model=f"{provider}/sim-refuse", messages=ASK)
    said = made.choices[0].message.content or made.choices[0].message.refusal
    assert said == "I cannot help with that."


def test_the_clients_own_retries_work(house: House) -> None:
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=1) as client:
        made = client.chat.completions.create(model="sim-large-fail-503-once", messages=ASK)
    assert made.choices[0].message.content == ANSWER


# --- lanes -------------------------------------------------------------------------------------------------


def test_a_lane_by_model_name_and_by_header(by_openai: openai.OpenAI) -> None:
    create = by_openai.chat.completions.with_raw_response.create
    named = create(model="thrifty", messages=ASK)
    header = create(model="whatever", messages=ASK, extra_headers={"X-Laneway-Lane": "thrifty"})
    for raw in (named, header):
        assert raw.headers["x-laneway-lane"] == "thrifty"
        assert raw.headers["x-laneway-model"] == "sim-small"
    with pytest.raises(openai.BadRequestError, match="There is no lane 'nowhere'"):
        create(model="large", messages=ASK, extra_headers={"X-Laneway-Lane": "nowhere"})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_lane_goes_on_to_the_target_that_answers(by_openai: openai.OpenAI, stream: bool) -> None:
    raw = by_openai.chat.completions.with_raw_response.create(model="patient", messages=ASK, stream=stream)
    assert raw.headers["x-laneway-model"] == "sim-medium"
    assert raw.headers["x-laneway-attempts"] == "3"
