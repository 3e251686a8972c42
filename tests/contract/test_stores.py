"""What every store does, whatever its rows rest in. A new adapter is one more row."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from laneway.ports import Hold, Kill, Left, Pin, Search, Share, Short
from laneway.record import attributes
from laneway.route import Key
from laneway.store import Store, StoreError, open_store
from tests.harness.outcomes import outcome
from tests.harness.scenes import opened
from tests.harness.sqlite import NOW

LATER = NOW + 1_000_000.0
"""After every hold and pin has expired."""


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


ADA = Key(id="key_a", tenant="acme", name="Ada's", last4="1234", created_s=100)
BOB = Key(id="key_b", tenant="bees", created_s=200, revoked_s=300)


# Keys


@opened
async def test_a_key_is_found_whole_by_its_digest(store: Store) -> None:
    """What was created is what is found; another digest finds nothing."""
    await store.keys.create(ADA, digest_of("ada"))
    await store.keys.create(BOB, digest_of("bob"))
    assert await store.keys.find(digest_of("ada")) == ADA
    assert await store.keys.find(digest_of("bob")) == BOB
    assert await store.keys.find(digest_of("eve")) is None


@opened
async def test_keys_are_listed_oldest_first(store: Store) -> None:
    """The list is in the order of creation times, whatever the order of the calls."""
    assert list(await store.keys.list()) == []
    await store.keys.create(BOB, digest_of("bob"))
    await store.keys.create(ADA, digest_of("ada"))
    assert list(await store.keys.list()) == [ADA, BOB]


@opened
async def test_a_revoked_key_is_found_with_the_time_of_its_first_revocation(store: Store) -> None:
    """Revoking is remembered once; a key that is not there is not revoked."""
    await store.keys.create(ADA, digest_of("ada"))
    assert await store.keys.revoke("key_a", 500)
    assert await store.keys.revoke("key_a", 900)
    assert not await store.keys.revoke("key_z", 500)
    found = await store.keys.find(digest_of("ada"))
    assert found is not None
    assert found.revoked_s == 500


@opened
async def test_a_secret_or_an_id_cannot_be_two_keys(store: Store) -> None:
    """A second key with the same digest or id is refused by name, and the first stays."""
    await store.keys.create(ADA, digest_of("ada"))
    with pytest.raises(StoreError, match="key_b"):
        await store.keys.create(BOB, digest_of("ada"))
    with pytest.raises(StoreError, match="key_a"):
        await store.keys.create(ADA, digest_of("another"))
    assert list(await store.keys.list()) == [ADA]


# Ledger


def share(nanos: int, cap: int = 1000, account: str = "day") -> tuple[Share, ...]:
    return (Share(account, nanos, cap),)


@opened
async def test_an_unused_account_is_free_to_its_cap(store: Store) -> None:
    """Nothing spent, nothing held."""
    left = await store.ledger.left("day", 1000, NOW)
    assert left == Left(account="day", cap_nanos=1000, spent_nanos=0, held_nanos=0)
    assert left.free_nanos == 1000


@opened
async def test_a_hold_fits_exactly_or_is_answered_with_what_is_left(store: Store) -> None:
    """Money is held up to the last nano and not one further; a refusal holds nothing."""
    held = await store.ledger.hold("a", share(600), NOW)
    assert isinstance(held, Hold)
    assert (held.request_id, held.shares) == ("a", share(600))
    assert held.expires_s > NOW
    refused = await store.ledger.hold("b", share(401), NOW)
    assert refused == Short((Left(account="day", cap_nanos=1000, spent_nanos=0, held_nanos=600),))
    assert isinstance(await store.ledger.hold("c", share(400), NOW), Hold)
    assert (await store.ledger.left("day", 1000, NOW)).free_nanos == 0


@opened
async def test_the_same_request_holds_once(store: Store) -> None:
    """Asked again, even for another amount or at a full account, the first hold is the answer."""
    first = await store.ledger.hold("a", share(1000), NOW)
    assert await store.ledger.hold("a", share(5), NOW + 1) == first
    assert (await store.ledger.left("day", 1000, NOW)).held_nanos == 1000


@opened
async def test_a_hold_covers_all_of_its_accounts_or_none(store: Store) -> None:
    """Where one of them has too little, nothing is held in the others."""
    await store.ledger.hold("x", share(300, 300, "premium"), NOW)
    both = (*share(600), *share(1, 300, "premium"))
    refused = await store.ledger.hold("a", both, NOW)
    assert isinstance(refused, Short)
    assert [(left.account, left.free_nanos) for left in refused.lefts] == [("day", 1000), ("premium", 0)]
    assert (await store.ledger.left("day", 1000, NOW)).held_nanos == 0
    await store.ledger.release("x", NOW)
    held = await store.ledger.hold("a", both, NOW)
    assert isinstance(held, Hold)
    assert held.shares == both
    assert (await store.ledger.left("premium", 300, NOW)).held_nanos == 1


@opened
async def test_settling_turns_a_hold_into_what_was_spent(store: Store) -> None:
    """The hold ends, the real amount stays; what was held too much is free again."""
    await store.ledger.hold("a", share(600), NOW)
    await store.ledger.settle("a", {"day": 250}, NOW + 1)
    left = await store.ledger.left("day", 1000, NOW + 1)
    assert (left.spent_nanos, left.held_nanos, left.free_nanos) == (250, 0, 750)


@opened
async def test_a_settlement_ends_the_hold_in_every_account(store: Store) -> None:
    """Accounts of the hold in which nothing was spent are free again."""
    await store.ledger.hold("a", (*share(600), *share(600, 5000, "month")), NOW)
    await store.ledger.settle("a", {"day": 100}, NOW)
    day, month = await store.ledger.left("day", 1000, NOW), await store.ledger.left("month", 5000, NOW)
    assert (day.spent_nanos, day.held_nanos) == (100, 0)
    assert (month.spent_nanos, month.held_nanos) == (0, 0)


@opened
async def test_a_second_settlement_changes_nothing(store: Store) -> None:
    """A request is charged once, whatever the second call says; also where a hold was made again in between."""
    await store.ledger.hold("a", share(600), NOW)
    await store.ledger.settle("a", {"day": 250}, NOW)
    await store.ledger.settle("a", {"day": 999}, NOW)
    await store.ledger.hold("a", share(100), NOW)
    await store.ledger.settle("a", {"day": 100}, NOW)
    left = await store.ledger.left("day", 1000, NOW)
    assert (left.spent_nanos, left.held_nanos) == (250, 0)


@opened
async def test_a_settlement_without_a_hold_counts(store: Store) -> None:
    """What was spent was spent, even over the cap; then nothing that costs fits, and nothing is never too much."""
    await store.ledger.settle("a", {"day": 1200}, NOW)
    left = await store.ledger.left("day", 1000, NOW)
    assert (left.spent_nanos, left.free_nanos) == (1200, 0)
    assert isinstance(await store.ledger.hold("b", share(1), NOW), Short)
    assert isinstance(await store.ledger.hold("c", share(0), NOW), Hold)


@opened
async def test_a_released_hold_is_free_again(store: Store) -> None:
    """Releasing spends nothing, may be repeated, and leaves a later settlement its effect."""
    await store.ledger.hold("a", share(600), NOW)
    await store.ledger.release("a", NOW)
    await store.ledger.release("a", NOW)
    await store.ledger.release("never", NOW)
    assert (await store.ledger.left("day", 1000, NOW)).free_nanos == 1000
    await store.ledger.settle("a", {"day": 10}, NOW)
    assert (await store.ledger.left("day", 1000, NOW)).spent_nanos == 10


@opened
async def test_a_hold_is_extended_as_far_as_there_is_money(store: Store) -> None:
    """It is raised to an amount, so that asking twice is asking once; a refusal leaves it as it was."""
    await store.ledger.hold("a", share(600), NOW)
    held = await store.ledger.extend("a", share(900), NOW + 1)
    assert isinstance(held, Hold)
    assert held.shares == share(900)
    assert await store.ledger.extend("a", share(900), NOW + 1) == held
    assert await store.ledger.extend("a", share(5), NOW + 1) == held
    refused = await store.ledger.extend("a", share(1001), NOW + 1)
    assert isinstance(refused, Short)
    assert refused.lefts[0].free_nanos == 100
    assert (await store.ledger.left("day", 1000, NOW + 1)).held_nanos == 900
    await store.ledger.settle("a", {"day": 700}, NOW + 1)
    assert (await store.ledger.left("day", 1000, NOW + 1)).free_nanos == 300


@opened
async def test_an_extended_hold_lives_anew_and_keeps_its_other_accounts(store: Store) -> None:
    """What is not named stays held; a hold that expired is made again with what is asked now."""
    first = await store.ledger.hold("a", (*share(100), *share(50, 5000, "month")), NOW)
    assert isinstance(first, Hold)
    later = await store.ledger.extend("a", share(200), NOW + 5)
    assert isinstance(later, Hold)
    assert later.shares == (*share(200), *share(50, 5000, "month"))
    assert later.expires_s == first.expires_s + 5
    assert (await store.ledger.left("month", 5000, first.expires_s)).held_nanos == 50
    again = await store.ledger.extend("a", share(300), LATER)
    assert isinstance(again, Hold)
    assert again.shares == share(300)
    assert (await store.ledger.left("month", 5000, LATER)).held_nanos == 0


@opened
async def test_a_hold_that_nobody_settles_expires(store: Store) -> None:
    """At its time it counts no more, for a look, for another request, and for the same one."""
    held = await store.ledger.hold("a", share(1000), NOW)
    assert isinstance(held, Hold)
    before, at = held.expires_s - 1, held.expires_s
    assert isinstance(await store.ledger.hold("b", share(1), before), Short)
    assert (await store.ledger.left("day", 1000, at)).held_nanos == 0
    again = await store.ledger.hold("a", share(900), at)
    assert isinstance(again, Hold)
    assert again.shares == share(900)
    assert isinstance(await store.ledger.hold("b", share(100), at), Hold)


@opened
async def test_a_settlement_after_expiry_counts(store: Store) -> None:
    """A request that took longer than its hold lived is charged all the same, once."""
    await store.ledger.hold("a", share(1000), NOW)
    await store.ledger.hold("b", share(1000), LATER)
    await store.ledger.settle("a", {"day": 700}, LATER)
    left = await store.ledger.left("day", 1000, LATER)
    assert (left.spent_nanos, left.held_nanos) == (700, 1000)


@opened
async def test_a_cap_is_an_argument(store: Store) -> None:
    """A raised cap lets more in at once, a lowered one stops what comes next."""
    await store.ledger.hold("a", share(600), NOW)
    assert isinstance(await store.ledger.hold("b", share(600, 1200), NOW), Hold)
    assert isinstance(await store.ledger.hold("c", share(1, 100), NOW), Short)
    await store.ledger.release("a", NOW)
    await store.ledger.release("b", NOW)
    assert isinstance(await store.ledger.hold("d", share(101, 100), NOW), Short)
    assert isinstance(await store.ledger.hold("e", share(100, 100), NOW), Hold)


# Kills


@opened
async def test_a_kill_stands_until_it_is_taken_back(store: Store) -> None:
    """The first reason stays; taking back what is not there says so."""
    assert store.ledger.killed() == {}
    await store.ledger.kill("tenant:acme", "too dear", NOW)
    await store.ledger.kill("all", "a test", NOW + 1)
    await store.ledger.kill("all", "another", NOW + 2)
    assert store.ledger.killed() == {
        "tenant:acme": Kill("tenant:acme", "too dear", NOW),
        "all": Kill("all", "a test", NOW + 1),
    }
    assert await store.ledger.unkill("all")
    assert not await store.ledger.unkill("all")
    assert list(store.ledger.killed()) == ["tenant:acme"]


# Pins


@opened
async def test_a_pin_is_kept_per_tenant_and_trace(store: Store) -> None:
    """The latest pin is the answer; another tenant's trace of the same name is another conversation."""
    await store.pins.put("acme", "t", Pin(target="studio/a", at_s=NOW))
    await store.pins.put("acme", "t", Pin(target="studio/b", at_s=NOW + 1))
    assert await store.pins.get("acme", "t", NOW + 2) == Pin(target="studio/b", at_s=NOW + 1)
    assert await store.pins.get("bees", "t", NOW + 2) is None
    assert await store.pins.get("acme", "u", NOW + 2) is None


