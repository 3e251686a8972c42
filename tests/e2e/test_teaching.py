"""Teaching a running gateway: comparing models, scoring them, and a memory that can be read, mended and taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.house import ADMIN
from tests.e2e.school import (
    ACME,
    FAST,
    HARD,
    LEAN,
    MEMORY,
    MODELS,
    OTHER,
    RANK,
    STRONG,
    TENANTS,
    memory,
    refusal,
    teach,
)
from tests.harness.gateway import Served, served

CONFIG = f"""{MODELS}
[pools.smart]
candidates = ["fast", "strong"]
default = "strong"
aliases = ["auto"]
keep_prompts = true
warm = 5

[pools.quiet]
candidates = ["fast", "strong"]
{TENANTS}
[tenants.poor]
keys = ["key-of-poor"]
daily_usd = 0
"""
POOR = {"authorization": "Bearer key-of-poor"}
COMPARE = "/v1/router/preferences/compare"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("teaching"), CONFIG) as gateway:
        yield gateway


@pytest.fixture
def taught(gateway: Served) -> Iterator[Served]:
    """A memory that is empty before and after."""
    yield gateway
    for whose in (ACME, OTHER):
        for example in memory(gateway, whose, limit=1000):
            gateway.client.delete(f"{gateway.url}{MEMORY}/{example['id']}", headers=whose)


def rank(gateway: Served, prompt: str = HARD, headers: Mapping[str, str] = ACME, **more: Any) -> httpx.Response:
    return gateway.post(RANK, {"prompt": prompt, "scores": {"fast": 0, "strong": 1}, **more}, headers=headers)


# --- comparing ---------------------------------------------------------------------------------------------


def test_comparing_asks_each_model_and_one_failure_sinks_no_other(gateway: Served) -> None:
    """With its cost and time, recorded under the caller's key as any request is."""
    asked = {"prompt": HARD, "models": ["quick", "sim/sim-fail-503", "strong"], "max_tokens": 50}
    before = gateway.get("/v1/usage", headers=ACME).json()["total"]["requests"]
    told = gateway.post(COMPARE, asked, headers=ACME).json()
    fast, failed, strong = told["answers"]
    assert (fast["model"], fast["candidate"], fast["error"]) == ("quick", "sim/sim-small", None)
    assert "451634" not in fast["text"]
    assert "451634" in strong["text"]
    assert strong["usage"]["input_tokens"] > 0
    assert float(strong["cost_usd"]) > float(fast["cost_usd"]) > 0
    assert strong["latency_ms"] > 0
    assert (failed["text"], failed["error"]["kind"]) == (None, "overloaded")
    usage = gateway.get("/v1/usage", headers=ACME).json()["total"]
    assert usage["requests"] == before + 3
    records = gateway.get("/admin/v1/records?intent=compare", headers=ADMIN).json()["data"]
    assert {record["request_id"] for record in records} >= {each["request_id"] for each in told["answers"]}


def test_a_conversation_can_be_compared(gateway: Served) -> None:
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    asked = {
        "messages": [*turns, {"role": "user", "content": "What is 2+2?"}],
        "system": "Be brief.",
        "models": ["fast"],
    }
    (answer,) = gateway.post(COMPARE, asked, headers=ACME).json()["answers"]
    assert answer["text"] == "2 + 2 = 4."


def test_a_comparison_that_makes_no_sense_costs_nothing(gateway: Served) -> None:
    before = gateway.get("/v1/usage", headers=ACME).json()["total"]["requests"]
    for body, status, words in (
        ({"prompt": "x", "models": []}, 400, "from 1 to 16 models"),
        ({"prompt": "x", "models": ["fast", "sim/sim-small"]}, 400, "models[1]: means the same model as 'fast'"),
        ({"prompt": "x", "models": ["fasd"]}, 404, 'did you mean "fast"'),
        ({"prompt": "x", "models": ["smart"]}, 404, "no model 'smart'"),
        ({"models": ["fast"]}, 400, "either a prompt or messages"),
        ({"prompt": "x", "messages": [], "models": ["fast"]}, 400, "either a prompt or messages"),
        ({"prompt": "x", "models": ["fast"], "modles": []}, 400, "Unknown field `modles`"),
        ({"messages": [{"role": "user"}], "models": ["fast"]}, 400, "messages[0].content"),
    ):
        assert words in refusal(gateway.post(COMPARE, body, headers=ACME), status), body
    assert "may not use" in refusal(gateway.post(COMPARE, {"prompt": "x", "models": ["sim-echo"]}, headers=LEAN), 403)
    refusal(gateway.post(COMPARE, {"prompt": "x", "models": ["fast"]}, headers={"authorization": "Bearer nobody"}), 401)
    assert gateway.get("/v1/usage", headers=ACME).json()["total"]["requests"] == before


