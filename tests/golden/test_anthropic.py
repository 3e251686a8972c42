"""Conversations with Anthropic: bytes as its API sends them in, exact bytes for a client out, and the real client's
verdict on both. Shapes are those of its streaming and errors pages; the client speaks to the dialect without a socket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ToolBegan,
    ToolCall,
    ToolDelta,
    Usage,
    Used,
)
from laneway.dialects import Frame, Stamp, Written, dialect
from laneway.failure import Failure, Kind
from tests.harness.streams import cut_at, only_fault, read_events, read_frames, write_events

ANTHROPIC = dialect("anthropic")
STAMP = Stamp(id="r1", model="claude-sonnet-4-6", now_s=1_700_000_000)


def event(name: str, data: bytes) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


TEXT = (
    event(
        "message_start",
        b'{"type":"message_start","message":{"id":"msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY","type":"message",'
        b'"role":"assistant","content":[],"model":"claude-sonnet-4-6","stop_reason":null,"stop_sequence":null,'
        b'"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":100,"output_tokens":1}}}',
    )
    + event(
        "content_block_start", b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
    )
    + event("ping", b'{"type": "ping"}')
    + event(
        "content_block_delta", b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}'
    )
    + event("content_block_delta", b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"!"}}')
    + event("content_block_stop", b'{"type":"content_block_stop","index":0}')
    + event(
        "message_delta",
        b'{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}',
    )
    + event("message_stop", b'{"type":"message_stop"}')
)
TEXT_EVENTS: list[Event] = [
    Started("msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY", "claude-sonnet-4-6"),
    Used(Usage(input=125, output=1, cache_read=100, cache_write_5m=0)),
    TextDelta("Hello"),
    TextDelta("!"),
    Used(Usage(input=125, output=15, cache_read=100, cache_write_5m=0)),
    Finished(Finish.STOP),
]

THINKING_AND_TOOLS = (
    event(
        "message_start",
        b'{"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant","model":'
        b'"claude-sonnet-4-6","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":40,'
        b'"cache_creation_input_tokens":30,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":10,'
        b'"ephemeral_1h_input_tokens":20},"output_tokens":2}}}',
    )
    + event(
        "content_block_start",
        b'{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}',
    )
    + event(
        "content_block_delta",
        b'{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let me see."}}',
    )
    + event(
        "content_block_delta",
        b'{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM"}}',
    )
    + event("content_block_stop", b'{"type":"content_block_stop","index":0}')
    + event(
        "content_block_start",
        b'{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"EmwKAhgBEgy3"}}',
    )
    + event("content_block_stop", b'{"type":"content_block_stop","index":1}')
    + event(
        "content_block_start", b'{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}'
    )
    + event(
        "content_block_delta",
        '{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Zürich\\u2028?"}}'.encode(),
    )
    + event("content_block_stop", b'{"type":"content_block_stop","index":2}')
    + event(
        "content_block_start",
        b'{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_01","name":'
        b'"get_weather","input":{}}}',
    )
    + event(
        "content_block_delta",
        b'{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}',
    )
    + event(
        "content_block_delta",
        b'{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\\"location\\":"}}',
    )
    + event(
        "content_block_delta",
        b'{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":" \\"SF\\"}"}}',
    )
    + event("content_block_stop", b'{"type":"content_block_stop","index":3}')
    + event(
        "content_block_start",
        b'{"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"toolu_02","name":"get_time",'
        b'"input":{}}}',
    )
    + event("content_block_stop", b'{"type":"content_block_stop","index":4}')
    + event(
        "message_delta",
        b'{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":40,'
        b'"cache_creation_input_tokens":30,"cache_read_input_tokens":0,"output_tokens":89}}',
    )
    + event("message_stop", b'{"type":"message_stop"}')
)
TOOL_EVENTS: list[Event] = [
    Started("msg_01", "claude-sonnet-4-6"),
    Used(Usage(input=70, output=2, cache_read=0, cache_write_5m=10, cache_write_1h=20)),
    ThinkingDelta("Let me see."),
    ThinkingDelta(signature="EqQBCgIYAhIM"),
    ThinkingDelta(redacted="EmwKAhgBEgy3"),
    TextDelta("Zürich\u2028?"),
    ToolBegan(0, "toolu_01", "get_weather"),
    ToolDelta(0, '{"location":'),
    ToolDelta(0, ' "SF"}'),
    ToolBegan(1, "toolu_02", "get_time"),
    Used(Usage(input=70, output=89, cache_read=0, cache_write_5m=10, cache_write_1h=20)),
    Finished(Finish.TOOLS),
]


def frames(raw: bytes, cuts: Sequence[int] = ()) -> list[Frame]:
    return read_frames(ANTHROPIC.reader(Op.CHAT), cut_at(raw, cuts))


def events(raw: bytes, cuts: Sequence[int] = ()) -> list[Event]:
    return read_events(ANTHROPIC.reader(Op.CHAT), cut_at(raw, cuts))


def written(*said: Event) -> bytes:
    return write_events(ANTHROPIC.writer(Op.CHAT, STAMP, usage=True), said)


# --- reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("raw", "said"), [(TEXT, TEXT_EVENTS), (THINKING_AND_TOOLS, TOOL_EVENTS)])
def test_what_a_stream_says(raw: bytes, said: list[Event]) -> None:
    assert events(raw) == said


@given(st.lists(st.integers(0, len(THINKING_AND_TOOLS)), max_size=8))
def test_cuts_change_nothing(cuts: list[int]) -> None:
    read = frames(THINKING_AND_TOOLS, cuts)
    assert b"".join(frame.raw for frame in read) == THINKING_AND_TOOLS
    assert [one for frame in read for one in frame.events] == TOOL_EVENTS


def test_every_single_cut_changes_nothing() -> None:
    for cut in range(len(TEXT)):
        assert events(TEXT, [cut]) == TEXT_EVENTS


@given(st.integers(0, len(TEXT) - 1))
def test_a_stream_without_its_end_is_cut(length: int) -> None:
    said = events(TEXT[:length])
    # Without its first event nothing says that it was an answer at all.
    begun = length >= TEXT.index(b"\n\n") + 2
    assert only_fault(said).kind is (Kind.CUT if begun else Kind.MALFORMED_ANSWER)
    assert isinstance(said[-1], Faulted)
    assert said[:-1] == TEXT_EVENTS[: len(said) - 1]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', Kind.OVERLOADED),
        (b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}', Kind.RATE_LIMITED),
        (b'{"type":"error","error":{"type":"api_error","message":"x"},"request_id":"r"}', Kind.UPSTREAM_ERROR),
        (
            b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long"}}',
            Kind.CONTEXT_TOO_LONG,
        ),
        (b'{"type":"error","error":{"type":"authentication_error"}}', Kind.CREDENTIALS),
        (b"upstream connect error", Kind.UPSTREAM_ERROR),
    ],
)
def test_an_error_in_the_stream_ends_it_once(data: bytes, kind: Kind) -> None:
    said = events(TEXT[: TEXT.index(b"event: content_block_stop")] + event("error", data))
    assert only_fault(said).kind is kind
    assert only_fault(said).provider_status is None


def test_chunks_that_cannot_be_read_are_counted_and_those_of_tomorrow_pass() -> None:
    broken = event("content_block_delta", b'{"type":"content_block_delta","index":0,"delta"')
    later = event("content_block_hum", b'{"type":"content_block_hum","tune":[1]}')
    odd = event(
        "content_block_delta", b'{"type":"content_block_delta","index":0,"delta":{"type":"hum_delta","hum":"m"}}'
    )
    at = TEXT.index(b"event: content_block_stop")
    raw = TEXT[:at] + broken + later + odd + b": comment\n\n" + TEXT[at:]
    said = events(raw)
    assert [one for one in said if isinstance(one, Skipped)] == [Skipped(len(broken))]
    assert [one for one in said if not isinstance(one, Skipped)] == TEXT_EVENTS
    assert b"".join(frame.raw for frame in frames(raw)) == raw


def test_a_stream_without_event_names_is_read_by_its_data() -> None:
    bare = b"".join(line + b"\n\n" for line in TEXT.split(b"\n") if line.startswith(b"data:"))
    assert events(bare) == TEXT_EVENTS


def test_arguments_that_come_whole_and_tools_of_the_provider() -> None:
    start = b'{"type":"content_block_start","index":%d,"content_block":{"type":"%b","id":"t","name":"f","input":%b}}'
    delta = b'{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}'
    raw = (
        event("content_block_start", start % (0, b"server_tool_use", b"{}"))
        + event("content_block_delta", delta)
        + event("content_block_start", start % (1, b"tool_use", b'{"a":1}'))
    )
    assert events(raw)[:-1] == [ToolBegan(0, "t", "f"), ToolDelta(0, '{"a":1}')]


def test_an_end_without_a_reason_is_no_end() -> None:
    at, after = TEXT.index(b"event: message_delta"), TEXT.index(b"event: message_stop")
    said = events(TEXT[:at] + TEXT[after:])
    assert only_fault(said).kind is Kind.CUT


def test_a_frame_without_end_is_no_answer() -> None:
    reader = ANTHROPIC.reader(Op.CHAT)
    piece = b"data: " + b"x" * 4_000_000
    said = [one for _ in range(6) for frame in reader.feed(piece) for one in frame.events]
    assert only_fault(said).kind is Kind.MALFORMED_ANSWER
    assert [one for frame in reader.end() for one in frame.events] == []


# --- writing -----------------------------------------------------------------------------------------------


def test_a_text_stream_byte_for_byte() -> None:
    assert written(*TEXT_EVENTS) == (
        event(
            "message_start",
            b'{"type":"message_start","message":{"id":"msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY","type":"message",'
            b'"role":"assistant","model":"claude-sonnet-4-6","content":[],"stop_reason":null,"stop_sequence":null,'
            b'"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":100,"output_tokens":1}}}',
        )
        + event(
            "content_block_start", b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
        )
        + event(
            "content_block_delta",
            b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}',
        )
        + event(
            "content_block_delta", b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"!"}}'
        )
        + event("content_block_stop", b'{"type":"content_block_stop","index":0}')
        + event(
            "message_delta",
            b'{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":25,'
            b'"cache_creation_input_tokens":0,"cache_read_input_tokens":100,"output_tokens":15}}',
        )
        + event("message_stop", b'{"type":"message_stop"}')
    )


def test_what_was_read_is_written_with_the_same_meaning() -> None:
    assert events(written(*TOOL_EVENTS)) == TOOL_EVENTS


def test_an_answer_of_another_provider_whose_usage_comes_last() -> None:
    assert written(
        Started("chatcmpl-1", "gpt-x"),
        TextDelta(""),
        ToolBegan(0, "call_1", "f"),
        ToolDelta(0, "{}"),
        Finished(Finish.STOP),
        Used(Usage(input=9, output=4)),
    ) == (
        event(
            "message_start",
            b'{"type":"message_start","message":{"id":"msg_r1","type":"message","role":"assistant","model":"gpt-x",'
            b'"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}',
        )
        + event(
            "content_block_start",
            b'{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"call_1","name":"f",'
            b'"input":{}}}',
        )
        + event(
            "content_block_delta",
            b'{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}',
        )
        + event("content_block_stop", b'{"type":"content_block_stop","index":0}')
        + event(
            "message_delta",
            b'{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":9,'
            b'"output_tokens":4}}',
        )
        + event("message_stop", b'{"type":"message_stop"}')
    )


def test_an_answer_without_words_is_still_an_answer() -> None:
    assert [one for one in events(written(Started("", ""), Finished(Finish.LENGTH))) if isinstance(one, Finished)] == [
        Finished(Finish.LENGTH)
    ]


def test_two_signed_thoughts_stay_two() -> None:
    said = (ThinkingDelta("a"), ThinkingDelta(signature="1"), ThinkingDelta("b"), ThinkingDelta(signature="2"))
    raw = written(*said, Finished(Finish.STOP))
    assert raw.count(b"event: content_block_start") == 2
    assert [one for one in events(raw) if isinstance(one, ThinkingDelta)] == list(said)


def test_nothing_looks_like_success_without_a_finish() -> None:
    raw = written(Started("m", "m"), TextDelta("half"))
    assert b"message_stop" not in raw
    assert raw.endswith(event("error", b'{"type":"error","error":{"type":"api_error","message":"%b"}}' % CUT))


CUT = b"The provider's stream ended before the answer did."


def test_a_fault_is_an_error_event_and_no_end() -> None:
    writer = ANTHROPIC.writer(Op.CHAT, STAMP, usage=True)
    raw = writer.write(TextDelta("half")) + writer.fault(Failure(kind=Kind.OVERLOADED, message="Full."))
    assert raw.endswith(event("error", b'{"type":"error","error":{"type":"overloaded_error","message":"Full."}}'))
    assert b"message_stop" not in raw
    other = ANTHROPIC.writer(Op.CHAT, STAMP, usage=True)
    assert other.write(Faulted(Failure(kind=Kind.OVERLOADED, message="Full."))).startswith(b"event: error")


def test_behind_a_fault_there_is_neither_an_end_nor_another_fault() -> None:
    writer = ANTHROPIC.writer(Op.CHAT, STAMP, usage=True)
    raw = writer.write(TextDelta("half")) + writer.write(Finished(Finish.STOP))
    raw += writer.fault(Failure(kind=Kind.CUT, message="It broke off."))
    assert writer.end() == writer.fault(Failure(kind=Kind.CUT, message="Again.")) == b""
    assert writer.write(TextDelta("more")) == b""
    assert b"message_stop" not in raw


# --- the real client ---------------------------------------------------------------------------------------


def client(answer: Callable[[httpx2.Request], httpx2.Response]) -> anthropic.Anthropic:
    transport = httpx2.MockTransport(answer)
    return anthropic.Anthropic(
        api_key="k", base_url="http://gateway.invalid", max_retries=0, http_client=httpx2.Client(transport=transport)
    )


def served(written: Written) -> httpx2.Response:
    headers = [(name.decode(), value.decode()) for name, value in written.headers]
    headers.append(("content-type", written.content_type.decode()))
    return httpx2.Response(written.status, headers=headers, content=written.body)


def test_the_real_client_reads_a_stream() -> None:
    raw = written(*TOOL_EVENTS)
    headers = {"content-type": ANTHROPIC.stream_type.decode()}
    with client(lambda _: httpx2.Response(200, headers=headers, content=raw)).messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
    ) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == [
        "thinking",
        "redacted_thinking",
        "text",
        "tool_use",
        "tool_use",
    ]
    assert message.content[0].signature == "EqQBCgIYAhIM"  # type: ignore[union-attr]
    assert message.content[2].text == "Zürich\u2028?"  # type: ignore[union-attr]
    assert [block.input for block in message.content[3:]] == [{"location": "SF"}, {}]  # type: ignore[union-attr]
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (40, 89)
    assert message.usage.cache_creation_input_tokens == 30


def test_the_real_client_reads_calls_that_are_filled_in_turns() -> None:
    raw = written(
        ToolBegan(0, "a", "f"),
        ToolDelta(0, '{"x":'),
        ToolBegan(1, "b", "g"),
        ToolDelta(1, '{"y":2'),
        ToolDelta(0, "1}"),
        ToolDelta(1, "}"),
        Finished(Finish.TOOLS),
    )
    with client(lambda _: httpx2.Response(200, content=raw)).messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
    ) as stream:
        message = stream.get_final_message()
    assert [block.input for block in message.content] == [{"x": 1}, {"y": 2}]  # type: ignore[union-attr]


def test_the_real_client_asks_and_reads_a_whole_answer() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        read = ANTHROPIC.read_request(Op.CHAT, request.content)
        assert ANTHROPIC.view(Op.CHAT, request.content).model == read.model == "claude-sonnet-4-6"
        assert read.unknown == ()
        parts = (Thinking("hm", "sig"), Text("Hello"), ToolCall("t", "f", '{"a":1}'))
        given = Answer(model="m", parts=parts, finish=Finish.TOOLS, usage=Usage(input=12, output=3, cache_read=2))
        return served(ANTHROPIC.write_answer(Op.CHAT, given, STAMP))

    message = client(answer).messages.create(
        model="claude-sonnet-4-6",
        max_tokens=100,
        system="be brief",
        messages=[{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        tools=[{"name": "f", "input_schema": {"type": "object"}}],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
    )
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (10, 2)
    assert message.id == "msg_r1"


def test_the_real_client_counts_tokens() -> None:
    given = Answer(model="", parts=(), finish=Finish.STOP, usage=Usage(input=14))
    count = client(lambda _: served(ANTHROPIC.write_answer(Op.COUNT, given, STAMP))).messages.count_tokens(
        model="m", messages=[{"role": "user", "content": "hi"}]
    )
    assert count.input_tokens == 14


def test_the_real_client_lists_models() -> None:
    cards = ANTHROPIC.read_models(b'{"data":[{"id":"a/b:c","type":"model"},{"id":"d","type":"model"}]}')
    listed = list(client(lambda _: served(ANTHROPIC.write_models(cards))).models.list())
    assert [model.id for model in listed] == ["a/b:c", "d"]
    assert listed[0].lifecycle == "active"


@pytest.mark.parametrize(
    ("kind", "raised", "said"),
    [
        (Kind.MALFORMED_REQUEST, anthropic.BadRequestError, "invalid_request_error"),
        (Kind.UNSUPPORTED, anthropic.BadRequestError, "invalid_request_error"),
        (Kind.CONTEXT_TOO_LONG, anthropic.BadRequestError, "invalid_request_error"),
        (Kind.UNAUTHENTICATED, anthropic.AuthenticationError, "authentication_error"),
        (Kind.FORBIDDEN, anthropic.PermissionDeniedError, "permission_error"),
        (Kind.UNKNOWN_MODEL, anthropic.NotFoundError, "not_found_error"),
        (Kind.UNKNOWN_PATH, anthropic.NotFoundError, "not_found_error"),
        (Kind.RUN_ONLY, anthropic.ConflictError, "invalid_request_error"),
        (Kind.TOO_LARGE, anthropic.APIStatusError, "request_too_large"),
        (Kind.OVER_BUDGET, anthropic.APIStatusError, "billing_error"),
        (Kind.RATE_LIMITED, anthropic.RateLimitError, "rate_limit_error"),
        (Kind.OVERLOADED, anthropic.APIStatusError, "overloaded_error"),
        (Kind.QUEUE_FULL, anthropic.APIStatusError, "overloaded_error"),
        (Kind.TIMEOUT, anthropic.InternalServerError, "timeout_error"),
        (Kind.CREDENTIALS, anthropic.InternalServerError, "api_error"),
        (Kind.UPSTREAM_ERROR, anthropic.InternalServerError, "api_error"),
        (Kind.INTERNAL, anthropic.InternalServerError, "api_error"),
    ],
)
def test_the_real_client_raises_the_right_class(kind: Kind, raised: type[anthropic.APIStatusError], said: str) -> None:
    failure = Failure(kind=kind, message="It did not work.")
    with pytest.raises(raised) as caught:
        client(lambda _: served(ANTHROPIC.write_failure(failure, "req_7"))).messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        )
    assert caught.value.type == said
    assert caught.value.request_id == "req_7"
    assert caught.value.api_message == "It did not work."
    overloaded = kind in (Kind.OVERLOADED, Kind.QUEUE_FULL)
    assert caught.value.status_code == (529 if overloaded else failure.status)


@pytest.mark.parametrize(
    ("kind", "calls"), [(Kind.UPSTREAM_ERROR, 1), (Kind.RUN_ONLY, 1), (Kind.MODEL_MISSING, 1), (Kind.OVERLOADED, 2)]
)
def test_the_real_client_repeats_only_what_may_help(kind: Kind, calls: int) -> None:
    seen = 0

    def answer(_: httpx2.Request) -> httpx2.Response:
        nonlocal seen
        seen += 1
        failure = Failure(kind=kind, message="It did not work.", retry_after_s=0.001)
        served_failure = served(ANTHROPIC.write_failure(failure, "req_7"))
        served_failure.headers["retry-after-ms"] = "1"
        return served_failure

    with pytest.raises(anthropic.APIStatusError):
        client(answer).with_options(max_retries=1).messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        )
    assert seen == calls


def test_the_real_client_raises_for_an_error_in_the_stream() -> None:
    writer = ANTHROPIC.writer(Op.CHAT, STAMP, usage=True)
    raw = writer.write(TextDelta("half")) + writer.fault(Failure(kind=Kind.CUT, message="It broke off."))
    with (
        pytest.raises(anthropic.APIStatusError) as caught,
        client(lambda _: httpx2.Response(200, content=raw)).messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        ) as stream,
    ):
        stream.get_final_message()
    assert caught.value.type == "api_error"
