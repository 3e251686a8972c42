"""OpenAI's format: neutral requests written for a provider, what is left out and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from laneway.chat import (
    ChatRequest,
    Document,
    Format,
    Image,
    Message,
    Op,
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


def write(*messages: Message, to: str = "some-model", **fields: Any) -> dict[str, Any]:
    written = OPENAI.write_request(ChatRequest(model="asked", messages=messages or (HI,), **fields), to)
    assert written.path == "/chat/completions"
    body: dict[str, Any] = json.loads(written.body)
    return body


def omissions(*messages: Message, **fields: Any) -> tuple[str, ...]:
    return OPENAI.write_request(ChatRequest(model="m", messages=messages or (HI,), **fields), "m").omitted


def refused(*messages: Message, to: str = "some-model", **fields: Any) -> str | None:
    with pytest.raises(FailureError) as caught:
        OPENAI.write_request(ChatRequest(model="m", messages=messages or (HI,), **fields), to)
    assert caught.value.failure.kind is Kind.UNSUPPORTED
    return caught.value.failure.field


def test_the_least_request() -> None:
    assert write() == {"model": "some-model", "messages": [USER]}


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("o1", "max_completion_tokens"),
        ("o4-mini", "max_completion_tokens"),
        ("gpt-5.1", "max_completion_tokens"),
        ("openai/gpt-5-mini", "max_completion_tokens"),
        ("gpt-4o", "max_tokens"),
        ("gpt-oss-20b", "max_tokens"),
        ("olmo-2", "max_tokens"),
        ("llama3.2", "max_tokens"),
    ],
)
def test_the_limit_is_called_what_the_model_takes(model: str, field: str) -> None:
    assert write(to=model, max_tokens=9) == {"model": model, "messages": [USER], field: 9}


def test_a_stream_always_reports_its_usage() -> None:
    assert write(stream=True)["stream_options"] == {"include_usage": True}


def test_fields_of_compatible_servers_are_refused_for_openais_own_models() -> None:
    body = write(top_k=3, min_p=0.1, repeat_penalty=1.1)
    assert {name: body[name] for name in ("top_k", "min_p", "repeat_penalty", "repetition_penalty")} == {
        "top_k": 3,
        "min_p": 0.1,
        "repeat_penalty": 1.1,
        "repetition_penalty": 1.1,
    }
    assert refused(to="gpt-4o", top_k=3) == "top_k"
    assert refused(to="openai/o3", min_p=0.1) == "min_p"
    assert write(to="gpt-oss-20b", top_k=3)["top_k"] == 3


def test_instructions_are_one_message_however_many_texts() -> None:
    assert write(system=(Text("a"),))["messages"][0] == {"role": "system", "content": "a"}
    texts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert write(system=(Text("a"), Text("b")))["messages"][0] == {"role": "system", "content": texts}


def test_results_come_right_behind_their_calls() -> None:
    result = ToolResult("c1", (Text("one"),), is_error=True, name="f")
    turn = Message(Role.USER, (Text("and"), result, ToolResult("c2", ())), name="n")
    assert write(Message(Role.ASSISTANT, (ToolCall("c1", "f", ""), ToolCall("c2", "g", "{}"))), turn)["messages"] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "name": "f", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": ""},
        {"role": "user", "name": "n", "content": "and"},
    ]


def test_pictures_and_files() -> None:
    parts = (
        Image(media_type="image/png", data="AA==", detail="low"),
        Image(url="u"),
        Document("application/pdf", "AA=="),
    )
    assert write(Message(Role.USER, parts))["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "u"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}},
    ]


def test_tools_and_what_goes_with_them() -> None:
    tools = (Tool("f", "d", {"type": "object"}, True), Tool("g"))
    body = write(tools=tools, tool_choice=ToolChoice(ToolMode.ONE, "f"), parallel_tools=False)
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
        },
        {"type": "function", "function": {"name": "g"}},
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert body["parallel_tool_calls"] is False


def test_without_tools_openai_takes_no_choice_among_them() -> None:
    assert write(tool_choice=ToolChoice(ToolMode.AUTO), parallel_tools=True) == {
        "model": "some-model",
        "messages": [USER],
    }


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"format": Format()}, "response_format", {"type": "json_object"}),
        (
            {"format": Format({"a": 1})},
            "response_format",
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"a": 1}}},
        ),
        ({"logprobs": 0}, "logprobs", True),
        ({"logprobs": 4}, "top_logprobs", 4),
        ({"logit_bias": {"5": -100.0, "6": 0.5}}, "logit_bias", {"5": -100, "6": 0.5}),
        ({"stop": ("a",)}, "stop", ["a"]),
        ({"choices": 1}, "n", 1),
        ({"tools": (Tool("f"),), "tool_choice": ToolChoice(ToolMode.ANY)}, "tool_choice", "required"),
        ({"reasoning": Reasoning(effort="high")}, "reasoning_effort", "high"),
        ({"reasoning": Reasoning(enabled=False, effort="high")}, "reasoning_effort", "none"),
        ({"reasoning": Reasoning(enabled=True)}, "reasoning_effort", "medium"),
        ({"reasoning": Reasoning(budget=1024)}, "reasoning_effort", "low"),
        ({"reasoning": Reasoning(budget=8000)}, "reasoning_effort", "medium"),
        ({"reasoning": Reasoning(budget=32000)}, "reasoning_effort", "high"),
        ({"hints": {"store": True}}, "store", True),
    ],
)
def test_one_field_written(fields: dict[str, Any], name: str, value: object) -> None:
    assert write(**fields)[name] == value


@pytest.mark.parametrize(
    ("fields", "omitted"),
    [
        ({"window": 4096}, ("window",)),
        ({"hints": {"keep_alive": "5m", "store": True}}, ("keep_alive",)),
        ({"hints": {"service_tier": "standard_only"}}, ("service_tier",)),
        ({"hints": {"service_tier": "flex"}}, ()),
        ({"system": (Text("a", "5m"), Text("b", "1h"))}, ("cache",)),
        ({"tools": (Tool("f", cache="5m"),)}, ("cache",)),
        ({"reasoning": Reasoning(enabled=True, budget=10)}, ("reasoning.budget",)),
        ({}, ()),
    ],
)
def test_omissions_are_listed_once_each(fields: dict[str, Any], omitted: tuple[str, ...]) -> None:
    assert omissions(**fields) == omitted


@pytest.mark.parametrize(
    ("turn", "omitted"),
    [
        (Message(Role.ASSISTANT, (Thinking("hm", "sig"), Text("a"))), "thinking"),
        (Message(Role.ASSISTANT, (ToolCall("c", "f", "{}", cache="5m"),)), "cache"),
        (Message(Role.USER, (ToolResult("c", (), is_error=True),)), "is_error"),
        (Message(Role.USER, (ToolResult("c", (), cache="5m"),)), "cache"),
        (Message(Role.USER, (Image(url="u", cache="5m"),)), "cache"),
    ],
)
def test_omissions_in_the_history_are_listed(turn: Message, omitted: str) -> None:
    assert omissions(HI, turn) == (omitted,)


def test_a_turn_of_thinking_alone_stays_a_turn() -> None:
    turn = Message(Role.ASSISTANT, (Thinking("hm"),))
    assert write(HI, turn)["messages"][1] == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    ("messages", "fields", "field"),
    [
        ((HI,), {"unknown": ("guided_json", "x")}, "guided_json"),
        ((HI,), {"choices": 2}, "n"),
        ((HI,), {"op": Op.COUNT}, "op"),
        ((HI, Message(Role.USER, (ToolResult("c", (Image(url="u"),)),))), {}, "messages[1].tool_result.image"),
        ((Message(Role.ASSISTANT, (Image(url="u"),)),), {}, "messages[0].image"),
        ((HI, Message(Role.SYSTEM, (Document("a/b", ""),))), {}, "messages[1].document"),
        ((Message(Role.USER, (Thinking("x"),)),), {}, "messages[0].thinking"),
        ((Message(Role.USER, (Image(data="AA=="),)),), {}, "messages[0].image.media_type"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(messages: Any, fields: dict[str, Any], field: str) -> None:
    assert refused(*messages, **fields) == field


def test_a_picture_that_is_none_is_told_so() -> None:
    """Ollama's callers send the bytes alone: they have no field for its kind that they could leave out."""
    with pytest.raises(FailureError, match=r"messages.0.: the picture's format is not known; send PNG"):
        write(Message(Role.USER, (Image(data="!!"),)))


def test_a_translated_completion_is_a_chat() -> None:
    """Hosted chat models have no /completions, and other formats' completions go through a chat template anyway."""
    assert write(op=Op.COMPLETE, system=(Text("s"),))["messages"] == [{"role": "system", "content": "s"}, USER]


def test_models_that_only_complete_are_asked_to_complete() -> None:
    request = ChatRequest(op=Op.COMPLETE, model="m", messages=(HI,), logprobs=2, max_tokens=5)
    written = OPENAI.write_request(request, "gpt-3.5-turbo-instruct")
    assert written.path == OPENAI.path(Op.COMPLETE, "", stream=False) == "/completions"
    assert json.loads(written.body) == {
        "model": "gpt-3.5-turbo-instruct",
        "prompt": "hi",
        "max_tokens": 5,
        "logprobs": 2,
    }
    assert refused(to="davinci-002", op=Op.COMPLETE, system=(Text("s"),)) == "system"
    assert refused(HI, HI, to="davinci-002", op=Op.COMPLETE) == "messages"
    assert refused(Message(Role.USER, (Image(url="u"),)), to="davinci-002", op=Op.COMPLETE) == "messages"
