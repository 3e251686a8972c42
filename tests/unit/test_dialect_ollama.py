"""What Ollama's clients may ask, and how a request of any caller is put to an Ollama server."""

from __future__ import annotations

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
from laneway.dialects import dialect
from laneway.failure import Failure, FailureError, Kind
from tests.harness.failures import failure_of

OLLAMA = dialect("ollama")
PNG = "iVBORw0KGgoAAAANSUhEUg=="


def body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "gemma3", **fields})


def chat(*messages: dict[str, Any], **fields: Any) -> bytes:
    return body(messages=messages or [{"role": "user", "content": "hi"}], **fields)


def asks(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=messages or (Message(Role.USER, (Text("hi"),)),), **fields)


def sent(request: ChatRequest | EmbedRequest) -> dict[str, Any]:
    """The body that goes to an Ollama server."""
    if isinstance(request, EmbedRequest):
        outgoing = OLLAMA.write_embed_request(request, "gemma3")
    else:
        outgoing = OLLAMA.write_request(request, "gemma3")
    read: dict[str, Any] = msgspec.json.decode(outgoing.body)
    return read


def refusal(op: Op, raw: bytes) -> Failure:
    failure = failure_of(OLLAMA.view, op, raw)
    assert failure.kind is Kind.MALFORMED_REQUEST
    return failure


# --- the view ----------------------------------------------------------------------------------------------


def test_a_stream_is_what_one_gets_without_asking() -> None:
    assert OLLAMA.view(Op.CHAT, chat()).stream
    assert OLLAMA.view(Op.COMPLETE, body(prompt="hi")).stream
    assert OLLAMA.view(Op.CHAT, chat(stream=True)).stream
    assert not OLLAMA.view(Op.CHAT, chat(stream=False)).stream
    assert not OLLAMA.view(Op.EMBED, body(input="hi")).stream


def test_the_view_counts_what_the_rooms_need() -> None:
    view = OLLAMA.view(
        Op.CHAT,
        chat(
            {"role": "system", "content": "12345"},
            {"role": "user", "content": "äöü", "images": [PNG, PNG]},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
            {"role": "tool", "content": "9", "tool_name": "f"},
            options={"num_predict": 7},
            tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        ),
    )
    assert (view.model, view.text_chars, view.images, view.tools, view.turns) == ("gemma3", 5 + 3 + 7 + 1, 2, 1, 4)
    assert view.max_tokens == 7
    assert view.wants_usage
    assert view.needs == {"vision", "tools"}


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({"format": "json"}, {"json"}),
        ({"format": {"type": "object"}}, {"schema"}),
        ({"format": ""}, set()),
        ({"format": None}, set()),
        ({"think": True}, {"thinking"}),
        ({"think": "high"}, {"thinking"}),
        ({"think": False}, set()),
        ({"logprobs": True}, {"logprobs"}),
    ],
)
def test_abilities_a_request_asks_for(fields: dict[str, Any], needs: set[str]) -> None:
    assert OLLAMA.view(Op.CHAT, chat(**fields)).needs == needs
    assert OLLAMA.view(Op.COMPLETE, body(prompt="hi", **fields)).needs == needs


@pytest.mark.parametrize("unlimited", [-1, -2, 0, None])
def test_no_limit_is_no_limit(unlimited: int | None) -> None:
    assert OLLAMA.view(Op.CHAT, chat(options={"num_predict": unlimited})).max_tokens is None


@pytest.mark.parametrize("far", ["1e300", "1" + "0" * 400])
def test_a_limit_beyond_any_window_is_one_that_can_be_reckoned_with(far: str) -> None:
    asked = chat(options={"num_predict": 7}).replace(b"7", far.encode())
    assert OLLAMA.view(Op.CHAT, asked).max_tokens == 2**31 - 1


def test_a_request_that_only_loads_a_model_has_no_turns() -> None:
    assert OLLAMA.view(Op.CHAT, body(messages=[])).turns == 0
    assert OLLAMA.view(Op.CHAT, body()).turns == 0
    assert OLLAMA.view(Op.COMPLETE, body()).turns == 0
    assert OLLAMA.view(Op.COMPLETE, body(prompt="", keep_alive=0)).turns == 0
    assert OLLAMA.view(Op.EMBED, body()).turns == 0
    assert OLLAMA.view(Op.COMPLETE, body(prompt="hi")).turns == 1


