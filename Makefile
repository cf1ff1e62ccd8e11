# All targets create the virtual environment .venv on their first run and update it when the
# requirements change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Install only packages and hashes listed in uv.lock. uv is four times as fast as pip; pip is the
# fallback because it reads the machine's own package index settings.
HASHED := install -q --require-hashes --no-deps
LOCKED := locked() { $(BIN)/uv pip $(HASHED) --python $(BIN)/python -r $$1 2>/dev/null \
	|| $(PIP) $(HASHED) -r $$1; }; locked
export UV_FIND_LINKS := $(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null \
	|| echo "$$PIP_FIND_LINKS")
# Dependencies of the page, the dashboard and the study; `make test` installs all extras and dev.
RUN := --no-default-groups --group build $(addprefix --extra ,clip dashboard demo mcp study)
EXPORT = $(BIN)/uv export -q --frozen --no-emit-project
# PyTorch's CPU build of the torch version in uv.lock, for Python 3.11 on x86-64 Linux. It is not on
# PyPI. If pip is configured to find it, it is installed without NVIDIA's libraries.
CPU_TORCH := torch==2.13.0+cpu --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
CUDA = $(shell sed -nE 's/^name = "(cuda-.*|nvidia-.*|triton)"$$/--prune \1/p' uv.lock)
# Licences that no installed package may have.
FORBIDDEN := GNU General Public License;GNU Affero;GPL-2.0;GPL-3.0;AGPL
# Model directory for `make demo`; the default is the included model.
MODEL ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all coverage mutation lint bench bench-quick docs pictures photographs lock licences sbom audit \
	clean

help:
	@echo "make demo [MODEL=DIR]  open the search page with the model photos, or with a model directory"
	@echo "make install           create the environment .venv"
	@echo "make test              run the tests; CMR_DATA_HOME=DIR includes the tests on real data"
	@echo "make test-all          also run the fault tests and the commands of the documentation"
	@echo "make lint              run ruff, import-linter, vulture and mypy"
	@echo "make coverage          run all tests and measure line coverage"
	@echo "make mutation          run mutation tests of metrics and losses (one hour)"
	@echo "make bench [FULL=1] [FRESH=1]  run the benchmarks that have no result yet"
	@echo "make bench-quick       check for slowdowns of more than 25 % (three minutes)"
	@echo "make docs              build the API reference in build/docs"
	@echo "make pictures          draw the pictures of the documentation; needs Chromium"
	@echo "make photographs       download the photographs of the demo gallery; needs Debian and npm"
	@echo "make lock [UPGRADE=1]  update uv.lock from pyproject.toml"
	@echo "make licences          list the licences of installed packages; fail on the GPL"
	@echo "make sbom              write a software bill of materials to build/sbom.json"
	@echo "make audit             check the locked packages for known vulnerabilities"
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

# Needed by the tests of static sites; without access to npm, these tests are skipped.
$(VENV)/.onnxruntime-web: cmr_hub/static_site/runtime.py $(VENV)/.installed-dev
	CMR_CACHE_HOME=$(VENV) $(BIN)/python -c \
		"from cmr_hub.static_site.runtime import runtime; runtime(allow_download=True)" \
		&& touch $@ || echo "The tests of static sites are skipped."

test: $(VENV)/.installed-dev $(VENV)/.onnxruntime-web
	$(PYTEST) -m "not faults and not documents"
	@echo "make test-all also runs the fault tests and the commands of the documentation."

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
