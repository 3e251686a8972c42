"""What Anthropic's callers may ask, how a request of any caller is put to Anthropic, and what failures become."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
import pytest

from laneway.chat import (
    ChatRequest,
    Document,
    EmbedRequest,
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
from laneway.dialects import Outgoing, Stamp, dialect
from laneway.failure import Failure, FailureError, Kind
from laneway.thinking import ANSWER_TOKENS, BUDGETS
from tests.harness.failures import failure_of

ANTHROPIC = dialect("anthropic")
STAMP = Stamp(id="req_1", model="claude-sonnet-4-6", now_s=1_700_000_000)
PNG = "iVBORw0KGgoAAAANSUhEUg=="
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
BUDGET_MODEL, ADAPTIVE_MODEL = "claude-sonnet-4-5-20250929", "claude-sonnet-4-6"


def body(*messages: dict[str, Any], **fields: Any) -> bytes:
    turns = messages or ({"role": "user", "content": "hi"},)
    said = {"model": "claude-sonnet-4-6", "max_tokens": 100, "messages": turns, **fields}
    return msgspec.json.encode({name: value for name, value in said.items() if value is not ...})


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def read(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    return ANTHROPIC.read_request(Op.CHAT, body(*messages, **fields))


def asks(*parts: Part, **fields: Any) -> ChatRequest:
    messages = fields.pop("messages", (Message(Role.USER, parts or (Text("hi"),)),))
    return ChatRequest(model="m", messages=messages, **fields)


def outgoing(request: ChatRequest, model: str = ADAPTIVE_MODEL) -> Outgoing:
    return ANTHROPIC.write_request(request, model)


def sent(request: ChatRequest, model: str = ADAPTIVE_MODEL) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(outgoing(request, model).body)
    return said


def refusal(request: ChatRequest) -> Failure:
    failure = failure_of(outgoing, request)
    assert failure.kind is Kind.UNSUPPORTED
    return failure


# --- the view ----------------------------------------------------------------------------------------------


def test_the_view_counts_what_the_rooms_need() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "12"}, image()]}
    view = ANTHROPIC.view(
        Op.CHAT,
        body(
            {"role": "user", "content": "äöü"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]},
            user(result, {"type": "text", "text": "1234"}, image(), text_document("12345")),
            system=[{"type": "text", "text": "sys"}],
            tools=[{"name": "f", "input_schema": {"type": "object"}}],
            thinking={"type": "adaptive"},
            output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
            stream=True,
        ),
    )
    assert (view.op, view.model, view.stream, view.max_tokens) == (Op.CHAT, "claude-sonnet-4-6", True, 100)
    assert view.text_chars == 3 + 3 + 2 + 4 + 5
    assert (view.images, view.tools, view.turns) == (2, 1, 3)
    assert view.needs == {"tools", "vision", "documents", "schema", "thinking"}
    assert view.wants_usage


def image() -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


def text_document(words: str) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": words}}


def test_a_plain_request_needs_nothing() -> None:
    view = ANTHROPIC.view(Op.CHAT, body(thinking={"type": "disabled"}))
    assert (view.stream, view.needs, view.text_chars) == (False, frozenset(), 2)


def test_counting_tokens_needs_no_limit() -> None:
    view = ANTHROPIC.view(Op.COUNT, body(max_tokens=...))
    assert (view.op, view.max_tokens) == (Op.COUNT, None)


def test_blocks_and_fields_of_tomorrow_pass_the_view() -> None:
    later = {"type": "hologram", "source": "text", "content": {"any": 1}, "name": "x"}
    view = ANTHROPIC.view(Op.CHAT, body(user(later), tools=[{"type": "web_search_20260318"}], container="c"))
    assert (view.turns, view.tools) == (1, 1)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (body(max_tokens=...), "max_tokens"),
        (body(max_tokens="many"), "max_tokens"),
        (body(max_tokens=10**400), "max_tokens"),
        (body(model=...), "model"),
        (body(messages=[]), "messages"),
        (body({"role": "robot", "content": "hi"}), "messages[0].role"),
        (body({"role": "user"}), "messages[0].content"),
        (body(user({"text": "hi"})), "messages[0].content[0].type"),
        (body(user({"type": "text"})), "messages[0].content[0].text"),
        (body(user({"type": "image"})), "messages[0].content[0].source"),
        (body(user({"type": "image", "source": "x"})), "messages[0].content[0].source.type"),
        (body(user({"type": "image", "source": {"type": "url"}})), "messages[0].content[0].source.url"),
        (body(user({"type": "tool_result"})), "messages[0].content[0].tool_use_id"),
        (body(user({"type": "tool_use", "id": "t", "name": "f"})), "messages[0].content[0].input"),
        (
            body(user({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text"}]})),
            "messages[0].content[0].content[0].text",
        ),
        (body(system=[{"type": "text", "text": 1}]), "system[0].text"),
        (body(tools=[{"name": "f"}]), "tools[0].input_schema"),
        (body(tools=[{"input_schema": {}}]), "tools[0].name"),
        (body(stream="yes"), "stream"),
        (body(tool_choice={"type": "some"}), "tool_choice.type"),
        (body(user({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1d"}})), None),
        (b"[]", None),
        (b"", None),
        (b'{"model": "m",', None),
        (b'{"model": "\xff"}', None),
        (b'{"model":"m","max_tokens":1,"messages":[],"metadata":{"x":"\xff"}}', None),
        (b'{"model":"m","max_tokens":1,"messages":' + b"[" * 100_000, None),
        (b'{"model":"m","max_tokens":1,"x":' + b"[" * 100_000, None),
    ],
)
def test_a_body_that_does_not_fit_is_refused_at_its_place(raw: bytes, field: str | None) -> None:
    with pytest.raises(FailureError) as caught:
        ANTHROPIC.view(Op.CHAT, raw)
    failure = caught.value.failure
    assert failure.kind is Kind.MALFORMED_REQUEST
    if field is not None:
        assert failure.field == field
        assert field in failure.message


@pytest.mark.parametrize("op", [Op.COMPLETE, Op.EMBED])
def test_what_the_format_does_not_have(op: Op) -> None:
    with pytest.raises(FailureError) as caught:
        ANTHROPIC.view(op, body())
    assert caught.value.failure.kind is Kind.UNSUPPORTED
    assert ANTHROPIC.path(op, "m", stream=False) == ""


def test_no_embeddings() -> None:
    request = EmbedRequest(model="m", texts=("a",))
    verbs = (
        lambda: ANTHROPIC.read_embed_request(Op.EMBED, b"{}"),
        lambda: ANTHROPIC.write_embed_request(request, "m"),
        lambda: ANTHROPIC.read_embedding(b"{}"),
    )
    for verb in verbs:
        with pytest.raises(FailureError) as caught:
            verb()
        assert caught.value.failure.kind is Kind.UNSUPPORTED


# --- the patch ---------------------------------------------------------------------------------------------


def test_a_patch_changes_the_model_and_no_other_byte_of_a_field() -> None:
    raw = b'{"model":"a", "max_tokens":1.0e2,"messages":[ {"role":"user","content":"\\u00e4"} ],"future":{"x": 1}}'
    patched = ANTHROPIC.patch(Op.CHAT, raw, "b", ask_usage=True)
    assert patched == (
        b'{"model":"b","max_tokens":1.0e2,"messages":[ {"role":"user","content":"\\u00e4"} ],"future":{"x": 1}}'
    )
    assert ANTHROPIC.patch(Op.CHAT, raw, None, ask_usage=True) is raw


# --- reading -----------------------------------------------------------------------------------------------


def test_reading_what_a_user_says() -> None:
    (message,) = read(
        user(
            {"type": "text", "text": "look", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            image(),
            {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
            {
                "type": "document",
                "title": "paper",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
                "cache_control": {"type": "ephemeral"},
            },
            text_document("words"),
        )
    ).messages
    assert message.parts == (
        Text("look", "1h"),
        Image(media_type="image/png", data=PNG),
        Image(url="https://x.test/a.png"),
        Document("application/pdf", "JVBERg==", "paper", "5m"),
        Document("text/plain", b64encode(b"words").decode()),
    )


def test_reading_what_was_called_and_what_came_of_it() -> None:
    direct = {"type": "direct"}
    request = read(
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "xyz"},
                {"type": "text", "text": "calling", "citations": None},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"b": 1, "a": [1.50]}, "caller": direct},
            ],
        },
        user(
            {"type": "tool_result", "tool_use_id": "t1", "content": "42", "is_error": True},
            {"type": "tool_result", "tool_use_id": "t2"},
            {"type": "tool_result", "tool_use_id": "t3", "content": [{"type": "text", "text": "a"}, image()]},
        ),
        {"role": "system", "content": "be brief"},
    )
    assert request.messages[0].parts == (
        Thinking("hm", "sig"),
        Thinking(redacted="xyz"),
        Text("calling"),
        ToolCall("t1", "f", '{"b":1,"a":[1.5]}'),
    )
    assert request.messages[1].parts == (
        ToolResult("t1", (Text("42"),), is_error=True),
        ToolResult("t2", ()),
        ToolResult("t3", (Text("a"), Image(media_type="image/png", data=PNG))),
    )
    assert request.messages[2] == Message(Role.SYSTEM, (Text("be brief"),))
    assert request.unknown == ()


def test_reading_settings() -> None:
    cache = {"type": "ephemeral"}
    request = read(
        system=[{"type": "text", "text": "sys", "cache_control": cache}],
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["END"],
        stream=True,
        metadata={"user_id": "u1"},
        tools=[
            {"name": "f", "description": "does", "input_schema": SCHEMA, "strict": True, "cache_control": cache},
            {"type": "custom", "name": "g", "input_schema": {"type": "object"}},
        ],
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 2048},
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
        service_tier="auto",
    )
    assert request.system == (Text("sys", "5m"),)
    assert request.tools == (
        Tool("f", "does", SCHEMA, strict=True, cache="5m"),
        Tool("g", schema={"type": "object"}),
    )
    assert request.tool_choice == ToolChoice(ToolMode.ONE, "f")
    assert request.parallel_tools is False
    assert request.reasoning == Reasoning(enabled=True, effort="high", budget=2048)
    assert request.format == Format(schema=SCHEMA)
    assert (request.temperature, request.top_p, request.top_k, request.stop) == (0.5, 0.9, 40, ("END",))
    assert (request.user, request.max_tokens, request.stream, request.stream_usage) == ("u1", 100, True, True)
    assert (request.hints, request.unknown) == ({"service_tier": "auto"}, ())


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, Reasoning(enabled=False)),
        ({"thinking": {"type": "adaptive"}}, Reasoning(enabled=True)),
        ({"output_config": {"effort": "low"}}, Reasoning(effort="low")),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, Reasoning(enabled=True, effort="max")),
    ],
)
def test_reading_how_much_to_think(fields: dict[str, Any], reasoning: Reasoning | None) -> None:
    assert read(**fields).reasoning == reasoning


def test_what_may_be_forgotten_of_a_long_conversation_is_read_by_others_and_said_to_be_left_out() -> None:
    """Claude Code says so with every request."""
    forgets = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    request = read(context_management=forgets)
    assert request.unknown == ()
    for name in ("openai", "responses", "ollama", "converse"):
        assert dialect(name).write_request(request, "m").omitted == ("context_management",)


def test_structured_outputs_by_their_older_name() -> None:
    assert read(output_format={"type": "json_schema", "schema": SCHEMA}).format == Format(schema=SCHEMA)


@pytest.mark.parametrize(
    ("messages", "fields", "unknown"),
    [
        (
            (),
            {"container": "c", "mcp_servers": [1], "inference_geo": "eu"},
            {"container", "mcp_servers", "inference_geo"},
        ),
        ((), {"container": None, "context_management": []}, set()),
        ((), {"tools": [{"type": "web_search_20260318", "name": "web_search"}]}, {"tools[0].type"}),
        ((), {"tools": [{"name": "f", "input_schema": {}, "defer_loading": True}]}, {"tools[0].defer_loading"}),
        ((), {"thinking": {"type": "between_tools"}}, {"thinking.type"}),
        ((), {"metadata": {"user_id": "u", "more": 1}}, {"metadata.more"}),
        ((), {"output_config": {"task_budget": 5}}, {"output_config.task_budget"}),
        ((), {"system": [{"type": "text", "text": "x", "citations": [1]}]}, {"system[0].citations"}),
        (
            (user({"type": "server_tool_use", "id": "s", "name": "w", "input": {}}),),
            {},
            {"messages[0].content[0].type"},
        ),
        (
            (user({"type": "image", "source": {"type": "file", "file_id": "f"}}),),
            {},
            {"messages[0].content[0].source.type"},
        ),
        (
            (user({"type": "document", "source": {"type": "url", "url": "https://x.test"}}),),
            {},
            {"messages[0].content[0].source.type"},
        ),
        (
            (user({**text_document("x"), "citations": {"enabled": True}, "context": "c"}),),
            {},
            {"messages[0].content[0].citations", "messages[0].content[0].context"},
        ),
        ((user({**text_document("x"), "citations": {"enabled": False}}),), {}, set()),
        (
            (user({"type": "tool_result", "tool_use_id": "t", "content": [text_document("x")]}),),
            {},
            {"messages[0].content[0].content[0].type"},
        ),
        (({"role": "user", "content": "hi", "weight": 2},), {}, {"messages[0].weight"}),
    ],
)
def test_what_has_no_neutral_word_is_listed(
    messages: tuple[dict[str, Any], ...], fields: dict[str, Any], unknown: set[str]
) -> None:
    request = read(*messages, **fields)
    assert set(request.unknown) == unknown
    if unknown:
        assert refusal(request).field in unknown


def test_hints_are_no_words() -> None:
    request = read(
        speed="fast", cache_control={"type": "ephemeral"}, thinking={"type": "adaptive", "display": "omitted"}
    )
    assert request.hints == {
        "speed": "fast",
        "cache_control": {"type": "ephemeral"},
        "thinking.display": "omitted",
    }
    assert request.unknown == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"name": "f", "input_schema": [1]}]},
        {"output_config": {"format": {"type": "json_schema", "schema": 7}}},
        {"tool_choice": {"type": "tool"}},
    ],
)
def test_reading_refuses_what_cannot_be_meant(fields: dict[str, Any]) -> None:
    with pytest.raises(FailureError) as caught:
        read(**fields)
    assert caught.value.failure.kind is Kind.MALFORMED_REQUEST


# --- writing -----------------------------------------------------------------------------------------------


def test_a_small_request_is_written_small() -> None:
    written = outgoing(asks(system=(Text("sys"),)))
    assert written.path == "/v1/messages"
    assert written.omitted == ()
    assert written.body == (
        b'{"model":"claude-sonnet-4-6","max_tokens":4096,"messages":[{"role":"user","content":"hi"}],"system":"sys"}'
    )


def test_what_was_read_is_written_as_it_was() -> None:
    raw = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 100,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "redacted_thinking", "data": "xyz"},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"z": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "42", "is_error": True},
                    image(),
                    {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
                    text_document("words"),
                ],
            },
        ],
        "system": "sys",
        "tools": [{"name": "f", "description": "does", "input_schema": SCHEMA, "strict": True}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": False},
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "medium", "format": {"type": "json_schema", "schema": SCHEMA}},
        "stream": True,
        "temperature": 1.0,
        "top_p": 0.5,
        "top_k": 3,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "service_tier": "standard_only",
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
    written = outgoing(ANTHROPIC.read_request(Op.CHAT, msgspec.json.encode(raw)))
    assert msgspec.json.decode(written.body) == raw
    assert written.omitted == ()


def test_a_count_is_asked_without_a_limit() -> None:
    request = ANTHROPIC.read_request(Op.COUNT, body(max_tokens=..., system="s"))
    written = outgoing(request)
    assert written.path == "/v1/messages/count_tokens"
    assert set(msgspec.json.decode(written.body)) == {"model", "messages", "system"}


def test_turns_alternate_and_results_stand_first() -> None:
    said = sent(
        asks(
            messages=(
                Message(Role.USER, (Text("one"),)),
                Message(Role.USER, (Text("two"),)),
                Message(Role.ASSISTANT, (ToolCall("a", "f", "{}"), ToolCall("b", "f", ""))),
                Message(Role.USER, (ToolResult("a", (Text("1"),)),)),
                Message(Role.USER, (Text("and"), ToolResult("b", ()))),
                Message(Role.ASSISTANT, (Text("The answer is"),)),
            )
        )
    )
    assert [turn["role"] for turn in said["messages"]] == ["user", "assistant", "user", "assistant"]
    assert [block["text"] for block in said["messages"][0]["content"]] == ["one", "two"]
    assert said["messages"][1]["content"][1]["input"] == {}
    assert said["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "1"},
        {"type": "tool_result", "tool_use_id": "b"},
        {"type": "text", "text": "and"},
    ]
    # What stands last is where the model goes on.
    assert said["messages"][3] == {"role": "assistant", "content": "The answer is"}


def test_later_system_words_are_moved_not_lost() -> None:
    written = outgoing(
        asks(
            system=(Text("first"),),
            messages=(
                Message(Role.USER, (Text("hi"),)),
                Message(Role.SYSTEM, (Text("second"),)),
                Message(Role.USER, (Text("there"),)),
            ),
        )
    )
    said = msgspec.json.decode(written.body)
    assert [block["text"] for block in said["system"]] == ["first", "second"]
    assert [block["text"] for block in said["messages"][0]["content"]] == ["hi", "there"]
    assert written.omitted == ("messages[1].role",)


def test_blank_text_beside_other_parts_has_no_words_to_lose() -> None:
    said = sent(
        asks(
            messages=(Message(Role.USER, (Text("hi"),)), Message(Role.ASSISTANT, (Text("\n"), ToolCall("a", "f", ""))))
        )
    )
    assert [block["type"] for block in said["messages"][1]["content"]] == ["tool_use"]
    assert sent(asks(Text("\n")))["messages"] == [{"role": "user", "content": "\n"}]


def test_foreign_thinking_is_left_out_and_listed() -> None:
    history = (
        Message(Role.USER, (Text("hi"),)),
        Message(Role.ASSISTANT, (Thinking("unsigned"), Thinking("more"), Text("yes"))),
        Message(Role.USER, (Text("go on"),)),
    )
    written = outgoing(asks(messages=history))
    assert msgspec.json.decode(written.body)["messages"][1] == {"role": "assistant", "content": "yes"}
    assert written.omitted == ("messages[1].reasoning_content",)


def test_foreign_ids_of_calls_are_made_to_fit_and_still_meet() -> None:
    said = sent(
        asks(
            messages=(
                Message(Role.USER, (Text("hi"),)),
                Message(Role.ASSISTANT, (ToolCall("functions.f:0", "f", "{}"), ToolCall("call_1", "f", "{}"))),
                Message(Role.USER, (ToolResult("functions.f:0", ()), ToolResult("call_1", ()))),
            )
        )
    )
    calls = [block["id"] for block in said["messages"][1]["content"]]
    assert calls == [block["tool_use_id"] for block in said["messages"][2]["content"]]
    assert calls[1] == "call_1"
    assert calls[0].replace("_", "").isalnum()


def test_arguments_keep_their_bytes() -> None:
    history = (
        Message(Role.USER, (Text("x"),)),
        Message(Role.ASSISTANT, (ToolCall("a", "f", '{"b": 1.0,  "a": "\\u00e4"}'),)),
    )
    assert b'"input":{"b": 1.0,  "a": "\\u00e4"}' in outgoing(asks(messages=history)).body


@pytest.mark.parametrize("arguments", ["[1]", "{", "null", "words"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    history = (Message(Role.USER, (Text("x"),)), Message(Role.ASSISTANT, (ToolCall("a", "f", arguments),)))
    assert refusal(asks(messages=history)).field == "messages[1].content[0].function.arguments"


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Image(data=PNG), image()),
        (
            Image(data="/9j/4AAQ", detail="auto"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQ"}},
        ),
        (
            Document("application/pdf", "JVBERg==", "paper"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
                "title": "paper",
            },
        ),
    ],
)
def test_pictures_and_documents(part: Part, block: dict[str, Any]) -> None:
    assert sent(asks(part))["messages"][0]["content"] == [block]


@pytest.mark.parametrize(
    "part",
    [
        Image(data="QUJD"),
        Document("text/csv", "QUJD"),
        Document("text/plain", "no base64!"),
        Document("text/plain", "/w=="),
    ],
)
def test_pictures_and_documents_it_cannot_take(part: Part) -> None:
    assert refusal(asks(part)).field == "messages[0].content[0]"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"logprobs": 0}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": -1.0}, "frequency_penalty"),
        ({"repeat_penalty": 1.1}, "repeat_penalty"),
        ({"min_p": 0.1}, "min_p"),
        ({"logit_bias": {"1": 2.0}}, "logit_bias"),
        ({"choices": 2}, "n"),
        ({"temperature": 1.5}, "temperature"),
        ({"format": Format()}, "response_format"),
        ({"reasoning": Reasoning(effort="enormous")}, "reasoning_effort"),
        ({"unknown": ("audio",)}, "audio"),
        ({"tool_choice": ToolChoice(ToolMode.ANY)}, "tool_choice"),
        ({"messages": ()}, "messages"),
        ({"messages": (Message(Role.SYSTEM, (Image(data=PNG),)),)}, "messages[0].content[0]"),
    ],
)
def test_what_it_cannot_say_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    failure = refusal(asks(**fields))
    assert failure.field == field
    assert failure.rule.try_next


def test_values_that_ask_for_nothing_are_no_reason_to_refuse() -> None:
    written = outgoing(
        asks(presence_penalty=0.0, frequency_penalty=0.0, repeat_penalty=1.0, min_p=0.0, logit_bias={}, choices=1)
    )
    assert written.omitted == ()


def test_harmless_omissions_are_listed() -> None:
    request = asks(
        seed=7,
        window=8192,
        hints={"store": True, "service_tier": "flex", "keep_alive": "5m"},
        format=Format(schema=SCHEMA, name="place", strict=False),
        messages=(Message(Role.USER, (Text("hi"), Image(data=PNG, detail="high")), name="ann"),),
    )
    assert set(outgoing(request).omitted) == {
        "seed",
        "num_ctx",
        "store",
        "service_tier",
        "keep_alive",
        "response_format.json_schema.name",
        "response_format.json_schema.strict",
        "messages[0].name",
        "messages[0].content[1].image_url.detail",
    }


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        (None, None, None),
        (ToolChoice(ToolMode.AUTO), None, {"type": "auto"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(ToolMode.ONE, "f"), True, {"type": "tool", "name": "f", "disable_parallel_tool_use": False}),
        (ToolChoice(ToolMode.NONE), False, {"type": "none"}),
    ],
)
def test_which_tool_to_choose(choice: ToolChoice | None, parallel: bool | None, wire: dict[str, Any] | None) -> None:
    said = sent(asks(tools=(Tool("f"),), tool_choice=choice, parallel_tools=parallel))
    assert said.get("tool_choice") == wire
    assert said["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]


@pytest.mark.parametrize(
    "model",
    [
        "claude-3-7-sonnet-20250219",
        "claude-sonnet-4-20250514",
        "claude-opus-4-1",
        "claude-haiku-4-5",
        "claude-opus-4-0",
    ],
)
def test_older_models_are_given_a_budget(model: str) -> None:
    said = sent(asks(reasoning=Reasoning(effort="high")), model)
    assert said["thinking"] == {"type": "enabled", "budget_tokens": BUDGETS["high"]}
    assert said["max_tokens"] == ANSWER_TOKENS + BUDGETS["high"]
    assert "output_config" not in said


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "claude-opus-4-7", "claude-opus-5", "claude-haiku-4-10"])
def test_newer_models_are_given_an_effort(model: str) -> None:
    said = sent(asks(reasoning=Reasoning(effort="minimal"), max_tokens=50), model)
    assert said["thinking"] == {"type": "adaptive"}
    assert said["output_config"] == {"effort": "low"}
    assert said["max_tokens"] == 50


def test_a_budget_fits_below_the_callers_limit_or_there_is_no_thinking() -> None:
    assert sent(asks(reasoning=Reasoning(enabled=True), max_tokens=4000), BUDGET_MODEL)["thinking"] == {
        "type": "enabled",
        "budget_tokens": 2000,
    }
    written = outgoing(asks(reasoning=Reasoning(effort="low"), max_tokens=1000), BUDGET_MODEL)
    assert "thinking" not in msgspec.json.decode(written.body)
    assert written.omitted == ("reasoning_effort",)


@pytest.mark.parametrize("reasoning", [Reasoning(enabled=False), Reasoning(effort="none")])
def test_thinking_is_turned_off_aloud(reasoning: Reasoning) -> None:
    assert sent(asks(reasoning=reasoning))["thinking"] == {"type": "disabled"}


def test_a_callers_own_budget_is_the_callers() -> None:
    said = sent(asks(reasoning=Reasoning(budget=5000)), BUDGET_MODEL)
    assert said["thinking"] == {"type": "enabled", "budget_tokens": 5000}
    assert said["max_tokens"] == 5000 + ANSWER_TOKENS
