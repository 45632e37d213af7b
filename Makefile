# On a machine with Python 3.11 or later (venv, pip) and make, `make demo` and `make test` need nothing else.
PYTHON ?= python3
ENVOY_FLOOR = 1.36.4
BIN = .venv/bin
BENCH = $(BIN)/python -W ignore -m bench
FIGURES = --json bench/figures.json
E2E = $(BIN)/pytest -q e2e
# Of the files of tests on real Envoys, so many at a time: one on each core of the smallest machine, and one that waits.
WORKERS ?= 3
QUICK = $(if $(JSON),--json $(JSON))
export UV_PROJECT_ENVIRONMENT = .venv
export UV_LINK_MODE ?= copy
# Each of the hundreds of processes that the tests start would compile Envoy's types anew: a second of work.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help setup demo test test-envoys e2e-all check fast e2e golden bench bench-quick fuzz since clean

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

demo: setup  ## Two versions of a small shop behind a real Envoy, with lines to try; PORT=N: on another port; MESH=1: an app with sidecars; CANARY=1: releases that move by themselves.
	$(BIN)/xds-server demo $(if $(PORT),--port $(PORT)) $(if $(MESH),--mesh) $(if $(CANARY),--canary)

check: setup  ## Format, lint, types and layers.
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

fast: setup  ## The fast tests: no Envoy.
	$(BIN)/pytest -q tests -n auto --dist worksteal

e2e: setup .envoy-1.36/bin/envoy  ## The tests on real Envoys, the oldest supported and the current one.
	$(E2E) -m "not alone" -n $(WORKERS) --dist loadfile --no-loadscope-reorder
	$(E2E) -m alone -n 2

test: check fast e2e  ## Everything.

test-envoys: setup  ## Gateways on demand, on every minor version of Envoy that can.
	XDS_MINORS=all $(BIN)/pytest -q e2e/test_on_demand.py

e2e-all:  ## The same, with gateways on demand on every minor version.
	XDS_MINORS=all $(MAKE) e2e

golden: setup  ## Write golden files anew; read the diff.
	$(BIN)/pytest -q tests --update-golden

bench: setup  ## The figures and charts of docs/performance.md and judging.md, in an hour.
	$(BENCH).encode $(FIGURES)
	$(BENCH).compile $(FIGURES)
	$(BENCH).cold --delivery full $(FIGURES)
	$(BENCH).clusters $(FIGURES)
	$(BENCH).fanout --delivery full --apps 1 $(FIGURES)
	$(BENCH).fanout $(FIGURES)
	$(BENCH).flip $(FIGURES)
	$(BENCH).flip --delivery full --apps 10 1000 --flips 30 $(FIGURES)
	$(BENCH).flip --mode sotw --apps 10 1000 --flips 30 $(FIGURES)
	$(BENCH).flood $(FIGURES)
	$(BENCH).sidecars $(FIGURES)
	$(BENCH).telemetry $(FIGURES)
	$(BENCH).judge $(FIGURES)
	$(BENCH).canary $(FIGURES)
	$(BENCH).charts

bench-quick: setup  ## All of them at sizes that show only whether they work.
	$(BENCH).encode --rounds 100 $(QUICK)
	$(BENCH).compile --apps 50 --flips 5 $(QUICK)
	$(BENCH).cold --delivery full --apps 10 $(QUICK)
	$(BENCH).clusters --clusters 20 --proxies 20 --changes 2 $(QUICK)
	$(BENCH).fanout --delivery full --apps 2 --proxies 20 --flips 2 --churn 0.05 $(QUICK)
	$(BENCH).fanout --delivery sotw --apps 2 --proxies 20 --flips 2 --delay 0.01 $(QUICK)
	$(BENCH).fanout --apps 4 --proxies 20 --flips 2 --hosts 3 $(QUICK)
	$(BENCH).flip --apps 5 --loaded 3 --flips 3 $(QUICK)
	$(BENCH).flip --delivery full --apps 5 --flips 3 $(QUICK)
	$(BENCH).flood --apps 3 --hosts 50 --requests 50 --rate 200 $(QUICK)
	$(BENCH).sidecars --hops 2 --blocks 2 --requests 10 --saturating 40 --others 2 4 --deployments 3 --changes 2 $(QUICK)
	$(BENCH).telemetry --clusters 20 --flushes 2 $(QUICK)
	$(BENCH).judge --hours 3 --worse 3 $(QUICK)
	$(BENCH).canary --apps 1 --minutes 0.4 $(QUICK)

fuzz: setup .envoy-1.36/bin/envoy  ## Ten minutes of records that nobody wrote: text by text and world by world.
	$(BIN)/python -W ignore -m bench.fuzz

since: setup  ## Write anew which Envoy knows which field, from the binaries of all supported versions.
	$(BIN)/python -W ignore -m e2e.known_since

clean:  ## Remove what setup and the tests made.
	rm -rf .venv .envoy-1.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
