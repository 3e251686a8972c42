"""langchain-openai, unchanged, through the gateway to providers of every dialect."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import RateLimitError
from pydantic import BaseModel, SecretStr

from tests.e2e.house import ANSWER, CITY, PERSON, PROVIDERS, QUESTION, TWO_CITIES, House, embedding, handy, large

each = pytest.mark.parametrize("provider", PROVIDERS)


def chat(house: House, model: str) -> ChatOpenAI:
    return ChatOpenAI(base_url=f"{house.url}/v1", api_key=SecretStr("none"), model=model, max_retries=0)


@each
def test_asked_and_streamed(house: House, provider: str) -> None:
    model = chat(house, large(provider))
    made = model.invoke(QUESTION)
    assert made.content == ANSWER
    assert made.usage_metadata is not None
    assert made.usage_metadata["output_tokens"] == 8
    assert "".join(str(chunk.content) for chunk in model.stream(QUESTION)) == ANSWER


@each
def test_tools_are_bound(house: House, provider: str) -> None:
    tool: dict[str, Any] = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
    bound = chat(house, handy(provider)).bind_tools([tool])
    made: Any = bound.invoke(TWO_CITIES)
    assert [call["args"] for call in made.tool_calls] == [{"city": "Paris"}, {"city": "Rome"}]
    whole: Any = None
    for chunk in bound.stream(TWO_CITIES):
        whole = chunk if whole is None else whole + chunk
    assert [call["args"] for call in whole.tool_calls] == [{"city": "Paris"}, {"city": "Rome"}]


class Person(BaseModel):
    age: int


@each
def test_structured_output(house: House, provider: str) -> None:
    shaped = chat(house, large(provider)).with_structured_output(Person, method="json_schema")
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
