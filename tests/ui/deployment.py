"""A deployment as an operator would have it on an ordinary day, to be looked at: simulated, and never still.

Owns: its configuration (lanes in several stages, hosts of which one is silent and one has a breaker open, budgets near
their caps, two tenants), two weeks of figures behind it, and the callers who keep it busy while it is looked at.
Refuses: assertions, and any number that a page shows: those come from the gateway.

    with deployment(folder) as town:
        ...  # town.gateway.url, while town's callers go on
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from laneway import bundle
from laneway.ports import Choice, Figures, ShadowRow, Tally
from laneway.store import open_store
from tests.fakes.hosts import OllamaHost
from tests.fakes.providers import FakeProvider, Street
from tests.fakes.upstream import Request
from tests.harness.gateway import PATIENCE_S, Served, served
from tests.harness.loop import run

ADMIN = "admin-key-of-pictures"
KEYS = {"support": "support-key-0001", "research": "research-key-0001"}
GIB = 1 << 30
CONFIG = """
[server]
store = "sqlite:///{folder}/kept.db"
admin_key = "admin-key-of-pictures"
refresh = 2

[breaker]
timeouts = 2
cool_down = 900
longest = 900

[providers.gpu-a]
dialect = "ollama"
url = "{gpu_a}"
tier = "local"
slots = 8
reserved = {{ alerts = 2 }}
memory_gb = 24
[providers.gpu-b]
dialect = "ollama"
url = "{gpu_b}"
tier = "local"
slots = 8
reserved = {{ alerts = 2 }}
memory_gb = 24
[providers.studio]
dialect = "ollama"
url = "{studio}"
tier = "local"
slots = 4
memory_gb = 48
[providers.attic]
dialect = "ollama"
url = "{attic}"
tier = "local"
slots = 2
optional = true
[providers.cloud]
url = "{cloud}"
api_key = "key-of-the-paid-service"
family = "openai"
tier = "premium"
lists = false
models = ["gpt-5-mini"]
[providers.sim]
url = "simulated://models/v1"
family = "simulated"
tier = "balanced"

[models.cheap]
provider = "sim"
id = "sim-small"
[models.middle]
provider = "sim"
id = "sim-medium"
[models.strong]
provider = "sim"
id = "sim-large"

[pools.auto]
candidates = ["cheap", "middle", "strong"]
default = "strong"
keep_prompts = true
sticky = false
floor = 0.9

[lanes.alerts]
targets = [{{ target = "gpu-b/gemma3:4b", timeouts = {{ headers = 1 }} }}, "gpu-a/gemma3:4b"]
emergency = ["cloud/gpt-5-mini"]
warm = ["gpu-a", "gpu-b"]
[lanes.assistant]
pool = "auto"
[lanes.code-review]
targets = ["studio/qwen2.5-coder:7b", "gpu-a/qwen2.5-coder:7b"]
queue_wait = 60
[lanes.summaries]
targets = ["gpu-a/llama3.1:8b", "cloud/gpt-5-mini"]
retry_wait = 0
stage = "canary"
share = 0.25
legacy = "cloud/gpt-5-mini"
[lanes.translation]
targets = ["attic/aya:8b"]
stage = "shadow"
legacy = "cloud/gpt-5-mini"
[lanes.night-reports]
targets = ["studio/qwen2.5:14b"]
run_only = true

[tenants.support]
keys = ["support-key-0001"]
project = "helpdesk"
[tenants.research]
keys = ["research-key-0001"]
project = "papers"

