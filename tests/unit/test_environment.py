"""What the environment offers when nobody wrote a configuration, and what it changes when somebody did."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import laneway
from laneway.config import ConfigError, Problem
from laneway.environment import OURS, offered, overlaid, region_of, shown, timeout_scale
from laneway.layout import Layout
from laneway.loaded import Loaded, load
from laneway.route import Tier
from laneway.settings import ProviderTable, Settings, Timeouts

KEY = "sk-0123456789abcdef-WXYZ"
AWS = {"AWS_ACCESS_KEY_ID": "AKIA0123456789ABWXYZ", "AWS_SECRET_ACCESS_KEY": "never-to-be-seen-0123456789"}

LOCAL = {
    "ALASKA_OPENAI_BASE_URL_LOCAL_FAST": "http://127.0.0.1:8081/v1",
    "ALASKA_OPENAI_API_KEY_LOCAL_FAST": "local-0123456789-WXYZ",
    "ALASKA_OPENAI_MODEL_LOCAL_FAST": "gemma-3-4b-it",
    "ALASKA_OPENAI_PROVIDER_LOCAL_FAST": "LM Studio",
}
BALANCED = {
    "ALASKA_OPENAI_MODEL_CLOUD_BALANCED": "bedrock/us.amazon.qwen3-next-80b-a3b-v1:0",
    "ALASKA_OPENAI_PROVIDER_CLOUD_BALANCED": "Bedrock",
}
PREMIUM = {
    "ALASKA_OPENAI_MODEL_CLOUD_PREMIUM": "bedrock/us.anthropic.claude-sonnet-4-6-20250514",
    "ALASKA_OPENAI_PROVIDER_CLOUD_PREMIUM": "Bedrock",
}
ALASKA = LOCAL | BALANCED | PREMIUM | AWS


def loaded(environment: Mapping[str, str]) -> Loaded:
    return load(None, environment)


def layout(environment: Mapping[str, str]) -> Layout:
    return loaded(environment).layout


def provider(environment: Mapping[str, str], name: str) -> ProviderTable:
    found = offered(environment)
    assert found.problems == ()
    return found.settings.providers[name]


def problems(environment: Mapping[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(environment)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture(autouse=True)
def no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A laneway.toml beside the tests would be found."""
    monkeypatch.chdir(tmp_path)


# --- nothing, and one thing --------------------------------------------------------------------------------


def test_nothing_at_all_is_served_by_simulated_models() -> None:
    """A first run needs no key: models of different skill and price answer, and the line says why."""
    found = loaded({})
    assert found.found == (
        'no provider found -> simulated models, and "auto", which learned from bundled examples to choose among them',
    )
    assert found.layout.settings.learning.primer
    assert list(found.layout.providers) == ["simulated"]
    assert found.layout.providers["simulated"].origin == "simulated://models"
    names = found.layout.names
    for name in ("sim-small", "sim-large-slow-20ms", "simulated/sim-echo"):
        meaning = names.meaning(name)
        assert meaning is not None
        assert meaning.targets[0].provider.name == "simulated"
    assert names.meaning("gpt-4o") is None


@pytest.mark.parametrize(
    ("variable", "name", "dialect", "url"),
    [
        ("OPENAI_API_KEY", "openai", "openai", "https://api.openai.com/v1"),
        ("ANTHROPIC_API_KEY", "anthropic", "anthropic", "https://api.anthropic.com"),
        ("OPENROUTER_API_KEY", "openrouter", "openai", "https://openrouter.ai/api/v1"),
    ],
)
def test_a_key_brings_its_provider(variable: str, name: str, dialect: str, url: str) -> None:
    """The key goes to the provider it is for; a person sees its last four characters and no more."""
    found = loaded({variable: KEY})
    made = found.layout.providers[name]
    assert list(found.layout.providers) == [name]
    assert (made.dialect, made.origin + made.path, made.tier) == (dialect, url, Tier.BALANCED)
    assert any(KEY.encode() in value for _, value in made.headers)
    assert found.found == (f"{variable} (...WXYZ) -> provider {name}",)


