"""Conversations with Bedrock: event streams as its runtime sends them in, exact bytes for a client out, and the verdict
of AWS's own client on requests, answers, streams and errors. The client speaks to the dialect without a socket.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from laneway.chat import (
    Answer,
    ChatRequest,
    Document,
    Event,
    Faulted,
    Finish,
    Finished,
    Format,
    Image,
    Message,
    Op,
    Reasoning,
    Role,
    Skipped,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Timings,
    Tool,
    ToolBegan,
    ToolCall,
    ToolChoice,
    ToolDelta,
    ToolMode,
    ToolResult,
    Usage,
    Used,
)
from laneway.dialects import Frame, Stamp, Written, dialect
from laneway.failure import Failure, Kind
from laneway.wire import eventstream
from tests.harness.streams import cut_at, only_fault, read_events, read_frames, write_events

CONVERSE = dialect("converse")
ANTHROPIC = dialect("anthropic")
STAMP = Stamp(id="r1", model="claude", now_s=1_700_000_000, elapsed_ns=7_000_000)


def event(name: str, payload: bytes) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return eventstream.encode(headers, payload)


def exception(name: str, payload: bytes) -> bytes:
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return eventstream.encode(headers, payload)


# `p` is padding of random length that Bedrock puts into every event.
TEXT = (
    event("messageStart", b'{"p":"abcdefghijklmnop","role":"assistant"}')
    + event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"Hello"},"p":"abcd"}')
    + event("contentBlockDelta", '{"contentBlockIndex":0,"delta":{"text":" Zürich"},"p":"abcdefg"}'.encode())
    + event("contentBlockStop", b'{"contentBlockIndex":0,"p":"ab"}')
    + event("messageStop", b'{"p":"abcdefghij","stopReason":"end_turn"}')
    + event(
        "metadata",
        b'{"metrics":{"latencyMs":350},"p":"abc","usage":{"cacheReadInputTokenCount":0,"cacheReadInputTokens":4,'
        b'"cacheWriteInputTokens":2,"inputTokens":12,"outputTokens":5,"totalTokens":23}}',
    )
)
TEXT_EVENTS: list[Event] = [
    Started("", ""),
    TextDelta("Hello"),
    TextDelta(" Zürich"),
    Finished(Finish.STOP),
    Used(Usage(input=18, output=5, cache_read=4, cache_write_5m=2)),
]

THINKING_AND_TOOLS = (
    event("messageStart", b'{"role":"assistant"}')
    + event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Let me see."}}}')
    + event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"EqQBCg=="}}}')
    + event("contentBlockStop", b'{"contentBlockIndex":0}')
    + event("contentBlockDelta", b'{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"eHl6"}}}')
    + event("contentBlockStop", b'{"contentBlockIndex":1}')
    + event("contentBlockDelta", b'{"contentBlockIndex":2,"delta":{"text":"Looking."}}')
    + event("contentBlockStop", b'{"contentBlockIndex":2}')
    + event("contentBlockStart", b'{"contentBlockIndex":3,"start":{"toolUse":{"name":"f","toolUseId":"tooluse_1"}}}')
    + event("contentBlockDelta", b'{"contentBlockIndex":3,"delta":{"toolUse":{"input":""}}}')
    + event("contentBlockDelta", b'{"contentBlockIndex":3,"delta":{"toolUse":{"input":"{\\"a\\":"}}}')
    + event("contentBlockDelta", b'{"contentBlockIndex":3,"delta":{"toolUse":{"input":" 1}"}}}')
    + event("contentBlockStop", b'{"contentBlockIndex":3}')
    + event("contentBlockStart", b'{"contentBlockIndex":4,"start":{"toolUse":{"name":"g","toolUseId":"tooluse_2"}}}')
    + event("contentBlockStop", b'{"contentBlockIndex":4}')
    + event("messageStop", b'{"stopReason":"tool_use"}')
    + event(
        "metadata",
        b'{"usage":{"inputTokens":9,"outputTokens":8,"totalTokens":17},"metrics":{"latencyMs":7},"trace":{"guardrail":{}}}',
    )
)
TOOL_EVENTS: list[Event] = [
    Started("", ""),
    ThinkingDelta("Let me see."),
    ThinkingDelta(signature="EqQBCg=="),
    ThinkingDelta(redacted="eHl6"),
    TextDelta("Looking."),
    ToolBegan(0, "tooluse_1", "f"),
    ToolDelta(0, '{"a":'),
    ToolDelta(0, " 1}"),
    ToolBegan(1, "tooluse_2", "g"),
    Finished(Finish.TOOLS),
    Used(Usage(input=9, output=8)),
]


def frames(raw: bytes, cuts: Sequence[int] = ()) -> list[Frame]:
    return read_frames(CONVERSE.reader(Op.CHAT), cut_at(raw, cuts))


def events(raw: bytes, cuts: Sequence[int] = ()) -> list[Event]:
    return read_events(CONVERSE.reader(Op.CHAT), cut_at(raw, cuts))


def written(*said: Event) -> bytes:
    return write_events(CONVERSE.writer(Op.CHAT, STAMP, usage=True), said)


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


def test_a_stream_is_whole_from_its_stop_on_and_cut_before() -> None:
    end_of_stop = len(TEXT) - len(event("metadata", TEXT[TEXT.index(b'{"metrics"') : -4]))
    for length in range(0, end_of_stop, 3):
        assert only_fault(events(TEXT[:length])).kind is Kind.CUT
    # What is lost behind the stop is the count, not a word.
    for length in range(end_of_stop, len(TEXT), 3):
        assert events(TEXT[:length]) == TEXT_EVENTS[:4]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (exception("throttlingException", b'{"message":"Too many"}'), Kind.RATE_LIMITED),
        (exception("modelStreamErrorException", b'{"message":"x","originalStatusCode":500}'), Kind.UPSTREAM_ERROR),
        (exception("internalServerException", b'{"message":"x"}'), Kind.UPSTREAM_ERROR),
        (exception("serviceUnavailableException", b'{"message":"x"}'), Kind.OVERLOADED),
        (exception("validationException", b'{"message":"Input is too long"}'), Kind.CONTEXT_TOO_LONG),
        (exception("validationException", b'{"message":"blank"}'), Kind.BAD_REQUEST),
        (exception("someOtherException", b"no JSON"), Kind.UPSTREAM_ERROR),
        (
            eventstream.encode(
                {":message-type": "error", ":error-code": "ThrottlingException", ":error-message": "x"}, b""
            ),
            Kind.RATE_LIMITED,
        ),
        (event("messageStop", b'{"stopReason":"malformed_tool_use"}'), Kind.MALFORMED_ANSWER),
        (b"\x00" * 16, Kind.MALFORMED_ANSWER),
    ],
)
def test_an_exception_in_the_stream_ends_it_once(raw: bytes, kind: Kind) -> None:
    said = events(event("messageStart", b'{"role":"assistant"}') + raw)
    assert only_fault(said).kind is kind
    assert isinstance(said[-1], Faulted)


def test_chunks_that_cannot_be_read_are_counted_and_those_of_tomorrow_pass() -> None:
    broken = event("contentBlockDelta", b'{"contentBlockIndex":0,"delta"')
    later = event("contentBlockHum", b'{"tune":[1]}')
    odd = event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"hum":"m"}}')
    begun = event("contentBlockStart", b'{"contentBlockIndex":9,"start":{"image":{"format":"png"}}}')
    metrics = event("metadata", b'{"metrics":{"latencyMs":1}}')
    raw = broken + later + odd + begun + TEXT + metrics
    said = events(raw)
    assert said == [Skipped(len(broken)), *TEXT_EVENTS]
    assert b"".join(frame.raw for frame in frames(raw)) == raw


# --- writing -----------------------------------------------------------------------------------------------


def test_a_stream_byte_for_byte() -> None:
    assert written(
        Started("msg_1", "claude"),
        ThinkingDelta("hm"),
        ThinkingDelta(signature="sig"),
        TextDelta(""),
        TextDelta("Hi"),
        Used(Usage(input=9)),
        ToolBegan(0, "t", "f"),
        ToolDelta(0, '{"a":1}'),
        Finished(Finish.STOP, timings=Timings(total_ns=12_000_000)),
        Used(Usage(output=4)),
    ) == (
        event("messageStart", b'{"role":"assistant"}')
        + event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}')
        + event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"sig"}}}')
        + event("contentBlockStop", b'{"contentBlockIndex":0}')
        + event("contentBlockDelta", b'{"contentBlockIndex":1,"delta":{"text":"Hi"}}')
        + event("contentBlockStop", b'{"contentBlockIndex":1}')
        + event("contentBlockStart", b'{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}')
        + event("contentBlockDelta", b'{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\\"a\\":1}"}}}')
        + event("contentBlockStop", b'{"contentBlockIndex":2}')
        + event("messageStop", b'{"stopReason":"tool_use"}')
        + event(
            "metadata",
            b'{"usage":{"inputTokens":9,"outputTokens":4,"totalTokens":13},"metrics":{"latencyMs":12}}',
        )
    )


@pytest.mark.parametrize("said", [TEXT_EVENTS, TOOL_EVENTS])
def test_what_was_read_is_written_with_the_same_meaning(said: list[Event]) -> None:
    assert events(written(*said)) == said


def test_two_thoughts_stay_two() -> None:
    said = (
        ThinkingDelta("a"),
        ThinkingDelta(redacted="eHl6"),
        ThinkingDelta("b"),
        ThinkingDelta(signature="1"),
        ThinkingDelta("c"),
    )
    raw = written(*said, Finished(Finish.STOP))
    assert raw.count(b"contentBlockStop") == 4
    assert [one for one in events(raw) if isinstance(one, ThinkingDelta)] == list(said)


def test_nothing_looks_like_success_without_a_finish() -> None:
    raw = written(TextDelta("half"))
    assert b"messageStop" not in raw
    assert only_fault(events(raw)).kind is Kind.UPSTREAM_ERROR


def test_a_stream_of_bedrocks_as_a_stream_of_anthropics() -> None:
    writer = ANTHROPIC.writer(Op.CHAT, STAMP, usage=True)
    raw = b"".join(writer.write(one) for one in events(THINKING_AND_TOOLS)) + writer.end()
    assert [line.removeprefix(b"data: ") for line in raw.split(b"\n") if line.startswith(b"data: ")] == AS_ANTHROPIC


AS_ANTHROPIC = [
    (
        b'{"type":"message_start","message":{"id":"msg_r1","type":"message","role":"assistant","model":"claude",'
        b'"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}'
    ),
    b'{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}',
    b'{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let me see."}}',
    b'{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCg=="}}',
    b'{"type":"content_block_stop","index":0}',
    b'{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"eHl6"}}',
    b'{"type":"content_block_stop","index":1}',
    b'{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}',
    b'{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Looking."}}',
    b'{"type":"content_block_stop","index":2}',
    (
        b'{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"tooluse_1","name":"f",'
        b'"input":{}}}'
    ),
    b'{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\\"a\\":"}}',
    b'{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":" 1}"}}',
    b'{"type":"content_block_stop","index":3}',
    (
        b'{"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"tooluse_2","name":"g",'
        b'"input":{}}}'
    ),
    b'{"type":"content_block_stop","index":4}',
    (
        b'{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":'
        b'{"input_tokens":9,"output_tokens":8}}'
    ),
    b'{"type":"message_stop"}',
]


def test_behind_a_fault_there_is_neither_an_end_nor_another_fault() -> None:
    writer = CONVERSE.writer(Op.CHAT, STAMP, usage=True)
    raw = writer.write(TextDelta("half")) + writer.write(Finished(Finish.STOP))
    raw += writer.fault(Failure(kind=Kind.CUT, message="It broke off."))
    assert writer.end() == writer.fault(Failure(kind=Kind.CUT, message="Again.")) == b""
    assert writer.write(TextDelta("more")) == b""
    assert b"messageStop" not in raw


# --- the real client ---------------------------------------------------------------------------------------


class Sdk:
    """AWS's own client, whose request is caught before it leaves and answered with what was prepared."""

    def __init__(self) -> None:
        self.client: Any = Session().create_client(
            "bedrock-runtime",
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="s",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.client.meta.events.register("before-send.bedrock-runtime.*", self._catch)
        self.answer = Written(200, b"{}")
        self.sent: Any = None

    def _catch(self, request: Any, **_: object) -> AWSResponse:
        self.sent = request
        headers = {name.decode(): value.decode() for name, value in self.answer.headers}
        headers["content-type"] = self.answer.content_type.decode()
        body = self.answer.body
        raw = SimpleNamespace(stream=lambda *_: iter([body[:100], body[100:]]), close=lambda: None)
        return AWSResponse(request.url, self.answer.status, headers, raw)

    def converse(self, **said: Any) -> Any:
        return self.client.converse(modelId="m", **(said or SAID))

    def converse_stream(self) -> list[dict[str, Any]]:
        return list(self.client.converse_stream(modelId="m", **SAID)["stream"])


SAID: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdk]:
    made = Sdk()
    yield made
    made.client.close()


