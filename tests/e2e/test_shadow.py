"""Shadowing a running gateway: a day's log replayed and counted again by hand, and the stages as people set them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.e2e.house import ADMIN
from tests.fakes.hook import Hook
from tests.harness.gateway import PATIENCE_S, Served, served, told, until
from tests.harness.sqlite import rows

CONFIG = """
[server]
admin_key = "admin-key-of-tests"

[providers.a]
url = "simulated://models/v1"
family = "simulated"
tier = "local"
slots = 50

[providers.b]
url = "simulated://models/v1"
family = "simulated"
tier = "balanced"

[providers.c]
url = "simulated://models/v1"
family = "simulated"
tier = "premium"

[models.plain]
provider = "b"
id = "sim-plain"
abilities = []
price = { input = 1, output = 2 }

[denials.no-heavy]
providers = ["a"]
models = ["sim-large"]

[lanes.fast]
targets = ["a/sim-small", "b/sim-medium"]

[lanes.heavy]
targets = ["a/sim-large", "c/sim-large"]

[lanes.blind]
targets = ["plain"]

[lanes.slow]
targets = ["a/sim-small"]
run_only = true
"""
STAGED = CONFIG.replace('[lanes.fast]\ntargets = ["a/sim-small", "b/sim-medium"]\n', "") + (
    '[lanes.fast]\ntargets = ["a/sim-small"]\nstage = "shadow"\n'
)

# --- the log -----------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """One request of the log, with what its legacy path chose, if anybody wrote that down."""

    lane: str
    front: str
    chars: int
    most: int
    tools: bool
    legacy: dict[str, Any] | None
    mirrored: bool

    def body(self) -> dict[str, Any]:
        turns = {"messages": [{"role": "user", "content": "x" * self.chars}], "model": self.lane}
        if self.front == "ollama":
            return {**turns, "options": {"num_predict": self.most}, "stream": False}
        tool = {"name": "look", "parameters": {"type": "object", "properties": {}}}
        return {**turns, "max_tokens": self.most} | (
            {"tools": [{"type": "function", "function": tool}]} if self.tools else {}
        )


FRONTS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}
MODELS = {"fast": "sim-small", "heavy": "sim-large", "blind": "sim-plain"}
TIERS = {"a": "local", "b": "balanced", "c": "premium"}


def log(count: int, seed: int) -> list[Line]:
    rng = random.Random(seed)
    lines: list[Line] = []
    for _ in range(count):
        lane = rng.choice(["fast", "fast", "heavy", "blind"])
        tools = lane == "blind" and rng.random() < 0.2
        front = "openai" if tools else rng.choice(list(FRONTS))
        legacy: dict[str, Any] | None = None
        if rng.random() < 0.9:
            host = rng.choice(["a", "a", "b", "c"])
            legacy = {rng.choice(["host", "provider"]): host, "fallback": rng.random() < 0.3}
            if rng.random() < 0.9:
                legacy["model"] = rng.choice([MODELS[lane], MODELS[lane].upper(), "sim-other"])
            if rng.random() < 0.7:
                legacy["tier"] = rng.choice([TIERS[host], TIERS[host], "premium"])
            if rng.random() < 0.8:
                legacy["latency_ms"] = rng.randrange(1, 60_000) / 8
            if rng.random() < 0.6:
                legacy["cost_usd"] = f"0.{rng.randrange(10**6):09d}"
            if rng.random() < 0.05:
                legacy["denied"] = True
        lines.append(
            Line(lane, front, rng.randrange(1, 900), rng.choice([50, 400, 3000]), tools, legacy, rng.random() < 0.2)
        )
    return lines


def replay(gateway: Served, lines: list[Line]) -> None:
    """Some as explicit questions, some as copies of what was sent to a front."""
    limits = httpx.Limits(max_connections=4)
    with httpx.Client(base_url=gateway.url, timeout=PATIENCE_S, limits=limits, trust_env=False) as client:

        def ask(line: Line) -> httpx.Response:
            if line.mirrored and line.legacy is not None and not line.tools:
                headers = {"x-laneway-legacy": json.dumps(line.legacy)}
                return client.post(FRONTS[line.front], json=line.body(), headers=headers)
            asked = {"front": line.front, "request": line.body(), "legacy": line.legacy}
            return client.post("/v1/decisions", json=asked)

        with ThreadPoolExecutor(4) as pool:
            for answer in pool.map(ask, lines):
                assert answer.status_code == 200, answer.text
                assert answer.json()["object"] == "laneway.decision"


# --- counted by hand ---------------------------------------------------------------------------------------

DECIDED = {"fast": ("a", False, 100_000, 400_000), "heavy": ("c", True, 3_000_000, 15_000_000)} | {
    "blind": ("b", False, 1_000_000, 2_000_000)
}
"""For each lane: who would be called, whether as a fallback, and its prices in pico-USD per token."""


def differences(line: Line) -> set[str]:
    legacy = line.legacy or {}
    host, fallback, _, _ = DECIDED[line.lane]
    refused, theirs = line.tools, bool(legacy.get("denied"))
    found: set[str] = set()
    where = legacy.get("host", legacy.get("provider"))
    if not refused and not theirs:
        found |= {"host"} if where != host else set()
        found |= {"model"} if legacy.get("model", MODELS[line.lane]).lower() != MODELS[line.lane] else set()
        found |= {"tier"} if legacy.get("tier", TIERS[host]) != TIERS[host] else set()
        found |= {"fallback"} if legacy["fallback"] is not fallback else set()
    kept_off = line.lane == "heavy" and where == "a" and legacy.get("model", "").lower() == "sim-large"
    return found | ({"denial"} if refused is not theirs or kept_off else set())


def expected_nanos(line: Line) -> int:
    _, _, per_input, per_output = DECIDED[line.lane]
    picos = -(-line.chars // 4) * per_input + min(400, line.most) * per_output
    return -(-picos // 1000)


def counted(lane: str, lines: list[Line], pace_ms: float | None) -> dict[str, Any]:
    mine = [line for line in lines if line.lane == lane]
    beside = [line for line in mine if line.legacy is not None]
    served = [line for line in beside if not line.tools]
    kinds = [differences(line) for line in beside]
    timed = [line.legacy["latency_ms"] for line in served if line.legacy and "latency_ms" in line.legacy]
    timed = timed if pace_ms is not None else []
    priced = [line for line in served if line.legacy and "cost_usd" in line.legacy]
    ours = Decimal(sum(expected_nanos(line) for line in priced)) / 10**9
    theirs = sum((Decimal(line.legacy["cost_usd"]) for line in priced if line.legacy), Decimal(0))
    agreed = sum(not found for found in kinds)
    return {
        "lane": lane,
        "decisions": len(mine),
        "undecided": 0,
        "denied": sum(line.tools for line in mine),
        "compared": len(beside),
        "agreed": agreed,
        "agreement": pytest.approx(agreed / len(beside), abs=1e-6),
        "divergence": {
            kind: sum(kind in found for found in kinds) for kind in ("host", "model", "tier", "fallback", "denial")
        },
        "latency": {
            "pairs": len(timed),
            "decided_ms": pytest.approx(pace_ms, abs=0.001) if timed else None,
            "legacy_ms": pytest.approx(sum(timed) / len(timed), abs=0.001) if timed else None,
            "difference_ms": pytest.approx((pace_ms or 0) - sum(timed) / len(timed), abs=0.002) if timed else None,
        },
        "cost": {
            "pairs": len(priced),
            "decided_usd": decimal(ours),
            "legacy_usd": decimal(theirs),
            "difference_usd": decimal(ours - theirs),
        },
        "executed": 0,
        "failed": 0,
        "paid_fallbacks": 0,
    }


def decimal(amount: Decimal) -> str:
    text = f"{amount:.9f}".rstrip("0").rstrip(".")
    return text if text not in ("-0", "") else "0"


def test_a_replayed_log_is_reported_as_it_is_counted_by_hand(tmp_path: Path) -> None:
    lines = log(1000, seed=7)
    with served(tmp_path, CONFIG) as gateway:
        assert gateway.chat("fast").status_code == 200, "so that it is known how long a/sim-small takes"
        replay(gateway, lines)
        report = gateway.get("/admin/v1/shadow", headers=ADMIN).json()
        kept = [json.loads(text) for (text,) in rows(tmp_path / "laneway.db", "SELECT told FROM shadow_rows")]
        assert len(kept) == 1000
        paces = {row["decided"]["latency_ms"] for row in kept if row["lane"] == "fast"}
        assert len(paces) == 1
        (pace_ms,) = paces
        assert pace_ms > 0
        expected = [counted(lane, lines, pace_ms if lane == "fast" else None) for lane in ("blind", "fast", "heavy")]
        assert report["data"] == expected
        assert all(figures["agreed"] and figures["divergence"]["host"] for figures in report["data"][1:])
        only = gateway.get("/admin/v1/shadow?lane=heavy", headers=ADMIN).json()
        assert only["data"] == [expected[2]]
        assert gateway.get("/admin/v1/shadow?since=2099-01-01T00:00:00Z", headers=ADMIN).json()["data"] == []
        assert gateway.get("/admin/v1/shadow?since=lately", headers=ADMIN).status_code == 400
        assert gateway.get("/admin/v1/shadow").status_code == 401
        records = gateway.get("/admin/v1/records?limit=1000", headers=ADMIN).json()["data"]
        assert sum(record["attempts"] for record in records) <= 1, "nothing was executed but the very first"

    code, printed, _ = told(tmp_path, "shadow", "report", "--config", "gateway.toml", "--json")
    assert (code, json.loads(printed)["data"]) == (0, expected)
    code, printed, _ = told(tmp_path, "shadow", "report", "--config", "gateway.toml", "--lane", "fast")
    assert code == 0
    heading, row = (line.split() for line in printed.splitlines())
    assert heading[:3] == ["lane", "decisions", "compared"]
    figures = expected[1]
    assert row[:3] == ["fast", str(figures["decisions"]), str(figures["compared"])]


# --- a decision --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("decisions"), CONFIG) as gateway:
        yield gateway


def test_a_decision_says_who_would_be_called_and_by_which_rule_others_are_not(gateway: Served) -> None:
    asked = {"request": {"model": "x", "messages": [{"role": "user", "content": "hi"}]}, "lane": "heavy"}
    answer = gateway.post("/v1/decisions", asked)
    decision = answer.json()
    assert (decision["lane"], decision["stage"], decision["executed"]) == ("heavy", "active", False)
    assert decision["would_call"] == {"provider": "c", "model": "sim-large", "tier": "premium", "fallback": True}
    assert [target["provider"] for target in decision["ranked"]] == ["a", "c"]
    (skipped,) = decision["skipped"]
    assert (skipped["provider"], skipped["kind"]) == ("a", "denied")
    assert "the rule 'no-heavy' keeps sim-large (of unknown size) off a" in skipped["reason"]
    assert answer.headers["x-laneway-request-id"] == decision["request_id"]


def test_any_fronts_body_is_taken_as_it_is_with_a_lane_in_the_headers(gateway: Served) -> None:
    turns = [{"role": "user", "content": "hi"}]
    for headers, body in (
        ({}, {"model": "m", "messages": turns}),
        ({"anthropic-version": "2023-06-01"}, {"model": "m", "max_tokens": 5, "messages": turns}),
        ({"x-laneway-front": "responses"}, {"model": "m", "input": "hi"}),
        ({"x-laneway-front": "/api/generate"}, {"model": "m", "prompt": "hi"}),
        ({"x-laneway-front": "ollama"}, {"model": "m", "prompt": "hi"}),
    ):
        decision = gateway.post("/v1/decisions", body, headers={"x-laneway-lane": "fast", **headers}).json()
        assert decision["would_call"]["model"] == "sim-small", decision


def test_a_lane_that_takes_runs_only_is_decided_all_the_same(gateway: Served) -> None:
    body = {"model": "slow", "messages": [{"role": "user", "content": "hi"}]}
    assert gateway.chat("slow").status_code == 409
    assert gateway.post("/v1/decisions", {"request": body}).json()["would_call"]["provider"] == "a"


def test_a_request_that_nothing_can_serve_is_a_decision_as_well(gateway: Served) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    body = {"model": "blind", "messages": [{"role": "user", "content": "hi"}], "tools": [tool]}
    answer = gateway.post("/v1/decisions", {"request": body})
    assert answer.status_code == 200
    decision = answer.json()
    assert (decision["would_call"], decision["refused"]["kind"]) == (None, "unsupported")
    assert decision["dropped"] == [{"provider": "b", "model": "sim-plain", "reason": "cannot do tools"}]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"request": {"model": "fast", "messages": 7}}, 400, "messages"),
        ({"request": {"model": "nobody", "messages": [{"role": "user", "content": "x"}]}}, 404, "no model 'nobody'"),
        ({"request": {"model": "fast"}}, 400, "front: no front 'openai' takes such a request"),
        ({"front": "telex", "request": {"model": "fast", "prompt": "x"}}, 400, "front: no front 'telex'"),
        ({"request": {"model": "fast", "prompt": "x"}, "legacy": {"hots": 1}}, 400, "legacy: expected an object"),
        ([], 400, ""),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(gateway: Served, body: object, status: int, said: str) -> None:
    answer = gateway.post("/v1/decisions", body)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


# --- stages ------------------------------------------------------------------------------------------------


def stage(gateway: Served, lane: str = "fast") -> Any:
    return gateway.get("/admin/v1/health", headers=ADMIN).json()["lanes"][lane]


def put(gateway: Served, lane: str = "fast", **wanted: Any) -> httpx.Response:
    return gateway.client.put(f"{gateway.url}/admin/v1/lanes/{lane}/stage", json=wanted, headers=ADMIN)


def test_an_order_reaches_every_process_and_survives_a_restart_and_a_kill_survives_a_rollback(tmp_path: Path) -> None:
    with served(tmp_path, STAGED, arguments=("--workers", "2")) as gateway:
        assert gateway.chat("fast").json()["object"] == "laneway.decision"
        answer = put(gateway, stage="active", reason="looks well")
        assert (answer.status_code, answer.json()["stage"], answer.json()["by"]) == (200, "active", "admin")
        until(lambda: all("choices" in gateway.chat("fast").json() for _ in range(8)))
        reason = "a leaked key"
        assert told(tmp_path, "budgets", "kill", "--config", "gateway.toml", "--reason", reason)[0] == 0
        until(lambda: gateway.chat("fast").status_code == 402)
    with served(tmp_path, STAGED, arguments=("--workers", "2")) as gateway:
        shown = stage(gateway)
        assert (shown["stage"], shown["staged"]["reason"]) == ("active", "looks well")
        assert shown["staged"]["configured"] == "shadow"
        code, said, _ = told(tmp_path, "shadow", "rollback", "fast", "--config", "gateway.toml", "--reason", "it hurts")
        assert (code, said) == (0, "Lane fast is in stage shadow.\n")
        until(lambda: all(stage(gateway)["stage"] == "shadow" for _ in range(8)))
        kills = gateway.get("/admin/v1/budgets", headers=ADMIN).json()["kills"]
        assert [(kill["scope"], kill["reason"]) for kill in kills] == [("all", "a leaked key")]
        audited = gateway.get("/admin/v1/audit", headers=ADMIN).json()["data"]
        steps = [(entry["actor"], entry["detail"]["stage"]) for entry in audited if entry["action"] == "lanes.stage"]
        assert steps == [("terminal", "shadow"), ("admin", "active")]
        code, _, complaint = told(tmp_path, "shadow", "rollback", "fast", "--config", "gateway.toml")
        assert (code, complaint) == (2, "laneway: The lane 'fast' is in stage shadow already.\n")


def test_promotion_by_hand_goes_step_by_step_and_is_shown(tmp_path: Path) -> None:
    with served(tmp_path, STAGED) as gateway:
        promote = ("shadow", "promote", "fast", "--config", "gateway.toml")
        assert told(tmp_path, *promote)[1] == "Lane fast is in stage canary 5 %.\n"
        assert told(tmp_path, *promote, "--share", "0.4")[1] == "Lane fast is in stage canary 40 %.\n"
        until(lambda: stage(gateway)["share"] == 0.4)
        status = ("status", "--config", "gateway.toml", "--url", gateway.url)
        code, printed, _ = told(tmp_path, *status)
        assert code == 0
        assert "canary 40 %" in printed
        assert "canary 40 %  terminal: by hand" in told(tmp_path, "shadow", "stages", "--config", "gateway.toml")[1]
        assert put(gateway, stage="observe", reason="a storm").status_code == 200
        refused = gateway.chat("fast")
        assert (refused.status_code, "only observes" in refused.text) == (403, True)
        assert stage(gateway)["safe"] is False


def test_a_store_in_memory_is_out_of_a_terminals_reach(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(STAGED.replace("[server]", '[server]\nstore = "memory:"'))
    code, _, complaint = told(tmp_path, "shadow", "promote", "fast", "--config", "gateway.toml")
    assert (code, "PUT /admin/v1/lanes/fast/stage" in complaint) == (2, True)


@pytest.mark.parametrize(
    ("lane", "wanted", "status"),
    [
        ("fast", {"stage": "full", "reason": "x"}, 400),
        ("fast", {"stage": "canary", "share": 2, "reason": "x"}, 400),
        ("fast", {"stage": "canary"}, 400),
        ("fast", {"stage": "canary", "reason": "x", "until": 5}, 400),
        ("nobody", {"stage": "canary", "reason": "x"}, 404),
    ],
)
def test_a_stage_that_makes_no_sense_is_refused(
    gateway: Served, lane: str, wanted: dict[str, Any], status: int
) -> None:
    assert put(gateway, lane, **wanted).status_code == status
    assert stage(gateway)["stage"] == "active"


GATES = """
[providers.shaky]
dialect = "ollama"
url = "http://127.0.0.1:9"
models = ["m"]

