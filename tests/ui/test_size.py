"""Whether the page stays usable before a memory of thousands of examples and ten thousand decisions."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from laneway.ports import Example, Label, Receipt
from laneway.store import open_store
from tests.harness.gateway import served
from tests.harness.loop import run
from tests.ui.browsing import POOL

pytestmark = pytest.mark.browser

EXAMPLES, DECISIONS = 5_000, 10_000
CANDIDATES = ("simulated/sim-small", "simulated/sim-large")


def test_long_lists_hold_few_rows_and_reach_their_ends(page: Page, tmp_path: Path) -> None:
    # The browser's driver has a loop of its own in this thread.
    with ThreadPoolExecutor(1) as beside:
        beside.submit(run, _filled(tmp_path / "kept.db")).result()
    store = f'[server]\nstore = "sqlite:///{tmp_path}/kept.db"\n'
    with served(tmp_path, store + POOL.format(warm=20)) as gateway:
        page.goto(f"{gateway.url}/ui/decisions")
        rows = page.get_by_role("table", name="Decisions").get_by_role("row")
        expect(rows.nth(1)).to_contain_text(f"decision {DECISIONS - 1}")
        assert rows.count() < 80
        expect(page.get_by_text("The newest 500; older ones come as you scroll")).to_be_visible()
        listed = page.get_by_role("rowgroup", name="Decisions")
        for held in range(1000, DECISIONS, 500):
            listed.evaluate("list => list.scrollTo(0, list.scrollHeight)")
            expect(page.get_by_text(f"The newest {held:,}; older ones")).to_be_visible()
        listed.evaluate("list => list.scrollTo(0, list.scrollHeight)")
        expect(page.get_by_text(f"All {DECISIONS:,} that are kept")).to_be_visible()
        listed.evaluate("list => list.scrollTo(0, list.scrollHeight)")
        expect(page.get_by_text("decision 0", exact=True)).to_be_visible()
        assert rows.count() < 80
        # What comes in above joins what is held when its top is seen again.
        assert gateway.chat("auto", "Say hello.").status_code == 200
        listed.evaluate("list => list.scrollTo(0, 0)")
        expect(page.get_by_text(f"All {DECISIONS + 1:,} that are kept")).to_be_visible()
        expect(rows.nth(1)).to_contain_text("Say hello.")
        expect(rows.nth(2)).to_contain_text(f"decision {DECISIONS - 1}")
        page.goto(f"{gateway.url}/ui/teach")
        taught = page.get_by_role("list", name="Examples").get_by_role("listitem")
        expect(page.get_by_role("region", name="What was taught")).to_contain_text("5,000 examples")
        assert taught.count() < 80
        page.get_by_label("Search the prompts").fill("example 4999")
        expect(taught).to_have_count(1)
        page.goto(f"{gateway.url}/ui/route")
        page.get_by_role("textbox", name="Prompt").fill("This is the prompt of example 77")
        expect(page.get_by_role("img", name="tied to the prompt")).to_be_visible()


async def _filled(path: Path) -> None:
    store = open_store(f"sqlite:///{path}")
    await store.start()
    now_s = time.time()
    for first in range(0, EXAMPLES, 500):
        await store.examples.add("default", [_example(at) for at in range(first, first + 500)])
    for at in range(DECISIONS):
        store.receipts.keep(
            Receipt(
                id=f"req_{at:08x}",
                at_s=now_s - DECISIONS + at,
                tenant="default",
                pool="auto",
                rule="learned",
                served=CANDIDATES[at % 2],
                text=f"decision {at}",
            )
        )
        if at % 250 == 249:
            # Written behind: what waits is bounded.
            await store.audit.recent(1)
    await store.close()
    assert store.receipts.dropped == 0


def _example(at: int) -> Example:
    labels = (Label(CANDIDATES[0], float(at % 2)), Label(CANDIDATES[1], 1.0))
    return Example(text=f"This is the prompt of example {at}", tag=f"kind {at % 7}", labels=labels)
