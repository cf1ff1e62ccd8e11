# `make demo` and `make test` do all the set-up; the environment is made once in .venv and made
# again only when the requirements change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What `make demo` opens: a model directory; by default the model that comes with the package.
MODEL ?= default

.DEFAULT_GOAL := help
.PHONY: help install demo test coverage mutation lint bench docs pictures clean

help:
	@echo "make demo [MODEL=DIR]  open the search page on the embedded model, or on a model directory"
	@echo "make install           only make the environment, .venv"
	@echo "make test              run all tests; CMR_DATA_HOME=DIR adds those on real data"
	@echo "make lint              ruff, import-linter, vulture and mypy"
	@echo "make coverage          run all tests and count the lines that they run"
	@echo "make mutation          see whether small faults in metrics and losses are found; an hour"
	@echo "make bench [FULL=1]    measure against peers; one table of ratios, docs/benchmarks.md"
	@echo "make docs              the API reference, into build/docs"
	@echo "make pictures          draw the pictures of the documents anew; needs Chromium"
	@echo "make clean             remove the environment and caches"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-dev.txt
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

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build *.egg-info
