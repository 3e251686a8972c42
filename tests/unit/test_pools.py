"""Pools as they are written: candidates, defaults, names, and lanes that rank by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from laneway.config import ConfigError
from laneway.exchange import SLOT, Exchange
from laneway.layout import Layout
from laneway.loaded import load
from laneway.middleware.lane import LaneMiddleware
from laneway.route import Pool, Tenant
from tests.harness.asgi import Answer, ask
from tests.harness.loop import run
from tests.harness.rooms import Foreign

TOP = """
[providers.near]
url = "http://127.0.0.1:9"
models = ["tiny", "small-2"]
[providers.far]
url = "http://127.0.0.1:10"
[models.small]
provider = "near"
id = "small-2"
version = "2"
[models.large]
provider = "far"
"""
POOL = """
[pools.smart]
candidates = ["small", "near/tiny", "large"]
default = "large"
aliases = ["auto"]
"""


def layout(tmp_path: Path, *parts: str) -> Layout:
    file = tmp_path / "gateway.toml"
    file.write_text("".join((TOP, *parts)))
    return load(file, {}).layout


def problems(tmp_path: Path, *parts: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        layout(tmp_path, *parts)
    return {problem.path: problem.message for problem in caught.value.problems}


def pool_of(made: Layout, name: str = "smart") -> Pool:
    meaning = made.names.meaning(name)
    assert meaning is not None
    assert meaning.pool is not None
    return meaning.pool


def placed(
    made: Layout, model: str, headers: dict[str, str] | None = None, *, tenant: Tenant | None = None
) -> tuple[Answer, Exchange]:
    caller = ask("openai", model, headers=headers)
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    if tenant is not None:
        exchange.tenant = tenant
    return run(caller.call(LaneMiddleware(Foreign(), directory=made))), caller.scope[SLOT]


def test_a_candidate_is_known_by_where_it_runs_and_by_its_version(tmp_path: Path) -> None:
    """So that a model with another version is another candidate, about which nothing is known."""
    pool = pool_of(layout(tmp_path, POOL))
    assert [member.label for member in pool.members] == ["near/small-2@2", "near/tiny", "far/large"]
    assert [member.name for member in pool.members] == ["small", "near/tiny", "large"]
    assert pool.default == "far/large"
    assert [target.name for target in pool.targets] == ["far/large", "near/small-2", "near/tiny"]
    for text in ("small", "near/small-2", "near/small-2@2"):
        member = pool.member(text)
        assert member is not None
        assert member.name == "small"
    assert pool.member("small-2@1") is None


def test_without_a_default_the_first_candidate_is_it(tmp_path: Path) -> None:
    assert pool_of(layout(tmp_path, '[pools.smart]\ncandidates = ["near/tiny", "large"]\n')).default == "near/tiny"


def test_what_does_not_fit_together_is_listed(tmp_path: Path) -> None:
    wrong = """
