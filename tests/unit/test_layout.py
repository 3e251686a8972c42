"""Settings compiled: providers, models with their substitutes, lanes with their chains, tenants, and the names of all.

Problems of references and of names given twice stand here; those of keys and types in test_config.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import pytest

from laneway.chat import Card
from laneway.layout import Layout
from laneway.policy.names import Meaning
from laneway.route import FREE, Stage, Target, Tier
from tests.harness.layouts import layout, problems

AB = "[providers.a]\nurl = 'http://10.0.0.1/v1'\n[providers.b]\nurl = 'http://10.0.0.2/v1'\n"


def targets(found: Sequence[Target]) -> list[str]:
    return [target.name for target in found]


def meant(made: Layout, name: str) -> Meaning:
    meaning = made.names.meaning(name)
    assert meaning is not None
    return meaning


def go(made: Layout, name: str) -> list[str]:
    """Where a request for a name goes, in order."""
    return targets(meant(made, name).targets)


def lists(**ids: Sequence[str]) -> Mapping[str, Sequence[Card]]:
    """What each provider lists."""
    return {name: [Card(id=upstream, provider=name) for upstream in upstreams] for name, upstreams in ids.items()}


# --- providers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "tier"),
    [
        ("http://127.0.0.1:8081/v1", Tier.LOCAL),
        ("http://localhost:8081/v1", Tier.LOCAL),
        ("http://[::1]:8081/v1", Tier.LOCAL),
        ("http://192.168.0.110/v1", Tier.LOCAL),
        ("http://100.101.102.103/v1", Tier.LOCAL),
        ("http://studio.local/v1", Tier.LOCAL),
        ("http://studio.lan/v1", Tier.LOCAL),
        ("http://box.home.arpa/v1", Tier.LOCAL),
        ("http://llama:8080/v1", Tier.LOCAL),
        ("https://api.openai.com/v1", Tier.BALANCED),
        ("http://8.8.8.8/v1", Tier.BALANCED),
    ],
)
def test_the_address_tells_how_dear_a_provider_is(url: str, tier: Tier) -> None:
    """What can only be one's own is local, and free; the rest is not, unless somebody says so."""
    made = layout(f"[providers.a]\nurl = '{url}'\nmodels = ['x']")
    assert made.providers["a"].tier is tier
    assert meant(made, "x").targets[0].price == (FREE if tier is Tier.LOCAL else None)
    said = layout(f"[providers.a]\nurl = '{url}'\ntier = 'premium'\nmodels = ['x']")
    assert said.providers["a"].tier is Tier.PREMIUM
    assert meant(said, "x").targets[0].price is None


def test_bedrock_needs_no_address() -> None:
    """Its region says where it is: its own, else the one in the url, else the one of the environment."""
    made = layout(
        """
        [providers.here]
        dialect = "converse"
        [providers.there]
        dialect = "converse"
        region = "eu-west-1"
        [providers.written]
        dialect = "converse"
        url = "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com"
        [providers.keyed]
        dialect = "converse"
        api_key = "ABSK0123456789"
        """,
        region="ap-south-1",
    )
    assert {name: (provider.region, provider.origin) for name, provider in made.providers.items()} == {
        "here": ("ap-south-1", "https://bedrock-runtime.ap-south-1.amazonaws.com"),
        "there": ("eu-west-1", "https://bedrock-runtime.eu-west-1.amazonaws.com"),
        "written": ("us-gov-west-1", "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com"),
        "keyed": ("ap-south-1", "https://bedrock-runtime.ap-south-1.amazonaws.com"),
    }
    assert [provider.signing for provider in made.providers.values()] == ["aws", "aws", "aws", ""]
    assert made.providers["keyed"].headers == ((b"authorization", b"Bearer ABSK0123456789"),)
    assert {provider.tier for provider in made.providers.values()} == {Tier.BALANCED}
    assert not any(provider.lists for provider in made.providers.values())


