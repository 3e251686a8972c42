"""The two forms of the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from laneway.logs import start_logging


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root, uvicorn, errors = (logging.getLogger(name) for name in ("", "uvicorn", "uvicorn.error"))
    handlers, levels, filters = list(root.handlers), (root.level, uvicorn.level), list(errors.filters)
    yield
    root.handlers[:] = handlers
    errors.filters[:] = filters
    root.setLevel(levels[0])
    uvicorn.setLevel(levels[1])


def test_as_json_each_line_is_an_object_with_its_facts(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging()
    start_logging("json")
    log = logging.getLogger("laneway")
    log.warning("two\nlines of %s", "text", extra={"facts": {"status": 502}})
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("it broke")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["level"], first["message"], first["status"]) == ("warning", "two\nlines of text", 502)
    assert first["at"].endswith("+00:00")
    assert "ValueError: bad" in second["trace"]


def test_as_text_each_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("text")
    logging.getLogger("laneway").info("a thing happened", extra={"facts": {"status": 502}})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(" INFO a thing happened")
