"""The image is small, runs as an ordinary user and says how it is: read off the Dockerfile, since none can be built."""

from __future__ import annotations

import pytest

from tests.house.container import problems
from tests.house.source import ROOT, committed

GOOD = """\
# syntax of a sound image
FROM python:3 AS build
COPY pyproject.toml \\
     src /build/
FROM python:3
COPY --from=build /opt /opt
USER 10001
EXPOSE 8080
HEALTHCHECK --interval=10s CMD ["ask", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["laneway"]
"""
FILES = frozenset({"pyproject.toml", "src/laneway/cli.py", "tests/conftest.py"})
KEPT_OUT = "*\n!pyproject.toml\n!src\n**/*.so\n"


def test_the_dockerfile_is_sound() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    kept_out = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    assert not list(problems(text, frozenset(committed()), kept_out))


def test_a_sound_one_passes() -> None:
    assert not list(problems(GOOD, FILES, KEPT_OUT))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("FROM python:3\n", "", "one stage"),
        ("USER 10001", "USER root", "as root"),
        ("USER 10001", "USER 0:0", "as root"),
        ("USER 10001\n", "", "as root"),
        ("/healthz", "/", "HEALTHCHECK"),
        ("EXPOSE 8080", "EXPOSE 80", "8080"),
        ('["laneway"]', "laneway", "ENTRYPOINT"),
        ("--from=build", "--from=builder", "not there: builder"),
        ("src /build/", "source /build/", "not committed: source"),
        ("src /build/", "tests /build/", "keeps out: tests"),
    ],
)
def test_an_unsound_one_is_refused(old: str, new: str, complaint: str) -> None:
    assert old in GOOD
    assert any(complaint in problem for problem in problems(GOOD.replace(old, new), FILES, KEPT_OUT))
