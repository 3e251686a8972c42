"""What an Ollama server answers, whole and in a stream, and how any answer is told to Ollama's clients."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from laneway.chat import (
    Answer,
    Event,
    Faulted,
    Finish,
    Finished,
    Op,
    Skipped,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Timings,
    TokenLogprob,
    ToolBegan,
    ToolCall,
    ToolDelta,
    Usage,
    Used,
)
from laneway.dialects import Stamp, dialect
from laneway.failure import Failure, FailureError, Kind
from tests.harness.streams import read_frames

OLLAMA = dialect("ollama")
STAMP = Stamp(id="req_1", model="gemma3", now_s=1_700_000_000)


def events_of(*pieces: bytes, op: Op = Op.CHAT) -> list[Event]:
    frames = read_frames(OLLAMA.reader(op), pieces)
    assert b"".join(frame.raw for frame in frames) == b"".join(pieces)
    return [event for frame in frames for event in frame.events]


def lines_of(raw: bytes) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in raw.splitlines()]


# --- answers -----------------------------------------------------------------------------------------------


def whole(**fields: Any) -> bytes:
    return msgspec.json.encode(
        {
            "model": "gemma3",
            "created_at": "2023-08-04T08:52:19.385406455-07:00",
            "message": {"role": "assistant", "content": "Hello"},
            "done": True,
            "done_reason": "stop",
            **fields,
        }
    )


def test_a_whole_answer_is_read() -> None:
    raw = whole(
        message={"role": "assistant", "content": "Hello", "thinking": "hm", "images": None},
        total_duration=10,
        load_duration=1,
        prompt_eval_count=26,
        prompt_eval_cached_count=20,
        prompt_eval_duration=2,
        eval_count=298,
        eval_duration=7,
        logprobs=[{"token": "Hello", "logprob": -0.5, "bytes": [72], "top_logprobs": [{"token": "Hi", "logprob": -1}]}],
    )
    assert OLLAMA.read_answer(Op.CHAT, raw) == Answer(
        model="gemma3",
        parts=(Thinking("hm"), Text("Hello")),
        finish=Finish.STOP,
        created_s=1_691_164_339,
        usage=Usage(input=26, output=298, cache_read=20),
        timings=Timings(total_ns=10, load_ns=1, prompt_ns=2, answer_ns=7),
        logprobs=(TokenLogprob("Hello", -0.5, (72,), (TokenLogprob("Hi", -1.0),)),),
    )


def test_either_shape_is_read_whichever_path_was_asked() -> None:
    generated = b'{"model":"m","response":"Hi","thinking":"hm","done":true}'
    for op in (Op.CHAT, Op.COMPLETE):
        assert OLLAMA.read_answer(op, generated).parts == (Thinking("hm"), Text("Hi"))
        assert OLLAMA.read_answer(op, whole()).parts == (Text("Hello"),)


def test_a_count_that_is_missing_is_not_zero() -> None:
    """ollama/ollama#2068: a cached prompt used to come without `prompt_eval_count`."""
    assert OLLAMA.read_answer(Op.CHAT, whole(eval_count=3)).usage == Usage(output=3)
    assert OLLAMA.read_answer(Op.CHAT, whole(prompt_eval_count=0, eval_count=3)).usage == Usage(input=0, output=3)
    assert OLLAMA.glance(Op.CHAT, whole(eval_count=3)).usage == Usage(output=3)


@pytest.mark.parametrize(
    ("fields", "finish"),
    [
        ({"done_reason": "stop"}, Finish.STOP),
        ({"done_reason": None}, Finish.STOP),
        ({"done_reason": "length"}, Finish.LENGTH),
        ({"done_reason": "load", "message": {"role": "assistant", "content": ""}}, Finish.STOP),
        ({"done_reason": "unload", "message": {"role": "assistant", "content": ""}}, Finish.STOP),
        ({"message": {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}}, Finish.TOOLS),
        ({"done_reason": "length", "message": {"tool_calls": [{"function": {"name": "f"}}]}}, Finish.LENGTH),
    ],
)
def test_why_a_model_stopped(fields: dict[str, Any], finish: Finish) -> None:
    assert OLLAMA.read_answer(Op.CHAT, whole(**fields)).finish is finish
    assert OLLAMA.glance(Op.CHAT, whole(**fields)).finish is finish


