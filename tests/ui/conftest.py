"""Where the browser's driver is not installed (it is `make test-ui` that brings it) there is nothing to collect."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from tests.ui.browsing import browsing

    with browsing() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails its test when a script on it failed, or its policy was broken."""
    from tests.ui.browsing import opened

    errors: list[str] = []
    page = opened(browser, errors)
    yield page
    page.close()
    assert not errors