@pytest.mark.parametrize(
    ("op", "raw", "field"),
    [
        (Op.CHAT, b'{"messages": []}', "model"),
        (Op.CHAT, b'{"model": "", "messages": []}', "model"),
        (Op.CHAT, body(messages="hi"), "messages"),
        (Op.CHAT, chat({"content": "hi"}), "messages[0].role"),
        (Op.CHAT, chat({"role": "user", "content": ["hi"]}), "messages[0].content"),
        (Op.CHAT, chat(options={"temperature": "hot"}), "options.temperature"),
        (Op.CHAT, chat(format="yaml"), "format"),
        (Op.CHAT, chat(format=7), "format"),
        (Op.CHAT, chat(tools=[{"function": {}}]), "tools[0].function.name"),
        (Op.CHAT, chat(stream="yes"), "stream"),
        (
            Op.CHAT,
            chat({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (Op.COMPLETE, body(prompt=1), "prompt"),
        (Op.COMPLETE, body(prompt="hi", images=[1]), "images[0]"),
        (Op.EMBED, body(input=[1]), "input[0]"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(op: Op, raw: bytes, field: str) -> None:
    failure = refusal(op, raw)
    assert failure.field == field
    assert field in failure.message


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"m","anything":"\xff"}',
        b'{"model":"m","anything":' + b"[" * 100_000,
    ],
)
def test_broken_bodies_are_refused(raw: bytes) -> None:
    for op in (Op.CHAT, Op.COMPLETE, Op.EMBED):
        refusal(op, raw)


def test_a_refusal_shows_nothing_of_the_prompt() -> None:
    failure = refusal(Op.CHAT, b'{"model":"m","messages":[{"role":"user","content":"secret"},{"content":"secret"}]}')
    assert "secret" not in failure.message


# --- passing through ---------------------------------------------------------------------------------------


def test_only_the_model_changes_when_a_body_is_patched() -> None:
    raw = b'{ "model" : "a", "new_thing" : [1.0, {"x" : 1e5}], "messages":[],"options":{"num_ctx":4.0} }'
    patched = OLLAMA.patch(Op.CHAT, raw, "b:7b", ask_usage=True)
    assert patched == b'{"model":"b:7b","new_thing":[1.0, {"x" : 1e5}],"messages":[],"options":{"num_ctx":4.0}}'


def test_a_body_whose_model_stays_is_not_touched() -> None:
    raw = b'{ "model":"a" }'
    assert OLLAMA.patch(Op.CHAT, raw, None, ask_usage=True) is raw


# --- requests in -------------------------------------------------------------------------------------------


def test_a_chat_is_read_whole() -> None:
    request = OLLAMA.read_request(
        Op.CHAT,
        chat(
            {"role": "system", "content": "Be brief."},
            {"role": "User", "content": "look", "images": [PNG]},
            {"role": "assistant", "content": "A cat.", "thinking": "hm"},
            {"role": "system", "content": "Now in German."},
            {"role": "user", "content": "again"},
            stream=False,
            think="low",
            format={"type": "object"},
            keep_alive="5m",
            logprobs=True,
            top_logprobs=3,
            options={
                "temperature": 0,
                "top_k": 40,
                "top_p": 0.9,
                "min_p": 0.1,
                "num_predict": 100.0,
                "num_ctx": 4096,
                "stop": ["\n", "end"],
                "seed": 42,
                "repeat_penalty": 1.1,
                "presence_penalty": 0.5,
                "frequency_penalty": 0.25,
                "num_gpu": 1,
            },
        ),
    )
    assert request == ChatRequest(
        model="gemma3",
        system=(Text("Be brief."),),
        messages=(
            Message(Role.USER, (Text("look"), Image(media_type="image/png", data=PNG))),
            Message(Role.ASSISTANT, (Thinking("hm"), Text("A cat."))),
            Message(Role.SYSTEM, (Text("Now in German."),)),
            Message(Role.USER, (Text("again"),)),
        ),
        temperature=0.0,
        top_k=40,
        top_p=0.9,
        min_p=0.1,
        max_tokens=100,
        window=4096,
        stop=("\n", "end"),
        seed=42,
        repeat_penalty=1.1,
        presence_penalty=0.5,
        frequency_penalty=0.25,
        reasoning=Reasoning(effort="low"),
        format=Format(schema={"type": "object"}),
        logprobs=3,
        hints={"keep_alive": "5m", "options.num_gpu": 1},
    )


def test_a_prompt_is_read_as_one_turn() -> None:
    request = OLLAMA.read_request(Op.COMPLETE, body(prompt="why?", system="Be brief.", images=["/9j/4AAQ"]))
    assert request.op is Op.COMPLETE
    assert request.system == (Text("Be brief."),)
    assert request.messages == (Message(Role.USER, (Text("why?"), Image(media_type="image/jpeg", data="/9j/4AAQ"))),)
    assert request.stream
    assert request.stream_usage


def test_small_spellings_are_understood() -> None:
    request = OLLAMA.read_request(Op.CHAT, chat(format="json", think=False, options={"stop": "x", "seed": -1}))
    assert request.format == Format()
    assert request.reasoning == Reasoning(enabled=False)
    assert request.stop == ("x",)
    assert request.seed is None


@pytest.mark.parametrize(
    ("op", "raw", "unknown"),
    [
        (Op.CHAT, chat(dream=1), ("dream",)),
        (Op.CHAT, chat(dream=None), ()),
        (Op.CHAT, chat({"role": "user", "content": "hi", "mood": "x"}), ("messages[0].mood",)),
        (Op.CHAT, chat({"role": "control", "content": "thinking"}), ("messages[0].role",)),
        (Op.CHAT, chat({"role": "system", "content": "x", "images": [PNG]}), ("messages[0].images",)),
        (Op.CHAT, chat({"role": "user", "content": "x", "thinking": "y"}), ("messages[0].thinking",)),
        (Op.CHAT, chat(options={"mirostat": 1, "num_thread": 2}), ("options.mirostat",)),
        (Op.CHAT, chat(tools=[{"function": {"name": "f", "x": 1}, "y": 2}]), ("tools[0].y", "tools[0].function.x")),
        (Op.COMPLETE, body(prompt="a", suffix="b"), ("suffix",)),
        (
            Op.COMPLETE,
            body(prompt="a", template="{{ .Prompt }}", raw=True, context=[1]),
            ("template", "context", "raw"),
        ),
        (Op.COMPLETE, body(prompt="a", template="", raw=False, context=[]), ()),
    ],
)
def test_what_no_other_format_knows_is_listed(op: Op, raw: bytes, unknown: tuple[str, ...]) -> None:
    assert OLLAMA.read_request(op, raw).unknown == unknown


def test_tools_are_read_as_offered() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
    request = OLLAMA.read_request(
        Op.CHAT,
        chat(tools=[{"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}}]),
    )
    assert request.tools == (Tool(name="f", description="d", schema=schema),)


def test_results_find_their_calls_without_ids() -> None:
    """Old clients name the tool, older ones not even that; each result answers one call."""

    def call(name: str, city: str) -> dict[str, Any]:
        return {"function": {"name": name, "arguments": {"city": city}}}

    request = OLLAMA.read_request(
        Op.CHAT,
        chat(
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [call("f", "Rome"), call("g", "Bern"), call("f", "Oslo")],
            },
            {"role": "tool", "tool_name": "g", "content": "1"},
            {"role": "tool", "tool_name": "f", "content": "2"},
            {"role": "tool", "content": "3"},
            {"role": "user", "content": "so?"},
        ),
    )
    assert request.messages == (
        Message(
            Role.ASSISTANT,
            (
                ToolCall("call_1", "f", '{"city":"Rome"}'),
                ToolCall("call_2", "g", '{"city":"Bern"}'),
                ToolCall("call_3", "f", '{"city":"Oslo"}'),
            ),
        ),
        Message(
            Role.USER,
            (
                ToolResult("call_2", (Text("1"),), name="g"),
                ToolResult("call_1", (Text("2"),), name="f"),
                ToolResult("call_3", (Text("3"),)),
            ),
        ),
        Message(Role.USER, (Text("so?"),)),
    )


def test_ids_are_kept_where_there_are_some() -> None:
    request = OLLAMA.read_request(
        Op.CHAT,
        chat(
            {"role": "assistant", "tool_calls": [{"id": "abc", "function": {"name": "f"}}]},
            {"role": "tool", "tool_call_id": "abc", "content": "1"},
        ),
    )
    assert request.messages[0].parts == (ToolCall("abc", "f", "{}"),)
    assert request.messages[1].parts == (ToolResult("abc", (Text("1"),)),)


# --- requests out ------------------------------------------------------------------------------------------


def test_a_chat_is_written_whole() -> None:
    request = asks(
        Message(Role.USER, (Text("a"), Text("b"), Image(media_type="image/png", data=PNG))),
        Message(
            Role.ASSISTANT, (Thinking("hm"), Text("c"), ToolCall("id1", "f", '{"x": 1}'), ToolCall("id2", "g", ""))
        ),
        Message(Role.USER, (ToolResult("id1", (Text("r"),)), ToolResult("id2", (Text("s"),), name="g"), Text("d"))),
        system=(Text("S"), Text("T")),
        max_tokens=5,
        temperature=0.5,
        stop=("x",),
        window=2048,
        tools=(Tool("f", "d", {"type": "object"}),),
        tool_choice=ToolChoice(ToolMode.AUTO),
        parallel_tools=True,
        choices=1,
        format=Format(),
        reasoning=Reasoning(enabled=True),
        logprobs=0,
        hints={"keep_alive": -1, "options.num_gpu": 1, "truncate": False},
    )
    outgoing = OLLAMA.write_request(request, "gemma3:4b")
    assert outgoing.path == "/api/chat"
    assert outgoing.omitted == ()
    assert msgspec.json.decode(outgoing.body) == {
        "model": "gemma3:4b",
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "system", "content": "T"},
            {"role": "user", "content": "a\nb", "images": [PNG]},
            {
                "role": "assistant",
                "content": "c",
                "thinking": "hm",
                "tool_calls": [
                    {"id": "id1", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}},
                    {"id": "id2", "function": {"index": 1, "name": "g", "arguments": {}}},
                ],
            },
            {"role": "tool", "content": "r", "tool_call_id": "id1", "tool_name": "f"},
            {"role": "tool", "content": "s", "tool_call_id": "id2", "tool_name": "g"},
            {"role": "user", "content": "d"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
        ],
        "stream": False,
        "options": {"temperature": 0.5, "num_predict": 5, "num_ctx": 2048, "stop": ["x"], "num_gpu": 1},
        "format": "json",
        "think": True,
        "logprobs": True,
        "top_logprobs": 0,
        "keep_alive": -1,
        "truncate": False,
    }


def test_a_prompt_is_written_as_a_prompt_and_a_longer_history_as_a_chat() -> None:
    request = asks(op=Op.COMPLETE, system=(Text("S"),), stream=True)
    outgoing = OLLAMA.write_request(request, "gemma3")
    assert outgoing.path == "/api/generate"
    assert msgspec.json.decode(outgoing.body) == {"model": "gemma3", "prompt": "hi", "system": "S", "stream": True}
    longer = msgspec.structs.replace(request, messages=(*request.messages, Message(Role.ASSISTANT, (Text("Hello"),))))
    assert OLLAMA.write_request(longer, "gemma3").path == "/api/chat"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"choices": 2}, "choices"),
        ({"logit_bias": {"1": 1.0}}, "logit_bias"),
        ({"tool_choice": ToolChoice(ToolMode.ANY)}, "tool_choice"),
        ({"tool_choice": ToolChoice(ToolMode.ONE, "f")}, "tool_choice"),
        ({"parallel_tools": False}, "parallel_tools"),
        ({"unknown": ("dream", "other")}, "dream"),
    ],
)
def test_what_ollama_cannot_say_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(FailureError) as caught:
        OLLAMA.write_request(asks(**fields), "gemma3")
    assert caught.value.failure.kind is Kind.UNSUPPORTED
    assert caught.value.failure.field == field
    assert f"`{field}`" in caught.value.failure.message


