"""OpenAI's answers on the wire: recorded shapes in, exact bytes for callers out, as a stream and whole."""

from __future__ import annotations

import json

import httpx2
import openai
import pytest

from laneway.chat import (
    Answer,
    Event,
    Faulted,
    Finish,
    Finished,
    Glance,
    Op,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    ToolBegan,
    ToolCall,
    ToolDelta,
    Usage,
    Used,
)
from laneway.dialects import Dialect, Stamp, dialect
from laneway.failure import Failure, FailureError, Kind
from tests.harness.streams import write_events

OPENAI: Dialect = dialect("openai")
STAMP = Stamp(id="r1", model="lane-model", now_s=1700000001)


# --- streams written ---------------------------------------------------------------------------------------


def written(*events: Event, op: Op = Op.CHAT, usage: bool = True) -> bytes:
    return write_events(OPENAI.writer(op, STAMP, usage=usage), events)


def test_a_chat_stream_byte_for_byte() -> None:
    head = b'data: {"id":"chatcmpl-r1","object":"chat.completion.chunk","created":1700000001,"model":"other","choices":'
    assert written(
        Started("msg_1", "other"),
        ThinkingDelta("hm"),
        ThinkingDelta(signature="sig"),
        TextDelta('"Hé"\n'),
        ToolBegan(0, "t1", "f"),
        ToolDelta(0, '{"a":'),
        ToolDelta(0, "1}"),
        ToolBegan(1, "t2", "g"),
        Used(Usage(input=5, cache_read=2)),
        Finished(Finish.TOOLS),
        Used(Usage(output=3, reasoning=1)),
    ) == b"".join(
        (
            head + b'[{"index":0,"logprobs":null,"finish_reason":null,"delta":{"role":"assistant","content":""}}]'
            b',"usage":null}\n\n',
            head + b'[{"index":0,"logprobs":null,"finish_reason":null,"delta":{"reasoning_content":"hm"}}]'
            b',"usage":null}\n\n',
            head + b'[{"index":0,"delta":{"content":"\\"H\xc3\xa9\\"\\n"},"logprobs":null,"finish_reason":null}]'
            b',"usage":null}\n\n',
            head + b'[{"index":0,"logprobs":null,"finish_reason":null,"delta":{"tool_calls":[{"index":0,"id":"t1",'
            b'"type":"function","function":{"name":"f","arguments":""}}]}}],"usage":null}\n\n',
            head + b'[{"index":0,"logprobs":null,"finish_reason":null,"delta":{"tool_calls":[{"index":0,'
            b'"function":{"arguments":"{\\"a\\":"}}]}}],"usage":null}\n\n',
            head + b'[{"index":0,"logprobs":null,"finish_reason":null,"delta":{"tool_calls":[{"index":0,'
            b'"function":{"arguments":"1}"}}]}}],"usage":null}\n\n',
            head + b'[{"index":0,"logprobs":null,"finish_reason":null,"delta":{"tool_calls":[{"index":1,"id":"t2",'
            b'"type":"function","function":{"name":"g","arguments":""}}]}}],"usage":null}\n\n',
            head + b'[{"index":0,"logprobs":null,"finish_reason":null,"delta":{"tool_calls":[{"index":1,'
            b'"function":{"arguments":"{}"}}]}}],"usage":null}\n\n',
            head + b'[{"index":0,"logprobs":null,"finish_reason":"tool_calls","delta":{}}],"usage":null}\n\n',
            head + b'[],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8,'
            b'"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":1}}}\n\n',
            b"data: [DONE]\n\n",
        )
    )


