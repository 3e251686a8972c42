"""The house rules, checked on every source; and each rule checked on a snippet that it must refuse.

The rules and their reasons are in rules.py, how they are checked in checks.py.
"""

from __future__ import annotations

import pytest

from tests.house import checks, rules
from tests.house.checks import Check
from tests.house.source import Source, house, imports, parse, sources

IN_THE_HOUSE: list[Check] = [
    checks.placed,
    checks.downward,
    checks.apart,
    checks.owned,
    checks.pure,
    checks.held_tasks,
    checks.calm_yields,
    checks.silent,
]
EVERYWHERE: list[Check] = [checks.plain_asgi, checks.named, checks.described, checks.short]
IN_TESTS: list[Check] = [checks.never_skipped, checks.untimed]

TEXT = '"""One.\n\nOwns: two.\nRefuses: three."""\n'


def _name(check: Check) -> str:
    return getattr(check, "__name__", repr(check))


def _broken(check: Check, where: tuple[Source, ...]) -> list[str]:
    return [sentence for source in where for sentence in check(source)]


@pytest.mark.parametrize("check", IN_THE_HOUSE, ids=_name)
def test_the_house_keeps(check: Check) -> None:
    assert not (broken := _broken(check, house())), "\n".join(broken)


@pytest.mark.parametrize("check", EVERYWHERE, ids=_name)
def test_every_source_keeps(check: Check) -> None:
    assert not (broken := _broken(check, sources())), "\n".join(broken)


@pytest.mark.parametrize("check", IN_TESTS, ids=_name)
def test_tests_keep(check: Check) -> None:
    tests = tuple(source for source in sources() if source.module.startswith("tests."))
    assert not (broken := _broken(check, tests)), "\n".join(broken)


def _circles(edges: dict[str, set[str]]) -> list[str]:
    """Rooms that can be reached from themselves."""
    found = []
    for start, first in edges.items():
        seen: set[str] = set()
        ahead = list(first)
        while ahead:
            room = ahead.pop()
            if room not in seen:
                seen.add(room)
                ahead += edges.get(room, ())
        if start in seen:
            found.append(start)
    return found


def test_rooms_import_in_no_circle() -> None:
    edges: dict[str, set[str]] = {}
    for source in house():
        if source.room:
            rooms = {found.room for found in imports(source)} - {None, source.room}
            edges.setdefault(source.room, set()).update(room for room in rooms if room)
    assert not (circles := _circles(edges)), f"these rooms import each other in a circle: {circles}"


def test_a_circle_is_noticed() -> None:
    assert _circles({"gateway": {"api"}, "api": {"runs"}, "runs": {"gateway"}, "cli": {"api"}}) == [
        "gateway",
        "api",
        "runs",
    ]


def test_every_exception_names_something_that_is_there() -> None:
    modules = {source.module for source in sources()}
    assert {name.partition(":")[0] for name in rules.LONGER} <= modules


