"""The deployments in config/: each loads with the variables its comments name, and means what its comments say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest

from laneway import bundle
from laneway.config import ConfigError
from laneway.layout import Layout
from laneway.loaded import load
from laneway.route import Lane, Tier
from laneway.settings import Settings, Timeouts

AWS = {"AWS_ACCESS_KEY_ID": "AKIA0123456789ABCDEF", "AWS_SECRET_ACCESS_KEY": "s" * 40}
BROKER = {"BROKER_CLIENT_KEY": "client-0123456789", "OPENROUTER_API_KEY": "sk-or-0123456789"}


def text(name: str) -> str:
    return bundle.read(f"config/{name}.toml").decode()


def layout(name: str, variables: Mapping[str, str]) -> Layout:
    return load(bundle.path(f"config/{name}.toml"), variables).layout


def places(lane: Lane) -> list[str]:
    return [target.name for target in lane.targets]


def go(made: Layout, name: str) -> list[str]:
    """Where a request for a name goes, in order."""
    meaning = made.names.meaning(name)
    assert meaning is not None
    return [target.name for target in meaning.targets]


@pytest.mark.parametrize("name", ["alaska", "broker"])
def test_every_variable_is_explained(name: str) -> None:
    """What a deployment reads from the environment stands in the comments at its top."""
    top, _, rest = text(name).partition("\n[server]")
    read = set(re.findall(r"\$\{([A-Z_]+)", rest))
    explained = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", top))
    if "ALASKA_OPENAI_{BASE_URL,MODEL,API_KEY}_{CLOUD_BALANCED,CLOUD_PREMIUM}" in top:
        lanes = ("CLOUD_BALANCED", "CLOUD_PREMIUM")
        explained |= {f"ALASKA_OPENAI_{what}_{lane}" for what in ("BASE_URL", "MODEL", "API_KEY") for lane in lanes}
    assert read <= explained


# --- laneway.toml ------------------------------------------------------------------------------------------


def in_force(commented: str) -> str:
    """The file with its examples in force: the `#` taken away from tables, keys, and lists that go on."""
    return re.sub(r'(?m)^# (?=\[|[a-z][a-z_0-9-]* += |  ["{]|\])', "", commented)


def test_the_default_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commented file means the same as no file at all."""
    monkeypatch.chdir(tmp_path)
    nothing, default = load(None, {}).layout, layout("laneway", {})
    usual = {"connect": 5.0, "headers": 300.0, "first_content": 120.0, "between_chunks": 60.0}
    assert msgspec.to_builtins(default.settings.timeouts) == usual
    assert msgspec.structs.replace(default.settings, timeouts=nothing.settings.timeouts) == nothing.settings
    assert default.clocks == nothing.clocks
    assert default.providers == nothing.providers


def test_the_examples_in_the_default_are_right(tmp_path: Path) -> None:
    """With the `#` taken away, its examples are a configuration without a problem."""
    file = tmp_path / "laneway.toml"
    file.write_text(in_force(text("laneway")), "utf-8")
    made = load(file, {"LANEWAY_CLIENT_KEY": "client-0123456789"}).layout
    assert places(made.lanes["fast"]) == ["studio/qwen3-coder-30b", "studio/gemma-3-12b", "studio/gemma-3-4b"]
    assert list(made.tenants) == ["default"]


def test_the_default_shows_every_key() -> None:
    """No table and no setting is missing from it, in force or as an example."""
    shown = tomllib.loads(in_force(text("laneway")))
    assert list(missing(Settings, shown)) == []
    del shown["lanes"]["fast"]["claims"], shown["providers"]["studio"]["headers"], shown["server"]["port"]
    assert list(missing(Settings, shown)) == ["server.port", "providers.*.headers", "lanes.*.claims"]