def test_ollama_counts_no_tokens() -> None:
    with pytest.raises(FailureError) as caught:
        OLLAMA.write_request(asks(op=Op.COUNT), "gemma3")
    assert caught.value.failure.kind is Kind.UNSUPPORTED


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (Document(media_type="application/pdf", data="AAAA"), "messages[0].parts[0]"),
        (Image(url="https://example.com/cat.png"), "messages[0].parts[0].url"),
        (ToolCall("i", "f", "[1]"), "messages[0].parts[0].arguments"),
        (ToolCall("i", "f", '{"a":'), "messages[0].parts[0].arguments"),
    ],
)
def test_parts_ollama_cannot_carry_are_refused(part: Any, field: str) -> None:
    with pytest.raises(FailureError) as caught:
        OLLAMA.write_request(asks(Message(Role.USER, (part,))), "gemma3")
    assert (caught.value.failure.kind, caught.value.failure.field) == (Kind.UNSUPPORTED, field)


def test_what_changes_no_word_is_left_out_and_listed() -> None:
    request = asks(
        Message(Role.USER, (Text("a", cache="5m"), Image(data=PNG, detail="low")), name="bob"),
        Message(Role.ASSISTANT, (Thinking("t", signature="s"), ToolCall("i", "f", "{}"))),
        Message(Role.USER, (ToolResult("i", (Text("broke"),), is_error=True),)),
        user="u",
        tools=(Tool("f", strict=True),),
        format=Format(schema={}, name="n", strict=True),
        reasoning=Reasoning(effort="minimal", budget=10),
        hints={"metadata": {"a": "b"}},
    )
    outgoing = OLLAMA.write_request(request, "gemma3")
    assert set(outgoing.omitted) == {
        "cache",
        "images.detail",
        "messages.name",
        "thinking.signature",
        "is_error",
        "user",
        "tools.strict",
        "format.name",
        "format.strict",
        "reasoning.effort",
        "reasoning.budget",
        "metadata",
    }
    assert msgspec.json.decode(outgoing.body)["think"] == "low"