def unpacked(said: Any) -> Any:
    """A body as arguments for AWS's client, which wants blobs as bytes."""
    if isinstance(said, dict):
        blobs = ("bytes", "redactedContent")
        return {key: b64decode(value) if key in blobs else unpacked(value) for key, value in said.items()}
    return [unpacked(item) for item in said] if isinstance(said, list) else said


REQUEST = ChatRequest(
    model="m",
    system=(Text("sys", "5m"),),
    messages=(
        Message(
            Role.USER,
            (
                Text("look", "1h"),
                Image(media_type="image/png", data="iVBORw0KGgo="),
                Document("application/pdf", "JVBERg==", "paper.pdf"),
            ),
        ),
        Message(Role.ASSISTANT, (Thinking("hm", "sig"), Thinking(redacted="eHl6"), ToolCall("t", "f", '{"a":1}'))),
        Message(Role.USER, (ToolResult("t", (Text("no"),), is_error=True),)),
    ),
    max_tokens=9,
    temperature=0.5,
    top_p=0.25,
    top_k=5,
    stop=("END",),
    tools=(Tool("f", "does", {"type": "object"}, strict=True, cache="5m"),),
    tool_choice=ToolChoice(ToolMode.ONE, "f"),
    format=Format(schema={"type": "object"}, name="place"),
    reasoning=Reasoning(effort="high"),
    hints={"service_tier": "flex"},
)


