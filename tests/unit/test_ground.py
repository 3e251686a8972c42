"""The ground of choices: kept while nothing is another, and worked out anew as soon as something is."""

from __future__ import annotations

import pytest

from laneway.learning.ground import MOST_PANELS, Ground, Grounds
from tests.harness.taught import LARGE, PAIR, SMALL, Office, examples, in_office


def _of(office: Office, grounds: Grounds, bias: float | None = None, floor: float | None = None) -> Ground:
    shelf = office.shelves.get("acme")
    assert shelf is not None
    return grounds.get(PAIR, shelf, office.lessons.get(PAIR, shelf), bias, floor)


def test_request_after_request_stands_on_the_same_ground() -> None:
    async def play(office: Office) -> None:
        await office.teach("acme", examples(120))
        grounds = Grounds()
        first = _of(office, grounds)
        assert _of(office, grounds) is first
        assert first.candidate(SMALL.name, 5.0).cost_nanos == 5.0
        assert first.candidate(SMALL.name, None).cost_nanos is None

    in_office(play)


def test_the_same_candidates_sit_down_once_and_others_apart_from_them() -> None:
    async def play(office: Office) -> None:
        await office.teach("acme", examples(120))
        ground = _of(office, Grounds())
        both = ground.panel((SMALL.name, LARGE.name), 0)
        assert ground.panel((SMALL.name, LARGE.name), 0) is both
        assert both.knobs is ground.unknown
        assert ground.panel((SMALL.name, LARGE.name), 1).knobs is ground.known
        alone = ground.panel((SMALL.name,), 0)
        assert (alone.names, alone.without_opinion, both.without_opinion) == ([SMALL.name], SMALL.name, LARGE.name)
        for at in range(2 * MOST_PANELS):
            ground.panel((SMALL.name,) * (at + 1), 0)
        assert len(ground.panels) <= MOST_PANELS

    in_office(play)


def test_a_dial_that_is_turned_and_a_floor_hold_for_the_next_request() -> None:
    async def play(office: Office) -> None:
        await office.teach("acme", examples(120))
        grounds = Grounds()
        assert _of(office, grounds, bias=1.0).stance.weight == 0
        assert _of(office, grounds, bias=0.0).stance.weight > 0
        kept = _of(office, grounds, floor=0.95)
        assert kept.level is not None
        assert _of(office, grounds).level is None

    in_office(play)


def test_an_example_counts_from_the_next_request_on() -> None:
    async def play(office: Office) -> None:
        await office.teach("acme", examples(120))
        grounds = Grounds()
        before = _of(office, grounds).candidate(LARGE.name, 1.0)
        await office.store.examples.add("acme", examples(1))
        await office.shelves.ready("acme")
        after = _of(office, grounds).candidate(LARGE.name, 1.0)
        assert (before.labels, after.labels) == (120, 121)
        assert after.mean == pytest.approx((before.mean * 122 + 0.95) / 123)

    in_office(play)
