"""What every dialect owes to the rooms that use it, whatever it looks like on the wire.

Each test runs over `dialects.NAMES`. Where a dialect lacks an operation (embeddings in Anthropic's format, say) it has
to say so in the way the protocol asks for, which is tested too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.chat import (
    Answer,
    Card,
    ChatRequest,
    Embedding,
    EmbedRequest,
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
    Tool,
    ToolBegan,
    ToolCall,
    ToolDelta,
    ToolResult,
    Usage,
    Used,
)
from laneway.dialects import FRONTS, NAMES, Dialect, Stamp, StreamReader, View, asked_of, dialect
from laneway.failure import RULES, Failure, FailureError, Kind
from tests.harness.failures import failure_of
from tests.harness.streams import read_events, write_events

STAMP = Stamp(id="req-1", model="lane-model", now_s=1_700_000_000, elapsed_ns=5)
MODEL = "vendor/model-1:7b"
SECRET = "sk_live_4f9c2d7e8b1a3c5d6e7f8a9b0c1d2e3f"

HELLO = ChatRequest(
    model="asked",
    system=(Text("Be brief."),),
    messages=(
        Message(Role.USER, (Text("What is the weather in Bern?"),)),
        Message(Role.ASSISTANT, (ToolCall("call_1", "weather", '{"city":"Bern"}'),)),
        Message(Role.USER, (ToolResult("call_1", (Text("rain"),), name="weather"),)),
    ),
    tools=(Tool("weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}}),),
    max_tokens=50,
    temperature=0.5,
    stop=("END",),
)
SILENT = {"responses": ("stop",)}
"""What of it a dialect has no word for."""
LISTS = {"responses": "input"}
"""What a dialect calls the list of turns, where it is not `messages`."""


def hello(*names: str) -> ChatRequest:
    """The conversation, as far as all of these can say it."""
    unsaid = {field: () for name in names for field in SILENT.get(name, ())}
    return msgspec.structs.replace(HELLO, **unsaid) if unsaid else HELLO


def body_of(speaks: Dialect) -> Any:
    return json.loads(speaks.write_request(hello(speaks.name), MODEL).body)


ANSWER = Answer(
    model="m",
    parts=(Text("Rain – “wet”\u2028."), ToolCall("call_2", "weather", '{"city":"Genf"}')),
    finish=Finish.TOOLS,
    usage=Usage(input=9, output=4),
)
STREAM: tuple[Event, ...] = (
    Started("x-1", "m"),
    TextDelta("Rain – "),
    TextDelta("“wet”\u2028."),
    ToolBegan(0, "call_2", "weather"),
    ToolDelta(0, '{"city":'),
    ToolDelta(0, '"Genf"}'),
    Used(Usage(input=9, output=4)),
    Finished(Finish.TOOLS),
)


FIGURES = {"responses": Usage(input=9, output=4, cache_read=0, cache_write_5m=0, reasoning=0)}
"""How the same usage reads in a dialect that always names all of its parts."""
PAIRS = list(product(NAMES, NAMES))
CALLERS = sorted({front.dialect for front in FRONTS.values()})
"""The dialects that callers speak; the others are provider formats, which nobody is answered in."""


@pytest.fixture(params=NAMES)
def speaks(request: pytest.FixtureRequest) -> Dialect:
    return dialect(request.param)


def attempt(call: Callable[..., object], *arguments: object) -> Failure | None:
    """The failure of a call that may well succeed."""
    try:
        call(*arguments)
    except FailureError as error:
        return error.failure
    return None


class Told(NamedTuple):
    """What a stream's events amount to, whatever pieces they came in."""

    text: str
    calls: dict[int, tuple[str, str]]
    usage: Usage
    finish: Finish | None
    fault: Failure | None


def tell(events: list[Event]) -> Told:
    text, calls, usage = "", dict[int, tuple[str, str]](), Usage()
    finish: Finish | None = None
    fault: Failure | None = None
    for event in events:
        # A fault ends a stream, and so nothing but usage follows a finish.
        assert fault is None
        if isinstance(event, TextDelta):
            assert finish is None
            text += event.text
        elif isinstance(event, ToolBegan):
            assert event.index == len(calls)
            calls[event.index] = (event.name, "")
        elif isinstance(event, ToolDelta):
            calls[event.index] = (calls[event.index][0], calls[event.index][1] + event.arguments)
        elif isinstance(event, Used):
            usage = usage.merged(event.usage)
        elif isinstance(event, Finished):
            assert finish is None
            finish = event.finish
        elif isinstance(event, Faulted):
            fault = event.failure
    return Told(text, calls, usage, finish, fault)


