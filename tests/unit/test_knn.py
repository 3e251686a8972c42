"""Deciding: what a choice says, when it declines, how the dial and the floor turn into weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from laneway.policy import knn, ridge, rules
from laneway.policy.dial import LARGEST_WEIGHT, Dial, Outlook, Step, preview, spread, walk
from laneway.policy.expected import Habit, expected_nanos
from laneway.policy.floor import keep_floor, strictness
from laneway.policy.knn import Candidate, Declined, Knobs, Question, choose
from laneway.policy.verdict import judge
from laneway.route import Price
from laneway.vectors.faiss_rows import FaissFound

CHEAP = Candidate(name="small", column=0, cost_nanos=100.0, mean=0.5, labels=80)
DEAR = Candidate(name="large", column=1, cost_nanos=1000.0, mean=0.8, labels=80)
PAIR = Question(candidates=(CHEAP, DEAR), default="large", examples=80)


def alike(labels: Sequence[float], similarity: float = 0.8, count: int = 40) -> FaissFound:
    """Neighbours that are all alike: each with the same similarity and the same labels."""
    return FaissFound(
        np.arange(count, dtype=np.int64),
        np.full(count, similarity, np.float32),
        np.tile(np.array(labels, np.float32), (count, 1)),
    )


def test_the_better_one_serves_where_costs_do_not_count() -> None:
    choice = choose(PAIR, alike([0, 1]), Knobs())
    assert (choice.serves, choice.declined) == ("large", None)
    assert [standing.name for standing in choice.ranked] == ["large", "small"]
    assert choice.confidence is not None
    assert choice.confidence > 0.99


def test_the_cheap_one_serves_where_both_do_as_well() -> None:
    choice = choose(PAIR, alike([1, 1]), Knobs(weight=0.1))
    assert choice.serves == "small"
    assert choice.ranked[0].cost_ratio == pytest.approx(0.1)
    assert choice.ranked[1].cost_ratio == 1


def test_a_score_is_what_the_receipt_says_it_is_made_of() -> None:
    question = msgspec.structs.replace(PAIR, pinned="small")
    for standing in choose(question, alike([0.5, 1]), Knobs(weight=0.2, switch_penalty=0.1)).ranked:
        parts = standing.quality - 0.2 * standing.cost_ratio - standing.penalty
        assert standing.score == pytest.approx(parts)
        assert standing.penalty == (0 if standing.name == "small" else 0.1)


def test_a_small_lead_does_not_take_a_conversation_over() -> None:
    near = alike([0.90, 0.91])
    assert choose(PAIR, near, Knobs(switch_penalty=0)).serves == "large"
    pinned = msgspec.structs.replace(PAIR, pinned="small", candidates=(msgspec.structs.replace(CHEAP, mean=0.8), DEAR))
    assert choose(pinned, near, Knobs(switch_penalty=0.05)).serves == "small"


def test_a_choice_names_the_weights_at_which_it_would_turn() -> None:
    near = alike([0.4, 0.9])
    choice = choose(PAIR, near, Knobs())
    turn = choice.cheaper_from
    assert turn is not None
    assert choice.dearer_until is None
    assert choose(PAIR, near, Knobs(weight=turn * 0.999)).serves == "large"
    turned = choose(PAIR, near, Knobs(weight=turn * 1.001))
    assert turned.serves == "small"
    assert turned.dearer_until == pytest.approx(turn)


@pytest.mark.parametrize(
    ("question", "near", "knobs", "reason", "serves"),
    [
        (Question(candidates=(), default="large"), alike([1, 1]), Knobs(), Declined.NO_CANDIDATE, "large"),
        (Question(candidates=(CHEAP,), default="large"), alike([1, 1]), Knobs(), Declined.ALONE, "small"),
        (PAIR, alike([1, 1], count=0), Knobs(), Declined.NO_EXAMPLES, "large"),
        (PAIR, alike([1, 0]), Knobs(warm=81), Declined.WARMING, "large"),
        (PAIR, alike([1, 0], similarity=0.2), Knobs(familiar=0.3), Declined.NOVEL, "large"),
        (PAIR, alike([0.55, 0.6]), Knobs(least_confidence=0.999), Declined.UNSURE, "large"),
    ],
)
def test_a_decline_says_why_and_the_default_serves(
    question: Question, near: FaissFound, knobs: Knobs, reason: Declined, serves: str
) -> None:
    choice = choose(question, near, knobs)
    assert (choice.declined, choice.serves) == (reason, serves)


def test_a_default_that_is_not_able_serves_nobody() -> None:
    question = msgspec.structs.replace(PAIR, default="blind")
    assert choose(question, alike([1, 1], count=0), Knobs()).serves == "small"
    assert choose(question, alike([1, 0], similarity=0.2), Knobs(familiar=0.3)).serves == "small"


def test_a_declined_choice_still_shows_what_it_would_have_been() -> None:
    choice = choose(PAIR, alike([1, 0], similarity=0.2), Knobs(familiar=0.3))
    assert choice.ranked[0].name == "small"


def test_a_cold_candidate_is_left_out_and_named() -> None:
    cold = Candidate(name="new", column=1, cost_nanos=1.0, labels=3)
    question = Question(candidates=(CHEAP, DEAR, cold), default="large", examples=80)
    choice = choose(question, alike([0, 1]), Knobs(weight=0.01))
    assert choice.cold == ("new",)
    assert {standing.name for standing in choice.ranked} == {"small", "large"}


def test_without_a_price_a_candidate_counts_as_dear_as_the_default() -> None:
    unpriced = msgspec.structs.replace(CHEAP, cost_nanos=None)
    choice = choose(msgspec.structs.replace(PAIR, candidates=(unpriced, DEAR)), alike([0.5, 1]), Knobs(weight=1))
    assert [standing.cost_ratio for standing in choice.ranked] == [1, 1]


def test_a_free_default_leaves_costs_comparable() -> None:
    free = msgspec.structs.replace(DEAR, cost_nanos=0.0)
    choice = choose(msgspec.structs.replace(PAIR, candidates=(CHEAP, free)), alike([1, 1]), Knobs(weight=1))
    assert all(math.isfinite(standing.score) for standing in choice.ranked)
    assert choice.serves == "large"


def test_a_long_prompt_weighs_more_than_a_short_one() -> None:
    near, knobs = alike([0.8, 0.9]), Knobs(weight=0.05)
    usual = msgspec.structs.replace(PAIR, usual_nanos=1000.0)
    dear = tuple(msgspec.structs.replace(who, cost_nanos=20 * (who.cost_nanos or 0)) for who in PAIR.candidates)
    assert choose(usual, near, knobs).serves == "large"
    assert choose(msgspec.structs.replace(usual, candidates=dear), near, knobs).serves == "small"


def test_the_ridge_has_its_say_from_enough_examples_on() -> None:
    near = alike([0.5, 0.5])
    question = msgspec.structs.replace(PAIR, ridge=(1.0, 0.0))
    few = choose(question, near, Knobs())
    many = choose(msgspec.structs.replace(question, examples=300), near, Knobs())
    assert few.serves == "large"
    assert many.serves == "small"
    unsaid = choose(msgspec.structs.replace(question, examples=300, ridge=(math.nan, math.nan)), near, Knobs())
    assert unsaid.ranked == few.ranked


def test_novelty_is_below_a_tenth_of_what_is_known() -> None:
    assert knn.novelty_bound([at / 100 for at in range(101)]) == pytest.approx(0.1)
    assert knn.novelty_bound([]) == -1


# --- dial and floor ------------------------------------------------------------------------------------------


def test_a_walk_goes_from_the_cheapest_to_the_strong() -> None:
    first, steps = walk(Outlook([0.2, 0.6, 0.7], [1, 2, 10]), 2)
    assert first == 0
    assert [(step.before, step.to) for step in steps] == [(0, 1), (1, 2)]
    assert [step.level for step in steps] == pytest.approx([0.4, 0.0125])
    first, steps = walk(Outlook([0.75, 0.5], [1, 2]), 1)
    assert (first, steps) == (0, [Step(-0.25, 0, 1)])


def test_every_tenth_of_the_dial_changes_the_mix() -> None:
    # Nine in ten examples turn within a hair's breadth: an even scale of weights would be one long dead zone.
    rng = np.random.default_rng(3)
    turns = np.concatenate([0.01 + rng.random(900) * 1e-4, rng.random(100)])
    dial = spread(turns.tolist())
    outlooks = [Outlook([0.5, 0.5 + turn], [0.0, 1.0]) for turn in turns.tolist()]
    shares = [position.effect.mix[1] for position in preview(dial, outlooks)]
    assert shares == sorted(shares)
    assert [shares[0], shares[-1]] == pytest.approx([0.0, 1.0])
    assert all(0.05 < later - earlier < 0.15 for earlier, later in pairwise(shares))


def test_few_mixes_share_the_dial() -> None:
    dial = spread([0.5] * 1000 + [0.1])
    assert list(dial.weights) == pytest.approx([LARGEST_WEIGHT, 0.3, 0.0])
    assert spread([]).weights == (LARGEST_WEIGHT, 0.0)
    with pytest.raises(ValueError, match="from 0 to 1"):
        dial.weight(1.5)


def test_a_receipt_can_name_the_positions_at_which_the_winner_would_change() -> None:
    dial = Dial((LARGEST_WEIGHT, 3.0, 2.0, 1.0, 0.0))
    assert [dial.first_below(weight) for weight in (LARGEST_WEIGHT, 3.0, 2.5, 0.0)] == [0, 0.25, 0.5, 1]
    assert [dial.last_above(weight) for weight in (LARGEST_WEIGHT, 3.0, 2.5, 0.0)] == [0, 0.25, 0.25, 1]
    near = alike([0.4, 0.9])
    turn = choose(PAIR, near, Knobs()).cheaper_from
    assert turn is not None
    dial = Dial((LARGEST_WEIGHT, turn * 2, turn * 1.1, turn * 0.9, 0.0))
    position = dial.last_above(turn)
    assert choose(PAIR, near, Knobs(weight=dial.weight(position))).serves == "small"
    assert choose(PAIR, near, Knobs(weight=dial.weight(position + 0.25))).serves == "large"
    assert dial.first_below(turn) == position + 0.25


def test_a_floor_is_kept_by_the_examples_own_scores() -> None:
    sure = [Outlook([0.9, 0.9], [0.1, 1.0])] * 200 + [Outlook([0.1, 0.9], [0.1, 1.0])] * 200
    truth = [[1.0, 1.0]] * 200 + [[0.0, 1.0]] * 200
    stance = keep_floor(sure, truth, 1, 0.95)
    assert 0 <= stance.weight < 0.8 / 0.9
    assert stance.handicap == 0
    wrong = keep_floor(sure, [[0.0, 1.0]] * 400, 1, 0.95)
    assert wrong.handicap > 0
    assert keep_floor(sure, [[1.0, 1.0]] * 400, 1, 0.95).weight == LARGEST_WEIGHT


def test_a_floor_pays_no_more_where_the_strong_is_the_cheapest() -> None:
    rng = np.random.default_rng(3)
    truth = (rng.random((300, 2)) < (0.95, 0.9)).astype(float).tolist()
    guessed = [Outlook([0.9, 0.9 + lead], [0.05, 1.0]) for lead in rng.normal(0, 0.1, 300).tolist()]
    assert keep_floor(guessed, truth, 0, 0.98).weight == LARGEST_WEIGHT


def test_a_floor_without_comparisons_stays_with_the_strong() -> None:
    assert keep_floor([Outlook([0.9, 0.5], [0.1, 1.0])] * 9, [[math.nan, 1.0]] * 9, 1, 0.5).handicap > 0.4
    assert keep_floor([], [], 1, 0.98).handicap > 1
    assert (strictness(299), strictness(1000)) == (1.65, 1.0)


# --- the ridge, the relatives' rules, the verdict, expected costs -------------------------------------------------


def _labelled(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chances = np.stack([0.5 + 0.4 * vectors[:, 0], 0.5 - 0.4 * vectors[:, 0]], axis=1)
    return vectors, (rng.random((count, 2)) < chances).astype(np.float32)


def test_leaving_one_out_is_exact() -> None:
    """The shortcut's choice of a penalty is the choice that refitting without each example makes."""
    vectors, labels = _labelled(60, 5)

    def refitted(penalty: float) -> float:
        total = 0.0
        for at in range(len(vectors)):
            rest = np.arange(len(vectors)) != at
            centre, means = vectors[rest].mean(axis=0), labels[rest].mean(axis=0)
            about = (vectors[rest] - centre).astype(np.float64)
            line = np.linalg.solve(about.T @ about + penalty * np.eye(6), about.T @ (labels[rest] - means))
            wrong = labels[at] - means - (vectors[at] - centre) @ line
            total += (wrong[0] - wrong[1]) ** 2
        return total

    fitted = ridge.fit(vectors, labels)
    assert fitted is not None
    assert fitted.penalty == min(ridge.PENALTIES, key=refitted)


