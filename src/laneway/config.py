"""From a TOML file and the environment to checked Settings, or to every problem at once.

Owns: `${NAME}` and `${NAME:-default}`, reading each value against the settings' types, and problems that say where
(`lanes.alert-fast.targets[2]`), what is wrong, and what would be right. What cannot be read keeps its default, so that
the rest can still be judged beside it.
Refuses: run-time objects (layout makes them), stopping at the first problem, and stack traces for a person's typo.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from laneway.settings import Settings

T = TypeVar("T", bound=msgspec.Struct)

_SECRET = ("api_key", "admin_key", "keys", "headers", "secret", "alerts.")
_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-((?:[^}$]|\$(?!\{))*))?\}|\$\{")
_AT_LINE = re.compile(r"\(at line (\d+)")
_HEADER = re.compile(r"\s*\[+([^\]]+)\]+")
_KEY = re.compile(r"""\s*([A-Za-z0-9_-]+|"[^"]*"|'[^']*')\s*=""")
_BAD: Any = object()
"""Stands for a value that could not be read; its problem has been written down."""
_MOST_TWICE = 50
_AGAIN = "defined again in line "


class Problem(NamedTuple):
    """One thing to mend, as a person reads it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem], where: str = "") -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
        self.where = where
        """The file, where there is one."""


class Source(NamedTuple):
    """What was read. With problems, the settings serve to find more of them and for nothing else."""

    settings: Settings
    problems: tuple[Problem, ...] = ()
    unread: frozenset[str] = frozenset()
    """Paths of what could not be read and stands at its default: what follows from that is no further problem."""


def read(text: str, environment: Mapping[str, str]) -> Source:
    """Reads a file's text, with all problems of keys and types. Raises ConfigError where it is no TOML at all."""
    problems: list[Problem] = []
    table = _tables(text, problems)
    twice = len(problems)
    filled = _fill(table, environment, "", problems)
    settings = _struct(Settings, filled, "", problems)
    return Source(settings, tuple(problems), frozenset(problem.path for problem in problems[twice:]))


