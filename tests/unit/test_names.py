"""What a model name means, in which order it is understood, and what is suggested for one that means nothing."""

from __future__ import annotations

import pytest

from laneway.policy.names import MOST_MADE, MOST_NAME, Meaning, Names, Prefix, spelling
from laneway.route import Lane, Provider, Target


def target(provider: str, upstream: str, model: str = "") -> Target:
    place = Provider(name=provider, dialect="openai", origin=f"http://{provider}")
    return Target(provider=place, model=model or upstream, upstream=upstream)


def prefix(text: str, provider: str, *, cut: str = "") -> Prefix:
    return Prefix(text, cut, lambda upstream, name: target(provider, upstream, name))


LOCAL = Lane(name="local-fast", targets=(target("studio", "gemma"),), forces=True, claims=("gemma3:4b", "Legacy/Model"))
CLOUD = Lane(name="cloud", targets=(target("cloud", "big"),))
NAMES = Names(
    lanes={"local-fast": LOCAL, "cloud": CLOUD},
    models={
        "qwen3:8b": (target("attic", "qwen3:8b"),),
        "gemma3:4b": (target("attic", "gemma3:4b"),),
        "phi4": (target("attic", "phi4:latest"),),
        "anthropic/known": (target("own", "known"),),
        "Case": (target("one", "Case"),),
        "case": (target("two", "case"),),
        "cloud": (target("attic", "cloud"),),
    },
    prefixes=[
        prefix("anthropic/", "aggregator"),
        prefix("mistralai/", "aggregator"),
        prefix("mistralai/special-", "special"),
        prefix("studio/", "studio", cut="studio/"),
    ],
    patterns=[prefix("gpt-*", "openai"), prefix("?*/?*", "aggregator")],
)


def meant(name: str, names: Names = NAMES) -> Meaning:
    meaning = names.meaning(name)
    assert meaning is not None
    return meaning


def first(name: str) -> tuple[str, str]:
    """Where a name goes first, and under which id."""
    found = meant(name).targets[0]
    return found.provider.name, found.upstream


# --- order -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("cloud", ("cloud", "big")),
        ("qwen3:8b", ("attic", "qwen3:8b")),
        ("anthropic/known", ("own", "known")),
        ("anthropic/claude-sonnet-4.6", ("aggregator", "anthropic/claude-sonnet-4.6")),
        ("mistralai/mistral-large", ("aggregator", "mistralai/mistral-large")),
        ("mistralai/special-7b", ("special", "mistralai/special-7b")),
        ("studio/gemma3:4b", ("studio", "gemma3:4b")),
        ("studio/qwen/qwen3", ("studio", "qwen/qwen3")),
        ("gpt-4o", ("openai", "gpt-4o")),
        ("x-ai/grok", ("aggregator", "x-ai/grok")),
    ],
)
def test_a_name_is_understood_in_one_order(name: str, place: tuple[str, str]) -> None:
    """A lane first, then the exact id, then the longest prefix, then patterns in the order they are written."""
    assert first(name) == place


def test_a_lane_is_asked_for_by_its_name() -> None:
    """It brings its whole chain, and the request is known to have asked for the lane."""
    meaning = meant("local-fast")
    assert (meaning.lane, meaning.targets, meaning.is_lane) == (LOCAL, LOCAL.targets, True)


def test_a_claimed_model_brings_its_lane() -> None:
    """Callers who know nothing of lanes arrive in the right one; the model stays what they asked for."""
    meaning = meant("gemma3:4b")
    assert (meaning.lane, meaning.is_lane) == (LOCAL, False)
    assert meaning.targets == (target("attic", "gemma3:4b"),)


@pytest.mark.parametrize("name", ["GEMMA3:4B", "library/gemma3:4b", "legacy/model", "Legacy/Model:latest"])
def test_a_claim_holds_in_every_spelling(name: str) -> None:
    """Capital letters, `library/` and `:latest` are no way around a lane."""
    assert meant(name).lane is LOCAL


def test_a_claim_nobody_serves_goes_to_the_lane_s_own_targets() -> None:
    """A lane may claim a name that no provider has (any more)."""
    assert meant("legacy/model").targets == LOCAL.targets


