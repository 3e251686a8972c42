"""Conversations with Ollama: bytes as a server sends them in, exact bytes for a client out, and the real client's
verdict on both. Shapes are those of docs/api.md; the client library speaks to the dialect without a socket."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import ollama
import pytest

from laneway.chat import (
    Answer,
    Card,
    Embedding,
    Finish,
    Finished,
    Op,
    Started,
    Text,
    TextDelta,
    Thinking,
    Timings,
    ToolBegan,
    ToolCall,
    ToolDelta,
    Usage,
    Used,
)
from laneway.dialects import Stamp, Written, dialect
from laneway.dialects.ollama import write_ps, write_show
from laneway.failure import Failure, Kind

OLLAMA = dialect("ollama")
STAMP = Stamp(id="req_1", model="llama3.2", now_s=1_691_178_165, elapsed_ns=5_191_566_416)

STREAM = (
    b'{"model":"llama3.2","created_at":"2023-08-04T08:52:19.385406455-07:00","message":'
    b'{"role":"assistant","content":"The","images":null},"done":false}\n'
    b'{"model":"llama3.2","created_at":"2023-08-04T08:52:19.405406455-07:00","message":'
    b'{"role":"assistant","content":" sky"},"done":false}\n'
    b'{"model":"llama3.2","created_at":"2023-08-04T19:22:45.499127Z","message":{"role":"assistant","content":""},'
    b'"done_reason":"stop","done":true,"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,'
    b'"prompt_eval_duration":342546000,"eval_count":282,"eval_duration":4535599000}\n'
)

TOOLS = (
    b'{"model":"qwen3","created_at":"2025-05-27T22:54:57.641643Z","message":{"role":"assistant","content":"",'
    b'"thinking":"Toronto."},"done":false}\n'
    b'{"model":"qwen3","created_at":"2025-05-27T22:54:58.100559Z","message":{"role":"assistant","content":"",'
    b'"tool_calls":[{"function":{"name":"get_current_weather","arguments":{"format":"celsius","location":"Toronto"}}}'
    b']},"done":false}\n'
    b'{"model":"qwen3","created_at":"2025-05-27T22:54:58.120559Z","message":{"role":"assistant","content":""},'
    b'"done_reason":"stop","done":true,"total_duration":885095291,"prompt_eval_count":122,"eval_count":33}\n'
)


def translated(raw: bytes, op: Op, stamp: Stamp) -> bytes:
    """A server's stream read into events and written again, as between two dialects."""
    reader, writer = OLLAMA.reader(op), OLLAMA.writer(op, stamp, usage=True)
    out = b""
    for frame in [*reader.feed(raw), *reader.end()]:
        for event in frame.events:
            out += writer.write(event)
    return out + writer.end()


def test_a_chat_stream() -> None:
    assert translated(STREAM, Op.CHAT, STAMP) == (
        b'{"model":"llama3.2","created_at":"2023-08-04T15:52:19.000000000Z","message":'
        b'{"role":"assistant","content":"The"},"done":false}\n'
        b'{"model":"llama3.2","created_at":"2023-08-04T15:52:19.000000000Z","message":'
        b'{"role":"assistant","content":" sky"},"done":false}\n'
        b'{"model":"llama3.2","created_at":"2023-08-04T15:52:19.000000000Z","message":'
        b'{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":4883583458,'
        b'"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,"eval_count":282,'
        b'"eval_duration":4535599000}\n'
    )


def test_a_chat_stream_for_a_caller_of_generate() -> None:
    assert translated(STREAM, Op.COMPLETE, STAMP) == (
        b'{"model":"llama3.2","created_at":"2023-08-04T15:52:19.000000000Z","response":"The","done":false}\n'
        b'{"model":"llama3.2","created_at":"2023-08-04T15:52:19.000000000Z","response":" sky","done":false}\n'
        b'{"model":"llama3.2","created_at":"2023-08-04T15:52:19.000000000Z","response":"","done":true,'
        b'"done_reason":"stop","total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,'
        b'"prompt_eval_duration":342546000,"eval_count":282,"eval_duration":4535599000}\n'
    )