def test_calls_without_ids_get_ids_that_differ_and_repeat() -> None:
    message = {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}] * 2}
    first = OLLAMA.read_answer(Op.CHAT, whole(message=message)).parts
    again = OLLAMA.read_answer(Op.CHAT, whole(message=message)).parts
    later = OLLAMA.read_answer(Op.CHAT, whole(message=message, created_at="2024-01-01T00:00:00Z")).parts
    ids = [part.id for part in (*first, *later) if isinstance(part, ToolCall)]
    assert first == again
    assert len(set(ids)) == 4
    assert first[0] == ToolCall(ids[0], "f", '{"a":1}')


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"<html>", Kind.MALFORMED_ANSWER),
        (b"", Kind.MALFORMED_ANSWER),
        (b'{"choices":[]}', Kind.MALFORMED_ANSWER),
        (whole(done=False), Kind.CUT),
        (b'{"error":"llama runner process has terminated"}', Kind.UPSTREAM_ERROR),
        (b'{"error":"model \'x\' not found","status":404}', Kind.MODEL_MISSING),
    ],
)
def test_a_200_that_is_no_answer(raw: bytes, kind: Kind) -> None:
    with pytest.raises(FailureError) as caught:
        OLLAMA.read_answer(Op.CHAT, raw)
    assert caught.value.failure.kind is kind
    seen = OLLAMA.glance(Op.CHAT, raw).failure
    assert seen is not None
    # A body of another format has no `done`, which is all that a glance looks for.
    assert seen.kind is (Kind.CUT if raw == b'{"choices":[]}' else kind)


def test_an_answer_is_written_in_the_shape_of_its_path() -> None:
    answer = Answer(
        model="",
        parts=(Thinking("hm"), Text("Hel"), Text("lo"), ToolCall("i", "f", '{"x":\n1}')),
        finish=Finish.TOOLS,
        usage=Usage(input=1, output=0),
        timings=Timings(answer_ns=9),
    )
    stamp = msgspec.structs.replace(STAMP, elapsed_ns=77)
    said = {
        "thinking": "hm",
        "tool_calls": [{"id": "i", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}],
    }
    tail = {
        "done": True,
        "done_reason": "stop",
        "total_duration": 77,
        "prompt_eval_count": 1,
        "eval_count": 0,
        "eval_duration": 9,
    }
    head = {"model": "gemma3", "created_at": "2023-11-14T22:13:20.000000000Z"}
    written = OLLAMA.write_answer(Op.CHAT, answer, stamp)
    assert (written.status, written.content_type) == (200, b"application/json")
    assert msgspec.json.decode(written.body) == {
        **head,
        "message": {"role": "assistant", "content": "Hello", **said},
        **tail,
    }
    generated = OLLAMA.write_answer(Op.COMPLETE, answer, stamp)
    assert msgspec.json.decode(generated.body) == {**head, "response": "Hello", **said, **tail}


@pytest.mark.parametrize("finish", list(Finish))
def test_an_answer_written_and_read_is_the_same_answer(finish: Finish) -> None:
    answer = Answer(
        model="gemma3",
        parts=(Thinking("hm"), Text("Hello")),
        finish=finish,
        created_s=1_700_000_000,
        usage=Usage(input=3, output=4, cache_read=1),
        timings=Timings(total_ns=9),
        logprobs=(TokenLogprob("Hello", -0.5, (72,), (TokenLogprob("Hi", -1.0),)),),
    )
    read = OLLAMA.read_answer(Op.CHAT, OLLAMA.write_answer(Op.CHAT, answer, STAMP).body)
    plain = {Finish.STOP_SEQUENCE: Finish.STOP, Finish.TOOLS: Finish.STOP}
    assert read == msgspec.structs.replace(answer, finish=plain.get(finish, finish))


def test_a_call_cut_by_the_token_limit_is_no_call() -> None:
    cut = Answer(model="m", parts=(Text("x"), ToolCall("i", "f", '{"x":')), finish=Finish.LENGTH)
    written = msgspec.json.decode(OLLAMA.write_answer(Op.CHAT, cut, STAMP).body)
    assert written["done_reason"] == "length"
    assert "tool_calls" not in written["message"]
    with pytest.raises(FailureError) as caught:
        OLLAMA.write_answer(Op.CHAT, msgspec.structs.replace(cut, finish=Finish.TOOLS), STAMP)
    assert caught.value.failure.kind is Kind.MALFORMED_ANSWER


# --- streams in --------------------------------------------------------------------------------------------

LINES = (
    b'{"model":"gemma3","created_at":"2023-08-04T08:52:19Z","message":{"content":"The"},"done":false}\n',
    b'{"model":"gemma3","created_at":"2023-08-04T08:52:20Z","message":{"content":" sky"},"done":false}\n',
    b'{"model":"gemma3","message":{"content":""},"done":true,"total_duration":5,"prompt_eval_count":2,"eval_count":3}\n',
)


