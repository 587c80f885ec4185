# Everything a developer does, by name. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:

# The interpreter that makes .venv; only used when there is none yet.
PYTHON ?= python3
# Where to take torch from instead of the usual index: make install TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# Threads per test process: many small tensors and several processes run best with one each.
TEST_THREADS ?= 1
# Test files that run side by side. Slow or busy machines stretch every time-out: make test LTREC_TEST_TIMEOUT_SCALE=3
TEST_JOBS ?= $(shell nproc 2>/dev/null || echo 1)
export LTREC_TEST_TIMEOUT_SCALE ?= 1

BIN := .venv/bin
STAMP := .venv/.installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-input -c constraints.txt
PYTEST := OMP_NUM_THREADS=$(TEST_THREADS) $(BIN)/python -m pytest

##@ Start here

.PHONY: install
install: $(STAMP) ## Make .venv with the tested versions; does nothing when it is up to date

# torch goes first and alone: resolved together with the rest, an unpinned torch may pull gigabytes of CUDA libraries.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "ltrec needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." \
	       "Name another one: make install PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(PIP) -e '.[all,dev,docs]'
	@touch $@

.PHONY: quickstart
quickstart: install ## Fetch, prepare, train, evaluate and report on MovieLens-100K: minutes on a laptop
	$(BIN)/ltrec quickstart

##@ Checks

.PHONY: test
test: check ## All checks and every test that takes seconds (CI runs this)
	$(PYTEST) -n $(TEST_JOBS) --dist loadfile -m "not slow and not gpu and not slurm and not soak"

# Rooms whose tests neither train nor start processes; what a change broke there is known before the coffee is.
FAST := aggregation causal config core distributed evaluation inference models objectives optim strategy tracking
.PHONY: test-fast
test-fast: install ## House rules and the unit tests that need no run: two minutes
	$(PYTEST) -n $(TEST_JOBS) --dist loadfile -q --durations=0 --durations-min=2 \
	  -m "not slow and not gpu and not slurm and not soak" tests/test_house_*.py $(addprefix tests/unit/,$(FAST))

# The report is looked at in a browser, which only root can install. Where there is none those tests are skipped, and say so.
.PHONY: test-slow
test-slow: install ## The tests that take minutes; what the report looks like is left in build/report-screenshots
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends \
	    chromium fonts-liberation poppler-utils; } \
	  || echo "no browser here, and not installed: nobody will look at the report; that needs root and Debian's chromium" >&2
	$(PYTEST) -m "slow and not gpu and not slurm and not soak"

# The lowest versions come first and win; of everything else constraints.txt has the version.
LOWEST := build/lowest
.PHONY: test-lowest
test-lowest: ## The unit tests on the lowest versions that pyproject.toml allows, in an environment of its own (build/lowest)
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	awk -F== '/^#/ {next} !seen[tolower($$1)]++' constraints-lowest.txt constraints.txt > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --disable-pip-version-check --no-input -c $(LOWEST)/constraints.txt \
	  $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(LOWEST)/bin/python -m pip install --disable-pip-version-check --no-input -c $(LOWEST)/constraints.txt -e '.[all,dev]'
	OMP_NUM_THREADS=$(TEST_THREADS) $(LOWEST)/bin/python -m pytest -n $(TEST_JOBS) --dist loadfile \
	  -m "not slow and not gpu and not slurm and not soak" tests/unit tests/distributed

.PHONY: test-install
test-install: install ## The wheel in an empty environment beside Hydra, without extras: the whole way works (minutes)
	LTREC_TORCH_INDEX=$(TORCH_INDEX) $(PYTEST) -m slow tests/integration/test_install.py

.PHONY: test-store
test-store: install ## Data sets and models on a real S3 server that fails and vanishes; readers and training are killed 100 times (minutes)
	$(PYTEST) -m slow tests/store

# Java comes from the system (Debian: default-jre-headless), the extra from pip. Without either the tests are skipped, and say so.
# More kills than 8: make test-spark LTREC_TEST_SPARK_KILLS=50
.PHONY: test-spark
test-spark: install ## engine=spark against DuckDB, byte for byte: all options, skew, kills, spark-submit (minutes; needs Java)
	@command -v java >/dev/null || echo "no Java here: these tests will be skipped; on Debian and Ubuntu: apt install default-jre-headless" >&2
	@$(BIN)/python -c 'import pandas, pyspark' 2>/dev/null || $(PIP) -e '.[spark]' \
	  || echo "the extra spark is not installed: these tests will be skipped" >&2
	$(PYTEST) -m slow tests/spark

# Interrupted, it goes on where it was: what it has done is in runs/soak.
.PHONY: test-soak
test-soak: install ## Thirty SIGKILLs of a rank or the whole job on MovieLens-100K, against an undisturbed run; resumable
	$(PYTEST) -m soak tests/soak

.PHONY: test-gpu
test-gpu: install ## The tests that need a CUDA device
	$(PYTEST) -m gpu

