"""Records beside a running gateway: pages, a time range, the export, and the table for a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.house import ADMIN, SIMULATED
from tests.harness.gateway import Served, served, told

CONFIG = f"""
[server]
store = "sqlite:///kept.db"
admin_key = "admin-key-of-tests"
record_prefix = "acme"
{SIMULATED}
[lanes.chain]
targets = ["sim/sim-down", "sim/sim-small"]
"""
COUNT = 7


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("records"), CONFIG) as gateway:
        for number in range(COUNT - 1):
            headers = {"x-laneway-trace": f"t-{number}"}
            assert gateway.chat("chain" if number % 2 else "sim-small", headers=headers).status_code == 200
        assert gateway.chat("nobody-knows-it").status_code == 404
        yield gateway


def listed(gateway: Served, query: str = "") -> Any:
    answer = gateway.get(f"/admin/v1/records?{query}", headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_pages_follow_on_each_other(gateway: Served) -> None:
    seen: list[str] = []
    query, more, sizes = "limit=3", True, []
    while more:
        page = listed(gateway, query)
        sizes.append(len(page["data"]))
        seen += [record["request_id"] for record in page["data"]]
        more = page["next"] is not None
        query = f"limit=3&cursor={page['next']}"
    assert sizes == [3, 3, 1]
    assert len(set(seen)) == COUNT
    assert listed(gateway)["data"][0]["failure"] == "unknown_model"


def test_a_time_range_and_filters(gateway: Served) -> None:
    oldest = listed(gateway)["data"][-1]
    assert [found["trace"] for found in listed(gateway, f"to={oldest['at_s'] + 1e-6}")["data"]] == ["t-0"]
    assert len(listed(gateway, f"from={oldest['at_s'] + 1e-6}")["data"]) == COUNT - 1
    assert listed(gateway, "from=2100-01-01")["data"] == []
    moved = listed(gateway, "acme.fallback_reason=connect&limit=9")["data"]
    assert {found["acme.endpoint"] for found in moved} == {"sim"}
    assert len(moved) == 3
    wrong = gateway.get("/admin/v1/records?from=soon", headers=ADMIN)
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "from")


def test_the_export_is_every_record_one_a_line(gateway: Served) -> None:
    export = gateway.get("/admin/v1/records/export", headers=ADMIN)
    by_accept = gateway.get("/admin/v1/records", headers={**ADMIN, "accept": "application/x-ndjson"})
    assert export.headers["content-type"].startswith("application/x-ndjson")
    assert export.text == by_accept.text
    lines = [json.loads(line) for line in export.text.splitlines()]
    assert lines == listed(gateway)["data"]
    assert len(lines) == COUNT
    limited = gateway.get("/admin/v1/records/export?limit=2&status=200", headers=ADMIN)
    assert [json.loads(line)["status"] for line in limited.text.splitlines()] == [200, 200]
    for path in ("/admin/v1/records", "/admin/v1/records/export"):
        assert gateway.get(path).status_code == 401


def test_a_person_reads_a_table(gateway: Served) -> None:
    config = ("--config", "gateway.toml")
    code, said, complained = told(gateway.folder, "records", *config, "--where", "acme.lane=chain", "--limit", "2")
    assert (code, complained) == (0, "")
    heading, *rows = said.splitlines()
    assert heading.split()[2:7] == ["status", "lane", "model", "endpoint", "in"]
    assert len(rows) == 2
    assert all(" chain " in row and " connect " in row and " sim " in row for row in rows)
    code, said, _ = told(gateway.folder, "records", *config, "--ndjson")
    assert code == 0
    assert [json.loads(line) for line in said.splitlines()] == listed(gateway)["data"]
    assert told(gateway.folder, "records", *config, "--from", "2100-01-01")[1] == "There are no such records.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "soon"), "from: expected an instant"),
        (("--limit", "-3"), "limit: expected a whole number"),
        (("--where", "status"), "expected ATTRIBUTE=VALUE"),
    ],
)
def test_a_person_is_told_what_is_wrong(gateway: Served, arguments: tuple[str, ...], words: str) -> None:
    code, said, complained = told(gateway.folder, "records", "--config", "gateway.toml", *arguments)
    assert (code, said) == (2, "")
    assert words in complained
