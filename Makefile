# Every target is one line of its own; `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
AGENT ?= command
PYTEST_ARGS ?=
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-faults test-clients test-lowest bench check lint types imports protos stubs errors-page release-image format lock clean

help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Makes .venv with everything that the other targets need

$(VENV)/.ready: pyproject.toml requirements/dev.txt requirements/agents.txt
	@scripts/environment.sh $(PYTHON) $(VENV) "-r requirements/dev.txt" "--no-deps -r requirements/agents.txt" "--no-deps --no-build-isolation --editable ."

demo: setup ## Queues a task, watches it run in a worktree, shows its commit (AGENT=claude uses your Claude Code)
	@$(BIN)/python scripts/demo.py --agent $(AGENT)

test: setup ## Runs every test
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 $(PYTEST_ARGS)

test-faults: setup ## Runs the fault suite alone, for at most 15 minutes: kills servers, fills disks, cuts logs
	@timeout --foreground 900 $(BIN)/python -m pytest tests/faults --numprocesses auto --maxprocesses 4 $(PYTEST_ARGS)

test-clients: setup ## Builds the TypeScript and C++ clients, and runs the scenarios of client/conformance in all four clients
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/build_clients.sh && $(BIN)/python -m pytest tests/clients $(PYTEST_ARGS)

test-lowest: ## Tests the installed package with the oldest versions that it allows of what it needs
	@scripts/test_lowest.sh $(PYTHON) $(VENV)-lowest --numprocesses auto --maxprocesses 4 $(PYTEST_ARGS)

bench: setup ## Runs the benchmarks (BENCH_ARGS="streaming --quick" runs one, in short)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks $(BENCH_ARGS)

check: lint types imports protos ## Lint, formatting, strict types, layering, protos and stubs

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup
	@$(BIN)/mypy && $(BIN)/basedpyright

imports: setup
	@$(BIN)/lint-imports

protos: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check_protos.sh && PYTHONPATH=tests $(BIN)/python scripts/errors_page.py --check

stubs: setup ## Regenerates client/taskgrove/v1 from the protos
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/generate_stubs.sh

errors-page: setup ## Makes docs/errors.md anew from the protos' comments
	@PYTHONPATH=tests $(BIN)/python scripts/errors_page.py

release-image: setup ## At a release: takes the protos as what later ones must not break
	@$(BIN)/buf build --exclude-source-info -o protos/release.binpb

format: setup ## Formats code and protos
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format . && $(BIN)/buf format -w

lock: setup ## Resolves requirements/dev.in anew into requirements/dev.txt
	@$(BIN)/python -m pip install --quiet uv && $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header -o requirements/dev.txt requirements/dev.in

clean: ## Removes the environments and caches
	rm -rf $(VENV) $(VENV)-lowest .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
