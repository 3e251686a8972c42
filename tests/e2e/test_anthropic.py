"""The real Anthropic client, unchanged, through the gateway to providers of every dialect."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam

from tests.e2e.house import ANSWER, CITY, NO_STOP, PIXEL, PROVIDERS, QUESTION, TWO_CITIES, House, handy, large
from tests.harness.loop import run

ASK: list[MessageParam] = [{"role": "user", "content": QUESTION}]
TOOLS: Any = [{"name": "weather", "description": "Looks out", "input_schema": CITY}]
CITIES = [{"city": "Paris"}, {"city": "Rome"}]

each = pytest.mark.parametrize("provider", PROVIDERS)


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


@each
def test_a_message(by_anthropic: anthropic.Anthropic, provider: str) -> None:
    made = by_anthropic.messages.create(
        model=large(provider),
        max_tokens=100,
        system="Be brief.",
        messages=ASK,
        stop_sequences=[] if provider in NO_STOP else ["THE END"],
        extra_body={"temperature": 0.5},
    )
    assert text_of(made) == ANSWER
    assert made.stop_reason == "end_turn"
    assert made.usage.input_tokens > 0
    assert made.usage.output_tokens == 8


@each
def test_a_stream(by_anthropic: anthropic.Anthropic, provider: str) -> None:
    with by_anthropic.messages.stream(model=large(provider), max_tokens=100, messages=ASK) as stream:
        assert "".join(stream.text_stream) == ANSWER
        whole = stream.get_final_message()
    assert text_of(whole) == ANSWER
    assert whole.stop_reason == "end_turn"
    assert whole.usage.output_tokens == 8


@each
def test_the_answer_says_where_it_came_from(by_anthropic: anthropic.Anthropic, provider: str) -> None:
    raw = by_anthropic.messages.with_raw_response.create(model=large(provider), max_tokens=100, messages=ASK)
    assert raw.headers["x-llm-backend"] == provider
    assert raw.headers["x-laneway-model"] == large(provider).partition("/")[2]
    assert raw.headers["x-laneway-attempts"] == "1"


@each
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_parallel_tool_calls_and_what_the_tools_said(
    by_anthropic: anthropic.Anthropic, provider: str, stream: bool
) -> None:
    asked: list[MessageParam] = [{"role": "user", "content": TWO_CITIES}]
    if stream:
        with by_anthropic.messages.stream(
            model=handy(provider), max_tokens=100, messages=asked, tools=TOOLS
        ) as running:
            made: Any = running.get_final_message()
    else:
        made = by_anthropic.messages.create(model=handy(provider), max_tokens=100, messages=asked, tools=TOOLS)
    calls = [block for block in made.content if block.type == "tool_use"]
    assert made.stop_reason == "tool_use"
    assert [call.input for call in calls] == CITIES
    results: Any = [
        {"type": "tool_result", "tool_use_id": call.id, "content": f"{n} degrees"} for n, call in enumerate(calls, 20)
    ]
    told: list[MessageParam] = [
        *asked,
        {"role": "assistant", "content": made.content},
        {"role": "user", "content": results},
    ]
    after = by_anthropic.messages.create(model=handy(provider), max_tokens=100, messages=told, tools=TOOLS)
    assert text_of(after) == "The tool says: 20 degrees and 21 degrees"


@each
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_thinking(by_anthropic: anthropic.Anthropic, provider: str, stream: bool) -> None:
    ask: Any = {
        "model": large(provider),
        "max_tokens": 2000,
        "messages": ASK,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    if stream:
        with by_anthropic.messages.stream(**ask) as running:
            made: Any = running.get_final_message()
    else:
        made = by_anthropic.messages.create(**ask)
    first, second = made.content
    assert "I will answer in one breath" in first.thinking
    assert second.text == ANSWER


@each
def test_a_picture(by_anthropic: anthropic.Anthropic, provider: str) -> None:
    picture: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    made = by_anthropic.messages.create(
        model=large(provider),
        max_tokens=100,
        messages=[{"role": "user", "content": [picture, {"type": "text", "text": "What is this?"}]}],
    )
    assert made.usage.input_tokens > 256


@each
def test_counting_tokens(by_anthropic: anthropic.Anthropic, house: House, provider: str) -> None:
    before = {name: len(fake.asked()) for name, fake in house.fakes.items()}
    counted = by_anthropic.messages.count_tokens(model=large(provider), messages=ASK)
    assert 4 <= counted.input_tokens <= 40
    after = {name: len(fake.asked()) for name, fake in house.fakes.items()}
    # Only a provider of the same format is asked: of the others none has a word for it.
    assert {name for name in after if after[name] > before[name]} == ({"an"} if provider == "an" else set())


def test_the_asynchronous_client(house: House) -> None:
    async def main() -> str:
        async with (
            anthropic.AsyncAnthropic(base_url=house.url, api_key="none", max_retries=0) as client,
            client.messages.stream(model=large("br"), max_tokens=100, messages=ASK) as stream,
        ):
            return "".join([text async for text in stream.text_stream])

    assert run(main()) == ANSWER


def test_the_list(by_anthropic: anthropic.Anthropic) -> None:
    listed = {model.id for model in by_anthropic.models.list()}
    assert {"house/large:8b", "vendor/big:8b", "thrifty"} <= listed
    assert by_anthropic.models.retrieve("vendor/big:8b").id == "vendor/big:8b"


ERRORS: list[tuple[str, type[anthropic.APIStatusError], str]] = [
    ("no-such-model", anthropic.NotFoundError, "not_found_error"),
    ("sim-fail-400", anthropic.BadRequestError, "invalid_request_error"),
    ("sim-fail-401", anthropic.InternalServerError, "api_error"),
    ("sim-fail-429", anthropic.RateLimitError, "rate_limit_error"),
    ("sim-fail-500", anthropic.InternalServerError, "api_error"),
    ("sim-fail-529", anthropic.InternalServerError, "overloaded_error"),
    ("sim-down", anthropic.InternalServerError, "api_error"),
    ("sim-context-too-long", anthropic.BadRequestError, "invalid_request_error"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("model", "expected", "kind"), ERRORS)
def test_errors_have_their_class(
    by_anthropic: anthropic.Anthropic, model: str, expected: type[anthropic.APIStatusError], kind: str, stream: bool
) -> None:
    with pytest.raises(expected) as caught:
        by_anthropic.messages.create(model=model, max_tokens=100, messages=ASK, stream=stream)
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert body["request_id"].startswith("req_")


@each
def test_a_stream_that_breaks_ends_in_an_error(by_anthropic: anthropic.Anthropic, provider: str) -> None:
    pieces: list[str] = []

    def read() -> None:
        with by_anthropic.messages.stream(
            model=f"{provider}/sim-large-cut-after-5", max_tokens=100, messages=ASK
        ) as stream:
            pieces.extend(stream.text_stream)

    with pytest.raises(anthropic.APIError):
        read()
    assert "".join(pieces).split() == ["1", "2", "3", "4", "5"]
