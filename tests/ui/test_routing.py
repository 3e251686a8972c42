"""Teaching the router on the page, seeing it route, and turning the dial, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.harness.gateway import Served, served
from tests.ui.browsing import EASY, HARD, JUDGE, POOL, scored, teach
from tests.ui.pictures import STEPS

pytestmark = pytest.mark.browser

KEYED = """
[server]
admin_key = "admin-key-of-tests"
[tenants.team]
keys = ["team-key-0001"]
[tenants.other]
keys = ["other-key-0001"]
"""


@pytest.fixture
def taught(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, POOL.format(warm=20)) as running:
        teach(running.url, scored(60))
        yield running


def see(page: Page, url: str, prompt: str) -> None:
    page.goto(f"{url}/ui/route")
    page.get_by_role("textbox", name="Prompt").fill(prompt)
    # Until then it is the sample that is explained.
    expect(page.get_by_role("region", name=STEPS).get_by_text(prompt, exact=True)).to_be_visible()


def test_a_sample_is_walked_through_before_anything_is_typed(page: Page, taught: Served) -> None:
    page.goto(f"{taught.url}/ui/route")
    steps = page.get_by_role("region", name=STEPS)
    expect(page.get_by_test_id("winner")).to_be_visible()
    sample = page.get_by_role("textbox", name="Prompt").input_value()
    assert sample
    expect(steps.get_by_text(sample, exact=True)).to_be_visible()
    expect(page.get_by_role("button", name=sample, exact=True)).to_have_attribute("aria-pressed", "true")
    other = page.get_by_role("button", pressed=False).filter(has_text=re.compile("Say hello|Prove that")).last
    said = other.inner_text()
    other.click()
    expect(steps.get_by_text(said, exact=True)).to_be_visible()
    page.get_by_role("textbox", name="Prompt").fill("")
    expect(page.get_by_test_id("winner")).to_have_count(0)


def test_whoever_has_taught_nothing_has_samples_too(page: Page, tmp_path: Path) -> None:
    with served(tmp_path, POOL.format(warm=20)) as gateway:
        page.goto(f"{gateway.url}/ui/route")
        expect(page.get_by_test_id("winner")).to_have_text("sim-large")
        expect(page.get_by_role("region", name=STEPS)).to_contain_text("there are no examples")


def test_a_sample_that_comes_late_does_not_mix_with_what_is_typed(page: Page, taught: Served) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/router/memory*", hold)
    page.goto(f"{taught.url}/ui/route")
    box = page.get_by_role("textbox", name="Prompt")
    box.focus()
    expect(box).to_have_value("")
    for route in held:
        route.continue_()
    expect(page.get_by_role("button", name=re.compile("Say hello|Prove that")).first).to_be_visible()
    box.press_sequentially("Mine.")
    expect(box).to_have_value("Mine.")


def test_three_taught_prompts_route_the_next_one_differently(page: Page, tmp_path: Path) -> None:
    with served(tmp_path, POOL.format(warm=3)) as gateway:
        see(page, gateway.url, EASY[2])
        expect(page.get_by_test_id("winner")).to_have_text("sim-large")
        page.goto(f"{gateway.url}/ui/teach")
        for prompt in EASY:
            page.get_by_role("textbox", name="Prompt", exact=False).first.fill(prompt)
            page.get_by_role("button", name="Ask them").click()
            page.get_by_role("switch").uncheck()  # to know which one is scored
            for model, presses in (("sim-small", "End"), ("sim-large", "End")):
                answer = page.get_by_role("article").filter(has_text=model)
                answer.get_by_role("slider").press(presses)
            page.get_by_role("button", name="Teach this").click()
            expect(page.get_by_role("article")).to_have_count(0)
        expect(page.get_by_role("region", name="What was taught")).to_contain_text("3 examples")
        see(page, gateway.url, EASY[2])
        expect(page.get_by_test_id("winner")).to_have_text("sim-small")


def test_what_routing_gains_is_said_in_plain_words(page: Page, taught: Served) -> None:
    page.goto(f"{taught.url}/ui/teach")
    told = page.get_by_role("region", name="Warm-up")
    expect(told).to_contain_text("choosing for each prompt gives answers", timeout=30_000)
    expect(told).to_contain_text("points of 100 better")


def test_answers_are_compared_without_saying_which_model_is_which(page: Page, taught: Served) -> None:
    page.goto(f"{taught.url}/ui/teach")
    page.get_by_role("textbox", name="Prompt").first.fill("What is 17*23?")
    page.get_by_role("button", name="Ask them").click()
    answers = page.get_by_role("article")
    expect(answers).to_have_count(2)
    expect(answers.first).not_to_contain_text("sim-")
    page.get_by_role("switch").uncheck()
    expect(answers.filter(has_text="sim-large")).to_contain_text("391")


def test_the_judge_suggests_and_what_is_left_so_is_taught_as_its_word(page: Page, tmp_path: Path) -> None:
    """Blind as before, and in the person's hands: one slider is moved, and is the person's."""
    with served(tmp_path, POOL.format(warm=20) + JUDGE) as gateway:
        compared(page, gateway, "What is 318 * 742?")
        answers = page.get_by_role("article")
        page.get_by_role("button", name="Let the judge suggest").click()
        expect(answers.filter(has_text="suggested 1.00")).to_contain_text("235956")
        expect(answers.filter(has_text="suggested 0.00")).to_have_count(1)
        expect(answers.filter(has_text="sim-")).to_have_count(0)
        expect(page.get_by_role("status")).to_contain_text("0 will be taught as your word and 2 as the judge's")
        wrong = answers.filter(has_text="suggested 0.00").get_by_role("slider")
        expect(wrong).to_have_attribute("aria-valuenow", "0")
        wrong.press("ArrowRight")
        expect(page.get_by_role("status")).to_contain_text("1 will be taught as your word and 1 as the judge's")
        assert httpx.get(f"{gateway.url}/v1/router/memory").json()["total"] == 0, "a suggestion teaches nothing"
        page.get_by_role("button", name="Teach this").click()
        expect(answers).to_have_count(0)
        (example,) = httpx.get(f"{gateway.url}/v1/router/memory").json()["data"]
        assert {label["candidate"]: (label["score"], label["source"]) for label in example["labels"]} == {
            "simulated/sim-small": (0.05, "human"),
            "simulated/sim-large": (1.0, "judge:grader"),
        }


def test_what_was_scored_before_the_judge_was_asked_stays(page: Page, tmp_path: Path) -> None:
    with served(tmp_path) as gateway:
        # With nothing configured there is a simulated judge.
        compared(page, gateway, "What is 318 * 742?")
        right = page.get_by_role("article").filter(has_text="235956").first
        right.get_by_role("slider").press("Home")
        page.get_by_role("button", name="Let the judge suggest").click()
        expect(right).to_contain_text("yours, suggested 1.00")
        expect(right.get_by_role("slider")).to_have_attribute("aria-valuenow", "0")


def test_without_a_judge_the_page_says_how_to_get_one_and_a_failing_one_changes_nothing(
    page: Page, taught: Served, tmp_path: Path
) -> None:
    compared(page, taught, "What is 17*23?")
    expect(page.get_by_text("No judge is configured")).to_contain_text("[judges.grader]")
    expect(page.get_by_role("button", name="Let the judge suggest")).to_have_count(0)
    folder = tmp_path / "poor"
    folder.mkdir()
    with served(folder, POOL.format(warm=20) + JUDGE + "daily_usd = 0\n") as poor:
        compared(page, poor, "What is 17*23?")
        page.get_by_role("button", name="Let the judge suggest").click()
        expect(page.get_by_role("alert").filter(has_text="Not done")).to_contain_text("budget")
        expect(page.get_by_text("0 of 2 scored")).to_be_visible()


def compared(page: Page, gateway: Served, prompt: str) -> None:
    """With the answers in sight."""
    page.goto(f"{gateway.url}/ui/teach")
    page.get_by_role("textbox", name="Prompt").first.fill(prompt)
    page.get_by_role("button", name="Ask them").click()
    expect(page.get_by_role("article").first).to_be_visible()


def test_the_dial_flips_the_decision_where_the_receipt_says(page: Page, taught: Served) -> None:
    see(page, taught.url, HARD)
    dial = page.get_by_role("slider", name="Quality against cost")
    dial.press("Home")
    expect(page.get_by_test_id("winner")).to_have_text("sim-small")
    expect(page.get_by_test_id("turning")).to_contain_text("stands at 0.00")
    said = re.search(r"at (\d\.\d\d) and above a dearer", page.get_by_test_id("turning").inner_text())
    assert said is not None
    flip = round(float(said[1]) * 100)
    for _ in range(flip - 1):
        dial.press("ArrowRight")
    expect(page.get_by_test_id("turning")).to_contain_text(f"stands at {(flip - 1) / 100:.2f}")
    expect(page.get_by_test_id("winner")).to_have_text("sim-small")
    dial.press("ArrowRight")
    expect(page.get_by_test_id("turning")).to_contain_text(f"stands at {flip / 100:.2f}")
    expect(page.get_by_test_id("winner")).to_have_text("sim-large")


def test_the_steps_show_the_examples_that_speak_about_a_prompt(page: Page, taught: Served) -> None:
    see(page, taught.url, "Say hello to guest number 99.")
    expect(page.get_by_role("img", name=re.compile("tied to the prompt"))).to_be_visible()
    page.get_by_text("List", exact=True).click()
    expect(page.get_by_role("cell", name=re.compile("Say hello to guest")).first).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("sim-small: expected quality"))).to_be_visible()
    expect(page.get_by_role("region", name="Scoreboard")).to_contain_text("Routed")


def test_the_saved_dial_survives_a_reload_and_holds_for_requests(page: Page, taught: Served) -> None:
    page.goto(f"{taught.url}/ui/settings")
    dial = page.get_by_role("slider", name="Quality vs cost")
    dial.press("End")
    expect(page.get_by_text("Saved: the next request is decided by it.")).to_be_visible()
    assert httpx.get(f"{taught.url}/admin/v1/routing-alpha").json()["alpha"] == 10
    page.reload()
    expect(page.get_by_role("slider", name="Quality vs cost")).to_have_attribute("aria-valuenow", "1")


def test_a_dial_that_cannot_be_saved_goes_back_and_says_so(page: Page, taught: Served) -> None:
    asked = refusing(page, "**/admin/v1/routing-alpha*")
    page.goto(f"{taught.url}/ui/settings")
    dial = page.get_by_role("slider", name="Quality vs cost")
    expect(dial).to_have_attribute("aria-valuenow", "0.5")
    dial.press("Home")
    expect(page.get_by_text("the store is full")).to_be_visible()
    expect(page.get_by_role("slider", name="Quality vs cost")).to_have_attribute("aria-valuenow", "0.5")
    assert asked == ['{"alpha":0}']


def test_a_floor_is_previewed_saved_when_let_go_and_taken_back(page: Page, taught: Served) -> None:
    page.goto(f"{taught.url}/ui/settings")
    pool = page.get_by_role("region", name="Pool auto")
    floor = page.get_by_role("slider", name="Quality floor of auto")
    expect(pool).to_contain_text("Nothing but the dial decides")
    page.get_by_role("slider", name="Quality vs cost").press("Home")
    expect(page.get_by_text("Saved: the next request is decided by it.")).to_be_visible()
    expect(pool.get_by_label("sim-large:")).to_have_count(0)
    floor.press("End")
    expect(pool).to_contain_text("at least 100")
    expect(pool.get_by_label("sim-large:")).to_have_count(1)
    expect(pool).to_contain_text("The floor holds the dial up here")
    expect(page.get_by_text("Saved: the floor holds for the next request.")).to_be_visible()
    assert floor_of(taught)["set"] == 1.0
    body = {"model": "auto", "messages": [{"role": "user", "content": HARD}]}
    assert httpx.post(f"{taught.url}/v1/chat/completions", json=body).headers["x-laneway-model"] == "sim-large"
    page.reload()
    floor = page.get_by_role("slider", name="Quality floor of auto")
    expect(floor).to_have_attribute("aria-valuenow", "1")
    pool.get_by_role("button", name="As configured").click()
    expect(pool).to_contain_text("Nothing but the dial decides")
    assert floor_of(taught) == {**floor_of(taught), "floor": None, "set": None}
    assert httpx.post(f"{taught.url}/v1/chat/completions", json=body).headers["x-laneway-model"] == "sim-small"


def test_a_floor_that_cannot_be_saved_goes_back_and_says_so(page: Page, taught: Served) -> None:
    asked = refusing(page, "**/admin/v1/routing-floor*")
    page.goto(f"{taught.url}/ui/settings")
    floor = page.get_by_role("slider", name="Quality floor of auto")
    expect(floor).to_have_attribute("aria-valuenow", "0.89")
    floor.press("ArrowRight")
    expect(page.get_by_text("the store is full")).to_be_visible()
    expect(floor).to_have_attribute("aria-valuenow", "0.89")
    assert asked == ['{"floor":0.9}']


def test_a_configured_floor_is_shown_as_it_is_and_can_be_left_for_none(page: Page, tmp_path: Path) -> None:
    with served(tmp_path, POOL.format(warm=20) + "floor = 0.955\n") as gateway:
        teach(gateway.url, scored(60))
        page.goto(f"{gateway.url}/ui/settings")
        pool = page.get_by_role("region", name="Pool auto")
        expect(pool).to_contain_text("the floor decides alone")
        page.get_by_role("slider", name="Quality floor of auto").press("Home")
        expect(page.get_by_text("Saved: no floor holds for the next request.")).to_be_visible()
        expect(pool).to_contain_text("The configuration says")
        assert floor_of(gateway) == {**floor_of(gateway), "floor": None, "set": 0.0, "configured": 0.955}
        expect(page.get_by_role("alert").filter(has_text="expected")).to_have_count(0)


def floor_of(gateway: Served) -> dict[str, Any]:
    told: dict[str, Any] = httpx.get(f"{gateway.url}/admin/v1/routing-floor").json()
    return told


def refusing(page: Page, address: str) -> list[str]:
    """What was to be saved there, and was not."""
    asked: list[str] = []

    def refuse(route: Route) -> None:
        if route.request.method == "PUT":
            asked.append(route.request.post_data or "")
            route.fulfill(status=500, body='{"error": {"message": "the store is full"}}')
        else:
            route.continue_()

    page.route(address, refuse)
    return asked


def test_a_file_is_taught_and_taken_back(page: Page, taught: Served, tmp_path: Path) -> None:
    file = tmp_path / "more.ndjson"
    file.write_text(
        "".join(
            f'{{"prompt": "Spell the word number {at}.", "scores": {{"sim-small": 1, "sim-large": 1}}}}\n'
            for at in range(7)
        )
    )
    page.goto(f"{taught.url}/ui/teach")
    expect(page.get_by_role("region", name="What was taught")).to_contain_text("60 examples")
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_role("status")).to_have_text("7 of 7 taught")
    expect(page.get_by_role("region", name="What was taught")).to_contain_text("67 examples")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("region", name="What was taught")).to_contain_text("60 examples")


def test_decisions_are_listed_with_their_receipts(page: Page, taught: Served) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Say hello to guest number 3."}]}
    assert httpx.post(f"{taught.url}/v1/chat/completions", json=body).status_code == 200
    page.goto(f"{taught.url}/ui/decisions")
    page.get_by_role("row").filter(has_text="Say hello to guest number 3.").click()
    receipt = page.get_by_role("dialog")
    expect(receipt).to_contain_text("Nearest examples")
    expect(receipt.get_by_role("cell", name=re.compile("Say hello to guest")).first).to_be_visible()
    expect(receipt).to_contain_text("sim-small is expected to reach 9")
    expect(receipt).to_contain_text("The dial stands at 0.50")


def test_a_tenant_sees_nothing_of_another(page: Page, tmp_path: Path) -> None:
    with served(tmp_path, POOL.format(warm=20) + KEYED) as gateway:
        teach(gateway.url, scored(30), {"authorization": "Bearer team-key-0001"})
        page.goto(f"{gateway.url}/ui/teach")
        page.get_by_label("Key").fill("other-key-0001")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("region", name="What was taught")).to_contain_text("0 examples of other")
        expect(page.get_by_text("Say hello to guest")).to_have_count(0)
        page.goto(f"{gateway.url}/ui/settings")
        expect(page.get_by_text("are the operators'")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Key").fill("team-key-0001")
        page.get_by_role("button", name="Sign in").click()
        page.goto(f"{gateway.url}/ui/teach")
        expect(page.get_by_role("region", name="What was taught")).to_contain_text("30 examples of team")
