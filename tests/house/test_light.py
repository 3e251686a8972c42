"""`import laneway` is light, and every public name is there when asked for."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys

import pytest

import laneway
from tests.house import rules
from tests.house.source import house


def _loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_import_laneway_loads_nothing_heavy() -> None:
    loaded = _loaded_by("import laneway")
    assert not loaded & set(rules.HEAVY), [rules.HEAVY[name] for name in loaded & set(rules.HEAVY)]
    # Nothing of its own either: each public name brings what it needs when it is asked for.
    assert [name for name in loaded if name.startswith("laneway")] == ["laneway"]


def test_mounting_a_middleware_loads_nothing_heavy() -> None:
    alone = [name for name in laneway.PUBLIC if name != "build"]
    assert not _loaded_by(f"from laneway import {', '.join(alone)}") & set(rules.HEAVY)


@pytest.mark.parametrize("name", rules.HEAVY)
def test_a_heavy_import_would_be_noticed(name: str) -> None:
    assert name in _loaded_by(f"import laneway, {name}")


def test_every_public_name_is_where_the_table_says() -> None:
    for name, module in laneway.PUBLIC.items():
        assert getattr(laneway, name) is getattr(importlib.import_module(module), name)
        assert name in dir(laneway)


def test_type_checkers_see_the_same_names_from_the_same_places() -> None:
    (init,) = (source for source in house() if source.module == "laneway")
    (guarded,) = (node for node in init.tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }  # fmt: skip
    assert seen == laneway.PUBLIC


def test_a_name_that_is_not_public_is_an_ordinary_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no public name 'Gatewy'"):
        laneway.Gatewy  # noqa: B018 -- asking is the test
