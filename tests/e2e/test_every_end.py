"""Every way in which a request can end, through real sockets: its record is whole, and nobody is told a secret.

Each end is asked for with strings that stand nowhere else: a prompt, the key of the caller and the keys of providers.
Afterwards they are looked for wherever the gateway tells of requests: the log, records, metrics, events, alerts.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from tests.e2e.house import ADMIN
from tests.e2e.raw import Raw, head, request
from tests.fakes.parrot import Parrot
from tests.harness.gateway import PATIENCE_S, Served, served, until

PROMPT = "prompt-canary-4419"
KEYS = {name: f"{name}-key-canary-8806" for name in ("acme", "poor", "narrow", "wrong", "provider")}
CONFIG = """
[server]
store = "sqlite:///kept.db"
admin_key = "admin-key-of-tests"
record_prefix = "acme"
body_limit_mb = 0.05
log = "json"

[breaker]
timeouts = 1000

[providers.sim]
url = "simulated://models/v1"
tier = "balanced"
family = "simulated"
accepts = ["sim-*"]

[providers.sim.timeouts]
first_content = 1
headers = 1

[providers.parrot]
url = "{parrot}"
api_key = "{provider}"
lists = false
accepts = ["parrot-*"]

[providers.small]
url = "simulated://models/v1"
family = "simulated"
slots = 1
models = ["sim-large-long-400-slow-20ms"]

[models.slow]
provider = "small"
id = "sim-large-long-400-slow-20ms"

[lanes.fast]
targets = ["sim/sim-down", "sim/sim-small"]

[lanes.later]
targets = ["sim/sim-small"]
run_only = true

[lanes.looked-at]
targets = ["sim/sim-small"]
stage = "shadow"

[lanes.alone]
targets = ["slow"]
queue = 0

[tenants.acme]
keys = ["{acme}"]
project = "shop"

[tenants.poor]
keys = ["{poor}"]
daily_usd = 0

[tenants.narrow]
keys = ["{narrow}"]
lanes = ["looked-at"]

