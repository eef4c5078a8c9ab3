# Needs Python 3.11 or newer with pip and venv, make, and a package index. Nothing else.
# Each target makes the virtual environment first if it is not there.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
# Tests wait more than they compute: one worker more than there are processors, four at most.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(min(4, (os.cpu_count() or 1) + 1))")
READY := $(VENV)/.ready
PROFILE ?= short

.NOTPARALLEL:
.PHONY: help demo demo-remote test test-uncompiled test-windows check lint types schemas speedups format soak bench \
	bench-output bench-follow bench-bots bench-remote follow-table attack test-pythons coverage dist docs picture completions man \
	clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 20

$(READY): pyproject.toml constraints.txt hatch_build.py src/limpet/_speedups.c
	@test -n "$(PYTHON)" || { \
		echo "limpet needs Python 3.11 or newer; say where it is: make demo PYTHON=python3.12" >&2; \
		exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		echo "making $(VENV) with $$($(PYTHON) --version) ..."; \
		rm -rf $(VENV); \
		$(PYTHON) -m venv $(VENV) || { \
			rm -rf $(VENV); \
			echo >&2; \
			echo "$(PYTHON) cannot make virtual environments. Debian and Ubuntu keep that in a package:" >&2; \
			echo "    apt-get install python3-venv" >&2; \
			exit 1; }; }
	@echo "installing limpet and its tools ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'  # knows --group
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[bot,cli,nats,watchfiles,web,webhook]' --group dev --constraint constraints.txt
	@touch $@

demo: $(READY)  ## see it work, in a few seconds
	@$(BIN)/python examples/demo.py

demo-remote: $(READY)  ## see three hosts work together over a hub that is killed in the middle
	@$(BIN)/python examples/remote/demo.py

test: $(READY)  ## run the tests; screenshots of the page are in build/screenshots
	SCREENSHOTS_DIR=$(CURDIR)/build/screenshots $(BIN)/python -m pytest --numprocesses $(WORKERS)

test-windows: $(READY)  ## run the tests in the CPython for Windows, under Wine, which it installs (apt)
	@$(BIN)/python tests/windows/run.py

test-pythons: $(READY)  ## the core, and one bot under both runners, on each Python that is found here
	$(BIN)/python -m pytest -m pythons -rs tests/bot/test_pythons.py tests/pythons \
		tests/examples/test_tutorial.py tests/examples/test_recipes.py

test-uncompiled: $(READY)  ## laws, scenarios, streams and faults of the watch without the compiled part
	@$(BIN)/python -c 'import sys; from limpet import _compiled; sys.exit(_compiled.SPEEDUPS is not None)' && \
		echo "no compiled part: make test runs all of it in Python" || \
		LIMPET_SPEEDUPS=0 LIMPET_PROFILE=brief $(BIN)/python -m pytest --numprocesses $(WORKERS) \
		tests/watch/model tests/watch/scenarios tests/watch/kernel/test_faults.py

check: lint types test test-uncompiled  ## all that must hold before a change goes in: lint, types, tests

lint: $(READY)  ## format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)  ## types, as each of the three systems sees them
	$(BIN)/mypy --platform linux --cache-dir .mypy_cache/linux src tests benchmarks examples docs/_site
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin src
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 src

schemas: $(READY)  ## write the JSON Schemas of the files anew, after a change of settings
	$(BIN)/python -m tests.schemas

speedups: $(READY)  ## compile src/limpet/_speedups.c beside it; needs a C compiler and Python's headers
	$(BIN)/python hatch_build.py

completions: $(READY)  ## write contrib/completions anew, after a change of options
	$(BIN)/python -m tests.completions

man: $(READY)  ## write the manual pages into .cache/man
	$(BIN)/python docs/_site/manual.py .cache/man

format: $(READY)  ## put the code into the form lint wants
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

soak: $(READY)  ## the laws under many more random operations, some minutes for each backend
	LIMPET_PROFILE=soak $(BIN)/python -m pytest tests/watch/model tests/watch/filesystems \
		tests/following tests/bot/test_model.py tests/output/test_chaos.py tests/speedups \
		-m "soak or not soak" --timeout=3600
	$(BIN)/python -m pytest -m soak tests/bot --timeout=3600

bench: $(READY)  ## compare with the peers and write docs/explanation/performance/watch.md; PROFILE=full takes longer
	$(BIN)/python -m benchmarks $(PROFILE)

bench-output: $(READY)  ## compare writing with the peers and write docs/explanation/performance/output.md
	$(BIN)/python -m benchmarks.output

bench-follow: $(READY)  ## compare following with the peers and write docs/explanation/performance/follow.md
	$(BIN)/python -m benchmarks.follow

follow-table: $(READY)  ## play the fault cases to limpet, tail -F and pygtail, into docs/explanation/guarantees.md
	$(BIN)/python -m benchmarks.follow_table

bench-remote: $(READY)  ## measure events and commands over a hub and write docs/explanation/performance/remote.md
	$(BIN)/python -m benchmarks.remote

bench-bots: $(READY)  ## compare bots with mewbot's own runner and write docs/explanation/performance/bots.md
	$(BIN)/python -m benchmarks.bots

attack: $(READY)  ## try to get out of an output's folder, and see the usual way get out
	$(BIN)/python -m benchmarks.attack

dist: $(READY)  ## build the source archive and the wheels into dist, and check them as a package index does
	@rm -rf dist
	LIMPET_BUILD_SPEEDUPS=0 $(BIN)/python -m build --no-isolation --outdir dist .
	@$(BIN)/python hatch_build.py --can-compile && \
		LIMPET_BUILD_SPEEDUPS=1 $(BIN)/python -m build --no-isolation --wheel --outdir dist . || \
		echo "no compiled wheel: there is no C compiler, or it is not for this system"
	$(BIN)/python -m twine check --strict dist/*

docs: $(READY)  ## build the site of the documentation into .cache/site; no warning is let through
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --clean

picture: $(READY)  ## draw docs/images/demo.svg from what the demo prints
	$(BIN)/python docs/_site/picture.py docs/images/demo.svg

coverage: $(READY)  ## run the tests and show the lines and branches they do not reach
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

clean:  ## remove what was made here
	rm -rf src/limpet/*.so $(VENV) .cache/site .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage* build dist
