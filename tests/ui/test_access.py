"""Whether people who use a keyboard or a screen reader can use the page: axe over every page, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.harness.gateway import Served, served
from tests.ui.browsing import JUDGE, POOL, opened, scored, teach

pytestmark = pytest.mark.browser

LANES = """
[server]
admin_key = ""
[lanes.fast]
targets = ["simulated/sim-small"]
[budgets.day]
cap_usd = 5
tenant = "default"
"""
PAGES = ("", "route", "teach", "decisions", "usage", "settings")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("page")
    with served(folder, LANES + POOL.format(warm=20) + JUDGE) as running:
        teach(running.url, scored(40))
        body = {"model": "auto", "messages": [{"role": "user", "content": "Say hello."}]}
        assert httpx.post(f"{running.url}/v1/chat/completions", json=body).status_code == 200
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out(browser: Browser, gateway: Served, scheme: str) -> None:
    errors: list[str] = []
    page: Page = opened(browser, errors)
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    found: list[str] = []
    for name in PAGES:
        page.goto(f"{gateway.url}/ui/{name}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        if name == "route":
            page.get_by_role("textbox", name="Prompt").fill("Say hello to guest number 2.")
            expect(page.get_by_test_id("winner")).to_be_visible()
        elif name == "teach":
            page.get_by_role("textbox", name="Prompt").first.fill("What is 318 * 742?")
            page.get_by_role("button", name="Ask them").click()
            page.get_by_role("button", name="Let the judge suggest").click()
            expect(page.get_by_text("suggested").first).to_be_visible()
        elif name == "settings":
            page.get_by_role("slider", name="Quality floor of auto").press("End")
            expect(page.get_by_text("at least 100")).to_be_visible()
        expect(page.locator("[aria-busy]")).to_have_count(0)
        for problem in Axe().run(page).response["violations"]:
            if problem["impact"] in ("serious", "critical"):
                found += [f"/{name}: {problem['id']}: {node['html'][:160]}" for node in problem["nodes"]]
    page.close()
    assert not found, "\n".join(found)
    assert not errors


def test_the_page_can_be_used_without_a_mouse(page: Page, gateway: Served) -> None:
    page.goto(f"{gateway.url}/ui/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.get_by_role("link", name="Usage").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Usage", exact=True)).to_be_visible()
    expect(page).to_have_title("Usage · Laneway")
