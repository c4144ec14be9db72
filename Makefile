# The verbs of this repository; `make` alone lists them. Needed: Python 3.11 or later, and Go for the real parts.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
PYTHON ?= python3
PYTEST_ARGS ?=
# Byte code that is not kept costs `make test-unit` 20 s: each of its processes would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup parts ready demo test test-unit coverage test-faults model lint crds clean

help: ## list these verbs
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv/ with everything but the control plane
	@echo "setup: .venv is ready"

demo: ready ## control plane, simulator, operator and samples, live, until Ctrl-C (ONCE=1 ends by itself)
	@$(BIN)/agentex-dev demo $(if $(filter 1 true yes,$(ONCE)),--once)

test: ## every test, on a real API server, the real Helm and kstatus (PYTEST_ARGS="-k name" for a few)
	@$(MAKE) ready WANTED="helm kstatus"
	@$(BIN)/pytest -n auto --dist loadfile $(PYTEST_ARGS)

test-unit: $(READY) ## the quick tests: no control plane, no Helm, no kstatus, no exhaustive search
	@$(if $(CHOSEN),$(BIN)/pytest $(QUICK) $(PYTEST_ARGS),$(SIDE_BY_SIDE))

coverage: $(READY) ## how much of reconcile/ the quick tests of the shell cover; fails below 90 %
	@$(BIN)/coverage run -m pytest $(SHELL_TESTS) $(QUICK) $(PYTEST_ARGS)
	@$(BIN)/coverage report

model: $(READY) ## every way in which the create protocol can go wrong, and 29 mutants of it (FULL=1: millions of states)
	@$(BIN)/python -m tests.model $(if $(filter 1 true yes,$(FULL)),--full)

test-faults: ready ## the fault programme, resumable, or a part of it (PART=1/3; FULL=1: double crashes too)
	@$(BIN)/python -m tests.faults $(if $(filter 1 true yes,$(FULL)),--full) $(if $(PART),--part $(PART))

lint: $(READY) ## ruff, mypy, and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

crds: $(READY) ## write crds/, and the chart's copy of it, from the models in operator/agentex_operator/api
	@$(BIN)/agentex-operator crds
	@cp crds/*.yaml deploy/helm/agentex-operator/files/crds/

clean: ## remove .venv/ and every cache in this folder (built parts stay in ~/.cache/agentex-operator)
	rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build operator/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A run of all quick tests has three parts, side by side. What the first two say is shown when the third has ended.
# tests/house stays in the foreground: a shell lets its background jobs ignore SIGINT, which these tests send. The third
# part has tests/core too, so that the parts take about the same time.
QUICK := --hypothesis-profile quick -m "not needs_cluster and not needs_helm and not needs_kstatus and not exhaustive"
CHOSEN := $(filter-out -% no:%,$(PYTEST_ARGS))
SHELL_TESTS := tests/reconcile
THIRD := tests/house tests/core
define SIDE_BY_SIDE
said=$$(mktemp -d); trap 'rm -rf "$$said"' EXIT; \
$(BIN)/pytest $(SHELL_TESTS) $(QUICK) $(PYTEST_ARGS) > $$said/first 2>&1 & first=$$!; \
$(BIN)/pytest $(patsubst %,--ignore=%,$(SHELL_TESTS) $(THIRD)) $(QUICK) $(PYTEST_ARGS) > $$said/second 2>&1 & second=$$!; \
$(BIN)/pytest $(THIRD) $(QUICK) $(PYTEST_ARGS); failed=$$?; \
wait $$first || failed=$$?; cat $$said/first; wait $$second || failed=$$?; cat $$said/second; exit $$failed
endef

# --- how ------------------------------------------------------------------------------------------------------------

# Go compiles while pip installs; each says every few seconds that it is alive.
ready:
	@$(MAKE) -s -j2 $(READY) parts

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c "$$CHECK_PYTHON"
	@test -x $(BIN)/python || { echo "setup: making .venv with $$($(PYTHON) --version)"; $(PYTHON) -m venv .venv; }
	@echo "setup: installing $$(grep -c '^[a-z].*==' requirements/dev.txt) packages, each checked against its hash"
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --require-hashes \
	  -r requirements/dev.txt | sed -un -e 's/^Collecting \([^ ]*\).*/setup:   \1/p' -e '/^Installing/s/^.*/setup: unpacking them/p'
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# With the system's Python, which has nothing installed: what is imported here needs the standard library only.
parts:
	@set -o pipefail; PYTHONPATH=operator $(PYTHON) -c "$$BUILD_PARTS" $(WANTED) 2>&1 | cat

define CHECK_PYTHON
import sys
if sys.version_info < (3, 11):
    sys.exit("setup: this is Python %d.%d, 3.11 or later is needed: make setup PYTHON=python3.12" % sys.version_info[:2])
endef
export CHECK_PYTHON

define BUILD_PARTS
import sys
try:
    from agentex_dev import errors, gobuild, programs
except ImportError as error:
    sys.exit("parts: %s; is this Python 3.11 or later? Name one: make demo PYTHON=python3.12" % error)
try:
    programs.find_programs()
    for wanted in sys.argv[1:]:
        gobuild.built(gobuild.TOOLS_BY_NAME[wanted])
except errors.DevError as error:
    sys.exit("parts: %s" % error)
endef
export BUILD_PARTS