@opened
async def test_a_pin_is_forgotten_after_its_time(store: Store) -> None:
    """An old conversation starts over."""
    await store.pins.put("acme", "t", Pin(target="studio/a", at_s=NOW))
    assert await store.pins.get("acme", "t", LATER) is None


# Journal


@opened
async def test_what_was_recorded_is_read_back_newest_first(store: Store) -> None:
    """A record has every attribute of its outcome, unchanged, and `limit` takes the newest."""
    made = [outcome(request_id=f"req_{number}", at_s=NOW + number) for number in range(5)]
    for each in made:
        store.journal.record(each)
    found = await store.journal.recent(3, {})
    assert [dict(record) for record in found] == [dict(attributes(each)) for each in reversed(made[2:])]
    assert await store.journal.recent(0, {}) == []
    assert store.journal.dropped == 0


@opened
async def test_records_are_filtered_by_exact_attributes(store: Store) -> None:
    """Texts, numbers and flags are compared as a person types them; what is not known matches nothing."""
    store.journal.record(outcome(request_id="a", tenant="acme", status=200, lane="fast", stream=True))
    store.journal.record(outcome(request_id="b", tenant="bees", status=502, lane=None, stream=False))
    store.journal.record(outcome(request_id="c", tenant="acme", status=502, lane="null", model='say "hé"\n'))

    async def found(**filters: str) -> list[object]:
        # A dot cannot be written in a keyword, so two underscores stand for it here.
        named = {name.replace("__", "."): value for name, value in filters.items()}
        return [record["request_id"] for record in await store.journal.recent(10, named)]

    assert await found(tenant="acme") == ["c", "a"]
    assert await found(tenant="acm") == []
    assert await found(tenant="acme", status="502") == ["c"]
    assert await found(awooop__lane="fast") == ["a"]
    assert await found(awooop__lane="null") == ["c"]
    assert await found(gen_ai__request__model='say "hé"\n') == ["c"]
    assert await found(stream="true") == ["c", "a"]
    assert await found(stream="false") == ["b"]
    assert await found(elapsed_ms="1250.0", request_id="a") == ["a"]
    assert await found(intent="null") == []
    assert await found(unheard_of="x") == []
    assert await found(tenant='"acme"') == []
    assert [record["request_id"] for record in await store.journal.recent(1, {"tenant": "acme"})] == ["c"]
    assert await store.journal.recent(1, {'ten"ant': "acme"}) == []


