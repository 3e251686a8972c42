"""OpenAI's streams on the wire: recorded shapes of many servers in, and what they mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from laneway.chat import (
    Event,
    Faulted,
    Finish,
    Finished,
    Op,
    Skipped,
    Started,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolBegan,
    ToolDelta,
    Usage,
    Used,
)
from laneway.dialects import Dialect, dialect
from laneway.failure import Failure, Kind
from tests.harness.streams import read_frames

OPENAI: Dialect = dialect("openai")
DONE = b"data: [DONE]\n\n"


def sse(*chunks: object) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n" for chunk in chunks)


def chunk(delta: object = None, finish: str | None = None, **more: object) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 5, "model": "m", "choices": [choice], **more}


def events_of(stream: bytes, op: Op = Op.CHAT) -> list[Event]:
    """All events; of a stream without a fault every byte passes."""
    frames = read_frames(OPENAI.reader(op), (stream,))
    events = [event for frame in frames for event in frame.events]
    if not any(isinstance(event, Faulted) for event in events):
        assert b"".join(frame.raw for frame in frames).rstrip(b"\n") == stream.rstrip(b"\n")
    return events


def fault_of(stream: bytes) -> Failure:
    last = events_of(stream)[-1]
    assert isinstance(last, Faulted)
    return last.failure


BEGUN = Started("c-1", "m", 5)

OPENAI_TEXT = (
    b'data: {"id":"chatcmpl-A1","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini-2024-07-18",'
    b'"service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"role":"assistant",'
    b'"content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-A1","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini-2024-07-18",'
    b'"service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"Hel"},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-A1","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini-2024-07-18",'
    b'"service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"lo"},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-A1","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini-2024-07-18",'
    b'"service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{},"logprobs":null,'
    b'"finish_reason":"stop"}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-A1","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini-2024-07-18",'
    b'"service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[],"usage":{"prompt_tokens":19,'
    b'"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},'
    b'"completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":0,"accepted_prediction_tokens":0}}}\n\n'
    b"data: [DONE]\n\n"
)


def test_openais_own_stream() -> None:
    assert events_of(OPENAI_TEXT) == [
        Started("chatcmpl-A1", "gpt-4o-mini-2024-07-18", 1694268190),
        TextDelta("Hel"),
        TextDelta("lo"),
        Finished(Finish.STOP),
        Used(Usage(input=19, output=10, cache_read=4, reasoning=3)),
    ]


def test_wherever_the_pieces_are_cut_the_frames_are_the_same() -> None:
    whole = OPENAI.reader(Op.CHAT).feed(OPENAI_TEXT)
    for cut in range(1, len(OPENAI_TEXT)):
        reader = OPENAI.reader(Op.CHAT)
        pieces = [*reader.feed(OPENAI_TEXT[:cut]), *reader.feed(OPENAI_TEXT[cut:]), *reader.end()]
        assert pieces == whole


def test_parallel_tool_calls_arrive_name_first() -> None:
    def call(index: int, **more: object) -> dict[str, object]:
        return chunk({"tool_calls": [{"index": index, **more}]})

    stream = sse(
        chunk({"role": "assistant", "content": None}),
        call(0, id="call_a", type="function", function={"name": "f", "arguments": ""}),
        call(0, function={"arguments": '{"a"'}),
        call(0, function={"arguments": ":1}"}),
        call(1, id="call_b", type="function", function={"name": "g", "arguments": ""}),
        call(1, function={"arguments": "{}"}),
        chunk({}, "tool_calls"),
    )
    assert events_of(stream + DONE) == [
        BEGUN,
        ToolBegan(0, "call_a", "f"),
        ToolDelta(0, '{"a"'),
        ToolDelta(0, ":1}"),
        ToolBegan(1, "call_b", "g"),
        ToolDelta(1, "{}"),
        Finished(Finish.TOOLS),
    ]


@pytest.mark.parametrize(
    "calls",
    [
        # Ollama and llama.cpp send whole calls.
        [
            [
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
                {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
            ]
        ],
        # No index at all.
        [
            [{"id": "a", "function": {"name": "f", "arguments": "{"}}],
            [{"function": {"arguments": "}"}}],
            [{"id": "b", "function": {"name": "g", "arguments": ""}}],
            [{"id": "b", "function": {"arguments": "{}"}}],
        ],
        # Gemini's compatible face calls every one of them the first.
        [
            [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}],
            [{"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}}],
        ],
        # Indexes that begin at one, ids repeated in every piece, arguments as an object.
        [
            [{"index": 1, "id": "a", "function": {"name": "f", "arguments": "{"}}],
            [{"index": 1, "id": "a", "function": {"name": "f", "arguments": "}"}}],
            [{"index": 2, "id": "b", "function": {"name": "g", "arguments": {}}}],
        ],
        # The id before the name.
        [
            [{"index": 0, "id": "a"}],
            [{"index": 0, "function": {"name": "f", "arguments": "{}"}}],
            [{"index": 1, "id": "b", "function": {"arguments": "{"}}],
            [{"index": 1, "function": {"name": "g", "arguments": "}"}}],
        ],
    ],
)
def test_tool_calls_of_servers_that_do_it_otherwise(calls: list[object]) -> None:
    found = events_of(sse(*(chunk({"tool_calls": call}) for call in calls), chunk({}, "tool_calls")) + DONE)
    assert [event for event in found if isinstance(event, ToolBegan)] == [
        ToolBegan(0, "a", "f"),
        ToolBegan(1, "b", "g"),
    ]
    words = {0: "", 1: ""}
    for event in found:
        if isinstance(event, ToolDelta):
            words[event.index] += event.arguments
    assert words == {0: "{}", 1: "{}"}


def test_calls_without_an_id_get_one_of_their_own() -> None:
    call = {"function": {"name": "f", "arguments": "{}"}}
    found = events_of(sse(chunk({"tool_calls": [call, call]}), chunk({}, "stop")))
    assert found[1:] == [
        ToolBegan(0, "call_c-1_0", "f"),
        ToolDelta(0, "{}"),
        ToolBegan(1, "call_c-1_1", "f"),
        ToolDelta(1, "{}"),
        # A forced tool ends with "stop" although the answer is a call.
        Finished(Finish.TOOLS),
    ]


def test_the_legacy_function_call() -> None:
    stream = sse(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        chunk({}, "function_call"),
    )
    assert events_of(stream + DONE)[1:] == [
        ToolBegan(0, "call_c-1_0", "f"),
        ToolDelta(0, "{}"),
        Finished(Finish.TOOLS),
    ]


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "hm", "content": None},
        {"reasoning": "hm", "content": ""},
        {"reasoning": "hm", "reasoning_content": "hm", "content": ""},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
        {"content": [{"type": "thinking", "thinking": "hm"}]},
    ],
)
def test_thinking_of_many_servers(delta: object) -> None:
    """DeepSeek, OpenRouter, servers that say it twice, and Mistral."""
    stream = sse(chunk(delta), chunk({"content": [{"type": "text", "text": "a"}, "?"]}), chunk({}, "stop")) + DONE
    assert events_of(stream) == [BEGUN, ThinkingDelta("hm"), TextDelta("a"), Finished(Finish.STOP)]


def test_a_refusal_is_text_with_a_finish_of_its_own() -> None:
    stream = sse(chunk({"refusal": "I "}), chunk({"refusal": "won't"}), chunk({}, "stop")) + DONE
    assert events_of(stream) == [BEGUN, TextDelta("I "), TextDelta("won't"), Finished(Finish.REFUSED)]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("content_filter", Finish.FILTERED),
        ("model_length", Finish.LENGTH),
        ("eos", Finish.STOP),
        ("somehow", Finish.STOP),
    ],
)
def test_finish_reasons(reason: str, finish: Finish) -> None:
    assert events_of(sse(chunk({"content": "a"}, reason)) + DONE) == [BEGUN, TextDelta("a"), Finished(finish)]


def test_the_stop_sequence_where_a_server_names_it() -> None:
    last = chunk({}, "stop")
    last["choices"][0]["stop_reason"] = "END"
    assert events_of(sse(last))[-1] == Finished(Finish.STOP_SEQUENCE, "END")


def test_logprobs_of_chat_and_of_completions() -> None:
    token = {
        "token": "a",
        "logprob": -0.5,
        "bytes": [97],
        "top_logprobs": [{"token": "b", "logprob": -2, "bytes": None}],
    }
    first = chunk({"content": "a"})
    first["choices"][0]["logprobs"] = {"content": [token], "refusal": None}
    known = TokenLogprob("a", -0.5, (97,), (TokenLogprob("b", -2.0),))
    assert events_of(sse(first, chunk({}, "stop")))[1] == TextDelta("a", (known,))
    lists = {
        "tokens": ["x", "a"],
        "token_logprobs": [None, -0.5],
        "top_logprobs": [None, {"b": -2}],
        "text_offset": [0, 1],
    }
    choice = {"index": 0, "text": "a", "logprobs": lists, "finish_reason": None}
    stream = sse({"id": "c-1", "created": 5, "model": "m", "choices": [choice]}, chunk({}, "stop"))
    known = TokenLogprob("a", -0.5, None, (TokenLogprob("b", -2.0),))
    assert events_of(stream, Op.COMPLETE)[1] == TextDelta("a", (known,))


def test_the_legacy_completions_stream() -> None:
    def step(text: str, finish: str | None) -> dict[str, object]:
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
        return {"id": "c-1", "object": "text_completion", "created": 5, "model": "m", "choices": [choice]}

    stream = sse(step("a", None), step("b", None), step("", "length")) + DONE
    assert events_of(stream, Op.COMPLETE) == [BEGUN, TextDelta("a"), TextDelta("b"), Finished(Finish.LENGTH)]


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}, Usage(input=9, output=2)),
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 1},
            Usage(input=9, output=2, cache_read=8),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 5},
            },
            Usage(input=9, output=2, cache_read=0, cache_write_5m=5),
        ),
        (
            # xAI counts reasoning beside the completion; its total says so.
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 246,
                "completion_tokens_details": {"reasoning_tokens": 205},
            },
            Usage(input=32, output=214, reasoning=205),
        ),
        ({"prompt_tokens": 9, "total_tokens": 9, "prompt_tokens_details": None}, Usage(input=9)),
    ],
)
def test_usage_of_many_servers(usage: object, read: Usage) -> None:
    stream = sse(chunk({"content": "a"}, "stop"), {"id": "c-1", "choices": [], "usage": usage}) + DONE
    assert events_of(stream)[-1] == Used(read)


def test_what_stands_beside_the_answer_passes_without_a_meaning() -> None:
    """OpenRouter's comments, Azure's filter results before the first choice, obfuscation, a stray event."""
    azure = {"id": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    stream = (
        b": OPENROUTER PROCESSING\n\n"
        + sse(azure, chunk({"content": "a"}, obfuscation="xY"))
        + b"event: ping\ndata:\n\n"
        + sse(chunk({}, "stop"))
        + DONE
        + b": bye\n\n"
        + b"data: [DONE]\n\n"
    )
    assert events_of(stream) == [BEGUN, TextDelta("a"), Finished(Finish.STOP)]


def test_of_several_choices_the_first_is_told_and_the_words_of_all_count() -> None:
    def step(index: int, content: str | None, finish: str | None = None) -> dict[str, object]:
        return chunk() | {"choices": [{"index": index, "delta": {"content": content}, "finish_reason": finish}]}

    steps = [step(0, "a"), step(1, "b"), step(0, None, "stop"), step(1, None, "stop")]
    told = [BEGUN, TextDelta("a"), TextDelta("b"), Finished(Finish.STOP)]
    assert events_of(sse(*steps) + DONE) == told
    assert events_of(sse(*steps)) == told
    assert fault_of(sse(*steps[:3])).kind is Kind.CUT


# --- how streams end ---------------------------------------------------------------------------------------


def test_a_finish_without_done_is_whole() -> None:
    assert events_of(sse(chunk({"content": "a"}, "stop")))[-1] == Finished(Finish.STOP)


def test_done_without_a_finish_is_whole() -> None:
    stream = sse(chunk({"content": "a"}))
    assert events_of(stream + DONE)[-1] == Finished(Finish.STOP)
    assert events_of(stream + b"data: [DONE]")[-1] == Finished(Finish.STOP)


def test_a_stream_that_only_ends_was_cut() -> None:
    """Wherever the connection ended before the finish was whole: at a frame's end or within one."""
    first, last = sse(chunk({"content": "a"})), sse(chunk({}, "stop"))
    for size in range(len(first), len(first + last) - 2):
        events = events_of((first + last)[:size])
        assert isinstance(events[-1], Faulted)
        assert events[-1].failure.kind is Kind.CUT
        assert events[:2] == [BEGUN, TextDelta("a")]
        assert not any(isinstance(event, Finished) for event in events)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "overloaded", "type": "overloaded_error"}, Kind.OVERLOADED),
        ({"message": "Rate limit", "type": "rate_limit_error", "code": None}, Kind.RATE_LIMITED),
        ({"message": "x", "type": "server_error", "code": "rate_limit_exceeded"}, Kind.RATE_LIMITED),
        ({"object": "error", "message": "x", "type": "BadRequestError", "code": 400}, Kind.BAD_REQUEST),
        ({"code": 502, "message": "Provider returned error"}, Kind.UPSTREAM_ERROR),
        ({"code": "503", "message": "x"}, Kind.OVERLOADED),
        ({"message": "x", "code": "context_length_exceeded"}, Kind.CONTEXT_TOO_LONG),
        ("something broke", Kind.UPSTREAM_ERROR),
    ],
)
def test_an_error_inside_a_stream_is_a_fault(error: object, kind: Kind) -> None:
    """Nothing after it makes the answer whole again, `[DONE]` included."""
    assert fault_of(sse(chunk({"content": "a"}), {"error": error})).kind is kind
    assert fault_of(sse({"error": error}, chunk({"content": "a"}, "stop")) + DONE).kind is kind
    assert fault_of(sse(chunk({"content": "a"}, "error", error=error)) + DONE).kind is kind


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
def test_an_answer_that_was_given_up_is_no_answer(reason: str) -> None:
    assert fault_of(sse(chunk({"content": "a"}), chunk({}, reason)) + DONE).kind is Kind.CUT


