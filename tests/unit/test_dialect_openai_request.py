"""OpenAI's format: whole requests, read into the neutral conversation."""

from __future__ import annotations

import json

import pytest

from laneway.chat import (
    ChatRequest,
    Document,
    Format,
    Image,
    Message,
    Op,
    Part,
    Reasoning,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from laneway.dialects import Dialect, dialect
from laneway.failure import FailureError, Kind

OPENAI: Dialect = dialect("openai")
USER = {"role": "user", "content": "hi"}
HI = Message(Role.USER, (Text("hi"),))


def read(*messages: object, **fields: object) -> ChatRequest:
    return OPENAI.read_request(
        Op.CHAT, json.dumps({"model": "m", "messages": list(messages) or [USER]} | fields).encode()
    )


def test_leading_instructions_become_the_system_and_later_ones_stay_in_place() -> None:
    later = {"role": "developer", "content": "c"}
    request = read(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}]},
        USER,
        later,
    )
    assert request.system == (Text("a"), Text("b"))
    assert request.messages == (HI, Message(Role.SYSTEM, (Text("c"),)))
    assert request.unknown == ()


def test_a_name_of_the_instructions_has_no_neutral_place() -> None:
    assert read({"role": "system", "content": "a", "name": "n"}, USER).unknown == ("messages[0].name",)
    assert read(USER | {"name": "n"}).messages[0].name == "n"


@pytest.mark.parametrize(
    ("part", "neutral"),
    [
        ({"type": "text", "text": "a"}, Text("a")),
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, Text("a", "5m")),
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, Text("a", "1h")),
        (
            {"type": "image_url", "image_url": {"url": "data:image/PNG;base64,AA==", "detail": "low"}},
            Image(media_type="image/png", data="AA==", detail="low"),
        ),
        ({"type": "image_url", "image_url": {"url": "https://x/y"}}, Image(url="https://x/y")),
        ({"type": "image_url", "image_url": "https://x/y"}, Image(url="https://x/y")),
        (
            {"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg/>"}},
            Image(url="data:image/svg+xml,<svg/>"),
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/csv;base64,AA==", "filename": "a.csv"}},
            Document("text/csv", "AA==", "a.csv"),
        ),
        ({"type": "file", "file": {"file_data": "AA=="}}, Document("application/pdf", "AA==")),
    ],
)
def test_parts_of_a_turn(part: object, neutral: Part) -> None:
    request = read({"role": "user", "content": [part]})
    assert (request.messages, request.unknown) == ((Message(Role.USER, (neutral,)),), ())


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "input_audio"),
        ({"type": "file", "file": {"file_id": "f-1"}}, "file.file_id"),
        ({"type": "video_url", "video_url": {"url": "x"}}, "video_url"),
        ({"type": "hologram"}, "type"),
        ({"type": "text", "text": "a", "annotations": [1]}, "annotations"),
        ({"type": "image_url", "image_url": {"url": "x", "crop": 1}}, "image_url.crop"),
    ],
)
def test_parts_without_a_neutral_form_are_listed_by_their_path(part: object, path: str) -> None:
    request = read(USER, {"role": "user", "content": [{"type": "text", "text": "a"}, part]})
    assert request.unknown == (f"messages[1].content[1].{path}",)