def test_written_headers_win_over_the_key_s() -> None:
    """A header is sent once: what a person wrote replaces what the dialect would send."""
    made = layout(
        """
        [providers.a]
        dialect = "anthropic"
        url = "https://h.example"
        api_key = "key-0123456789"
        headers = { Anthropic-Version = "2030-01-01", X-Team = "kitchen" }
        """
    )
    headers = made.providers["a"].headers
    assert sorted(headers) == [
        (b"anthropic-version", b"2030-01-01"),
        (b"x-api-key", b"key-0123456789"),
        (b"x-team", b"kitchen"),
    ]


def test_a_provider_shows_no_key() -> None:
    """Providers are logged and compared; their headers are not shown."""
    made = layout("[providers.a]\nurl = 'http://h'\napi_key = 'key-0123456789'")
    assert "key-0123456789" not in repr(made.providers["a"])


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("", "url: is missing; write optional = true to leave the provider out instead"),
        ("url = 'h.example/v1'", "url: expected an http:// or https:// address with a host"),
        ("url = 'http://'", "url: expected an http:// or https:// address with a host"),
        ("url = 'http://h:99999'", "url: expected an http:// or https:// address with a host"),
        ("url = 'http://[::1'", "url: expected an http:// or https:// address with a host"),
        ("url = 'http://a b'", "url: expected an http:// or https:// address with a host"),
        ('url = "http://a\\n.b"', "url: expected an http:// or https:// address with a host"),
        ("url = 'http://me:secret@h'", "url: must not hold a user or password; use api_key or headers"),
        ("url = 'http://me@h'", "url: must not hold a user or password; use api_key or headers"),
        ("url = 'http://h/v1?key=x'", "url: must end with its path; what stands behind ? or # would not be sent"),
        ("url = 'http://h'\nfamily = 'opnrouter'", 'family: is no family of the catalogue; did you mean "openrouter"?'),
        ("dialect = 'converse'\nregion = 'EU West'", 'region: is no region; they look like "eu-central-1"'),
        ("url = 'http://h'\napi_key = 'a '", "api_key: holds a space at an end, a line break or another character"),
        ("url = 'http://h'\nheaders = { 'a b' = 'c' }", "headers: a name or a value in it holds a space at an end"),
        (
            'url = "http://h"\nheaders = { a = "c\\r\\nd: e" }',
            "headers: a name or a value in it holds a space at an end",
        ),
    ],
)
def test_a_provider_that_cannot_be_called_is_refused(lines: str, problem: str) -> None:
    """What would fail with every request fails before the first one."""
    [found] = problems(f"[providers.'a.b']\n{lines}")
    assert found.startswith(f'providers."a.b".{problem}')


def test_an_optional_provider_is_left_out_with_all_that_is_at_it() -> None:
    """One file serves a house with three machines and one with two."""
    made = layout(
        AB
        + """
        [providers.c]
        url = ""
        optional = true
        [models.gone]
        provider = "c"
        [models.both]
        targets = ["c/x", "a/x"]
        [models.replaced]
        provider = "c"
        substitute = "a/y"
        [lanes.l]
        targets = ["c/x", "gone", "a/x"]
        [lanes.m]
        targets = ["c/x"]
        chain = ["l"]
        """
    )
    assert list(made.providers) == ["a", "b"]
    assert go(made, "l") == go(made, "m") == ["a/x"]
    assert go(made, "both") == ["a/x"]
    assert go(made, "replaced") == ["a/y"]
    assert made.names.meaning("gone") is None
    assert made.names.meaning("c/x") is None


def test_a_lane_of_which_nothing_is_left_is_refused() -> None:
    """It would turn every request away."""
    text = "[providers.c]\noptional = true\n[lanes.l]\ntargets = ['c/x']"
    assert problems(text) == ["lanes.l.targets: every target of this lane is at a provider that is left out"]


# --- models ------------------------------------------------------------------------------------------------


def test_a_model_has_a_name_of_one_s_own() -> None:
    """It is called by its id at the provider, and asked for by its name and aliases in every spelling."""
    made = layout(AB + "[models.coder]\nprovider = 'a'\nid = 'Qwen3-Coder-30B'\naliases = ['c', 'Lib/C:latest']")
    for name in ("coder", "CODER", "coder:latest", "c", "lib/c"):
        assert go(made, name) == ["a/Qwen3-Coder-30B"]
        assert meant(made, name).targets[0].model == "coder"
    assert go(layout(AB + "[models.x]\nprovider = 'a'"), "x") == ["a/x"]


