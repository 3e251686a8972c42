"""What may follow on what in a run's life, and what a caller may ask for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.chat import Usage
from laneway.failure import Failure, FailureError, Kind
from laneway.policy import runs as policy
from laneway.policy.run_requests import kept_headers, read_order
from laneway.policy.runs import GIVEN_UP, End, as_object
from laneway.ports.runs import ENDED, Move, Run, State, Used
from laneway.route import Attempt, Skipped, Target
from tests.harness.outcomes import SONNET, STUDIO
from tests.harness.running import NOW, a_run, lease

BOX = Target(provider=STUDIO, model="gemma3", upstream="gemma3")
DONE = End(State.SUCCEEDED, 200, used=Used(1, 0, 1, 10), result=b"{}")


def taken(run: Run, owner: str = "one", now_s: float = NOW, most: int = 5) -> Run:
    move = policy.begun(run, lease(owner, now_s), most)
    assert move is not None
    return move.run


# --- states ------------------------------------------------------------------------------------------------


def test_a_run_goes_from_accepted_over_running_to_its_end() -> None:
    running = taken(a_run("a"))
    assert (running.state, running.owner, running.lease_s) == (State.RUNNING, "one", NOW + 30)
    move = policy.ended(running, "one", DONE, (), NOW + 5)
    assert move is not None
    assert (move.run.state, move.run.owner, move.run.ended_s) == (State.SUCCEEDED, "", NOW + 5)
    assert (move.run.used, move.result) == (DONE.used, b"{}")
    (step,) = move.steps
    assert step.kind == "finished"
    assert step.facts == {"state": "succeeded", "status": 200, "cost_usd": "0.00000001"}


def test_a_run_whose_process_ends_each_time_is_given_up() -> None:
    """After so many starts, in words; letting go in good order is no such end."""
    run, now_s = a_run("a"), NOW
    for start in range(3):
        run = taken(run, now_s=now_s, most=3)
        assert run.starts == start + 1
        for _ in range(2):
            back = policy.let_go(run, "one", Used(cost_nanos=5), (), now_s)
            assert back is not None
            run = taken(back.run, now_s=now_s, most=3)
        now_s += 31
    over = taken(run, now_s=now_s, most=3)
    assert (over.state, over.kind, over.used.cost_nanos) == (State.FAILED, GIVEN_UP, 30)
    assert over.reason == "It was begun 3 times, and each time the process that had it ended."


def test_cancelling_what_waits_ends_it_and_what_runs_is_asked_to_end() -> None:
    waiting = policy.cancelled(a_run("a", hook="https://a.test"), NOW)
    assert waiting is not None
    assert (waiting.run.state, waiting.run.hook_state) == (State.CANCELLED, "waiting")
    asked = policy.cancelled(taken(a_run("a")), NOW + 1)
    assert asked is not None
    assert (asked.run.state, asked.run.cancelling) == (State.RUNNING, True)
    assert policy.cancelled(asked.run, NOW + 2) is None
    # Its process is gone: whoever takes it next ends it instead of beginning it again.
    assert taken(asked.run, "two", NOW + 31).state is State.CANCELLED
    let_go = policy.let_go(asked.run, "one", Used(), (), NOW + 3)
    assert let_go is not None
    assert let_go.run.state is State.CANCELLED


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "end", "let_go", "cancel", "note", "die"]),
        st.sampled_from(["one", "two"]),
        st.floats(0, 40),
    ),
    max_size=40,
)


@given(ORDERS)
def test_whatever_happens_a_run_ends_once(orders: list[tuple[str, str, float]]) -> None:
    """Nothing follows on an end; a result is taken only from who has the run; nobody takes what is another's."""
    run, now_s, ends = a_run("a"), NOW, 0
    for what, owner, later_s in orders:
        now_s += later_s
        move: Move | None
        if what == "begin":
            move = policy.begun(run, lease(owner, now_s), 3)
            assert move is None or run.state is State.ACCEPTED or run.lease_s <= now_s
        elif what == "end":
            move = policy.ended(run, owner, DONE, (), now_s)
            assert move is None or run.owner == owner
        elif what == "let_go":
            move = policy.let_go(run, owner, Used(), (), now_s)
            assert move is None or run.owner == owner
        elif what == "cancel":
            move = policy.cancelled(run, now_s)
        else:
            move = None
        if move is None:
            continue
        assert run.state not in ENDED
        assert (move.result is not None) == (what == "end")
        run = move.run
        ended = run.state in ENDED
        ends += ended
        assert (run.ended_s is not None) == ended
        assert sum(step.kind == "finished" for step in move.steps) == ended
        assert (run.owner != "") == (run.state is State.RUNNING)
    assert ends <= 1


# --- steps -------------------------------------------------------------------------------------------------


def test_attempts_and_what_led_to_them_are_steps_without_words_of_theirs() -> None:
    failed = Attempt(
        target=BOX,
        started_s=10.0,
        ended_s=12.5,
        status=503,
        failure=Failure(kind=Kind.OVERLOADED, message="SECRET"),
    )
    served = Attempt(
        target=SONNET, started_s=13.0, ended_s=14.0, status=200, usage=Usage(input=7, output=3), cost_nanos=1000
    )
    full = Skipped(target=BOX, kind="full", reason="SECRET")
    (first,) = policy.attempt_steps(failed, None, (), NOW)
    assert (first.kind, first.at_s) == ("attempt", NOW + 12.5)
    assert (first.facts["failure"], first.facts["took_s"]) == ("overloaded", 2.5)
    steps = policy.attempt_steps(served, failed, (full,), NOW)
    assert [step.kind for step in steps] == ["fallback", "fallback", "attempt"]
    assert steps[0].facts == {"from": BOX.name, "to": SONNET.name, "reason": "overloaded"}
    assert steps[1].facts["reason"] == "full"
    assert steps[2].facts["cost_usd"] == "0.000001"
    assert "SECRET" not in repr((first, *steps))
    # The same target once more is no fallback.
    assert [step.kind for step in policy.attempt_steps(failed, failed, (), NOW)] == ["attempt"]