def read_stream(reader: StreamReader, *pieces: bytes) -> list[Event]:
    return read_events(reader, pieces)


def write_stream(speaks: Dialect, *events: Event, op: Op = Op.CHAT) -> bytes:
    return write_events(speaks.writer(op, STAMP, usage=True), events)


# --- who it is ---------------------------------------------------------------------------------------------


def test_it_goes_by_its_name(speaks: Dialect) -> None:
    assert speaks.name in NAMES
    assert dialect(speaks.name) is speaks
    assert b"/" in speaks.stream_type


def test_every_front_is_served_by_a_dialect_that_has_the_operation() -> None:
    for front in FRONTS.values():
        assert front.dialect in NAMES
        assert dialect(front.dialect).path(front.op, MODEL, stream=False) != ""


def test_a_chat_goes_somewhere(speaks: Dialect) -> None:
    for stream in (False, True):
        path = speaks.path(Op.CHAT, MODEL, stream=stream)
        assert path.startswith("/")
        assert " " not in path
    assert all(not path or path.startswith("/") for path in (speaks.path(op, MODEL, stream=False) for op in Op))


def test_a_key_travels_in_headers(speaks: Dialect) -> None:
    headers = speaks.credentials(SECRET)
    assert any(SECRET.encode() in value for _, value in headers)
    assert all(name == name.lower() for name, _ in headers)


# --- requests ----------------------------------------------------------------------------------------------


def test_its_own_view_takes_what_it_writes(speaks: Dialect) -> None:
    written = speaks.write_request(hello(speaks.name), MODEL)
    view = speaks.view(Op.CHAT, written.body)
    assert view.op is Op.CHAT
    assert view.model == MODEL or quote(MODEL, safe="") in written.path
    assert (view.max_tokens, view.tools, view.images) == (50, 1, 0)
    assert view.turns >= 3
    assert "tools" in view.needs
    assert view.text_chars >= len("What is the weather in Bern?") + len("rain") + len("Be brief.")


def test_a_stream_is_asked_for(speaks: Dialect) -> None:
    request = ChatRequest(model="m", messages=HELLO.messages[:1], stream=True)
    written = speaks.write_request(request, MODEL)
    assert speaks.view(Op.CHAT, written.body).stream or written.path.endswith("-stream")


def test_a_field_nobody_knows_is_refused_by_name_in_translation(speaks: Dialect) -> None:
    failure = failure_of(
        speaks.write_request, ChatRequest(model="m", messages=HELLO.messages[:1], unknown=("magic", "x")), MODEL
    )
    assert (failure.kind, failure.field) == (Kind.UNSUPPORTED, "magic")
    assert "magic" in failure.message


def test_several_choices_are_refused_in_translation(speaks: Dialect) -> None:
    request = ChatRequest(model="m", messages=HELLO.messages[:1], choices=2)
    failure = failure_of(speaks.write_request, request, MODEL)
    assert failure.kind is Kind.UNSUPPORTED
    assert failure.field


def test_an_unknown_field_of_a_caller_is_listed_and_not_lost(speaks: Dialect) -> None:
    body = body_of(speaks) | {"magic": {"a": 1}}
    assert "magic" in speaks.read_request(Op.CHAT, json.dumps(body).encode()).unknown


BROKEN = (
    b"",
    b" ",
    b"{",
    b"nul",
    b"[]",
    b"7",
    b'"words"',
    b"{}",
    b"\xff\xfe",
    b'{"model":"m","messages":"hi"}',
    b'{"model":"m","messages":[7]}',
    b'{"model":"m","messages":[{"role":7,"content":[]}]}',
    b'{"model":"m","messages":[{"role":"user","content":{"a":1}}]}',
    b'{"model":"\xff","messages":[{"role":"user","content":[{"text":"\xff"}]}]}',
    b'{"model":"m","messages":[{"role":"user","content":[{"text":"\xc3("}]}]}',
    b'{"messages":[{"role":"user","content":' + b"[" * 100_000,
    b'{"x":' * 100_000,
)