[alerts.hook]
url = "http://127.0.0.1:9/hook"
private = true
"""
NINE = {
    "acme.project_id": str,
    "acme.lane": str,
    "acme.provider_tier": str,
    "acme.endpoint": str,
    "gen_ai.request.model": str,
    "gen_ai.usage.input_tokens": int,
    "gen_ai.usage.output_tokens": int,
    "acme.fallback_reason": str,
    "acme.cost_usd": str,
}
FRONTS: dict[str, tuple[str, Callable[[str, bool], dict[str, Any]]]] = {
    "openai": (
        "/v1/chat/completions",
        lambda model, stream: {"model": model, "stream": stream, "messages": said()},
    ),
    "responses": (
        "/v1/responses",
        lambda model, stream: {"model": model, "stream": stream, "input": said()},
    ),
    "anthropic": (
        "/v1/messages",
        lambda model, stream: {
            "model": model,
            "stream": stream,
            "max_tokens": 50,
            "system": PROMPT,
            "messages": said(),
        },
    ),
    "ollama": (
        "/api/chat",
        lambda model, stream: {"model": model, "stream": stream, "messages": said()},
    ),
}


def said() -> list[dict[str, str]]:
    return [{"role": "user", "content": PROMPT}]


class End(NamedTuple):
    """What is asked for, and how it ends."""

    model: str
    status: int
    failure: str | None
    key: str = "acme"
    lane: str = ""
    body: bytes | None = None
    knows: frozenset[str] = frozenset({"acme.project_id"})
    """Of the nine, what more than the model and the cost is known then."""
    stream: bool | None = None


CALLED = frozenset({"acme.project_id", "acme.provider_tier", "acme.endpoint"})
USED = CALLED | {"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"}
FAILED = CALLED | {"acme.fallback_reason"}
UNREAD = frozenset({"unauthenticated", "malformed_request", "too_large"})
"""Refused before the body was read, so that nobody knows the model."""
ENDS = {
    "served": End("sim-small", 200, None, knows=USED),
    "served-by-another": End("fast", 200, None, knows=USED | {"acme.lane", "acme.fallback_reason"}),
    "no-key": End("sim-small", 401, "unauthenticated", key="", knows=frozenset()),
    "wrong-key": End("sim-small", 401, "unauthenticated", key="wrong", knows=frozenset()),
    "lane-not-allowed": End("fast", 403, "forbidden", key="narrow", knows=frozenset()),
    "no-such-model": End("nobody-knows-it", 404, "unknown_model"),
    "no-such-lane": End("sim-small", 400, "unknown_lane", lane="nowhere"),
    "no-json": End("", 400, "malformed_request", body=f'{{"messages": "{PROMPT}'.encode(), knows=frozenset()),
    "odd-json": End("", 400, "malformed_request", body=f'{{"messages": "{PROMPT}"}}'.encode(), knows=frozenset()),
    "too-large": End("", 413, "too_large", body=PROMPT.encode() * 9999, knows=frozenset()),
    "run-only": End("later", 409, "run_only"),
    "no-money": End("sim-small", 402, "over_budget", key="poor", knows=frozenset()),
    "shadowed": End("looked-at", 200, None, knows=frozenset({"acme.project_id", "acme.lane"})),
    "rate-limited": End("sim-fail-429", 429, "rate_limited", knows=FAILED),
    "refused": End("sim-blocked", 400, "refused", knows=FAILED),
    "overloaded": End("sim-fail-503", 503, "overloaded", knows=FAILED),
    "down": End("sim-down", 502, "connect", knows=FAILED),
    "silent": End("sim-hang-headers", 504, "timeout", knows=FAILED, stream=False),
    "html": End("sim-html", 502, "malformed_answer", knows=FAILED),
    "too-long": End("sim-context-too-long", 400, "context_too_long", knows=FAILED),
    "cut": End("sim-large-cut-after-2", 200, "cut", knows=FAILED, stream=True),
    "parrot-400": End("parrot-400", 400, "bad_request", knows=FAILED),
    "parrot-401": End("parrot-401", 502, "credentials", knows=FAILED),
    "parrot-500": End("parrot-500", 502, "upstream_error", knows=FAILED),
    "parrot-html": End("parrot-html", 502, "malformed_answer", knows=FAILED),
    "parrot-odd": End("parrot-odd", 502, "malformed_answer", knows=FAILED, stream=False),
    "parrot-cut": End("parrot-cut", 200, "cut", knows=FAILED, stream=True),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Parrot() as parrot:
        config = CONFIG.format(parrot=parrot.url, **KEYS)
        folder = tmp_path_factory.mktemp("ends")
        with served(folder, config) as gateway:
            feed = Feed(gateway)
            try:
                yield gateway
            finally:
                # The last event that the feed waits for.
                gateway.chat("end-of-feed", headers={"authorization": f"Bearer {KEYS['acme']}"})
                feed.end()
            told = told_of(gateway, feed)
        # Only now is the log whole.
        found = [f"{name}: ...{text[max(at - 200, 0) : at + 40]}" for name, text, at in leaks(told, gateway.log)]
        assert found == []


class Feed:
    """Everything that is told on the operators' feed meanwhile."""

    def __init__(self, gateway: Served) -> None:
        self.text = ""
        self._client = httpx.Client(timeout=60)
        self._response = self._client.send(
            self._client.build_request("GET", f"{gateway.url}/admin/v1/events", headers=ADMIN), stream=True
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for piece in self._response.iter_text():
            self.text += piece
            if "end-of-feed" in self.text:
                return

    def end(self) -> None:
        self._thread.join(PATIENCE_S)
        self._response.close()
        self._client.close()
        assert not self._thread.is_alive()


def told_of(gateway: Served, feed: Feed) -> dict[str, str]:
    """Wherever requests are told of."""
    pages = ("/admin/v1/records/export", "/metrics", "/admin/v1/alerts", "/admin/v1/usage?group_by=tenant,model,lane")
    return {path: gateway.get(path, headers=ADMIN).text for path in pages} | {"events": feed.text}


def leaks(told: dict[str, str], log: str) -> Iterator[tuple[str, str, int]]:
    for name, text in {**told, "log": log}.items():
        assert text, name
        for at in (text.find("canary"),):
            if at >= 0:
                yield name, text, at


def newest(gateway: Served) -> dict[str, Any]:
    found: list[dict[str, Any]] = gateway.get("/admin/v1/records?limit=1", headers=ADMIN).json()["data"]
    return found[0] if found else {"request_id": ""}


def recorded(gateway: Served, act: Callable[[], object]) -> dict[str, Any]:
    """The record of what is done."""
    before = newest(gateway)["request_id"]
    act()
    return until(lambda: found if (found := newest(gateway))["request_id"] != before else None) or {}


def whole(record: dict[str, Any], knows: frozenset[str]) -> None:
    """All nine are there; what is not known then is null, and an amount is never unknown."""
    for name, kind in NINE.items():
        assert name in record
        known = name in knows or name in ("gen_ai.request.model", "acme.cost_usd")
        if known:
            assert isinstance(record[name], kind), name
        elif name not in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"):
            assert record[name] is None, name
        else:
            assert record[name] is None or isinstance(record[name], int)


CASES = [
    pytest.param(front, stream, end, id=f"{name}-{front}-{'stream' if stream else 'whole'}")
    for name, end in ENDS.items()
    for front in FRONTS
    for stream in (False, True)
    if end.stream in (None, stream)
]


@pytest.mark.parametrize(("front", "stream", "end"), CASES)
def test_every_end_leaves_a_whole_record(gateway: Served, front: str, stream: bool, end: End) -> None:
    path, body = FRONTS[front]
    headers = {"authorization": f"Bearer {KEYS[end.key]}"} if end.key else {}
    if end.lane:
        headers["x-laneway-lane"] = end.lane
    content = end.body if end.body is not None else json.dumps(body(end.model, stream)).encode()

    # https://docs.anthropic.com/en/api/errors has a status of its own for it.
    status = 529 if (end.failure, front) == ("overloaded", "anthropic") else end.status

    def act() -> None:
        answer = gateway.client.post(
            gateway.url + path, content=content, headers={"content-type": "application/json", **headers}
        )
        assert answer.status_code == status, answer.text
        # What a caller sees of the own prompt, a provider's answer to it for one, is no leak; a provider's key is.
        assert KEYS["provider"] not in answer.text or end.model == "parrot-cut"

    record = recorded(gateway, act)
    assert (record["status"], record["failure"]) == (status, end.failure)
    assert record["gen_ai.request.model"] == ("" if end.failure in UNREAD else end.model)
    whole(record, end.knows)


def test_who_leaves_leaves_a_whole_record(gateway: Served) -> None:
    asked = {"model": "sim-large-long-400-slow-20ms", "stream": True, "messages": said()}
    key = f"authorization: Bearer {KEYS['acme']}"

    def leave() -> None:
        with Raw(gateway.port) as raw:
            raw.send(request("/v1/chat/completions", asked, key))
            raw.some()

    record = recorded(gateway, leave)
    assert (record["status"], record["failure"], record["caller_gone"]) == (200, "caller_gone", True)
    whole(record, FAILED)

    def leave_early() -> None:
        with Raw(gateway.port) as raw:
            raw.send(head("/v1/chat/completions", key, "content-length: 100") + b'\r\n{"prompt": "' + PROMPT.encode())

    record = recorded(gateway, leave_early)
    assert (record["status"], record["failure"]) == (499, "caller_gone")
    whole(record, frozenset())


def test_a_full_queue_and_a_kill_leave_whole_records(gateway: Served) -> None:
    headers = {"authorization": f"Bearer {KEYS['acme']}"}
    slow = {"model": "alone", "stream": True, "messages": said()}
    with gateway.client.stream("POST", f"{gateway.url}/v1/chat/completions", json=slow, headers=headers) as response:
        pieces = response.iter_raw()
        next(pieces)
        refused = gateway.post("/v1/chat/completions", slow, headers=headers)
        assert refused.status_code == 503, refused.text
        record = newest(gateway)
        assert (record["status"], record["failure"], record["acme.fallback_reason"]) == (503, "queue_full", "full")
        whole(record, frozenset({"acme.project_id", "acme.lane", "acme.fallback_reason"}))
    gateway.post("/admin/v1/budgets/kill", {"scope": "tenant:acme", "reason": "a test"}, headers=ADMIN)
    try:
        killed = recorded(gateway, lambda: gateway.chat("sim-large", PROMPT, headers=headers))
    finally:
        gateway.post("/admin/v1/budgets/unkill", {"scope": "tenant:acme"}, headers=ADMIN)
    assert (killed["status"], killed["failure"]) == (402, "over_budget")
    whole(killed, frozenset({"acme.project_id"}))
