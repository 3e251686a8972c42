"""Routing as its callers meet it: taught over HTTP, answered by models of different skill, and explained."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.house import ADMIN
from tests.e2e.school import ACME, FAST, LEAN, MODELS, OTHER, STRONG, TENANTS, refusal, teach
from tests.harness.gateway import Served, served, told, until
from tests.harness.taught import easy, hard

CONFIG = f"""{MODELS}
[pools.smart]
candidates = ["fast", "strong"]
default = "strong"
aliases = ["auto"]
warm = 20
keep_prompts = true

[pools.plain]
candidates = ["fast", "strong"]
rule = "cheapest"

[models.echo]
provider = "sim"
id = "sim-echo"

[pools.stairs]
candidates = ["echo", "strong"]
default = "strong"
rule = "cascade"
check = {{ without = ["please do not"] }}

[lanes.busy]
pool = "smart"
{TENANTS}"""
ALPHA, FLOOR = "/admin/v1/routing-alpha", "/admin/v1/routing-floor"


def lessons(count: int, seed: int = 1) -> str:
    """Scored prompts, half of them hard, one a line."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        is_hard = bool(number % 2)
        prompt = hard(chance) if is_hard else easy(chance)
        rows.append({"prompt": prompt, "scores": {"fast": 0.1 if is_hard else 0.9, "strong": 0.95}})
    return "\n".join(map(json.dumps, rows))


EASY, HARD = (json.loads(line)["prompt"] for line in lessons(2).splitlines())


def status(gateway: Served, headers: Mapping[str, str] = ACME) -> dict[str, Any]:
    """Once everything that was taught is learned."""
    found: dict[str, Any] = gateway.get("/v1/router/status", headers=headers).json()
    return found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("routing"), CONFIG) as gateway:
        assert teach(gateway, lessons(80)).status_code == 201
        assert status(gateway)["pools"][0]["routable"]
        yield gateway


def ask(
    gateway: Served, prompt: str, headers: Mapping[str, str] = ACME, model: str = "auto", **more: str
) -> httpx.Response:
    answer = gateway.chat(model, prompt, headers={**headers, **{key.replace("_", "-"): v for key, v in more.items()}})
    assert answer.status_code == 200, answer.text
    return answer


def explained(gateway: Served, prompt: str, headers: Mapping[str, str] = ACME) -> dict[str, Any]:
    body = {"model": "auto", "messages": [{"role": "user", "content": prompt}]}
    answer = gateway.post("/v1/router/explain", body, headers=headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def model(answer: httpx.Response) -> str:
    return answer.headers["x-laneway-model"]


# --- being routed ------------------------------------------------------------------------------------------


def test_easy_prompts_go_to_the_cheap_model_and_hard_ones_to_the_strong(gateway: Served) -> None:
    assert model(ask(gateway, EASY, x_laneway_bias="0.4")) == "sim-small"
    assert model(ask(gateway, HARD, x_laneway_bias="0.6")) == "sim-large"
    # In a lane that ranks by the pool, whatever model is named.
    assert model(ask(gateway, EASY, model="whatever", x_laneway_lane="busy", x_laneway_bias="0.4")) == "sim-small"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"max_tokens": 50, "messages": [{"role": "user", "content": EASY}]}),
        ("/api/chat", {"messages": [{"role": "user", "content": EASY}], "stream": False}),
        ("/api/generate", {"prompt": EASY, "stream": False}),
    ],
)
def test_every_front_is_routed_and_explained_alike(gateway: Served, path: str, body: dict[str, Any]) -> None:
    bias = {**ACME, "x-laneway-bias": "0.4"}
    answer = gateway.post(path, {"model": "auto", **body}, headers=bias)
    assert model(answer) == "sim-small", answer.text
    found = gateway.post(f"/v1/router/explain?front={path}", {"model": "auto", **body}, headers=bias).json()
    assert found["receipt"]["plan"] == receipt(gateway, answer)["plan"]


def receipt(gateway: Served, answer: httpx.Response, headers: Mapping[str, str] = ACME) -> dict[str, Any]:
    """By the id in the answer's header."""
    found: dict[str, Any] = gateway.get(
        f"/v1/router/decisions/{answer.headers['x-laneway-decision']}", headers=headers
    ).json()
    return found