def test_comparing_stays_within_the_budget(gateway: Served) -> None:
    """Each call is refused as any request of that tenant would be; what is free is answered."""
    told = gateway.post(COMPARE, {"prompt": "x", "models": ["strong", "sim/sim-echo"]}, headers=POOR).json()
    strong, echo = told["answers"]
    assert strong["error"]["kind"] == "over_budget"
    assert (echo["error"], echo["text"], told["cost_usd"]) == (None, "x", "0")


# --- teaching ----------------------------------------------------------------------------------------------


def test_scores_become_an_example(taught: Served) -> None:
    """Under the candidates' own names, with who taught it, and what is still needed."""
    told = rank(taught, task_id="ticket-7").json()
    assert (told["recorded"], told["records"]) == (1, 1)
    assert told["warm"]["smart"] == {
        "warm": False,
        "labels": {FAST: 1, STRONG: 1},
        "needed": {FAST: 4, STRONG: 4},
    }
    (example,) = memory(taught)
    assert example["id"] == told["ids"][0]
    assert {label["candidate"]: label["score"] for label in example["labels"]} == {FAST: 0, STRONG: 1}
    assert {label["source"] for label in example["labels"]} == {"human"}
    assert (example["prompt"], example["task_id"], example["batch"]) == (HARD, "ticket-7", told["batch"])
    assert example["taught_by"].startswith("cfg_")
    for number in range(4):
        told = rank(taught, f"What is {number}+1?", scores={"quick": 1, STRONG: 1}).json()
    assert (told["warm"]["smart"]["warm"], told["warm"]["smart"]["needed"]) == (True, {})


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"prompt": "x", "scores": {"gpt-9": 1}}, 400, f"there is no candidate 'gpt-9'. Candidates: {FAST}, {STRONG}."),
        ({"prompt": "x", "scores": {"fast": 1, "quick": 1}}, 400, "means the same candidate as 'fast'"),
        ({"prompt": "x", "scores": {"fast": 1.5}}, 400, "scores.fast: expected a score from 0 to 1, got 1.5"),
        ({"prompt": "x", "scores": {"fast": True}}, 400, "expected a number"),
        ({"prompt": "x", "scores": {}}, 400, "scores: is empty"),
        ({"prompt": " ", "scores": {"fast": 1}}, 400, "prompt: holds no words"),
        ({"prompt": "x", "scores": {"fast": 1}, "pool": "nope"}, 400, "there is no pool 'nope'. Pools: smart, quiet."),
        ({"prompt": "x", "scores": {"fast": 1}, "label_source": "A B"}, 400, "label_source: expected a short name"),
        ({"prompt": "x"}, 400, "Missing `scores`"),
        ({"examples": []}, 400, "nothing to learn"),
        ({"examples": [{"prompt": "x", "scores": {"fast": 2}}]}, 400, "examples[0].scores.fast: expected a score"),
        ([], 400, "expected an object"),
    ],
)
def test_what_cannot_be_taught_is_refused_in_words(gateway: Served, body: Any, status: int, words: str) -> None:
    assert words in refusal(gateway.post(RANK, body, headers=ACME), status)
    assert memory(gateway) == []


def test_a_refusal_has_the_shape_that_the_caller_s_client_expects(gateway: Served) -> None:
    """Whoever speaks Anthropic's format hears of it in that format."""
    answer = rank(gateway, scores={"fast": 7}, headers={**ACME, "anthropic-version": "2023-06-01"})
    assert (answer.status_code, answer.json()["type"], answer.json()["error"]["type"]) == (
        400,
        "error",
        "invalid_request_error",
    )


def test_a_batch_is_taught_whole_or_not_at_all_and_undone_whole(taught: Served) -> None:
    good = [{"prompt": f"What is {number}+2?", "scores": {"fast": 1, "strong": 1}} for number in range(5)]
    bad = [*good, {"prompt": "x", "scores": {"fast": -1}}]
    assert "line 6: scores.fast" in refusal(teach(taught, "\n".join(map(json.dumps, bad))))
    assert "line 2: The body is not valid JSON" in refusal(teach(taught, f"{json.dumps(good[0])}\n{{"))
    assert memory(taught) == []
    checked = teach(taught, "\n".join(map(json.dumps, good)), path=f"{RANK}?check=1")
    assert (checked.status_code, checked.json()["checked"], memory(taught)) == (200, 5, [])
    first = rank(taught).json()
    made = teach(taught, "\n\n".join(map(json.dumps, good)) + "\n").json()
    again = taught.post(RANK, {"examples": good[:2], "batch": made["batch"]}, headers=ACME).json()
    assert (made["recorded"], again["batch"], again["records"]) == (5, made["batch"], 8)
    assert taught.post(f"{MEMORY}/undo", {}, headers=ACME).json() == {"batch": made["batch"], "deleted": 7}
    assert [example["batch"] for example in memory(taught)] == [first["batch"]]
    assert taught.post(f"{MEMORY}/undo", {}, headers=ACME).json() == {"batch": first["batch"], "deleted": 1}
    assert "no batch to undo" in refusal(taught.post(f"{MEMORY}/undo", {}, headers=ACME), 404)
    assert "Nothing is left" in refusal(taught.post(f"{MEMORY}/undo", {"batch": "x"}, headers=ACME), 404)


