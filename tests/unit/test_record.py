"""The record: one flat row per request with every attribute there, and Observe, which writes it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest

from laneway.chat import Finish, Usage
from laneway.exchange import SLOT
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.observe import ObserveMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.record import added, attributes
from laneway.route import Lane
from laneway.stores.memory import MemoryJournal
from tests.fakes.replies import HANG, Given, Script, Scripted, events, failure, frames, target, whole
from tests.harness.asgi import Caller, ask
from tests.harness.loop import run
from tests.harness.outcomes import SONNET, outcome

NAMES = {
    "request_id",
    "at_s",
    "elapsed_ms",
    "front",
    "op",
    "tenant",
    "key_id",
    "trace",
    "intent",
    "stream",
    "status",
    "failure",
    "caller_gone",
    "decided_by",
    "attempts",
    "finish",
    "first_content_ms",
    "rescue",
    "config",
    "awooop.project_id",
    "awooop.lane",
    "awooop.provider_tier",
    "awooop.endpoint",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "awooop.fallback_reason",
    "awooop.cost_usd",
}


def test_a_served_request_as_a_row() -> None:
    row = attributes(outcome())
    assert set(row) >= NAMES
    assert row["awooop.endpoint"] == "studio"
    assert row["gen_ai.request.model"] == "sonnet"
    assert row["gen_ai.response.model"] == "sonnet-4"
    assert (row["gen_ai.usage.input_tokens"], row["gen_ai.usage.output_tokens"]) == (100, 20)
    assert row["awooop.cost_usd"] == "0.0006"
    assert (row["elapsed_ms"], row["first_content_ms"]) == (1250.0, 250.0)
    assert row["finish"] == "stop"
    assert row["awooop.fallback_reason"] is None


def test_every_attribute_is_there_when_nothing_is_known() -> None:
    row = attributes(
        outcome(attempts=(), decision=None, lane=None, project=None, trace=None, key_id=None, cost_nanos=0)
    )
    assert set(row) == set(attributes(outcome()))
    absent = {name for name, value in row.items() if value is None}
    assert {"awooop.lane", "awooop.endpoint", "gen_ai.usage.input_tokens", "finish", "decided_by"} <= absent


def test_the_prefix_can_be_ones_own() -> None:
    assert attributes(outcome(), "acme")["acme.lane"] == "local-fast"


def test_usage_and_cost_are_those_of_all_attempts() -> None:
    first = msgspec.structs.replace(
        outcome().attempts[0], failure=failure(Kind.CUT), usage=Usage(input=500), finish=None
    )
    row = attributes(outcome(attempts=(first, outcome().attempts[0]), cost_nanos=700))
    assert row["attempts"] == 2
    assert row["awooop.fallback_reason"] == "cut"
    assert (row["gen_ai.usage.input_tokens"], row["gen_ai.usage.output_tokens"]) == (600, 20)
    assert row["finish"] == "stop"


def test_unknown_and_known_make_known() -> None:
    assert added(Usage(input=1), Usage(output=2)) == Usage(input=1, output=2)
    assert added(Usage(), Usage()) == Usage()
    assert added(Usage(input=1, cache_read=2), Usage(input=3, cache_read=4)) == Usage(input=4, cache_read=6)


# --- observe -----------------------------------------------------------------------------------------------


class Watched:
    """A small stack under Observe, its rows and its lines in the log."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.journal = MemoryJournal()
        self.caplog = caplog

    def serve(self, caller: Caller, *scripts: Script, leaves: bool = False) -> dict[str, Any]:
        targets = (target(name="one"), target(name="two"))
        app = RouterMiddleware(FallbackMiddleware(Forward(Scripted(*scripts))))
        stack = ObserveMiddleware(
            LaneMiddleware(app, lanes=[Lane(name="asked", targets=targets)]), journal=self.journal, version="v7"
        )

        async def main() -> dict[str, Any]:
            task = caller.start(stack)
            if leaves:
                await caller.until(2)
                caller.leave()
            await task
            (row,) = await self.journal.recent(9, {})
            return dict(row)

        with self.caplog.at_level(logging.DEBUG, "laneway"):
            return run(main())

    @property
    def lines(self) -> list[tuple[str, str]]:
        return [(record.levelname, record.getMessage()) for record in self.caplog.records]


@pytest.fixture
def watched(caplog: pytest.LogCaptureFixture) -> Watched:
    return Watched(caplog)


def test_a_success_is_a_row_and_no_line(watched: Watched) -> None:
    row = watched.serve(ask("openai", "asked"), whole("openai"))
    assert (row["status"], row["failure"], row["config"]) == (200, None, "v7")
    assert (row["awooop.lane"], row["decided_by"], row["finish"]) == ("asked", "order", Finish.STOP.value)
    assert watched.lines == []


