"""Requests in the Responses format: from callers, and to a provider."""

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
from laneway.dialects import asked_of, dialect
from laneway.failure import Kind
from laneway.policy.price import MOST_PROMPT, bound_prompt
from tests.harness.failures import failure_of

SPEAKS = dialect("responses")
PIXEL = "iVBORw0KGgoAAA=="
HELLO = [{"role": "user", "content": "Hello."}]
CITY: Any = {"type": "object", "properties": {"city": {"type": "string"}}}
RESULTS = (("function_call_output", "c1"), ("custom_tool_call_output", "c2"))
GRAMMAR: Any = {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "Hello.", **fields}).encode()


def read(**fields: Any) -> ChatRequest:
    return SPEAKS.read_request(Op.CHAT, body(**fields))


def said(request: ChatRequest, model: str = "gpt-5") -> dict[str, Any]:
    return json.loads(SPEAKS.write_request(request, model).body)  # type: ignore[no-any-return]


def asks(*parts: Any, **fields: Any) -> ChatRequest:
    messages = (Message(Role.USER, parts or (Text("Hello."),)),)
    return ChatRequest(**{"model": "m", "messages": messages, **fields})


# --- the view ----------------------------------------------------------------------------------------------


def test_a_view_counts_what_is_said_wherever_it_stands() -> None:
    items = [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "12345"}, {"type": "input_image", "image_url": "u"}],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x" * 500},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "1234567"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "123"}]},
        {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "1234"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "12"},
    ]
    view = SPEAKS.view(
        Op.CHAT,
        body(
            input=items,
            instructions="123456789",
            stream=True,
            max_output_tokens=77,
            tools=[{"type": "function", "name": "f", "parameters": CITY}, {"type": "custom", "name": "g"}],
            text={"format": {"type": "json_schema", "name": "n", "schema": CITY}},
            reasoning={"effort": "low", "summary": "auto"},
            include=["message.output_text.logprobs"],
        ),
    )
    assert view.text_chars == 5 + 7 + 3 + 4 + 2 + 9
    assert (view.images, view.tools, view.turns, view.choices) == (1, 2, 6, 1)
    assert (view.stream, view.max_tokens, view.wants_usage, view.stored) == (True, 77, True, False)
    assert view.needs == {"tools", "vision", "schema", "thinking", "logprobs"}


def test_a_view_of_next_to_nothing() -> None:
    view = SPEAKS.view(Op.CHAT, body(reasoning={"effort": "none"}, text={"format": {"type": "text"}}, tools=[]))
    assert (view.text_chars, view.turns, view.needs, view.max_tokens) == (6, 1, frozenset(), None)
    assert SPEAKS.view(Op.CHAT, body(max_output_tokens=-1)).max_tokens is None


STORED: list[dict[str, Any]] = [
    {"previous_response_id": "resp_1"},
    {"conversation": {"id": "conv_1"}},
    {"prompt": {"id": "pmpt_1"}},
    {"input": [{"type": "item_reference", "id": "msg_1"}]},
    {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]},
    {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://example.invalid/a.pdf"}]}]},
    {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "file_id": "f"}]}]},
    {"tools": [{"type": "web_search"}]},
]


@pytest.mark.parametrize("fields", STORED, ids=str)
def test_a_prompt_that_rests_at_the_provider_may_fill_any_window(fields: dict[str, Any]) -> None:
    view = SPEAKS.view(Op.CHAT, body(**fields))
    assert view.stored
    assert bound_prompt(view, 100) == MOST_PROMPT
    assert bound_prompt(SPEAKS.view(Op.CHAT, body()), 100) == 100
    # And elsewhere it cannot be said at all.
    assert read(**fields).unknown


def test_a_result_by_its_functions_name_alone_passes_and_is_no_result_elsewhere() -> None:
    given = [*HELLO, {"type": "function_call_output", "name": "f", "output": "x"}]
    assert SPEAKS.view(Op.CHAT, body(input=given)).turns == 2
    assert failure_of(SPEAKS.read_request, Op.CHAT, body(input=given)).field == "input[1].call_id"
    named = [*HELLO, {"type": "function_call_output", "call_id": "c", "name": "f", "output": "x"}]
    assert read(input=named).messages[1].parts == (ToolResult("c", (Text("x"),), name="f"),)