# --- memory as data ----------------------------------------------------------------------------------------


def test_a_memory_is_searched_in_pages(taught: Served) -> None:
    for number in range(5):
        rank(taught, f"What is {number}+1?", tag="sums", task_id=f"t{number}")
    rank(taught, "Translate: Guten Tag", tag="words", scores={"fast": 1}, label_source="import")
    assert [
        len(memory(taught, **where))
        for where in (
            {"text": "WHAT"},
            {"tag": "words"},
            {"candidate": STRONG},
            {"source": "import"},
            {"task_id": "t3"},
            {"batch": "-"},
        )
    ] == [5, 1, 5, 1, 1, 0]
    page = taught.get(MEMORY, params={"limit": 4}, headers=ACME).json()
    rest = taught.get(MEMORY, params={"limit": 4, "after": page["after"]}, headers=ACME).json()
    assert (page["total"], len(page["data"]), len(rest["data"]), rest["after"]) == (6, 4, 2, None)
    assert "limit: expected" in refusal(taught.get(MEMORY, params={"limit": 0}, headers=ACME))
    assert "after: expected" in refusal(taught.get(MEMORY, params={"after": "x"}, headers=ACME))


def test_an_example_is_changed_and_deleted(taught: Served) -> None:
    (example_id,) = rank(taught).json()["ids"]
    where = f"{taught.url}{MEMORY}/{example_id}"
    change = {"prompt": "What is 3+3?", "scores": {"fast": 1, STRONG: None}, "tag": "sums"}
    changed = taught.client.patch(where, json=change, headers=ACME).json()
    assert (changed["prompt"], changed["tag"]) == ("What is 3+3?", "sums")
    assert changed["labels"] == [{"candidate": FAST, "score": 1.0, "source": "human"}]
    assert taught.client.get(where, headers=ACME).json() == changed
    assert "no label would be left" in refusal(
        taught.client.patch(where, json={"scores": {"fast": None}}, headers=ACME)
    )
    assert "scores.nope" in refusal(taught.client.patch(where, json={"scores": {"nope": 1}}, headers=ACME))
    assert taught.client.delete(where, headers=ACME).json() == {"deleted": 1}
    for answer in (taught.client.get(where, headers=ACME), taught.client.delete(where, headers=ACME)):
        assert "There is no example" in refusal(answer, 404)
    assert "ids are whole numbers" in refusal(taught.get(f"{MEMORY}/x", headers=ACME), 404)


def test_a_memory_is_carried_away_and_put_back(taught: Served) -> None:
    """As it was, those examples included whose candidates nobody knows any more."""
    rank(taught, tag="sums", task_id="t1")
    rank(taught, "Translate: Guten Tag", scores={"fast": 0.25}, label_source="import")
    exported = taught.get(f"{MEMORY}/export", headers=ACME)
    assert exported.headers["content-type"] == "application/x-ndjson"
    old = {"prompt": "x", "labels": [{"candidate": "gone/model@1", "score": 0.5}]}
    put = teach(taught, exported.text + json.dumps(old), OTHER, f"{MEMORY}/import").json()
    assert put["recorded"] == 3
    again = taught.get(f"{MEMORY}/export", headers=OTHER).text.splitlines()
    assert again[:2] == exported.text.splitlines()
    assert json.loads(again[2])["labels"][0]["candidate"] == "gone/model@1"
    wrong = json.dumps({"prompt": "x", "labels": [{"candidate": "a/b", "score": 3}]})
    assert "line 1: labels[0].score" in refusal(teach(taught, wrong, OTHER, f"{MEMORY}/import"))
    assert taught.post(f"{MEMORY}/undo", {}, headers=OTHER).json()["deleted"] == 3
    assert memory(taught, OTHER) == []
    assert len(memory(taught)) == 2