# A private Slurm on this machine, which only root can start. What cannot be installed or started is skipped, and says so.
.PHONY: test-slurm
test-slurm: install ## Real Slurm jobs on a private two-node cluster on this machine (as root, on Debian or Ubuntu)
	@command -v slurmctld >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends slurm-wlm; } \
	  || echo "no Slurm here, and not installed: these tests need root and Debian's slurm-wlm" >&2
	$(PYTEST) -m slurm tests/slurm

.PHONY: check
check: install ## Format, lint, types, floors of the house, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

.PHONY: format
format: install ## Put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

##@ To publish

.PHONY: docs
docs: install ## The manual as a site in build/site; a link that leads nowhere fails
	$(BIN)/python -m docs.reference build/docs
	NO_COLOR=1 $(BIN)/zensical build --strict --clean

.PHONY: wheel
wheel: install ## Wheel and source archive in dist/
	rm -rf dist
	$(BIN)/python -m build

##@ Measurements

.PHONY: bench
bench: bench-epoch bench-step bench-methods ## All benchmarks that take minutes

.PHONY: bench-epoch
bench-epoch: install ## One training epoch against the floor of its matrix products; last line JSON
	$(BIN)/python benchmarks/epoch.py

.PHONY: bench-start
bench-start: install ## CPU seconds of commands that compute nothing; last line JSON
	$(BIN)/python benchmarks/start.py

.PHONY: bench-append
bench-append: install ## CPU seconds of appending a day to a data set against a full prepare; last line JSON
	$(BIN)/python -m benchmarks.append

.PHONY: bench-etl
bench-etl: install ## CPU seconds and peak memory of ltrec prepare against a bare sort; last line JSON
	$(BIN)/python benchmarks/etl.py

.PHONY: bench-stream
bench-stream: install ## What an event of the stream costs at 10^5 to 10^7 events, from a folder, a cache and a store; last line JSON
	$(BIN)/python -m benchmarks.stream

.PHONY: bench-columns
bench-columns: install ## Rows per second of the loader with four columns against none; last line JSON
	$(BIN)/python benchmarks/columns.py

.PHONY: bench-columns-help
bench-columns-help: install ## What columns give on a log where it is known, three seeds, by stratum; noise; new items
	$(BIN)/python benchmarks/columns_help.py

.PHONY: bench-prepare
bench-prepare: install ## Peak memory and time of prepare: 20 M events with six columns, 1 M x 128 vectors; last line JSON
	$(BIN)/python benchmarks/prepare_columns.py

.PHONY: bench-step
bench-step: install ## A step by strata against plain DDP: FLOPs, bytes, buffers, time; last line JSON
	$(BIN)/python benchmarks/stratified_step.py

.PHONY: bench-gpu
bench-gpu: install ## On a CUDA device, minutes: right against the CPU, waits, launches, ms, MFU, memory; else a rehearsal; last line JSON
	$(BIN)/python benchmarks/gpu.py

.PHONY: bench-rows
bench-rows: install ## A step's cost as the catalogue grows, of all rows of the item table and of touched ones; last line JSON
	$(BIN)/python benchmarks/rows.py

.PHONY: bench-plan
bench-plan: install ## Seconds of a step on paper against measured ones, with this machine's constants; last line JSON
	$(BIN)/python benchmarks/plan.py

.PHONY: bench-index
bench-index: install ## Recall by stratum and speed of an index of 10^6 items against the full ranking, one thread; last line JSON
	$(BIN)/python benchmarks/index.py

.PHONY: bench-predict
bench-predict: install ## Recommendations for 10^6 users: users per second, peak memory, share of the matrix product; last line JSON
	$(BIN)/python benchmarks/predict.py

.PHONY: bench-serve
bench-serve: install ## Users per second of an exported model and its server, against their matrix products; latency; last line JSON
	$(BIN)/python benchmarks/serve.py

# DIR holds beauty/events.parquet and ml-100k/events.parquet. Environments are made under ~/.cache/ltrec/peers, 1.5 GB each.
.PHONY: bench-peers
bench-peers: install ## The same SASRec by RePlay, RecBole and RecTools: LOGS=DIR; hours, resumable; last line JSON
	$(BIN)/python -m benchmarks.peers --logs $(LOGS) $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX))

.PHONY: bench-methods
bench-methods: install ## What a step of each method costs, relative to joint training; last line JSON
	$(BIN)/python benchmarks/method_cost.py

# DIR holds NAME/events.parquet (benchmarks/longtail/tables.py names the logs): many hours, to be killed and repeated at will.
LOGS ?= data/logs
JOBS ?= 2
.PHONY: bench-longtail
bench-longtail: install ## Who serves the tail, on every log and backbone: LOGS=DIR JOBS=2; hours, resumable
	$(BIN)/python -m benchmarks.longtail --logs $(LOGS) --jobs $(JOBS)

##@ Housekeeping

.PHONY: clean
clean: ## Remove caches and build products; .venv, data/ and runs/ stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
