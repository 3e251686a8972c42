"""The page in a real browser, in front of a real gateway with simulated models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.harness.gateway import Served, served

pytestmark = pytest.mark.browser

KEYED = """
[providers.simulated]
url = "simulated://models/v1"
family = "simulated"
[tenants.team]
keys = ["page-key-0001"]
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as running:
        yield running


def test_a_browser_at_the_root_is_shown_the_page(page: Page, gateway: Served) -> None:
    page.goto(gateway.url)
    assert page.url == f"{gateway.url}/ui/"
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_role("region", name="Hosts")).to_contain_text("simulated")


def test_a_gateway_without_keys_says_that_it_is_open(page: Page, gateway: Served) -> None:
    page.goto(gateway.url)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("Open on this machine")


def test_a_gateway_with_keys_asks_for_one_and_remembers_it_out_of_reach_of_scripts(page: Page, tmp_path: Path) -> None:
    with served(tmp_path, KEYED) as gateway:
        page.goto(f"{gateway.url}/ui/usage")
        page.get_by_label("Key").fill("page-key-0002")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("This key is not known here.")).to_be_visible()
        page.get_by_label("Key").fill("page-key-0001")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Usage", exact=True)).to_be_visible()
        assert (
            page.evaluate("document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)").count(
                "page-key"
            )
            == 0
        )
        page.reload()
        expect(page.get_by_role("heading", name="Usage", exact=True)).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Key")).to_be_visible()


def test_nothing_on_the_page_comes_from_elsewhere(page: Page, gateway: Served) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name in ("", "usage", "settings"):
        page.goto(f"{gateway.url}/ui/{name}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert asked
    assert all(url.startswith((gateway.url, "data:")) for url in asked)


WEIGHT = """
() => performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
  .map((each) => [new URL(each.name).pathname, each.encodedBodySize, each.decodedBodySize])
"""


def test_the_first_paint_is_light(page: Page, gateway: Served) -> None:
    """All that the overview asks for, with its three pictures drawn, as it comes over the wire."""
    assert gateway.chat("sim-small").status_code == 200
    page.goto(gateway.url)
    for picture in ("Requests of the last 5 minutes", "Latency of the last 5 minutes", "Where requests went"):
        expect(page.get_by_role("img", name=picture)).to_be_visible()
    expect(page.locator("[aria-busy]")).to_have_count(0)
    page.wait_for_load_state("networkidle")
    came = page.evaluate(WEIGHT)
    packed = [size for path, size, whole in came if path.endswith((".js", ".css"))]
    assert len(packed) >= 4
    assert all(size < whole for path, size, whole in came if path.endswith((".js", ".css"))), "sent unpacked"
    assert 100_000 < sum(size for _, size, _ in came) < 300_000, came


def test_the_hard_kill_asks_first_and_stops_paid_calls(page: Page, gateway: Served) -> None:
    body = {"model": "sim-large", "messages": [{"role": "user", "content": "hello"}]}
    page.goto(f"{gateway.url}/ui/settings")
    page.get_by_role("button", name="Hard kill").click()
    stop = page.get_by_role("button", name="Stop paid calls")
    expect(stop).to_be_disabled()
    page.get_by_label("Reason").fill("a test")
    stop.click()
    expect(page.get_by_role("alert").filter(has_text="Hard kill: no paid calls")).to_contain_text("a test")
    assert httpx.post(f"{gateway.url}/v1/chat/completions", json=body).status_code in (402, 403)
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_role("button", name="Hard kill")).to_be_visible()
    assert httpx.post(f"{gateway.url}/v1/chat/completions", json=body).status_code == 200


def test_a_key_is_shown_once_and_closes_the_open_gateway(page: Page, gateway: Served) -> None:
    page.goto(f"{gateway.url}/ui/settings")
    page.get_by_role("button", name="Make a key").click()
    page.get_by_label("Note").fill("for tests")
    page.get_by_role("button", name="Make it").click()
    key = page.get_by_role("dialog").locator("pre").inner_text().strip()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_text(key)).to_have_count(0)
    assert httpx.get(f"{gateway.url}/v1/models").status_code == 401
    assert httpx.get(f"{gateway.url}/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == 200