def test_the_ridge_learns_a_slope_and_what_a_tag_adds() -> None:
    vectors, labels = _labelled(2000, 6)
    tags = (np.arange(2000) % 2 + 1).astype(np.uint16)
    labels[tags == 2, 0] = 1.0
    fitted = ridge.fit(vectors, labels, tags)
    assert fitted is not None
    up = np.eye(6, dtype=np.float32)[0]
    assert fitted.expect(up, 1)[0] > fitted.expect(-up, 1)[0]
    assert fitted.expect(up, 2)[0] > fitted.expect(up, 1)[0]
    assert fitted.expect(up, 99) == fitted.expect(up)


def test_the_ridge_takes_missing_labels_and_says_nan_where_it_cannot_know() -> None:
    vectors, labels = _labelled(400, 7)
    labels[: 400 - 10, 1] = np.nan
    fitted = ridge.fit(vectors, labels)
    assert fitted is not None
    known, unknown = fitted.expect(vectors[0])
    assert 0 <= known <= 1
    assert math.isnan(unknown)
    assert ridge.fit(vectors[:10], labels[:10]) is None


def test_the_relatives_rules_are_what_they_say() -> None:
    labels = np.array([[1, 0], [1, math.nan], [0, math.nan]], np.float32)
    assert rules.plain_mean(labels[:, :1], [0.5]) == [pytest.approx(2 / 3)]
    assert rules.plain_mean(labels[1:, 1:], [0.25]) == [0.25]
    assert rules.plain_scores([0.5, 0.9], [1.0, 3.0], 0.5) == [0.5, pytest.approx(0.4)]
    assert rules.plain_scores([0.5, 0.9], [2.0, 2.0], 0.5) == [0.5, 0.9]


