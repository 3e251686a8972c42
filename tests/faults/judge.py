"""What is wrong with what a cell led to, in sentences.

Owns: the promises: what the caller hears, what the provider sees, what is billed, and that it all ends. Refuses: to
stop at the first complaint, and to know how the gateway comes to its answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from laneway.chat import Usage
from laneway.failure import Kind
from laneway.guard import COMMENT
from laneway.policy.price import nanos_to_usd
from laneway.record import attributes
from laneway.route import Attempt
from tests.faults.play import HEALTHY, PRICE, Answered, Seen
from tests.faults.speech import BEGUN, FULL, INPUT, OUTPUT, SECRET, Heard
from tests.faults.table import SHAPES, WHOLE, Cell, Told


def complaints(cell: Cell, seen: Seen) -> list[str]:
    """Nothing, where every promise was kept."""
    if seen.answered is None:
        return ["the answer did not end"]
    return [*_caller(cell, seen), *_provider(cell, seen), *_record(cell, seen), *_again(cell, seen)]


# --- the caller --------------------------------------------------------------------------------------------


def _caller(cell: Cell, seen: Seen) -> Iterator[str]:
    answered = seen.answered
    assert answered is not None
    told = WHOLE if cell.routed else cell.told
    if not answered.whole:
        yield "the caller's connection was cut"
    if SECRET.encode() in answered.body:
        yield "the caller was shown what the provider says of itself"
    try:
        heard = answered.heard(cell)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"the caller cannot read {answered.body!r}: {error!r}"
        return
    if cell.continued:
        yield from _continued(cell, answered, heard)
    elif told.kind is None:
        yield from _whole(cell, answered, heard, f"{HEALTHY}-{cell.name}" if cell.routed else cell.name)
    elif told.silent and COMMENT in answered.body:
        # The head of a held stream was out, so that its failure is told in it.
        yield from _broken(cell, told, answered, heard)
    elif told.silent:
        yield from _refused(cell, told.kind, answered, heard)
    else:
        yield from _broken(cell, told, answered, heard)


def _whole(cell: Cell, answered: Answered, heard: Heard, model: str | None, *, again: bool = False) -> Iterator[str]:
    yield from _complete(cell, answered, heard)
    yield from _differ("model", heard.models, {model})
    if COMMENT in answered.body:
        # When its head went out, nobody knew yet who would answer.
        model = None
    yield from _differ("X-Laneway-Model", answered.headers.get("x-laneway-model"), model)
    if not again and model is not None:
        calls = str(_tries(cell) + cell.routed)
        yield from _differ("X-Laneway-Attempts", answered.headers.get("x-laneway-attempts"), calls)


def _continued(cell: Cell, answered: Answered, heard: Heard) -> Iterator[str]:
    """One answer of two: the head is the first one's, and from where it broke off the second one speaks."""
    yield from _complete(cell, answered, heard)
    healthy = f"{HEALTHY}-{cell.name}"
    # Anthropic's format names the model once, before anything is said.
    yield from _differ("models", heard.models, {cell.name} if cell.front == "anthropic" else {cell.name, healthy})
    yield from _differ("X-Laneway-Model", answered.headers.get("x-laneway-model"), cell.name)
    yield from _differ("X-Laneway-Attempts", answered.headers.get("x-laneway-attempts"), "1")
    if cell.front != "openai":
        # What was given to the second one as a beginning is a part of the answer to the caller.
        moved = _tokens(BEGUN) if cell.manner == "prefill" else 0
        yield from _differ("told usage", heard.usage, (INPUT - moved, OUTPUT + moved))


def _complete(cell: Cell, answered: Answered, heard: Heard) -> Iterator[str]:
    kind = "application/json"
    if cell.stream:
        kind = "application/x-ndjson" if cell.front == "ollama" else "text/event-stream"
    yield from _differ("status", answered.status, 200)
    yield from _differ("content type", answered.headers.get("content-type", "").partition(";")[0], kind)
    yield from _differ("text", heard.text, FULL)
    yield from _differ("error", heard.error, None)
    yield from _differ("beginnings of an answer", heard.starts, 1)
    yield from _differ("ids of the answer", len(heard.ids), int(cell.front != "ollama"))
    if not heard.ordered:
        yield f"the blocks of the answer are in disorder: {answered.body!r}"
    if not heard.ended or not heard.finish:
        yield f"a whole answer is not said to be whole: {answered.body!r}"


def _refused(cell: Cell, kind: Kind, answered: Answered, heard: Heard) -> Iterator[str]:
    status, word = getattr(SHAPES[kind], cell.front)
    yield from _differ("status", answered.status, status)
    yield from _differ("content type", answered.headers.get("content-type"), "application/json")
    yield from _differ("Retry-After", answered.headers.get("retry-after"), cell.row.retry_after)
    yield from _differ("text", heard.text, "")
    yield from _error(cell, word, heard)
    if _tries(cell) > 1 and str(heard.error).count(f"{cell.name}: {kind.value}") != _tries(cell):
        yield f"the attempts are not listed in {heard.error!r}"


def _broken(cell: Cell, told: Told, answered: Answered, heard: Heard) -> Iterator[str]:
    assert told.kind is not None
    yield from _differ("status", answered.status, 200)
    yield from _differ("text", heard.text, told.text)
    yield from _differ("model", heard.models, {cell.name} if told.text else set())
    yield from _differ("finish", heard.finish, None)
    yield from _differ("events after the error", heard.after_error, 0)
    yield from _error(cell, getattr(SHAPES[told.kind], cell.front)[1], heard)
    if heard.ended:
        yield "a broken answer is presented as a whole one"