def test_a_completions_stream_byte_for_byte() -> None:
    head = b'data: {"id":"cmpl-r1","object":"text_completion","created":9,"model":"lane-model","choices":'
    token = TokenLogprob("b", -0.5, None, (TokenLogprob("c", -2.0),))
    assert written(
        Started("", "", 9),
        ThinkingDelta("no place"),
        ToolBegan(0, "no", "place"),
        TextDelta("a"),
        TextDelta("b", (token,)),
        Finished(Finish.STOP_SEQUENCE, "END"),
        Used(Usage(input=1, output=2)),
        op=Op.COMPLETE,
        usage=False,
    ) == b"".join(
        (
            head + b'[{"index":0,"logprobs":null,"finish_reason":null,"text":"a"}]}\n\n',
            head + b'[{"index":0,"logprobs":{"tokens":["b"],"token_logprobs":[-0.5],"top_logprobs":[{"c":-2.0}],'
            b'"text_offset":[1]},"finish_reason":null,"text":"b"}]}\n\n',
            head + b'[{"index":0,"logprobs":null,"finish_reason":"stop","text":"","stop_reason":"END"}]}\n\n',
            b"data: [DONE]\n\n",
        )
    )


def test_logprobs_in_a_chat_stream() -> None:
    token = TokenLogprob("a", -0.5, (97,), (TokenLogprob("b", -2.0),))
    assert b'"logprobs":{"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"b",' in written(
        TextDelta("a", (token,)), Finished(Finish.STOP)
    )


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish.STOP, "stop"),
        (Finish.STOP_SEQUENCE, "stop"),
        (Finish.LENGTH, "length"),
        (Finish.TOOLS, "tool_calls"),
        (Finish.FILTERED, "content_filter"),
        (Finish.REFUSED, "content_filter"),
        (Finish.PAUSED, "length"),
    ],
)
def test_reasons_for_a_caller(finish: Finish, reason: str) -> None:
    assert f'"finish_reason":"{reason}"'.encode() in written(TextDelta("a"), Finished(finish))


def test_after_a_fault_nothing_more_is_written() -> None:
    writer = OPENAI.writer(Op.CHAT, STAMP, usage=True)
    writer.write(TextDelta("a"))
    assert writer.write(Faulted(Failure(kind=Kind.CUT, message="It ended."))) == (
        b'data: {"error":{"message":"It ended.","type":"server_error","param":null,"code":"cut"}}\n\n'
    )
    assert writer.write(TextDelta("b")) + writer.end() + writer.fault(Failure(kind=Kind.CUT, message="again")) == b""


def test_a_stream_without_a_finish_gets_no_done() -> None:
    assert b"[DONE]" not in written(TextDelta("a"))


def test_usage_that_nobody_reported_is_no_chunk_of_zeros() -> None:
    stream = written(TextDelta("a"), Finished(Finish.STOP))
    assert stream.endswith(b'"usage":null}\n\ndata: [DONE]\n\n')


def test_the_answers_own_id_is_kept_where_it_is_one_of_this_format() -> None:
    assert b'"id":"chatcmpl-own"' in written(Started("chatcmpl-own", "m"), TextDelta("a"), Finished(Finish.STOP))


@pytest.fixture
def body() -> list[bytes]:
    return []


@pytest.fixture
def client(body: list[bytes]) -> openai.OpenAI:
    """The real client, served `body`."""

    def respond(_: httpx2.Request) -> httpx2.Response:
        kind = "text/event-stream" if body[0].startswith(b"data:") else "application/json"
        return httpx2.Response(200, headers={"content-type": kind}, content=b"".join(body))

    http = httpx2.Client(transport=httpx2.MockTransport(respond))
    return openai.OpenAI(api_key="k", base_url="http://gateway.invalid/v1", max_retries=0, http_client=http)


def test_the_real_client_reads_our_chat_stream(client: openai.OpenAI, body: list[bytes]) -> None:
    body.append(
        written(
            Started("x", "m"),
            TextDelta("a"),
            ToolBegan(0, "t", "f"),
            ToolDelta(0, "{}"),
            Finished(Finish.TOOLS),
            Used(Usage(input=1, output=2)),
        )
    )
    with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hi"}]) as stream:
        final = stream.get_final_completion()
    message = final.choices[0].message
    assert (message.content, final.choices[0].finish_reason) == ("a", "tool_calls")
    assert message.tool_calls is not None
    assert (message.tool_calls[0].function.name, message.tool_calls[0].function.arguments) == ("f", "{}")
    assert final.usage is not None
    assert final.usage.total_tokens == 3