def test_what_continues_a_stored_conversation_needs_no_input() -> None:
    lean = json.dumps({"model": "m", "previous_response_id": "resp_1"}).encode()
    assert SPEAKS.view(Op.CHAT, lean).turns == 1
    assert failure_of(SPEAKS.view, Op.CHAT, b'{"model":"m"}').message == "Missing `input`."


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"model": ""}, "model", "Missing `model`."),
    ({"input": []}, "input", "Missing `input`."),
    ({"input": ""}, "input", "Missing `input`."),
    ({"input": [{}]}, "input[0].role", "Missing `input[0].role`."),
    ({"input": [{"role": "user"}]}, "input[0].content", "Missing `input[0].content`."),
    ({"input": [{"role": "king", "content": "x"}]}, "input[0].role", "unknown value 'king' at input[0].role"),
    ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text", "Missing"),
    ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id", "Missing"),
    ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments", "Missing"),
    (
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {"a": 1}}]},
        "input[0].arguments",
        "Wrong type: expected text at input[0].arguments.",
    ),
    ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "f"}]}, "input[0].input", "Missing"),
    ({"input": [*HELLO, {"type": "function_call_output", "call_id": "c"}]}, "input[1].output", "Missing"),
    ({"tools": [{"type": "function", "parameters": {}}]}, "tools[0].name", "Missing `tools[0].name`."),
    ({"tools": [{"name": "f"}]}, "tools[0].type", "Missing `tools[0].type`."),
    ({"temperature": "hot"}, "temperature", "expected a number, got text at temperature"),
    ({"max_output_tokens": 2**31}, "max_output_tokens", "up to 2147483647"),
    ({"reasoning": "high"}, "reasoning", "expected an object, got text at reasoning"),
    ({"text": {"format": 7}}, "text.format", "expected an object, got a number at text.format"),
]


@pytest.mark.parametrize(("fields", "field", "words"), WRONG, ids=lambda value: str(value)[:60])
def test_a_slip_is_told_with_its_path(fields: dict[str, Any], field: str, words: str) -> None:
    for reads in (SPEAKS.view, SPEAKS.read_request):
        failure = failure_of(reads, Op.CHAT, body(**fields))
        assert (failure.kind, failure.field) == (Kind.MALFORMED_REQUEST, field)
        assert words in failure.message


def test_what_nobody_could_fetch_is_refused() -> None:
    failure = failure_of(SPEAKS.view, Op.CHAT, body(background=True))
    assert (failure.kind, failure.field) == (Kind.UNSUPPORTED, "background")
    assert "/v1/runs" in failure.message
    assert SPEAKS.view(Op.CHAT, body(background=False)).model == "m"
    for op in (Op.COMPLETE, Op.EMBED, Op.COUNT):
        assert failure_of(SPEAKS.view, op, body()).kind is Kind.UNSUPPORTED


def test_items_of_a_providers_own_pass_whatever_they_hold() -> None:
    items = [
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "image_url": "u"}},
        {"type": "tool_search_call", "arguments": {"query": "x"}},
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "a", "stderr": ""}]},
        {"type": "item_of_tomorrow", "content": [{"kind": 7}]},
    ]
    assert SPEAKS.view(Op.CHAT, body(input=items)).turns == 4
    assert read(input=items).unknown == tuple(f"input[{at}].type" for at in range(4))


def test_what_a_choice_looks_at() -> None:
    given = body(
        input=[
            {"role": "developer", "content": "Rules."},
            {"role": "user", "content": "First."},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Said."}]},
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "Now"}, {"type": "input_text", "text": "this."}],
            },
        ],
        instructions="Be brief.",
        tools=[{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}],
        text={"format": {"type": "json_object"}},
        metadata={"tag": "poem"},
    )
    asked = SPEAKS.asked(Op.CHAT, given)
    assert (asked.opening, asked.text, asked.system) == ("First.", "Now\nthis.", "Be brief.\nRules.")
    assert (asked.tools, asked.structured, asked.tag) == (("f", "g"), True, "poem")
    plain = SPEAKS.asked(Op.CHAT, body(input="Only this."))
    assert (plain.opening, plain.text, plain.tag) == ("Only this.", "Only this.", "")
    assert plain == asked_of(read(input="Only this."))


