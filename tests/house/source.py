"""Python sources as the house rules see them.

Owns: finding the files of src, tests and bench, parsing each once, and saying what a source imports.
Refuses: any opinion; rules are in rules.py and are checked in checks.py.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Source(NamedTuple):
    module: str
    """Dotted, as imported: "laneway.policy.price", "tests.unit.test_price"."""
    text: str
    tree: ast.Module
    is_package: bool = False

    @property
    def room(self) -> str | None:
        """The part of the house it belongs to, None outside of it."""
        house, _, rest = self.module.partition(".")
        return rest.partition(".")[0] if house == "laneway" else None


class Import(NamedTuple):
    module: str
    """Dotted: what is certainly a module, "a" for `from a import b`."""
    name: str
    """Dotted: "a.b" for the same, whether b is a module or a name in one."""
    line: int

    @property
    def room(self) -> str | None:
        house, _, rest = self.name.partition(".")
        return rest.partition(".")[0] if house == "laneway" and rest else None

    @property
    def library(self) -> str:
        return self.name.partition(".")[0]


def parse(module: str, text: str, *, is_package: bool = False) -> Source:
    return Source(module, text, ast.parse(text), is_package)


def imports(source: Source) -> Iterator[Import]:
    """Every import, wherever it stands: one inside a function or under TYPE_CHECKING couples two rooms as well."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (Import(module, f"{module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Import(name.value, name.value, node.lineno)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@cache
def committed() -> tuple[str, ...]:
    """The files that a commit of everything would hold, so that a new file is judged before it is added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return tuple(sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()))


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of the project, stubs included."""
    found = []
    for name in committed():
        path = Path(name)
        if path.suffix in (".py", ".pyi") and path.parts[0] in ("src", "tests", "bench"):
            parts = list(path.with_suffix("").parts[1 if path.parts[0] == "src" else 0 :])
            is_package = parts[-1] == "__init__"
            module = ".".join(parts[:-1] if is_package else parts)
            found.append(parse(module, (ROOT / path).read_text(encoding="utf-8"), is_package=is_package))
    return tuple(found)


def house() -> tuple[Source, ...]:
    return tuple(source for source in sources() if source.room is not None)


@cache
def parts_of(room: str) -> frozenset[str]:
    """The modules and packages directly inside a room that is a package."""
    prefix = f"laneway.{room}."
    inside = {source.module.removeprefix(prefix) for source in house() if source.module.startswith(prefix)}
    return frozenset(name.partition(".")[0] for name in inside)
