"""What can be checked of how the page looks, on a lively deployment and a phone; the rest people look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.ui.browsing import opened
from tests.ui.deployment import ADMIN, Town, deployment
from tests.ui.pictures import LOOKS, SHAPES, sign_in

pytestmark = pytest.mark.browser

CUT = """
() => [...document.querySelectorAll("main *")]
  .filter((each) => each.children.length === 0 && each.textContent.trim() && each.offsetParent)
  .filter((each) => !each.closest("[tabindex='0'], .mantine-ScrollArea-viewport, .mantine-Drawer-content"))
  .map((each) => [each, each.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.left < -1 || box.right > innerWidth + 1))
  .map(([each]) => `${each.tagName} ${each.textContent.slice(0, 60)}`)
"""
"""Words that stand beyond the edge of the window, other than in what can be scrolled by itself."""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with deployment(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.mark.parametrize("shape", list(SHAPES))
def test_no_page_is_wider_than_its_window_and_none_keeps_anybody_out(browser: Browser, town: Town, shape: str) -> None:
    errors: list[str] = []
    found: list[str] = []
    page = opened(browser, errors)
    page.set_viewport_size({"width": SHAPES[shape], "height": 844})
    page.emulate_media(reduced_motion="reduce")
    sign_in(page, town.gateway.url, ADMIN)
    for name, (path, do) in LOOKS.items():
        page.goto(f"{town.gateway.url}/ui/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        do(page)
        expect(page.locator("[aria-busy]")).to_have_count(0)
        if page.evaluate("document.documentElement.scrollWidth") > SHAPES[shape]:
            found.append(f"{name} scrolls sideways")
        found += [f"{name}: cut: {words}" for words in page.evaluate(CUT)]
        for problem in Axe().run(page).response["violations"]:
            if problem["impact"] in ("serious", "critical"):
                found += [f"{name}: {problem['id']}: {node['html'][:160]}" for node in problem["nodes"]]
    page.close()
    assert not found, "\n".join(found)
    assert not errors