def test_an_explanation_is_what_happens(gateway: Served) -> None:
    """The same ranking with the same figures, and nothing is called for it."""
    chance = random.Random(8)
    for number in range(6):
        prompt, bias = (hard if number % 2 else easy)(chance), str(number / 5)
        answer = ask(gateway, prompt, x_laneway_bias=bias)
        found = explained(gateway, prompt, {**ACME, "x-laneway-bias": bias})
        assert (found["object"], found["executed"]) == ("router.explanation", False)
        own = {"id", "at_s"}
        kept = receipt(gateway, answer)
        assert {key: value for key, value in found["receipt"].items() if key not in own} == {
            key: value for key, value in kept.items() if key not in own
        }
        assert model(answer) == found["ranked"][0]["model"]
        nowhere = gateway.get(f"/v1/router/decisions/{found['receipt']['id']}", headers=ACME)
        refusal(nowhere, 404)


def test_a_stream_says_its_decision_too(gateway: Served) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": EASY}], "stream": True}
    answer = gateway.post("/v1/chat/completions", body, headers=ACME)
    assert answer.headers["x-laneway-decision"] == answer.headers["x-laneway-request-id"]


def test_decisions_are_listed_for_their_own_tenant(gateway: Served) -> None:
    mine, plain = ask(gateway, EASY), ask(gateway, EASY, model="plain")
    listed = gateway.get("/v1/router/decisions?limit=2", headers=ACME).json()["data"]
    assert [each["id"] for each in listed] == [
        plain.headers["x-laneway-decision"],
        mine.headers["x-laneway-decision"],
    ]
    (first,) = gateway.get("/v1/router/decisions?rule=cheapest&limit=1", headers=ACME).json()["data"]
    assert (first["pool"], first["served"], first["text"]) == ("plain", "sim/sim-small", None)
    assert listed[1]["text"] == EASY
    theirs = gateway.get(f"/v1/router/decisions/{mine.headers['x-laneway-decision']}", headers=OTHER)
    assert "no decision" in refusal(theirs, 404)
    assert gateway.get("/v1/router/decisions", headers=OTHER).json()["data"] == []
    shown = gateway.get("/v1/router/decisions?tenant=acme&limit=1", headers=ADMIN).json()["data"]
    assert shown[0]["tenant"] == "acme"
    refusal(gateway.get("/v1/router/decisions?tenant=acme", headers=OTHER), 403)
    for limit in ("0", "1001", "two", "\u00b2", "9" * 5000):
        assert "from 1 to 1000" in refusal(gateway.get("/v1/router/decisions", params={"limit": limit}, headers=ACME))
    assert gateway.get("/v1/router/decisions").status_code == 401


def test_decisions_are_turned_over_page_by_page_to_the_first_one(gateway: Served) -> None:
    """What is decided in between moves nothing, and nobody goes on from what is not his."""
    made = [ask(gateway, EASY, model="plain").headers["x-laneway-decision"] for _ in range(5)]
    path, found = "/v1/router/decisions?limit=2&pool=plain", list[str]()
    after = ""
    while True:
        page = gateway.get(path + after, headers=ACME).json()
        found += [each["id"] for each in page["data"]]
        if page["next"] is None:
            break
        assert page["next"] == page["data"][-1]["id"]
        after = f"&after={page['next']}"
        ask(gateway, EASY, model="plain")
    assert found[:5] == made[::-1]
    assert len(found) == len(set(found))
    theirs = ask(gateway, EASY, headers=OTHER, model="plain").headers["x-laneway-decision"]
    for wrong in ("req_0", theirs, "1", "%00", "x" * 3000):
        assert "no such decision" in refusal(gateway.get(f"{path}&after={wrong}", headers=ACME))


def test_another_tenant_is_not_routed_by_what_it_did_not_teach(gateway: Served) -> None:
    answer = ask(gateway, EASY, OTHER)
    assert model(answer) == "sim-large"
    assert receipt(gateway, answer, OTHER)["declined"] == "there are no examples"
    # Whom only one candidate is allowed is served by that, and by no other.
    assert model(ask(gateway, HARD, LEAN)) == "sim-small"


def test_the_pools_are_models_that_can_be_listed(gateway: Served) -> None:
    names = {each["id"] for each in gateway.get("/v1/models", headers=ACME).json()["data"]}
    assert {"smart", "auto", "plain"} <= names
    assert gateway.get("/v1/models/auto", headers=ACME).json()["id"] == "auto"


