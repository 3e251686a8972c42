"""What live traffic teaches: callers' feedback, models that judge a sample, and a second candidate asked beside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.house import ADMIN
from tests.e2e.school import ACME, FAST, HARD, MODELS, OTHER, RANK, STRONG, TENANTS, memory, refusal
from tests.harness.gateway import Served, served, told, until

POOL = f"""{MODELS}
[pools.smart]
candidates = ["fast", "strong"]
default = "fast"
aliases = ["auto"]
keep_prompts = true

[pools.quiet]
candidates = ["fast", "strong"]
{TENANTS}"""
EASY = "What is 3+4?"
SOURCE = "judge:grader"


def judge(**settings: Any) -> str:
    lines = [f"{name} = {value!r}".replace("True", "true") for name, value in settings.items()]
    return "\n".join([POOL, '[judges.grader]\nmodel = "sim/sim-judge"', *lines]).replace("'", '"')


def scores(example: dict[str, Any]) -> dict[str, float]:
    return {label["candidate"]: label["score"] for label in example["labels"]}


def spent(gateway: Served, key: str = SOURCE) -> float:
    path = f"/admin/v1/usage?group_by=key&key={key}"
    return float(gateway.get(path, headers=ADMIN).json()["total"]["cost_usd"])


# --- feedback ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("feedback"), POOL) as gateway:
        yield gateway


def feed(gateway: Served, headers: Any = ACME, **body: Any) -> httpx.Response:
    return gateway.post("/v1/feedback", body, headers=headers)


def test_feedback_on_a_decision_becomes_a_label_once(gateway: Served) -> None:
    """Said again it changes nothing; said otherwise it replaces what was said."""
    decision = gateway.chat("smart", HARD, headers=ACME).headers["x-laneway-request-id"]
    until(lambda: feed(gateway, decision=decision, thumbs="down").status_code == 201)
    again = feed(gateway, decision=decision, score=0)
    assert (again.status_code, again.json()["candidate"], again.json()["score"]) == (201, FAST, 0.0)
    (example,) = memory(gateway)
    assert (example["prompt"], scores(example), example["labels"][0]["source"]) == (HARD, {FAST: 0.0}, "feedback")
    feed(gateway, decision=decision, score=0.25)
    feed(gateway, decision=decision, score=1, model="strong", comment="I asked it too")
    (example,) = memory(gateway)
    assert scores(example) == {FAST: 0.25, STRONG: 1.0}
    entry = gateway.get("/v1/router/audit?limit=1", headers=ACME).json()["data"][0]
    assert (entry["action"], entry["detail"]["comment"]) == ("memory.feedback", "I asked it too")


def test_feedback_is_about_who_answered(tmp_path: Path) -> None:
    """Who was ranked first may have failed; where nobody answered, a model has to be named."""
    config = POOL.replace('id = "sim-small"', 'id = "sim-small-fail-503"')
    config += '\n[pools.gone]\ncandidates = ["fast", "sim/sim-down"]\nkeep_prompts = true\n'
    with served(tmp_path, config) as gateway:
        answer = gateway.chat("smart", EASY, headers=ACME)
        assert answer.headers["x-laneway-model"] == "sim-large"
        decision = answer.headers["x-laneway-decision"]
        until(lambda: feed(gateway, decision=decision, score=0.5).status_code == 201)
        (example,) = memory(gateway)
        assert scores(example) == {STRONG: 0.5}
        gone = gateway.chat("gone", EASY, headers=ACME)
        assert gone.status_code >= 500
        lost = gone.headers["x-laneway-request-id"]
        until(lambda: feed(gateway, decision=lost, score=0).status_code == 409)
        refused = feed(gateway, decision=lost, score=0).json()
        assert "No answer came of this decision" in refused["error"]["message"]
        assert feed(gateway, decision=lost, score=0, model="fast").json()["candidate"] == f"{FAST}-fail-503"


def test_feedback_on_what_cannot_be_scored_is_refused_in_words(gateway: Served) -> None:
    mine = gateway.chat("smart", EASY, headers=ACME).headers["x-laneway-request-id"]
    quiet = gateway.chat("quiet", EASY, headers=ACME).headers["x-laneway-request-id"]
    named = gateway.chat("fast", EASY, headers=ACME).headers["x-laneway-request-id"]
    until(lambda: feed(gateway, decision=quiet, score=1).status_code == 409)
    before = len(memory(gateway))
    for headers, body, status, words in (
        (ACME, {"decision": quiet, "score": 1}, 409, "keep_prompts"),
        (ACME, {"decision": named, "score": 1}, 404, "not a pool's"),
        (OTHER, {"decision": mine, "score": 1}, 404, "There is no decision"),
        (ACME, {"decision": mine}, 400, "either a score from 0 to 1, or thumbs"),
        (ACME, {"decision": mine, "score": 2}, 400, "score: expected a score from 0 to 1"),
        (ACME, {"decision": mine, "score": 1, "model": "gpt"}, 400, "there is no candidate 'gpt'"),
        (ACME, {"decision": mine, "thumbs": "sideways"}, 400, "thumbs"),
        (ACME, {"decision": mine, "score": 1, "comment": "x" * 501}, 400, "comment: has more"),
    ):
        answer = feed(gateway, headers, **body)
        assert (answer.status_code, words in answer.json()["error"]["message"]) == (status, True), answer.text
    assert len(memory(gateway)) == before


def test_a_taught_prompt_looks_as_a_live_one_does(gateway: Served) -> None:
    """The same tag and the same setting, so that they can be compared."""
    system = {"role": "system", "content": "You are a clerk."}
    turns = [system, {"role": "user", "content": HARD}]
    body = {"model": "smart", "messages": turns, "max_tokens": 77}
    answer = gateway.post("/v1/chat/completions", body, headers=ACME)
    decision = answer.headers["x-laneway-request-id"]
    until(lambda: feed(gateway, decision=decision, score=1).status_code == 201)
    taught = {"messages": turns, "max_tokens": 77, "scores": {"fast": 0}}
    (example_id,) = gateway.post(RANK, taught, headers=ACME).json()["ids"]
    lived, told = memory(gateway)[-2:]
    assert told["id"] == example_id
    assert (told["prompt"], told["tag"], told["setting"]) == (lived["prompt"], lived["tag"], lived["setting"])
    assert told["tag"].startswith("system:")
    plain = {"prompt": HARD, "system": "You are a clerk.", "max_tokens": 77, "scores": {"fast": 0}}
    gateway.post(RANK, plain, headers=ACME)
    assert (memory(gateway)[-1]["tag"], memory(gateway)[-1]["setting"]) == (told["tag"], told["setting"])


# --- judges ------------------------------------------------------------------------------------------------


def test_a_judge_scores_what_was_served_behind_the_request(tmp_path: Path) -> None:
    """Whole and streamed answers alike; nothing of it is in the caller's own usage, and refusals are not judged."""
    with served(tmp_path, judge(share=1, pairs=0, burst=0)) as gateway:
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="key-of-acme-1", max_retries=0) as client:
            client.chat.completions.create(model="auto", messages=[{"role": "user", "content": HARD}])
            stream = client.chat.completions.create(
                model="smart", messages=[{"role": "user", "content": EASY}], stream=True
            )
            assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "3 + 4 = 7."
        assert gateway.chat("fast", "What is 1+1?", headers=ACME).status_code == 200
        until(lambda: len(memory(gateway)) == 2)
        found = {example["prompt"]: example for example in memory(gateway)}
        assert scores(found[HARD]) == {FAST: 0.0}
        assert scores(found[EASY]) == {FAST: 1.0}
        assert {label["source"] for example in found.values() for label in example["labels"]} == {SOURCE}
        assert found[HARD]["taught_by"] == SOURCE
        records = gateway.get("/admin/v1/records?intent=judge", headers=ADMIN).json()["data"]
        assert {(record["key_id"], record["tenant"]) for record in records} == {(SOURCE, "acme")}
        assert gateway.get("/v1/usage", headers=ACME).json()["total"]["requests"] == 3
        assert spent(gateway) > 0
        entry = gateway.get("/v1/router/audit", headers=ACME).json()["data"]
        assert [(each["action"], each["actor"]) for each in entry] == [("memory.judge", SOURCE)]
        assert memory(gateway, OTHER) == []


