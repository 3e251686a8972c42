"""A usage report's words: what may be asked, what is wrong with a question, and how the answer is written."""

from __future__ import annotations

import pytest

from laneway.failure import FailureError
from laneway.policy.report import as_cells, as_csv, as_object, read_question, shown
from laneway.ports import Figures, Question, Tally

NOW = 1_700_000_000.0
LINES = [
    Tally(("2023-11-14", "shop"), Figures(2, 1, 100, 40, 20, 600_000, 1_600_000)),
    Tally(("2023-11-15", ""), Figures(1)),
]
ASKED = Question(("day", "project"), "2023-11-14", "2023-11-15")


def test_a_question_that_says_nothing_is_about_the_last_thirty_days() -> None:
    assert read_question({}, usual=("day",), now_s=NOW) == Question(("day",), "2023-10-16", "2023-11-14", {})


def test_a_question_is_read_as_it_was_written() -> None:
    """Both ends, several labels, filters, and no label at all for the sum of everything."""
    asked = {"group_by": "lane, model", "from": "2023-01-31", "to": "2023-02-01", "tenant": "acme", "key": ""}
    where = {"tenant": "acme", "key": ""}
    assert read_question(asked, usual=(), now_s=NOW) == Question(("lane", "model"), "2023-01-31", "2023-02-01", where)
    assert read_question({"group_by": ""}, usual=("day",), now_s=NOW).by == ()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"from": "yesterday"}, "from: expected a day as 2026-01-31, got 'yesterday'"),
        ({"to": "20230102"}, "to: expected a day"),
        ({"to": "2023-02-30"}, "to: expected a day"),
        ({"to": "0001-01-01"}, "to: expected a day"),
        ({"from": "2024-01-01"}, "from: 2024-01-01 is after 2023-11-14"),
        ({"from": "1980-01-01"}, "at most 3660 days"),
        ({"group_by": "day,hour"}, "'hour' is no label; the labels are day, tenant"),
        ({"group_by": "day,day"}, "'day' is there twice"),
        ({"tenants": "acme"}, "tenants: there is no such parameter; known: group_by"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(asked: dict[str, str], words: str) -> None:
    with pytest.raises(FailureError) as caught:
        read_question(asked, usual=("day",), now_s=NOW)
    assert words in caught.value.failure.message
    assert caught.value.failure.field in (*asked, "from")


def test_the_report_for_a_program_is_exact() -> None:
    """Amounts are decimals as text, an unknown label is null, and the total is of all rows."""
    made = as_object(ASKED, LINES)
    assert made["data"] == [
        {
            "day": "2023-11-14",
            "project": "shop",
            "requests": 2,
            "failures": 1,
            "input_tokens": 100,
            "cached_tokens": 40,
            "output_tokens": 20,
            "cost_usd": "0.0006",
            "saved_usd": "0.001",
        },
        {"day": "2023-11-15", "project": None, **shown(Figures(1))},
    ]
    assert made["total"] == shown(Figures(3, 1, 100, 40, 20, 600_000, 1_600_000))


def test_the_report_for_a_spreadsheet_holds_no_formula() -> None:
    """Commas and quotes are quoted; what would be carried out is text."""
    lines = [Tally((name,), Figures(1)) for name in ("=1+1", 'a "b", c', "plain")]
    written = as_csv(Question(("project",), "2023-11-14", "2023-11-15"), lines).splitlines()
    assert written == [
        "project,requests,failures,input_tokens,cached_tokens,output_tokens,cost_usd,saved_usd",
        "'=1+1,1,0,0,0,0,0,0",
        '"a ""b"", c",1,0,0,0,0,0,0',
        "plain,1,0,0,0,0,0,0",
    ]


def test_the_report_for_a_person_ends_in_a_total() -> None:
    headings, *rows, last = as_cells(ASKED, LINES)
    assert headings[:4] == ("day", "project", "requests", "failures")
    assert headings[-2:] == ("cost USD", "saved USD")
    assert rows[1][:3] == ("2023-11-15", "-", "1")
    assert last[:3] == ("total", "", "3")