def test_the_real_client_would_send_the_same(sdk: Sdk) -> None:
    """Everything the dialect can write passes the service model of AWS's client and leaves it unchanged."""
    body = msgspec.json.decode(CONVERSE.write_request(REQUEST, "anthropic.claude-sonnet-4-6").body)
    sdk.answer = CONVERSE.write_answer(Op.CHAT, Answer(model="", parts=(), finish=Finish.STOP), STAMP)
    sdk.converse(**unpacked(body))
    assert msgspec.json.decode(sdk.sent.body) == body
    read = CONVERSE.read_request(Op.CHAT, sdk.sent.body)
    assert (read.tools, read.format, read.system, read.unknown) == (REQUEST.tools, REQUEST.format, REQUEST.system, ())


def test_the_real_client_reads_an_answer(sdk: Sdk) -> None:
    parts = (Thinking("hm", "sig"), Thinking(redacted="eHl6"), Text("Hi"), ToolCall("t", "f", '{"a":1}'))
    usage = Usage(input=12, output=3, cache_read=2, cache_write_5m=1, cache_write_1h=4)
    sdk.answer = CONVERSE.write_answer(Op.CHAT, Answer(model="", parts=parts, finish=Finish.TOOLS, usage=usage), STAMP)
    read = sdk.converse()
    assert read["output"]["message"]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": b"xyz"}},
        {"text": "Hi"},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
    ]
    assert (read["stopReason"], read["metrics"]["latencyMs"]) == ("tool_use", 7)
    assert read["usage"] == {
        "inputTokens": 5,
        "outputTokens": 3,
        "totalTokens": 15,
        "cacheReadInputTokens": 2,
        "cacheWriteInputTokens": 5,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 1}],
    }
    assert read["ResponseMetadata"]["RequestId"] == "r1"


