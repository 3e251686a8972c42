"""Teaching from a terminal: through a running gateway or beside its store, from any file, whole or not at all."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from laneway.commands.teach import PIECE_LINES
from tests.e2e.house import ADMIN
from tests.e2e.school import ACME, FAST, STRONG
from tests.e2e.test_teaching import CONFIG
from tests.harness.gateway import Served, served, told

Lines = list[dict[str, Any]]
ASK = ("--config", "gateway.toml")


def prompts(count: int) -> Lines:
    return [{"prompt": f"What is {number}+{number}?", "scores": {"fast": 1, "strong": 1}} for number in range(count)]


def write(folder: Path, lines: Lines, name: str = "mine.jsonl") -> str:
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gateway.toml").write_text(CONFIG)
    return tmp_path


def records(gateway: Served, tenant: str) -> int:
    total: int = gateway.get(f"/v1/router/memory?tenant={tenant}", headers=ADMIN).json()["total"]
    return total


def test_a_file_is_taught_to_a_running_gateway(folder: Path) -> None:
    """In pieces under one batch, in the name of a key or, for any tenant, of the admin."""
    with served(folder, CONFIG) as gateway:
        name = write(folder, prompts(1203), "mine.jsonl.gz")
        code, said, wrong = told(folder, "teach", name, *ASK, "--url", gateway.url, "--key", "key-of-acme-1")
        assert (code, wrong) == (0, "")
        assert said.startswith("1203 examples were taught (batch_")
        assert f"pool smart: warm (1203 of {FAST}, 1203 of {STRONG})" in said
        assert records(gateway, "acme") == 1203
        assert gateway.post("/v1/router/memory/undo", {}, headers=ACME).json()["deleted"] == 1203
        told(folder, "teach", name, *ASK, "--url", gateway.url, "--tenant", "other", "--batch", "first")
        assert (records(gateway, "other"), records(gateway, "acme")) == (1203, 0)
        code, _, wrong = told(
            folder, "teach", name, *ASK, "--url", gateway.url, "--key", "key-of-acme-1", "--tenant", "other"
        )
        assert (code, "your own tenant" in wrong) == (2, True)
        code, _, wrong = told(folder, "teach", name, *ASK, "--url", gateway.url, "--key", "key-of-nobody")
        assert (code, "is not known here" in wrong) == (2, True)


@pytest.mark.parametrize("running", [True, False], ids=["gateway", "store"])
def test_a_file_with_one_wrong_line_teaches_nothing(folder: Path, running: bool) -> None:
    """And the line is named as it stands in the file."""
    lines = prompts(700)
    lines[640]["scores"] = {"nobody": 1}
    name = write(folder, lines)
    if not running:
        code, said, wrong = told(folder, "teach", name, *ASK, "--tenant", "acme")
    else:
        with served(folder, CONFIG) as gateway:
            code, said, wrong = told(folder, "teach", name, *ASK, "--url", gateway.url, "--tenant", "acme")
            assert records(gateway, "acme") == 0
    assert (code, said) == (2, "")
    assert wrong == f"laneway: line 641: scores.nobody: there is no candidate 'nobody'. Candidates: {FAST}, {STRONG}.\n"
    assert told(folder, "memory", "list", *ASK, "--tenant", "acme")[1] == "There are no such examples.\n"


def test_a_file_of_exactly_one_piece_has_no_empty_second_one(folder: Path) -> None:
    name = write(folder, prompts(PIECE_LINES))
    assert told(folder, "teach", name, *ASK)[1].startswith(f"{PIECE_LINES} examples were taught")


def test_without_a_gateway_the_store_is_taught_and_a_gateway_finds_it(folder: Path) -> None:
    """From a set of labelled prompts as it is: a kind, costs, and models that were not asked."""
    lines = [
        {"prompt": "What is 2+2?", "task": "sums", "scores": {"fast": 1, "strong": None}, "cost": {"fast": 0.1}},
        {"prompt": "What is 482*937?", "task": "sums", "scores": {"fast": 0, "strong": 1}},
    ]
    name = write(folder, lines)
    code, said, _ = told(
        folder, "teach", name, *ASK, "--tenant", "acme", "--tag", "task", "--source", "import", "--pool", "smart"
    )
    assert code == 0
    assert "2 examples were taught" in said
    assert f"pool smart: still needs labels: 3 of {FAST}, 4 of {STRONG}" in said
    with served(folder, CONFIG) as gateway:
        found = gateway.get("/v1/router/memory", headers=ACME).json()["data"]
        assert [(each["tag"], each["labels"][0]["source"], each["taught_by"]) for each in found] == [
            ("sums", "import", "terminal")
        ] * 2


def test_a_memory_is_handled_in_a_terminal(folder: Path) -> None:
    acme = (*ASK, "--tenant", "acme")
    told(folder, "teach", write(folder, prompts(3)), *acme, "--batch", "one")
    told(folder, "teach", write(folder, [{"prompt": "Hello", "scores": {"fast": 0.5}, "tag": "talk"}]), *acme)
    listed = told(folder, "memory", "list", *acme)[1].splitlines()
    assert len(listed) == 4
    assert listed[3].split()[3:] == ["Hello", FAST, "0.5"]
    assert told(folder, "memory", "search", "hello", *acme)[1].split() == listed[3].split()
    assert len(told(folder, "memory", "list", *acme, "--candidate", STRONG, "--limit", "2")[1].splitlines()) == 2
    exported = told(folder, "memory", "export", *acme)[1]
    (folder / "kept.jsonl").write_text(exported)
    assert told(folder, "memory", "undo", *acme, "--batch", "one")[1] == "3 examples of one are taken back.\n"
    assert told(folder, "memory", "delete", "4", *acme)[1] == "1 examples are deleted.\n"
    assert told(folder, "memory", "delete", "4", *acme)[::2] == (2, "laneway: There is no example 4 in this memory.\n")
    assert told(folder, "memory", "import", "kept.jsonl", *acme)[1].startswith("4 examples are put back (batch_")
    assert told(folder, "memory", "export", *acme)[1] == exported


def test_a_packed_file_is_known_by_what_it_holds_whatever_its_name(folder: Path) -> None:
    name = write(folder, prompts(3), "mine.jsonl.gz")
    (folder / name).rename(folder / "mine.jsonl")
    code, said, wrong = told(folder, "teach", "mine.jsonl", *ASK)
    assert (code, wrong) == (0, "")
    assert said.startswith("3 examples were taught (batch_")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no lines"),
        ('{"prompt": "x", "scores": {"fast": 1}}\nnonsense', "line 2: expected a JSON object"),
        ('\n\n{"prompt": "x", "scores": {"fast": "good"}}', "line 3: Wrong type: expected a number"),
        ('{"prompt": "x"}', "line 1: Missing `scores`"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_words(folder: Path, text: str, words: str) -> None:
    (folder / "mine.jsonl").write_text(text)
    code, said, wrong = told(folder, "teach", "mine.jsonl", *ASK)
    assert (code, said) == (2, "")
    assert words in wrong


def test_what_cannot_be_reached_or_read_is_told(folder: Path) -> None:
    write(folder, prompts(1))
    assert "There is no file nowhere.jsonl" in told(folder, "teach", "nowhere.jsonl", *ASK)[2]
    (folder / "bad.gz").write_bytes(b"no gzip")
    assert "bad.gz is named like a gzip file, but is none" in told(folder, "teach", "bad.gz", *ASK)[2]
    assert "No gateway answers" in told(folder, "teach", "mine.jsonl", *ASK, "--url", "http://127.0.0.1:1")[2]
    assert "expected an http:// or" in told(folder, "teach", "mine.jsonl", *ASK, "--url", "ftp://x")[2]


# --- proof -------------------------------------------------------------------------------------------------


def test_one_backend_is_measured_against_another(folder: Path) -> None:
    """By known answers and by a judge; the calls are recorded under the tenant who pays."""
    hard = [{"prompt": f"What is {number}*937?", "answer": number * 937} for number in range(480, 492)]
    easy = [{"prompt": f"What is {number}+1?", "answer": str(number + 1)} for number in range(4)]
    name = write(folder, hard + easy)
    ask = ("eval", "--compare", "fast", "strong", "--questions", name, *ASK)
    code, said, wrong = told(folder, *ask, "--exact", "--json", "out.json", "--tenant", "acme")
    assert (code, wrong) == (0, "")
    assert "16 questions, scored by exact answers; strong was better 12 times, fast 0 times." in said
    assert said.splitlines()[-1].startswith("strong is better than fast by 75.0 points")
    found = json.loads((folder / "out.json").read_text())
    assert set(found) == {
        *("questions", "scored", "scorer", "a", "b", "difference", "difference_lo", "difference_hi"),
        *("a_better", "b_better", "judging_usd", "sentence"),
    }
    assert (found["a"]["model"], found["a"]["quality"], found["b"]["quality"]) == ("fast", 0.25, 1.0)
    assert found["b"]["cost_usd"] > found["a"]["cost_usd"] > 0
    code, said, _ = told(folder, *ask, "--judge", "sim/sim-judge")
    assert code == 0
    assert "scored by sim/sim-judge in both orders; strong was better 12 times" in said
    usage = told(folder, "usage", *ASK, "--by", "tenant,key,model")[1]
    assert "acme" in usage
    assert "eval" in usage
    with served(folder, CONFIG) as gateway:
        rows = gateway.get("/admin/v1/usage?group_by=tenant,key", headers=ADMIN).json()["data"]
        assert {(row["tenant"], row["key"], row["requests"]) for row in rows} == {
            ("acme", "eval", 32),
            ("default", "eval", 64),
        }


def test_a_budget_binds_a_comparison_of_backends(folder: Path) -> None:
    name = write(folder, [{"prompt": f"What is {number}+1?", "answer": number + 1} for number in range(3)])
    ask = ("eval", "--compare", "sim/sim-echo", "strong", "--questions", name, "--exact", *ASK, "--tenant", "poor")
    code, said, _ = told(folder, *ask)
    assert code == 0
    assert [line.split()[-1] for line in said.splitlines()[1:3]] == ["0", "3"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Give either --data FILE, --tenant NAME, or --compare A B."),
        (("--compare", "a", "b"), "--compare A B goes with --questions FILE"),
        (("--compare", "a", "b", "--questions", "q", "--exact", "--judge", "c"), "either --judge MODEL or --exact"),
        (("--exact", "--tenant", "acme"), "go with --compare A B"),
        (("--compare", "fast", "storng", "--questions", "mine.jsonl", "--exact"), "Did you mean strong"),
        (("--compare", "fast", "smart", "--questions", "mine.jsonl", "--exact"), "There is no model 'smart'"),
        (("--tenant", "acme"), "The tenant acme has taught nothing yet"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    write(folder, [{"prompt": "x", "answer": "y"}] * 2)
    code, said, wrong = told(folder, "eval", *ASK, *arguments)
    assert (code, said) == (2, "")
    assert words in wrong