def test_what_a_run_shows_holds_no_address_in_full() -> None:
    told = as_object(a_run("a", hook="https://a.test:8/bot-TOKEN?x=TOKEN", same="k"))
    assert told["webhook"] == {
        "url": "https://a.test:8",
        "state": "waits for the end",
        "tries": 0,
        "reason": None,
    }
    assert "TOKEN" not in json.dumps(told)
    assert "TOKEN" not in repr(a_run("a", hook="https://a.test/TOKEN"))


# --- what may be asked -------------------------------------------------------------------------------------


def order(body: object, headers: dict[str, str] | None = None, lane: str = "") -> dict[str, object]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = read_order(raw, headers or {}, lane)
    return {**found._asdict(), "body": json.loads(found.body)}


def test_a_prompt_and_messages_are_a_small_conversation() -> None:
    asked = order({"lane": "deep", "prompt": "hi"})
    assert (asked["path"], asked["lane"]) == ("/v1/chat/completions", "deep")
    assert asked["body"] == {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    messages = [{"role": "user", "content": "hi"}]
    assert order({"messages": messages, "model": "m"}, lane="wide")["body"] == {
        "model": "m",
        "messages": messages,
        "stream": False,
    }
    assert order({"messages": messages}, lane="wide")["lane"] == "wide"


@pytest.mark.parametrize(
    ("front", "path"),
    [
        ("", "/v1/chat/completions"),
        ("openai", "/v1/chat/completions"),
        ("anthropic", "/v1/messages"),
        ("ollama", "/api/chat"),
        ("/api/generate", "/api/generate"),
    ],
)
def test_any_front_s_body_is_taken_as_it_is_and_answered_whole(front: str, path: str) -> None:
    request = {"odd": [1.50, {"b": 1, "a": "\u2028"}], "stream": True, "stream_options": {}, "model": "m"}
    asked = order({"request": request, "front": front})
    assert asked["path"] == path
    assert asked["body"] == {"odd": [1.5, {"b": 1, "a": "\u2028"}], "stream": False, "model": "m"}
    assert order({"request": {}, "front": front, "model": "n"})["body"] == {"model": "n", "stream": False}


def test_what_has_no_stream_is_told_nothing_of_it() -> None:
    assert order({"request": {"input": "a"}, "front": "/api/embed"})["body"] == {"input": "a", "model": "auto"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", None),
        (b"[]", None),
        ({}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "a", "messages": []}, "messages"),
        ({"prompt": "a", "request": {}}, "request"),
        ({"prompt": "a", "temperature": 1}, "temperature"),
        ({"prompt": "a", "front": "anthropic"}, "front"),
        ({"request": {}, "front": "/v1/other"}, "front"),
        ({"request": {}, "front": "/v1/messages/count_tokens"}, "front"),
        ({"request": 5}, "request"),
        ({"request": {"model": "a"}, "model": "b"}, "model"),
        ({"prompt": "a", "idempotency_key": "k" * 256}, "idempotency_key"),
        ({"prompt": "a", "idempotency_key": "a\nb"}, "idempotency_key"),
        ({"prompt": "a", "idempotency_key": "other"}, "idempotency_key"),
        ({"prompt": "a", "webhook": 5}, "webhook"),
        ({"prompt": "a", "webhook": {"address": "x"}}, "webhook.address"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_place(body: object, field: str | None) -> None:
    headers = {"idempotency-key": "k"} if isinstance(body, dict) and body.get("idempotency_key") == "other" else {}
    with pytest.raises(FailureError) as caught:
        order(body, headers)
    assert caught.value.failure.status == 400
    assert caught.value.failure.field == field


def test_the_print_tells_a_repetition_from_something_else() -> None:
    """Spaces, the order of keys and the key itself do not count; a word, a lane and an address do."""
    first = order(b'{"prompt": "a", "lane": "x", "idempotency_key": "k"}')
    assert first["same"] == "k"
    assert order(b'{"lane":"x","prompt":"a"}', {"idempotency-key": "j"})["print"] == first["print"]
    assert order(b'{"prompt":"a"}', lane="x")["print"] == first["print"]
    for other in ({"prompt": "b", "lane": "x"}, {"prompt": "a"}, {"prompt": "a", "lane": "x", "webhook": "https://a"}):
        assert order(other)["print"] != first["print"]


def test_only_headers_that_belong_to_the_request_are_kept() -> None:
    said = [
        ("authorization", "Bearer K"),
        ("x-api-key", "K"),
        ("cookie", "K"),
        ("x-laneway-trace", "t"),
        ("x-awooop-project-id", "p"),
        ("anthropic-version", "1"),
        ("traceparent", "00"),
    ]
    kept = kept_headers(said, ["X-Laneway-", "x-awooop-"])
    assert [name for name, _ in kept] == ["x-laneway-trace", "x-awooop-project-id", "anthropic-version", "traceparent"]
    assert [name for name, _ in kept_headers(said, [""])] == ["anthropic-version", "traceparent"]
    named = [("x-awooop-lane", "other"), ("x-laneway-lane", "another"), ("x-laneway-trace", "t")]
    assert kept_headers(named, ["X-Laneway-", "x-awooop-"], "deep") == (
        ("x-laneway-trace", "t"),
        ("x-laneway-lane", "deep"),
    )
