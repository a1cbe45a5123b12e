# Set-up belongs to the targets: demo, test and lab each work on a fresh clone. Nothing is installed outside this folder.
SHELL := /bin/sh
BIN := .venv/bin
READY := .venv/.ready
LATENCY ?= fast
# real: on Linux as root, each host with a Docker Engine and disks of its own, and PostgreSQL beside the service
HOSTS ?= simulated
SANDBOX_HOSTS = --hosts $(HOSTS) $(if $(filter real,$(HOSTS)),--postgres)
REAL_PACKAGES = $(if $(filter real,$(HOSTS)),$(BIN)/python scripts/real_hosts)
SEQUENCES ?= 500
ifndef SEED
SEED := $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')
endif
# Terraform's provider sleeps more than it works: two workers a core
WORKERS ?= $(shell expr 2 \* $$(nproc))

.PHONY: demo demo-day-two test test-browser test-real thorough crash fuzz check docs pictures lab set-up lock clean

demo: $(READY) ## migrate the sample service in the sandbox and show the record
	@$(REAL_PACKAGES)
	@$(BIN)/runbook sandbox exec --latency $(LATENCY) $(SANDBOX_HOSTS) -- $(BIN)/runbook run all -f '{parameters}' --execute --reason 'make demo'

demo-day-two: $(READY) ## patch, deploy, resize, back up and check: in the sandbox that is up, else in one that is migrated first
	@if $(BIN)/runbook sandbox status >/dev/null 2>&1; then $(BIN)/python scripts/day_two .sandbox/parameters.yaml .sandbox; \
	else $(BIN)/runbook sandbox exec --latency $(LATENCY) --hosts $(HOSTS) -- $(BIN)/python scripts/day_two '{parameters}' '{state}'; fi

test: $(READY) check ## every check, and every test but the long ones
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m 'not thorough'

test-browser: $(READY) ## JupyterLab as a person uses it, in this machine's Chromium; pictures in build/screenshots
	$(BIN)/python -m pytest tests/browser -rs

test-real: $(READY) ## a whole migration on real hosts, as root on Debian, whose packages it installs; else it says why not
	@$(BIN)/python scripts/real_hosts
	RUNBOOK_TEST_REAL=1 $(BIN)/python -m pytest tests/real -rs

thorough: $(READY) ## the long variants that `test` leaves out
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m thorough

crash: $(READY) ## strike every step in every way, and write docs/what-if.md from what was seen
	rm -f build/crash-cells.jsonl && mkdir -p build
	RUNBOOK_CRASH_CELLS=$(CURDIR)/build/crash-cells.jsonl $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/crash
	$(BIN)/python scripts/what_if build/crash-cells.jsonl

fuzz: $(READY) ## SEQUENCES=500 random ones of runs, kills, faults and operators, from SEED or one that is printed
	@echo "make fuzz SEQUENCES=$(SEQUENCES) SEED=$(SEED)"
	@RUNBOOK_FUZZ_SEQUENCES=$(SEQUENCES) RUNBOOK_FUZZ_SEED=$(SEED) \
	  $(BIN)/python -m pytest -n $(WORKERS) --dist load tests/fuzz/test_many_sequences.py

check: $(READY) ## format, lint, types, notebooks, Terraform
	$(BIN)/python scripts/check

docs: $(READY) ## the site, in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict # not --quiet: it would not count the warnings
	@echo "build/site/index.html"

pictures: $(READY) ## draw docs/images anew from the newest run, as after `make demo` (needs Chromium)
	$(BIN)/python scripts/pictures

lab: $(READY) ## JupyterLab on the notebooks, with the sandbox up; Ctrl-C ends both
	@$(BIN)/runbook sandbox up --latency $(LATENCY) $(SANDBOX_HOSTS) $(SANDBOX_OPTIONS)
	@trap '$(BIN)/runbook sandbox down' EXIT; trap : INT TERM; \
	  JUPYTER_PATH=$(CURDIR)/lab JUPYTER_CONFIG_PATH=$(CURDIR)/lab $(BIN)/jupyter lab $(LAB_OPTIONS)

set-up: $(READY)

$(READY): requirements.lock pyproject.toml scripts/set_up
	@python3 scripts/set_up

lock: $(READY) ## resolve pyproject.toml into requirements.lock (needs uv)
	uv pip compile -q --universal --python-version 3.11 --extra dev --generate-hashes \
	  --custom-compile-command 'make lock' pyproject.toml -o requirements.lock

clean: ## remove what set-up and the sandbox made; runs/ stays
	-@test -x $(BIN)/runbook && $(BIN)/runbook sandbox down
	rm -rf .venv .sandbox .pytest_cache .mypy_cache .ruff_cache
