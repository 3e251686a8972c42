"""Runs of a running gateway: accepted over its socket, executed through its rooms, whatever happens to its process."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.e2e.house import ADMIN, ANSWER, QUESTION
from tests.fakes.hook import Hook
from tests.fakes.providers import FakeProvider, Street
from tests.harness.gateway import PATIENCE_S, Served, served, told, until

CONFIG = """
[server]
admin_key = "admin-key-of-tests"

[runs]
lease = {lease}
private_webhooks = true
webhook_secret = "hush"

[providers.box]
dialect = "openai"
url = "{url}"
[models.big]
provider = "box"
id = "sim-large"
price = {{ input = 1, output = 1 }}
[models.vectors]
provider = "box"
id = "sim-embed"

[lanes.deep]
targets = ["box/sim-fail-503", "big"]
run_only = true
[lanes.vectors-later]
targets = ["vectors"]
run_only = true

[tenants.acme]
keys = ["key-of-acme-1234"]
[tenants.bees]
keys = ["key-of-bees-1234"]
lanes = ["vectors-later"]
[tenants.poor]
keys = ["key-of-poor-1234"]
daily_usd = 0
"""
ACME = {"authorization": "Bearer key-of-acme-1234"}
BEES = {"authorization": "Bearer key-of-bees-1234"}
POOR = {"authorization": "Bearer key-of-poor-1234"}
HELD_S = 3600.0
"""A lease that no test waits for."""


class Yard(NamedTuple):
    gateway: Served
    box: FakeProvider

    def ask(self, body: object, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.gateway.post("/v1/runs", body, headers={**ACME, **(headers or {})})

    def begun(self, body: object, headers: dict[str, str] | None = None) -> str:
        answer = self.ask(body, headers)
        assert answer.status_code == 202, answer.text
        run_id: str = answer.json()["id"]
        assert answer.headers["location"] == f"/v1/runs/{run_id}"
        return run_id

    def run(self, run_id: str, headers: dict[str, str] | None = None) -> Any:
        return self.gateway.get(f"/v1/runs/{run_id}", headers={**ACME, **(headers or {})}).json()

    def ended(self, run_id: str, headers: dict[str, str] | None = None) -> Any:
        until(lambda: self.run(run_id, headers)["state"] not in ("accepted", "running"))
        return self.run(run_id, headers)

    def delete(self, run_id: str, query: str = "") -> httpx.Response:
        url = f"{self.gateway.url}/v1/runs/{run_id}{query}"
        return httpx.delete(url, headers=ACME, timeout=PATIENCE_S)


def config_of(box: FakeProvider, lease: float = HELD_S) -> str:
    return CONFIG.format(url=box.url, lease=lease)


@pytest.fixture(scope="module")
def yard(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """For tests that break nothing."""
    box = street.open("openai", {})
    with served(tmp_path_factory.mktemp("yard"), config_of(box)) as gateway:
        yield Yard(gateway, box)


# --- asked in any format -----------------------------------------------------------------------------------


def test_a_lane_for_runs_refuses_who_waits_and_serves_who_does_not(yard: Yard) -> None:
    refused = yard.gateway.chat("deep", headers=ACME)
    assert refused.status_code == 409
    assert "POST /v1/runs" in refused.text
    done = yard.ended(yard.begun({"lane": "deep", "prompt": QUESTION}))
    assert done["state"] == "succeeded"
    assert done["result"]["choices"][0]["message"]["content"] == ANSWER
    assert (done["lane"], done["served"], done["starts"]) == ("deep", "box/sim-large", 1)
    assert done["usage"]["output_tokens"] > 0
    assert float(done["cost_usd"]) > 0
    assert [step["kind"] for step in done["steps"]] == [
        *("accepted", "started", "attempt", "fallback", "attempt", "finished")
    ]
    assert done["steps"][3]["reason"] == "overloaded"
    times = [step["at_s"] for step in done["steps"]]
    assert times == sorted(times)
    assert QUESTION not in json.dumps(done["steps"])
    assert yard.box.body()["stream"] is False


@pytest.mark.parametrize(
    ("front", "request_", "said"),
    [
        ("anthropic", {"max_tokens": 50, "stream": True}, lambda result: result["content"][0]["text"]),
        ("responses", {"input": QUESTION, "stream": True}, lambda result: result["output"][0]["content"][0]["text"]),
        ("/api/chat", {"options": {"temperature": 0}}, lambda result: result["message"]["content"]),
        ("openai", {"stream": True}, lambda result: result["choices"][0]["message"]["content"]),
    ],
)
def test_a_request_of_any_front_is_answered_in_its_format(yard: Yard, front: str, request_: Any, said: Any) -> None:
    turns = {} if "input" in request_ else {"messages": [{"role": "user", "content": QUESTION}]}
    request = {"model": "deep", **turns, **request_}
    done = yard.ended(yard.begun({"front": front, "request": request}))
    assert done["state"] == "succeeded", done
    assert said(done["result"]) == ANSWER


def test_texts_become_vectors_later(yard: Yard) -> None:
    body = {"front": "/api/embed", "request": {"input": ["a", "b"]}, "model": "vectors-later"}
    done = yard.ended(yard.begun(body))
    assert done["state"] == "succeeded", done
    assert len(done["result"]["embeddings"]) == 2


def test_a_record_says_what_a_request_says(yard: Yard) -> None:
    headers = {"X-Laneway-Lane": "deep", "X-AwoooP-Project-ID": "night", "X-Laneway-Trace": "t-7"}
    done = yard.ended(yard.begun({"prompt": QUESTION}, headers))
    assert done["lane"] == "deep"
    (record,) = yard.gateway.get("/admin/v1/records?trace=t-7", headers=ADMIN).json()["data"]
    assert (record["awooop.lane"], record["awooop.project_id"], record["tenant"]) == ("deep", "night", "acme")
    assert (record["awooop.cost_usd"], record["request_id"]) == (done["cost_usd"], done["request_id"])


# --- refused at the door -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"lane": "depe", "prompt": "a"}, 400, "There is no lane 'depe'"),
        ({"model": "bigg", "prompt": "a"}, 404, "bigg"),
        ({"prompt": "a"}, 404, "auto"),
        ({"lane": "deep"}, 400, "prompt"),
        ({"lane": "deep", "messages": [{"role": "user", "content": 5}]}, 400, "messages[0].content"),
        ({"lane": "deep", "prompt": "a", "webhook": "http://a.test/#x"}, 400, "webhook: the address"),
        ({"lane": "deep", "prompt": "a", "webhook": "gopher://a.test"}, 400, "webhook: the address"),
    ],
)
def test_what_could_not_be_executed_is_not_accepted(yard: Yard, body: object, status: int, said: str) -> None:
    answer = yard.ask(body)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]["message"]


def test_a_bad_request_is_told_in_its_own_format_with_its_place(yard: Yard) -> None:
    bad = {"lane": "deep", "front": "anthropic", "request": {"max_tokens": 5, "messages": [{"role": "user"}]}}
    answer = yard.ask(bad)
    assert answer.status_code == 400
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["message"] == "In `request`: Missing `messages[0].content`."
    ollama = yard.ask({**bad, "front": "ollama", "request": {"messages": 5}})
    assert isinstance(ollama.json()["error"], str)
    assert "`request`" in ollama.json()["error"]


def test_a_key_is_asked_for_and_what_it_may_use(yard: Yard) -> None:
    assert yard.gateway.post("/v1/runs", {"lane": "deep", "prompt": "a"}).status_code == 401
    assert yard.ask({"lane": "deep", "prompt": "a"}, BEES).status_code == 403
    assert yard.ask({"model": "big", "prompt": "a"}, BEES).status_code == 403


def test_a_tenant_sees_its_own_and_an_operator_everybody_s(yard: Yard) -> None:
    first = yard.begun({"lane": "deep", "prompt": QUESTION})
    second = yard.begun({"lane": "vectors-later", "front": "/v1/embeddings", "request": {"input": "a"}}, BEES)
    yard.ended(first)
    yard.ended(second, BEES)
    assert yard.gateway.get(f"/v1/runs/{first}", headers=BEES).status_code == 404
    assert yard.gateway.get(f"/v1/runs/{first}/events", headers=BEES).status_code == 404
    url = f"{yard.gateway.url}/v1/runs/{first}"
    assert httpx.delete(url, headers=BEES, timeout=PATIENCE_S).status_code == 404
    own = yard.gateway.get("/v1/runs?state=succeeded", headers=BEES).json()
    assert [run["id"] for run in own["data"]] == [second]
    page = yard.gateway.get("/v1/runs?limit=1&lane=deep", headers=ACME).json()
    assert (page["data"][0]["id"], page["next"]) == (first, first)
    further = yard.gateway.get(f"/v1/runs?limit=1&after={first}", headers=ACME).json()
    assert further["data"][0]["id"] != first
    everybody = yard.gateway.get("/admin/v1/runs?limit=2", headers=ADMIN).json()["data"]
    assert [run["tenant"] for run in everybody] == ["bees", "acme"]
    assert yard.gateway.get(f"/admin/v1/runs/{first}", headers=ADMIN).json()["result"]["choices"]
    assert yard.gateway.get("/admin/v1/runs", headers=ACME).status_code == 401
    for query in ("limit=0", "limit=x", "state=done", "tenant=bees", "after=run_0", f"after={second}"):
        assert yard.gateway.get(f"/v1/runs?{query}", headers=ACME).status_code == 400


def test_a_run_is_held_to_its_budget(yard: Yard) -> None:
    done = yard.ended(yard.begun({"model": "big", "prompt": QUESTION}, POOR), POOR)
    assert (done["state"], done["error"]["kind"], done["error"]["status"]) == ("failed", "over_budget", 402)
    assert done["result"] is None
    assert done["cost_usd"] == "0"


# --- again and again ---------------------------------------------------------------------------------------


def test_a_repetition_is_the_same_run(yard: Yard) -> None:
    asked = len(yard.box.asked())
    first = yard.begun({"lane": "deep", "prompt": QUESTION, "idempotency_key": "once"})
    again = yard.ask({"prompt": QUESTION, "lane": "deep"}, {"Idempotency-Key": "once"})
    assert (again.status_code, again.json()["id"]) == (200, first)
    assert again.headers["location"] == f"/v1/runs/{first}"
    other = yard.ask({"lane": "deep", "prompt": "something else"}, {"Idempotency-Key": "once"})
    assert other.status_code == 409
    assert "asked for something else" in other.text
    yard.ended(first)
    assert yard.ask({"lane": "deep", "prompt": QUESTION}, {"Idempotency-Key": "once"}).json()["state"] == "succeeded"
    assert len(yard.box.asked()) == asked + 2
    assert yard.ask({"lane": "vectors-later", "prompt": "a"}, {"Idempotency-Key": "once", **BEES}).status_code != 200


# --- followed ----------------------------------------------------------------------------------------------


def follow(yard: Yard, run_id: str, last: str = "") -> tuple[int, list[Any]]:
    headers = {**ACME, **({"last-event-id": last} if last else {})}
    answer = yard.gateway.get(f"/v1/runs/{run_id}/events", headers=headers)
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return answer.status_code, [json.loads(each) for each in data]


def test_steps_are_followed_to_the_end_and_gone_on_with(yard: Yard) -> None:
    run_id = yard.begun({"lane": "deep", "prompt": QUESTION})
    status, steps = follow(yard, run_id)
    assert status == 200
    assert steps == yard.run(run_id)["steps"]
    assert steps[-1]["kind"] == "finished"
    assert follow(yard, run_id, "4") == (200, steps[4:])
    assert follow(yard, run_id, "6") == (204, [])


# --- ended from outside ------------------------------------------------------------------------------------


def test_a_cancelled_run_lets_go_of_its_provider_at_once(street: Street, tmp_path: Path) -> None:
    """One that waits never starts; what was used stays on the bill; one that has ended can be forgotten."""
    box = street.open("openai", {})
    config = config_of(box).replace("[runs]", "[runs]\nconcurrent = 1")
    with served(tmp_path, config) as gateway:
        yard = Yard(gateway, box)
        box.hangs = True
        running = yard.begun({"model": "big", "prompt": QUESTION})
        waiting = yard.begun({"model": "big", "prompt": QUESTION})
        until(lambda: len(box.asked()) == 1)
        assert yard.delete(running, "?forget=true").status_code == 202
        until(lambda: box.left == 1)
        assert yard.ended(running)["state"] == "cancelled"
        until(lambda: len(box.asked()) == 2)
        third = yard.begun({"model": "big", "prompt": QUESTION})
        gone = yard.delete(third)
        assert (gone.status_code, gone.json()["state"]) == (200, "cancelled")
        code, said, _ = told(tmp_path, "runs", "cancel", waiting, "--config", "gateway.toml")
        assert (code, said) == (0, f"{waiting}: is ending.\n")
        assert yard.ended(waiting)["state"] == "cancelled"
        until(lambda: box.left == 2)
        assert len(box.asked()) == 2
        assert yard.delete(running).json()["state"] == "cancelled"
        assert yard.delete(running, "?forget=true").json()["forgotten"] is True
        assert yard.delete(running).status_code == 404
        _, listed, _ = told(tmp_path, "runs", "list", "--state", "cancelled", "--config", "gateway.toml")
        assert (waiting in listed, third in listed, running in listed) == (True, True, False)
        _, shown, _ = told(tmp_path, "runs", "show", waiting, "--config", "gateway.toml")
        assert "cancelling" in shown
        assert QUESTION not in shown
        assert told(tmp_path, "runs", "show", "run_z", "--config", "gateway.toml")[0] == 2


# --- over the end of a process -----------------------------------------------------------------------------


def test_what_runs_when_a_process_stops_is_begun_by_the_next_at_once(street: Street, tmp_path: Path) -> None:
    """Without waiting for a lease, and without a start being counted; who followed it goes on following."""
    box = street.open("openai", {})
    box.hangs = True
    with served(tmp_path, config_of(box)) as gateway:
        run_id = Yard(gateway, box).begun({"model": "big", "prompt": QUESTION})
        until(lambda: len(box.asked()) == 1)
        seen: list[str] = []
        with gateway.client.stream("GET", f"{gateway.url}/v1/runs/{run_id}/events", headers=ACME) as answer:
            for line in answer.iter_lines():
                seen += [line] if line.startswith("event: ") else []
                if line == "event: started":
                    gateway.signal(signal.SIGTERM)
        assert seen == ["event: accepted", "event: started"]
    box.hangs = False
    with served(tmp_path, config_of(box)) as gateway:
        yard = Yard(gateway, box)
        done = yard.ended(run_id)
        assert (done["state"], done["starts"]) == ("succeeded", 1)
        kinds = [step["kind"] for step in done["steps"]]
        assert kinds == ["accepted", "started", "attempt", "let_go", "started", "attempt", "finished"]
        assert [step["kind"] for step in follow(yard, run_id, "2")[1]] == kinds[2:]


def test_what_ran_when_a_process_was_killed_is_finished_by_another(street: Street, tmp_path: Path) -> None:
    box = street.open("openai", {})
    box.hangs = True
    with served(tmp_path, config_of(box, lease=1.0)) as gateway:
        run_id = Yard(gateway, box).begun({"model": "big", "prompt": QUESTION})
        until(lambda: len(box.asked()) == 1)
        gateway.signal(signal.SIGKILL)
        gateway.process.wait()
    box.hangs = False
    with served(tmp_path, config_of(box, lease=1.0)) as gateway:
        done = Yard(gateway, box).ended(run_id)
        assert (done["state"], done["starts"]) == ("succeeded", 2)


def test_workers_share_the_runs_and_whoever_is_asked_can_show_them(street: Street, tmp_path: Path) -> None:
    box = street.open("openai", {})
    with served(tmp_path, config_of(box), arguments=("--workers", "2")) as gateway:
        yard = Yard(gateway, box)
        until(lambda: gateway.get("/healthz").status_code == 200)
        runs = [yard.begun({"model": "big", "prompt": f"What is {number}*2?"}) for number in range(12)]
        for run_id in runs:
            _, steps = follow(yard, run_id)
            assert [step["kind"] for step in steps] == ["accepted", "started", "attempt", "finished"]
        assert len(box.asked()) == 12


# --- telling -----------------------------------------------------------------------------------------------


def test_the_end_is_told_signed_to_who_asked_for_it(yard: Yard) -> None:
    """With the caller's own secret, or the gateway's; nothing of the address is shown."""
    with Hook(200) as hook:
        own = {"url": f"{hook.url}/own?t=TOKEN", "secret": "mine"}
        runs = [
            yard.begun({"lane": "deep", "prompt": QUESTION, "webhook": own}),
            yard.begun({"lane": "deep", "prompt": QUESTION, "webhook": f"{hook.url}/plain"}),
        ]
        for run_id in runs:
            until(lambda run_id=run_id: yard.run(run_id)["webhook"]["state"] == "sent")  # type: ignore[misc]
        assert len(hook.deliveries) == 2
        assert "TOKEN" not in json.dumps(yard.run(runs[0]))
    for delivery in hook.deliveries:
        secret = b"mine" if delivery.path == "/own?t=TOKEN" else b"hush"
        stamp = delivery.headers["x-laneway-timestamp"].encode()
        expected = hmac.new(secret, stamp + b"." + delivery.body, hashlib.sha256).hexdigest()
        assert delivery.headers["x-laneway-signature"] == f"sha256={expected}"
        assert delivery.headers["x-laneway-delivery"] == delivery.json["id"]
        assert delivery.json["id"] in runs
        assert delivery.json["result"]["choices"][0]["message"]["content"] == ANSWER
