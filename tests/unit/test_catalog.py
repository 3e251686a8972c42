"""Looking models up: every name finds its model, every family gets its own id and price, and nobody else's."""

from __future__ import annotations

import msgspec
import pytest

from laneway.catalog import FAMILIES, Catalog, Known, own_id
from laneway.loaded import catalog
from laneway.route import Price

SMALL = """
[models."maker/small"]
names = { openai = "small", bedrock = "us.maker.small-v1:0", ollama = "small:4b", openrouter = "maker/small" }
aliases = ["small", "maker/small-it", "bedrock/us.maker.never-was-v1:0", "small-2025-01-31"]
window = 1000
output = 100
abilities = ["tools"]
vendor = "Maker"

[models."maker/vectors"]
names = { openai = "vectors" }
kind = "embed"

[[prices]]
model = "maker/small"
family = "openai"
id = "small"
input = "1.5"
output = "4"
cache_read = "0.15"
source = "a list"
as_of = "2026-11"
above = { window = 500, input = "3", output = "6" }

[[prices]]
model = "maker/small"
family = "bedrock"
id = "us.maker.small-v1:0"
input = "1.65"
output = "4.4"
source = "a list"
as_of = "2026-11"

[[prices]]
model = "maker/small"
family = "bedrock"
id = "global.maker.small-v1:0"
input = "1.5"
output = "4"
source = "a list"
as_of = "2026-11"

[[prices]]
model = "maker/small"
family = "ollama"
id = "small:4b"
input = "0"
output = "0"
source = "own machine"
as_of = "2026-11"
"""
KNOWN = Catalog.read(SMALL)


def usd(price: Price | None) -> tuple[float, float] | None:
    """Per million tokens, in and out."""
    return None if price is None else (price.input / 1e6, price.output / 1e6)


def found(name: str, family: str, known: Catalog = KNOWN) -> Known:
    answer = known.known(name, family)
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    "name",
    [
        "maker/small",
        "small",
        "SMALL:latest",
        "small:4b",
        "library/small:4b",
        "Maker/Small-IT",
        "us.maker.small-v1:0",
        "bedrock/us.maker.small-v1:0",
        "eu.maker.small-v1:0",
        "maker.small-v1:0",
        "bedrock/us.maker.never-was-v1:0",
        "us.maker.never-was-v1:0",
    ],
)
def test_every_name_finds_its_model(name: str) -> None:
    """Aliases, other families' ids, region prefixes, tags and capital letters all mean the one model."""
    assert KNOWN.model_of(name) == "maker/small"
    entry = KNOWN.facts(name)
    assert entry is not None
    assert (entry.window, entry.output, entry.abilities) == (1000, 100, frozenset({"tools"}))


@pytest.mark.parametrize("name", ["", "smal", "maker/", "us.", "bedrock/", "xx.maker.small-v1:0", "library/"])
def test_what_nobody_knows_is_nothing(name: str) -> None:
    """No guess: an unknown id has no facts, no id and no price."""
    assert KNOWN.model_of(name) is None
    assert KNOWN.facts(name) is None
    assert KNOWN.known(name, "openai") is None


@pytest.mark.parametrize(
    ("name", "family", "upstream", "price"),
    [
        ("small", "openai", "small", (1.5, 4.0)),
        ("maker/small-it", "openai", "small", (1.5, 4.0)),
        ("Small", "openai", "small", (1.5, 4.0)),
        ("small-2025-01-31", "openai", "small-2025-01-31", (1.5, 4.0)),
        ("small", "bedrock", "us.maker.small-v1:0", (1.65, 4.4)),
        ("bedrock/us.maker.never-was-v1:0", "bedrock", "us.maker.small-v1:0", (1.65, 4.4)),
        ("us.maker.never-was-v1:0", "bedrock", "us.maker.small-v1:0", (1.65, 4.4)),
        ("global.maker.small-v1:0", "bedrock", "global.maker.small-v1:0", (1.5, 4.0)),
        ("bedrock/global.maker.small-v1:0", "bedrock", "global.maker.small-v1:0", (1.5, 4.0)),
        ("eu.maker.small-v1:0", "bedrock", "eu.maker.small-v1:0", None),
        ("bedrock/eu.maker.small-v1:0", "bedrock", "eu.maker.small-v1:0", None),
        ("small", "ollama", "small:4b", (0.0, 0.0)),
        ("small", "openrouter", "maker/small", None),
    ],
)
def test_each_family_has_its_own_id_and_price(
    name: str, family: str, upstream: str, price: tuple[float, float] | None
) -> None:
    """Another name becomes the family's id; a region's own profile stays, and a price that is not known is none."""
    known = found(name, family)
    assert (known.model, known.id, usd(known.price)) == ("maker/small", upstream, price)


