"""What every test of the page needs: a browser, pages that notice their own errors, and a gateway with a pool.

Owns: the browser's quiet switches, the configuration of a small taught gateway, and teaching it over HTTP.
Refuses: any assertion about what a page shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

# Without these, the browser's own services call out as soon as it starts.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 20_000
POOL = """
[providers.simulated]
url = "simulated://models/v1"
family = "simulated"
[pools.auto]
candidates = ["simulated/sim-small", "simulated/sim-large"]
default = "simulated/sim-large"
warm = {warm}
keep_prompts = true
sticky = false
"""
JUDGE = """
[judges.grader]
model = "simulated/sim-judge"
share = 0
pairs = 0
burst = 0
"""
EASY = ("Say hello to the team.", "Say good morning to the class.", "Say hello to our guests.")
HARD = "Prove that 9 divides 90, step by step."


@contextmanager
def browsing() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(QUIET))
        yield browser
        browser.close()


def opened(browser: Browser, errors: list[str]) -> Page:
    """A page that adds to `errors` what its console complains of: scripts that failed, a policy that was broken. What
    the gateway refused stands there too, and is what some tests are about."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if _complains(said.type, said.text) else None)
    return page


def _complains(kind: str, text: str) -> bool:
    return kind in ("error", "warning") and "Failed to load resource" not in text


def teach(url: str, examples: list[dict[str, object]], headers: dict[str, str] | None = None) -> None:
    answer = httpx.post(
        f"{url}/v1/router/preferences/rank", json={"examples": examples}, headers=headers or {}, timeout=30
    )
    assert answer.status_code == 201, answer.text


def scored(count: int) -> list[dict[str, object]]:
    """Greetings that any model is good enough for, and proofs that only the strong one can do."""
    made: list[dict[str, object]] = []
    for at in range(count):
        easy = at % 2 == 0
        prompt = (
            f"Say hello to guest number {at}." if easy else f"Prove that {at} divides {at * (at + 1)}, step by step."
        )
        made.append({"prompt": prompt, "scores": {"sim-small": 1.0 if easy else 0.1, "sim-large": 1.0}})
    return made
