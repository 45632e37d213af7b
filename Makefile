# On a machine with Python 3.11 or later (venv, pip) and make, `make demo` and `make test` need nothing else.
PYTHON ?= python3
ENVOY_FLOOR = 1.36.4
BIN = .venv/bin
export UV_PROJECT_ENVIRONMENT = .venv
export UV_LINK_MODE ?= copy

.PHONY: help setup demo test check fast e2e golden bench fuzz since clean

help:  ## Say what there is.
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.ready  ## Make .venv with xds-server, xdsctl and envoy.

.venv/.ready: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "xds-server needs Python 3.11 or later: make setup PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip --disable-pip-version-check install --quiet "uv>=0.6"
	$(BIN)/uv sync --quiet --frozen --inexact
	@touch $@

.envoy-1.36/bin/envoy: .venv/.ready
	$(BIN)/python e2e/install_envoy.py $(ENVOY_FLOOR)

demo: setup  ## Two versions of a small shop behind a real Envoy, with lines to try; PORT=N: on another port.
	$(BIN)/xds-server demo $(if $(PORT),--port $(PORT))

check: setup  ## Format, lint, types and layers.
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

fast: setup  ## The fast tests: no Envoy.
	$(BIN)/pytest -q tests

e2e: setup .envoy-1.36/bin/envoy  ## The tests on real Envoys, the oldest supported and the current one.
	$(BIN)/pytest -q e2e

test: check fast e2e  ## Everything.

golden: setup  ## Write golden files anew; read the diff.
	$(BIN)/pytest -q tests --update-golden

bench: setup  ## The figures of docs/performance.md.
	$(BIN)/python -W ignore -m bench.compile
	$(BIN)/python -W ignore -m bench.encode
	$(BIN)/python -W ignore -m bench.flip

fuzz: setup .envoy-1.36/bin/envoy  ## Ten minutes of records that nobody wrote: text by text and world by world.
	$(BIN)/python -W ignore -m bench.fuzz

since: setup  ## Write anew which Envoy knows which field, from the binaries of all supported versions.
	$(BIN)/python -W ignore -m e2e.known_since

clean:  ## Remove what setup and the tests made.
	rm -rf .venv .envoy-1.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