[lanes.gated]
targets = ["shaky/m"]
stage = "shadow"

[lanes.gated.promotion]
after = 5
agreement = 0.8
steps = [1.0]
hold = 0

[lanes.gated.rollback]
least = 3
failure_share = 0.5

[alerts.desk]
url = "{url}/hook"
private = true
kinds = ["rollback"]
"""


def test_gates_promote_and_take_back_and_people_are_told(tmp_path: Path) -> None:
    """Five decisions agree, so it serves; nobody listens at its host, so it goes back, and does not come again."""
    with Hook() as hook, served(tmp_path, CONFIG + GATES.format(url=hook.url)) as gateway:
        body = {"model": "gated", "messages": [{"role": "user", "content": "hi"}]}
        for _ in range(5):
            assert gateway.post("/v1/decisions", {"request": body, "legacy": {"host": "shaky"}}).status_code == 200
        until(lambda: stage(gateway, "gated")["stage"] == "active")
        for _ in range(3):
            assert gateway.chat("gated").status_code == 502
        until(lambda: stage(gateway, "gated")["stage"] == "shadow")
        assert stage(gateway, "gated")["staged"]["reason"] == (
            "3 of 3 requests failed, and at most 50 % may, within 300 s"
        )
        until(lambda: hook.deliveries)
        assert hook.deliveries[0].json["text"] == (
            "Lane gated went back to stage shadow: 3 of 3 requests failed, and at most 50 % may, within 300 s."
        )
        for _ in range(6):
            gateway.post("/v1/decisions", {"request": body, "legacy": {"host": "shaky"}})
        audited = gateway.get("/admin/v1/audit", headers=ADMIN).json()["data"]
        steps = [(entry["actor"], entry["detail"]["stage"]) for entry in audited if entry["action"] == "lanes.stage"]
        assert steps == [("gate", "shadow"), ("gate", "active"), ("configuration", "shadow")]
    assert len(hook.deliveries) == 1
