# Two commands matter to a newcomer: `make demo` and `make test`. Both build .venv themselves.
PYTHON ?= python3
BIN := .venv/bin
RUN := .venv/.run
DEV := .venv/.dev

.PHONY: demo test lint format lock docs docs-release reports bench-backtest bench-params bench-data bench-training bench-canary bench-release clean help

help:  ## what can be made here
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: $(RUN)  ## run the whole loop on real data, and say where to look next
	@$(BIN)/tidegate demo

test: $(DEV)  ## run every test
	$(BIN)/pytest -n 2 --dist worksteal -q

lint: $(DEV)  ## ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(RUN)  ## draw the pictures in docs/
	$(BIN)/python docs/draw_loop.py

docs-release: $(RUN)  ## play a release of wrong labels over HTTP (../shared/data); writes docs/deployment-log.md and release.md
	@$(BIN)/python docs/play_release.py

reports: $(RUN)  ## pages with pictures on three real streams (../shared/data), in reports/
	@$(BIN)/python docs/draw_reports.py

bench-backtest: $(RUN)  ## the standard policy on three real streams; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks.backtest

# The peers live in environments of their own; what they need stays out of Tidegate's.
PEERS := .venv/peers
THETA := .venv/theta

$(PEERS)/.built: benchmarks/params/peers.txt
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

# git-theta and the optimiser's steps share torch; git-theta also needs git-lfs on the system.
$(THETA)/.built: benchmarks/params/theta.txt
	@$(PYTHON) -m venv $(THETA)
	@$(THETA)/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

bench-params: $(RUN) $(PEERS)/.built $(THETA)/.built  ## versions against DVC, MLflow and others; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks.params --peers $(PEERS)/bin/python --theta $(THETA)/bin/python

# Peers that judge data; what they need of NumPy, pandas and pyarrow differs from one to the next.
DATA_PEERS := .venv/peers-data

$(DATA_PEERS)/%/.built: benchmarks/data/%.txt
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

bench-data: $(RUN) $(patsubst benchmarks/data/%.txt,$(DATA_PEERS)/%/.built,$(wildcard benchmarks/data/*.txt))  ## data verdicts against Evidently, NannyML and others; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks.data --peers $(DATA_PEERS)

# Peers that serve models. One that cannot be installed is told as such in the table.
RELEASE_PEERS := .venv/peers-release

$(RELEASE_PEERS)/%/.built: benchmarks/release/peers/%.txt
	@$(PYTHON) -m venv $(@D)
	@rm -f $(@D)/.failed
	@$(@D)/bin/python -m pip install -q --disable-pip-version-check -r $< 2> $(@D)/.log || mv $(@D)/.log $(@D)/.failed
	@touch $@

bench-release: $(RUN) $(patsubst benchmarks/release/peers/%.txt,$(RELEASE_PEERS)/%/.built,$(wildcard benchmarks/release/peers/*.txt))  ## the gateway under load against MLServer, BentoML and others; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks.release --peers $(RELEASE_PEERS) $(if $(QUICK),--quick)

RIVER := .venv/river

$(RIVER)/.built: benchmarks/training/peers.txt
	@$(PYTHON) -m venv $(RIVER)
	@$(RIVER)/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

bench-training: $(DEV) $(RIVER)/.built  ## policy against fixed schedules and River; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.training.limits

bench-canary: $(RUN)  ## rules that end a canary, simulated; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks.canary

format: $(DEV)  ## put the code in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(DEV)  ## renew both lock files from pyproject.toml
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --extra dev pyproject.toml -o requirements-dev.lock

clean:  ## remove what make built
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tidegate needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

# hatchling builds the editable install; it is fetched by pip as pyproject.toml asks.
$(RUN): .venv/bin/python requirements.lock pyproject.toml
	@echo "Building .venv (a minute or two, once)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(DEV): $(RUN) requirements-dev.lock requirements-adapters.txt
	@echo "Adding what the tests need to .venv"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-adapters.txt
	@touch $@