def test_a_family_that_lacks_a_model_has_no_id_for_it() -> None:
    """Facts are known wherever a model runs, ids and prices only where it is served."""
    assert KNOWN.known("small", "anthropic") is None
    assert KNOWN.known("vectors", "bedrock") is None
    assert KNOWN.facts("vectors") is not None


def test_a_price_above_a_window_keeps_the_ratio_of_the_cache() -> None:
    """What a list does not say of caches above the window is as much dearer as the prompt is, rounded up."""
    price = found("small", "openai").price
    assert price is not None
    assert price.above is not None
    assert (price.above_window, usd(price.above)) == (500, (3.0, 6.0))
    assert (price.cache_read, price.above.cache_read, price.above.cache_write_5m) == (150_000, 300_000, None)


def test_a_family_s_models_are_listed_by_their_own_ids() -> None:
    """The curated list of a provider: each of its models once."""
    assert [known.id for known in KNOWN.curated("openai")] == ["small", "vectors"]
    assert KNOWN.curated("anthropic") == []
    assert Catalog.empty().curated("openai") == []


def test_only_bedrock_s_prefix_is_cut() -> None:
    """`bedrock/` before an id is for other programs; elsewhere it may be part of the name."""
    assert own_id("bedrock/x", "bedrock") == "x"
    assert own_id("Bedrock/x", "bedrock") == "x"
    assert own_id("bedrock/x", "openai") == "bedrock/x"
    assert own_id("x/bedrock/y", "bedrock") == "x/bedrock/y"


def test_a_catalog_that_is_none_is_refused() -> None:
    """A row without its price is an error of whoever edits the file, not a model for nothing."""
    with pytest.raises(msgspec.ValidationError):
        Catalog.read('[[prices]]\nmodel = "a"\nfamily = "openai"\nid = "a"\noutput = "1"')


# --- the one that travels with the program -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "upstream", "price"),
    [
        ("bedrock/us.amazon.qwen3-next-80b-a3b-v1:0", "qwen.qwen3-next-80b-a3b", (0.15, 1.20)),
        ("us.amazon.qwen3-next-80b-a3b-v1:0", "qwen.qwen3-next-80b-a3b", (0.15, 1.20)),
        ("bedrock/us.anthropic.claude-sonnet-4-6-20250514", "us.anthropic.claude-sonnet-4-6", (3.30, 16.50)),
        ("us.anthropic.claude-sonnet-4-6-20250514", "us.anthropic.claude-sonnet-4-6", (3.30, 16.50)),
        ("global.anthropic.claude-sonnet-4-6", "global.anthropic.claude-sonnet-4-6", (3.0, 15.0)),
        ("claude-sonnet-4-6", "us.anthropic.claude-sonnet-4-6", (3.30, 16.50)),
        ("us-gov.anthropic.claude-sonnet-4-6", "us-gov.anthropic.claude-sonnet-4-6", None),
    ],
)
def test_literal_strings_of_deployments_arrive_at_bedrock(
    name: str, upstream: str, price: tuple[float, float] | None
) -> None:
    """What stands in people's settings is called by the id Bedrock has, and billed by its price."""
    known = found(name, "bedrock", catalog())
    assert (known.id, usd(known.price)) == (upstream, price)


def test_the_catalog_travels_with_the_program() -> None:
    """It is read once, and knows only families that providers can have."""
    assert catalog() is catalog()
    assert {family for entry in catalog().models.values() for family in entry.names} <= set(FAMILIES)


@pytest.mark.parametrize("family", ["openai", "anthropic", "bedrock", "openrouter"])
def test_ids_of_the_catalog_are_found_by_themselves(family: str) -> None:
    """Every id of a cloud means the model it stands under, and stays as it is."""
    for known in catalog().curated(family):
        again = found(known.id, family, catalog())
        assert (again.model, again.id, again.price) == (known.model, known.id, known.price)