# --- from callers ------------------------------------------------------------------------------------------


def test_one_conversation_in_which_everything_occurs() -> None:
    request = read(
        instructions="Be brief.",
        input=[
            {"role": "developer", "content": [{"type": "input_text", "text": "Mind the tests."}]},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look."},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "low"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "c1",
                "name": "f",
                "arguments": "{}",
                "status": "completed",
            },
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c2", "name": "g", "input": 'say "x"'},
            {"type": "function_call_output", "call_id": "c1", "output": "one"},
            {
                "type": "custom_tool_call_output",
                "call_id": "c2",
                "output": [{"type": "input_image", "image_url": "https://example.invalid/b.png"}],
            },
            {"role": "system", "content": "Go on."},
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "Done.", "annotations": []},
                    {"type": "refusal", "refusal": "No."},
                ],
            },
            {"role": "user", "content": "Thanks."},
        ],
    )
    assert request.unknown == ()
    assert request.system == (Text("Be brief."), Text("Mind the tests."))
    picture = Image(media_type="image/png", data=PIXEL, detail="low")
    assert request.messages == (
        Message(Role.USER, (Text("Look."), picture, Document("application/pdf", "QQ==", "a.pdf"))),
        Message(
            Role.ASSISTANT, (Thinking("Hm."), ToolCall("c1", "f", "{}"), ToolCall("c2", "g", '{"input":"say \\"x\\""}'))
        ),
        Message(
            Role.USER,
            (ToolResult("c1", (Text("one"),)), ToolResult("c2", (Image(url="https://example.invalid/b.png"),))),
        ),
        Message(Role.SYSTEM, (Text("Go on."),)),
        Message(Role.ASSISTANT, (Text("Done."), Text("No."))),
        Message(Role.USER, (Text("Thanks."),)),
    )


def test_settings_have_their_neutral_names() -> None:
    request = read(
        stream=True,
        max_output_tokens=50,
        temperature=0.5,
        top_p=0.9,
        top_logprobs=3,
        tools=[
            {"type": "function", "name": "f", "description": "d", "parameters": CITY, "strict": True},
            {"type": "function", "name": "h", "parameters": None, "strict": False},
        ],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        text={"format": {"type": "json_schema", "name": "n", "schema": CITY, "strict": True}, "verbosity": "low"},
        reasoning={"effort": "high", "summary": "auto"},
        user="u",
        metadata={"a": "b"},
        prompt_cache_key="k",
        service_tier="flex",
        store=True,
        truncation="auto",
        include=["reasoning.encrypted_content"],
        stream_options={"include_obfuscation": False},
    )
    assert (request.stream, request.stream_usage, request.max_tokens) == (True, True, 50)
    assert (request.temperature, request.top_p, request.logprobs, request.user) == (0.5, 0.9, 3, "u")
    assert request.tools == (Tool("f", "d", CITY, True), Tool("h"))
    assert request.tool_choice == ToolChoice(ToolMode.ONE, "f")
    assert request.parallel_tools is False
    assert request.format == Format(CITY, "n", True)
    assert request.reasoning == Reasoning(effort="high")
    assert request.unknown == ()
    assert request.hints == {
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "service_tier": "flex",
        "store": True,
        "truncation": "auto",
        "parallel_tool_calls": False,
        "text.verbosity": "low",
        "reasoning.summary": "auto",
    }
    assert read(store=False, truncation="disabled", background=False, previous_response_id=None).hints == {}
    assert read(reasoning={"effort": "none"}).reasoning == Reasoning(enabled=False)
    modes = [read(tool_choice=word).tool_choice for word in ("none", "auto", "required")]
    assert modes == [ToolChoice(ToolMode.NONE), ToolChoice(ToolMode.AUTO), ToolChoice(ToolMode.ANY)]