def test_pairs_ask_a_second_candidate_and_score_both(tmp_path: Path) -> None:
    """In both orders; the pair and its judging are charged to the judge."""
    with served(tmp_path, judge(share=0, pairs=1, burst=0)) as gateway:
        assert gateway.chat("smart", HARD, headers=ACME).status_code == 200
        (example,) = until(lambda: memory(gateway))
        assert scores(example) == {FAST: 0.0, STRONG: 1.0}
        intents = [record["intent"] for record in gateway.get("/admin/v1/records", headers=ADMIN).json()["data"]]
        assert sorted(filter(None, intents)) == ["judge", "judge", "pair"]
        assert gateway.get("/v1/usage", headers=ACME).json()["total"]["requests"] == 1
        one = feed(gateway, decision=example["task_id"].removeprefix("decision:"), score=0.5)
        assert one.json()["id"] == example["id"]
        (example,) = memory(gateway)
        assert [(label["candidate"], label["source"]) for label in example["labels"]] == [
            (STRONG, SOURCE),
            (FAST, "feedback"),
            (FAST, SOURCE),
        ]


def test_a_judge_keeps_within_its_budget(tmp_path: Path) -> None:
    """When its money is gone nothing more is asked in its name, and callers notice nothing."""
    with served(tmp_path, judge(share=0, pairs=1, burst=0, daily_usd=0.002, workers=1)) as gateway:
        for number in range(12):
            body = {"messages": [{"role": "user", "content": f"What is 48{number}*937?"}], "max_tokens": 20}
            asked = gateway.post("/v1/chat/completions", {"model": "smart", **body}, headers=ACME)
            assert asked.status_code == 200
        path = "/admin/v1/records?status=402"
        until(lambda: gateway.get(path, headers=ADMIN).json()["data"])
        assert 0 < spent(gateway) <= 0.002
        (told,) = gateway.get("/admin/v1/judges", headers=ADMIN).json()["data"]
        assert (told["judge"], told["model"], told["resting"], told["trust"]) == ("grader", "sim/sim-judge", True, None)
        assert told["refused"] >= 1
        assert gateway.get("/admin/v1/judges", headers=ACME).status_code == 401
        refused = gateway.get(path, headers=ADMIN).json()["data"]
        assert {record["key_id"] for record in refused} == {SOURCE}
        count = len(gateway.get("/admin/v1/records?limit=1000", headers=ADMIN).json()["data"])
        assert gateway.chat("smart", EASY, headers=ACME).status_code == 200
        until(lambda: len(gateway.get("/admin/v1/records?limit=1000", headers=ADMIN).json()["data"]) == count + 1)