def missing(kind: type[msgspec.Struct], table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Keys of a struct that a table lacks, in it and in the tables of tables below; time limits are shown once."""
    for field in msgspec.structs.fields(kind):
        name, value = f"{path}{field.encode_name}", table.get(field.encode_name)
        if value is None:
            yield name
        elif field.type is not Timeouts or not path:
            of = get_args(field.type)[1] if get_origin(field.type) is dict else field.type
            inner, below = (next(iter(value.values())), "*.") if of is not field.type else (value, "")
            if isinstance(of, type) and issubclass(of, msgspec.Struct):
                yield from missing(of, inner, f"{name}.{below}")


# --- alaska.toml -------------------------------------------------------------------------------------------


def test_alaska_needs_credentials_only() -> None:
    """Three lanes, each with a chain of its own, at prices that are known; nothing slides into premium."""
    made = layout("alaska", AWS)
    local, balanced, premium = (
        "local/gemma-3-4b-it",
        "balanced/qwen.qwen3-next-80b-a3b",
        "premium/us.anthropic.claude-sonnet-4-6",
    )
    assert {name: places(lane) for name, lane in made.lanes.items()} == {
        "local-fast": [local, balanced],
        "cloud-balanced": [balanced, local],
        "cloud-premium": [premium, balanced, local],
    }
    targets = made.lanes["cloud-premium"].targets
    assert [target.provider.tier for target in targets] == [Tier.PREMIUM, Tier.BALANCED, Tier.LOCAL]
    assert [(target.price.input, target.price.output) for target in targets if target.price is not None] == [
        (3_300_000, 16_500_000),
        (150_000, 1_200_000),
        (0, 0),
    ]
    assert [lane.badge for lane in made.lanes.values()] == ["Local", "Cloud", "Cloud premium"]
    for name in ("balanced", "premium"):
        assert made.providers[name].signing == "aws"
        assert made.providers[name].origin == "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert targets[2].clocks.first_content_s > 32
    for lane in made.lanes:
        assert go(made, lane) == places(made.lanes[lane])


def test_alaska_takes_the_variables_of_its_lanes() -> None:
    """Addresses, models and keys from the environment, models as they are written for other programs."""
    made = layout(
        "alaska",
        {
            "ALASKA_OPENAI_BASE_URL_LOCAL_FAST": "http://127.0.0.1:9/v1",
            "ALASKA_OPENAI_MODEL_LOCAL_FAST": "qwen3:8b",
            "ALASKA_OPENAI_API_KEY_LOCAL_FAST": "local-0123456789",
            "ALASKA_OPENAI_BASE_URL_CLOUD_BALANCED": "http://127.0.0.1:10",
            "ALASKA_OPENAI_MODEL_CLOUD_BALANCED": "bedrock/us.amazon.qwen3-next-80b-a3b-v1:0",
            "ALASKA_OPENAI_API_KEY_CLOUD_BALANCED": "ABSK0123456789",
            "ALASKA_OPENAI_MODEL_CLOUD_PREMIUM": "bedrock/us.anthropic.claude-sonnet-4-6-20250514",
            "AWS_REGION": "eu-central-1",
        },
    )
    assert places(made.lanes["cloud-premium"]) == [
        "premium/us.anthropic.claude-sonnet-4-6",
        "balanced/qwen.qwen3-next-80b-a3b",
        "local/qwen3:8b",
    ]
    assert made.providers["local"].origin == "http://127.0.0.1:9"
    assert made.providers["local"].headers == ((b"authorization", b"Bearer local-0123456789"),)
    assert (made.providers["balanced"].origin, made.providers["balanced"].signing) == ("http://127.0.0.1:10", "")
    assert made.providers["premium"].origin == "https://bedrock-runtime.eu-central-1.amazonaws.com"
    assert {provider.tier for provider in made.providers.values()} == {Tier.LOCAL, Tier.BALANCED, Tier.PREMIUM}


# --- broker.toml -------------------------------------------------------------------------------------------


def test_the_broker_needs_two_keys() -> None:
    """The apps' key and the aggregator's; both are asked for at once, and the optional machines are not."""
    with pytest.raises(ConfigError) as caught:
        layout("broker", {})
    assert [problem.path for problem in caught.value.problems] == [
        "providers.openrouter.api_key",
        "tenants.home.keys[0]",
    ]
    made = layout("broker", BROKER)
    assert list(made.providers) == ["attic", "studio", "openrouter"]
    assert [(key.tenant, key.last4) for key in made.keys.values()] == [("home", "6789")]
    assert made.tenants["home"].daily_nanos == 5_000_000_000


def test_the_broker_s_models_move_while_their_machine_sleeps() -> None:
    """To another machine that has them, and to a cloud model whose price is known, so that a budget lets it through."""
    made = layout("broker", BROKER | {"BROKER_LAPTOP_URL": "http://laptop.local:11434"})
    stand_in = "openrouter/google/gemma-3-12b-it"
    assert go(made, "gemma3:4b") == go(made, "fast") == ["attic/gemma3:4b", "laptop/gemma3:4b", stand_in]
    made.hear({}, frozenset({"attic"}))
    assert go(made, "gemma3:4b") == ["laptop/gemma3:4b", stand_in, "attic/gemma3:4b"]
    assert go(made, "qwen3:8b")[0] == "laptop/gemma3:4b"
    made.hear({}, frozenset({"attic", "laptop", "studio"}))
    assert go(made, "coder")[0] == "openrouter/qwen/qwen3-coder"
    for name in made.settings.models:
        meaning = made.names.meaning(name)
        assert meaning is not None
        assert all(target.price is not None for target in meaning.targets), name


def test_the_broker_is_one_list_with_a_cloud_behind_it() -> None:
    """Chosen cloud models, whatever the machines have, and any name with one of the aggregator's prefixes, whole."""
    made = layout("broker", BROKER)
    assert go(made, "claude-sonnet-4-6") == ["openrouter/anthropic/claude-sonnet-4.6"]
    for name in ("mistralai/anything", "qwen/anything", "anthropic/anything", "openai/anything"):
        assert go(made, name) == [f"openrouter/{name}"]
    assert made.names.meaning("x-ai/anything") is None
    provider = made.providers["openrouter"]
    assert (b"authorization", b"Bearer sk-or-0123456789") in provider.headers
    assert not provider.lists
    chosen = made.settings.providers["openrouter"].models
    for name in chosen:
        meaning = made.names.meaning(name)
        assert meaning is not None
        assert meaning.targets[0].price is not None, name
    assert [provider.tier for provider in made.providers.values()] == [Tier.LOCAL, Tier.LOCAL, Tier.BALANCED]
