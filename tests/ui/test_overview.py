"""The overview while traffic flows: its pictures move by themselves, and what is wrong can be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.harness.gateway import PATIENCE_S, Served, served
from tests.ui.browsing import PATIENCE_MS

pytestmark = pytest.mark.browser

CONFIG = """
[breaker]
timeouts = 1
cool_down = 600
longest = 600
[providers.near]
url = "simulated://models/v1"
family = "simulated"
slots = 4
[providers.far]
url = "simulated://models/v1"
family = "simulated"
[lanes.alerts]
targets = [{ target = "near/sim-hang-headers", timeouts = { headers = 0.3 } }, "far/sim-small"]
[lanes.reports]
targets = ["near/sim-small-slow-400ms"]
[budgets.day]
cap_usd = 5
tenant = "default"
[budgets.other]
cap_usd = 2
lane = "reports"
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, CONFIG) as running:
        yield running


def seen(page: Page, gateway: Served) -> None:
    """The overview stands, with its pictures, and hears of what happens."""
    page.goto(f"{gateway.url}/ui/")
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Requests of the last 5 minutes"))).to_be_visible()


def ask(gateway: Served, lane: str) -> httpx.Response:
    return gateway.chat(lane, timeout=PATIENCE_S)


def test_the_picture_of_requests_moves_when_one_is_made(page: Page, gateway: Served) -> None:
    seen(page, gateway)
    expect(page.get_by_test_id("recent")).to_have_text("0 requests")
    assert gateway.chat("sim-small").status_code == 200
    expect(page.get_by_test_id("recent")).to_have_text("1 request")
    expect(page.get_by_role("img", name="Requests of the last 5 minutes in steps of 5 seconds: 1")).to_be_visible()
    expect(page.locator(".recharts-bar-rectangle path").first).to_be_visible()
    expect(page.get_by_role("region", name="What just happened")).to_contain_text("sim-small")


def test_what_was_only_explained_is_no_request(page: Page, gateway: Served) -> None:
    asked = {"model": "reports", "messages": [{"role": "user", "content": "What is 7*8?"}]}
    assert gateway.post("/v1/router/explain", asked).status_code == 200
    seen(page, gateway)
    assert gateway.post("/v1/router/explain", asked).status_code == 200
    assert gateway.chat("sim-small").status_code == 200
    expect(page.get_by_test_id("recent")).to_have_text("1 request")
    expect(page.get_by_role("region", name="What just happened").get_by_role("row")).to_have_count(2)


def test_what_happened_before_the_page_was_opened_is_in_the_picture(page: Page, gateway: Served) -> None:
    for _ in range(3):
        assert gateway.chat("sim-small").status_code == 200
    seen(page, gateway)
    expect(page.get_by_test_id("recent")).to_have_text("3 requests")


def test_a_breaker_that_opens_is_seen_at_the_host_in_the_lane_and_in_the_flow(page: Page, gateway: Served) -> None:
    seen(page, gateway)
    lane, host = page.get_by_role("group", name="Lane alerts"), page.get_by_role("group", name="Host near")
    expect(lane).not_to_contain_text("breaker")
    assert ask(gateway, "alerts").headers["x-laneway-provider"] == "far"
    expect(host).to_contain_text("Breaker open: sim-hang-headers")
    expect(lane).to_contain_text("near/sim-hang-headers: its breaker is open")
    expect(lane.get_by_label("closed")).to_have_count(1)
    assert ask(gateway, "alerts").headers["x-laneway-provider"] == "far"
    turns = page.get_by_role("region", name="Last fallbacks")
    expect(turns).to_contain_text("near/sim-hang-headers")
    expect(turns).to_contain_text("far/sim-small")
    expect(turns).to_contain_text("too slow")
    expect(turns).to_contain_text("breaker open")
    expect(page.get_by_role("img", name=re.compile("2 of alerts to far, not the first choice"))).to_be_visible()


def test_a_slot_that_is_taken_is_seen_while_it_is(page: Page, gateway: Served) -> None:
    seen(page, gateway)
    host = page.get_by_role("group", name="Host near")
    expect(host).to_contain_text("0 of 4 slots in use")
    body = {"model": "reports", "messages": [{"role": "user", "content": "What is 7*8?"}], "stream": True}
    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, timeout=PATIENCE_S) as answer:
        assert answer.status_code == 200
        assert gateway.chat("sim-small").status_code == 200  # somebody else's, which makes the page look again
        expect(host).to_contain_text("1 of 4 slots in use")
        expect(host).to_contain_text("reports 1")
    expect(host).to_contain_text("0 of 4 slots in use")


def test_a_kill_is_marked_at_the_budgets_that_it_stops(page: Page, gateway: Served) -> None:
    seen(page, gateway)
    budgets = page.get_by_role("region", name="Budgets")
    expect(budgets.get_by_role("img", name="day: $0 of $5 spent")).to_be_visible()
    order = {"scope": "tenant:default", "reason": "a test"}
    assert gateway.post("/admin/v1/budgets/kill", order).status_code == 200
    expect(budgets.get_by_role("group", name="Budget day")).to_contain_text("stopped", timeout=PATIENCE_MS)
    expect(budgets.get_by_role("group", name="Budget other")).not_to_contain_text("stopped")
    expect(budgets.get_by_role("alert")).to_contain_text("Paid calls are stopped: tenant default")


def test_the_first_visit_says_what_to_do_and_ticks_what_was_done(page: Page, tmp_path: Path) -> None:
    with served(tmp_path) as gateway:
        page.goto(f"{gateway.url}/ui/")
        steps = page.get_by_role("region", name="First steps")
        expect(steps).to_contain_text(f"curl {gateway.url}/v1/chat/completions", timeout=PATIENCE_MS)
        before = steps.get_by_label("done", exact=True).count()
        assert gateway.chat("sim-small").status_code == 200
        expect(steps.get_by_label("done", exact=True)).to_have_count(before + 1)
        steps.get_by_role("button", name="Hide").click()
        expect(steps).to_have_count(0)
        page.reload()
        expect(page.get_by_role("region", name="Today")).to_be_visible()
        expect(steps).to_have_count(0)
