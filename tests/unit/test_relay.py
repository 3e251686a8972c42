"""A stream from a provider to a caller, seen message by message: holding, committed, ended, in every front.

Everything here goes through Forward, in front of a scripted provider that speaks the caller's format (bytes pass) or
another one (bytes are translated).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from laneway import relay
from laneway.chat import (
    Event,
    Faulted,
    Finish,
    Finished,
    Op,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolBegan,
    ToolDelta,
    Usage,
    Used,
)
from laneway.dialects import dialect
from laneway.exchange import SLOT, Exchange
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.route import Attempt, Clocks, Price, Target
from tests.fakes.replies import HANG, USED, Given, Scripted, Step, events, failure, frames, target, used
from tests.harness.asgi import ASKS, Caller, ask, turns
from tests.harness.clock import Clock
from tests.harness.loop import run
from tests.harness.streams import heard, words

# (the caller's format, the provider's): bytes pass where they are the same.
PAIRS = [
    (front, provider) for front in ASKS for provider in (front, "anthropic" if front != "anthropic" else "openai")
] + [("ollama", "openai"), ("openai", "converse")]
pairs = pytest.mark.parametrize(("front", "provider"), PAIRS)
fronts = pytest.mark.parametrize("front", ASKS)
TERMINATORS = (b"[DONE]", b"message_stop", b'"done":true', b'"finish_reason":"stop"', b"end_turn")
PRICE = Price(input=1_000_000, output=2_000_000)
CUT = failure(Kind.CUT)


def stream(
    front: str, steps: list[Step], *, provider: str | None = None, **fields: Any
) -> tuple[Caller, Scripted, Forward]:
    upstream = Scripted(Given(steps))
    goal: Target = target(provider or front, price=PRICE)
    return ask(front, "asked", stream=True, **fields), upstream, Forward(upstream, target=goal)


def attempt_of(caller: Caller) -> Attempt:
    exchange: Exchange = caller.scope[SLOT]
    (made,) = exchange.attempts
    return made


def tells_a_fault(front: str, body: bytes) -> bool:
    """Whether the bytes themselves end with an error: a caller must not have to guess it from a missing end."""
    last = [event for frame in dialect(front).reader(Op.CHAT).feed(body) for event in frame.events][-1]
    return isinstance(last, Faulted)


# --- holding -----------------------------------------------------------------------------------------------


@pairs
def test_nothing_reaches_the_caller_before_the_first_content(front: str, provider: str) -> None:
    early = frames(provider, events("x"))[0] if provider != "ollama" else b""
    comment = b": keep-alive\n\n" if provider in ("openai", "responses", "anthropic") else b""
    steps: list[Step] = [piece for piece in (comment, _started(provider), early[:5]) if piece]
    caller, upstream, app = stream(front, [*steps, HANG], provider=provider)

    async def main() -> None:
        task = caller.start(app)
        await upstream.opened.wait()
        await turns()
        assert upstream.replies[0].reads == len(steps) + 1
        assert caller.sent == []
        caller.leave()
        await task
        assert caller.sent == []

    run(main())


def _started(provider: str) -> bytes:
    """What each format says before its first word, if it says anything."""
    return {
        "openai": b'data: {"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n',
        "anthropic": b'event: message_start\ndata: {"type":"message_start","message":{"id":"1","model":"m",'
        b'"usage":{"input_tokens":100,"output_tokens":1}}}\n\n',
        "ollama": b'{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":""},'
        b'"done":false}\n',
        "converse": b"",
        "responses": b'data: {"type":"response.created","sequence_number":0,"response":{"id":"1","model":"m"}}\n\n',
    }[provider]


@pairs
@pytest.mark.parametrize("kind", [Kind.CUT, Kind.RESET, Kind.MALFORMED_ANSWER])
def test_a_fault_before_content_is_a_failure_response(front: str, provider: str, kind: Kind) -> None:
    steps: list[Step] = [piece for piece in (_started(provider), failure(kind)) if piece]
    caller, upstream, app = stream(front, steps, provider=provider)
    answer = run(caller.call(app))
    assert answer.status == 502
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body)["error"]
    assert attempt_of(caller).failure == failure(kind)
    assert upstream.replies[0].closed


@pairs
def test_an_error_the_provider_tells_before_content_is_a_failure_response(front: str, provider: str) -> None:
    told = frames(provider, [Faulted(failure(Kind.OVERLOADED))], end=False)
    caller, _, app = stream(front, [*told], provider=provider)
    answer = run(caller.call(app))
    assert answer.status in (502, 503, 529)
    assert attempt_of(caller).failure is not None
    assert answer.headers["content-type"] == "application/json"


@pairs
def test_an_end_before_content_is_a_failure_response(front: str, provider: str) -> None:
    steps: list[Step] = [piece for piece in (_started(provider),) if piece]
    caller, _, app = stream(front, steps, provider=provider)
    answer = run(caller.call(app))
    assert answer.status == 502
    failed = attempt_of(caller).failure
    assert failed is not None
    assert failed.kind in (Kind.CUT, Kind.MALFORMED_ANSWER)


@fronts
def test_a_provider_that_only_comments_is_given_up(front: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MOST_HELD", 100)
    noise = b": nothing yet\n\n" if front != "ollama" else b"\n" * 15
    caller, upstream, app = stream(front, [noise] * 50)
    answer = run(caller.call(app))
    assert answer.status == 502
    assert upstream.replies[0].reads < 10
    assert attempt_of(caller).failure.kind is Kind.MALFORMED_ANSWER  # type: ignore[union-attr]


@pairs
def test_an_answer_without_a_word_is_whole_when_it_says_so(front: str, provider: str) -> None:
    caller, _, app = stream(front, [*frames(provider, events())], provider=provider)
    answer = run(caller.call(app))
    assert answer.status == 200
    told = heard(front, answer.body)
    assert words(told) == ""
    assert not any(isinstance(event, Faulted) for event in told)
    assert attempt_of(caller).finish is Finish.STOP


# --- committed ---------------------------------------------------------------------------------------------


@pairs
def test_a_stream_arrives_whole_and_every_read_is_one_send(front: str, provider: str) -> None:
    pieces = frames(provider, events("7 * ", "8 = ", "56."))
    caller, upstream, app = stream(front, [*pieces], provider=provider)
    answer = run(caller.call(app))
    assert answer.status == 200
    assert words(heard(front, answer.body)) == "7 * 8 = 56."
    assert answer.headers["content-type"].encode() == dialect(front).stream_type
    assert answer.headers["x-accel-buffering"] == "no"
    # No more messages than reads: the head, and one for each piece that says something.
    assert len(caller.sent) - 1 <= upstream.replies[0].reads
    assert upstream.replies[0].closed
    made = attempt_of(caller)
    assert (made.failure, made.usage, made.counted, made.finish) == (None, used(provider), False, Finish.STOP)
    assert made.cost_nanos == 140_000
    assert made.first_content_s is not None


@fronts
def test_bytes_of_the_same_format_pass_as_they_came(front: str) -> None:
    odd = {
        "openai": b'data:{"id":"1","x_vendor":{},"choices":[{"index":0,"delta":{"content":"hi","odd":2}}]}\r\n\r\n',
        "anthropic": b"event:content_block_delta\r\ndata: "
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"},"odd":2}\r\n\r\n',
        "ollama": b'{"message":{"content":"hi","odd":2},  "done":false}\r\n',
        "responses": b'data:{"type":"response.output_text.delta","output_index":0,"delta":"hi","odd":2}\r\n\r\n'
        b'event: response.tomorrow\ndata: {"type":"response.tomorrow","item":[7],"delta":{}}\n\n',
    }[front]
    comment = b": a comment\n\n" if front != "ollama" else b"\n"
    head, *rest = frames(front, events("there"))
    if front == "ollama":
        head, rest = b"", [head, *rest]
    pieces = [piece for piece in (head, odd, comment, *rest) if piece]
    # Asked for by the caller, the usage chunk passes as well.
    wish: dict[str, Any] = {"stream_options": {"include_usage": True}} if front == "openai" else {}
    caller, _, app = stream(front, [*pieces], **wish)
    assert run(caller.call(app)).body == b"".join(pieces)


@fronts
@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_a_stream_cut_anywhere_arrives_the_same(front: str, size: int) -> None:
    text = b"".join(frames(front, events("7 * ", "8 = ", "56.")))
    pieces: list[Step] = [text[at : at + size] for at in range(0, len(text), size)]
    caller, _, app = stream(front, pieces)
    whole, _, same = stream(front, [text])
    assert run(caller.call(app)).body == run(whole.call(same)).body


@pairs
@pytest.mark.parametrize(
    "content",
    [
        [ThinkingDelta("Let me see."), TextDelta("56")],
        [ToolBegan(0, "call_1", "weather"), ToolDelta(0, '{"city":"Bern"}')],
    ],
    ids=["thinking", "tool"],
)
def test_thinking_and_tool_calls_are_content(front: str, provider: str, content: list[Event]) -> None:
    tools = any(isinstance(event, ToolBegan) for event in content)
    told = [Started("1", "own-id"), *content, Finished(Finish.TOOLS if tools else Finish.STOP), Used(USED)]
    early = frames(provider, told[:2] if not tools else told[:3], end=False)
    if not early or (provider == "ollama" and tools):
        # Ollama's format keeps a call until it is whole.
        early = frames(provider, told[:4], end=False)
    caller, upstream, app = stream(front, [*early, HANG], provider=provider)

    async def main() -> None:
        task = caller.start(app)
        await upstream.opened.wait()
        await turns()
        assert caller.sent, "content commits"
        caller.leave()
        await task

    run(main())


# --- ended: a fault after content --------------------------------------------------------------------------


@pairs
@pytest.mark.parametrize("kind", [Kind.CUT, Kind.TIMEOUT, Kind.MALFORMED_ANSWER])
def test_a_fault_after_content_is_an_error_frame_and_no_success(front: str, provider: str, kind: Kind) -> None:
    pieces = frames(provider, events("7 * ", "8", usage=None, finish=False), end=False)
    caller, upstream, app = stream(front, [*pieces, failure(kind)], provider=provider)
    answer = run(caller.call(app))
    assert answer.status == 200
    told = heard(front, answer.body)
    assert words(told) == "7 * 8"
    assert tells_a_fault(front, answer.body)
    assert not any(terminator in answer.body for terminator in TERMINATORS)
    assert caller.finished
    made = attempt_of(caller)
    assert made.failure == failure(kind)
    assert made.counted
    assert made.usage.output == 2
    assert upstream.replies[0].closed
    exchange: Exchange = caller.scope[SLOT]
    assert (exchange.status, exchange.failure) == (200, failure(kind))


@pairs
def test_an_error_the_provider_tells_after_content_is_told_on_in_the_callers_format(front: str, provider: str) -> None:
    pieces = frames(provider, events("7 * ", usage=None, finish=False), end=False)
    error = frames(provider, [Faulted(failure(Kind.OVERLOADED))], end=False)
    caller, _, app = stream(front, [*pieces, *error, HANG], provider=provider)
    answer = run(caller.call(app))
    assert tells_a_fault(front, answer.body)
    assert not any(terminator in answer.body for terminator in TERMINATORS)


@pairs
def test_an_end_without_its_finish_is_a_cut(front: str, provider: str) -> None:
    pieces = frames(provider, events("7 * ", "8", usage=None, finish=False), end=False)
    caller, _, app = stream(front, [*pieces], provider=provider)
    answer = run(caller.call(app))
    assert tells_a_fault(front, answer.body)
    assert not any(terminator in answer.body for terminator in TERMINATORS)
    assert attempt_of(caller).failure.kind is Kind.CUT  # type: ignore[union-attr]


@pairs
def test_half_a_frame_is_never_passed_on(front: str, provider: str) -> None:
    first, *rest = frames(provider, events("7 * ", "8", "never seen", usage=None, finish=False), end=False)
    caller, _, app = stream(front, [first, *rest[:-1], rest[-1][: len(rest[-1]) // 2], CUT], provider=provider)
    answer = run(caller.call(app))
    told = heard(front, answer.body)
    assert words(told) in ("7 * 8", "7 * ")
    assert b"never" not in answer.body
    assert tells_a_fault(front, answer.body)


@pairs
def test_content_and_fault_in_one_read_are_both_told(front: str, provider: str) -> None:
    pieces = frames(provider, [*events("7 * ", usage=None, finish=False), Faulted(CUT)], end=False)
    caller, _, app = stream(front, [b"".join(pieces)], provider=provider)
    answer = run(caller.call(app))
    told = heard(front, answer.body)
    assert words(told) == "7 * "
    assert tells_a_fault(front, answer.body)


def test_without_its_done_an_openai_stream_with_a_finish_is_whole() -> None:
    pieces = [piece for piece in frames("openai", events("hi")) if b"[DONE]" not in piece]
    caller, _, app = stream("openai", [*pieces])
    answer = run(caller.call(app))
    assert not any(isinstance(event, Faulted) for event in heard("openai", answer.body))
    assert attempt_of(caller).failure is None

    translated, _, other = stream("anthropic", [*pieces], provider="openai")
    assert b"message_stop" in run(translated.call(other)).body


@pytest.mark.parametrize(("front", "provider"), [("openai", "openai"), ("anthropic", "openai"), ("ollama", "openai")])
def test_a_chunk_that_cannot_be_read_is_left_out_and_counted(front: str, provider: str) -> None:
    first, *rest = frames(provider, events("7 * ", "8"))
    caller, _, app = stream(front, [first, b'data: {"choices": [{"delta"\n\n', *rest], provider=provider)
    answer = run(caller.call(app))
    assert words(heard(front, answer.body)) == "7 * 8"
    assert b'[{"delta"\n' not in answer.body
    made = attempt_of(caller)
    assert (made.skipped_chunks, made.failure) == (1, None)


# --- clocks ------------------------------------------------------------------------------------------------


CLOCKS = Clocks(connect_s=1.0, headers_s=300.0, first_content_s=20.0, between_chunks_s=3.0)


def test_reads_wait_for_the_first_content_and_then_for_the_next_chunk() -> None:
    upstream = Scripted(Given([*frames("openai", events("a", "b"))]))
    app = Forward(upstream, target=target(clocks=CLOCKS), clock=Clock(1000.0))
    run(ask("openai", "asked", stream=True).call(app))
    # In a stream the head may not take longer than the first content may.
    assert upstream.clocks[0].headers_s == 20.0
    limits = upstream.replies[0].limits
    assert limits[0] == 20.0
    assert set(limits[1:]) <= {20.0, 3.0}
    assert limits[-1] == 3.0


def test_the_first_content_clock_runs_on_from_read_to_read() -> None:
    clock = Clock(1000.0)
    reads: list[float] = []

    class Slow(Scripted):
        async def open(self, call: Any, clocks: Any) -> Any:
            reply = await super().open(call, clocks)
            read_on = reply.read

            async def slowly(limit_s: float) -> bytes:
                reads.append(limit_s)
                clock.now_s += 8
                return await read_on(limit_s)

            reply.read = slowly  # type: ignore[method-assign]
            return reply

    app = Forward(Slow(Given([b": wait\n\n"] * 10)), target=target(clocks=CLOCKS), clock=clock)
    caller = ask("openai", "asked", stream=True)
    answer = run(caller.call(app))
    assert answer.status == 504
    assert reads == [20.0, 12.0, 4.0]
    failed = attempt_of(caller).failure
    assert failed is not None
    assert (failed.kind, failed.clock) == (Kind.TIMEOUT, "first_content")
    assert "20 seconds" in failed.message


def test_silence_before_content_is_the_first_content_clock() -> None:
    caller, _, app = stream("openai", [failure(Kind.TIMEOUT, clock="between_chunks")])
    assert run(caller.call(app)).status == 504
    assert attempt_of(caller).failure.clock == "first_content"  # type: ignore[union-attr]


def test_silence_after_content_is_the_clock_between_chunks() -> None:
    pieces = frames("openai", events("a", usage=None, finish=False), end=False)
    caller, _, app = stream("openai", [*pieces, failure(Kind.TIMEOUT, clock="between_chunks")])
    run(caller.call(app))
    assert attempt_of(caller).failure.clock == "between_chunks"  # type: ignore[union-attr]


# --- back-pressure -----------------------------------------------------------------------------------------


@pairs
def test_a_caller_who_stops_reading_stops_the_reading_of_the_provider(front: str, provider: str) -> None:
    pieces = frames(provider, events(*(f"word {number} " for number in range(200))))
    caller, upstream, app = stream(front, [*pieces], provider=provider)

    async def main() -> None:
        caller.stall()
        task = caller.start(app)
        await upstream.opened.wait()
        await turns(50)
        held = upstream.replies[0].reads
        assert held <= 4, "only what came before the first content was read"
        caller.on_send = lambda _: caller.stall() if len(caller.sent) == 10 else None
        caller.resume()
        await caller.until(10)
        await turns(50)
        # The read whose send waits, and not one more.
        assert upstream.replies[0].reads <= held + 10 < len(pieces)
        caller.resume()
        answer = await task
        assert words(heard(front, answer.body)) == "".join(f"word {number} " for number in range(200))

    run(main())


# --- usage inside the stream -------------------------------------------------------------------------------


def test_usage_is_asked_for_and_hidden_from_who_did_not_ask() -> None:
    caller, upstream, app = stream("openai", [*frames("openai", events("hi"))])
    answer = run(caller.call(app))
    assert json.loads(upstream.calls[0].body)["stream_options"] == {"include_usage": True}
    assert b'"prompt_tokens"' not in answer.body
    assert b"[DONE]" in answer.body
    assert attempt_of(caller).usage == USED


def test_usage_is_passed_to_who_asked() -> None:
    caller, upstream, app = stream("openai", [*frames("openai", events("hi"))], stream_options={"include_usage": True})
    answer = run(caller.call(app))
    assert json.loads(upstream.calls[0].body)["stream_options"] == {"include_usage": True}
    assert b'"prompt_tokens":100' in answer.body


@pytest.mark.parametrize("provider", ["anthropic", "ollama"])
def test_usage_of_another_format_is_told_as_the_caller_asked(provider: str) -> None:
    for asked in (False, True):
        options = {"stream_options": {"include_usage": True}} if asked else {}
        caller, _, app = stream("openai", [*frames(provider, events("hi"))], provider=provider, **options)
        answer = run(caller.call(app))
        assert (b'"prompt_tokens":100' in answer.body) is asked
        assert attempt_of(caller).usage.input == 100


def test_a_provider_that_does_not_know_the_wish_is_not_asked() -> None:
    upstream = Scripted(Given([*frames("openai", events("hello there", usage=None))]))
    goal = target(price=PRICE)
    provider = type(goal.provider)(name="old", dialect="openai", origin="http://old.test", asks_usage=False)
    goal = Target(provider=provider, model="asked", upstream="own-id", price=PRICE)
    caller = ask("openai", "asked", stream=True)
    run(caller.call(Forward(upstream, target=goal)))
    assert "stream_options" not in json.loads(upstream.calls[0].body)
    made = attempt_of(caller)
    assert made.counted
    assert (made.usage.input, made.usage.output) == (3, 3)


@fronts
def test_usage_frames_of_formats_that_always_have_them_are_not_hidden(front: str) -> None:
    caller, _, app = stream(front, [*frames(front, events("hi"))])
    body = run(caller.call(app)).body
    if front != "openai":
        assert b"100" in body
    assert not any(isinstance(event, Faulted) for event in heard(front, body))


def test_an_answer_that_broke_off_costs_what_was_seen_of_it_however_it_began() -> None:
    """Anthropic's message_start already reports one token of output; that is no figure for what followed."""
    text = "x" * 400
    told: list[Event] = [Started("1", "own-id"), Used(Usage(input=100, output=1)), TextDelta(text)]
    caller, _, app = stream("anthropic", [*frames("anthropic", told, end=False), CUT])
    run(caller.call(app))
    made = attempt_of(caller)
    assert made.counted
    assert made.usage == Usage(input=100, output=100)
    assert made.cost_nanos == 300_000


def test_a_stream_may_be_cancelled_at_every_step_and_is_always_recorded_once() -> None:
    pieces = frames("openai", events("a", "b", "c"))
    for at in range(len(pieces) + 1):
        caller, upstream, app = stream("openai", [*pieces[:at], HANG])

        async def main(caller: Caller = caller, upstream: Scripted = upstream, app: Forward = app) -> None:
            task = caller.start(app)
            await upstream.opened.wait()
            await turns(10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main())
        assert attempt_of(caller).failure.kind is Kind.STOPPING  # type: ignore[union-attr]
        assert upstream.replies[0].closed