def test_the_real_client_raises_at_our_fault(client: openai.OpenAI, body: list[bytes]) -> None:
    writer = OPENAI.writer(Op.CHAT, STAMP, usage=False)
    body += [writer.write(TextDelta("a")), writer.fault(Failure(kind=Kind.CUT, message="It ended."))]
    stream = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
    with pytest.raises(openai.APIError, match=r"It ended\."):
        list(stream)


# --- whole answers -----------------------------------------------------------------------------------------

OPENAI_ANSWER = (
    b'{"id":"chatcmpl-B9","object":"chat.completion","created":1741569952,"model":"gpt-4.1-2025-04-14","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"Hello!","refusal":null,"annotations":[]},"logprobs":null,'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,'
    b'"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,'
    b'"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default"}'
)


def test_openais_own_answer_and_what_becomes_of_it() -> None:
    answer = OPENAI.read_answer(Op.CHAT, OPENAI_ANSWER)
    assert answer == Answer(
        model="gpt-4.1-2025-04-14",
        parts=(Text("Hello!"),),
        finish=Finish.STOP,
        id="chatcmpl-B9",
        created_s=1741569952,
        usage=Usage(input=19, output=10, cache_read=0, reasoning=0),
    )
    assert OPENAI.write_answer(Op.CHAT, answer, STAMP).body == (
        b'{"id":"chatcmpl-B9","object":"chat.completion","created":1741569952,"model":"gpt-4.1-2025-04-14","choices":'
        b'[{"index":0,"message":{"role":"assistant","content":"Hello!","refusal":null},"logprobs":null,'
        b'"finish_reason":"stop"}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,'
        b'"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}'
    )
    assert OPENAI.glance(Op.CHAT, OPENAI_ANSWER) == Glance(usage=answer.usage, finish=Finish.STOP)


def answer_of(message: object, finish: str | None = "stop", **more: object) -> bytes:
    return json.dumps(
        {"id": "c", "model": "m", "choices": [{"message": message, "finish_reason": finish}], **more}
    ).encode()


@pytest.mark.parametrize(
    ("message", "finish", "parts", "read"),
    [
        ({"content": "a", "reasoning_content": "hm"}, "stop", (Thinking("hm"), Text("a")), Finish.STOP),
        ({"content": "a", "reasoning": "hm"}, "length", (Thinking("hm"), Text("a")), Finish.LENGTH),
        ({"content": None, "refusal": "no"}, "stop", (Text("no"),), Finish.REFUSED),
        (
            {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]},
            "stop",
            (Thinking("hm"), Text("a")),
            Finish.STOP,
        ),
        (
            {"content": "", "tool_calls": [{"id": "t", "function": {"name": "f", "arguments": {"a": 1}}}]},
            "stop",
            (ToolCall("t", "f", '{"a":1}'),),
            Finish.TOOLS,
        ),
        (
            {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
            "tool_calls",
            (ToolCall("call_c_0", "f", "{}"),),
            Finish.TOOLS,
        ),
        (
            {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
            "function_call",
            (ToolCall("call_c_0", "f", "{}"),),
            Finish.TOOLS,
        ),
    ],
)
def test_answers_of_many_servers(message: object, finish: str, parts: object, read: Finish) -> None:
    answer = OPENAI.read_answer(Op.CHAT, answer_of(message, finish))
    assert (answer.parts, answer.finish) == (parts, read)


def test_a_completions_answer_is_read_whatever_was_asked() -> None:
    choice = {"text": "a", "index": 0, "finish_reason": "length", "logprobs": None}
    body = json.dumps({"id": "cmpl-1", "model": "m", "choices": [choice]}).encode()
    for op in (Op.CHAT, Op.COMPLETE):
        assert OPENAI.read_answer(op, body).parts == (Text("a"),)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", Kind.MALFORMED_ANSWER),
        (b"<html></html>", Kind.MALFORMED_ANSWER),
        (b"[]", Kind.MALFORMED_ANSWER),
        (b"{}", Kind.MALFORMED_ANSWER),
        (b'{"choices":[]}', Kind.MALFORMED_ANSWER),
        (b'{"error":{"message":"x","code":429}}', Kind.RATE_LIMITED),
        (b'{"error":"boom"}', Kind.UPSTREAM_ERROR),
        (answer_of({"content": "a"}, None), Kind.CUT),
        (answer_of({"content": "a"}, "abort"), Kind.CUT),
    ],
)
def test_a_success_that_is_none(body: bytes, kind: Kind) -> None:
    failure = OPENAI.glance(Op.CHAT, body).failure
    assert failure is not None
    with pytest.raises(FailureError) as caught:
        OPENAI.read_answer(Op.CHAT, body)
    assert (failure.kind, caught.value.failure.kind) == (kind, kind)


