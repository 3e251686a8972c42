"""The stage in force: what the file says, what was ordered since, and what gates make of figures. The clock is told."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from laneway.failure import FailureError, Kind
from laneway.gates import LEGACY
from laneway.policy.stages import Gates, Promotion, Rollback, words
from laneway.ports import STAGED, Choice, ShadowRow
from laneway.route import FREE, Stage, Tier
from laneway.staging import Staging
from laneway.store import Store
from tests.harness.layouts import layout, problems
from tests.harness.scenes import play
from tests.harness.sqlite import NOW

BOX = "[providers.box]\nurl = 'http://10.0.0.1/v1'\nmodels = ['small']\n"
LANE = BOX + "[lanes.fast]\ntargets = ['box/small']\n"
GATED = (
    LANE
    + "stage = 'shadow'\n"
    + "[lanes.fast.promotion]\nafter = 10\nagreement = 0.9\nsteps = [0.2, 0.5]\nhold = 60\nrest = 1000\n"
    + "[lanes.fast.rollback]\nwindow = 100\nleast = 5\nfailure_share = 0.3\npaid = 2\n"
)


class Process:
    """One process's staging over a store, and its clock."""

    def __init__(self, store: Store, text: str = GATED) -> None:
        self.now_s = NOW
        self.store = store
        self.layout = layout(text)
        self.staging = Staging(store.standings, store.shadows, self.layout, clock=lambda: self.now_s)

    def said(self) -> str:
        now = self.staging.of(self.layout.lanes["fast"])
        return words(now.stage, now.share)

    def keep(self, count: int, **fields: Any) -> None:
        for _ in range(count):
            self.store.shadows.keep(ShadowRow(request_id="r", at_s=self.now_s, lane="fast", stage="any", **fields))

    def agree(self, count: int, *kinds: str) -> None:
        same = Choice(host="box")
        self.keep(count, decided=same, legacy=same, compared=True, kinds=kinds)

    def serve(self, count: int, **fields: Any) -> None:
        self.keep(count, executed=True, decided=Choice(host="box", latency_ms=10.0), **fields)

    async def after(self, seconds: float) -> str:
        self.now_s += seconds
        await self.staging.judge()
        return self.said()


# --- what is written ---------------------------------------------------------------------------------------


def test_a_lane_names_its_legacy_path_and_else_takes_the_servers() -> None:
    made = layout(
        "[server]\nlegacy = 'https://old.example.com/api/v1'\n" + LANE + "[lanes.own]\ntargets = ['box/small']\n"
        "legacy = 'box/small'\nstage = 'canary'\nshare = 0.25\n"
    )
    fast, own = made.lanes["fast"], made.lanes["own"]
    assert fast.legacy is not None
    assert own.legacy is not None
    assert (fast.legacy.provider.name, fast.legacy.provider.origin) == (LEGACY, "https://old.example.com")
    assert (fast.legacy.provider.path, fast.legacy.upstream, fast.legacy.price) == ("/api/v1", "", None)
    assert (own.legacy.name, own.stage, own.share) == ("box/small", Stage.CANARY, 0.25)


def test_a_legacy_path_of_ones_own_is_known_to_be_free() -> None:
    legacy = layout(LANE + "legacy = 'http://192.168.0.111:11434'\n").lanes["fast"].legacy
    assert legacy is not None
    assert (legacy.provider.tier, legacy.price) == (Tier.LOCAL, FREE)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("legacy = 'ftp://old'", "lanes.fast.legacy: expected an http:// or https:// address with a host"),
        ("legacy = 'http://u:p@old'", "lanes.fast.legacy: must not hold a user or password; use api_key or headers"),
        (
            "legacy = 'bos/small'",
            'lanes.fast.legacy: there is no model or target "bos/small"; did you mean "box/small"?',
        ),
        ("legacy = 'rock/titan'", "lanes.fast.legacy: is a target that no front's requests can be passed to as they"),
        (
            "[lanes.fast.promotion]\nfailure_share = 0.2\n[lanes.fast.rollback]\nfailure_share = 0.2",
            "lanes.fast.promotion.failure_share: has to be below rollback.failure_share (0.2)",
        ),
        (
            "[lanes.fast.promotion]\np95 = 2\n[lanes.fast.rollback]\np95 = 1",
            "lanes.fast.promotion.p95: has to be below rollback.p95 (1)",
        ),
    ],
)
def test_what_is_wrong_with_it_is_said_at_its_place(written: str, told: str) -> None:
    rock = "[providers.rock]\ndialect = 'converse'\nregion = 'us-east-1'\n"
    (problem,) = problems(rock + LANE + written)
    assert problem.startswith(told)


