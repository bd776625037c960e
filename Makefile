# What a person or a CI does with this repository. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export RHONE_DATA ?= $(CURDIR)/.data
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
STAMP := .venv/.synced
FAST := not docker and not temporal and not forge and not postgres and not faults and not slow

.PHONY: help setup demo test soak check up bench production clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Install and build what this machine lacks
	tools/setup

demo: ## Set up, then show one run from a failing test to a pull request
	tools/setup
	$(BIN)/rhone demo

up: ## Set up, then start the stack and leave it running
	tools/setup --skip-forge
	$(BIN)/rhone up

check: $(STAMP) ## Format, lint, types, import rules, shape and fast tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/pyright & types=$$!; $(BIN)/pytest -n 2 --hypothesis-profile=fast -m "$(FAST)"; wait $$types

test: ## Set up, then run every test
	tools/setup --for-tests
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

soak: ## Set up, then run the long counts: hours, for before a release
	tools/setup --for-tests
	$(BIN)/pytest -m soak
	$(BIN)/pytest --repeats 10 --timeout 3600 tests/faults/test_tool_path.py
	$(BIN)/pytest --hypothesis-profile=soak --timeout 3600 tests/unit
	$(BIN)/python -m tests.injection.score

bench: ## Set up, then measure and write docs/performance.md
	tools/setup --for-tests
	$(BIN)/python -m bench --write

production: ## Start the production shape with docker compose and run the demo's task on it
	tools/production

clean: ## Remove the Python environment and what set-up keeps in the data directory
	rm -rf .venv "$(RHONE_DATA)/cache"

$(STAMP): pyproject.toml uv.lock
	tools/uv sync --frozen
	touch $@
