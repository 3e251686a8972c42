"""Budgets as an operator sees them: what is left, and a wrong settlement put right, once, with its reason on record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.gateway import Served, served, told

CONFIG = """
[server]
admin_key = "admin-key-of-tests"

[providers.sim]
url = "simulated://models/v1"
family = "simulated"
accepts = ["sim-*"]

[tenants.acme]
keys = ["key-of-acme"]
daily_usd = "5"
"""
ADMIN = {"authorization": "Bearer admin-key-of-tests"}
ACME = {"authorization": "Bearer key-of-acme"}
ACCOUNT = f"tenant:acme:{time.strftime('%Y-%m-%d', time.gmtime())}"


@pytest.fixture
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("budgets"), CONFIG) as gateway:
        yield gateway


def account(gateway: Served) -> dict[str, Any]:
    (budget,) = gateway.get("/admin/v1/budgets", headers=ADMIN).json()["data"]
    assert (budget["name"], budget["period"], budget["cap_usd"]) == ("tenant:acme", "day", "5")
    (found,) = budget["accounts"]
    return dict(found)


def adjust(gateway: Served, **body: str) -> Any:
    return gateway.post("/admin/v1/budgets/adjust", body, headers=ADMIN)


def test_a_wrong_settlement_is_put_right_once_and_kept_on_record(gateway: Served) -> None:
    """In the account and in the reports; repeated under its id it changes nothing."""
    answer = gateway.chat("sim-large", headers=ACME)
    cost = gateway.get("/admin/v1/usage", headers=ADMIN).json()["total"]["cost_usd"]
    assert account(gateway)["spent_usd"] == cost
    order = {"account": ACCOUNT, "usd": f"-{cost}", "reason": "billed by mistake", "id": "ticket-7"}
    order["request_id"] = answer.headers["x-laneway-request-id"]
    for _ in range(2):
        made = adjust(gateway, **order)
        assert (made.status_code, made.json()) == (200, {"account": ACCOUNT, "spent_usd": "0", "id": "ticket-7"})
    assert account(gateway)["left_usd"] == "5"
    (row,) = gateway.get("/admin/v1/usage?group_by=tenant,provider", headers=ADMIN).json()["data"]
    assert (row["tenant"], row["requests"], row["cost_usd"]) == ("acme", 1, "0")
    (entry,) = gateway.get("/admin/v1/audit", headers=ADMIN).json()["data"]
    assert (entry["action"], entry["subject"], entry["detail"]["reason"]) == (
        "budgets.adjust",
        ACCOUNT,
        "billed by mistake",
    )
    code, said, _ = told(gateway.folder, "budgets", "list", "--config", "gateway.toml")
    assert code == 0
    assert said.startswith("tenant:acme  day  cap 5 USD, spent 0 USD, held ")


def test_what_makes_no_sense_is_refused_and_changes_nothing(gateway: Served) -> None:
    """More back than was spent, no reason, no amount, a request nobody knows, an id used for something else."""
    good = {"account": ACCOUNT, "usd": "1.5", "reason": "a bill of the provider", "id": "a"}
    assert adjust(gateway, **good).json()["spent_usd"] == "1.5"
    for change, words in (
        ({"usd": "-2", "id": "b"}, "has spent 1.5 USD"),
        ({"reason": " ", "id": "c"}, "reason: say in"),
        ({"usd": "0", "id": "d"}, "expected an amount other than 0"),
        ({"usd": "1e3", "id": "e"}, "expected an amount other than 0"),
        ({"request_id": "req_no", "id": "f"}, "there is no record of it"),
        ({"usd": "2"}, "another correction has it"),
    ):
        answer = adjust(gateway, **{**good, **change})
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]
    assert account(gateway)["spent_usd"] == "1.5"
    assert len(gateway.get("/admin/v1/audit", headers=ADMIN).json()["data"]) == 1
    assert gateway.post("/admin/v1/budgets/adjust", good, headers=ACME).status_code == 401
    assert gateway.get("/admin/v1/budgets", headers=ACME).status_code == 401


def test_an_amount_that_was_added_counts_against_the_cap(gateway: Served) -> None:
    """A correction up to the cap refuses what costs money from the next request on."""
    adjust(gateway, account=ACCOUNT, usd="5", reason="spent elsewhere")
    answer = gateway.chat("sim-large", headers=ACME)
    assert answer.status_code == 402
    assert "spent 5 USD" in answer.json()["error"]["message"]