def test_a_tool_call_in_a_stream() -> None:
    out = translated(TOOLS, Op.CHAT, STAMP)
    head = b'{"model":"qwen3","created_at":"2025-05-27T22:54:57.000000000Z","message":{"role":"assistant",'
    thinking, call, last = out.splitlines(keepends=True)
    assert thinking == head + b'"content":"","thinking":"Toronto."},"done":false}\n'
    assert call.startswith(head + b'"content":"","tool_calls":[{"id":"call_')
    assert call.endswith(
        b'","function":{"index":0,"name":"get_current_weather",'
        b'"arguments":{"format":"celsius","location":"Toronto"}}}]},"done":false}\n'
    )
    assert last == head + (
        b'"content":""},"done":true,"done_reason":"stop","total_duration":885095291,"prompt_eval_count":122,'
        b'"eval_count":33}\n'
    )


def test_a_whole_answer() -> None:
    answer = Answer(
        model="",
        parts=(Text("Hello! How are you today?"),),
        finish=Finish.STOP,
        usage=Usage(input=26, output=298),
    )
    assert OLLAMA.write_answer(Op.CHAT, answer, STAMP).body == (
        b'{"model":"llama3.2","created_at":"2023-08-04T19:42:45.000000000Z","message":'
        b'{"role":"assistant","content":"Hello! How are you today?"},"done":true,"done_reason":"stop",'
        b'"total_duration":5191566416,"prompt_eval_count":26,"eval_count":298}'
    )


# --- the real client ---------------------------------------------------------------------------------------


def client(serve: Callable[[httpx.Request], Written | bytes]) -> ollama.Client:
    def respond(request: httpx.Request) -> httpx.Response:
        written = serve(request)
        if isinstance(written, bytes):
            return httpx.Response(200, content=written, headers={"content-type": OLLAMA.stream_type.decode()})
        return httpx.Response(
            written.status,
            content=written.body,
            headers=[(b"content-type", written.content_type), *written.headers],
        )

    return ollama.Client(host="http://ollama.invalid", transport=httpx.MockTransport(respond))


def test_what_the_client_sends_is_understood() -> None:
    def serve(request: httpx.Request) -> Written:
        asked = OLLAMA.read_request(Op.CHAT, request.content)
        assert asked.unknown == ()
        assert [tool.name for tool in asked.tools] == ["add"]
        assert asked.max_tokens == 5
        assert OLLAMA.view(Op.CHAT, request.content).needs == {"tools", "json", "thinking"}
        text = Text(f"{asked.model}: {len(asked.messages)} turns")
        return OLLAMA.write_answer(Op.CHAT, Answer(model="x", parts=(text,), finish=Finish.STOP), STAMP)

    def add(a: int, b: int) -> int:
        """Adds.

        Args:
            a: one number
            b: another number
        """
        return a + b

    answer = client(serve).chat(
        "gemma3",
        messages=[
            {"role": "user", "content": "1+1?"},
            {"role": "assistant", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1, "b": 1}}}]},
            {"role": "tool", "tool_name": "add", "content": "2"},
        ],
        tools=[add],
        format="json",
        think=True,
        options={"num_predict": 5},
        keep_alive="5m",
    )
    assert answer.message.content == "gemma3: 3 turns"
    assert answer.done_reason == "stop"
    assert answer.total_duration == 5_191_566_416


def test_the_client_reads_a_stream_with_tools() -> None:
    writer = OLLAMA.writer(Op.CHAT, STAMP, usage=True)
    raw = b"".join(
        writer.write(event)
        for event in (
            Started("x", "y"),
            TextDelta("Let me see."),
            ToolBegan(0, "a", "add"),
            ToolDelta(0, '{"a":1,'),
            ToolDelta(0, '"b":2}'),
            Used(Usage(input=1, output=2)),
            Finished(Finish.TOOLS, timings=Timings(total_ns=3)),
        )
    )
    parts = list(client(lambda _: raw + writer.end()).chat("gemma3", messages=[], stream=True))
    assert parts[0].message.content == "Let me see."
    calls = parts[1].message.tool_calls
    assert calls is not None
    assert (calls[0].function.name, calls[0].function.arguments) == ("add", {"a": 1, "b": 2})
    assert (parts[-1].done, parts[-1].eval_count) == (True, 2)


