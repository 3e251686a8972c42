"""How each rule of the house is checked, on one parsed source at a time.

Owns: one function for each rule; it yields a sentence for every place that breaks it. Refuses: the rules themselves
(rules.py), and looking at files (source.py), so that each check can be shown a snippet that it must refuse.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from tests.house import rules
from tests.house.source import Source, imports, parts_of

Check = Callable[[Source], Iterator[str]]
Function = ast.FunctionDef | ast.AsyncFunctionDef

_LEVEL = {room: level for level, floor in enumerate(rules.FLOORS, 1) for room in floor.rooms.split()}


def placed(source: Source) -> Iterator[str]:
    """Every room has a floor."""
    if source.room and source.room not in _LEVEL:
        yield f"{source.module}: no floor for it yet; place {source.room!r} in FLOORS of tests/house/rules.py"


def downward(source: Source) -> Iterator[str]:
    """A room imports its own floor and those below."""
    here = _LEVEL.get(source.room or "")
    for found in imports(source):
        there = _LEVEL.get(found.room or "", 0)
        if here is not None and there > here:
            why = rules.FLOORS[here - 1].why
            yield f"{source.module}:{found.line}: floor {here} imports {found.name} of floor {there}; here is {why}"


def apart(source: Source) -> Iterator[str]:
    """Siblings leave each other alone."""
    room, own = _room_and_part(source.module)
    if room not in rules.SIBLINGS or not own:
        return
    for found in imports(source):
        # `from laneway.dialects import dialect` takes a function; `from laneway.dialects import ollama`, a sibling.
        _, surely = _room_and_part(found.module)
        _, perhaps = _room_and_part(found.name)
        part = surely or (perhaps if perhaps in parts_of(room) else "")
        if found.room == room and part not in ("", own) and f"{room}.{part}" not in rules.SHARED:
            yield f"{source.module}:{found.line}: imports its sibling {found.name}; {rules.SIBLINGS[room]}"


def _room_and_part(module: str) -> tuple[str, str]:
    room, part = [*module.split("."), "", ""][1:3]
    return room, part


def owned(source: Source) -> Iterator[str]:
    """A library with one keeper is imported by its keeper."""
    for found in imports(source):
        rule = rules.OWNED.get(found.library)
        if rule and source.room is not None and source.room not in rule.rooms:
            yield f"{source.module}:{found.line}: imports {found.library}, which is for {set(rule.rooms)}: {rule.why}"


def pure(source: Source) -> Iterator[str]:
    """What thinks does not touch the world."""
    rule = rules.PURE.get(source.room or "")
    for found in imports(source):
        if rule and found.library in rule.forbidden and found.name not in rules.HARMLESS:
            yield f"{source.module}:{found.line}: imports {found.library}; {rule.why}"


def plain_asgi(source: Source) -> Iterator[str]:
    """No BaseHTTPMiddleware: it buffers, breaks cancellation and costs a task per request."""
    for node in ast.walk(source.tree):
        name = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None)
        if name == "BaseHTTPMiddleware":
            yield f"{source.module}:{getattr(node, 'lineno', 0)}: BaseHTTPMiddleware; write a pure ASGI middleware"


def named(source: Source) -> Iterator[str]:
    """Files and classes are named for a noun."""
    words = source.module.replace(".", "_").split("_")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            words += re.findall(r"[A-Z]+[a-z]*|[a-z]+", node.name)
    for word in words:
        if word.lower() in rules.VAGUE:
            yield f"{source.module}: {word!r} in a name; say which noun it is"


def described(source: Source) -> Iterator[str]:
    """A module says what it owns and what it refuses."""
    text = ast.get_docstring(source.tree)
    if text is None:
        yield f"{source.module}: no docstring; say what it owns and what it refuses"
        return
    low, high = rules.DOCSTRING_LINES
    lines = len(text.splitlines())
    owner = source.room is not None and not source.is_package and source.room not in ("__main__", "_core")
    if owner and not low <= lines <= high:
        yield f"{source.module}: its docstring has {lines} lines; {low} to {high} say what it owns and refuses"


def short(source: Source) -> Iterator[str]:
    """A function fits a screen, and a file holds one noun."""
    lengths = {source.module: len(source.text.splitlines())}
    for node in ast.walk(source.tree):
        if isinstance(node, Function):
            name, last = f"{source.module}:{node.name}", node.end_lineno or node.lineno
            lengths[name] = max(lengths.get(name, 0), last - node.lineno + 1)
    for name, lines in lengths.items():
        file_limit = rules.FILE_LINES if source.room is not None else rules.SUITE_LINES
        limit = rules.FUNCTION_LINES if ":" in name else file_limit
        allowed = rules.LONGER.get(name)
        if lines > (allowed.lines if allowed else limit):
            yield f"{name}: {lines} lines, over {allowed.lines if allowed else limit}; it is probably two things"
        if allowed and lines <= limit:
            yield f"{name}: {lines} lines fit again; take its exception out of tests/house/rules.py"


def held_tasks(source: Source) -> Iterator[str]:
    """A task has an owner: a task group, or a name that ends it."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
            continue
        owner, _, name = ast.unparse(node.value.func).rpartition(".")
        if name in ("create_task", "ensure_future") and not re.search(r"group|tasks|\btg\b", owner):
            yield f"{source.module}:{node.lineno}: bare {name}; own the task (async with a group, or keep it)"


_SCOPES = {"CancelScope", "TaskGroup", "create_task_group", "fail_after", "move_on_after", "timeout", "timeout_at"}


def calm_yields(source: Source) -> Iterator[str]:
    """No task group or cancel scope spans a yield: it would be entered in one task and left in another."""
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.With, ast.AsyncWith)):
            opened = {re.split(r"[.(]", ast.unparse(item.context_expr).split("(")[0])[-1] for item in node.items}
            if opened & _SCOPES and any(_yields(statement) for statement in node.body):
                yield f"{source.module}:{node.lineno}: a yield inside {', '.join(opened & _SCOPES)}"


def _yields(node: ast.AST) -> bool:
    if isinstance(node, (ast.Yield, ast.YieldFrom)):
        return True
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return False
    return any(_yields(child) for child in ast.iter_child_nodes(node))


def silent(source: Source) -> Iterator[str]:
    """Only what talks to a person prints."""
    if source.room in rules.PRINTERS or source.room is None:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{source.module}:{node.lineno}: print; record it, or let cli or serve say it"


_SKIPS = {"importorskip", "skip", "skipif", "xfail"}


def never_skipped(source: Source) -> Iterator[str]:
    """A test that does not run says nothing."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr in _SKIPS and "pytest" in ast.unparse(node.value):
            yield f"{source.module}:{node.lineno}: pytest {node.attr}; a test runs everywhere, or it is none"


_CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "time"}


def untimed(source: Source) -> Iterator[str]:
    """Tests do not time: benchmarks compare, and a busy machine fails nothing."""
    for function in ast.walk(source.tree):
        if not isinstance(function, Function):
            continue
        timed = {
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp)
            if isinstance(node.value.op, ast.Sub) and _reads_clock(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Assert):
                names = {name.id for name in ast.walk(node.test) if isinstance(name, ast.Name)}
                if _reads_clock(node.test) or names & timed:
                    yield f"{source.module}:{node.lineno}: a timed assertion; assert what happened, not how fast"


def _reads_clock(node: ast.AST) -> bool:
    return any(
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in _CLOCKS
        and ast.unparse(call.func.value) in ("time", "loop", "asyncio.get_running_loop()")
        for call in ast.walk(node)
    )
