"""Pictures of the page, to be looked at: `python -m tests.ui.pictures FOLDER [PAGE ...]`.

Owns: every page of a lively deployment, of a tenant, and of a first run, each light and dark, 1280 and 390 wide; and
the two of the README (`readme` in place of a page writes src/ui/pictures).
Refuses: judging them. People look; tests/ui/test_look.py checks what can be checked.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page

from tests.harness.gateway import served
from tests.ui.browsing import browsing
from tests.ui.deployment import ADMIN, KEYS, deployment
from tests.ui.palette import shrink

SHAPES = {"wide": 1280, "phone": 390}
HARD = "What is 318 * 742?"
STEPS = "The decision, step by step"
README = Path(__file__).parents[2] / "src" / "ui" / "pictures"
SETTLE_MS = 1500
PAST_MS = 60_000
"""How long there is traffic before it is looked at, so that there is a past to be seen."""
Doing = Callable[[Page], None]
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def _nothing(page: Page) -> None:
    """It is looked at as it opens."""


def _prompt(page: Page) -> None:
    page.get_by_role("textbox", name="Prompt").fill(HARD)
    page.get_by_role("region", name=STEPS).get_by_text(HARD).wait_for()


def _sample(page: Page) -> None:
    """What is walked through while nothing is typed."""
    page.get_by_test_id("winner").wait_for()


def _compare(page: Page) -> None:
    page.get_by_role("textbox", name="Prompt").first.fill(HARD)
    page.get_by_role("button", name="Ask them").click()
    page.get_by_role("article").first.wait_for()


def _judge(page: Page) -> None:
    _compare(page)
    page.get_by_role("button", name="Let the judge suggest").click()
    page.get_by_text("Suggested by the judge").wait_for()


def _tab(name: str) -> Doing:
    return lambda page: page.get_by_role("tab", name=name).click()


def _one_of(name: str) -> Doing:
    def opened(page: Page) -> None:
        page.get_by_role("tab", name=name).click()
        page.get_by_role("table", name=name).wait_for()
        _first_row(page)

    return opened


def _first_row(page: Page) -> None:
    page.get_by_role("row").nth(1).click()
    page.get_by_role("dialog").wait_for()


LOOKS: dict[str, tuple[str, Doing]] = {
    "overview": ("", _nothing),
    "route": ("route", _prompt),
    "teach": ("teach", _nothing),
    "compare": ("teach", _compare),
    "decisions": ("decisions", _nothing),
    "receipt": ("decisions", _first_row),
    "requests": ("decisions", _tab("Requests")),
    "record": ("decisions", _one_of("Requests")),
    "runs": ("decisions", _tab("Runs")),
    "run": ("decisions", _one_of("Runs")),
    "shadow": ("decisions", _tab("Shadow")),
    "usage": ("usage", _nothing),
    "settings": ("settings", _nothing),
}
FIRST: dict[str, tuple[str, Doing]] = {
    "overview": LOOKS["overview"],
    "route": ("route", _sample),
    "judge": ("teach", _judge),
    "decisions": LOOKS["decisions"],
    "shadow": LOOKS["shadow"],
    "usage": LOOKS["usage"],
    "settings": LOOKS["settings"],
}
OWN = {"overview": LOOKS["overview"], "settings": LOOKS["settings"], "decisions": LOOKS["decisions"]}


@contextmanager
def looking(browser: Browser, scheme: Scheme, width: int) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": width, "height": 844 if width < 600 else 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


def sign_in(page: Page, url: str, key: str) -> None:
    page.goto(f"{url}/ui/")
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()
    if key == ADMIN:
        page.goto(f"{url}/ui/teach")
        page.get_by_label("Tenant to look at").fill("support")
        page.get_by_role("button", name="Show").click()


def _shoot(page: Page, url: str, path: str, do: Doing, file: Path) -> None:
    width = (page.viewport_size or {"width": 0})["width"]
    low = 844 if width < 600 else 900
    page.set_viewport_size({"width": width, "height": low})
    page.goto(f"{url}/ui/{path}")
    page.get_by_role("heading", level=1).wait_for()
    do(page)
    page.wait_for_timeout(SETTLE_MS)
    # As high as it is long: what is fixed to the window is then where it belongs.
    long = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": max(long, low)})
    page.wait_for_timeout(300)
    page.screenshot(path=file)
    print(file, flush=True)


def _every(browser: Browser, url: str, folder: Path, looks: dict[str, tuple[str, Doing]], key: str, kind: str) -> None:
    for scheme in SCHEMES:
        for shape, width in SHAPES.items():
            with looking(browser, scheme, width) as page:
                if key:
                    page.goto(f"{url}/ui/")
                    page.get_by_label("Key").wait_for()
                    if kind == "lively":
                        page.screenshot(path=folder / f"signin-{shape}-{scheme}.png")
                    sign_in(page, url, key)
                for name, (path, do) in looks.items():
                    _shoot(page, url, path, do, folder / f"{kind}-{name}-{shape}-{scheme}.png")


def _for_readme(browser: Browser, url: str) -> None:
    """The upper part of the overview, and one decision step by step."""
    with looking(browser, "light", SHAPES["wide"]) as page:
        page.set_viewport_size({"width": SHAPES["wide"], "height": 1400})
        sign_in(page, url, ADMIN)
        page.goto(f"{url}/ui/")
        page.wait_for_timeout(PAST_MS)
        (README / "overview.png").write_bytes(shrink(page.screenshot()))
    with looking(browser, "dark", SHAPES["wide"]) as page:
        # High enough that nothing has to be scrolled under the header.
        page.set_viewport_size({"width": SHAPES["wide"], "height": 2400})
        sign_in(page, url, ADMIN)
        page.goto(f"{url}/ui/route")
        _prompt(page)
        page.wait_for_timeout(SETTLE_MS)
        picture = page.get_by_role("region", name=STEPS).screenshot()
        (README / "route.png").write_bytes(shrink(picture))


def main(folder: Path, wanted: set[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)

    def of(looks: dict[str, tuple[str, Doing]]) -> dict[str, tuple[str, Doing]]:
        return {name: look for name, look in looks.items() if not wanted or name in wanted}

    with tempfile.TemporaryDirectory() as place, browsing() as browser, deployment(Path(place)) as town:
        with looking(browser, "light", 1280) as page:
            page.wait_for_timeout(PAST_MS)
        if "readme" in wanted:
            _for_readme(browser, town.gateway.url)
        _every(browser, town.gateway.url, folder, of(LOOKS), ADMIN, "lively")
        if not wanted or "own" in wanted:
            _every(browser, town.gateway.url, folder, OWN, KEYS["support"], "own")
    if not wanted or "first" in wanted:
        with tempfile.TemporaryDirectory() as place, browsing() as browser, served(Path(place)) as gateway:
            _every(browser, gateway.url, folder, FIRST, "", "first")


if __name__ == "__main__":
    main(Path(sys.argv[1]), set(sys.argv[2:]))
