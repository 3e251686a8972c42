"""Layouts of configurations that are written in a test.

Owns: laying out a text with the catalogue that is bundled, and what is wrong with one that cannot be laid out.
Refuses: files, and texts that cannot be read.
"""

from __future__ import annotations

import pytest

from laneway.config import ConfigError, read
from laneway.layout import Layout
from laneway.loaded import catalog


def layout(text: str, **more: object) -> Layout:
    source = read(text, {})
    assert source.problems == ()
    return Layout(source.settings, catalog(), **more)  # type: ignore[arg-type]


def problems(text: str) -> list[str]:
    """What does not fit together in a text that can be read."""
    with pytest.raises(ConfigError) as caught:
        layout(text)
    return [str(problem) for problem in caught.value.problems]