@opened
async def test_records_are_searched_page_by_page(store: Store) -> None:
    """Newest first by falling numbers, or on from a number by rising ones; what comes meanwhile repeats no row."""
    for number in range(7):
        store.journal.record(outcome(request_id=f"req_{number}", at_s=NOW + number, tenant="ab"[number % 2]))

    async def found(wanted: Search) -> list[tuple[int, str]]:
        page = await store.journal.search(wanted)
        return [(number, msgspec.json.decode(text)["request_id"]) for number, text in page]

    first = await found(Search(3))
    assert [name for _, name in first] == ["req_6", "req_5", "req_4"]
    store.journal.record(outcome(request_id="req_7", at_s=NOW + 7, tenant="b"))
    second = await found(Search(3, below=first[-1][0]))
    assert [name for _, name in second] == ["req_3", "req_2", "req_1"]
    assert [name for _, name in await found(Search(9, below=second[-1][0]))] == ["req_0"]
    assert [name for _, name in await found(Search(2, above=first[0][0] - 2))] == ["req_5", "req_6"]
    assert await found(Search(2, above=first[0][0] + 1)) == []
    within = Search(9, {"tenant": "a"}, first_s=NOW + 1, until_s=NOW + 6)
    assert [name for _, name in await found(within)] == ["req_4", "req_2"]
    assert await found(Search(0)) == []
    assert await found(Search(9, {'ten"ant': "a"})) == []


