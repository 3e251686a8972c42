"""Budgets as a person writes them: what they come to, and every problem at its path."""

from __future__ import annotations

import pytest

from laneway import config
from laneway.catalog import Catalog
from laneway.config import ConfigError
from laneway.layout import Layout
from laneway.policy.budgets import Budget, Period
from laneway.policy.price import per_million
from laneway.route import FREE, Price

BASE = """
[providers.home]
url = "http://127.0.0.1:9"
models = ["m"]
[lanes.fast]
targets = ["home/m"]
[tenants.acme]
daily_usd = "5"
"""


def laid(text: str) -> Layout:
    source = config.read(BASE + text, {})
    assert not source.problems
    return Layout(source.settings, Catalog.empty())


def test_budgets_stand_beside_those_of_tenants() -> None:
    layout = laid("""
[budgets.team-daily]
cap_usd = "0.5"
tenant = "*"
lane = "fast"
tier = "premium"
period = "month"
zone = "Europe/Vienna"
alerts = [0.9, 0.5]
""")
    assert layout.budgets == (
        Budget(
            name="team-daily",
            cap_nanos=500_000_000,
            tenant="*",
            lane="fast",
            tier="premium",
            period=Period.MONTH,
            zone="Europe/Vienna",
            alerts=(0.5, 0.9),
        ),
        Budget(name="tenant:acme", cap_nanos=5_000_000_000, tenant="acme", alerts=(0.8,)),
    )
    assert layout.tenants["acme"].daily_nanos == 5_000_000_000


@pytest.mark.parametrize(
    ("server", "own", "expected"),
    [
        ("", "", None),
        ('unpriced = "free"', "", FREE),
        ('unpriced = "free"', 'unpriced = "refuse"', None),
        ("", "unpriced = { input = 2, output = 3 }", Price(input=per_million(2), output=per_million(3))),
        ("unpriced = { input = 2 }", "", Price(input=per_million(2), output=0)),
    ],
)
def test_what_has_no_price_costs_what_the_budget_says_or_else_the_server(
    server: str, own: str, expected: Price | None
) -> None:
    layout = laid(f"[server]\n{server}\n[budgets.b]\ncap_usd = 1\n{own}")
    assert layout.budgets[0].unpriced == expected


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("[budgets.b]\ncap_usd = -1", "budgets.b.cap_usd", "from 0 to"),
        ('[budgets.b]\ncap_usd = "much"', "budgets.b.cap_usd", "an amount in USD"),
        ('[budgets.b]\ncap_usd = 1\nzone = "Mars/Base"', "budgets.b.zone", "no time zone"),
        ('[budgets.b]\ncap_usd = 1\ntenant = "acne"', "budgets.b.tenant", 'did you mean "acme"'),
        ('[budgets.b]\ncap_usd = 1\nlane = "fats"', "budgets.b.lane", 'did you mean "fast"'),
        ("[budgets.b]\ncap_usd = 1\nunpriced = { input = -2 }", "budgets.b.unpriced.input", "USD per million"),
        ('[budgets."a/b"]\ncap_usd = 1', 'budgets."a/b"', "accounts are named"),
        ('[budgets."tenant:acme"]\ncap_usd = 1', 'budgets."tenant:acme"', "accounts are named"),
        ("[server]\nunpriced = { input = -2 }", "server.unpriced.input", "USD per million"),
    ],
)
def test_a_problem_says_where_it_is(text: str, path: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        laid(text)
    (problem,) = refused.value.problems
    assert problem.path == path
    assert message in problem.message


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[budgets.b]", "budgets.b.cap_usd"),
        ('[budgets.b]\ncap_usd = 1\nperiod = "week"', "budgets.b.period"),
        ('[budgets.b]\ncap_usd = 1\ntier = "dear"', "budgets.b.tier"),
        ("[budgets.b]\ncap_usd = 1\nalerts = [1.5]", "budgets.b.alerts"),
        ("[budgets.b]\ncap_usd = 1\ncap = 2", "budgets.b.cap"),
    ],
)
def test_what_cannot_be_read_is_told_at_its_path(text: str, path: str) -> None:
    problems = config.read(BASE + text, {}).problems
    assert [problem.path.partition("[")[0] for problem in problems] == [path]


def test_a_written_price_holds_for_the_model_by_whatever_name_it_is_asked_for() -> None:
    """Nobody gets past a budget by naming a priced model as its provider does."""
    layout = laid("""
[models.house]
provider = "home"
id = "m"
price = { input = 3, output = 15 }
[models.cheaper]
targets = ["home/M:latest"]
price = { input = 1 }
[models.gift]
provider = "home"
id = "gift"
price = "free"
""")
    dear = Price(input=per_million(3), output=per_million(15))
    for name in ("house", "m", "home/m", "home/M", "home/m:latest"):
        meaning = layout.names.meaning(name)
        assert meaning is not None
        assert [target.price for target in meaning.targets] == [dear], name
    cheaper = layout.names.meaning("cheaper")
    assert cheaper is not None
    assert cheaper.targets[0].price == Price(input=per_million(1), output=0)
