"""Reads a Dockerfile, so that it can be checked where no container engine runs.

Owns: splitting it into instructions by stage, and what has to hold for an image of ours. Refuses: building anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import NamedTuple


class Instruction(NamedTuple):
    stage: int
    word: str
    rest: str


def read(text: str) -> list[Instruction]:
    """The instructions in order; `stage` counts the FROMs before and including it, from 0."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*\n?", "", text))
    stage, found = -1, []
    for line in filter(str.strip, joined.splitlines()):
        word, _, rest = line.strip().partition(" ")
        stage += word.upper() == "FROM"
        found.append(Instruction(stage, word.upper(), rest.strip()))
    return found


def problems(text: str, committed: frozenset[str], kept_out: str) -> Iterator[str]:
    """What is wrong with the image: `committed` are the files there are, `kept_out` is the text of .dockerignore."""
    steps = read(text)
    last = max((step.stage for step in steps), default=-1)
    if last < 1:
        yield "one stage: the compiler would travel with the program"
    final = [step for step in steps if step.stage == last]
    users = [step.rest for step in final if step.word == "USER"]
    if not users or users[-1].partition(":")[0] in ("root", "0"):
        yield "the program would run as root: end with another USER"
    if not any(step.word == "HEALTHCHECK" and "/healthz" in step.rest for step in final):
        yield "no HEALTHCHECK that asks /healthz"
    if not any(step.word == "EXPOSE" and step.rest.split() == ["8080"] for step in final):
        yield "port 8080 is not exposed"
    if not any(step.word == "ENTRYPOINT" and step.rest.startswith("[") for step in final):
        yield "no ENTRYPOINT in the form of a list: a shell would keep the stop signal from the program"
    yield from _wrong_copies(steps, committed, kept_out)


def _wrong_copies(steps: list[Instruction], committed: frozenset[str], kept_out: str) -> Iterator[str]:
    stages = {match[1] for step in steps if (match := re.search(r"(?i)\bAS (\S+)$", step.rest))}
    for step in steps:
        if step.word not in ("ADD", "COPY"):
            continue
        *sources, _ = [part for part in step.rest.split() if not part.startswith("--")]
        if origin := re.search(r"--from=(\S+)", step.rest):
            if origin[1] not in stages:
                yield f"copies from a stage that is not there: {origin[1]}"
            continue
        for source in sources:
            inside = {name for name in committed if name == source or name.startswith(f"{source.rstrip('/')}/")}
            if not inside:
                yield f"copies what is not committed: {source}"
            elif all(_ignored(name, kept_out) for name in inside):
                yield f"copies what .dockerignore keeps out: {source}"


def _ignored(name: str, kept_out: str) -> bool:
    """The last line that matches the file, or a folder above it, decides."""
    parents = ["/".join(name.split("/")[:depth]) for depth in range(1, name.count("/") + 2)]
    ignored = False
    for line in kept_out.splitlines():
        pattern = line.strip().lstrip("!").rstrip("/").removeprefix("**/")
        if pattern and not line.startswith("#") and any(fnmatch(parent, pattern) for parent in parents):
            ignored = not line.startswith("!")
    return ignored