@opened
async def test_a_refused_request_is_recorded_too(store: Store) -> None:
    """No lane, no decision, no attempt: the record is there, and says what it knows."""
    store.journal.record(outcome(lane=None, decision=None, attempts=(), status=401, model="", cost_nanos=0))
    (record,) = await store.journal.recent(5, {"status": "401"})
    assert record["attempts"] == 0
    assert record["decided_by"] is None


# The bundle


@opened
async def test_a_store_says_where_its_rows_rest(store: Store) -> None:
    """A person reads whether a restart forgets."""
    assert store.place.startswith("memory") or store.place.endswith("store.db")


@pytest.mark.parametrize(
    "url",
    [
        "postgres://ann:secret@db/x",
        "redis://localhost",
        "sqlite:",
        "sqlite://x.db",
        "sqlite:///",
        "sqlite:///x?mode=ro",
        "sqlite:///~nobody-of-that-name/x.db",
        "sqlite:///x\0y",
        "sqlite:///:memory:",
        "laneway.db",
        "",
        "memory:x",
    ],
)
def test_a_url_that_names_no_store_is_refused_with_the_forms_that_do(url: str) -> None:
    """The sentence says what to write, and shows no password."""
    with pytest.raises(StoreError, match="sqlite:///relative") as refused:
        open_store(url)
    assert "secret" not in str(refused.value)