def test_several_choices_pass_but_have_no_neutral_form() -> None:
    choice = {"message": {"content": "a"}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice, choice]}).encode()
    assert OPENAI.glance(Op.CHAT, body).failure is None
    with pytest.raises(FailureError) as caught:
        OPENAI.read_answer(Op.CHAT, body)
    assert (caught.value.failure.kind, caught.value.failure.field) == (Kind.UNSUPPORTED, "n")


def test_a_glance_at_an_embedding() -> None:
    body = b'{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":3,"total_tokens":3}}'
    assert OPENAI.glance(Op.EMBED, body) == Glance(usage=Usage(input=3))
    failure = OPENAI.glance(Op.EMBED, b'{"choices":[]}').failure
    assert failure is not None
    assert failure.kind is Kind.MALFORMED_ANSWER


def test_an_answer_with_everything_for_a_caller() -> None:
    answer = Answer(
        model="",
        parts=(Thinking("hm", "sig"), Text("a"), Text("b"), ToolCall("t", "f", "")),
        finish=Finish.TOOLS,
        id="msg_1",
        usage=Usage(input=5, output=2, cache_write_5m=1, cache_write_1h=2),
        logprobs=(TokenLogprob("a", -0.5),),
    )
    assert json.loads(OPENAI.write_answer(Op.CHAT, answer, STAMP).body) == {
        "id": "chatcmpl-r1",
        "object": "chat.completion",
        "created": 1700000001,
        "model": "lane-model",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "ab",
                    "refusal": None,
                    "reasoning_content": "hm",
                    "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                "logprobs": {"content": [{"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}]},
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "total_tokens": 7,
            "prompt_tokens_details": {"cache_write_tokens": 3},
        },
    }


@pytest.mark.parametrize(
    ("parts", "message", "reason"),
    [
        ((Text("no"),), {"role": "assistant", "content": None, "refusal": "no"}, "stop"),
        ((), {"role": "assistant", "content": "", "refusal": None}, "content_filter"),
    ],
)
def test_a_refusal_for_a_caller(parts: tuple[Text, ...], message: object, reason: str) -> None:
    answer = Answer(model="m", parts=parts, finish=Finish.REFUSED)
    choice = json.loads(OPENAI.write_answer(Op.CHAT, answer, STAMP).body)["choices"][0]
    assert (choice["message"], choice["finish_reason"]) == (message, reason)


def test_a_completions_answer_byte_for_byte() -> None:
    answer = Answer(model="m", parts=(Text("a"),), finish=Finish.STOP_SEQUENCE, stop_sequence="END")
    assert OPENAI.write_answer(Op.COMPLETE, answer, STAMP).body == (
        b'{"id":"cmpl-r1","object":"text_completion","created":1700000001,"model":"m","choices":[{"index":0,"text":"a",'
        b'"logprobs":null,"finish_reason":"stop","stop_reason":"END"}]}'
    )


def test_the_real_client_reads_our_answer(client: openai.OpenAI, body: list[bytes]) -> None:
    answer = Answer(model="m", parts=(Text("a"),), finish=Finish.STOP, usage=Usage(input=1, output=2))
    body.append(OPENAI.write_answer(Op.CHAT, answer, STAMP).body)
    read = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert (read.choices[0].message.content, read.id, read.object) == ("a", "chatcmpl-r1", "chat.completion")
