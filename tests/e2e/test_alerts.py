"""Alerts of a running gateway: one delivery, whatever restarts and however many workers see it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.e2e.house import ADMIN
from tests.fakes.hook import Hook
from tests.harness.gateway import Served, served, until

TWO = ("--workers", "2")
CONFIG = """
[server]
admin_key = "admin-key-of-tests"

[providers.box]
dialect = "ollama"
url = "http://127.0.0.1:9"
models = ["gemma3"]

[providers.sim]
url = "simulated://models/v1"
family = "simulated"
accepts = ["sim-*"]

[lanes.local]
targets = ["box/gemma3", "sim/sim-large"]

[alerts.desk]
url = "{url}/hook?token=TOKEN-1234"
private = true
secret = "${{HUSH}}"
kinds = ["paid_fallback"]

[alerts.closed]
url = "{url}/closed"
private = true
kinds = ["cap"]
"""


def shown(gateway: Served) -> list[Any]:
    found: list[Any] = gateway.get("/admin/v1/alerts", headers=ADMIN).json()["data"]
    return found


def test_a_paid_fallback_is_told_once_over_restarts_and_workers(tmp_path: Path) -> None:
    """Two starts with two workers, several requests each: one signed delivery, tried again once; no token in a log."""
    logs = ""
    with Hook(503, 200) as hook:
        for _ in range(2):
            config = CONFIG.format(url=hook.url)
            with served(tmp_path, config, variables={"HUSH": "hush"}, arguments=TWO) as gateway:
                until(lambda: gateway.get("/healthz").status_code == 200)
                for _ in range(4):
                    assert gateway.chat("local").status_code == 200
                until(lambda: len(hook.deliveries) >= 2, limit_s=30)
                time.sleep(0.2)  # for a delivery too many, had there been one
                until(lambda: [told["state"] for told in shown(gateway)] == ["sent"])
                (told,) = shown(gateway)
                assert (told["channel"], told["tries"]) == ("desk", 2)
                assert gateway.get("/admin/v1/alerts").status_code == 401
            logs += gateway.log
    first, second = hook.deliveries
    assert first.path == "/hook?token=TOKEN-1234"
    assert first.json["id"] == second.json["id"]
    assert first.json["kind"] == "paid_fallback"
    assert first.headers["x-laneway-signature"].startswith("sha256=")
    assert "was not taken (status 503)" in logs
    assert "TOKEN-1234" not in logs
    assert "hush" not in logs