[budgets.everybody]
cap_usd = 25
[budgets.support]
cap_usd = 5.5
tenant = "support"
[budgets.research]
cap_usd = 10
tenant = "research"
[budgets.translation]
cap_usd = 1
lane = "translation"
"""
SIZES = {
    "gemma3:4b": "4.3B",
    "qwen2.5-coder:7b": "7.6B",
    "llama3.1:8b": "8.0B",
    "qwen2.5:14b": "14.8B",
    "aya:8b": "8.0B",
}
GIBS = {"gemma3:4b": 4.1, "qwen2.5-coder:7b": 6.2, "llama3.1:8b": 6.9, "qwen2.5:14b": 11.3, "aya:8b": 6.7}
SLOW, STEADY, BUSY = "sim-large-slow-15ms", "sim-medium-slow-8ms", "sim-fail-429-after-9"
PER_REQUEST_NANOS = {"cheap": 210_000, "middle": 940_000, "strong": 6_300_000, "gpt-5-mini": 1_450_000}


class Host(OllamaHost):
    """One that tells how much memory each of its models takes."""

    def _listed(self, request: Request) -> bytes | None:
        if not request.target.startswith("/api/ps"):
            return super()._listed(request)
        there = [name for name in self.models if self.loaded is None or name in self.loaded]
        return json.dumps({"models": [{"name": name, "size_vram": int(GIBS[name] * GIB)} for name in there]}).encode()


class Town(NamedTuple):
    """What stands behind the page."""

    gateway: Served
    hosts: Mapping[str, Host]
    cloud: FakeProvider

    def admin(self, method: str, path: str, body: object) -> Any:
        headers = {"authorization": f"Bearer {ADMIN}"}
        answer = self.gateway.client.request(method, self.gateway.url + path, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def ask(self, tenant: str, model: str, prompt: str) -> None:
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": False}
        # What becomes of it is for the page to show.
        self.gateway.post("/v1/chat/completions", body, headers={"authorization": f"Bearer {KEYS[tenant]}"})


@contextmanager
def deployment(folder: Path) -> Iterator[Town]:
    """It runs, is busy, and has something to show on every page; quiet when this ends."""
    with Street() as street, ThreadPoolExecutor(1) as beside:
        names = {
            "gpu-a": {"gemma3:4b": STEADY, "llama3.1:8b": STEADY, "qwen2.5-coder:7b": SLOW},
            "gpu-b": {"gemma3:4b": "sim-medium-hang-headers", "llama3.1:8b": STEADY},
            "studio": {"qwen2.5-coder:7b": "sim-large-slow-90ms", "qwen2.5:14b": SLOW},
            "attic": {"aya:8b": STEADY},
        }
        hosts = {name: Host(street, models, SIZES) for name, models in names.items()}
        for host in hosts.values():
            host.revive()
        cloud = street.open("openai", {"gpt-5-mini": "sim-large-slow-5ms"})
        urls = {name.replace("-", "_"): host.url for name, host in hosts.items()}
        hosts["attic"].kill()
        # A browser's driver may have a loop of its own in this thread.
        beside.submit(run, _past(folder / "kept.db")).result()
        try:
            with served(folder, CONFIG.format(folder=folder, cloud=cloud.url, **urls)) as gateway:
                town = Town(gateway, hosts, cloud)
                _present(town)
                with _callers(town):
                    yield town
        finally:
            for host in hosts.values():
                host.kill()


# --- what happened before ---------------------------------------------------------------------------------------------


async def _past(path: Path) -> None:
    """Two weeks of sums, and what a lane in shadow would have done."""
    store = open_store(f"sqlite:///{path}")
    await store.start()
    rng = random.Random(7)
    today = datetime.now(UTC).date()
    for back in range(13, -1, -1):
        day = today - timedelta(days=back)
        weekend = 0.35 if day.weekday() > 4 and back else 1.0
        learned = 1 - back / 16  # from the strong model to the cheap one, as it was taught
        shares = {"cheap": 0.62 * learned, "middle": 0.2 * learned, "gpt-5-mini": 0.06}
        shares["strong"] = 1 - sum(shares.values())
        for tenant, size in (("support", 4200), ("research", 5400)):
            for model, part in shares.items():
                requests = int(size * part * weekend * rng.uniform(0.85, 1.15))
                await store.reports.correct(_tally(day.isoformat(), tenant, model, requests))
    await _shadowed(store, rng)
    await store.close()


def _tally(day: str, tenant: str, model: str, requests: int) -> Tally:
    cost, dearest = PER_REQUEST_NANOS[model] * requests, PER_REQUEST_NANOS["strong"] * requests
    provider, lane = ("cloud", "summaries") if model == "gpt-5-mini" else ("sim", "assistant")
    figures = Figures(
        requests, requests // 240, 310 * requests, 90 * requests, 140 * requests, cost, max(cost, dearest)
    )
    project = "helpdesk" if tenant == "support" else "papers"
    return Tally((day, tenant, "", project, lane, provider, model), figures)


async def _shadowed(store: Any, rng: random.Random) -> None:
    now_s = time.time()
    for at in range(640):
        differs = rng.random() < 0.06
        decided = Choice(
            host="attic", model="aya:8b", tier="local", fallback=False, latency_ms=rng.gauss(410, 60), cost_nanos=0
        )
        legacy = Choice(
            host="cloud" if differs else "attic", model="aya:8b", tier="local", fallback=differs,
            latency_ms=rng.gauss(520, 90), cost_nanos=1_450_000,
        )  # fmt: skip
        store.shadows.keep(
            ShadowRow(
                request_id=f"req_{at:08x}", at_s=now_s - 60 * at, lane="translation", stage="shadow", tenant="support",
                model="translation", decided=decided, legacy=legacy, compared=True,
                kinds=("host", "fallback") if differs else (),
            )
        )  # fmt: skip
        if at % 200 == 199:
            await store.audit.recent(1)  # written behind, and bounded


def _present(town: Town) -> None:
    """What people did this morning: examples, sums that are spent, a kill, and runs."""
    lines = [json.loads(line) for line in bundle.read("config/learned.jsonl").decode().splitlines()]
    examples = [{"prompt": line["prompt"], "scores": line["scores"], "tag": _kind(line["prompt"])} for line in lines]
    for key in KEYS.values():
        headers = {"authorization": f"Bearer {key}"}
        told = town.gateway.post("/v1/router/preferences/rank", {"examples": examples}, headers=headers)
        assert told.status_code == 201, told.text
    budgets = town.admin("GET", "/admin/v1/budgets", None)["data"]
    spent = {"everybody": "11.0690", "support": "4.8120", "research": "6.2570", "translation": "0.2300"}
    for budget in budgets:
        for account in budget["accounts"]:
            order = {"account": account["account"], "usd": spent[budget["name"]], "reason": "what the day began with"}
            town.admin("POST", "/admin/v1/budgets/adjust", order)
    kill = {"scope": "lane:translation", "reason": "the supplier's prices are being renegotiated"}
    town.admin("POST", "/admin/v1/budgets/kill", kill)
    window = {"provider": "studio", "open": True, "until": time.time() + 5400}
    town.admin("PUT", "/admin/v1/maintenance", window)
    for name in ("helpdesk widget", "nightly batch"):
        town.admin("POST", "/admin/v1/keys", {"tenant": "support", "name": name})
    question = {"model": "night-reports", "messages": [{"role": "user", "content": "What is the capital of Peru?"}]}
    for _ in range(4):
        body = {"lane": "night-reports", "front": "openai", "request": question}
        town.gateway.post("/v1/runs", body, headers={"authorization": f"Bearer {KEYS['research']}"})


def _kind(prompt: str) -> str:
    if any(sign in prompt for sign in ("*", " + ")) or prompt.startswith(("Calculate", "Compute", "How much")):
        return "arithmetic"
    if prompt.startswith(("Compare", "Design", "Refactor", "Debug", "Please work", "Prove")):
        return "engineering"
    if prompt.startswith(("Translate", "How many")):
        return "language"
    return "writing" if prompt.startswith("Write") else "facts"


# --- what happens meanwhile -------------------------------------------------------------------------------------------

PROMPTS = (
    "Calculate 41 + 7",
    "What is the capital of Chile?",
    "Compute 713 * 268.",
    "Write a kind reminder for Ines, who forgot the meeting.",
    "Translate into French: good evening",
    "How many times does the letter r occur in the word raspberry?",
    "Compare monoliths and small services for a team of four.",
    "Name the capital of Kenya.",
)


@contextmanager
def _callers(town: Town) -> Iterator[None]:
    """A handful of people who never stop asking, until this ends."""
    ending = threading.Event()

    def ask(tenant: str, lanes: tuple[str, ...], pause_s: float, seed: int) -> None:
        rng = random.Random(seed)
        while not ending.is_set():
            # A host that is asked too much now and then.
            town.hosts["gpu-a"].models["llama3.1:8b"] = BUSY if rng.random() < 0.4 else STEADY
            town.ask(tenant, rng.choice(lanes), rng.choice(PROMPTS))
            ending.wait(rng.uniform(0.3, 1.7) * pause_s)

    work: list[tuple[str, tuple[str, ...], float]] = [
        ("support", ("assistant",), 0.25),
        ("research", ("assistant", "assistant", "alerts"), 0.35),
        ("support", ("alerts",), 0.5),
        ("support", ("summaries",), 0.6),
        ("research", ("summaries", "alerts"), 0.8),
        *[("research", ("code-review",), 0.2)] * 5,
    ]
    with ThreadPoolExecutor(len(work)) as people:
        asking = [people.submit(ask, *each, seed) for seed, each in enumerate(work)]
        try:
            yield
        finally:
            ending.set()
            for each in asking:
                each.result(PATIENCE_S)
