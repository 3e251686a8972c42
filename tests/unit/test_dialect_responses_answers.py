"""Answers in the Responses format: whole and streamed, read from providers and written to callers."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from laneway.chat import (
    Answer,
    ChatRequest,
    Event,
    Faulted,
    Finish,
    Finished,
    Message,
    Op,
    Role,
    Skipped,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    Tool,
    ToolBegan,
    ToolCall,
    ToolDelta,
    Usage,
    Used,
)
from laneway.dialects import Stamp, dialect
from laneway.failure import Failure, Kind
from tests.harness.failures import failure_of
from tests.harness.streams import only_fault, read_events, write_events

SPEAKS = dialect("responses")
STAMP = Stamp(id="req-1", model="lane-model", now_s=1_700_000_000)
FREE = ChatRequest(
    model="m",
    messages=(Message(Role.USER, (Text("Hi."),)),),
    tools=(Tool("patch", free={}), Tool("f", "d", {"type": "object"})),
    temperature=0.5,
    max_tokens=9,
)
TEXT: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hi.", "annotations": []}],
}
CALL: dict[str, Any] = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "c1",
    "name": "f",
    "arguments": '{"a":1}',
}
FREE_CALL: dict[str, Any] = {
    "id": "ctc_1",
    "type": "custom_tool_call",
    "call_id": "c2",
    "name": "g",
    "input": 'a "b"\n',
}
THOUGHT: dict[str, Any] = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}],
    "encrypted_content": "gAAAA",
}
SEARCH: dict[str, Any] = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "content": {"odd": 7},
    "arguments": [7],
}


def response(*output: dict[str, Any], status: str = "completed", **fields: Any) -> dict[str, Any]:
    usage = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}
    head = {"id": "resp_1", "object": "response", "created_at": 7, "model": "gpt", "status": status}
    return {**head, "output": list(output), "usage": usage, **fields}


def read(*output: dict[str, Any], **fields: Any) -> Answer:
    return SPEAKS.read_answer(Op.CHAT, json.dumps(response(*output, **fields)).encode())


def written(answer: Answer, request: ChatRequest | None = None) -> dict[str, Any]:
    stamp = Stamp(STAMP.id, STAMP.model, STAMP.now_s, request)
    return json.loads(SPEAKS.write_answer(Op.CHAT, answer, stamp).body)  # type: ignore[no-any-return]


# --- whole answers, read -----------------------------------------------------------------------------------


def test_every_kind_of_item_is_read_in_its_order() -> None:
    answer = read(THOUGHT, TEXT, SEARCH, CALL, FREE_CALL)
    assert answer.parts == (
        Thinking("One.\n\nTwo.", "responses:gAAAA"),
        Text("Hi."),
        ToolCall("c1", "f", '{"a":1}'),
        ToolCall("c2", "g", '{"input":"a \\"b\\"\\n"}'),
    )
    assert (answer.id, answer.model, answer.created_s, answer.finish) == ("resp_1", "gpt", 7, Finish.TOOLS)
    assert answer.usage == Usage(input=9, output=4)


def test_thoughts_that_are_told_themselves_are_read_as_such() -> None:
    item = {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    assert read(item, TEXT).parts[0] == Thinking("Hm.")


REFUSAL = {**TEXT, "content": [{"type": "refusal", "refusal": "No."}]}
ENDS: list[tuple[dict[str, Any], tuple[dict[str, Any], ...], Finish]] = [
    ({}, (TEXT,), Finish.STOP),
    ({}, (CALL,), Finish.TOOLS),
    ({}, (REFUSAL,), Finish.REFUSED),
    ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, (TEXT,), Finish.LENGTH),
    ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, (TEXT,), Finish.FILTERED),
    ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, (TEXT,), Finish.LENGTH),
    ({"status": "incomplete"}, (CALL,), Finish.LENGTH),
]


@pytest.mark.parametrize(("fields", "output", "finish"), ENDS, ids=str)
def test_an_end_is_read_alike_whole_and_glanced_at(
    fields: dict[str, Any], output: tuple[dict[str, Any], ...], finish: Finish
) -> None:
    assert read(*output, **fields).finish is finish
    glance = SPEAKS.glance(Op.CHAT, json.dumps(response(*output, **fields)).encode())
    assert (glance.failure, glance.finish, glance.usage) == (None, finish, Usage(input=9, output=4))


NO_ANSWERS: list[tuple[dict[str, Any], Kind]] = [
    ({"status": "in_progress"}, Kind.CUT),
    ({"status": "queued"}, Kind.CUT),
    ({"status": None}, Kind.CUT),
    ({"status": "cancelled"}, Kind.CUT),
    ({"status": "failed", "error": {"code": "server_error", "message": "x"}}, Kind.UPSTREAM_ERROR),
    ({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "x"}}, Kind.RATE_LIMITED),
    ({"output": None}, Kind.MALFORMED_ANSWER),
]


@pytest.mark.parametrize(("fields", "kind"), NO_ANSWERS, ids=str)
def test_what_is_no_whole_answer_is_a_failure(fields: dict[str, Any], kind: Kind) -> None:
    body = json.dumps({**response(TEXT), **fields}).encode()
    glance = SPEAKS.glance(Op.CHAT, body)
    assert glance.failure is not None
    assert glance.failure.kind is failure_of(SPEAKS.read_answer, Op.CHAT, body).kind is kind
    # It is paid for all the same.
    assert glance.usage == Usage(input=9, output=4)


# --- whole answers, written --------------------------------------------------------------------------------


WHOLE = Answer(
    model="claude",
    parts=(Thinking("Hm.", "c2ln"), Text("Hi."), ToolCall("c1", "f", ""), ToolCall("c2", "patch", '{"input":"x"}')),
    finish=Finish.TOOLS,
    usage=Usage(input=9, output=4, cache_read=2, cache_write_5m=1, reasoning=3),
)


def test_an_answer_repeats_the_request_and_says_what_was_used() -> None:
    told = written(WHOLE, FREE)
    assert (told["id"], told["object"], told["created_at"], told["model"]) == (
        "resp_req-1",
        "response",
        STAMP.now_s,
        "claude",
    )
    assert (told["status"], told["error"], told["incomplete_details"], told["store"]) == (
        "completed",
        None,
        None,
        False,
    )
    assert (told["temperature"], told["max_output_tokens"], told["top_p"], told["tool_choice"]) == (
        0.5,
        9,
        None,
        "auto",
    )
    assert told["tools"] == [
        {"type": "custom", "name": "patch"},
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False},
    ]
    assert told["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 13,
    }


def test_parts_are_items_in_their_order() -> None:
    told = written(WHOLE, FREE)
    assert told["output"] == [
        {
            "id": "rs_req-1_0",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "laneway.signed:c2ln",
        },
        {
            "id": "msg_req-1_1",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []}],
        },
        {
            "id": "fc_req-1_2",
            "type": "function_call",
            "status": "completed",
            "call_id": "c1",
            "name": "f",
            "arguments": "{}",
        },
        {
            "id": "ctc_req-1_3",
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": "c2",
            "name": "patch",
            "input": "x",
        },
    ]


def test_a_call_of_a_groups_tool_is_told_by_its_group_and_its_name() -> None:
    tools = (Tool("crm__find", space=("crm", "")), Tool("crm__note", free={}, space=("crm", "")))
    request = msgspec.structs.replace(FREE, tools=tools)
    calls = (ToolCall("c1", "crm__find", "{}"), ToolCall("c2", "crm__note", '{"input":"x"}'), ToolCall("c3", "f", "{}"))
    told = written(Answer(model="m", parts=calls, finish=Finish.TOOLS), request)["output"]
    assert [(call["name"], call.get("namespace")) for call in told] == [("find", "crm"), ("note", "crm"), ("f", None)]
    assert told[1]["input"] == "x"
    # And read as it was.
    assert read(*told).parts == calls
    began = [frame("response.output_item.added", output_index=at, item=call) for at, call in enumerate(told)]
    names = [event.name for event in events(CREATED, *began, completed(*told)) if isinstance(event, ToolBegan)]
    assert names == ["crm__find", "crm__note", "f"]


def test_a_call_of_a_groups_tool_is_streamed_by_its_group_and_its_name() -> None:
    request = msgspec.structs.replace(FREE, tools=(Tool("crm__find", space=("crm", "")),))
    began, said = ToolBegan(0, "c1", "crm__find"), ToolDelta(0, "{}")
    frames = told(Started("r", "m"), began, said, Finished(Finish.TOOLS), request=request)
    items = [each["item"] for each in frames if each["type"].startswith("response.output_item")]
    assert [(item["name"], item["namespace"]) for item in items] == [("find", "crm")] * 2
    assert frames[-1]["response"]["output"] == items[1:]


@pytest.mark.parametrize("arguments", ["plain words", '{"text":"x"}', '{"input":7}', '{"input":"a","more":1}', "[1]"])
def test_a_model_that_does_not_keep_to_the_one_field_is_told_as_it_spoke(arguments: str) -> None:
    answer = Answer(model="m", parts=(ToolCall("c", "patch", arguments),), finish=Finish.TOOLS)
    assert written(answer, FREE)["output"][0]["input"] == arguments


def test_an_answer_that_is_not_whole_says_so() -> None:
    for finish, reason in (
        (Finish.LENGTH, "max_output_tokens"),
        (Finish.PAUSED, "max_output_tokens"),
        (Finish.FILTERED, "content_filter"),
    ):
        told = written(Answer(model="m", parts=(Text("a"),), finish=finish))
        assert (told["status"], told["incomplete_details"]) == ("incomplete", {"reason": reason})
        assert told["output"][0]["status"] == "incomplete"


def test_a_refusal_says_so_in_its_words_or_is_filtered() -> None:
    told = written(Answer(model="m", parts=(Text("No."),), finish=Finish.REFUSED))
    assert (told["status"], told["output"][0]["content"]) == ("completed", [{"type": "refusal", "refusal": "No."}])
    told = written(Answer(model="m", parts=(), finish=Finish.REFUSED))
    assert told["incomplete_details"] == {"reason": "content_filter"}


def test_unreported_usage_is_not_invented() -> None:
    assert written(Answer(model="m", parts=(Text("a"),), finish=Finish.STOP))["usage"] is None


# --- streams, read -----------------------------------------------------------------------------------------


def frame(kind: str, **said: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **said})}\n\n".encode()


CREATED = frame("response.created", sequence_number=0, response=response(status="in_progress", usage=None))


def events(*frames: bytes) -> list[Event]:
    return read_events(SPEAKS.reader(Op.CHAT), frames)


def delta(text: str, index: int = 0) -> bytes:
    return frame("response.output_text.delta", output_index=index, content_index=0, delta=text)


def completed(*output: dict[str, Any], **fields: Any) -> bytes:
    return frame("response.completed", response=response(*output, **fields))


ENDED = (Used(Usage(input=9, output=4)), Finished(Finish.STOP))


def test_a_stream_as_openai_sends_it() -> None:
    thought = {**THOUGHT, "summary": []}
    told = events(
        CREATED,
        frame("response.in_progress", response=response(status="in_progress")),
        frame("response.output_item.added", output_index=0, item=thought),
        frame("response.reasoning_summary_part.added", output_index=0, summary_index=0, part={}),
        frame("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="One."),
        frame("response.reasoning_summary_part.added", output_index=0, summary_index=1, part={}),
        frame("response.reasoning_summary_text.delta", output_index=0, summary_index=1, delta="Two."),
        frame("response.output_item.done", output_index=0, item=THOUGHT),
        frame("response.output_item.added", output_index=1, item={**TEXT, "content": []}),
        frame("response.content_part.added", output_index=1, content_index=0, part={"type": "output_text", "text": ""}),
        delta("Hi", 1),
        delta(".", 1),
        frame("response.output_item.done", output_index=1, item=TEXT),
        frame("response.output_item.added", output_index=2, item={**CALL, "arguments": ""}),
        frame("response.function_call_arguments.delta", output_index=2, delta='{"a"'),
        frame("response.function_call_arguments.delta", output_index=2, delta=":1}"),
        frame("response.function_call_arguments.done", output_index=2, arguments=CALL["arguments"]),
        frame("response.output_item.done", output_index=2, item=CALL),
        frame("response.output_item.added", output_index=3, item={**FREE_CALL, "input": ""}),
        frame("response.custom_tool_call_input.delta", output_index=3, delta='a "b'),
        frame("response.custom_tool_call_input.delta", output_index=3, delta='"\n'),
        frame("response.output_item.done", output_index=3, item=FREE_CALL),
        completed(THOUGHT, TEXT, CALL, FREE_CALL),
    )
    assert told == [
        Started("resp_1", "gpt", 7),
        ThinkingDelta("One."),
        ThinkingDelta("\n\n"),
        ThinkingDelta("Two."),
        ThinkingDelta(signature="responses:gAAAA"),
        TextDelta("Hi"),
        TextDelta("."),
        ToolBegan(0, "c1", "f"),
        ToolDelta(0, '{"a"'),
        ToolDelta(0, ":1}"),
        ToolBegan(1, "c2", "g"),
        ToolDelta(1, '{"input":"a \\"b'),
        ToolDelta(1, '\\"\\n'),
        ToolDelta(1, '"}'),
        Used(Usage(input=9, output=4)),
        Finished(Finish.TOOLS),
    ]


@pytest.mark.parametrize(
    "frames",
    [
        (CREATED, frame("response.output_item.done", output_index=0, item=TEXT), completed(TEXT)),
        (CREATED, completed(TEXT)),
        (CREATED, delta("Hi."), completed(TEXT)),
        (CREATED, delta("Hi."), completed(TEXT), b"data: [DONE]\n\n"),
        (CREATED, delta("Hi."), completed(TEXT)[:-1]),
    ],
    ids=["no deltas", "nothing but the end", "no item began", "a sign of the end", "no last line"],
)
def test_servers_leave_out_what_they_like(frames: tuple[bytes, ...]) -> None:
    assert events(*frames) == [Started("resp_1", "gpt", 7), TextDelta("Hi."), *ENDED]


def test_a_call_that_came_whole_is_told_once() -> None:
    added = frame("response.output_item.added", output_index=0, item=CALL)
    done = frame("response.output_item.done", output_index=0, item=CALL)
    called = [ToolBegan(0, "c1", "f"), ToolDelta(0, '{"a":1}')]
    for frames in ((added, done), (done,), ()):
        assert events(CREATED, *frames, completed(CALL))[1:3] == called
    free = frame("response.output_item.done", output_index=0, item=FREE_CALL)
    assert events(CREATED, free, completed(FREE_CALL))[2] == ToolDelta(0, '{"input":"a \\"b\\"\\n"}')


def test_events_and_items_of_a_providers_own_are_passed_over() -> None:
    told = events(
        CREATED,
        frame("response.output_item.added", output_index=0, item=SEARCH),
        frame("response.web_search_call.searching", output_index=0, delta={"a": 1}, logprobs=7, item=[1]),
        frame("response.output_item.done", output_index=0, item=SEARCH),
        frame("codex.rate_limits", response=7),
        delta("Hi.", 1),
        completed(SEARCH, TEXT),
    )
    assert told == [Started("resp_1", "gpt", 7), TextDelta("Hi."), *ENDED]


def test_a_refusal_is_words_with_a_finish_of_its_own() -> None:
    told = events(
        CREATED, frame("response.refusal.delta", output_index=0, content_index=0, delta="No."), completed(REFUSAL)
    )
    assert told[1:] == [TextDelta("No."), Used(Usage(input=9, output=4)), Finished(Finish.REFUSED)]


BROKEN: list[tuple[bytes, Kind]] = [
    (
        frame("response.failed", response=response(status="failed", error={"code": "server_error", "message": "x"})),
        Kind.UPSTREAM_ERROR,
    ),
    (frame("response.failed", response=response(status="failed", error=None)), Kind.UPSTREAM_ERROR),
    (frame("error", code="rate_limit_exceeded", message="x", param=None), Kind.RATE_LIMITED),
    (frame("error", error={"code": "context_length_exceeded", "message": "x"}), Kind.CONTEXT_TOO_LONG),
    (frame("response.cancelled", response=response(status="cancelled")), Kind.CUT),
]


@pytest.mark.parametrize(("last", "kind"), BROKEN, ids=str)
def test_a_stream_that_says_it_failed_is_a_fault_and_what_comes_behind_is_not_heard(last: bytes, kind: Kind) -> None:
    told = events(CREATED, delta("Hi."), last, delta(" more"), completed(TEXT))
    assert only_fault(told).kind is kind
    # What a response that failed has used is paid for.
    used = [Used(Usage(input=9, output=4))] if b'"usage"' in last and b"cancelled" not in last else []
    assert told[:-1] == [Started("resp_1", "gpt", 7), TextDelta("Hi."), *used]


@pytest.mark.parametrize("last", [b"", frame("response.output_text.done", output_index=0, text="Hi.")])
def test_a_stream_without_its_end_was_cut(last: bytes) -> None:
    assert only_fault(events(CREATED, delta("Hi."), last)).kind is Kind.CUT


def test_an_incomplete_end_is_an_end() -> None:
    end = frame(
        "response.incomplete",
        response=response(TEXT, status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
    )
    assert events(CREATED, delta("Hi."), end)[-1] == Finished(Finish.LENGTH)


def test_what_came_instead_of_a_stream_is_named() -> None:
    assert only_fault(events(b'{"error":{"code":"rate_limit_exceeded","message":"x"}}')).kind is Kind.RATE_LIMITED
    assert "a whole JSON body" in only_fault(events(json.dumps(response(TEXT)).encode())).message
    assert only_fault(events(CREATED, b"data: {\n\n")).kind is Kind.CUT
    assert [type(event) for event in events(CREATED, b"data: {\n\n", delta("Hi."), completed(TEXT))] == [
        Started,
        Skipped,
        TextDelta,
        Used,
        Finished,
    ]


# --- streams, written --------------------------------------------------------------------------------------


def told(*given: Event, request: ChatRequest | None = None) -> list[dict[str, Any]]:
    """What the writer says, each event checked to be named as it names itself, and numbered one after the other."""
    writer = SPEAKS.writer(Op.CHAT, Stamp(STAMP.id, STAMP.model, STAMP.now_s, request), usage=True)
    return unframed(write_events(writer, given))


def unframed(stream: bytes, first: int = 0) -> list[dict[str, Any]]:
    found = []
    for number, text in enumerate(stream.decode().split("\n\n")[:-1], first):
        name, _, data = text.partition("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        found.append(event)
    return found


def test_thoughts_words_and_calls_are_items_one_after_the_other() -> None:
    said = told(
        Started("x", "m"),
        ThinkingDelta("Hm"),
        ThinkingDelta(signature="c2ln"),
        ThinkingDelta(redacted="c2Vj"),
        TextDelta("Hi"),
        ToolBegan(0, "c1", "f"),
        ToolBegan(1, "c2", "patch"),
        # Some providers fill two calls in turns.
        ToolDelta(0, "{"),
        ToolDelta(1, '{"input":'),
        ToolDelta(0, "}"),
        ToolDelta(1, '"x"}'),
        Used(Usage(input=9, output=4)),
        Finished(Finish.TOOLS),
        request=FREE,
    )
    assert [(event["type"].removeprefix("response."), event.get("output_index")) for event in said] == [
        ("created", None),
        ("in_progress", None),
        ("output_item.added", 0),
        ("reasoning_summary_part.added", 0),
        ("reasoning_summary_text.delta", 0),
        ("reasoning_summary_text.done", 0),
        ("reasoning_summary_part.done", 0),
        ("output_item.done", 0),
        ("output_item.added", 1),
        ("output_item.done", 1),
        ("output_item.added", 2),
        ("content_part.added", 2),
        ("output_text.delta", 2),
        ("output_text.done", 2),
        ("content_part.done", 2),
        ("output_item.done", 2),
        ("output_item.added", 3),
        ("output_item.added", 4),
        ("function_call_arguments.delta", 3),
        ("function_call_arguments.delta", 3),
        ("function_call_arguments.done", 3),
        ("output_item.done", 3),
        ("custom_tool_call_input.delta", 4),
        ("custom_tool_call_input.done", 4),
        ("output_item.done", 4),
        ("completed", None),
    ]
    done = [event["item"] for event in said if event["type"] == "response.output_item.done"]
    last = said[-1]["response"]
    assert done == last["output"]
    assert [item.get("encrypted_content") for item in done[:2]] == ["laneway.signed:c2ln", "laneway.hidden:c2Vj"]
    assert (done[3]["arguments"], done[4]["input"]) == ("{}", "x")
    assert (last["status"], last["usage"]["total_tokens"], last["temperature"]) == ("completed", 13, 0.5)
    assert said[0]["response"]["status"] == "in_progress"
    assert said[0]["response"]["output"] == []
    added = [event["item"] for event in said if event["type"] == "response.output_item.added"]
    assert [item["id"] for item in added] == [item["id"] for item in done]
    assert all(item.get("status", "in_progress") == "in_progress" for item in added)


def test_what_is_not_whole_ends_as_incomplete() -> None:
    said = told(TextDelta("Hi"), Finished(Finish.LENGTH))
    assert said[-1]["type"] == "response.incomplete"
    assert said[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert said[-1]["response"]["output"][0]["status"] == "incomplete"
    assert said[-1]["response"]["usage"] is None
    called = told(TextDelta("Hi"), ToolBegan(0, "c", "f"), ToolDelta(0, "{"), Finished(Finish.LENGTH))
    assert [item["status"] for item in called[-1]["response"]["output"]] == ["completed", "incomplete"]


def test_a_fault_is_told_to_those_who_end_at_an_error_and_to_those_who_end_at_a_response() -> None:
    failure = Failure(kind=Kind.OVERLOADED, message="Busy.", detail="secret")
    *_, error, failed = told(Started("x", "m"), TextDelta("Hi"), Faulted(failure))
    assert (error["type"], error["message"], error["param"]) == ("error", "Busy.", None)
    assert error["error"] == {"message": "Busy.", "type": "server_error", "param": None, "code": error["code"]}
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == {"code": "server_error", "message": "Busy."}
    assert failed["response"]["output"][0]["status"] == "incomplete"
    assert failed["response"]["output"][0]["content"][0]["text"] == "Hi"
    *_, failed = told(TextDelta("Hi"), Faulted(Failure(kind=Kind.CONTEXT_TOO_LONG, message="Long.")))
    assert failed["response"]["error"]["code"] == "context_length_exceeded"


# --- going on where bytes passed as they came --------------------------------------------------------------


def followed(*frames: bytes) -> tuple[bool, Any]:
    reader = SPEAKS.reader(Op.CHAT)
    for each in frames:
        reader.feed(each)
    writer = SPEAKS.writer(Op.CHAT, STAMP, usage=True)
    return writer.follow(reader), writer


ADDED = frame("response.output_item.added", sequence_number=5, output_index=0, item={**TEXT, "content": []})
HALF = frame("response.output_text.delta", sequence_number=6, output_index=0, content_index=0, delta="One ")


def test_who_follows_goes_on_in_the_same_item_with_the_next_number() -> None:
    able, writer = followed(CREATED, ADDED, HALF)
    assert able
    rest = b"".join(
        writer.write(event) for event in (Started("y", "other"), TextDelta("two."), Used(Usage(input=1, output=2)))
    )
    rest += writer.write(Finished(Finish.STOP)) + writer.end()
    said = unframed(rest, first=7)
    assert [event["type"].removeprefix("response.") for event in said] == [
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert {event["item_id"] for event in said[:3]} == {"msg_1"}
    assert said[1]["text"] == "One two."
    last = said[-1]["response"]
    assert (last["id"], last["created_at"], last["model"], last["status"]) == ("resp_1", 7, "other", "completed")
    assert (last["output"], last["usage"]["output_tokens"]) == ([said[3]["item"]], 2)


def test_a_thought_behind_words_is_another_item() -> None:
    able, writer = followed(CREATED, ADDED, HALF)
    assert able
    added = unframed(writer.write(ThinkingDelta("Hm.")), first=7)[3]
    assert (added["type"], added["output_index"], added["item"]["type"]) == (
        "response.output_item.added",
        1,
        "reasoning",
    )


def test_a_fault_behind_bytes_that_passed_bears_the_next_number() -> None:
    _, writer = followed(CREATED, ADDED, HALF)
    error, failed = unframed(writer.fault(Failure(kind=Kind.CUT, message="It ended.")), first=7)
    assert (error["type"], failed["response"]["id"]) == ("error", "resp_1")
    assert failed["response"]["output"][0]["content"][0]["text"] == "One "


@pytest.mark.parametrize(
    "frames",
    [
        (frame("response.output_item.added", output_index=0, item=SEARCH),),
        (frame("response.refusal.delta", output_index=0, content_index=0, delta="No"),),
        (ADDED, HALF, frame("response.content_part.added", output_index=0, content_index=1, part={})),
        (frame("response.reasoning_text.delta", output_index=0, content_index=0, delta="Hm"),),
    ],
    ids=["a provider's own tool", "a refusal", "a second part", "thoughts themselves"],
)
def test_from_some_things_nobody_else_goes_on(frames: tuple[bytes, ...]) -> None:
    assert not followed(CREATED, *frames)[0]


def test_a_stream_that_runs_out_of_money_inside_a_call_ends_with_what_there_is() -> None:
    _, writer = followed(
        CREATED,
        frame("response.output_item.added", sequence_number=4, output_index=0, item={**FREE_CALL, "input": ""}),
        frame("response.custom_tool_call_input.delta", sequence_number=5, output_index=0, delta='a "b'),
    )
    said = unframed(writer.write(Finished(Finish.LENGTH)) + writer.end(), first=6)
    assert said[-1]["type"] == "response.incomplete"
    assert said[-1]["response"]["output"][0]["input"] == 'a "b'


def test_the_clients_types_find_everything_that_they_require() -> None:
    """The client itself takes nearly anything; programs made from the same description of the API do not."""
    likely = TokenLogprob("Hi", -1.0, None, (TokenLogprob("Ho", -2.0),))
    given: list[Event] = [
        Started("x", "m"),
        ThinkingDelta("Hm"),
        ThinkingDelta(signature="c2ln"),
        TextDelta("Hi", (likely,)),
        ToolBegan(0, "c1", "f"),
        ToolDelta(0, "{}"),
        ToolBegan(1, "c2", "patch"),
        ToolDelta(1, '{"input":"x"}'),
        Used(Usage(input=9, output=4)),
    ]
    broken = told(*given, Faulted(Failure(kind=Kind.CUT, message="It ended.")), request=FREE)
    for event in (*told(*given, Finished(Finish.TOOLS), request=FREE), *broken):
        TypeAdapter(ResponseStreamEvent).validate_python(event)
    Response.model_validate(written(WHOLE, FREE))
