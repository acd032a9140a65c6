# Everything a fresh machine needs to do: `make demo` and `make test`. Needs Python >= 3.11.4, make and package registries.
# `make` alone lists the targets: a line `target: ... ## what it does` is one of the list.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.tidemill-is-set-up
# Whoever waits at a terminal sees what is being downloaded.
QUIET := $(shell test -t 2 || echo --quiet)

.PHONY: help setup demo check lint types layers rules test test-full chaos simulate simulate-bugs tools bench states metrics dashboards samples screenshots clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## build .venv, and download the jars of the local stack
	@$(BIN)/python -m infra.jars

# `make demo` until Ctrl-C; `make demo SECONDS=90` bounded, 0 only if everything did what it should.
demo: setup ## run all of it on this machine and kill two processes; SECONDS=90 bounds it
	@$(BIN)/tidemill demo $(SECONDS)

# Its parts run at the same time under `make --jobs=3`.
check: lint types layers rules ## look at the code: lint, format, types, layers, house rules

lint: $(STAMP) ## a part of check: ruff
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP) ## a part of check: mypy
	$(BIN)/mypy

layers: $(STAMP) ## a part of check: who may import whom
	$(BIN)/lint-imports

rules: $(STAMP) ## a part of check: the limits of test_tidy.py
	$(BIN)/pytest -q tests/unit/repository/test_tidy.py

# Three processes on two cores, because tests that need servers mostly wait (tests/conftest.py).
test: setup tools check ## do every check and every test
	$(BIN)/pytest --durations=15 -n 3 --no-loadscope-reorder \
		tests/simulation tests/integration tests/guarantees tests/hostile tests/component tests/acceptance tests/unit

# Slow tests one after the other, then chaos with a new seed, which it prints.
test-full: test ## do every check and every test, and the slow ones: up to 45 minutes
	$(BIN)/pytest --durations=15 -n 0 tests/full
	$(BIN)/python -m tests.chaos --minutes 3

# Faults on a real stack under load (docs/reliability.md): kills, freezes, cuts, full disks, wrong clocks.
chaos: setup ## inject faults for MINUTES=3, with SEED=7, and judge; WRITE=1 writes docs/reliability.md
	@$(BIN)/python -m tests.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(WRITE),--write)

# The real code over a simulated cluster (docs/reliability.md). A failing seed says the command that replays it.
simulate: $(STAMP) ## simulate hours with faults: SEEDS=500, or SEED=7 alone
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(FIRST),--first $(FIRST)) $(if $(COUNTS),--counts $(COUNTS))

simulate-bugs: $(STAMP) ## plant each bug, and write how soon it is found into docs/reliability.md
	@$(BIN)/python -m tests.simulation --bugs

# Into the cache: the system stays as it is.
tools: $(STAMP) ## bring what tests need besides .venv: Prometheus and a Chromium
	@$(BIN)/python -m infra.packages

# All figures, or ONLY=tick,due20; SHORT=1 is a smoke run that writes nothing down.
bench: setup ## measure what is claimed to be fast; ONLY=tick,due20 and SHORT=1 do less
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(SHORT),--short)

# From the tables of transitions in the code.
states: $(STAMP) ## write docs/states.md
	@$(BIN)/python docs/states.py

# From the catalogue of metrics in the code.
metrics: $(STAMP) ## write the tables of docs/metrics.md after a change of a metric
	@$(BIN)/python docs/metrics.py

# From infra/grafana/boards.
dashboards: $(STAMP) ## write infra/grafana/dashboards after a change of a board
	@$(BIN)/python -m infra.grafana.generate

# Of the version in pyproject.toml, when it is released (CONTRIBUTING.md).
samples: $(STAMP) ## write tests/released/VERSION: what all later releases are tested to read
	@$(BIN)/python -m tests.support.release

# Of the web page, over a local stack; look at each before you commit it.
screenshots: setup ## take a picture of each page of the web page into docs/screenshots
	@$(BIN)/python docs/screenshots.py

clean: ## remove .venv, the local stack's data and caches
	rm -rf .venv .tidemill .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Tidemill needs $(PYTHON), version 3.11.4 or newer; another one is named by PYTHON=." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11, 4) or sys.exit(f"Tidemill needs Python 3.11.4 or newer; {sys.executable} is {v[0]}.{v[1]}.{v[2]}; another one is named by PYTHON=.")'
	@echo "Building .venv from requirements.lock; this happens once."
	@$(PYTHON) -m venv .venv || { echo "$(PYTHON) cannot make a virtual environment: its venv module is missing or incomplete." >&2; exit 1; }
	@$(BIN)/python -m pip install $(QUIET) --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