def test_what_a_person_wrote_wins_over_the_catalogue() -> None:
    """Facts left out come from the catalogue, those that are written replace it."""
    text = "[providers.o]\nurl = 'https://api.openai.com/v1'\n[models.m]\nprovider = 'o'\nid = 'gpt-4o'\n"
    plain = meant(layout(text), "m").targets[0]
    assert plain.price is not None
    assert plain.abilities is not None
    assert (plain.price.input, plain.window) == (2_500_000, 128_000)
    assert "tools" in plain.abilities
    written = meant(
        layout(
            text + "window = 5\noutput = 4\nabilities = ['json']\nkind = 'embed'\n"
            "price = { input = '0.1', output = 2, cache_read = 0, cache_write_5m = 0.5, cache_write_1h = '1e0' }\n"
        ),
        "m",
    ).targets[0]
    assert (written.window, written.output, written.abilities) == (5, 4, frozenset({"json"}))
    assert written.kind == "embed"
    price = written.price
    assert price is not None
    assert (price.input, price.output) == (100_000, 2_000_000)
    assert (price.cache_read, price.cache_write_5m, price.cache_write_1h) == (0, 500_000, 1_000_000)
    assert meant(layout(text + "price = 'free'"), "m").targets[0].price == FREE


@pytest.mark.parametrize("price", ["-1", "'x'", "nan", "inf", "1e30", "'1e999999999'", "'-0.1'", "'sNaN'", "''"])
def test_a_price_is_an_amount(price: str) -> None:
    """Neither below nothing, nor more than money counts, nor no number at all."""
    assert problems(AB + f"[models.m]\nprovider = 'a'\nprice = {{ input = {price}, output = 1 }}") == [
        "models.m.price.input: expected USD per million tokens, from 0 to 1000000"
    ]


def test_several_places_of_one_model_are_tried_in_order() -> None:
    """A place without an id has the model under its own name."""
    assert go(layout(AB + "[models.m]\ntargets = ['b/other', 'a']"), "m") == ["b/other", "a/m"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("", "models.m.provider: is missing (or targets)"),
        ("provider = 'a'\ntargets = ['b/x']", "models.m.targets: stands beside provider or id; write one or the other"),
        ("id = 'x'\ntargets = ['b/x']", "models.m.targets: stands beside provider or id; write one or the other"),
        ("provider = 'c'", 'models.m.provider: there is no provider "c"; known: a, b'),
        ("targets = ['a/x', 'bb/x']", 'models.m.targets[1]: there is no provider "bb"; did you mean "b"?'),
        (
            "provider = 'a'\nsubstitute = 'n'",
            'models.m.substitute: there is no model or target "n"; known: a/..., b/..., m',
        ),
        ("provider = 'a'\nsubstitute = 'c/n'", 'models.m.substitute: there is no model or target "c/n"; did you mean'),
    ],
)
def test_a_model_that_is_nowhere_is_refused(lines: str, problem: str) -> None:
    """A dangling reference is told where it stands."""
    [found] = problems(AB + f"[models.m]\n{lines}")
    assert found.startswith(problem)


# --- substitutes and sleep ---------------------------------------------------------------------------------

STAND_INS = (
    AB
    + """
    [models.big]
    provider = "a"
    substitute = "middle"
    [models.middle]
    provider = "b"
    substitute = "b/small"
    [models.round]
    provider = "a"
    substitute = "about"
    [models.about]
    provider = "b"
    substitute = "round"
    [models.into]
    provider = "a"
    substitute = "round"
    """
)


def test_a_substitute_stands_behind_its_model() -> None:
    """And the substitute's own behind it, whichever is written first; a circle ends."""
    made = layout(STAND_INS)
    assert go(made, "big") == ["a/big", "b/middle", "b/small"]
    assert go(made, "middle") == ["b/middle", "b/small"]
    assert go(made, "round") == ["a/round", "b/about"]
    assert go(made, "about") == ["b/about", "a/round"]
    assert go(made, "into") == ["a/into", "a/round", "b/about"]