def test_gates_are_read() -> None:
    gates = layout(GATED).gates["fast"]
    assert gates == Gates(
        Promotion(after=10, agreement=0.9, steps=(0.2, 0.5), hold_s=60, rest_s=1000),
        Rollback(window_s=100, least=5, failure_share=0.3, paid=2),
    )
    assert layout(LANE).gates == {}


# --- orders ------------------------------------------------------------------------------------------------


def test_an_order_holds_here_at_once_elsewhere_soon_and_after_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"

    async def scene(store: Store) -> None:
        one, two = Process(store), Process(store)
        await one.staging.order("fast", "canary", 0.3, "first try", "ada")
        assert (one.said(), two.said()) == ("canary 30 %", "shadow")
        assert await two.staging.follow()
        assert not await two.staging.follow()
        assert two.said() == "canary 30 %"
        known = two.staging.standing("fast")
        assert known is not None
        assert (known.actor, known.reason, known.back) == ("ada", "first try", False)

    async def later(store: Store) -> None:
        again = Process(store)
        await again.staging.load()
        assert again.said() == "canary 30 %"

    play(scene, url)
    play(later, url)


def test_the_later_of_file_and_order_holds(tmp_path: Path) -> None:
    """What was ordered holds over every reload, until the file says another stage or share; that holds for good."""

    async def scene(store: Store) -> None:
        stage = Process(store)
        await stage.staging.order("fast", "active", None, "good enough", "ada")
        for text in (GATED, GATED + "[lanes.other]\ntargets = ['box/small']\n"):
            stage.staging.use(layout(text))
            await stage.staging.load()
            assert stage.said() == "active"
        stage.staging.use(layout(GATED.replace("'shadow'", "'canary'\nshare = 0.4")))
        await stage.staging.load()
        assert stage.said() == "canary 40 %"
        # Back to the words of before: the old order does not come to life again.
        stage.staging.use(layout(GATED))
        await stage.staging.load()
        assert stage.said() == "shadow"
        noted = await store.audit.recent(9, STAGED)
        assert [entry.actor for entry in noted] == ["configuration", "configuration", "ada"]

    play(scene)


def test_a_process_that_still_has_the_old_file_rewrites_nothing() -> None:
    async def scene(store: Store) -> None:
        old, new = Process(store), Process(store, GATED.replace("'shadow'", "'active'"))
        await old.staging.load()
        await new.staging.load()
        edition = await store.standings.edition()
        await old.staging.follow()
        assert (old.said(), new.said()) == ("shadow", "active")
        assert await store.standings.edition() == edition

    play(scene)


def test_promote_and_rollback_go_by_the_lanes_own_steps() -> None:
    async def scene(store: Store) -> None:
        stage = Process(store)
        for said in ("canary 20 %", "canary 50 %", "active"):
            await stage.staging.promote("fast", "by hand", "ada")
            assert stage.said() == said
        with pytest.raises(FailureError, match="active already"):
            await stage.staging.promote("fast", "by hand", "ada")
        standing = await stage.staging.rollback("fast", "it hurts", "ada")
        assert (stage.said(), standing.back) == ("shadow", True)
        with pytest.raises(FailureError, match="in stage shadow already"):
            await stage.staging.rollback("fast", "it hurts", "ada")

    play(scene)


