"""Kills at any instant: no accepted run is lost, and no recorded result is made again."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.fakes.providers import Street
from tests.fakes.upstream import FakeUpstream, Wire, response
from tests.harness.forks import Forks
from tests.harness.gateway import PATIENCE_S, until
from tests.harness.sqlite import rows

KILLS = 50
LIVES = 1.5
"""Between two kills there is at most this many times what a start takes, so that they fall into starts, acceptances,
executions and ends alike."""
CONFIG = """
[runs]
concurrent = 6
lease = 0.3
starts = 1000000

[providers.box]
dialect = "openai"
url = "{url}/v1"
lists = false

[models.slow]
provider = "box"
price = {{ input = 1, output = 1 }}

[lanes.deep]
targets = ["slow"]
run_only = true

[budgets.all]
cap_usd = 1000
"""


class Executed(NamedTuple):
    name: str
    at_s: float


class Provider:
    """Takes its time, answers with the name that stood in the prompt, and writes down every call."""

    def __init__(self, chance: random.Random) -> None:
        self.executed: list[Executed] = []
        self._chance = chance

    async def __call__(self, wire: Wire) -> None:
        while True:
            request = await wire.request()
            name = json.loads(request.body)["messages"][0]["content"]
            self.executed.append(Executed(name, time.time()))
            await asyncio.sleep(self._chance.uniform(0, 0.08))
            said = {"index": 0, "message": {"role": "assistant", "content": name}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
            body = {"id": name, "object": "chat.completion", "model": "slow", "choices": [said], "usage": usage}
            await wire.send(response(json.dumps(body).encode(), b"content-type: application/json"))


class Sender:
    """Posts runs, each until it was told that the run is accepted; what it was told once is never unsaid."""

    def __init__(self, urls: list[str]) -> None:
        self.accepted: dict[str, str] = {}
        self.stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(f"sender-{number}", url)) for number, url in enumerate(urls)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join()

    def _send(self, sender: str, url: str) -> None:
        number = 0
        with httpx.Client(base_url=url, timeout=2.0, trust_env=False) as client:
            while not self.stopping.is_set():
                number += 1
                name = f"{sender}-{number}"
                body = {"lane": "deep", "prompt": name, "idempotency_key": name}
                while name not in self.accepted:
                    try:
                        answer = client.post("/v1/runs", json=body)
                    except httpx.HTTPError:
                        continue
                    if answer.status_code in (200, 202):
                        self.accepted[name] = answer.json()["id"]
                    else:
                        assert answer.status_code == 503, answer.text
                time.sleep(0.04)


def kept(folder: Path) -> list[dict[str, Any]]:
    """Every run as the store has it, with its result and how often it was finished."""
    found = rows(
        folder / "laneway.db",
        "SELECT state.run, text.result, "
        "(SELECT count(*) FROM step_journal AS step WHERE step.run = seq AND step.kind = 'finished') "
        "FROM run_state AS state JOIN run_texts AS text ON text.run = seq",
    )
    return [{**json.loads(run), "result": result, "finished": finished} for run, result, finished in found]


def test_kills_lose_no_accepted_run_and_repeat_no_recorded_one(street: Street, tmp_path: Path) -> None:
    """Two gateways at one store, of which one is killed again and again: a provider that counts its calls by the name
    in each prompt is held against what was accepted and what was recorded."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    provider = Provider(random.Random(seed))
    box = FakeUpstream(provider)
    street.do(box.__aenter__())
    try:
        config = CONFIG.format(url=box.origin)
        with Forks(tmp_path, config, "one") as one, Forks(tmp_path, config, "two") as two:
            gateways = (one, two)
            sender = Sender([each.url for each in gateways])
            began_s = time.monotonic()
            for each in gateways:
                each.begin()
            sender.start()
            try:
                until(lambda: sender.accepted)
                longest_s = min(max(LIVES * (time.monotonic() - began_s), 0.2), 0.6)
                for _ in range(KILLS):
                    time.sleep(chance.uniform(0, longest_s))
                    killed = chance.choice(gateways)
                    killed.kill()
                    killed.begin()
            finally:
                sender.stop()
            until(lambda: all(run["ended_s"] for run in kept(tmp_path)))
            runs = {run["id"]: run for run in kept(tmp_path)}
        for each in gateways:
            assert "Traceback" not in each.log, each.log
    finally:
        street.do(box.__aexit__(None, None, None))

    assert len(sender.accepted) > KILLS // 5
    assert {run["same"] for run in runs.values()} == set(sender.accepted)
    for name, run_id in sender.accepted.items():
        run = runs[run_id]
        assert (run["same"], run["state"], run["finished"]) == (name, "succeeded", 1)
        assert json.loads(run["result"])["choices"][0]["message"]["content"] == name
    executions = Counter(each.name for each in provider.executed)
    for run in runs.values():
        assert 1 <= executions[run["same"]] <= run["starts"]
    ends = {run["same"]: run["ended_s"] for run in runs.values()}
    late = [each for each in provider.executed if each.at_s > ends[each.name]]
    assert not late
    # The kills were kills: some fell into an execution, which was made again.
    again = sum(executions.values()) - len(runs)
    print(f"{len(runs)} runs, {again} executions made again")
    assert again > 0


def test_a_run_that_takes_its_process_down_each_time_is_given_up(street: Street, tmp_path: Path) -> None:
    """In words, after as many starts as are allowed; those behind it are served."""
    box = street.open("openai", {"slow": "sim-large"})
    box.hangs = True
    config = CONFIG.format(url=box.url.removesuffix("/v1")).replace("starts = 1000000", "starts = 2")
    with Forks(tmp_path, config) as forks, httpx.Client(base_url=forks.url, timeout=PATIENCE_S) as client:
        forks.begin()
        poison = client.post("/v1/runs", json={"lane": "deep", "prompt": "poison"}).headers["location"]
        for start in (1, 2):
            until(lambda start=start: len(box.asked()) == start)  # type: ignore[misc]
            forks.kill()
            forks.begin()
        until(lambda: kept(tmp_path)[0]["ended_s"])
        box.hangs = False
        given_up = client.get(poison).json()
        assert (given_up["state"], given_up["error"]["kind"], given_up["starts"]) == ("failed", "given_up", 2)
        assert "begun 2 times" in given_up["error"]["message"]
        other = client.post("/v1/runs", json={"lane": "deep", "prompt": "What is 7*8?"}).headers["location"]
        until(lambda: client.get(other).json()["state"] == "succeeded")
    assert len(box.asked()) == 3
    assert "was given up after 2 starts" in forks.log