def test_the_real_client_reads_a_stream(sdk: Sdk) -> None:
    sdk.answer = Written(200, written(*TOOL_EVENTS), content_type=CONVERSE.stream_type)
    read = sdk.converse_stream()
    assert next(iter(read[0])) == "messageStart"
    assert read[-2:] == [
        {"messageStop": {"stopReason": "tool_use"}},
        {
            "metadata": {
                "usage": {"inputTokens": 9, "outputTokens": 8, "totalTokens": 17},
                "metrics": {"latencyMs": 7},
            }
        },
    ]
    pieces = [one["contentBlockDelta"] for one in read if "contentBlockDelta" in one]
    assert "".join(one["delta"]["toolUse"]["input"] for one in pieces if "toolUse" in one["delta"]) == '{"a": 1}'
    assert {"contentBlockIndex": 1, "delta": {"reasoningContent": {"redactedContent": b"xyz"}}} in pieces


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.MALFORMED_REQUEST, "ValidationException"),
        (Kind.UNAUTHENTICATED, "UnrecognizedClientException"),
        (Kind.FORBIDDEN, "AccessDeniedException"),
        (Kind.UNKNOWN_MODEL, "ResourceNotFoundException"),
        (Kind.OVER_BUDGET, "ServiceQuotaExceededException"),
        (Kind.CREDENTIALS, "InternalServerException"),
        (Kind.CUT, "ModelErrorException"),
    ],
)
def test_the_real_client_raises_the_right_class(sdk: Sdk, kind: Kind, name: str) -> None:
    sdk.answer = CONVERSE.write_failure(Failure(kind=kind, message="It did not work."), "r9")
    with pytest.raises(ClientError) as caught:
        sdk.converse()
    error = caught.value.response
    assert (error["Error"]["Code"], error["Error"]["Message"]) == (name, "It did not work.")
    assert error["ResponseMetadata"]["RequestId"] == "r9"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.RATE_LIMITED, "throttlingException"),
        (Kind.OVERLOADED, "serviceUnavailableException"),
        (Kind.TIMEOUT, "modelStreamErrorException"),
        (Kind.BAD_REQUEST, "validationException"),
        (Kind.INTERNAL, "internalServerException"),
    ],
)
def test_the_real_client_raises_for_a_fault_in_the_stream(sdk: Sdk, kind: Kind, name: str) -> None:
    writer = CONVERSE.writer(Op.CHAT, STAMP, usage=True)
    raw = writer.write(TextDelta("half")) + writer.fault(Failure(kind=kind, message="It broke off."))
    sdk.answer = Written(200, raw, content_type=CONVERSE.stream_type)
    with pytest.raises(EventStreamError) as caught:
        sdk.converse_stream()
    assert caught.value.response["Error"]["Code"] == name
    assert caught.value.response["Error"]["Message"] == "It broke off."