def test_a_cascade_asks_on_where_the_cheap_answer_does_not_do(gateway: Served) -> None:
    """Both calls are on record and paid for, and the caller sees the second answer only."""
    fine = ask(gateway, "Say this.", model="stairs")
    assert (model(fine), fine.headers["x-laneway-attempts"]) == ("sim-echo", "1")
    # The echo says it again, words that must not be there included.
    other = ask(gateway, "Please do not say this.", model="stairs")
    assert (model(other), other.headers["x-laneway-attempts"]) == ("sim-large", "2")
    body = {"model": "stairs", "max_tokens": 50, "messages": [{"role": "user", "content": "Please do not say this."}]}
    assert model(gateway.post("/v1/messages", body, headers=ACME)) == "sim-large", "through a translation, too"
    streamed = gateway.post("/v1/messages", {**body, "stream": True}, headers=ACME)
    assert receipt(gateway, streamed)["declined"] == "a stream cannot be checked before it is sent"


# --- the dial ----------------------------------------------------------------------------------------------


def turn(gateway: Served, alpha: object, headers: Mapping[str, str] = ACME, query: str = "") -> httpx.Response:
    return gateway.client.put(f"{gateway.url}{ALPHA}{query}", json={"alpha": alpha}, headers=headers)


def test_the_dial_counts_for_the_next_request_and_for_nobody_else(gateway: Served) -> None:
    assert gateway.get(ALPHA, headers=ACME).json() == {"alpha": 5, "min": 0, "max": 10}
    try:
        assert turn(gateway, 0).json() == {"alpha": 0, "min": 0, "max": 10}
        assert model(ask(gateway, HARD)) == "sim-small", "0 is a value, and means the lowest cost"
        assert gateway.get(ALPHA, headers=ACME).json()["alpha"] == 0
        assert gateway.get(ALPHA, headers=OTHER).json()["alpha"] == 5
        assert turn(gateway, 10, ADMIN, "?tenant=acme").json()["alpha"] == 10
        assert model(ask(gateway, EASY)) == "sim-large"
        for header in ("x-laneway-bias", "x-weave-routing-alpha"):
            assert model(ask(gateway, HARD, {**ACME, header: "0"})) == "sim-small", "a request's own wish goes first"
        noted = gateway.get("/admin/v1/audit?action=routing-alpha", headers=ADMIN).json()["data"]
        assert [each["detail"]["alpha"] for each in noted[:2]] == [10, 0]
    finally:
        turn(gateway, 5)


@pytest.mark.parametrize("alpha", [-1, 11, 5.5, None, "5", True])
def test_a_dial_that_has_no_such_position_is_refused_with_the_range(gateway: Served, alpha: object) -> None:
    message = refusal(turn(gateway, alpha))
    assert alpha in ("5", True) or "from 0 (lowest cost) to 10 (highest quality)" in message
    assert gateway.get(ALPHA, headers=ACME).json()["alpha"] == 5


def test_whose_dial_it_is(gateway: Served) -> None:
    refusal(turn(gateway, 3, OTHER, "?tenant=acme"), 403)
    assert gateway.get(ALPHA).status_code == 401
    assert gateway.client.put(gateway.url + ALPHA, json={"alpha": 3}).status_code == 401


def test_every_position_of_the_dial_is_told_beforehand(gateway: Served) -> None:
    told = gateway.get("/v1/router/dial?pool=smart", headers=ACME).json()
    positions = told["positions"]
    assert [each["alpha"] for each in positions] == list(range(11))
    assert positions[0]["mix"] == {FAST: pytest.approx(1), STRONG: 0}
    assert positions[10]["mix"] == {FAST: 0, STRONG: pytest.approx(1)}
    costs = [each["usd_per_request"] for each in positions]
    assert costs == sorted(costs)
    assert len(set(costs)) == 11, "no position is dead"
    assert "name one of the pools: smart, plain, stairs" in refusal(gateway.get("/v1/router/dial", headers=ACME))


# --- the floor ---------------------------------------------------------------------------------------------


def keep(
    gateway: Served, floor: object, headers: Mapping[str, str] = ACME, query: str = "", pool: str = "smart"
) -> httpx.Response:
    path = f"{gateway.url}{FLOOR}?pool={pool}{query}"
    return gateway.client.put(path, json={"floor": floor}, headers=headers)


def floor_of(gateway: Served, headers: Mapping[str, str] = ACME, pool: str = "smart") -> dict[str, Any]:
    found: dict[str, Any] = gateway.get(f"{FLOOR}?pool={pool}", headers=headers).json()
    return found