def test_twins_and_contradictions_are_found(taught: Served) -> None:
    rank(taught, "Please translate this sentence into German: the cat sleeps")
    rank(taught, "please translate this sentence into  German: the cat sleeps", scores={"fast": 1, "strong": 1})
    rank(taught, "Write a sonnet about autumn rain over a harbour town")
    (pair,) = taught.get(f"{MEMORY}/duplicates", headers=ACME).json()["data"]
    assert pair["likeness"] == 1.0
    assert [example["id"] for example in pair["examples"]] == [example["id"] for example in memory(taught)[:2]]
    disputes = taught.get(f"{MEMORY}/contradictions", headers=ACME).json()
    (said,) = disputes["data"]
    assert (disputes["total"], disputes["after"]) == (1, None)
    assert (said["candidate"], said["difference"]) == (FAST, 1.0)


def test_sources_are_measured_against_people(taught: Served) -> None:
    for number in range(8):
        rank(taught, f"What is {number}+1?", scores={"fast": number % 2})
        rank(taught, f"What is {number}+1?", scores={"fast": 1 - number % 2}, label_source="import")
    found = {each["source"]: each for each in taught.get(f"{MEMORY}/sources", headers=ACME).json()["data"]}
    assert (found["human"]["labels"], found["human"]["trust"]) == (8, 1.0)
    assert (found["import"]["labels"], found["import"]["compared"]) == (8, 8)
    assert found["import"]["trust"] < 0.2


def test_a_tenant_sees_its_own_memory_only(taught: Served) -> None:
    """And an operator that of any tenant he names."""
    (example_id,) = rank(taught).json()["ids"]
    assert memory(taught, OTHER) == []
    for path in ("", "/influence"):
        answer = taught.get(f"{MEMORY}/{example_id}{path}", headers=OTHER)
        assert answer.status_code == 404 if not path else answer.json()["decisions"] == 0
    for verb in ("PATCH", "DELETE"):
        answer = taught.client.request(verb, f"{taught.url}{MEMORY}/{example_id}", json={}, headers=OTHER)
        assert answer.status_code == 404
    assert "your own tenant" in refusal(taught.get(f"{MEMORY}?tenant=acme", headers=OTHER), 403)
    one = {"prompt": "x", "scores": {"fast": 1}}
    assert "your own tenant" in refusal(taught.post(f"{RANK}?tenant=acme", one, headers=OTHER), 403)
    assert [each["id"] for each in memory(taught, ADMIN, tenant="acme")] == [example_id]
    assert taught.post(f"{RANK}?tenant=other", one, headers=ADMIN).status_code == 201
    assert [each["taught_by"] for each in memory(taught, OTHER)] == ["admin"]
    assert len(memory(taught)) == 1


def test_who_taught_what_is_kept(taught: Served) -> None:
    (example_id,) = rank(taught).json()["ids"]
    taught.client.patch(f"{taught.url}{MEMORY}/{example_id}", json={"scores": {"fast": 1}}, headers=ACME)
    taught.post(f"{MEMORY}/undo?tenant=acme", {}, headers=ADMIN)
    entries = taught.get("/v1/router/audit?limit=3", headers=ACME).json()["data"]
    assert [entry["action"] for entry in entries] == ["memory.undo", "memory.change", "memory.teach"]
    assert entries[0]["actor"] == "admin"
    assert entries[1]["actor"] == entries[2]["actor"] != "admin"
    assert entries[1]["detail"]["scores"] == f"{STRONG}=1 (human), {FAST}=0 (human)"
    assert all(entry["subject"] == "memory:acme" for entry in entries)
    assert {entry["subject"] for entry in taught.get("/v1/router/audit", headers=OTHER).json()["data"]} <= {
        "memory:other"
    }


def test_a_memory_that_everybody_shares_is_mended_by_an_admin_only(tmp_path: Path) -> None:
    """Without keys anybody may add to it."""
    config = CONFIG.partition("[tenants.acme]")[0]
    with served(tmp_path, config) as gateway:
        made = rank(gateway, headers={})
        assert made.status_code == 201
        (example,) = memory(gateway, {})
        assert example["taught_by"] == "anybody"
        where = f"{gateway.url}{MEMORY}/{example['id']}"
        for answer in (
            gateway.client.patch(where, json={"tag": "x"}),
            gateway.client.delete(where),
            gateway.post(f"{MEMORY}/undo", {}),
            gateway.client.post(f"{gateway.url}{MEMORY}/import", content=b"{}"),
        ):
            assert "is an admin's to change" in refusal(answer, 403)
        assert gateway.client.delete(where, headers=ADMIN).json() == {"deleted": 1}