def test_clusters_hold_scores_back() -> None:
    rng = np.random.default_rng(0)
    axes = np.eye(8, dtype=np.float32)[np.arange(400) % 8]
    vectors = axes + 0.01 * rng.normal(size=(400, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = (np.arange(400) % 8 < 4).astype(np.float32)[:, None]
    learned = rules.cluster(vectors.astype(np.float32), labels, rng)
    assert len(learned.centres) == rules.CLUSTERS
    assert 0 < learned.scores.min() < 0.35
    assert 0.65 < learned.scores.max() < 1
    assert learned.expect(axes[0])[0] > learned.expect(axes[7])[0]


def test_rules_that_look_at_no_prompt() -> None:
    assert rules.cheapest({"a": 2, "b": 1}) == ["b", "a"]
    assert rules.fastest({"a": 0.2, "b": 0.1}) == ["b", "a"]
    assert rules.least_busy({"a": 1, "b": 0}) == ["b", "a"]
    assert rules.fixed(["a", "b", "c"], "b") == ["b", "a", "c"]
    rng = np.random.default_rng(1)
    firsts = [rules.weighted({"a": 3, "b": 1, "never": 0}, rng.random)[0] for _ in range(2000)]
    assert firsts.count("a") / 2000 == pytest.approx(0.75, abs=0.04)
    assert "never" not in firsts
    failed = {"b"}
    costs = {"a": 2.0, "b": 1.0}
    assert rules.cascade(costs, lambda name: False if name in failed else None) == "a"
    assert rules.cascade(costs, lambda _: False) is None


def test_a_verdict_needs_a_gain_that_is_sure_and_worth_having() -> None:
    assert judge([2.0, 2.2, 1.8], 10, 500).routable
    # Ten gains of five folds are no ten opinions: with half their spread the mean is not yet sure.
    assert not judge([1.1, -1.1, 3.1, 0.9, 1.5, -0.7, 3.5, 3.1, -1.3, -0.1], 1, 500).routable
    assert "not routable yet" in judge([0.3, -0.2, 0.1], 10, 500).sentence.lower()
    for gains, examples in (([0.5, 0.5, 0.5], 5000), ([3.0, -3.0, 0.1], 5000)):
        verdict = judge(gains, 10, examples)
        assert not verdict.routable
        assert "nothing to route here" in verdict.sentence


def test_gains_of_nothing_but_rounding_are_none() -> None:
    assert not judge([1.4e-15, 1.3e-15, 1.4e-15], 1e-15, 1000).routable


def test_a_cache_that_would_be_lost_makes_a_switch_dearer() -> None:
    price = Price(input=1_000_000, output=4_000_000, cache_read=100_000)
    talkative, brief = Habit(100, 80_000), Habit(100, 1_000)
    assert expected_nanos(None, 1000) is None
    stays = expected_nanos(price, 10_000, brief, cached=9_000)
    moves = expected_nanos(price, 10_000, brief)
    longer = expected_nanos(price, 10_000, talkative)
    capped = expected_nanos(price, 10_000, talkative, max_tokens=5)
    assert stays is not None
    assert moves is not None
    assert longer is not None
    assert capped is not None
    assert stays < capped < moves < longer