def test_while_a_host_sleeps_its_models_move_to_their_substitutes() -> None:
    """Sleeping places come last, in their order, and first again when they wake; lanes keep the order they promise."""
    made = layout(STAND_INS + "[lanes.l]\ntargets = ['big']")
    made.hear({}, frozenset({"a"}))
    assert go(made, "big") == ["b/middle", "b/small", "a/big"]
    assert go(made, "round") == ["b/about", "a/round"]
    assert go(made, "l") == ["a/big", "b/middle", "b/small"]
    made.hear({}, frozenset({"a", "b"}))
    assert go(made, "big") == ["a/big", "b/middle", "b/small"]
    made.hear({}, frozenset())
    assert go(made, "big") == ["a/big", "b/middle", "b/small"]


# --- lists -------------------------------------------------------------------------------------------------


def test_what_providers_list_can_be_asked_for() -> None:
    """By its id, in every spelling, and at one provider by that one's name; who has it as well is tried next."""
    made = layout(AB)
    assert made.names.meaning("gemma3:4b") is None
    made.hear(lists(a=["gemma3:4b", "phi4:latest"], b=["Phi4", "qwen/qwen3"]), frozenset())
    assert go(made, "gemma3:4b") == ["a/gemma3:4b"]
    assert go(made, "phi4") == go(made, "library/PHI4") == ["a/phi4:latest", "b/Phi4"]
    assert go(made, "b/phi4") == ["b/Phi4"]
    assert go(made, "qwen/qwen3") == ["b/qwen/qwen3"]
    made.hear(lists(b=["gemma3:4b"]), frozenset())
    assert go(made, "gemma3:4b") == ["b/gemma3:4b"]
    assert made.names.meaning("phi4") is None


def test_sleeping_providers_come_last() -> None:
    """What a sleeping provider listed before can still be asked for, behind those that are awake."""
    made = layout(AB)
    both = lists(a=["x", "only-a"], b=["x"])
    made.hear(both, frozenset())
    assert go(made, "x") == ["a/x", "b/x"]
    made.hear(both, frozenset({"a"}))
    assert go(made, "x") == ["b/x", "a/x"]
    assert go(made, "only-a") == ["a/only-a"]


def test_one_s_own_models_win_over_lists() -> None:
    """A name in the file means what the file says, whatever a provider lists."""
    made = layout(AB + "[models.'x:latest']\nprovider = 'a'\nid = 'mine'")
    made.hear(lists(b=["x"]), frozenset())
    assert go(made, "x") == ["a/mine"]


def test_a_provider_that_tells_two_spellings_apart_has_two_models() -> None:
    """Each is reached by its own."""
    made = layout(AB)
    made.hear(lists(a=["Model", "model"]), frozenset())
    assert (go(made, "Model"), go(made, "model")) == (["a/Model"], ["a/model"])


def test_written_models_are_offered_without_a_list() -> None:
    """A cloud's chosen models by all their names, in whichever spelling; the rest of the cloud is not on offer."""
    made = layout(
        "[providers.r]\nurl = 'https://openrouter.ai/api/v1'\nlists = false\nmodels = ['anthropic/claude-sonnet-4.6']"
    )
    for name in ("anthropic/claude-sonnet-4.6", "claude-sonnet-4-6", "Claude-Sonnet-4.6"):
        assert go(made, name) == ["r/anthropic/claude-sonnet-4.6"]
    assert made.names.meaning("openai/gpt-5") is None


