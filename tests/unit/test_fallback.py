"""Several targets, one answer: the order, what is repeated, what is never routed around, and the last word."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from laneway import guard
from laneway.edge import App, Receive, Send
from laneway.exchange import SLOT, TARGET, Exchange, Scope
from laneway.failure import RULES, Kind
from laneway.forward import Forward
from laneway.guard import FOREIGN_FAILURES
from laneway.middleware import fallback
from laneway.middleware.fallback import FallbackMiddleware
from laneway.policy.plan import MOST_CALLS
from laneway.route import Price, Target
from tests.fakes.replies import HANG, Given, Script, Scripted, events, failure, frames, refused, target, whole
from tests.harness.asgi import ASKS, Answer, Caller, ask, until
from tests.harness.loop import run
from tests.harness.streams import heard, words

fronts = pytest.mark.parametrize("front", ASKS)
streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
DOWN = failure(Kind.CONNECT)


def boxes(count: int, dialect: str = "openai") -> tuple[Target, ...]:
    return tuple(target(dialect, name=f"box-{number}", price=Price(input=0, output=0)) for number in range(count))


def served(
    *scripts: Script, front: str = "openai", count: int = 3, stream: bool = False, most_calls: int = MOST_CALLS
) -> tuple[Answer, Scripted, Exchange]:
    caller = ask(front, "asked", stream=stream)
    upstream = Scripted(*scripts)
    app = FallbackMiddleware(Forward(upstream), targets=boxes(count), most_calls=most_calls)
    answer = run(caller.call(app))
    return answer, upstream, caller.scope[SLOT]


def called(upstream: Scripted) -> list[int]:
    """The numbers of the boxes in the order of the calls."""
    return [int(name.removeprefix("box-")) for name in upstream.called()]


# --- order -------------------------------------------------------------------------------------------------


@fronts
@streams
def test_the_first_that_answers_serves(front: str, stream: bool) -> None:
    good = Given([*frames("openai", events("hi"))]) if stream else whole("openai", "hi")
    answer, upstream, exchange = served(DOWN, failure(Kind.TIMEOUT), good, front=front, stream=stream)
    assert answer.status == 200
    assert answer.headers["x-llm-backend"] == "box-2"
    assert answer.headers["x-laneway-attempts"] == "3"
    assert called(upstream) == [0, 1, 2]
    assert (exchange.status, exchange.failure) == (200, None)
    assert [attempt.failure is None for attempt in exchange.attempts] == [False, False, True]
    if stream:
        assert words(heard(front, answer.body)) == "hi"


def test_every_target_gets_a_scope_and_a_body_of_its_own() -> None:
    scopes: list[Scope] = []
    bodies: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        bodies.append((await receive())["body"])
        scope["mark"] = len(scopes)
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    caller = ask("openai", "asked")
    targets = boxes(3)
    run(caller.call(FallbackMiddleware(app, targets=targets)))
    assert [scope[TARGET] for scope in scopes] == list(targets)
    assert len({id(scope) for scope in scopes}) == 3
    assert len(set(bodies)) == 1
    assert "mark" not in caller.scope
    assert TARGET not in caller.scope


def test_what_was_decided_outside_goes_before_its_own_targets() -> None:
    caller = ask("openai", "asked")
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    exchange.candidates = boxes(2)[::-1]
    upstream = Scripted(DOWN, whole("openai"))
    run(caller.call(FallbackMiddleware(Forward(upstream), targets=boxes(3))))
    assert called(upstream) == [1, 0]


# --- what is tried once more -------------------------------------------------------------------------------


@pytest.mark.parametrize("stray", [failure(Kind.RESET), refused("openai", Kind.INTERNAL, 500)], ids=["reset", "500"])
@streams
def test_a_stray_failure_is_tried_once_more_at_the_same_place(stray: Script, stream: bool) -> None:
    good = Given([*frames("openai", events("hi"))]) if stream else whole("openai")
    answer, upstream, _ = served(stray, good, stream=stream)
    assert answer.status == 200
    assert called(upstream) == [0, 0]


@pytest.mark.parametrize("stray", [failure(Kind.RESET), refused("openai", Kind.INTERNAL, 500)], ids=["reset", "500"])
def test_and_only_once_and_at_each_place_anew(stray: Script) -> None:
    answer, upstream, exchange = served(stray, count=5)
    assert called(upstream) == [0, 0, 1, 1, 2, 2], "six calls are the most"
    assert len(exchange.attempts) == MOST_CALLS
    assert answer.status == 502


@pytest.mark.parametrize(
    "once",
    [
        DOWN,
        failure(Kind.TIMEOUT),
        failure(Kind.MALFORMED_ANSWER),
        refused("openai", Kind.RATE_LIMITED),
        refused("openai", Kind.RATE_LIMITED, retry_after_s=60.0),
        refused("openai", Kind.OVERLOADED),
        refused("openai", Kind.UPSTREAM_ERROR, 502),
        refused("openai", Kind.UNAUTHENTICATED),
        refused("openai", Kind.UNKNOWN_MODEL),
    ],
    ids=["down", "timeout", "odd", "429", "429-later", "503", "502", "401", "404"],
)
def test_what_will_not_change_is_tried_elsewhere_at_once(once: Script) -> None:
    answer, upstream, _ = served(once, whole("openai"))
    assert answer.status == 200
    assert called(upstream) == [0, 1]


def test_no_request_causes_more_than_so_many_calls() -> None:
    _, upstream, _ = served(DOWN, count=20)
    assert called(upstream) == [0, 1, 2, 3, 4, 5]
    _, upstream, _ = served(DOWN, count=20, most_calls=2)
    assert called(upstream) == [0, 1]


def test_a_target_that_is_never_called_is_no_call() -> None:
    """Eight targets that cannot express a field do not use up the calls of the ninth."""
    caller = ask("openai", "asked", n=2)
    upstream = Scripted(whole("openai"))
    targets = (*boxes(8, "anthropic"), target(name="box-8"))
    answer = run(caller.call(FallbackMiddleware(Forward(upstream), targets=targets)))
    assert answer.status == 200
    assert called(upstream) == [8]
    assert answer.headers["x-laneway-attempts"] == "1"


# --- what is never routed around ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [kind for kind, rule in RULES.items() if not rule.try_next and kind is not Kind.CALLER_GONE]
)
def test_answers_are_never_routed_around(kind: Kind) -> None:
    answer, upstream, exchange = served(failure(kind))
    assert called(upstream) == [0]
    assert answer.status == RULES[kind].status
    assert exchange.failure == failure(kind)


@pytest.mark.parametrize("script", [refused("openai", Kind.BAD_REQUEST), refused("openai", Kind.REFUSED)])
@fronts
@streams
def test_a_callers_mistake_and_a_refusal_are_answers(script: Given, front: str, stream: bool) -> None:
    answer, upstream, exchange = served(script, front=front, stream=stream)
    assert called(upstream) == [0]
    assert answer.status == 400
    assert exchange.failure is not None
    assert exchange.failure.kind in (Kind.BAD_REQUEST, Kind.REFUSED)


@pytest.mark.parametrize(
    "kind", [kind for kind, rule in RULES.items() if rule.try_next and kind is not Kind.CONTEXT_TOO_LONG]
)
def test_everything_else_is_tried_elsewhere(kind: Kind) -> None:
    answer, _, _ = served(failure(kind), failure(kind), whole("openai"))
    assert answer.status == 200


def test_a_prompt_that_is_too_long_goes_only_to_a_larger_window() -> None:
    windows = (8_000, 8_000, None, 32_000)
    targets = tuple(msgspec.structs.replace(box, window=window) for box, window in zip(boxes(4), windows, strict=True))
    upstream = Scripted(failure(Kind.CONTEXT_TOO_LONG), whole("openai"))
    answer = run(ask("openai", "asked").call(FallbackMiddleware(Forward(upstream), targets=targets)))
    assert answer.status == 200
    assert called(upstream) == [0, 3]


def test_a_prompt_that_is_too_long_for_all_is_the_callers_matter() -> None:
    answer, upstream, _ = served(failure(Kind.CONTEXT_TOO_LONG), whole("openai"))
    assert answer.status == 400
    assert called(upstream) == [0]


def test_a_wait_that_is_short_enough_is_waited_in_full_and_asked_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(fallback, "asyncio", SimpleNamespace(sleep=sleep))
    busy = refused("openai", Kind.RATE_LIMITED, retry_after_s=3.0)
    answer, upstream, _ = served(busy, whole("openai"))
    assert answer.status == 200
    assert called(upstream)[0] == 0
    assert waited[0] == 3.0


# --- streams -----------------------------------------------------------------------------------------------


@fronts
def test_a_fault_before_the_first_word_is_invisible(front: str) -> None:
    lost = Given([*frames("openai", events("lost")[:1], end=False), failure(Kind.CUT)])
    answer, upstream, _ = served(lost, Given([*frames("openai", events("kept"))]), front=front, stream=True)
    assert called(upstream) == [0, 1]
    assert b"kept" in answer.body
    assert b"lost" not in answer.body


@fronts
def test_a_fault_behind_the_first_word_is_told_and_nothing_else_is_tried(front: str) -> None:
    begun = Given([*frames("openai", events("begun", usage=None, finish=False), end=False), failure(Kind.CUT)])
    answer, upstream, exchange = served(begun, Given([*frames("openai", events("other"))]), front=front, stream=True)
    assert called(upstream) == [0]
    assert b"other" not in answer.body
    assert b"error" in answer.body
    assert exchange.failure == failure(Kind.CUT)


@pytest.mark.parametrize("hook", [False, True])
def test_for_who_has_left_nothing_else_is_tried(hook: bool) -> None:
    caller = ask("openai", "asked", hook=hook)
    upstream = Scripted(HANG)

    async def main() -> None:
        task = caller.start(FallbackMiddleware(Forward(upstream), targets=boxes(3)))
        await upstream.opened.wait()
        await asyncio.sleep(0)
        caller.leave()
        await task

    run(main())
    assert called(upstream) == [0]
    assert caller.sent == []


@pytest.mark.parametrize("hook", [False, True])
def test_who_leaves_during_the_second_attempt_is_noticed_too(hook: bool) -> None:
    caller = ask("openai", "asked", hook=hook)
    upstream = Scripted(DOWN, HANG)

    async def main() -> None:
        task = caller.start(FallbackMiddleware(Forward(upstream), targets=boxes(3)))
        await until(lambda: len(upstream.calls) == 2)
        caller.leave()
        await task

    run(main())
    assert called(upstream) == [0, 1]
    assert caller.scope[SLOT].gone


# --- the last word -----------------------------------------------------------------------------------------


@fronts
@streams
def test_the_last_failure_is_told_in_the_callers_format_with_what_was_tried(front: str, stream: bool) -> None:
    answer, _, exchange = served(
        DOWN, failure(Kind.TIMEOUT), refused("openai", Kind.RATE_LIMITED, retry_after_s=9.0), front=front, stream=stream
    )
    assert answer.status == 429
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["retry-after"] == "9"
    assert answer.headers["x-laneway-attempts"] == "3"
    text = answer.body.decode()
    for tried in ("box-0/own-id: connect", "box-1/own-id: timeout", "box-2/own-id: rate_limited"):
        assert tried in text
    assert exchange.failure is not None
    assert exchange.failure.kind is Kind.RATE_LIMITED
    assert exchange.status == 429


def test_a_single_failure_is_told_as_it_is() -> None:
    answer, _, _ = served(DOWN, count=1)
    assert answer.json["error"]["message"] == DOWN.message


def test_without_targets_the_app_inside_decides() -> None:
    caller = ask("openai", "asked")
    answer = run(caller.call(FallbackMiddleware(Forward(Scripted(whole("openai")), target=target()))))
    assert answer.status == 200


# --- an app that is not ours -------------------------------------------------------------------------------


class Odd(Exception):
    """What an app of somebody else's raises."""


