# cxwatch: everything a fresh machine needs is behind these commands; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
CX := $(BIN)/cxwatch
LOCK := deploy/requirements.lock
TEST_LOCK := deploy/requirements-test.lock
# What tests need includes what running needs, at the same versions.
TEST_READY := .venv/.ready-test
# What `make evaluate` needs includes what tests need; it is put back whenever that was brought up to date.
EVALUATE_LOCK := deploy/requirements-evaluate.lock
EVALUATE_READY := .venv/.ready-evaluate
READY := $(if $(wildcard $(TEST_READY)),$(TEST_READY),.venv/.ready)

.DEFAULT_GOAL := help
.PHONY: help setup demo example test busy native native-test long evaluate faults lint reference house up down status doctor lock clean browser \
	bench bench-gate bench-pipeline bench-latency bench-growth bench-start bench-boards bench-replay screenshots

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

demo: $(READY) ## the main job end to end on real Kafka and ClickHouse (KEEP=1 leaves it running)
	@$(CX) demo

example: $(READY) ## real data: a month of flights through real Kafka, prints the issues
	@$(CX) example flights

test: $(TEST_READY) browser lint ## all tests, with real servers and a real browser where marked
	@$(BIN)/python deploy/native.py
	@$(BIN)/python deploy/run_tests.py

busy: $(TEST_READY) native ## the tests that wait most, beside 14 busy loops (a whole slow machine: `nice -n 19 make test`)
	@$(BIN)/python deploy/run_busy.py

native: $(READY) ## build the optional native implementation of join and store (needs Rust; without it all works, slower)
	@$(BIN)/python deploy/native.py

native-test: $(READY) ## unit tests and lints of the native code (left out where there is no Rust)
	@if ! command -v cargo >/dev/null; then \
		echo "native-test left out: there is no cargo; install Rust from https://rustup.rs"; \
	else \
		cd native && export PYO3_PYTHON="$(CURDIR)/$(BIN)/python" && \
		lib="$$("$$PYO3_PYTHON" -c "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))")" && \
		LD_LIBRARY_PATH="$$lib" cargo test --quiet --locked --no-default-features && \
		cargo clippy --quiet --locked --release --all-targets -- -D warnings; \
	fi

long: $(TEST_READY) ## simulated months: false-alarm budget, slow ramps
	@$(BIN)/pytest -m long

evaluate: $(EVALUATE_READY) native ## detection on the incident library beside other detectors, writes docs/evaluation.md (QUICK=1: prints only)
	@$(CX) evaluate $(if $(QUICK),--quick,--page docs/evaluation.md --plots docs/evaluation --json benchmarks/results/evaluation.json)

bench: $(TEST_READY) native ## job J beside its peers (ONLY=cxwatch,floor EVENTS=600000 ROUNDS=3)
	@$(BIN)/python -m benchmarks.run $(if $(ONLY),--only $(ONLY)) $(if $(EVENTS),--events $(EVENTS)) \
		$(if $(ROUNDS),--rounds $(ROUNDS))

bench-gate: $(TEST_READY) native ## has the join become dearer? ratio to a bare ceiling, alternating pairs
	@$(BIN)/python -m benchmarks.gate

bench-pipeline: $(TEST_READY) native ## all rooms and the copy of everything, one worker and two
	@$(BIN)/python -m benchmarks.pipeline $(if $(EVENTS),--events $(EVENTS))

bench-latency: $(TEST_READY) native ## event to joined and to ClickHouse at 5,000 events a second
	@$(BIN)/python -m benchmarks.latency $(if $(RATE),--rate $(RATE)) $(if $(SECONDS),--seconds $(SECONDS))

bench-growth: $(TEST_READY) native ## CPU per event, bytes and recovery of state from 1,000 to 1,000,000 customers
	@$(BIN)/python -m benchmarks.growth

bench-boards: $(TEST_READY) ## every panel on a year of aggregates and ROWS raw events (10,000,000; full: 100000000), DAYS=365
	@$(BIN)/python -P -m benchmarks.boards $(if $(ROWS),--rows $(ROWS)) $(if $(DAYS),--days $(DAYS))

bench-replay: $(TEST_READY) native ## events a second and core of a replay from a recording, by rooms (EVENTS=600000)
	@$(BIN)/python -P -m benchmarks.replay $(if $(EVENTS),--events $(EVENTS))

bench-start: $(TEST_READY) ## CPU seconds that `cxwatch --help` and `cxwatch issues` take to start
	@$(BIN)/python -P -m benchmarks.start

bench-mapping: $(TEST_READY) native ## rows a second of `play --check` (BEFORE=folder: another checkout beside it)
	@$(BIN)/python -m benchmarks.mapping $(if $(BEFORE),--before $(BEFORE)) $(if $(ROWS),--rows $(ROWS))

faults: $(TEST_READY) native ## break everything on real servers, write docs/faults.md (N=7: one fault, prints only)
	@$(if $(N),CX_TEST_FAULTS=full CX_TEST_FAULT=$(N) $(BIN)/pytest -m fault tests/faults,$(BIN)/python deploy/run_faults.py)
	@$(if $(N),,$(BIN)/python -m tests.faults.table)

screenshots: $(TEST_READY) browser ## pictures of every board into .cxwatch/screenshots (ONLY=operations), to be looked at
	@$(BIN)/python -P -m tests.dashboards.screenshots $(ONLY)

reference: $(TEST_READY) ## write docs/reference (topics, tables, metrics, definitions, settings, commands) and the table of rights
	@$(BIN)/python -P -m deploy.reference

lint: $(TEST_READY) ## style, types, doors
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

house: $(TEST_READY) ## print and draw what imports what (docs/imports.md); what is too long, loose or in a circle
	@$(BIN)/python -P -m tests.house --svg docs/imports.svg

setup: $(READY) ## only make the environment in .venv

up: $(READY) ## start the local Kafka and ClickHouse
	@$(CX) up

down: $(READY) ## stop them; data are kept
	@$(CX) down

status: $(READY) ## what runs where
	@$(CX) status

doctor: $(READY) ## what is missing on this machine
	@$(CX) doctor

lock: $(TEST_READY) ## make the locks anew (needs the network; UPGRADE=1 takes newer versions)
	@deploy/lock.sh

clean: ## stop the servers, remove .venv, .cxwatch and caches of this checkout
	@if [ -x $(CX) ]; then $(CX) down; fi
	@rm -rf .venv .cxwatch .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/.ready: $(LOCK)
	@$(PYTHON) deploy/setup_venv.py $(LOCK)
	@touch $@

$(TEST_READY): $(TEST_LOCK)
	@$(PYTHON) deploy/setup_venv.py $(TEST_LOCK)
	@touch $@

$(EVALUATE_READY): $(EVALUATE_LOCK) $(TEST_READY)
	@$(PYTHON) deploy/setup_venv.py $(EVALUATE_LOCK)
	@touch $@

browser:
	@deploy/browser.sh
