"""A search for records, from what a person typed."""

from __future__ import annotations

import pytest

from laneway.failure import FailureError
from laneway.policy.search import read_search

DAY_S = 86_400.0
NEW_YEAR_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def test_nothing_said_is_the_newest_hundred() -> None:
    wanted = read_search({})
    assert (wanted.limit, wanted.filters, wanted.first_s, wanted.until_s, wanted.below) == (100, {}, None, None, None)


@pytest.mark.parametrize(
    ("said", "first_s", "until_s"),
    [
        ("2026-01-01", NEW_YEAR_S, NEW_YEAR_S + DAY_S),
        ("2026-01-01T00:00:00Z", NEW_YEAR_S, NEW_YEAR_S),
        ("2026-01-01T01:00:00+01:00", NEW_YEAR_S, NEW_YEAR_S),
        ("2026-01-01T00:00:00", NEW_YEAR_S, NEW_YEAR_S),
        ("1767225600", NEW_YEAR_S, NEW_YEAR_S),
        ("1767225600.5", NEW_YEAR_S + 0.5, NEW_YEAR_S + 0.5),
    ],
)
def test_a_day_counts_whole_and_an_instant_as_it_is(said: str, first_s: float, until_s: float) -> None:
    wanted = read_search({"from": said, "to": said})
    assert (wanted.first_s, wanted.until_s) == (first_s, until_s)


def test_every_other_word_is_an_attribute() -> None:
    wanted = read_search({"limit": "7", "cursor": "12", "status": "502", "awooop.lane": "x"})
    assert (wanted.limit, wanted.below) == (7, 12)
    assert wanted.filters == {"status": "502", "awooop.lane": "x"}


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "many"),
        ("limit", "9" * 5000),
        ("cursor", "-1"),
        ("cursor", "٣"),
        ("from", "yesterday"),
        ("to", "2026-02-31"),
        ("to", "1e99"),
        ("from", "nan"),
    ],
)
def test_what_cannot_be_meant_is_named(field: str, said: str) -> None:
    with pytest.raises(FailureError) as caught:
        read_search({field: said})
    assert caught.value.failure.field == field
    assert caught.value.failure.message.startswith(f"{field}: expected")


def test_an_export_has_no_limit_but_its_own() -> None:
    assert read_search({"limit": "5000"}, most=None).limit == 5000