def _error(cell: Cell, word: str, heard: Heard) -> Iterator[str]:
    """In the front's own shape, with words for a person."""
    if heard.ended or heard.finish:
        yield "an error is presented as an answer"
    said = heard.error
    if cell.front == "ollama":
        if not isinstance(said, str) or not said:
            yield f"an error is {said!r}, not a sentence"
    elif not isinstance(said, dict) or not said.get("message"):
        yield f"an error is {said!r}, without a message"
    else:
        yield from _differ("error type", said.get("type"), word)


# --- the provider, the record, the next request ------------------------------------------------------------


def _provider(cell: Cell, seen: Seen) -> Iterator[str]:
    yield from _differ("calls", seen.calls, cell.calls)
    yield from _differ("calls of the healthy target", seen.healthy_calls, int(cell.routed or cell.resumed))
    # White space at its end would be refused.
    begun = BEGUN.rstrip() if cell.manner == "prefill" else ""
    yield from _differ("the beginning that the healthy target was given", seen.healthy_begun, begun)
    yield from _differ("connections left open", seen.left_open, 0)


def _record(cell: Cell, seen: Seen) -> Iterator[str]:
    outcome = seen.outcome
    if outcome is None or seen.answered is None:
        yield "there is no record"
        return
    told = cell.told
    kinds = [each.failure.kind if each.failure is not None else None for each in outcome.attempts]
    tries = _tries(cell)
    if told.kind is None:
        expected = [kinds[0] if tries > 1 else None, None][2 - tries :]
    else:
        expected = [told.kind] * tries + [None] * (cell.routed or cell.continued)
        if cell.resumed and not cell.continued:
            expected.append(Kind.DIVERGED)
    yield from _differ("attempts", [_plain(cell, kind) for kind in kinds], expected)
    yield from _differ("recorded status", outcome.status, seen.answered.status)
    good = cell.routed or cell.continued or told.kind is None
    yield from _differ("served", outcome.served is not None, good)
    wanted = None if good else told.kind
    failure = outcome.failure.kind if outcome.failure is not None else None
    yield from _differ("recorded failure", _plain(cell, failure), wanted)
    for attempt in outcome.attempts:
        failed = attempt.failure
        if failed is not None and failed.kind is Kind.TIMEOUT and failed.clock not in cell.row.clocks:
            yield f"ended by the clock {failed.clock}, not by one of {list(cell.row.clocks)}"
    yield from _bill(cell, seen)
    row = attributes(outcome)
    yield from _differ("recorded attempts", row["attempts"], tries + (cell.routed or cell.resumed))
    how = {"prefill": "prefill", "again": "again"}.get(cell.manner)
    yield from _differ("recorded rescue", row["rescue"], how)
    if cell.continued:
        yield from _differ("recorded reason", row["awooop.fallback_reason"], told.kind)
    yield from _differ("recorded tokens", row["gen_ai.usage.output_tokens"] or 0, _output(outcome.attempts))
    yield from _differ("recorded cost", row["awooop.cost_usd"], nanos_to_usd(outcome.cost_nanos))


def _bill(cell: Cell, seen: Seen) -> Iterator[str]:
    outcome = seen.outcome
    assert outcome is not None
    told = cell.told
    for attempt in outcome.attempts:
        usage = attempt.usage
        if attempt.failure is None:
            yield from _differ("usage of a whole answer", (usage.input, usage.output), (INPUT, OUTPUT))
        elif attempt.failure.kind is Kind.DIVERGED:
            # It says so itself, and then nobody need count; else what it has said again, up to where it left the way.
            if not usage.input or not usage.output:
                yield f"what was said in vain is not counted: {usage}"
        elif told.text or (cell.rescue == "hold" and cell.begins):
            yield from _differ("words counted", (attempt.counted, usage.output), (True, _tokens(BEGUN)))
            if not usage.input:
                yield "the prompt of a broken answer is not counted"
        else:
            reported = cell.row.reported.get(cell.speaks) if cell.stream else None
            yield from _differ("prompt billed", usage.input, reported)
        yield from _differ("cost of an attempt", attempt.cost_nanos, _nanos(usage))
    yield from _differ("cost", outcome.cost_nanos, sum(attempt.cost_nanos for attempt in outcome.attempts))


def _again(cell: Cell, seen: Seen) -> Iterator[str]:
    if not cell.row.recovers or not cell.beside:
        return
    if seen.again is None:
        yield "the next answer did not end"
        return
    yield from _whole(cell, seen.again, seen.again.heard(cell), cell.name, again=True)
    yield from _differ("calls after the next request", seen.calls_again, cell.calls + 1)


# --- figures -----------------------------------------------------------------------------------------------


def _differ(what: str, found: object, wanted: object) -> Iterator[str]:
    if found != wanted:
        yield f"{what}: {found!r}, not {wanted!r}"


def _tries(cell: Cell) -> int:
    """Attempts at the failing target, also at a place where nobody counts them."""
    return max(cell.calls, 1)


def _tokens(text: str) -> int:
    """As they are counted where nobody reports them."""
    return -(-len(text) // 4)


def _plain(cell: Cell, kind: Kind | None) -> Kind | None:
    # Only OpenAI's formats have a word for a refusal on policy: in the others it is any refused request.
    return Kind.REFUSED if kind is Kind.BAD_REQUEST and cell.speaks not in ("openai", "responses") else kind


def _nanos(usage: Usage) -> int:
    return 1000 * ((usage.input or 0) * PRICE["input"] + (usage.output or 0) * PRICE["output"])


def _output(attempts: Sequence[Attempt]) -> int:
    return sum(attempt.usage.output or 0 for attempt in attempts)
