"""Laws of configurations: whatever stands in a file, a person gets a plan or a list of problems, nothing else."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, get_args, get_origin

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from laneway.config import ConfigError, Problem, joined, read
from laneway.layout import Layout
from laneway.loaded import catalog, load
from laneway.policy.names import spelling
from laneway.settings import Settings

Place: TypeAlias = tuple[str | int, ...]
"""Where in a file: keys of tables and positions in lists."""

WHOLE: dict[str, Any] = {
    "server": {"port": 8080, "cors": ["*"]},
    "timeouts": {"connect": 1},
    "providers": {
        "a": {"url": "http://a/v1", "headers": {"x-team": "t"}, "timeouts": {"headers": 2.5}, "prefixes": ["q/"]},
        "odd.name": {"dialect": "converse", "region": "eu-west-1"},
    },
    "models": {"m:4b": {"provider": "a", "price": {"input": "1"}, "timeouts": {}}, "n": {"targets": ["a/x"]}},
    "lanes": {"l": {"targets": ["m:4b", {"target": "a/x", "timeouts": {"connect": 3}}], "timeouts": {}}},
    "tenants": {"t": {"keys": ["0123456789"], "lanes": ["l"]}},
    "denials": {"d": {"providers": ["a"], "from_parameters": "14B"}},
    "breaker": {"timeouts": 3},
}
"""A good configuration in which every kind of table stands."""

FREE = {*((name,) for name in ("providers", "models", "lanes", "tenants", "denials")), ("providers", "a", "headers")}
"""Tables whose keys are a person's own."""


def toml(value: Any) -> str:
    """A value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        plain = (
            letter if letter.isprintable() and letter not in '"\\' else f"\\U{ord(letter):08x}" for letter in value
        )
        return f'"{"".join(plain)}"'
    return value.isoformat() if isinstance(value, dt.date) else repr(value)


def file(table: Mapping[str, Any]) -> str:
    return "\n".join(f"{toml(key)} = {toml(value)}" for key, value in table.items())


def loaded(text: str) -> tuple[Problem, ...]:
    """The problems of a text as a whole file; anything but ConfigError fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "laneway.toml"
        path.write_text(text, "utf-8", newline="")
        try:
            load(path, {"SET": "value", "EMPTY": ""})
        except ConfigError as error:
            return error.problems or (Problem("", ""),)
    return ()


def well_said(problems: tuple[Problem, ...]) -> None:
    """Each problem is one line that a terminal can be trusted with, says something, and is told once."""
    for problem in problems:
        assert problem.message
        assert str(problem).isprintable()
    assert len(set(problems)) == len(problems)


# --- anything at all ---------------------------------------------------------------------------------------


def keys(kind: type[msgspec.Struct]) -> Iterator[str]:
    """Every key of a struct and of the structs in it."""
    for field in msgspec.structs.fields(kind):
        yield field.encode_name
        for inner in structs(field.type):
            yield from keys(inner)


def structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    if get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for inner in get_args(kind):
        yield from structs(inner)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
REFERENCES = """a b a/x b/y m l qwen/ free openai converse ollama bedrock eu-west-1 -1 1e999999999 0123456789
http://h/v1 http://[ ${SET} ${UNSET} ${EMPTY:-x} ${ $$"""
reference = st.sampled_from(["", *REFERENCES.split()])
number = st.integers() | st.floats() | st.sampled_from([2**70, -(2**70), 1 << 2000, 0, 1])
scalar = text | reference | number | st.booleans() | st.dates()
word = st.sampled_from(sorted({*keys(Settings)})) | st.sampled_from(["a", "b", "m", "l"]) | text
value = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(word, inner, max_size=4), max_leaves=12
)
named = st.dictionaries(st.sampled_from(["a", "b", "m", "l"]) | text, st.dictionaries(word, value, max_size=5) | value)
table = st.fixed_dictionaries(
    {},
    optional={
        "server": value,
        "timeouts": value,
        "providers": named,
        "models": named,
        "lanes": named,
        "tenants": named,
        "denials": named,
    },
)


@given(table | st.dictionaries(word, value, max_size=4))
@example({"providers": {"a": {"url": "http://["}}})
@example({"models": {"m": {"provider": "a", "price": {"input": "1e999999999"}}}})
@example({"server": {"port": 1 << 2000, "refresh": 1 << 2000}})
@example({"tenants": {"t": {"daily_usd": "sNaN", "keys": ["\u0000"]}}})
@example({"models": {"a": {"substitute": "b"}, "b": {"substitute": "a"}}})
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_tables_are_a_plan_or_a_list_of_problems(tables: dict[str, Any]) -> None:
    """Right keys with wrong values, wrong keys, nests of both: nothing but ConfigError, and only readable lines."""
    well_said(loaded(file(tables)))


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("[]{}=.\"'\n#${}:-ab1 ", max_size=60))
def test_any_text_is_a_plan_or_a_list_of_problems(written: str) -> None:
    """Most of it is no TOML; some of it is a duplicate, a date or half a table."""
    well_said(loaded(written))


