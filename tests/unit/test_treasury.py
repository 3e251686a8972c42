"""Orders about budgets, where no gateway is needed to see what they do."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from laneway.failure import FailureError
from laneway.loaded import load
from laneway.policy.budgets import EACH, Budget, known_accounts
from laneway.policy.orders import read_nanos, read_scope
from laneway.ports import BookEntry
from laneway.settings import BudgetTable
from laneway.store import open_store
from laneway.treasury import Treasury
from tests.harness.loop import run

NOW = 1_700_000_000.0


@pytest.fixture
def treasury(tmp_path: Path) -> Treasury:
    file = tmp_path / "laneway.toml"
    file.write_text("[tenants.acme]\ndaily_usd = 5\n[budgets.house]\ncap_usd = 9\n")
    return Treasury(open_store("memory:"), load(file, {}).layout, "test")


def test_what_cannot_be_in_force_is_told_and_takes_nothing_along(
    treasury: Treasury, caplog: pytest.LogCaptureFixture
) -> None:
    """A lane that is gone from the file, a table of another version, and a name the file has taken since."""

    async def scene() -> None:
        book = treasury.store.book
        for name, table in (
            ("gone", '{"cap_usd":1,"lane":"away"}'),
            ("newer", '{"cap_usd":1,"weekly":true}'),
            ("house", '{"cap_usd":1}'),
            ("team", '{"cap_usd":"2.5","tenant":"acme"}'),
        ):
            await book.put(BookEntry(name=name, table=table, changed_s=NOW), new=True)
        (budget,) = await treasury.booked()
        assert (budget.name, budget.cap_nanos, budget.tenant) == ("team", 2_500_000_000, "acme")

    with caplog.at_level(logging.ERROR, "laneway"):
        run(scene())
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith('budget gone is not in force: lane: there is no lane "away"')
    assert told[1].startswith("budget newer is not in force: ")
    assert len(told) == 2


def test_nothing_is_in_force_that_is_not_in_the_audit_first(treasury: Treasury) -> None:
    """What was refused is in neither."""

    async def scene() -> None:
        audit = treasury.store.audit

        async def broken(entry: object) -> None:
            raise RuntimeError("no audit")

        await treasury.create("team", BudgetTable(cap_usd=1), NOW)
        with pytest.raises(FailureError, match="stands in the configuration file"):
            await treasury.create("house", BudgetTable(cap_usd=1), NOW)
        assert [entry.action for entry in await audit.recent(9)] == ["budgets.create"]
        audit.note = broken  # type: ignore[method-assign]
        with pytest.raises(RuntimeError):
            await treasury.create("more", BudgetTable(cap_usd=1), NOW)
        with pytest.raises(RuntimeError):
            await treasury.remove("team", NOW)
        assert [entry.name for entry in await treasury.store.book.list()] == ["team"]

    run(scene())


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("all", "all"),
        ("tenant:acme", "tenant:acme"),
        ("tier:premium  tenant:a b", None),
        ("tenant:acme lane:fast", "lane:fast tenant:acme"),
        ("key:a/b", "key:a%2Fb"),
        ("project:a%20b", "project:a%20b"),
        ("", None),
        ("tenant:", None),
        ("model:x", None),
        ("everything", None),
        ("tenant:" + "x" * 300, None),
    ],
)
def test_a_scope_is_one_that_a_kill_can_have(written: str, kept: str | None) -> None:
    """One that nobody understands would stop everything: it is refused where somebody can still mend it."""
    if kept is None:
        with pytest.raises(FailureError):
            read_scope(written)
    else:
        assert read_scope(written) == kept
        assert read_scope(kept) == kept


def test_an_amount_is_exact_to_the_nano() -> None:
    assert read_nanos("-0.000000001") == -1
    assert read_nanos("+9007199.254740993") == 9_007_199_254_740_993
    for wrong in ("0", "-0.0", "1e3", "0.0000000001", "NaN", "", "1,5", "9999999999"):
        with pytest.raises(FailureError):
            read_nanos(wrong)


def test_accounts_are_known_where_no_caller_is_needed_to_name_them() -> None:
    """One for each tier is known, one for each key is not."""
    made = Budget(name="b", cap_nanos=1, tenant="acme", tier=EACH)
    assert [account.name for account in known_accounts(made, NOW)] == [
        f"b/{tier}:2023-11-14" for tier in ("local", "balanced", "premium")
    ]
    assert known_accounts(Budget(name="b", cap_nanos=1, key=EACH), NOW) == ()