def test_the_client_reads_generate_and_thinking() -> None:
    answer = Answer(model="x", parts=(Thinking("hm"), Text("blue")), finish=Finish.LENGTH)
    told = client(lambda _: OLLAMA.write_answer(Op.COMPLETE, answer, STAMP)).generate("gemma3", "why?")
    assert (told.response, told.thinking, told.done_reason) == ("blue", "hm", "length")


def test_the_client_reads_tool_calls_of_a_whole_answer() -> None:
    answer = Answer(model="x", parts=(ToolCall("i", "f", '{"n": 1}'),), finish=Finish.TOOLS)
    told = client(lambda _: OLLAMA.write_answer(Op.CHAT, answer, STAMP)).chat("gemma3", messages=[])
    assert told.message.tool_calls is not None
    assert told.message.tool_calls[0].function.arguments == {"n": 1}


def test_the_client_embeds_in_both_forms() -> None:
    def serve(request: httpx.Request) -> Written:
        asked = OLLAMA.read_embed_request(Op.EMBED, request.content)
        vectors = tuple((float(len(text)), 0.5) for text in asked.texts)
        embedding = Embedding(model="x", vectors=vectors, usage=Usage(input=3))
        return OLLAMA.write_embedding(embedding, Stamp(id="r", model=asked.model, now_s=0, request=asked))

    speaker = client(serve)
    told = speaker.embed("nomic", ["a", "bb"])
    assert (list(map(list, told.embeddings)), told.prompt_eval_count) == ([[1.0, 0.5], [2.0, 0.5]], 3)
    assert list(speaker.embeddings("nomic", "ccc").embedding) == [3.0, 0.5]


@pytest.mark.parametrize("kind", [Kind.UNKNOWN_MODEL, Kind.RATE_LIMITED, Kind.OVERLOADED, Kind.MALFORMED_REQUEST])
def test_failures_raise_the_client_s_own_error(kind: Kind) -> None:
    failure = Failure(kind=kind, message="It does not work.")
    speaker = client(lambda _: OLLAMA.write_failure(failure, "req_1"))
    with pytest.raises(ollama.ResponseError) as caught:
        speaker.chat("gemma3", messages=[])
    assert (caught.value.status_code, caught.value.error) == (failure.status, "It does not work.")
    with pytest.raises(ollama.ResponseError) as caught:
        list(speaker.chat("gemma3", messages=[], stream=True))
    assert (caught.value.status_code, caught.value.error) == (failure.status, "It does not work.")


def test_a_fault_inside_a_stream_raises_the_client_s_own_error() -> None:
    writer = OLLAMA.writer(Op.CHAT, STAMP, usage=True)
    raw = writer.write(TextDelta("The")) + writer.fault(Failure(kind=Kind.CUT, message="It broke off."))
    stream = client(lambda _: raw + writer.end()).chat("gemma3", messages=[], stream=True)
    assert next(stream).message.content == "The"
    with pytest.raises(ollama.ResponseError, match="It broke off"):
        next(stream)


def test_the_client_reads_the_lists() -> None:
    cards = [
        Card(
            id="gemma3:latest", modified="2023-11-04T14:56:49.277302595-07:00", size_bytes=5, family="gemma", window=8
        ),
        Card(id="gpt-9", provider="aggregator", created_s=1_700_000_000),
        Card(id="bare"),
    ]
    listed = client(lambda _: OLLAMA.write_models(cards)).list()
    assert [model.model for model in listed.models] == ["gemma3:latest", "gpt-9", "bare"]
    assert listed.models[1].modified_at is not None
    assert listed.models[1].modified_at.year == 2023
    running = client(lambda _: write_ps(cards, expires_at="2026-01-01T00:00:00Z")).ps()
    assert running.models[0].context_length == 8
    shown = client(lambda _: write_show(cards[0])).show("gemma3")
    assert shown.capabilities == ["completion"]
    assert shown.modelinfo == {"general.architecture": "gemma", "gemma.context_length": 8}
