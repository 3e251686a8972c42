"""Receipts of decisions and positions of dials: what every store does with them."""

from __future__ import annotations

import math
import struct
from functools import partial
from pathlib import Path

import msgspec

from laneway._core import Shown
from laneway.ports import Audited, Receipt, Setting, Stood
from laneway.store import Store
from laneway.stores.sqlite.receipts import read, written
from tests.harness.loop import run
from tests.harness.scenes import opened
from tests.harness.sqlite import NOW, started

DAY_S = 86_400.0
RECEIPT = Receipt(
    id="req_1",
    at_s=NOW,
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

PACKED = struct.pack("<qffqff", 12, 0.75, 1.0, 3, 0.5, math.nan)
"""The same neighbours as the core packs them."""


def other(**changed: object) -> Receipt:
    return msgspec.structs.replace(RECEIPT, **changed)


def ids(receipts: object) -> list[str]:
    assert isinstance(receipts, list)
    return [receipt.id for receipt in receipts]


@opened
async def test_a_receipt_is_found_whole_by_its_own_tenant_only(store: Store) -> None:
    store.receipts.keep(RECEIPT)
    assert await store.receipts.get("acme", "req_1") == RECEIPT
    assert await store.receipts.get("bees", "req_1") is None
    assert await store.receipts.get("acme", "req_2") is None
    assert store.receipts.dropped == 0


@opened
async def test_receipts_are_listed_newest_first_and_by_their_facts(store: Store) -> None:
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


@opened
async def test_pages_of_receipts_go_on_where_the_last_one_ended_whatever_is_kept_meanwhile(store: Store) -> None:
    receipts = store.receipts
    for at in range(7):
        receipts.keep(other(id=f"req_{at}", tenant="bees" if at == 3 else "acme", rule="learned" if at % 2 else "pin"))
    assert ids(await receipts.recent("acme", limit=2)) == ["req_6", "req_5"]
    receipts.keep(other(id="req_7"))
    assert ids(await receipts.recent("acme", limit=2, after="req_5")) == ["req_4", "req_2"]
    assert ids(await receipts.recent("acme", limit=9, after="req_2")) == ["req_1", "req_0"]
    assert ids(await receipts.recent("acme", after="req_6", where={"rule": "learned"})) == ["req_5", "req_1"]
    assert ids(await receipts.recent("acme", after="req_0")) == []
    assert ids(await receipts.recent("acme", after="nobody's")) == []


@opened
async def test_what_an_example_had_a_part_in_is_found(store: Store) -> None:
    receipts = store.receipts
    receipts.keep(RECEIPT)
    receipts.keep(other(id="req_2", neighbours=((123, 0.5, {}),)))
    receipts.keep(other(id="req_3", tenant="bees"))
    assert ids(await receipts.influenced("acme", 12)) == ["req_1"]
    assert ids(await receipts.influenced("acme", 123)) == ["req_2"]
    assert ids(await receipts.influenced("acme", 2)) == []
    assert ids(await receipts.influenced("bees", 3)) == ["req_3"]
    packed = other(id="req_4", tenant="core", neighbours=Shown(PACKED, ["near/small"]))
    receipts.keep(packed)
    assert await receipts.influenced("core", 12) == [packed]
    assert ids(await receipts.influenced("core", 2)) == []


@opened
async def test_a_dial_stays_where_it_was_put_and_the_audit_says_by_whom(store: Store) -> None:
    assert (dict(await store.dials.positions()), await store.dials.edition()) == ({}, 0)
    for position in (0, 7):
        entry = Audited(at_s=NOW, actor="admin", action="dial", subject="acme", detail={"to": position})
        await store.dials.turn("acme", position, entry)
    assert dict(await store.dials.positions()) == {"acme": 7}
    assert await store.dials.edition() == 2
    assert [entry.detail for entry in await store.audit.recent(9, "dial")] == [{"to": 7}, {"to": 0}]


@opened
async def test_a_floor_is_of_one_tenant_and_one_pool_and_no_change_of_it_goes_unseen(store: Store) -> None:
    """Editions go on over dials and floors together, also where a floor is taken back."""
    dials, seen = store.dials, list[int]()

    def entry(to: float | None) -> Audited:
        return Audited(at_s=NOW, actor="admin", action="floor", subject="acme", detail={"to": to})

    for floor in (0.97, 0.0, None):
        await dials.keep("acme", "smart", floor, entry(floor))
        seen.append(await dials.edition())
        assert dict(await dials.floors()) == ({} if floor is None else {("acme", "smart"): floor})
    await dials.turn("acme", 3, entry(3))
    seen.append(await dials.edition())
    for tenant, pool, floor in (("acme", "plain", 0.9), ("bees", "smart", 1.0)):
        await dials.keep(tenant, pool, floor, entry(floor))
        seen.append(await dials.edition())
    assert dict(await dials.floors()) == {("acme", "plain"): 0.9, ("bees", "smart"): 1.0}
    assert dict(await dials.positions()) == {"acme": 3}
    assert seen == sorted(set(seen))
    assert [each.detail["to"] for each in await store.audit.recent(9, "floor")] == [1.0, 0.9, 3, None, 0.0, 0.97]


def test_receipts_survive_a_restart_and_are_forgotten_in_time(tmp_path: Path) -> None:
    now = [NOW + 60]

    async def scene() -> None:
        reopened = partial(started, tmp_path / "store.db", keep_days=2.0, clock=lambda: now[0])
        async with reopened() as store:
            store.receipts.keep(RECEIPT)
            store.receipts.keep(other(id="req_2", at_s=NOW + 5 * DAY_S))
        async with reopened() as store:
            assert ids(await store.receipts.recent("acme")) == ["req_2", "req_1"]
        now[0] = NOW + 6 * DAY_S
        async with reopened() as store:
            while len(await store.receipts.recent("acme")) > 1:
                pass
            assert ids(await store.receipts.recent("acme")) == ["req_2"]

    run(scene())


def test_a_receipt_that_is_no_text_is_counted_and_takes_no_other_along(tmp_path: Path) -> None:
    async def scene() -> None:
        async with started(tmp_path / "store.db") as store:
            for number, text in enumerate(("fine", "\ud800", "fine too")):
                store.receipts.keep(other(id=f"req_{number}", text=text))
            assert ids(await store.receipts.recent("acme")) == ["req_2", "req_0"]
            assert store.receipts.dropped == 1

    run(scene())


def test_a_row_holds_values_by_their_places() -> None:
    """If these move, receipts that people have kept are read wrongly."""
    stood = '["near/small","near/small",0.9,0.1,0.0,50.0,null,0.0,0.8]'
    assert written(RECEIPT) == (
        f'["req_1",{NOW},"acme","key_1","smart","quick","learned","near/small",null,"small is ahead",0.4,0.25,null,'
        f'null,0.7,0.875,0.5,"static-1-144","tickets",[2,0,0,true,0],[{stood},'
        '["far/large@2","far/large",null,null,0.0,null,null,0.0,null]],[[12,0.75,{"near/small":1.0}],[3,0.5,{}]],'
        '[["far/blind","cannot do vision"]],["near/small","far/large"],"How much?"]'
    )


def test_neighbours_of_the_core_are_kept_as_it_packs_them() -> None:
    """The bytes are in files: if they change, receipts that people have kept are read wrongly."""
    kept = written(other(neighbours=Shown(PACKED, ["near/small"])))
    assert '["DAAAAAAAAAAAAEA/AACAPwMAAAAAAAAAAAAAPwAAwH8=",["near/small"]]' in kept


def test_rows_are_read_as_they_were_written_whenever_that_was() -> None:
    assert read(written(RECEIPT)) == RECEIPT
    assert read(msgspec.json.encode(RECEIPT).decode()) == RECEIPT
    packed = other(neighbours=Shown(PACKED, ["near/small"]))
    assert read(written(packed)) == packed == other(neighbours=((12, 0.75, {"near/small": 1.0}), (3, 0.5, {})))
    sooner = read('["req_1",7.5,"acme",null,"smart",null,"cheapest","near/small"]')
    assert sooner == Receipt(id="req_1", at_s=7.5, tenant="acme", pool="smart", rule="cheapest", served="near/small")