[pools.smart]
candidates = ["smal", "large", "far/large"]
default = "small"
aliases = ["large"]
weights = { huge = 2 }
[pools.empty]
[lanes.quick]
pool = "smarter"
"""
    assert problems(tmp_path, wrong) == {
        "pools.smart.candidates[0]": 'there is no model or target "smal"; did you mean "small"?',
        "pools.smart.candidates[2]": 'is the same model as "large"',
        "pools.smart.default": 'there is no candidate "small"; did you mean "smal"?',
        "pools.smart.weights.huge": 'there is no candidate "huge"; known: far/large, large, smal',
        "pools.smart.aliases[0]": 'the name "large" is already taken by models.large',
        "pools.empty.candidates": "is missing: a pool needs names of models to choose among",
        "lanes.quick.pool": 'there is no pool "smarter"; did you mean "smart"?',
    }


def test_a_pool_is_asked_for_by_its_names(tmp_path: Path) -> None:
    made = layout(tmp_path, POOL)
    for name in ("smart", "auto", "Auto"):
        answer, exchange = placed(made, name)
        assert answer.status == 200
        assert exchange.pool is made.pools["smart"]
        assert exchange.candidates == made.pools["smart"].targets
    assert placed(made, "small")[1].pool is None


def test_a_tenants_models_are_all_that_is_left_of_a_pool(tmp_path: Path) -> None:
    made = layout(tmp_path, POOL)
    _, exchange = placed(made, "auto", tenant=Tenant(name="acme", models=("small", "near/*")))
    assert exchange.candidates is not None
    assert [target.name for target in exchange.candidates] == ["near/small-2", "near/tiny"]
    answer, _ = placed(made, "auto", tenant=Tenant(name="acme", models=("nothing",)))
    assert answer.status == 403


LANES = """
[lanes.ranked]
pool = "smart"
[lanes.some]
targets = ["near/tiny", "large"]
pool = "smart"
[lanes.plain]
targets = ["large"]
"""


def test_a_lane_ranks_its_targets_by_its_pool(tmp_path: Path) -> None:
    """Without targets of its own, all candidates of the pool are its targets."""
    made = layout(tmp_path, POOL, LANES)
    names = {name: [target.name for target in lane.targets] for name, lane in made.lanes.items()}
    assert names == {
        "ranked": ["near/small-2", "near/tiny", "far/large"],
        "some": ["near/tiny", "far/large"],
        "plain": ["far/large"],
    }
    for lane, pool in (("ranked", "smart"), ("some", "smart"), ("plain", None)):
        _, exchange = placed(made, "whatever", {"x-laneway-lane": lane})
        assert (exchange.pool.name if exchange.pool is not None else None) == pool
        # In a lane, "auto" is whatever the lane serves; outside of lanes, it is the pool that goes by that name.
        _, exchange = placed(made, "auto", {"x-laneway-lane": lane})
        assert exchange.candidates == made.lanes[lane].targets


@pytest.mark.parametrize(
    ("header", "value", "bias"),
    [
        ("x-laneway-bias", "0", 0.0),
        ("x-laneway-bias", "0.25", 0.25),
        ("x-laneway-bias", "1", 1.0),
        ("x-weave-routing-alpha", "0", 0.0),
        ("x-weave-routing-alpha", "0.8", 0.8),
        ("x-weave-routing-alpha", "1", 1.0),
        ("x-weave-routing-alpha", "7", 0.7),
        ("x-weave-routing-alpha", "10", 1.0),
    ],
)
def test_a_request_may_move_the_dial(tmp_path: Path, header: str, value: str, bias: float) -> None:
    _, exchange = placed(layout(tmp_path, POOL), "auto", {header: value})
    assert exchange.bias == pytest.approx(bias)


@pytest.mark.parametrize(
    ("header", "value", "told"),
    [
        ("x-laneway-bias", "1.01", "X-Laneway-Bias: expected a number from 0 to 1."),
        ("x-laneway-bias", "-0.1", "X-Laneway-Bias: expected a number from 0 to 1."),
        ("x-laneway-bias", "nan", "X-Laneway-Bias: expected a number from 0 to 1."),
        ("x-laneway-bias", "high", "X-Laneway-Bias: expected a number from 0 to 1."),
        ("x-weave-routing-alpha", "11", "X-Weave-Routing-Alpha: expected a number from 0 to 10."),
    ],
)
def test_a_dial_that_has_no_such_position_is_refused_with_its_range(
    tmp_path: Path, header: str, value: str, told: str
) -> None:
    answer, _ = placed(layout(tmp_path, POOL), "auto", {header: value})
    assert answer.status == 400
    assert answer.json["error"]["message"] == told


def test_traffic_outside_of_pools_is_not_asked_about_its_dial(tmp_path: Path) -> None:
    answer, exchange = placed(layout(tmp_path, POOL), "small", {"x-laneway-bias": "9"})
    assert (answer.status, exchange.bias) == (200, None)
