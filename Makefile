# `make demo` and `make test` do all the set-up; the environment is made once in .venv and made
# again only when the requirements change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Nothing that is not in a lock file, and nothing whose hash is not there.
LOCKED := $(PIP) install -q --require-hashes --no-deps
# What `make demo` opens: a model directory; by default the model that comes with the package.
MODEL ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test coverage mutation lint bench docs pictures photographs lock licences sbom audit clean

help:
	@echo "make demo [MODEL=DIR]  open the search page on the model photos, or on a model directory"
	@echo "make install           only make the environment, .venv"
	@echo "make test              run all tests; CMR_DATA_HOME=DIR adds those on real data"
	@echo "make lint              ruff, import-linter, vulture and mypy"
	@echo "make coverage          run all tests and count the lines that they run"
	@echo "make mutation          see whether small faults in metrics and losses are found; an hour"
	@echo "make bench [FULL=1]    measure against peers; one table of ratios, docs/benchmarks.md"
	@echo "make docs              the API reference, into build/docs"
	@echo "make pictures          draw the pictures of the documents anew; needs Chromium"
	@echo "make photographs       fetch the photographs of the demo gallery anew; needs Debian and npm"
	@echo "make lock [UPGRADE=1]  lock the requirements again; then run make licences sbom"
	@echo "make audit             ask for known weaknesses of what is locked"
	@echo "make clean             remove the environment and caches"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The build of torch without CUDA where pip is set up to find it; else PyPI's, whose build for Linux
# then misses NVIDIA's libraries.
$(VENV)/.locked: requirements.lock requirements-cpu.lock requirements-cuda.lock | $(BIN)/python
	@$(LOCKED) -r requirements-cpu.lock 2>/dev/null || true
	$(LOCKED) -r requirements.lock
	@$(PIP) check >/dev/null || { echo $(LOCKED) -r requirements-cuda.lock; \
		$(LOCKED) -r requirements-cuda.lock && $(PIP) check; }
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.locked
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock sketches/pyproject.toml $(VENV)/.installed
	$(LOCKED) -r requirements-dev.lock
	$(PIP) install -q --no-deps --no-build-isolation -e ./sketches
	@touch $@

install: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/python demo_gradio.py $(MODEL)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto

coverage: $(VENV)/.installed-dev
	rm -f .coverage*
	$(BIN)/python -m pytest -n auto --cov
	$(BIN)/python -m tools.coverage

mutation: $(VENV)/.installed-dev
	rm -rf mutants
	$(BIN)/mutmut run
	$(BIN)/python -m tools.mutation

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/vulture
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks $(if $(FULL),--full)

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/make_reference.py build/docs

pictures: $(VENV)/.installed-dev
	$(BIN)/python docs/make_pictures.py

photographs: $(VENV)/.installed-dev
	$(BIN)/python -m tools.photographs

lock: $(VENV)/.installed-dev
	$(BIN)/python -m tools.lock $(if $(UPGRADE),--upgrade)

licences: $(VENV)/.installed-dev
	$(BIN)/python -m tools.licences

sbom: $(VENV)/.installed-dev
	$(BIN)/python -m tools.sbom

audit: $(VENV)/.installed-dev
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements-dev.lock \
		-r requirements-cuda.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build *.egg-info
