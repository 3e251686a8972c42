# What a person does with this repository. `make` alone lists it.
#
# Everything is installed into .venv, from the hashes in .ci/*.txt, by .ci/install, which does nothing when nothing
# changed. Nothing need be there before but Python 3.11 or newer, a C++20 compiler, make and git.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
bin := .venv/bin
# CXX has a value in make even if nobody gave it one: only a given one is passed on.
install := PYTHON="$(PYTHON)" $(if $(filter-out default undefined,$(origin CXX)),CXX="$(CXX)") sh .ci/install
# More words for the command at hand, for example: make run ARGS="--port 9000", make test ARGS="-k budget -x"
ARGS ?=

.PHONY: help run test test-ui test-native ui ui-check pictures faults endurance bench lint format lock wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
	@echo '  More words for a command go into ARGS, as in: make run ARGS="--port 9000"'

run: ## install what is missing, then serve on 127.0.0.1:8080
	@$(install) run
	@exec $(bin)/laneway serve $(ARGS)

test: ## run the tests (all but those that need a browser or are marked heavy)
	@$(install) test
	@$(bin)/python -m pytest $(ARGS)

test-ui: ## run the tests that need a browser, installing Debian's chromium where there is none
	@$(install) test
	@$(install) ui
	@$(bin)/python -m pytest -m browser $(ARGS)

ui: ## build the page from src/ui into the package (needs Node)
	@$(install) page
	@cd src/ui && npm run --silent build

ui-check: ## say whether the built page is what its source gives
	@$(install) page
	@cd src/ui && npm run --silent build -- --outDir ../../build/page --emptyOutDir --logLevel warn
	@diff -r build/page src/laneway/api/static >/dev/null || { echo "laneway: the built page differs from its source: make ui" >&2; exit 1; }
	@echo "laneway: the built page is what its source gives"

pictures: ## take pictures of every page, light and dark, wide and of a phone, into build/pictures, to be looked at
	@$(install) test
	@$(install) ui
	@$(bin)/python -m tests.ui.pictures build/pictures $(ARGS)

faults: ## play what providers do wrong through every front, and show a table of it
	@$(install) test
	@$(bin)/python -m tests.faults

endurance: ## everything at once for ten minutes: is it then as it was at first? (ARGS="--minutes 60")
	@$(install) test
	@$(bin)/python -m tests.endurance $(ARGS)

test-native: ## run the tests of the compiled core, under the address and undefined-behaviour sanitizers
	@$(install) test
	@PATH="$(CURDIR)/$(bin):$$PATH" && cmake -S native -B build/tests -G Ninja -DLANEWAY_TESTS=ON -DLANEWAY_MODULE=OFF \
		-DLANEWAY_SANITIZE=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null && cmake --build build/tests >/dev/null \
		&& ctest --test-dir build/tests --output-on-failure

bench: ## compare speeds: pure parts, what money costs, and the whole stack beside a bare forwarder
	@$(install) test
	@$(bin)/python -m pytest bench --benchmark-only --quiet $(ARGS) || [ $$? -eq 5 ] # 5: no such benchmark
	@$(bin)/python -m bench.money
	@$(bin)/python -m bench.peers.race

# All three say what they find, whatever the first one found.
lint: ## check format, style and types
	@$(install) test
	@good=yes; \
	$(bin)/ruff format --check --quiet --output-format concise . || { good=; echo "laneway: make format mends these"; }; \
	$(bin)/ruff check --quiet --output-format concise . || good=; \
	$(bin)/mypy --no-error-summary || good=; \
	[ $$good ] && echo "laneway: format, style and types are as they should be"

format: ## put the sources into their one format
	@$(install) test
	@$(bin)/ruff check --quiet --fix-only .
	@$(bin)/ruff format --quiet .

# The tests' lock is resolved first, as it holds everything; the two others are cut from it, so that a version is the
# same wherever it appears. Pins stay as they are unless they must move: make lock ARGS=--upgrade moves them all.
compile := $(bin)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
lock: ## resolve the locks in .ci anew
	@$(install) test
	@$(compile) pyproject.toml --all-extras --group build --group lock $(ARGS) -o .ci/test.txt
	@$(compile) pyproject.toml -c .ci/test.txt $(ARGS) -o .ci/run.txt
	@$(compile) --group build -c .ci/test.txt $(ARGS) -o .ci/build.txt
	@$(compile) --group ui -c .ci/test.txt $(ARGS) -o .ci/ui.txt
	@git diff --stat -- .ci

wheel: ## build the source distribution, and the wheel from it, into dist/, and try the wheel
	@$(install) test
	@rm -rf dist
	@$(bin)/uv build --quiet --offline --no-build-isolation --python $(bin)/python --out-dir dist .
	@$(bin)/python -m pytest -q -m heavy tests/house/test_wheel.py
	@ls -1 dist/*.tar.gz dist/*.whl

clean: ## remove what was built and installed (laneway.db, your data, stays)
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	@find src tests bench -name __pycache__ -prune -exec rm -rf {} +