@pytest.mark.parametrize(
    ("variable", "written", "called"),
    [
        ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1/", "http://127.0.0.1:9/v1"),
        ("OPENAI_BASE_URL", "https://h.example/v1beta/openai/", "https://h.example/v1beta/openai"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9/v1", "http://127.0.0.1:9"),
        ("OPENROUTER_BASE_URL", "http://127.0.0.1:9/api/v1", "http://127.0.0.1:9/api/v1"),
    ],
)
def test_another_address_is_called_as_its_own_client_would(variable: str, written: str, called: str) -> None:
    """Anthropic's clients add the version to their base url themselves, the others expect it there; it is told."""
    name = variable.partition("_")[0].lower()
    found = loaded({f"{name.upper()}_API_KEY": KEY, variable: written})
    made = found.layout.providers[name]
    assert made.origin + made.path == called
    assert found.found == (f"{name.upper()}_API_KEY (...WXYZ) -> provider {name} at {written.rstrip('/')}",)


def test_keys_lose_the_line_end_of_their_file() -> None:
    """`KEY=$(cat file)` in some shells, and files of variables, leave a line end behind."""
    assert provider({"OPENAI_API_KEY": f" {KEY}\n"}, "openai").api_key == KEY


@pytest.mark.parametrize(
    ("secret", "seen"),
    [("sk-0123456789", "...6789"), ("123456789012", "...9012"), ("12345678901", "(set)"), ("x", "(set)")],
)
def test_of_a_key_the_end_is_shown(secret: str, seen: str) -> None:
    """Four characters of a long key; of a short one they would be too much of it."""
    assert shown(secret) == seen


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("http://192.168.0.110:11434", "http://192.168.0.110:11434"),
        ("http://192.168.0.110:11434/", "http://192.168.0.110:11434"),
        ("192.168.0.110", "http://192.168.0.110:11434"),
        ("192.168.0.110:8000", "http://192.168.0.110:8000"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:11435", "http://127.0.0.1:11435"),
        (":11435", "http://127.0.0.1:11435"),
        ("attic.local", "http://attic.local:11434"),
        ("http://attic.local", "http://attic.local"),
        ("https://ollama.example", "https://ollama.example"),
        ("https://h.example/ollama/", "https://h.example/ollama"),
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434"),
        ("http://127.0.0.1:11434/api", "http://127.0.0.1:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("[::]:8000", "http://[::1]:8000"),
        (" 10.0.0.1\n", "http://10.0.0.1:11434"),
    ],
)
def test_an_ollama_is_found_however_it_is_written(written: str, url: str) -> None:
    """OLLAMA_HOST is read as Ollama reads it: a port where no scheme stands, and the address it listens on."""
    for variable in ("OLLAMA_HOST", "OLLAMA_URL"):
        assert provider({variable: written}, "ollama").url == url
        assert offered({variable: written}).lines == (f"{variable} -> provider ollama at {url}",)
    made = layout({"OLLAMA_HOST": written}).providers["ollama"]
    assert (made.dialect, made.tier, made.lists) == ("ollama", Tier.LOCAL, True)


def test_several_ollamas_stand_beside_each_other() -> None:
    """OLLAMA_URL goes before OLLAMA_HOST, which a server on the same machine may need; two more have their own."""
    found = offered(
        {
            "OLLAMA_HOST": "0.0.0.0",
            "OLLAMA_URL": "http://a:1",
            "OLLAMA_SECONDARY_URL": "http://b:2",
            "OLLAMA_FALLBACK_URL": "http://c:3",
        }
    )
    urls = {name: table.url for name, table in found.settings.providers.items()}
    assert urls == {"ollama": "http://a:1", "ollama-secondary": "http://b:2", "ollama-fallback": "http://c:3"}


@pytest.mark.parametrize(
    ("credentials", "line"),
    [
        (AWS, "AWS_ACCESS_KEY_ID (...WXYZ) -> provider bedrock in us-east-1"),
        ({"AWS_BEARER_TOKEN_BEDROCK": KEY}, "AWS_BEARER_TOKEN_BEDROCK (...WXYZ) -> provider bedrock in us-east-1"),
        ({"AWS_PROFILE": "work"}, "AWS_PROFILE work -> provider bedrock in us-east-1"),
        (AWS | {"AWS_PROFILE": "work"}, "AWS_PROFILE work -> provider bedrock in us-east-1"),
        (AWS | {"AWS_REGION": "eu-west-1\n"}, "AWS_ACCESS_KEY_ID (...WXYZ) -> provider bedrock in eu-west-1"),
        (AWS | {"AWS_DEFAULT_REGION": "eu-west-3"}, "AWS_ACCESS_KEY_ID (...WXYZ) -> provider bedrock in eu-west-3"),
        (
            AWS | {"AWS_DEFAULT_REGION": "eu-west-3", "AWS_REGION": "eu-west-1"},
            "AWS_ACCESS_KEY_ID (...WXYZ) -> provider bedrock in eu-west-1",
        ),
    ],
)
def test_aws_credentials_bring_bedrock(credentials: dict[str, str], line: str) -> None:
    """Calls are signed for the region the environment names, and the line says whose credentials are used."""
    found = loaded(credentials)
    assert found.found == (line,)
    made = found.layout.providers["bedrock"]
    region = line.rpartition(" ")[2]
    assert (made.dialect, made.signing, made.region) == ("converse", "aws", region)
    assert made.origin == f"https://bedrock-runtime.{region}.amazonaws.com"
    assert made.headers == ()
    assert region_of(credentials) == region


def test_half_a_pair_of_credentials_brings_nothing() -> None:
    """An access key without its secret signs nothing."""
    assert list(layout({"AWS_ACCESS_KEY_ID": "AKIA0123456789ABCDEF"}).providers) == ["simulated"]


def test_all_that_is_there_is_used_together() -> None:
    """Each variable adds its provider, and a line of its own; none shows its secret."""
    environment = AWS | {
        "OPENAI_API_KEY": KEY,
        "ANTHROPIC_API_KEY": KEY,
        "OPENROUTER_API_KEY": KEY,
        "OLLAMA_HOST": "attic",
    }
    found = loaded(environment)
    assert list(found.layout.providers) == ["openai", "anthropic", "openrouter", "ollama", "bedrock"]
    assert len(found.found) == 5
    assert KEY not in "".join(found.found)
    assert AWS["AWS_SECRET_ACCESS_KEY"] not in "".join(found.found)


def test_a_file_with_providers_is_all_there_is(tmp_path: Path) -> None:
    """Keys in the environment add nothing to providers somebody wrote down."""
    file = tmp_path / "mine.toml"
    file.write_text("[providers.a]\nurl = 'http://a'\n")
    found = load(file, {"OPENAI_API_KEY": KEY})
    assert list(found.layout.providers) == ["a"]
    assert found.found == ()


def test_a_file_without_providers_builds_on_the_environment(tmp_path: Path) -> None:
    """Lanes of a file may name what the environment offers, and stand beside the environment's own lanes."""
    file = tmp_path / "mine.toml"
    file.write_text(
        "[lanes.smart]\ntargets = ['openai/gpt-4o']\n[lanes.local-fast]\ntargets = ['openai/gpt-4o-mini']\n"
    )
    made = load(file, {"OPENAI_API_KEY": KEY} | LOCAL).layout
    assert [target.name for target in made.lanes["smart"].targets] == ["openai/gpt-4o"]
    assert [target.name for target in made.lanes["local-fast"].targets] == ["openai/gpt-4o-mini"]


# --- three lanes -------------------------------------------------------------------------------------------


def test_three_lanes_come_from_the_environment_alone() -> None:
    """Each lane has its own url, key, model and provider, and is asked for by its name."""
    made = layout(ALASKA)
    own = {name: lane.targets[0] for name, lane in made.lanes.items()}
    assert {name: target.name for name, target in own.items()} == {
        "local-fast": "lm-studio/gemma-3-4b-it",
        "cloud-balanced": "bedrock/qwen.qwen3-next-80b-a3b",
        "cloud-premium": "bedrock-cloud-premium/us.anthropic.claude-sonnet-4-6",
    }
    assert {name: target.provider.tier.value for name, target in own.items()} == {
        "local-fast": "local",
        "cloud-balanced": "balanced",
        "cloud-premium": "premium",
    }
    local = own["local-fast"].provider
    assert (local.dialect, local.origin, local.path) == ("openai", "http://127.0.0.1:8081", "/v1")
    assert local.headers == ((b"authorization", b"Bearer local-0123456789-WXYZ"),)
    for name in own:
        meaning = made.names.meaning(name)
        assert meaning is not None
        assert (meaning.is_lane, meaning.lane) == (True, made.lanes[name])
    assert [lane.badge for lane in made.lanes.values()] == ["Local", "Cloud", "Cloud premium"]


@pytest.mark.parametrize(
    ("start", "chain"),
    [
        ("local-fast", ["local", "balanced"]),
        ("cloud-balanced", ["balanced", "local"]),
        ("cloud-premium", ["premium", "balanced", "local"]),
    ],
)
def test_each_lane_has_its_own_chain(start: str, chain: list[str]) -> None:
    """What is tried after a lane depends on where a request began, and nothing leads up into premium."""
    assert [target.provider.tier.value for target in layout(ALASKA).lanes[start].targets] == chain


@pytest.mark.parametrize(
    ("there", "chains"),
    [
        (LOCAL, {"local-fast": ["local"]}),
        (LOCAL | PREMIUM, {"local-fast": ["local"], "cloud-premium": ["premium", "local"]}),
        (BALANCED, {"cloud-balanced": ["balanced"]}),
        (LOCAL | BALANCED, {"local-fast": ["local", "balanced"], "cloud-balanced": ["balanced", "local"]}),
    ],
)
def test_a_lane_that_is_not_there_is_skipped(there: dict[str, str], chains: dict[str, list[str]]) -> None:
    """One or two lanes work alone; local never finds its way to premium, even where nothing else is left."""
    lanes = layout(there | AWS).lanes
    assert {name: [target.provider.tier.value for target in lane.targets] for name, lane in lanes.items()} == chains


def test_bedrock_is_called_directly() -> None:
    """A `bedrock/...` model of the provider Bedrock needs no sidecar: it is signed and called at AWS, with the id and
    the price that Bedrock has for it."""
    made = layout(ALASKA | {"AWS_REGION": "eu-central-1"})
    balanced, premium = (made.lanes[name].targets[0] for name in ("cloud-balanced", "cloud-premium"))
    for target in (balanced, premium):
        assert target.provider.origin == "https://bedrock-runtime.eu-central-1.amazonaws.com"
        assert (target.provider.dialect, target.provider.signing) == ("converse", "aws")
        assert target.provider.region == "eu-central-1"
        assert target.price is not None
    assert balanced.price is not None
    assert premium.price is not None
    assert (balanced.price.input, balanced.price.output) == (150_000, 1_200_000)
    assert (premium.price.input, premium.price.output) == (3_300_000, 16_500_000)


@pytest.mark.parametrize(
    ("url", "origin", "region"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9", "us-west-2"),
        ("http://127.0.0.1:9/v1/", "http://127.0.0.1:9", "us-west-2"),
        (
            "https://bedrock-runtime.ap-south-1.amazonaws.com",
            "https://bedrock-runtime.ap-south-1.amazonaws.com",
            "ap-south-1",
        ),
    ],
)
def test_bedrock_may_be_somewhere_else(url: str, origin: str, region: str) -> None:
    """An endpoint of one's own is called as it is; one that names a region is signed for that one."""
    environment = ALASKA | {"ALASKA_OPENAI_BASE_URL_CLOUD_BALANCED": url, "AWS_REGION": "us-west-2"}
    made = layout(environment).lanes["cloud-balanced"].targets[0].provider
    assert (made.origin, made.path, made.region, made.signing) == (origin, "", region, "aws")


@pytest.mark.parametrize(
    ("key", "credentials", "sent"),
    [
        ("sidecar-0123456789", AWS, False),
        ("sidecar-0123456789", {"AWS_PROFILE": "work"}, False),
        ("sidecar-0123456789", {}, True),
        ("ABSKabcdefghijklmnop", AWS, True),
        ("bedrock-api-key-abcdefgh", AWS, True),
    ],
)
def test_a_key_left_from_a_sidecar_signs_nothing(key: str, credentials: dict[str, str], sent: bool) -> None:
    """Where AWS credentials are at hand they are used, unless the key is one that Bedrock itself gave."""
    environment = BALANCED | credentials | {"ALASKA_OPENAI_API_KEY_CLOUD_BALANCED": key}
    made = layout(environment).lanes["cloud-balanced"].targets[0].provider
    assert bool(made.headers) is sent
    assert (made.signing == "aws") is not sent


@pytest.mark.parametrize(
    ("provider_name", "url", "dialect", "address", "model"),
    [
        ("OpenAI", "", "openai", "https://api.openai.com/v1", "gpt-4o"),
        ("OpenRouter", "", "openai", "https://openrouter.ai/api/v1", "qwen/qwen3-coder"),
        ("Anthropic", "", "anthropic", "https://api.anthropic.com", "claude-sonnet-4-6"),
        ("Ollama", "", "ollama", "http://127.0.0.1:11434", "gemma3:4b"),
        ("ollama", "http://attic:11434/", "ollama", "http://attic:11434", "gemma3:4b"),
        ("Ollama", "http://attic:11434/v1", "openai", "http://attic:11434/v1", "gemma3:4b"),
        ("LiteLLM", "http://127.0.0.1:4000/v1", "openai", "http://127.0.0.1:4000/v1", "bedrock/us.anthropic.claude"),
        ("", "http://127.0.0.1:4000", "openai", "http://127.0.0.1:4000/v1", "library/x:latest"),
    ],
)
def test_a_lane_may_be_anywhere(provider_name: str, url: str, dialect: str, address: str, model: str) -> None:
    """The provider's name says how it is spoken to; the model goes there as it is written, slashes and all."""
    made = layout(
        {
            "ALASKA_OPENAI_PROVIDER_CLOUD_BALANCED": provider_name,
            "ALASKA_OPENAI_BASE_URL_CLOUD_BALANCED": url,
            "ALASKA_OPENAI_MODEL_CLOUD_BALANCED": model,
        }
    )
    [target] = made.lanes["cloud-balanced"].targets
    assert (target.provider.dialect, target.provider.origin + target.provider.path) == (dialect, address)
    assert (target.provider.tier, target.upstream) == (Tier.BALANCED, model)


def test_a_bedrock_model_without_a_provider_goes_to_bedrock() -> None:
    """The prefix says enough where no provider is named."""
    [target] = (
        layout({"ALASKA_OPENAI_MODEL_CLOUD_PREMIUM": "bedrock/amazon.nova-lite-v1:0"}).lanes["cloud-premium"].targets
    )
    assert (target.provider.dialect, target.upstream) == ("converse", "amazon.nova-lite-v1:0")


def test_lanes_at_one_place_are_two_providers() -> None:
    """The same address twice is two tiers: a limit, a breaker or a bill of the one is none of the other."""
    same = {f"{name[: -len('LOCAL_FAST')]}CLOUD_BALANCED": value for name, value in LOCAL.items()}
    assert list(layout(LOCAL | same).providers) == ["lm-studio", "lm-studio-cloud-balanced"]


def test_lanes_stand_beside_other_providers() -> None:
    """A lane at OpenAI does not take the place of the provider that OPENAI_API_KEY brings."""
    made = layout(
        {
            "OPENAI_API_KEY": KEY,
            "ALASKA_OPENAI_PROVIDER_CLOUD_PREMIUM": "OpenAI",
            "ALASKA_OPENAI_API_KEY_CLOUD_PREMIUM": "sk-another-0123456789",
            "ALASKA_OPENAI_MODEL_CLOUD_PREMIUM": "gpt-4o",
        }
    )
    assert list(made.providers) == ["openai", "openai-cloud-premium"]


def test_what_was_found_is_told_without_its_keys() -> None:
    """A line for each lane: where it goes, and with which credentials."""
    lines = loaded(ALASKA).found
    assert lines == (
        "ALASKA_OPENAI_*_LOCAL_FAST -> lane local-fast: gemma-3-4b-it at provider lm-studio, with key ...WXYZ",
        (
            "ALASKA_OPENAI_*_CLOUD_BALANCED -> lane cloud-balanced: bedrock/us.amazon.qwen3-next-80b-a3b-v1:0 "
            "at provider bedrock, with AWS_ACCESS_KEY_ID (...WXYZ)"
        ),
        (
            "ALASKA_OPENAI_*_CLOUD_PREMIUM -> lane cloud-premium: bedrock/us.anthropic.claude-sonnet-4-6-20250514 at "
            "provider bedrock-cloud-premium, with AWS_ACCESS_KEY_ID (...WXYZ)"
        ),
    )


def test_a_lane_without_its_model_is_told() -> None:
    """An address alone makes no lane, and the person who set it learns why."""
    found = loaded({"ALASKA_OPENAI_BASE_URL_LOCAL_FAST": "http://127.0.0.1:8081/v1"})
    assert found.layout.lanes == {}
    assert "ALASKA_OPENAI_*_LOCAL_FAST -> no lane: ALASKA_OPENAI_MODEL_LOCAL_FAST is not set" in found.found


# --- variables that cannot be used -------------------------------------------------------------------------


def test_a_problem_names_the_variable_it_came_from() -> None:
    """Nobody wrote a `providers.ollama.url`: OLLAMA_URL is what has to be mended. All of them at once."""
    secret = "hunter2-hunter2"
    found = problems(
        {
            "OLLAMA_URL": f"http://me:{secret}@attic:11434",
            "OPENAI_API_KEY": "sk-0123456789\nabc",
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": "api.anthropic.com",
            "ALASKA_OPENAI_MODEL_LOCAL_FAST": "gemma",
            "ALASKA_OPENAI_MODEL_CLOUD_PREMIUM": "m",
            "ALASKA_OPENAI_BASE_URL_CLOUD_PREMIUM": "ftp://h",
            "AWS_REGION": "eu west",
            "LANEWAY_TIMEOUTS": "conect=1, headers=soon,first_content=nan",
            "LANEWAY_TIMEOUT_SCALE": "fast",
            "LANEWAY_OPEN": "maybe",
        }
        | AWS
    )
    names = "connect, headers, first_content, between_chunks"
    assert found == [
        "ALASKA_OPENAI_BASE_URL_CLOUD_PREMIUM: expected an http:// or https:// address with a host",
        "ALASKA_OPENAI_BASE_URL_LOCAL_FAST: is missing",
        "ANTHROPIC_BASE_URL: expected an http:// or https:// address with a host",
        'AWS_REGION: is no region; they look like "eu-central-1"',
        'LANEWAY_OPEN: expected "true" or "false", got "maybe"',
        f'LANEWAY_TIMEOUTS: "conect=1" is not NAME=SECONDS with a name of: {names}',
        f'LANEWAY_TIMEOUTS: "first_content=nan" is not NAME=SECONDS with a name of: {names}',
        f'LANEWAY_TIMEOUTS: "headers=soon" is not NAME=SECONDS with a name of: {names}',
        'LANEWAY_TIMEOUT_SCALE: expected a number above 0, got "fast"',
        "OLLAMA_URL: must not hold a user or password; use api_key or headers",
        "OPENAI_API_KEY: holds a space at an end, a line break or another character that cannot be sent in a header",
    ]
    assert secret not in "".join(found)


def test_bytes_that_are_no_text_are_refused() -> None:
    """An environment may hold anything; what cannot be sent is told, and nothing falls over."""
    assert problems({"OPENAI_API_KEY": "sk-\udcff-0123456789"})[0].startswith("OPENAI_API_KEY: holds")


# --- LANEWAY_* ---------------------------------------------------------------------------------------------


def over(environment: Mapping[str, str], settings: Settings | None = None) -> tuple[Settings, list[Problem]]:
    wrong: list[Problem] = []
    return overlaid(settings or Settings(), environment, wrong), wrong


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    """Where state rests, and who administers, may differ between two machines with one file."""
    file = tmp_path / "mine.toml"
    file.write_text("[server]\nstore = 'memory:'\nadmin_key = 'from-the-file'\n[timeouts]\nconnect = 9\nheaders = 8\n")
    environment = {
        "LANEWAY_STORE": "sqlite:///elsewhere.db",
        "LANEWAY_ADMIN_KEY": "from-the-environment",
        "LANEWAY_TIMEOUTS": "connect=1",
        "LANEWAY_OPEN": "true",
    }
    made = load(file, environment).layout.settings
    assert (made.server.store, made.server.admin_key) == ("sqlite:///elsewhere.db", "from-the-environment")
    assert (made.server.open, made.timeouts) == (True, Timeouts(connect=1, headers=8))
    plain = load(file, {}).layout.settings
    assert (plain.server.store, plain.server.admin_key, plain.server.open) == ("memory:", "from-the-file", False)


@pytest.mark.parametrize(
    ("written", "opened"), [("1", True), ("true", True), (" YES ", True), ("on", True), ("", False), ("False", False)]
)
def test_a_switch_is_read_as_people_write_it(written: str, opened: bool) -> None:
    """Yes and no in the usual spellings; anything else is a problem rather than a no."""
    settings, wrong = over({"LANEWAY_OPEN": written})
    assert (settings.server.open, wrong) == (opened, [])


def test_default_clocks_come_from_one_variable() -> None:
    """LANEWAY_TIMEOUTS sets what no narrower table says; what it leaves out stays."""
    settings, wrong = over({"LANEWAY_TIMEOUTS": "connect=1, headers=3,first_content=3.5,between_chunks=4,"})
    assert wrong == []
    assert settings.timeouts == Timeouts(connect=1, headers=3, first_content=3.5, between_chunks=4)
    assert over({"LANEWAY_TIMEOUTS": ""}, settings)[0].timeouts == settings.timeouts
    assert over({"LANEWAY_TIMEOUTS": "headers=9"}, settings)[0].timeouts.headers == 9
    assert over({"LANEWAY_TIMEOUTS": "headers=9"}, settings)[0].timeouts.connect == 1


def test_every_clock_is_scaled(tmp_path: Path) -> None:
    """LANEWAY_TIMEOUT_SCALE makes a test of minutes one of seconds, whichever table a clock comes from."""
    file = tmp_path / "mine.toml"
    file.write_text(
        """
        [timeouts]
        headers = 50
        [providers.a]
        url = "http://a"
        timeouts = { connect = 10 }
        [lanes.l]
        targets = [{ target = "a/x", timeouts = { first_content = 45 } }, "a/y"]
        """
    )
    found = load(file, {"LANEWAY_TIMEOUT_SCALE": "0.02"})
    first, second = found.layout.lanes["l"].targets
    assert found.scale == 0.02
    assert (first.clocks.connect_s, first.clocks.headers_s, first.clocks.first_content_s) == (0.2, 1.0, 0.9)
    assert second.clocks.first_content_s == pytest.approx(120 * 0.02)
    assert found.layout.providers["a"].clocks.connect_s == 0.2


@pytest.mark.parametrize("text", ["0", "-1", "x", "nan", "inf", "1e9"])
def test_a_scale_is_a_number_above_nothing(text: str) -> None:
    """A clock of no time, or of none that ends, would break every call."""
    wrong: list[Problem] = []
    assert timeout_scale({"LANEWAY_TIMEOUT_SCALE": text}, wrong) == 1.0
    assert [problem.path for problem in wrong] == ["LANEWAY_TIMEOUT_SCALE"]


def test_without_a_scale_time_is_time() -> None:
    """Unset and empty mean 1, and the usual limit lets a local model answer that takes 32 s."""
    for environment in ({}, {"LANEWAY_TIMEOUT_SCALE": ""}):
        assert loaded(environment).scale == 1.0
    assert layout({}).clocks.first_content_s > 32
    assert layout({}).clocks.headers_s > 32


# --- which file --------------------------------------------------------------------------------------------


def test_a_file_is_found_in_three_ways(tmp_path: Path) -> None:
    """The one that is named, else LANEWAY_CONFIG, else laneway.toml here, else none."""
    assert loaded({}).path is None
    (tmp_path / "laneway.toml").write_text("[server]\nport = 1\n")
    other, named = tmp_path / "other.toml", tmp_path / "named.toml"
    other.write_text("[server]\nport = 2\n")
    named.write_text("[server]\nport = 3\n")
    variables = {"LANEWAY_CONFIG": str(other)}
    ports = [
        load(path, env).layout.settings.server.port for path, env in ((None, {}), (None, variables), (named, variables))
    ]
    assert ports == [1, 2, 3]


# --- variables of ours that say nothing --------------------------------------------------------------------


def test_a_variable_that_says_nothing_is_told_with_what_may_have_been_meant(tmp_path: Path) -> None:
    variables = {"LANEWAY_ADMINKEY": "secret-0001", "LANEWAY_PORT": "9000", "LANEWAY_OPEN": "1", "LANEWAY_MINE": "x"}
    path = tmp_path / "laneway.toml"
    path.write_text('[server]\nadmin_key = "${LANEWAY_MINE}"\n')
    told = load(path, variables).found
    meant, known = (line.partition(", but there is no such variable after LANEWAY_; ") for line in told[-2:])
    assert (meant[0], meant[2]) == ("LANEWAY_ADMINKEY is set", 'did you mean "ADMIN_KEY"?')
    assert (known[0], known[2]) == ("LANEWAY_PORT is set", f"known: {', '.join(OURS)}")
    assert len([line for line in told if line.startswith("LANEWAY_")]) == 2
    assert "secret" not in str(told)


def test_what_kubernetes_says_of_a_service_of_our_name_is_none_of_ours() -> None:
    given = {"LANEWAY_PORT": "tcp://10.0.0.1:80", "LANEWAY_PORT_80_TCP_ADDR": "10.0.0.1", "LANEWAY_SERVICE_HOST": "h"}
    assert loaded(given).found == loaded({}).found


def test_every_variable_that_is_heard_is_known() -> None:
    """Whichever the sources read by its name."""
    read = re.compile(r'(?:environment|variables|environ)(?:\.get\(|\[)"LANEWAY_(\w+)"')
    sources = Path(laneway.__file__).parent.rglob("*.py")
    names = {name for source in sources for name in read.findall(source.read_text())}
    assert names - {"KEY", "LOOPBACK"} == set(OURS)