def test_a_model_that_may_call_no_tool_is_offered_none() -> None:
    request = asks(tools=(Tool("f"),), tool_choice=ToolChoice(ToolMode.NONE))
    assert "tools" not in sent(request)
    assert OLLAMA.write_request(request, "gemma3").omitted == ("tools",)


@pytest.mark.parametrize(
    ("reasoning", "think"),
    [
        (Reasoning(enabled=False), False),
        (Reasoning(effort="none"), False),
        (Reasoning(enabled=True), True),
        (Reasoning(budget=1024), True),
        (Reasoning(effort="high"), "high"),
        (Reasoning(enabled=True, effort="medium"), "medium"),
    ],
)
def test_thinking_is_asked_for(reasoning: Reasoning, think: bool | str) -> None:
    assert sent(asks(reasoning=reasoning))["think"] == think


def test_a_request_read_and_written_is_the_same_request() -> None:
    raw = chat(
        {"role": "system", "content": "S"},
        {"role": "user", "content": "a", "images": [PNG]},
        {
            "role": "assistant",
            "content": "b",
            "thinking": "t",
            "tool_calls": [{"id": "i", "function": {"index": 0, "name": "f", "arguments": {"x": [1, 2.5, None]}}}],
        },
        {"role": "tool", "content": "r", "tool_call_id": "i", "tool_name": "f"},
        tools=[{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
        stream=True,
        format={"type": "object"},
        think="high",
        keep_alive="10m",
        options={"temperature": 0.1, "seed": 3, "num_batch": 8},
    )
    request = OLLAMA.read_request(Op.CHAT, raw)
    assert request.unknown == ()
    assert sent(request) == msgspec.json.decode(raw)