def test_a_stream_is_read_line_by_line() -> None:
    assert events_of(*LINES) == [
        Started("", "gemma3", 1_691_139_139),
        TextDelta("The"),
        TextDelta(" sky"),
        Used(Usage(input=2, output=3)),
        Finished(Finish.STOP, timings=Timings(total_ns=5)),
    ]


def test_pieces_may_be_cut_anywhere() -> None:
    raw = b"".join(LINES)
    expected = events_of(raw)
    for at in range(len(raw)):
        assert events_of(raw[:at], raw[at:]) == expected
    assert events_of(*(raw[at : at + 1] for at in range(len(raw)))) == expected


def test_a_stream_without_its_last_line_was_cut() -> None:
    *before, last = events_of(*LINES[:2])
    assert TextDelta(" sky") in before
    assert isinstance(last, Faulted)
    assert last.failure.kind is Kind.CUT
    half = events_of(*LINES[:2], LINES[2][:40])
    assert isinstance(half[-1], Faulted)
    assert half[-1].failure.kind is Kind.CUT


def test_a_last_line_needs_no_line_end() -> None:
    assert events_of(*LINES[:2], LINES[2].rstrip())[-1] == Finished(Finish.STOP, timings=Timings(total_ns=5))


def test_an_error_line_is_a_fault_and_nothing_follows_it() -> None:
    events = events_of(LINES[0], b'{"error":"an error was encountered while running the model"}\n', LINES[1])
    assert [type(event) for event in events] == [Started, TextDelta, Faulted]
    assert isinstance(events[-1], Faulted)
    failure = events[-1].failure
    assert failure.kind is Kind.UPSTREAM_ERROR
    assert "encountered" not in failure.message
    assert failure.detail == "an error was encountered while running the model"


def test_a_line_that_cannot_be_read_is_counted_and_the_rest_goes_on() -> None:
    events = events_of(LINES[0], b"not json\n", b'{"status":"x"}\n', b"\n", *LINES[1:])
    assert [event for event in events if isinstance(event, Skipped)] == [Skipped(8), Skipped(14)]
    assert isinstance(events[-1], Finished)


def test_thinking_and_tools_in_a_stream() -> None:
    events = events_of(
        b'{"model":"m","message":{"role":"assistant","content":"","thinking":"hm"},"done":false}\n',
        b'{"model":"m","message":{"content":"","tool_calls":[{"id":"a","function":{"index":0,"name":"f","arguments":'
        b'{"x": 1}}},{"function":{"name":"g"}}]},"done":false}\n',
        b'{"model":"m","message":{"content":""},"done":true,"done_reason":"stop"}\n',
    )
    assert events[:4] == [Started("", "m"), ThinkingDelta("hm"), ToolBegan(0, "a", "f"), ToolDelta(0, '{"x": 1}')]
    began = events[4]
    assert isinstance(began, ToolBegan)
    assert (began.index, began.name) == (1, "g")
    assert began.id
    assert events[5:] == [ToolDelta(1, "{}"), Used(Usage()), Finished(Finish.TOOLS, timings=Timings())]


def test_the_generate_shape_streams_too() -> None:
    events = events_of(
        b'{"model":"m","response":"a","done":false}\n{"model":"m","response":"b","done":false}\n',
        b'{"model":"m","response":"","done":true,"done_reason":"length","context":[1,2]}\n',
        op=Op.COMPLETE,
    )
    assert events == [
        Started("", "m"),
        TextDelta("a"),
        TextDelta("b"),
        Used(Usage()),
        Finished(Finish.LENGTH, timings=Timings()),
    ]


def test_a_line_that_never_ends_is_a_fault() -> None:
    reader = OLLAMA.reader(Op.CHAT)
    frames = reader.feed(b"x" * (17 * 1024 * 1024))
    assert [type(event) for frame in frames for event in frame.events] == [Faulted]
    assert [event for frame in reader.end() for event in frame.events] == []


# --- streams out -------------------------------------------------------------------------------------------


