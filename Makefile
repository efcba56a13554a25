# The words of this project. `make help` lists them; `.ci/run` uses the same ones.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Less than a tenth of it is enough for the demo.
DEMO_STAMP := $(VENV)/.installed-for-the-demo
INSTALLED_BY := pyproject.toml constraints.txt requirements-local.txt scripts/setup
# How many processes share the tests.
JOBS ?= 2
# Extra words for pytest, e.g. `make test ARGS="-k fold -x"`.
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check fix docs bench build constraints clean

help: ## Show these words
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## Create .venv and install everything; other words do it when it is needed

$(STAMP): $(INSTALLED_BY)
	@scripts/setup $(VENV)
	@touch $(DEMO_STAMP) $@

$(DEMO_STAMP): $(INSTALLED_BY)
	@scripts/setup $(VENV) local
	@touch $@

demo: $(DEMO_STAMP) ## The main job in under a minute: real agents, an approval, a crash and its recovery
	@$(BIN)/sessionry demo

test: $(STAMP) ## The quick suite (minutes)
	@$(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist worksteal $(ARGS)

test-all: $(STAMP) ## The slow suites that `make test` leaves out: crashes, floods, upgrades, the wheel (up to an hour)
	@scripts/ensure-chromium
	@$(BIN)/python -m pytest -m slow -n $(JOBS) --dist loadfile $(ARGS)

check: $(STAMP) ## Lint, format, types, layers, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python scripts/generate_sync.py --check
	@$(BIN)/python scripts/generate_docs.py --check
	@$(BIN)/python -m pytest -q tests/project/test_layers.py

fix: $(STAMP) ## Mend what a machine can mend: format, imports, simple lint
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(STAMP) ## Write anew what follows from the code: pages of docs/, and sync.py
	@$(BIN)/python scripts/generate_sync.py
	@$(BIN)/python scripts/generate_docs.py

bench: $(STAMP) ## Measure against the disk and other libraries, and write benchmarks/RESULTS.md; QUICK=1 for a short look
	@QUICK=$(QUICK) PEERS=$(PEERS) $(BIN)/python -m benchmarks $(ARGS)

build: $(STAMP) ## Build the wheel and the source archive into dist/
	@$(BIN)/python -m build --no-isolation

constraints: ## Pin the newest versions that pyproject.toml allows in constraints.txt
	@scripts/renew-constraints

clean: ## Remove what was built and cached; .venv stays
	@rm -rf build dist .coverage htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