def test_parallel_tool_results_are_parts_of_one_turn() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    request = read(
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call, call | {"id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}], "name": "f"},
        USER,
        {"role": "tool", "tool_call_id": "c3", "content": ""},
    )
    assert request.messages == (
        HI,
        Message(Role.ASSISTANT, (ToolCall("c1", "f", '{"a": 1}'), ToolCall("c2", "f", '{"a": 1}'))),
        Message(Role.USER, (ToolResult("c1", (Text("one"),)), ToolResult("c2", (Text("two"),), name="f"))),
        HI,
        Message(Role.USER, (ToolResult("c3", ()),)),
    )


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thinking_under_both_its_names(field: str) -> None:
    turn = read(USER, {"role": "assistant", "content": "a", field: "hm"}).messages[1]
    assert turn.parts == (Thinking("hm"), Text("a"))


def test_a_refusal_in_the_history_is_what_was_said() -> None:
    parts = [{"type": "refusal", "refusal": "no"}]
    for turn in ({"content": None, "refusal": "no"}, {"content": parts}):
        assert read(USER, {"role": "assistant", **turn}).messages[1].parts == (Text("no"),)


def test_sampling_under_neutral_names() -> None:
    request = read(
        max_completion_tokens=9,
        max_tokens=5,
        temperature=1,
        top_p=0.5,
        top_k=3,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=0.2,
        frequency_penalty=0.3,
        seed=7,
        n=2,
        stop="x",
        logit_bias={"5": -100},
        logprobs=True,
        user="u",
        stream=True,
        stream_options={"include_usage": True},
    )
    assert request == ChatRequest(
        model="m",
        messages=(HI,),
        max_tokens=9,
        temperature=1.0,
        top_p=0.5,
        top_k=3,
        min_p=0.1,
        repeat_penalty=1.1,
        presence_penalty=0.2,
        frequency_penalty=0.3,
        seed=7,
        choices=2,
        stop=("x",),
        logit_bias={"5": -100.0},
        logprobs=0,
        user="u",
        stream=True,
        stream_usage=True,
    )


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"stop": ["a", "b"]}, "stop", ("a", "b")),
        ({"stop": None}, "stop", ()),
        ({"logprobs": True, "top_logprobs": 3}, "logprobs", 3),
        ({"logprobs": False, "top_logprobs": 3}, "logprobs", None),
        ({"repeat_penalty": 1.2}, "repeat_penalty", 1.2),
        ({"max_tokens": -1}, "max_tokens", None),
        ({"response_format": {"type": "text"}}, "format", None),
        ({"response_format": {"type": "json_object"}}, "format", Format()),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"a": 1}, "strict": True},
                }
            },
            "format",
            Format({"a": 1}, "n", True),
        ),
        ({"tool_choice": "auto"}, "tool_choice", ToolChoice(ToolMode.AUTO)),
        ({"tool_choice": "none"}, "tool_choice", ToolChoice(ToolMode.NONE)),
        ({"tool_choice": "required"}, "tool_choice", ToolChoice(ToolMode.ANY)),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            "tool_choice",
            ToolChoice(ToolMode.ONE, "f"),
        ),
        ({"parallel_tool_calls": False}, "parallel_tools", False),
        ({"reasoning_effort": "low"}, "reasoning", Reasoning(effort="low")),
        ({"reasoning_effort": "none"}, "reasoning", Reasoning(enabled=False)),
        ({"reasoning": {"max_tokens": 99, "enabled": True}}, "reasoning", Reasoning(enabled=True, budget=99)),
        ({"reasoning": {"effort": "none"}}, "reasoning", Reasoning(enabled=False)),
        (
            {"reasoning": {"max_tokens": 9}, "reasoning_effort": "low"},
            "reasoning",
            Reasoning(effort="low", budget=9),
        ),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "f", "description": "d", "parameters": {"type": "object"}},
                    }
                ]
            },
            "tools",
            (Tool("f", "d", {"type": "object"}),),
        ),
        ({"tools": [{"function": {"name": "f", "strict": True}}]}, "tools", (Tool("f", strict=True),)),
        (
            {"metadata": {"a": "b"}, "store": True, "service_tier": None},
            "hints",
            {"metadata": {"a": "b"}, "store": True},
        ),
    ],
)
def test_one_field_of_a_request(fields: dict[str, object], name: str, value: object) -> None:
    request = read(**fields)
    assert getattr(request, name) == value
    assert request.unknown == ()


