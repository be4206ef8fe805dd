# The only door: every way of building, running and checking P2D is a target here.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help venv demo lint check test test-long docs clean

help: ## list the targets
	@grep -hE '^[a-z%-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "P2D needs Python 3.11 or later; name one: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.created pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.test: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

venv: $(VENV)/.test ## create .venv with P2D and everything its tests need from PyPI

demo: $(VENV)/.runtime ## synthetic hospital, archive and all three processes: make demo ARGS="--once --patients 30"
	@$(BIN)/p2d demo $(ARGS)

lint: venv ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint ## the gate: lint and unit tests
	$(BIN)/pytest -q --hypothesis-profile quick tests/unit

test: ## install the test servers, then lint, then every test of the first tier
	tools/install-test-servers.sh
	$(MAKE) --no-print-directory lint
	@$(BIN)/pytest -n 2 --dist loadfile -m "not long" --junitxml=build/test-report.xml

test-long: venv ## second tier: tests marked `long`; its result goes to docs/reference/long-tests.md
	@$(BIN)/pytest -m long --junitxml=build/test-long.xml; code=$$?; \
		$(BIN)/python tools/write_long_report.py build/test-long.xml; exit $$code

bench-%: venv ## one benchmark, such as bench-pacs: a table, then one line of JSON
	@PYTHONPATH=benchmarks $(BIN)/python -m $* $(ARGS)

docs: venv ## write docs/reference/cli.md and docs/reference/profiles anew from the program
	@$(BIN)/python tools/write_cli_reference.py
	@$(BIN)/python tools/write_exchange_reference.py
	@$(BIN)/python tools/write_profile_pages.py

clean: ## remove the environment, caches and reports
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
