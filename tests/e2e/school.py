"""A gateway that is taught: a cheap model and a strong one, the tenants who teach it, and their memories.

Owns: the configuration of all but the pools, and what every test of teaching says to a memory and reads of it.
Refuses: pools, which are what the tests are about, and starting a gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from tests.e2e.house import SIMULATED
from tests.harness.gateway import Served

MODELS = f"""
[server]
admin_key = "admin-key-of-tests"
{SIMULATED}
[models.fast]
provider = "sim"
id = "sim-small"
aliases = ["quick"]

[models.strong]
provider = "sim"
id = "sim-large"
version = "2"
"""
FAST, STRONG = "sim/sim-small", "sim/sim-large@2"
"""How the two are called as candidates."""

TENANTS = """
[tenants.acme]
keys = ["key-of-acme-1"]

[tenants.other]
keys = ["key-of-other"]

[tenants.lean]
keys = ["key-of-lean"]
models = ["fast", "sim-small"]
"""
ACME, OTHER, LEAN = ({"authorization": f"Bearer key-of-{name}"} for name in ("acme-1", "other", "lean"))

HARD = "What is 482*937?"
"""What the strong model can do and the cheap one cannot."""
RANK, MEMORY = "/v1/router/preferences/rank", "/v1/router/memory"


def teach(gateway: Served, lines: str, headers: Mapping[str, str] = ACME, path: str = RANK) -> httpx.Response:
    """Scored prompts, one a line."""
    return gateway.client.post(
        gateway.url + path, content=lines, headers={**headers, "content-type": "application/x-ndjson"}
    )


def memory(gateway: Served, headers: Mapping[str, str] = ACME, /, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.get(MEMORY, params=asked, headers=headers).json()["data"]
    return found


def refusal(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])