@pytest.mark.parametrize(
    ("lines", "name", "goes"),
    [
        ("url = 'https://api.openai.com/v1'", "gpt-4o", "p/gpt-4o"),
        ("url = 'https://api.openai.com/v1'", "openai/gpt-4o", "p/gpt-4o"),
        ("url = 'https://api.openai.com/v1'", "gpt-4o-2024-08-06", "p/gpt-4o-2024-08-06"),
        ("dialect = 'anthropic'\nurl = 'https://h'", "claude-sonnet-4.6", "p/claude-sonnet-4-6"),
        ("dialect = 'anthropic'\nurl = 'https://h'", "anthropic/claude-sonnet-4-6", "p/claude-sonnet-4-6"),
        ("dialect = 'converse'", "bedrock/us.amazon.qwen3-next-80b-a3b-v1:0", "p/qwen.qwen3-next-80b-a3b"),
        ("dialect = 'converse'", "us.amazon.qwen3-next-80b-a3b-v1:0", "p/qwen.qwen3-next-80b-a3b"),
        ("dialect = 'converse'", "bedrock/us.anthropic.claude-sonnet-4-6-20250514", "p/us.anthropic.claude-sonnet-4-6"),
        ("dialect = 'converse'", "claude-sonnet-4-6", "p/us.anthropic.claude-sonnet-4-6"),
        ("dialect = 'converse'", "bedrock/eu.anthropic.claude-sonnet-4-6", "p/eu.anthropic.claude-sonnet-4-6"),
        ("dialect = 'converse'", "bedrock/some.new-model-v1:0", "p/some.new-model-v1:0"),
        ("dialect = 'converse'", "p/bedrock/some.new-model-v1:0", "p/some.new-model-v1:0"),
        ("url = 'simulated://models'\nfamily = 'simulated'", "sim-small", "p/sim-small"),
    ],
)
def test_clouds_serve_what_the_catalogue_knows(lines: str, name: str, goes: str) -> None:
    """Without being asked, by every name of a model, each as the id that this cloud has for it."""
    assert go(layout(f"[providers.p]\n{lines}"), name)[0] == goes


def test_what_a_cloud_lists_is_what_it_serves() -> None:
    """A name on a provider's list goes there as it is, once, and not as a second model behind it."""
    made = layout("[providers.o]\nurl = 'https://api.openai.com/v1'")
    made.hear(lists(o=["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20"]), frozenset())
    assert go(made, "gpt-4o-2024-08-06") == ["o/gpt-4o-2024-08-06"]
    assert go(made, "gpt-4o-2024-11-20") == ["o/gpt-4o-2024-11-20"]
    assert go(made, "gpt-4o") == ["o/gpt-4o"]
    made.hear(lists(o=["openai/gpt-4o"]), frozenset())
    assert go(made, "openai/gpt-4o") == ["o/openai/gpt-4o"]
    assert meant(made, "openai/gpt-4o").targets[0].price == meant(made, "gpt-4o").targets[0].price


def test_one_s_own_machine_names_its_models_itself() -> None:
    """A tag of an Ollama host is never turned into another one, and what it has is free."""
    made = layout("[providers.o]\ndialect = 'ollama'\nurl = 'http://o:11434'")
    made.hear(lists(o=["gemma3:latest", "hf.co/someone/gemma-3-4b-it:Q4"]), frozenset())
    assert go(made, "gemma3") == ["o/gemma3:latest"]
    assert go(made, "hf.co/someone/gemma-3-4b-it:Q4") == ["o/hf.co/someone/gemma-3-4b-it:Q4"]
    assert meant(made, "gemma3").targets[0].price == FREE
    assert go(made, "o/phi4") == ["o/phi4"]


# --- prefixes ----------------------------------------------------------------------------------------------


def test_an_aggregator_gets_its_prefixes_whole() -> None:
    """`mistralai/...` is the aggregator's own id; a provider's name before a slash is the gateway's, and is cut."""
    made = layout(
        AB
        + "[providers.router]\nurl = 'https://openrouter.ai/api/v1'\nprefixes = ['mistralai/', 'Qwen/', 'anthropic/']\n"
        "[providers.own]\ndialect = 'anthropic'\nurl = 'https://api.anthropic.com'\naccepts = ['claude-*']\n"
    )
    assert go(made, "mistralai/mistral-new") == ["router/mistralai/mistral-new"]
    assert go(made, "qwen/qwen9") == ["router/qwen/qwen9"]
    assert go(made, "anthropic/claude-next") == ["router/anthropic/claude-next"]
    assert go(made, "anthropic/claude-sonnet-4.6") == ["own/claude-sonnet-4-6"]
    assert go(made, "openrouter/x-ai/grok") == go(made, "router/x-ai/grok") == ["router/x-ai/grok"]
    assert go(made, "own/claude-next") == go(made, "claude-next") == ["own/claude-next"]
    assert go(made, "a/library/x:latest") == ["a/library/x:latest"]
    assert made.names.meaning("x-ai/grok") is None


