"""`laneway eval`: what it reads, what it refuses, what its figures mean, and what it says."""

from __future__ import annotations

import gzip
import io
import json
import math
import random
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from laneway.cli import main
from laneway.evaluate import checks, contenders, curves, dataset, taught, trial
from laneway.evaluate.command import Progress
from laneway.evaluate.trial import Plan, Trial

EASY = ("add {a} and {b}", "spell the word number {a}", "say the colour {b} in French")
HARD = ("prove theorem {a} about groups of order {b}", "derive integral {a} with bound {b}", "refute lemma {a}, {b}")


def _rows(count: int, *, routable: bool, seed: int = 1) -> list[dict[str, object]]:
    """Easy prompts that both models can do and hard ones that the small one cannot; or scores at random."""
    rng = random.Random(seed)
    rows: list[dict[str, object]] = []
    for number in range(count):
        hard = rng.random() < 0.5
        text = rng.choice(HARD if hard else EASY).format(a=rng.randrange(1000), b=rng.randrange(1000))
        chance = (0.2 if hard else 0.95) if routable else 0.55
        scores = {"small": float(rng.random() < chance), "large": float(rng.random() < 0.95)}
        cost = {"small": 0.0001, "large": 0.002 if number % 7 else None}
        rows.append({"prompt": text, "task": "hard" if hard else "easy", "scores": scores, "cost": cost})
    return rows


