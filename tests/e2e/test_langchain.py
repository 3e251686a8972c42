"""langchain-openai, unchanged, through the gateway to providers of every dialect."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import RateLimitError
from pydantic import BaseModel, SecretStr

from tests.e2e.house import ANSWER, CITY, PERSON, PROVIDERS, QUESTION, TWO_CITIES, House, embedding, handy, large

each = pytest.mark.parametrize("provider", PROVIDERS)
apis = pytest.mark.parametrize("newer", [False, True], ids=["chat", "responses"])


def chat(house: House, model: str, *, newer: bool = False) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=f"{house.url}/v1", api_key=SecretStr("none"), model=model, max_retries=0, use_responses_api=newer
    )


@each
@apis
def test_asked_and_streamed(house: House, provider: str, newer: bool) -> None:
    model = chat(house, large(provider), newer=newer)
    made = model.invoke(QUESTION)
    assert made.text == ANSWER
    assert made.usage_metadata is not None
    assert made.usage_metadata["output_tokens"] == 8
    assert "".join(str(chunk.text) for chunk in model.stream(QUESTION)) == ANSWER


@each
@apis
def test_tools_are_bound(house: House, provider: str, newer: bool) -> None:
    tool: dict[str, Any] = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
    bound = chat(house, handy(provider), newer=newer).bind_tools([tool])
    made: Any = bound.invoke(TWO_CITIES)
    assert [call["args"] for call in made.tool_calls] == [{"city": "Paris"}, {"city": "Rome"}]
    whole: Any = None
    for chunk in bound.stream(TWO_CITIES):
        whole = chunk if whole is None else whole + chunk
    assert [call["args"] for call in whole.tool_calls] == [{"city": "Paris"}, {"city": "Rome"}]
    told = [ToolMessage(f"{n} degrees", tool_call_id=call["id"]) for n, call in enumerate(whole.tool_calls, 20)]
    after: Any = bound.invoke([HumanMessage(TWO_CITIES), whole, *told])
    assert after.text == "The tool says: 20 degrees and 21 degrees"


class Person(BaseModel):
    age: int


@each
@apis
def test_structured_output(house: House, provider: str, newer: bool) -> None:
    shaped = chat(house, large(provider), newer=newer).with_structured_output(Person, method="json_schema")
    assert shaped.invoke(PERSON) == Person(age=42)


@pytest.mark.parametrize("provider", [each for each in PROVIDERS if each not in ("an", "re")])
def test_embeddings(house: House, provider: str) -> None:
    # It sends token ids unless told not to, which only OpenAI's own models read.
    made = OpenAIEmbeddings(
        base_url=f"{house.url}/v1",
        api_key=SecretStr("none"),
        model=embedding(provider),
        check_embedding_ctx_length=False,
    )
    assert [len(vector) for vector in made.embed_documents(["a cat", "a dog"])] == [64, 64]


def test_errors_have_their_class(house: House) -> None:
    with pytest.raises(RateLimitError):
        chat(house, "sim-fail-429").invoke(QUESTION)