def version_of(settings: Settings) -> str:
    """Eight characters that name a configuration: the same settings, the same version. Order counts: it decides which
    of two providers is asked first."""
    # An environment may hold bytes that are no UTF-8; layout refuses them, with their path, after this.
    return hashlib.sha256(repr(settings).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def joined(path: str, key: str) -> str:
    """The path of a key inside a table, as TOML would write it."""
    shown = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else f'"{visible(key)}"'
    return f"{path}.{shown}" if path else shown


def visible(text: str, most: int = 120) -> str:
    """Somebody's text as it may be printed: on one line, nothing in it a terminal would obey, and not for ever."""
    cut = text if len(text) <= most else f"{text[: most - 3]}..."
    shown = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in cut)
    return shown.replace('"', '\\"')


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """`; did you mean "x"?` where something known looks like the name, else the names there are."""
    names = sorted(known)
    close = get_close_matches(name[:200], names, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{visible(close[0])}"?'
    return f"; known: {', '.join(visible(known) for known in names[:12])}" if names else ""


# --- tables ------------------------------------------------------------------------------------------------


def _tables(text: str, problems: list[Problem]) -> dict[str, Any]:
    """The text as tables. What is defined a second time is written down and left out, so that the rest is read."""
    lines = text.replace("\r\n", "\n").split("\n")
    written = tuple(lines)
    while True:
        try:
            table = tomllib.loads("\n".join(lines))
        # A number of thousands of digits is a plain ValueError, and a list in a list in a list ends the stack.
        except (ValueError, RecursionError) as error:
            at = _AT_LINE.search(str(error))
            number = int(at.group(1)) if at is not None else len(lines)
            if not str(error).startswith("Cannot") or not _leave_out(lines, written, number, problems):
                raise ConfigError([*problems, _unreadable(error, written, number)]) from None
        else:
            return {key: value for key, value in table.items() if not key.startswith(_AGAIN)}


def _leave_out(lines: list[str], written: Sequence[str], number: int, problems: list[Problem]) -> bool:
    """Takes the second definition that ends in this line out of the text. False where that is not to be done safely."""
    if len(problems) >= _MOST_TWICE or not 0 < number <= len(lines):
        return False
    line = lines[number - 1]
    header, key = _HEADER.match(line), _KEY.match(line)
    if header is not None:
        path = _path_of(header.group(1))
        lines[number - 1] = f'["{_AGAIN}{number}"]'
    elif key is not None:
        above = next((found for before in written[number - 2 :: -1] if (found := _HEADER.match(before))), None)
        path = _path_of(f"{above.group(1)}.{key.group(1)}" if above is not None else key.group(1))
        lines[number - 1] = ""
    else:
        return False
    problems.append(Problem(path, f"is defined a second time in line {number}; keep one of the two"))
    return True


def _path_of(header: str) -> str:
    """The path of a table's header, however it is spaced and quoted."""
    try:
        table = tomllib.loads(f"[{header}]")
    except ValueError:
        return visible(header.strip())
    path = ""
    while table:
        name, table = table.popitem()
        path = joined(path, name)
    return path


def _unreadable(error: Exception, lines: Sequence[str], number: int) -> Problem:
    if isinstance(error, RecursionError):
        return Problem("", "not valid TOML: lists or tables are nested too deeply")
    bare = 0 < number <= len(lines) and re.search(r"=\s*\$\{", lines[number - 1])
    hint = '; a variable stands in quotes: "${NAME}"' if bare else ""
    return Problem("", f"not valid TOML: {error}{hint}")


# --- variables ---------------------------------------------------------------------------------------------


class _Filled(str):
    """A value that came from the environment: text, even where a number is wanted."""

    __slots__ = ()


def _fill(value: Any, environment: Mapping[str, str], path: str, problems: list[Problem]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(inner, environment, joined(path, key), problems) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, environment, f"{path}[{index}]", problems) for index, inner in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value

    before = len(problems)

    def replaced(match: re.Match[str]) -> str:
        name, has_default, default = match.group(1), match.group(2), match.group(3)
        if match.group() == "$$":
            return "$"
        if name is None:
            problems.append(Problem(path, 'has a "${" that is no variable; write ${NAME}, ${NAME:-default}, or $${'))
            return ""
        found = environment.get(name)
        if found:
            return found
        if has_default:
            return str(default).replace("$$", "$")
        state = "is empty" if found == "" else "is not set"
        problems.append(
            Problem(path, f"the environment variable {name} {state} (write ${{{name}:-default}} to give a default)")
        )
        return ""

    text = _VARIABLE.sub(replaced, value)
    if len(problems) > before:
        return _BAD
    return _Filled(text) if "${" in value.replace("$$", "") else text


# --- structs -----------------------------------------------------------------------------------------------


def _struct(kind: type[T], value: Any, path: str, problems: list[Problem]) -> T:
    """`_BAD` only where a value is required that is not there."""
    if value is not _BAD and not isinstance(value, dict):
        problems.append(Problem(path, f"expected a table, got {_said(value, path)}"))
    table = value if isinstance(value, dict) else {}
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    problems += [Problem(joined(path, key), f"unknown key{nearest(key, fields)}") for key in table if key not in fields]
    made: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            made[field.name] = _value(field.type, table[name], joined(path, name), problems)
        elif field.required:
            made[field.name] = _BAD
            if table is value:
                problems.append(Problem(joined(path, name), "is missing"))
        if field.required and made[field.name] is _BAD:
            return _BAD  # type: ignore[no-any-return]
    return kind(**{name: item for name, item in made.items() if item is not _BAD})


def _value(kind: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    if value is _BAD:
        return _BAD
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(kind, value, path, problems)
    if origin is dict and isinstance(value, dict):
        inner = get_args(kind)[1]
        read_ = {key: _value(inner, item, joined(path, key), problems) for key, item in value.items()}
        return {key: item for key, item in read_.items() if item is not _BAD}
    if origin is tuple and isinstance(value, list):
        inner = get_args(kind)[0]
        items = [_value(inner, item, f"{path}[{index}]", problems) for index, item in enumerate(value)]
        # Those behind a bad one keep their place, so that what else is wrong with them is told at the right path.
        return tuple("" if item is _BAD else item for item in items)
    if origin in (types.UnionType, typing.Union):
        if isinstance(value, _Filled) and not value and type(None) in get_args(kind):
            return None
        for choice in get_args(kind):
            structured = isinstance(choice, type) and issubclass(choice, msgspec.Struct)
            if (structured and isinstance(value, dict)) or (get_origin(choice) is tuple and isinstance(value, list)):
                return _value(choice, value, path, problems)
    filled = isinstance(value, _Filled)
    try:
        return msgspec.convert(str(value) if filled else value, kind, strict=not filled)
    except (msgspec.ValidationError, OverflowError):
        problems.append(Problem(path, f"expected {_wanted(kind)}, got {_said(value, path)}{_choice_hint(kind, value)}"))
        return _BAD


def _wanted(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        plain, bounds = get_args(kind)
        return f"{_wanted(plain)}{_bounds(bounds)}"
    if get_origin(kind) is Literal:
        choices = ", ".join(f'"{choice}"' for choice in get_args(kind))
        return f"one of {choices}" if len(get_args(kind)) > 1 else choices
    if get_origin(kind) in (types.UnionType, typing.Union):
        return " or ".join(_wanted(choice) for choice in get_args(kind) if choice is not type(None))
    if get_origin(kind) is tuple:
        return "a list"
    if get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return "a table"
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(kind, str(kind))


def _bounds(meta: msgspec.Meta) -> str:
    if meta.gt is not None:
        return f" above {meta.gt}" + (f" and up to {meta.le}" if meta.le is not None else "")
    return f" from {meta.ge}" + (f" to {meta.le}" if meta.le is not None else " on")


def _said(value: Any, path: str) -> str:
    """A wrong value in words; never one that may be a secret."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float) and any(name in path for name in _SECRET):
        return "a single value" if isinstance(value, str) else "a number"
    if isinstance(value, _Filled):
        return "text from the environment"
    if isinstance(value, str):
        return f'the text "{visible(value, 40)}"'
    if isinstance(value, int | float):
        return f"the number {value}" if isinstance(value, float) or value.bit_length() < 100 else "a huge number"
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a date or time"


def _choice_hint(kind: Any, value: Any) -> str:
    choices = [
        str(choice)
        for option in (kind, *get_args(kind))
        if get_origin(option) is Literal
        for choice in get_args(option)
    ]
    if not choices or not isinstance(value, str) or isinstance(value, _Filled):
        return ""
    close = get_close_matches(value, choices, n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
