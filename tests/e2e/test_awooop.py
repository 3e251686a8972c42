"""config/awooop.toml as it is, before three Ollama hosts and a paid service that must not be paid for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from laneway import bundle
from tests.e2e.house import ADMIN, ANSWER, QUESTION, asking_ollama
from tests.fakes.hosts import OllamaHost, hosts
from tests.fakes.providers import FakeProvider, Street
from tests.harness.gateway import PATIENCE_S, Served, served, told, until

MODELS = {
    "gemma3:4b": "sim-large",
    "qwen2.5-coder:7b": "sim-large",
    "bge-m3:latest": "sim-embed",
    "qwen2.5:14b": "sim-large",
    "phi4:latest": "sim-large",
}
SIZES = {
    "gemma3:4b": "4.3B",
    "qwen2.5-coder:7b": "7.6B",
    "bge-m3:latest": "566.70M",
    "qwen2.5:14b": "14.8B",
    "phi4:latest": "14.7B",
}
PAID = "gpt-5-mini"
CONFIG = bundle.path("config/awooop.toml")


class Town(NamedTuple):
    gateway: Served
    gcp_a: OllamaHost
    gcp_b: OllamaHost
    box_111: OllamaHost
    paid: FakeProvider

    def ask(self, lane: str = "alert-fast", **more: Any) -> Any:
        return self.gateway.chat(lane, QUESTION, **more)

    def backend(self, lane: str = "alert-fast") -> str:
        answer = self.ask(lane)
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] == ANSWER
        backend: str = answer.headers["x-laneway-provider"]
        return backend

    def health(self) -> Any:
        return self.gateway.get("/admin/v1/health", headers=ADMIN).json()

    def record(self) -> dict[str, Any]:
        """The newest."""
        found: list[dict[str, Any]] = self.gateway.get("/admin/v1/records?limit=1", headers=ADMIN).json()["data"]
        return found[0]

    def maintain(self, provider: str, **wanted: Any) -> Any:
        url = f"{self.gateway.url}/admin/v1/maintenance"
        return httpx.put(url, json={"provider": provider, **wanted}, headers=ADMIN, timeout=PATIENCE_S)


@contextmanager
def town(street: Street, folder: Path, *, cap: str | None = None, scale: str = "1") -> Iterator[Town]:
    paid = street.open("openai", {PAID: "sim-large"})
    with hosts(street, 3, MODELS, SIZES) as (gcp_a, gcp_b, box_111):
        variables = {
            "OLLAMA_URL": gcp_a.url,
            "OLLAMA_SECONDARY_URL": gcp_b.url,
            "OLLAMA_FALLBACK_URL": box_111.url,
            "PAID_EMERGENCY_BASE_URL": paid.url,
            "PAID_EMERGENCY_API_KEY": "key-of-the-paid-service",
            "LANEWAY_ADMIN_KEY": "admin-key-of-tests",
            "LANEWAY_STORE": "memory:",
            "LANEWAY_TIMEOUT_SCALE": scale,
        } | ({} if cap is None else {"AWOOOP_DAILY_CAP_USD": cap})
        with served(folder, CONFIG, variables=variables) as gateway:
            yield Town(gateway, gcp_a, gcp_b, box_111, paid)


@pytest.fixture(scope="module")
def quiet(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """For tests that break nothing."""
    with town(street, tmp_path_factory.mktemp("awooop")) as made:
        yield made


# --- lanes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["X-Laneway-Lane", "X-AwoooP-Lane"])
def test_a_header_takes_a_lane(quiet: Town, header: str) -> None:
    answer = quiet.gateway.chat("whatever", QUESTION, headers={header: "code-review"})
    assert answer.headers["x-laneway-lane"] == "code-review"
    assert answer.headers["x-laneway-provider"] == "111"
    assert answer.headers["x-laneway-badge"] == "Local"
    assert answer.json()["model"] == "qwen2.5-coder:7b"


def test_the_other_headers_are_kept_on_the_record(quiet: Town) -> None:
    headers = {"X-AwoooP-Project-ID": "night-watch", "X-AwoooP-Trace-ID": "t-1", "X-AwoooP-Intent": "diagnose"}
    quiet.ask(headers=headers)
    record = quiet.record()
    assert (record["awooop.project_id"], record["trace"], record["intent"]) == ("night-watch", "t-1", "diagnose")
    assert (record["awooop.lane"], record["awooop.endpoint"]) == ("alert-fast", "gcp-a")


def test_who_says_nothing_gets_the_lane_of_the_model_and_the_first_project(quiet: Town) -> None:
    with asking_ollama(quiet.gateway.url) as client:
        said = client.chat("gemma3:4b", messages=[{"role": "user", "content": QUESTION}])
        assert said.message.content == ANSWER
        record = quiet.record()
        assert (record["awooop.lane"], record["awooop.project_id"]) == ("alert-fast", "awoooi")
        assert len(client.embed("bge-m3", "alert").embeddings) == 1
        assert quiet.record()["awooop.lane"] == "embedding"
        assert quiet.record()["awooop.endpoint"] == "111"


def test_deep_rca_takes_runs_only(quiet: Town) -> None:
    """A call that waits is told where to go; a run is answered by the one host that takes heavy models."""
    answer = quiet.ask("deep-rca")
    assert answer.status_code == 409
    assert "POST /v1/runs" in answer.text
    asked = {"messages": [{"role": "user", "content": QUESTION}], "options": {"temperature": 0}}
    body = {"lane": "deep-rca", "front": "ollama", "request": asked}
    made = quiet.gateway.post("/v1/runs", body, headers={"X-AwoooP-Project-ID": "night-watch"})
    assert made.status_code == 202, made.text
    path = made.headers["location"]
    until(lambda: quiet.gateway.get(path).json()["ended_s"])
    done = quiet.gateway.get(path).json()
    assert done["result"]["message"]["content"] == ANSWER
    assert done["served"] == "111/qwen2.5:14b"
    assert (done["cost_usd"], quiet.record()["awooop.project_id"]) == ("0", "night-watch")


def test_an_ollama_client_reads_the_merged_lists(quiet: Town) -> None:
    with asking_ollama(quiet.gateway.url) as client:
        listed = {model.model: model for model in client.list().models}
        assert {"gemma3:4b", "bge-m3:latest", "phi4:latest", "alert-fast"} <= set(listed)
        details = listed["phi4:latest"].details
        assert details is not None
        assert details.parameter_size == "14.7B"
        assert {model.model for model in client.ps().models} == set(MODELS)


def test_a_caller_unloads_no_warm_model(quiet: Town) -> None:
    with asking_ollama(quiet.gateway.url) as client:
        client.generate("gemma3:4b", "hello", keep_alive=0, options={"num_ctx": 512, "temperature": 0})
        body = quiet.gcp_a.body()
        assert body["keep_alive"] == "1800000ms"
        assert body["options"] == {"temperature": 0}


# --- rules -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gcp-a/phi4", "gcp-b/Phi4:latest", "gcp-a/qwen2.5:14b", "gcp-a/library/phi4"])
def test_a_heavy_model_is_kept_off_by_its_real_size(quiet: Town, name: str) -> None:
    answer = quiet.ask(name)
    assert answer.status_code == 403
    assert "no-heavy-models-on-gcp" in answer.text
    assert "14." in answer.text


@pytest.mark.parametrize("name", ["phi4", "Qwen2.5:14B", "library/phi4"])
def test_by_its_plain_name_it_goes_where_it_may(quiet: Town, name: str) -> None:
    assert quiet.backend(name) == "111"


def test_maintenance_lifts_the_rules_and_closes(quiet: Town) -> None:
    assert quiet.maintain("gcp-b", open=True).json()["open"] is True
    assert quiet.backend("gcp-b/phi4") == "gcp-b"
    assert quiet.health()["hosts"]["gcp-b"]["maintenance_until"] is not None
    assert quiet.ask("gcp-a/phi4").status_code == 403
    quiet.maintain("gcp-b", open=False)
    assert quiet.ask("gcp-b/phi4").status_code == 403
    noted = quiet.gateway.get("/admin/v1/audit", headers=ADMIN).json()["data"]
    assert [(entry["subject"], entry["detail"]["open"]) for entry in noted[:2]] == [("gcp-b", False), ("gcp-b", True)]


@pytest.mark.parametrize(
    "wanted", [{"open": True, "until": 5}, {"open": True, "until": "soon"}, {"open": 1}, {"open": True, "for": 5}]
)
def test_maintenance_that_makes_no_sense_is_refused(quiet: Town, wanted: dict[str, object]) -> None:
    assert quiet.maintain("gcp-a", **wanted).status_code == 400
    assert quiet.maintain("gcp-z", open=True).status_code == 400


def test_health_is_for_operators_and_names_the_safe_lanes(quiet: Town) -> None:
    assert quiet.gateway.get("/admin/v1/health").status_code == 401
    health = quiet.health()
    assert set(health["safe"]) >= {"alert-fast", "code-review", "embedding"}
    assert health["hosts"]["gcp-a"]["slots"]["reserved"] == {"alert-fast": 2}
    assert health["hosts"]["gcp-a"]["protected"] == ["gemma3:4b"]


def test_status_prints_what_health_says(quiet: Town, tmp_path: Path) -> None:
    variables = {"LANEWAY_ADMIN_KEY": "admin-key-of-tests"}
    code, out, _ = told(tmp_path, "status", "--config", str(CONFIG), "--url", quiet.gateway.url, variables=variables)
    assert code == 0
    assert "alert-fast" in out
    assert "gemma3:4b loaded, protected" in out
    code, _, complaint = told(
        tmp_path, "status", "--config", str(CONFIG), "--url", "http://127.0.0.1:9", variables=variables
    )
    assert code == 2
    assert "No gateway answers at http://127.0.0.1:9" in complaint
    assert told(tmp_path, "status", "--config", str(CONFIG), "--url", quiet.gateway.url)[0] == 2


# --- failover ----------------------------------------------------------------------------------------------


def test_the_lanes_fall_back_in_their_order_and_nothing_is_paid_without_a_cap(street: Street, tmp_path: Path) -> None:
    with town(street, tmp_path) as made:
        assert made.backend() == "gcp-a"
        made.gcp_a.kill()
        assert made.backend() == "gcp-b"
        assert made.record()["awooop.fallback_reason"] == "connect"
        assert made.backend("code-review") == "111"
        made.box_111.kill()
        assert made.backend("code-review") == "gcp-b"
        made.box_111.revive()
        made.gcp_b.kill()
        assert made.backend() == "111"
        made.box_111.kill()
        refused = made.ask()
        assert refused.status_code == 502
        assert "gcp-a/gemma3:4b: connect" in refused.text
        assert made.paid.requests == []
        assert made.ask("paid-emergency").status_code == 402
        assert made.paid.requests == []


def test_the_last_resort_is_paid_from_the_budget_and_says_so(street: Street, tmp_path: Path) -> None:
    with town(street, tmp_path, cap="1") as made:
        made.gcp_a.kill()
        made.gcp_b.kill()
        assert made.backend() == "111"
        assert made.paid.requests == []
        made.box_111.kill()
        answer = made.ask()
        assert answer.status_code == 200
        assert answer.headers["x-laneway-badge"] == "Fallback: Cloud"
        assert answer.headers["x-laneway-tier"] == "premium"
        assert answer.json()["model"] == PAID
        record = made.record()
        assert record["awooop.provider_tier"] == "premium"
        assert record["awooop.fallback_reason"] == "connect"
        assert float(record["awooop.cost_usd"]) > 0
        assert len(made.paid.requests) == 1


def test_a_breaker_opens_after_exactly_two_timeouts(street: Street, tmp_path: Path) -> None:
    with town(street, tmp_path, scale="0.02") as made:
        assert made.backend() == "gcp-a"
        made.gcp_a.hangs = True
        assert made.backend() == "gcp-b"
        breaker = made.health()["hosts"]["gcp-a"]["breakers"]["gemma3:4b"]
        assert breaker == {"state": "closed", "timeouts": 1}
        assert made.backend() == "gcp-b"
        breaker = made.health()["hosts"]["gcp-a"]["breakers"]["gemma3:4b"]
        assert breaker["timeouts"] == 2
        assert breaker["state"] in ("open", "half-open")
        made.gcp_a.hangs = False
        until(lambda: made.backend() == "gcp-a")
        assert made.health()["hosts"]["gcp-a"]["breakers"] == {}


# --- what hosts learn and lose -----------------------------------------------------------------------------


def test_a_model_that_came_after_the_last_list_is_judged_by_what_its_host_shows(street: Street, tmp_path: Path) -> None:
    """Its name says 7B, and no list tells otherwise."""
    with town(street, tmp_path) as made:
        host = made.gcp_a
        for name, size in (("late-7b", "14.8B"), ("late-9b", "9.1B")):
            host.models[name], host.sizes[name] = "sim-large", size
            host.unlisted.add(name)

        def shown() -> int:
            return [request.target for request in host.requests].count("/api/show")

        refused = made.ask("gcp-a/late-7b")
        assert refused.status_code == 403
        assert "14.8B" in refused.text
        assert made.backend("gcp-a/late-9b") == "gcp-a"
        assert shown() == 2
        assert made.ask("gcp-a/late-7b").status_code == 403
        assert shown() == 2, "what was shown is kept"


def test_a_host_that_starts_again_is_warmed_again(street: Street, tmp_path: Path) -> None:
    with town(street, tmp_path, scale="0.05") as made:
        made.gcp_a.start_again()
        until(lambda: made.gcp_a.loaded == {"gemma3:4b"})
        until(lambda: [each["model"] for each in made.health()["hosts"]["gcp-a"]["resident"]] == ["gemma3:4b"])
        assert made.gcp_b.loaded is None
        warmed = made.gcp_a.body()
        assert (warmed["keep_alive"], warmed.get("prompt")) == ("90000ms", None)
        made.gcp_a.start_again()
        until(lambda: made.gcp_a.loaded == {"gemma3:4b"})
        assert made.health()["hosts"]["gcp-a"]["breakers"] == {}, "keeping warm judges no host"