def test_a_tool_of_plain_text_is_a_function_of_one_field_elsewhere() -> None:
    (tool,) = read(tools=[{"type": "custom", "name": "g", "description": "d"}]).tools
    assert (tool.name, tool.description, tool.free) == ("g", "d", {})
    assert tool.schema is not None
    assert tool.schema["required"] == ["input"]
    request = read(
        tools=[{"type": "custom", "name": "g", "format": GRAMMAR}], tool_choice={"type": "custom", "name": "g"}
    )
    assert request.tools[0].free == GRAMMAR
    assert request.tool_choice == ToolChoice(ToolMode.ONE, "g")
    told = json.loads(dialect("openai").write_request(request, "local").body)["tools"][0]["function"]
    assert "lark" in told["parameters"]["properties"]["input"]["description"]
    assert 'start: "x"' in told["parameters"]["properties"]["input"]["description"]
    # That nobody holds the model to it is said.
    assert dialect("openai").write_request(request, "local").omitted == ("tools[0].format",)


def test_a_tool_of_a_group_is_known_by_both_names_where_there_are_no_groups() -> None:
    free = {"type": "custom", "name": "note", "format": GRAMMAR}
    find = {"type": "function", "name": "find", "parameters": CITY, "strict": False}
    group = {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [find, free]}
    calls: list[Any] = [
        {"type": "function_call", "call_id": "c1", "name": "find", "namespace": "crm", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "note", "namespace": "crm", "input": "x"},
    ]
    results = [{"type": kind, "call_id": name, "output": "ok"} for kind, name in RESULTS]
    request = read(tools=[group, find], input=[*HELLO, *calls, *results])
    assert SPEAKS.view(Op.CHAT, body(tools=[group])).stored is False
    assert [tool.name for tool in request.tools] == ["crm__find", "crm__note", "find"]
    assert [part.name for part in request.messages[1].parts if isinstance(part, ToolCall)] == ["crm__find", "crm__note"]
    told = dialect("anthropic").write_request(request, "claude")
    assert [tool["name"] for tool in json.loads(told.body)["tools"]] == ["crm__find", "crm__note", "find"]
    assert told.omitted == ("tools[0].description", "tools[0].tools[1].format")
    again = said(request)
    assert again["tools"] == [group, find]
    assert again["input"][1:] == [*calls, *results]


def test_a_tool_of_a_group_has_a_name() -> None:
    group = {"type": "namespace", "name": "crm", "tools": [{"type": "function"}]}
    assert failure_of(SPEAKS.read_request, Op.CHAT, body(tools=[group])).field == "tools[0].tools[0].name"


def test_who_wishes_for_one_call_at_a_time_bears_several_where_nobody_can_keep_a_model_to_it() -> None:
    """Agents say so of every model that they do not know; the callers of other formats mean it."""
    tools = [{"type": "function", "name": "f", "parameters": CITY}]
    request = read(tools=tools, parallel_tool_calls=False)
    for name in ("ollama", "converse"):
        assert dialect(name).write_request(request, "m").omitted == ("parallel_tool_calls",)
    for name, words in (
        ("openai", b'"parallel_tool_calls":false'),
        ("responses", b'"parallel_tool_calls":false'),
        ("anthropic", b'"disable_parallel_tool_use":true'),
    ):
        written = dialect(name).write_request(request, "m")
        assert words in written.body
        assert written.omitted == ()
    meant = ChatRequest(model="m", messages=request.messages, tools=request.tools, parallel_tools=False)
    for name in ("ollama", "converse"):
        assert failure_of(dialect(name).write_request, meant, "m").kind is Kind.UNSUPPORTED


STRANGE: list[tuple[dict[str, Any], str]] = [
    ({"seed": 0}, "seed"),
    ({"max_tokens": 5}, "max_tokens"),
    ({"stop": ["x"]}, "stop"),
    ({"context_management": [{"type": "compaction"}]}, "context_management"),
    ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type"),
    ({"tools": [{"type": "function", "name": "f", "parameters": {}, "defer_loading": True}]}, "tools[0].defer_loading"),
    ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, "tool_choice.type"),
    ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice.type"),
    ({"tool_choice": "perhaps"}, "tool_choice"),
    ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
    ({"text": {"tone": "kind"}}, "text.tone"),
    ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        "input[0].content[0].type",
    ),
    ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "a", "x": 1}]}]}, "input[0].content[0].x"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].content[0].file_id",
    ),
    (
        {"input": [*HELLO, {"role": "system", "content": [{"type": "input_image", "image_url": "u"}]}]},
        "input[1].content[0].type",
    ),
    (
        {
            "input": [
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [{"type": "input_file", "file_data": "QQ=="}],
                }
            ]
        },
        "input[0].output[0].type",
    ),
    (
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "", "async": True}]},
        "input[0].async",
    ),
    ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "web_search"}]}]}, "tools[0].tools[0].type"),
    ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input[0].type"),
]


