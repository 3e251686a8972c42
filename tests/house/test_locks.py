"""The locks pin everything by hash, agree with pyproject.toml and each other, and name no place to download from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.house.source import ROOT

LOCKS = ("build", "run", "test")
# name==version, an optional marker, and at least one hash: nothing else may stand in a lock.
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; ([^\\]+?))?((?: --hash=sha256:[0-9a-f]{64})+)$")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _lines(text: str) -> list[str]:
    return [re.sub(r"\s+", " ", line) for line in text.replace("\\\n", " ").splitlines()]


def _malformed(text: str) -> list[str]:
    return [line[:80] for line in _lines(text) if not PIN.match(line)]


def _pins(lock: str) -> set[tuple[str, str]]:
    """Names and versions of one of the locks; a name has several where versions differ by platform or Python."""
    text = (ROOT / ".ci" / f"{lock}.txt").read_text(encoding="utf-8")
    return {(match[1], match[2]) for line in _lines(text) if (match := PIN.match(line))}


def _names(requirements: list[str]) -> Iterator[str]:
    for requirement in requirements:
        match = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert match, requirement
        yield re.sub(r"[._-]+", "-", match[0]).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_a_pin_with_hashes(lock: str) -> None:
    assert not _malformed((ROOT / ".ci" / f"{lock}.txt").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "line",
    [
        "httpx==0.28.1",
        "httpx>=0.28 --hash=sha256:" + "0" * 64,
        "--index-" + "url https://mirror.invalid/simple",
        "httpx @ https://mirror.invalid/httpx.whl --hash=sha256:" + "0" * 64,
        "httpx==0.28.1 --hash=md5:" + "0" * 32,
    ],
)
def test_anything_else_is_refused(line: str) -> None:
    assert _malformed(line)


@pytest.mark.parametrize(
    ("lock", "required"),
    [
        ("run", PROJECT["project"]["dependencies"]),
        ("build", PROJECT["dependency-groups"]["build"]),
        ("test", PROJECT["dependency-groups"]["lock"]),
        *(("test", extra) for extra in PROJECT["project"]["optional-dependencies"].values()),
    ],
)
def test_what_is_required_is_locked(lock: str, required: list[str]) -> None:
    missing = set(_names(required)) - {name for name, _ in _pins(lock)}
    assert not missing, f"run `make lock`: {missing} not in .ci/{lock}.txt"


def test_the_tests_run_with_the_versions_that_are_shipped() -> None:
    assert not (_pins("run") | _pins("build")) - _pins("test"), "run `make lock`"


def test_building_without_isolation_brings_all_that_isolation_would() -> None:
    assert set(PROJECT["build-system"]["requires"]) <= set(PROJECT["dependency-groups"]["build"])
