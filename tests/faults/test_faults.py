"""Every fault at every front, streamed and whole, alone and with a healthy target behind it; and proof that the suite
can fail."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from laneway import relay
from laneway.attempt import Running
from laneway.chat import Finish, Finished, Usage
from laneway.dialects import View
from laneway.edge import Send
from laneway.failure import Failure, FailureError
from laneway.forward import Forward
from laneway.middleware.fallback import FallbackMiddleware
from laneway.policy import failover
from laneway.relay import Relay
from tests.faults.judge import complaints
from tests.faults.play import LIMIT_S, Seen, play
from tests.faults.table import CELLS, FRONTS, MANNERS, RESCUES, ROWS, SAMPLE, Cell
from tests.harness.loop import run


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    return run(play(SAMPLE, tmp_path_factory.mktemp("faults")), limit_s=LIMIT_S)


@pytest.mark.parametrize("cell", SAMPLE, ids=[cell.name for cell in SAMPLE])
def test_the_promises_hold(seen: dict[str, Seen], cell: Cell) -> None:
    """The caller hears the truth, the provider is called as often as it should be, and what was used is billed."""
    assert complaints(cell, seen[cell.name]) == []


def test_there_are_sixteen_faults_at_least_at_every_front() -> None:
    assert len({row.name for row in ROWS}) >= 16
    for front in FRONTS:
        for stream in (True, False):
            for beside in (True, False):
                for rescue in RESCUES if stream else RESCUES[:1]:
                    wanted = (front, stream, beside, rescue)
                    found = {
                        cell.row.name for cell in CELLS if (cell.front, cell.stream, cell.beside, cell.rescue) == wanted
                    }
                    assert found == {row.name for row in ROWS}


def test_every_way_to_go_on_is_played_between_all_formats() -> None:
    """`make faults` plays the whole product."""
    for cells in (SAMPLE, CELLS):
        ways = {(cell.front, cell.healthy, cell.manner) for cell in cells if cell.resumed}
        assert ways == set(product(FRONTS, FRONTS, MANNERS))
        speakers = {(cell.front, cell.speaks == cell.front) for cell in cells if cell.resumed}
        assert speakers == set(product(FRONTS, (True, False)))


# --- the suite finds what is broken ------------------------------------------------------------------------


def complained(
    folder: Path, *names: str, beside: bool = False, rescue: str = RESCUES[0]
) -> list[tuple[Cell, list[str]]]:
    """What is said of these faults, with one build."""
    cells = [cell for cell in SAMPLE if cell.row.name in names and (cell.beside, cell.rescue) == (beside, rescue)]
    seen = run(play(cells, folder), limit_s=LIMIT_S)
    return [(cell, complaints(cell, seen[cell.name])) for cell in cells]


def test_a_success_terminator_after_a_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run_to_a_good_end(self: Relay, held: bytes, send: Send, between_chunks_s: float) -> Failure | None:
        out = held
        while not self._over and self._fault is None:
            await send({"type": "http.response.body", "body": out, "more_body": True})
            try:
                out = self._take(await self._reply.read(between_chunks_s))
            except FailureError:
                break
        out = self._writer.write(Finished(Finish.STOP)) + self._writer.end()
        await send({"type": "http.response.body", "body": out, "more_body": False})
        return None

    monkeypatch.setattr(relay.Relay, "run", run_to_a_good_end)
    for cell, said in complained(tmp_path, "cut in the middle", "stall in the middle", "200 with an error inside"):
        presented = "a broken answer is presented as a whole one" in said
        assert presented == cell.stream, (cell.name, said)


def test_a_fault_that_nobody_is_told_of_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Relay):
        async def run(self, held: bytes, send: Send, between_chunks_s: float) -> Failure | None:
            await send({"type": "http.response.body", "body": held, "more_body": False})
            return None

    monkeypatch.setattr("laneway.forward.Relay", Silent)
    for cell, said in complained(tmp_path, "cut in the middle", "finish missing, closed cleanly"):
        assert bool(said) == cell.stream, (cell.name, said)


def test_a_target_that_is_not_replaced_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = FallbackMiddleware.__init__.__kwdefaults__ or {}
    monkeypatch.setattr(FallbackMiddleware.__init__, "__kwdefaults__", {**usual, "most_calls": 1})
    for cell, said in complained(tmp_path, "connection refused", "503, then well", "HTML", beside=True):
        assert "calls of the healthy target: 0, not 1" in said, cell.name


def test_a_refusal_that_is_routed_around_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: failover.Course, failure: Failure, **_: object) -> None:
        self.failed[self.left.pop(0).name] = failure

    monkeypatch.setattr(failover.Course, "fail", fail)
    for cell, said in complained(tmp_path, "policy refusal", beside=True):
        assert "calls of the healthy target: 1, not 0" in said, cell.name


def test_what_is_not_billed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: Running, view: View | None, failure: Failure | None) -> tuple[Usage, bool]:
        return Usage(), False

    monkeypatch.setattr(Running, "_used", nothing)
    for cell, said in complained(tmp_path, "wrong content type", "cut in the middle"):
        # Nothing is owed for an answer of which nothing was passed on.
        owed = cell.stream or cell.row.name == "wrong content type"
        assert bool(said) == owed, (cell.name, said)


def test_a_connection_that_is_kept_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, kept = Forward._serve, []

    async def keep(self: Forward, exchange: object, running: Running, *rest: object) -> object:
        try:
            return await inner(self, exchange, running, *rest)  # type: ignore[arg-type]
        finally:
            kept.append(running.reply)
            running.reply = None

    monkeypatch.setattr("tests.faults.play.CLOSED_S", 0.2)
    monkeypatch.setattr(Forward, "_serve", keep)
    for cell, said in complained(tmp_path, "200 with an error inside"):
        assert ("connections left open: 1, not 0" in said) == cell.stream, (cell.name, said)


IN_THE_MIDDLE = [row.name for row in ROWS if row.streamed.text]


@pytest.mark.parametrize("rescue", RESCUES[1:])
def test_a_rescue_that_is_switched_off_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rescue: str) -> None:
    monkeypatch.setattr("laneway.middleware.fallback.way", lambda mode, view: RESCUES[0])
    found = complained(tmp_path, *IN_THE_MIDDLE, beside=True, rescue=rescue)
    assert len(found) >= len(IN_THE_MIDDLE) * len(FRONTS)
    for cell, said in found:
        assert "calls of the healthy target: 0, not 1" in said, cell.name