def foreign(*behaviours: Any, seen: list[str]) -> App:
    """An app that behaves in turn: a status, an exception, or nothing at all."""
    left = list(behaviours)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope[TARGET].name)
        await receive()
        behaviour = left.pop(0)
        if isinstance(behaviour, Exception):
            raise behaviour
        if behaviour is None:
            return
        status, body = behaviour if isinstance(behaviour, tuple) else (behaviour, f"own words {behaviour}".encode())
        await send({"type": "http.response.start", "status": status, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": body[:5], "more_body": True})
        await send({"type": "http.response.body", "body": body[5:]})
        assert (await receive())["type"] == "http.disconnect", "behind an answer nothing more comes"

    return app


def routed(*behaviours: Any, count: int = 3) -> tuple[Answer, list[str], Exchange]:
    seen: list[str] = []
    caller = ask("openai", "asked")
    answer = run(caller.call(FallbackMiddleware(foreign(*behaviours, seen=seen), targets=boxes(count))))
    return answer, [name.removesuffix("/own-id") for name in seen], caller.scope[SLOT]


@pytest.mark.parametrize("status", sorted(FOREIGN_FAILURES))
def test_some_statuses_of_another_app_try_the_next_target(status: int) -> None:
    once_more = status == 500
    behaviours = [status, *([status] if once_more else []), 200]
    answer, seen, exchange = routed(*behaviours)
    assert (answer.status, answer.body) == (200, b"own words 200")
    assert seen == (["box-0", "box-0", "box-1"] if once_more else ["box-0", "box-1"])
    assert (exchange.status, exchange.failure) == (200, None)


@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 401, 403, 404, 409, 413, 422, 501])
def test_any_other_status_of_another_app_is_the_answer(status: int) -> None:
    answer, seen, exchange = routed(status)
    assert (answer.status, answer.body) == (status, f"own words {status}".encode())
    assert answer.headers["x-own"] == "1"
    assert seen == ["box-0"]
    assert exchange.status == status


