"""Budgets as an operator handles them: made, changed and removed while the gateway runs, killed, and put right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.house import ADMIN, SIMULATED
from tests.fakes.hook import Hook
from tests.harness.gateway import Served, served, told, until

CONFIG = f"""
[server]
admin_key = "admin-key-of-tests"
{SIMULATED}
[tenants.acme]
keys = ["key-of-acme"]
daily_usd = "5"

[budgets.house]
cap_usd = 100
period = "month"
"""
ACME = {"authorization": "Bearer key-of-acme"}
ACCOUNT = f"tenant:acme:{time.strftime('%Y-%m-%d', time.gmtime())}"


@pytest.fixture
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("budgets"), CONFIG) as gateway:
        yield gateway


def shown(gateway: Served) -> list[Any]:
    found: list[Any] = gateway.get("/admin/v1/budgets", headers=ADMIN).json()["data"]
    return found


def account(gateway: Served) -> dict[str, Any]:
    (budget,) = (each for each in shown(gateway) if each["name"] == "tenant:acme")
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
    assert f"{ACCOUNT}  file  cap 5 USD, spent 0 USD, held " in said


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
        ({"account": "hose:2026-11", "id": "g"}, "account: there is no budget of 'hose:2026-11'"),
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


def test_a_budget_is_made_changed_and_removed_while_the_gateway_runs(tmp_path: Path) -> None:
    """It holds at once, in every worker, and over a restart; everything is in the audit."""
    new = {"name": "team", "cap_usd": "0", "key": "*", "tenant": "acme", "alerts": [0.5]}
    for number in range(2):
        with served(tmp_path, CONFIG, arguments=("--workers", "2")) as gateway:
            until(lambda: gateway.get("/healthz").status_code == 200)
            if not number:
                assert gateway.chat("sim-large", headers=ACME).status_code == 200
                made = gateway.post("/admin/v1/budgets", new, headers=ADMIN)
                assert (made.status_code, made.json()["cap_usd"], made.json()["from"]) == (201, "0", "api")
                # The other worker looks every two seconds.
                until(lambda: {gateway.chat("sim-large", headers=ACME).status_code for _ in range(16)} == {402})
            refused = [gateway.chat("sim-large", headers=ACME) for _ in range(8)]
            assert {answer.status_code for answer in refused} == {402}
            assert "The budget 'team/" in refused[0].json()["error"]["message"]
    with served(tmp_path, CONFIG) as gateway:
        changed = httpx.patch(f"{gateway.url}/admin/v1/budgets/team", json={"cap_usd": 9}, headers=ADMIN)
        assert (changed.status_code, changed.json()["cap_usd"], changed.json()["tenant"]) == (200, "9", "acme")
        assert gateway.chat("sim-large", headers=ACME).status_code == 200
        assert [budget["name"] for budget in shown(gateway)] == ["house", "tenant:acme", "team"]
        deleted = httpx.delete(f"{gateway.url}/admin/v1/budgets/team", headers=ADMIN)
        assert deleted.json() == {"name": "team", "deleted": True}
        assert [budget["name"] for budget in shown(gateway)] == ["house", "tenant:acme"]
        actions = [entry["action"] for entry in gateway.get("/admin/v1/audit", headers=ADMIN).json()["data"]]
        assert actions == ["budgets.delete", "budgets.change", "budgets.create"]


def test_a_budget_that_cannot_be_is_refused_in_words(gateway: Served) -> None:
    """Those of the file are changed in the file; nothing that was refused is in force or in the audit."""
    for body, words in (
        ({"name": "house", "cap_usd": 1}, "'house' stands in the configuration file; change it there and reload"),
        ({"name": "a b", "cap_usd": 1}, "holds a"),
        ({"name": "team", "cap_usd": "much"}, "cap_usd: expected an amount in USD"),
        ({"name": "team", "cap_usd": 1, "tenant": "nobody"}, 'tenant: there is no tenant "nobody"'),
        ({"name": "team", "cap_usd": 1, "zone": "Vienna"}, 'zone: "Vienna" is no time zone'),
        ({"name": "team", "cap_usd": 1, "period": "week"}, "period"),
        ({"name": "team"}, "cap_usd"),
    ):
        answer = gateway.post("/admin/v1/budgets", body, headers=ADMIN)
        assert answer.status_code == 400, body
        assert words in answer.json()["error"]["message"]
    for name, status in (("house", 400), ("team", 404)):
        assert httpx.patch(f"{gateway.url}/admin/v1/budgets/{name}", json={}, headers=ADMIN).status_code == status
        assert httpx.delete(f"{gateway.url}/admin/v1/budgets/{name}", headers=ADMIN).status_code == status
    assert gateway.post("/admin/v1/budgets", {"name": "x", "cap_usd": 1}, headers=ACME).status_code == 401
    assert gateway.get("/admin/v1/audit", headers=ADMIN).json()["data"] == []


def test_a_kill_stops_paid_calls_at_once_until_it_is_taken_back(tmp_path: Path) -> None:
    """From the terminal, beside running workers, over a restart, and told to people once."""
    with Hook() as hook:
        config = f'{CONFIG}\n[alerts.desk]\nurl = "{hook.url}"\nprivate = true\nkinds = ["kill"]\n'
        with served(tmp_path, config, arguments=("--workers", "2")) as gateway:
            until(lambda: gateway.chat("sim-large", headers=ACME).status_code == 200)
            order = ("budgets", "kill", "--config", "gateway.toml", "--scope", "tenant:acme", "--reason", "a leak")
            assert told(tmp_path, *order) == (0, "Paid calls are stopped (tenant:acme).\n", "")
            refused = [gateway.chat("sim-large", headers=ACME) for _ in range(8)]
            assert {answer.status_code for answer in refused} == {402}
            assert "a leak" in refused[0].json()["error"]["message"]
            until(lambda: hook.deliveries)
        with served(tmp_path, config) as gateway:
            assert gateway.chat("sim-large", headers=ACME).status_code == 402
            assert gateway.get("/admin/v1/budgets", headers=ADMIN).json()["kills"][0]["scope"] == "tenant:acme"
            assert "stopped" in told(tmp_path, "budgets", "list", "--config", "gateway.toml")[1]
            back = gateway.post("/admin/v1/budgets/unkill", {"scope": "tenant:acme"}, headers=ADMIN)
            assert back.json() == {"scope": "tenant:acme", "killed": False}
            assert gateway.chat("sim-large", headers=ACME).status_code == 200
            assert gateway.post("/admin/v1/budgets/unkill", {}, headers=ADMIN).status_code == 400
            for body in ({"reason": ""}, {"reason": "x", "scope": "team"}, {"reason": "x", "scope": "tenant:"}):
                assert gateway.post("/admin/v1/budgets/kill", body, headers=ADMIN).status_code == 400
    assert [delivery.json["text"] for delivery in hook.deliveries] == ["Paid calls are stopped (tenant:acme): a leak."]


def test_a_person_makes_and_changes_budgets_in_a_terminal(tmp_path: Path) -> None:
    """As the API does, and refused in the same words."""
    (tmp_path / "laneway.toml").write_text(CONFIG)
    assert told(tmp_path, "budgets", "create", "team", "--cap-usd", "2.50", "--lane", "*", "--alerts", "0.5,1") == (
        0,
        "team: 2.5 USD a day.\n",
        "",
    )
    assert told(tmp_path, "budgets", "change", "team", "--period", "month")[1] == "team: 2.5 USD a month.\n"
    code, said, _ = told(tmp_path, "budgets", "list")
    assert code == 0
    assert said.splitlines()[-1].split() == ["team", "api", *("cap", "2.5", "USD", "a", "month", "for", "each")]
    assert told(tmp_path, "budgets", "delete", "team")[1] == "team is removed.\n"
    for order, words in (
        (("delete", "team"), "There is no budget 'team'."),
        (("change", "house", "--cap-usd", "1"), "stands in the configuration file"),
        (("create", "x"), "This is no budget: Missing `cap_usd`."),
        (
            ("create", "x", "--cap-usd", "1", "--period", "eon"),
            "This is no budget: Wrong value: unknown value 'eon' at ",
        ),
        (("create", "x", "--cap-usd", "1", "--alerts", "half"), "This is no budget: "),
        (("kill",), "reason: say in"),
    ):
        code, said, complained = told(tmp_path, "budgets", *order)
        assert (code, said) == (2, "")
        assert words in complained


def test_a_threshold_is_told_once_a_period(tmp_path: Path) -> None:
    """Softly: the calls go on."""
    with Hook() as hook:
        config = f'{CONFIG}\n[alerts.desk]\nurl = "{hook.url}"\nprivate = true\nkinds = ["spend"]\n'
        for _ in range(2):
            with served(tmp_path, config) as gateway:
                adjust(gateway, account=ACCOUNT, usd="4.5", reason="spent elsewhere", id="a")
                until(lambda: hook.deliveries)
                assert gateway.chat("sim-small", headers=ACME).status_code == 200
                time.sleep(2.5)  # another look
    assert [delivery.json["text"] for delivery in hook.deliveries] == [
        f"Budget tenant:acme has spent 4.5 of 5 USD (80 %) in {ACCOUNT.rpartition(':')[2]}."
    ]
