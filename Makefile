# The developer's manual: `make` lists the targets. CI runs the same ones.
# Only relative paths are used, so a clone may live in a folder with spaces.

PY := .venv/bin/python
PYTEST := $(PY) -m pytest
ARGS ?=
SECONDS ?= 180
RECORDED ?= ../shared/data/market
SEED ?= 1
# npm trusts what the system trusts, as pip does: needed behind a company's proxy.
export NODE_USE_SYSTEM_CA := 1
# The pins must name no host: each user's pip asks its own index, and the hashes vouch.
COMPILE := UV_NO_CONFIG=1 UV_CUSTOM_COMPILE_COMMAND='make lock' .venv/bin/uv pip compile \
    pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-annotate

# The environment and the page carry their own stamps: delete one and it is made again.
VENV := .venv/.installed
PAGE := src/liqheat/serve/static/index.html
PAGE_SOURCES := $(shell find web -name node_modules -prune -o -type f -print 2>/dev/null)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run fake-exchange check test lint unit soak fuzz web web-test bench study study-recorded screenshots \
    format lock clean

help: ## list the targets
	@printf 'liqheat: make <target> [ARGS="..."]\n\n'
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile | while IFS=: read -r name text; do \
	    printf '  %-13s%s\n' "$$name" "$$text"; done

setup: $(VENV) $(PAGE) ## prepare .venv and the page; skips what is up to date

run: setup ## start liqheat and open the page; ARGS="--offline --port 9000"
	$(PY) -m liqheat up $(ARGS)

fake-exchange: $(VENV) ## all exchanges on loopback; ARGS="--scenario burst --port 9321"
	$(PY) -m tests.fake_exchange $(ARGS)

check: $(VENV) lint unit ## lint, types, layers, spelling, unit tests: under 2 minutes

test: setup lint web-test ## everything CI runs
	$(PYTEST) tests $(ARGS)

lint: $(VENV) ## formatting, ruff, mypy, import layers, spelling
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	$(PY) -m codespell_lib $(wildcard src tests tools benchmarks docs web/src .ci *.md *.py Makefile)

unit: $(VENV) ## unit and documentation tests
	$(PYTEST) tests/unit tests/docs -m "not slow and not ui" $(ARGS)

soak: setup ## a day of live collecting with a fault a minute, the page over 8 h; in minutes; SEED=7
	SOAK_HOURS=24 SOAK_SEED=$(SEED) nice $(PYTEST) tests/soak -s $(ARGS)

fuzz: $(VENV) ## damaged files and odd queries, for minutes; SECONDS=600 SEED=7
	FUZZ_SECONDS=$(SECONDS) FUZZ_SEED=$(SEED) nice $(PYTEST) tests/fuzz -s $(ARGS)

web: $(VENV) ## build the page anew, types checked
	$(PY) tools/web_build.py build

web-test: $(PAGE) ## unit tests and size limit of the page
	$(PY) tools/web_build.py test
	$(PY) tools/web_build.py size

bench: $(VENV) ## how fast engine, store, server and exchanges are, beside references
	$(PY) benchmarks/engine.py
	$(PY) benchmarks/store.py
	$(PY) benchmarks/serve.py --viewers 1000
	$(PY) benchmarks/exchanges.py

study: $(VENV) ## score the models, write docs/accuracy.md; ten minutes; ARGS="--seeds 1"
	rm -rf build/study
	nice $(PY) -m liqheat study score -o build/study/simulated $(ARGS) > /dev/null
	$(PY) tools/accuracy.py simulated=build/study/simulated
	@if [ -d "$(RECORDED)" ]; then $(MAKE) --no-print-directory study-recorded; else \
	    echo "no recorded data in $(RECORDED): that section is left as it is"; fi

# Only the part of the recorded data on which the model may be tuned: see docs/accuracy.md.
study-recorded:
	$(PY) -m liqheat --data-dir build/study/data import "$(RECORDED)" \
	    --instrument binance:BTCUSDT
	nice $(PY) -m liqheat --data-dir build/study/data study score \
	    --instrument binance:BTCUSDT --end 2026-02-23 -o build/study/recorded > /dev/null
	$(PY) tools/accuracy.py recorded=build/study/recorded

screenshots: setup ## take the pictures in docs/img anew
	$(PYTEST) tests/ui --update-screenshots

format: $(VENV) ## format and mend what can be mended
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

lock: $(VENV) ## pin the requirements again; ARGS=--upgrade for newer versions
	$(COMPILE) --output-file requirements/run.txt $(ARGS)
	$(COMPILE) --output-file requirements/dev.txt --group dev -c requirements/run.txt $(ARGS)

clean: ## remove what was built, the environment included
	rm -rf .venv .setup dist build web/node_modules src/liqheat/serve/static test-results
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV): requirements/dev.txt pyproject.toml tools/setup.sh
	@sh tools/setup.sh

$(PAGE): $(VENV) $(PAGE_SOURCES)
	$(PY) tools/web_build.py build
	@touch $@