def test_a_listed_model_is_called_by_its_own_id_however_it_is_spelled_behind_a_prefix() -> None:
    """As without one; only where a provider tells two spellings apart, each is its own."""
    made = layout(AB)
    made.hear({"a": [Card(id="Gemma:8b"), Card(id="Phi"), Card(id="phi")]}, frozenset())
    for spelled in ("a/gemma:8b", "A/GEMMA:8B", "a/library/Gemma:8b", "a/Gemma:8b:latest"):
        assert go(made, spelled) == ["a/Gemma:8b"]
    assert (go(made, "a/Phi"), go(made, "a/phi")) == (["a/Phi"], ["a/phi"])
    assert go(made, "a/Unlisted:latest") == ["a/Unlisted:latest"]


# --- lanes -------------------------------------------------------------------------------------------------


def test_a_chain_follows_the_lane_it_is_written_in() -> None:
    """After a lane's own targets come those of the lanes it names, each once; their chains do not count."""
    made = layout(
        AB
        + """
        [lanes.premium]
        targets = ["a/p"]
        chain = ["balanced", "local"]
        [lanes.balanced]
        targets = ["a/m", "b/shared"]
        chain = ["local"]
        [lanes.local]
        targets = ["b/l", "b/shared"]
        chain = ["balanced"]
        [lanes.only]
        targets = ["b/o"]
        [lanes.through]
        chain = ["only"]
        """
    )
    assert {name: targets(lane.targets) for name, lane in made.lanes.items()} == {
        "premium": ["a/p", "a/m", "b/shared", "b/l"],
        "balanced": ["a/m", "b/shared", "b/l"],
        "local": ["b/l", "b/shared", "a/m"],
        "only": ["b/o"],
        "through": ["b/o"],
    }


def test_a_lane_says_how_it_is_to_be_treated() -> None:
    """Everything written in the table arrives; what is not has its default."""
    made = layout(
        AB
        + """
        [lanes.l]
        targets = ["a/x"]
        forces = false
        claims = ["x:4b"]
        run_only = true
        stage = "shadow"
        sticky = true
        badge = "Local"
        rescue = "hold"
        [lanes.plain]
        targets = ["a/x"]
        [lanes.class]
        forces = false
        """
    )
    lane, plain = made.lanes["l"], made.lanes["plain"]
    assert (lane.forces, lane.run_only, lane.stage) == (False, True, Stage.SHADOW)
    assert (lane.claims, lane.sticky, lane.badge) == (("x:4b",), True, "Local")
    assert (plain.forces, plain.run_only, plain.stage) == (True, False, Stage.ACTIVE)
    assert (plain.claims, plain.sticky, plain.badge) == ((), False, None)
    assert (lane.rescue, plain.rescue) == ("hold", "error")
    assert meant(made, "X:4B").lane is lane
    assert made.lanes["class"].targets == ()