BAD: list[tuple[Check, str, str]] = [
    (checks.placed, "laneway.attic", ""),
    (checks.downward, "laneway.chat", "from laneway.route import Target"),
    (checks.downward, "laneway.policy.plan", "def f():\n    from laneway.stores.sqlite import Store"),
    (checks.downward, "laneway.route", "from laneway import gateway"),
    (checks.downward, "laneway.failure", "import laneway.config as c"),
    (checks.downward, "laneway.failure", "import_module('laneway.config')"),
    (checks.apart, "laneway.dialects.openai.request", "from laneway.dialects.ollama.schema import Chat"),
    (checks.apart, "laneway.middleware.auth", "from laneway.middleware.lane import LaneMiddleware"),
    (checks.apart, "laneway.stores.memory", "import laneway.stores.sqlite"),
    (checks.apart, "laneway.stores.sqlite", "from laneway.stores import memory"),
    (checks.owned, "laneway.gateway", "import httpx"),
    (checks.owned, "laneway.serve", "from httptools import HttpRequestParser"),
    (checks.owned, "laneway.policy.knn", "def f():\n    import faiss"),
    (checks.owned, "laneway.api.admin", "importlib.import_module('sqlite3')"),
    (checks.pure, "laneway.policy.breaker", "import time"),
    (checks.pure, "laneway.policy.breaker", "from random import random"),
    (checks.pure, "laneway.wire.sse", "import asyncio"),
    (checks.pure, "laneway.dialects.openai.request", "from os import environ"),
    (checks.plain_asgi, "laneway.middleware.auth", "from starlette.middleware.base import BaseHTTPMiddleware"),
    (checks.plain_asgi, "tests.unit.test_x", "class A(base.BaseHTTPMiddleware): pass"),
    (checks.named, "laneway.utils", ""),
    (checks.named, "laneway.stream_helpers", ""),
    (checks.named, "tests.common.thing", ""),
    (checks.named, "laneway.stores.pool", "class ConnectionManager: pass"),
    (checks.described, "laneway.chat", "x = 1"),
    (checks.described, "laneway.chat", '"""Chat things."""'),
    (checks.described, "laneway.chat", '"""' + "word\n" * 11 + '"""'),
    (checks.described, "tests.unit.test_x", "x = 1"),
    (checks.short, "laneway.chat", "x = 1\n" * (rules.FILE_LINES + 1)),
    (checks.short, "laneway.chat", "async def f():\n" + "    x = 1\n" * rules.FUNCTION_LINES),
    (checks.held_tasks, "laneway.runs", "asyncio.create_task(work())"),
    (checks.held_tasks, "laneway.runs", "async def f():\n    loop.create_task(work())"),
    (checks.held_tasks, "laneway.runs", "ensure_future(work())"),
    (checks.calm_yields, "laneway.relay", "async def f():\n    async with asyncio.timeout(1):\n        yield 1"),
    (checks.calm_yields, "laneway.relay", "async def f():\n    async with TaskGroup() as g:\n        yield g"),
    (checks.silent, "laneway.gateway", "print('up')"),
    (checks.never_skipped, "tests.unit.test_x", "@pytest.mark.skipif(True)\ndef test_a(): ..."),
    (checks.never_skipped, "tests.unit.test_x", "pytest.importorskip('faiss')"),
    (checks.untimed, "tests.unit.test_x", "def test_a():\n    assert time.monotonic() - t0 < 1"),
    (checks.untimed, "tests.unit.test_x", "def test_a():\n    took = time.time() - t0\n    assert took < 1"),
]

GOOD: list[tuple[Check, str, str]] = [
    (checks.placed, "laneway.policy.attic", ""),
    (checks.placed, "laneway", ""),
    (checks.downward, "laneway.gateway", "from laneway.api.health import ready\nfrom laneway.chat import Role"),
    (checks.downward, "tests.unit.test_x", "from laneway.cli import main"),
    (checks.apart, "laneway.dialects.openai.request", "from laneway.dialects.openai.schema import Chat"),
    (checks.apart, "laneway.dialects.openai.request", "from laneway.dialects import Dialect"),
    (checks.apart, "laneway.stores.sqlite", "from laneway.stores.schema import migrate"),
    (checks.owned, "laneway.upstream.engine", "import httptools"),
    (checks.owned, "tests.e2e.test_x", "import httpx"),
    (checks.pure, "laneway.forward", "import asyncio"),
    (checks.pure, "laneway.dialects.ollama.answer", "from time import gmtime, strftime"),
    (checks.plain_asgi, "laneway.middleware.auth", "'''BaseHTTPMiddleware is not used'''"),
    (checks.named, "laneway.policy.plan", "from contextlib import contextmanager"),
    (checks.described, "laneway.chat", TEXT),
    (checks.short, "laneway.chat", "def f():\n" + "    x = 1\n" * (rules.FUNCTION_LINES - 1)),
    (checks.held_tasks, "laneway.runs", "async def f():\n    task = asyncio.create_task(work())\n    await task"),
    (checks.held_tasks, "laneway.runs", "async def f():\n    async with TaskGroup() as group: group.create_task(g())"),
    (
        checks.calm_yields,
        "laneway.relay",
        "async def f():\n    async with timeout(1):\n        x = await g()\n    yield x",
    ),
    (checks.silent, "laneway.cli", "print('up')"),
    (checks.never_skipped, "tests.unit.test_x", "chunks.skip(1)"),
    (checks.untimed, "tests.unit.test_x", "def test_a():\n    deadline = time.monotonic() + 5\n    assert done()"),
]


@pytest.mark.parametrize(("check", "module", "text"), BAD, ids=lambda value: _name(value) if callable(value) else "")
def test_a_check_refuses_what_breaks_its_rule(check: Check, module: str, text: str) -> None:
    assert list(check(parse(module, text)))


@pytest.mark.parametrize(("check", "module", "text"), GOOD, ids=lambda value: _name(value) if callable(value) else "")
def test_a_check_lets_pass_what_keeps_its_rule(check: Check, module: str, text: str) -> None:
    assert not list(check(parse(module, text)))


def test_every_check_is_shown_a_snippet_of_either_kind() -> None:
    every = {*IN_THE_HOUSE, *EVERYWHERE, *IN_TESTS}
    assert {row[0] for row in BAD} == every == {row[0] for row in GOOD}