def test_a_new_version_of_a_model_starts_with_a_burst_of_pairs(tmp_path: Path) -> None:
    """A memory that knows the others asks the new one beside them until it knows it a little."""
    config = judge(share=0, pairs=0, burst=3).replace('version = "2"', 'version = "3"')
    newer = STRONG.replace("@2", "@3")
    with served(tmp_path, config) as gateway:
        known = [{"prompt": f"What is {number}+1?", "scores": {"fast": 1}} for number in range(3)]
        gateway.post(RANK, {"examples": known}, headers=ACME)
        for number in range(20):
            gateway.chat("smart", f"What is 4{number}2*937?", headers=ACME)
            gateway.chat("smart", f"What is 4{number}2*937?", headers=OTHER)
        until(lambda: len(memory(gateway, candidate=newer, source=SOURCE)) >= 3)
        assert all(set(scores(each)) == {FAST, newer} for each in memory(gateway, source=SOURCE))
        assert len(memory(gateway, source=SOURCE)) < 10
        # Who has taught nothing at all has nothing that a burst could complete.
        assert memory(gateway, OTHER) == []


def test_another_tenant_can_pay_for_judging(tmp_path: Path) -> None:
    with served(tmp_path, judge(share=1, pairs=0, burst=0, tenant="other", pools=["smart"])) as gateway:
        gateway.chat("smart", HARD, headers=ACME)
        gateway.chat("quiet", EASY, headers=ACME)
        until(lambda: memory(gateway))
        records = gateway.get("/admin/v1/records?intent=judge", headers=ADMIN).json()["data"]
        assert {record["tenant"] for record in records} == {"other"}
        assert [example["prompt"] for example in memory(gateway)] == [HARD]
        assert memory(gateway, OTHER) == []


# --- a person's question -----------------------------------------------------------------------------------

OPINION = "/v1/router/preferences/judge"
ANSWERS = {"fast": "It is about 450.", "strong": "482 * 937 = 451634."}


def test_a_judge_is_asked_by_a_person_and_nothing_is_taught(tmp_path: Path) -> None:
    """In the tenant's name, by the judge's budget; a judge that draws nothing by itself can be asked all the same."""
    with served(tmp_path, judge(share=0, pairs=0, burst=0)) as gateway:
        told = gateway.post(OPINION, {"prompt": HARD, "answers": ANSWERS}, headers=ACME).json()
        assert (told["judge"], told["label_source"], told["calls"]) == ("grader", SOURCE, 2)
        assert (told["scores"], told["undecided"]) == ({"fast": 0.0, "strong": 1.0}, [])
        talk = [{"role": "user", "content": "Sums, please."}, {"role": "assistant", "content": "Which?"}]
        body: dict[str, Any] = {"messages": [*talk, {"role": "user", "content": HARD}], "answers": {"strong": "451634"}}
        assert gateway.post(OPINION, body, headers=ACME).json()["calls"] == 1
        assert gateway.chat("smart", EASY, headers=ACME).status_code == 200
        assert memory(gateway) == []
        records = gateway.get("/admin/v1/records?intent=judge", headers=ADMIN).json()["data"]
        assert {(record["key_id"], record["tenant"]) for record in records} == {(SOURCE, "acme")}
        assert len(records) == 3
        assert spent(gateway) >= float(told["cost_usd"]) > 0
        listed = gateway.get("/v1/router/status", headers=ACME).json()["judges"]
        assert listed == [{"judge": "grader", "model": "sim/sim-judge"}]
        for body, words in (
            ({"prompt": HARD, "answers": {}}, "from 1 to 16"),
            ({"prompt": HARD, "answers": {f"m{at}": "x" for at in range(17)}}, "from 1 to 16"),
            ({"answers": ANSWERS}, "either a prompt or messages"),
            ({"prompt": HARD, "answers": ANSWERS, "judge": "nobody"}, "Judges: grader."),
            ({"prompt": HARD, "answers": {"fast": None}}, "answers"),
        ):
            assert words in refusal(gateway.post(OPINION, body, headers=ACME))
        assert gateway.post(OPINION, {"prompt": HARD, "answers": ANSWERS}).status_code == 401