@given(st.text("[]{}=.\"'\n#ab ", max_size=80), st.integers(1, 200))
def test_repetition_ends(piece: str, times: int) -> None:
    """A file that defines the same things again and again is refused in bounded time."""
    well_said(loaded(f"[providers.a]\nurl = 'http://a'\n{piece}\n" * times))


# --- unknown keys ------------------------------------------------------------------------------------------


def tables(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every table in which keys are fixed."""
    if isinstance(value, dict):
        if place not in FREE:
            yield place
        for key, inner in value.items():
            yield from tables(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from tables(inner, (*place, index))


def path_of(place: Place) -> str:
    path = ""
    for part in place:
        path = f"{path}[{part}]" if isinstance(part, int) else joined(path, part)
    return path


def with_keys(value: Any, added: Mapping[Place, list[str]], place: Place = ()) -> Any:
    if isinstance(value, dict):
        inner = {key: with_keys(item, added, (*place, key)) for key, item in value.items()}
        return inner | dict.fromkeys(added.get(place, ()), 1)
    if isinstance(value, list):
        return [with_keys(item, added, (*place, index)) for index, item in enumerate(value)]
    return value


PLACES = list(tables(WHOLE))
KNOWN = {*keys(Settings)}
strange = text.filter(lambda key: key not in KNOWN)


def test_the_good_configuration_is_good() -> None:
    """Whatever the next law finds, it put there itself."""
    assert loaded(file(WHOLE)) == ()
    assert {path_of(place) for place in PLACES} >= {"", "lanes.l.targets[1].timeouts", 'providers."odd.name"'}


@given(st.dictionaries(st.sampled_from(PLACES), st.lists(strange, min_size=1, max_size=3, unique=True), min_size=1))
def test_every_unknown_key_is_told_with_its_path(added: dict[Place, list[str]]) -> None:
    """Wherever they are put, and however many: all of them at once, and nothing besides."""
    problems = loaded(file(with_keys(WHOLE, added)))
    well_said(problems)
    assert all(problem.message.startswith("unknown key") for problem in problems)
    expected = [joined(path_of(place), key) for place, names in added.items() for key in names]
    assert sorted(problem.path for problem in problems) == sorted(expected)


# --- secrets and variables ---------------------------------------------------------------------------------

SECRET = "hidden-Zq9"


@given(
    st.sampled_from(
        [
            ("server", "admin_key"),
            ("providers", "a", "api_key"),
            ("providers", "a", "headers"),
            ("tenants", "t", "keys"),
        ]
    ),
    st.recursive(
        st.just(SECRET) | st.just(f"{SECRET}\n") | st.just(f"${{{SECRET}"),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "authorization"]), inner, max_size=2)
        ),
    ),
)
def test_a_secret_is_never_told(place: tuple[str, ...], wrong: Any) -> None:
    """Whatever is wrong with the place where a key stands, the key itself stays unseen."""
    inner: Any = wrong
    for part in reversed(place):
        inner = {part: inner}
    base: dict[str, Any] = {"providers": {"a": {"url": "http://a"}}}
    base["providers"]["a"] |= inner.pop("providers", {}).get("a", {})
    assert SECRET not in "\n".join(map(str, loaded(file(base | inner))))


@given(text, text)
def test_a_dollar_sign_twice_is_one(written: str, held: str) -> None:
    """Any text can be written: what is doubled comes back, and what a variable holds is not read again."""
    escaped = written.replace("$", "$$")
    source = read(file({"server": {"admin_key": f"{escaped}${{V:-{''}}}", "host": "$${V}"}}), {"V": held})
    assert source.problems == ()
    assert source.settings.server.admin_key == written + held
    assert source.settings.server.host == "${V}"


@given(st.lists(st.text("aB:/", min_size=1, max_size=6), min_size=1, max_size=6))
def test_whatever_a_provider_lists_can_be_asked_for(listed: list[str]) -> None:
    """By exactly the name it has there, and in the one spelling of it."""
    source = read(file({"providers": {"p": {"url": "http://p", "models": listed}}}), {})
    names = Layout(source.settings, catalog()).names
    for upstream in listed:
        exact, spelled = names.meaning(upstream), names.meaning(spelling(upstream))
        assert exact is not None
        assert exact.targets[0].upstream == upstream
        assert spelled is not None
        assert spelling(spelled.targets[0].upstream) == spelling(upstream)