@pytest.mark.parametrize("body", BROKEN, ids=lambda body: repr(body[:60]))
def test_a_broken_body_is_the_callers_mistake(speaks: Dialect, body: bytes) -> None:
    failure = failure_of(speaks.view, Op.CHAT, body)
    assert failure.kind is Kind.MALFORMED_REQUEST
    assert failure.status == 400
    assert len(failure.message) < 300
    for word in ("msgspec", "Traceback", "$."):
        assert word not in failure.message


def test_a_wrong_type_is_named_by_its_place(speaks: Dialect) -> None:
    body, turns = body_of(speaks), LISTS.get(speaks.name, "messages")
    body[turns][1]["role"] = 7
    failure = failure_of(speaks.view, Op.CHAT, json.dumps(body).encode())
    assert failure.field == f"{turns}[1].role"
    assert failure.message == f"Wrong type: expected text, got a number at {turns}[1].role."


def test_every_dialect_says_the_same_of_the_same_mistake(speaks: Dialect) -> None:
    body, turns = body_of(speaks), LISTS.get(speaks.name, "messages")
    # Where there is a list of turns, the Responses format takes plain text, too.
    wanted, wrong = ("text or a list", []) if turns == "input" else ("a list", [("hi", "text")])
    for value, got in (*wrong, (3, "a number"), ({"a": 1}, "an object"), (True, "true or false")):
        failure = failure_of(speaks.view, Op.CHAT, json.dumps(body | {turns: value}).encode())
        assert failure.message == f"Wrong type: expected {wanted}, got {got} at {turns}."
    del body[turns][0]["role"]
    failure = failure_of(speaks.view, Op.CHAT, json.dumps(body).encode())
    assert (failure.field, failure.message) == (f"{turns}[0].role", f"Missing `{turns}[0].role`.")
    assert failure_of(speaks.view, Op.CHAT, b"").message == "The body is empty; send a JSON object."
    assert failure_of(speaks.view, Op.CHAT, b"[]").message == "Wrong type: expected an object, got a list as the body."
    assert failure_of(speaks.view, Op.CHAT, b"{").message == "The body is not valid JSON: it ends too early, at byte 1."
    deep = b'{"x":' * 100_000
    assert failure_of(speaks.view, Op.CHAT, deep).message == "The body is not valid JSON: it is nested too deeply."


@given(
    body=st.binary(max_size=40)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(("model", "messages", "role", "content", "input", "prompt", "stream", "x")), inner
            )
        ),
        max_leaves=12,
    ).map(lambda tree: json.dumps(tree).encode())
)
def test_whatever_a_caller_sends_gets_a_view_or_a_refusal(body: bytes) -> None:
    for name, op in product(NAMES, Op):
        speaks = dialect(name)
        if not speaks.path(op, MODEL, stream=False):
            continue
        for read in (speaks.view, speaks.read_embed_request if op is Op.EMBED else speaks.read_request):
            failure = attempt(read, op, body)
            assert failure is None or failure.kind in (Kind.MALFORMED_REQUEST, Kind.UNSUPPORTED)


def test_a_patch_changes_the_model_and_keeps_every_other_byte(speaks: Dialect) -> None:
    odd = b'{"n":1.50e+2,"text":"\\u00e9 \xc3\xa9", "list":[ 1 ]}'
    body = speaks.write_request(hello(speaks.name), MODEL).body
    body = body[:-1] + b',"magic":' + odd + b"}"
    patched = speaks.patch(Op.CHAT, body, "other", ask_usage=False)
    assert odd in patched
    before, after = json.loads(body), json.loads(patched)
    assert after.pop("model", "other") == "other"
    before.pop("model", None)
    assert after == before
    assert list(after) == list(before)


def test_a_patch_with_nothing_to_do_does_nothing(speaks: Dialect) -> None:
    body = b' {"model" : "m", "messages":[]} '
    assert speaks.patch(Op.CHAT, body, None, ask_usage=False) == body


# --- answers -----------------------------------------------------------------------------------------------


def test_an_answer_it_writes_is_one_it_reads(speaks: Dialect) -> None:
    written = speaks.write_answer(Op.CHAT, ANSWER, STAMP)
    assert written.status == 200
    assert b"json" in written.content_type
    read = speaks.read_answer(Op.CHAT, written.body)
    usage = FIGURES.get(speaks.name, ANSWER.usage)
    assert (read.parts, read.finish, read.usage) == (ANSWER.parts, ANSWER.finish, usage)