def test_the_nearest_clock_wins() -> None:
    """A target's own limit, then its lane's, its model's, its provider's, the file's, and the usual one."""
    made = layout(
        """
        [timeouts]
        connect = 1
        headers = 10
        first_content = 100
        [providers.a]
        url = "http://a"
        timeouts = { connect = 2, headers = 20, first_content = 200 }
        [models.m]
        provider = "a"
        timeouts = { connect = 3, headers = 30 }
        [lanes.l]
        targets = ["m", { target = "m", timeouts = { connect = 5 } }, "a/x"]
        timeouts = { connect = 4 }
        """
    )

    def clocks(target: Target) -> tuple[float, ...]:
        found = target.clocks
        return (found.connect_s, found.headers_s, found.first_content_s, found.between_chunks_s)

    assert [clocks(target) for target in made.lanes["l"].targets] == [
        (4, 30, 200, 60),
        (5, 30, 200, 60),
        (4, 20, 200, 60),
    ]
    assert clocks(meant(made, "m").targets[0]) == (3, 30, 200, 60)
    assert made.providers["a"].clocks.connect_s == 2
    assert made.clocks.connect_s == 1


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("", "targets: a lane needs at least one target, or forces = false"),
        ("targets = ['a/x', 'c/x']", 'targets[1]: there is no model or target "c/x"; did you mean "'),
        ("targets = ['a']", 'targets[0]: there is no model or target "a"; known: a/..., b/...'),
        ("targets = ['']", 'targets[0]: there is no model or target ""; known: a/..., b/...'),
        ("targets = [{ target = 'zzzzzz' }]", 'targets[0].target: there is no model or target "zzzzzz"; known: '),
        ("targets = ['a/x']\nchain = ['m']", 'chain[0]: there is no lane "m"; known: l'),
    ],
)
def test_a_lane_that_leads_nowhere_is_refused(lines: str, problem: str) -> None:
    """Each reference with its path, and the nearest thing there is."""
    [found] = problems(AB + f"[lanes.l]\n{lines}")
    assert found.startswith(f"lanes.l.{problem}")


# --- tenants -----------------------------------------------------------------------------------------------


def test_a_tenant_has_keys_permissions_and_a_budget() -> None:
    """Keys rest as digests, with the end that a person may see; money is whole nano-USD."""
    secret = "client-0123456789-WXYZ"
    made = layout(
        AB
        + f"""
        [lanes.l]
        targets = ["a/x"]
        [tenants.home]
        keys = ["{secret}", "shorter-1"]
        lanes = ["l"]
        models = ["qwen*"]
        lane = "l"
        project = "kitchen"
        daily_usd = "0.25"
        [tenants.free]
        daily_usd = ""
        [tenants.none]
        daily_usd = 0
        """
    )
    tenant = made.tenants["home"]
    assert (tenant.lanes, tenant.models, tenant.lane) == (frozenset({"l"}), ("qwen*",), "l")
    assert (tenant.project, tenant.daily_nanos) == ("kitchen", 250_000_000)
    assert (made.tenants["free"].daily_nanos, made.tenants["none"].daily_nanos) == (None, 0)
    assert made.tenants["free"].lanes is None
    key = made.keys[hashlib.sha256(secret.encode()).digest()]
    assert (key.tenant, key.last4) == ("home", "WXYZ")
    assert secret not in repr(made.keys)
    assert [key.last4 for key in made.keys.values()] == ["WXYZ", ""]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("keys = ['short']", "keys[0]: a key needs at least 8 characters, all of them visible ASCII"),
        ("keys = ['']", "keys[0]: a key needs at least 8 characters, all of them visible ASCII"),
        ("keys = ['long enough to be one']", "keys[0]: a key needs at least 8 characters, all of them visible ASCII"),
        ("keys = ['schlüssel-123']", "keys[0]: a key needs at least 8 characters, all of them visible ASCII"),
        ("keys = ['0123456789', '0123456789']", 'keys[1]: this key already belongs to the tenant "t"'),
        ("lanes = ['k']", 'lanes[0]: there is no lane "k"; known: l, m'),
        ("lane = 'k'", 'lane: there is no lane "k"; known: l, m'),
        ("lanes = ['m']\nlane = 'l'", "lane: is not among the lanes that this tenant may use"),
        ("daily_usd = -1", "daily_usd: expected an amount in USD, from 0 to 1000000000"),
        ("daily_usd = 'five'", "daily_usd: expected an amount in USD, from 0 to 1000000000"),
        ("daily_usd = inf", "daily_usd: expected an amount in USD, from 0 to 1000000000"),
        ("daily_usd = 1e10", "daily_usd: expected an amount in USD, from 0 to 1000000000"),
    ],
)
def test_a_tenant_that_does_not_fit_is_refused(lines: str, problem: str) -> None:
    """A key nobody could send, a lane that is not there, an amount that is none."""
    lanes = "[lanes.l]\ntargets = ['a/x']\n[lanes.m]\ntargets = ['a/x']\n"
    assert problems(AB + lanes + f"[tenants.t]\n{lines}") == [f"tenants.t.{problem}"]


