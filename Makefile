# Two commands set up everything on a machine with Python 3.11+, make and a package index.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
WORKERS ?= 4

.DEFAULT_GOAL := help

help: ## this page
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 14

.venv/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found."; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@mkdir -p .venv/links/reelsweep && for p in prompts tasks flows; do ln -sfn ../../../$$p .venv/links/reelsweep/$$p; done
	@touch $@

demo: .venv/ready ## the sandbox makes the example table's clips; says where manifest, page and videos are
	@$(BIN)/reelsweep run example:

lint: .venv/ready ## format, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

test: lint ## every check and every test
	@$(BIN)/python -m pytest -q -m "not bench" -n $(WORKERS) --dist loadgroup

docs: .venv/ready ## write the generated parts of README.md
	@$(BIN)/python tests/conventions/generated.py

picture: .venv/ready ## draw README.jpg: the gallery of four prompts with six seeds
	@REELSWEEP_HOME=runs/home $(BIN)/reelsweep seedcheck
	@REELSWEEP_HOME=runs/home $(BIN)/reelsweep run tests/shots.csv --seeds 0-5
	@$(BIN)/python tests/picture.py runs/sandbox/shots README.jpg

bench: .venv/ready ## the budgets that are measured
	@$(BIN)/python -m pytest -q -m bench tests

chaos: .venv/ready ## 200 kills over thousands of generations, then the bill (half an hour; KILLS, ROUNDS)
	@$(BIN)/python tests/chaos/chaos.py --kills $(or $(KILLS),200) --rounds $(or $(ROUNDS),50)

clean: ## take .venv and the runs away
	@rm -rf .venv runs build dist *.egg-info

.PHONY: help demo lint test docs picture bench chaos clean