def test_a_recovered_failure_is_a_row_that_says_so_and_no_line(watched: Watched) -> None:
    row = watched.serve(ask("openai", "asked"), failure(Kind.CONNECT), whole("openai"))
    assert (row["status"], row["failure"], row["awooop.fallback_reason"], row["attempts"]) == (200, None, "connect", 2)
    assert row["awooop.endpoint"] == "two"
    assert watched.lines == []


def test_a_failure_is_one_line_without_a_word_of_the_prompt(watched: Watched) -> None:
    row = watched.serve(ask("openai", "asked"), failure(Kind.OVERLOADED))
    assert (row["status"], row["failure"]) == (503, "overloaded")
    ((level, line),) = watched.lines
    assert level == "WARNING"
    assert "openai 503 lane=asked tenant=default attempts=3 failure=overloaded" in line
    assert "7*8" not in line


def test_a_callers_mistake_is_one_quiet_line(watched: Watched) -> None:
    row = watched.serve(Caller("/v1/messages", b"{"), HANG)
    assert (row["status"], row["failure"], row["attempts"]) == (400, "malformed_request", 0)
    ((level, line),) = watched.lines
    assert level == "INFO"
    assert "anthropic 400" in line


def test_a_stream_that_broke_off_is_one_line_though_its_status_was_200(watched: Watched) -> None:
    cut = Given([*frames("openai", events("a", usage=None, finish=False), end=False), failure(Kind.CUT)])
    row = watched.serve(ask("openai", "asked", stream=True), cut)
    assert (row["status"], row["failure"], row["finish"]) == (200, "cut", None)
    ((level, line),) = watched.lines
    assert level == "WARNING"
    assert "openai 200 lane=asked tenant=default attempts=1 failure=cut" in line


def test_who_left_is_recorded_with_what_came(watched: Watched) -> None:
    pieces = frames("openai", events("a", usage=None, finish=False), end=False)
    row = watched.serve(ask("openai", "asked", stream=True), Given([*pieces, HANG]), leaves=True)
    assert (row["status"], row["failure"], row["caller_gone"]) == (200, "caller_gone", True)
    assert row["gen_ai.usage.output_tokens"] == 1
    assert [level for level, _ in watched.lines] == ["INFO"]


def test_who_left_in_the_body_is_recorded_too(watched: Watched) -> None:
    caller = Caller("/v1/messages", pieces=[b"{"], more=True)
    caller.leave()
    row = watched.serve(caller, HANG)
    assert (row["status"], row["failure"], row["caller_gone"]) == (499, "caller_gone", True)
    assert len(watched.lines) == 1
    assert caller.sent == []


def test_an_error_of_our_own_is_a_500_in_the_callers_shape_and_one_line(watched: Watched) -> None:
    row = watched.serve(ask("anthropic", "asked"), RuntimeError("secret prompt"))
    assert (row["status"], row["failure"]) == (500, "internal")
    errors = [record for record in watched.caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert row["request_id"] in errors[0].getMessage()


def test_an_error_of_our_own_is_told_without_a_trace(caplog: pytest.LogCaptureFixture) -> None:
    app = ObserveMiddleware(Forward(Scripted(RuntimeError("secret prompt")), target=target()))
    for front in ("openai", "responses", "anthropic", "ollama"):
        answer = run(ask(front, "asked").call(app))
        assert answer.status == 500
        assert b"secret" not in answer.body
        assert b"Traceback" not in answer.body
        assert b"its log says why" in answer.body
    lines = [record for record in caplog.records if record.name == "laneway"]
    assert [record.levelname for record in lines] == ["ERROR"] * 4, "one line for each, and in it the trace"
    assert all(record.exc_info for record in lines)


def test_an_error_behind_the_first_byte_breaks_the_connection() -> None:
    """Only that tells a caller that the answer is not whole."""
    pieces = frames("openai", events("a", usage=None, finish=False), end=False)
    app = ObserveMiddleware(Forward(Scripted(Given([*pieces, RuntimeError("bug")])), target=target()))
    caller = ask("openai", "asked", stream=True)
    with pytest.raises(RuntimeError):
        run(caller.call(app))
    assert not caller.finished
    assert not caller.broken


def test_a_stopped_request_is_recorded() -> None:
    journal = MemoryJournal()
    upstream = Scripted(HANG)
    app = ObserveMiddleware(Forward(upstream, target=target()), journal=journal)
    caller = ask("openai", "asked")

    async def main() -> None:
        task = caller.start(app)
        await upstream.opened.wait()
        assert app.metrics.in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert app.metrics.in_flight == 0
        assert len(await journal.recent(9, {})) == 1

    run(main())
    assert caller.scope[SLOT].attempts[0].failure.kind is Kind.STOPPING


def test_rows_name_the_target_of_the_last_attempt() -> None:
    failed = msgspec.structs.replace(outcome().attempts[0], failure=failure(Kind.CONNECT))
    row = attributes(outcome(attempts=(failed,), status=502, failure=failure(Kind.CONNECT)))
    assert row["awooop.endpoint"] == SONNET.provider.name
    assert row["gen_ai.response.model"] is None
