"""One backend against another: what counts as right, what differences mean, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from laneway.evaluate.dataset import DatasetError
from laneway.evaluate.versus import Reply, compare, exact, read_questions, table

FINE = Reply(text="x", cost_usd=0.001, latency_ms=10.0)
FAILED = Reply(text=None, cost_usd=0.0, latency_ms=5.0, failure="down")


@pytest.mark.parametrize(
    ("answer", "said", "right"),
    [
        ("Thimphu", "The capital of Bhutan is **Thimphu**.", 1),
        ("thimphu", "THIMPHU", 1),
        ("Thimphu", "Thimphus", 0),
        ("New Delhi", "It is new   Delhi!", 1),
        ("New Delhi", "Delhi, new", 0),
        (7, "3 + 4 = 7.", 1),
        (7, "3 + 4 = 17.", 0),
        ("-7", "It is -7", 1),
        (0.5, "0.5", 1),
        ("1000", "That makes 1,000.", 1),
        ("", "anything", 0),
        ("7", "", 0),
    ],
)
def test_the_exact_scorer_looks_for_the_whole_answer(answer: str | float, said: str, right: int) -> None:
    assert exact(answer, said) == right


def told(gaps: list[float]) -> str:
    scores = [(0.5 - gap / 2, 0.5 + gap / 2) for gap in gaps]
    return compare(("a", "b"), [(FINE, FINE)] * len(gaps), scores, "test").sentence


def test_the_sentence_says_what_the_interval_allows() -> None:
    assert told([0.5] * 40 + [0.3] * 40).startswith("b is better than a by 40.0 points (95 %: +3")
    assert told([-0.5] * 40 + [-0.3] * 40).startswith("b is worse than a by 40.0 points")
    assert told([0.01, -0.01] * 200).startswith("b is as good as a: worse by no more than 0.")
    assert told([0.0] * 20 + [0.4]).startswith("b is at least as good as a, and may be better by up to")
    assert told([1.0, -1.0] * 10).startswith("Not decided: b less a lies between -")


def test_failures_and_what_could_not_be_scored_are_told() -> None:
    found = compare(("a", "b"), [(FINE, FAILED), (FINE, FINE), (FINE, FINE)], [(1, 0), None, (1, 1)], "a judge", 0.25)
    assert (found.questions, found.scored, found.a_better, found.b_better) == (3, 2, 1, 0)
    assert (found.a.quality, found.b.quality, found.b.failed) == (1.0, 0.5, 1)
    assert found.b.cost_usd == pytest.approx(0.002 / 3)
    said = table(found)
    assert "3 questions, scored by a judge" in said
    assert "1 could not be scored; judging cost 0.25 USD" in said
    with pytest.raises(DatasetError, match="Nothing could be scored"):
        compare(("a", "b"), [(FINE, FINE)], [None], "a judge")


def test_questions_are_read_with_the_place_of_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"prompt": "x", "answer": 3}\n\n{"prompt": "y", "answer": "z", "system": "Be brief."}\n')
    assert [each.answer for each in read_questions(file, answers=True)] == [3, "z"]
    for text, answers, words in (
        ('{"prompt": "x"}\n{"prompt": 3}', False, "Line 2: "),
        ('{"prompt": "x"}\n{"prompt": "y"}', True, "Line 1: there is no answer"),
        ('{"prompt": "x"}', False, "too few"),
    ):
        file.write_text(text)
        with pytest.raises(DatasetError, match=words):
            read_questions(file, answers=answers)
    with pytest.raises(DatasetError, match="There is no file"):
        read_questions(tmp_path / "nowhere", answers=False)