# --- names given twice -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[models.one]\nprovider = 'a'\naliases = ['x']\n[models.two]\nprovider = 'a'\naliases = ['y', 'X:latest']",
            'models.two.aliases[1]: the name "X:latest" is already taken by models.one.aliases[0]',
        ),
        (
            "[models.one]\nprovider = 'a'\n[models.two]\nprovider = 'a'\naliases = ['library/one']",
            'models.two.aliases[0]: the name "library/one" is already taken by models.one',
        ),
        (
            "[models.'q:latest']\nprovider = 'a'\n[models.Q]\nprovider = 'a'",
            'models.Q: the name "Q" is already taken by models."q:latest"',
        ),
        (
            "[lanes.fast]\ntargets = ['a/x']\n[models.fast]\nprovider = 'a'",
            'models.fast: the name "fast" is already taken by lanes.fast',
        ),
        (
            "[lanes.fast]\ntargets = ['a/x']\n[lanes.Fast]\ntargets = ['a/x']",
            'lanes.Fast: the name "Fast" is already taken by lanes.fast',
        ),
        (
            "[lanes.l]\ntargets = ['a/x']\nclaims = ['x:4b']\n[lanes.m]\ntargets = ['a/x']\nclaims = ['y', 'X:4b']",
            'lanes.m.claims[1]: the model "X:4b" is already taken by lanes.l.claims[0]',
        ),
        (
            "[lanes.l]\ntargets = ['a/x']\nclaims = ['m']\n[lanes.m]\ntargets = ['a/x']",
            'lanes.m: the model "m" is already taken by lanes.l.claims[0]',
        ),
        (
            "[providers]\nc = { url = 'http://c', prefixes = ['q/'] }\nd = { url = 'http://d', prefixes = ['Q/'] }",
            'providers.d.prefixes[0]: the prefix "Q/" is already taken by providers.c.prefixes[0]',
        ),
    ],
)
def test_a_name_is_given_once(text: str, problem: str) -> None:
    """However it is spelled: nobody could say which of the two is meant."""
    assert problem in problems(AB + text)


def test_one_thing_may_have_a_name_twice() -> None:
    """A model may spell its alias in two ways, and a lane may claim the model it serves."""
    model = "[models.x]\nprovider = 'a'\naliases = ['X', 'x:latest']\n"
    made = layout(AB + model + "[lanes.l]\ntargets = ['x']\nclaims = ['x', 'X', 'l']")
    assert meant(made, "x").lane is made.lanes["l"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('[lanes."a\\nb"]\ntargets = ["a/x"]', 'lanes."a\\nb"'),
        ('[lanes." "]\ntargets = ["a/x"]', 'lanes." "'),
        ('[models."\\u001b[2J"]\nprovider = "a"', 'models."\\x1b[2J"'),
        ('[models.m]\nprovider = "a"\naliases = [""]', "models.m.aliases[0]"),
        ('[lanes.l]\ntargets = ["a/x"]\nclaims = ["x\\t"]', "lanes.l.claims[0]"),
        ('[tenants.""]\nlane = ""', 'tenants.""'),
        ('[providers."x\\u007f"]\nurl = "http://x"', 'providers."x\\x7f"'),
        ('[providers.c]\nurl = "http://x"\nprefixes = [""]', "providers.c.prefixes[0]"),
    ],
)
def test_a_name_can_be_spoken(text: str, path: str) -> None:
    """Names end in headers and on terminals: an empty one, or one with a control character, is refused."""
    assert problems(AB + text) == [
        f"{path}: is no name: it is empty, or holds a line break or another control character"
    ]


@pytest.mark.parametrize("name", ["a/b", "a b"])
def test_a_provider_s_name_stands_before_a_slash(name: str) -> None:
    """`provider/id` is cut at the first one."""
    assert problems(f"[providers.'{name}']\nurl = 'http://h'") == [
        f'providers."{name}": holds a "/" or a space; targets are written provider/id'
    ]
