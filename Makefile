# All that a newcomer needs, on a machine with nothing but Python 3.11 or newer:
#
#   make quickstart    make .venv, install, run the whole way on real EEG (simulated where there is neither data nor network)
#   make test          make .venv, install, run the tests: minutes
#   make test-all      likewise, with those marked slow, which continuous integration runs too
#   make docs          make .venv, install, build the documentation into site/
#
# The second call of each installs nothing. `rm -rf .venv` starts over.

PYTHON ?= python3
VENV ?= .venv
# e.g. TORCH_FLAGS="--index-url https://download.pytorch.org/whl/cpu" saves gigabytes on a machine without a GPU
TORCH_FLAGS ?=
PIP_FLAGS ?= --quiet
# Each worker computes on one thread, more would compete for the cores; a file stays with one for its fixtures
PYTEST_FLAGS ?= -n 2 --dist loadfile

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt

.PHONY: help install quickstart test test-all quality docs benchmark clean

help:
	@sed -n 's/^#   /  /p' Makefile

install: $(VENV)/.installed

quickstart: $(VENV)/.installed
	$(BIN)/eeg-hf quickstart

test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_FLAGS) -m "not slow"

test-all: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_FLAGS)

quality: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open site/index.html; with a search box: $(BIN)/python -m http.server -d site"

benchmark: $(VENV)/.installed
	$(BIN)/python tools/benchmark.py

clean:
	rm -rf build dist site src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
	find src scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "expected Python 3.11 or newer, got $$($(PYTHON) --version 2>&1): name another, e.g. make PYTHON=python3.12 test" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch comes first, so that what needs it takes the build that is there instead of choosing another
$(VENV)/.installed: $(VENV)/.created setup.cfg constraints.txt tools/mend_cpu_torch.py tools/fetch_common_tests.py
	@echo "installing into $(VENV): a few minutes the first time"
	$(PIP) $(TORCH_FLAGS) torch
	$(PIP) -e ".[test]"
	$(BIN)/python tools/mend_cpu_torch.py
	$(BIN)/python tools/fetch_common_tests.py
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e ".[dev]"
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.created setup.cfg constraints.txt
	$(PIP) $(TORCH_FLAGS) torch
	$(PIP) -e ".[docs]"
	@touch $@
