"""The files that travel with the program are found wherever it runs from."""

from __future__ import annotations

import pytest

from laneway import bundle


def test_the_catalog_is_found() -> None:
    assert bundle.path("config/catalog.toml").is_file()
    assert bundle.read("config/catalog.toml") == bundle.path("config/catalog.toml").read_bytes()


def test_a_file_that_was_not_shipped_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"config/nowhere\.toml is not part of this installation"):
        bundle.read("config/nowhere.toml")
