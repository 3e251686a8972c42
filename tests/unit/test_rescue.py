"""A stream that is saved: who may go on with it and who may not, what the caller reads, what is asked and paid for.

Everything here goes through Fallback and Forward, in front of scripted providers.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from laneway.board import Board
from laneway.chat import (
    ChatRequest,
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
    Started,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolBegan,
    ToolChoice,
    ToolDelta,
    ToolMode,
    Usage,
    Used,
)
from laneway.dialects import FRONTS, Stamp, dialect
from laneway.exchange import SLOT, Exchange
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.middleware.budget import BudgetMiddleware
from laneway.middleware.fallback import FallbackMiddleware
from laneway.policy.budgets import Budget
from laneway.policy.price import usd_to_nanos
from laneway.policy.rescue import begun, told_usage
from laneway.record import attributes
from laneway.route import FREE, HostRules, Lane, Price, Target, Tenant
from laneway.stores.memory import MemoryLedger
from tests.fakes.replies import USED, Given, Script, Scripted, Step, events, failure, frames, refused, target
from tests.harness.asgi import ASKS, Answer, Caller, ask
from tests.harness.loop import run
from tests.harness.streams import heard, words

fronts = pytest.mark.parametrize("front", ASKS)
CUT = failure(Kind.CUT)
TERMINATORS = (b"[DONE]", b"message_stop", b'"done":true', b"response.completed", b"response.incomplete")


def goal(name: str, speaks: str = "openai", *abilities: str, price: Price = FREE) -> Target:
    return msgspec.structs.replace(target(speaks, name=name, price=price), abilities=frozenset(abilities))


def begins(speaks: str, *told: Event, fault: Step = CUT) -> Given:
    """A stream that breaks off behind these events."""
    return Given([*frames(speaks, [Started("up-1", "own-id"), *told], end=False), fault])


def says(speaks: str, *texts: str) -> Given:
    return Given([*frames(speaks, events(*texts))])


class Played:
    """One streamed request, and everything it led to."""

    def __init__(
        self, front: str, targets: tuple[Target, ...], *scripts: Script, rescue: str = "continue", **fields: Any
    ) -> None:
        self.upstream = Scripted(*scripts)
        self.caller = ask(front, "asked", stream=True, **fields)
        self.front = front
        app = FallbackMiddleware(Forward(self.upstream), targets=targets, rescue=rescue)
        self.answer: Answer = run(self.caller.call(app))

    @property
    def exchange(self) -> Exchange:
        return self.caller.scope[SLOT]  # type: ignore[no-any-return]

    @property
    def told(self) -> list[Event]:
        return heard(self.front, self.answer.body)

    @property
    def text(self) -> str:
        return words(self.told)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(call.body) for call in self.upstream.calls]

    def kinds(self) -> list[Kind | None]:
        return [each.failure.kind if each.failure is not None else None for each in self.exchange.attempts]

    def broke_off(self) -> bool:
        """The caller is told a fault, and nothing that could pass for a good end."""
        good = any(isinstance(event, Finished) for event in self.told)
        return isinstance(self.told[-1], Faulted) and not good and not any(it in self.answer.body for it in TERMINATORS)


HALF = (TextDelta("One "), TextDelta("two "))
AGAIN = ("One t", "wo three.")


# --- what the caller reads ---------------------------------------------------------------------------------


@fronts
@pytest.mark.parametrize("first", ["openai", "responses", "anthropic", "ollama", "converse"])
def test_the_caller_reads_one_answer(front: str, first: str) -> None:
    played = Played(
        front, (goal("a", first), goal("b", "openai")), begins(first, *HALF, fault=CUT), says("openai", *AGAIN)
    )
    assert played.text == "One two three."
    assert [type(event) for event in played.told].count(Started) == 1
    assert [type(event) for event in played.told].count(Finished) == 1
    assert played.exchange.failure is None
    assert played.kinds() == [Kind.CUT, None]
    assert played.exchange.attempts[1].resumed == "again"


def test_an_answer_of_two_keeps_its_id_and_date_and_names_who_speaks() -> None:
    first = b'data: {"id":"mine-7","created":5,"model":"small","choices":[{"index":0,"delta":{"content":"One "}}]}\n\n'
    played = Played("openai", (goal("a"), goal("b", "anthropic")), Given([first, CUT]), says("anthropic", "One two."))
    chunks = [json.loads(line[6:]) for line in played.answer.body.split(b"\n\n") if line[6:7] == b"{"]
    assert {(chunk["id"], chunk["created"]) for chunk in chunks} == {("mine-7", 5)}
    assert [chunk["model"] for chunk in chunks][:2] == ["small", "own-id"]
    assert not any("role" in chunk["choices"][0]["delta"] for chunk in chunks)
    assert played.answer.body.endswith(b"data: [DONE]\n\n")


def test_who_does_not_say_his_name_is_named_all_the_same() -> None:
    silent = msgspec.structs.replace(goal("b", "converse"), model="house/spare")
    played = Played("openai", (goal("a"), silent), begins("openai", *HALF), says("converse", *AGAIN))
    chunks = [json.loads(line[6:]) for line in played.answer.body.split(b"\n\n") if line[6:7] == b"{"]
    assert [chunk["model"] for chunk in chunks][-1] == "house/spare"


@fronts
def test_words_and_the_fault_behind_them_may_come_at_once(front: str) -> None:
    half = b"".join(frames("openai", [Started("up-1", "own-id"), *HALF], end=False))
    once = Given([half + b'data: {"error":{"message":"no"}}\n\n'])
    assert Played(front, (goal("a"), goal("b")), once, says("openai", *AGAIN)).text == "One two three."


@pytest.mark.parametrize("front", ["openai", "ollama"])
def test_who_follows_bytes_that_passed_says_what_they_said(front: str) -> None:
    reader = dialect(front).reader(Op.CHAT)
    for piece in frames(front, [Started("up-1", "small"), *HALF], end=False):
        reader.feed(piece)
    writer = dialect(front).writer(Op.CHAT, Stamp(id="r", model="another", now_s=7), usage=False)
    assert writer.follow(reader)
    line = json.loads(writer.write(TextDelta("three")).removeprefix(b"data: "))
    assert line["model"] == "small"
    assert line.get("created", 1_700_000_000) == 1_700_000_000


def test_blocks_of_anthropics_format_are_numbered_on() -> None:
    """Two blocks of text, the second of which stands open: what follows belongs to that one."""
    lines: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 9}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "One "}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "two "}},
    ]
    sent = [f"event: {line['type']}\ndata: {json.dumps(line)}\n\n".encode() for line in lines]
    played = Played("anthropic", (goal("a", "anthropic"), goal("b")), Given([*sent, CUT]), says("openai", *AGAIN))
    told = [json.loads(line[6:]) for line in played.answer.body.split(b"\n") if line[:5] == b"data:"]
    assert [it["index"] for it in told if it["type"] == "content_block_start"] == [0, 1]
    assert [it["index"] for it in told if it["type"] == "content_block_delta"] == [0, 1, 1]
    assert [it["index"] for it in told if it["type"] == "content_block_stop"] == [0, 1]
    assert played.text == "One two three."


def test_more_than_one_target_may_go_on() -> None:
    claude = goal("b", "anthropic", "prefill")
    played = Played(
        "openai",
        (goal("a"), claude, goal("c", "ollama")),
        begins("openai", *HALF),
        begins("anthropic", TextDelta("three, "), fault=failure(Kind.TIMEOUT)),
        says("ollama", "One two three", ", four."),
    )
    assert played.text == "One two three, four."
    assert played.kinds() == [Kind.CUT, Kind.TIMEOUT, None]
    assert [each.resumed for each in played.exchange.attempts] == ["", "prefill", "again"]


def test_of_three_the_caller_is_told_the_usage_of_one_answer() -> None:
    able = (ABLE, goal("c", "openai", "prefill"))
    scripts = (begins("openai", *HALF), begins("anthropic", TextDelta(" three, ")), says("openai", "four."))
    played = Played("openai", (goal("a"), *able), *scripts, stream_options={"include_usage": True})
    assert played.text == "One two three, four."
    usage = next(event.usage for event in played.told if isinstance(event, Used))
    begun_tokens = -(-len("One two three, ") // 4)
    assert (usage.input, usage.output) == (100 - begun_tokens, 20 + begun_tokens)


def test_a_target_that_fails_before_it_comes_to_anything_new_is_passed_over() -> None:
    targets = tuple(goal(name) for name in "abcd")
    scripts = (begins("openai", *HALF), refused("openai", Kind.UPSTREAM_ERROR, 502), failure(Kind.CONNECT))
    played = Played("anthropic", targets, *scripts, says("openai", *AGAIN))
    assert played.text == "One two three."
    assert played.kinds() == [Kind.CUT, Kind.UPSTREAM_ERROR, Kind.CONNECT, None]


# --- the honest end ----------------------------------------------------------------------------------------


@fronts
@pytest.mark.parametrize("said", [("Uno ",), ("One 2",), ("One ",), ("One two", "")], ids=str)
def test_who_says_something_else_is_never_heard(front: str, said: tuple[str, ...]) -> None:
    played = Played(front, (goal("a"), goal("b")), begins("openai", *HALF), says("openai", *said))
    assert played.text == "One two "
    assert played.broke_off()
    assert played.kinds() == [Kind.CUT, Kind.DIVERGED]
    assert played.exchange.failure is not None
    assert played.exchange.failure.kind is Kind.CUT


def test_the_end_tells_what_broke_it_and_what_was_tried() -> None:
    played = Played("openai", (goal("a"), goal("b")), begins("openai", *HALF), failure(Kind.CONNECT))
    assert played.broke_off()
    error = json.loads(played.answer.body.split(b"\n\n")[-2][6:])["error"]
    assert error["code"] == "cut"
    assert "a/own-id: cut; b/own-id: connect" in error["message"]


def test_alone_a_target_is_not_asked_to_mend_what_it_broke() -> None:
    played = Played("openai", (goal("a"),), begins("openai", *HALF, fault=failure(Kind.RESET)))
    assert played.broke_off()
    assert len(played.upstream.calls) == 1


NEVER = {
    "a tool call": (*HALF, ToolBegan(0, "call_1", "look"), ToolDelta(0, "{}")),
    "a signature": (ThinkingDelta("Hm."), ThinkingDelta(signature="c2ln"), TextDelta("One ")),
    "hidden thinking": (ThinkingDelta(redacted="c2Vj"), TextDelta("One ")),
}


@fronts
@pytest.mark.parametrize("told", NEVER.values(), ids=NEVER)
def test_from_some_things_nobody_else_goes_on(front: str, told: tuple[Event, ...]) -> None:
    played = Played(front, (goal("a", "anthropic"), goal("b")), begins("anthropic", *told), says("openai", *AGAIN))
    assert len(played.upstream.calls) == 1
    assert isinstance(played.told[-1], Faulted)
    assert not any(it in played.answer.body for it in TERMINATORS)


def test_nor_from_an_end() -> None:
    """Who says why he stopped has said everything; only the proof of it is missing."""
    played = Played("openai", (goal("a"), goal("b")), begins("openai", *HALF, Finished(Finish.STOP)))
    assert len(played.upstream.calls) == 1
    assert b"[DONE]" not in played.answer.body
    assert b'"error"' in played.answer.body


def test_nor_from_a_tool_that_runs_at_its_provider() -> None:
    lines: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "msg_1", "model": "m"}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "server_tool_use", "id": "s"},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "One "}},
    ]
    sent = [f"event: {line['type']}\ndata: {json.dumps(line)}\n\n".encode() for line in lines]
    played = Played("anthropic", (goal("a", "anthropic"), goal("b")), Given([*sent, CUT]), says("openai", *AGAIN))
    assert len(played.upstream.calls) == 1
    assert played.broke_off()


def test_nor_from_a_refusal() -> None:
    line = b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"refusal":"I cannot "}}]}\n\n'
    played = Played("openai", (goal("a"), goal("b")), Given([line, CUT]), says("openai", "I cannot help."))
    assert len(played.upstream.calls) == 1


@pytest.mark.parametrize("fields", [{"n": 2}, {"logprobs": True}], ids=str)
def test_nor_with_several_answers_or_with_probabilities(fields: dict[str, Any]) -> None:
    played = Played("openai", (goal("a"), goal("b")), begins("openai", *HALF), says("openai", *AGAIN), **fields)
    assert len(played.upstream.calls) == 1
    assert played.broke_off()


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.BAD_REQUEST])
def test_a_refusal_in_the_middle_is_an_answer(kind: Kind) -> None:
    scripts = (begins("openai", *HALF, fault=failure(kind)), says("openai", *AGAIN))
    played = Played("openai", (goal("a"), goal("b")), *scripts)
    assert len(played.upstream.calls) == 1
    assert played.kinds() == [kind]


def test_without_being_asked_nobody_goes_on() -> None:
    targets = (goal("a"), goal("b"))
    played = Played("openai", targets, begins("openai", *HALF), says("openai", *AGAIN), rescue="error")
    assert len(played.upstream.calls) == 1
    assert played.broke_off()


# --- thinking ----------------------------------------------------------------------------------------------


def test_thinking_that_nobody_signed_is_said_again_like_words() -> None:
    targets = (goal("a", "ollama"), goal("b", "ollama", "prefill"))
    told = (ThinkingDelta("Let me "), ThinkingDelta("count. "), TextDelta("One "))
    again: list[Event] = [
        Started("", "m"),
        ThinkingDelta("Let me count. "),
        TextDelta("One two."),
        Finished(Finish.STOP),
    ]
    played = Played("openai", targets, begins("ollama", *told), Given([*frames("ollama", again)]))
    thought = "".join(event.text for event in played.told if isinstance(event, ThinkingDelta))
    assert (thought, played.text) == ("Let me count. ", "One two.")
    # Thinking cannot be given to another model as its own.
    assert played.exchange.attempts[1].resumed == "again"


@pytest.mark.parametrize("abilities", [(), ("prefill",)], ids=["again", "prefill"])
def test_who_thinks_where_the_first_one_did_not_says_something_else(abilities: tuple[str, ...]) -> None:
    again: list[Event] = [Started("", "m"), ThinkingDelta("Hm."), TextDelta("One two three."), Finished(Finish.STOP)]
    targets = (goal("a"), goal("b", "ollama", *abilities))
    played = Played("openai", targets, begins("openai", *HALF), Given([*frames("ollama", again)]))
    assert played.broke_off()
    assert played.kinds() == [Kind.CUT, Kind.DIVERGED]


# --- from the beginning that it is given -------------------------------------------------------------------

HELLO = Message(Role.USER, (Text("Hi"),))
ABLE = goal("b", "anthropic", "prefill")


def asked(**fields: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=(HELLO,), stream=True, **fields)


def test_the_beginning_is_the_last_turn_without_white_space_at_its_end() -> None:
    request = begun(asked(max_tokens=100), "One two \n", ABLE)
    assert request is not None
    assert request.messages == (HELLO, Message(Role.ASSISTANT, (Text("One two"),)))
    # The answer as a whole keeps to its limit.
    assert request.max_tokens == 97


def test_a_beginning_of_the_callers_own_stays_one_text() -> None:
    own = Message(Role.ASSISTANT, (Text("Sure: "),))
    request = begun(msgspec.structs.replace(asked(), messages=(HELLO, own)), "one", ABLE)
    assert request is not None
    assert request.messages[-1] == Message(Role.ASSISTANT, (Text("Sure: one"),))
    picture = Image(url="https://x.test/p.png")
    request = begun(msgspec.structs.replace(asked(), messages=(Message(Role.ASSISTANT, (picture,)),)), "one", ABLE)
    assert request is not None
    assert request.messages[-1].parts == (picture, Text("one"))


def test_the_limit_never_falls_below_one_token() -> None:
    request = begun(asked(max_tokens=2), "a" * 100, ABLE)
    assert request is not None
    assert request.max_tokens == 1


@pytest.mark.parametrize(
    ("request_", "said", "who"),
    [
        (asked(), "One", goal("b")),
        (asked(), "One", target("anthropic")),
        (asked(), " \n", ABLE),
        (asked(reasoning=Reasoning(effort="high")), "One", ABLE),
        (asked(format=Format()), "One", ABLE),
        (asked(tool_choice=ToolChoice(ToolMode.ANY)), "One", ABLE),
    ],
    ids=["cannot", "unknown", "blank", "thinks", "format", "forced"],
)
def test_without_which_it_has_to_be_said_again(request_: ChatRequest, said: str, who: Target) -> None:
    assert begun(request_, said, who) is None


def test_thinking_that_is_switched_off_is_no_thinking() -> None:
    for reasoning in (Reasoning(enabled=False), Reasoning(effort="none")):
        assert begun(asked(reasoning=reasoning), "One", ABLE) is not None


def test_white_space_at_the_seam_is_told_once() -> None:
    for rest in ((" three.",), (" ", "three."), ("three.",)):
        played = Played("openai", (goal("a"), ABLE), begins("openai", *HALF), says("anthropic", *rest))
        assert played.text == "One two three."
        assert played.bodies[1]["messages"][-1] == {"role": "assistant", "content": "One two"}


def test_what_cannot_be_translated_passes_as_it_came_and_is_said_again() -> None:
    able = goal("b", "openai", "prefill")
    played = Played("openai", (goal("a"), able), begins("openai", *HALF), says("openai", *AGAIN), odd_field=1)
    assert played.text == "One two three."
    assert played.exchange.attempts[1].resumed == "again"
    assert played.bodies[1]["odd_field"] == 1


def test_a_target_that_does_not_take_a_beginning_is_no_callers_mistake() -> None:
    targets = (goal("a"), ABLE, goal("c"))
    refusal = refused("anthropic", Kind.BAD_REQUEST, 400)
    played = Played("openai", targets, begins("openai", *HALF), refusal, says("openai", *AGAIN))
    assert played.text == "One two three."
    assert played.kinds() == [Kind.CUT, Kind.BAD_REQUEST, None]


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (Usage(input=110, output=5), Usage(input=100, output=15)),
        (Usage(input=4, output=5), Usage(input=0, output=9)),
        (Usage(input=110, output=5, cache_read=105), Usage(input=105, output=10, cache_read=105)),
        (Usage(input=110), Usage(input=110)),
        (Usage(output=5), Usage(output=5)),
    ],
)
def test_what_was_given_as_a_beginning_is_answer_to_the_caller(usage: Usage, told: Usage) -> None:
    assert told_usage(usage, 40) == told


# --- money, hosts, the record ------------------------------------------------------------------------------

PRICE = Price(input=1_000_000, output=2_000_000)


def test_every_attempt_is_paid_for_and_the_record_says_what_happened() -> None:
    targets = (goal("a", price=PRICE), msgspec.structs.replace(ABLE, price=PRICE))
    played = Played("openai", targets, begins("openai", *HALF), says("anthropic", "three."))
    first, second = played.exchange.attempts
    assert (first.counted, first.usage.output) == (True, 2)
    assert (second.counted, second.usage) == (False, USED)
    outcome = played.exchange.outcome()
    assert outcome.cost_nanos == first.cost_nanos + second.cost_nanos
    row = attributes(outcome)
    assert (row["rescue"], row["awooop.fallback_reason"], row["attempts"]) == ("prefill", "cut", 2)
    assert row["gen_ai.usage.output_tokens"] == 22


def test_what_is_said_again_is_counted_where_nobody_reports_it() -> None:
    targets = (goal("a"), goal("b", price=PRICE))
    again = Given([*frames("openai", [Started("x", "m"), TextDelta("One two three.")], end=False), CUT])
    played = Played("openai", targets, begins("openai", *HALF), again)
    assert played.text == "One two three."
    assert played.exchange.attempts[1].usage.output == 4


def test_what_was_given_as_a_beginning_is_counted_as_prompt() -> None:
    told: list[Event] = [Started("x", "m"), TextDelta("three."), Finished(Finish.STOP)]
    inputs = []
    for half in (HALF, (TextDelta("One two " * 50),)):
        again = Given([*frames("openai", told)])
        targets = (goal("a"), goal("b", "openai", "prefill", price=PRICE))
        played = Played("openai", targets, begins("openai", *half), again)
        attempt = played.exchange.attempts[1]
        assert (attempt.resumed, attempt.counted) == ("prefill", True)
        inputs.append(attempt.usage.input or 0)
    assert inputs[1] - inputs[0] == 98


def test_the_budget_is_asked_before_another_goes_on() -> None:
    upstream = Scripted(begins("anthropic", Used(Usage(input=900, output=1)), *HALF), says("openai", *AGAIN))
    caller = ask("openai", "asked", stream=True, max_tokens=500)
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    exchange.tenant = Tenant(name="t")
    exchange.candidates = (goal("a", "anthropic", price=PRICE), goal("b", price=PRICE))
    app = FallbackMiddleware(Forward(upstream), rescue="continue")
    budget = Budget(name="all", cap_nanos=usd_to_nanos("0.0015"))
    answer = run(caller.call(BudgetMiddleware(app, ledger=MemoryLedger(), budgets=(budget,))))
    assert len(upstream.calls) == 1
    assert exchange.failure is not None
    assert "not called b/own-id" in exchange.failure.message
    assert b"[DONE]" not in answer.body


def test_seats_are_given_back_and_a_host_that_says_something_else_is_well() -> None:
    board = Board({"a": HostRules(slots=1), "b": HostRules(slots=1)})
    for said in (AGAIN, ("Uno",), AGAIN):
        upstream = Scripted(begins("openai", *HALF), says("openai", *said))
        caller = ask("openai", "asked", stream=True)
        app = FallbackMiddleware(Forward(upstream), targets=(goal("a"), goal("b")), board=board, rescue="continue")
        run(caller.call(app))
        assert len(upstream.calls) == 2
    assert board.host("b").breakers.get("own-id") is None or not board.host("b").breakers["own-id"].strikes


def test_saying_something_else_is_no_outage_that_opens_the_last_resort() -> None:
    targets = (goal("a"), goal("b"), goal("paid"))
    lane = Lane(name="l", targets=targets, emergency=frozenset({"paid/own-id"}), rescue="continue")
    upstream = Scripted(begins("openai", *HALF), says("openai", "Uno"), says("openai", *AGAIN))
    caller = ask("openai", "asked", stream=True)
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    exchange.lane, exchange.candidates = lane, targets
    exchange.tenant = Tenant(name="t", daily_nanos=1)
    run(caller.call(FallbackMiddleware(Forward(upstream))))
    assert len(upstream.calls) == 2


def test_no_more_than_so_many_calls_are_made() -> None:
    scripts: list[Script] = [begins("openai", *HALF), *(failure(Kind.CONNECT) for _ in range(9))]
    caller = ask("openai", "asked", stream=True)
    upstream = Scripted(*scripts)
    targets = tuple(goal(f"box-{number}") for number in range(9))
    run(caller.call(FallbackMiddleware(Forward(upstream), targets=targets, most_calls=3, rescue="continue")))
    assert len(upstream.calls) == 3


# --- the old forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["openai", "responses", "anthropic", "ollama"])
@pytest.mark.parametrize(
    ("path", "speaks"), [("/v1/completions", "openai"), ("/api/generate", "ollama"), ("/api/generate", "anthropic")]
)
@pytest.mark.parametrize("abilities", [(), ("prefill",)], ids=["again", "prefill"])
def test_completions_are_saved_too(path: str, speaks: str, second: str, abilities: tuple[str, ...]) -> None:
    front = FRONTS[path]

    def asked(provider: str, *, anew: bool) -> Op:
        """Who speaks the caller's format is asked in the caller's form; whoever is given a beginning, for a chat."""
        return Op.COMPLETE if provider == front.dialect and not anew else Op.CHAT

    first = frames(speaks, [Started("up-1", "own-id"), *HALF], end=False, op=asked(speaks, anew=False))
    later = (" three.",) if abilities else AGAIN
    rest = frames(second, events(*later), op=asked(second, anew=bool(abilities)))
    caller = Caller(path, {"model": "asked", "prompt": "Count.", "stream": True})
    targets = (goal("a", speaks), goal("b", second, *abilities))
    upstream = Scripted(Given([*first, CUT]), Given([*rest]))
    answer = run(caller.call(FallbackMiddleware(Forward(upstream), targets=targets, rescue="continue")))
    told = heard(front.dialect, answer.body, Op.COMPLETE)
    assert words(told) == "One two three."
    assert isinstance(told[-1], Finished | Used)