@pytest.mark.parametrize(("caller", "finish"), list(product(CALLERS, Finish)))
def test_no_finish_is_made_a_better_one(caller: str, finish: Finish) -> None:
    """A truncated, filtered or refused answer never reads as one that ended by itself; whole and streamed alike."""
    speaks = dialect(caller)
    called = finish is Finish.TOOLS
    parts = (Text("a"), ToolCall("c", "f", "{}")) if called else (Text("a"),)
    events = (
        (TextDelta("a"), ToolBegan(0, "c", "f"), Finished(finish)) if called else (TextDelta("a"), Finished(finish))
    )
    read = speaks.read_answer(
        Op.CHAT, speaks.write_answer(Op.CHAT, Answer(model="m", parts=parts, finish=finish), STAMP).body
    )
    told = tell(read_stream(speaks.reader(Op.CHAT), write_stream(speaks, *events)))
    whole = {Finish.STOP, Finish.STOP_SEQUENCE}
    assert told.finish is not None
    assert (read.finish in whole) == (told.finish in whole) == (finish in whole)
    if finish in (Finish.LENGTH, Finish.TOOLS):
        assert read.finish is told.finish is finish


def test_a_glance_sees_usage_and_finish(speaks: Dialect) -> None:
    answer = Answer(model="m", parts=(Text("a"),), finish=Finish.LENGTH, usage=Usage(input=9, output=4))
    glance = speaks.glance(Op.CHAT, speaks.write_answer(Op.CHAT, answer, STAMP).body)
    assert (glance.failure, glance.finish) == (None, Finish.LENGTH)
    assert (glance.usage.input, glance.usage.output) == (9, 4)


@pytest.mark.parametrize(
    "body", [b"", b"<html><title>502</title></html>", b"[]", b"{}", b'{"x":1}', b"\xff", b"null", b'{"a":' * 100_000]
)
def test_a_success_without_an_answer_is_the_providers_failure(speaks: Dialect, body: bytes) -> None:
    glance = speaks.glance(Op.CHAT, body)
    assert glance.failure is not None
    kinds = {glance.failure.kind, failure_of(speaks.read_answer, Op.CHAT, body).kind}
    assert kinds <= {Kind.MALFORMED_ANSWER, Kind.CUT}


@given(body=st.binary(max_size=60))
def test_no_body_of_a_provider_raises_anything_else(body: bytes) -> None:
    for speaks in map(dialect, NAMES):
        assert speaks.glance(Op.CHAT, body).failure is not None
        failure_of(speaks.read_answer, Op.CHAT, body)
        failure_of(speaks.read_embedding, body)
        assert speaks.read_failure(500, (), body).kind is Kind.UPSTREAM_ERROR


# --- streams -----------------------------------------------------------------------------------------------


def test_a_stream_it_writes_is_one_it_reads_wherever_it_is_cut(speaks: Dialect) -> None:
    stream = write_stream(speaks, *STREAM)
    usage = FIGURES.get(speaks.name, Usage(input=9, output=4))
    expected = Told("Rain – “wet”\u2028.", {0: ("weather", '{"city":"Genf"}')}, usage, Finish.TOOLS, None)
    whole = read_stream(speaks.reader(Op.CHAT), stream)
    assert tell(whole) == expected
    for cut in range(len(stream)):
        assert read_stream(speaks.reader(Op.CHAT), stream[:cut], stream[cut:]) == whole


def test_every_byte_of_a_stream_is_handed_on(speaks: Dialect) -> None:
    stream = write_stream(speaks, *STREAM)
    reader = speaks.reader(Op.CHAT)
    pieces = [stream[at : at + 7] for at in range(0, len(stream), 7)]
    frames = [frame for piece in pieces for frame in reader.feed(piece)] + reader.end()
    assert b"".join(frame.raw for frame in frames) == stream


def test_a_stream_that_only_ends_was_cut(speaks: Dialect) -> None:
    """At every byte: either the finish was seen, or the end is a fault. Never neither, never both."""
    stream = write_stream(speaks, *STREAM)
    for size in range(len(stream)):
        told = tell(read_stream(speaks.reader(Op.CHAT), stream[:size]))
        if told.fault is not None:
            assert told.fault.kind in (Kind.CUT, Kind.MALFORMED_ANSWER)
        else:
            assert told.finish is Finish.TOOLS
            assert told.calls == {0: ("weather", '{"city":"Genf"}')}


