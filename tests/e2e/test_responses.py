"""The real OpenAI client's Responses API, unchanged, through the gateway to providers of every dialect."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel

from tests.e2e.house import AGE, ANSWER, CITY, PERSON, PIXEL, PROVIDERS, QUESTION, TWO_CITIES, House, handy, large
from tests.e2e.test_openai import ERRORS, NO_JSON_OBJECT, NO_LOGPROBS

TOOLS: Any = [{"type": "function", "name": "weather", "description": "Looks out", "parameters": CITY, "strict": False}]
PATCH: Any = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Applies a patch",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "patch"'},
}
THOUGHTFUL: Any = {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
each = pytest.mark.parametrize("provider", PROVIDERS)
translated = pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != "re"])


def kinds(events: Iterable[ResponseStreamEvent]) -> list[str]:
    """The types of events, deltas in a row being one."""
    found: list[str] = []
    for event in events:
        if not (event.type.endswith(".delta") and found and found[-1] == event.type):
            found.append(event.type)
    return found


def calls_in(made: Response) -> list[Any]:
    return [item for item in made.output if item.type == "function_call"]


# --- whole answers -----------------------------------------------------------------------------------------


@each
def test_a_question(by_openai: openai.OpenAI, provider: str) -> None:
    made = by_openai.responses.create(
        model=large(provider),
        instructions="Be brief.",
        input=QUESTION,
        max_output_tokens=200,
        temperature=0.5,
        top_p=0.9,
        metadata={"team": "a"},
        store=False,
        truncation="disabled",
        user="u-1",
    )
    assert made.output_text == ANSWER
    assert (made.status, made.error, made.incomplete_details) == ("completed", None, None)
    assert made.id.startswith("resp_")
    assert made.usage is not None
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 8
    assert made.usage.input_tokens_details.cached_tokens == made.usage.output_tokens_details.reasoning_tokens == 0
    assert (made.max_output_tokens, made.temperature, made.metadata) == (200, 0.5, {"team": "a"})
    assert made.model_extra is not None
    assert made.model_extra["store"] is False


@each
def test_a_conversation_of_bare_messages_and_of_parts(by_openai: openai.OpenAI, provider: str) -> None:
    made = by_openai.responses.create(
        model=large(provider),
        input=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Hello to you."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": QUESTION}]},
        ],
    )
    assert made.output_text == ANSWER
    again = by_openai.responses.create(
        model=large(provider),
        input=[{"role": "user", "content": "Hi."}, *made.output, ask("What is 2+2?")],  # type: ignore[list-item]
    )
    assert again.output_text == "2 + 2 = 4."


def ask(text: str) -> Any:
    return {"role": "user", "content": text}


@each
def test_tools_over_several_turns(by_openai: openai.OpenAI, provider: str) -> None:
    said: list[Any] = [ask(TWO_CITIES)]
    made = by_openai.responses.create(model=handy(provider), input=said, tools=TOOLS, parallel_tool_calls=True)
    calls = calls_in(made)
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert len({call.call_id for call in calls}) == len({call.id for call in calls}) == 2
    assert made.status == "completed"
    said += made.output
    said += [
        {"type": "function_call_output", "call_id": calls[0].call_id, "output": "20 degrees"},
        {
            "type": "function_call_output",
            "call_id": calls[1].call_id,
            "output": [{"type": "input_text", "text": "21 degrees"}],
        },
    ]
    after = by_openai.responses.create(model=handy(provider), input=said, tools=TOOLS, tool_choice="auto")
    assert after.output_text == "The tool says: 20 degrees and 21 degrees"


@each
def test_a_picture_and_a_forced_tool(by_openai: openai.OpenAI, house: House, provider: str) -> None:
    url = f"data:image/png;base64,{PIXEL}"
    parts: Any = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": url}]
    made = by_openai.responses.create(model=large(provider), input=[{"role": "user", "content": parts}])
    assert made.usage is not None
    assert made.usage.input_tokens > 256
    if provider in house.fakes:
        assert PIXEL.encode() in house.fakes[provider].asked()[-1].body


@each
def test_json_without_a_schema(by_openai: openai.OpenAI, provider: str) -> None:
    def told() -> str:
        form: Any = {"format": {"type": "json_object"}}
        return by_openai.responses.create(model=large(provider), input="In JSON, please.", text=form).output_text

    if provider in NO_JSON_OBJECT:
        with pytest.raises(openai.BadRequestError, match="response_format"):
            told()
    else:
        assert json.loads(told())


class Person(BaseModel):
    age: int


@each
def test_json_of_a_schema(by_openai: openai.OpenAI, provider: str) -> None:
    made = by_openai.responses.parse(model=large(provider), input=PERSON, text_format=Person)
    assert made.output_parsed == Person(age=42)
    form: Any = {"format": {"type": "json_schema", "name": "person", "schema": AGE, "strict": True}}
    stream = by_openai.responses.create(model=large(provider), input=PERSON, text=form, stream=True)
    assert json.loads("".join(event.delta for event in stream if event.type == "response.output_text.delta")) == {
        "age": 42
    }


@each
def test_thinking_and_its_summary(by_openai: openai.OpenAI, provider: str) -> None:
    made = by_openai.responses.create(model=large(provider), input=QUESTION, **THOUGHTFUL)
    thoughts = [item for item in made.output if item.type == "reasoning"]
    assert made.output_text == ANSWER
    assert "I will answer in one breath" in thoughts[0].summary[0].text
    assert made.usage is not None
    # What was thought goes back with the answer, signed by whoever signs.
    again: list[Any] = [ask(QUESTION), *made.output, ask("What is 2+2?")]
    assert by_openai.responses.create(model=large(provider), input=again, **THOUGHTFUL).output_text == "2 + 2 = 4."


def test_a_signature_goes_back_to_who_signed(by_openai: openai.OpenAI, house: House) -> None:
    made = by_openai.responses.create(model=large("an"), input=QUESTION, **THOUGHTFUL)
    (thought,) = [item for item in made.output if item.type == "reasoning"]
    again: list[Any] = [ask(QUESTION), *made.output, ask("What is 2+2?")]
    by_openai.responses.create(model=large("an"), input=again, **THOUGHTFUL)
    (back,) = [
        block
        for turn in json.loads(house.fakes["an"].asked()[-1].body)["messages"]
        for block in turn["content"]
        if isinstance(block, dict) and block["type"] == "thinking"
    ]
    assert back["thinking"] == thought.summary[0].text
    assert back["signature"]
    assert thought.encrypted_content is not None
    assert thought.encrypted_content.endswith(back["signature"])


@each
def test_logprobs(by_openai: openai.OpenAI, provider: str) -> None:
    def told() -> Any:
        made = by_openai.responses.create(
            model=large(provider), input=QUESTION, top_logprobs=2, include=["message.output_text.logprobs"]
        )
        item: Any = made.output[0]
        return item.content[0]

    if provider in NO_LOGPROBS:
        with pytest.raises(openai.APIStatusError, match="logprobs"):
            told()
    else:
        assert "".join(token.token for token in told().logprobs) == ANSWER


@each
def test_the_limit_on_tokens_is_told_as_the_reason(by_openai: openai.OpenAI, provider: str) -> None:
    made = by_openai.responses.create(model=large(provider), input=QUESTION, max_output_tokens=2)
    assert made.status == "incomplete"
    assert made.incomplete_details is not None
    assert made.incomplete_details.reason == "max_output_tokens"
    *_, last = by_openai.responses.create(model=large(provider), input=QUESTION, max_output_tokens=2, stream=True)
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details == made.incomplete_details


@translated
def test_a_refusal_is_no_error(by_openai: openai.OpenAI, provider: str) -> None:
    made = by_openai.responses.create(model=f"{provider}/sim-refuse", input=QUESTION)
    if made.status == "completed":
        item: Any = made.output[0]
        assert item.content[0].refusal == "I cannot help with that."
    else:
        assert made.incomplete_details is not None
        assert made.incomplete_details.reason == "content_filter"


# --- streams -----------------------------------------------------------------------------------------------


@each
def test_a_stream_has_every_event_in_its_order(by_openai: openai.OpenAI, provider: str) -> None:
    events = list(by_openai.responses.create(model=large(provider), input=QUESTION, stream=True))
    assert kinds(events) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == ANSWER
    first, last = events[0], events[-1]
    assert first.type == "response.created"
    assert last.type == "response.completed"
    assert (first.response.id, first.response.status) == (last.response.id, "in_progress")
    assert last.response.output_text == ANSWER
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == 8
    assert {event.item_id for event in events if event.type == "response.output_text.delta"} == {
        last.response.output[0].id
    }


@each
def test_the_helper_of_the_client_gathers_text_thoughts_and_calls(by_openai: openai.OpenAI, provider: str) -> None:
    with by_openai.responses.stream(model=large(provider), input=QUESTION, **THOUGHTFUL) as stream:
        told = kinds(stream)
        final = stream.get_final_response()
    assert [item.type for item in final.output] == ["reasoning", "message"]
    assert final.output_text == ANSWER
    at = [told.index(f"response.{kind}") for kind in ("reasoning_summary_text.delta", "output_text.delta")]
    assert at == sorted(at)
    with by_openai.responses.stream(model=handy(provider), input=TWO_CITIES, tools=TOOLS) as stream:
        arguments: dict[int, str] = {}
        done: list[str] = []
        for event in stream:
            if event.type == "response.function_call_arguments.delta":
                arguments[event.output_index] = arguments.get(event.output_index, "") + event.delta
            elif event.type == "response.function_call_arguments.done":
                done.append(event.arguments)
        final = stream.get_final_response()
    assert [json.loads(text) for text in arguments.values()] == [{"city": "Paris"}, {"city": "Rome"}]
    assert list(arguments.values()) == done == [call.arguments for call in calls_in(final)]


@each
def test_a_stream_that_breaks_ends_in_an_error(by_openai: openai.OpenAI, provider: str) -> None:
    pieces: list[str] = []

    def read() -> None:
        for event in by_openai.responses.create(model=f"{provider}/sim-large-cut-after-5", input=QUESTION, stream=True):
            assert event.type not in ("response.completed", "response.incomplete")
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)

    with pytest.raises(openai.APIError):
        read()
    assert "".join(pieces).split() == ["1", "2", "3", "4", "5"]
    with (
        pytest.raises(openai.APIError),
        by_openai.responses.stream(model=f"{provider}/sim-large-cut-after-5", input=QUESTION) as stream,
    ):
        stream.get_final_response()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("model", "expected"), ERRORS)
def test_errors_have_their_class(
    by_openai: openai.OpenAI, model: str, expected: type[openai.APIStatusError], stream: bool
) -> None:
    with pytest.raises(expected) as caught:
        by_openai.responses.create(model=model, input=QUESTION, stream=stream)
    assert type(caught.value) is expected
    assert isinstance(caught.value.body, dict)


# --- as coding agents ask ----------------------------------------------------------------------------------


@each
def test_an_agents_request_with_a_tool_that_takes_plain_text(by_openai: openai.OpenAI, provider: str) -> None:
    said: list[Any] = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Mind the tests."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Patch a.py, please."}]},
    ]
    asked: dict[str, Any] = {
        "model": handy(provider),
        "instructions": "You are a coding agent.",
        "tools": [PATCH],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "store": False,
        "prompt_cache_key": "session-1",
        "text": {"verbosity": "low"},
        **({} if provider == "br" else THOUGHTFUL),
    }
    events = list(by_openai.responses.create(input=said, stream=True, **asked))
    (call,) = [
        event.item
        for event in events
        if event.type == "response.output_item.done" and event.item.type == "custom_tool_call"
    ]
    text = "".join(event.delta for event in events if event.type == "response.custom_tool_call_input.delta")
    assert call.name == "apply_patch"
    assert call.input == text
    last = events[-1]
    assert last.type == "response.completed"
    # Agents hand items back without the names that stand for what is stored.
    said += [item.model_dump(exclude={"id", "status"}, exclude_none=True) for item in last.response.output]
    said.append({"type": "custom_tool_call_output", "call_id": call.call_id, "output": "Done!"})
    made = by_openai.responses.create(input=said, **asked)
    assert made.output_text == "The tool says: Done!"


REFUSED: dict[str, Any] = {
    "previous_response_id": "resp_1",
    "conversation": "conv_1",
    "prompt": {"id": "pmpt_1"},
    "tools[0].type": [{"type": "web_search"}],
}


@pytest.mark.parametrize("field", REFUSED)
def test_what_only_a_provider_of_the_format_can_do_is_refused_by_name_elsewhere(
    by_openai: openai.OpenAI, house: House, field: str
) -> None:
    more = {field.partition("[")[0]: REFUSED[field]}
    with pytest.raises(openai.BadRequestError) as caught:
        by_openai.responses.create(model=large("oa"), input=QUESTION, **more)
    assert caught.value.param == field
    assert caught.value.code == "unsupported_parameter"


def test_it_passes_to_a_provider_of_the_format_as_it_came(by_openai: openai.OpenAI, house: House) -> None:
    more = {"x_vendor": {"keep": [1, 2.5]}, "truncation": "disabled"}
    made = by_openai.responses.create(model=large("re"), input=QUESTION, extra_body=more)
    assert made.output_text == ANSWER
    body = json.loads(house.fakes["re"].asked()[-1].body)
    assert body == {"input": QUESTION, "model": "gpt-5", **more}


def test_nothing_is_kept(by_openai: openai.OpenAI) -> None:
    made = by_openai.responses.create(model="large", input=QUESTION)
    for call in (by_openai.responses.retrieve, by_openai.responses.delete, by_openai.responses.cancel):
        with pytest.raises(openai.NotFoundError, match="Laneway keeps no responses"):
            call(made.id)
    with pytest.raises(openai.NotFoundError, match="Laneway keeps no responses"):
        by_openai.responses.input_items.list(made.id)
    with pytest.raises(openai.BadRequestError, match="background"):
        by_openai.responses.create(model="large", input=QUESTION, background=True)
