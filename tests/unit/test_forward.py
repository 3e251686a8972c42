"""One attempt at one target: what is sent to the provider, what is answered, and what is recorded, however it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from laneway import forward
from laneway.chat import Op, Usage
from laneway.dialects import dialect
from laneway.exchange import SLOT, TARGET, Exchange
from laneway.failure import Failure, FailureError, Kind, fail
from laneway.forward import Forward
from laneway.ports import Call
from laneway.route import Attempt, Clocks, Decision, Dropped, Price, Target
from tests.fakes.replies import HANG, Given, Script, Scripted, events, failure, frames, refused, target, used, whole
from tests.harness.asgi import ASKS, Answer, Caller, ask, turns, until
from tests.harness.loop import run
from tests.harness.streams import heard, words

PRICE = Price(input=1_000_000, output=2_000_000)
fronts = pytest.mark.parametrize("front", ASKS)
providers = pytest.mark.parametrize("provider", ["openai", "responses", "anthropic", "ollama", "converse"])
hooks = pytest.mark.parametrize("hook", [False, True], ids=["reading", "hook"])
streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def exchange_of(caller: Caller) -> Exchange:
    exchange: Exchange = caller.scope[SLOT]
    return exchange


def attempt_of(caller: Caller) -> Attempt:
    (made,) = exchange_of(caller).attempts
    return made


def serve(caller: Caller, *scripts: Script, goal: Target | None = None, **knobs: Any) -> tuple[Answer, Scripted]:
    upstream = Scripted(*scripts)
    return run(caller.call(Forward(upstream, target=goal or target(price=PRICE), **knobs))), upstream


def sent_body(upstream: Scripted) -> dict[str, Any]:
    return json.loads(upstream.calls[0].body)  # type: ignore[no-any-return]


# --- what is sent ------------------------------------------------------------------------------------------


@fronts
def test_within_one_format_only_the_model_id_changes(front: str) -> None:
    caller = ask(front, "asked", x_vendor={"keep": [1, 2.50, "é"]}, temperature=0.25)
    path = {
        "openai": "/p/chat/completions",
        "responses": "/p/responses",
        "anthropic": "/p/v1/messages",
        "ollama": "/p/api/chat",
    }[front]
    _, upstream = serve(caller, whole(front), goal=target(front))
    asked = json.loads(exchange_of(caller).body or b"")
    assert sent_body(upstream) == {**asked, "model": "own-id"}
    assert list(sent_body(upstream)) == list(asked), "the order of fields stays"
    call = upstream.calls[0]
    assert (call.method, call.origin, call.target) == ("POST", "http://box.test", path)


@fronts
def test_where_the_model_id_is_the_same_not_a_byte_changes(front: str) -> None:
    path, body = ASKS[front]
    text = json.dumps({"model": "own-id", **body}, indent=3).encode() + b"\n"
    _, upstream = serve(Caller(path, text), whole(front), goal=target(front))
    assert upstream.calls[0].body == text


def test_a_providers_own_headers_are_sent_and_a_callers_are_not() -> None:
    goal = target()
    provider = msgspec.structs.replace(goal.provider, headers=((b"authorization", b"Bearer provider-key"),))
    goal = msgspec.structs.replace(goal, provider=provider)
    caller = ask("openai", "asked", headers={"authorization": "Bearer caller-key", "cookie": "a=b", "x-api-key": "c"})
    _, upstream = serve(caller, whole("openai"), goal=goal, agent="laneway/test")
    assert dict(upstream.calls[0].headers) == {
        b"content-type": b"application/json",
        b"user-agent": b"laneway/test",
        b"authorization": b"Bearer provider-key",
    }


def test_a_formats_own_headers_pass_within_it_and_replace_the_providers() -> None:
    goal = target("anthropic")
    provider = msgspec.structs.replace(
        goal.provider, headers=((b"anthropic-version", b"2023-01-01"), (b"x-api-key", b"k"))
    )
    goal = msgspec.structs.replace(goal, provider=provider)
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "tools-1"}
    _, upstream = serve(ask("anthropic", "asked", headers=headers), whole("anthropic"), goal=goal)
    sent = upstream.calls[0].headers
    assert [value for name, value in sent if name == b"anthropic-version"] == [b"2023-06-01"]
    assert dict(sent)[b"anthropic-beta"] == b"tools-1"
    assert dict(sent)[b"x-api-key"] == b"k"

    _, upstream = serve(ask("openai", "asked", headers=headers), whole("anthropic"), goal=goal)
    assert dict(upstream.calls[0].headers)[b"anthropic-version"] == b"2023-01-01"
    assert b"anthropic-beta" not in dict(upstream.calls[0].headers)


def test_a_provider_that_signs_gets_a_signed_call() -> None:
    async def sign(call: Call) -> Call:
        return msgspec.structs.replace(call, headers=(*call.headers, (b"x-signed", b"1")))

    _, upstream = serve(ask("openai", "asked"), whole("openai"), signers={"box": sign, "other": sign})
    assert dict(upstream.calls[0].headers)[b"x-signed"] == b"1"
    _, upstream = serve(ask("openai", "asked"), whole("openai"), signers={"other": sign})
    assert b"x-signed" not in dict(upstream.calls[0].headers)


def test_without_credentials_nobody_is_called() -> None:
    async def sign(call: Call) -> Call:
        raise fail(Kind.CREDENTIALS, "No credentials for box.")

    caller = ask("openai", "asked")
    answer, upstream = serve(caller, whole("openai"), signers={"box": sign})
    assert answer.status == 502
    assert upstream.calls == []
    assert not attempt_of(caller).called
    assert answer.headers["x-laneway-attempts"] == "0"


def test_what_a_provider_cannot_express_is_an_error_that_names_the_field_and_calls_nobody() -> None:
    caller = ask("openai", "asked", n=3)
    answer, upstream = serve(caller, whole("anthropic"), goal=target("anthropic"))
    assert (answer.status, answer.json["error"]["param"]) == (400, "n")
    assert upstream.calls == []
    assert attempt_of(caller).called is False


def test_what_was_left_out_is_named_on_the_answer() -> None:
    caller = ask("openai", "asked", store=True, max_tokens=5)
    answer, _ = serve(caller, whole("anthropic"), goal=target("anthropic"))
    assert answer.status == 200
    assert "store" in answer.headers["x-laneway-omitted"]
    assert "store" in attempt_of(caller).omitted


# --- whole answers -----------------------------------------------------------------------------------------


@fronts
@providers
def test_every_front_reaches_every_provider(front: str, provider: str) -> None:
    caller = ask(front, "asked")
    answer, upstream = serve(caller, whole(provider), goal=target(provider, price=PRICE))
    assert answer.status == 200, answer
    read = dialect(front).read_answer(Op.CHAT, answer.body)
    assert "".join(part.text for part in read.parts) == "7 * 8 = 56."  # type: ignore[union-attr]
    made = attempt_of(caller)
    assert (made.failure, made.status, made.called) == (None, 200, True)
    # 100 tokens at 1 USD and 20 at 2 USD a million.
    assert (made.usage, made.counted, made.cost_nanos) == (used(provider), False, 140_000)
    assert upstream.replies[0].closed
    assert answer.headers["x-llm-backend"] == "box"
    assert answer.headers["x-laneway-attempts"] == "1"


@fronts
def test_within_one_format_an_answer_passes_byte_for_byte(front: str) -> None:
    body = whole(front).steps[0]
    assert isinstance(body, bytes)
    odd = body[:-1] + b',  "x_vendor": {"a": [1, 2]}}'
    given = Given([odd[:9], odd[9:]], headers=[(b"content-type", b"application/json; charset=utf-8"), (b"x-odd", b"1")])
    answer, _ = serve(ask(front, "asked"), given, goal=target(front))
    assert answer.body == odd
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert "x-odd" not in answer.headers


@fronts
@providers
def test_an_answer_of_which_nobody_counted_the_tokens_is_counted(front: str, provider: str) -> None:
    """Otherwise a provider that reports no usage would serve for nothing."""
    body = json.loads(whole(provider, "x" * 400).steps[0])  # type: ignore[arg-type]
    body = {name: value for name, value in body.items() if name != "usage" and not name.endswith("_count")}
    caller = ask(front, "asked")
    answer, _ = serve(caller, Given([json.dumps(body).encode()]), goal=target(provider, price=PRICE))
    assert answer.status == 200
    made = attempt_of(caller)
    assert made.counted
    assert made.usage == Usage(input=3, output=100)


def test_several_choices_without_usage_are_counted_by_their_size() -> None:
    choice = '{"index":%d,"finish_reason":"stop","message":{"role":"assistant","content":"hello"}}'
    body = '{"choices":[%s,%s]}' % (choice % 0, choice % 1)  # noqa: UP031 - braces everywhere
    caller = ask("openai", "asked", n=2)
    answer, _ = serve(caller, Given([body.encode()]))
    assert answer.body == body.encode()
    assert attempt_of(caller).counted
    assert (attempt_of(caller).usage.output or 0) >= 4


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"", b"[]", b"{}", b'{"error":{"message":"no"}}'])
@fronts
@providers
def test_a_200_that_is_no_answer_is_a_failure(front: str, provider: str, body: bytes) -> None:
    caller = ask(front, "asked")
    answer, _ = serve(caller, Given([body]), goal=target(provider))
    assert 400 <= answer.status < 600, answer
    assert attempt_of(caller).failure is not None
    assert b"Welcome" not in answer.body


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "MOST_ANSWER", 1000)
    caller = ask("openai", "asked")
    answer, upstream = serve(caller, Given([b"x" * 100] * 1000))
    assert answer.status == 502
    assert upstream.replies[0].reads <= 12
    assert upstream.replies[0].closed


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (Kind.RATE_LIMITED, 429),
        (Kind.OVERLOADED, 503),
        (Kind.UNAUTHENTICATED, 401),
        (Kind.BAD_REQUEST, 400),
        (Kind.CONTEXT_TOO_LONG, 400),
        (Kind.UNKNOWN_MODEL, 404),
        (Kind.INTERNAL, 500),
    ],
)
@fronts
@providers
@streams
def test_a_providers_failure_is_told_in_the_callers_shape(
    front: str, provider: str, kind: Kind, status: int, stream: bool
) -> None:
    caller = ask(front, "asked", stream=stream)
    answer, upstream = serve(caller, refused(provider, kind, status), goal=target(provider))
    failed = attempt_of(caller).failure
    assert failed is not None
    assert failed.provider_status == status
    assert exchange_of(caller).failure == failed
    assert answer.headers["content-type"] == "application/json"
    told = dialect(front).read_failure(answer.status, [], answer.body)
    assert told.kind in (failed.kind, Kind.UPSTREAM_ERROR, Kind.OVERLOADED, Kind.BAD_REQUEST)
    assert upstream.replies[0].closed
    if kind is Kind.UNAUTHENTICATED:
        assert answer.status == 502, "the gateway's own key was turned away, not the caller's"


@pytest.mark.parametrize("kind", [Kind.CONNECT, Kind.RESET, Kind.TIMEOUT, Kind.MALFORMED_ANSWER, Kind.STOPPING])
@fronts
@streams
def test_a_provider_that_cannot_be_reached_is_told_in_the_callers_shape(front: str, kind: Kind, stream: bool) -> None:
    caller = ask(front, "asked", stream=stream)
    answer, _ = serve(caller, failure(kind), goal=target(front))
    assert answer.status in (failure(kind).status, 529)
    assert json.loads(answer.body)["error"]
    made = attempt_of(caller)
    assert (made.failure, made.called, made.cost_nanos) == (failure(kind), True, 0)


def test_a_retry_after_is_passed_on() -> None:
    answer, _ = serve(ask("openai", "asked"), refused("openai", Kind.RATE_LIMITED, retry_after_s=7.0))
    assert answer.headers["retry-after"] == "7"


# --- what costs nothing ------------------------------------------------------------------------------------


def test_a_count_of_tokens_where_the_provider_has_none_is_an_estimate_and_free() -> None:
    caller = Caller(
        "/v1/messages/count_tokens", {"model": "asked", "messages": [{"role": "user", "content": "x" * 400}]}
    )
    answer, upstream = serve(caller, whole("openai"))
    assert answer.json["input_tokens"] > 90
    assert answer.headers["x-laneway-estimated"] == "input_tokens"
    assert answer.headers["x-laneway-attempts"] == "0"
    assert upstream.calls == []
    made = attempt_of(caller)
    assert (made.called, made.cost_nanos, made.usage, made.failure) == (False, 0, Usage(), None)


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"name": "f", "description": "x" * 200, "input_schema": {"type": "object", "title": "x" * 200}}]},
        {"system": "x" * 400},
        {
            "messages": [
                {"role": "user", "content": "hi"},
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"a": "x" * 400}}],
                },
            ]
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
                    ],
                }
            ]
        },
    ],
    ids=["tools", "system", "calls", "pictures"],
)
def test_an_estimate_counts_all_that_a_model_reads(more: dict[str, Any]) -> None:
    """Coding agents bring thousands of tokens of tools, and ask so that they know when to shorten a conversation."""
    said = {"model": "asked", "messages": [{"role": "user", "content": "hi"}], **more}
    answer, _ = serve(Caller("/v1/messages/count_tokens", said), whole("openai"))
    assert answer.json["input_tokens"] > 100


def test_a_count_of_tokens_by_the_provider_is_free_as_well() -> None:
    caller = Caller("/v1/messages/count_tokens", {"model": "asked", "messages": [{"role": "user", "content": "hi"}]})
    answer, upstream = serve(caller, Given([b'{"input_tokens": 1234}']), goal=target("anthropic", price=PRICE))
    assert answer.body == b'{"input_tokens": 1234}'
    assert upstream.calls[0].target == "/p/v1/messages/count_tokens"
    assert attempt_of(caller).cost_nanos == 0


@pytest.mark.parametrize("provider", ["openai", "ollama"])
def test_embeddings_cost_their_input_as_it_was_reported(provider: str) -> None:
    caller = Caller("/v1/embeddings", {"model": "asked", "input": ["one", "two"]})
    body = {
        "openai": b'{"object":"list","data":[{"index":0,"embedding":[1.0]},{"index":1,"embedding":[2.0]}],'
        b'"model":"own-id","usage":{"prompt_tokens":50,"total_tokens":50}}',
        "ollama": b'{"model":"own-id","embeddings":[[1.0],[2.0]],"prompt_eval_count":50}',
    }[provider]
    answer, _ = serve(caller, Given([body]), goal=target(provider, price=PRICE, kind="embed"))
    assert [row["embedding"] for row in answer.json["data"]] == [[1.0], [2.0]]
    made = attempt_of(caller)
    assert (made.usage.input, made.counted, made.cost_nanos) == (50, False, 50_000)


def test_embeddings_at_a_provider_that_makes_none_are_refused() -> None:
    caller = Caller("/v1/embeddings", {"model": "asked", "input": "one"})
    answer, upstream = serve(caller, whole("anthropic"), goal=target("anthropic"))
    assert answer.status == 400
    assert upstream.calls == []


# --- clocks ------------------------------------------------------------------------------------------------


def test_a_whole_answer_has_the_targets_clocks() -> None:
    clocks = Clocks(connect_s=1, headers_s=200, first_content_s=20, between_chunks_s=3)
    _, upstream = serve(ask("openai", "asked"), whole("openai"), goal=target(clocks=clocks))
    assert upstream.clocks == [clocks]
    assert set(upstream.replies[0].limits) == {3}


# --- who leaves --------------------------------------------------------------------------------------------


def left_at(
    caller: Caller, script: Script, *, when: Callable[[Scripted, Caller], bool], dialect: str = "openai"
) -> Scripted:
    """Serves until `when`, then the caller leaves; whatever happens, the task must not be left cancelled."""
    upstream = Scripted(script)
    app = Forward(upstream, target=target(dialect, price=PRICE))

    async def served() -> int:
        await caller.call(app)
        task = asyncio.current_task()
        assert task is not None
        await turns()
        return task.cancelling()

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(served())
        await until(lambda: when(upstream, caller))
        await turns()
        count = len(caller.sent)
        caller.leave()
        assert await task == 0
        assert len(caller.sent) == count, "nobody is there to be told anything"

    run(main())
    return upstream


@hooks
@streams
def test_who_leaves_before_the_head_comes(hook: bool, stream: bool) -> None:
    caller = ask("openai", "asked", stream=stream, hook=hook)
    left_at(caller, HANG, when=lambda upstream, _: upstream.opened.is_set())
    made = attempt_of(caller)
    assert (made.failure.kind, made.cost_nanos, made.called) == (Kind.CALLER_GONE, 0, True)  # type: ignore[union-attr]
    exchange = exchange_of(caller)
    assert (exchange.gone, exchange.status) == (True, 499)
    assert caller.sent == []


@hooks
def test_who_leaves_while_a_whole_answer_comes(hook: bool) -> None:
    caller = ask("openai", "asked", hook=hook)
    upstream = left_at(caller, Given([b"{", HANG]), when=lambda upstream, _: bool(upstream.replies))
    assert upstream.replies[0].closed
    assert attempt_of(caller).failure.kind is Kind.CALLER_GONE  # type: ignore[union-attr]
    assert caller.sent == []


@hooks
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_who_leaves_a_stream_is_charged_for_what_came(hook: bool, provider: str) -> None:
    pieces = frames(provider, events("x" * 200, "x" * 200, usage=None, finish=False), end=False)
    caller = ask("openai", "asked", stream=True, hook=hook)
    upstream = left_at(caller, Given([*pieces, HANG]), when=lambda _, caller: len(caller.sent) >= 3, dialect=provider)
    assert upstream.replies[0].closed
    made = attempt_of(caller)
    assert made.failure.kind is Kind.CALLER_GONE  # type: ignore[union-attr]
    assert (made.counted, made.usage) == (True, Usage(input=3, output=100))
    assert made.cost_nanos == 203_000
    exchange = exchange_of(caller)
    assert (exchange.gone, exchange.status) == (True, 200)


@hooks
def test_who_leaves_while_a_send_waits(hook: bool) -> None:
    pieces = frames("openai", events(*["word "] * 50))
    caller = ask("openai", "asked", stream=True, hook=hook)
    caller.on_send = lambda _: caller.stall() if len(caller.sent) == 3 else None
    upstream = left_at(caller, Given([*pieces]), when=lambda _, caller: len(caller.sent) == 3)
    assert upstream.replies[0].closed
    assert upstream.replies[0].reads < 10
    assert exchange_of(caller).gone


@hooks
def test_who_leaves_when_everything_has_been_sent_was_served(hook: bool) -> None:
    for script in (Given([*frames("openai", events("hi"))]), whole("openai")):
        caller = ask("openai", "asked", stream=script.status == 200 and len(script.steps) > 1, hook=hook)

        def leave_at_the_end(message: Any, caller: Caller = caller) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                caller.leave()

        caller.on_send = leave_at_the_end
        serve(caller, script)
        assert attempt_of(caller).failure is None
        assert not exchange_of(caller).gone


@streams
def test_a_server_that_says_by_an_error_that_the_caller_left(stream: bool) -> None:
    """ASGI lets `send` raise an OSError once the caller is gone; what came until then is charged."""
    caller = ask("openai", "asked", stream=stream)

    def broken(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise ConnectionResetError

    caller.on_send = broken
    script = Given([*frames("openai", events("x" * 400, usage=None))]) if stream else whole("openai")
    answer, upstream = serve(caller, script)
    assert answer.status == 200
    exchange = exchange_of(caller)
    assert (exchange.gone, exchange.status) == (True, 200)
    assert attempt_of(caller).cost_nanos > 0
    assert upstream.replies[0].closed


def test_who_leaves_as_the_provider_fails_has_left() -> None:
    """Nothing else is tried for somebody who is not there."""
    caller = ask("openai", "asked", hook=True)

    class Failing(Scripted):
        async def open(self, call: Any, clocks: Any) -> Any:
            caller.leave()
            raise FailureError(failure(Kind.CONNECT))

    run(caller.call(Forward(Failing(HANG), target=target())))
    assert exchange_of(caller).gone
    assert caller.sent == []


# --- being stopped, and errors of our own ------------------------------------------------------------------


@hooks
@streams
def test_a_cancellation_from_outside_is_recorded_and_goes_on(hook: bool, stream: bool) -> None:
    pieces = frames("openai", events("x" * 400, usage=None, finish=False), end=False) if stream else [b"{"]
    caller = ask("openai", "asked", stream=stream, hook=hook)
    upstream = Scripted(Given([*pieces, HANG]))

    async def main() -> None:
        task = caller.start(Forward(upstream, target=target(price=PRICE)))
        await until(lambda: bool(upstream.replies) and upstream.replies[0].reads > len(pieces))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    made = attempt_of(caller)
    assert made.failure.kind is Kind.STOPPING  # type: ignore[union-attr]
    assert made.cost_nanos == (203_000 if stream else 0)
    assert upstream.replies[0].closed
    assert not exchange_of(caller).gone


@streams
@pytest.mark.parametrize("where", ["open", "read"])
def test_an_error_of_our_own_is_recorded_and_goes_on(stream: bool, where: str) -> None:
    caller = ask("openai", "asked", stream=stream)
    odd = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        serve(caller, odd if where == "open" else Given([odd]))
    assert attempt_of(caller).failure.kind is Kind.INTERNAL  # type: ignore[union-attr]
    assert caller.sent == []


def test_an_operating_system_error_before_the_first_byte_is_no_caller_who_left() -> None:
    caller = ask("openai", "asked")
    with pytest.raises(OSError, match="disk"):
        serve(caller, OSError("disk"))
    assert not exchange_of(caller).gone
    assert attempt_of(caller).failure.kind is Kind.INTERNAL  # type: ignore[union-attr]


def test_an_error_of_our_own_in_a_stream_charges_what_went_out() -> None:
    caller = ask("openai", "asked", stream=True)
    pieces = frames("openai", events("x" * 400, usage=None, finish=False), end=False)
    with pytest.raises(RuntimeError):
        serve(caller, Given([*pieces, RuntimeError("a bug")]))
    assert not caller.finished
    assert attempt_of(caller).cost_nanos == 203_000


# --- which target ------------------------------------------------------------------------------------------


def test_the_target_in_the_scope_comes_first_then_the_decision_then_the_candidates_then_its_own() -> None:
    one, two, three, four = (target(name=name) for name in ("one", "two", "three", "four"))
    caller = ask("openai", "asked")
    caller.scope[TARGET] = one
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    exchange.decision = Decision(ranked=(two,), by="test")
    exchange.candidates = (three,)
    assert serve(caller, whole("openai"), goal=four)[0].headers["x-llm-backend"] == "one"

    for facts, name in (
        ({"decision": Decision(ranked=(two,), by="test"), "candidates": (three,)}, "two"),
        ({"candidates": (three, one)}, "three"),
        ({"candidates": (three, one), "dropped": [Dropped(three, "too dear")]}, "one"),
        ({"candidates": ()}, "four"),
        ({}, "four"),
    ):
        caller = ask("openai", "asked")
        exchange = Exchange.of(caller.scope)
        assert exchange is not None
        for fact, value in facts.items():
            setattr(exchange, fact, value)
        assert serve(caller, whole("openai"), goal=four)[0].headers["x-llm-backend"] == name


def test_without_any_target_it_says_so() -> None:
    caller = ask("anthropic", "asked")
    answer = run(caller.call(Forward(Scripted(HANG))))
    assert answer.status in (503, 529)
    assert answer.json["type"] == "error"
    assert exchange_of(caller).failure.kind is Kind.NO_TARGET  # type: ignore[union-attr]


def test_a_failure_under_fallback_is_a_response_and_not_yet_the_last_word() -> None:
    caller = ask("openai", "asked")
    caller.scope[TARGET] = target()
    answer, _ = serve(caller, failure(Kind.CONNECT))
    assert answer.status == 502
    exchange = exchange_of(caller)
    assert (exchange.status, exchange.failure) == (0, None)
    assert exchange.attempts[0].failure == failure(Kind.CONNECT)


def test_targets_that_are_made_and_forgotten_are_not_mixed_up() -> None:
    upstream = Scripted(whole("openai"))
    app = Forward(upstream)

    async def main() -> None:
        for number in range(300):
            caller = ask("openai", "asked")
            caller.scope[TARGET] = msgspec.structs.replace(target(name=f"box-{number}"), upstream=f"id-{number}")
            await caller.call(app)

    run(main())
    assert [call.origin for call in upstream.calls] == [f"http://box-{number}.test" for number in range(300)]
    assert [json.loads(call.body)["model"] for call in upstream.calls] == [f"id-{number}" for number in range(300)]


# --- innermost ---------------------------------------------------------------------------------------------


def test_as_the_innermost_app_it_starts_and_stops_with_its_server() -> None:
    said: list[str] = []
    events_to_come = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return events_to_come.pop(0)

    async def send(message: Any) -> None:
        said.append(message["type"])

    run(Forward(Scripted(HANG))({"type": "lifespan"}, receive, send))
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_as_the_innermost_app_it_closes_websockets_and_knows_no_other_path() -> None:
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        said.append(message)

    run(Forward(Scripted(HANG))({"type": "websocket", "path": "/v1/messages", "headers": []}, receive, send))
    assert said == [{"type": "websocket.close", "code": 1008}]
    answer = run(Caller("/nowhere", method="GET").call(Forward(Scripted(HANG))))
    assert answer.status == 404
    assert answer.json["error"]["type"] == "not_found_error"


def test_mounted_with_nothing_around_it_reads_and_checks_the_body_itself() -> None:
    caller = Caller(ASKS["openai"][0], pieces=[b'{"mod', b'el": 5}'])
    answer, upstream = serve(caller, whole("openai"))
    assert answer.status == 400
    assert upstream.calls == []
    assert exchange_of(caller).attempts == [], "nothing was attempted"


def test_words_of_a_stream_and_of_a_whole_answer_are_the_same() -> None:
    streamed, _ = serve(
        ask("ollama", "asked", stream=True), Given([*frames("anthropic", events("a", "b"))]), goal=target("anthropic")
    )
    assert words(heard("ollama", streamed.body)) == "ab"


def test_what_is_shown_of_a_failure_is_never_its_detail() -> None:
    secret = Failure(kind=Kind.UPSTREAM_ERROR, message="It failed.", detail="sk-provider-secret")
    for front in ASKS:
        answer, _ = serve(ask(front, "asked"), secret, goal=target(front))
        assert b"sk-provider-secret" not in answer.body
