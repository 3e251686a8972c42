"""The page in a real browser, in front of a real gateway with simulated models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.harness.gateway import Served, served

pytestmark = pytest.mark.browser

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
KEYED = """
[providers.simulated]
url = "simulated://models/v1"
family = "simulated"
[tenants.team]
keys = ["page-key-0001"]
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails its test when a script on it failed."""
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert not errors


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as running:
        yield running


def test_a_browser_at_the_root_is_shown_the_page(page: Page, gateway: Served) -> None:
    page.goto(gateway.url)
    assert page.url == f"{gateway.url}/ui"
    expect(page.locator("#providers")).to_contain_text("simulated")
    expect(page.locator("#providers .awake")).to_have_text("awake")
    expect(page.locator("#models")).to_contain_text("sim-large")


def test_a_prompt_is_answered_word_by_word_and_says_where_it_came_from(page: Page, gateway: Served) -> None:
    page.goto(f"{gateway.url}/ui")
    page.select_option("#model", "sim-large")
    page.fill("#prompt", "What is 17*23?")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#answer")).to_contain_text("391")
    expect(page.locator("#from")).to_contain_text("simulated, sim-large")


def test_a_failure_is_shown_in_words(page: Page, gateway: Served) -> None:
    page.goto(f"{gateway.url}/ui")
    page.evaluate("document.getElementById('model').add(new Option('sim-fail-503'))")
    page.select_option("#model", "sim-fail-503")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#answer")).to_contain_text("The provider is overloaded")


def test_a_gateway_with_keys_asks_for_one(page: Page, tmp_path: Path) -> None:
    with served(tmp_path, KEYED) as gateway:
        page.goto(f"{gateway.url}/ui")
        expect(page.locator("#models")).to_contain_text("No key was sent")
        page.fill("#key", "page-key-0001")
        page.press("#key", "Tab")
        expect(page.locator("#models")).to_contain_text("sim-small")


def test_nothing_on_the_page_comes_from_elsewhere(page: Page, gateway: Served) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{gateway.url}/ui")
    expect(page.locator("#providers")).to_contain_text("simulated")
    assert asked
    assert all(url.startswith(gateway.url) for url in asked)
