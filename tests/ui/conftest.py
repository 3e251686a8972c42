"""Where the browser's driver is not installed (it is `make test-ui` that brings it) there is nothing to collect."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("playwright") else ["test_page.py"]