@pytest.mark.parametrize("body", [b"", b"<html>\n\n<p>502</p>\n\n</html>", b"\n", b"\r\n\r\n"])
def test_what_is_no_stream_ends_in_a_fault(speaks: Dialect, body: bytes) -> None:
    events = read_stream(speaks.reader(Op.CHAT), body)
    assert isinstance(events[-1], Faulted)
    assert events[-1].failure.kind in (Kind.MALFORMED_ANSWER, Kind.CUT)
    assert all(isinstance(event, Skipped) for event in events[:-1])


@given(
    pieces=st.lists(st.binary(max_size=30) | st.sampled_from((b"data: {}\n\n", b"{}\n", b"[DONE]", b'{"error":1}\n')))
)
def test_no_bytes_make_a_reader_raise(pieces: list[bytes]) -> None:
    for speaks in map(dialect, NAMES):
        told = tell(read_stream(speaks.reader(Op.CHAT), *pieces))
        assert told.fault is not None or told.finish is not None


@pytest.mark.parametrize("begun", [(), STREAM[:2], STREAM[:5]])
def test_a_fault_is_the_last_word_of_a_stream(speaks: Dialect, begun: tuple[Event, ...]) -> None:
    """It reads as a fault, and nothing behind it reads as a finish."""
    failure = Failure(kind=Kind.OVERLOADED, message="The provider is overloaded.", detail=SECRET)
    writer = speaks.writer(Op.CHAT, STAMP, usage=True)
    stream = b"".join(writer.write(event) for event in begun) + writer.fault(failure)
    assert writer.end() == b""
    told = tell(read_stream(speaks.reader(Op.CHAT), stream))
    assert told.fault is not None
    assert told.fault.kind is not Kind.MALFORMED_ANSWER
    assert told.finish is None
    assert b"The provider is overloaded." in stream
    assert SECRET.encode() not in stream


def test_a_faulted_event_is_written_like_a_fault(speaks: Dialect) -> None:
    failure = Failure(kind=Kind.CUT, message="It ended.")
    one, other = (speaks.writer(Op.CHAT, STAMP, usage=True) for _ in range(2))
    assert one.write(Faulted(failure)) == other.fault(failure) != b""


def test_an_unfinished_answer_is_never_ended_as_a_whole_one(speaks: Dialect) -> None:
    stream = write_stream(speaks, *STREAM[:3])
    told = tell(read_stream(speaks.reader(Op.CHAT), stream))
    assert told.fault is not None
    assert told.finish is None


def test_usage_behind_the_finish_is_not_lost(speaks: Dialect) -> None:
    """Where OpenAI's servers tell it."""
    stream = write_stream(speaks, TextDelta("a"), Finished(Finish.STOP), Used(Usage(input=9, output=4)))
    told = tell(read_stream(speaks.reader(Op.CHAT), stream))
    assert (told.usage.input, told.usage.output, told.finish) == (9, 4, Finish.STOP)


def test_skipped_chunks_are_not_written(speaks: Dialect) -> None:
    assert speaks.writer(Op.CHAT, STAMP, usage=True).write(Skipped(5)) == b""


def test_what_a_choice_looks_at_is_what_the_request_says(speaks: Dialect) -> None:
    """The quick look at a body tells the same as the whole reading."""
    body = speaks.write_request(hello(speaks.name), "asked").body
    asked = speaks.asked(Op.CHAT, body)
    assert asked == asked_of(speaks.read_request(Op.CHAT, body))
    assert asked.text
    assert asked.tools == tuple(tool.name for tool in HELLO.tools)
    turns = (
        Message(Role.USER, (Text("Hello."), Text("Who are you?"))),
        Message(Role.ASSISTANT, (Text("Nobody."),)),
        Message(Role.USER, (Text("And now?"),)),
    )
    asked = speaks.asked(Op.CHAT, speaks.write_request(ChatRequest(model="m", messages=turns, max_tokens=9), "m").body)
    assert (asked.opening, asked.text) == ("Hello.\nWho are you?", "And now?")
    assert (asked.system, asked.tools, asked.structured, asked.tag) == ("", (), False, "")


# --- from one dialect to another ---------------------------------------------------------------------------