@pytest.mark.parametrize(("fields", "path"), STRANGE, ids=lambda value: str(value)[:60])
def test_what_nothing_neutral_can_say_is_listed_by_its_path(fields: dict[str, Any], path: str) -> None:
    request = read(**fields)
    assert path in request.unknown
    for name in ("openai", "anthropic", "ollama", "converse", "responses"):
        assert failure_of(dialect(name).write_request, request, "m").kind is Kind.UNSUPPORTED


def test_what_changes_no_word_is_a_hint_and_told_to_be_left_out() -> None:
    said = [
        {
            "type": "message",
            "role": "assistant",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "a", "annotations": [{"type": "url_citation"}]}],
        },
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit"}}],
        },
    ]
    request = read(input=[*HELLO, *said], client_metadata={"session": "1"})
    assert request.unknown == ()
    paths = {"client_metadata", "input[1].phase", "input[1].content[0].annotations"}
    paths.add("input[2].content[0].prompt_cache_breakpoint")
    assert set(request.hints) == paths
    assert set(dialect("openai").write_request(request, "m").omitted) == paths


# --- thoughts ----------------------------------------------------------------------------------------------


def test_a_seal_says_whose_it_is() -> None:
    """What OpenAI encrypted goes to models behind this format only, and a signature of Claude's only to Claude."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
    theirs = read(input=[*HELLO, thought | {"encrypted_content": "gAAAA"}, *HELLO])
    claude = read(input=[*HELLO, thought | {"encrypted_content": "laneway.signed:c2ln"}, *HELLO])
    hidden = read(input=[*HELLO, thought | {"encrypted_content": "laneway.hidden:c2Vj"}, *HELLO])
    assert theirs.messages[1].parts == (Thinking("Hm.", "responses:gAAAA"),)
    assert claude.messages[1].parts == (Thinking("Hm.", "c2ln"),)
    assert hidden.messages[1].parts == (Thinking(redacted="c2Vj"),)
    item = said(theirs)["input"][1]
    assert item == {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "encrypted_content": "gAAAA",
    }
    assert [turn["role"] for turn in said(claude)["input"]] == ["user", "user"]
    assert SPEAKS.write_request(claude, "m").omitted == ("thinking",)
    for name, model in (("anthropic", "claude-sonnet-4-6"), ("converse", "us.anthropic.claude-sonnet-4-6")):
        other = dialect(name)
        assert b"gAAAA" not in other.write_request(theirs, model).body
        assert other.write_request(theirs, model).omitted == ("messages[1].reasoning_content",)
        assert b"c2ln" in other.write_request(claude, model).body
        assert other.write_request(claude, model).omitted == ()


# --- to a provider -----------------------------------------------------------------------------------------


def test_a_request_says_everything_in_the_formats_words() -> None:
    request = asks(
        Text("Look."),
        Image(media_type="image/png", data=PIXEL),
        Document("application/pdf", "QQ==", "a.pdf"),
        system=(Text("Be brief."),),
        max_tokens=50,
        temperature=0.5,
        top_p=0.9,
        stream=True,
        logprobs=2,
        tools=(Tool("f", "d", CITY), Tool("g", schema={"type": "object"}, free=GRAMMAR)),
        tool_choice=ToolChoice(ToolMode.ONE, "g"),
        parallel_tools=False,
        format=Format(CITY),
        reasoning=Reasoning(effort="low"),
        user="u",
        hints={"metadata": {"a": "b"}, "text.verbosity": "low", "reasoning.summary": "auto", "tools[1].format": True},
    )
    written = SPEAKS.write_request(request, "gpt-5")
    assert (written.path, written.omitted) == ("/responses", ())
    assert json.loads(written.body) == {
        "model": "gpt-5",
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look."},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="},
                ],
            }
        ],
        "max_output_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        "user": "u",
        "stream": True,
        "store": False,
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
        "top_logprobs": 2,
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": CITY, "strict": False},
            {"type": "custom", "name": "g", "format": GRAMMAR},
        ],
        "tool_choice": {"type": "custom", "name": "g"},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": CITY}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "metadata": {"a": "b"},
    }


def test_nothing_is_stored_unless_somebody_asked_for_it() -> None:
    assert said(asks())["store"] is False
    assert said(asks(hints={"store": True}))["store"] is True
    # Models that do not reason refuse the wish.
    assert "include" not in said(asks())
    assert "include" not in said(asks(reasoning=Reasoning(enabled=False)))


def test_a_call_of_a_free_tool_and_its_result_are_told_as_such() -> None:
    turns = (
        Message(Role.USER, (Text("Hi."),)),
        Message(Role.ASSISTANT, (ToolCall("c1", "g", '{"input":"say"}'), ToolCall("c2", "f", ""))),
        Message(Role.USER, (ToolResult("c1", (Text("x"),), is_error=True), ToolResult("c2", ()))),
    )
    request = ChatRequest(model="m", messages=turns, tools=(Tool("f"), Tool("g", free={})))
    assert said(request)["input"][1:] == [
        {"type": "custom_tool_call", "call_id": "c1", "name": "g", "input": "say"},
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "x"},
        {"type": "function_call_output", "call_id": "c2", "output": ""},
    ]
    assert SPEAKS.write_request(request, "m").omitted == ("is_error",)


def test_a_turn_keeps_the_order_of_what_was_said() -> None:
    turn = Message(Role.ASSISTANT, (Text("a"), ToolCall("c", "f", "{}"), Text("b"), Text("c")))
    request = ChatRequest(model="m", messages=(Message(Role.USER, (Text("Hi."),)), turn))
    assert [item.get("content", item["type"]) for item in said(request)["input"][1:]] == [
        "a",
        "function_call",
        [{"type": "output_text", "text": "b"}, {"type": "output_text", "text": "c"}],
    ]


UNSAYABLE: list[tuple[dict[str, Any], str]] = [
    ({"stop": ("x",)}, "stop"),
    ({"choices": 2}, "n"),
    ({"top_k": 5}, "top_k"),
    ({"min_p": 0.1}, "min_p"),
    ({"presence_penalty": 0.5}, "presence_penalty"),
    ({"frequency_penalty": 0.5}, "frequency_penalty"),
    ({"repeat_penalty": 1.1}, "repeat_penalty"),
    ({"logit_bias": {"5": 1.0}}, "logit_bias"),
    ({"op": Op.COUNT}, "op"),
    ({"messages": (Message(Role.SYSTEM, (Image(url="u"),)),)}, "messages[0].image"),
]


@pytest.mark.parametrize(("fields", "field"), UNSAYABLE, ids=str)
def test_what_the_format_has_no_word_for_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    failure = failure_of(SPEAKS.write_request, asks(**fields), "m")
    assert (failure.kind, failure.field) == (Kind.UNSUPPORTED, field)


def test_what_asks_for_nothing_is_not_refused_and_what_is_left_out_is_listed() -> None:
    request = asks(
        Text("Hi.", "5m"),
        presence_penalty=0.0,
        repeat_penalty=1,
        choices=1,
        seed=7,
        window=4096,
        reasoning=Reasoning(True, None, 9000),
        hints={"keep_alive": "5m", "service_tier": "standard_only"},
    )
    written = SPEAKS.write_request(request, "m")
    assert set(written.omitted) == {"cache", "seed", "window", "reasoning.budget", "keep_alive", "service_tier"}
    assert json.loads(written.body)["reasoning"] == {"effort": "high"}


def test_a_legacy_completion_is_asked_as_a_chat() -> None:
    assert said(asks(op=Op.COMPLETE))["input"] == [{"role": "user", "content": "Hello."}]
