"""The endurance run, short: everything at once for half a minute. Memory needs longer to tell (`make endurance`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.endurance.__main__ import endure

pytestmark = pytest.mark.heavy


def test_half_a_minute_of_everything_leaves_nothing_behind(tmp_path: Path) -> None:
    table, wrong = endure(tmp_path, seconds=25.0, rate=30.0, seed=7)
    # A process so young still grows into its caches.
    assert [each for each in wrong if "resident memory" not in each] == [], table