@pytest.mark.parametrize(("caller", "provider"), PAIRS)
def test_a_conversation_survives_every_translation(caller: str, provider: str) -> None:
    said = hello(caller, provider)
    body = dialect(caller).write_request(said, "asked").body
    request = dialect(caller).read_request(Op.CHAT, body)
    assert request.unknown == ()
    out = dialect(provider).write_request(request, MODEL)
    read = dialect(provider).read_request(Op.CHAT, out.body)
    assert read.unknown == ()
    assert read.system == HELLO.system
    assert [message.role for message in read.messages] == [message.role for message in HELLO.messages]
    assert read.messages[:2] == HELLO.messages[:2]
    result = read.messages[2].parts[0]
    assert isinstance(result, ToolResult)
    assert (result.call_id, result.parts, result.is_error) == ("call_1", (Text("rain"),), False)
    for field in ("tools", "max_tokens", "temperature", "stop"):
        assert getattr(read, field) == getattr(said, field)


@pytest.mark.parametrize(("caller", "provider"), PAIRS)
def test_an_answer_survives_every_translation(caller: str, provider: str) -> None:
    received = dialect(provider).read_answer(Op.CHAT, dialect(provider).write_answer(Op.CHAT, ANSWER, STAMP).body)
    read = dialect(caller).read_answer(Op.CHAT, dialect(caller).write_answer(Op.CHAT, received, STAMP).body)
    assert (read.parts, read.finish) == (ANSWER.parts, ANSWER.finish)
    assert (read.usage.input, read.usage.output) == (9, 4)


@pytest.mark.parametrize(("caller", "provider"), PAIRS)
def test_a_stream_survives_every_translation(caller: str, provider: str) -> None:
    received = read_stream(dialect(provider).reader(Op.CHAT), write_stream(dialect(provider), *STREAM))
    told = tell(read_stream(dialect(caller).reader(Op.CHAT), write_stream(dialect(caller), *received)))
    assert (told.text, told.calls, told.finish, told.fault) == (
        "Rain – “wet”\u2028.",
        {0: ("weather", '{"city":"Genf"}')},
        Finish.TOOLS,
        None,
    )
    assert (told.usage.input, told.usage.output) == (9, 4)


# --- failures ----------------------------------------------------------------------------------------------


# What an API itself calls a status that HTTP has no number for.
OWN_STATUS = {("anthropic", 503): 529}


@pytest.mark.parametrize(("name", "kind"), list(product(NAMES, Kind)))
def test_a_failure_reaches_the_caller_without_what_is_for_the_record(name: str, kind: Kind) -> None:
    failure = Failure(kind=kind, message="What was wrong.", field="messages[0]", retry_after_s=1.2, detail=SECRET)
    written = dialect(name).write_failure(failure, "req-1")
    if name in CALLERS:
        status = RULES[kind].status
        assert written.status in (status, OWN_STATUS.get((name, status)))
    assert written.status >= 400
    assert b"What was wrong." in written.body
    json.loads(written.body)
    everything = written.body + b"".join(name + value for name, value in written.headers)
    assert SECRET.encode() not in everything
    assert all(b"\n" not in value and name == name.lower() for name, value in written.headers)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Kind.BAD_REQUEST),
        (401, Kind.CREDENTIALS),
        (403, Kind.CREDENTIALS),
        (404, Kind.MODEL_MISSING),
        (429, Kind.RATE_LIMITED),
        (500, Kind.UPSTREAM_ERROR),
        (502, Kind.UPSTREAM_ERROR),
        (503, Kind.OVERLOADED),
    ],
)
def test_a_status_alone_has_a_meaning(speaks: Dialect, status: int, kind: Kind) -> None:
    for body in (b"", b"<html>proxy</html>", b"{}", b"[]", b"\xff"):
        failure = speaks.read_failure(status, ((b"server", b"nginx"),), body)
        assert (failure.kind, failure.provider_status) == (kind, status)
        assert failure.message


def test_a_provider_that_asks_to_wait_is_heard(speaks: Dialect) -> None:
    assert speaks.read_failure(429, ((b"retry-after", b"7"),), b"").retry_after_s == 7
    assert speaks.read_failure(429, ((b"retry-after", b"Wed, 21 Oct 2026 07:28:00 GMT"),), b"").retry_after_s is None


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_providers_own_words_stay_in_the_record(speaks: Dialect, status: int) -> None:
    words = f"account acme-internal with {SECRET} is gone"
    bodies = [{"error": {"type": "error", "message": words}}, {"error": words}, {"message": words}]
    for body in bodies:
        failure = speaks.read_failure(status, (), json.dumps(body).encode())
        assert "acme-internal" not in failure.message
        assert SECRET not in failure.message + (failure.detail or "")