# --- spelling ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "one"),
    [
        ("Qwen2.5:14B", "qwen2.5:14b"),
        ("library/phi4:latest", "phi4"),
        ("phi4:latest", "phi4"),
        ("phi4", "phi4"),
        ("phi4:14b", "phi4:14b"),
        ("my/library/phi4", "my/library/phi4"),
        ("", ""),
    ],
)
def test_spellings_that_mean_the_same(written: str, one: str) -> None:
    """Ollama's default tag and library, and letter case, change nothing; another tag is another model."""
    assert spelling(written) == one


@pytest.mark.parametrize("name", ["phi4", "PHI4", "phi4:latest", "library/phi4", "Library/Phi4:LATEST"])
def test_a_model_is_found_in_every_spelling(name: str) -> None:
    """The id that is called is the provider's own."""
    assert first(name) == ("attic", "phi4:latest")


def test_the_exact_spelling_goes_first() -> None:
    """Where two models differ in letter case only, each is reached by its own."""
    assert first("Case") == ("one", "Case")
    assert first("case") == ("two", "case")
    assert first("CASE") == ("one", "Case")


@pytest.mark.parametrize("name", ["Anthropic/Claude-X", "MISTRALAI/Mistral-Large", "STUDIO/Gemma"])
def test_a_prefix_is_found_in_every_case_and_the_rest_is_kept(name: str) -> None:
    """A provider may tell letters apart in its ids: they arrive as they were typed."""
    upstream = first(name)[1]
    assert upstream in (name, name.partition("/")[2])


# --- nothing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "nobody", "studio/", "mistralai", "gpt", "anthropic"])
def test_an_unknown_name_means_nothing(name: str) -> None:
    """A prefix needs a model behind it, and nothing is guessed."""
    assert NAMES.meaning(name) is None


@pytest.mark.parametrize(
    "name", ["studio/a\nb", "studio/a\r\nx: y", "gpt-\x00", "x/\x1b[2J", "x/\u202eabc", "x/\udcff"]
)
def test_a_name_that_could_break_a_header_means_nothing(name: str) -> None:
    """Names that callers make up become header values and paths: control characters never get through a prefix."""
    assert NAMES.meaning(name) is None


def test_a_name_without_end_means_nothing() -> None:
    """Long names are not kept, nor sent on."""
    assert NAMES.meaning("studio/" + "x" * MOST_NAME) is None
    assert NAMES.meaning("x" * 1_000_000) is None
    assert first("studio/" + "x" * (MOST_NAME - 7))[0] == "studio"


def test_an_empty_table_knows_nothing() -> None:
    """A room mounted alone may have no names at all."""
    assert Names().meaning("x") is None
    assert Names().nearest("x") == []


# --- memory ------------------------------------------------------------------------------------------------


def test_a_made_up_name_is_made_once() -> None:
    """The target of a name that only a prefix knows is the same object for the next request."""
    assert meant("studio/once") is meant("studio/once")


def test_made_up_names_do_not_fill_the_memory() -> None:
    """Callers choose them, so only so many are remembered; the others work all the same."""
    made: list[str] = []

    def make(upstream: str, name: str) -> Target:
        made.append(name)
        return target("studio", upstream, name)

    names = Names(prefixes=[Prefix("studio/", "studio/", make)])
    for number in range(MOST_MADE + 10):
        assert names.meaning(f"studio/{number}") is not None
    for number in (0, MOST_MADE - 1, MOST_MADE, MOST_MADE + 9):
        assert meant(f"studio/{number}", names).targets[0].upstream == str(number)
    assert len(made) == MOST_MADE + 10 + 2


# --- nearest -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("qwen3:9b", "qwen3:8b"),
        ("library/QWEN3:8", "qwen3:8b"),
        ("local-fats", "local-fast"),
        ("anthropic/knwon", "anthropic/known"),
    ],
)
def test_the_nearest_names_are_suggested(name: str, near: str) -> None:
    """As the providers spell them, the likeliest first, lanes among them."""
    assert NAMES.nearest(name)[0] == near


def test_few_names_are_suggested() -> None:
    """A person can read three; what looks like nothing gets none, and a name without end is cut before."""
    names = Names(models={f"model-{number}": (target("a", "x"),) for number in range(100)})
    assert len(names.nearest("model-1")) == 3
    assert len(names.nearest("model-1", most=1)) == 1
    assert NAMES.nearest("zzzzzzzzzz") == []
    assert NAMES.nearest("z" * 1_000_000) == []