def test_a_floor_counts_for_the_next_request_and_for_nobody_else(gateway: Served) -> None:
    """Requests, explanations, the dial's preview and the status tell of the same floor."""
    before = floor_of(gateway)
    assert [before[name] for name in ("floor", "set", "configured", "min", "max", "step")] == [
        *(None, None, None),
        *(0.9, 1.0, 0.01),
    ]
    cheapest = {**ACME, "x-laneway-bias": "0"}
    body = {"model": "auto", "messages": [{"role": "user", "content": HARD}]}
    assert model(ask(gateway, HARD, cheapest)) == "sim-small"
    try:
        assert keep(gateway, 0.97).json()["floor"] == 0.97
        assert model(ask(gateway, HARD, cheapest)) == "sim-large"
        told = gateway.post("/v1/router/explain", body, headers=cheapest).json()
        assert told["ranked"][0]["model"] == "sim-large"
        assert told["receipt"]["floor"] == 0.97
        dial = gateway.get("/v1/router/dial?pool=smart", headers=ACME).json()
        assert (dial["floor"], dial["positions"][0]["kept_by_floor"]) == (0.97, True)
        assert dial["positions"][0]["mix"][STRONG] > 0.3, "what a position does is what is done above the floor"
        assert status(gateway)["pools"][0]["floor"] == 0.97
        assert [floor_of(gateway, OTHER)["floor"], floor_of(gateway, pool="plain")["floor"]] == [None, None]
        assert status(gateway, OTHER)["pools"][0]["floor"] is None
        assert keep(gateway, 0.99, ADMIN, "&tenant=acme").json()["set"] == 0.99
        noted = gateway.get("/admin/v1/audit?action=routing-floor", headers=ADMIN).json()["data"]
        assert [each["detail"] for each in noted[:2]] == [
            {"pool": "smart", "floor": 0.99, "was": 0.97},
            {"pool": "smart", "floor": 0.97, "was": None},
        ]
        assert (noted[0]["actor"], noted[0]["subject"]) == ("admin", "acme")
    finally:
        assert keep(gateway, None).json()["set"] is None
    assert model(ask(gateway, HARD, cheapest)) == "sim-small"


def test_what_a_floor_would_do_is_told_before_it_is_set(gateway: Served) -> None:
    plain, floored = (
        gateway.get(f"/v1/router/dial?pool=smart{query}", headers=ACME).json() for query in ("", "&floor=0.97")
    )
    assert (plain["floor"], floored["floor"], floor_of(gateway)["floor"]) == (None, 0.97, None)
    assert not any(each["kept_by_floor"] for each in plain["positions"])
    assert floored["positions"][0]["cost_ratio"] > plain["positions"][0]["cost_ratio"]
    assert floored["positions"][10] == plain["positions"][10], "a dial may be stricter than the floor"
    middle = plain["positions"][5]
    assert middle == middle | plain["unmoved"]
    assert floored["unmoved"]["mix"] == floored["positions"][0]["mix"], "an unmoved dial leaves it to the floor"
    for wrong in ("0.5", "-1", "nan", "x", "", "0.955"):
        answer = gateway.get("/v1/router/dial", params={"pool": "smart", "floor": wrong}, headers=ACME)
        assert "from 0.9 to 1 in steps of 0.01" in refusal(answer)


@pytest.mark.parametrize("floor", [0.5, 0.89, 1.01, 0.955, -0.9, 1e300, "0.95", True, []])
def test_a_floor_that_there_is_not_is_refused_with_the_range(gateway: Served, floor: object) -> None:
    message = refusal(keep(gateway, floor))
    assert not isinstance(floor, float) or "from 0.9 to 1 in steps of 0.01; 0 for none" in message
    assert floor_of(gateway)["set"] is None


def test_whose_floor_it_is(gateway: Served) -> None:
    refusal(keep(gateway, 0.95, OTHER, "&tenant=acme"), 403)
    assert gateway.get(f"{FLOOR}?pool=smart").status_code == 401
    assert keep(gateway, 0.95, {}).status_code == 401
    assert "name one of the pools" in refusal(keep(gateway, 0.95, pool="nobody's"))
    empty = gateway.client.put(f"{gateway.url}{FLOOR}?pool=smart", json={}, headers=ACME)
    assert "null for what the configuration says" in refusal(empty)


# --- how far it is -----------------------------------------------------------------------------------------


def test_the_status_says_what_is_there_and_what_is_needed(gateway: Served) -> None:
    told = status(gateway)
    smart, plain, _ = told["pools"]
    assert (told["records"], told["backend"], told["alpha"]) == (80, "core", 5)
    assert (smart["warm"], smart["labels_needed"], smart["routable"]) == (True, 0, True)
    assert [each["labels"] for each in smart["candidates"]] == [80, 80]
    assert smart["verdict"].startswith(f"Routable: {smart['gain']:+.2f} points +- {smart['deviation']:.2f}")
    assert f"{smart['judged']:,} examples" in smart["verdict"]
    assert "'cheapest'" in plain["verdict"]
    theirs = status(gateway, OTHER)["pools"][0]
    assert (theirs["warm"], theirs["labels_needed"]) == (False, 40)
    assert theirs["verdict"].startswith("No examples yet: teach at least 20 labels")


