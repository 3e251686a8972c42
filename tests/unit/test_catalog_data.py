"""The catalog as data: its shape, and what must hold between its rows.

Owns: the closed lists (families, abilities, kinds), the figures the project promises, and the laws a price list obeys.
Refuses: how the catalog is loaded and merged with a configuration; that has its own tests.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
import pytest

from laneway.policy.price import per_million
from laneway.upstream.simulated.models import MODELS

CATALOG = Path(__file__).parents[2] / "config" / "catalog.toml"
REGIONS = ("us.", "eu.", "global.", "apac.", "jp.", "au.")
UNCACHED = {"openai/gpt-3.5-turbo", "openai/gpt-4", "openai/gpt-4-turbo"}
"""Models of OpenAI that were made before it had a cache; the `-pro` models have none by design."""

TYPED = """
claude-3-haiku-20240307 claude-3-5-sonnet-20241022 claude-3-5-haiku-latest claude-3-7-sonnet-20250219
claude-sonnet-4-0 claude-opus-4-1 claude-sonnet-4-5 claude-haiku-4-5 claude-opus-4-6 claude-sonnet-4-6
anthropic/claude-sonnet-4-6 gpt-4o gpt-4o-mini gpt-4.1 gpt-4.1-mini gpt-4.1-nano o3 o4-mini gpt-5 gpt-5-mini
gpt-5-nano text-embedding-3-small text-embedding-3-large google/gemini-2.5-pro mistralai/mistral-large-2512
qwen/qwen3-coder deepseek/deepseek-v3.2 meta-llama/llama-3.3-70b-instruct x-ai/grok-4.3 moonshotai/kimi-k2.5
z-ai/glm-5 amazon.titan-embed-text-v2:0 cohere.embed-multilingual-v3 us.amazon.nova-pro-v1:0
openai.gpt-oss-120b-1:0 gemma3:4b gemma3:12b qwen2.5-coder:7b qwen2.5:14b qwen3:8b phi4 llama3.1:8b llama3.2
mistral deepseek-r1:7b deepseek-r1:14b gpt-oss:20b bge-m3 nomic-embed-text mxbai-embed-large
"""
"""What people type, as the vendors' pages spell it."""

