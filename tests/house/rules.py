"""The rules of the house as data, each with its reason.

Owns: which room stands on which floor, who may import what, what is forbidden where, how long things may be, and what
no committed file may hold. Refuses: to know how a rule is checked; that is tests/house/checks.py.
A new room is one word in FLOORS. An exception is one line with a reason, and it falls when nothing needs it any more.
"""

from __future__ import annotations

from typing import NamedTuple


class Floor(NamedTuple):
    rooms: str
    why: str


FLOORS: tuple[Floor, ...] = (
    Floor(
        "bundle calls chat failure pictures thinking tokens unsayable wire steps _core",
        "the words, the framing and the arithmetic that every room uses, knowing nothing of who uses them",
    ),
    Floor(
        "dialects route",
        "wire formats and the values of routing: pure, and made of the words below",
    ),
    Floor(
        "addresses capacity caps catalog chains channels config embedders environment exchange gates jury layout "
        "places policy pools ports record rescue settings",
        "what thinks, what is configured, and the doors to the world; nothing here goes through a door",
    ),
    Floor(
        "alerts allowance attempt board courier crew edge embed errand evaluate "
        "following foresight host keeper learning loaded messenger meter "
        "metrics origins outbox pressure refusals roster seat shadowing sizes slate staging store stores "
        "treasury upstream vectors watching",
        "what touches the world, one room for each part of it",
    ),
    Floor(
        "corridor forward guard lines middleware passage relay",
        "the stairs: one fact and at most one question each",
    ),
    Floor(
        "api gateway primer runs",
        "the composition root and what stands beside the stack; the one place where the order is written",
    ),
    Floor(
        "cli commands doorway entrance hatch listening logs patience serve threshold turn __main__",
        "what a person types; nobody imports it",
    ),
)

# Rooms whose parts stand beside each other and are written so that one can be taken away.
SIBLINGS: dict[str, str] = {
    "dialects": "D dialects meet in the neutral types; one that leans on another is the first of N x M translators",
    "middleware": "each can be mounted alone in somebody else's app",
    "stores": "each is an adapter of the same ports, and one contract suite runs over all",
}

# Parts of such a room that are a noun of their own and stand under the others.
SHARED: dict[str, str] = {
    "dialects.objects": "OpenAI's error object and model list are the same in both of its formats",
    "stores.holds": "requests under way are counted alike, wherever the sums rest",
    "stores.schema": "the tables are one noun, and an adapter opens them",
}


class Only(NamedTuple):
    rooms: frozenset[str]
    why: str


# Libraries that one room owns. Everybody else asks that room's port.
OWNED: dict[str, Only] = {
    "aws_requests_auth": Only(frozenset({"upstream"}), "signing is part of calling a provider"),
    "botocore": Only(frozenset({"upstream"}), "credentials are part of calling a provider"),
    "faiss": Only(frozenset({"vectors"}), "the index is a cache of rows, with one keeper"),
    "httptools": Only(frozenset({"doorway", "threshold", "upstream"}), "HTTP is spoken to callers and to providers"),
    "httpx": Only(frozenset({"upstream"}), "one room speaks HTTP to providers, and start-up stays light"),
    "sqlite3": Only(frozenset({"stores"}), "one room knows that rows rest in SQLite"),
    "sqlite_utils": Only(frozenset({"stores"}), "one room knows that rows rest in SQLite"),
    "opentelemetry": Only(frozenset({"watching"}), "spans are made in one room, of what is over"),
    "uvicorn": Only(frozenset({"cli", "serve"}), "Laneway is an ASGI app under any server"),
    "uvloop": Only(frozenset({"cli", "entrance", "serve"}), "the loop is the server's choice"),
}


class Pure(NamedTuple):
    forbidden: frozenset[str]
    why: str


_WORLD = frozenset(
    {"asyncio", "httpx", "os", "random", "secrets", "socket", "sqlite3", "starlette", "threading", "time", "uuid"}
)

