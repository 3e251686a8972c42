"""How a request of any caller is put to Bedrock, and what Bedrock's own callers may ask."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
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
from laneway.dialects import Outgoing, dialect
from laneway.failure import Failure, FailureError, Kind
from laneway.thinking import ANSWER_TOKENS, BUDGETS
from tests.harness.failures import failure_of

CONVERSE = dialect("converse")
PNG = "iVBORw0KGgoAAAANSUhEUg=="
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLAUDE, OLDER_CLAUDE = "us.anthropic.claude-sonnet-4-6", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
QWEN, NOVA, GPT = "qwen.qwen3-next-80b-a3b", "us.amazon.nova-2-lite-v1:0", "openai.gpt-oss-120b-1:0"


def body(*blocks: dict[str, Any], **fields: Any) -> bytes:
    turns = [{"role": "user", "content": blocks or [{"text": "hi"}]}]
    return msgspec.json.encode({"messages": turns, **fields})


def read(*blocks: dict[str, Any], **fields: Any) -> ChatRequest:
    return CONVERSE.read_request(Op.CHAT, body(*blocks, **fields))


def asks(*parts: Part, **fields: Any) -> ChatRequest:
    messages = fields.pop("messages", (Message(Role.USER, parts or (Text("hi"),)),))
    return ChatRequest(model="m", messages=messages, **fields)


def outgoing(request: ChatRequest, model: str = CLAUDE) -> Outgoing:
    return CONVERSE.write_request(request, model)


def sent(request: ChatRequest, model: str = CLAUDE) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(outgoing(request, model).body)
    return said


def content(*parts: Part) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = sent(asks(*parts))["messages"][0]["content"]
    return blocks


def refusal(request: ChatRequest, model: str = CLAUDE) -> Failure:
    failure = failure_of(outgoing, request, model)
    assert failure.kind is Kind.UNSUPPORTED
    return failure


# --- the path ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        ("qwen.qwen3-next-80b-a3b", "qwen.qwen3-next-80b-a3b"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/a~b_c.d",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fa~b_c.d",
        ),
    ],
)
def test_the_model_is_one_segment_encoded_once(model: str, segment: str) -> None:
    assert CONVERSE.path(Op.CHAT, model, stream=False) == f"/model/{segment}/converse"
    assert CONVERSE.path(Op.CHAT, model, stream=True) == f"/model/{segment}/converse-stream"
    assert CONVERSE.path(Op.EMBED, model, stream=False) == f"/model/{segment}/invoke"
    assert CONVERSE.path(Op.COUNT, model, stream=False) == ""
    assert outgoing(asks(stream=True), model).path == f"/model/{segment}/converse-stream"
    assert outgoing(asks(), model).path == f"/model/{segment}/converse"


def test_a_patch_has_nothing_to_do() -> None:
    raw = body()
    assert CONVERSE.patch(Op.CHAT, raw, "other", ask_usage=True) is raw


def test_a_bedrock_key_is_a_bearer_token() -> None:
    assert CONVERSE.credentials("k") == ((b"authorization", b"Bearer k"),)


# --- the view ----------------------------------------------------------------------------------------------


def test_the_view_counts_what_the_rooms_need() -> None:
    view = CONVERSE.view(
        Op.CHAT,
        body(
            {"text": "äöü"},
            {"image": {"format": "png", "source": {"bytes": PNG}}},
            {"document": {"format": "txt", "name": "d", "source": {"text": "12345"}}},
            {"toolResult": {"toolUseId": "t", "content": [{"text": "12"}, {"json": {"a": 1}}]}},
            system=[{"text": "sys"}, {"cachePoint": {"type": "default"}}],
            inferenceConfig={"maxTokens": 7},
            toolConfig={"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]},
            outputConfig={"textFormat": text_format()},
            additionalModelRequestFields={"thinking": {"type": "adaptive"}},
        ),
    )
    assert (view.model, view.stream, view.max_tokens, view.turns, view.tools) == ("", False, 7, 1, 1)
    assert (view.text_chars, view.images) == (3 + 3 + 5 + 2, 1)
    assert view.needs == {"tools", "vision", "documents", "schema", "thinking"}


def text_format() -> dict[str, Any]:
    shape = {"name": "place", "schema": msgspec.json.encode(SCHEMA).decode()}
    return {"type": "json_schema", "structure": {"jsonSchema": shape}}


def test_a_plain_request_needs_nothing() -> None:
    assert CONVERSE.view(Op.CHAT, body()).needs == frozenset()
    off = body(additionalModelRequestFields={"thinking": {"type": "disabled"}})
    assert CONVERSE.view(Op.CHAT, off).needs == frozenset()


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"{}", "messages"),
        (body(inferenceConfig={"maxTokens": "x"}), "inferenceConfig.maxTokens"),
        (body({"text": 5}), "messages[0].content[0].text"),
        (body({"image": {"format": "png"}}), "messages[0].content[0].image.source"),
        (body({"toolUse": {"toolUseId": "t", "name": "f"}}), "messages[0].content[0].toolUse.input"),
        (b'{"messages":[{"role":"robot","content":[]}]}', "messages[0].role"),
        (b'{"messages":"\xff"}', None),
        (b'{"messages":' + b"[" * 100_000, None),
        (b"", None),
    ],
)
def test_a_body_that_does_not_fit_is_refused_at_its_place(raw: bytes, field: str | None) -> None:
    with pytest.raises(FailureError) as caught:
        CONVERSE.view(Op.CHAT, raw)
    assert caught.value.failure.kind is Kind.MALFORMED_REQUEST
    if field is not None:
        assert caught.value.failure.field == field


@pytest.mark.parametrize("op", [Op.COMPLETE, Op.COUNT])
def test_what_the_format_does_not_have(op: Op) -> None:
    for verb in (CONVERSE.view, CONVERSE.read_request):
        with pytest.raises(FailureError) as caught:
            verb(op, body())
        assert caught.value.failure.kind is Kind.UNSUPPORTED
    assert refusal(asks(op=Op.COUNT)).kind is Kind.UNSUPPORTED


# --- reading -----------------------------------------------------------------------------------------------


def test_reading_a_history() -> None:
    called = [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "eHl6"}},
        {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"b": 1}}},
    ]
    request = read(
        {"text": "look"},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"image": {"format": "jpeg", "source": {"bytes": PNG}}},
        {"document": {"format": "pdf", "name": "paper", "source": {"bytes": "JVBERg=="}}},
        {"cachePoint": {"type": "default"}},
        {"document": {"name": "plain", "source": {"text": "words"}}},
        {"toolResult": {"toolUseId": "t1", "content": [{"json": {"a": 1}}], "status": "error"}},
        {"toolResult": {"toolUseId": "t2", "content": [], "status": "success"}},
    )
    assert request.messages[0].parts == (
        Text("look", "1h"),
        Image(media_type="image/jpeg", data=PNG),
        Document("application/pdf", "JVBERg==", "paper", "5m"),
        Document("text/plain", b64encode(b"words").decode(), "plain"),
        ToolResult("t1", (Text('{"a":1}'),), is_error=True),
        ToolResult("t2", ()),
    )
    raw = msgspec.json.encode({"messages": [{"role": "assistant", "content": called}]})
    assert CONVERSE.read_request(Op.CHAT, raw).messages[0].parts == (
        Thinking("hm", "sig"),
        Thinking(redacted="eHl6"),
        ToolCall("t1", "f", '{"b":1}'),
    )
    assert request.unknown == ()


def test_reading_settings() -> None:
    request = read(
        system=[{"text": "sys"}, {"cachePoint": {"type": "default"}}],
        inferenceConfig={"maxTokens": 9, "temperature": 0.5, "topP": 0.25, "stopSequences": ["END"]},
        toolConfig={
            "tools": [
                {"toolSpec": {"name": "f", "description": "does", "inputSchema": {"json": SCHEMA}, "strict": True}},
                {"cachePoint": {"type": "default"}},
                {"toolSpec": {"name": "g", "inputSchema": {"json": {}}}},
            ],
            "toolChoice": {"tool": {"name": "f"}},
        },
        additionalModelRequestFields={"top_k": 5, "thinking": {"type": "enabled", "budget_tokens": 2048}},
        outputConfig={"effort": "high", "textFormat": text_format()},
        serviceTier={"type": "flex"},
        requestMetadata={"team": "a"},
        additionalModelResponseFieldPaths=[],
    )
    assert request.system == (Text("sys", "5m"),)
    assert (request.max_tokens, request.temperature, request.top_p, request.top_k) == (9, 0.5, 0.25, 5)
    assert request.stop == ("END",)
    assert request.tools == (Tool("f", "does", SCHEMA, strict=True, cache="5m"), Tool("g", schema={}))
    assert request.tool_choice == ToolChoice(ToolMode.ONE, "f")
    assert request.reasoning == Reasoning(enabled=True, effort="high", budget=2048)
    assert request.format == Format(schema=SCHEMA, name="place")
    assert request.hints == {"service_tier": "flex", "requestMetadata": {"team": "a"}}
    assert (request.model, request.stream, request.unknown) == ("", False, ())


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"outputConfig": {"effort": "low"}}, Reasoning(effort="low")),
        ({"additionalModelRequestFields": {"reasoning_effort": "low"}}, Reasoning(effort="low")),
        (
            {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}},
            Reasoning(enabled=True, effort="high"),
        ),
        ({"additionalModelRequestFields": {"thinking": {"type": "disabled"}}}, Reasoning(enabled=False)),
    ],
)
def test_reading_how_much_to_think(fields: dict[str, Any], reasoning: Reasoning) -> None:
    assert read(**fields).reasoning == reasoning


@pytest.mark.parametrize(
    ("blocks", "fields", "unknown"),
    [
        ((), {"guardrailConfig": {"guardrailIdentifier": "g"}}, {"guardrailConfig"}),
        ((), {"promptVariables": {"a": {"text": "b"}}}, {"promptVariables"}),
        ((), {"additionalModelRequestFields": {"k": 5}}, {"additionalModelRequestFields.k"}),
        ((), {"inferenceConfig": {"minP": 5}}, {"inferenceConfig.minP"}),
        ((), {"toolConfig": {"tools": [{"systemTool": {"name": "x"}}]}}, {"toolConfig.tools[0].systemTool"}),
        ((), {"system": [{"guardContent": {"text": {"text": "x"}}}]}, {"system[0].guardContent"}),
        (({"video": {"format": "mp4", "source": {}}},), {}, {"messages[0].content[0].video"}),
        (
            ({"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}},),
            {},
            {"messages[0].content[0].image.source.s3Location"},
        ),
        (
            ({"document": {"name": "d", "source": {"text": "x"}, "citations": {"enabled": True}}},),
            {},
            {"messages[0].content[0].document.citations"},
        ),
        (
            ({"toolResult": {"toolUseId": "t", "content": [{"video": {}}]}},),
            {},
            {"messages[0].content[0].toolResult.content[0].video"},
        ),
        (({"json": {"a": 1}},), {}, {"messages[0].content[0].json"}),
        (({"text": "x", "image": None},), {}, set()),
    ],
)
def test_what_has_no_neutral_word_is_listed(
    blocks: tuple[dict[str, Any], ...], fields: dict[str, Any], unknown: set[str]
) -> None:
    request = read(*blocks, **fields)
    assert set(request.unknown) == unknown
    if unknown:
        assert refusal(request).field in unknown


def test_reading_refuses_a_schema_that_is_none() -> None:
    tools = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": [1]}}}]}
    wrong = text_format()
    wrong["structure"]["jsonSchema"]["schema"] = "{"
    for fields in ({"toolConfig": tools}, {"outputConfig": {"textFormat": wrong}}):
        with pytest.raises(FailureError) as caught:
            read(**fields)
        assert caught.value.failure.kind is Kind.MALFORMED_REQUEST


# --- writing -----------------------------------------------------------------------------------------------


def test_a_small_request_is_written_small() -> None:
    written = outgoing(asks(system=(Text("sys"),)))
    assert written.body == b'{"messages":[{"role":"user","content":[{"text":"hi"}]}],"system":[{"text":"sys"}]}'
    assert written.omitted == ()


def test_what_was_read_is_written_as_it_was() -> None:
    raw = {
        "messages": [
            {
                "role": "user",
                "content": [{"text": "a"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
            },
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
                    {"reasoningContent": {"redactedContent": "eHl6"}},
                    {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"z": 1}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "t1", "content": [{"text": "42"}], "status": "error"}},
                    {"cachePoint": {"type": "default"}},
                    {"image": {"format": "png", "source": {"bytes": PNG}}},
                    {"document": {"format": "docx", "name": "paper", "source": {"bytes": "QUJD"}}},
                ],
            },
        ],
        "system": [{"text": "sys"}, {"cachePoint": {"type": "default"}}],
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.25, "stopSequences": ["END"]},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "f", "description": "does", "inputSchema": {"json": SCHEMA}, "strict": True}},
                {"cachePoint": {"type": "default"}},
            ],
            "toolChoice": {"any": {}},
        },
        "outputConfig": {"textFormat": text_format(), "effort": "medium"},
        "additionalModelRequestFields": {"top_k": 5, "thinking": {"type": "adaptive"}},
        "serviceTier": {"type": "priority"},
        "performanceConfig": {"latency": "optimized"},
    }
    written = outgoing(CONVERSE.read_request(Op.CHAT, msgspec.json.encode(raw)))
    assert msgspec.json.decode(written.body) == raw
    assert written.omitted == ()


def test_turns_alternate_and_results_stand_first() -> None:
    said = sent(
        asks(
            messages=(
                Message(Role.USER, (Text("one"),)),
                Message(Role.USER, (Text("two"),)),
                Message(Role.ASSISTANT, (ToolCall("a", "f", ""),)),
                Message(Role.USER, (Text("and"), ToolResult("a", (Text("1"),)))),
                Message(Role.USER, (ToolResult("b", ()),)),
                Message(Role.SYSTEM, (Text("late"),)),
                Message(Role.ASSISTANT, (Text("So"),)),
            )
        )
    )
    assert [turn["role"] for turn in said["messages"]] == ["user", "assistant", "user", "assistant"]
    assert said["messages"][1]["content"][0]["toolUse"]["input"] == {}
    assert said["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "a", "content": [{"text": "1"}]}},
        {"toolResult": {"toolUseId": "b", "content": []}},
        {"text": "and"},
    ]
    assert said["system"] == [{"text": "late"}]


def test_blank_text_beside_other_parts_has_no_words_to_lose() -> None:
    assert content(Text(" \n"), Image(data=PNG)) == [{"image": {"format": "png", "source": {"bytes": PNG}}}]
    assert content(Text("\n")) == [{"text": "\n"}]


def test_foreign_thinking_is_left_out_and_listed() -> None:
    history = (Message(Role.USER, (Text("hi"),)), Message(Role.ASSISTANT, (Thinking("unsigned"), Text("yes"))))
    written = outgoing(asks(messages=history))
    assert msgspec.json.decode(written.body)["messages"][1]["content"] == [{"text": "yes"}]
    assert written.omitted == ("messages[1].reasoning_content",)


def test_foreign_ids_of_calls_are_made_to_fit_and_still_meet() -> None:
    long = "call_" + "x" * 80
    said = sent(
        asks(
            messages=(
                Message(Role.USER, (Text("hi"),)),
                Message(Role.ASSISTANT, (ToolCall(long, "f", "{}"), ToolCall("functions.f:0", "f", "{}"))),
                Message(Role.USER, (ToolResult(long, ()), ToolResult("functions.f:0", ()))),
            )
        )
    )
    calls = [block["toolUse"]["toolUseId"] for block in said["messages"][1]["content"]]
    assert calls == [block["toolResult"]["toolUseId"] for block in said["messages"][2]["content"]]
    assert len(calls[0]) <= 64
    assert calls[1] == "functions.f:0"


def test_names_of_documents_fit_and_differ() -> None:
    blocks = content(
        Document("application/pdf", "QQ==", "a_b  c.pdf"),
        Document("application/pdf", "QQ==", "a_b  c.pdf"),
        Document("text/csv; charset=utf-8", "QQ=="),
    )
    assert [block["document"]["name"] for block in blocks] == ["a-b c-pdf", "a-b c-pdf 2", "document"]
    assert blocks[2]["document"]["format"] == "csv"


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (Image(url="https://x.test/a.png"), "messages[0].content[0].image_url.url"),
        (Image(data="QUJD"), "messages[0].content[0]"),
        (Document("application/zip", "QQ=="), "messages[0].content[0]"),
    ],
)
def test_pictures_and_documents_it_cannot_take(part: Part, field: str) -> None:
    assert refusal(asks(part)).field == field


def test_a_mark_inside_a_result_is_listed() -> None:
    written = outgoing(asks(ToolResult("t", (Text("1", "5m"),))))
    assert b"cachePoint" not in written.body
    assert written.omitted == ("messages[0].content[0].content.cache_control",)


@pytest.mark.parametrize("arguments", ["[1]", "{", "words"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    history = (Message(Role.USER, (Text("x"),)), Message(Role.ASSISTANT, (ToolCall("a", "f", arguments),)))
    assert refusal(asks(messages=history)).field == "messages[1].content[0].function.arguments"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"logprobs": 2}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": -1.0}, "frequency_penalty"),
        ({"repeat_penalty": 1.1}, "repeat_penalty"),
        ({"min_p": 0.1}, "min_p"),
        ({"logit_bias": {"1": 2.0}}, "logit_bias"),
        ({"choices": 2}, "n"),
        ({"temperature": 1.5}, "temperature"),
        ({"format": Format()}, "response_format"),
        ({"unknown": ("audio",)}, "audio"),
        ({"tool_choice": ToolChoice(ToolMode.ONE, "f")}, "tool_choice"),
        ({"tools": (Tool("f"),), "parallel_tools": False}, "parallel_tool_calls"),
        ({"messages": ()}, "messages"),
        ({"messages": (Message(Role.SYSTEM, (Image(data=PNG),)),)}, "messages[0].content[0]"),
        ({"reasoning": Reasoning(effort="enormous")}, "reasoning_effort"),
    ],
)
def test_what_it_cannot_say_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    assert refusal(asks(**fields)).field == field


def test_harmless_omissions_are_listed() -> None:
    request = asks(
        seed=7,
        window=8192,
        user="u",
        parallel_tools=True,
        choices=1,
        hints={"store": True, "service_tier": "auto"},
        format=Format(schema=SCHEMA, strict=False),
        messages=(
            Message(Role.USER, (Text("hi"), Image(data=PNG, detail="high")), name="ann"),
            Message(Role.SYSTEM, (Text("s"),)),
        ),
    )
    assert set(outgoing(request).omitted) == {
        "seed",
        "num_ctx",
        "user",
        "store",
        "service_tier",
        "response_format.json_schema.strict",
        "messages[0].name",
        "messages[0].content[1].image_url.detail",
        "messages[1].role",
    }


def test_no_tool_may_be_called() -> None:
    none = ToolChoice(ToolMode.NONE)
    written = outgoing(asks(tools=(Tool("f"),), tool_choice=none))
    assert b"toolConfig" not in written.body
    assert written.omitted == ("tools",)
    history = (Message(Role.USER, (Text("x"),)), Message(Role.ASSISTANT, (ToolCall("a", "f", "{}"),)))
    assert refusal(asks(tools=(Tool("f"),), tool_choice=none, messages=history)).field == "tool_choice"


def test_a_tool_with_nothing_to_say() -> None:
    said = sent(asks(tools=(Tool("f", description=""),), tool_choice=ToolChoice(ToolMode.AUTO)))
    schema = {"json": {"type": "object", "properties": {}}}
    assert said["toolConfig"] == {
        "tools": [{"toolSpec": {"name": "f", "inputSchema": schema}}],
        "toolChoice": {"auto": {}},
    }


# --- families of models ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "extras"),
    [
        (CLAUDE, {"top_k": 5}),
        ("mistral.mistral-large-2407-v1:0", {"top_k": 5}),
        (NOVA, {"inferenceConfig": {"topK": 5}}),
        ("cohere.command-r-plus-v1:0", {"k": 5}),
    ],
)
def test_top_k_by_family(model: str, extras: dict[str, Any]) -> None:
    assert sent(asks(top_k=5), model)["additionalModelRequestFields"] == extras


def test_top_k_of_an_unknown_family_is_refused() -> None:
    assert refusal(asks(top_k=5), QWEN).field == "top_k"


def test_newer_claude_is_given_an_effort() -> None:
    said = sent(asks(reasoning=Reasoning(effort="high")))
    assert said["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}
    assert said["outputConfig"] == {"effort": "high"}


def test_older_claude_is_given_a_budget() -> None:
    said = sent(asks(reasoning=Reasoning(effort="high")), OLDER_CLAUDE)
    budget = BUDGETS["high"]
    assert said["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": budget}}
    assert said["inferenceConfig"] == {"maxTokens": budget + ANSWER_TOKENS}
    assert "outputConfig" not in said
    tight = outgoing(asks(reasoning=Reasoning(effort="high"), max_tokens=1000), OLDER_CLAUDE)
    assert b"thinking" not in tight.body
    assert tight.omitted == ("reasoning_effort",)


def test_a_callers_own_budget_is_the_callers() -> None:
    written = outgoing(asks(reasoning=Reasoning(effort="low", budget=5000), max_tokens=9000), OLDER_CLAUDE)
    said = msgspec.json.decode(written.body)
    assert said["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 5000}}
    assert said["inferenceConfig"] == {"maxTokens": 9000}
    assert written.omitted == ("reasoning_effort",)


@pytest.mark.parametrize(
    ("model", "extras"),
    [
        (GPT, {"reasoning_effort": "high"}),
        (NOVA, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
    ],
)
def test_effort_by_family(model: str, extras: dict[str, Any]) -> None:
    assert sent(asks(reasoning=Reasoning(effort="xhigh")), model)["additionalModelRequestFields"] == extras


def test_thinking_of_an_unknown_family() -> None:
    assert refusal(asks(reasoning=Reasoning(effort="low")), QWEN).field == "reasoning_effort"
    assert refusal(asks(reasoning=Reasoning(budget=2000)), QWEN).field == "reasoning.max_tokens"
    for off in (Reasoning(enabled=False), Reasoning(effort="none")):
        assert outgoing(asks(reasoning=off), QWEN).omitted == ("reasoning_effort",)
        assert sent(asks(reasoning=off))["additionalModelRequestFields"] == {"thinking": {"type": "disabled"}}