def _write(path: Path, rows: list[dict[str, object]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("data") / "labelled.jsonl.gz", _rows(600, routable=True))


def _pool(rows: list[dict[str, object]], tmp_path: Path, models: tuple[str, ...] = ()) -> dataset.Pool:
    read, tags = dataset.read(_write(tmp_path / "rows.jsonl", rows), "task")
    return dataset.select(read, tags, models)


def test_a_run_prints_a_table_and_writes_stable_keys(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, picture = tmp_path / "out.json", tmp_path / "out.svg"
    arguments = ["eval", "--data", str(labelled), "--n", "50,100,5000", "--splits", "2"]
    assert main([*arguments, "--json", str(out), "--plot", str(picture)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    for words in ("always cheap", "always strong", "random mix", "prompt length", "kNN, k=5", "16 clusters", "ours"):
        assert f"\n{words}" in said.out
    assert "Routable: " in said.out
    found = json.loads(out.read_bytes())
    for rule in found["rules"]:
        assert {"rule", "n", "gain", "gain_lo", "gain_hi", "apgr", "cost95", "cost98"} <= set(rule)
        assert rule["gain_lo"] <= rule["gain"] <= rule["gain_hi"]
    assert {(rule["rule"], rule["n"]) for rule in found["rules"] if rule["n"]} == {
        (rule, n) for rule in ("knn5", "clusters16", "ours") for n in (50, 100, 420)
    }
    assert {"target", "runs", "below_97"} <= set(found["floor"])
    assert found["floor"]["runs"] == 8
    assert found["verdict"]["routable"] is True
    assert found["verdict"]["sentence"] in said.out
    root = ET.fromstring(picture.read_text())
    assert len([part for part in root if part.tag.endswith("polyline")]) == 5


def test_ours_finds_what_there_is_to_find(labelled: Path) -> None:
    rows, tags = dataset.read(labelled)
    pool = dataset.select(rows, tags, ())
    figures = {each.rule: each for each in Trial(pool, taught.embed(pool), Plan(sizes=(100,), splits=2)).run()}
    assert figures["ours"].gain > 5
    assert figures["ours"].apgr > 0.6
    assert figures["oracle"].gain > figures["ours"].gain
    assert figures["random"].gain == 0
    assert figures["random"].apgr == pytest.approx(0.5)
    assert (figures["cheap"].apgr, figures["strong"].apgr) == (0, 1)
    assert figures["ours"].cost95 is not None
    assert figures["random"].cost95 is not None
    assert figures["ours"].cost95 < figures["random"].cost95
    again = {each.rule: each for each in Trial(pool, taught.embed(pool), Plan(sizes=(100,), splits=2)).run()}
    assert figures == again


def test_chance_is_not_worth_routing(tmp_path: Path) -> None:
    pool = _pool(_rows(1200, routable=False), tmp_path)
    verdict = checks.reach_verdict(pool, taught.embed(pool), 1, lambda: None)
    assert not verdict.routable
    assert "nothing to route here" in verdict.sentence


def test_a_floor_is_kept_on_prompts_that_it_was_not_set_by(tmp_path: Path) -> None:
    pool = _pool(_rows(900, routable=True), tmp_path)
    check = checks.check_floor(pool, taught.embed(pool), 0.98, 5, 1, lambda: None)
    assert (check.runs, check.labels) == (5, 300)
    assert check.below_97 <= 1
    assert check.kept > 0.97
    assert check.bill is not None
    assert check.bill < 0.9


def test_an_unseen_kind_is_noticed(tmp_path: Path) -> None:
    pool = _pool(_rows(400, routable=True), tmp_path)
    unseen = checks.leave_groups_out(pool, taught.embed(pool), 1, lambda: None)
    assert unseen is not None
    assert unseen.groups == 2
    assert unseen.novel > 0.5
    one_kind = _pool([{**row, "task": ""} for row in _rows(100, routable=True)], tmp_path)
    assert checks.leave_groups_out(one_kind, taught.embed(one_kind), 1, lambda: None) is None


def test_rows_without_all_scores_are_learned_from_and_never_judged(tmp_path: Path) -> None:
    rows = _rows(200, routable=True)
    for row in rows[:60]:
        row["scores"] = {"small": 1.0, "large": None}
    pool = _pool(rows, tmp_path)
    drawn = trial.split(pool, 1, 0)
    assert not np.isnan(pool.scores[drawn.judge]).any()
    judged = {pool.prompts[row] for row in drawn.judge}
    left = set(range(200)) - {*drawn.learn.tolist(), *drawn.judge.tolist()}
    assert all(pool.prompts[row] in judged for row in left)
    assert np.isnan(pool.scores[drawn.learn]).any()
    figures = Trial(pool, taught.embed(pool), Plan(sizes=(60,), splits=2)).run()
    assert all(math.isfinite(each.gain) for each in figures)


def _twice(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [*rows, *({**row, "prompt": f" {str(row['prompt']).upper()}\n"} for row in rows)]


def test_a_prompt_that_stands_in_a_file_twice_is_not_judged_by_itself(tmp_path: Path) -> None:
    pool = _pool(_twice(_rows(100, routable=True)), tmp_path)
    for number in range(5):
        drawn = trial.split(pool, 1, number)
        texts = [{pool.prompts[row].strip().lower() for row in rows} for rows in drawn]
        assert not texts[0] & texts[1]
        assert len(drawn.judge) == 60
    # Where a file is one prompt over and over, that is what it is judged by.
    alike = _pool([{**row, "prompt": "ping"} for row in _rows(100, routable=True)], tmp_path)
    assert [len(rows) for rows in trial.split(alike, 1, 0)] == [70, 30]


def test_copies_of_noise_are_not_taken_for_knowledge(tmp_path: Path) -> None:
    rows = _rows(300, routable=False)
    pool = _pool([row for row in rows for _ in range(3)], tmp_path)
    prompts = taught.embed(pool)
    assert not checks.reach_verdict(pool, prompts, 1, lambda: None).routable
    chance = np.random.default_rng(2)
    _, fold_of = taught.cross_fit(pool, prompts, np.arange(900), contenders.MEASURED, chance)
    assert (fold_of.reshape(-1, 3) == fold_of[::3, None]).all()
    alike = taught.embed(_pool([{**row, "prompt": "ping"} for row in rows], tmp_path))
    _, parted = taught.cross_fit(pool, alike, np.arange(300), contenders.MEASURED, chance)
    assert np.bincount(parted).tolist() == [60] * 5


def test_three_models_are_measured_above_the_best_mixtures(tmp_path: Path) -> None:
    rows = _rows(500, routable=True)
    for row in rows:
        scores, cost = row["scores"], row["cost"]
        assert isinstance(scores, dict)
        assert isinstance(cost, dict)
        scores["middle"] = max(scores["small"], float(len(str(row["prompt"])) % 2))
        cost["middle"] = 0.0006
    pool = _pool(rows, tmp_path, ("small", "middle", "large"))
    (ours,) = Trial(pool, taught.embed(pool), Plan(sizes=(200,), splits=2, rules=("ours",))).run()
    assert ours.gain > 0


def test_unknown_prices_leave_bills_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**row, "cost": {}} for row in _rows(150, routable=True)]
    path = _write(tmp_path / "rows.jsonl", rows)
    arguments = ["eval", "--data", str(path), "--cheap", "small", "--strong", "large", "--n", "50", "--splits", "1"]
    assert main([*arguments, "--rules", "ours", "--json", str(tmp_path / "o.json")]) == 0
    assert "no known cost" in capsys.readouterr().out
    (ours,) = json.loads((tmp_path / "o.json").read_bytes())["rules"]
    assert (ours["cost95"], ours["cost98"]) == (None, None)
    assert ours["gain"] > 0


def test_prompts_of_any_kind_and_models_that_are_free(tmp_path: Path) -> None:
    rows = [{**row, "cost": {"small": 0, "large": 0}} for row in _rows(120, routable=True)]
    for at, prompt in enumerate(("", "\x00", "  ", "\u4f60\u597d", "\U0001f600" * 3000)):
        rows[at]["prompt"] = prompt
    pool = _pool(rows, tmp_path)
    prompts = taught.embed(pool)
    for figures in Trial(pool, prompts, Plan(sizes=(50,), splits=1)).run():
        assert math.isfinite(figures.gain)
    assert checks.check_floor(pool, prompts, 0.9, 1, 1, lambda: None).runs == 1


def _equally_dear(count: int) -> list[dict[str, object]]:
    """Each model can do one of two kinds of prompts, the large one a little more of them; both cost the same."""
    rows = _rows(count, routable=True)
    for row in rows:
        hard = row["task"] == "hard"
        row |= {"scores": {"small": float(not hard), "large": float(hard)}, "cost": {"small": 0.001, "large": 0.001}}
    return rows


def test_models_of_one_price_are_worth_routing_for_their_quality(tmp_path: Path) -> None:
    pool = _pool(_equally_dear(200), tmp_path)
    prompts = taught.embed(pool)
    verdict = checks.reach_verdict(pool, prompts, 1, lambda: None)
    assert verdict.routable
    assert "over always the best model" in verdict.sentence
    figures = {each.rule: each for each in Trial(pool, prompts, Plan(sizes=(100,), splits=1)).run()}
    assert figures["oracle"].gain > 30
    assert figures["ours"].gain == pytest.approx(figures["oracle"].gain, abs=5)
    assert figures["random"].gain == 0


def test_without_prices_the_better_of_unnamed_models_counts_as_the_dearer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _write(tmp_path / "rows.jsonl", [{**row, "cost": {}} for row in _rows(200, routable=True)])
    assert main(["eval", "--data", str(path), "--n", "50", "--splits", "1", "--rules", "ours"]) == 0
    said = capsys.readouterr().out
    assert "small (cheap), large (strong)" in said
    assert "from the worse to the better" in said
    many = [{**row, "scores": {**row["scores"], "none": None}} for row in _rows(60, routable=True)]  # type: ignore[dict-item]
    assert _pool(many, tmp_path).models == ("large", "small")


def test_prices_that_few_rows_tell_hold_for_all(tmp_path: Path) -> None:
    rows = _rows(300, routable=True)
    for at, row in enumerate(rows):
        row["cost"] = {"small": 0.0001, "large": 0.002} if at == 17 else {"small": 0.0001, "large": None}
    pool = _pool(rows, tmp_path, ("large", "small"))
    assert dataset.mean_costs(pool, np.arange(100, 200)).tolist() == pytest.approx([0.002, 0.0001])


# --- curves -------------------------------------------------------------------------------------------------


def test_random_mixing_gains_nothing_and_an_oracle_all() -> None:
    scores = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    costs = np.tile([1.0, 2.0], (4, 1))
    hull = curves.singles(scores, costs).hull(1)
    tied = curves.walk_all(np.tile([0.0, 1.0], (4, 1)), np.array([1.0, 2.0]), 1)
    assert curves.gain(curves.trace(tied, scores, costs), hull) == pytest.approx(0)
    known = curves.trace(curves.walk_all(scores, np.array([1.0, 2.0]), 1), scores, costs)
    # Half of the way all that can be won is won: the area above the line is a triangle of height 25 points.
    assert curves.gain(known, hull) == pytest.approx(12.5)
    assert curves.recovered(known, hull) == pytest.approx(0.75)
    assert curves.bill_at(known, 2.0, 1.0, 0.75) == pytest.approx(1.25 / 2)
    assert curves.bill_at(known, 2.0, 1.0, 1.01) is None


def test_a_model_below_the_mixtures_is_not_on_the_hull() -> None:
    alone = curves.Singles(np.array([1.0, 2.0, 3.0, 9.0]), np.array([0.0, 0.2, 1.0, 0.9]))
    assert alone.hull(2).costs.tolist() == [1, 3]
    better = curves.Singles(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.8, 1.0]))
    assert better.hull(2).costs.tolist() == [1, 2, 3]


def test_leaving_an_example_out_means_that_it_is_not_learned_from(tmp_path: Path) -> None:
    pool = _pool(_rows(100, routable=True), tmp_path)
    prompts = taught.embed(pool)
    chance = np.random.default_rng(2)
    expected, fold_of = taught.cross_fit(pool, prompts, np.arange(100), contenders.MEASURED, chance)
    inside = np.flatnonzero(fold_of == 0)
    others = taught.Taught(pool, prompts, np.flatnonzero(fold_of != 0), contenders.MEASURED, examples=100)
    assert np.array_equal(expected[inside], others.expect(inside))


# --- what is read -------------------------------------------------------------------------------------------


def test_a_file_is_read_however_it_was_written(tmp_path: Path) -> None:
    rows = _rows(50, routable=True)
    text = _write(tmp_path / "plain.jsonl", rows).read_bytes()
    nulls = b"".join(json.dumps({**row, "cost": None, "task": None}).encode() + b"\n" for row in rows)
    ways = {
        "mark.jsonl": b"\xef\xbb\xbf" + text,
        "packed.jsonl": gzip.compress(text),
        "NAMED.GZ": gzip.compress(b"\xef\xbb\xbf" + text),
        "returns.jsonl": text.replace(b"\n", b"\r\n"),
        "gaps.jsonl": text.replace(b"\n", b"\n\n \n"),
        "unended.jsonl": text.rstrip(),
        "nulls.jsonl": nulls,
    }
    for name, data in ways.items():
        (tmp_path / name).write_bytes(data)
        read, _ = dataset.read(tmp_path / name)
        assert [row.prompt for row in read] == [row["prompt"] for row in rows], name
        assert dataset.select(read, [""] * 50, ()).models == (
            ("small", "large") if "nulls" in name else ("large", "small")
        )


# --- what is refused ------------------------------------------------------------------------------------------

GOOD = '{"prompt":"p","scores":{"a":1,"b":0}}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no rows"),
        (f"{GOOD}\nno json\n", "Line 2"),
        (f'{GOOD}\n{{"prompt":1,"scores":{{}}}}\n', r"Line 2: .*\$\.prompt"),
        ('{"prompt":"p"}\n', "Line 1: .*scores"),
        ('{"prompt":"p","scores":{"a":1.5}}\n', "Line 1: the score of a is 1.5"),
        ('{"prompt":"p","scores":{"a":1},"cost":{"a":-1}}\n', "Line 1: the cost of a"),
        (f"{GOOD}\n", "Only 1 rows"),
        ('{"prompt":"p","scores":{"a":1}}\n', "at least two models"),
    ],
)
def test_a_file_that_is_wrong_is_named_by_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(dataset.DatasetError, match=words):
        dataset.select(*dataset.read(path), ())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cheap", "small"], "go together"),
        (["--pool", "small,large", "--cheap", "small", "--strong", "large"], "either"),
        (["--cheap", "small", "--strong", "nobody"], "'nobody'.*large, small"),
        (["--json", "/nowhere/at/all.json"], "no folder"),
    ],
)
def test_a_wrong_question_gets_one_sentence(
    labelled: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--data", str(labelled), *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("laneway: ")
    assert re.search(words, said)
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--n", "5"], ["--floor", "2"], ["--splits", "0"], ["--rules", "magic"]])
def test_a_wrong_number_is_refused_by_its_name(
    labelled: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["eval", "--data", str(labelled), *arguments])
    assert arguments[0] in capsys.readouterr().err


def test_missing_and_broken_files_are_said_plainly(tmp_path: Path) -> None:
    broken = tmp_path / "rows.jsonl.gz"
    broken.write_bytes(b"not gzip")
    foreign = tmp_path / "latin.jsonl"
    foreign.write_bytes(GOOD.encode() + b'\n{"prompt":"caf\xe9","scores":{"a":1}}\n')
    with pytest.raises(dataset.DatasetError, match="Line 2: this is no UTF-8"):
        dataset.read(foreign)
    for path, words in ((tmp_path / "none.jsonl", "no file"), (tmp_path, "folder"), (broken, "gzip")):
        with pytest.raises(dataset.DatasetError, match=words):
            dataset.read(path)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_shows_on_a_terminal_only() -> None:
    terminal, file = _Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = Progress(stream, 2)
        progress.step()
        progress.step()
        progress.end()
    assert " 50 %" in terminal.getvalue()
    assert "100 %" in terminal.getvalue()
    assert file.getvalue() == ""