Family: TypeAlias = Literal["openai", "anthropic", "bedrock", "openrouter", "ollama", "simulated"]
Ability: TypeAlias = Literal[
    "tools", "vision", "json", "schema", "prefill", "thinking", "logprobs", "cache", "documents", "embed"
]
Usd: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9]\d*)(\.\d+)?$")]
Id: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
Tokens: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class Above(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    window: Tokens
    input: Usd
    output: Usd


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    family: Family
    id: Id
    input: Usd
    output: Usd
    source: Annotated[str, msgspec.Meta(pattern=r"^(?!https?:)\S.*\S$")]
    as_of: Annotated[str, msgspec.Meta(pattern=r"^20\d\d-(0[1-9]|1[0-2])$")]
    cache_read: Usd | None = None
    cache_write_5m: Usd | None = None
    cache_write_1h: Usd | None = None
    above: Above | None = None
    batch: Usd | None = None

    def __str__(self) -> str:
        return f"{self.family} {self.id}"


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    names: dict[Family, Id]
    aliases: list[Id]
    window: Tokens
    output: Annotated[int, msgspec.Meta(ge=0)]
    abilities: list[Ability]
    kind: Literal["chat", "embed"]
    vendor: Annotated[str, msgspec.Meta(min_length=1)]


class Catalog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: dict[Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]+/[a-z0-9._-]+$")], Model]
    prices: list[Row]


@cache
def catalog() -> Catalog:
    """The file, checked against the shape above: unknown keys and abilities, floats and odd ids fail here."""
    return msgspec.convert(tomllib.loads(CATALOG.read_text("utf-8")), Catalog)


def meanings(name: str) -> list[str]:
    """The models that a string stands for."""
    return [
        key
        for key, model in catalog().models.items()
        if name == key or name in model.aliases or name in model.names.values()
    ]


def price(family: Family, upstream: str) -> Row:
    [row] = [row for row in catalog().prices if (row.family, row.id) == (family, upstream)]
    return row


def without_region(upstream: str) -> str:
    for region in REGIONS:
        upstream = upstream.removeprefix(region)
    return upstream


def test_every_name_of_a_model_means_one_model() -> None:
    """No alias is given twice, and none is the id or the name of another model."""
    owners: dict[str, set[str]] = {}
    for key, model in catalog().models.items():
        assert len(set(model.aliases)) == len(model.aliases), key
        assert key not in model.aliases, f"{key} needs no alias to itself"
        for name in {key, *model.aliases, *model.names.values()}:
            owners.setdefault(name.lower(), set()).add(key)
    assert {name: keys for name, keys in owners.items() if len(keys) > 1} == {}


def test_upstream_ids_are_unique_within_a_family() -> None:
    """Two models never share an upstream id, not even in different regions."""
    ids = [
        (family, without_region(name)) for model in catalog().models.values() for family, name in model.names.items()
    ]
    assert [twice for twice, count in Counter(ids).items() if count > 1] == []


def test_every_model_can_be_asked_for_somewhere() -> None:
    """A model has a name at some provider, and limits that fit each other."""
    for key, model in catalog().models.items():
        assert model.names, key
        assert model.output <= model.window, key
        assert len(set(model.abilities)) == len(model.abilities), key
        if "openrouter" in model.names:
            assert model.names["openrouter"] == key, "ids here are the aggregator's, so that either spelling works"


def test_embedding_models_only_embed() -> None:
    """A model that makes vectors does nothing else, answers no tokens and bills none."""
    for key, model in catalog().models.items():
        if model.kind == "embed":
            assert model.abilities == ["embed"], key
            assert model.output == 0, key
        else:
            assert "embed" not in model.abilities, key
            assert model.output > 0, key
    for row in catalog().prices:
        if catalog().models[row.model].kind == "embed":
            assert Decimal(row.output) == 0, str(row)


def test_every_price_belongs_to_a_model_by_its_name() -> None:
    """A row's id is the model's name at that family; at Bedrock the region prefix may differ."""
    for row in catalog().prices:
        assert row.model in catalog().models, str(row)
        name = catalog().models[row.model].names.get(row.family)
        assert name is not None, str(row)
        if row.family == "bedrock":
            assert without_region(row.id) == without_region(name), str(row)
        else:
            assert row.id == name, str(row)


def test_every_id_is_priced_once() -> None:
    """Two rows for one id would make the bill depend on their order."""
    ids = Counter((row.family, row.id) for row in catalog().prices)
    assert [twice for twice, count in ids.items() if count > 1] == []


@pytest.mark.parametrize(
    ("upstream", "model", "usd_in", "usd_out"),
    [
        ("qwen.qwen3-next-80b-a3b", "qwen/qwen3-next-80b-a3b-instruct", "0.15", "1.20"),
        ("us.anthropic.claude-sonnet-4-6", "anthropic/claude-sonnet-4.6", "3.30", "16.50"),
        ("global.anthropic.claude-sonnet-4-6", "anthropic/claude-sonnet-4.6", "3", "15"),
    ],
)
def test_promised_figures_at_bedrock(upstream: str, model: str, usd_in: str, usd_out: str) -> None:
    """The ids that deployments already bill by cost exactly this."""
    row = price("bedrock", upstream)
    assert (row.model, row.input, row.output) == (model, usd_in, usd_out)


@pytest.mark.parametrize(
    ("typed", "bedrock"),
    [
        ("bedrock/us.amazon.qwen3-next-80b-a3b-v1:0", "qwen.qwen3-next-80b-a3b"),
        ("bedrock/us.anthropic.claude-sonnet-4-6-20250514", "us.anthropic.claude-sonnet-4-6"),
    ],
)
def test_ids_that_were_never_right_still_arrive(typed: str, bedrock: str) -> None:
    """Strings that stand in people's settings, though Bedrock never had them, mean the model they were meant for."""
    [key] = meanings(typed)
    assert catalog().models[key].names["bedrock"] == bedrock


@pytest.mark.parametrize("typed", TYPED.split())
def test_what_people_type_is_known(typed: str) -> None:
    """The ids of the current families, as their documentation spells them, each mean one model."""
    assert len(meanings(typed)) == 1


def test_local_models_are_free() -> None:
    """Whatever runs on one's own machine is priced, at nothing."""
    local = [row for row in catalog().prices if row.family == "ollama"]
    named = {model.names["ollama"] for model in catalog().models.values() if "ollama" in model.names}
    assert {row.id for row in local} == named
    for row in local:
        assert (row.input, row.output) == ("0", "0"), str(row)
        assert (row.cache_read, row.cache_write_5m, row.above, row.batch) == (None, None, None, None), str(row)


def test_nothing_else_is_free() -> None:
    """A price of zero at a provider would let a budget leak; an unknown price is left out instead."""
    for row in catalog().prices:
        if row.family not in ("ollama", "simulated"):
            assert Decimal(row.input) > 0, str(row)
            assert Decimal(row.output) > 0 or catalog().models[row.model].kind == "embed", str(row)


def test_cache_prices_are_there_where_a_cache_is() -> None:
    """Anthropic's rows price reads and both writes; OpenAI's price reads, but for the few models without a cache."""
    for row in catalog().prices:
        if row.family == "anthropic":
            assert None not in (row.cache_read, row.cache_write_5m, row.cache_write_1h), str(row)
        if row.family == "openai" and catalog().models[row.model].kind == "chat":
            without = row.model in UNCACHED or row.model.endswith("-pro")
            assert (row.cache_read is None) is without, str(row)
        if row.cache_read is not None:
            assert "cache" in catalog().models[row.model].abilities, str(row)


def test_cache_prices_are_in_their_order() -> None:
    """Reading a cache costs less than the prompt, writing it at least as much, and keeping it longer more."""
    for row in catalog().prices:
        if row.cache_read is not None:
            assert Decimal(row.cache_read) < Decimal(row.input), str(row)
        if row.cache_write_5m is not None:
            assert Decimal(row.cache_write_5m) >= Decimal(row.input), str(row)
        if row.cache_write_1h is not None:
            assert Decimal(row.cache_write_1h) > Decimal(row.cache_write_5m or row.input), str(row)


def test_long_prompts_cost_more() -> None:
    """A price above a window is dearer, and the model takes prompts that long."""
    for row in catalog().prices:
        if row.above is not None:
            assert row.above.window < catalog().models[row.model].window, str(row)
            assert Decimal(row.above.input) > Decimal(row.input), str(row)
            assert Decimal(row.above.output) > Decimal(row.output), str(row)


def test_batch_jobs_cost_less() -> None:
    """A batch factor is a discount."""
    for row in catalog().prices:
        if row.batch is not None:
            assert 0 < Decimal(row.batch) < 1, str(row)


def test_regional_profiles_cost_at_least_the_global_one() -> None:
    """Staying inside a region is never cheaper than letting Bedrock choose one."""
    rows = [row for row in catalog().prices if row.family == "bedrock"]
    world = {without_region(row.id): Decimal(row.input) for row in rows if row.id.startswith("global.")}
    assert world
    for row in rows:
        assert Decimal(row.input) >= world.get(without_region(row.id), Decimal(0)), str(row)


def test_the_simulated_models_are_the_provider_s_own() -> None:
    """What the catalog says of them is what the simulated provider charges and can do."""
    rows = {row.id: row for row in catalog().prices if row.family == "simulated"}
    assert set(rows) == set(MODELS)
    for name, made in MODELS.items():
        said = catalog().models[f"simulated/{name}"]
        assert (said.window, said.kind) == (made.window, made.kind)
        assert set(said.abilities) - {"embed"} == set(made.abilities)
        assert (per_million(rows[name].input), per_million(rows[name].output)) == (made.price.input, made.price.output)
