# The two commands of the README, `make demo` and `make test`, do all the set-up that they need.
# Needs: git, make, Python 3.11 with venv. Everything goes into $(VENV).

PYTHON ?= python3.11
AIRFLOW ?= 3.3
VENV ?= .venv/airflow-$(AIRFLOW)
BIN := $(VENV)/bin
CONSTRAINTS := constraints/airflow-$(AIRFLOW).txt
READY := $(VENV)/.ready
PROFILES ?= 20000
PEOPLE ?= 2000000
# One more than cores: end-to-end tests wait now and then.
WORKERS ?= $(shell expr $$(nproc) + 1)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-oldest test-newest lint types check bench chaos cluster-test sandbox constraints clean

help:  ## List the commands.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## Make the environment for Airflow $(AIRFLOW).

# Exactly the pinned packages, each by its hash; then this package, without its dependencies. Compiled once, since where
# PYTHONDONTWRITEBYTECODE is set every start of Airflow would compile it anew.
$(READY): pyproject.toml $(CONSTRAINTS)
	@echo "Setting up $(VENV) with Airflow $(AIRFLOW); this takes a minute …"
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is needed, or another Python ≥ 3.11: make PYTHON=python3"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(sed -nE 's/^(uv==[^ ]+).*/\1/p' $(CONSTRAINTS))"
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $(CONSTRAINTS)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

demo: $(READY)  ## Run both directions on the sandbox through a real Airflow, on two nights and once more.
	@$(BIN)/python -m airflow_provider_braze_blueconic.sandbox.demo --dags dags --profiles $(PROFILES)

test: $(READY)  ## Run the tests: unit, contract, end to end, chaos in its short form.
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --maxschedchunk 4 $(ARGS)

test-oldest:  ## Run the tests on the oldest supported Airflow.
	@$(MAKE) --no-print-directory test AIRFLOW=3.0

test-newest:  ## Run the tests on Python 3.13, which has to be installed.
	@$(MAKE) --no-print-directory test PYTHON=python3.13 VENV=.venv/airflow-$(AIRFLOW)-python3.13

lint: $(READY)  ## Check style, and which way imports point.
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-logo --no-cache

types: $(READY)  ## Check types.
	@$(BIN)/mypy

check: lint types test  ## Lint, types and tests.

bench: $(READY)  ## Measure speed and memory: SCALE=full, AGAINST=<worktree>; not part of the tests.
	@$(BIN)/python -m tests.bench $(if $(AGAINST),--against $(AGAINST)) $(if $(SCALE),--scale $(SCALE)) $(ARGS)

chaos: $(READY)  ## Long tests; then every fault on its own, in both directions, and what became of everybody. Takes an hour.
	@$(BIN)/python -m pytest --numprocesses logical -m "by_hand or hypothesis" --hypothesis-profile=search tests
	@$(BIN)/python -m tests.chaos $(ARGS)

# In an environment of its own, for what only this needs; PostgreSQL and Redis are Debian's.
cluster-test:  ## Kill Celery workers while they sync 2,000,000 people: PEOPLE=20000 for fewer. Takes half an hour.
	@$(MAKE) --no-print-directory setup VENV=.venv/cluster CONSTRAINTS=constraints/cluster.txt
	@{ command -v redis-server && ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 || \
		{ apt-get update -qq && apt-get install -qq --yes --no-install-recommends postgresql redis-server; }
	@.venv/cluster/bin/python -m tests.cluster --people $(PEOPLE) $(ARGS)

sandbox: $(READY)  ## Run the sandbox until interrupted.
	@$(BIN)/braze-blueconic sandbox --profiles $(PROFILES)

constraints: $(READY)  ## Resolve the constraints files anew.
	@for version in 3.0 3.3; do \
		$(BIN)/uv pip compile pyproject.toml constraints/airflow-$$version.in --extra sandbox --group dev \
			--universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --quiet \
			-o constraints/airflow-$$version.txt || exit 1; \
	done
	@$(BIN)/uv pip compile pyproject.toml constraints/cluster.in --constraint constraints/airflow-3.3.txt \
		--extra sandbox --group dev --group cluster \
		--universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --quiet \
		-o constraints/cluster.txt

clean:  ## Remove the environments and caches.
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