@pytest.mark.parametrize("broken", [b"data: {oops\n\n", b'data: {"choices":7}\n\n', b'data: {"id":"\xff"}\n\n'])
def test_one_unreadable_chunk_is_counted_and_skipped(broken: bytes) -> None:
    stream = sse(chunk({"content": "a"})) + broken + sse(chunk({"content": "b"}, "stop")) + DONE
    assert events_of(stream) == [
        BEGUN,
        TextDelta("a"),
        Skipped(len(broken)),
        TextDelta("b"),
        Finished(Finish.STOP),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>\n<body>\n\nhello</body></html>",
        b"<html></html>\n\n",
        b'{"id":"c","choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}',
        DONE,
        b": ping\n\n",
        b'data: {"hello": 1}\n\n',
    ],
)
def test_what_is_no_stream_of_this_format(body: bytes) -> None:
    assert fault_of(body).kind is Kind.MALFORMED_ANSWER


@pytest.mark.parametrize("tail", [b"", b"\n", b"\n\n"])
def test_an_error_body_in_place_of_a_stream_keeps_its_meaning(tail: bytes) -> None:
    body = json.dumps({"error": {"message": "x", "code": "rate_limit_exceeded"}}, indent=1).encode() + tail
    assert fault_of(body).kind is Kind.RATE_LIMITED


def test_an_endless_frame_is_one_fault() -> None:
    reader = OPENAI.reader(Op.CHAT)
    events = [event for _ in range(17) for frame in reader.feed(b"x" * 1_048_576) for event in frame.events]
    assert [type(event) for event in events] == [Faulted]
    assert [event for frame in reader.end() for event in frame.events] == []