def test_a_stream_is_written_line_by_line() -> None:
    writer = OLLAMA.writer(Op.CHAT, STAMP, usage=False)
    raw = b"".join(
        writer.write(event)
        for event in (
            Started("x", ""),
            ThinkingDelta("hm"),
            ThinkingDelta(signature="s"),
            TextDelta("The\n"),
            TextDelta(""),
            TextDelta("sky", (TokenLogprob("sky", -1.0),)),
            Finished(Finish.LENGTH, timings=Timings(total_ns=5)),
            Used(Usage(input=2)),
            Used(Usage(output=3)),
        )
    )
    head = {"model": "gemma3", "created_at": "2023-11-14T22:13:20.000000000Z"}
    said = {"role": "assistant", "content": ""}
    assert lines_of(raw + writer.end()) == [
        {**head, "message": {**said, "thinking": "hm"}, "done": False},
        {**head, "message": {**said, "content": "The\n"}, "done": False},
        {
            **head,
            "message": {**said, "content": "sky"},
            "done": False,
            "logprobs": [{"token": "sky", "logprob": -1.0}],
        },
        {
            **head,
            "message": said,
            "done": True,
            "done_reason": "length",
            "total_duration": 5,
            "prompt_eval_count": 2,
            "eval_count": 3,
        },
    ]


def test_tool_calls_are_written_whole() -> None:
    writer = OLLAMA.writer(Op.CHAT, STAMP, usage=False)
    pieces: tuple[Event, ...] = (
        ToolBegan(0, "a", "f"),
        ToolDelta(0, '{"x":'),
        ToolBegan(1, "b", "g"),
        ToolDelta(0, "\n1}"),
    )
    assert b"".join(map(writer.write, pieces)) == b""
    lines = lines_of(writer.write(Finished(Finish.TOOLS)) + writer.end())
    calls = [line["message"].get("tool_calls") for line in lines]
    assert calls == [
        [{"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}],
        [{"id": "b", "function": {"index": 1, "name": "g", "arguments": {}}}],
        None,
    ]
    assert lines[-1]["done_reason"] == "stop"


def test_a_tool_call_whose_arguments_break_ends_the_stream_with_an_error() -> None:
    writer = OLLAMA.writer(Op.CHAT, STAMP, usage=False)
    writer.write(ToolBegan(0, "a", "f"))
    writer.write(ToolDelta(0, '{"x":'))
    lines = lines_of(writer.write(Finished(Finish.TOOLS)) + writer.end())
    assert [set(line) for line in lines] == [{"error"}]


def test_a_tool_call_cut_by_the_token_limit_is_left_out() -> None:
    writer = OLLAMA.writer(Op.CHAT, STAMP, usage=False)
    writer.write(ToolBegan(0, "a", "f"))
    writer.write(ToolDelta(0, '{"x":'))
    lines = lines_of(writer.write(Finished(Finish.LENGTH)) + writer.end())
    assert [(line["done"], line.get("done_reason")) for line in lines] == [(True, "length")]


def test_what_the_answer_says_of_itself_goes_before_the_stamp() -> None:
    writer = OLLAMA.writer(Op.CHAT, STAMP, usage=False)
    raw = writer.write(Started("x", "gemma3-0801", 0)) + writer.write(TextDelta("The"))
    assert lines_of(raw)[0]["model"] == "gemma3-0801"
    assert lines_of(raw)[0]["created_at"] == "1970-01-01T00:00:00.000000000Z"


def test_a_stream_of_which_nobody_said_that_it_is_whole_ends_with_an_error() -> None:
    writer = OLLAMA.writer(Op.CHAT, STAMP, usage=False)
    assert [set(line) for line in lines_of(writer.write(TextDelta("The")) + writer.end())][-1] == {"error"}


def test_after_a_fault_nothing_says_done() -> None:
    for op in (Op.CHAT, Op.COMPLETE):
        writer = OLLAMA.writer(op, STAMP, usage=True)
        raw = writer.write(TextDelta("The")) + writer.write(ToolBegan(0, "a", "f"))
        raw += writer.fault(Failure(kind=Kind.CUT, message="It broke off."))
        raw += writer.end()
        assert lines_of(raw)[-1] == {"error": "It broke off."}
        assert b'"done":true' not in raw


@pytest.mark.parametrize("op", [Op.CHAT, Op.COMPLETE])
def test_a_stream_written_and_read_is_the_same_stream(op: Op) -> None:
    writer = OLLAMA.writer(op, STAMP, usage=True)
    events: list[Event] = [
        ThinkingDelta("hm"),
        TextDelta("The"),
        TextDelta(" sky\u2028"),
        ToolBegan(0, "a", "f"),
        ToolDelta(0, '{"x":1}'),
        Used(Usage(input=1, output=2)),
        Finished(Finish.TOOLS, timings=Timings(total_ns=3)),
    ]
    raw = b"".join(map(writer.write, events)) + writer.end()
    assert events_of(raw, op=op) == [Started("", "gemma3", 1_700_000_000), *events]