def test_when_all_fail_the_last_words_of_another_app_are_its_own() -> None:
    answer, seen, exchange = routed(503, 429, 504)
    assert (answer.status, answer.body) == (504, b"own words 504")
    assert answer.headers["x-own"] == "1"
    assert seen == ["box-0", "box-1", "box-2"]
    assert exchange.status == 504
    assert exchange.failure is not None
    assert (exchange.failure.kind, exchange.failure.provider_status) == (Kind.TIMEOUT, 504)


def test_an_exception_of_another_app_is_a_failed_attempt_and_leaves_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "laneway"):
        answer, seen, _ = routed(Odd("boom"), 200)
    assert answer.status == 200
    assert seen == ["box-0", "box-0"]
    assert [record.exc_info[1].args for record in caplog.records if record.exc_info and record.exc_info[1]] == [
        ("boom",)
    ]


def test_when_the_last_attempt_raises_the_exception_passes() -> None:
    with pytest.raises(Odd, match="third"):
        routed(503, 503, Odd("first"), Odd("third"))


def test_an_app_that_answers_its_own_exception_is_heard_before_it_passes() -> None:
    """As Starlette's server error middleware does: it sends a 500 and raises again."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"Internal Server Error"})
        raise Odd

    caller = ask("openai", "asked")
    with pytest.raises(Odd):
        run(caller.call(FallbackMiddleware(app, targets=boxes(2))))
    assert (caller.answer.status, caller.answer.body) == (500, b"Internal Server Error")


def test_an_app_that_says_nothing_is_a_failure_like_any_other() -> None:
    answer, seen, _ = routed(None, None, 200)
    assert answer.status == 200
    assert seen == ["box-0", "box-0", "box-1"]
    answer, _, _ = routed(None, None, count=1)
    assert answer.status == 502
    assert answer.json["error"]["message"]


def test_a_huge_failure_is_not_kept_but_is_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_HELD", 1000)
    held: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        for number in range(20):
            await send({"type": "http.response.body", "body": b"x" * 100, "more_body": True})
            held.append(number * 100 - sum(len(message.get("body", b"")) for message in caller.sent))
        await send({"type": "http.response.body", "body": b""})

    caller = ask("openai", "asked")
    answer = run(caller.call(FallbackMiddleware(app, targets=boxes(3))))
    assert (answer.status, len(answer.body)) == (503, 2000)
    assert max(held) <= 1000
    assert caller.scope[SLOT].failure.kind is Kind.OVERLOADED


def test_a_stream_of_another_app_passes_while_it_comes() -> None:
    sent_at: list[int] = []
    caller = ask("openai", "asked")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            sent_at.append(len(caller.sent))
        await send({"type": "http.response.body", "body": b""})

    run(caller.call(FallbackMiddleware(app, targets=boxes(3))))
    assert sent_at == [2, 3, 4]


def test_an_exception_behind_the_first_byte_passes_and_nothing_else_is_tried() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append("called")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise Odd

    with pytest.raises(Odd):
        run(ask("openai", "asked").call(FallbackMiddleware(app, targets=boxes(3))))
    assert seen == ["called"]


def test_an_error_of_forwards_own_is_tried_elsewhere_and_raised_when_nothing_is_left() -> None:
    bug = RuntimeError("a bug")
    answer, upstream, _ = served(bug, bug, whole("openai"))
    assert answer.status == 200
    assert called(upstream) == [0, 0, 1]
    with pytest.raises(RuntimeError, match="a bug"):
        served(bug, count=1)


# --- bad input, alone --------------------------------------------------------------------------------------


def test_mounted_alone_it_checks_the_body_before_it_tries_anything() -> None:
    upstream = Scripted(HANG)
    app = FallbackMiddleware(Forward(upstream), targets=boxes(3))
    answer = run(Caller(ASKS["anthropic"][0], b"{").call(app))
    assert answer.status == 400
    assert answer.json["type"] == "error"
    assert upstream.calls == []


def test_a_caller_who_leaves_in_the_body_causes_no_attempt() -> None:
    caller = Caller(ASKS["anthropic"][0], pieces=[b"{"], more=True)
    caller.leave()
    upstream = Scripted(HANG)
    run(caller.call(FallbackMiddleware(Forward(upstream), targets=boxes(3))))
    assert upstream.calls == []
    assert caller.sent == []
    assert caller.scope[SLOT].gone


def test_what_a_failed_attempt_reported_is_paid_for_too() -> None:
    """A provider that read the prompt and broke off before its first word still says what the prompt cost."""
    price = Price(input=1_000_000, output=1_000_000)
    start = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"1","model":"m",'
        b'"usage":{"input_tokens":500,"output_tokens":0}}}\n\n'
    )
    upstream = Scripted(Given([start, failure(Kind.CUT)]), Given([*frames("openai", events("kept"))]))
    caller = ask("openai", "asked", stream=True)
    targets = (target("anthropic", name="box-0", price=price), target(name="box-1", price=price))
    run(caller.call(FallbackMiddleware(Forward(upstream), targets=targets)))
    exchange: Exchange = caller.scope[SLOT]
    assert [attempt.cost_nanos for attempt in exchange.attempts] == [500_000, 120_000]
    assert exchange.cost_nanos() == 620_000
