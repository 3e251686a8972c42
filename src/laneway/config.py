"""From a TOML file and the environment to checked Settings, or to every problem at once.

Owns: `${NAME}` and `${NAME:-default}`, reading each value against the settings' types, and problems that say where
(`lanes.alert-fast.targets[2]`), what is wrong, and what would be right.
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
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from laneway.settings import Settings

T = TypeVar("T", bound=msgspec.Struct)

_SECRET = ("api_key", "admin_key", "keys", "headers")
_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}")


class Problem(NamedTuple):
    """One thing to mend, as a person reads it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class Source(NamedTuple):
    """What was read: the settings, and a version that changes whenever they do."""

    settings: Settings
    version: str


def read(text: str, environment: Mapping[str, str]) -> Source:
    """Reads a file's text. Raises ConfigError with all problems of syntax, keys and types."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem("", f"not valid TOML: {error}")]) from None
    problems: list[Problem] = []
    filled = _fill(table, environment, "", problems)
    settings = _struct(Settings, filled, "", problems)
    if problems or settings is None:
        raise ConfigError(problems)
    return Source(settings, version_of(settings))


def version_of(settings: Settings) -> str:
    """Eight characters that name a configuration: the same settings, the same version."""
    return hashlib.sha256(msgspec.json.encode(settings, order="deterministic")).hexdigest()[:8]


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """`; did you mean "x"?` where something known looks like the name, else the names there are."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(names[:12])}" if names else ""


# --- variables ---------------------------------------------------------------------------------------------


class _Filled(str):
    """A value that came from the environment: text, even where a number is wanted."""

    __slots__ = ()


def _fill(value: Any, environment: Mapping[str, str], path: str, problems: list[Problem]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(inner, environment, _join(path, key), problems) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, environment, f"{path}[{index}]", problems) for index, inner in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value

    def replaced(match: re.Match[str]) -> str:
        name, has_default, default = match.group(1), match.group(2), match.group(3)
        if name is None:
            return "$"
        found = environment.get(name)
        if found:
            return found
        if has_default:
            return str(default)
        state = "is empty" if found == "" else "is not set"
        problems.append(
            Problem(path, f"the environment variable {name} {state} (write ${{{name}:-default}} to give a default)")
        )
        return ""

    return _Filled(_VARIABLE.sub(replaced, value))


# --- structs -----------------------------------------------------------------------------------------------


def _struct(kind: type[T], value: Any, path: str, problems: list[Problem]) -> T | None:
    if not isinstance(value, dict):
        problems.append(Problem(path, f"expected a table, got {_said(value, path)}"))
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    before = len(problems)
    for key in value:
        if key not in fields:
            problems.append(Problem(_join(path, key), f"unknown key{nearest(key, fields)}"))
    made: dict[str, Any] = {}
    for name, field in fields.items():
        if name in value:
            made[field.name] = _value(field.type, value[name], _join(path, name), problems)
        elif field.required:
            problems.append(Problem(_join(path, name), "is missing"))
    return kind(**made) if len(problems) == before else None


def _value(kind: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(kind, value, path, problems)
    if origin is dict and isinstance(value, dict):
        inner = get_args(kind)[1]
        return {key: _value(inner, item, _join(path, key), problems) for key, item in value.items()}
    if origin is tuple and isinstance(value, list):
        inner = get_args(kind)[0]
        return tuple(_value(inner, item, f"{path}[{index}]", problems) for index, item in enumerate(value))
    if origin in (types.UnionType, typing.Union):
        for choice in get_args(kind):
            structured = isinstance(choice, type) and issubclass(choice, msgspec.Struct)
            if (structured and isinstance(value, dict)) or (get_origin(choice) is tuple and isinstance(value, list)):
                return _value(choice, value, path, problems)
    try:
        return msgspec.convert(str(value) if isinstance(value, _Filled) else value, kind, strict=not _loose(value))
    except msgspec.ValidationError:
        problems.append(Problem(path, f"expected {_wanted(kind)}, got {_said(value, path)}{_choice_hint(kind, value)}"))
        return None


def _loose(value: Any) -> bool:
    return isinstance(value, _Filled)


def _wanted(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in get_args(kind))
    if get_origin(kind) in (types.UnionType, typing.Union):
        return " or ".join(_wanted(choice) for choice in get_args(kind) if choice is not type(None))
    if get_origin(kind) is tuple:
        return "a list"
    if get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return "a table"
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(kind, str(kind))


def _said(value: Any, path: str) -> str:
    """A wrong value in words; never one that may be a secret."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float) and any(name in path for name in _SECRET):
        return "a single value" if isinstance(value, str) else "a number"
    if isinstance(value, _Filled):
        return "text from the environment"
    if isinstance(value, str):
        return f'the text "{value[:40]}"'
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else type(value).__name__


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


def _join(path: str, key: str) -> str:
    shown = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else f'"{key}"'
    return f"{path}.{shown}" if path else shown