@pytest.mark.parametrize(
    ("fields", "unknown"),
    [
        ({"guided_json": {}}, ["guided_json"]),
        ({"guided_json": None}, []),
        ({"verbosity": "low", "functions": []}, ["verbosity", "functions"]),
        ({"modalities": ["text"]}, []),
        ({"modalities": ["text", "audio"]}, ["modalities"]),
        ({"stream_options": {"chunky": 1}}, ["stream_options.chunky"]),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, ["tools[0].custom", "tools[0].type"]),
        ({"tools": [{"function": {"name": "f"}}, {"type": "web_search"}]}, ["tools[1].type"]),
        ({"tool_choice": "sometimes"}, ["tool_choice"]),
        ({"tool_choice": {"type": "allowed_tools"}}, ["tool_choice"]),
        ({"response_format": {"type": "grammar"}}, ["response_format.type"]),
        ({"reasoning": {"exclude": True}}, ["reasoning.exclude"]),
    ],
)
def test_fields_that_nothing_neutral_can_say_are_listed(fields: dict[str, object], unknown: list[str]) -> None:
    assert read(**fields).unknown == tuple(unknown)


def test_the_legacy_function_form_is_listed() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    request = read(USER, call, {"role": "function", "name": "f", "content": "1"})
    assert request.unknown == ("messages[1].function_call", "messages[2].role")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "system", "content": [{"type": "image_url", "image_url": "u"}]}, "content"),
        ({"role": "system", "content": "a", "tool_call_id": "c"}, "tool_call_id"),
        ({"role": "user", "content": "a", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}, "tool_calls"),
        ({"role": "user", "content": "a", "reasoning": "hm"}, "reasoning"),
        ({"role": "tool", "content": "a", "tool_call_id": "c", "refusal": "no"}, "refusal"),
        (
            {"role": "tool", "content": [{"type": "file", "file": {"file_data": "AA=="}}], "tool_call_id": "c"},
            "content",
        ),
        ({"role": "assistant", "content": "a", "tool_call_id": "c"}, "tool_call_id"),
    ],
)
def test_what_stands_in_the_wrong_message_is_listed(message: object, field: str) -> None:
    assert read(message).unknown == (f"messages[0].{field}",)


def test_a_custom_tool_call_is_listed() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}
    request = read(USER, {"role": "assistant", "content": None, "tool_calls": [call]})
    assert request.unknown == ("messages[1].tool_calls[0].custom", "messages[1].tool_calls[0].type")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "user"}, "messages[0].content"),
        ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content[0].image_url"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": 1}]}, "messages[0].content[0].image_url"),
        ({"role": "assistant", "tool_calls": [{"function": {}}]}, "messages[0].tool_calls[0].function.name"),
    ],
)
def test_wrong_messages_are_malformed(message: object, field: str) -> None:
    with pytest.raises(FailureError) as caught:
        read(message)
    assert (caught.value.failure.kind, caught.value.failure.field) == (Kind.MALFORMED_REQUEST, field)


def complete(**fields: object) -> ChatRequest:
    return OPENAI.read_request(Op.COMPLETE, json.dumps({"model": "m"} | fields).encode())


def test_a_completion_is_one_turn() -> None:
    for prompt in ("hi", ["hi"]):
        assert complete(prompt=prompt, logprobs=2, echo=False, best_of=1, suffix="") == ChatRequest(
            op=Op.COMPLETE, model="m", messages=(HI,), logprobs=2
        )


@pytest.mark.parametrize(
    ("fields", "unknown"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": "a", "suffix": "x"}, "suffix"),
        ({"prompt": "a", "echo": True}, "echo"),
        ({"prompt": "a", "best_of": 2}, "best_of"),
        ({"prompt": "a", "messages": []}, "messages"),
    ],
)
def test_completions_that_have_no_neutral_form(fields: dict[str, object], unknown: str) -> None:
    assert complete(**fields).unknown == (unknown,)
