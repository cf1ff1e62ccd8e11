# `make demo` and `make test` do all the set-up; the environment is made once in .venv and made
# again only when the requirements change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Nothing that uv.lock does not have, and nothing whose hash is not there. uv is four times quicker;
# pip knows where a machine's own settings say that packages are.
HASHED := install -q --require-hashes --no-deps
LOCKED := locked() { $(BIN)/uv pip $(HASHED) --python $(BIN)/python -r $$1 2>/dev/null \
	|| $(PIP) $(HASHED) -r $$1; }; locked
export UV_FIND_LINKS := $(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null \
	|| echo "$$PIP_FIND_LINKS")
# What the page, the dashboard and the study need; `make test` takes all extras and the group dev.
RUN := --no-default-groups --group build $(addprefix --extra ,clip dashboard demo mcp study)
EXPORT = $(BIN)/uv export -q --frozen --no-emit-project
# PyTorch's own build without CUDA of the torch in uv.lock, for Python 3.11 on x86-64 Linux. PyPI does
# not have it; it is taken where pip is set up to find it, and then NVIDIA's libraries are left out.
CPU_TORCH := torch==2.13.0+cpu --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
CUDA = $(shell sed -nE 's/^name = "(cuda-.*|nvidia-.*|triton)"$$/--prune \1/p' uv.lock)
# Licences under which nothing may be that the package is used with.
FORBIDDEN := GNU General Public License;GNU Affero;GPL-2.0;GPL-3.0;AGPL
# What `make demo` opens: a model directory; by default the model that comes with the package.
MODEL ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all coverage mutation lint bench bench-quick docs pictures photographs lock licences sbom audit \
	clean

help:
	@echo "make demo [MODEL=DIR]  open the search page on the model photos, or on a model directory"
	@echo "make install           only make the environment, .venv"
	@echo "make test              run the tests; CMR_DATA_HOME=DIR adds those on real data"
	@echo "make test-all          run those of faults and of the documents' commands too"
	@echo "make lint              ruff, import-linter, vulture and mypy"
	@echo "make coverage          run all tests and count the lines that they run"
	@echo "make mutation          see whether small faults in metrics and losses are found; an hour"
	@echo "make bench [FULL=1] [FRESH=1]  measure against peers what is not measured yet"
	@echo "make bench-quick       three minutes: is anything a quarter worse than published?"
	@echo "make docs              the API reference, into build/docs"
	@echo "make pictures          draw the pictures of the documents anew; needs Chromium"
	@echo "make photographs       fetch the photographs of the demo gallery anew; needs Debian and npm"
	@echo "make lock [UPGRADE=1]  lock the requirements of pyproject.toml again, in uv.lock"
	@echo "make licences          list the licence of all that is installed, and refuse the GPL"
	@echo "make sbom              write build/sbom.json, a bill of materials of what is installed"
	@echo "make audit             ask for known weaknesses of what is locked"
	@echo "make clean             remove the environment and caches"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(BIN)/uv: | $(BIN)/python
	@awk -F'"' '/^name =/ {name = $$2} name != "uv" {next} /^version =/ {printf "uv==%s", $$2} \
		/hash =/ {printf " --hash=%s", $$4}' uv.lock > $(VENV)/uv.txt
	$(PIP) $(HASHED) -r $(VENV)/uv.txt

$(VENV)/.locked: uv.lock | $(BIN)/uv
	@echo '$(CPU_TORCH)' > $(VENV)/torch.txt
	@if $(LOCKED) $(VENV)/torch.txt 2>/dev/null; then echo '$(CUDA)'; fi > $(VENV)/left-out.txt
	$(EXPORT) $(RUN) $$(cat $(VENV)/left-out.txt) -o $(VENV)/run.txt
	$(LOCKED) $(VENV)/run.txt
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.locked
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: sketches/pyproject.toml $(VENV)/.installed
	$(EXPORT) --all-extras $$(cat $(VENV)/left-out.txt) -o $(VENV)/dev.txt
	$(LOCKED) $(VENV)/dev.txt
	$(PIP) install -q --no-deps --no-build-isolation -e ./sketches
	@touch $@

install: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/python demo_gradio.py $(MODEL)

PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal --durations=40 --durations-min=5

# What the tests of static sites need; without the npm registry they are skipped.
$(VENV)/.onnxruntime-web: cmr_hub/static_site/runtime.py $(VENV)/.installed-dev
	CMR_CACHE_HOME=$(VENV) $(BIN)/python -c \
		"from cmr_hub.static_site.runtime import runtime; runtime(allow_download=True)" \
		&& touch $@ || echo "The tests of static sites are skipped."

test: $(VENV)/.installed-dev $(VENV)/.onnxruntime-web
	$(PYTEST) -m "not faults and not documents"
	@echo "Kills and other faults, and the commands of the documents: make test-all"

test-all: $(VENV)/.installed-dev $(VENV)/.onnxruntime-web
	$(PYTEST)

coverage: $(VENV)/.installed-dev $(VENV)/.onnxruntime-web
	rm -f .coverage*
	$(BIN)/python -m pytest -n auto --dist worksteal --cov
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
	$(BIN)/python -m benchmarks $(if $(FULL),--full) $(if $(FRESH),--fresh)

bench-quick: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks quick

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/make_reference.py build/docs

pictures: $(VENV)/.installed-dev
	$(BIN)/python docs/make_pictures.py

photographs: $(VENV)/.installed-dev
	$(BIN)/python -m tools.photographs

lock: | $(BIN)/uv
	$(BIN)/uv lock $(if $(UPGRADE),--upgrade)

licences: $(VENV)/.installed-dev
	$(BIN)/pip-licenses --with-urls --format=markdown --partial-match \
		--fail-on="$(FORBIDDEN)"

sbom: $(VENV)/.installed-dev
	mkdir -p build
	$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml -o build/sbom.json

audit: $(VENV)/.installed-dev
	$(EXPORT) --all-extras -o $(VENV)/audit.txt
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r $(VENV)/audit.txt

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build *.egg-info
