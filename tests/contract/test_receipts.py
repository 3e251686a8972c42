"""Receipts of decisions and positions of dials: what every store does with them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from laneway.ports import Audited, Receipt, Setting, Stood
from laneway.store import Store, open_store
from tests.harness.loop import run

NOW_S = 1_700_000_000.0
RECEIPT = Receipt(
    id="req_1",
    at_s=NOW_S,
    tenant="acme",
    key_id="key_1",
    pool="smart",
    lane="quick",
    rule="learned",
    served="near/small",
    reason="small is ahead",
    bias=0.4,
    weight=0.25,
    flips_cheaper=None,
    flips_dearer=0.7,
    confidence=0.875,
    likeness=0.5,
    space="static-1-144",
    tag="tickets",
    setting=Setting(tools=2, structured=True),
    standings=(
        Stood(candidate="near/small", target="near/small", quality=0.9, error=0.1, cost_nanos=50.0, score=0.8),
        Stood(candidate="far/large@2", target="far/large"),
    ),
    neighbours=((12, 0.75, {"near/small": 1.0}), (3, 0.5, {})),
    dropped=(("far/blind", "cannot do vision"),),
    plan=("near/small", "far/large"),
    text="How much?",
)


def other(**changed: object) -> Receipt:
    return msgspec.structs.replace(RECEIPT, **changed)


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/store.db"


def ids(receipts: object) -> list[str]:
    assert isinstance(receipts, list)
    return [receipt.id for receipt in receipts]


def test_a_receipt_is_found_whole_by_its_own_tenant_only(url: str) -> None:
    async def play(store: Store) -> None:
        store.receipts.keep(RECEIPT)
        assert await store.receipts.get("acme", "req_1") == RECEIPT
        assert await store.receipts.get("bees", "req_1") is None
        assert await store.receipts.get("acme", "req_2") is None
        assert store.receipts.dropped == 0

    play_with(url, play)


def test_receipts_are_listed_newest_first_and_by_their_facts(url: str) -> None:
    async def play(store: Store) -> None:
        receipts = store.receipts
        receipts.keep(RECEIPT)
        receipts.keep(other(id="req_2", tenant="bees"))
        receipts.keep(other(id="req_3", rule="cheapest", pool="plain"))
        receipts.keep(other(id="req_4", declined="there are no examples", served="far/large"))
        assert ids(await receipts.recent("acme")) == ["req_4", "req_3", "req_1"]
        assert ids(await receipts.recent(None, limit=2)) == ["req_4", "req_3"]
        assert ids(await receipts.recent("acme", where={"rule": "learned"})) == ["req_4", "req_1"]
        assert ids(await receipts.recent("acme", where={"rule": "learned", "declined": ""})) == ["req_1"]
        assert ids(await receipts.recent(None, where={"declined": "there are no examples"})) == ["req_4"]
        assert ids(await receipts.recent(None, where={"served": "far/large", "pool": "plain"})) == []

    play_with(url, play)


def test_what_an_example_had_a_part_in_is_found(url: str) -> None:
    async def play(store: Store) -> None:
        receipts = store.receipts
        receipts.keep(RECEIPT)
        receipts.keep(other(id="req_2", neighbours=((123, 0.5, {}),)))
        receipts.keep(other(id="req_3", tenant="bees"))
        assert ids(await receipts.influenced("acme", 12)) == ["req_1"]
        assert ids(await receipts.influenced("acme", 123)) == ["req_2"]
        assert ids(await receipts.influenced("acme", 2)) == []
        assert ids(await receipts.influenced("bees", 3)) == ["req_3"]

    play_with(url, play)


def test_a_dial_stays_where_it_was_put_and_the_audit_says_by_whom(url: str) -> None:
    async def play(store: Store) -> None:
        assert (dict(await store.dials.positions()), await store.dials.edition()) == ({}, 0)
        for position in (0, 7):
            entry = Audited(at_s=NOW_S, actor="admin", action="dial", subject="acme", detail={"to": position})
            await store.dials.turn("acme", position, entry)
        assert dict(await store.dials.positions()) == {"acme": 7}
        assert await store.dials.edition() == 2
        assert [entry.detail for entry in await store.audit.recent(9, "dial")] == [{"to": 7}, {"to": 0}]

    play_with(url, play)


def test_receipts_survive_a_restart_and_are_forgotten_in_time(tmp_path: Path) -> None:
    url, now = f"sqlite:///{tmp_path}/store.db", [NOW_S + 60]

    async def write(store: Store) -> None:
        store.receipts.keep(RECEIPT)
        store.receipts.keep(other(id="req_2", at_s=NOW_S + 5 * 86_400))

    async def read(store: Store) -> None:
        assert ids(await store.receipts.recent("acme")) == ["req_2", "req_1"]

    async def later(store: Store) -> None:
        while len(await store.receipts.recent("acme")) > 1:
            pass
        assert ids(await store.receipts.recent("acme")) == ["req_2"]

    for step in (write, read):
        play_with(url, step, keep_days=2.0, now=now)
    now[0] = NOW_S + 6 * 86_400
    play_with(url, later, keep_days=2.0, now=now)


def play_with(url: str, play: object, *, keep_days: float = 30.0, now: list[float] | None = None) -> None:
    async def main() -> None:
        at = now or [NOW_S]
        store = open_store(url, keep_days=keep_days, clock=lambda: at[0])
        await store.start()
        try:
            await play(store)  # type: ignore[operator]
        finally:
            await store.close()

    run(main())