KEYS = ("sk-live-abcdefgh", "AKIAIOSFODNN7EXAMPLE", "Bearer abc.def-123", "gsk_abc12345", "arn:aws:iam::123456789012:u")


@pytest.mark.parametrize("key", KEYS)
def test_no_dialect_shows_or_records_a_key(speaks: Dialect, key: str) -> None:
    for body in ({"error": {"message": f"bad field near {key} here"}}, {"message": f"bad field near {key} here"}):
        failure = speaks.read_failure(400, (), json.dumps(body).encode())
        assert failure.kind is Kind.BAD_REQUEST
        assert key.removeprefix("Bearer ") not in failure.message + (failure.detail or "")
    told = speaks.read_failure(400, (), f"bad field near {key} here".encode())
    assert told.message == "The provider refused the request: bad field near [removed] here"


WORDS = ("the input length exceeds the context length", "prompt is too long", "m does not support tools")


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("status", [200, 301, 401, 403, 404, 429, 500, 502, 503, 529])
def test_words_are_shown_only_where_they_explain_a_refused_request(speaks: Dialect, status: int, words: str) -> None:
    """Some servers say with a 5xx that a prompt is too long; what else stands there is nobody's to read."""
    said = f"{words}, /srv/acme-internal"
    for body in (json.dumps({"error": {"message": said}}), json.dumps({"error": said}), said):
        failure = speaks.read_failure(status, (), body.encode())
        if "acme-internal" in failure.message:
            assert failure.status == 400
            assert 400 <= status < 500


@given(status=st.integers(300, 599), body=st.binary(max_size=60))
def test_no_failure_of_a_provider_is_too_odd_to_read(status: int, body: bytes) -> None:
    for speaks in map(dialect, NAMES):
        failure = speaks.read_failure(status, (), body)
        assert failure.provider_status == status
        assert failure.rule.status >= 400


def test_a_failure_in_place_of_an_answer_is_read_as_one(speaks: Dialect) -> None:
    """Some servers put their error into a 200."""
    body = speaks.write_failure(Failure(kind=Kind.OVERLOADED, message="busy"), "req-1").body
    glance = speaks.glance(Op.CHAT, body)
    assert glance.failure is not None
    failure_of(speaks.read_answer, Op.CHAT, body)


# --- vectors and lists -------------------------------------------------------------------------------------

EMBED_MODELS = {"converse": "amazon.titan-embed-text-v2:0"}


def test_embeddings_both_ways_or_a_plain_no(speaks: Dialect) -> None:
    model = EMBED_MODELS.get(speaks.name, MODEL)
    request = EmbedRequest(model=model, texts=("one",))
    if not speaks.path(Op.EMBED, model, stream=False):
        assert failure_of(speaks.write_embed_request, request, model).kind is Kind.UNSUPPORTED
        assert failure_of(speaks.view, Op.EMBED, b'{"model":"m","input":"x"}').kind is Kind.UNSUPPORTED
        return
    written = speaks.write_embed_request(request, model)
    assert written.path == speaks.path(Op.EMBED, model, stream=False)
    seen = speaks.view(Op.EMBED, written.body)
    assert isinstance(seen, View)
    assert seen.text_chars == 3
    assert speaks.read_embed_request(Op.EMBED, written.body).texts == ("one",)
    vectors = Embedding(model=model, vectors=((0.5, -2.0),), usage=Usage(input=3))
    answer = speaks.write_embedding(vectors, Stamp("r", model, 1, request)).body
    assert speaks.read_embedding(answer).vectors == vectors.vectors
    glance = speaks.glance(Op.EMBED, answer)
    assert glance.failure is None
    # Bedrock may tell it in a header.
    assert glance.usage.input in (3, None)


def test_a_model_list_it_writes_is_one_it_reads(speaks: Dialect) -> None:
    cards = [Card(id="vendor/a:7b", provider="p"), Card(id="b", window=8192, display="B", created_s=1_700_000_000)]
    written = speaks.write_models(cards)
    assert [card.id for card in speaks.read_models(written.body)] == ["vendor/a:7b", "b"]
    assert speaks.read_models(speaks.write_models([]).body) == []
    for body in (b"", b"<html>", b"[7]", b"7"):
        assert failure_of(speaks.read_models, body).kind is Kind.MALFORMED_ANSWER