# Rooms that are functions of values: time and chance are arguments, and the world is somewhere else.
PURE: dict[str, Pure] = {
    "chat": Pure(_WORLD, "the neutral types are values"),
    "dialects": Pure(_WORLD, "one wire format, both directions, testable with bytes alone"),
    "failure": Pure(_WORLD, "the taxonomy is values"),
    "calls": Pure(_WORLD, "the dialects stand on it"),
    "pictures": Pure(_WORLD, "the dialects stand on it"),
    "thinking": Pure(_WORLD, "the dialects stand on it"),
    "tokens": Pure(_WORLD, "the dialects stand on it"),
    "unsayable": Pure(_WORLD, "the dialects stand on it"),
    "policy": Pure(_WORLD, "everything that thinks is a pure function, so that a decision can be replayed"),
    "route": Pure(_WORLD, "the values of routing are values"),
    "wire": Pure(_WORLD, "framing without I/O: the chunk boundary is the caller's"),
}

# Names of such a library that only compute.
HARMLESS: dict[str, str] = {
    "time.gmtime": "an instant that is given becomes a date",
    "time.strftime": "a date becomes text",
}

# What `import laneway` must not load.
HEAVY: dict[str, str] = {
    "faiss": "loads a native library of tens of megabytes",
    "httpx": "costs a third of the whole start-up",
    "numpy": "costs a tenth of a second",
    "opentelemetry": "comes with an extra, and is wanted by who asks for spans",
    "sqlite3": "is not wanted by who mounts one middleware",
}

# Words that name no noun, so that everything would fit into what bears them.
VAGUE = frozenset({"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"})

FUNCTION_LINES = 60  # a function fits a screen
FILE_LINES = 400  # a file that passes this is probably two nouns
SUITE_LINES = 800  # a suite is a list of cases; one that passes this asks about two things
DOCSTRING_LINES = (3, 10)  # what a module owns and what it refuses


class Longer(NamedTuple):
    lines: int
    why: str


# "laneway.room.file" or "laneway.room.file:function" -> how long it may be, and why it is one thing all the same.
LONGER: dict[str, Longer] = {
    "tests.unit.test_dialect_anthropic:test_reading_everything_the_neutral_conversation_can_say": Longer(
        95, "one conversation in which everything occurs, written out as data"
    ),
    "tests.unit.test_dialect_converse:test_reading_everything_the_neutral_conversation_can_say": Longer(
        75, "one conversation in which everything occurs, written out as data"
    ),
}

PRINTERS: dict[str, str] = {
    "cli": "talks to the person who typed the command",
    "commands": "talk to the person who typed the command",
    "serve": "tells that person what is running",
}

TOP: dict[str, str] = {
    "CHANGELOG.md": "what changed, as a user sees it",
    "Dockerfile": "the image",
    "LICENSE": "Apache-2.0",
    "Makefile": "what a person types",
    "README.md": "where a person begins",
    "bench": "comparisons of speed",
    "config": "the catalog and complete deployments",
    "native": "the compiled core",
    "pyproject.toml": "the package and the tools' settings",
    "src": "the package and the page",
    "tests": "what holds",
}

# Written so that no pattern matches its own source.
NEVER_COMMITTED: dict[str, str] = {
    r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|repo1?[.]maven|proxy[.]golang|static[.]crates": (
        "where packages come from is the installing person's choice"
    ),
    r"--(?:extra-)?index-url[ =]|--find-links[ =]|PIP_[A-Z]*INDEX": (
        "where packages come from is the installing person's choice"
    ),
    r"(?<![\w.-])/(?:root|work)/|(?<![\w.-])/(?:home|Users)/[a-z]": "it exists on one machine only",
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bsk-(?:ant|proj)-[A-Za-z0-9_-]{40,}": "it is a secret, or looks like one",
}

# Files that may hold it all the same.
HARMLESS_FILES: dict[str, str] = {
    "tests/fakes/tls/localhost.pem": "the key of a certificate for localhost that only the tests trust",
}