def test_a_judge_that_cannot_pay_says_so_and_who_has_none_is_told_how_to_get_one(
    tmp_path: Path, gateway: Served
) -> None:
    body = {"prompt": HARD, "answers": ANSWERS}
    with served(tmp_path, judge(share=0, pairs=0, burst=0, daily_usd=0)) as poor:
        assert "budget" in refusal(poor.post(OPINION, body, headers=ACME), 402)
    assert "a table [judges.NAME]" in refusal(gateway.post(OPINION, body, headers=ACME))
    assert gateway.get("/v1/router/status", headers=ACME).json()["judges"] == []


def test_a_suggestion_that_was_left_as_it_was_is_the_judge_s_and_measures_nobody(tmp_path: Path) -> None:
    """Or a judge would be believed for agreeing with itself; what a person changed is that person's word."""
    with served(tmp_path, judge(share=0, pairs=0, burst=0)) as gateway:
        scores = gateway.post(OPINION, {"prompt": HARD, "answers": ANSWERS}, headers=ACME).json()["scores"]
        body = {"prompt": HARD, "scores": {**scores, "fast": 0.2}, "label_sources": {"strong": SOURCE}}
        assert gateway.post(RANK, body, headers=ACME).status_code == 201
        (example,) = memory(gateway)
        labels = {label["candidate"]: (label["score"], label["source"]) for label in example["labels"]}
        assert labels == {FAST: (0.2, "human"), STRONG: (1.0, SOURCE)}
        believed = gateway.get("/v1/router/memory/sources", headers=ACME).json()["data"]
        assert {each["source"]: each["compared"] for each in believed}[SOURCE] == 0
        # Somebody who scores the same prompt without having been told anything does measure it.
        gateway.post(RANK, {"prompt": HARD, "scores": {"strong": 0.9}}, headers=ACME)
        believed = gateway.get("/v1/router/memory/sources", headers=ACME).json()["data"]
        assert {each["source"]: each["compared"] for each in believed}[SOURCE] == 1
        for others, words in (
            ({"middle": SOURCE}, "label_sources.middle: scores has no score of that name"),
            ({"fast": "A judge"}, "label_source: expected a short name"),
        ):
            assert words in refusal(gateway.post(RANK, {**body, "label_sources": others}, headers=ACME))


def test_the_check_shows_pools_and_judges(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(judge(share=0.25, pools=["smart"]))
    code, said, _ = told(tmp_path, "check", "--config", "gateway.toml")
    assert code == 0
    assert "\npool smart (learned)\n" in said
    assert "  fast    sim/sim-small    where nothing is learned\n  strong  sim/sim-large@2\n" in said
    assert "\njudges\n  grader  sim/sim-judge  pools smart  25 % alone, 5 % in pairs  up to 1 USD a day\n" in said


def test_wrong_judges_are_told_all_at_once(tmp_path: Path) -> None:
    wrong = POOL + (
        '[judges.Grader]\nmodel = "fast"\n[judges.a]\nmodel = "sim/sim-judge"\npools = ["smrt"]\ntenant = "acne"\n'
        'daily_usd = "much"\n[judges.b]\nmodel = "nobody"\n'
    )
    (tmp_path / "gateway.toml").write_text(wrong)
    code, _, said = told(tmp_path, "check", "--config", "gateway.toml")
    assert code == 2
    for words in (
        "judges.Grader: is no name for a judge",
        'judges.a.pools[0]: there is no pool "smrt"; did you mean "smart"?',
        'judges.a.tenant: there is no tenant "acne"',
        "judges.a.daily_usd: expected an amount in USD",
        'judges.b.model: there is no model or target "nobody"',
    ):
        assert words in said
