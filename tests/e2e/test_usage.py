"""Usage as people read it: each key its own, the operator everything, a person a table."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.house import ADMIN, SIMULATED
from tests.harness.gateway import Served, served, told

CONFIG = f"""
[server]
admin_key = "admin-key-of-tests"
{SIMULATED}
[lanes.chain]
targets = ["sim/sim-small", "sim/sim-large"]

[tenants.acme]
keys = ["key-of-acme-1", "key-of-acme-2"]
"""
ONE, TWO = ({"authorization": f"Bearer key-of-acme-{number}"} for number in (1, 2))
DAY = time.strftime("%Y-%m-%d", time.gmtime())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("usage"), CONFIG) as gateway:
        for _ in range(2):
            assert gateway.chat("chain", headers={**ONE, "x-laneway-project": "=shop"}).status_code == 200
        assert gateway.chat("sim-large", headers=TWO).status_code == 200
        yield gateway


def test_a_caller_sees_what_the_own_key_used(gateway: Served) -> None:
    """And nothing of another key, whatever is asked for."""
    made = gateway.get("/v1/usage?group_by=lane,model", headers=ONE).json()
    (row,) = made["data"]
    assert (row["lane"], row["model"], row["requests"], row["failures"]) == ("chain", "sim-small", 2, 0)
    assert row["input_tokens"] > 0
    assert float(row["cost_usd"]) > 0
    assert float(row["saved_usd"]) > 0
    other = gateway.get("/v1/usage?tenant=bees", headers=ONE)
    assert (other.status_code, other.json()["error"]["message"]) == (
        403,
        "tenant: here is only what your own key used.",
    )
    assert gateway.get("/v1/usage").status_code == 401


def test_an_operator_sees_everything_as_csv(gateway: Served) -> None:
    """By Accept or by format; a project that a caller named like a formula is text."""
    by_format = gateway.get("/admin/v1/usage?group_by=project,model&format=csv", headers=ADMIN)
    by_accept = gateway.get("/admin/v1/usage?group_by=project,model", headers={**ADMIN, "accept": "text/csv"})
    assert by_format.headers["content-type"].startswith("text/csv")
    assert by_format.text == by_accept.text
    found = [(row["project"], row["model"], row["requests"]) for row in csv.DictReader(io.StringIO(by_format.text))]
    assert found == [("", "sim-large", "1"), ("'=shop", "sim-small", "2")]
    assert gateway.get("/admin/v1/usage", headers=ONE).status_code == 401


def test_a_wrong_question_is_answered_in_words(gateway: Served) -> None:
    for asked, words in (("group_by=hour", "is no label"), ("format=xml", "json or csv"), ("form=json", "no such")):
        answer = gateway.get(f"/admin/v1/usage?{asked}", headers=ADMIN)
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]


def test_a_person_reads_a_table(gateway: Served) -> None:
    """`laneway usage` beside a running gateway."""
    gateway.get("/admin/v1/usage", headers=ADMIN)  # what was recorded is written
    folder = gateway.folder
    code, said, complained = told(folder, "usage", "--config", "gateway.toml", "--by", "day,model")
    assert (code, complained) == (0, "")
    heading, *rows = said.splitlines()
    assert heading.split()[:4] == ["day", "model", "requests", "failures"]
    assert [row.split()[:3] for row in rows] == [
        [DAY, "sim-large", "1"],
        [DAY, "sim-small", "2"],
        ["total", "3", "0"],
    ]
    assert len({len(row) for row in said.splitlines()}) == 1
    code, said, _ = told(folder, "usage", "--config", "gateway.toml", "--by", "lane", "--lane", "chain", "--csv")
    assert (code, said.splitlines()[1].split(",")[:2]) == (0, ["chain", "2"])


def test_a_person_is_told_what_is_wrong(tmp_path: Path) -> None:
    code, said, complained = told(tmp_path, "usage", "--from", "soon")
    assert (code, said) == (2, "")
    assert complained == "laneway: from: expected a day as 2026-01-31, got 'soon'.\n"
    code, said, _ = told(tmp_path, "usage", "--from", "2026-01-01", "--to", "2026-01-02")
    assert (code, said) == (0, "Nothing was used from 2026-01-01 to 2026-01-02.\n")