@pytest.mark.parametrize(
    ("order", "kind", "told"),
    [
        (("fats", "shadow", None, "why"), Kind.UNKNOWN_PATH, "There is no lane 'fats'; did you mean \"fast\""),
        (("fast", "full", None, "why"), Kind.BAD_REQUEST, "stage: there is no 'full'; write observe, shadow, canary"),
        (("fast", "canary", 1.5, "why"), Kind.BAD_REQUEST, "share: expected a number from 0 to 1"),
        (("fast", "canary", 0.5, " "), Kind.BAD_REQUEST, "reason: say in 1 to 300 characters why"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    order: tuple[str, str, float | None, str], kind: Kind, told: str
) -> None:
    async def scene(store: Store) -> None:
        with pytest.raises(FailureError) as caught:
            await Process(store).staging.order(*order, actor="ada")
        assert (caught.value.failure.kind, caught.value.failure.message[: len(told)]) == (kind, told)
        assert await store.audit.recent(9, STAGED) == []

    play(scene)


def test_a_rollback_leaves_the_kill_on() -> None:
    async def scene(store: Store) -> None:
        stage = Process(store)
        await store.ledger.kill("all", "a leaked key", NOW)
        await stage.staging.order("fast", "active", None, "go", "ada")
        await stage.staging.rollback("fast", "it hurts", "ada")
        stage.serve(5, failed=True)
        assert [kill.reason for kill in store.ledger.killed().values()] == ["a leaked key"]

    play(scene)


# --- gates -------------------------------------------------------------------------------------------------


def test_gates_take_a_lane_to_active_and_back_with_a_rest_that_grows(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(store: Store) -> None:
        stage = Process(store)
        await stage.staging.load()
        stage.agree(9)
        stage.agree(1, "host")
        assert await stage.after(59) == "shadow"
        assert await stage.after(1) == "canary 20 %"
        stage.now_s += 1
        stage.serve(9)
        assert await stage.after(60) == "canary 20 %"
        stage.serve(1)
        assert await stage.after(0) == "canary 50 %"
        stage.now_s += 1
        stage.serve(10)
        assert await stage.after(60) == "active"
        # Not by what was before the last step, and not by too few.
        stage.now_s += 1
        stage.serve(4, failed=True)
        assert await stage.after(1) == "active"
        stage.serve(1)
        assert await stage.after(1) == "shadow"
        for rest_s in (1000, 2000):
            stage.now_s += 1
            stage.agree(20)
            assert await stage.after(rest_s - 2) == "shadow"
            assert await stage.after(2) == "canary 20 %"
            stage.now_s += 1
            stage.serve(2, paid=True)
            assert await stage.after(1) == "shadow"
        noted = [(entry.actor, entry.detail["stage"]) for entry in await store.audit.recent(99, STAGED)][::-1]
        gate = [("gate", name) for name in ("canary", "canary", "active", "shadow", *["canary", "shadow"] * 2)]
        assert noted == [("configuration", "shadow"), *gate]
        reasons = [str(entry.detail["reason"]) for entry in await store.audit.recent(9, STAGED)]
        assert reasons[0] == "something that costs money stood in for 2 of 2 requests, within 100 s"
        assert "4 of 5 requests failed, and at most 30 % may, within 100 s" in reasons

    with caplog.at_level(logging.INFO, "laneway"):
        play(scene)
    assert "lane fast is in stage canary 20 % (gate): 9 of 10 decisions agreed with the legacy path" in caplog.text


def test_failures_that_are_over_take_no_lane_back() -> None:
    """The window moves on: what was bad an hour ago is not held against a lane that serves well now."""

    async def scene(store: Store) -> None:
        stage = Process(store)
        await stage.staging.order("fast", "active", None, "go", "ada")
        stage.now_s += 1
        stage.serve(4, failed=True)
        assert await stage.after(101) == "active"
        stage.serve(5)
        assert await stage.after(1) == "active"

    play(scene)


def test_of_two_processes_one_makes_the_step(tmp_path: Path) -> None:
    async def scene(store: Store) -> None:
        one, two = Process(store), Process(store)
        await one.staging.load()
        await two.staging.load()
        one.agree(10)
        one.now_s = two.now_s = NOW + 60
        assert (await one.after(0), await two.after(0)) == ("canary 20 %", "shadow")
        await two.staging.follow()
        assert two.said() == "canary 20 %"
        assert len(await store.audit.recent(9, STAGED)) == 2

    play(scene, f"sqlite:///{tmp_path}/store.db")


def test_a_persons_order_ends_the_rest_and_forgets_the_falls() -> None:
    async def scene(store: Store) -> None:
        stage = Process(store)
        await stage.staging.order("fast", "active", None, "go", "ada")
        stage.now_s += 1
        stage.serve(5, failed=True)
        assert await stage.after(1) == "shadow"
        known = stage.staging.standing("fast")
        assert known is not None
        assert (known.falls, known.rests_until_s) == (1, stage.now_s + 1000)
        await stage.staging.order("fast", "shadow", None, "mended", "ada")
        known = stage.staging.standing("fast")
        assert known is not None
        assert (known.falls, known.rests_until_s) == (0, 0.0)

    play(scene)


def test_every_step_back_is_news_for_a_day_and_no_step_ahead_is() -> None:
    async def scene(store: Store) -> None:
        stage = Process(store)
        await stage.staging.order("fast", "canary", None, "go", "ada")
        assert await stage.staging.look(NOW) == []
        await stage.staging.rollback("fast", "it hurts", "ada")
        (alert,) = await stage.staging.look(NOW)
        assert (alert.kind, alert.subject, dict(alert.facts)) == (
            "rollback",
            "fast",
            {"stage": "shadow", "reason": "it hurts"},
        )
        assert await stage.staging.look(NOW + 86_401) == []

    play(scene)