def test_an_explanation_of_nonsense_is_a_refusal(gateway: Served) -> None:
    assert refusal(gateway.post("/v1/router/explain", {"model": "auto"}, headers=ACME)) == "Missing `messages`."
    assert "expected one of" in refusal(gateway.post("/v1/router/explain?front=/v1/embeddings", {}, headers=ACME))
    assert gateway.post("/v1/router/explain", {"model": "auto"}).status_code == 401
    gone = {"model": "auto", "messages": [{"role": "user", "content": "x"}]}
    refusal(gateway.post("/v1/router/explain", gone, headers={**ACME, "x-laneway-bias": "2"}))


def test_a_person_is_shown_where_a_prompt_would_go(gateway: Served) -> None:
    arguments = ("route", "--config", "gateway.toml", "--url", gateway.url, "--tenant", "acme", "--model", "auto")
    code, said, _ = told(gateway.folder, *arguments, "--bias", "0.4", EASY)
    assert code == 0
    assert said.startswith("sim/sim-small, by learned: quality 0.")
    assert "pool smart, dial at 0.4" in said
    assert "nearest examples" in said
    code, said, _ = told(gateway.folder, *arguments, "--json", HARD)
    assert json.loads(said)["receipt"]["rule"] == "learned"
    code, _, complaint = told(gateway.folder, *arguments, "--bias", "7", EASY)
    assert (code, "expected a number from 0 to 1" in complaint) == (2, True)
    code, _, complaint = told(gateway.folder, *arguments[:3], "--url", "http://127.0.0.1:9", EASY)
    assert (code, "No gateway answers" in complaint) == (2, True)


# --- conversations, and a restart --------------------------------------------------------------------------


def test_a_conversation_keeps_its_model_and_a_restart_forgets_nothing(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": HARD},
        {"role": "assistant", "content": "It follows."},
        {"role": "user", "content": "Thanks. And now say it in French."},
    ]

    def talk(gateway: Served, count: int) -> httpx.Response:
        headers = {**ACME, "x-laneway-bias": "0.6"}
        answer = gateway.post("/v1/chat/completions", {"model": "auto", "messages": turns[:count]}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer

    with served(tmp_path, CONFIG) as gateway:
        assert teach(gateway, lessons(80)).status_code == 201
        status(gateway)
        assert turn(gateway, 7).status_code == 200
        assert keep(gateway, 0.91).status_code == 200
        first = talk(gateway, 1)
        assert model(first) == "sim-large"
        second = talk(gateway, 3)
        penalties = {each["candidate"]: each["penalty"] for each in receipt(gateway, second)["standings"]}
        assert penalties == {FAST: 0.02, STRONG: 0.0}, "a switch has a price"
        assert model(second) == "sim-large"
    with served(tmp_path, CONFIG) as gateway:
        assert gateway.get(ALPHA, headers=ACME).json()["alpha"] == 7
        assert floor_of(gateway)["floor"] == 0.91
        assert receipt(gateway, first)["served"] == "sim/sim-large"
        # As soon as what was taught is learned again.
        third = until(lambda: (told := receipt(gateway, talk(gateway, 3))) and told["confidence"] and told)
        assert third["rule"] in ("learned", "pin")
        assert {each["candidate"]: each["penalty"] for each in third["standings"]} == {FAST: 0.02, STRONG: 0.0}


def test_a_gateway_with_nothing_configured_routes_by_the_bundled_examples(tmp_path: Path) -> None:
    """Once, however many processes serve; and what was taken back does not come again."""
    with served(tmp_path, arguments=("--workers", "2")) as gateway:

        def learned() -> bool:
            told = gateway.get("/v1/router/status").json()
            return bool(told["pools"][0]["routable"])

        until(learned)
        assert gateway.get("/v1/router/memory?limit=1").json()["total"] == 358
        easy = {"model": "auto", "messages": [{"role": "user", "content": "What is 12 + 31?"}]}
        until(lambda: gateway.post("/v1/chat/completions", easy).json()["model"] == "sim-small")
        hard = {"model": "auto", "messages": [{"role": "user", "content": "What is 318 * 742?"}]}
        until(lambda: gateway.post("/v1/chat/completions", hard).json()["model"] == "sim-large")
        assert gateway.post("/v1/router/memory/undo", {}).json()["deleted"] == 358
    with served(tmp_path) as gateway:
        assert gateway.get("/v1/router/memory?limit=1").json()["total"] == 0
